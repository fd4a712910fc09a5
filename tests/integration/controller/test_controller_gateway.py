"""Controller and gateway together: what agents report is what Envoy routes to, also while the controller is dead."""

import asyncio
import json
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import pytest

from contracts.agent_api import HostReport, ReplicaReport, SyncRequest
from contracts.vocabulary import ReplicaState

if TYPE_CHECKING:
    from tests.integration.controller.conftest import GatewayRig

pytestmark = pytest.mark.envoy


def report(rig: "GatewayRig", host: str, replicas: tuple[str, ...], address: str, seq: int) -> HostReport:
    return HostReport(
        host=host,
        region=host.removesuffix("-a"),
        boot_id="b1",
        seq=seq,
        runtime="process",
        agent_address=address,
        agent_port=9400,
        replicas=tuple(
            ReplicaReport(
                replica=name,
                address=f"{address.rpartition('.')[0]}.{slot}",
                port=rig.replica_port,
                state=ReplicaState.READY,
                generation=1,
                state_age_s=60.0,
                profile="full-fp32-onnx",
            )
            for slot, name in enumerate(replicas, start=1)
        ),
        free_slots=(),
    )


async def keep_reporting(rig: "GatewayRig", url: str) -> None:
    """Two agents in one: report every 200 ms to whoever listens."""
    seq = 0
    while True:
        seq += 1
        for host, replicas, address in (
            ("eu-west-a", ("eu-west-a-0", "eu-west-a-1"), "127.0.1.1"),
            ("us-east-a", ("us-east-a-0", "us-east-a-1"), "127.0.2.1"),
        ):
            said = report(rig, host, replicas, address, seq)
            body = SyncRequest(sent_unix_s=time.time(), max_wait_s=0, thresholds_revision=0, report=said, receipts=())
            with suppress(httpx.HTTPError):
                await rig.client.post(
                    f"{url}/api/v1/agents/{host}/sync",
                    content=body.model_dump_json(),
                    headers={"content-type": "application/json"},
                )
        await asyncio.sleep(0.2)


async def test_reports_become_routes_and_a_killed_controller_loses_no_request(
    rig: "GatewayRig",
    tmp_path: Path,
    free_port: Callable[..., int],
    start_program: Callable[..., subprocess.Popen[bytes]],
    wait_until_async: Callable[..., Awaitable[None]],
) -> None:
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    gateway = {"region": "eu-west", "admin_url": rig.admin_url, "eds_dir": str(rig.eds_dir)}
    env = {
        "TRIMTAB_CONTROLLER_PORT": str(port),
        "TRIMTAB_CONTROLLER_DATABASE_URL": f"sqlite:///{tmp_path}/journal.db",
        "TRIMTAB_CONTROLLER_PROMETHEUS_URL": "http://127.0.0.1:9",
        "TRIMTAB_CONTROLLER_GATEWAYS": json.dumps([gateway]),
        "TRIMTAB_CONTROLLER_TICK_S": "0.5",
    }

    def published() -> str:
        version: str = json.loads((rig.eds_dir / "tts.json").read_text())["version_info"]
        return version

    def start() -> subprocess.Popen[bytes]:
        return start_program([sys.executable, "-m", "controller"], env=env, name="controller")

    reporting = asyncio.ensure_future(keep_reporting(rig, url))
    load = rig.load()
    loading = asyncio.ensure_future(load.run(16.0))
    try:
        child = start()
        await wait_until_async(
            lambda: not published().startswith("test."), within_s=12, what="the controller publishes"
        )
        first = published()
        child.kill()
        child.wait(timeout=5)
        child = start()
        await wait_until_async(lambda: published() != first, within_s=12, what="the next process publishes")
        fleet = await rig.client.get(f"{url}/api/v1/fleet")
        (seen,) = fleet.json()["gateways"]
        assert set(seen["in_flight"]) == {"eu-west-a-0", "eu-west-a-1", "us-east-a-0", "us-east-a-1"}
        await loading
    finally:
        reporting.cancel()
        loading.cancel()
    assert load.lost == {}
    assert load.share("eu-west") == 1.0, "home traffic stays home"
