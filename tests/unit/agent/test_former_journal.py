"""An upgraded agent remembers what the first version wrote, the line that a crash broke off included."""

import shutil
from pathlib import Path

from agent.core.receipts import INTERRUPTED
from agent.memory.journal import FileJournal
from chassis.clock import ManualClock
from contracts.vocabulary import OrderKey, ReceiptStatus

FORMER = Path(__file__).with_name("first_version.jsonl")
"""Written by the first version: lines without checksums, no fence, replicas without GPUs."""


def test_the_journal_of_the_first_version_is_read_whole(tmp_path):
    path = tmp_path / "journal.jsonl"
    shutil.copy(FORMER, path)
    for _start in range(2):  # the second one reads what the first one made of it
        journal = FileJournal(path, clock=ManualClock())
        journal.open()
        journal.close()
        assert (journal.trouble, journal.loss, journal.epoch_seen, journal.thresholds.revision) == ("", "", 9, 3)
        assert [(memory.replica, memory.generation, memory.gpus) for memory in journal.replicas()] == [("h-0", 4, ())]
        interrupted = journal.receipt(OrderKey("k-run"))
        assert interrupted is not None
        assert (interrupted.status, interrupted.detail) == (ReceiptStatus.FAILED, INTERRUPTED)
        assert [receipt.key for receipt in journal.unacknowledged()] == ["k-done", "k-run"]
        assert journal.receipt(OrderKey("k-ack")) is not None
