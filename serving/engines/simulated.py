"""A voice that costs time instead of computing: the same steps, predictable to the microsecond.

For the control plane's own tests and demos on machines without the voice, and for testing the scheduler without noise.
It hums a tone whose pitch names the profile. Promises: the same ids cost and sound the same every time; the two
profiles differ in cost as the real ones do.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from chassis.clock import blocking_sleep
from contracts.vocabulary import FULL_FP32, LIGHT_INT8, ProfileId
from serving.core.admission import Line
from serving.core.profiles import Expectation
from serving.ports import Acoustic, Golden, Latent, ProfileCard, Samples, Vocoder, VoiceFacts

RATE_HZ = 22_050
HOP = 256
FRAMES_PER_ID = 2.2
CHANNELS = 1
ACOUSTIC_S_PER_FRAME = 0.000_27
"""Measured on the real voice: 80 ms for 295 frames."""
Sleep = Callable[[float], None]


@dataclass(frozen=True, slots=True)
class SimulatedProfile:
    """What one profile costs and how it sounds."""

    s_per_frame: float
    tone_hz: float


PROFILES = {
    FULL_FP32.id: SimulatedProfile(s_per_frame=0.000_64, tone_hz=220.0),
    LIGHT_INT8.id: SimulatedProfile(s_per_frame=0.000_064, tone_hz=440.0),
}
"""The measured cost of the two real vocoders."""


@dataclass(frozen=True, slots=True)
class SimulatedAcoustic:
    """`Acoustic` whose latent only has the right length."""

    sleep: Sleep

    def latent(self, ids: Sequence[int], *, speed: float) -> Latent:
        """Frame numbers: enough for a tone without clicks between chunks."""
        frames = max(1, round(len(ids) * FRAMES_PER_ID / speed))
        self.sleep(frames * ACOUSTIC_S_PER_FRAME)
        return np.arange(frames, dtype=np.float32)[np.newaxis]


@dataclass(frozen=True, slots=True)
class SimulatedVocoder:
    """`Vocoder` that hums, and takes its time."""

    profile: SimulatedProfile
    sleep: Sleep

    def samples(self, window: Latent) -> Samples:
        """A tone that runs on from one chunk to the next."""
        self.sleep(window.shape[1] * self.profile.s_per_frame)
        position = (window[0].astype(np.float64)[:, np.newaxis] * HOP + np.arange(HOP)).reshape(-1)
        tone = 0.3 * np.sin(2 * np.pi * self.profile.tone_hz * position / RATE_HZ)
        return np.asarray(tone, dtype=np.float32)


class SimulatedPhonemizer:
    """`Phonemizer` with one id per character."""

    def ids(self, sentence: str) -> tuple[int, ...]:
        """Code points."""
        return tuple(ord(character) for character in sentence)

    def warm_up(self) -> None:
        """Nothing to load."""


class SimulatedVoice:
    """`Voice` with the real profiles' names and costs."""

    def __init__(self, sleep: Sleep = blocking_sleep) -> None:
        self._sleep = sleep
        self._acoustic = SimulatedAcoustic(sleep)

    @property
    def facts(self) -> VoiceFacts:
        """A voice of its own, so that its cached sound never meets the real one's."""
        return VoiceFacts("simulated", "simulated-1", RATE_HZ, HOP, tuple(PROFILES))

    @property
    def acoustic(self) -> Acoustic:
        """The shared first half."""
        return self._acoustic

    def card(self, profile: ProfileId) -> ProfileCard:
        """Costs by construction: an id is a character."""
        per_frame = PROFILES[profile].s_per_frame
        acoustic = FRAMES_PER_ID * ACOUSTIC_S_PER_FRAME
        return ProfileCard(
            profile=profile,
            context_frames=0,
            first_work=Line(a_s=16 * per_frame, b_s=acoustic),
            total_work=Line(a_s=0.001, b_s=acoustic + FRAMES_PER_ID * per_frame),
            expectation=Expectation(snr_db_min=60.0, energy_db_max=0.1),
        )

    def open_vocoder(self, profile: ProfileId) -> tuple[Vocoder, Golden]:
        """Instantly there."""
        latent = np.arange(8, dtype=np.float32)[np.newaxis]
        golden = Golden(latent, SimulatedVocoder(PROFILES[profile], lambda _: None).samples(latent))
        return SimulatedVocoder(PROFILES[profile], self._sleep), golden
