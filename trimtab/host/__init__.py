"""A GPU host as a place to run the agent: what is installed there, whether it is set up, and what is missing.

Rendering and judging are pure (values in, values out); gathering facts and writing files are thin shells around them.
"""
