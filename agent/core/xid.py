"""What a GPU's condition calls for: Xids, the driver's own verdict, its error codes and its memory's health.

The rules are data (`data/xid_actions.yaml`), because NVIDIA's catalogue changes with every driver and its readers
disagree. The driver's own verdict, the recovery action of R570 and later, wins over every rule about the device: it has
seen it. The agent only recommends; resetting a GPU or rebooting a host is ordered by the controller or a person.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from contracts.vocabulary import GpuAction

_SEVERITY = {action: rank for rank, action in enumerate(GpuAction)}
VERDICT = "recovery_action"
"""The value in which the driver says what its device calls for."""
DRIVER = "driver"
"""Source of a recommendation that the driver itself makes."""


@dataclass(frozen=True, slots=True)
class Companion:
    """Another Xid that changes what one calls for, when both come within a short time."""

    xids: frozenset[int]
    within_s: float
    action: GpuAction


@dataclass(frozen=True, slots=True)
class Repetition:
    """An Xid that is worth a person's attention when it comes again and again."""

    count: int
    within_s: float
    note: str


@dataclass(frozen=True, slots=True)
class XidRule:
    """What one Xid calls for."""

    xid: int
    meaning: str
    action: GpuAction
    alone_after_s: float = 0.0
    """Positive: it calls for nothing when any other Xid comes within this time before or after it, and is not judged earlier."""
    companion: Companion | None = None
    repetition: Repetition | None = None
    note: str = ""
    """For people, while the event counts: rma_candidate, …"""


@dataclass(frozen=True, slots=True)
class HealthRule:
    """A value of the device that calls for something by itself."""

    note: str
    """Its name: shown to people, and the source of its action."""
    value: str
    at_least: float
    action: GpuAction
    explained_by: frozenset[int] = frozenset()
    """Xids that speak for the same fault: where one counts, this rule is silent."""


@dataclass(frozen=True, slots=True)
class XidTable:
    """Every rule, with its source and date."""

    source: str
    date: str
    rules: Mapping[int, XidRule]
    recovery_actions: Mapping[int, GpuAction]
    """NVML field 230 → its meaning."""
    reasons: Mapping[str, GpuAction] = field(default_factory=dict)
    """Why a GPU is not up → what that calls for."""
    health: tuple[HealthRule, ...] = ()
    expires_s: Mapping[GpuAction, float] = field(default_factory=dict)
    """How long an event calls for an action, unless a reset or reboot ends it before."""
    unknown: GpuAction = GpuAction.DRAIN_GPU
    """For an Xid without a rule: the safest act that can be taken back."""

    def rule_for(self, xid: int) -> XidRule:
        """What one Xid calls for; one that nobody wrote down calls for `unknown`."""
        return self.rules.get(xid) or XidRule(xid=xid, meaning="not in the table", action=self.unknown)


@dataclass(frozen=True, slots=True)
class Evidence:
    """What is known of one GPU when it is judged."""

    now_s: float
    times_s: Mapping[int, tuple[float, ...]] = field(default_factory=dict)
    """Monotonic times per Xid since the last reset, oldest first."""
    values: Mapping[str, float] = field(default_factory=dict)
    """Newest values; empty when the GPU is not up."""
    reason: str = ""
    """Why it is not up."""


@dataclass(frozen=True, slots=True)
class Recommendation:
    """What to do about one GPU, and why."""

    action: GpuAction = GpuAction.NONE
    source: str = ""
    """`driver`, `xid 79`, the name of a health rule; empty when nothing is to be done."""
    notes: tuple[str, ...] = ()


def recommend(evidence: Evidence, table: XidTable) -> Recommendation:
    """The most drastic of what everything calls for.

    Where the driver gives a verdict (`VERDICT` in the values), it replaces what Xids and health say about the
    device. It speaks of the device only: when that is fine, a program it stopped still has to be restarted.
    """
    verdict = _verdict(evidence, table)
    wanted = [(rule.action, f"xid {rule.xid}") for rule in _judged(evidence, table)]
    if verdict is None:
        wanted += [(rule.action, rule.note) for rule in _unhealthy(evidence, table)]
    else:
        wanted = [(verdict, DRIVER), *(each for each in wanted if each[0] is GpuAction.RESTART_REPLICA)]
    action, source = max(wanted, key=lambda each: _SEVERITY[each[0]], default=(GpuAction.NONE, ""))
    source = "" if action is GpuAction.NONE else source
    return Recommendation(action=action, source=source, notes=tuple(sorted(set(_notes(evidence, table)))))


def _verdict(evidence: Evidence, table: XidTable) -> GpuAction | None:
    """What the driver says: by the field, or by the error that every call gives; an unknown verdict drains the host."""
    field_value = evidence.values.get(VERDICT)
    if field_value is not None:
        return table.recovery_actions.get(int(field_value), GpuAction.DRAIN_HOST)
    return table.reasons.get(evidence.reason)


@dataclass(frozen=True, slots=True)
class _Judged:
    xid: int
    action: GpuAction
    rule: XidRule


def _judged(evidence: Evidence, table: XidTable) -> Iterator[_Judged]:
    """Each remembered Xid with what its newest event calls for, if it still does."""
    for xid, times in evidence.times_s.items():
        rule, newest_s = table.rule_for(xid), times[-1]
        action = action_of(rule, newest_s, evidence)
        age_s = evidence.now_s - newest_s
        if action is not None and age_s <= table.expires_s.get(action, float("inf")):
            yield _Judged(xid=xid, action=action, rule=rule)


def action_of(rule: XidRule, at_s: float, evidence: Evidence) -> GpuAction | None:
    """What one event calls for; None while it still waits for a companion, and when it has found one to speak for it."""
    if rule.alone_after_s:
        if evidence.now_s - at_s < rule.alone_after_s or _near(evidence, at_s, rule.alone_after_s, besides=rule.xid):
            return None
    elif rule.companion is not None and _near(
        evidence, at_s, rule.companion.within_s, besides=rule.xid, among=rule.companion.xids
    ):
        return rule.companion.action
    return rule.action


def _near(
    evidence: Evidence, at_s: float, within_s: float, *, besides: int, among: frozenset[int] | None = None
) -> bool:
    return any(
        abs(time_s - at_s) <= within_s
        for xid, times in evidence.times_s.items()
        if xid != besides and (among is None or xid in among)
        for time_s in times
    )


def _unhealthy(evidence: Evidence, table: XidTable) -> Iterator[HealthRule]:
    for rule in table.health:
        known = evidence.values.get(rule.value)
        if known is not None and known >= rule.at_least and not rule.explained_by & evidence.times_s.keys():
            yield rule


def _notes(evidence: Evidence, table: XidTable) -> Iterator[str]:
    yield from (rule.note for rule in _unhealthy(evidence, table))
    yield from (judged.rule.note for judged in _judged(evidence, table) if judged.rule.note)
    for xid, times in evidence.times_s.items():
        again = table.rule_for(xid).repetition
        if again is not None and sum(evidence.now_s - at_s <= again.within_s for at_s in times) >= again.count:
            yield again.note
