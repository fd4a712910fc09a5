"""The six phases as pure functions over values: no I/O, clock, randomness, logging or framework."""
