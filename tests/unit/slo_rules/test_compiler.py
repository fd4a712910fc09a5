"""The compiler: what is recorded, what alerts, and what it refuses."""

import re
from datetime import date

import pytest
import yaml

from contracts import metric_names
from contracts.metric_names import (
    ALERT_SLO_BUCKET_MISSING,
    ALERT_SLO_BURN,
    ALERT_SLO_NO_DATA,
    LABEL_STATE,
    RULE_BUDGET_REMAINING,
    RULE_LATENCY_BUCKETS,
    RULE_LATENCY_QUANTILE,
    RULE_SLO_INFO,
    RULE_STATE,
)
from contracts.vocabulary import Region, SloId
from slo_rules.compiler import SLOS_MAX, compile_slos
from slo_rules.errors import SloError
from slo_rules.indicators import (
    ClassicHistogram,
    Composite,
    EventRatio,
    ExactCounters,
    GaugeBound,
    NativeHistogram,
    Part,
)
from slo_rules.model import Slo
from slo_rules.render import render_rules
from slo_rules.rule_file import RecordingRule, RuleFile
from slo_rules.windows import CalendarUnit, CalendarWindow, Exclusion, Slices
from slo_rules.words.annotations import literal

EU, US = Region("eu-west"), Region("us-east")
ONCE = "max without (prometheus, prometheus_replica)"


def slo(name: str = "speech", **fields) -> Slo:
    return Slo(SloId(name), **{"objective": 0.95, "indicator": ExactCounters(0.2), **fields})


def recordings(rule_file: RuleFile) -> dict[str, RecordingRule]:
    return {rule.record: rule for group in rule_file.groups for rule in group.rules if isinstance(rule, RecordingRule)}


def test_only_the_two_event_series_touch_raw_counters():
    rule_file = compile_slos((slo(),), (EU,))
    expressions = [rule.expr for group in rule_file.groups for rule in group.rules]
    raw = [expression for expression in expressions if metric_names.SLO_EVENTS_TOTAL in expression]
    assert raw == [
        f'60 * sum by (slo, region) ({ONCE} (rate(slo_events_total{{job="tts",slo="speech"}}[2m])))',
        f'60 * sum by (slo, region) ({ONCE} (rate(slo_events_total{{job="tts",slo="speech",outcome="bad"}}[2m])))',
    ]


def test_a_burn_alert_is_the_score_test_without_a_division():
    first = next(alert for alert in compile_slos((slo(),), (EU,)).alerts if alert.alert == ALERT_SLO_BURN)
    bad, total = 'slo:events_bad:inc1m{slo="speech"}', 'slo:events_total:inc1m{slo="speech"}'
    assert first.expr == (
        f"(sum_over_time({bad}[10m]) >= 9.5) > 0.5 * sum_over_time({total}[10m])"
        f" + 2.33 * sqrt(0.25 * sum_over_time({total}[10m]))"
        f" and sum_over_time({bad}[2m]) > 0.5 * sum_over_time({total}[2m])"
    )


def test_the_budget_is_divided_by_an_exact_number():
    budget = recordings(compile_slos((slo(),), ()))[RULE_BUDGET_REMAINING]
    assert budget.expr.endswith(" / 0.05")
    assert dict(budget.labels)["window"] == "30d"


def test_every_expected_region_has_its_own_missing_data_alert():
    alerts = [alert for alert in compile_slos((slo(),), (EU, US)).alerts if alert.alert == ALERT_SLO_NO_DATA]
    assert [dict(alert.labels)["region"] for alert in alerts] == [EU, US]
    assert [f'region="{region}"' in alert.expr for alert, region in zip(alerts, (EU, US), strict=True)] == [True, True]


def test_a_new_owner_changes_the_info_series_and_nothing_else():
    before = recordings(compile_slos((slo(owner="speech"),), (EU,)))
    after = recordings(compile_slos((slo(owner="platform"),), (EU,)))
    assert {name for name in before if before[name] != after[name]} == {RULE_SLO_INFO}
    first, second = (compile_slos((slo(owner=owner),), (EU,)).alerts for owner in ("speech", "platform"))
    assert first == second


def test_the_same_slos_give_the_same_bytes():
    slos = (slo("a"), slo("b", objective=0.99))
    assert render_rules(compile_slos(slos, (EU, US))) == render_rules(compile_slos(slos, (EU, US)))


def test_every_alert_says_what_how_and_where():
    for alert in compile_slos((slo(),), (EU,)).alerts:
        notes = dict(alert.annotations)
        assert {"summary", "description", "runbook", "dashboard"} <= set(notes)
        if alert.alert.startswith("SLO"):
            assert dict(alert.labels)["severity"] in {"page", "ticket"}
            assert "speech" in notes["description"]


def test_a_duplicate_id_is_refused():
    with pytest.raises(SloError) as caught:
        compile_slos((slo("a"), slo("a")), ())
    assert caught.value.field == "id"


def test_more_slos_than_one_prometheus_can_evaluate_are_refused():
    many = tuple(slo(f"s{index}") for index in range(SLOS_MAX + 1))
    with pytest.raises(SloError) as caught:
        compile_slos(many, ())
    assert caught.value.field == "slos"


