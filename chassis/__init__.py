"""What every process needs to run: time, logs, settings, supervision, retries, health and tokens."""
