"""The three pages: what they say, and what they refuse."""

import asyncio
import re

import pytest

from agent.app import build_agent
from agent.core.health import Answered, Pulse
from agent.pages.answers import Response
from agent.pages.server import CONNECTIONS_MAX, HEAD_BYTES_MAX, PageServer, Traffic
from agent.ports import Instance
from agent.settings import AgentSettings
from chassis.clock import ManualClock
from contracts import metric_names
from contracts.vocabulary import OrderKind, ProfileId, ReceiptStatus, RefusalReason, ReplicaId

NAMES = {value for name, value in vars(metric_names).items() if name.isupper() and isinstance(value, str)}
REPLICA = ReplicaId("h-0")


@pytest.fixture
def agent(tmp_path):
    import random  # noqa: PLC0415

    settings = AgentSettings(
        host_id="h", region="eu-west", controller_url="http://127.0.0.1:1", state_dir=tmp_path, slots=2
    )
    made = build_agent(settings, clock=ManualClock(), rng=random.Random(1), environment={})
    yield made
    made.journal.close()


def page_of(agent) -> str:
    return agent.observatory.exporter.render()


def make_ready(agent) -> None:
    instance = Instance(REPLICA, "t")
    agent.board.began(instance, 1)
    pulse = Pulse(True, "", ProfileId("full-fp32-onnx"), (), 3, 0, 0.0, 0)
    agent.board.observed(REPLICA, instance, Answered(pulse, 0.002))


def test_every_name_on_the_page_comes_from_the_contract(agent):
    make_ready(agent)
    agent.gpus.take(b'{"kind":"driver","up":true,"reason":""}')
    agent.gpus.take(
        b'{"kind":"gpu","gpu":0,"uuid":"GPU-1","up":true,"reason":"","values":{"utilization_ratio":0.5,"memory_used_bytes":1,'
        b'"memory_total_bytes":2,"temperature_celsius":61,"power_watts":412.5,"sm_clock_hertz":1.755e9}}'
    )
    names = re.findall(r"^# TYPE (\S+) (\S+)$", page_of(agent), flags=re.MULTILINE)
    assert {name for name, _ in names} <= NAMES
    assert len(names) == len(set(names))
    assert all(
        name.endswith("_total") == (kind == "counter")
        for name, kind in names
        if not name.startswith("gpu_memory") and not name.startswith("host_memory")
    )
    assert 'gpu_temperature_celsius{gpu="0",uuid="GPU-1"} 61\n' in page_of(agent)
    assert 'gpu_xid_errors_total{gpu="0",uuid="GPU-1",xid="79"} 0\n' in page_of(agent)


def test_a_replica_that_never_ran_is_not_on_the_page(agent):
    assert "agent_replica_up" not in page_of(agent)
    make_ready(agent)
    assert 'agent_replica_up{replica="h-0"} 1\n' in page_of(agent)
    assert 'replica="h-1"' not in page_of(agent)


@pytest.mark.parametrize("outcome", [*ReceiptStatus, *RefusalReason])
def test_every_way_an_order_can_end_is_counted_beside_the_zeros(agent, outcome):
    agent.desk.outcomes[OrderKind.RESTART, outcome.value] += 2
    page = page_of(agent)
    assert f'agent_orders_total{{kind="restart",outcome="{outcome.value}"}} 2\n' in page
    assert 'agent_orders_total{kind="stop_replica",outcome="failed"} 0\n' in page


def test_a_stale_gpu_loses_its_values_and_says_why(agent):
    agent.gpus.take(b'{"kind":"driver","up":true,"reason":""}')
    agent.gpus.take(b'{"kind":"gpu","gpu":0,"uuid":"GPU-1","up":true,"reason":"","values":{"temperature_celsius":61}}')
    agent.gpus.clock.advance(3.1)
    page = page_of(agent)
    assert 'gpu_up{gpu="0",uuid="GPU-1",reason="stale"} 0\n' in page
    assert "gpu_temperature_celsius" not in page
    assert 'gpu_sample_age_seconds{gpu="0",uuid="GPU-1"} 3.1' in page


def test_an_xid_is_counted_and_its_action_recommended(agent):
    agent.gpus.take(b'{"kind":"gpu","gpu":0,"uuid":"GPU-1","up":true,"reason":"","values":{}}')
    agent.gpus.clock.advance(1.0)
    agent.gpus.take(b'{"kind":"xid","gpu":0,"uuid":"GPU-1","xid":79}')
    page = page_of(agent)
    assert 'gpu_recommended_action{gpu="0",uuid="GPU-1",action="reboot_host",source="xid 79"} 1\n' in page
    assert 'gpu_xid_errors_total{gpu="0",uuid="GPU-1",xid="79"} 1\n' in page


@pytest.mark.parametrize("line", [b"", b"{}", b"[]", b'{"kind":"gpu"}', b'{"kind":"gpu","gpu":"x","uuid":1}', b"\xff"])
def test_a_line_of_the_worker_that_makes_no_sense_changes_nothing(agent, line):
    before = agent.gpus.newest(0.0)
    agent.gpus.take(line)
    assert agent.gpus.newest(0.0) == before


def test_not_booted_is_not_ready_and_says_so(agent):
    response = agent.pages._routes["/readyz"]()
    assert response.status == 503
    assert "replicas: not yet known" in response.body


@pytest.fixture
async def port(free_port, wait_until_async):
    port = free_port()
    routes = {"/livez": lambda: Response(200, "alive\n")}
    server = PageServer(address="127.0.0.1", port=port, routes=routes, traffic=Traffic(), clock=ManualClock())
    task = asyncio.ensure_future(server.run())
    await wait_until_async(lambda: server.listening, within_s=5, what="the server listens")
    yield port
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def exchange(port: int, request: bytes) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(request)
    answer = await asyncio.wait_for(reader.read(), 5)
    writer.close()
    return answer


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n", b"200"),
        (b"GET /livez?x=1 HTTP/1.0\r\n\r\n", b"200"),
        (b"POST /livez HTTP/1.1\r\n\r\n", b"405"),
        (b"GET /nothing HTTP/1.1\r\n\r\n", b"404"),
        (b"GET /\xff\xfe HTTP/1.1\r\n\r\n", b"404"),
        (b"hello\r\n\r\n", b"400"),
        (b"GET /livez HTTP/1.1\r\nX: " + b"x" * (HEAD_BYTES_MAX + 100) + b"\r\n\r\n", b"400"),
    ],
)
async def test_each_request_gets_its_status(port, request_, status):
    assert (await exchange(port, request_)).split(b" ")[1] == status


async def test_the_seventeenth_connection_is_told_that_it_is_one_too_many(port):
    idle = [await asyncio.open_connection("127.0.0.1", port) for _ in range(CONNECTIONS_MAX)]
    try:
        assert (await exchange(port, b"GET /livez HTTP/1.1\r\n\r\n")).split(b" ")[1] == b"503"
    finally:
        for _, writer in idle:
            writer.close()
    await asyncio.sleep(0.05)
    assert (await exchange(port, b"GET /livez HTTP/1.1\r\n\r\n")).split(b" ")[1] == b"200"
