"""Docker's die events as values on a queue.

The SDK's stream blocks, so a thread reads it. When the stream breaks, it is opened again from the last event seen
(`since`): the engine replays what happened meanwhile, so no death is missed and none is told twice.
"""

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import docker
import requests.exceptions
from docker.errors import DockerException

from agent.errors import ReplicaRuntimeError
from chassis.logs import logger

log = logger(__name__)
NANO = 1_000_000_000
SIGNAL_BASE = 128


@dataclass(frozen=True, slots=True)
class DieEvent:
    """The main process of a labelled container ended."""

    replica: str
    """The label's value."""
    reason: str


async def follow_die_events(
    connect: Callable[[], docker.DockerClient], *, label: str, since_unix_s: float, into: asyncio.Queue[DieEvent]
) -> None:
    """Put every die event since `since_unix_s` into the queue until cancelled.

    Raises `ReplicaRuntimeError` when the engine cannot be reached.
    """
    since_ns = int(since_unix_s * NANO)
    while True:
        try:
            since_ns = await _follow_once(connect, label=label, since_ns=since_ns, into=into)
        except (DockerException, requests.exceptions.RequestException) as error:
            msg = "could not follow Docker's events"
            raise ReplicaRuntimeError(msg) from error
        log.warning("docker_events_resumed", since_unix_s=since_ns / NANO)


async def _follow_once(
    connect: Callable[[], docker.DockerClient], *, label: str, since_ns: int, into: asyncio.Queue[DieEvent]
) -> int:
    """Read one stream to its end; returns the time from which the next one must resume."""
    client = await asyncio.to_thread(connect)
    try:
        stream = await asyncio.to_thread(_open_stream, client, label, since_ns)
        try:
            while (event := await asyncio.to_thread(_next_event, stream)) is not None:
                since_ns = int(event["timeNano"]) + 1
                attributes = event["Actor"]["Attributes"]
                await into.put(DieEvent(replica=attributes[label], reason=_reason(attributes.get("exitCode", "?"))))
        finally:
            stream.close()
    finally:
        client.close()
    return since_ns


def _open_stream(client: docker.DockerClient, label: str, since_ns: int) -> Any:  # noqa: ANN401  # the SDK's stream
    return client.events(
        since=f"{since_ns // NANO}.{since_ns % NANO:09d}",  # type: ignore[call-overload]  # the engine takes fractions
        filters={"type": "container", "event": "die", "label": label},
        decode=True,
    )


def _next_event(stream: Iterator[dict[str, Any]]) -> dict[str, Any] | None:
    return next(stream, None)


def _reason(exit_code: str) -> str:
    """Docker adds 128 to the number of a signal, as shells do."""
    if exit_code.isdigit() and int(exit_code) > SIGNAL_BASE:
        return f"exit code {exit_code} (signal {int(exit_code) - SIGNAL_BASE})"
    return f"exit code {exit_code}"
