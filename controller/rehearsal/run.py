"""One rehearsal: a world, its faults, and controllers that come and go on one journal."""

import random
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from contracts.vocabulary import MACHINE_ORDERS, Region, SloId
from controller.core.policy import Policy
from controller.core.tick import Phases
from controller.drivers.simulated import SimulatedReplicas, SimulatedTraffic
from controller.journal.memory import MemoryJournal
from controller.loop import ControlLoop
from controller.ports import Journal, JournalState, Lease, LeaseHeld, TickRecord
from controller.rehearsal.watchman import ViolatedError, Watchman
from controller.simulation.faults import Fault, Faults
from controller.simulation.replicas import THRESHOLD_S
from controller.simulation.world import SLO, RegionPlan, SimulatedWorld
from controller.sources.simulated import SimulatedReports, SimulatedSignals
from slo_rules.indicators import ExactCounters
from slo_rules.model import Slo

TWO_REGIONS = (
    RegionPlan(Region("eu-west"), hosts=2, replicas_per_host=2, slots_per_host=3, rps=16.0),
    RegionPlan(Region("us-east"), hosts=2, replicas_per_host=2, slots_per_host=3, rps=14.0),
)
TWO_GPU_REGIONS = tuple(replace(plan, gpus_per_host=3, permits=MACHINE_ORDERS) for plan in TWO_REGIONS)
"""The same with a GPU for every slot, on hosts that permit everything."""
BRISK = Policy(
    block_s=5.0,
    calm_s=60.0,
    quality_debt_s=90.0,
    return_wait_s=20.0,
    latch_s=40.0,
    cooldown_s=10.0,
    verify_s=25.0,
    rung_memory_s=120.0,
    ready_within_s=30.0,
    drain_s=15.0,
    order_ttl_s=10.0,
    breaker_s=120.0,
    replicas_min=4,
    gpu_fit_s=20.0,
    gpu_reset_within_s=40.0,
    host_reboot_within_s=300.0,
    verify_gpu_s=20.0,
)
"""The limits of production with shorter waits, so that a whole story fits into ten simulated minutes."""
TRUSTED = replace(BRISK, gpu_reset_allowed=True, host_reboot_allowed=True)
"""The same, and machines may be touched."""


class Crash(BaseException):
    """The controller's process ends here, as by `kill -9`. No `Exception`: nothing may survive it by accident."""


@dataclass(slots=True)
class FragileJournal:
    """A journal whose controller dies at chosen writes: before the transaction, or right after it."""

    inner: Journal
    crash_before: frozenset[int] = frozenset()
    crash_after: frozenset[int] = frozenset()
    """Numbers of writes, counted from one over all controllers."""
    writes: int = 0

    def acquire(self, holder: str, now_unix_s: float, ttl_s: float) -> Lease | LeaseHeld:
        """As the journal inside."""
        return self.inner.acquire(holder, now_unix_s, ttl_s)

    def load(self, now_unix_s: float, history_s: float) -> JournalState:
        """As the journal inside."""
        return self.inner.load(now_unix_s, history_s)

    def write(self, epoch: int, record: TickRecord) -> None:
        """As the journal inside, or the end."""
        self.writes += 1
        if self.writes in self.crash_before:
            raise Crash
        self.inner.write(epoch, record)
        if self.writes in self.crash_after:
            raise Crash


@dataclass(frozen=True, slots=True)
class Script:
    """What one rehearsal is about."""

    seed: int
    faults: tuple[Fault, ...] = ()
    policy: Policy = BRISK
    phases: Phases = field(default_factory=Phases)
    regions: tuple[RegionPlan, ...] = TWO_REGIONS
    crash_before: frozenset[int] = frozenset()
    crash_after: frozenset[int] = frozenset()
    checks_epochs: bool = True
    """False makes agents obey any leader."""
    guards: bool = True
    """False makes agents touch machines, and start on GPUs, whenever they are told to."""


class Rehearsal:
    """Plays a script tick by tick; `ViolatedError` when an invariant breaks."""

    def __init__(self, script: Script, journal: MemoryJournal | None = None) -> None:
        self.script = script
        self.world = SimulatedWorld(
            script.regions,
            seed=script.seed,
            faults=Faults(script.faults),
            checks_epochs=script.checks_epochs,
            guards=script.guards,
        )
        self.journal = journal or MemoryJournal()
        self.journal.put_slos((Slo(id=SloId(SLO), objective=0.95, indicator=ExactCounters(THRESHOLD_S)),))
        self.fragile = FragileJournal(self.journal, script.crash_before, script.crash_after)
        self.watchman = Watchman(self.world, self.journal, script.policy)
        self.controllers = [self.new_controller("controller-1")]
        """Those that run; each ticks once per step, the first one first."""
        self.crashes = 0

    def new_controller(self, holder: str) -> ControlLoop:
        """One more controller on the same world and journal."""
        return ControlLoop(
            journal=self.fragile,
            signals=SimulatedSignals(self.world),
            fleet=SimulatedReports(self.world),
            replicas=SimulatedReplicas(self.world, holder),
            traffic=SimulatedTraffic(self.world, holder),
            clock=self.world.clock,
            ids=seeded_ids(f"{self.script.seed}/{holder}"),
            policy=self.script.policy,
            holder=holder,
            phases=self.script.phases,
        )

    async def play(self, until_s: float) -> None:
        """Tick until that simulated second."""
        while self.world.now_s < until_s:
            await self.tick()

    async def play_until_home(self, from_s: float, until_s: float) -> None:
        """Play to `from_s`, then until all is as configured and nothing is open; `ViolatedError` when that never comes."""
        await self.play(from_s)
        while self.world.now_s < until_s:
            await self.tick()
            if not any(self.watchman.not_home()) and self.controllers[0].view.actions_open == 0:
                return
        self.must_be_home()

    async def tick(self) -> None:
        """Every controller once, then the invariants, then time."""
        for index, controller in enumerate(tuple(self.controllers)):
            try:
                await controller.tick()
            except Crash:
                self.crashes += 1
                self.world.offers.clear()  # what a dead process offered is gone with it
                self.controllers[index] = self.new_controller(f"controller-{self.crashes + 1}")
        self.watchman.check()
        self.world.advance(self.script.policy.tick_s)

    def must_be_home(self) -> None:
        """Raise `ViolatedError` when anything is not as configured."""
        wrong = tuple(self.watchman.not_home())
        if wrong:
            msg = "not home after the calm: " + "; ".join(wrong)
            raise ViolatedError(msg)

    def story(self) -> str:
        """The decisions so far, one a line, for the reader of a failing seed."""
        began_unix_s = self.world.clock.now_unix_s() - self.world.now_s
        return "\n".join(
            f"{line.at_unix_s - began_unix_s:6.0f} s {line.kind:8} {line.summary} {dict(line.evidence)}"
            for line in self.journal.decisions
        )


def seeded_ids(seed: str) -> Callable[[], str]:
    """Ids of ten hexadecimal digits from a seed of their own: collisions are out of reach, stories repeatable."""
    rng = random.Random(seed)  # noqa: S311  # ids must be unique, not secret
    return lambda: f"{rng.getrandbits(40):010x}"
