from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from chassis.clock import ManualClock
from contracts.agent_api import GpuReport
from contracts.vocabulary import GpuAction
from controller.api.agents import DISCOVERY_WARM_UP_S, scrape_target
from controller.api.intents import VERBS
from controller.api.limits import BODY_BYTES_MAX
from controller.core.actions import ActionRecord, Expectation, Measure, Restart, Stage
from controller.core.fleet import home_traffic
from controller.core.intents import BUILDERS
from controller.ports import TickRecord
from controller.sources.agents import FORGET_AFTER_S
from tests.unit.controller.api.rig import NOW, TOKENS, Rig, sync_body

SLO = {"id": "speech-fast", "objective": 0.95, "threshold_s": 0.2}


@pytest.fixture
def rig(tmp_path: Path) -> Rig:
    return Rig(tmp_path, {})


@pytest.fixture
def guarded(tmp_path: Path) -> Rig:
    return Rig(tmp_path, TOKENS)


@pytest.fixture
async def api(rig: Rig) -> AsyncIterator[httpx.AsyncClient]:
    async with rig.client() as client:
        yield client
    rig.database.close()


def problem_of(answer: httpx.Response) -> dict[str, Any]:
    assert answer.headers["content-type"] == "application/problem+json"
    found: dict[str, Any] = answer.json()
    assert found["status"] == answer.status_code
    return found


# ── objectives ────────────────────────────────────────────────────────────────────────────────────────────────────────
async def test_an_objective_is_created_read_replaced_and_deleted(api: httpx.AsyncClient, rig: Rig) -> None:
    created = await api.post("/api/v1/slos", json=SLO)
    assert (created.status_code, created.headers["etag"]) == (201, '"1"')
    read = await api.get("/api/v1/slos/speech-fast")
    assert read.json() == created.json()
    assert read.json()["indicator"] == {"kind": "exact_counters", "threshold_s": 0.2, "sli": "total"}
    assert (read.json()["window"], read.json()["revision"]) == ({"kind": "rolling", "seconds": 2_592_000}, 1)
    replaced = await api.put(
        "/api/v1/slos/speech-fast",
        json={"objective": 0.99, "threshold_s": 0.3},
        headers={"If-Match": read.headers["etag"]},
    )
    assert (replaced.status_code, replaced.headers["etag"], replaced.json()["objective"]) == (200, '"2"', 0.99)
    assert (await api.delete("/api/v1/slos/speech-fast", headers={"If-Match": '"2"'})).status_code == 204
    assert (await api.get("/api/v1/slos")).json() == {
        "items": [],
        "revision": 3,
        "rules": {"state": "in_step", "revision_loaded": 1, "why_not": "", "unhealthy": []},
        "replicas": {},
    }
    assert rig.slo_changes == 3


async def test_nobody_overwrites_what_they_have_not_seen(api: httpx.AsyncClient) -> None:
    await api.post("/api/v1/slos", json=SLO)
    await api.put("/api/v1/slos/speech-fast", json={"objective": 0.99, "threshold_s": 0.3})
    late = await api.put(
        "/api/v1/slos/speech-fast", json={"objective": 0.9, "threshold_s": 0.3}, headers={"If-Match": '"1"'}
    )
    assert late.status_code == 412
    assert problem_of(late)["field"] == "If-Match"
    assert late.headers["etag"] == '"2"'
    assert (await api.delete("/api/v1/slos/speech-fast", headers={"If-Match": '"1"'})).status_code == 412
    assert (await api.delete("/api/v1/slos/speech-fast", headers={"If-Match": "junk"})).status_code == 400
    assert (await api.delete("/api/v1/slos/speech-fast", headers={"If-Match": "*"})).status_code == 204


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({**SLO, "objective": 95}, "objective"),
        ({**SLO, "threshold_s": 0}, "threshold_s"),
        ({**SLO, "sli": "vibes"}, "sli"),
        ({**SLO, "id": "Speech Fast"}, "id"),
        ({**SLO, "objectiv": 0.9}, "objectiv"),
        ({"id": "x", "objective": 0.9}, "threshold_s"),
    ],
)
async def test_a_bad_objective_is_refused_with_field_and_fix(
    api: httpx.AsyncClient, rig: Rig, body: dict[str, object], field: str
) -> None:
    answer = await api.post("/api/v1/slos", json=body)
    assert answer.status_code == 422
    found = problem_of(answer)
    assert found["field"] == field
    assert found["fix"]
    assert rig.slo_changes == 0


