"""Findings about an objective, judged from facts alone: what will not work, what will surprise, what is worth knowing.

Each finding has a code of its own for scripts and a sentence with a fix for people. An `error` means that alerts would be
blind or wrong as things are; a `warning` that somebody should look. Neither keeps an objective from being created: it may well
be there before its traffic.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from controller.admission.cost import Cost
from controller.admission.facts import SloFacts, SourceFacts
from slo_rules import promql
from slo_rules.backtest import Backtest
from slo_rules.indicators import ClassicHistogram, Composite, ExactCounters, GaugeBound
from slo_rules.model import Slo
from slo_rules.rules.events import range_s_of

SCRAPES_PER_RANGE = 4
"""`rate` over fewer samples jumps with every late scrape, and is nothing when two are lost."""
SAMPLES_MAX = 1_000_000
"""Of one evaluation of all rules: about 0.1 s of one processor, every minute."""
PAGES_PER_DAY_MAX = 1.0
"""More often than that, nobody gets up any more."""
NAMES_MAX = 5
"""Targets named in one sentence."""


class Severity(StrEnum):
    """How much a finding matters."""

    ERROR = "error"
    WARNING = "warning"
    INFO = "info"


class Code(StrEnum):
    """What was found; stable, for scripts."""

    PROMETHEUS_SILENT = "prometheus_silent"
    METRIC_ABSENT = "metric_absent"
    NOT_COUNTED_YET = "not_counted_yet"
    NO_SERIES = "no_series"
    WRONG_TYPE = "wrong_type"
    NOT_A_BUCKET = "not_a_bucket"
    BUCKET_MISSING = "bucket_missing"
    LE_NOT_CANONICAL = "le_not_canonical"
    NOT_NATIVE = "not_native"
    SCRAPED_TOO_SLOWLY = "scraped_too_slowly"
    SCRAPE_INTERVAL_UNKNOWN = "scrape_interval_unknown"
    RETENTION_TOO_SHORT = "retention_too_short"
    RETENTION_UNKNOWN = "retention_unknown"
    TOO_MANY_SAMPLES = "too_many_samples"
    REGION_UNSEEN = "region_unseen"
    REGION_UNEXPECTED = "region_unexpected"
    NO_REGION_LABEL = "no_region_label"
    NO_HISTORY = "no_history"
    ESTIMATED = "estimated"
    HISTORY_WITH_GAPS = "history_with_gaps"
    PAGES_TOO_OFTEN = "pages_too_often"
    BUDGET_SPENT = "budget_spent"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that somebody should know about an objective."""

    severity: Severity
    code: Code
    field: str
    """Of the objective; empty when it is about the Prometheus."""
    problem: str
    fix: str


def prometheus_silent(reason: str) -> Finding:
    """Nothing else could be found out."""
    return Finding(
        Severity.WARNING,
        Code.PROMETHEUS_SILENT,
        "",
        f"Prometheus could not be asked: {reason}",
        "check it, and ask again: nothing about live data is known",
    )


def stand_in(source: str) -> Finding:
    """The past was read from something else than what will be counted."""
    return Finding(
        Severity.INFO,
        Code.ESTIMATED,
        "indicator",
        f"its past is estimated from {source}, which does not hold refused and failed requests",
        "nothing to do: once applied, every request is counted exactly",
    )


def judge(slo: Slo, facts: SloFacts, cost: Cost) -> tuple[Finding, ...]:
    """Everything that the facts say about `slo`, errors first."""
    found = (
        *_sources(slo, facts),
        *_buckets(slo, facts),
        *_native(facts),
        *_scrapes(slo, facts),
        *_retention(slo, facts),
        *_regions(slo, facts),
        *_cost(cost),
    )
    return in_order(found)


def judge_backtest(slo: Slo, past: Backtest) -> tuple[Finding, ...]:
    """What the past says about the objective itself."""
    found: list[Finding] = []
    events = sum(region.events for region in past.regions)
    if not past.regions or not events:
        why = "its parts have to be recorded first" if isinstance(slo.indicator, Composite) else "no events were found"
        found.append(
            Finding(Severity.INFO, Code.NO_HISTORY, "", f"there is no past to test it on: {why}", "ask again later")
        )
        return tuple(found)
    found += _pages(past)
    for region in past.regions:
        if region.budget_left < 0:
            found.append(
                Finding(
                    Severity.WARNING,
                    Code.BUDGET_SPENT,
                    "objective",
                    f"the budget of {region.region or 'all'} would be overspent now: {region.budget_left:.0%} left",
                    "promise what is kept today, and raise it when that has improved",
                )
            )
        if region.coverage < 0.9:  # noqa: PLR2004  # a tenth of the window unseen, said by the message
            found.append(
                Finding(
                    Severity.INFO,
                    Code.HISTORY_WITH_GAPS,
                    "",
                    f"only {region.coverage:.0%} of the minutes of {region.region or 'all'} have data",
                    "read the budget with that in mind",
                )
            )
    return in_order(tuple(found))


