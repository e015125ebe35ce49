"""Facts of the checks ``tls.*``."""