async def test_creating_twice_and_missing_ones_are_problems(api: httpx.AsyncClient) -> None:
    await api.post("/api/v1/slos", json=SLO)
    assert problem_of(await api.post("/api/v1/slos", json=SLO))["status"] == 409
    assert problem_of(await api.get("/api/v1/slos/none"))["status"] == 404
    answer = await api.put("/api/v1/slos/none", json={"objective": 0.9, "threshold_s": 1})
    assert problem_of(answer)["status"] == 404


# ── intents ───────────────────────────────────────────────────────────────────────────────────────────────────────────
RESTART = {"verb": "restart", "arguments": {"replica": "eu-west-a-0"}}


async def test_an_intent_is_recorded_for_the_loop_and_nothing_more(api: httpx.AsyncClient, rig: Rig) -> None:
    answer = await api.post("/api/v1/intents", json=RESTART)
    assert (answer.status_code, answer.json()) == (202, {"id": "id-0", "repeated": False})
    (waiting,) = rig.journal.load(NOW, 1.0).intents
    assert (waiting.verb, waiting.arguments, waiting.operator) == ("restart", (("replica", "eu-west-a-0"),), "local")
    assert rig.wakes == 1


async def test_a_repeated_idempotency_key_is_the_same_intent(api: httpx.AsyncClient, rig: Rig) -> None:
    key = {"Idempotency-Key": "k1"}
    first = await api.post("/api/v1/intents", json=RESTART, headers=key)
    second = await api.post("/api/v1/intents", json=RESTART, headers=key)
    assert second.json() == {"id": first.json()["id"], "repeated": True}
    other = await api.post("/api/v1/intents", json={"verb": "pause"}, headers=key)
    assert problem_of(other)["field"] == "Idempotency-Key"
    assert len(rig.journal.load(NOW, 1.0).intents) == 1


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"verb": "reboot"}, "verb"),
        ({"verb": "restart"}, "arguments.replica"),
        ({"verb": "pause", "arguments": {"replica": "x"}}, "arguments.replica"),
        ({"verb": "shift", "arguments": {"from": "eu-west"}}, "arguments.to"),
        ({"verb": "restart", "arguments": {"replica": "x" * 201}}, "arguments.replica"),
    ],
)
async def test_an_intent_without_sense_is_refused(
    api: httpx.AsyncClient, rig: Rig, body: dict[str, object], field: str
) -> None:
    answer = await api.post("/api/v1/intents", json=body)
    assert answer.status_code == 422
    assert problem_of(answer)["field"] == field
    assert not rig.journal.load(NOW, 1.0).intents


def test_the_api_and_the_loop_know_the_same_verbs() -> None:
    assert set(VERBS) == {*BUILDERS, "pause", "resume"}


# ── the story ─────────────────────────────────────────────────────────────────────────────────────────────────────────
def action() -> ActionRecord:
    return ActionRecord(
        id="a1",
        action=Restart(host="eu-west-a", region="eu-west", replica="eu-west-a-0", generation=1, graceful=True),
        cause="hung",
        evidence=(("progress_age_s", "9"),),
        expectation=Expectation(scope="replica=eu-west-a-0", window_s=20.0, before=Measure(0, 0, 0, 0)),
        stage=Stage.ORDERED,
        epoch=1,
        intended_unix_s=NOW,
        stage_unix_s=NOW,
        stage_deadline_unix_s=NOW + 60,
    )


