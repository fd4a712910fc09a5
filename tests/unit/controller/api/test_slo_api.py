"""Objectives of every kind over HTTP: in our JSON and as OpenSLO documents, tried and set, alone and among others."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from controller.rules_ports import RulesStanding, RulesState, UnhealthyRule
from slo_rules.load import default_paths, load_documents
from slo_rules.load_templates import template_names, template_text
from slo_rules.openslo.reader import TEXT_BYTES_MAX
from tests.unit.controller.api.rig import Rig, sync_body

PATH = "/api/v1/slos"
YAML = {"content-type": "application/yaml"}
BASE = {"id": "new", "objective": 0.95}
INDICATORS: list[dict[str, Any]] = [
    {"kind": "exact_counters", "threshold_s": 0.2, "sli": "first_audio"},
    {"kind": "classic_histogram", "selector": 'h{a="b"}', "threshold": 0.25},
    {"kind": "native_histogram", "selector": "h", "threshold": 0.25},
    {"kind": "event_ratio", "total": "t_total", "bad": 't_total{code="500"}', "good": None},
    {"kind": "gauge_bound", "selector": "g", "bound": 3.0, "operator": "lt"},
    {"kind": "composite", "parts": [{"slo": "a", "weight": 2.0}, {"slo": "b", "weight": 1.0}]},
]
FULL = {
    "window": {"kind": "calendar", "unit": "week", "time_zone": "Europe/Berlin"},
    "slices": {"seconds": 300, "target": 0.9},
    "page_within_s": 900.0,
    "description": "d",
    "owner": "o",
    "exclusions": [
        {"kind": "once", "starts_at": "2026-01-01T22:00:00Z", "ends_at": "2026-01-02T01:00:00Z", "reason": "moving"},
        {"kind": "weekly", "weekday": "sunday", "starts_at": "22:30", "ends_at": "24:00", "reason": ""},
    ],
    "depends_on": "a",
}
RATIO = {"objective": 0.9, "indicator": INDICATORS[3]}


def once(starts_at: str, ends_at: str) -> dict[str, str]:
    return {"kind": "once", "starts_at": starts_at, "ends_at": ends_at}


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    made = Rig(tmp_path, {})
    yield made
    made.database.close()


@pytest.fixture
async def api(rig: Rig) -> AsyncIterator[httpx.AsyncClient]:
    async with rig.client() as client:
        yield client


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    """For tests in which nothing may change."""
    made = Rig(tmp_path_factory.mktemp("shared"), {})
    yield made
    assert made.slo_changes == 0
    made.database.close()


@pytest.fixture
async def still(shared: Rig) -> AsyncIterator[httpx.AsyncClient]:
    shared.desk.asked.clear()
    async with shared.client() as client:
        yield client


async def with_parts(api: httpx.AsyncClient) -> None:
    for name in ("a", "b"):
        assert (await api.post(PATH, json={"id": name, **RATIO})).status_code == 201


@pytest.mark.parametrize("indicator", INDICATORS, ids=lambda body: body["kind"])
async def test_every_indicator_comes_back_as_it_was_sent(api: httpx.AsyncClient, indicator: dict[str, Any]) -> None:
    await with_parts(api)
    slices = {"slices": {"seconds": 60, "target": 0.95}} if indicator["kind"] == "gauge_bound" else {}
    created = await api.post(PATH, json={**BASE, "indicator": indicator, **slices})
    assert created.status_code == 201, created.text
    assert created.json()["indicator"] == indicator


async def test_every_other_field_comes_back_as_it_was_sent(api: httpx.AsyncClient) -> None:
    await with_parts(api)
    created = await api.post(PATH, json={**BASE, "indicator": INDICATORS[3], **FULL})
    assert created.status_code == 201, created.text
    assert {name: created.json()[name] for name in FULL} == FULL


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"indicator": INDICATORS[1], "threshold_s": 0.2}, "threshold_s"),
        ({"indicator": INDICATORS[1], "sli": "total"}, "sli"),
        ({"threshold_s": 0.2, "window_s": 86_400, "window": {"kind": "rolling"}}, "window_s"),
        ({"indicator": {**INDICATORS[1], "selector": "rate(h[5m])"}}, "indicator.selector"),
        ({"indicator": {**INDICATORS[1], "selector": "h} or vector(1)"}}, "indicator.selector"),
        ({"indicator": {**INDICATORS[1], "threshold": -1}}, "indicator.threshold"),
        ({"indicator": {**INDICATORS[1], "treshold": 1}}, "indicator.treshold"),
        ({"indicator": {**INDICATORS[3], "good": "g"}}, "indicator.bad"),
        ({"indicator": {**INDICATORS[3], "total": "sum(x)"}}, "indicator.total"),
        ({"indicator": {"kind": "vibes"}}, "indicator"),
        ({"indicator": INDICATORS[4]}, "slices"),
        ({"indicator": {"kind": "composite", "parts": [{"slo": "a"}]}}, "indicator.parts"),
        (
            {"indicator": {"kind": "composite", "parts": [{"slo": "a", "weight": -1}, {"slo": "b"}]}},
            "indicator.parts[0].weight",
        ),
        ({"indicator": INDICATORS[5]}, "parts"),
        ({"threshold_s": 0.2, "depends_on": "nobody"}, "depends_on"),
        ({"threshold_s": 0.2, "depends_on": "new"}, "depends_on"),
        ({"threshold_s": 0.2, "window": {"kind": "calendar", "time_zone": "Mars/Olympus"}}, "window.time_zone"),
        ({"threshold_s": 0.2, "window": {"kind": "rolling", "seconds": 5}}, "window.seconds"),
        ({"threshold_s": 0.2, "slices": {"seconds": 61}}, "slices.seconds"),
        ({"threshold_s": 0.2, "slices": {"target": 2}}, "slices.target"),
        ({"threshold_s": 0.2, "page_within_s": 121}, "page_within_s"),
        ({"threshold_s": 0.2, "exclusions": [FULL["exclusions"][1] | {"ends_at": "01:00"}]}, "exclusions[0]"),
        (
            {"threshold_s": 0.2, "exclusions": [FULL["exclusions"][0] | {"starts_at": "today"}]},
            "exclusions.0.starts_at",
        ),
        (
            {"threshold_s": 0.2, "exclusions": [once("0001-01-01T00:00:00+14:00", "0001-01-01T01:00:00+14:00")]},
            "exclusions[0]",
        ),
        (
            {"threshold_s": 0.2, "exclusions": [once("9999-12-31T22:00:00-14:00", "9999-12-31T23:00:00-14:00")]},
            "exclusions[0]",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
async def test_what_cannot_be_is_refused_with_field_and_fix_and_nothing_changes(
    still: httpx.AsyncClient, shared: Rig, body: dict[str, Any], field: str
) -> None:
    for query in ("", "?dry_run=true"):
        answer = await still.post(PATH + query, json={**BASE, **body})
        assert answer.status_code == 422, answer.text
        found = answer.json()
        assert (found["field"], bool(found["fix"])) == (field, True)
    assert (await still.get(PATH)).json()["items"] == []
    assert (shared.slo_changes, shared.desk.asked) == (0, [])


@pytest.mark.parametrize(
    ("text", "field"),
    [
        ('{"id": "new", "objective": 0.95, "threshold_s": 0.2, "page_within_s": NaN}', "page_within_s"),
        ("[" * 5_000, "0"),
    ],
    ids=["no number", "too deep"],
)
async def test_json_that_python_reads_and_nobody_means_is_refused(
    still: httpx.AsyncClient, text: str, field: str
) -> None:
    answer = await still.post(PATH, content=text, headers={"content-type": "application/json"})
    assert (answer.status_code, answer.json().get("field")) == (422, field)


async def test_one_that_others_need_stays_until_they_let_go(api: httpx.AsyncClient) -> None:
    await with_parts(api)
    await api.post(PATH, json={**BASE, "indicator": INDICATORS[5]})
    await api.post(PATH, json={"id": "child", **RATIO, "depends_on": "a"})
    refused = await api.delete(f"{PATH}/a")
    assert refused.status_code == 409
    assert "child, new" in refused.json()["title"]
    sliced = await api.put(f"{PATH}/a", json={**RATIO, "slices": {}})
    assert sliced.status_code == 422
    assert "new" in sliced.json()["detail"]
    circle = await api.put(f"{PATH}/a", json={**RATIO, "depends_on": "child"})
    assert circle.json()["field"] == "depends_on"
    for name in ("child", "new", "a"):
        assert (await api.delete(f"{PATH}/{name}")).status_code == 204


# ── OpenSLO ───────────────────────────────────────────────────────────────────────────────────────────────────────────
SHIPPED = default_paths()[0].read_text()


async def test_a_document_goes_in_and_comes_out_the_same(api: httpx.AsyncClient) -> None:
    created = await api.post(PATH, content=SHIPPED, headers=YAML)
    assert created.status_code == 201, created.text
    name = created.json()["id"]
    wanted = load_documents(SHIPPED, source="sent")
    for answer in (
        await api.get(f"{PATH}/{name}/openslo"),
        await api.get(f"{PATH}/{name}", headers={"accept": "application/yaml"}),
        await api.get(PATH, headers={"accept": "application/yaml"}),
    ):
        assert answer.headers["content-type"].startswith("application/yaml")
        assert load_documents(answer.text, source="answered") == wanted
    assert answer.status_code == 200
    again = await api.put(f"{PATH}/{name}", content=answer.text, headers={**YAML, "if-match": '"1"'})
    assert (again.status_code, again.headers["etag"]) == (200, '"2"')


@pytest.mark.parametrize("name", template_names())
async def test_every_template_can_be_tried(still: httpx.AsyncClient, shared: Rig, name: str) -> None:
    answer = await still.post(f"{PATH}?dry_run=true", content=template_text(name), headers=YAML)
    assert answer.status_code == 200, answer.text
    assert [report["id"] for report in answer.json()["reports"]] == [asked.slo.id for asked in shared.desk.asked]


async def test_a_document_may_be_json(api: httpx.AsyncClient) -> None:
    document = {
        "apiVersion": "openslo/v1",
        "kind": "SLO",
        "metadata": {"name": "fast", "annotations": {"trimtab/threshold": "200ms"}},
        "spec": {
            "service": "speech",
            "budgetingMethod": "Occurrences",
            "timeWindow": [{"duration": "30d", "isRolling": True}],
            "objectives": [{"target": 0.95}],
        },
    }
    created = await api.post(PATH, json=document)
    assert created.status_code == 201, created.text
    assert created.json()["indicator"]["threshold_s"] == 0.2
    bad = await api.post(PATH, json={**document, "spec": {**document["spec"], "objectives": [{"target": 95}]}})
    assert bad.json()["field"] == "body[0].spec.objectives[0].target"


@pytest.mark.parametrize(
    ("text", "field"),
    [("a: [", "body"), ("", "body"), (SHIPPED.replace("0.95", "95"), "body[0].spec.objectives[0].target")],
    ids=["not YAML", "nothing", "a percentage"],
)
async def test_a_bad_document_is_refused_with_its_place(still: httpx.AsyncClient, text: str, field: str) -> None:
    answer = await still.post(PATH, content=text, headers=YAML)
    assert answer.status_code == 422
    assert answer.json()["field"].startswith(field)
    assert answer.json()["fix"]


async def test_bytes_that_are_no_text_are_refused(still: httpx.AsyncClient) -> None:
    answer = await still.post(PATH, content=b"\xff\xfe", headers=YAML)
    assert (answer.status_code, answer.json()["field"]) == (422, "body")


async def test_several_documents_are_tried_together_and_are_not_posted(api: httpx.AsyncClient, rig: Rig) -> None:
    both = f"{SHIPPED}\n---\n{SHIPPED.replace('speech-latency', 'other')}"
    tried = await api.post(f"{PATH}?dry_run=true&days=3", content=both, headers=YAML)
    assert [report["id"] for report in tried.json()["reports"]] == ["speech-latency", "other"]
    assert [(asked.days, len(asked.among)) for asked in rig.desk.asked] == [(3, 2), (3, 2)]
    refused = await api.post(PATH, content=both, headers=YAML)
    assert (refused.status_code, refused.json()["field"]) == (422, "document")
    elsewhere = await api.put(f"{PATH}/other", content=SHIPPED, headers=YAML)
    assert elsewhere.json()["field"] == "metadata.name"


def document(name: str, annotations: str, target: float = 0.95) -> str:
    return f"""
