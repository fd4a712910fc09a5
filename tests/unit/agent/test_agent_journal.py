"""What the agent must not forget, and what it must not believe."""

import json

import pytest

from agent.core.receipts import INTERRUPTED
from agent.memory.entries import RECEIPTS_MAX
from agent.memory.journal import LINES_MAX, FileJournal
from agent.ports import ReplicaMemory
from chassis.clock import ManualClock
from contracts.agent_api import Receipt
from contracts.serving_api import SloThreshold, SloThresholds
from contracts.vocabulary import OrderKey, ProfileId, ReceiptStatus, ReplicaId, SliKind, SloId

KEY = OrderKey("restart-1")
RUNNING = Receipt(key=KEY, epoch=3, status=ReceiptStatus.RUNNING, executions=1)
DONE = RUNNING.model_copy(update={"status": ReceiptStatus.DONE})
MEMORY = ReplicaMemory(
    replica=ReplicaId("h-0"), generation=4, wanted=False, profile=ProfileId("light-int8-onnx"), token="pid-1"
)
THRESHOLDS = SloThresholds(
    revision=2, thresholds=(SloThreshold(slo=SloId("fast"), sli=SliKind.TOTAL, threshold_s=0.2),)
)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "state" / "journal.jsonl"


@pytest.fixture
def reopened(path):
    """A journal as the next process would see it."""
    opened = []

    def reopen() -> FileJournal:
        if opened:
            opened.pop().close()
        journal = FileJournal(path, clock=ManualClock())
        journal.open()
        opened.append(journal)
        return journal

    yield reopen
    for journal in opened:
        journal.close()


async def test_receipts_epoch_replicas_and_thresholds_survive(reopened):
    journal = reopened()
    await journal.record(DONE)
    journal.remember(MEMORY)
    journal.keep_thresholds(THRESHOLDS)
    journal.raise_epoch(9)
    again = reopened()
    assert again.receipt(KEY) == DONE
    assert again.epoch_seen == 9
    assert again.replicas() == (MEMORY,)
    assert again.thresholds == THRESHOLDS


async def test_a_receipt_is_on_disk_when_record_returns(reopened, path):
    await reopened().record(RUNNING)
    assert json.loads(path.read_text().splitlines()[-1])["data"]["status"] == "running"


async def test_an_interrupted_order_is_failed_with_its_execution_counted(reopened):
    await reopened().record(RUNNING)
    receipt = reopened().receipt(KEY)
    assert (receipt.status, receipt.detail, receipt.executions) == (ReceiptStatus.FAILED, INTERRUPTED, 1)
    assert reopened().receipt(KEY) == receipt


async def test_the_epoch_of_an_order_is_remembered_and_never_lowered(reopened):
    journal = reopened()
    await journal.record(DONE)
    journal.raise_epoch(1)
    assert journal.epoch_seen == 3
    assert reopened().epoch_seen == 3


async def test_an_acknowledged_receipt_is_reported_no_more_but_still_answers(reopened):
    journal = reopened()
    await journal.record(DONE)
    journal.acknowledge([KEY])
    again = reopened()
    assert again.unacknowledged() == ()
    assert again.receipt(KEY) == DONE
    again.acknowledge([KEY], known=False)
    assert reopened().unacknowledged() == (DONE,)


async def test_a_running_receipt_cannot_be_acknowledged_away(reopened):
    journal = reopened()
    await journal.record(RUNNING)
    journal.acknowledge([KEY])
    assert journal.unacknowledged() == (RUNNING,)


async def test_a_torn_last_line_is_dropped(reopened, path):
    await reopened().record(DONE)
    with path.open("a") as file:
        file.write('{"kind":"receipt","data":{"key":"half')
    assert reopened().receipt(KEY) == DONE


async def test_receipts_are_bounded_but_unacknowledged_ones_are_kept(reopened):
    journal = reopened()
    await journal.record(DONE)
    keys = [OrderKey(f"k{number}") for number in range(RECEIPTS_MAX + 50)]
    for key in keys:
        await journal.record(DONE.model_copy(update={"key": key}))
        journal.acknowledge([key])
    assert journal.receipt(KEY) == DONE
    assert journal.receipt(keys[0]) is None
    assert journal.receipt(keys[-1]) is not None


async def test_the_file_is_compacted_and_nothing_is_lost(reopened, path):
    journal = reopened()
    await journal.record(DONE)
    for generation in range(LINES_MAX + 10):
        journal.remember(ReplicaMemory(ReplicaId("h-0"), generation, True, ProfileId("p"), "t"))
    again = reopened()
    assert len(path.read_text().splitlines()) < 20
    assert again.receipt(KEY) == DONE
    assert again.replicas()[0].generation == LINES_MAX + 9
