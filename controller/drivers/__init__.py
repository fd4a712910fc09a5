"""Hands: orders to agents, traffic at the gateways, rules at Prometheus."""
