"""Five faults, healed in front of you, under load, with numbers: `make demo`."""
