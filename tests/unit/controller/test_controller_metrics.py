"""What the controller exports about its own limits and deeds: bounded, named in contracts, and gone when it is over."""

from dataclasses import replace

import pytest
from prometheus_client.parser import text_string_to_metric_families

from contracts import metric_names as names
from controller.action_series import ACTIONS_MAX, KEEP_S, SUMMARY_CHARS_MAX
from controller.core.actions import ActionRecord, Expectation, Measure, ResetGpu, Restart, Shift, Stage, Verdict
from controller.core.decision import Hold
from controller.core.findings import Cause, Finding
from controller.core.fleet import Fleet, RegionShare, TrafficIntent
from controller.core.helplessness import Helpless, HelplessReason
from controller.core.narration import REFUSAL_EVIDENCE, Narrator, tell_decision
from controller.core.refusals import StaleSignals
from controller.core.story import TickRecord
from controller.loop import LoopView
from controller.metrics import HELPLESS_MAX, ControllerMetrics

NOW = 1_700_000_000.0
RESTART = Restart("eu-west-a", "eu-west", "eu-west-a-0", 1, graceful=True)


class NoFleet:
    def fleet(self) -> Fleet:
        return Fleet(hosts=())


@pytest.fixture
def metrics():
    return ControllerMetrics(NoFleet())


def record(number=1, age_s=60.0, **fields):
    values = {
        "id": f"a{number}",
        "action": RESTART,
        "cause": "It is slow.",
        "evidence": (),
        "expectation": Expectation("replica=eu-west-a-0", 60.0, Measure(0, 0, 0, 0), "speech"),
        "stage": Stage.VERIFYING,
        "epoch": 1,
        "intended_unix_s": NOW - age_s,
        "stage_unix_s": NOW - age_s,
        "stage_deadline_unix_s": NOW + 30,
    }
    return ActionRecord(**(values | fields))


def closed(number, age_s, verdict=Verdict.IMPROVED):
    return record(number, age_s, stage=Stage.CLOSED, verdict=verdict)


def leading(*actions, helpless=()):
    return LoopView(leader=True, epoch=3, ticked_unix_s=NOW, actions=actions, helpless=helpless)


def series(metrics, name):
    families = text_string_to_metric_families(metrics.render().decode())
    return {
        tuple(sorted(sample.labels.items())): sample.value
        for family in families
        for sample in family.samples
        if sample.name == name
    }


def told(metrics):
    return [dict(labels) for labels in series(metrics, names.CONTROLLER_ACTION_BEGUN_TIMESTAMP_SECONDS)]


def test_exactly_the_names_of_the_contract_are_exported(metrics):
    metrics.seen(leading(record(), helpless=(Helpless("eu-west", HelplessReason.NO_CAPACITY, None),)))
    promised = {value for name, value in vars(names).items() if name.startswith("CONTROLLER_")}
    exported = {family.name for family in text_string_to_metric_families(metrics.render().decode())}
    assert exported == {name.removesuffix("_total") for name in promised}


def test_an_open_action_is_told_with_what_it_does_and_where_it_stands(metrics):
    metrics.seen(leading(record()))
    assert series(metrics, names.CONTROLLER_ACTION_BEGUN_TIMESTAMP_SECONDS) == {
        (
            ("action", "a1"),
            ("kind", "restart"),
            ("region", "eu-west"),
            ("slo", "speech"),
            ("stage", "verifying"),
            ("subject", "eu-west-a-0"),
            ("summary", "restart eu-west-a-0 after a drain"),
            ("verdict", ""),
        ): NOW - 60.0
    }


def test_a_stage_that_is_left_is_no_series_any_more(metrics):
    metrics.seen(leading(record()))
    metrics.seen(leading(closed(1, 60.0)))
    assert [(each["stage"], each["verdict"]) for each in told(metrics)] == [("closed", "improved")]


def test_what_closed_long_ago_is_left_out_and_what_is_open_stays_however_old(metrics):
    old = replace(record(3, 2 * KEEP_S), action=ResetGpu("h", "eu-west", "GPU-1", "h GPU 0", "xid 48"))
    metrics.seen(leading(closed(1, KEEP_S - 1), closed(2, KEEP_S + 1), old))
    assert {each["action"] for each in told(metrics)} == {"a1", "a3"}


