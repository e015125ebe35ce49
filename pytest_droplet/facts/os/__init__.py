"""Facts of the checks ``os.*``."""
