"""Facts of the checks ``backups.*``."""
