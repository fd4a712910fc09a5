"""A Prometheus rule file as values: what the compiler produces, `render` writes and tests inspect."""

from dataclasses import dataclass

Labels = tuple[tuple[str, str], ...]
"""Ordered name–value pairs; tuples, so that a rule can be compared and hashed."""


@dataclass(frozen=True, slots=True)
class RecordingRule:
    """Store the value of `expr` as the series `record`."""

    record: str
    expr: str
    labels: Labels = ()


@dataclass(frozen=True, slots=True)
class AlertingRule:
    """Fire when `expr` yields a sample for `for_s` seconds without a gap."""

    alert: str
    expr: str
    for_s: int
    """0 fires at the first evaluation."""
    labels: Labels
    annotations: Labels


@dataclass(frozen=True, slots=True)
class RuleGroup:
    """Rules evaluated in order, at the same timestamp: a later one sees what an earlier one just recorded."""

    name: str
    interval_s: int
    rules: tuple[RecordingRule | AlertingRule, ...]


@dataclass(frozen=True, slots=True)
class RuleFile:
    """Everything Prometheus should evaluate for us."""

    groups: tuple[RuleGroup, ...]

    @property
    def alerts(self) -> tuple[AlertingRule, ...]:
        """Every alerting rule, in file order."""
        return tuple(rule for group in self.groups for rule in group.rules if isinstance(rule, AlertingRule))
