"""Alertmanager as code: one incident, one notification, and a copy of it to the controller."""
