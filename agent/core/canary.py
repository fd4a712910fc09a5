"""When a quiet replica is asked to speak, and what its answer is worth.

A probe proves that the event loop turns, not that sound comes out. While there is traffic, its own outcomes tell; in quiet
times only somebody who asks finds a voice that is gone. So a ready replica that has made no progress for a while is asked
to speak one short sentence. What comes back must be sound: an answer of the right shape that is silent, or much too short
or long, is a failure like any other.
"""

import io
import wave
from array import array
from dataclasses import dataclass
from enum import StrEnum
from http import HTTPStatus

from agent.core.health import Pulse

SENTENCE = "All is well on this line."
"""Short: 1 to 3 s of speech, 50 to 300 ms of work on a CPU."""
SPOKEN_S_MIN, SPOKEN_S_MAX = 0.4, 10.0
"""Nobody says the sentence faster or slower; wide enough for every voice."""
PEAK_MIN = 256
"""Of 32,768, −42 dBFS: any speech is louder, and a vocoder's idle noise is not."""
SAMPLE_BYTES = 2
REFUSED_STATUSES = frozenset({HTTPStatus.SERVICE_UNAVAILABLE, HTTPStatus.TOO_MANY_REQUESTS})


class CanaryOutcome(StrEnum):
    """What came of one canary."""

    OK = "ok"
    FAILED = "failed"
    """No sound, or not what was asked for."""
    REFUSED = "refused"
    """The replica has real work, is draining, or could not be reached: no news about its voice."""
    UNSUPPORTED = "unsupported"
    """It takes no such request, so nothing can be learned this way."""


@dataclass(frozen=True, slots=True)
class CanaryPolicy:
    """How often, and how many failures prove something."""

    after_s: float = 30.0
    """Quiet time before a canary; 0: never."""
    jitter: float = 0.2
    """Each wait is up to this share shorter or longer, so that replicas and hosts do not speak in step."""
    retry_s: float = 5.0
    """After a failure: the next answer is wanted soon."""
    failures_max: int = 3
    """In a row: one may meet a moment of overload, three over ten seconds do not."""
    failure_memory_s: float = 900.0
    """Failures further apart are not in a row: whole days of work may lie between two quiet times. A round over a host of 64
    replicas that each miss the deadline takes eleven minutes."""

    def wait_s(self, draw: float, *, failed: bool) -> float:
        """Quiet time until the next canary; `draw` is uniform in 0..1."""
        base_s = min(self.retry_s, self.after_s) if failed else self.after_s
        return base_s * (1.0 + self.jitter * (2.0 * draw - 1.0))


@dataclass(frozen=True, slots=True)
class Quiet:
    """Since when nothing was heard of a replica's work."""

    progress_total: int
    since_s: float
    wait_s: float

    @property
    def due_s(self) -> float:
        """When it is to be asked."""
        return self.since_s + self.wait_s


def looked(former: Quiet | None, pulse: Pulse, now_s: float, wait_s: float) -> Quiet:
    """The quiet after one look; work in flight, or progress since the last look, begins it anew with `wait_s`."""
    if former is None or pulse.in_flight > 0 or pulse.progress_total != former.progress_total:
        return Quiet(pulse.progress_total, now_s, wait_s)
    return former


@dataclass(frozen=True, slots=True)
class Verdict:
    """What one answer is worth."""

    outcome: CanaryOutcome
    reason: str = ""


def judge_answer(status: int, body: bytes) -> Verdict:
    """An answer of `/v1/audio/speech` to `SENTENCE`, asked for as a whole WAV."""
    if status in REFUSED_STATUSES:
        return Verdict(CanaryOutcome.REFUSED, f"answered {status}")
    if _is_about_our_request(status):
        return Verdict(CanaryOutcome.UNSUPPORTED, f"answered {status}")
    if status != HTTPStatus.OK:
        return Verdict(CanaryOutcome.FAILED, f"answered {status}")
    fault = _why_no_speech(body)
    return Verdict(CanaryOutcome.FAILED, fault) if fault else Verdict(CanaryOutcome.OK)


def _is_about_our_request(status: int) -> bool:
    """A restart would not make the replica understand it: it may be older than this agent, or configured for less."""
    return HTTPStatus.BAD_REQUEST <= status < HTTPStatus.INTERNAL_SERVER_ERROR or status == HTTPStatus.NOT_IMPLEMENTED


def _why_no_speech(body: bytes) -> str:
    try:
        with wave.open(io.BytesIO(body)) as sound:
            width, channels, rate_hz = sound.getsampwidth(), sound.getnchannels(), sound.getframerate()
            data = sound.readframes(sound.getnframes())
    except (wave.Error, EOFError) as error:
        return f"no WAV: {error}"
    if width != SAMPLE_BYTES or rate_hz <= 0:
        return f"samples of {width} bytes at {rate_hz} Hz"
    samples = array("h", data[: len(data) - len(data) % SAMPLE_BYTES])
    seconds = len(samples) / (rate_hz * channels)
    if not SPOKEN_S_MIN <= seconds <= SPOKEN_S_MAX:
        return f"{seconds:.2f} s of sound, plausible are {SPOKEN_S_MIN:g} to {SPOKEN_S_MAX:g} s"
    loudest, deepest = max(samples), min(samples)
    peak = max(loudest, -deepest)
    return "" if peak >= PEAK_MIN else f"silence: peak {peak} of 32768"
