"""One fault into a running stack, by name."""

import asyncio
import random
from dataclasses import dataclass

from chassis.clock import Clock
from contracts.vocabulary import Region
from trimtab.api_bodies import Fleet, Replica
from trimtab.api_client import ControllerApi
from trimtab.chaos.faults import FaultName, SlowRegion, freeze, kill
from trimtab.chaos.gpus import GpuTarget, break_gpu
from trimtab.chaos.processes import NoSuchTargetError, ProcessTree
from trimtab.load.generator import LoadGenerator, Stream
from trimtab.load.http1 import Target
from trimtab.load.records import tally
from trimtab.stack.model import Listener
from trimtab.supervisor.state import StackState


@dataclass(frozen=True, slots=True)
class Injection:
    """What to break, where and for how long."""

    fault: FaultName
    target: str
    """A replica or a region; empty chooses the first."""
    duration_s: float
    rate_rps: float
    """Of a surge."""
    host: str = ""
    """Whose simulated GPU; empty chooses the first."""
    gpu: int | None = None
    """Which of them; None is the first, or all when they are healed."""


async def inject(injection: Injection, stack: StackState, api: ControllerApi, clock: Clock) -> str:
    """Do it; returns what was done, in one sentence. Raises `NoSuchTargetError` or `ApiError`."""
    tree = ProcessTree(stack.supervisor_pid)
    match injection.fault:
        case FaultName.FREEZE_REPLICA:
            replica = _replica(await api.fleet(), injection.target)
            return f"froze {replica.replica} (process {freeze(tree, listener_of(replica))})"
        case FaultName.KILL_REPLICA:
            replica = _replica(await api.fleet(), injection.target)
            return f"killed {replica.replica} (process {kill(tree, listener_of(replica))})"
        case FaultName.KILL_CONTROLLER:
            return f"killed the controller (process {kill(tree, _listener(stack.controller_url))})"
        case FaultName.SLOW_REGION:
            return await _slow(injection, tree, await api.fleet(), clock)
        case FaultName.SURGE:
            return await _surge(injection, stack, clock)
        case _:
            return break_gpu(injection.fault, GpuTarget(injection.host, injection.gpu), injection.target, stack)


def listener_of(replica: Replica) -> Listener:
    """Where a replica listens."""
    return Listener(replica.address, replica.port)


async def _slow(injection: Injection, tree: ProcessTree, fleet: Fleet, clock: Clock) -> str:
    region = injection.target or next((host.region for host in fleet.hosts), "")
    listeners = tuple(listener_of(replica) for replica in fleet.replicas(region))
    if not listeners:
        msg = f"no region {region!r} with replicas"
        raise NoSuchTargetError(msg)
    await SlowRegion(tree, lambda: listeners, clock).run(duration_s=injection.duration_s, stop=asyncio.Event())
    return f"{region} was slow for {injection.duration_s:g} s"


async def _surge(injection: Injection, stack: StackState, clock: Clock) -> str:
    targets = {Region(g.region): Target(g.address, g.port) for g in stack.gateways}
    chosen = tuple(region for region in targets if injection.target in {"", region})
    if not chosen:
        msg = f"no gateway in region {injection.target!r}"
        raise NoSuchTargetError(msg)
    load = LoadGenerator(targets=targets, clock=clock, rng=random.Random())  # noqa: S311  # picks sentences
    await load.run(Stream("surge", chosen, injection.rate_rps, injection.duration_s))
    load.close()
    counts = tally(load.records, threshold_s=float("inf"))
    return f"sent {counts.sent} requests: {counts.spoken} spoken, {counts.refused} refused, {counts.failed} failed"


def _replica(fleet: Fleet, target: str) -> Replica:
    ready = [replica for replica in fleet.replicas() if replica.state == "ready" and target in {"", replica.replica}]
    if not ready:
        msg = f"no ready replica {target}".rstrip()
        raise NoSuchTargetError(msg)
    return ready[0]


def _listener(url: str) -> Listener:
    address, _, port = url.removeprefix("http://").partition(":")
    return Listener(address, int(port))