def in_order(found: tuple[Finding, ...]) -> tuple[Finding, ...]:
    """Errors, then warnings, then the rest; otherwise as found."""
    return tuple(sorted(found, key=lambda finding: list(Severity).index(finding.severity)))


def _sources(slo: Slo, facts: SloFacts) -> Iterator[Finding]:
    for source in facts.sources:
        if source.series:
            yield from _type(source)
        elif isinstance(slo.indicator, ExactCounters):
            yield Finding(
                Severity.INFO,
                Code.NOT_COUNTED_YET,
                "indicator",
                "no replica counts it yet",
                "apply it: replicas count within seconds, and its past begins then",
            )
        elif source.metric_exists:
            # Of failures there may be none yet; of everything there should be some.
            yield Finding(
                Severity.WARNING if source.role in {"bad", "good"} else Severity.ERROR,
                Code.NO_SERIES,
                f"indicator.{source.role}",
                f"{' and '.join(source.metrics)} exists, but no series of it fits {source.selector}",
                "correct the labels",
            )
        else:
            yield Finding(
                Severity.WARNING,
                Code.METRIC_ABSENT,
                f"indicator.{source.role}",
                f"Prometheus knows no {' or '.join(source.metrics)}",
                "correct the name, or send the first request if the software is new",
            )


def _type(source: SourceFacts) -> Iterator[Finding]:
    wanted = {"gauge": ("gauge",), "selector": ("histogram",)}.get(source.role, ("counter", "histogram", "summary"))
    if source.metric_type not in {"", "unknown", "untyped", *wanted}:
        yield Finding(
            Severity.WARNING,
            Code.WRONG_TYPE,
            f"indicator.{source.role}",
            f"{source.metrics[0]} says that it is a {source.metric_type}, wanted is a {wanted[0]}",
            "choose the metric that counts events" if wanted[0] == "counter" else f"choose a {wanted[0]}",
        )


def _buckets(slo: Slo, facts: SloFacts) -> Iterator[Finding]:
    if facts.buckets is None or not isinstance(slo.indicator, ClassicHistogram) or not facts.buckets.edges:
        return
    threshold, without = slo.indicator.threshold, facts.buckets.without_threshold
    spelled = [edge for edge in facts.buckets.edges if float(edge) == threshold]
    if not spelled:
        yield Finding(
            Severity.ERROR,
            Code.NOT_A_BUCKET,
            "indicator.threshold",
            f"{promql.number(threshold)} is the edge of no bucket: what lies on either side of it cannot be told apart",
            f"use {_nearest(facts.buckets.edges, threshold)}, or give the histogram that bucket",
        )
        return
    if without:
        yield Finding(
            Severity.ERROR,
            Code.BUCKET_MISSING,
            "indicator.threshold",
            f"{len(without)} targets report no bucket at {promql.number(threshold)}: {_names(without)}",
            "give every replica the same buckets; until then these are not counted",
        )
    if any(edge != _canonical(threshold) for edge in spelled):
        yield Finding(
            Severity.INFO,
            Code.LE_NOT_CANONICAL,
            "indicator.threshold",
            f"the bucket is written {' and '.join(f'le={edge!r}' for edge in spelled)}; Prometheus 3 writes {_canonical(threshold)!r}",
            "nothing to do: the rules match both",
        )


def _native(facts: SloFacts) -> Iterator[Finding]:
    if facts.native_series == 0 and any(source.series for source in facts.sources):
        yield Finding(
            Severity.ERROR,
            Code.NOT_NATIVE,
            "indicator.selector",
            "the series hold no native histograms",
            "let Prometheus scrape them (--enable-feature=native-histograms), or use kind classic_histogram",
        )


