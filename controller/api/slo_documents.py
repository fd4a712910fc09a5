"""Bodies that hold objectives: our own JSON, or OpenSLO v1 as YAML or JSON.

Which one it is, the content type and the field `apiVersion` say. Either way what comes out are values of `slo_rules`, each
valid by itself, and faults name the field and the fix.
"""

import asyncio
import json
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import Depends, Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ValidationError

from controller.api.problems import problem, unusable
from controller.api.slo_views import NewSlo, SloFields
from slo_rules.errors import SloError
from slo_rules.model import Slo
from slo_rules.openslo.documents import Notice, parse_set
from slo_rules.openslo.reader import decode

YAML_TYPES = frozenset(("application/yaml", "application/x-yaml", "text/yaml", "text/x-yaml"))
KINDS = frozenset(
    (
        *("exact_counters", "classic_histogram", "native_histogram", "event_ratio", "gauge_bound", "composite"),
        *("rolling", "calendar", "once", "weekly"),
    )
)
"""Values of `kind`. Pydantic puts them into the path of a fault below a union, where no such field is."""
_COMPONENT = "#/components/schemas/{model}"
DOCUMENT = "body"
"""What a fault in an OpenSLO body names as its file."""


@dataclass(frozen=True, slots=True)
class Proposal:
    """What a request would like to be true."""

    slos: tuple[Slo, ...]
    """At least one."""
    notices: tuple[Notice, ...] = ()
    """Accepted parts of OpenSLO documents that are not used."""

    @property
    def only(self) -> Slo:
        """The single objective of a request that can only be about one."""
        if len(self.slos) > 1:
            raise problem(
                422,
                f"the body holds {len(self.slos)} objectives",
                field="document",
                fix="send them with PATCH to /api/v1/slos, which applies all of them or none",
            )
        return self.slos[0]


async def read_new(request: Request) -> Proposal:
    """The objectives of a POST or a PATCH."""
    return await _read(request, None)


async def read_replacement(request: Request, slo: str) -> Proposal:
    """The objective of a PUT; `slo` is the id in the path."""
    found = await _read(request, slo)
    if found.only.id != slo:
        raise problem(422, f"the document is about {found.only.id}", field="metadata.name", fix=f"PUT it to {slo}")
    return found


NewProposal = Annotated[Proposal, Depends(read_new)]
Replacement = Annotated[Proposal, Depends(read_replacement)]


async def _read(request: Request, slo: str | None) -> Proposal:
    content = await request.body()
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind in YAML_TYPES:
        return await asyncio.to_thread(_openslo, content)
    try:
        body = json.loads(content)
    except (ValueError, RecursionError) as error:
        at = getattr(error, "pos", 0)
        fault = {"type": "json_invalid", "loc": ("body", at), "msg": "JSON decode error", "input": {}}
        raise RequestValidationError([fault]) from error
    if isinstance(body, dict) and "apiVersion" in body:
        return await asyncio.to_thread(_openslo, content)  # every JSON document is a YAML document
    return _ours(body, slo)


def _openslo(content: bytes) -> Proposal:
    try:
        found = parse_set(decode(content.decode("utf-8"), DOCUMENT))
    except UnicodeDecodeError as error:
        raise unusable(SloError(DOCUMENT, "is not UTF-8", "send UTF-8")) from error
    except SloError as error:
        raise unusable(error) from error
    if not found.slos:
        raise unusable(SloError(DOCUMENT, "holds no SLO", "send at least one document of kind SLO"))
    return Proposal(found.slos, found.notices)


def _ours(body: object, slo: str | None) -> Proposal:
    try:
        if slo is None:
            new = NewSlo.model_validate(body)
            return Proposal((new.to_slo(new.id),))
        return Proposal((SloFields.model_validate(body).to_slo(slo),))
    except ValidationError as error:
        faults = [{**fault, "loc": ("body", *_place(fault["loc"]))} for fault in error.errors(include_url=False)]
        raise RequestValidationError(faults) from error
    except SloError as error:
        raise unusable(error) from error


def _place(location: tuple[int | str, ...]) -> tuple[int | str, ...]:
    return tuple(part for part in location if part not in KINDS)


def described(model: type[BaseModel]) -> dict[str, Any]:
    """A request body for the API's own description: our JSON, and OpenSLO."""
    content = {
        "application/json": {"schema": {"$ref": _COMPONENT.format(model=model.__name__)}},
        "application/yaml": {"schema": {"type": "string", "description": "OpenSLO v1 documents"}},
    }
    return {"requestBody": {"required": True, "content": content}}


def schemas() -> dict[str, Any]:
    """Of the bodies that are `described`, by name: the framework does not see them."""
    found: dict[str, Any] = {}
    for model in (NewSlo, SloFields):
        schema = model.model_json_schema(ref_template=_COMPONENT)
        found |= schema.pop("$defs", {})
        found[model.__name__] = schema
    return found
