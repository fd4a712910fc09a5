"""A disk that fails: nothing is executed that could be forgotten, nothing is forgotten that was executed, and it mends itself."""

import asyncio
import errno
import os
import random
import threading

import pytest

from agent.core.receipts import INTERRUPTED
from agent.degradation import Degradations
from agent.errors import JournalError
from agent.memory import journal as journal_module
from agent.memory.entries import NO_FENCE, RECEIPTS_MAX, UNTIL_HEARD
from agent.memory.file import CORRUPT_KEPT
from agent.memory.journal import FileJournal
from agent.memory.keeper import JOURNAL, MEMORY, JournalKeeper
from agent.ports import ReplicaMemory
from chassis.clock import ManualClock
from contracts.agent_api import ORDER_LIFE_S_MAX, Receipt
from contracts.vocabulary import OrderKey, ProfileId, ReceiptStatus, ReplicaId

KEY = OrderKey("restart-1")
RUNNING = Receipt(key=KEY, epoch=3, status=ReceiptStatus.RUNNING, executions=1)
DONE = RUNNING.model_copy(update={"status": ReceiptStatus.DONE})
REFUSED = RUNNING.model_copy(update={"status": ReceiptStatus.REFUSED, "executions": 0})
MEMORY_OF_ONE = ReplicaMemory(ReplicaId("h-0"), 7, False, ProfileId("p"), "t")


@pytest.fixture
def path(tmp_path):
    return tmp_path / "state" / "journal.jsonl"


@pytest.fixture
def opened(path):
    """Journals over the same file, each as the next process would see it; the former is not closed, as after a kill."""
    journals = []

    def reopen() -> FileJournal:
        journal = FileJournal(path, clock=ManualClock())
        journal.open()
        journals.append(journal)
        return journal

    yield reopen
    for journal in journals:
        journal.close()


@pytest.fixture
def disk(monkeypatch):
    """Makes the disk of a journal full, as the kernel says it: `/dev/full` takes nothing."""

    class Disk:
        def fill(self, journal) -> None:
            monkeypatch.setattr(journal._file, "_open_append", lambda: open("/dev/full", "ab", buffering=0))  # noqa: PTH123, SIM115
            journal._file._close()
            self.spare = journal._file.path.with_suffix(".new")
            self.spare.mkdir()

        def free(self) -> None:
            monkeypatch.undo()
            self.spare.rmdir()

    return Disk()


async def test_what_cannot_be_made_durable_is_not_begun_and_what_is_final_is_kept(opened, disk):
    journal = opened()
    disk.fill(journal)
    with pytest.raises(JournalError) as caught:
        await journal.record(RUNNING)
    assert os.strerror(errno.ENOSPC) in str(caught.value.__cause__)
    assert journal.receipt(KEY) is None
    await journal.record(REFUSED)
    assert journal.unacknowledged() == (REFUSED,)
    assert "No space left" in journal.trouble
    disk.free()


async def test_the_end_of_an_execution_is_told_though_the_disk_filled_up_meanwhile(opened, disk):
    journal = opened()
    await journal.record(RUNNING)
    disk.fill(journal)
    await journal.record(DONE)
    assert journal.unacknowledged() == (DONE,)
    disk.free()
    assert opened().receipt(KEY).detail == INTERRUPTED  # a crash now forgets how it ended, never that it was begun


async def test_a_disk_that_is_back_gets_everything_that_it_missed(opened, disk):
    journal = opened()
    disk.fill(journal)
    journal.remember(MEMORY_OF_ONE)
    journal.raise_epoch(9)
    await journal.record(REFUSED)
    with pytest.raises(JournalError):
        await journal.mend()
    disk.free()
    await journal.mend()
    assert journal.trouble == ""
    again = opened()
    assert (again.epoch_seen, again.replicas(), again.receipt(KEY)) == (9, (MEMORY_OF_ONE,), REFUSED)
    await journal.record(RUNNING.model_copy(update={"key": "next"}))  # and appending goes on