async def test_actions_are_listed_and_read(api: httpx.AsyncClient, rig: Rig) -> None:
    rig.journal.acquire("me", NOW, 15.0)
    rig.journal.write(1, TickRecord(actions=(action(),)))
    (listed,) = (await api.get("/api/v1/actions", params={"open": "true"})).json()["items"]
    assert (listed["id"], listed["kind"], listed["stage"], listed["verdict"]) == ("a1", "restart", "ordered", None)
    assert listed["action"]["replica"] == "eu-west-a-0"
    assert (await api.get("/api/v1/actions/a1")).json() == listed
    assert problem_of(await api.get("/api/v1/actions/none"))["status"] == 404


async def test_the_story_can_be_tailed(api: httpx.AsyncClient) -> None:
    await api.post("/api/v1/slos", json=SLO)
    first = (await api.get("/api/v1/decisions", params={"kind": "operator"})).json()
    assert [line["subject"] for line in first["items"]] == ["speech-fast"]
    nothing_new = (await api.get("/api/v1/decisions", params={"after": first["next_after"]})).json()
    assert nothing_new == {"items": [], "next_after": first["next_after"]}
    await api.delete("/api/v1/slos/speech-fast")
    (new,) = (await api.get("/api/v1/decisions", params={"after": first["next_after"]})).json()["items"]
    assert "deleted" in new["summary"]
    assert problem_of(await api.get("/api/v1/decisions", params={"after": "gone"}))["status"] == 410
    assert problem_of(await api.get("/api/v1/decisions", params={"limit": "100000"}))["field"] == "limit"


# ── agents and discovery ──────────────────────────────────────────────────────────────────────────────────────────────
async def test_what_an_agent_reports_is_what_the_fleet_shows(api: httpx.AsyncClient, rig: Rig) -> None:
    rig.journal.acquire("me", NOW, 15.0)
    rig.journal.write(1, TickRecord(traffic=home_traffic(("eu-west",))))
    answer = await api.post("/api/v1/agents/eu-west-a/sync", json=sync_body())
    assert (answer.status_code, answer.json()["epoch"]) == (200, 1)
    fleet = (await api.get("/api/v1/fleet")).json()
    (host,) = fleet["hosts"]
    assert [r["replica"] for r in host["replicas"]] == ["eu-west-a-0", "eu-west-a-1"]
    assert host["replicas"][0]["log_tail"] == ["last words"]
    assert fleet["traffic"]["shares"] == [{"gateway": "eu-west", "region": "eu-west", "share": 1.0}]
    status = (await api.get("/api/v1/status")).json()
    assert (status["hosts"], status["replicas"], status["replicas_ready"]) == (1, 2, 1)
    assert (status["leader"], status["epoch"], status["trust"]) == (True, 1, {"fresh": 2})


async def test_a_report_for_another_path_is_refused(api: httpx.AsyncClient) -> None:
    answer = await api.post("/api/v1/agents/us-east-a/sync", json=sync_body())
    assert problem_of(answer)["field"] == "report.host"


@pytest.mark.parametrize("stranger", ["us-east-a-0", "eu-west-0", "eu-west-a-0-1", "eu-west-a-", "web"])
@pytest.mark.parametrize("place", ["replicas", "free_slots"])
async def test_a_host_speaks_for_its_own_replicas_only(
    api: httpx.AsyncClient, rig: Rig, place: str, stranger: str
) -> None:
    body = sync_body()
    if place == "replicas":
        body["report"]["replicas"][0]["replica"] = stranger
    else:
        body["report"]["free_slots"] = [stranger]
    assert problem_of(await api.post("/api/v1/agents/eu-west-a/sync", json=body))["field"] == "report.replicas"
    assert not rig.hub.reports()


async def test_an_agent_of_the_version_before_is_understood(api: httpx.AsyncClient, rig: Rig) -> None:
    body = sync_body()
    body["report"]["gpus"] = [{"gpu": 0, "uuid": "GPU-a", "up": True, "recommended_action": ""}]
    assert (await api.post("/api/v1/agents/eu-west-a/sync", json=body)).status_code == 200
    (report,) = rig.hub.reports().values()
    assert report.gpus[0].recommended_action is GpuAction.NONE


