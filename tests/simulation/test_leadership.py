"""The shell around the phases: what it does before it knows enough, and when the world does not answer."""

import asyncio
import threading
from dataclasses import replace

import pytest

from controller.core.fleet import Fleet
from controller.ports import Applied, Rejected, SourceDown, Unknown
from controller.rehearsal.run import BRISK, Rehearsal, Script


class Reports:
    """A fleet source of which only some agents have reported."""

    def __init__(self, inner, hosts):
        self.inner, self.hosts = inner, hosts

    def fleet(self):
        return Fleet(hosts=tuple(host for host in self.inner.fleet().hosts if host.id in self.hosts))


def test_a_new_leader_does_not_cut_off_replicas_whose_agents_it_has_not_heard():
    rehearsal = Rehearsal(Script(seed=1))
    asyncio.run(rehearsal.play(30))
    rehearsal.controllers[:] = [rehearsal.new_controller("controller-b")]
    loop = rehearsal.controllers[0]
    everybody = loop._fleet
    loop._fleet = Reports(everybody, {"eu-west-a"})
    endpoints = len(rehearsal.world.gateways["eu-west"].plan.endpoints)
    asyncio.run(rehearsal.play(60))
    assert loop.view.leader
    assert loop.tick_age_s() is None
    assert len(rehearsal.world.gateways["eu-west"].plan.endpoints) == endpoints
    loop._fleet = everybody
    asyncio.run(rehearsal.play(70))
    assert loop.view.published_version == "controller-b-1"
    assert loop.tick_age_s() is not None


class Mute:
    """A traffic driver of which one gateway does not say what it does."""

    def __init__(self, inner):
        self.inner = inner
        self.apply, self.confirm = inner.apply, inner.confirm

    async def observe(self):
        return (*(await self.inner.observe())[:1], SourceDown("us-east does not answer"))


def test_a_new_leader_does_not_overrule_a_gateway_that_it_cannot_ask():
    rehearsal = Rehearsal(Script(seed=1))
    asyncio.run(rehearsal.play(30))
    rehearsal.controllers[:] = [rehearsal.new_controller("controller-b")]
    loop = rehearsal.controllers[0]
    loop._traffic = Mute(loop._traffic)
    asyncio.run(rehearsal.play(60))
    assert loop.view.leader
    assert loop.view.published_version == ""
    asyncio.run(rehearsal.play(60 + BRISK.takeover_s))
    assert loop.view.published_version == "controller-b-1"


def test_a_new_leader_does_not_wait_for_ever():
    rehearsal = Rehearsal(Script(seed=1))
    asyncio.run(rehearsal.play(30))
    rehearsal.controllers[:] = [rehearsal.new_controller("controller-b")]
    loop = rehearsal.controllers[0]
    loop._fleet = Reports(loop._fleet, {"eu-west-a", "eu-west-b", "us-east-a"})
    asyncio.run(rehearsal.play(50 + BRISK.takeover_s))
    assert loop.view.published_version == "controller-b-1"


def test_who_leads_again_trusts_nothing_it_remembers():
    rehearsal = Rehearsal(Script(seed=1))
    first = rehearsal.controllers[0]
    asyncio.run(rehearsal.play(30))
    rehearsal.controllers[:] = [rehearsal.new_controller("controller-b")]
    asyncio.run(rehearsal.play(60))
    rehearsal.controllers[:] = [first]
    asyncio.run(rehearsal.play(90))
    assert first.view.epoch == 3
    assert rehearsal.world.gateways["eu-west"].version == "controller-1-2", "its former plans may long be replaced"


class Gateways:
    """A traffic driver that answers as told."""

    def __init__(self, inner, confirmations, apply_s=0.0):
        self.inner, self.confirmations, self.apply_s, self.applied = inner, confirmations, apply_s, 0

    async def apply(self, plans):
        self.applied += 1
        await asyncio.sleep(self.apply_s)
        return await self.inner.apply(plans)

    async def confirm(self, version, timeout_s):
        return self.confirmations.pop(0) if self.confirmations else Applied(version)

    async def observe(self):
        return await self.inner.observe()


def test_unchanged_plans_are_not_published_again_and_an_unknown_one_is_asked_for_again():
    rehearsal = Rehearsal(Script(seed=1))
    loop = rehearsal.controllers[0]
    loop._traffic = Gateways(loop._traffic, [Unknown("no answer"), Rejected("bad"), Unknown("no answer")])
    confirmed = []
    for end_s in (5, 10, 15, 20, 25):
        asyncio.run(rehearsal.play(end_s))
        confirmed.append(loop.view.published_confirmed)
    assert confirmed == [False, False, False, True, True]
    assert loop._traffic.applied == 1


def test_a_publication_without_an_answer_is_repeated():
    rehearsal = Rehearsal(Script(seed=1, policy=replace(BRISK, source_timeout_s=0.02)))
    loop = rehearsal.controllers[0]
    loop._traffic = Gateways(loop._traffic, [], apply_s=0.05)
    asyncio.run(rehearsal.play(10))
    assert loop._traffic.applied == 2
    assert not loop.view.published_confirmed
    loop._traffic.apply_s = 0.0
    asyncio.run(rehearsal.play(15))
    assert loop.view.published_confirmed


