"""What an objective costs its Prometheus: rules, series, and samples that one evaluation of all its rules reads.

Predicted from the compiled expressions for a Prometheus that has run for the whole window, because that is the cost which
stays. Recorded series have a sample a minute, raw ones a sample per scrape.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from contracts.metric_names import RULE_EVENTS_BAD_INC1M, RULE_EVENTS_TOTAL_INC1M
from controller.admission.reading import Read, reads_of
from slo_rules.rule_file import RuleFile, RuleGroup

RECORDED = (RULE_EVENTS_TOTAL_INC1M, RULE_EVENTS_BAD_INC1M)
RECORDED_EVERY_S = 60.0
SCRAPE_INTERVAL_S_ASSUMED = 15.0
"""Prometheus' own advice; used where no target is known."""


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
    """How dense the series are."""

    regions: int
    """Recorded series come in one per region."""
    scrape_interval_s: float
    left_open: bool
    """Ranges without the sample at their far edge: Prometheus 3."""


def raw_selectors(groups: Iterable[RuleGroup]) -> tuple[str, ...]:
    """Selectors whose series have to be counted before the cost is known, without repetition."""
    reads = (read for group in groups for rule in group.rules for read in reads_of(rule.expr))
    return tuple(dict.fromkeys(read.selector for read in reads if not _is_recorded(read)))


def groups_of(slo: str, rule_file: RuleFile) -> tuple[RuleGroup, ...]:
    """The groups that are there because of one objective: those whose rules carry its name."""
    return tuple(group for group in rule_file.groups if any(("slo", slo) in rule.labels for rule in group.rules))


def cost_of(groups: tuple[RuleGroup, ...], series: Mapping[str, int], spacing: Spacing) -> Cost:
    """`series`: how many there are of each of `raw_selectors`."""
    samples_by_group = {
        group.name: sum(_samples(read, series, spacing) for rule in group.rules for read in reads_of(rule.expr))
        for group in groups
    }
    return Cost(
        rules=sum(len(group.rules) for group in groups),
        series_read=max((series.get(selector, 0) for selector in raw_selectors(groups)), default=0),
        samples_per_evaluation=round(sum(samples_by_group.values())),
        samples_per_s=round(sum(samples_by_group[group.name] / group.interval_s for group in groups), 3),
    )


def _samples(read: Read, series: Mapping[str, int], spacing: Spacing) -> float:
    every_s = RECORDED_EVERY_S if _is_recorded(read) else spacing.scrape_interval_s
    per_series = 1.0
    if read.range_s:
        # Recorded samples lie exactly on the grid of evaluations, so both edges of a closed range hold one.
        at_edge = 1.0 if _is_recorded(read) and not spacing.left_open else 0.0
        per_series = read.range_s / every_s + at_edge
    found = spacing.regions if _is_recorded(read) else series.get(read.selector, 0)
    return found * per_series * read.times


def _is_recorded(read: Read) -> bool:
    return read.selector.startswith(RECORDED)
