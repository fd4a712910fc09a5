"""What we promise, compiled: SLO documents in, Prometheus rules out. Pure until `render`."""
