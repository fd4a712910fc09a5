"""Why an action is not taken: one small type per reason, each with a sentence for people."""

from dataclasses import dataclass

from contracts.vocabulary import HostId, Region, ReplicaId


@dataclass(frozen=True, slots=True)
class Paused:
    """An operator has paused new actions."""

    def __str__(self) -> str:
        return "paused by an operator"


@dataclass(frozen=True, slots=True)
class StaleSignals:
    """What the action would rest on is not known well enough."""

    source: str
    state: str

    def __str__(self) -> str:
        return f"{self.source} is {self.state}: not enough to act on"


@dataclass(frozen=True, slots=True)
class TargetChanged:
    """The target is gone or is no longer the incarnation that was judged."""

    target: str

    def __str__(self) -> str:
        return f"{self.target} has changed since it was judged"


@dataclass(frozen=True, slots=True)
class HostBusy:
    """Another disruptive step is open on the same host."""

    host: HostId
    action: str

    def __str__(self) -> str:
        return f"host {self.host} is busy with {self.action}"


@dataclass(frozen=True, slots=True)
class RegionBudget:
    """As many replicas of the region as allowed are being disrupted."""

    region: Region
    disrupted: int
    disrupted_max: int

    def __str__(self) -> str:
        return f"{self.disrupted} of at most {self.disrupted_max} replicas in {self.region} are being disrupted"


@dataclass(frozen=True, slots=True)
class RegionBusy:
    """An action of the same sort is open there; its result must be seen first."""

    region: Region
    action: str

    def __str__(self) -> str:
        return f"{self.action} is still open in {self.region}"


@dataclass(frozen=True, slots=True)
class BelowNeededCapacity:
    """What would be left could not carry the present demand."""

    region: Region
    left: int
    needed: int

    def __str__(self) -> str:
        return f"{self.left} replicas would be left in {self.region}, the present load needs {self.needed}"


@dataclass(frozen=True, slots=True)
class LastRoutableReplica:
    """Traffic is sent to the region and this is the only replica that can take it."""

    replica: ReplicaId

    def __str__(self) -> str:
        return f"{self.replica} is the last replica of its region that can take traffic"


@dataclass(frozen=True, slots=True)
class BelowConfigured:
    """The region would have fewer replicas than configured."""

    region: Region
    replicas_min: int

    def __str__(self) -> str:
        return f"{self.region} is configured to keep {self.replicas_min} replicas"


@dataclass(frozen=True, slots=True)
class NoSpareCapacity:
    """A region that would get more traffic could not carry it."""

    region: Region
    utilisation: float
    utilisation_max: float

    def __str__(self) -> str:
        return f"{self.region} would be {self.utilisation:.0%} busy, at most {self.utilisation_max:.0%} is allowed"


@dataclass(frozen=True, slots=True)
class NoFreeSlot:
    """The slot is not free on a host that reports."""

    region: Region

    def __str__(self) -> str:
        return f"no free slot in {self.region}"


@dataclass(frozen=True, slots=True)
class Cooldown:
    """The same was done here a moment ago."""

    target: str
    left_s: float

    def __str__(self) -> str:
        return f"{self.target} rests after the last attempt"


@dataclass(frozen=True, slots=True)
class AttemptsExhausted:
    """Tried as often as makes sense; a person is needed."""

    target: str
    attempts: int

    def __str__(self) -> str:
        return f"{self.attempts} attempts on {self.target} in 24 h: a person is needed"


@dataclass(frozen=True, slots=True)
class CorrelatedFailure:
    """Several disruptive actions in a row did not help: the cause is not where we look."""

    unhelpful: int

    def __str__(self) -> str:
        return f"{self.unhelpful} disruptive actions in a row did not help: the cause must be elsewhere"


@dataclass(frozen=True, slots=True)
class NoRemedy:
    """Nothing on the ladder applies here."""

    why: str

    def __str__(self) -> str:
        return self.why


@dataclass(frozen=True, slots=True)
class GpuUnfit:
    """The replica would be started on a GPU on which it would only fail again."""

    replica: ReplicaId
    why: str

    def __str__(self) -> str:
        return f"{self.replica} is not started while its GPU is unfit ({self.why})"


@dataclass(frozen=True, slots=True)
class HostUnfit:
    """No GPU of the host can be used."""

    host: HostId

    def __str__(self) -> str:
        return f"{self.host} has no GPU that is fit"


@dataclass(frozen=True, slots=True)
class NotPermitted:
    """A policy does not allow this to be done to a machine; a person has to do it, or to allow it."""

    because: str
    needs: str
    policy: str
    """Whose policy: what would have to be changed."""

    def __str__(self) -> str:
        return f"{self.because}: needs {self.needs}; not permitted here ({self.policy})"


@dataclass(frozen=True, slots=True)
class InUse:
    """What would be reset or rebooted still runs something."""

    target: str
    replicas: tuple[ReplicaId, ...]

    def __str__(self) -> str:
        return f"{self.target} is still in use by {', '.join(self.replicas)}"


@dataclass(frozen=True, slots=True)
class NeedsInspection:
    """What the loop may do to the machine was done; the fault is in the hardware."""

    because: str
    tried: str

    def __str__(self) -> str:
        return f"{self.because}: {self.tried}; needs hardware inspection by a person"


@dataclass(frozen=True, slots=True)
class NeedsPerson:
    """Nothing that could be ordered would cure it."""

    because: str
    wanted: str

    def __str__(self) -> str:
        return f"{self.because}: {self.wanted}"


@dataclass(frozen=True, slots=True)
class Widespread:
    """So much hardware is unfit at once that the hardware is not to blame."""

    region: Region
    unfit: int
    gpus: int

    def __str__(self) -> str:
        return (
            f"{self.unfit} of {self.gpus} GPUs of {self.region} are unfit at once, which points at a driver or its telemetry: "
            "nothing is drained, reset or rebooted for it, and a person must look"
        )


@dataclass(frozen=True, slots=True)
class OnProbation:
    """It is fit again, and is left alone until that has lasted."""

    fit_s: float

    def __str__(self) -> str:
        return f"it is fit again, and nothing is done to it unless that changes within {self.fit_s:.0f} s"


Refusal = (
    Paused
    | StaleSignals
    | TargetChanged
    | HostBusy
    | RegionBudget
    | RegionBusy
    | BelowNeededCapacity
    | LastRoutableReplica
    | BelowConfigured
    | NoSpareCapacity
    | NoFreeSlot
    | Cooldown
    | AttemptsExhausted
    | CorrelatedFailure
    | GpuUnfit
    | HostUnfit
    | NotPermitted
    | InUse
    | NeedsInspection
    | NeedsPerson
    | Widespread
    | OnProbation
    | NoRemedy
)
