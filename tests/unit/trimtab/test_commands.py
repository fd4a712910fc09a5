"""The commands against a controller that answers with the real API's own models: what people see, and exit codes."""

import json
import re
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from pydantic import BaseModel
from typer.testing import CliRunner

from contracts.agent_api import GpuReport
from contracts.vocabulary import SloId
from controller.api import admission_views, slo_views
from controller.api import fleet as fleet_api
from controller.api import intents as intents_api
from controller.api import story as story_api
from controller.core.actions import Expectation, Measure
from controller.rules_ports import RulesStanding, RulesState, UnhealthyRule
from controller.slo_store import StoredSlo
from slo_rules.errors import SloError
from slo_rules.indicators import ExactCounters
from slo_rules.load import load_documents, load_files
from slo_rules.model import Slo
from trimtab.api_client import ApiError, ControllerApi
from trimtab.cli.app import app
from trimtab.cli.errors import readable_errors
from trimtab.cli.options import Session
from trimtab.stack.secrets import tokens_path

REPOSITORY = Path(__file__).resolve().parents[3]
TOKEN = "operator-token"
REPLICA = fleet_api.ReplicaView(
    replica="eu-west-a-0", state="hung", reason="3 probes missed", state_age_s=1.0, profile="full-fp32-onnx",
    profiles=["full-fp32-onnx"], generation=4, in_flight=2, queued_s=0.5, progress_age_s=3.0, slo_revision=1,
    address="127.0.1.1", port=9001, cordoned=True, log_tail=[], gpus=["GPU-7", "GPU-gone"], canaries_failed=3,
    withheld="GPU-7: reset_gpu is recommended by xid 48",
)  # fmt: skip
HOST = fleet_api.HostView(
    host="eu-west-a", region="eu-west", runtime="process", boot_id="b", report_age_s=0.1, report_seq=1, agent_address="127.0.1.1",
    agent_port=9400, free_slots=[], gpus=[GpuReport(gpu=7, uuid="GPU-7", up=True)], replicas=[REPLICA],
)  # fmt: skip
FLEET = fleet_api.FleetView(
    hosts=[HOST],
    traffic=fleet_api.TrafficView(
        shares=[
            fleet_api.ShareView(gateway="eu-west", region="eu-west", share=0.25),
            fleet_api.ShareView(gateway="eu-west", region="us-east", share=0.75),
        ],
        cordoned=["eu-west-a-0"],
    ),
    gateways=[fleet_api.GatewayView(gateway="eu-west", version="7.1.abc", completed={}, failed={}, in_flight={})],
)
STATUS = fleet_api.StatusView(
    holder="here:8700", leader=True, epoch=3,
    lease=fleet_api.LeaseView(holder="here:8700", epoch=3, expires_at="2026-01-01T00:00:00Z"),
    paused=True, last_tick_age_s=0.4, ticks_ok=10, ticks_failed=0, trust={"fresh": 2}, slo_revision=1, hosts=1,
    replicas=1, replicas_ready=0,
)  # fmt: skip
ACTION = story_api.ActionView(
    id="a1", kind="restart", stage="closed", verdict="improved", cause="It hung.", detail="ready again", origin="loop",
    evidence={}, action={"replica": "eu-west-a-0", "region": "eu-west"}, epoch=3, intended_at="2026-01-01T12:00:00.000Z",
    expectation=Expectation(scope="replica=eu-west-a-0", window_s=20.0, before=Measure(1, 2, 3, 4)),
    intended_unix_s=1.0, stage_unix_s=2.0, stage_deadline_unix_s=3.0, order_keys=["k1"],
)  # fmt: skip
SLO = slo_views.SloView.of(
    StoredSlo(
        slo=Slo(SloId("speech-latency"), 0.95, ExactCounters(0.2), description="It is [fast]", owner="speech"),
        revision=7,
    )
)
SLOS = slo_views.SloList(
    items=[SLO],
    revision=7,
    rules=slo_views.RulesView.of(
        RulesState(RulesStanding.REFUSED, 6, "bad rule", (UnhealthyRule("slo-a", "SLOBurn", "many-to-many"),))
    ),
    replicas={"eu-west-a-0": 7, "eu-west-a-1": 6},
)
PAST = admission_views.BacktestView(
    starts_at="2026-01-01T00:00:00Z", ends_at="2026-01-08T00:00:00Z", source="", pages=1, tickets=1,
    regions=[
        admission_views.RegionBacktestView(
            region="eu-west", events=1_000.0, bad=80.0, budget_left=-0.6, coverage=0.99, silences=[],
            firings=[admission_views.FiringView(tier=1, severity="page", starts_unix_s=300, ends_unix_s=600)],
            budget=[
                admission_views.BudgetPointView(at_unix_s=0, left=1.0),
                admission_views.BudgetPointView(at_unix_s=600, left=-0.6),
            ],
        )
    ],
)  # fmt: skip
REPORT = admission_views.ReportView(
    id="speech-latency", works=False, promise="95 % within 0.2 s (total), over 30d", tiers=[],
    findings=[
        admission_views.FindingView(
            severity="error", code="not_a_bucket", field="indicator.threshold", problem="0.2 is no edge", fix="use 0.25"
        )
    ],
    regions_seen=["eu-west"], regions_expected=["eu-west"], series=12, scrape_interval_s=15.0, past=PAST,
    cost=admission_views.CostView(rules=9, series_read=12, samples_per_evaluation=4_200, samples_per_s=80.0),
)  # fmt: skip
ADMISSION = admission_views.AdmissionView(works=False, reports=[REPORT], notices=[])

