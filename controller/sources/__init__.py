"""Where knowledge comes from: Prometheus, the agents, Alertmanager."""
