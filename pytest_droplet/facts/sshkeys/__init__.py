"""Facts of the checks ``sshkeys.*``."""
