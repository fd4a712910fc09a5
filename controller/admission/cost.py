"""What an objective costs its Prometheus: rules, series, and samples that one evaluation of all its rules reads.

Predicted from the compiled expressions for a Prometheus that has run for the whole window, because that is the cost which
stays. A recorded series has a sample per evaluation of its group, a raw one a sample per scrape.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from contracts import metric_names as names
from controller.admission.reading import Read, reads_of
from slo_rules.rule_file import RecordingRule, RuleFile, RuleGroup
from slo_rules.rules.recorded import SPAN_S

SCRAPE_INTERVAL_S_ASSUMED = 15.0
"""Prometheus' own advice; used where no target is known."""
ALERTS = "ALERTS"
"""Firing alerts are few, and none of them stay."""
FOR_ALL_REGIONS = frozenset(
    (names.RULE_FIRST_SEEN, names.RULE_EXCLUDED, names.RULE_WINDOW_START, names.RULE_PERIOD_EXCLUDED)
)
"""Recorded once; everything else is recorded once per region."""
OF_SPANS = frozenset((names.RULE_EVENTS_TOTAL_INC4M, names.RULE_EVENTS_BAD_INC4M, names.RULE_OBSERVED_MINUTES_INC4M))
"""Recorded less often than their group is evaluated."""
_OF_ONE_REGION = f'{names.LABEL_REGION}="'


@dataclass(frozen=True, slots=True)
class Cost:
    """Of one objective."""

    rules: int
    series_read: int
    """Raw series that its recording rules look at."""
    samples_per_evaluation: int
    """When each of its rules is evaluated once, with full windows."""
    samples_per_s: float
    """The same by the rules' intervals."""


@dataclass(frozen=True, slots=True)
class Spacing:
    """How many series there are, and how dense."""

    series: Mapping[str, int]
    """Of each of `raw_selectors`."""
    regions: int
    scrape_interval_s: float
    left_open: bool
    """Ranges without the sample at their far edge: Prometheus 3."""


def raw_selectors(groups: Iterable[RuleGroup], whole: RuleFile) -> tuple[str, ...]:
    """Selectors of `groups` whose series have to be counted before the cost is known, without repetition."""
    recorded = _intervals(whole)
    reads = (read for group in groups for rule in group.rules for read in reads_of(rule.expr))
    return tuple(dict.fromkeys(read.selector for read in reads if _metric(read) not in recorded))


def groups_of(slo: str, whole: RuleFile) -> tuple[RuleGroup, ...]:
    """The groups that are there because of one objective: those whose rules carry its name."""
    return tuple(group for group in whole.groups if any((names.LABEL_SLO, slo) in rule.labels for rule in group.rules))


def cost_of(groups: tuple[RuleGroup, ...], whole: RuleFile, spacing: Spacing) -> Cost:
    """Of `groups`, which are among those of `whole`."""
    recorded = _intervals(whole)
    samples = {
        group.name: sum(_samples(read, recorded, spacing) for rule in group.rules for read in reads_of(rule.expr))
        for group in groups
    }
    raw = [spacing.series.get(selector, 0) for selector in raw_selectors(groups, whole)]
    return Cost(
        rules=sum(len(group.rules) for group in groups),
        series_read=max(raw, default=0),
        samples_per_evaluation=round(sum(samples.values())),
        samples_per_s=round(sum(samples[group.name] / group.interval_s for group in groups), 3),
    )


def _intervals(whole: RuleFile) -> dict[str, float]:
    """Seconds between the samples of every recorded series; alerts are recorded, too."""
    recorded = {
        rule.record: float(group.interval_s)
        for group in whole.groups
        for rule in group.rules
        if isinstance(rule, RecordingRule)
    }
    return recorded | {ALERTS: 60.0} | {record: float(SPAN_S) for record in OF_SPANS & recorded.keys()}


def _samples(read: Read, recorded: Mapping[str, float], spacing: Spacing) -> float:
    every_s = recorded.get(_metric(read))
    per_series = 1.0
    if read.range_s:
        # Recorded samples lie exactly on the grid of evaluations, so both edges of a closed range hold one.
        at_edge = 1.0 if every_s is not None and not spacing.left_open else 0.0
        per_series = read.range_s / (every_s or spacing.scrape_interval_s) + at_edge
    found = spacing.series.get(read.selector, 0) if every_s is None else _recorded_series(read, spacing)
    return found * per_series * read.times


def _recorded_series(read: Read, spacing: Spacing) -> int:
    if _metric(read) == ALERTS:
        return 0
    once = _metric(read) in FOR_ALL_REGIONS or _OF_ONE_REGION in read.selector
    return 1 if once else spacing.regions


def _metric(read: Read) -> str:
    return read.selector.partition("{")[0]
