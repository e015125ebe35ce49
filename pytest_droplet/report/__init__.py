"""The document of record, and every output that is drawn from it."""
