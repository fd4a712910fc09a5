"""Ports for servers that a measurement starts, and starts again."""

import random
import socket
from contextlib import closing, suppress

PORTS = range(14_000, 32_000)
"""Below those that Linux gives to outgoing connections: none of them can take a port while its server is away."""
TRIES_MAX = 1_000


def free_port(address: str = "127.0.0.1") -> int:
    """A port of `PORTS` on which nobody listens now. `RuntimeError` when none was found."""
    for _ in range(TRIES_MAX):
        port = random.choice(PORTS)  # measurements beside each other begin in different places
        with closing(socket.socket()) as probe, suppress(OSError):
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((address, port))
            return port
    msg = f"no port of {address} is free between {PORTS.start} and {PORTS.stop}"
    raise RuntimeError(msg)
