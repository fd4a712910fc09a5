"""What a replica needs from an engine, a voice and a cache, as protocols of one to four methods.

    ServingError
    ├── EngineError        a step of work could not be done; fails its request, never the replica
    └── VoiceError         the voice's artefacts are missing or not what their manifest says

Latents and samples are float32 arrays; sound between the parts is 16-bit little-endian mono at the voice's rate.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from contracts.vocabulary import ProfileId
from serving.core.admission import Line
from serving.core.profiles import Expectation

Latent = NDArray[np.float32]
"""[channels, frames]"""
Samples = NDArray[np.float32]
"""[samples], −1..1"""


class ServingError(Exception):
    """Base of everything the serving package raises on purpose."""


class EngineError(ServingError):
    """A step of work could not be done."""


class VoiceError(ServingError):
    """The voice's artefacts cannot be used; the message says how to derive them."""


@dataclass(frozen=True, slots=True)
class Golden:
    """A latent and the sound one profile once made of it."""

    latent: Latent
    samples: Samples


@dataclass(frozen=True, slots=True)
class ProfileCard:
    """What was measured of one profile."""

    profile: ProfileId
    context_frames: int
    """Frames a vocoder must see on each side of a chunk to make it as if unchunked."""
    first_work: Line
    """Work until first audio, by characters of the first sentence: where the cost model starts."""
    total_work: Line
    expectation: Expectation


class Acoustic(Protocol):
    """The first half of the voice: phoneme ids to a latent. Called from several threads at once."""

    def latent(self, ids: Sequence[int], *, speed: float) -> Latent:
        """Latent of one sentence, spoken `speed` times as fast as usual. Raises `EngineError`."""
        ...


class Vocoder(Protocol):
    """The second half: a window of latent frames to sound. Called from several threads at once."""

    def samples(self, window: Latent) -> Samples:
        """`hop_samples` samples per frame. Raises `EngineError`."""
        ...


class Phonemizer(Protocol):
    """Turns a normalised sentence into the voice's phoneme ids. Blocking: never called on the event loop."""

    def ids(self, sentence: str) -> tuple[int, ...]:
        """Ids with the voice's marks of begin, pad and end; unknown words are guessed."""
        ...

    def warm_up(self) -> None:
        """Load what the first unknown word would otherwise wait for."""
        ...


@dataclass(frozen=True, slots=True)
class VoiceFacts:
    """What never changes about a voice."""

    name: str
    digest: str
    """Names the exact weights; a part of every cache key."""
    sample_rate_hz: int
    hop_samples: int
    profiles: tuple[ProfileId, ...]


class Voice(Protocol):
    """A voice whose acoustic part is loaded once and shared, and whose vocoders are opened per profile."""

    @property
    def facts(self) -> VoiceFacts:
        """What never changes."""
        ...

    @property
    def acoustic(self) -> Acoustic:
        """The shared first half."""
        ...

    def card(self, profile: ProfileId) -> ProfileCard:
        """What was measured of `profile`."""
        ...

    def open_vocoder(self, profile: ProfileId) -> tuple[Vocoder, Golden]:
        """Load a vocoder and its self-test; blocking. Raises `EngineError` or `VoiceError`."""
        ...
