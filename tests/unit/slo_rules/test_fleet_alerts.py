"""The alerts about the machinery as values: each promises something, and speaks the words of the processes that it is about."""

import pytest

from contracts.metric_names import ALERT_WATCHDOG
from controller.core.helplessness import HelplessReason
from controller.core.signals import KNOWN, Trust
from controller.rules_ports import RulesStanding
from slo_rules.fleet import gpus, hosts, loop, watchers
from slo_rules.fleet.alert import NO_SEVERITY
from slo_rules.fleet_alerts import INTERVAL_S, fleet_alerts, fleet_group
from slo_rules.rule_file import AlertingRule
from slo_rules.words.done_so_far import DONE

MAKERS = [make for module in (hosts, gpus, loop, watchers) for make in module.ALERTS]


@pytest.mark.parametrize("make", MAKERS, ids=lambda make: make.__name__)
def test_every_alert_says_what_it_promises(make):
    assert (make.__doc__ or "").startswith("Promise: ")


def test_every_name_is_there_once_and_everything_that_is_made_is_in_the_group():
    rules = fleet_group().rules
    assert all(isinstance(rule, AlertingRule) for rule in rules)
    assert len({rule.alert for rule in rules if isinstance(rule, AlertingRule)}) == len(rules) == len(MAKERS)


def test_only_what_is_meant_to_fire_has_no_severity():
    assert [alert.name for alert in fleet_alerts() if alert.severity is None] == [ALERT_WATCHDOG]
    (watchdog,) = [alert.rule() for alert in fleet_alerts() if alert.severity is None]
    assert dict(watchdog.labels)["severity"] == NO_SEVERITY
    assert watchdog.for_s == 0


@pytest.mark.parametrize("alert", fleet_alerts(), ids=lambda alert: alert.name)
def test_what_was_done_is_told_exactly_where_a_region_can_be_asked_about(alert):
    annotations = dict(alert.rule().annotations)
    assert (DONE in annotations) is alert.of_region
    words = annotations["summary"] + annotations["description"]
    assert ("$labels.region" in words) is alert.of_region
    assert ("$labels.slo" in annotations.get(DONE, "")) is alert.of_slo


@pytest.mark.parametrize("alert", fleet_alerts(), ids=lambda alert: alert.name)
def test_patience_is_counted_in_evaluations(alert):
    assert alert.for_s % INTERVAL_S == 0


def test_the_words_are_those_that_the_controller_exports():
    assert {loop.PAUSED, loop.BUDGET_SPENT} <= {str(reason) for reason in HelplessReason}
    assert set(loop.UNTRUSTED.split("|")) == {str(trust) for trust in Trust if trust not in KNOWN}
    healthy = {RulesStanding.IN_STEP, RulesStanding.STANDBY, RulesStanding.NOT_OURS}
    assert set(loop.NOT_APPLIED.split("|")) == {str(state) for state in RulesStanding if state not in healthy}
