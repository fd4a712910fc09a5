"""OpenSLO v1 documents in and out: read safely, understood strictly, every fault with its place and its fix."""
