"""Engines behind the ports: `onnx` speaks, `simulated` costs the same time without speaking."""
