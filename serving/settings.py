"""What a replica is told when it starts."""

import tempfile
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field
from pydantic_settings import SettingsConfigDict

from chassis.settings import ProcessSettings
from contracts.vocabulary import FULL_FP32, HostId, ProfileId, Region, ReplicaId

WORKERS_MAX = 64
"""One thread per core of the largest common host."""


class ReplicaIdentity(BaseModel):
    """The one JSON line that turns a spare into a replica."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    replica: ReplicaId
    region: Region
    host_id: HostId
    address: str
    port: Annotated[int, Field(ge=0, le=65_535)]
    profile: ProfileId


class ServingSettings(ProcessSettings):
    """`TRIMTAB_SERVING_*`."""

    model_config = SettingsConfigDict(env_prefix="TRIMTAB_SERVING_", frozen=True, extra="forbid")

    replica: ReplicaId = ReplicaId("replica-0")
    region: Region = Region("local")
    host_id: HostId = HostId("local")
    address: str = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65_535)] = 8800
    profile: ProfileId = FULL_FP32.id
    engine: Literal["onnx", "simulated"] = "onnx"
    """simulated: a tone at the real voice's cost, for machines without the voice."""
    voice_dir: Path = Path(tempfile.gettempdir()) / "trimtab-voice"
    workers: Annotated[int, Field(ge=1, le=WORKERS_MAX)] = 1
    redis_url: str = ""
    """Empty: no cache."""
    first_audio_budget_s: Annotated[float, Field(gt=0)] = 1.0
    """Admission's own limit; well above the usual SLO, so that an SLO can be missed before requests are refused."""
    total_budget_s: Annotated[float, Field(gt=0)] = 5.0
    drain_s_max: Annotated[float, Field(ge=0)] = 30.0
    """How long SIGTERM lets requests finish: more than any admitted request needs."""
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"

    def become(self, identity: ReplicaIdentity) -> "ServingSettings":
        """These settings under another name and address."""
        return self.model_copy(update=identity.model_dump())
