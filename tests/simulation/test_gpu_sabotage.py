"""Each guard around machines is taken away on purpose, and the watchman must notice; with it, the same script passes."""

import asyncio
from dataclasses import dataclass, replace

import pytest

from controller.core.machine_checks import is_permitted, machine_attempts_are_left, machine_is_drained
from controller.core.policy import Policy
from controller.core.question import Check, Question
from controller.core.safety import CHECKS
from controller.core.tick import Phases
from controller.rehearsal.run import BRISK, TRUSTED, TWO_GPU_REGIONS, Rehearsal, Script
from controller.rehearsal.watchman import ViolatedError
from controller.simulation.faults import Fault, FaultKind
from controller.simulation.world import RegionPlan

SOUND = Phases()
FULL = tuple(replace(plan, slots_per_host=2) for plan in TWO_GPU_REGIONS)
"""No slot is free, so no GPU can be drained."""
ROOMY = tuple(replace(plan, hosts=3, slots_per_host=4) for plan in TWO_GPU_REGIONS)
NEEDS_RESET = Fault(FaultKind.GPU_NEEDS_RESET, "eu-west-a/0", 60)
BROKEN = Fault(FaultKind.GPU_BROKEN, "eu-west-a/0", 60, 900)
IDLE_BUT_UNFIT = Fault(FaultKind.GPU_NEEDS_RESET, "eu-west-b/2", 50)
LOST = Fault(FaultKind.GPU_LOST, "eu-west-a/0", 60, 300)


def without(dropped: Check):
    """The kernel with one check forgotten."""

    def kernel(action, fleet, ledger, policy, now_unix_s):
        question = Question(action, fleet, ledger, policy, now_unix_s)
        answers = (check(question) for check in CHECKS[action.kind] if check is not dropped)
        return next((refusal for refusal in answers if refusal is not None), None)

    return Phases(why_unsafe=kernel)


@dataclass(frozen=True)
class Sabotage:
    name: str
    faults: tuple[Fault, ...]
    expected: str
    phases: Phases = SOUND
    policy: Policy = TRUSTED
    regions: tuple[RegionPlan, ...] = TWO_GPU_REGIONS
    guards: bool = True


SABOTAGES = (
    Sabotage("no permission", (NEEDS_RESET,), "is not permitted", without(is_permitted), BRISK),
    Sabotage("no drain", (NEEDS_RESET,), "while eu-west-a-0 runs there", without(machine_is_drained), regions=FULL),
    Sabotage("no cap", (BROKEN,), "2 reboots of eu-west-a in a day", without(machine_attempts_are_left), regions=ROOMY),
    Sabotage(
        "agent that starts anywhere", (IDLE_BUT_UNFIT, LOST), "started on an unfit GPU", policy=BRISK, guards=False
    ),
)


def play(sabotage: Sabotage, *, sound: bool) -> None:
    plan = sabotage.regions[0]
    script = Script(
        seed=1,
        faults=sabotage.faults,
        policy=replace(sabotage.policy, replicas_min=plan.hosts * plan.replicas_per_host),
        phases=SOUND if sound else sabotage.phases,
        regions=sabotage.regions,
        guards=sound or sabotage.guards,
    )
    asyncio.run(Rehearsal(script).play_until_home(950, 1500))


@pytest.mark.parametrize("sabotage", SABOTAGES, ids=lambda sabotage: sabotage.name)
def test_the_script_itself_passes(sabotage):
    play(sabotage, sound=True)


@pytest.mark.parametrize("sabotage", SABOTAGES, ids=lambda sabotage: sabotage.name)
def test_the_watchman_notices(sabotage):
    with pytest.raises(ViolatedError, match=sabotage.expected):
        play(sabotage, sound=False)
