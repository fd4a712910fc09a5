"""Keeps the replicas of this host alive: what is known of each, when to heal, and the hands that do it."""
