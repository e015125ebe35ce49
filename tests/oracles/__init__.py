"""The real programs judge."""
