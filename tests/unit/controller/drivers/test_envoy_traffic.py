"""What the driver makes of a gateway's words, with a gateway played by a few lines."""

import asyncio
import threading
from pathlib import Path
from typing import Any

import httpx
import pytest

from chassis.clock import ManualClock
from controller.drivers.envoy import EnvoyTraffic, Gateway
from controller.ports import Applied, Endpoint, GatewayObservation, GatewayPlan, Rejected, SourceDown, Unknown

EU = "eu-west"
HOME = GatewayPlan(EU, ((EU, 1.0),), (Endpoint("eu-0", EU, "127.0.1.1", 9001, draining=False),))


class Admin:
    """An admin interface that says what a test wants."""

    def __init__(self) -> None:
        self.version, self.rejected, self.up = "", 0, True

    def __call__(self, request: httpx.Request) -> httpx.Response:
        if not self.up:
            raise httpx.ConnectError("refused")
        if request.url.path == "/clusters":
            host = {"hostname": "eu-0", "stats": [{"name": "rq_active", "value": "3"}]}
            return httpx.Response(200, json={"cluster_statuses": [{"name": "tts", "host_statuses": [host]}]})
        stats: list[dict[str, Any]] = [
            {"name": "cluster.tts.version_text", "value": self.version},
            {"name": "cluster.tts.update_rejected", "value": self.rejected},
            {"name": "cluster.tts.zone.eu-west.eu-west.upstream_rq_completed", "value": 70},
            {"name": "cluster.tts.zone.eu-west.us-east.upstream_rq_completed", "value": 30},
            {"name": "cluster.tts.zone.eu-west.us-east.upstream_rq_5xx", "value": 2},
            {"histograms": {}},
        ]
        return httpx.Response(200, json={"stats": stats})


@pytest.fixture
def admin() -> Admin:
    return Admin()


@pytest.fixture
def traffic(admin: Admin, tmp_path: Path) -> EnvoyTraffic:
    client = httpx.AsyncClient(transport=httpx.MockTransport(admin))
    gateway = Gateway(region=EU, admin_url="http://admin", eds_dir=tmp_path / "eds")
    return EnvoyTraffic(gateways=(gateway,), client=client, clock=ManualClock(), boot="b")


async def test_a_version_is_applied_when_the_gateway_names_it(
    traffic: EnvoyTraffic, admin: Admin, tmp_path: Path
) -> None:
    admin.version = await traffic.apply((HOME,))
    assert admin.version in (tmp_path / "eds" / "tts.json").read_text()
    assert await traffic.confirm(admin.version, 1.0) == Applied(version=admin.version)


async def test_a_grown_rejection_counter_is_a_rejection_and_an_old_one_is_not(
    traffic: EnvoyTraffic, admin: Admin
) -> None:
    admin.rejected = 4
    version = await traffic.apply((HOME,))
    assert isinstance(await traffic.confirm(version, 0.1), Unknown)
    admin.rejected = 5
    assert isinstance(await traffic.confirm(version, 0.1), Rejected)


async def test_silence_is_unknown_and_never_success(traffic: EnvoyTraffic, admin: Admin) -> None:
    version = await traffic.apply((HOME,))
    admin.up = False
    assert isinstance(await traffic.confirm(version, 0.1), Unknown)
    (seen,) = await traffic.observe()
    assert isinstance(seen, SourceDown)


async def test_rejections_of_a_gateway_that_was_silent_before_cannot_be_told_apart(
    traffic: EnvoyTraffic, admin: Admin
) -> None:
    admin.up, admin.rejected = False, 7
    version = await traffic.apply((HOME,))
    admin.up = True
    assert isinstance(await traffic.confirm(version, 0.1), Unknown)


async def test_an_equal_plan_keeps_its_version_and_another_gets_the_next(traffic: EnvoyTraffic) -> None:
    first = await traffic.apply((HOME,))
    assert first.startswith("b.1.")
    assert await traffic.apply((HOME,)) == first
    other = GatewayPlan(EU, HOME.shares, (Endpoint("eu-0", EU, "127.0.1.1", 9002, draining=False),))
    assert (await traffic.apply((other,))).startswith("b.2.")


async def test_a_plan_for_a_gateway_that_is_not_ours_is_refused(traffic: EnvoyTraffic) -> None:
    with pytest.raises(ValueError, match="mars"):
        await traffic.apply((GatewayPlan("mars", HOME.shares, HOME.endpoints),))


async def test_a_directory_that_cannot_be_written_is_unknown_with_the_reason(
    traffic: EnvoyTraffic, tmp_path: Path
) -> None:
    (tmp_path / "eds").write_text("a file, not a directory")
    version = await traffic.apply((HOME,))
    outcome = await traffic.confirm(version, 0.1)
    assert isinstance(outcome, Unknown)
    assert "tts.json" in outcome.reason


async def test_a_write_whose_caller_gave_up_lands_before_the_next_and_never_after(
    traffic: EnvoyTraffic, admin: Admin, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk, replace_file = threading.Event(), Path.replace
    stuck: list[Path] = []

    def slow_once(path: Path, target: Path) -> Path:
        if not stuck:
            stuck.append(path)
            assert disk.wait(5.0)
        return replace_file(path, target)

    monkeypatch.setattr(Path, "replace", slow_once)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.1):
            await traffic.apply((HOME,))
    other = GatewayPlan(EU, HOME.shares, (Endpoint("eu-0", EU, "127.0.1.1", 9002, draining=False),))
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.1):
            await traffic.apply((other,))
    assert not (tmp_path / "eds" / "tts.json").exists(), "nothing is written beside the stuck write"
    disk.set()
    admin.version = await traffic.apply((other,))
    assert admin.version in (tmp_path / "eds" / "tts.json").read_text()
    assert [path.name for path in (tmp_path / "eds").iterdir()] == ["tts.json"]
    assert isinstance(await traffic.confirm(admin.version, 0.1), Applied)


async def test_observation_reads_zone_counters_and_work_in_flight(traffic: EnvoyTraffic, admin: Admin) -> None:
    admin.version = "v"
    assert await traffic.observe() == (
        GatewayObservation(
            gateway=EU,
            version="v",
            completed=((EU, 70.0), ("us-east", 30.0)),
            failed=(("us-east", 2.0),),
            in_flight=(("eu-0", 3),),
        ),
    )


async def test_a_seed_is_given_only_to_a_gateway_that_never_ran(
    traffic: EnvoyTraffic, admin: Admin, tmp_path: Path
) -> None:
    target = tmp_path / "eds" / "tts.json"
    await traffic.seed()
    assert not target.exists(), "a running gateway would obey an empty assignment"
    admin.up = False
    await traffic.seed()
    assert "b.0.seed" in target.read_text()
    version = await traffic.apply((HOME,))
    await traffic.seed()
    assert version in target.read_text()
