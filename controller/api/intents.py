"""What operators ask for. An intent is recorded, not executed: the loop judges it like its own plans, and says why not."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, assert_never

from fastapi import APIRouter, Header
from pydantic import BaseModel, ConfigDict, Field

from contracts.serving_api import Problem
from controller.api.access import Operator
from controller.api.parts import Parts
from controller.api.problems import problem
from controller.ports import OperatorIntent
from controller.stores import IntentAccepted, IntentKeyReused, IntentLimit

ARGUMENT_CHARS_MAX = 200

router = APIRouter(tags=["intents"])


@dataclass(frozen=True, slots=True)
class Verb:
    """Which arguments a verb takes; each inner tuple of `needs` is satisfied by any one of its names."""

    needs: tuple[tuple[str, ...], ...] = ()
    may: frozenset[str] = frozenset()

    @property
    def known(self) -> frozenset[str]:
        """Every argument it understands."""
        return self.may.union(*self.needs)


VERBS: Mapping[str, Verb] = {
    "restart": Verb(needs=(("replica",),)),
    "switch_profile": Verb(needs=(("region",), ("profile",))),
    "scale_out": Verb(needs=(("region",),)),
    "scale_in": Verb(needs=(("replica", "region"),)),
    "shift": Verb(needs=(("from",), ("to",)), may=frozenset({"gateway", "share"})),
    "reset_gpu": Verb(needs=(("host",), ("gpu",))),
    "reboot_host": Verb(needs=(("host",),)),
    "pause": Verb(),
    "resume": Verb(),
}


class IntentBody(BaseModel):
    """Something to be done; the verb decides which arguments it takes."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {"verb": "restart", "arguments": {"replica": "eu-west-a-0"}},
                {"verb": "shift", "arguments": {"from": "eu-west", "to": "us-east", "share": 0.5}},
                {"verb": "switch_profile", "arguments": {"region": "eu-west", "profile": "light-int8-onnx"}},
                {"verb": "reset_gpu", "arguments": {"host": "eu-west-a", "gpu": "3"}},
                {"verb": "pause", "arguments": {}},
            ]
        },
    )

    verb: Annotated[str, Field(description=f"One of {', '.join(VERBS)}")]
    arguments: dict[str, str | int | float] = {}

    def pairs(self) -> tuple[tuple[str, str], ...]:
        """Arguments as the loop wants them: sorted pairs of text."""
        return tuple(sorted((name, str(value)) for name, value in self.arguments.items()))


class IntentReceipt(BaseModel):
    """The intent is recorded; follow it in `/api/v1/decisions`."""

    id: str
    repeated: bool = Field(description="True when the same Idempotency-Key had brought it before")


@router.post("/intents", status_code=202, responses={409: {"model": Problem}, 422: {"model": Problem}})
def record_intent(
    body: IntentBody,
    parts: Parts,
    caller: Operator,
    idempotency_key: Annotated[str | None, Header(min_length=1, max_length=200)] = None,
) -> IntentReceipt:
    """Ask the loop for something. With an Idempotency-Key a repeated request is the same intent, not a second one."""
    _require_sense(body)
    intent = OperatorIntent(
        id=parts.new_id(),
        at_unix_s=parts.clock.now_unix_s(),
        operator=caller,
        verb=body.verb,
        arguments=body.pairs(),
    )
    recorded = parts.intents.add_intent(intent, idempotency_key)
    match recorded:
        case IntentAccepted(id=intent_id, repeated=repeated):
            parts.intent_recorded()
            return IntentReceipt(id=intent_id, repeated=repeated)
        case IntentKeyReused(id=intent_id):
            raise problem(
                409,
                f"this Idempotency-Key belongs to intent {intent_id}",
                field="Idempotency-Key",
                fix="use a new key for a new wish",
            )
        case IntentLimit(waiting_max=waiting_max):
            raise problem(503, f"{waiting_max} intents are waiting", fix="check /api/v1/status: does anybody lead?")
    assert_never(recorded)


def _require_sense(body: IntentBody) -> None:
    verb = VERBS.get(body.verb)
    if verb is None:
        raise problem(422, f"unknown verb {body.verb}", field="verb", fix=f"use one of {', '.join(VERBS)}")
    for name, value in body.pairs():
        if len(value) > ARGUMENT_CHARS_MAX:
            raise problem(422, f"{name} is too long", field=f"arguments.{name}", fix=f"{ARGUMENT_CHARS_MAX} at most")
    for names in verb.needs:
        if not any(name in body.arguments for name in names):
            wanted = " or ".join(names)
            raise problem(422, f"{body.verb} needs {wanted}", field=f"arguments.{names[0]}", fix=f"add {wanted}")
    unknown = sorted(body.arguments.keys() - verb.known)
    if unknown:
        takes = ", ".join(sorted(verb.known)) or "no arguments"
        raise problem(
            422, f"{body.verb} does not take {unknown[0]}", field=f"arguments.{unknown[0]}", fix=f"it takes {takes}"
        )