def test_only_the_newest_are_told_and_open_ones_before_closed_ones(metrics):
    metrics.seen(leading(record(0, 3_000.0), *(closed(n, float(n)) for n in range(1, 2 * ACTIONS_MAX))))
    assert {each["action"] for each in told(metrics)} == {f"a{n}" for n in range(ACTIONS_MAX)}


def test_what_was_done_in_one_region_is_told_however_much_was_done_in_another(metrics):
    busy = [closed(n, float(n)) for n in range(1, 2 * ACTIONS_MAX)]
    quiet = closed("-shift", 3_000.0)
    metrics.seen(leading(*busy, replace(quiet, action=replace(RESTART, region="us-east"))))
    assert len(told(metrics)) == ACTIONS_MAX
    assert [each["action"] for each in told(metrics) if each["region"] == "us-east"] == ["a-shift"]


def test_a_summary_of_many_gateways_is_cut(metrics):
    gateways = [f"region-{n:03}" for n in range(60)]
    before = TrafficIntent(tuple(RegionShare(each, each, 1.0) for each in gateways))
    after = TrafficIntent(tuple(RegionShare(each, "elsewhere", 1.0) for each in gateways))
    metrics.seen(leading(record(action=Shift("region-000", before, after))))
    (only,) = told(metrics)
    assert len(only["summary"]) == SUMMARY_CHARS_MAX
    assert only["summary"].endswith("…")


def test_helplessness_is_one_while_it_lasts_and_absent_afterwards(metrics):
    helpless = (
        Helpless("eu-west", HelplessReason.BUDGET_SPENT, "speech"),
        Helpless("us-east", HelplessReason.NEEDS_PERSON, None),
    )
    metrics.seen(leading(helpless=helpless))
    assert series(metrics, names.CONTROLLER_HELPLESS) == {
        (("reason", "budget_spent"), ("region", "eu-west"), ("slo", "speech")): 1.0,
        (("reason", "needs_person"), ("region", "us-east"), ("slo", "")): 1.0,
    }
    metrics.seen(leading())
    assert series(metrics, names.CONTROLLER_HELPLESS) == {}


def test_helplessness_in_a_thousand_places_is_not_told_of_a_thousand_and_one(metrics):
    many = tuple(Helpless(f"r{n}", HelplessReason.NO_DATA, None) for n in range(HELPLESS_MAX + 1))
    metrics.seen(leading(helpless=many))
    assert len(series(metrics, names.CONTROLLER_HELPLESS)) == HELPLESS_MAX


def test_who_does_not_lead_any_more_tells_nothing_of_what_it_saw(metrics):
    view = replace(leading(record(), helpless=(Helpless("eu-west", HelplessReason.PAUSED, None),)), paused=True)
    metrics.seen(view)
    assert series(metrics, names.CONTROLLER_PAUSED) == {(): 1.0}
    metrics.seen(replace(view, leader=False))
    assert told(metrics) == []
    assert series(metrics, names.CONTROLLER_HELPLESS) == {}
    assert series(metrics, names.CONTROLLER_PAUSED) == {(): 0.0}
    assert series(metrics, names.CONTROLLER_EPOCH) == {(): 3.0}


def test_a_refusal_is_counted_by_its_type_and_every_type_is_there_at_zero(metrics):
    held = Narrator.of(NOW, 1, "t").line("hold", "eu-west", "It is slow.", ((REFUSAL_EVIDENCE, "StaleSignals"),))
    metrics.written(TickRecord(decisions=(held, held)))
    counted = {
        dict(labels)["reason"]: value for labels, value in series(metrics, names.CONTROLLER_REFUSALS_TOTAL).items()
    }
    assert counted.pop("StaleSignals") == 2
    assert set(counted.values()) == {0}
    assert "NoSpareCapacity" in counted


def test_a_finding_that_nothing_may_be_done_about_is_told_with_the_type_of_its_refusal():
    finding = Finding(Cause.OVERLOAD, "eu-west", "eu-west", NOW - 30, "It is slow.", ())
    line = tell_decision(Hold(finding, StaleSignals("eu-west", "late"), ("restart",)), Narrator.of(NOW, 1, "t"))
    assert (REFUSAL_EVIDENCE, "StaleSignals") in line.evidence
