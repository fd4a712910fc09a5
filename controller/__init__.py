"""The mind: observe, detect, diagnose, decide, act, verify. Start with `loop.py`."""
