"""CPU time of one control-loop pass at 1,000 replicas, without I/O: target ≤ 50 ms.

Run: `python bench/controller_tick.py [replicas]`. One figure per kind of tick: between blocks, at the end of a block, and
at the end of a block with a tenth of the fleet in trouble. Every replica has a GPU of its own.
"""

import sys
import time

from contracts.vocabulary import (
    FULL_FP32,
    LIGHT_INT8,
    GpuAction,
    GpuUuid,
    HostId,
    Locality,
    Region,
    ReplicaId,
    ReplicaState,
)
from controller.core.fleet import Fleet, Host, Replica, home_traffic
from controller.core.gpus import Gpu
from controller.core.policy import Policy
from controller.core.story import JournalState
from controller.core.telemetry import ReplicaCounters, SignalSample, SloCounter
from controller.core.tick import Memory, Phases, TickInput, think
from controller.core.traffic import render_gateway_plans
from slo_rules.indicators import ExactCounters
from slo_rules.model import Slo

REPLICAS_PER_HOST = 4
REGIONS = 20
ROUNDS = 40
NOW = 1_700_000_000.0
SLOS = (
    Slo(id="first-audio", objective=0.95, indicator=ExactCounters(0.2)),
    Slo(id="total", objective=0.99, indicator=ExactCounters(2.0)),
)


def fleet_of(count: int) -> Fleet:
    hosts = []
    for number in range(count // REPLICAS_PER_HOST):
        locality = Locality(Region(f"region-{number % REGIONS:02d}"), HostId(f"host-{number:04d}"))
        replicas = tuple(
            Replica(
                id=ReplicaId(f"{locality.host}-{slot}"),
                locality=locality,
                address="10.0.0.1",
                port=9000 + slot,
                state=ReplicaState.READY,
                reason="",
                generation=1,
                state_age_s=3600.0,
                profile=FULL_FP32.id,
                profiles=(FULL_FP32.id, LIGHT_INT8.id),
                progress_age_s=0.0,
                in_flight=1,
                queued_s=0.1,
                slo_revision=1,
                gpus=(GpuUuid(f"GPU-{locality.host}-{slot}"),),
            )
            for slot in range(REPLICAS_PER_HOST)
        )
        gpus = tuple(gpu_of(replica, slot) for slot, replica in enumerate(replicas))
        hosts.append(Host(locality, "boot", 1, "process", 1.0, "10.0.0.1", 9700, (), replicas, gpus=gpus))
    return Fleet(tuple(hosts))


def gpu_of(replica: Replica, index: int) -> Gpu:
    return Gpu(
        replica.gpus[0], index, up=True, reason="", recommended_action=GpuAction.NONE, action_source="", model="H200"
    )


def sample_of(fleet: Fleet, now: float, tick: int, *, troubled: bool) -> SignalSample:
    counters = []
    for number, replica in enumerate(fleet.replicas()):
        sick = troubled and number % 10 == 0
        served = 20.0 * tick
        bad = served * (0.6 if sick else 0.01)
        counters.append(
            ReplicaCounters(
                replica=replica.id,
                region=replica.region,
                sampled_unix_s=now,
                slos=tuple(SloCounter(slo.id, served - bad, bad) for slo in SLOS),
                admitted=served,
                rejected_overload=0.0,
                queue_s=0.01 * served,
                service_s=(0.4 if sick else 0.1) * served,
                audio_s=served,
            )
        )
    return SignalSample(now, tuple(counters), len(counters), len(counters))


def main(count: int) -> None:
    fleet = fleet_of(count)
    policy = Policy(replicas_min=count // REGIONS)
    journal = JournalState((), (), home_traffic(fleet.regions), SLOS, 1, False, (), frozenset())
    for name, troubled in (("healthy", False), ("a tenth slow", True)):
        memory = Memory()
        spent: dict[str, list[float]] = {"between blocks": [], "end of a block": []}
        for tick in range(ROUNDS):
            now = NOW + policy.tick_s * tick
            sample = sample_of(fleet, now, tick, troubled=troubled)
            state = TickInput(now, f"t{tick}", 1, fleet, sample, (), (), journal, None)
            began = time.process_time()
            output = think(state, memory, policy, Phases())
            render_gateway_plans(fleet, output.traffic, {})
            took = time.process_time() - began
            memory = output.memory
            spent["end of a block" if output.signals.closed else "between blocks"].append(took)
        for kind, times in spent.items():
            ordered = sorted(times[1:])
            p50, worst = ordered[len(ordered) // 2], ordered[-1]
            print(f"{count} replicas, {name}, {kind}: p50 {p50 * 1e3:.1f} ms, max {worst * 1e3:.1f} ms")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 1000)
