"""Facts of the checks ``ssh.*``."""
