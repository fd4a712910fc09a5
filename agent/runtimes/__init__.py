"""Where replicas run: child processes, Docker containers, or the simulation; one conformance suite holds all three."""
