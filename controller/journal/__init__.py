"""Durable memory: a SQL journal behind the ports, and a dictionary for the simulation."""
