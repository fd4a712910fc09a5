"""The rules that ours are compared with are those that Sloth and Pyrra write, down to the text: else the comparison is unfair."""

import numpy as np
import pytest

from bench.rulelab.peer_slo import peer_slo
from bench.rulelab.promtool import notation
from bench.rulelab.pyrra import budget_left, pyrra_rules, windows
from bench.rulelab.replay import plan
from bench.rulelab.sloth import sloth_rules
from bench.rulelab.traffic import Flow, exact_slo, histogram_slo
from slo_rules.rule_file import AlertingRule, RecordingRule, RuleFile

SLO = histogram_slo("x", 0.95)
REQUESTS = 'tts_request_duration_seconds_count{job="tts",scene="x"}'
FAST = 'tts_request_duration_seconds_bucket{job="tts",scene="x",le="0.2"}'
SLOTH_ID = 'sloth_id="tts-x-9500",sloth_service="tts",sloth_slo="x-9500"'


def recorded(rules: RuleFile, record: str) -> list[RecordingRule]:
    found = [rule for group in rules.groups for rule in group.rules if isinstance(rule, RecordingRule)]
    return [rule for rule in found if rule.record == record]


def labelled(rules: RuleFile, name: str, value: str) -> list[AlertingRule]:
    return [alert for alert in rules.alerts if (name, value) in alert.labels]


def ratio(window: str) -> str:
    return f"(sum(rate({REQUESTS}[{window}])) - sum(rate({FAST}[{window}]))) / sum(rate({REQUESTS}[{window}]))"


def test_sloth_records_an_error_ratio_per_window_of_its_catalogue():
    rules = sloth_rules(SLO)
    for window in ("5m", "30m", "1h", "2h", "6h", "1d", "3d"):
        (rule,) = recorded(rules, f"slo:sli_error:ratio_rate{window}")
        assert rule.expr == ratio(window)
        assert ("sloth_window", window) in rule.labels


def test_sloths_period_is_the_mean_of_five_minute_ratios():
    five = f"slo:sli_error:ratio_rate5m{{{SLOTH_ID}}}[30d]"
    (rule,) = recorded(sloth_rules(SLO), "slo:sli_error:ratio_rate30d")
    assert rule.expr == f"sum_over_time({five}) / ignoring (sloth_window) count_over_time({five})"
    assert rule.labels == (("sloth_window", "30d"),)


def test_sloth_pages_and_tickets_without_waiting():
    rules = sloth_rules(SLO)

    def half(short: str, long: str, factor: str) -> str:
        above = (
            f"max(slo:sli_error:ratio_rate{window}{{{SLOTH_ID}}} > ({factor} * 0.05)) without (sloth_window)"
            for window in (short, long)
        )
        return f"({' and '.join(above)})"

    (page,) = labelled(rules, "sloth_severity", "page")
    (ticket,) = labelled(rules, "sloth_severity", "ticket")
    assert page.expr == f"{half('5m', '1h', '14.4')} or {half('30m', '6h', '6')}"
    assert ticket.expr == f"{half('2h', '1d', '3')} or {half('6h', '3d', '1')}"
    assert page.for_s == ticket.for_s == 0


def test_sloth_puts_the_users_labels_on_every_series_but_the_period():
    rules = sloth_rules(SLO, (("owner", "speech"),))
    without = {
        rule.record
        for group in rules.groups
        for rule in group.rules
        if isinstance(rule, RecordingRule) and ("owner", "speech") not in rule.labels
    }
    assert without == {"slo:sli_error:ratio_rate30d"}


@pytest.mark.parametrize(
    ("days", "expected"),
    [
        (28, [(2, 5, 60, 14), (15, 30, 360, 7), (60, 120, 1440, 2), (180, 360, 5760, 1)]),
        # 30/28 of them, rounded: 5m21s is 5m, 4d6h51m26s is 4d6h51m
        (30, [(2, 5, 64, 14), (16, 32, 386, 7), (64, 129, 1543, 2), (193, 386, 6171, 1)]),
    ],
)
def test_pyrras_windows_scale_with_the_slos(days, expected):
    found = [(w.for_s // 60, w.short_s // 60, w.long_s // 60, int(w.factor)) for w in windows(days * 86_400)]
    assert found == expected


def test_pyrra_alerts_on_burn_rates_and_waits():
    first, *_ = labelled(pyrra_rules(SLO), "severity", "critical")[2:]
    burn = "tts_request_duration_seconds:burnrate"
    assert first.expr == f'{burn}5m{{slo="x-9500"}} > (14 * 0.05) and {burn}1h4m{{slo="x-9500"}} > (14 * 0.05)'
    assert first.for_s == 120
    (rule,) = recorded(pyrra_rules(SLO), f"{burn}1h4m")
    assert rule.expr == ratio("1h4m")


def test_pyrra_waits_with_a_missing_metric_as_long_as_a_total_outage_takes_to_page():
    absent = [alert for alert in pyrra_rules(SLO).alerts if alert.alert == "SLOMetricAbsent"]
    assert [alert.expr for alert in absent] == [f"absent({REQUESTS}) == 1", f"absent({FAST}) == 1"]
    assert {alert.for_s for alert in absent} == {47 * 60}  # 14 · 0.05 · 64 min, and 2 min


def test_pyrras_budget_is_made_of_raw_increases_over_the_whole_window():
    rules = pyrra_rules(SLO)
    increases = recorded(rules, "tts_request_duration_seconds:increase30d")
    assert [rule.expr for rule in increases] == [f"sum(increase({REQUESTS}[30d]))", f"sum(increase({FAST}[30d]))"]
    assert [group.interval_s for group in rules.groups] == [150, 30, 30]
    assert budget_left(SLO) == '(pyrra_availability{slo="x-9500"} - 0.95) / 0.05'


def test_peers_are_compared_on_a_histogram_only():
    with pytest.raises(TypeError, match="classic histogram"):
        peer_slo(exact_slo("x", 0.95))


def test_the_truth_about_a_budget_is_counted():
    flow = Flow(np.array([90, 100]), np.array([10, 0]))
    assert flow.budget_left(0.9) == pytest.approx([0.0, 0.5])


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ([0, 300, 600, 600, 600], "0+300x2 600+0x1"),
        ([5], "5+0x0"),
        ([0, 0, 0, 7, 7], "0+0x2 7+0x1"),
    ],
)
def test_counters_are_told_to_promtool_in_runs(values, text):
    assert notation(values) == text


def test_a_replay_records_what_an_expression_needs_and_history_only_where_a_range_reads_it():
    rules = sloth_rules(SLO)
    page = [alert.expr for alert in labelled(rules, "sloth_severity", "page")]
    assert {(step.rule.record, step.level, step.back) for step in plan(rules, page)} == {
        (f"slo:sli_error:ratio_rate{window}", 0, False) for window in ("5m", "30m", "1h", "6h")
    }
    budget = plan(rules, [f"slo:period_error_budget_remaining:ratio{{{SLOTH_ID}}}"])
    assert {step.rule.record: (step.level, step.back) for step in budget} == {
        "slo:sli_error:ratio_rate5m": (0, True),
        "slo:error_budget:ratio": (0, False),
        "slo:sli_error:ratio_rate30d": (1, False),
        "slo:period_burn_rate:ratio": (2, False),
        "slo:period_error_budget_remaining:ratio": (3, False),
    }
