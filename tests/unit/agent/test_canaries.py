"""A quiet replica is asked to speak; one that cannot is turned over to the reflexes, and nobody else is disturbed."""

import io
import random
import wave
from array import array
from dataclasses import replace

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.core.canary import CanaryOutcome, CanaryPolicy, Verdict, judge_answer, looked
from agent.core.health import Answered, HealthPolicy, Pulse
from agent.healing.board import Board
from agent.outlook.canary import Canaries
from agent.ports import Instance, ReplicaSpec
from agent.probes.speech import HttpSpeaker
from chassis.clock import ManualClock
from contracts.vocabulary import HostId, ProfileId, Region, ReplicaId, ReplicaState

FIRST, SECOND = ReplicaId("h-0"), ReplicaId("h-1")
PULSE = Pulse(True, "", ProfileId("full-fp32-onnx"), (), 3, 0, 0.0, 0)
OK, FAILED = Verdict(CanaryOutcome.OK), Verdict(CanaryOutcome.FAILED, "silence: peak 0 of 32768")
REFUSED = Verdict(CanaryOutcome.REFUSED, "answered 503")


def wav(seconds: float, peak: int = 8000, *, rate_hz: int = 22_050, width: int = 2) -> bytes:
    samples = array("h", [peak, -peak] * round(seconds * rate_hz / 2))
    sound = io.BytesIO()
    with wave.open(sound, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(width)
        file.setframerate(rate_hz)
        file.writeframes(samples.tobytes() if width == 2 else bytes(len(samples)))
    return sound.getvalue()


ANSWERS = [
    ("speech", 200, wav(1.5), CanaryOutcome.OK),
    ("soft speech", 200, wav(1.5, 300), CanaryOutcome.OK),
    ("silence", 200, wav(1.5, 0), CanaryOutcome.FAILED),
    ("a vocoder's idle noise", 200, wav(1.5, 12), CanaryOutcome.FAILED),
    ("a click", 200, wav(0.1), CanaryOutcome.FAILED),
    ("a sound without an end", 200, wav(30.0), CanaryOutcome.FAILED),
    ("no samples", 200, wav(0.0), CanaryOutcome.FAILED),
    ("samples of another kind", 200, wav(1.5, width=1), CanaryOutcome.FAILED),
    ("half a header", 200, wav(1.5)[:20], CanaryOutcome.FAILED),
    ("a page", 200, b"<html>welcome</html>", CanaryOutcome.FAILED),
    ("nothing", 200, b"", CanaryOutcome.FAILED),
    ("an error", 500, b"{}", CanaryOutcome.FAILED),
    ("a request it does not understand", 422, b"{}", CanaryOutcome.UNSUPPORTED),
    ("a sentence too long for its budget", 413, b"{}", CanaryOutcome.UNSUPPORTED),
    ("too busy", 503, b"", CanaryOutcome.REFUSED),
    ("no such route", 404, b"", CanaryOutcome.UNSUPPORTED),
]


@pytest.mark.parametrize(("status", "body", "outcome"), [a[1:] for a in ANSWERS], ids=[a[0] for a in ANSWERS])
def test_what_an_answer_is_worth(status, body, outcome):
    verdict = judge_answer(status, body)
    assert verdict.outcome is outcome
    assert bool(verdict.reason) is (outcome is not CanaryOutcome.OK)


@given(st.integers(100, 599), st.binary(max_size=200))
def test_no_answer_whatever_breaks_the_judge(status, body):
    assert judge_answer(status, b"RIFF" + body).outcome is not CanaryOutcome.OK


def test_quiet_begins_anew_with_every_step_of_work():
    quiet = looked(None, PULSE, 10.0, 30.0)
    assert quiet.due_s == 40.0
    assert looked(quiet, PULSE, 39.0, 25.0) == quiet
    assert looked(quiet, replace(PULSE, progress_total=4), 39.0, 25.0).due_s == 64.0
    assert looked(quiet, replace(PULSE, in_flight=1), 39.0, 25.0).due_s == 64.0


@given(st.floats(0.1, 3600.0), st.floats(0.0, 1.0), st.booleans())
def test_waits_stay_within_the_jitter_and_a_failure_is_followed_up_no_later(after_s, draw, failed):
    policy = CanaryPolicy(after_s=after_s)
    wait_s = policy.wait_s(draw, failed=failed)
    base_s = min(after_s, policy.retry_s) if failed else after_s
    assert 0.799 * base_s <= wait_s <= 1.201 * base_s


# ── on a host ─────────────────────────────────────────────────────────────────────────────────────────────────────────
class ScriptedSpeaker:
    """Says what a test says, and keeps who was asked."""

    def __init__(self) -> None:
        self.verdict = OK
        self.script: list[Verdict] = []
        self.asked: list[ReplicaId] = []
        self.meanwhile = lambda: None

    async def speak(self, spec):
        self.asked.append(spec.replica)
        self.meanwhile()
        return self.script.pop(0) if self.script else self.verdict


class Rig:
    def __init__(self) -> None:
        self.clock, self.speaker = ManualClock(), ScriptedSpeaker()
        specs = [
            ReplicaSpec(replica, Region("eu"), HostId("h"), "127.0.0.1", port, ProfileId("full-fp32-onnx"))
            for port, replica in enumerate((FIRST, SECOND), start=1)
        ]
        self.board = Board(specs, policy=HealthPolicy(), clock=self.clock)
        policy = CanaryPolicy(after_s=30.0, jitter=0.0, retry_s=5.0)
        self.canaries = Canaries(self.board, self.speaker, policy, self.clock, random.Random(1))
        self.unit = self.board.units[FIRST]

    def answers(self, replica: ReplicaId = FIRST, **changes) -> None:
        """A probe of the replica comes back; the first one makes it ready."""
        unit = self.board.units[replica]
        if unit.instance is None:
            self.board.began(Instance(replica, f"token-{unit.generation}"), unit.generation + 1)
        self.board.observed(replica, unit.instance, Answered(replace(PULSE, **changes), 0.002))

    async def passes(self, seconds: float) -> None:
        """Time passes, second by second, with a look at each."""
        for _ in range(round(seconds)):
            self.clock.advance(1.0)
            unit = self.canaries.most_due()
            if unit is not None:
                await self.canaries.ask(unit)

    def count(self, outcome: CanaryOutcome) -> int:
        return self.canaries.outcomes[FIRST, outcome]


@pytest.fixture
def rig() -> Rig:
    rig = Rig()
    rig.answers()
    return rig


async def test_a_quiet_replica_is_asked_every_thirty_seconds(rig):
    await rig.passes(30)
    assert rig.speaker.asked == []
    await rig.passes(64)
    assert rig.speaker.asked == [FIRST] * 3
    assert rig.count(CanaryOutcome.OK) == rig.canaries.seconds.count == 3
    assert rig.unit.canaries_failed == 0


async def test_a_replica_with_traffic_is_never_asked(rig):
    for progress in range(20):
        rig.answers(progress_total=progress)
        await rig.passes(10)
    assert rig.speaker.asked == []


@pytest.mark.parametrize("state", ["starting", "unready", "claimed", "stopped"])
async def test_only_a_ready_replica_that_nobody_works_on_is_asked(rig, state):
    if state == "starting":
        rig.board.began(Instance(FIRST, "fresh"), 2)
    elif state == "unready":
        rig.answers(ready=False)
    elif state == "claimed":
        rig.board.claim(FIRST, "order")
    else:
        rig.board.ended(FIRST, ReplicaState.STOPPED, "ordered")
    await rig.passes(100)
    assert rig.speaker.asked == []


async def test_two_quiet_replicas_are_asked_one_at_a_time(rig):
    rig.answers(SECOND)
    await rig.passes(31)
    assert len(rig.speaker.asked) == 1
    await rig.passes(1)
    assert sorted(rig.speaker.asked) == [FIRST, SECOND]


async def test_three_failures_in_a_row_make_it_hung_though_its_probes_are_answered(rig):
    rig.speaker.verdict = FAILED
    await rig.passes(31)
    assert (rig.unit.canaries_failed, rig.unit.health.state) == (1, ReplicaState.READY)
    await rig.passes(14)  # the second and third follow soon
    assert rig.unit.health.state is ReplicaState.HUNG
    assert rig.unit.health.reason == "3 canaries in a row failed: silence: peak 0 of 32768"
    rig.answers(progress_total=9)
    assert rig.unit.health.state is ReplicaState.HUNG  # only a new process has a voice again
    rig.board.began(Instance(FIRST, "fresh"), 2)
    rig.board.observed(FIRST, rig.unit.instance, Answered(PULSE, 0.002))
    assert (rig.unit.canaries_failed, rig.unit.health.state) == (0, ReplicaState.READY)


async def test_a_success_in_between_forgives(rig):
    rig.speaker.script = [FAILED, FAILED, OK, FAILED, FAILED, OK]
    await rig.passes(200)
    assert rig.speaker.script == []
    assert rig.unit.health.state is ReplicaState.READY


async def test_failures_with_a_day_of_work_in_between_are_not_in_a_row(rig):
    rig.speaker.script = [FAILED, FAILED, OK]
    await rig.passes(37)
    assert rig.unit.canaries_failed == 2
    for progress in range(100):
        rig.answers(progress_total=progress)
        await rig.passes(10)
    assert rig.unit.canaries_failed == 0
    rig.speaker.script = [FAILED, OK]
    await rig.passes(24)
    assert (rig.unit.canaries_failed, rig.unit.health.state) == (1, ReplicaState.READY)


async def test_a_replica_that_says_it_is_not_ready_while_it_speaks_is_not_blamed(rig):
    rig.speaker.verdict = FAILED
    rig.speaker.meanwhile = lambda: rig.answers(ready=False)
    await rig.passes(31)
    assert rig.speaker.asked == [FIRST]
    assert rig.unit.canaries_failed == 0


async def test_a_replica_that_cannot_be_reached_says_nothing_about_its_voice(free_port):
    spec = ReplicaSpec(FIRST, Region("eu"), HostId("h"), "127.0.0.1", free_port(), ProfileId("full-fp32-onnx"))
    async with httpx.AsyncClient() as client:
        verdict = await HttpSpeaker(client).speak(spec)
    assert verdict.outcome is CanaryOutcome.REFUSED
    assert "no connection" in verdict.reason


@pytest.mark.parametrize("verdict", [REFUSED, Verdict(CanaryOutcome.UNSUPPORTED, "answered 404")])
async def test_no_news_is_no_failure(rig, verdict):
    rig.speaker.verdict = verdict
    await rig.passes(400)
    assert len(rig.speaker.asked) > 5
    assert (rig.unit.canaries_failed, rig.unit.health.state) == (0, ReplicaState.READY)


async def test_a_failure_beside_real_work_proves_nothing(rig):
    rig.speaker.verdict = FAILED
    rig.speaker.meanwhile = lambda: rig.answers(in_flight=3)
    await rig.passes(31)
    assert rig.unit.canaries_failed == 0
    assert rig.count(CanaryOutcome.REFUSED) == 1


async def test_a_replica_that_is_replaced_while_it_speaks_is_not_blamed(rig):
    rig.speaker.verdict = FAILED
    rig.speaker.meanwhile = lambda: rig.board.began(Instance(FIRST, "fresh"), 2)
    await rig.passes(31)
    assert rig.speaker.asked == [FIRST]
    assert rig.unit.canaries_failed == 0


async def test_switched_off_it_ends_at_once(rig):
    rig.canaries.policy = CanaryPolicy(after_s=0.0)
    await rig.canaries.run()
    assert rig.speaker.asked == []
