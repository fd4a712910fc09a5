"""Which profile speaks: prepare → self-test → commit or roll back, by generation.

A switch never interrupts anybody: the new vocoder is loaded beside the old one, must reproduce stored sound from a
golden latent, and only then becomes the one that *new sentences* use. A sentence in progress keeps the generation it
began with. Promises: pure; the generation grows by one per commit and never otherwise; a failed candidate leaves the
state exactly as it was.
"""

import math
from dataclasses import dataclass

from contracts.vocabulary import ProfileId


@dataclass(frozen=True, slots=True)
class Steady:
    """One profile in use."""

    profile: ProfileId
    generation: int


@dataclass(frozen=True, slots=True)
class Preparing:
    """Still `current`, while `candidate` is loaded and tested beside it."""

    current: Steady
    candidate: ProfileId


@dataclass(frozen=True, slots=True)
class Unchanged:
    """The wanted profile is in use already."""

    state: Steady


@dataclass(frozen=True, slots=True)
class UnknownProfile:
    """The voice has no such profile."""

    wanted: ProfileId
    known: tuple[ProfileId, ...]


@dataclass(frozen=True, slots=True)
class Expectation:
    """How close a vocoder must come to the sound stored for its golden latent."""

    snr_db_min: float
    energy_db_max: float
    """Largest difference in loudness, either way."""


@dataclass(frozen=True, slots=True)
class SelfTest:
    """What a vocoder made of its golden latent, against the stored sound."""

    finite: bool
    snr_db: float
    energy_db: float


def prepare(state: Steady, wanted: ProfileId, known: tuple[ProfileId, ...]) -> Preparing | Unchanged | UnknownProfile:
    """First step of a switch."""
    if wanted not in known:
        return UnknownProfile(wanted, known)
    if wanted == state.profile:
        return Unchanged(state)
    return Preparing(state, wanted)


def commit(state: Preparing) -> Steady:
    """The candidate passed: new sentences use it."""
    return Steady(state.candidate, state.current.generation + 1)


def roll_back(state: Preparing) -> Steady:
    """The candidate failed: nothing has changed."""
    return state.current


def why_unfit(test: SelfTest, expected: Expectation) -> str:
    """Why a self-test failed, or an empty string when it passed."""
    if not test.finite:
        return "the golden latent became sound that is not finite"
    if math.isnan(test.snr_db) or test.snr_db < expected.snr_db_min:
        return f"golden SNR {test.snr_db:.1f} dB is under {expected.snr_db_min:.1f} dB"
    if abs(test.energy_db) > expected.energy_db_max:
        return f"golden loudness is off by {test.energy_db:+.1f} dB, at most {expected.energy_db_max:.1f} dB"
    return ""