async def test_a_standby_sends_agents_away(api: httpx.AsyncClient, rig: Rig) -> None:
    rig.hub.stand_down()
    answer = await api.post("/api/v1/agents/eu-west-a/sync", json=sync_body())
    assert (problem_of(answer)["status"], answer.headers["retry-after"]) == (503, "1")


async def test_prometheus_finds_every_replica_that_should_answer_and_every_agent(api: httpx.AsyncClient) -> None:
    await api.post("/api/v1/agents/eu-west-a/sync", json=sync_body())
    assert (await api.get("/api/v1/discovery/replicas")).json() == [
        {
            "targets": ["127.0.1.1:9001"],
            "labels": {"region": "eu-west", "host": "eu-west-a", "replica": "eu-west-a-0"},
        }
    ]
    assert (await api.get("/api/v1/discovery/agents")).json() == [
        {"targets": ["127.0.1.1:9400"], "labels": {"region": "eu-west", "host": "eu-west-a"}}
    ]


@pytest.mark.parametrize(
    ("address", "target"),
    [
        ("10.0.0.7", "10.0.0.7:9400"),
        ("gpu-7.example.net", "gpu-7.example.net:9400"),
        ("2001:db8::7", "[2001:db8::7]:9400"),
        ("[2001:db8::7]", "[2001:db8::7]:9400"),
    ],
)
def test_a_target_is_written_as_prometheus_reads_it(address: str, target: str) -> None:
    assert scrape_target(address, 9400) == target


async def test_a_host_that_fell_silent_stays_a_target_so_that_somebody_is_paged(tmp_path: Path) -> None:
    clock = ManualClock()
    rig = Rig(tmp_path, {}, clock=clock)
    async with rig.client() as api:
        await api.post("/api/v1/agents/eu-west-a/sync", json=sync_body())
        for age_s, found in ((FORGET_AFTER_S - 60, 1), (120, 0)):
            clock.advance(age_s)
            assert len((await api.get("/api/v1/discovery/agents")).json()) == found
            assert len((await api.get("/api/v1/discovery/replicas")).json()) == found
    rig.database.close()


async def test_gpus_and_what_their_host_permits_are_shown(api: httpx.AsyncClient) -> None:
    body = sync_body()
    gpu = GpuReport(gpu=3, uuid="GPU-3", up=False, reason="lost", recommended_action="reboot_host", simulated=True)
    body["report"] |= {"gpus": [gpu.model_dump(mode="json")], "machine_orders": ["reset_gpu"]}
    body["report"]["replicas"][0] |= {"gpus": ["GPU-3"], "withheld": "GPU-3: lost"}
    await api.post("/api/v1/agents/eu-west-a/sync", json=body)
    (host,) = (await api.get("/api/v1/fleet")).json()["hosts"]
    assert (host["gpus"][0]["recommended_action"], host["gpus"][0]["simulated"]) == ("reboot_host", True)
    assert host["machine_orders"] == ["reset_gpu"]
    assert (host["replicas"][0]["gpus"], host["replicas"][0]["withheld"]) == (["GPU-3"], "GPU-3: lost")


@pytest.mark.parametrize("leading_for_s", [None, DISCOVERY_WARM_UP_S / 2])
async def test_targets_are_not_dropped_by_a_controller_that_has_just_started(
    api: httpx.AsyncClient, rig: Rig, leading_for_s: float | None
) -> None:
    rig.leading_for_s = leading_for_s
    assert (await api.get("/api/v1/discovery/replicas")).status_code == 503


# ── alerts, probes, limits ────────────────────────────────────────────────────────────────────────────────────────────
async def test_an_alert_is_noted_and_counted(api: httpx.AsyncClient, rig: Rig) -> None:
    alert = {"status": "firing", "labels": {"alertname": "SLOBurn"}, "startsAt": "x", "fingerprint": "f"}
    for expected in (1, 0):
        answer = await api.post("/api/v1/alerts", json={"alerts": [alert]})
        assert answer.json() == {"received": 1, "recorded": expected}
    assert rig.alerts == 2
    assert problem_of(await api.post("/api/v1/alerts", json={"alerts": 1}))["field"] == "alerts"


