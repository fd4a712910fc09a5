"""What the NVML worker says, line by line: parsed once, here, and converted to the agent's own values."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from agent.core.gpu import GpuIdentity, GpuProcess, GpuSample, MigInstance
from agent.core.kernel_log import XID_MAX
from agent.core.worker_words import PROCESSES_MAX
from contracts.vocabulary import GpuUuid

VALUES_MAX = 128
INSTANCES_MAX = 16
Index = Annotated[int, Field(ge=0, lt=256)]
Value = Annotated[float, Field(allow_inf_nan=False)]
Process = tuple[int, int | None, int | None, int | None]
"""pid, bytes, GPU instance, compute instance."""


class FactError(ValueError):
    """A line that makes no sense."""


class _Fact(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)


class DriverFact(_Fact):
    """NVML was opened, or was not."""

    kind: Literal["driver"]
    up: bool
    reason: str
    version: str = ""
    gpus: int = 0


class _Instance(_Fact):
    uuid: str
    gpu_instance: int
    compute_instance: int
    profile: str
    memory_used_bytes: int | None = None
    memory_total_bytes: int | None = None


class SampleFact(_Fact):
    """The fast readings of one GPU, or why there are none."""

    kind: Literal["gpu"]
    gpu: Index
    uuid: str
    up: bool
    reason: str
    values: Annotated[dict[str, Value], Field(max_length=VALUES_MAX)] = {}
    processes: Annotated[tuple[Process, ...], Field(max_length=PROCESSES_MAX)] | None = None
    mig: Annotated[tuple[_Instance, ...], Field(max_length=INSTANCES_MAX)] = ()

    def sample(self, at_s: float) -> GpuSample:
        """The agent's value, arrived at `at_s`."""
        return GpuSample(
            at_s=at_s,
            up=self.up,
            reason=self.reason,
            values=self.values,
            processes=None if self.processes is None else tuple(GpuProcess(*each) for each in self.processes),
            mig=tuple(MigInstance(**{**dict(each), "uuid": GpuUuid(each.uuid)}) for each in self.mig),
        )


class InfoFact(_Fact):
    """What one GPU is, and its slow readings."""

    kind: Literal["info"]
    gpu: Index
    uuid: str
    pci_bus_id: str
    model: str
    serial: str
    vbios: str
    values: Annotated[dict[str, Value], Field(max_length=VALUES_MAX)]

    def identity(self) -> GpuIdentity:
        """The agent's value."""
        return GpuIdentity(
            index=self.gpu,
            uuid=GpuUuid(self.uuid),
            pci_bus_id=self.pci_bus_id,
            model=self.model,
            serial=self.serial,
            vbios=self.vbios,
        )


class XidFact(_Fact):
    """The driver told of an error."""

    kind: Literal["xid"]
    gpu: Index
    uuid: str
    xid: Annotated[int, Field(ge=1, le=XID_MAX)]


class EccFact(_Fact):
    """The driver told of a memory error."""

    kind: Literal["ecc"]
    gpu: Index
    uuid: str
    severity: Literal["single_bit", "double_bit"]


class TroubleFact(_Fact):
    """Something that the worker cannot do; for the log."""

    kind: Literal["events_unavailable", "samples_not_freed", "left_untidily"]
    reason: str
    gpu: Index | None = None


Fact = DriverFact | SampleFact | InfoFact | XidFact | EccFact | TroubleFact
_FACT: TypeAdapter[Fact] = TypeAdapter(Annotated[Fact, Field(discriminator="kind")])


def parse_fact(line: bytes) -> Fact:
    """One line; raises `FactError`."""
    try:
        return _FACT.validate_json(line)
    except ValidationError as error:
        msg = f"the NVML worker said something that makes no sense: {error.errors(include_url=False)[:1]}"
        raise FactError(msg) from error
