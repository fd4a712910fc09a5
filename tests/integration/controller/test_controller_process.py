"""The whole controller as a process: what it was told survives `kill -9`, and an order goes the whole way round."""

import json
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from contracts.agent_api import HostReport, Order, Receipt, ReplicaReport, SyncRequest, SyncResponse
from contracts.vocabulary import OrderKind, ReceiptStatus, ReplicaState

OPERATOR = {"Authorization": "Bearer operator-secret"}
AGENT = {"Authorization": "Bearer agent-secret"}
SLO = {"id": "speech-fast", "objective": 0.95, "threshold_s": 0.2}


@dataclass
class Agent:
    """One host with two replicas, played by hand."""

    url: str
    seq: int = 0
    generation: int = 1
    thresholds_revision: int = 0
    receipts: tuple[Receipt, ...] = ()
    orders: list[Order] = field(default_factory=list)

    def sync(self, wait_s: float = 0.5) -> SyncResponse | None:
        self.seq += 1
        replicas = tuple(
            ReplicaReport(
                replica=f"eu-west-a-{slot}",
                address="127.0.1.1",
                port=9001 + slot,
                state=ReplicaState.READY,
                generation=self.generation if slot == 0 else 1,
                state_age_s=60.0,
                profile="full-fp32-onnx",
                profiles=("full-fp32-onnx", "light-int8-onnx"),
            )
            for slot in range(2)
        )
        report = HostReport(
            host="eu-west-a",
            region="eu-west",
            boot_id="b1",
            seq=self.seq,
            runtime="process",
            agent_address="127.0.1.1",
            agent_port=9400,
            replicas=replicas,
            free_slots=(),
        )
        request = SyncRequest(
            sent_unix_s=time.time(),
            max_wait_s=wait_s,
            thresholds_revision=self.thresholds_revision,
            report=report,
            receipts=self.receipts,
        )
        try:
            answer = httpx.post(
                f"{self.url}/api/v1/agents/eu-west-a/sync",
                content=request.model_dump_json(),
                headers={**AGENT, "Content-Type": "application/json"},
                timeout=5.0,
            )
        except httpx.HTTPError:
            return None
        if not answer.is_success:
            return None
        response = SyncResponse.model_validate_json(answer.content)
        self.orders.extend(response.orders)
        if response.thresholds is not None:
            self.thresholds_revision = response.thresholds.revision
        return response

    def heard(self, kind: OrderKind) -> Order | None:
        self.sync()
        return next((order for order in self.orders if order.kind is kind), None)


class FreshCounters(BaseHTTPRequestHandler):
    """As much of Prometheus as the loop asks for: two idle replicas, scraped just now."""

    def do_POST(self) -> None:
        length = int(self.headers.get("content-length", 0))
        query = parse_qs(urlsplit(self.path).query + "&" + self.rfile.read(length).decode())["query"][0]
        now = time.time()
        result = [
            {
                "metric": {"__name__": "tts_admitted_total", "replica": f"eu-west-a-{slot}", "region": "eu-west"},
                "values": [[now, "5"]],
                "value": [now, "1"],
            }
            for slot in range(2)
        ]
        body = json.dumps({"status": "success", "data": {"result": result}}).encode()
        assert query.startswith(("{", "up{"))
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: object) -> None:
        """Quiet."""


@pytest.fixture
def prometheus_url() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), FreshCounters)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