async def test_probes_and_metrics_are_open(guarded: Rig) -> None:
    async with guarded.client(address="10.0.0.9") as stranger:
        assert (await stranger.get("/livez")).status_code == 200
        assert (await stranger.get("/readyz")).status_code == 200
        assert (await stranger.get("/metrics")).text == "controller_leader 1.0\n"
        guarded.why_not_ready = "standby"
        assert (await stranger.get("/readyz")).json() == {"ready": False, "reason": "standby"}


async def test_a_body_that_is_too_large_is_refused_however_it_is_sent(api: httpx.AsyncClient) -> None:
    async def trickle() -> AsyncIterator[bytes]:
        for _ in range(BODY_BYTES_MAX // 1024 + 2):
            yield b" " * 1024

    for content in (b" " * (BODY_BYTES_MAX + 1), trickle()):
        answer = await api.post("/api/v1/intents", content=content, headers={"content-type": "application/json"})
        assert problem_of(answer)["status"] == 413


async def test_even_the_frameworks_own_errors_are_problems(api: httpx.AsyncClient) -> None:
    assert problem_of(await api.get("/api/v1/nothing"))["status"] == 404
    assert problem_of(await api.patch("/api/v1/status"))["status"] == 405
    broken = await api.post("/api/v1/slos", content=b"{", headers={"content-type": "application/json"})
    assert problem_of(broken)["fix"] == "send valid JSON"


async def test_a_fault_of_ours_is_a_problem_too_and_tells_nothing_private(api: httpx.AsyncClient, rig: Rig) -> None:
    rig.database.close()
    rig.app.state.parts = None
    assert problem_of(await api.get("/api/v1/slos"))["status"] == 500


# ── who may do what ───────────────────────────────────────────────────────────────────────────────────────────────────
@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("GET", "/api/v1/status", {"viewer-secret", "operator-secret"}),
        ("GET", "/api/v1/slos", {"viewer-secret", "operator-secret"}),
        ("GET", "/api/v1/decisions", {"viewer-secret", "operator-secret"}),
        ("GET", "/api/v1/discovery/replicas", {"viewer-secret", "operator-secret"}),
        ("POST", "/api/v1/slos", {"operator-secret"}),
        ("POST", "/api/v1/slos?dry_run=true", {"operator-secret"}),
        ("PATCH", "/api/v1/slos", {"operator-secret"}),
        ("POST", "/api/v1/intents", {"operator-secret"}),
        ("POST", "/api/v1/alerts", {"operator-secret"}),
        ("DELETE", "/api/v1/slos/x", {"operator-secret"}),
        ("POST", "/api/v1/agents/eu-west-a/sync", {"agent-secret"}),
    ],
)
async def test_each_role_may_do_its_own_and_nothing_else(
    guarded: Rig, method: str, path: str, allowed: set[str]
) -> None:
    for token in ("", "wrong", *TOKENS.values()):
        async with guarded.client(token=token, address="10.0.0.9") as client:
            answer = await client.request(method, path, json={} if method == "POST" else None)
        if token in allowed:
            assert answer.status_code not in {401, 403}
        else:
            assert problem_of(answer)["status"] == (403 if token in TOKENS.values() else 401)


async def test_neighbours_may_discover_and_report_alerts_without_a_token_and_nothing_else(guarded: Rig) -> None:
    async with guarded.client(address="127.0.0.1") as neighbour:
        assert (await neighbour.get("/api/v1/discovery/agents")).status_code == 200
        assert (await neighbour.post("/api/v1/alerts", json={"alerts": []})).status_code == 200
        assert (await neighbour.get("/api/v1/status")).status_code == 401


async def test_the_schema_describes_every_route_with_examples(api: httpx.AsyncClient) -> None:
    schema = (await api.get("/openapi.json")).json()
    operations = [op for path in schema["paths"].values() for op in path.values()]
    assert all(op.get("description") for op in operations)
    assert schema["components"]["schemas"]["NewSlo"]["examples"]
    assert schema["components"]["schemas"]["IntentBody"]["examples"]
