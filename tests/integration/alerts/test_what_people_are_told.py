"""What arrives at Slack, PagerDuty, a mailbox and other tools, as the real Alertmanager renders and sends it."""

import base64
from datetime import UTC, datetime

import pytest

pytestmark = pytest.mark.alertmanager
HOSTILE = "slow {{ .Labels }} & <script>alert(1)</script> <!channel>\nSubject: forged"
"""A description may hold anything: it has to arrive as it is, and to do nothing."""
HARMLESS_IN_SLACK = "slow {{ .Labels }} &amp; &lt;script&gt;alert(1)&lt;/script&gt; &lt;!channel&gt; Subject: forged"


def burn(region: str, *, tier: str = "1", severity: str = "page", over: bool = False) -> dict:
    """An alert as Prometheus sends it, its annotations written out."""
    now = datetime.now(tz=UTC)
    return {
        "labels": {"alertname": "SLOBurn", "severity": severity, "slo": "speech", "region": region, "tier": tier},
        "annotations": {
            "summary": f"SLO speech burns its error budget in {region}",
            "description": f"More than 50 % of the requests of SLO speech were bad over 10m and over 2m. {HOSTILE}",
            "budget_left": "62.4% of 30d",
            "machines": "5 of 8 known replicas are up",
            "done": f"restart {region}-a-0: helped, begun 4m ago.",
            "runbook": "docs/runbooks/SLOBurn.md",
            "dashboard": f"/d/trimtab-slo/?var-slo=speech&var-region={region}",
        },
        "generatorURL": "http://prometheus.example/graph?g0.expr=x",
        "startsAt": now.isoformat(),
        **({"endsAt": now.isoformat()} if over else {}),
    }


def about(bodies: list[dict], region: str) -> list[dict]:
    return [body for body in bodies if region in str(body)]


def test_slack_reads_what_burns_what_is_left_and_what_was_done(people, wait_until):
    people.alertmanager.fire(burn("slack-region"))
    wait_until(lambda: about(people.fleet.told("/slack"), "slack-region"), within_s=30, what="Slack is told")
    (message,) = about(people.fleet.told("/slack"), "slack-region")
    assert message["channel"] == "#pages"
    (attachment,) = message["attachments"]
    assert attachment["title"] == "[PAGE] slack-region: SLO speech burns its error budget in slack-region"
    assert attachment["fallback"] == attachment["title"]
    assert attachment["color"] == "danger"
    assert attachment["text"].rstrip().splitlines() == [
        "*SLO speech burns its error budget in slack-region* (burn tier 1)",
        f"More than 50 % of the requests of SLO speech were bad over 10m and over 2m. {HARMLESS_IN_SLACK}",
        "• Budget left: 62.4% of 30d",
        "• Machines: 5 of 8 known replicas are up",
        "• Trimtab so far: restart slack-region-a-0: helped, begun 4m ago.",
        "• Story: `trimtab why slack-region`",
        "• Dashboard: https://grafana.example/d/trimtab-slo/?var-slo=speech&amp;var-region=slack-region",
        "• Runbook: https://git.example/trimtab/blob/main/docs/runbooks/SLOBurn.md",
    ]


def test_pagerduty_opens_an_incident_and_closes_the_same(people, wait_until):
    people.alertmanager.fire(burn("duty-region"))
    wait_until(lambda: about(people.fleet.told("/pagerduty"), "duty-region"), within_s=30, what="an incident")
    people.alertmanager.fire(burn("duty-region", over=True))
    wait_until(lambda: len(about(people.fleet.told("/pagerduty"), "duty-region")) == 2, within_s=30, what="its end")
    opened, closed = about(people.fleet.told("/pagerduty"), "duty-region")
    assert (opened["event_action"], closed["event_action"]) == ("trigger", "resolve")
    assert opened["dedup_key"] == closed["dedup_key"]
    assert opened["routing_key"] == "k" * 32
    payload = opened["payload"]
    assert payload["summary"] == "[PAGE] duty-region: SLO speech burns its error budget in duty-region"
    assert payload["severity"] == "error"
    assert payload["group"] == "duty-region"
    firing = payload["custom_details"]["firing"]
    for line in (
        "SLOBurn (page, burn tier 1): SLO speech burns its error budget in duty-region",
        "  Budget left: 62.4% of 30d",
        "  Trimtab so far: restart duty-region-a-0: helped, begun 4m ago.",
        "  Story: trimtab why duty-region",
        "  Dashboard: https://grafana.example/d/trimtab-slo/?var-slo=speech&var-region=duty-region",
        "  Runbook: https://git.example/trimtab/blob/main/docs/runbooks/SLOBurn.md",
    ):
        assert line in firing.splitlines()
    assert closed["payload"]["custom_details"]["resolved"].startswith("Over since ")


def test_a_ticket_is_mailed_as_text_and_html_that_run_nothing(people, wait_until):
    def mails() -> list:
        return [message for message in people.mail.messages if "mail-region" in message["Subject"]]

    people.alertmanager.fire(burn("mail-region", tier="4", severity="ticket"))
    wait_until(mails, within_s=30, what="a mail")
    (message,) = mails()
    assert message["Subject"] == "[TICKET] mail-region: SLO speech burns its error budget in mail-region"
    assert {"<tts@example.org>", "<ops@example.org>"} <= {each.removeprefix("TO:") for each in people.mail.recipients}
    assert people.mail.logins[0].split() == ["PLAIN", base64.b64encode(b"\0trimtab\0open sesame").decode()]
    text = message.get_body(("plain",)).get_content()
    html = message.get_body(("html",)).get_content()
    for part in (text, html):
        for fact in (
            "62.4% of 30d",
            "5 of 8 known replicas",
            "helped, begun 4m ago",
            "trimtab why mail-region",
            "burn tier 4",
            "over 10m and over 2m",
        ):
            assert fact in part
    assert "<script>" in text, "plain text shows what was written"
    assert "<script>" not in html
    assert "&lt;script&gt;alert(1)&lt;/script&gt; &lt;!channel&gt;" in html
    assert 'href="https://grafana.example/d/trimtab-slo/?var-slo=speech&amp;var-region=mail-region"' in html
    assert 'href="https://git.example/trimtab/blob/main/docs/runbooks/SLOBurn.md"' in html
    assert "{{ .Labels }}" in text
    assert "{{ .Labels }}" in html


