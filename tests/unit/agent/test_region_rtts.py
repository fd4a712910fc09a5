"""The way to other regions: one connection each, a number when it opens, and no number otherwise."""

import asyncio
import random
import socket
import threading

import pytest

from agent.outlook.outlook import other_gateways
from agent.outlook.rtt import Gateway, RegionRtts, RttOutcome, RttPace
from agent.settings import AgentSettings
from chassis.clock import SystemClock
from chassis.settings import SettingsError
from contracts.vocabulary import Region

NEAR, FAR = Region("near"), Region("far")
SWALLOWS = "127.0.0.9"
REQUIRED = {"host_id": "h", "region": "eu", "controller_url": "http://127.0.0.1:1", "state_dir": "/nowhere"}


@pytest.fixture
async def listening():
    """A gateway that accepts; its connections are counted."""
    accepted = []

    async def accept(_, writer):
        accepted.append(writer)
        writer.close()

    server = await asyncio.start_server(accept, "127.0.0.1", 0)
    yield server.sockets[0].getsockname()[1], accepted
    server.close()


def rtts(**gateways: Gateway) -> RegionRtts:
    named = {Region(region): gateway for region, gateway in gateways.items()}
    return RegionRtts(named, SystemClock(), random.Random(1), RttPace(interval_s=0.02, deadline_s=0.3))


async def test_a_gateway_that_listens_is_measured_and_one_that_does_not_has_no_number(listening, free_port):
    port, _ = listening
    measured = rtts(near=Gateway("127.0.0.1", port), far=Gateway("127.0.0.1", free_port()))
    await measured.measure()
    assert set(measured.newest_s) == {NEAR}
    assert 0.0 < measured.newest_s[NEAR] < 0.3
    assert (measured.seconds[NEAR].count, measured.seconds[FAR].count) == (1, 0)
    assert measured.outcomes == {(NEAR, RttOutcome.OK): 1, (FAR, RttOutcome.REFUSED): 1}


async def test_a_region_that_is_lost_loses_its_number(listening, free_port):
    port, _ = listening
    measured = rtts(near=Gateway("127.0.0.1", port))
    await measured.measure()
    measured.gateways = {NEAR: Gateway("127.0.0.1", free_port())}
    await measured.measure()
    assert measured.newest_s == {}
    assert measured.seconds[NEAR].count == 1


async def test_a_gateway_that_swallows_packets_costs_one_deadline_and_delays_nobody(listening, monkeypatch):
    port, _ = listening
    loop = asyncio.get_running_loop()
    connect = loop.create_connection

    async def swallow(factory, host, number):
        return await (asyncio.Event().wait() if host == SWALLOWS else connect(factory, host, number))

    monkeypatch.setattr(loop, "create_connection", swallow)
    measured = rtts(near=Gateway("127.0.0.1", port), far=Gateway(SWALLOWS, 1))
    await asyncio.wait_for(measured.measure(), 5)
    assert measured.outcomes == {(NEAR, RttOutcome.OK): 1, (FAR, RttOutcome.TIMEOUT): 1}
    assert measured.newest_s[NEAR] < 0.3


async def test_a_name_that_nobody_knows_is_a_failure():
    measured = rtts(far=Gateway("no-such-host.invalid", 80))
    await measured.measure()
    assert measured.newest_s == {}
    assert measured.outcomes.total() == 1
    assert measured.outcomes[FAR, RttOutcome.OK] == 0


def slow_names(monkeypatch, seconds: float) -> None:
    """Names take their time; addresses need no looking up."""
    look_up = socket.getaddrinfo

    def slow(host, *args, **options):
        if not host[0].isdigit() and not options.get("flags"):
            threading.Event().wait(seconds)
        return look_up("127.0.0.1" if host == "near" else host, *args, **options)

    monkeypatch.setattr(socket, "getaddrinfo", slow)


async def test_looking_a_name_up_is_no_part_of_the_way(listening, monkeypatch):
    slow_names(monkeypatch, 0.2)
    measured = rtts(near=Gateway("near", listening[0]))
    await measured.measure()
    assert measured.newest_s[NEAR] < 0.2


async def test_names_that_nobody_answers_for_hold_up_no_other_thread(monkeypatch):
    slow_names(monkeypatch, 1.0)
    measured = rtts(**{f"r{number}": Gateway("no-such-host.invalid", 80) for number in range(64)})
    measuring = asyncio.ensure_future(measured.measure())
    await asyncio.sleep(0.1)
    await asyncio.to_thread(lambda: None)  # as for the log of a replica that is about to be restarted
    assert not measuring.done()
    await measuring
    assert set(measured.outcomes) == {(region, RttOutcome.TIMEOUT) for region in measured.gateways}


async def test_the_first_address_that_accepts_counts(listening, monkeypatch):
    port, _ = listening
    monkeypatch.setattr(
        "agent.outlook.rtt.look_up", lambda gateway, flags: ["127.0.0.8", "127.0.0.1"]
    )  # the first one refuses
    measured = rtts(near=Gateway("near", port))
    await measured.measure()
    assert set(measured.newest_s) == {NEAR}


async def test_it_goes_on_measuring_and_leaves_no_connection_open(listening, wait_until_async):
    port, accepted = listening
    measured = rtts(near=Gateway("127.0.0.1", port))
    task = asyncio.ensure_future(measured.run())
    await wait_until_async(lambda: len(accepted) >= 3, within_s=5, what="three connections")
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert all(writer.is_closing() for writer in accepted)


async def test_a_fleet_of_one_region_measures_nothing():
    await asyncio.wait_for(rtts().run(), 1)


def test_gateways_of_other_regions_are_read_from_the_settings():
    settings = AgentSettings(**REQUIRED, gateways={"eu": "127.0.0.1:1", "us": "gateway.us:10000", "ap": "[::1]:80"})
    assert other_gateways(settings) == {
        Region("us"): Gateway("gateway.us", 10_000),
        Region("ap"): Gateway("::1", 80),
    }


@pytest.mark.parametrize("address", ["gateway", "gateway:", ":80", "gateway:http", "gateway:0", "gateway:70000"])
def test_an_address_without_host_or_port_is_refused_by_name(address):
    with pytest.raises(SettingsError, match=r"GATEWAYS.*is not host:port"):
        AgentSettings.read_from({}, **REQUIRED, gateways={"us": address})