def _scrapes(slo: Slo, facts: SloFacts) -> Iterator[Finding]:
    if isinstance(slo.indicator, Composite) or not any(source.series for source in facts.sources):
        return
    wanted_s = range_s_of(slo) / (1 if isinstance(slo.indicator, GaugeBound) else SCRAPES_PER_RANGE)
    if facts.scrape_interval_s is None:
        yield Finding(
            Severity.INFO,
            Code.SCRAPE_INTERVAL_UNKNOWN,
            "",
            "no target of these series is known here",
            f"see that whoever sends them does so every {wanted_s:g} s or faster",
        )
    elif facts.scrape_interval_s > wanted_s:
        yield Finding(
            Severity.ERROR,
            Code.SCRAPED_TOO_SLOWLY,
            "",
            f"it is scraped every {facts.scrape_interval_s:g} s, the rules need {wanted_s:g} s or faster",
            f"set scrape_interval: {wanted_s:g}s for that job",
        )


def _retention(slo: Slo, facts: SloFacts) -> Iterator[Finding]:
    kept_s, window_s = facts.server.retention_s, slo.window.longest_s
    if kept_s is None:
        yield Finding(
            Severity.INFO,
            Code.RETENTION_UNKNOWN,
            "window",
            "Prometheus does not say for how long it keeps samples",
            f"see that it keeps {promql.duration(window_s)}",
        )
    elif kept_s < window_s:
        yield Finding(
            Severity.ERROR,
            Code.RETENTION_TOO_SHORT,
            "window",
            f"Prometheus keeps {promql.duration(kept_s)}, the window has up to {promql.duration(window_s)}",
            f"start it with --storage.tsdb.retention.time={promql.duration(window_s)}, or take a shorter window",
        )


def _regions(slo: Slo, facts: SloFacts) -> Iterator[Finding]:
    if isinstance(slo.indicator, Composite) or not any(source.series for source in facts.sources):
        return
    seen, expected = set(facts.regions_seen), set(facts.regions_expected)
    if any(not target.region for source in facts.sources for target in source.targets):
        yield Finding(
            Severity.WARNING,
            Code.NO_REGION_LABEL,
            "indicator",
            "series without a region label add up to one nameless region, and each expected region counts as silent",
            "give the scrape job a region label",
        )
    if seen and expected - seen:
        yield Finding(
            Severity.WARNING,
            Code.REGION_UNSEEN,
            "indicator",
            f"nothing is reported from {', '.join(sorted(expected - seen))}: missing data would be told there",
            "scrape it, or correct the labels",
        )
    if expected and seen - expected:
        yield Finding(
            Severity.INFO,
            Code.REGION_UNEXPECTED,
            "indicator",
            f"{', '.join(sorted(seen - expected))} reports too, though no gateway or agent is known there",
            "nothing to do: its events count, but its silence would not be told",
        )


def _cost(cost: Cost) -> Iterator[Finding]:
    if cost.samples_per_evaluation > SAMPLES_MAX:
        yield Finding(
            Severity.WARNING,
            Code.TOO_MANY_SAMPLES,
            "indicator",
            f"one evaluation reads {cost.samples_per_evaluation:,} samples",
            "select fewer series, or aggregate them first",
        )


def _pages(past: Backtest) -> Iterator[Finding]:
    days = (past.ends_unix_s - past.starts_unix_s) / 86_400
    if days > 0 and past.pages > 1 and past.pages / days > PAGES_PER_DAY_MAX:
        yield Finding(
            Severity.WARNING,
            Code.PAGES_TOO_OFTEN,
            "objective",
            f"it would have paged {past.pages} times in {days:.1f} days",
            "lower the objective, or allow a longer page_within_s",
        )


def _nearest(edges: tuple[str, ...], threshold: float) -> str:
    finite = sorted({float(edge) for edge in edges} - {float("inf")})
    below = [edge for edge in finite if edge < threshold][-1:]
    above = [edge for edge in finite if edge > threshold][:1]
    return " or ".join(promql.number(edge) for edge in below + above) or "another histogram"


def _canonical(threshold: float) -> str:
    """As Prometheus 3 and the OpenMetrics text format write it: `1.0`, `0.25`."""
    return str(float(threshold))


def _names(targets: tuple[str, ...]) -> str:
    more = f" and {len(targets) - NAMES_MAX} more" if len(targets) > NAMES_MAX else ""
    return ", ".join(targets[:NAMES_MAX]) + more
