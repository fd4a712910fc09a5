"""The bootstrap and the driver against a real Envoy: what may never be lost is counted, request by request."""

import asyncio
import json
import os
import signal
from typing import TYPE_CHECKING

import pytest

from controller.drivers import envoy as driver
from controller.drivers.envoy_assignment import discovery_response, render_assignment
from controller.ports import GatewayObservation, Rejected, Unknown

if TYPE_CHECKING:
    from tests.integration.controller.conftest import GatewayRig

pytestmark = pytest.mark.envoy
EU, US = "eu-west", "us-east"


async def observed(rig: "GatewayRig") -> GatewayObservation:
    (observation,) = await rig.traffic.observe()
    assert isinstance(observation, GatewayObservation)
    return observation


async def is_quiet(rig: "GatewayRig", replica: str) -> bool:
    return dict((await observed(rig)).in_flight)[replica] == 0


async def has_rejected(rig: "GatewayRig") -> bool:
    return int(await rig.stat("cluster.tts.update_rejected")) > 0


async def test_home_traffic_stays_home_and_the_standby_gets_nothing(rig: "GatewayRig") -> None:
    load = rig.load()
    await load.run(2.0)
    assert load.lost == {}
    assert load.share(EU) == 1.0


async def test_weights_split_traffic_and_the_zone_counters_tell_the_same(rig: "GatewayRig") -> None:
    await rig.step(rig.plan(0.7, 0.3))
    before = dict((await observed(rig)).completed)
    load = rig.load(rate=200)
    await load.run(3.0)
    after = dict((await observed(rig)).completed)
    assert load.lost == {}
    assert load.share(US) == pytest.approx(0.3, abs=0.04)
    seen = {region: after.get(region, 0) - before.get(region, 0) for region in (EU, US)}
    assert seen[US] / sum(seen.values()) == pytest.approx(load.share(US), abs=0.01)


async def test_the_standby_takes_over_when_a_region_dies(rig: "GatewayRig") -> None:
    load = rig.load()
    async with asyncio.TaskGroup() as group:
        group.create_task(load.run(4.0))
        await asyncio.sleep(1.0)
        rig.replicas["eu-west-a-0"].kill()
        rig.replicas["eu-west-a-1"].kill()
    assert load.lost == {}
    assert load.share(US) > 0.5


async def test_a_region_that_only_drains_hands_over_to_the_standby(rig: "GatewayRig") -> None:
    load = rig.load()
    async with asyncio.TaskGroup() as group:
        group.create_task(load.run(3.0))
        await asyncio.sleep(0.5)
        await rig.step(rig.plan(1.0, 0.0, draining=("eu-west-a-0", "eu-west-a-1")))
    assert load.lost == {}
    assert load.share(US) > 0.6


async def test_a_draining_replica_finishes_its_work_and_gets_no_more(
    rig: "GatewayRig",
) -> None:
    for name in ("eu-west-a-0", "eu-west-a-1"):
        await rig.mood(name, "delay_s=0.3")
    load = rig.load()
    async with asyncio.TaskGroup() as group:
        group.create_task(load.run(3.0))
        await asyncio.sleep(1.0)
        assert dict((await observed(rig)).in_flight)["eu-west-a-0"] > 0
        await rig.step(rig.plan(1.0, 0.0, draining=("eu-west-a-0",)))
        await rig.until(lambda: is_quiet(rig, "eu-west-a-0"))
        rig.replicas["eu-west-a-0"].kill()
    assert load.lost == {}


async def test_a_killed_replica_loses_nothing(rig: "GatewayRig") -> None:
    load = rig.load(rate=150)
    async with asyncio.TaskGroup() as group:
        group.create_task(load.run(4.0))
        await asyncio.sleep(1.0)
        rig.replicas["eu-west-a-0"].kill()
    assert load.lost == {}


async def test_requests_stuck_in_a_frozen_replica_come_back_when_it_is_killed(rig: "GatewayRig") -> None:
    for name in ("eu-west-a-0", "eu-west-a-1"):
        await rig.mood(name, "delay_s=0.2")
    load = rig.load()
    async with asyncio.TaskGroup() as group:
        group.create_task(load.run(4.0))
        await asyncio.sleep(1.0)
        os.kill(rig.replicas["eu-west-a-0"].pid, signal.SIGSTOP)
        await asyncio.sleep(0.8)  # what an agent needs to be sure, and to restart it
        rig.replicas["eu-west-a-0"].kill()
    assert load.lost == {}
    assert load.slowest_s < 10, "as late as the restart, not as the timeout of a try"


