"""A slot is free when an order could start a replica in it now, and a replica's devices are whole ones."""

from dataclasses import replace

import pytest

from agent.core.health import HealthPolicy
from agent.healing.board import Board
from agent.healing.places import GpuPlaces, NoGpus
from agent.ports import ReplicaSpec
from chassis.clock import ManualClock
from contracts.vocabulary import GpuUuid, HostId, ProfileId, Region, ReplicaId

A, B, PART = GpuUuid("GPU-a"), GpuUuid("GPU-b"), GpuUuid("MIG-a-1")
FIRST, SECOND = ReplicaId("h-0"), ReplicaId("h-1")


class Gpus(NoGpus):
    """Two devices of a driver; a test says what is wrong with them."""

    known = has_driver = True

    def __init__(self) -> None:
        self.gpus: tuple[GpuUuid, ...] = (A, B)
        self.unfit: dict[GpuUuid, str] = {}

    def present(self) -> tuple[GpuUuid, ...]:
        return self.gpus

    def why_unfit(self, gpu: GpuUuid) -> str | None:
        return self.unfit.get(gpu)

    def device_of(self, gpu: GpuUuid) -> GpuUuid | None:
        return {A: A, B: B, PART: A}.get(gpu)


@pytest.fixture
def gpus() -> Gpus:
    return Gpus()


@pytest.fixture
def places(gpus) -> GpuPlaces:
    return GpuPlaces(fitness=gpus, use=gpus, per_replica=1)


@pytest.fixture
def board() -> Board:
    specs = [
        ReplicaSpec(replica, Region("eu"), HostId("h"), "127.0.0.1", 1, ProfileId("full-fp32-onnx"), (A,))
        for replica in (FIRST, SECOND)
    ]
    return Board(specs, policy=HealthPolicy(), clock=ManualClock())


def test_a_slot_is_free_while_any_gpu_is_fit(board, places, gpus):
    assert places.free_slots(board) == (FIRST, SECOND)
    gpus.unfit[A] = "reset_gpu is recommended by xid 48"
    assert places.free_slots(board) == (FIRST, SECOND), "they may be moved to the other one"
    gpus.unfit[B] = "it is not up: stale"
    assert places.free_slots(board) == ()


def test_what_runs_or_is_worked_on_is_not_free(board, places):
    board.awaited(FIRST)
    board.claim(SECOND, "order x")
    assert places.free_slots(board) == ()


@pytest.mark.parametrize("gpu", [None, A], ids=["the host", "its only fit GPU"])
def test_nothing_is_free_while_the_machine_is_worked_on(board, places, gpus, gpu):
    gpus.unfit[B] = "it is not up: stale"
    places.close(gpu, "reset_gpu is under way")
    assert places.free_slots(board) == ()
    places.open(gpu)
    assert places.free_slots(board) == (FIRST, SECOND)


@pytest.mark.parametrize("had", [(), (A,)])
def test_a_driver_that_shows_no_gpu_leaves_no_slot_free(board, places, gpus, had):
    gpus.gpus = ()
    for unit in board.units.values():
        unit.spec = replace(unit.spec, gpus=had)
    assert places.free_slots(board) == ()
    gpus.has_driver = False
    assert places.free_slots(board) == (FIRST, SECOND), "a host that is not meant to have any"


def test_a_host_without_gpus_offers_every_idle_slot(board):
    assert GpuPlaces().free_slots(board) == (FIRST, SECOND)


def test_a_part_is_told_as_the_device_that_it_is_part_of(board, places):
    unit = board.units[FIRST]
    unit.spec = replace(unit.spec, gpus=(PART, A, GpuUuid("MIG-unknown")))
    assert places.devices_of(unit) == (A, "MIG-unknown")
