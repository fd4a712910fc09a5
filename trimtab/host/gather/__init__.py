"""The host → facts. Every look is bounded in time, and none changes anything."""
