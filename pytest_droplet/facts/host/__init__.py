"""Facts of the host that several families use."""
