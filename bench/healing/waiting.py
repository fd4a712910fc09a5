"""Waiting for levels, and ending what was started."""

import socket
import subprocess
import time
from collections.abc import Callable
from contextlib import ExitStack

import httpx

from bench.ports import free_port

POLL_S = 0.02
ANSWER_S_MAX = 0.25
END_S_MAX = 5.0


def until(is_so: Callable[[], bool], within_s: float, what: str) -> float:
    """Seconds until `is_so`; raises `TimeoutError` naming `what`."""
    started_s = time.monotonic()
    while time.monotonic() - started_s < within_s:
        if is_so():
            return time.monotonic() - started_s
        time.sleep(POLL_S)
    raise TimeoutError(f"not within {within_s:g} s: {what}")


def answers(url: str) -> bool:
    """A GET is answered with 2xx."""
    try:
        return httpx.get(url, timeout=ANSWER_S_MAX, trust_env=False).is_success
    except httpx.HTTPError:
        return False


def born(port: int) -> str | None:
    """Which process of a replica answers now; None when none does."""
    try:
        return str(httpx.get(f"http://127.0.0.1:{port}/readyz", timeout=ANSWER_S_MAX, trust_env=False).json()["born"])
    except (httpx.HTTPError, ValueError, KeyError):
        return None


def end(child: subprocess.Popen[bytes]) -> None:
    """SIGTERM, then SIGKILL."""
    child.terminate()
    try:
        child.wait(timeout=END_S_MAX)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait(timeout=END_S_MAX)


def free_ports(count: int) -> int:
    """The first of `count` neighbouring ports that are free now."""
    for _ in range(100):
        with ExitStack() as stack:
            base = free_port()
            try:
                for port in range(base, base + count):
                    stack.enter_context(socket.socket()).bind(("127.0.0.1", port))
            except OSError:
                continue
            return base
    raise TimeoutError("no neighbouring ports are free")
