"""Builders of small fleets, ledgers and counters, so that a test names only what it is about."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from zlib import crc32

import pytest

from contracts.vocabulary import (
    FULL_FP32,
    LIGHT_INT8,
    MACHINE_ORDERS,
    GpuAction,
    GpuUuid,
    HostId,
    Locality,
    ReplicaId,
    ReplicaState,
)
from controller.core.actions import ActionId, ActionRecord, Expectation, Measure, Restart, Stage
from controller.core.capacity import RegionLoad
from controller.core.fleet import Fleet, Host, Replica, home_traffic
from controller.core.gpus import Gpu
from controller.core.ledger import Ledger
from controller.core.policy import Policy
from controller.core.signals import Block, Signals, Tally, Trust, total
from controller.core.situation import Situation
from controller.core.telemetry import ReplicaCounters, SignalSample, SloCounter
from slo_rules.indicators import ExactCounters
from slo_rules.model import Slo

NOW = 1_700_000_000.0
SLO = Slo(id="first-audio", objective=0.95, indicator=ExactCounters(0.3))


class Make:
    """Everything with a harmless default."""

    now = NOW
    slo = SLO
    policy = Policy()

    def replica(self, name: str = "eu-west-a-0", state: ReplicaState = ReplicaState.READY, **fields) -> Replica:
        host = name.rpartition("-")[0]
        values = {
            "id": ReplicaId(name),
            "locality": Locality(host.rpartition("-")[0], HostId(host)),
            "address": "127.0.0.1",
            "port": 1024 + crc32(name.encode()) % 60_000,
            "state": state,
            "reason": "",
            "generation": 1,
            "state_age_s": 600.0,
            "profile": FULL_FP32.id,
            "profiles": (FULL_FP32.id, LIGHT_INT8.id),
            "progress_age_s": 0.0,
            "in_flight": 0,
            "queued_s": 0.0,
            "slo_revision": 1,
        }
        return Replica(**(values | fields))

    def fleet(self, *replicas: Replica, free_slots: Mapping[str, tuple[str, ...]] | None = None, age_s: float = 1.0):
        """One host per host name found in the replicas' ids."""
        hosts: dict[str, list[Replica]] = {}
        for replica in replicas:
            hosts.setdefault(replica.locality.host, []).append(replica)
        return Fleet(
            hosts=tuple(
                Host(
                    locality=found[0].locality,
                    boot_id="boot-1",
                    seq=1,
                    runtime="simulated",
                    report_age_s=age_s,
                    agent_address="127.0.0.1",
                    agent_port=9700,
                    free_slots=(free_slots or {}).get(name, ()),
                    replicas=tuple(found),
                )
                for name, found in hosts.items()
            )
        )

    def grid(self, regions: Iterable[str] = ("eu-west", "us-east"), hosts: int = 2, each: int = 2, **fields) -> Fleet:
        """A healthy fleet: `each` replicas on each of `hosts` hosts in every region, one free slot per host."""
        replicas = [
            self.replica(f"{region}-{chr(97 + host)}-{slot}", **fields)
            for region in regions
            for host in range(hosts)
            for slot in range(each)
        ]
        slots = {replica.locality.host: (f"{replica.locality.host}-{each}",) for replica in replicas}
        return self.fleet(*replicas, free_slots=slots)

    def gpu(self, name: str = "eu-west-a-0", action: GpuAction = GpuAction.NONE, **fields) -> Gpu:
        """The GPU of the replica of that name; down when a `reason` is given."""
        values = {
            "uuid": GpuUuid(f"GPU-{name}"),
            "index": int(name.rpartition("-")[2]),
            "up": "reason" not in fields,
            "reason": "",
            "recommended_action": action,
            "action_source": "" if action is GpuAction.NONE else "xid 48",
            "model": "H200",
        }
        return Gpu(**(values | fields))

    def gpu_grid(self, *unfit: Gpu, permits=MACHINE_ORDERS, **grid) -> Fleet:
        """A grid with one GPU per replica; `unfit` ones take the place of those with their UUID."""
        special = {gpu.uuid: gpu for gpu in unfit}
        hosts = []
        for host in self.grid(**grid).hosts:
            gpus = tuple(self.gpu(replica.id) for replica in host.replicas)
            replicas = tuple(replace(r, gpus=(gpu.uuid,)) for r, gpu in zip(host.replicas, gpus, strict=True))
            gpus = tuple(special.get(gpu.uuid, gpu) for gpu in gpus)
            hosts.append(replace(host, replicas=replicas, gpus=gpus, machine_orders=frozenset(permits)))
        return Fleet(hosts=tuple(hosts))

    def load(self, fleet: Fleet, region: str, rps: float = 8.0, service_s: float = 0.1, **fields) -> RegionLoad:
        values = {
            "region": region,
            "serving": frozenset(replica.id for replica in fleet.replicas(region) if replica.ready),
            "pending": 0,
            "rps": rps,
            "service_s": service_s,
            "full_service_s": service_s,
            "workers": 1,
            "known": True,
        }
        return RegionLoad(**(values | fields))

    def ledger(self, fleet: Fleet, *actions: ActionRecord, rps: float = 8.0, **fields) -> Ledger:
        values = {
            "actions": actions,
            "traffic": home_traffic(fleet.regions),
            "loads": {region: self.load(fleet, region, rps) for region in fleet.regions},
            "trust": dict.fromkeys(fleet.regions, Trust.FRESH),
            "gateway_rps": dict.fromkeys(fleet.regions, rps),
        }
        return Ledger(**(values | fields))

    def restart(self, name: str = "eu-west-a-0", generation: int = 1, *, graceful: bool = True) -> Restart:
        replica = self.replica(name)
        return Restart(replica.locality.host, replica.region, replica.id, generation, graceful)

    def record(self, action=None, stage: Stage = Stage.ORDERED, age_s: float = 0.0, **fields) -> ActionRecord:
        at = NOW - age_s
        values = {
            "id": ActionId("a1"),
            "action": action or self.restart(),
            "cause": "It is slow.",
            "evidence": (),
            "expectation": Expectation("replica=eu-west-a-0", 60.0, Measure(0, 0, 0, 0)),
            "stage": stage,
            "epoch": 1,
            "intended_unix_s": at,
            "stage_unix_s": at,
            "stage_deadline_unix_s": at + 30,
        }
        return ActionRecord(**(values | fields))

    def tally(self, rps: float = 4.0, span_s: float = 10.0, bad: float = 0.0, rtf: float = 0.1, **fields) -> Tally:
        """`bad` is a ratio; one second of audio per request."""
        requests = rps * span_s
        values = {
            "span_s": span_s,
            "admitted": requests,
            "service_s": requests * rtf,
            "audio_s": requests,
            "slos": {SLO.id: (requests * (1 - bad), requests * bad)},
        }
        return Tally(**(values | fields))

    def signals(self, fleet: Fleet, special: Mapping[str, Tally] | None = None, count: int = 6) -> Signals:
        """`count` equal blocks up to now: an ordinary tally for every ready replica, but `special` ones."""
        tallies = {r.id: (special or {}).get(r.id, self.tally()) for r in fleet.replicas() if r.ready}
        regions = {
            region: total(tallies[replica.id] for replica in fleet.replicas(region) if replica.id in tallies)
            for region in fleet.regions
        }
        blocks = tuple(
            Block(NOW - 10.0 * (count - n), NOW - 10.0 * (count - n - 1), tallies, regions) for n in range(count)
        )
        return Signals(
            blocks=blocks,
            closed=blocks[-1],
            trust=dict.fromkeys(fleet.regions, Trust.FRESH),
            replica_trust=dict.fromkeys(tallies, Trust.FRESH),
        )

    def situation(self, fleet: Fleet, ledger: Ledger | None = None, **fields) -> Situation:
        values = {
            "now_unix_s": NOW,
            "fleet": fleet,
            "signals": self.signals(fleet),
            "findings": (),
            "intents": (),
            "ledger": ledger or self.ledger(fleet),
            "troubled_unix_s": dict.fromkeys(fleet.regions, NOW - 86_400.0),
            "policy": self.policy,
        }
        return Situation(**(values | fields))

    def counters(self, name: str = "eu-west-a-0", at: float = NOW, good: float = 0, bad: float = 0, **fields):
        values = {
            "replica": ReplicaId(name),
            "region": self.replica(name).region,
            "sampled_unix_s": at,
            "slos": (SloCounter(SLO.id, good, bad),),
            "admitted": good + bad,
            "rejected_overload": 0.0,
            "queue_s": 0.0,
            "service_s": 0.1 * (good + bad),
            "audio_s": good + bad,
        }
        return ReplicaCounters(**(values | fields))

    def sample(self, *counters: ReplicaCounters, at: float = NOW) -> SignalSample:
        return SignalSample(at, counters, len(counters), len(counters))

    def changed(self, fleet: Fleet, name: str, **fields) -> Fleet:
        """The same fleet with one replica changed."""
        return Fleet(
            hosts=tuple(
                replace(host, replicas=tuple(replace(r, **fields) if r.id == name else r for r in host.replicas))
                for host in fleet.hosts
            )
        )


@pytest.fixture(scope="session")
def make() -> Make:
    return Make()
