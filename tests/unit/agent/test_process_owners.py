"""From a process id on a GPU to the container and the replica that it belongs to."""

import asyncio
import os
import subprocess
import sys
from dataclasses import replace

import pytest

from agent.core.gpu import Gpu, GpuIdentity, GpuProcess
from agent.core.owners import Footprint, Origin, Owner, Stat, container_ids, owner, parse_stat
from agent.exporter.joins import JoinSection
from agent.exporter.page import Page
from agent.probes.owners import ORIGINS_MAX, PIDS_ON_LOOP_MAX, Holdings, OwnerWatch, ProcOwners
from chassis.clock import ManualClock
from contracts.vocabulary import GpuUuid, ReplicaId

A, B = "a" * 64, "0123456789abcdef" * 4
H0, H1 = ReplicaId("h-0"), ReplicaId("h-1")


@pytest.mark.parametrize(
    ("cgroup", "containers"),
    [
        (f"4:memory:/docker/{A}\n2:cpu:/docker/{A}\n", (A,)),  # Docker, cgroup v1
        (f"0::/system.slice/docker-{A}.scope\n", (A,)),  # Docker, v2, systemd driver
        (f"0::/docker/{A}\n", (A,)),  # Docker, v2, cgroupfs driver
        (f"0::/system.slice/docker-{A}.scope/init.scope\n", (A,)),  # systemd inside the container
        (f"0::/machine.slice/libpod-{A}.scope/container\n", (A,)),  # Podman
        (f"0::/user.slice/user-1000.slice/user@1000.service/user.slice/libpod-{B}.scope\n", (B,)),  # rootless
        (f"0::/kubepods.slice/kubepods-pod1a.slice/cri-containerd-{A}.scope\n", (A,)),  # Kubernetes, systemd driver
        (f"11:pids:/kubepods/burstable/pod0a1b/{B}\n", (B,)),  # Kubernetes, cgroupfs driver
        (f"0::/kubepods.slice/kubepods-pod1a.slice/crio-{A}.scope\n", (A,)),  # CRI-O
        (f"0::/docker/{A}/docker/{B}\n", (A, B)),  # an engine inside a container
        ("0::/user.slice/user-1000.slice/session-3.scope\n", ()),
        ("0::/system.slice/trimtab-agent.service\n", ()),
        (f"0::/docker/{A[:63]}\n", ()),
        (f"0::/docker/{A}f\n", ()),
        ("", ()),
    ],
)
def test_a_container_is_found_in_every_engines_way_to_write_it(cgroup, containers):
    assert container_ids(cgroup) == containers


@pytest.mark.parametrize(
    ("text", "stat"),
    [
        (f"7 (python) S 3 7 5 0 -1 {'0 ' * 13}9001 0 0\n", Stat(parent=3, session=5, start_ticks=9001)),
        (f"7 (a b) c) S 3 7 5 0 -1 {'0 ' * 13}9001 0 0\n", Stat(parent=3, session=5, start_ticks=9001)),
        ("", None),
        ("7 (python) S 3", None),
    ],
)
def test_a_stat_line_is_read_past_any_name_of_the_program(text, stat):
    assert parse_stat(text) == stat


@pytest.mark.parametrize(
    ("origin", "whose"),
    [
        (Origin((50,), ()), Owner(H0, None)),  # the replica's first process
        (Origin((70, 50, 1), ()), Owner(H0, None)),  # its child
        (Origin((70, 1), (A,)), Owner(H1, A)),  # something started inside its container
        (Origin((70, 1), (A, B)), Owner(H1, A)),
        (Origin((70, 1), (B,)), Owner(None, B)),  # a stranger's container
        (Origin((70, 1), ()), Owner(None, None)),  # a stranger
        (Origin((70, 50), (B,)), Owner(H0, B)),  # a replica's process whose engine was not asked
    ],
)
def test_an_owner_is_known_by_container_or_by_first_process(origin, whose):
    assert owner(origin, [Footprint(H0, pid=50), Footprint(H1, container=A)]) == whose


class FixedFootprints:
    def __init__(self, *footprints):
        self.known = footprints

    def footprints(self):
        return self.known


@pytest.fixture
def family():
    """A session of its own with a child in it, as a replica is; yields (its leader, the child)."""
    code = (
        "import subprocess, sys; child = subprocess.Popen([sys.executable, '-c', 'input()'], stdin=subprocess.PIPE);"
        "print(child.pid, flush=True); input(); child.stdin.close(); child.wait()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True
    ) as leader:
        yield leader.pid, int(leader.stdout.readline())
        leader.stdin.write(b"\n")
        leader.stdin.close()


def test_a_real_child_of_a_replica_is_the_replicas(family):
    leader, child = family
    owners = ProcOwners(FixedFootprints(Footprint(H0, pid=leader)))
    assert owners.owner_of(leader).replica == H0
    assert owners.owner_of(child).replica == H0
    assert owners.owner_of(os.getpid()).replica is None


def test_a_spare_that_becomes_a_replica_is_known_as_that_at_once(family):
    leader, child = family
    runtime = FixedFootprints()
    owners = ProcOwners(runtime)
    assert owners.owner_of(child).replica is None
    runtime.known = (Footprint(H1, pid=leader),)
    assert owners.owner_of(child).replica == H1


def test_a_process_that_is_gone_has_no_owner():
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        process.wait()
    assert ProcOwners(FixedFootprints()).owner_of(process.pid) is None


def fake_process(proc, pid: int, *, start: int, cgroup: str) -> None:
    (proc / str(pid)).mkdir(exist_ok=True)
    (proc / str(pid) / "stat").write_text(f"{pid} (x) S 1 {pid} {pid} 0 -1 {'0 ' * 13}{start} 0\n")
    (proc / str(pid) / "cgroup").write_text(cgroup)


