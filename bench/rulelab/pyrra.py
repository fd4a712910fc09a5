"""The rules that Pyrra writes for a latency SLO, with its default options (raw increase over the whole window).

Written anew from slo/rules.go and slo/slo.go: burn rates every 30 seconds over windows scaled by the SLO's window to 28 days
and rounded to minutes, each with its `for`; the increase over the window every 150 seconds; `absent` alerts that wait as
long as a total outage would take to page; and the generic rules that Grafana reads.
"""

from dataclasses import dataclass
from decimal import Decimal

from bench.rulelab.peer_slo import PeerSlo, peer_slo
from slo_rules import promql
from slo_rules.model import Slo
from slo_rules.rule_file import AlertingRule, Labels, RecordingRule, RuleFile, RuleGroup

MINUTE_S = 60
BASE_S = 28 * 86_400
BURN_INTERVAL_S = 30
INCREASE_INTERVAL_S = 150
"""Pyrra's for windows of 28 to 35 days; shorter and longer ones have others."""
INCREASE_WINDOWS_S = (28 * 86_400, 35 * 86_400)
SEVERITY = "severity"
CRITICAL, WARNING = "critical", "warning"


@dataclass(frozen=True, slots=True)
class PyrraWindow:
    """One of the four alerts."""

    severity: str
    for_s: int
    short_s: int
    long_s: int
    factor: Decimal


def windows(window_s: int) -> tuple[PyrraWindow, ...]:
    """Made for 28 days, and scaled to `window_s`."""

    def scaled(minutes: int) -> int:
        return _whole_minutes(window_s * minutes * MINUTE_S, BASE_S)

    table = (
        (CRITICAL, 2, 5, 60, 14),
        (CRITICAL, 15, 30, 6 * 60, 7),
        (WARNING, 60, 2 * 60, 24 * 60, 2),
        (WARNING, 3 * 60, 6 * 60, 4 * 24 * 60, 1),
    )
    return tuple(
        PyrraWindow(severity, scaled(waits), scaled(short), scaled(long), Decimal(factor))
        for severity, waits, short, long, factor in table
    )


def pyrra_rules(slo: Slo) -> RuleFile:
    """Three groups. `ValueError` for a window whose interval is not known here."""
    shortest_s, longest_s = INCREASE_WINDOWS_S
    if not shortest_s <= slo.window.seconds < longest_s:
        msg = f"{slo.id}: this generator knows windows of 28 to 35 days"
        raise ValueError(msg)
    peer = peer_slo(slo)
    return RuleFile(
        (
            RuleGroup(f"{slo.id}-increase", INCREASE_INTERVAL_S, (*_increases(peer), *_absents(peer))),
            RuleGroup(str(slo.id), BURN_INTERVAL_S, (*_burn_rates(peer), *_alerts(peer))),
            RuleGroup(f"{slo.id}-generic", BURN_INTERVAL_S, _generic(peer)),
        )
    )


def budget_left(slo: Slo) -> str:
    """What Pyrra shows as the remaining error budget."""
    peer = peer_slo(slo)
    return f"({promql.selector('pyrra_availability', *_named(slo))} - {peer.objective}) / {peer.budget}"


def _burn_name(peer: PeerSlo, window_s: int) -> str:
    return f"{peer.metric}:burnrate{promql.duration(window_s)}"


def _increase_name(peer: PeerSlo) -> str:
    return f"{peer.metric}:increase{promql.duration(peer.slo.window.seconds)}"


def _labels(slo: Slo) -> Labels:
    return (("slo", str(slo.id)),)


def _named(slo: Slo) -> tuple[promql.Matcher, ...]:
    return tuple(promql.equals(name, value) for name, value in _labels(slo))


def _threshold(peer: PeerSlo) -> str:
    return promql.number(peer.histogram.threshold)


def _increases(peer: PeerSlo) -> tuple[RecordingRule, ...]:
    window = promql.duration(peer.slo.window.seconds)
    labels = _labels(peer.slo)
    return (
        RecordingRule(_increase_name(peer), f"sum(increase({peer.requests()}[{window}]))", (*labels, ("le", ""))),
        RecordingRule(
            _increase_name(peer),
            f"sum(increase({peer.fast_requests()}[{window}]))",
            (*labels, ("le", _threshold(peer))),
        ),
    )


def _absents(peer: PeerSlo) -> tuple[AlertingRule, ...]:
    first = windows(peer.slo.window.seconds)[0]
    total_outage_s = int(first.factor * Decimal(peer.budget) * first.long_s)
    for_s = _whole_minutes(total_outage_s + first.for_s, 1)
    labels = (*_labels(peer.slo), (SEVERITY, CRITICAL))
    return (
        AlertingRule("SLOMetricAbsent", f"absent({peer.requests()}) == 1", for_s, labels, ()),
        AlertingRule(
            "SLOMetricAbsent", f"absent({peer.fast_requests()}) == 1", for_s, (*labels, ("le", _threshold(peer))), ()
        ),
    )


def _burn_rates(peer: PeerSlo) -> tuple[RecordingRule, ...]:
    lengths = sorted({length for w in windows(peer.slo.window.seconds) for length in (w.short_s, w.long_s)})
    return tuple(
        RecordingRule(_burn_name(peer, window_s), peer.error_ratio(window_s), _labels(peer.slo)) for window_s in lengths
    )


def _alerts(peer: PeerSlo) -> tuple[AlertingRule, ...]:
    return tuple(
        AlertingRule(
            "ErrorBudgetBurn",
            " and ".join(
                f"{promql.selector(_burn_name(peer, window_s), *_named(peer.slo))} > {peer.times_budget(w.factor)}"
                for window_s in (w.short_s, w.long_s)
            ),
            w.for_s,
            (
                *_labels(peer.slo),
                (SEVERITY, w.severity),
                ("short", promql.duration(w.short_s)),
                ("long", promql.duration(w.long_s)),
            ),
            (),
        )
        for w in windows(peer.slo.window.seconds)
    )


def _generic(peer: PeerSlo) -> tuple[RecordingRule, ...]:
    named, labels = _named(peer.slo), _labels(peer.slo)
    fast = promql.selector(_increase_name(peer), promql.equals("le", _threshold(peer)), *named)
    requests = promql.selector(_increase_name(peer), promql.equals("le", ""), *named)
    rates = tuple(f"sum(rate({series}[5m]))" for series in (peer.requests(), peer.fast_requests()))
    return (
        RecordingRule("pyrra_objective", f"vector({peer.objective})", labels),
        RecordingRule("pyrra_window", f"vector({peer.slo.window.seconds})", labels),
        RecordingRule("pyrra_availability", f"sum({fast} or vector(0)) / sum({requests})", labels),
        RecordingRule("pyrra_requests:rate5m", rates[0], labels),
        RecordingRule("pyrra_errors:rate5m", f"{rates[0]} - {rates[1]}", labels),
    )


def _whole_minutes(numerator: int, denominator: int) -> int:
    """Seconds rounded to the nearest minute, halves up, as Go rounds a duration."""
    minutes, rest = divmod(numerator, denominator * MINUTE_S)
    return (minutes + (2 * rest >= denominator * MINUTE_S)) * MINUTE_S
