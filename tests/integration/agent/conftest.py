"""A real agent process, replicas without a voice, and a fake controller that speaks the sync of `contracts.agent_api`."""

import json
import os
import re
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx
import pytest

from contracts.agent_api import Order, Receipt, ReplicaReport, SyncRequest, SyncResponse
from contracts.serving_api import SloThresholds
from contracts.vocabulary import OrderKey, OrderKind, ReceiptStatus, ReflexKind, ReplicaId, ReplicaState

REPOSITORY = Path(__file__).resolve().parents[3]
FAKE_REPLICA = Path(__file__).with_name("fake_replica.py")
HOST = "eu-west-a"


class FakeController:
    """Holds polls like the real one; every order is delivered with every answer until its final receipt was acknowledged."""

    def __init__(self) -> None:
        self.epoch = 1
        self.clock_ahead_s = 0.0
        self.acknowledges = True
        self.orders: dict[OrderKey, Order] = {}
        self.deliveries: dict[OrderKey, int] = {}
        self.receipts: dict[OrderKey, list[Receipt]] = {}
        self.thresholds = SloThresholds(revision=0, thresholds=())
        self.requests: list[SyncRequest] = []
        self._news = threading.Condition()
        controller = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                answer = controller.sync(SyncRequest.model_validate_json(body)).model_dump_json().encode()
                try:
                    self.send_response(200)
                    self.send_header("Content-Length", str(len(answer)))
                    self.end_headers()
                    self.wfile.write(answer)
                except ConnectionError:
                    self.close_connection = True

            def log_message(self, *_: object) -> None:
                return

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def sync(self, request: SyncRequest) -> SyncResponse:
        with self._news:
            self.requests.append(request)
            for receipt in request.receipts:
                self.receipts.setdefault(receipt.key, []).append(receipt)
            final = [receipt.key for receipt in request.receipts if receipt.status is not ReceiptStatus.RUNNING]
            acked = tuple(final) if self.acknowledges else ()
            for key in acked:
                self.orders.pop(key, None)
            if not self.orders and not acked:
                self._news.wait(min(request.max_wait_s, 0.5))
            for key in self.orders:
                self.deliveries[key] = self.deliveries.get(key, 0) + 1
            stale = request.thresholds_revision != self.thresholds.revision
            return SyncResponse(
                epoch=self.epoch,
                server_unix_s=self.now_unix_s(),
                orders=tuple(self.orders.values()),
                receipts_acked=acked,
                thresholds=self.thresholds if stale else None,
            )

    def now_unix_s(self) -> float:
        return time.time() + self.clock_ahead_s

    def offer(self, key: str, kind: OrderKind, replica: ReplicaId, generation: int, **details: object) -> OrderKey:
        defaults = {"epoch": self.epoch, "not_after_unix_s": self.now_unix_s() + 30.0, "grace_s": 1.0}
        order = Order(key=OrderKey(key), kind=kind, replica=replica, generation=generation, **{**defaults, **details})
        with self._news:
            self.orders[order.key] = order
            self._news.notify_all()
        return order.key

    def final(self, key: OrderKey) -> Receipt | None:
        seen = self.receipts.get(key, [])
        return seen[-1] if seen and seen[-1].status is not ReceiptStatus.RUNNING else None

    def replica(self, slot: int) -> ReplicaReport | None:
        if not self.requests:
            return None
        replicas = {replica.replica: replica for replica in self.requests[-1].report.replicas}
        return replicas.get(ReplicaId(f"{HOST}-{slot}"))


@pytest.fixture
def controller() -> Iterator[FakeController]:
    fake = FakeController()
    yield fake
    fake.close()


