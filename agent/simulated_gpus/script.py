"""A script of faults: a YAML or JSON list of what breaks when, played against a clock.

    - {after_s: 0,  fault: hot,    gpu: 2}
    - {after_s: 10, fault: xid 79, gpu: 3}
    - {after_s: 30, fault: heal,   gpu: 3}

`after_s` counts from the start of the script; `gpu` is 0 when it is not said.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated

import yaml
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from agent.simulated_gpus.errors import FaultError, ScriptError
from agent.simulated_gpus.faults import Fault, gpu_of, inject, parse_fault
from agent.simulated_gpus.state import SimulatedHost
from chassis.clock import Clock

STEPS_MAX = 10_000
AFTER_S_MAX = 86_400.0
"""A day: longer scripts belong into several."""


@dataclass(frozen=True, slots=True)
class Step:
    """One fault, `after_s` seconds after the start of the script."""

    after_s: float
    fault: Fault
    gpu: int


class _StepBody(BaseModel):
    model_config = ConfigDict(extra="forbid")

    after_s: Annotated[float, Field(ge=0, le=AFTER_S_MAX)]
    fault: str
    gpu: Annotated[int, Field(ge=0)] = 0


_BODY = TypeAdapter(Annotated[list[_StepBody], Field(min_length=1, max_length=STEPS_MAX)])


def parse_script(text: str) -> tuple[Step, ...]:
    """Steps in the order of their times; raises `ScriptError` that names the first thing wrong."""
    try:
        body = _BODY.validate_python(yaml.safe_load(text))
        steps = [Step(step.after_s, parse_fault(step.fault.split()), step.gpu) for step in body]
    except yaml.YAMLError as error:
        msg = "the script is neither YAML nor JSON"
        raise ScriptError(msg) from error
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "the whole"
        msg = f"the script, at {where}: {first['msg']}. A step is e.g. {{after_s: 10, fault: xid 79, gpu: 3}}"
        raise ScriptError(msg) from error
    except FaultError as error:
        msg = f"the script: {error}"
        raise ScriptError(msg) from error
    return tuple(sorted(steps, key=lambda step: step.after_s))


async def play(script: Sequence[Step], host: SimulatedHost, clock: Clock, say: Callable[[str], None]) -> None:
    """Inject each fault at its time; raises `FaultError` before the first when a GPU is not there."""
    for step in script:
        gpu_of(host, step.gpu)
    started_s = clock.monotonic_s()
    for step in script:
        wait_s = started_s + step.after_s - clock.monotonic_s()
        if wait_s > 0:
            await clock.sleep(wait_s)
        say(f"{step.after_s:8.1f} s  {inject(host, step.gpu, step.fault)}")
