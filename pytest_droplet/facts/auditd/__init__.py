"""Facts of the checks ``auditd.*``."""
