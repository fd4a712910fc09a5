"""HTTP bodies of a serving replica, version 1: speech for clients, control for the agent on the same host."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from contracts.vocabulary import ProfileId, ReplicaId, SliKind, SloId

API_VERSION = 1
CANARY_HEADER = "X-Trimtab-Canary"
"""A speech request with this header is the agent's own: it is spoken, but neither cached nor counted as an SLO event."""
TEXT_CHARS_MAX = 4096
"""OpenAI's limit on `input`; about five minutes of speech, the longest job one worker should be given."""
BODY_BYTES_MAX = 16_384
"""4,096 characters of four UTF-8 bytes each: anything larger cannot be valid."""


class Strict(BaseModel):
    """A body that names unknown fields instead of dropping them."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class SpeechRequest(Strict):
    """`POST /v1/audio/speech`, OpenAI's shape. Unknown fields are ignored, as OpenAI's clients send many."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    input: Annotated[str, Field(min_length=1, max_length=TEXT_CHARS_MAX)]
    model: str = "joe"
    voice: str = "joe"
    response_format: Literal["wav", "pcm"] = "wav"
    speed: Annotated[float, Field(ge=0.25, le=4.0)] = 1.0
    stream: bool = True


class TtsRequest(Strict):
    """`POST /tts`, the guide's shape: a whole WAV with true sizes unless `stream` is asked for."""

    text: Annotated[str, Field(min_length=1, max_length=TEXT_CHARS_MAX)]
    speed: Annotated[float, Field(ge=0.25, le=4.0)] = 1.0
    stream: bool = False
    format: Literal["wav", "pcm"] = "wav"


class SloThreshold(Strict):
    """What a replica must know about one SLO to count its events exactly."""

    slo: SloId
    sli: SliKind
    threshold_s: Annotated[float, Field(gt=0, le=3600)]


class SloThresholds(Strict):
    """`PUT /v1/control/slos`: the whole set; a larger `revision` replaces a smaller one, counters are kept."""

    revision: Annotated[int, Field(ge=0)]
    thresholds: tuple[SloThreshold, ...]


class SwitchProfileRequest(Strict):
    """`POST /v1/control/profile`: prepare, self-test, commit in one idempotent call."""

    profile: ProfileId


class SwitchProfileResponse(Strict):
    """What the switch came to; `profile` is what the replica now runs, also after a roll-back."""

    profile: ProfileId
    generation: int
    outcome: Literal["committed", "unchanged", "rolled_back"]
    detail: str = ""


class ReplicaStatus(Strict):
    """`GET /livez`: cheap, answered by the event loop; the agent's probe reads everything it needs from it."""

    replica: ReplicaId
    ready: bool
    reason: str
    """Why not ready, or empty."""
    profile: ProfileId
    profiles: tuple[ProfileId, ...]
    profile_generation: int
    progress_total: int
    in_flight: int
    queued_s: float
    """Predicted seconds of work waiting."""
    uptime_s: float
    slo_revision: int
    draining: bool


class Problem(BaseModel):
    """RFC 9457 problem details, the shape of every error."""

    type: str = "about:blank"
    title: str
    status: int
    detail: str = ""
    field: str | None = None
    """Path of the offending field, when one field is to blame."""
    fix: str | None = None
    """What the caller can do about it."""
