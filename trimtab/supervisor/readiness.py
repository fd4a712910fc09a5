"""Waiting for a level, not for time to pass: a process is ready when each of its checks holds."""

import asyncio
from typing import assert_never

import httpx

from chassis.clock import Clock
from trimtab.stack.model import Listener, ReadyCheck, ReadyHttp, ReadyTcp

POLL_S = 0.1
"""Between two looks: short against any start, long against the cost of a look."""
LOOK_TIMEOUT_S = 2.0


async def wait_ready(checks: tuple[ReadyCheck, ...], clock: Clock) -> None:
    """Return when every check held once, in order; the caller bounds the wait."""
    async with httpx.AsyncClient(timeout=LOOK_TIMEOUT_S, trust_env=False) as client:
        for check in checks:
            while not await _holds(check, client):
                await clock.sleep(POLL_S)


async def _holds(check: ReadyCheck, client: httpx.AsyncClient) -> bool:
    match check:
        case ReadyHttp(url):
            return await _answers(url, client)
        case ReadyTcp(listener):
            return await _accepts(listener)
        case _:
            assert_never(check)


async def _answers(url: str, client: httpx.AsyncClient) -> bool:
    try:
        return (await client.get(url)).is_success
    except httpx.HTTPError:
        return False


async def _accepts(listener: Listener) -> bool:
    try:
        async with asyncio.timeout(LOOK_TIMEOUT_S):
            _, writer = await asyncio.open_connection(listener.address, listener.port)
    except (OSError, TimeoutError):
        return False
    writer.close()
    return True
