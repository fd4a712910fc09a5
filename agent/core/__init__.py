"""What the agent concludes, as pure functions: values in, values out, no clock and no I/O."""
