"""One request's speech in the making: what is left to speak, and what its client is told.

A job is driven by one worker thread at a time, chunk after chunk, and reports through `deliver`. Only `cancelled` is
set from outside; workers look at it between chunks.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

from contracts.vocabulary import ProfileId
from serving.core.admission import Admit
from serving.core.batching import Chunk, Delivery, Sounded, Streaming, Whole, chunk_at, chunk_size, deadline_s
from serving.ports import Latent
from serving.switching import Stage


@dataclass(frozen=True, slots=True)
class Audio:
    """One chunk of sound; `sent` is what the client gets for it, `pcm` what the voice made."""

    pcm: bytes
    sent: bytes
    profile: ProfileId


@dataclass(frozen=True, slots=True)
class Finished:
    """All of it was spoken; `tail` is what the conversion still held back."""

    tail: bytes
    profiles: tuple[ProfileId, ...]
    """One per sentence: a switch may have come between two of them."""
    first_work_s: float
    total_work_s: float

    @property
    def profile(self) -> ProfileId:
        """The profile it began in."""
        return self.profiles[0]

    @property
    def is_of_one_profile(self) -> bool:
        """No switch came between: its cost and its sound are that profile's alone."""
        return len(set(self.profiles)) == 1


@dataclass(frozen=True, slots=True)
class Failed:
    """A step could not be done."""

    reason: str


@dataclass(frozen=True, slots=True)
class Cancelled:
    """The client went away."""


Report = Audio | Finished | Failed | Cancelled
End = Finished | Failed | Cancelled


@dataclass(slots=True)
class Sentence:
    """A sentence that has its latent; it keeps the stage it began with."""

    latent: Latent
    stage: Stage
    position: int = 0
    """Frames already spoken."""

    def next_chunk(self, size: int) -> Chunk:
        """What is spoken next."""
        return chunk_at(self.position, self.latent.shape[1], self.stage.context_frames, size)


@dataclass(frozen=True, slots=True)
class Conversion:
    """How the client wants its sound: bytes for each chunk, and what is left at the end."""

    feed: Callable[[bytes], bytes]
    finish: Callable[[], bytes]


@dataclass(slots=True, eq=False)
class Job:
    """Everything a worker needs to know about one request."""

    sentences: tuple[tuple[int, ...], ...]
    """Phoneme ids, at least one sentence."""
    speed: float
    delivery: Delivery
    arrived_s: float
    predicted: Admit
    conversion: Conversion
    deliver: Callable[[Report], None]
    cancelled: bool = False
    spoken: int = 0
    """Sentences whose latent was made."""
    speaking: Sentence | None = None
    sounded: Sounded | None = None
    chunks_made: int = 0
    started_s: float | None = None
    """When its first step began; None while it only waits."""
    first_work_s: float = 0.0
    work_s: float = 0.0
    profiles: list[ProfileId] = field(default_factory=list)

    @property
    def deadline_s(self) -> float:
        """When its next step is due."""
        return deadline_s(self.delivery, self.arrived_s, self.sounded)

    @property
    def next_size(self) -> int:
        """Frames of its next chunk."""
        return chunk_size(self.delivery.sizes, self.chunks_made)

    @property
    def is_spoken(self) -> bool:
        """Nothing is left to do."""
        return self.speaking is None and self.spoken == len(self.sentences)

    def work_due_s(self, before_s: float) -> float:
        """Predicted work that is due before `before_s`: what an urgent newcomer has to let pass."""
        overdue_s = before_s - self.deadline_s
        if overdue_s <= 0:
            return 0.0
        match self.delivery:
            case Whole():
                return self.work_left_s
            case Streaming() if self.sounded is None:
                return max(0.0, self.predicted.first_work_s - self.work_s)
            case Streaming():
                pace = self.predicted.total_work_s / self.predicted.audio_s
                return min(self.work_left_s, overdue_s * pace)

    @property
    def work_left_s(self) -> float:
        """Predicted work until its end."""
        return max(0.0, self.predicted.total_work_s - self.work_s)