async def test_a_hundred_weight_steps_lose_nothing(rig: "GatewayRig") -> None:
    load = rig.load()
    async with asyncio.TaskGroup() as group:
        running = group.create_task(load.run(6.0))
        for number in range(100):
            await rig.step(rig.plan(1 - (number % 10) / 10, (number % 10) / 10))
            await asyncio.sleep(0.04)
        await running
    assert load.lost == {}
    assert sum(load.outcomes.values()) == 600


async def test_a_replica_that_comes_back_serves_again(rig: "GatewayRig") -> None:
    rig.replicas["eu-west-a-0"].kill()
    rig.replicas["eu-west-a-0"].wait(timeout=5)
    rig.start_replica("eu-west-a-0")
    async with asyncio.timeout(15.0):
        load = rig.load(rate=50)
        while not load.outcomes["eu-west-a-0"]:
            await load.run(0.5)
    assert load.lost == {}


async def test_a_refusal_because_of_overload_is_tried_elsewhere_and_ejects_nobody(rig: "GatewayRig") -> None:
    await rig.mood("eu-west-a-0", "status=503&headers=retry-after:%201")
    load = rig.load(rate=30)  # half of it is retried: even after a stall of the machine that fits into the retry budget
    await load.run(5.0)
    assert load.lost == {}
    assert int(await rig.stat("cluster.tts.outlier_detection.ejections_active")) == 0


async def test_a_replica_that_answers_500_is_ejected_though_its_checks_pass(rig: "GatewayRig") -> None:
    await rig.mood("eu-west-a-0", "status=500")
    load = rig.load()
    await load.run(3.0)
    assert int(await rig.stat("cluster.tts.outlier_detection.ejections_enforced_total")) >= 1
    assert load.lost.get("500", 0) < 50


async def test_shedding_refuses_the_wanted_share_at_once(rig: "GatewayRig") -> None:
    await rig.step(rig.plan(1.0, 0.0, shed=0.5))
    load = rig.load(rate=150)
    await load.run(2.0)
    assert load.lost == {"503": pytest.approx(150, abs=30)}


async def test_only_speech_is_routed(rig: "GatewayRig") -> None:
    base = f"http://127.0.0.1:{rig.port}"
    for path in ("/v1/control/drain", "/metrics", "/livez", "/", "/tts/../v1/control/drain"):
        assert (await rig.client.post(base + path)).status_code == 404
    assert (await rig.client.get(f"{base}/v1/models")).status_code == 200
    assert (await rig.client.post(f"{base}/v1/audio/speech")).status_code == 200


async def test_a_body_that_envoy_refuses_is_told_apart_and_the_old_one_stays(rig: "GatewayRig") -> None:
    plan = rig.plan(0.5, 0.5)
    version = await rig.traffic.apply((plan,))
    bad = render_assignment(plan)
    bad["endpoints"][0]["lb_endpoints"][0]["endpoint"]["address"]["socket_address"]["address"] = "not-an-ip"
    beside = rig.eds_dir / "bad"
    beside.write_text(discovery_response(bad, version + "x"))
    await rig.traffic.confirm(version, 5.0)
    beside.replace(rig.eds_dir / "tts.json")
    await rig.until(lambda: has_rejected(rig))
    load = rig.load()
    await load.run(1.0)
    assert load.lost == {}
    assert (await observed(rig)).version == version


async def test_a_rejection_is_reported_as_one(rig: "GatewayRig", monkeypatch: pytest.MonkeyPatch) -> None:
    def misrender(plan: object) -> dict[str, object]:
        return json.loads(json.dumps(render_assignment(plan)).replace("127.0.1.1", "eu-0.example"))

    monkeypatch.setattr(driver, "render_assignment", misrender)
    version = await rig.traffic.apply((rig.plan(0.5, 0.5),))
    assert isinstance(await rig.traffic.confirm(version, 5.0), Rejected)


async def test_a_gateway_that_does_not_answer_is_unknown(rig: "GatewayRig") -> None:
    version = await rig.traffic.apply((rig.plan(0.9, 0.1),))
    await rig.client.post(f"{rig.admin_url}/quitquitquit")
    await asyncio.sleep(0.3)
    assert isinstance(await rig.traffic.confirm(version, 0.3), Unknown)