def test_a_gateway_that_another_hand_changed_is_told_again():
    rehearsal = Rehearsal(Script(seed=1))
    loop = rehearsal.controllers[0]
    loop._traffic = Gateways(loop._traffic, [])
    asyncio.run(rehearsal.play(20))
    assert loop._traffic.applied == 1
    gateway = rehearsal.world.gateways["eu-west"]
    ours, gateway.plan, gateway.version = gateway.plan, rehearsal.world.gateways["us-east"].plan, "by hand"
    asyncio.run(rehearsal.play(30))
    assert loop._traffic.applied == 2
    assert gateway.plan == ours
    assert gateway.version == loop.view.published_version
    assert loop.view.published_confirmed


def test_a_drift_that_cannot_be_repaired_yet_is_repaired_later():
    rehearsal = Rehearsal(Script(seed=1))
    loop = rehearsal.controllers[0]
    asyncio.run(rehearsal.play(20))
    gateway, working = rehearsal.world.gateways["eu-west"], loop._traffic
    gateway.version, loop._traffic = "by hand", Refuses(working, ValueError("not now"))
    asyncio.run(rehearsal.play(30))
    assert not loop.view.published_confirmed
    loop._traffic = working
    asyncio.run(rehearsal.play(40))
    assert gateway.version == loop.view.published_version
    assert loop.view.published_confirmed


class Unreachable:
    """A journal whose database is gone."""

    def acquire(self, holder, now_unix_s, ttl_s):
        msg = "database is locked"
        raise OSError(msg)


def test_a_leader_that_cannot_renew_its_lease_stands_by_when_the_lease_has_lapsed():
    rehearsal = Rehearsal(Script(seed=1))
    loop = rehearsal.controllers[0]
    asyncio.run(rehearsal.play(20))
    working, loop._journal = loop._journal, Unreachable()
    loop._replicas.offer((("eu-west-a", "an order"),))
    leads = []
    for _ in range(4):
        with pytest.raises(OSError, match="locked"):
            asyncio.run(loop.tick())
        leads.append((loop.view.leader, bool(rehearsal.world.offers["controller-1"])))
        rehearsal.world.clock.advance(BRISK.tick_s)
    assert leads == [(True, True), (True, True), (False, False), (False, False)]
    loop._journal = working
    asyncio.run(loop.tick())
    assert loop.view.leader, "nobody else has led meanwhile"
    assert loop.view.epoch == 1


def test_a_journal_that_waits_for_its_disk_runs_aside_and_does_not_hold_up_agents():
    rehearsal = Rehearsal(Script(seed=1))
    loop = rehearsal.controllers[0]
    disk, threads = threading.Event(), set()
    acquire = rehearsal.journal.acquire

    def waits(*args):
        threads.add(threading.current_thread())
        assert disk.wait(5.0)
        return acquire(*args)

    loop._aside, rehearsal.journal.acquire = asyncio.to_thread, waits

    async def play():
        async with asyncio.TaskGroup() as group:
            tick = group.create_task(loop.tick())
            await asyncio.sleep(0.01)  # an agent's request would be answered here
            assert not tick.done()
            disk.set()

    asyncio.run(play())
    assert loop.view.leader
    assert threading.main_thread() not in threads


class Refuses:
    """A traffic driver to which no plan is good enough."""

    def __init__(self, inner, error):
        self.inner, self.error = inner, error

    async def apply(self, plans):
        raise self.error

    async def confirm(self, version, timeout_s):
        return Unknown("never published")

    async def observe(self):
        return await self.inner.observe()


def test_a_plan_that_the_driver_refuses_does_not_end_the_tick():
    rehearsal = Rehearsal(Script(seed=1))
    loop = rehearsal.controllers[0]
    loop._traffic = Refuses(loop._traffic, ValueError("two replicas at one address"))
    asyncio.run(rehearsal.play(30))
    assert loop.view.leader
    assert loop.view.ticked_unix_s is not None
    assert loop.view.published_version == ""


def test_what_was_seen_is_remembered_even_when_touching_the_world_fails():
    rehearsal = Rehearsal(Script(seed=1))
    loop = rehearsal.controllers[0]
    asyncio.run(rehearsal.play(10))
    seen = len(loop._memory.signals.blocks)
    loop._traffic, loop._plans = Refuses(loop._traffic, RuntimeError("a defect")), ()
    rehearsal.world.advance(2 * BRISK.block_s)
    with pytest.raises(RuntimeError, match="a defect"):
        asyncio.run(loop.tick())
    assert len(loop._memory.signals.blocks) > seen


def test_the_view_shows_what_people_ask_for():
    rehearsal = Rehearsal(Script(seed=1))
    asyncio.run(rehearsal.play(60))
    view = rehearsal.controllers[0].view
    assert view.leader
    assert view.epoch == 1
    assert {str(trust) for trust in view.trust.values()} == {"fresh"}
    assert {region: load.ready for region, load in view.loads.items()} == {"eu-west": 4, "us-east": 4}
    assert 0.3 < view.loads["eu-west"].utilisation < 0.5
    assert view.traffic.share("eu-west", "eu-west") == 1.0
    assert view.actions_open == 0
