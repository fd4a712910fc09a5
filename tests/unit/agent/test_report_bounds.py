"""A report fits its bytes by telling less of what people read, and never less of what is decided by."""

import pytest

from agent.core.trim import TAIL_LINES_FEW, fitted
from agent.line.sync import REPORT_BYTES_MAX, REPORT_BYTES_MIN
from agent.ports import LOG_LINE_CHARS_MAX, LOG_TAIL_LINES_MAX
from contracts.agent_api import (
    RECEIPTS_PER_SYNC_MAX,
    REPLICAS_PER_HOST_MAX,
    HostReport,
    Receipt,
    ReflexReport,
    ReplicaReport,
    SyncRequest,
)
from contracts.vocabulary import ReceiptStatus, ReflexKind, ReplicaState
from controller.api.limits import BULK_BYTES_MAX


def request(*, lines: int = LOG_TAIL_LINES_MAX, char: str = "x", receipts: int = 0, detail: str = "") -> SyncRequest:
    replicas = tuple(
        ReplicaReport(
            replica=f"h-{slot}",
            address="127.0.0.1",
            port=8100 + slot,
            state=ReplicaState.CRASHED,
            reason="because " * 100,
            generation=slot,
            state_age_s=1.0,
            profile=None,
            log_tail=tuple(f"{line} {char * LOG_LINE_CHARS_MAX}" for line in range(lines)),
        )
        for slot in range(REPLICAS_PER_HOST_MAX)
    )
    reflexes = tuple(
        ReflexReport(
            seq=seq,
            kind=ReflexKind.RESTART_CRASHED,
            replica="h-0",
            generation=1,
            detected_unix_s=1.0,
            evidence={"log": char * 5_000},
        )
        for seq in range(32)
    )
    return SyncRequest(
        sent_unix_s=1.0,
        max_wait_s=2.0,
        thresholds_revision=0,
        report=HostReport(
            host="h",
            region="eu",
            boot_id="b",
            seq=1,
            runtime="process",
            agent_address="127.0.0.1",
            agent_port=9300,
            replicas=replicas,
            free_slots=(),
            reflexes=reflexes,
        ),
        receipts=tuple(
            Receipt(key=f"k{number}", epoch=1, status=ReceiptStatus.DONE, detail=detail) for number in range(receipts)
        ),
    )


def test_a_report_that_fits_is_told_whole():
    said = request(lines=1)
    assert SyncRequest.model_validate_json(fitted(said, REPORT_BYTES_MAX)) == said


def test_the_ends_of_tails_stay_before_all_of_them_go():
    told = SyncRequest.model_validate_json(fitted(request(), 400_000))
    assert {len(replica.log_tail) for replica in told.report.replicas} == {TAIL_LINES_FEW}
    assert told.report.replicas[0].log_tail[-1].startswith(f"{LOG_TAIL_LINES_MAX - 1} ")


@pytest.mark.parametrize("char", ["x", "語", "\x00"])
def test_the_worst_host_fits_in_any_script_and_every_state_is_told(char):
    said = request(char=char, receipts=RECEIPTS_PER_SYNC_MAX, detail=char * 20_000)
    for bytes_max in (BULK_BYTES_MAX, REPORT_BYTES_MAX, REPORT_BYTES_MIN):
        body = fitted(said, bytes_max)
        told = SyncRequest.model_validate_json(body)
        assert len(body.encode()) <= bytes_max
        assert [(r.replica, r.state, r.generation) for r in told.report.replicas] == [
            (r.replica, r.state, r.generation) for r in said.report.replicas
        ]
        assert len(told.report.reflexes) == 32
        assert told.receipts[0].status is ReceiptStatus.DONE


def test_what_cannot_fit_is_sent_all_the_same():
    assert SyncRequest.model_validate_json(fitted(request(), 10)).report.host == "h"
