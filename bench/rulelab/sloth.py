"""The rules that Sloth 0.16 writes for a latency SLO over 30 days, with its default options.

Written anew from what Sloth generates (its plugins sli_rules_v1, metadata_rules_v1 and alert_rules_v1, and the windows of
google-30d.yaml): seven error ratios, a period that is the mean of five-minute ratios, and alerts without `for`. Budgets are
exact decimals here; Sloth itself prints binary ones such as 0.0009999999999999432. Its groups carry no interval, so they run
at Prometheus' own, a minute.
"""

from decimal import Decimal

from bench.rulelab.peer_slo import PeerSlo, peer_slo
from slo_rules import promql
from slo_rules.model import Slo
from slo_rules.rule_file import AlertingRule, Labels, RecordingRule, RuleFile, RuleGroup

SERVICE = "tts"
INTERVAL_S = 60
DAY_S = 86_400
PERIOD_S = 30 * DAY_S
WINDOWS_S = (300, 1_800, 3_600, 7_200, 21_600, DAY_S, 3 * DAY_S)
PAGE = ((300, 3_600, Decimal("14.4")), (1_800, 21_600, Decimal(6)))
TICKET = ((7_200, DAY_S, Decimal(3)), (21_600, 3 * DAY_S, Decimal(1)))
"""(short window, long window, multiple of the error budget) of the two halves of an alert."""
BUDGET_LEFT = "slo:period_error_budget_remaining:ratio"
SEVERITY = "sloth_severity"


def sloth_rules(slo: Slo, labels: Labels = ()) -> RuleFile:
    """Three groups; `labels` are the user's own, which Sloth puts on every series. `ValueError` unless over 30 days."""
    if slo.window.seconds != PERIOD_S:
        msg = f"{slo.id}: Sloth's windows are made for 30 days"
        raise ValueError(msg)
    peer = peer_slo(slo)
    identity = (("sloth_id", sloth_id(slo)), ("sloth_service", SERVICE), ("sloth_slo", str(slo.id)))
    return RuleFile(
        (
            RuleGroup(f"sloth-slo-sli-recordings-{sloth_id(slo)}", INTERVAL_S, _sli_rules(peer, identity + labels)),
            RuleGroup(f"sloth-slo-meta-recordings-{sloth_id(slo)}", INTERVAL_S, _meta_rules(peer, identity + labels)),
            RuleGroup(f"sloth-slo-alerts-{sloth_id(slo)}", INTERVAL_S, _alerts(peer)),
        )
    )


def sloth_id(slo: Slo) -> str:
    """Sloth's own id of `slo`."""
    return f"{SERVICE}-{slo.id}"


def ratio_name(window_s: int) -> str:
    """The recorded error ratio over a window."""
    return f"slo:sli_error:ratio_rate{promql.duration(window_s)}"


def of(metric: str, slo: Slo) -> str:
    """A series that Sloth recorded for `slo`."""
    identity = (("sloth_id", sloth_id(slo)), ("sloth_service", SERVICE), ("sloth_slo", str(slo.id)))
    return promql.selector(metric, *(promql.equals(name, value) for name, value in identity))


def _sli_rules(peer: PeerSlo, labels: Labels) -> tuple[RecordingRule, ...]:
    five_minutes = f"{of(ratio_name(WINDOWS_S[0]), peer.slo)}[{promql.duration(PERIOD_S)}]"
    return (
        *(
            RecordingRule(
                ratio_name(window_s),
                peer.error_ratio(window_s),
                (*labels, ("sloth_window", promql.duration(window_s))),
            )
            for window_s in WINDOWS_S
        ),
        RecordingRule(
            ratio_name(PERIOD_S),
            f"sum_over_time({five_minutes}) / ignoring (sloth_window) count_over_time({five_minutes})",
            (("sloth_window", promql.duration(PERIOD_S)),),
        ),
    )


def _meta_rules(peer: PeerSlo, labels: Labels) -> tuple[RecordingRule, ...]:
    slo = peer.slo
    budget = f"/ on (sloth_id, sloth_slo, sloth_service) group_left {of('slo:error_budget:ratio', slo)}"
    rules = (
        ("slo:objective:ratio", f"vector({peer.objective})"),
        ("slo:error_budget:ratio", f"vector(1 - {peer.objective})"),
        ("slo:time_period:days", f"vector({PERIOD_S // DAY_S})"),
        ("slo:current_burn_rate:ratio", f"{of(ratio_name(WINDOWS_S[0]), slo)} {budget}"),
        ("slo:period_burn_rate:ratio", f"{of(ratio_name(PERIOD_S), slo)} {budget}"),
        (BUDGET_LEFT, f"1 - {of('slo:period_burn_rate:ratio', slo)}"),
    )
    info = (("sloth_mode", "cli-gen-prom"), ("sloth_spec", "prometheus/v1"), ("sloth_objective", peer.objective))
    return (
        *(RecordingRule(record, expr, labels) for record, expr in rules),
        RecordingRule("sloth_slo_info", "vector(1)", labels + info),
    )


def _alerts(peer: PeerSlo) -> tuple[AlertingRule, ...]:
    return tuple(
        AlertingRule("SlothBurn", " or ".join(_half(peer, *half) for half in halves), 0, ((SEVERITY, severity),), ())
        for severity, halves in (("page", PAGE), ("ticket", TICKET))
    )


def _half(peer: PeerSlo, short_s: int, long_s: int, factor: Decimal) -> str:
    above = (
        f"max({of(ratio_name(window_s), peer.slo)} > {peer.times_budget(factor)}) without (sloth_window)"
        for window_s in (short_s, long_s)
    )
    return f"({' and '.join(above)})"
