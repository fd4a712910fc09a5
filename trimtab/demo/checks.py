"""The promises the demo is judged by, as pure functions from what was seen to sentences about what did not hold."""

from collections.abc import Iterable
from dataclasses import dataclass

from trimtab.demo.report import ActionLine
from trimtab.load.records import Tally

SERVING_AGAIN_S_MAX = 3.0
"""Promised for a hung or killed replica: probes notice within a second, a warm spare takes over within two."""
IMPROVED = "improved"
CARRIED_OUT = frozenset({IMPROVED, "no_effect", "inconclusive"})
"""Verdicts of actions that were executed and left in place; failed and worse ones were not."""


@dataclass(frozen=True, slots=True)
class Promise:
    """What one scenario must keep."""

    actions: tuple[str, ...] = ()
    """Kinds of action that must have been carried out to a verdict."""
    improved: tuple[str, ...] = ()
    """At least one action of one of these kinds must have been verified as an improvement."""
    mitigate_s_max: float | None = None
    """None: no promise about the time, only that it happens."""
    nothing_lost: bool = True
    """No request may fail without an honest refusal."""
    nothing_refused: bool = False
    """Not even refused: capacity was there all the time."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What happened in one scenario."""

    actions: tuple[ActionLine, ...]
    detected: bool
    mitigate_s: float | None
    restore_s: float | None
    requests: Tally


def broken(promise: Promise, seen: Seen) -> tuple[str, ...]:
    """Every promise that was not kept, as a sentence."""
    return (
        *_healing_problems(promise, seen),
        *_action_problems(promise, seen.actions),
        *_request_problems(promise, seen.requests),
    )


def _healing_problems(promise: Promise, seen: Seen) -> Iterable[str]:
    if not seen.detected:
        yield "never detected"
    if seen.mitigate_s is None:
        yield "not mitigated"
    elif promise.mitigate_s_max is not None and seen.mitigate_s > promise.mitigate_s_max:
        yield f"mitigated after {seen.mitigate_s:.1f} s, promised {promise.mitigate_s_max:g} s"
    if seen.restore_s is None:
        yield "not restored"


def _action_problems(promise: Promise, actions: tuple[ActionLine, ...]) -> Iterable[str]:
    for kind in promise.actions:
        if not any(action.kind == kind and action.verdict in CARRIED_OUT for action in actions):
            yield f"no finished {kind}"
    if promise.improved and not any(a.kind in promise.improved and a.verdict == IMPROVED for a in actions):
        yield f"no {' or '.join(promise.improved)} that was verified to help"
    for action in actions:
        if action.executions > 1:
            yield f"{action.kind} {action.subject} was executed {action.executions} times"


def _request_problems(promise: Promise, requests: Tally) -> Iterable[str]:
    if requests.sent == 0:
        yield "no request was sent, so nothing was proved"
    if promise.nothing_lost and requests.failed:
        yield f"{requests.failed} requests lost"
    if promise.nothing_refused and requests.refused:
        yield f"{requests.refused} requests refused"
