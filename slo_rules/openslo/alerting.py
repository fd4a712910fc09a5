"""AlertPolicy, AlertCondition and AlertNotificationTarget: accepted where they do not contradict us, and what they do not do.

When to alert follows from one input that a person can judge, `trimtab/page-within`, and who is told is Alertmanager's
configuration. So conditions and targets of a document are checked, and then not used; a note says so, because an author who
wrote them believes in them. What we would have to break our word for (never alert on missing data) the shapes refuse.
"""

from collections.abc import Iterator, Mapping, Set
from dataclasses import dataclass

from slo_rules.errors import SloError
from slo_rules.openslo.schema import Condition, ConditionUse, PolicySpec, PolicyUse, TargetUse
from slo_rules.openslo.units import whole_seconds


@dataclass(frozen=True, slots=True)
class Notice:
    """Something of a document that is accepted and not used."""

    field: str
    text: str

    def __str__(self) -> str:
        return f"{self.field}: {self.text}"


def condition_notice(condition: Condition, path: str) -> Notice:
    """What a condition's numbers do here; `SloError` when they are none."""
    if condition.threshold <= 0:
        raise SloError(f"{path}.threshold", f"{condition.threshold:g} is no burn rate", "write a number over 0, e.g. 2")
    whole_seconds(condition.lookbackWindow, path=f"{path}.lookbackWindow")
    whole_seconds(condition.alertAfter, path=f"{path}.alertAfter")
    return Notice(path, "not used: tiers and windows follow from the annotation trimtab/page-within of each SLO")


def target_notice(path: str) -> Notice:
    """What a notification target does here."""
    return Notice(path, "not used: who is told is configured in Alertmanager")


def policy_notices(spec: PolicySpec, path: str, known: Mapping[str, Set[str]]) -> Iterator[Notice]:
    """Notes about a policy; `known` are the names in the set by kind, which references have to be among."""
    if spec.alertWhenResolved is not None:
        yield Notice(f"{path}.alertWhenResolved", "not used: Alertmanager decides whether an end is told")
    for index, condition in enumerate(spec.conditions):
        here = f"{path}.conditions[{index}]"
        _check_use(condition, condition.conditionRef, f"{here}.conditionRef", known["AlertCondition"])
        if condition.spec is not None:
            yield condition_notice(condition.spec.condition, f"{here}.spec.condition")
    for index, target in enumerate(spec.notificationTargets):
        here = f"{path}.notificationTargets[{index}]"
        _check_use(target, target.targetRef, f"{here}.targetRef", known["AlertNotificationTarget"])
        if target.spec is not None:
            yield target_notice(here)


def use_notices(use: PolicyUse, path: str, known: Mapping[str, Set[str]]) -> Iterator[Notice]:
    """Notes about a policy as an SLO names it."""
    _check_use(use, use.alertPolicyRef, f"{path}.alertPolicyRef", known["AlertPolicy"])
    if use.spec is not None:
        yield from policy_notices(use.spec, f"{path}.spec", known)


def _check_use(use: PolicyUse | ConditionUse | TargetUse, name: str | None, path: str, known: Set[str]) -> None:
    """Either a name that is known, or a document inline: kind, metadata and spec."""
    inline = (use.kind, use.metadata, use.spec)
    if name is None:
        if None in inline:
            raise SloError(path, "is missing", "name a document of the set, or write kind, metadata and spec here")
    elif any(part is not None for part in inline):
        raise SloError(path, "is given besides an inline document", "remove one of them")
    elif name not in known:
        raise SloError(path, f"no document of the set is called {name}", "add it to the set")