@dataclass
class Process:
    url: str
    start: Callable[[], subprocess.Popen[bytes]]
    child: subprocess.Popen[bytes]

    def get(self, path: str, **params: str) -> Any:
        answer = httpx.get(f"{self.url}{path}", headers=OPERATOR, params=params, timeout=5.0)
        answer.raise_for_status()
        return answer.json()

    def post(self, path: str, body: dict[str, Any]) -> httpx.Response:
        return httpx.post(f"{self.url}{path}", json=body, headers=OPERATOR, timeout=5.0)

    def leads(self) -> bool:
        try:
            return httpx.get(f"{self.url}/readyz", timeout=1.0).is_success
        except httpx.HTTPError:
            return False

    def hosts(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.get("/api/v1/fleet")["hosts"]
        return found

    def story(self) -> list[dict[str, Any]]:
        lines: list[dict[str, Any]] = self.get("/api/v1/decisions", limit="500")["items"]
        return lines


@pytest.fixture
def controller(
    tmp_path: Path,
    free_port: Callable[..., int],
    start_program: Callable[..., subprocess.Popen[bytes]],
    wait_until: Callable[..., None],
    prometheus_url: str,
) -> Process:
    port = free_port()
    env = {
        "TRIMTAB_CONTROLLER_PORT": str(port),
        "TRIMTAB_CONTROLLER_DATABASE_URL": f"sqlite:///{tmp_path}/journal.db",
        "TRIMTAB_CONTROLLER_PROMETHEUS_URL": prometheus_url,
        "TRIMTAB_CONTROLLER_AGENT_TOKEN": "agent-secret",
        "TRIMTAB_CONTROLLER_OPERATOR_TOKEN": "operator-secret",
        "TRIMTAB_CONTROLLER_TICK_S": "0.5",
        "TRIMTAB_CONTROLLER_BLOCK_S": "1",
        "TRIMTAB_CONTROLLER_DRAIN_S": "1",
    }

    def start() -> subprocess.Popen[bytes]:
        child = start_program([sys.executable, "-m", "controller"], env=env, name="controller")
        wait_until(process.leads, within_s=20, what="the controller leads")
        return child

    process = Process(f"http://127.0.0.1:{port}", start, None)  # type: ignore[arg-type]  # set in the next line
    process.child = start()
    return process


def test_an_operators_restart_goes_all_the_way_and_survives_a_kill(
    controller: Process, wait_until: Callable[..., None], tmp_path: Path
) -> None:
    agent = Agent(controller.url)
    assert controller.post("/api/v1/slos", SLO).status_code == 201
    wait_until(lambda: agent.sync() is not None, within_s=10, what="the agent is answered")
    wait_until(lambda: bool(agent.sync() and agent.thresholds_revision == 1), within_s=5, what="thresholds arrived")
    intent = controller.post("/api/v1/intents", {"verb": "restart", "arguments": {"replica": "eu-west-a-0"}})
    assert intent.status_code == 202
    wait_until(
        lambda: agent.heard(OrderKind.RESTART) is not None,
        within_s=20,
        what=f"the order arrives; the log is in {tmp_path}",
    )
    order = agent.heard(OrderKind.RESTART)
    assert order is not None
    assert (order.replica, order.generation) == ("eu-west-a-0", 1)

    controller.child.send_signal(signal.SIGKILL)
    controller.child.wait(timeout=5)
    controller.child = controller.start()

    agent.orders.clear()
    wait_until(
        lambda: any(again.key == order.key for again in (agent.heard(OrderKind.RESTART),) if again),
        within_s=10,
        what="the same order is delivered again by the next process",
    )
    agent.generation = 2
    agent.receipts = (
        Receipt(
            key=order.key,
            epoch=order.epoch,
            status=ReceiptStatus.DONE,
            executions=1,
            started_unix_s=time.time(),
            finished_unix_s=time.time(),
            generation_after=2,
        ),
    )

    def acknowledged() -> bool:
        answer = agent.sync()
        return answer is not None and order.key in answer.receipts_acked

    wait_until(acknowledged, within_s=10, what="the receipt is journaled and acknowledged")
    assert {again.key for again in agent.orders if again.kind is OrderKind.RESTART} == {order.key}
    asked = [line for line in controller.story() if line["kind"] == "operator" and line["subject"] == "eu-west-a-0"]
    assert len(asked) == 1, "the restart was decided once, not once per process"
    actions = controller.get("/api/v1/actions")["items"]
    assert [(one["kind"], one["origin"]) for one in actions] == [("restart", "operator")]
    assert controller.get("/api/v1/slos")["items"][0]["id"] == "speech-fast"


def test_a_clean_stop_is_quick_although_agents_wait(controller: Process, wait_until: Callable[..., None]) -> None:
    agent = Agent(controller.url)
    wait_until(controller.leads, within_s=10, what="the controller leads")
    assert agent.sync(wait_s=0.1) is not None
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(agent.sync, 20.0)
        wait_until(lambda: controller.hosts()[0]["report_seq"] == 2, within_s=5, what="an agent waits")
        start = time.monotonic()
        controller.child.terminate()
        assert controller.child.wait(timeout=10) == 0
        assert time.monotonic() - start < 5
    assert waiting.result() is not None, "the waiting agent was answered, not cut off"


def test_the_story_has_no_secrets_and_metrics_tell_who_leads(controller: Process) -> None:
    text = httpx.get(f"{controller.url}/metrics", timeout=5.0).text
    assert "controller_leader 1.0" in text
    assert 'controller_ticks_total{outcome="ok"}' in text
    assert "secret" not in text
