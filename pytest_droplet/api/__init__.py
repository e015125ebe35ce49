"""The DigitalOcean API, read only: a GET-only client and the inventory drawn from it."""
