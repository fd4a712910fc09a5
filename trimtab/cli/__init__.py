"""The commands people type: each parses its options, calls one thing, and shows the result."""
