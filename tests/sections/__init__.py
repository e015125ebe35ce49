"""The sections of the host script, run by real shells in real roots, and what is made of them."""
