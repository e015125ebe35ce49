"""What the documentation shows is what the code does."""