@dataclass
class Host:
    """One running agent and what a test wants to know of it."""

    start_agent: Callable[[], object]
    controller: FakeController
    wait_until: Callable[..., None]
    agent_url: str
    port_base: int
    state_dir: Path
    agents: list = field(default_factory=list)

    def boot(self, *, ready: tuple[int, ...] = (0,)) -> None:
        self.agents.append(self.start_agent())
        for slot in ready:
            self.wait_until(lambda slot=slot: self.is_ready(slot), within_s=15, what=f"replica {slot} is ready")

    @property
    def agent(self):
        return self.agents[-1]

    def is_ready(self, slot: int) -> bool:
        return self.state(slot) is ReplicaState.READY

    def state(self, slot: int) -> ReplicaState | None:
        report = self.controller.replica(slot)
        return None if report is None else report.state

    def generation(self, slot: int) -> int:
        report = self.controller.replica(slot)
        assert report is not None
        return report.generation

    def pid(self, slot: int) -> int | None:
        """Process that answers on the slot's port now; None when none does."""
        return self.fault(slot)

    def serving_pid(self, slot: int) -> int:
        """The same, once there is one: a busy machine answers late."""
        return self.pid_after(slot, None, within_s=10)

    def fault(self, slot: int, **attributes: object) -> int | None:
        try:
            url = f"http://127.0.0.1:{self.port_base + slot}/fault"
            return int(httpx.post(url, json=attributes, timeout=0.5).json()["pid"])
        except httpx.HTTPError:
            return None

    def pid_after(self, slot: int, former: int | None, *, within_s: float) -> int:
        """Wait for the successor of process `former`."""
        seen: list[int | None] = []

        def succeeded() -> bool:
            seen.append(self.pid(slot))
            return seen[-1] not in {None, former}

        self.wait_until(succeeded, within_s=within_s, what="a successor answers")
        assert seen[-1] is not None
        return seen[-1]

    def reflexes(self, kind: ReflexKind) -> list:
        return [reflex for reflex in self.controller.requests[-1].report.reflexes if reflex.kind is kind]

    def page(self) -> str:
        return httpx.get(self.agent_url + "/metrics", timeout=2).text

    def wait_for_spare(self) -> int:
        """Until a spare is warm, so that what follows is healed by it; its pid."""
        self.wait_until(self._spares, within_s=15, what="a warm spare")
        (spare,) = self._spares()
        return spare

    def _spares(self) -> list[int]:
        texts = (path.read_text() for path in (self.state_dir / "logs").glob("spare-*.log"))
        return [int(found[1]) for found in map(re.compile(r"pid (\d+)\nspare ready\n").match, texts) if found]

    def receipt(self, key: OrderKey) -> Receipt:
        self.wait_until(lambda: self.controller.final(key) is not None, within_s=15, what=f"final receipt of {key}")
        receipt = self.controller.final(key)
        assert receipt is not None
        return receipt


@pytest.fixture
def make_host(controller, start_program, free_port, wait_until, tmp_path) -> Callable[..., Host]:
    def make(*replica_options: str, **settings: object) -> Host:
        agent_port, port_base = free_port(), free_ports_in_a_row(free_port, 3)
        told = {
            "HOST_ID": HOST,
            "REGION": "eu-west",
            "CONTROLLER_URL": controller.url,
            "STATE_DIR": str(tmp_path / "state"),
            "PORT": agent_port,
            "SLOTS": 2,
            "REPLICA_PORT_BASE": port_base,
            "STOP_GRACE_S": 0.5,
            "SERVING_COMMAND": json.dumps([sys.executable, "-SE", str(FAKE_REPLICA), *replica_options]),
            **{name.upper(): value for name, value in settings.items()},
        }
        env = {f"TRIMTAB_AGENT_{name}": str(value) for name, value in told.items()}
        env["PYTHONPATH"] = str(REPOSITORY)
        return Host(
            start_agent=lambda: start_program([sys.executable, "-m", "agent"], env=env, name="agent"),
            controller=controller,
            wait_until=wait_until,
            agent_url=f"http://127.0.0.1:{agent_port}",
            port_base=port_base,
            state_dir=tmp_path / "state",
        )

    return make


def free_ports_in_a_row(free_port: Callable[[], int], count: int) -> int:
    """Slots listen side by side: find `count` neighbouring ports that are free."""
    for _ in range(50):
        base = free_port()
        try:
            with ExitStack() as stack:
                for port in range(base, base + count):
                    stack.enter_context(socket.socket()).bind(("127.0.0.1", port))
        except OSError:
            continue
        return base
    pytest.fail("no neighbouring ports are free")


@pytest.fixture
def kill() -> Callable[[int, int], None]:
    return os.kill
