"""The driver's errors in the kernel log: its lines, and reading them on and on."""

import asyncio
import os

import pytest

from agent.core.kernel_log import KernelXid, normal_pci_bus_id, parse_record, xid_in
from agent.probes.kernel_log import KernelLog
from chassis.clock import SystemClock

FELL = "NVRM: Xid (PCI:0000:3b:00): 79, pid='<unknown>', name=<unknown>, GPU has fallen off the bus."


def line(sequence, text=FELL, at_us=5_000_000):
    return f"3,{sequence},{at_us},-;{text}\n"


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (FELL, KernelXid("0000:3b:00", 79)),
        ("NVRM: Xid (PCI:0000:3B:00): 94, pid=1234, name=python3, Ch 00000008", KernelXid("0000:3b:00", 94)),
        ("NVRM: Xid (0000:03:00): 6, PE0000", KernelXid("0000:03:00", 6)),
        ("NVRM: Xid (PCI:00000001:3b:00.0): 31, pid=1", KernelXid("0001:3b:00", 31)),
        ("[1.2] NVRM: Xid (PCI:0000:3b:00): 119, Timeout", KernelXid("0000:3b:00", 119)),
        ("NVRM: Xid (PCI:0000:3b:00): 0, none", None),
        ("NVRM: Xid (PCI:0000:3b:00): 99999, none", None),
        ("NVRM: Xid (PCI:nonsense): 79", None),
        ("NVRM: GPU 0000:3b:00.0: RmInitAdapter failed!", None),
        ("usb 1-1: new device", None),
    ],
)
def test_lines_of_the_driver(text, found):
    assert xid_in(text) == found


@pytest.mark.parametrize(
    ("pci", "normal"),
    [
        ("00000000:3B:00.0", "0000:3b:00"),
        ("0000:3b:00", "0000:3b:00"),
        ("3b:00.0", "0000:3b:00"),
        ("00010000:3b:00.0", "10000:3b:00"),
        ("", None),
        ("0000:3b", None),
    ],
)
def test_bus_ids_are_compared_in_one_form(pci, normal):
    assert normal_pci_bus_id(pci) == normal


def test_a_record_has_its_place_and_its_time():
    record = parse_record("6,339,5140900,-;NET: Registered protocol family\n SUBSYSTEM=net")
    assert (record.sequence, record.at_s, record.text) == (339, 5.1409, "NET: Registered protocol family")


@pytest.mark.parametrize("raw", ["", " SUBSYSTEM=net", "no record", "1,2,3"])
def test_what_is_no_record_is_none(raw):
    assert parse_record(raw) is None


@pytest.mark.parametrize("priority", [8, 12, 30])
def test_what_a_program_wrote_into_the_log_is_no_record_of_the_kernel(priority):
    assert parse_record(f"{priority},339,5140900,-;{FELL}") is None
    assert parse_record(f"{priority % 8},339,5140900,-;{FELL}") is not None


@pytest.fixture
async def followed(tmp_path):
    """A log (a pipe that behaves like one), its writing end, and the records that were told."""
    path, told = tmp_path / "kmsg", []
    os.mkfifo(path)
    log = KernelLog(clock=SystemClock(), take=told.append, path=path)
    reading = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    writing = os.open(path, os.O_WRONLY | os.O_NONBLOCK)
    os.write(writing, (line(1, at_us=1_000_000) + line(2, at_us=2_000_000)).encode())
    task = asyncio.ensure_future(log.run())
    yield log, writing, told
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    os.close(reading)
    os.close(writing)


async def test_what_was_there_before_keeps_its_time_and_what_comes_later_has_its_arrivals(followed, wait_until_async):
    log, writing, told = followed
    await wait_until_async(lambda: len(told) == 2, within_s=10, what="the old ones were read")
    assert [record.at_s for record in told] == [1.0, 2.0]
    assert log.readable
    os.write(writing, line(3, at_us=3_000_000).encode()[:20])
    os.write(writing, line(3, at_us=3_000_000).encode()[20:])
    await wait_until_async(lambda: len(told) == 3, within_s=10, what="the new one was read")
    assert told[2].sequence == 3
    assert told[2].at_s == pytest.approx(SystemClock().monotonic_s(), abs=30)


async def test_a_flood_is_read_to_its_end(followed, wait_until_async):
    _, writing, told = followed
    flood = "".join(line(sequence) for sequence in range(10, 510)).encode()
    os.write(writing, flood[:30_000])
    await wait_until_async(lambda: len(told) > 250, within_s=10, what="the first half was read")
    os.write(writing, flood[30_000:])
    await wait_until_async(lambda: len(told) == 502, within_s=10, what="all were read")
    assert [record.sequence for record in told[2:]] == list(range(10, 510))


async def test_a_log_that_cannot_be_read_ends_the_reading_and_nothing_else(tmp_path):
    log = KernelLog(clock=SystemClock(), take=lambda record: None, path=tmp_path / "absent")
    await asyncio.wait_for(log.run(), 5)
    assert not log.readable
