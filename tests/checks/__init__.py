"""Cases of the shipped checks: ``<check-id>/<case>.<verdict>.toml``, read by ``cases.py``."""