apiVersion: openslo/v1
kind: SLO
metadata: {{name: {name}, annotations: {{{annotations}}}}}
spec: {{objectives: [{{target: {target}}}]}}
---"""


A, B, BOTH = (
    document("a", "trimtab/threshold: 200ms"),
    document("b", "trimtab/threshold: 500ms"),
    document("both", "trimtab/parts: 'a=2, b'"),
)


async def test_a_file_is_applied_as_a_whole_in_whatever_order_and_equal_ones_keep_their_revision(
    api: httpx.AsyncClient, rig: Rig
) -> None:
    first = await api.patch(PATH, content=BOTH + A + B, headers=YAML)
    assert first.status_code == 200, first.text
    assert first.json()["changed"] == ["both", "a", "b"]
    again = await api.patch(PATH, content=A + document("b", "trimtab/threshold: 400ms") + BOTH, headers=YAML)
    assert [(slo["id"], slo["revision"]) for slo in again.json()["items"]] == [("a", 2), ("b", 4), ("both", 1)]
    assert again.json()["changed"] == ["b"]
    changes = rig.slo_changes
    assert (await api.patch(PATH, content=A, headers=YAML)).json()["changed"] == []
    assert rig.slo_changes == changes, "nothing changed, so nobody is woken"
    found = (await api.get(PATH)).json()
    assert (found["revision"], [slo["id"] for slo in found["items"]]) == (4, ["a", "b", "both"])
    story = (await api.get("/api/v1/decisions?kind=operator")).json()["items"]
    assert [line["subject"] for line in story] == ["both", "a", "b", "b"]


@pytest.mark.parametrize(
    ("bad", "words"),
    [
        (document("late", "trimtab/threshold: 200ms", 95), "body[1].spec.objectives[0].target"),
        (document("late", "trimtab/parts: 'a, nowhere'"), "late is not a usable objective"),
        (document("late", "trimtab/threshold: 1s, trimtab/page-within: 121s"), "[trimtab/page-within]"),
    ],
    ids=["a percentage", "a part that is not there", "a promise that no rule keeps"],
)
async def test_one_that_cannot_be_keeps_the_whole_file_out(
    still: httpx.AsyncClient, shared: Rig, bad: str, words: str
) -> None:
    answer = await still.patch(PATH, content=A + bad, headers=YAML)
    assert answer.status_code == 422
    assert words in answer.text
    assert (await still.get(PATH)).json()["items"] == []
    assert shared.slo_changes == 0


async def test_a_file_may_be_as_large_as_may_be_read(api: httpx.AsyncClient) -> None:
    many = "".join(document(f"slo-{n}", f"trimtab/parts: 'a, b', trimtab/owner: {'x' * 200}") for n in range(300))
    applied = await api.patch(PATH, content=A + B + many, headers=YAML)
    assert applied.status_code == 200, applied.text
    assert (applied.status_code, len(applied.json()["changed"])) == (200, 302)
    assert (await api.patch(PATH, content="#" * TEXT_BYTES_MAX + "#", headers=YAML)).status_code == 413


async def test_the_short_form_stays_in_the_answer_for_those_who_know_no_other(api: httpx.AsyncClient) -> None:
    short = {"threshold_s": 0.2, "sli": "first_audio", "window_s": 86_400}
    created = (await api.post(PATH, json={**BASE, **short})).json()
    assert {name: created[name] for name in short} == short
    foreign = (await api.post(PATH, json={"id": "f", **RATIO, "window": {"kind": "calendar"}})).json()
    assert [foreign[name] for name in short] == [None, None, None]


# ── trying ────────────────────────────────────────────────────────────────────────────────────────────────────────────
async def test_a_dry_run_stores_nothing_and_tells_nobody(api: httpx.AsyncClient, rig: Rig) -> None:
    await with_parts(api)
    changes = rig.slo_changes
    before = (await api.get(PATH)).json()
    tried = await api.post(f"{PATH}?dry_run=true", json={**BASE, "indicator": INDICATORS[5]})
    assert (tried.status_code, tried.json()["works"]) == (200, True)
    again = await api.put(f"{PATH}/a?dry_run=true&days=0", json={**RATIO, "objective": 0.99})
    assert again.status_code == 200
    assert [(asked.slo.id, asked.days) for asked in rig.desk.asked] == [("new", 7), ("a", 0)]
    assert {slo.id: slo.objective for slo in rig.desk.asked[1].among} == {"a": 0.99, "b": 0.9}
    assert (await api.get(PATH)).json() == before
    assert rig.slo_changes == changes
    assert (await api.put(f"{PATH}/none?dry_run=true", json=RATIO)).status_code == 404
    assert (await api.post(f"{PATH}?dry_run=true&days=91", json={"id": "a", **RATIO})).status_code == 422


async def test_a_dry_run_ends_when_nobody_waits_for_it_any_more(still: httpx.AsyncClient, shared: Rig) -> None:
    content = (A + B).encode()
    messages = iter([{"type": "http.request", "body": content, "more_body": False}])

    async def receive() -> dict[str, Any]:
        return next(messages, {"type": "http.disconnect"})

    async def send(_message: Any) -> None:
        """To nobody."""

    scope = {
        "type": "http", "http_version": "1.1", "method": "POST", "path": PATH, "raw_path": PATH.encode(),
        "query_string": b"dry_run=true", "headers": [(b"content-type", b"application/yaml")], "scheme": "http",
        "server": ("controller", 80), "client": ("127.0.0.1", 1),
    }  # fmt: skip
    await shared.app(scope, receive, send)
    assert shared.desk.asked == []


# ── how far it has got ────────────────────────────────────────────────────────────────────────────────────────────────
async def test_the_list_says_what_prometheus_and_the_replicas_run(api: httpx.AsyncClient, rig: Rig) -> None:
    await rig.client().post("/api/v1/agents/eu-west-a/sync", json=sync_body())
    rig.rules = RulesState(RulesStanding.REFUSED, 6, "bad rule", (UnhealthyRule("g", "r", "e"),))
    found = (await api.get(PATH)).json()
    assert found["rules"] == {
        "state": "refused",
        "revision_loaded": 6,
        "why_not": "bad rule",
        "unhealthy": [{"group": "g", "rule": "r", "error": "e"}],
    }
    assert set(found["replicas"]) == {"eu-west-a-0", "eu-west-a-1"}
