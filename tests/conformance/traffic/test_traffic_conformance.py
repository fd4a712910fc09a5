"""What every traffic driver promises, run over every implementation.

An implementation joins by adding a factory to `IMPLEMENTATIONS`; it yields a driver for the gateways `eu-west` and `us-east`.
"""

import importlib.util
import json
import os
import subprocess
import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import replace
from pathlib import Path

import httpx
import pytest

from chassis.clock import SystemClock
from contracts.vocabulary import Region, ReplicaId
from controller.drivers.envoy import EnvoyTraffic, Gateway
from controller.drivers.envoy_bootstrap import GatewaySettings, render_bootstrap
from controller.drivers.simulated import SimulatedTraffic
from controller.ports import Applied, Endpoint, GatewayObservation, GatewayPlan, TrafficDriver, Unknown
from controller.simulation.world import RegionPlan, SimulatedWorld

EU, US = Region("eu-west"), Region("us-east")
SHARED_MEMORY = "/dev/shm"  # noqa: S108  # a tmpfs, which is where gateways watch in production
CONFIRM_S = 5.0
Parts = tuple[Callable[..., int], Callable[..., subprocess.Popen[bytes]], Callable[..., object], Path]


def endpoint(name: str, region: Region, address: str, *, draining: bool = False) -> Endpoint:
    return Endpoint(ReplicaId(name), region, address, 9, draining)


ENDPOINTS = (endpoint("eu-west-a-0", EU, "127.0.1.1"), endpoint("us-east-a-0", US, "127.0.2.1"))


def home(gateway: Region) -> GatewayPlan:
    shares = tuple((region, 1.0 if region == gateway else 0.0) for region in (EU, US))
    return GatewayPlan(gateway=gateway, shares=shares, endpoints=ENDPOINTS)


@asynccontextmanager
async def envoy(parts: Parts) -> AsyncIterator[TrafficDriver]:
    free_port, start_program, wait_until_async, tmp_path = parts
    binary = Path(next(iter(importlib.util.find_spec("envoy").submodule_search_locations))) / "_bin" / "envoy"
    shared = SHARED_MEMORY if os.access(SHARED_MEMORY, os.W_OK) else None
    async with AsyncExitStack() as stack:
        client = await stack.enter_async_context(httpx.AsyncClient())
        gateways = []
        for region in (EU, US):
            eds = stack.enter_context(tempfile.TemporaryDirectory(dir=shared, prefix="trimtab-test-"))
            admin = free_port()
            settings = GatewaySettings(
                region, "127.0.0.1", free_port(), "127.0.0.1", admin, eds, str(tmp_path / "a.log")
            )
            config = tmp_path / f"{region}.json"
            config.write_text(json.dumps(render_bootstrap(settings)))
            gateways.append(Gateway(region, f"http://127.0.0.1:{admin}", Path(eds)))
        driver = EnvoyTraffic(gateways=gateways, client=client, clock=SystemClock(), boot="test")
        await driver.seed()
        for gateway in gateways:
            argv = [str(binary), "-c", str(tmp_path / f"{gateway.region}.json"), "--disable-hot-restart"]
            start_program([*argv, "--concurrency", "1", "-l", "warning"], name=f"envoy-{gateway.region}")
        for gateway in gateways:
            await wait_until_async(lambda url=gateway.admin_url: is_live(url), within_s=20, what="the gateway is live")
        yield driver


def is_live(admin_url: str) -> bool:
    try:
        return httpx.get(f"{admin_url}/ready", timeout=1.0).is_success
    except httpx.HTTPError:
        return False


@asynccontextmanager
async def simulated(_parts: Parts) -> AsyncIterator[TrafficDriver]:
    plans = tuple(RegionPlan(region, hosts=1, replicas_per_host=1, slots_per_host=1, rps=1.0) for region in (EU, US))
    yield SimulatedTraffic(SimulatedWorld(plans, seed=1))


IMPLEMENTATIONS: dict[str, Callable[[Parts], AbstractAsyncContextManager[TrafficDriver]]] = {
    "envoy": envoy,
    "simulated": simulated,
}
MARKS = {"envoy": pytest.mark.envoy}


@pytest.fixture(params=[pytest.param(name, marks=MARKS.get(name, ())) for name in sorted(IMPLEMENTATIONS)])
async def driver(
    request: pytest.FixtureRequest,
    free_port: Callable[..., int],
    start_program: Callable[..., subprocess.Popen[bytes]],
    wait_until_async: Callable[..., object],
    tmp_path: Path,
) -> AsyncIterator[TrafficDriver]:
    async with IMPLEMENTATIONS[request.param]((free_port, start_program, wait_until_async, tmp_path)) as made:
        yield made


async def settle(driver: TrafficDriver, *plans: GatewayPlan) -> str:
    version = await driver.apply(plans)
    assert await driver.confirm(version, CONFIRM_S) == Applied(version=version)
    return version


async def observations(driver: TrafficDriver) -> dict[Region, GatewayObservation]:
    seen = await driver.observe()
    assert all(isinstance(one, GatewayObservation) for one in seen)
    return {one.gateway: one for one in seen if isinstance(one, GatewayObservation)}


async def test_what_was_applied_is_confirmed_and_observed(driver: TrafficDriver) -> None:
    version = await settle(driver, home(EU), home(US))
    seen = await observations(driver)
    assert {one.version for one in seen.values()} == {version}
    assert set(seen) == {EU, US}


async def test_every_endpoint_is_observed_with_its_work_in_flight(driver: TrafficDriver) -> None:
    await settle(driver, home(EU), home(US))
    for one in (await observations(driver)).values():
        assert dict(one.in_flight) == {"eu-west-a-0": 0, "us-east-a-0": 0}


async def test_a_changed_plan_gets_another_version_and_an_equal_one_may_be_repeated(driver: TrafficDriver) -> None:
    await settle(driver, home(EU), home(US))
    first = await settle(driver, home(EU), home(US))
    drained = replace(home(EU), endpoints=(replace(ENDPOINTS[0], draining=True), ENDPOINTS[1]))
    assert await settle(driver, drained, home(US)) != first


async def test_a_plan_without_a_routable_endpoint_is_refused_and_nothing_changes(driver: TrafficDriver) -> None:
    version = await settle(driver, home(EU), home(US))
    empty = replace(home(US), endpoints=())
    with pytest.raises(ValueError, match="routable"):
        await driver.apply((replace(home(EU), shed_ratio=0.5), empty))
    assert {one.version for one in (await observations(driver)).values()} == {version}


async def test_a_version_that_was_never_published_is_unknown(driver: TrafficDriver) -> None:
    await settle(driver, home(EU), home(US))
    assert isinstance(await driver.confirm("never-published", 0.1), Unknown)
