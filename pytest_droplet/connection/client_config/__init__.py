"""What the user's ssh config says of a host, as OpenSSH's client reads it."""
