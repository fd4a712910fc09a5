"""Every limit the loop obeys, with its reason: one value that never changes while a loop runs.

Durations are seconds, shares and utilisations are ratios 0..1. The defaults suit a fleet whose replicas start in under a
minute; a fleet with slower starts raises `ready_within_s` and the windows after it.
"""

from dataclasses import dataclass, fields

from contracts.agent_api import ORDER_LIFE_S_MAX
from contracts.vocabulary import Region

DAY_S = 86_400.0


@dataclass(frozen=True, slots=True)
class Policy:
    """Limits of the loop; `PolicyError` when they contradict one another."""

    # ── pace ──────────────────────────────────────────────────────────────────────────────────────────────────────────
    tick_s: float = 5.0
    """Pace of the loop: a tenth of the fastest soft detection, half of the promised 10 s for hard faults."""
    lease_s: float = 15.0
    """Three ticks: two lost renewals are survived, and a dead leader is replaced within 15 s."""
    takeover_s: float = 30.0
    """How long a new leader waits for agents whose replicas the gateways know: a list without them would cut them off."""
    history_s: float = DAY_S
    """How far back closed actions count: attempt caps are per day."""
    source_timeout_s: float = 3.0
    """Longest wait for any source inside a tick, so that a slow one costs less than a tick."""
    confirm_timeout_s: float = 2.0
    """How long to wait for gateways to acknowledge; measured 5 ms (file) to 106 ms (long poll) in practice."""

    # ── observe ───────────────────────────────────────────────────────────────────────────────────────────────────────
    block_s: float = 10.0
    """Width of one block: 10 s keeps bursts of compliant traffic inside a block, where they average out."""
    blocks_kept: int = 60
    """Ten minutes of blocks: longer than any verification and diagnosis window."""
    late_s: float = 20.0
    """A series older than this is LATE: two missed scrapes of 5 s and their delivery."""
    dead_s: float = 60.0
    """A series older than this is DEAD, its last value says nothing any more."""
    coverage_min: float = 0.9
    """Below this share of fresh series a region is PARTIAL: sums over it would be biased."""
    report_age_s_max: float = 15.0
    """An agent's report older than this is no ground for touching its host; agents report at least every 10 s."""

    # ── detect ────────────────────────────────────────────────────────────────────────────────────────────────────────
    false_alarm_every_s: float = 30 * DAY_S
    """Mean time between false alarms per series, even when traffic runs exactly at its objective."""
    clear_blocks: int = 3
    """Blocks within the objective after which an alarm is over: one good block is luck."""
    latch_s: float = 120.0
    """An alarm without any traffic to confirm it is dropped after this: what it saw has moved away."""
    reflex_grace_s: float = 5.0
    """Local healing takes under 3 s; past this the controller steps in."""
    unready_s: float = 60.0
    """A replica that answers but refuses to serve for this long will not recover by itself."""
    host_silent_s: float = 30.0
    """Two lost long polls of an agent: silence of the agent, not yet proof against its replicas."""
    gpu_unfit_s: float = 3.0
    """A GPU is unfit when two reports at least this far apart say so: one bad sample is a hiccup of the driver."""
    gpu_unseen_s: float = 45.0
    """One that merely goes unseen is a finding after this: an agent that starts, or whose driver does, is blind for half a minute."""
    gpu_fit_s: float = 60.0
    """And is trusted again after this long without trouble, so that one that comes and goes is one finding, not many."""
    refused_blocks: int = 2
    """Blocks in a row with too many refusals: one block is a burst, two are overload."""
    refused_count_min: int = 10
    """Fewer requests than this in a block say nothing about a ratio."""
    error_budget_default: float = 0.05
    """Tolerated share of refusals while no SLO is defined."""

    # ── diagnose ──────────────────────────────────────────────────────────────────────────────────────────────────────
    diagnosis_blocks: int = 3
    """Peers are compared over the last 30 s: long enough to average bursts, short enough to be about the fault."""
    slow_ratio: float = 1.5
    """Service time this much above the peers' median is a sick device; noise between healthy peers stays under 1.2."""
    bad_ratio: float = 4.0
    """Bad fraction this much above the peers' singles a replica out when its service time looks normal."""
    queue_wait_s: float = 0.1
    """Mean wait that shows overload: half of a 200 ms first-audio objective spent before any work."""
    bad_change_s: float = 180.0
    """An alarm that starts this soon after our own action there is blamed on it first."""

    # ── keep safe ─────────────────────────────────────────────────────────────────────────────────────────────────────
    utilisation_max: float = 0.85
    """Never plan a replica busier than this: above it, waiting grows faster than load."""
    region_disruption_share: float = 0.1
    """Share of a region's replicas that may be disrupted at once; at least one, or nothing could ever be healed."""
    cooldown_s: float = 30.0
    """Pause after an action on the same target; doubled for every attempt that did not help."""
    cooldown_s_max: float = 1800.0
    attempts_max: int = 4
    """Per target and kind in 24 h: what four restarts did not heal, a fifth will not. A person is needed."""
    breaker_failures: int = 5
    """This many disruptive actions that did not help within `breaker_s` mean that we misunderstand: stop disrupting."""
    breaker_s: float = 300.0

    # ── touch machines ────────────────────────────────────────────────────────────────────────────────────────────────
    gpu_reset_allowed: bool = False
    """Whether the loop may have a drained GPU reset. Each host must permit it too."""
    host_reboot_allowed: bool = False
    """Whether the loop may have a drained host rebooted. Each host must permit it too."""
    gpu_resets_max_per_day: int = 2
    """Per GPU: what two resets did not cure needs its host rebooted, or a person."""
    host_reboots_max_per_day: int = 1
    """Per host: a fault that survives a reboot is in the hardware, and wants inspection (gpud says so after the second)."""
    gpus_unfit_share_max: float = 0.5
    """When more of a region's GPUs than this, on several hosts, are unfit at once, it is a driver or its telemetry and not the
    devices: nothing is taken for it, because agents could not give it back."""
    gpu_reset_within_s: float = 180.0
    """Order to answer. A reset takes seconds; an agent gives the tool 90 s, and then looks a minute for the GPU's return."""
    host_reboot_within_s: float = 900.0
    """Order to the first report of the new boot: large GPU servers test their memory for up to ten minutes."""
    verify_gpu_s: float = 60.0
    """How long a GPU must be watched after a reset or reboot before it counts as cured: the same Xid returns at first load."""

    # ── decide ────────────────────────────────────────────────────────────────────────────────────────────────────────
    workers_per_replica: int = 1
    """Requests a replica works on at the same time."""
    utilisation_target: float = 0.7
    """What shifts and scaling aim for: leaves room for a burst and for one lost replica."""
    utilisation_home: float = 0.6
    """Full quality, or one replica fewer, only when this is predicted to hold: lower than the target, so no flapping."""
    light_speedup_prior: float = 2.6
    """How much cheaper LIGHT is until it was measured here; the smallest ratio seen on any tested machine."""
    shift_min: float = 0.05
    """A smaller share is not worth a step."""
    probe_shares: tuple[float, ...] = (0.1, 0.5, 1.0)
    """Half-open return: a tenth shows whether the region is well, a half whether it carries, then all."""
    return_wait_s: float = 60.0
    """Between the end of trouble and the first return probe; doubled for every probe that made things worse."""
    return_wait_s_max: float = 1800.0
    calm_s: float = 300.0
    """Time without trouble before quality is restored or capacity given back."""
    quality_debt_s: float = 600.0
    """Longest stay on LIGHT before capacity is added instead."""
    rung_memory_s: float = 1800.0
    """A rung that had no effect is not tried again for this long: the ladder goes on."""
    replicas_min: int = 1
    """Configured replicas per region: scaled in to this, and out again when a slot was lost."""
    replicas_min_by_region: tuple[tuple[Region, int], ...] = ()
    """Exceptions to `replicas_min`."""
    gateways: tuple[Region, ...] = ()
    """Regions with a gateway; empty means every region of the fleet."""

    # ── act ───────────────────────────────────────────────────────────────────────────────────────────────────────────
    drain_s: float = 30.0
    """Longest drain: a five-minute text is rare, and its client can retry."""
    grace_s: float = 5.0
    """What SIGTERM leaves a replica after its drain."""
    order_ttl_s: float = 15.0
    """An order not started by then is refused by the agent: three syncs."""
    ready_within_s: float = 90.0
    """Order issued to replica ready: a cold start of the voice, with room."""
    publish_within_s: float = 20.0
    """Longest wait for every gateway to run a plan before it is taken back."""

    # ── verify ────────────────────────────────────────────────────────────────────────────────────────────────────────
    verify_s: float = 60.0
    """Window of a soft verdict: six blocks, three of which must carry traffic."""
    settle_s: float = 5.0
    """Between a relief and its window: requests admitted before it still finish late, and say nothing about it. As long
    as the total budget that admission grants."""
    verify_restart_s: float = 20.0
    """Window after healing a dead replica: it must stay ready and make progress for two blocks."""
    verdict_events_min: int = 20
    """Fewer events than this in the window: inconclusive."""
    verdict_z: float = 2.0
    """Significance of a difference; about one wrong verdict in 40."""
    overdispersion: float = 4.0
    """Variance of bursty traffic over that of independent requests: measured 1.4 to 13 at one second."""
    verdict_effect_min: float = 0.02
    """Smaller differences are no effect, however significant."""

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if isinstance(value, int | float) and not isinstance(value, bool) and value <= 0:
                raise PolicyError(field.name, "must be positive")
        if not self.utilisation_home < self.utilisation_target < self.utilisation_max <= 1:
            raise PolicyError("utilisation_target", "needs home < target < max ≤ 1, else the loop would flap")
        if self.late_s >= self.dead_s:
            raise PolicyError("late_s", "must be below dead_s")
        if self.order_ttl_s > ORDER_LIFE_S_MAX:
            raise PolicyError("order_ttl_s", f"must not exceed {ORDER_LIFE_S_MAX:g}: agents count on it")
        if (self.gpu_reset_allowed or self.host_reboot_allowed) and self.history_s < DAY_S:
            raise PolicyError("history_s", "must cover a day, for resets and reboots are counted per day")

    def replicas_min_of(self, region: Region) -> int:
        """Configured replicas of one region."""
        return dict(self.replicas_min_by_region).get(region, self.replicas_min)

    @property
    def alarm_level(self) -> float:
        """1/α: blocks between false alarms, which is also the evidence an alarm needs."""
        return self.false_alarm_every_s / self.block_s


class PolicyError(ValueError):
    """A limit that cannot be: names the field."""

    def __init__(self, field: str, problem: str) -> None:
        super().__init__(f"{field}: {problem}")
        self.field = field
