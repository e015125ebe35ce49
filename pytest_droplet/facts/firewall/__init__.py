"""Facts of the checks ``firewall.*``."""
