"""Alerts about the machinery, by what they watch: replicas and hosts, GPUs, the loop, and the watchers themselves."""