def test_any_other_tool_gets_the_webhook_with_its_token(people, wait_until):
    people.alertmanager.fire(burn("chat-region", tier="3", severity="ticket"))
    wait_until(lambda: about(people.fleet.told("/chat"), "chat-region"), within_s=30, what="the tool is told")
    (body,) = about(people.fleet.told("/chat"), "chat-region")
    assert (body["version"], body["status"]) == ("4", "firing")
    assert {auth for path, auth, _ in people.fleet.posts if path == "/chat"} == {"Bearer for-the-chat"}


def test_the_team_of_a_region_is_told_instead_of_everybody(people, wait_until):
    people.alertmanager.fire(burn("us-east"), burn("us-east", tier="4", severity="ticket") | {"labels": TICKET_OF_TEAM})
    wait_until(lambda: about(people.fleet.told("/pagerduty"), "us-east"), within_s=30, what="the team is paged")
    wait_until(lambda: about(people.fleet.told("/chat"), "us-east"), within_s=30, what="its ticket goes to everybody's")
    (page,) = about(people.fleet.told("/pagerduty"), "us-east")
    assert page["routing_key"] == "t" * 32
    assert about(people.fleet.told("/slack"), "us-east") == []


TICKET_OF_TEAM = {"alertname": "HostDiskLow", "severity": "ticket", "region": "us-east", "host": "us-east-a"}


def test_the_controller_hears_everything_and_the_heartbeat_only_that_alerts_get_through(people, wait_until):
    people.alertmanager.fire(
        burn("heard-region"),
        {"labels": {"alertname": "Watchdog", "severity": "none"}},
        {"labels": {"alertname": "Other"}},
    )

    def heard(path: str) -> set[str]:
        return {alert["labels"]["alertname"] for body in people.fleet.told(path) for alert in body["alerts"]}

    wait_until(lambda: heard("/api/v1/alerts") >= {"SLOBurn", "Watchdog", "Other"}, within_s=30, what="the controller")
    wait_until(lambda: heard("/heartbeat"), within_s=30, what="the heartbeat")
    wait_until(lambda: "Other" in heard("/chat"), within_s=30, what="an unknown severity still reaches somebody")
    wait_until(lambda: len(people.fleet.told("/heartbeat")) >= 3, within_s=30, what="the heartbeat goes on")
    assert heard("/heartbeat") == {"Watchdog"}
    assert "Watchdog" not in heard("/chat")
    tokens = {auth for path, auth, _ in people.fleet.posts if path == "/api/v1/alerts"}
    assert tokens == {"Bearer for-the-controller"}


def test_of_many_alerts_ten_are_written_out_and_the_rest_is_counted(people, wait_until):
    agents = [
        {
            "labels": {"alertname": "AgentStuck", "severity": "page", "region": "many-region", "host": f"host-{n:02}"},
            "annotations": {"summary": f"Agent {n:02} is stuck"},
        }
        for n in range(14)
    ]
    people.alertmanager.fire(*agents, burn("many-region"))
    wait_until(lambda: about(people.fleet.told("/slack"), "many-region"), within_s=30, what="Slack is told")
    (message,) = about(people.fleet.told("/slack"), "many-region")
    text = message["attachments"][0]["text"]
    assert text.startswith("*SLO speech burns"), "what users feel comes first"
    assert text.count("is stuck") == 9
    assert text.rstrip().endswith("These are 10 of 15 alerts.")


def test_an_alert_of_somebody_else_without_our_annotations_is_told_as_well(people, wait_until):
    labels = {"alertname": "DiskFull", "severity": "page", "region": "foreign-region"}
    people.alertmanager.fire({"labels": labels, "generatorURL": "http://prometheus.example/graph?a=1&b=2"})
    wait_until(lambda: about(people.fleet.told("/slack"), "foreign-region"), within_s=30, what="Slack is told")
    wait_until(lambda: about(people.fleet.told("/pagerduty"), "foreign-region"), within_s=30, what="PagerDuty is told")
    (message,) = about(people.fleet.told("/slack"), "foreign-region")
    assert message["attachments"][0]["title"] == "[PAGE] foreign-region: DiskFull"
    assert message["attachments"][0]["text"].rstrip().splitlines() == [
        "*DiskFull*",
        "• Story: `trimtab why foreign-region`",
        "• Dashboard: http://prometheus.example/graph?a=1&amp;b=2",
    ]


def test_no_label_becomes_a_command_or_a_mention(people, wait_until):
    labels = {"alertname": "SLOBurn", "severity": "page", "slo": "x", "region": "$(reboot) <!channel> odd"}
    people.alertmanager.fire({"labels": labels, "annotations": {"summary": "<!here> odd"}})
    wait_until(lambda: about(people.fleet.told("/slack"), "odd"), within_s=30, what="Slack is told")
    (message,) = about(people.fleet.told("/slack"), "odd")
    attachment = message["attachments"][0]
    assert attachment["title"] == "[PAGE] fleet: &lt;!here&gt; odd"
    assert "• Story: `trimtab why`\n" in attachment["text"]
    assert "<" not in attachment["text"]
