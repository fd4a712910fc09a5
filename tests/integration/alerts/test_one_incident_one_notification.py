"""One incident, one notification: the real Alertmanager, everything of a region breaking at once, and what is told."""

import itertools
from datetime import UTC, datetime

import pytest

from slo_rules.tiers import LADDER
from tests.unit.alerts.mute_list import ALERTS, ALLOWED, labels_of, name_of

pytestmark = pytest.mark.alertmanager
SLOS = ("speech", "first-audio", "long-texts", "voices", "errors")


def alert(name: str, severity: str, region: str, *, over: bool = False, **labels: str) -> dict:
    now = datetime.now(tz=UTC)
    ends = {"endsAt": now.isoformat()} if over else {}
    return {
        "labels": {"alertname": name, "severity": severity, "region": region, **labels},
        "annotations": {"summary": f"{name} in {region}"},
        "startsAt": now.isoformat(),
        **ends,
    }


def outage_of(region: str) -> list[dict]:
    """5 objectives × 4 tiers and their missing data, the gateway, 6 agents and 24 replicas: 56 alerts."""
    return [
        *(
            alert("SLOBurn", rung.severity.value, region, slo=slo, tier=str(rung.number))
            for slo, rung in itertools.product(SLOS, LADDER)
        ),
        *(alert("SLONoData", "page", region, slo=slo) for slo in SLOS),
        alert("GatewayDown", "page", region),
        *(alert("AgentDown", "ticket", region, host=f"host-{host}") for host in range(6)),
        *(
            alert("ReplicaDown", "ticket", region, host=f"host-{host}", replica=f"host-{host}-{slot}")
            for host, slot in itertools.product(range(6), range(4))
        ),
    ]


def about(bodies: list[dict], region: str) -> list[dict]:
    return [body for body in bodies if region in str(body)]


def test_an_outage_of_a_region_is_one_page_and_no_ticket(people, wait_until):
    region = "eu-west"
    sent = outage_of(region)
    assert len(sent) == 56
    people.alertmanager.fire(*sent)
    wait_until(lambda: about(people.fleet.told("/pagerduty"), region), within_s=30, what="somebody is paged")
    # Tickets of another region are sent later, with the same patience: had any of this one been due, they came before.
    people.alertmanager.fire(alert("ReplicaDown", "ticket", "elsewhere"))
    wait_until(lambda: about(people.fleet.told("/chat"), "elsewhere"), within_s=30, what="a ticket of another region")
    assert len(about(people.fleet.told("/slack"), region)) == 1
    (page,) = about(people.fleet.told("/pagerduty"), region)
    assert page["payload"]["summary"] == "[PAGE] eu-west, 11 alerts: SLOBurn in eu-west"
    assert about(people.fleet.told("/chat"), region) == []

    known = people.alertmanager.alerts(region=region)
    assert len(known) == len(sent)
    told = [each for each in known if not each["status"]["inhibitedBy"]]
    names = sorted({(each["labels"]["alertname"], each["labels"].get("tier")) for each in told}, key=str)
    assert names == [("GatewayDown", None), ("SLOBurn", "1"), ("SLONoData", None)]

    # What breaks later belongs to the same incident, and so does its end.
    people.alertmanager.fire(alert("SLONoData", "page", region, slo="a-late-one"))
    wait_until(lambda: len(about(people.fleet.told("/pagerduty"), region)) == 2, within_s=30, what="an update")
    still_down = "host-3-2"
    people.alertmanager.fire(
        *(
            {**each, "endsAt": datetime.now(tz=UTC).isoformat()}
            for each in [*sent, alert("SLONoData", "page", region, slo="a-late-one")]
            if each["labels"].get("replica") != still_down
        )
    )

    def actions() -> list[str]:
        return [event["event_action"] for event in about(people.fleet.told("/pagerduty"), region)]

    wait_until(lambda: "resolve" in actions(), within_s=30, what="the end is told")
    assert len({event["dedup_key"] for event in about(people.fleet.told("/pagerduty"), region)}) == 1

    # A machine that is still away when the page is over is told then.
    wait_until(lambda: about(people.fleet.told("/chat"), still_down), within_s=30, what="the ticket that waited")


def test_a_cold_start_in_which_every_tier_fires_pages_once(people, wait_until):
    region = "cold-start"
    people.alertmanager.fire(
        *(alert("SLOBurn", rung.severity.value, region, slo="speech", tier=str(rung.number)) for rung in LADDER)
    )
    wait_until(lambda: about(people.fleet.told("/slack"), region), within_s=30, what="a page")
    people.alertmanager.fire(alert("SLOBurn", "ticket", "mild", slo="speech", tier="4"))
    wait_until(lambda: about(people.fleet.told("/chat"), "mild"), within_s=30, what="a ticket of another region")
    assert about(people.fleet.told("/chat"), region) == []
    (page,) = about(people.fleet.told("/pagerduty"), region)
    assert page["payload"]["summary"].startswith("[PAGE] cold-start: ")


def test_a_call_for_help_is_told_at_once_and_by_itself_while_its_region_is_paged(people, wait_until):
    region = "helpless"
    people.alertmanager.fire(alert("SLOBurn", "page", region, slo="speech", tier="1"))
    wait_until(lambda: about(people.fleet.told("/pagerduty"), region), within_s=30, what="the page")
    people.alertmanager.fire(
        alert("ControllerGaveUp", "page", region, slo="speech"),
        alert("ControllerOutOfBudget", "page", region, slo="voices"),
    )
    wait_until(lambda: len(about(people.fleet.told("/pagerduty"), region)) == 2, within_s=30, what="the call for help")
    page, call = about(people.fleet.told("/pagerduty"), region)
    assert page["payload"]["severity"] == "error"
    assert call["payload"]["severity"] == "critical"
    assert call["dedup_key"] != page["dedup_key"]
    assert call["payload"]["summary"].startswith("[PAGE] helpless, 2 alerts: ")


def test_what_has_no_region_is_one_page_too(people, wait_until):
    people.alertmanager.fire(
        alert("ControllerDown", "page", ""), alert("ControlLoopStuck", "page", ""), alert("NoLeader", "page", "")
    )

    def pages() -> list[dict]:
        return [body for body in people.fleet.told("/pagerduty") if "[PAGE] fleet" in body["payload"]["summary"]]

    wait_until(pages, within_s=30, what="a page without a region")
    (page,) = pages()
    assert page["payload"]["summary"] == "[PAGE] fleet: ControllerDown in "


def test_alertmanager_mutes_exactly_what_the_list_allows(people, wait_until):
    everything = [{"labels": {**labels_of(each), "region": "everything"}} for each in ALERTS]
    people.alertmanager.fire(*everything)
    names = {
        tuple(sorted(sent["labels"].items())): name_of(each) for sent, each in zip(everything, ALERTS, strict=True)
    }

    def muted() -> set[str]:
        known = people.alertmanager.alerts(region="everything")
        return {names[tuple(sorted(each["labels"].items()))] for each in known if each["status"]["inhibitedBy"]}

    wait_until(lambda: about(people.fleet.told("/chat"), "everything"), within_s=30, what="the tickets that are left")
    assert muted() == {consequence for _, consequence in ALLOWED}