def test_without_slos_the_fleet_is_still_watched():
    assert [group.name for group in compile_slos((), ()).groups] == ["fleet"]


@pytest.mark.parametrize("text", ["{{ query `up` }}", "{", "{{{", "}}", 'plain "text"'])
def test_outside_text_is_printed_by_the_template_engine_and_never_run(text):
    printed = re.sub(r'{{"{"}}', "{", literal(text))
    assert printed == text
    assert "{{" not in literal(text).replace('{{"{"}}', "")


def test_a_rendered_file_has_no_yaml_aliases():
    text = render_rules(compile_slos((slo(),), (EU, US)))
    assert "&id" not in text
    assert yaml.safe_load(text)["groups"][0]["interval"] == "1m"


TODAY = date(2026, 7, 9)
EVERY_SOURCE = (
    slo("exact"),
    slo("classic", indicator=ClassicHistogram('h{app="tts"}', 1), exclusions=(Exclusion(100, 200),)),
    slo("native", indicator=NativeHistogram("h", 1), window=CalendarWindow(CalendarUnit.DAY, "Europe/Berlin")),
    slo("ratio", indicator=EventRatio("t", bad="b"), depends_on=SloId("exact")),
    slo("gauge", indicator=GaugeBound("g", 5), slices=Slices(300), page_within_s=600.0),
    slo("all", indicator=Composite((Part(SloId("exact")), Part(SloId("classic"), 2)))),
)


def rules_of(name: str, rule_file: RuleFile) -> list[RecordingRule]:
    return [
        rule
        for group in rule_file.groups
        for rule in group.rules
        if isinstance(rule, RecordingRule) and rule.record == name
    ]


def test_every_slo_has_two_groups_and_every_recording_rule_its_own_identity():
    compiled = compile_slos(EVERY_SOURCE, (EU, US), TODAY)
    names = [group.name for group in compiled.groups]
    assert names[:2] == ["slo-exact", "slo-exact-budget"]
    assert len(set(names)) == len(names)
    identities = [
        (rule.record, rule.labels)
        for group in compiled.groups
        for rule in group.rules
        if isinstance(rule, RecordingRule)
    ]
    assert len(set(identities)) == len(identities)


def test_every_slo_has_four_states():
    states = rules_of(RULE_STATE, compile_slos(EVERY_SOURCE, (EU, US), TODAY))
    of_one = [dict(rule.labels)[LABEL_STATE] for rule in states if dict(rule.labels)["slo"] == "all"]
    assert of_one == ["no_data", "no_traffic", "breach", "ok"]


def test_a_histogram_is_read_once_for_all_slos_about_it():
    several = (slo("a"), slo("b", objective=0.99), slo("c", indicator=ClassicHistogram("h", 1)))
    compiled = compile_slos(several, (EU,))
    sources = [dict(rule.labels)["source"] for rule in rules_of(RULE_LATENCY_BUCKETS, compiled)]
    assert sources == ["h_bucket", 'tts_request_seconds_bucket{job="tts",sli="total"}']
    assert len(rules_of(RULE_LATENCY_QUANTILE, compiled)) == 9


def test_only_a_classic_histogram_can_lack_a_bucket():
    alerts = [it for it in compile_slos(EVERY_SOURCE, (EU,), TODAY).alerts if it.alert == ALERT_SLO_BUCKET_MISSING]
    assert [dict(alert.labels)["slo"] for alert in alerts] == ["classic"]


def test_what_may_change_about_an_slo_is_in_its_info_alone():
    info = dict(rules_of(RULE_SLO_INFO, compile_slos((slo(owner="speech"),), (EU,)))[0].labels)
    assert info == {
        "slo": "speech",
        "objective": "0.95",
        "promise": "within 0.2 s (total)",
        "sli": "total",
        "window": "30d",
        "owner": "speech",
    }


def test_a_calendar_window_needs_to_know_the_day():
    with pytest.raises(SloError) as caught:
        compile_slos((slo(window=CalendarWindow()),), (EU,))
    assert caught.value.field == "window"
    assert "today" in caught.value.fix


def test_a_child_that_burns_waits_for_its_parent_and_every_ancestor():
    chain = (slo("a"), slo("b", depends_on=SloId("a")), slo("c", depends_on=SloId("b")))
    page = next(
        alert
        for alert in compile_slos(chain, (EU,)).alerts
        if alert.alert == ALERT_SLO_BURN and dict(alert.labels)["slo"] == "c"
    )
    assert page.for_s == 60
    muted = page.expr.partition(" unless on (region) ")[2]
    assert 'slo="b",severity="page"' in muted
    assert 'slo="a",severity="page"' in muted


def test_an_alert_about_slices_speaks_of_slices():
    sliced = slo(slices=Slices(300, 0.9))
    notes = dict(compile_slos((sliced,), (EU,)).alerts[0].annotations)
    assert "of the time slices of SLO speech were bad" in notes["description"]
    assert "wanted: 95 % of 5m slices with 90 % within 0.2 s (total)" in notes["description"]
