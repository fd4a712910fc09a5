"""A simulation that cannot fail proves nothing: each part is broken on purpose, and the watchman must notice.

Every sabotage replaces one part by a plausible mistake. The same script with the true part is played too and must pass, so
that it is the mistake which is caught and not the script.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, replace

import pytest

from contracts.vocabulary import Region
from controller.core.actuation import Progress
from controller.core.detection import Detected, DetectionState
from controller.core.findings import Cause, Finding
from controller.core.signals import Trust, observe
from controller.core.tick import Phases
from controller.journal.memory import MemoryJournal
from controller.ports import Lease, TickRecord
from controller.rehearsal.run import BRISK, TWO_REGIONS, Rehearsal, Script
from controller.rehearsal.watchman import ViolatedError
from controller.simulation.faults import Fault, FaultKind
from controller.simulation.world import RegionPlan

SOUND = Phases()
HOME_BY_S = 900.0
NO_ROOM = (
    RegionPlan(Region("eu-west"), hosts=2, replicas_per_host=1, slots_per_host=2, rps=12.0),
    RegionPlan(Region("us-east"), hosts=2, replicas_per_host=1, slots_per_host=2, rps=4.0),
)
"""Two replicas that one alone could not replace."""
SLOW = Fault(FaultKind.SLOW_REPLICA, "eu-west-a-0", 60, size=4)
HANG = Fault(FaultKind.HANG, "eu-west-a-0", 60)
NO_REFLEX = Fault(FaultKind.REFLEX_OFF, "eu-west-a")
HANG_TOO = Fault(FaultKind.HANG, "eu-west-a-1", 60)
SURGE = Fault(FaultKind.SURGE, "eu-west", 60, 220, size=3)
SLOW_LAST = Fault(FaultKind.SLOW_REPLICA, "eu-west-b-1", 60, size=4)
BLIND = Fault(FaultKind.SIGNALS_DOWN, "", 225, 450)


def never_verify(record, error_budget, situation, author):
    return None


def never_detect(state, scene, policy):
    return DetectionState(), Detected()


def blame_every_replica(case, detected):
    """Diagnosis without peers: whatever is wrong, it is the replicas."""
    regions = {alarm.series.place for alarm in detected.alarms if alarm.series.is_region}
    regions |= {saturated.region for saturated in detected.saturated}
    return tuple(
        Finding(Cause.REPLICA_SLOW, replica.id, replica.region, case.now_unix_s, "It must be the replica.", ())
        for region in sorted(regions)
        for replica in case.fleet.replicas(region)
        if replica.ready
    )


def anything_goes(action, fleet, ledger, policy, now_unix_s):
    return None


def always_fresh(state, readings, policy):
    """Old counters taken for new ones, and silence for health."""
    state, signals = observe(state, readings, policy)
    trust = dict.fromkeys(readings.fleet.regions, Trust.FRESH)
    replica_trust = {replica.id: Trust.FRESH for replica in readings.fleet.replicas()}
    return state, replace(signals, trust=trust, replica_trust=replica_trust)


class UnfencedJournal(MemoryJournal):
    """Whoever asks leads, and anybody writes."""

    def acquire(self, holder, now_unix_s, ttl_s):
        super().acquire("somebody", now_unix_s, ttl_s)
        return Lease(holder, 2 if holder == "controller-b" else 1, now_unix_s + ttl_s)

    def write(self, epoch: int, record: TickRecord) -> None:
        super().write(1, record)


class ForgetfulJournal(MemoryJournal):
    """Says that it wrote the action, and did not."""

    def write(self, epoch: int, record: TickRecord) -> None:
        super().write(epoch, replace(record, actions=(), orders_issued=()))


def never_advance(record, facts):
    return Progress(record)


@dataclass(frozen=True)
class Sabotage:
    name: str
    faults: tuple[Fault, ...]
    expected: str
    """Part of what the watchman says."""
    phases: Phases = SOUND
    journal: Callable[[], MemoryJournal] = MemoryJournal
    regions: tuple[RegionPlan, ...] = TWO_REGIONS


SABOTAGES = (
    Sabotage("detector off", (SLOW,), "a slow replica was never healed", Phases(detect=never_detect)),
    Sabotage("hard detector off", (HANG, NO_REFLEX), "replicas serve", Phases(detect=never_detect)),
    Sabotage("never verify", (SLOW,), "is open for", Phases(verify=never_verify)),
    Sabotage("never advance", (SLOW,), "is open for", Phases(advance=never_advance)),
    Sabotage("no diagnosis", (SLOW_LAST,), "which is well", Phases(diagnose=blame_every_replica)),
    Sabotage("no safety, busy host", (HANG, HANG_TOO, NO_REFLEX), "two disruptive", Phases(why_unsafe=anything_goes)),
    Sabotage("no safety, no room", (SLOW,), "leaves 1 replicas", Phases(why_unsafe=anything_goes), regions=NO_ROOM),
    Sabotage("act on stale data", (SURGE, BLIND), "on stale data", Phases(observe=always_fresh)),
    Sabotage("forget the journal", (HANG, NO_REFLEX), "no journaled action", journal=ForgetfulJournal),
)


def play(sabotage: Sabotage, *, sound: bool) -> None:
    replicas = sabotage.regions[0].hosts * sabotage.regions[0].replicas_per_host
    script = Script(
        seed=1,
        faults=sabotage.faults,
        policy=replace(BRISK, replicas_min=replicas),
        phases=SOUND if sound else sabotage.phases,
        regions=sabotage.regions,
    )
    rehearsal = Rehearsal(script, MemoryJournal() if sound else sabotage.journal())
    asyncio.run(rehearsal.play_until_home(320, HOME_BY_S))


@pytest.mark.parametrize("sabotage", SABOTAGES, ids=lambda sabotage: sabotage.name)
def test_the_script_itself_passes(sabotage):
    play(sabotage, sound=True)


@pytest.mark.parametrize("sabotage", SABOTAGES, ids=lambda sabotage: sabotage.name)
def test_the_watchman_notices(sabotage):
    with pytest.raises(ViolatedError, match=sabotage.expected):
        play(sabotage, sound=False)


def play_two_leaders(*, sound: bool) -> None:
    """The second controller leads through the first fault; the first one, which slept, wakes up for the second."""
    script = Script(seed=1, faults=(HANG, NO_REFLEX, replace(HANG, from_s=160)), checks_epochs=sound)
    rehearsal = Rehearsal(script, MemoryJournal() if sound else UnfencedJournal())
    sleeper, rehearsal.controllers[:] = rehearsal.controllers[0], [rehearsal.new_controller("controller-b")]
    if sound:
        asyncio.run(sleeper.tick())
    asyncio.run(rehearsal.play(130))
    rehearsal.world.offers.clear()
    rehearsal.controllers[:] = [sleeper]
    asyncio.run(rehearsal.play_until_home(320, HOME_BY_S))


def test_fenced_leaders_may_wake_up_late():
    play_two_leaders(sound=True)


def test_the_watchman_notices_a_missing_fence():
    with pytest.raises(ViolatedError, match="obeyed an older leader"):
        play_two_leaders(sound=False)
