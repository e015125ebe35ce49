"""Facts of the checks ``patches.*``."""
