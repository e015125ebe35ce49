"""Every project in examples/ runs as its README says."""