NO_OBJECTIVE = {"title": "no objective", "status": 404, "fix": "list what there is"}


def decision(number: int, kind: str, summary: str, **evidence: str) -> story_api.DecisionView:
    return story_api.DecisionView(
        id=str(number), at=f"2026-01-01T12:00:{number:02}.000Z", at_unix_s=float(number), epoch=3, kind=kind,
        subject="eu-west-a-0", summary=summary, evidence=evidence, action_id=None,
    )  # fmt: skip


class Controller(ThreadingHTTPServer):
    """Answers with the real views; remembers what was asked of it."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.story = [decision(1, "reflex", "The agent restarted hung replica eu-west-a-0.", missed_probes="3")]
        self.refuses = ""
        self.slos = {"speech-latency"}
        self.new = {"speech-latency"}
        self.asked: list[tuple[str, str, dict[str, object]]] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def answer(self, method: str, path: str, query: str, body: dict[str, object]) -> tuple[int, str]:
        self.asked.append((method, path, body))
        resource = path.removeprefix("/api/v1/")
        if resource == "intents":
            self._decide(body)
            return 202, intents_api.IntentReceipt(id="i1", repeated=False).model_dump_json()
        if "dry_run=true" in query:
            return 200, ADMISSION.model_dump_json()
        if resource.endswith("/openslo"):
            return 200, "apiVersion: openslo/v1\n"
        if method == "PATCH":
            return 200, slo_views.AppliedSlos(items=[SLO], changed=sorted(self.new)).model_dump_json()
        if method != "GET":
            known = method == "POST" or resource.removeprefix("slos/") in self.slos
            return (200, SLO.model_dump_json()) if known else (404, json.dumps(NO_OBJECTIVE))
        after = re.search(r"after=(\d+)", query)
        told = [line for line in self.story if int(line.id) > int(after[1] if after else 0)]
        views: dict[str, BaseModel] = {
            "status": STATUS,
            "fleet": FLEET,
            "actions": story_api.ActionList(items=[ACTION]),
            "decisions": story_api.DecisionPage(items=told, next_after=self.story[-1].id),
            "slos": SLOS,
            "slos/speech-latency": SLO,
        }
        return 200, views.get(resource, SLO).model_dump_json()

    def _decide(self, body: dict[str, object]) -> None:
        kind, words = ("refuse", self.refuses) if self.refuses else ("operator", "taken up")
        number = len(self.story) + 1
        self.story.append(decision(number, kind, f"operator: {body['verb']} {words}.", intent="i1"))


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Controller

    def _answer(self) -> None:
        path, _, query = self.path.partition("?")
        length = int(self.headers.get("Content-Length") or 0)
        content = self.rfile.read(length) if length else b"{}"
        is_yaml = self.headers.get("Content-Type") == "application/yaml"
        body = {"yaml": content.decode()} if is_yaml else json.loads(content)
        if self.headers.get("Authorization") != f"Bearer {TOKEN}":
            status, text = 401, json.dumps({"title": "no valid token", "status": 401, "fix": "send one"})
        else:
            status, text = self.server.answer(self.command, path, query, body)
        self.send_response(status)
        self.send_header("Content-Length", str(len(text.encode())))
        self.end_headers()
        self.wfile.write(text.encode())

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _answer  # noqa: N815  # http.server's names

    def log_message(self, *_: object) -> None:
        """Quiet."""


@pytest.fixture
def controller() -> Iterator[Controller]:
    server = Controller()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.shutdown()
    thread.join(5)
    server.server_close()


def run(url: str, *arguments: str, token: str = TOKEN) -> tuple[int, str]:
    result = CliRunner().invoke(
        app, ["--url", url, "--token", token, *arguments], obj=Session(environment={}), env={"COLUMNS": "200"}
    )
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.exit_code, result.output


def test_status_shows_leader_replicas_and_where_traffic_goes(controller: Controller) -> None:
    code, text = run(controller.url, "status")
    assert code == 0
    for words in ("here:8700", "epoch 3", "paused", "eu-west-a-0", "hung", "cordoned", "us-east 75%", "7.1.abc"):
        assert words in text


def test_status_says_on_which_gpu_a_replica_is_and_why_it_is_not_started_again(controller: Controller) -> None:
    _, text = run(controller.url, "status")
    assert "hung (withheld) (cordoned)" in text
    assert "7, GPU-gone" in text
    assert "eu-west-a-0 is not started again while its GPU is unfit: GPU-7: reset_gpu is recommended by xid 48" in text
    assert "eu-west-a-0 failed its last test utterances: 3 in a row" in text


def test_status_as_json_can_be_parsed(controller: Controller) -> None:
    _, text = run(controller.url, "status", "--json")
    body = json.loads(text)
    assert body["fleet"]["hosts"][0]["replicas"][0]["generation"] == 4
    assert body["status"]["paused"] is True


def test_why_tells_the_story_with_its_evidence(controller: Controller) -> None:
    _, text = run(controller.url, "why")
    assert "restarted hung replica eu-west-a-0" in text
    assert "missed_probes=3" in text
    assert json.loads(run(controller.url, "why", "--json")[1])["items"][0]["kind"] == "reflex"


def test_actions_are_listed_with_their_verdict(controller: Controller) -> None:
    _, text = run(controller.url, "actions")
    assert "restart" in text
    assert "improved" in text
    assert json.loads(run(controller.url, "actions", "--json")[1])[0]["id"] == "a1"


@pytest.mark.parametrize(
    ("arguments", "verb", "body"),
    [
        (["pause"], "pause", {}),
        (["resume"], "resume", {}),
        (["restart", "eu-west-a-0"], "restart", {"replica": "eu-west-a-0"}),
        (["scale", "eu-west", "+1"], "scale_out", {"region": "eu-west"}),
        (["scale", "eu-west", "-1"], "scale_in", {"region": "eu-west"}),
        (
            ["switch", "eu-west", "light-int8-onnx"],
            "switch_profile",
            {"region": "eu-west", "profile": "light-int8-onnx"},
        ),
        (
            ["shift", "eu-west", "us-east", "--share", "0.5"],
            "shift",
            {"from": "eu-west", "to": "us-east", "share": 0.5},
        ),
        (["reset-gpu", "eu-west-a", "3"], "reset_gpu", {"host": "eu-west-a", "gpu": "3"}),
        (["reboot", "eu-west-a"], "reboot_host", {"host": "eu-west-a"}),
    ],
)
def test_an_operators_wish_becomes_an_intent_and_its_answer_is_shown(
    controller: Controller, arguments: list[str], verb: str, body: dict[str, object]
) -> None:
    code, text = run(controller.url, *arguments)
    assert ("POST", "/api/v1/intents", {"verb": verb, "arguments": body}) in controller.asked
    assert code == 0
    assert f"{verb} taken up" in text


def test_two_replicas_are_two_intents(controller: Controller) -> None:
    run(controller.url, "scale", "eu-west", "+2")
    assert sum(path.endswith("/intents") for _, path, _ in controller.asked) == 2


def test_a_refusal_is_told_and_changes_the_exit_code(controller: Controller) -> None:
    controller.refuses = "cooldown for 12 s"
    code, text = run(controller.url, "restart", "eu-west-a-0")
    assert code == 1
    assert "cooldown for 12 s" in text


@pytest.mark.parametrize("step", ["0", "+99"])
def test_an_absurd_step_is_a_usage_error(controller: Controller, step: str) -> None:
    assert run(controller.url, "scale", "eu-west", step)[0] == 2
    assert controller.asked == []


def test_objectives_are_listed_and_applied(controller: Controller) -> None:
    listed = run(controller.url, "slo", "list")[1]
    for words in ("95.00%", "within 0.2 s", "refused, runs revision 6: bad rule", "SLOBurn: many-to-many", "1 of 2"):
        assert words in listed
    assert "eu-west-a-1" in listed.partition("behind")[2]
    shipped = REPOSITORY / "slo_rules" / "objectives" / "speech-latency.yaml"
    assert run(controller.url, "slo", "apply", str(shipped))[0] == 0
    method, path, body = controller.asked[-1]
    assert (method, path) == ("PATCH", "/api/v1/slos")
    assert load_documents(str(body["yaml"]), source="sent") == load_files([shipped])


def test_what_was_there_already_is_told(controller: Controller) -> None:
    shipped = str(REPOSITORY / "slo_rules" / "objectives" / "speech-latency.yaml")
    assert "unchanged" not in run(controller.url, "slo", "apply", shipped)[1]
    controller.new.clear()
    assert "(unchanged)" in run(controller.url, "slo", "apply", shipped)[1]


def test_an_objective_is_shown_and_exported(controller: Controller) -> None:
    shown = run(controller.url, "slo", "show", "speech-latency")[1]
    for words in ("kind: exact_counters", "It is [fast]", "kind: rolling"):
        assert words in shown
    assert run(controller.url, "slo", "export", "speech-latency") == (0, "apiVersion: openslo/v1\n")


def test_a_check_tells_what_was_found_and_draws_it(controller: Controller, tmp_path: Path) -> None:
    shipped = REPOSITORY / "slo_rules" / "objectives" / "speech-latency.yaml"
    plot = tmp_path / "budget.svg"
    code, text = run(controller.url, "slo", "check", str(shipped), "--days", "9", "--plot", str(plot))
    assert code == 1
    for words in (
        "not_a_bucket indicator.threshold: 0.2 is no edge. Fix: use 0.25.", "4,200 samples", "1 page, 1 ticket",
        "-60.0% of the budget left",
    ):  # fmt: skip
        assert words in text
    assert controller.asked[-1][0] == "POST"
    assert "spent" not in plot.read_text()
    assert plot.read_text().count("<polyline") == 1


def test_a_dry_run_of_apply_stores_nothing(controller: Controller) -> None:
    shipped = REPOSITORY / "slo_rules" / "objectives" / "speech-latency.yaml"
    assert run(controller.url, "slo", "apply", str(shipped), "--dry-run")[0] == 1
    assert [path for _, path, _ in controller.asked] == ["/api/v1/slos"]


def test_a_check_offline_asks_nobody(controller: Controller) -> None:
    shipped = REPOSITORY / "slo_rules" / "objectives" / "speech-latency.yaml"
    assert run(controller.url, "slo", "check", str(shipped), "--offline")[0] == 0
    assert controller.asked == []


def test_a_bad_file_is_told_with_file_document_field_and_fix(controller: Controller, tmp_path: Path) -> None:
    bad = tmp_path / "bad.yaml"
    shipped = (REPOSITORY / "slo_rules" / "objectives" / "speech-latency.yaml").read_text()
    bad.write_text(shipped + "---\n" + shipped.replace("target: 0.95", "target: 95").replace("speech-latency", "other"))
    with pytest.raises(SloError, match=r"bad\.yaml\[1\]\.spec\.objectives\[0\]\.target: .*; write"):
        run(controller.url, "slo", "apply", str(bad))
    assert controller.asked == []


def test_templates_are_listed_and_printed(controller: Controller) -> None:
    assert "vllm-latency" in run(controller.url, "slo", "templates")[1]
    printed = run(controller.url, "slo", "templates", "vllm-latency")[1]
    assert load_documents(printed, source="printed")


def test_a_problem_is_told_in_the_controllers_words(controller: Controller) -> None:
    with pytest.raises(ApiError, match=r"no objective — Fix: list what there is\."):
        run(controller.url, "slo", "delete", "unheard-of")


def test_a_wrong_token_is_told_with_its_fix(controller: Controller) -> None:
    with pytest.raises(ApiError, match="no valid token"):
        run(controller.url, "status", token="guess")


def test_the_token_of_the_own_stack_is_shown_to_no_other_controller(controller: Controller, tmp_path: Path) -> None:
    tokens_path(tmp_path).write_text(json.dumps({"agent": "a", "operator": TOKEN, "viewer": "v"}), encoding="utf-8")
    arguments = ["--home", str(tmp_path), "--url", controller.url, "status"]
    result = CliRunner().invoke(app, arguments, obj=Session(environment={}))
    assert "no valid token" in str(result.exception)


def test_no_controller_is_told_with_what_to_do(free_port) -> None:
    with pytest.raises(ApiError, match=r"no answer from the controller.*Try `trimtab up`"):
        run(f"http://127.0.0.1:{free_port()}", "status")


def test_expected_trouble_is_a_sentence_and_an_exit_code(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended, readable_errors():
        raise ApiError("the controller [is] away")
    assert ended.value.code == 1
    assert "the controller [is] away" in capsys.readouterr().err


def test_every_command_explains_itself_with_an_example() -> None:
    names = [command.callback.__name__.replace("_", "-") for command in app.registered_commands if command.callback]
    assert {"up", "down", "logs", "status", "why", "demo", "chaos", "setup", "scale"} <= set(names)
    for name in names:
        result = CliRunner().invoke(app, [name, "--help"], obj=Session(environment={}))
        assert result.exit_code == 0
        assert "Example" in result.output, name


def test_faults_are_listed_without_any_stack() -> None:
    result = CliRunner().invoke(app, ["chaos", "--list"], obj=Session(environment={}))
    assert result.exit_code == 0
    assert "freeze-replica" in result.output


async def test_an_answer_that_is_not_ours_is_said_so(controller: Controller) -> None:
    async with ControllerApi(controller.url, token=TOKEN) as api:
        with pytest.raises(ApiError, match="is not what we know"):
            await api.action("x")
