"""SSH to all hosts at once: the framed script, the pool, the probes, testinfra's backend."""
