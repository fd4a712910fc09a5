"""From choices to a plan for this machine: the one impure step, which finds programs and reads or makes tokens."""

from collections.abc import Mapping

from trimtab.stack.blueprint import Blueprint
from trimtab.stack.model import StackPlan
from trimtab.stack.plan import plan_stack
from trimtab.stack.programs import COMPILER, MissingProgramsError, find_programs, missing_of
from trimtab.stack.secrets import load_or_create_tokens
from trimtab.stack.settings import Layout, StackSettings

VOICE_MANIFEST = "manifest.json"
"""Written last by `python -m serving prepare`. Spelled here because importing serving would load an inference engine."""


class VoiceNotPreparedError(Exception):
    """Replicas would start without a voice; the message says how to get one."""


def assemble(settings: StackSettings, environment: Mapping[str, str]) -> StackPlan:
    """The plan. Raises `MissingProgramsError` or `VoiceNotPreparedError` before anything is written."""
    programs = find_programs()
    if settings.gpus and (lacking := missing_of(COMPILER)):  # simulated GPUs are a library that is built where it runs
        raise MissingProgramsError(tuple(requirement.debian_package for requirement in lacking), ())
    if not (settings.voice_dir / VOICE_MANIFEST).is_file():
        msg = f"no prepared voice in {settings.voice_dir}. Run `make setup`, or:\n  trimtab setup --voice-dir {settings.voice_dir}"
        raise VoiceNotPreparedError(msg)
    tokens = load_or_create_tokens(settings.home)
    return plan_stack(Blueprint(Layout(settings), programs, tokens, environment))
