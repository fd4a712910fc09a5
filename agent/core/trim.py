"""Keeps a report within a number of bytes by telling less, never by telling nothing.

What a person reads goes first, what the controller decides by goes last: log tails, then evidence and long reasons, then
receipts that can just as well go with the next report. States, generations and GPUs are always told.
"""

from collections.abc import Callable

from contracts.agent_api import HostReport, ReplicaReport, SyncRequest

TAIL_LINES_FEW = 5
"""The end of a traceback: the error itself."""
TEXT_CHARS_FEW = 120
RECEIPTS_FEW = 16
Step = Callable[[SyncRequest], SyncRequest]


def fitted(request: SyncRequest, bytes_max: int) -> str:
    """The request as JSON, with as little left out as it takes; longer than `bytes_max` only when nothing is left to leave out."""
    body = request.model_dump_json()
    for step in STEPS:
        if len(body.encode()) <= bytes_max:
            break
        request = step(request)
        body = request.model_dump_json()
    return body


def _tails(lines_max: int) -> Step:
    def step(request: SyncRequest) -> SyncRequest:
        def shorter(replica: ReplicaReport) -> ReplicaReport:
            return replica.model_copy(update={"log_tail": replica.log_tail[len(replica.log_tail) - lines_max :]})

        longer = (replica if len(replica.log_tail) <= lines_max else shorter(replica) for replica in _replicas(request))
        return _with(request, replicas=tuple(longer))

    return step


def _without_evidence(request: SyncRequest) -> SyncRequest:
    reflexes = request.report.reflexes
    return _with(request, reflexes=tuple(reflex.model_copy(update={"evidence": {}}) for reflex in reflexes))


def _short_texts(request: SyncRequest) -> SyncRequest:
    replicas = tuple(
        replica.model_copy(update={"reason": replica.reason[:TEXT_CHARS_FEW]}) for replica in _replicas(request)
    )
    gpus = tuple(gpu.model_copy(update={"reason": gpu.reason[:TEXT_CHARS_FEW]}) for gpu in request.report.gpus)
    receipts = tuple(
        receipt.model_copy(update={"detail": receipt.detail[:TEXT_CHARS_FEW]}) for receipt in request.receipts
    )
    return _with(request, replicas=replicas, gpus=gpus).model_copy(update={"receipts": receipts})


def _few_receipts(request: SyncRequest) -> SyncRequest:
    return request.model_copy(update={"receipts": request.receipts[:RECEIPTS_FEW]})


def _replicas(request: SyncRequest) -> tuple[ReplicaReport, ...]:
    return request.report.replicas


def _with(request: SyncRequest, **changes: object) -> SyncRequest:
    report: HostReport = request.report.model_copy(update=changes)
    return request.model_copy(update={"report": report})


STEPS: tuple[Step, ...] = (_tails(TAIL_LINES_FEW), _tails(0), _without_evidence, _short_texts, _few_receipts)
"""In the order in which less is told."""