async def test_a_torn_append_spoils_nothing_that_follows(opened, path, monkeypatch):
    """The kernel takes a part of the line, then the disk is full: what is appended next must not share its line."""
    journal = opened()
    real = journal._file._open_append

    class Torn:
        def __init__(self):
            self.file = real()

        def write(self, line):
            return self.file.write(line[: len(line) // 2])

        def fileno(self):
            return self.file.fileno()

        def close(self):
            self.file.close()

    monkeypatch.setattr(journal._file, "_open_append", Torn)
    with pytest.raises(JournalError):
        await journal.record(RUNNING)
    monkeypatch.undo()
    assert not path.read_bytes().endswith(b"\n")
    with pytest.raises(JournalError):
        await journal.record(RUNNING)  # the disk works again, but the file ends in half a line
    await journal.mend()
    await journal.record(DONE)
    again = opened()
    assert (again.receipt(KEY), again.fence_unix_s) == (DONE, NO_FENCE)


async def test_a_deleted_journal_is_noticed_and_written_again(opened, path):
    journal = opened()
    await journal.record(RUNNING)
    path.unlink()
    with pytest.raises(JournalError):
        await journal.record(RUNNING.model_copy(update={"key": "b"}))
    await journal.mend()
    assert opened().receipt(KEY) is not None


async def test_a_disk_that_hangs_counts_as_one_that_takes_nothing(opened, monkeypatch):
    monkeypatch.setattr(journal_module, "DISK_S_MAX", 0.05)
    journal, resume = opened(), threading.Event()
    journal._disk.submit(resume.wait)
    with pytest.raises(JournalError):
        await journal.record(RUNNING)
    for _ in range(5):
        with pytest.raises(JournalError):
            await journal.mend()
    assert journal.receipt(KEY) is None
    assert "did not answer" in journal.trouble
    resume.set()
    monkeypatch.undo()
    await journal.mend()
    assert journal.trouble == ""
    assert opened().receipt(KEY) is None


async def test_what_came_of_an_order_is_written_though_nobody_waits_for_it_any_more(opened):
    journal, resume = opened(), threading.Event()
    await journal.record(RUNNING)
    journal._disk.submit(resume.wait)
    ending = asyncio.ensure_future(journal.record(DONE))
    await asyncio.sleep(0)
    ending.cancel()
    with pytest.raises(asyncio.CancelledError):
        await ending
    resume.set()
    journal.close()
    assert opened().receipt(KEY) == DONE


# ── damage ────────────────────────────────────────────────────────────────────────────────────────────────────────────
def flip(path, needle: bytes) -> None:
    raw = path.read_bytes()
    assert needle in raw
    path.write_bytes(raw.replace(needle, needle[:-1] + bytes([needle[-1] ^ 1])))


async def test_a_flipped_bit_is_damage_though_the_line_is_still_json(opened, path):
    await opened().record(DONE)
    flip(path, b"restart-1")
    again = opened()
    assert again.receipt(OrderKey("restart-0")) is None
    assert again.fence_unix_s == UNTIL_HEARD


async def test_after_damage_the_rest_is_believed_and_the_file_kept(opened, path):
    journal = opened()
    journal.remember(MEMORY_OF_ONE)
    await journal.record(DONE)
    before = path.read_bytes() + b"what is this\n"
    path.write_bytes(before)
    again = opened()
    assert (again.replicas(), again.receipt(KEY), again.trouble) == ((MEMORY_OF_ONE,), DONE, "")
    assert "1 of" in again.loss
    assert [aside.read_bytes() for aside in path.parent.glob("journal.corrupt-*")] == [before]


async def test_the_fence_stands_one_orders_life_after_the_controller_was_heard_and_then_falls(opened, path):
    opened()
    path.write_bytes(b"what is this\n")
    journal = opened()
    journal.heard(1_000.0)
    assert journal.fence_unix_s == 1_000.0 + ORDER_LIFE_S_MAX
    journal.heard(1_030.0)  # later words do not move it
    await journal.mend()
    assert opened().fence_unix_s == 1_000.0 + ORDER_LIFE_S_MAX  # nor does another start
    journal.heard(1_000.1 + ORDER_LIFE_S_MAX)
    assert (journal.fence_unix_s, journal.loss) == (NO_FENCE, "")


async def test_a_start_before_the_controller_was_heard_keeps_waiting_for_it(opened, path):
    opened()
    path.write_bytes(b"what is this\n")
    opened()
    assert opened().fence_unix_s == UNTIL_HEARD


def test_only_the_newest_damaged_journals_are_kept(opened, path):
    opened()
    for number in range(CORRUPT_KEPT + 3):
        path.write_bytes(b"damage %d\n" % number)
        journal = FileJournal(path, clock=ManualClock(now_unix_s=1_000.0 + number))
        journal.open()
        journal.close()
    kept = sorted(aside.read_bytes() for aside in path.parent.glob("journal.corrupt-*"))
    assert kept == [b"damage 3\n", b"damage 4\n", b"damage 5\n"]


async def test_a_journal_that_could_not_be_read_is_read_before_it_is_overwritten(opened, path, monkeypatch):
    journal = opened()
    journal.remember(MEMORY_OF_ONE)
    await journal.record(RUNNING)
    monkeypatch.setattr("agent.memory.file.BYTES_MAX", 10)  # stands for EIO: root may read anything
    blind = opened()
    assert (blind.receipt(KEY), blind.fence_unix_s) == (None, UNTIL_HEARD)
    await blind.record(REFUSED)
    monkeypatch.undo()
    await blind.mend()
    assert blind.receipt(KEY).detail == INTERRUPTED  # what was executed outweighs a refusal for want of memory
    assert (blind.fence_unix_s, blind.replicas(), blind.trouble) == (NO_FENCE, (MEMORY_OF_ONE,), "")


async def test_a_journal_that_can_never_be_read_is_set_aside_at_the_second_attempt(opened, path):
    path.mkdir(parents=True)
    journal = opened()
    assert "cannot be read" in journal.loss
    await journal.mend()
    assert (journal.trouble, journal.fence_unix_s) == ("", UNTIL_HEARD)
    assert path.is_file()
    await journal.record(RUNNING)


# ── bounds ────────────────────────────────────────────────────────────────────────────────────────────────────────────
async def test_a_controller_that_confirms_nothing_cannot_fill_the_memory(opened):
    journal = opened()
    for number in range(RECEIPTS_MAX):
        journal._memory.keep(DONE.model_copy(update={"key": OrderKey(f"done-{number}")}))
        journal._memory.keep(REFUSED.model_copy(update={"key": OrderKey(f"refused-{number}")}))
    with pytest.raises(JournalError, match="confirms no receipts"):
        await journal.record(RUNNING)
    for number in range(10):
        await journal.record(REFUSED.model_copy(update={"key": OrderKey(f"more-{number}")}))
    assert len(journal.unacknowledged()) == 2 * RECEIPTS_MAX
    assert journal.receipt(OrderKey("done-0")) is not None


async def test_acknowledgements_of_forgotten_receipts_are_forgotten_too(opened):
    journal = opened()
    for number in range(RECEIPTS_MAX + 20):
        await journal.record(REFUSED.model_copy(update={"key": OrderKey(f"k{number}")}))
        journal.acknowledge([OrderKey(f"k{number}")])
    await journal.record(DONE)  # written in order: what was confirmed before is on disk now
    again = opened()
    assert again._memory.acknowledged == again._memory.receipts.keys() - {KEY}
    assert len(again._memory.acknowledged) == RECEIPTS_MAX


# ── the keeper ────────────────────────────────────────────────────────────────────────────────────────────────────────
async def test_the_keeper_says_so_mends_with_pauses_and_takes_it_back(opened, disk, wait_until_async):
    journal, said = opened(), []
    degradations = Degradations(lambda: said.append([part.part for part in degradations.current()]))
    clock = ManualClock()
    keeper = JournalKeeper(journal, degradations, clock, random.Random(1))
    attempts, mend = [], journal.mend

    async def counted() -> None:
        attempts.append(clock.monotonic_s())
        await mend()

    journal.mend = counted
    disk.fill(journal)
    await journal.record(REFUSED)
    running = asyncio.ensure_future(keeper.run())
    await wait_until_async(lambda: clock.monotonic_s() > 600.0, within_s=20, what="ten minutes of a full disk")
    assert all(parts == [JOURNAL] for parts in said)
    in_time = [at_s for at_s in attempts if at_s <= 600.0]  # the clock runs on until it is looked at
    assert 600.0 / 30.0 / 2 < len(in_time) < 600.0 / 5.0
    disk.free()
    await wait_until_async(lambda: said[-1] == [], within_s=20, what="the keeper takes it back")
    running.cancel()
    assert journal.trouble == ""


async def test_the_keeper_tells_of_lost_memory_until_the_fence_falls(opened, path):
    opened()
    path.write_bytes(b"what is this\n")
    journal, degradations = opened(), Degradations(lambda: None)
    keeper = JournalKeeper(journal, degradations, ManualClock(), random.Random(1))
    await keeper._look(0)
    assert [part.part for part in degradations.current()] == [MEMORY]
    journal.heard(1_000.0)
    journal.heard(2_000.0)
    await keeper._look(0)
    assert degradations.current() == ()
