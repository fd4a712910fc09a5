"""What may be chosen about a stack, and where its parts live.

Loopback only, by construction: region *n* owns 127.0.*n*.x, shared parts sit on 127.0.0.1. A port offset lets several
stacks live side by side (tests, a demo beside an `up`).
"""

import hashlib
from dataclasses import dataclass, field
from pathlib import Path

from contracts.vocabulary import FULL_FP32, HostId, ProfileId, Region
from trimtab.stack.model import Listener

REGION_NAMES = (Region("eu-west"), Region("us-east"), Region("ap-south"), Region("sa-east"))
"""As many regions as one machine can sensibly pretend to be."""
SLOTS_MAX = 16
"""Replicas that one host may run; more says nothing on a single machine."""
GPUS_MAX = 16
"""As many as the largest servers have."""
PORT_OFFSET_MAX = 50_000
"""9901 + 50,000 is still a port."""


class StackSettingsError(ValueError):
    """A choice that cannot be; the message says what would be accepted."""


SHARED_MEMORY = Path("/dev/shm")  # noqa: S108  # a tmpfs: gateways watch a directory in it; a disk would add its latency


def scratch_of(home: Path, root: Path = SHARED_MEMORY) -> Path:
    """Where the gateways of the stack in `home` watch for endpoints: named after it, so that its next start takes over."""
    digest = hashlib.sha256(str(home).encode()).hexdigest()[:12]
    return root / f"trimtab-{digest}"


@dataclass(frozen=True, slots=True)
class StackSettings:
    """Choices for one embedded stack; valid from birth."""

    home: Path
    voice_dir: Path
    port_offset: int = 0
    regions: int = 2
    replicas: int = 2
    slots: int = 3
    spares: int = 1
    profile: ProfileId = FULL_FP32.id
    workers: int = 1
    tick_s: float = 1.0
    """On one machine everything is near: a faster tick than the fleet's 5 s costs little and shows more."""
    block_s: float = 5.0
    scrape_s: int = 2
    first_audio_budget_s: float = 2.0
    total_budget_s: float = 8.0
    scratch_root: Path = SHARED_MEMORY
    controller_env: tuple[tuple[str, str], ...] = ()
    """Further settings of the controller, by field name, e.g. `("BLOCK_S", "2")`."""
    gpus: int = 0
    """Simulated GPUs of each host. Real ones are never part of an embedded stack's faults."""

    def __post_init__(self) -> None:
        _require("regions", self.regions, 1, len(REGION_NAMES))
        _require("slots", self.slots, 1, SLOTS_MAX)
        _require("replicas", self.replicas, 1, self.slots)
        _require("port_offset", self.port_offset, 0, PORT_OFFSET_MAX)
        _require("gpus", self.gpus, 0, GPUS_MAX)


@dataclass(frozen=True, slots=True)
class RegionLayout:
    """Addresses and ports of one region with its one host."""

    number: int
    region: Region
    port_offset: int

    @property
    def host(self) -> HostId:
        """The region's only host."""
        return HostId(f"{self.region}-a")

    @property
    def agent(self) -> Listener:
        """The agent's own HTTP."""
        return Listener(f"127.0.{self.number}.1", 9400 + self.port_offset)

    @property
    def replica_port_base(self) -> int:
        """Slot i listens on base + i."""
        return 9001 + self.port_offset

    @property
    def gateway(self) -> Listener:
        """Where clients send requests."""
        return Listener(f"127.0.{self.number}.10", 8080 + self.port_offset)

    @property
    def gateway_admin(self) -> Listener:
        """Envoy's admin interface."""
        return Listener(f"127.0.{self.number}.10", 9901 + self.port_offset)

    def replica(self, slot: int) -> Listener:
        """Where the replica of one slot listens."""
        return Listener(self.agent.address, self.replica_port_base + slot)


@dataclass(frozen=True, slots=True)
class Layout:
    """Every address and every path of one stack."""

    settings: StackSettings
    regions: tuple[RegionLayout, ...] = field(init=False)

    def __post_init__(self) -> None:
        names = REGION_NAMES[: self.settings.regions]
        offset = self.settings.port_offset
        regions = tuple(RegionLayout(number, name, offset) for number, name in enumerate(names, start=1))
        object.__setattr__(self, "regions", regions)  # a frozen dataclass's way of deriving a field

    def shared(self, port: int) -> Listener:
        """A part that exists once."""
        return Listener("127.0.0.1", port + self.settings.port_offset)

    @property
    def controller(self) -> Listener:
        """The API that people and agents talk to."""
        return self.shared(8700)

    @property
    def prometheus(self) -> Listener:
        """Off its default port, so that Debian's own service may run beside."""
        return self.shared(9490)

    @property
    def alertmanager(self) -> Listener:
        """Off its default port as well."""
        return self.shared(9493)

    @property
    def redis(self) -> Listener:
        """Off its default port as well."""
        return self.shared(6390)

    @property
    def home(self) -> Path:
        """Everything of this stack that should survive it: configuration, journal, logs."""
        return self.settings.home

    @property
    def rules_file(self) -> Path:
        """Compiled by the controller, read by Prometheus."""
        return self.home / "rules" / "slo.yml"

    @property
    def scratch(self) -> Path:
        """Outside the home, in memory."""
        return scratch_of(self.home, self.settings.scratch_root)

    def eds_dir(self, region: RegionLayout) -> Path:
        """Endpoint assignments of one gateway."""
        return self.scratch / region.region

    def gpus_dir(self, host: HostId) -> Path:
        """Simulated GPUs of one host."""
        return self.home / "simulated-gpus" / host

    def log(self, name: str) -> Path:
        """One log file per process."""
        return self.home / "logs" / f"{name}.log"


def _require(name: str, value: int, least: int, most: int) -> None:
    if not least <= value <= most:
        msg = f"{name} is {value}: choose {least} to {most}"
        raise StackSettingsError(msg)
