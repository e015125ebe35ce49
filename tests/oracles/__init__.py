"""The real programs judge: what the product reads is held against what they do."""
