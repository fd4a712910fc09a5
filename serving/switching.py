"""The vocoder in use, and how it is changed while it is in use.

`Stage` is one vocoder with its generation. Workers read the pointer to it once per sentence; a switch opens another
vocoder beside it, tests it on the golden latent and moves the pointer. The old one is freed when its last sentence
ends. Promises: no request waits for a switch, none is dropped; a candidate that fails leaves everything as it was.
"""

import asyncio
from dataclasses import dataclass
from typing import Literal, assert_never

from chassis.logs import logger
from contracts.vocabulary import ProfileId
from serving.core.profiles import Preparing, Steady, Unchanged, UnknownProfile, commit, prepare, roll_back, why_unfit
from serving.ports import EngineError, Golden, Vocoder, Voice, VoiceError
from serving.quality import compared

log = logger(__name__)
PREPARE_S_MAX = 20.0
"""Loading takes 10–40 ms alone; 20 s is a disk or a machine that should not get more work."""


@dataclass(frozen=True, slots=True)
class Stage:
    """One vocoder in use, from one commit to the next."""

    profile: ProfileId
    generation: int
    vocoder: Vocoder
    context_frames: int
    golden: Golden


@dataclass(frozen=True, slots=True)
class Switched:
    """What a switch came to; `profile` is in use afterwards."""

    profile: ProfileId
    generation: int
    outcome: Literal["committed", "unchanged", "rolled_back"]
    detail: str = ""


class UnfitVocoderError(EngineError):
    """A vocoder loaded, but failed its self-test."""


def open_stage(voice: Voice, state: Steady) -> Stage:
    """Load the vocoder of `state` and prove it on the golden latent; blocking, 10–100 ms."""
    vocoder, golden = voice.open_vocoder(state.profile)
    card = voice.card(state.profile)
    unfit = why_unfit(compared(golden.samples, vocoder.samples(golden.latent)), card.expectation)
    if unfit:
        raise UnfitVocoderError(unfit)
    return Stage(state.profile, state.generation, vocoder, card.context_frames, golden)


class Switchboard:
    """Holds the stage in use and changes it, one switch at a time."""

    def __init__(self, voice: Voice, first: Stage) -> None:
        self._voice = voice
        self._stage = first
        self._one_at_a_time = asyncio.Lock()
        self.committed = 0
        self.rolled_back = 0

    @property
    def stage(self) -> Stage:
        """What a new sentence uses. One reference: safe to read from any thread."""
        return self._stage

    async def switch(self, wanted: ProfileId) -> Switched | UnknownProfile:
        """Bring `wanted` into use, or say why not. Idempotent."""
        async with self._one_at_a_time:
            steady = Steady(self._stage.profile, self._stage.generation)
            step = prepare(steady, wanted, self._voice.facts.profiles)
            match step:
                case UnknownProfile():
                    return step
                case Unchanged():
                    return Switched(steady.profile, steady.generation, "unchanged")
                case Preparing():
                    return await self._try(step)
                case _:
                    assert_never(step)

    async def _try(self, step: Preparing) -> Switched:
        try:
            async with asyncio.timeout(PREPARE_S_MAX):
                stage = await asyncio.to_thread(open_stage, self._voice, commit(step))
        except (EngineError, VoiceError, TimeoutError) as error:
            kept = roll_back(step)
            self.rolled_back += 1
            log.warning("profile_rolled_back", wanted=step.candidate, kept=kept.profile, error=repr(error))
            return Switched(kept.profile, kept.generation, "rolled_back", str(error) or type(error).__name__)
        self._stage = stage
        self.committed += 1
        log.info("profile_committed", profile=stage.profile, generation=stage.generation)
        return Switched(stage.profile, stage.generation, "committed")
