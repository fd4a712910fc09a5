"""What can be known of a host, as values. Gathering fills them (`trimtab.host.gather`), judging reads them (`trimtab.host.judge`)."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from agent.settings import AgentSettings

CREDENTIAL, JOIN_TOKEN = "its credential", "the join token"
"""What a host can show to its controller, in words."""


@dataclass(frozen=True, slots=True)
class Identity:
    """Who the agent will be on this host."""

    exists: bool
    user: str
    user_id: int
    group_ids: frozenset[int]
    """All of its groups, those that the unit adds included."""


@dataclass(frozen=True, slots=True)
class SettingsFacts:
    """The environment file, and what the agent would make of it."""

    path: str
    trouble: str = ""
    """Why it cannot be read at all; empty when it can."""
    mode: int = 0
    has_secret: bool = False
    faults: Mapping[str, str] = field(default_factory=dict)
    """Variable → what is wrong with it; an empty name where several do not go together."""
    unknown: Mapping[str, str] = field(default_factory=dict)
    """Variables with our prefix that are no setting → the setting that was probably meant, or nothing."""
    settings: AgentSettings | None = None
    """None while there are faults."""


@dataclass(frozen=True, slots=True)
class FilesFacts:
    """Files that settings name: tokens, certificates, keys."""

    unreadable: Mapping[str, str] = field(default_factory=dict)
    """Variable → file that the agent's user may not read, or that is not there."""
    too_open: Mapping[str, str] = field(default_factory=dict)
    """Variable → file with a secret that everybody may read."""


@dataclass(frozen=True, slots=True)
class PortFacts:
    """The agent's listener."""

    address: str
    port: int
    bound_here: bool
    """The address is one of this host's."""
    free: bool
    agent_answers: bool = False
    """Whoever listens answers /livez as an agent does."""
    owner: str = ""


@dataclass(frozen=True, slots=True)
class StateFacts:
    """The state directory and its file system."""

    path: str
    exists: bool
    made_by_unit: bool
    """systemd makes it at the start."""
    writable: bool = False
    """By the agent's user, as owner, mode and mount say."""
    read_only: bool = False
    free_bytes: int = 0
    free_files_ratio: float = 1.0
    owner_id: int = 0
    mode: int = 0


class NoAnswer(StrEnum):
    """Why a controller did not answer."""

    NAME = "name"
    """Its name is not known."""
    REFUSED = "refused"
    TIMEOUT = "timeout"
    TLS = "tls"
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class ControllerFacts:
    """What one look at the controller told, without a report being sent."""

    url: str
    shown: str
    """One of the two, or nothing."""
    no_answer: NoAnswer | None = None
    detail: str = ""
    """Of what went wrong."""
    status: int = 0
    """Of the call that shows the token: 422 means that the token was taken and the empty report was not."""
    refusal: str = ""
    """The controller's own words for why the token will not do."""
    remedy: str = ""
    """And what it says to do."""
    is_ours: bool = False
    """Its /livez answers as a controller does."""
    version: str = ""
    own_version: str = ""
    clock_offset_s: float | None = None
    """Its clock less ours; None without a Date header."""
    certificate_days: float | None = None
    """Until its certificate expires; None without TLS."""


@dataclass(frozen=True, slots=True)
class GpuFacts:
    """One GPU as the driver tells it."""

    index: int
    uuid: str
    model: str
    persistence: bool | None
    trouble: str


@dataclass(frozen=True, slots=True)
class DriverFacts:
    """NVIDIA's driver, from the outside in."""

    devices_on_bus: int
    """NVIDIA's display and 3D controllers on the PCI bus, driver or not."""
    module_version: str
    """Of the kernel module; empty: not loaded."""
    device_files: tuple[str, ...]
    unreadable: tuple[str, ...]
    """Device files that the agent's user may not open."""
    library: str
    """Path of libnvidia-ml.so.1; empty: not found."""
    answered: bool
    """The library was asked, and answered within its deadline."""
    up: bool = False
    trouble: str = ""
    version: str = ""
    cuda: str = ""
    gpus: tuple[GpuFacts, ...] = ()


@dataclass(frozen=True, slots=True)
class EngineFacts:
    """The Docker engine, asked over its socket."""

    wanted: bool
    """The agent's runtime is this engine."""
    socket: str
    exists: bool
    agent_may_use: bool = False
    answered: bool = False
    trouble: str = ""
    version: str = ""
    runtimes: tuple[str, ...] = ()
    cdi_specs: tuple[str, ...] = ()
    swarm: str = ""


@dataclass(frozen=True, slots=True)
class KernelFacts:
    """Limits of the kernel that the agent or its replicas run into."""

    cgroup_v2: bool
    pressure: bool
    kernel_log: bool
    """/dev/kmsg is there."""
    pid_max: int
    files_max: int
    """Open files that the unit, or this shell, allows at most."""
    overcommit: int
    max_map_count: int


@dataclass(frozen=True, slots=True)
class UnitFacts:
    """The systemd unit."""

    systemd: bool
    """systemd runs this machine."""
    installed: bool
    current: bool = True
    """The file is what this version would install."""
    active: str = ""
    sub: str = ""
    result: str = ""
    enabled: str = ""
    restarts: int = 0
    needs_reload: bool = False


@dataclass(frozen=True, slots=True)
class ClockFacts:
    """Whether somebody keeps the clock."""

    synchronised: bool | None
    """None: the kernel was not asked."""
    error_s: float | None = None
    """The kernel's own bound on its error."""


@dataclass(frozen=True, slots=True)
class GatewayFacts:
    """One region's gateway."""

    region: str
    address: str
    connected: bool
    seconds: float = 0.0
    trouble: str = ""
