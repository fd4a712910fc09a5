"""A real agent on disks that are really full, read-only or damaged: degraded, not dead, and whole again by itself."""

import os
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import httpx
import pytest

from contracts.vocabulary import OrderKey, OrderKind, ReceiptStatus, ReflexKind, RefusalReason, ReplicaId, ReplicaState

FIRST = ReplicaId("eu-west-a-0")
MOUNT_BYTES = 8 * 1024 * 1024
SLOW_BACKOFF_S = 40
"""Longest pause of the journal's keeper is 30 s."""


@pytest.fixture
def mount(tmp_path) -> Iterator[Callable[..., Path]]:
    """A small file system of its own under the agent's state directory."""
    with ExitStack() as stack:
        state = tmp_path / "state"

        def make(*options: str) -> Path:
            state.mkdir(exist_ok=True)
            sized = ",".join((f"size={MOUNT_BYTES}", *options))
            subprocess.run(["mount", "-t", "tmpfs", "-o", sized, "none", str(state)], check=True)
            stack.callback(subprocess.run, ["umount", "--lazy", str(state)], check=True)
            return state

        yield make


def remount(state: Path, options: str) -> None:
    subprocess.run(["mount", "-o", f"remount,{options}", str(state)], check=True)


def fill(state: Path) -> Path:
    """Not one byte is left."""
    filler = state / "filler"
    with filler.open("wb", buffering=0) as file, suppress(OSError):
        while file.write(b"x" * 4096):
            pass
    return filler


def degraded(host) -> dict[str, str]:
    report = host.controller.requests[-1].report if host.controller.requests else None
    return {} if report is None else {part.part: part.reason for part in report.degraded}


def heals(host) -> None:
    """A reflex brings the first replica back."""
    before = host.pid(0)
    os.kill(before, signal.SIGSTOP)
    host.pid_after(0, before, within_s=20)
    host.wait_until(lambda: host.is_ready(0), within_s=15, what="ready again")
    assert host.reflexes(ReflexKind.RESTART_HUNG)


def is_refused(host, key: str, reason: RefusalReason) -> bool:
    before = host.serving_pid(0)
    receipt = host.receipt(host.controller.offer(key, OrderKind.RESTART, FIRST, host.generation(0)))
    assert host.serving_pid(0) == before
    return (receipt.status, receipt.refusal, receipt.executions) == (ReceiptStatus.REFUSED, reason, 0)


def is_executed(host, key: str) -> bool:
    before = host.serving_pid(0)
    receipt = host.receipt(host.controller.offer(key, OrderKind.RESTART, FIRST, host.generation(0)))
    return receipt.status is ReceiptStatus.DONE and host.serving_pid(0) != before


@pytest.mark.root
def test_a_disk_that_fills_up_refuses_orders_heals_on_and_recovers(make_host, mount, wait_until):
    host, state = make_host(spares=0, slots=1), mount()
    host.boot()
    assert is_executed(host, "before")
    filler = fill(state)
    for number in range(20):  # the last page of the journal may have room for some more
        if not is_executed(host, f"full-{number}"):
            break
    assert host.receipt(OrderKey(f"full-{number}")).refusal is RefusalReason.NOT_DURABLE
    assert is_refused(host, "full", RefusalReason.NOT_DURABLE)
    wait_until(lambda: "No space left" in degraded(host).get("journal", ""), within_s=10, what="the report says so")
    ready = httpx.get(f"{host.agent_url}/readyz", timeout=2)
    assert (ready.status_code, "journal" in ready.json()["degraded"]) == (200, True)
    heals(host)
    filler.unlink()
    wait_until(lambda: "journal" not in degraded(host), within_s=SLOW_BACKOFF_S, what="recovered")
    assert is_executed(host, "after")
    host.agent.send_signal(signal.SIGKILL)
    host.boot()
    assert not degraded(host)
    assert host.receipt(host.controller.offer("before", OrderKind.RESTART, FIRST, 1)).executions == 1


@pytest.mark.root
def test_an_agent_starts_on_a_disk_that_takes_nothing_and_recovers(make_host, mount, wait_until):
    host, state = make_host(spares=0, slots=1), mount()
    remount(state, "ro")
    host.boot()
    wait_until(lambda: {"journal", "logs"} <= degraded(host).keys(), within_s=10, what="the report says so")
    assert "Read-only file system" in degraded(host)["journal"]
    assert is_refused(host, "read-only", RefusalReason.NOT_DURABLE)
    heals(host)
    remount(state, "rw")
    wait_until(lambda: "journal" not in degraded(host), within_s=SLOW_BACKOFF_S, what="the journal recovered")
    assert is_executed(host, "after")
    wait_until(lambda: not degraded(host), within_s=10, what="the new process has a log")


def test_a_damaged_journal_fences_orders_from_before_and_keeps_what_it_can_read(make_host, wait_until):
    host = make_host(spares=0, slots=1)
    host.boot()
    assert is_executed(host, "before")
    generation = host.generation(0)
    host.agent.send_signal(signal.SIGKILL)
    host.agent.wait()
    journal = host.state_dir / "journal.jsonl"
    journal.write_bytes(b"\x00garbage\x00\n" + journal.read_bytes())
    host.boot()
    wait_until(lambda: "memory" in degraded(host), within_s=10, what="the report says so")
    assert "damaged" in degraded(host)["memory"]
    assert len(list(host.state_dir.glob("journal.corrupt-*"))) == 1
    wait_until(lambda: host.generation(0) > generation, within_s=10, what="the replica is started anew")
    wait_until(lambda: host.is_ready(0), within_s=10, what="it is ready")
    assert is_refused(host, "maybe executed before", RefusalReason.MEMORY_LOST)
    soon = host.controller.now_unix_s() + 90.0  # past the fence: it cannot have been issued before the damage
    key = host.controller.offer("new", OrderKind.RESTART, FIRST, host.generation(0), not_after_unix_s=soon)
    assert host.receipt(key).status is ReceiptStatus.DONE


def test_a_journal_that_cannot_be_read_is_set_aside(make_host, wait_until):
    host = make_host(spares=0, slots=1)
    (host.state_dir / "journal.jsonl").mkdir(parents=True)
    host.boot()
    wait_until(lambda: "memory" in degraded(host), within_s=10, what="the report says so")
    wait_until((host.state_dir / "journal.jsonl").is_file, within_s=10, what="a new journal")
    assert host.state(0) is ReplicaState.READY


@pytest.mark.root
def test_a_state_directory_that_appears_later_is_read_before_it_is_written(make_host, mount, wait_until, tmp_path):
    """The agent started before its disk was mounted: what the disk knows must not be overwritten."""
    host, state = make_host(spares=0, slots=1), tmp_path / "state"
    host.boot()
    assert is_executed(host, "before")
    host.agent.send_signal(signal.SIGKILL)
    host.agent.wait()
    kept = (state / "journal.jsonl").read_bytes()
    shutil.rmtree(state)
    mount("ro")
    host.boot()
    wait_until(lambda: "journal" in degraded(host), within_s=10, what="the empty mount takes nothing")
    remount(state, "rw")
    (state / "journal.jsonl").write_bytes(kept)
    wait_until(lambda: "journal" not in degraded(host), within_s=SLOW_BACKOFF_S, what="the journal recovered")
    assert b'"before"' in (state / "journal.jsonl").read_bytes()
