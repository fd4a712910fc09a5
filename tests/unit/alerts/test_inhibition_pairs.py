"""Who mutes whom, for every alert there is: the whole list, so that a new alert or rule cannot silence one unseen."""

import itertools
import re
from pathlib import Path

import pytest

from alerts.inhibition import inhibitions
from tests.unit.alerts.mute_list import ALERTS, ALLOWED, labels_of, name_of

DOCUMENT = Path(__file__).resolve().parents[3] / "docs" / "alerting.md"
RULES = tuple(inhibition.render() for inhibition in inhibitions())
NEVER_MUTED = {
    "SLONoData",
    "ControllerGaveUp",
    "ControllerOutOfBudget",
    "ControllerDown",
    "GatewayDown",
    "RegionUnattended",
    "Watchdog",
}


def holds(matcher: str, labels: dict[str, str]) -> bool:
    """Alertmanager's matchers, as far as we write them."""
    label, operator, value = re.fullmatch(r'(\w+)(=~|!=|=)"(.*)"', matcher).groups()
    have = labels.get(label, "")
    return {"=": have == value, "!=": have != value, "=~": re.fullmatch(value, have) is not None}[operator]


def mutes(rule: dict, source: dict[str, str], target: dict[str, str]) -> bool:
    return (
        all(holds(matcher, source) for matcher in rule["source_matchers"])
        and all(holds(matcher, target) for matcher in rule["target_matchers"])
        and all(source.get(label, "") == target.get(label, "") for label in rule.get("equal", ()))
    )


def muted_pairs(without: str | None = None) -> set[tuple[str, str]]:
    """(cause, consequence) over all alerts and rules; `without` leaves one label away everywhere."""
    pairs = set()
    for source, target in itertools.permutations(ALERTS, 2):
        have = [{k: v for k, v in labels_of(alert).items() if k != without} for alert in (source, target)]
        if any(mutes(rule, *have) for rule in RULES):
            pairs.add((name_of(source), name_of(target)))
    return pairs


def test_an_alert_mutes_exactly_those_that_the_list_allows():
    assert muted_pairs() == ALLOWED


def test_the_page_about_alerting_names_every_alert_that_mutes_or_is_muted():
    text = DOCUMENT.read_text()
    assert [name for pair in ALLOWED for name in pair if f"`{name}`" not in text and "/" not in name] == []


def test_what_a_person_should_see_is_muted_by_nothing():
    assert {name_of(alert) for alert in ALERTS} >= NEVER_MUTED
    assert {target for _, target in muted_pairs()} & NEVER_MUTED == set()


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: " ".join(rule["target_matchers"]))
def test_two_alerts_that_lack_a_label_are_not_taken_for_the_same_thing(rule):
    for label in rule.get("equal", ()):
        nameless = [{k: v for k, v in labels_of(alert).items() if k != label} for alert in ALERTS]
        assert not any(mutes(rule, source, target) for source, target in itertools.permutations(nameless, 2))


def test_alerts_about_other_regions_machines_or_objectives_are_not_muted():
    for label in ("region", "slo"):
        pairs = {
            (name_of(source), name_of(target))
            for source, target in itertools.permutations(ALERTS, 2)
            for rule in RULES
            if label in rule.get("equal", ())
            and mutes(rule, labels_of(source), {**labels_of(target), label: "another"})
        }
        assert pairs == set()


def test_a_page_is_muted_only_by_a_page():
    severity = {name_of(alert): dict(alert.labels)["severity"] for alert in ALERTS}
    assert {severity[cause] for cause, consequence in muted_pairs() if severity[consequence] == "page"} == {"page"}