def test_a_pid_used_again_is_another_process(tmp_path):
    owners = ProcOwners(FixedFootprints(), proc=tmp_path)
    fake_process(tmp_path, 9, start=1, cgroup=f"0::/docker/{A}\n")
    assert owners.owner_of(9).container == A
    fake_process(tmp_path, 9, start=1, cgroup="0::/never read again\n")
    assert owners.owner_of(9).container == A
    fake_process(tmp_path, 9, start=2, cgroup=f"0::/docker/{B}\n")
    assert owners.owner_of(9).container == B


def test_what_is_remembered_of_processes_is_bounded(tmp_path):
    owners = ProcOwners(FixedFootprints(), proc=tmp_path)
    for start in range(ORIGINS_MAX + 5):
        fake_process(tmp_path, 9, start=start, cgroup="")
        owners.owner_of(9)
    assert len(owners._origins) <= ORIGINS_MAX


def gpu(index: int, *processes: GpuProcess, up: bool = True) -> Gpu:
    identity = GpuIdentity(index=index, uuid=GpuUuid(f"GPU-{index}"))
    return Gpu(identity=identity, up=up, reason="", sample_age_s=0.1, processes=processes)


def page_of(gpus: tuple[Gpu, ...], known: dict[int, Owner]) -> str:
    watch = OwnerWatch(gpus=lambda: gpus, owners=ProcOwners(FixedFootprints()), clock=ManualClock())
    watch.newest = Holdings(gpus, known)
    page = Page()
    JoinSection(watch).write(page)
    return page.text()


def test_a_stranger_on_a_gpu_shows_without_a_replica_and_is_counted():
    busy = gpu(0, GpuProcess(10, 2048), GpuProcess(20, 512))
    page = page_of((busy, gpu(1)), {10: Owner(H0, A), 20: Owner(None, None)})
    assert f'gpu_container_info{{gpu="0",uuid="GPU-0",container="{A}",replica="h-0"}} 1\n' in page
    assert 'gpu_container_info{gpu="0",uuid="GPU-0",container="",replica=""} 1\n' in page
    assert (
        f'gpu_process_memory_used_bytes{{gpu="0",uuid="GPU-0",pid="10",container="{A}",replica="h-0"}} 2048\n' in page
    )
    assert 'gpu_foreign_processes{gpu="0",uuid="GPU-0"} 1\n' in page
    assert 'gpu_foreign_processes{gpu="1",uuid="GPU-1"} 0\n' in page


def test_memory_that_the_driver_does_not_attribute_has_no_line_but_its_owner_has():
    page = page_of((gpu(0, GpuProcess(10, None)),), {10: Owner(H0, None)})
    assert "gpu_process_memory_used_bytes" not in page
    assert 'gpu_container_info{gpu="0",uuid="GPU-0",container="",replica="h-0"} 1\n' in page


def test_one_process_in_two_mig_instances_is_one_series_with_the_sum():
    slices = gpu(0, GpuProcess(10, 1000, gpu_instance=1), GpuProcess(10, 500, gpu_instance=2))
    page = page_of((slices,), {10: Owner(H0, None)})
    assert page.count("\ngpu_process_memory_used_bytes{") == 1
    assert 'pid="10",container="",replica="h-0"} 1500\n' in page


def test_where_no_process_can_be_looked_at_strangers_are_not_called_zero():
    assert "gpu_foreign_processes" not in page_of((gpu(0, GpuProcess(10, 1)),), {})


def test_where_the_driver_did_not_tell_of_processes_strangers_are_not_called_zero():
    assert page_of((replace(gpu(0), processes=None),), {}) == "\n"


def test_the_text_is_put_together_once_per_look():
    watch = OwnerWatch(gpus=tuple, owners=ProcOwners(FixedFootprints()), clock=ManualClock())
    section = JoinSection(watch)
    watch.newest = Holdings((gpu(0),))
    section.write(Page())
    former = section._text
    section.write(Page())
    assert section._text is former
    watch.newest = Holdings((gpu(0, GpuProcess(10, 1)),), {10: Owner(H0, None)})
    section.write(Page())
    assert 'replica="h-0"' in section._text


async def test_the_watch_looks_up_whoever_holds_a_gpu_that_is_up(family, wait_until_async):
    leader, child = family
    gpus = [gpu(0, GpuProcess(child, 1)), gpu(1, up=False)]
    owners = ProcOwners(FixedFootprints(Footprint(H0, pid=leader)))
    watch = OwnerWatch(gpus=lambda: tuple(gpus), owners=owners, clock=ManualClock())
    running = asyncio.ensure_future(watch.run())
    try:
        await wait_until_async(lambda: watch.newest.owners == {child: Owner(H0, None)}, within_s=5, what="the owner")
        assert watch.newest.gpus == (gpus[0],)
        gpus.clear()
        await wait_until_async(lambda: watch.newest == Holdings(), within_s=5, what="nobody")
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


async def test_many_processes_are_looked_up_as_well(tmp_path, wait_until_async):
    pids = range(100, 100 + PIDS_ON_LOOP_MAX + 1)
    for pid in pids:
        fake_process(tmp_path, pid, start=1, cgroup=f"0::/docker/{A}\n")
    busy = gpu(0, *(GpuProcess(pid, 1) for pid in pids))
    owners = ProcOwners(FixedFootprints(), proc=tmp_path)
    watch = OwnerWatch(gpus=lambda: (busy,), owners=owners, clock=ManualClock())
    running = asyncio.ensure_future(watch.run())
    try:
        await wait_until_async(lambda: set(watch.newest.owners) == set(pids), within_s=5, what="all of them")
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
