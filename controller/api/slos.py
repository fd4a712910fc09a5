"""Objectives over HTTP: read, create, replace, delete, with revisions so that nobody overwrites what they have not seen."""

from typing import Annotated, assert_never

from fastapi import APIRouter, Header, Path, Response
from pydantic import BaseModel, ConfigDict, Field
from pydantic.config import JsonDict

from contracts.serving_api import Problem
from contracts.vocabulary import SliKind, SloId
from controller.api.access import Operator, Viewer
from controller.api.parts import ApiParts, Parts
from controller.api.problems import ProblemError, not_found, problem
from controller.stores import Change, SloExists, SloLimit, SloMissing, SloStale, StoredSlo
from slo_rules.compiler import compile_slos
from slo_rules.errors import SloError
from slo_rules.indicators import ExactCounters
from slo_rules.model import PAGE_WITHIN_S_DEFAULT, Slo
from slo_rules.openslo import NAME_PATTERN
from slo_rules.windows import WINDOW_S_DEFAULT, RollingWindow

EXAMPLE_ID = "speech-fast"
EXAMPLE: JsonDict = {
    "objective": 0.95,
    "threshold_s": 0.2,
    "sli": "first_audio",
    "window_s": WINDOW_S_DEFAULT,
    "page_within_s": PAGE_WITHIN_S_DEFAULT,
    "description": "95 % of requests start to sound within 200 ms",
    "owner": "speech",
}

router = APIRouter(tags=["objectives"])
SloPath = Annotated[str, Path(pattern=NAME_PATTERN, examples=[EXAMPLE_ID])]
IfMatch = Annotated[str | None, Header(alias="If-Match", max_length=100, description="ETag of the objective you read")]


class SloFields(BaseModel):
    """Everything about an objective but its id."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [EXAMPLE]})

    objective: float = Field(description="Share of good requests wanted: 0.95, never 95")
    threshold_s: float = Field(description="A request is good when its duration is at most this many seconds")
    sli: SliKind = SliKind.TOTAL
    window_s: int = WINDOW_S_DEFAULT
    page_within_s: float = Field(PAGE_WITHIN_S_DEFAULT, description="Wanted time to page when every request is bad")
    description: str = Field("", max_length=500)
    owner: str = Field("", max_length=100)

    def to_slo(self, slo: str) -> Slo:
        """The objective, checked; raises a problem that names field and fix."""
        try:
            made = Slo(
                id=SloId(slo),
                objective=self.objective,
                indicator=ExactCounters(self.threshold_s, self.sli),
                window=RollingWindow(self.window_s),
                page_within_s=self.page_within_s,
                description=self.description,
                owner=self.owner,
            )
            compile_slos((made,), ())  # an objective whose alerts could never fire is refused here, not found out later
        except SloError as error:
            raise problem(422, "not a usable objective", detail=str(error), field=error.field, fix=error.fix) from error
        return made


class NewSlo(SloFields):
    """An objective to create."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"id": EXAMPLE_ID, **EXAMPLE}]})

    id: str = Field(pattern=NAME_PATTERN)


class SloView(NewSlo):
    """An objective as stored."""

    revision: int = Field(description="Revision of the whole set at which this objective last changed; its ETag")

    @classmethod
    def of(cls, stored: StoredSlo) -> "SloView":
        """From the store's value."""
        slo = stored.slo
        return cls(
            id=slo.id,
            objective=slo.objective,
            threshold_s=slo.exact.threshold_s if slo.exact else 0.0,
            sli=slo.exact.sli if slo.exact else SliKind.TOTAL,
            window_s=slo.window.seconds,
            page_within_s=slo.page_within_s,
            description=slo.description,
            owner=slo.owner,
            revision=stored.revision,
        )


class SloList(BaseModel):
    """All objectives."""

    items: list[SloView]
    revision: int


@router.get("/slos")
def list_slos(parts: Parts, _caller: Viewer) -> SloList:
    """All objectives, by id."""
    found = parts.slos.slos()
    return SloList(items=[SloView.of(stored) for stored in found.slos], revision=found.revision)


@router.post("/slos", status_code=201, responses={409: {"model": Problem}})
def create_slo(body: NewSlo, response: Response, parts: Parts, caller: Operator) -> SloView:
    """Create an objective; replicas count against it within seconds, and its rules are loaded into Prometheus."""
    made = parts.slos.create_slo(body.to_slo(body.id), _change(parts, caller))
    match made:
        case StoredSlo():
            return _changed(parts, response, made)
        case SloExists(revision=revision):
            raise problem(
                409,
                f"{body.id} exists at revision {revision}",
                field="id",
                fix="PUT to its own path, or choose another id",
            )
        case SloLimit(slos_max=slos_max):
            raise problem(409, f"there are {slos_max} objectives already", fix="delete one that nobody looks at")
    assert_never(made)


@router.get("/slos/{slo}")
def read_slo(slo: SloPath, response: Response, parts: Parts, _caller: Viewer) -> SloView:
    """One objective, with its ETag."""
    for stored in parts.slos.slos().slos:
        if stored.slo.id == slo:
            return _tagged(response, stored)
    raise not_found("objective", slo)


@router.put("/slos/{slo}", responses={404: {"model": Problem}, 412: {"model": Problem}})
def replace_slo(
    slo: SloPath, body: SloFields, response: Response, parts: Parts, caller: Operator, if_match: IfMatch = None
) -> SloView:
    """Replace an objective. With If-Match only when it is still the one that was read."""
    return _changed(
        parts,
        response,
        _settled(slo, parts.slos.replace_slo(body.to_slo(slo), _expected(if_match), _change(parts, caller))),
    )


@router.delete("/slos/{slo}", status_code=204, responses={404: {"model": Problem}, 412: {"model": Problem}})
def delete_slo(slo: SloPath, parts: Parts, caller: Operator, if_match: IfMatch = None) -> None:
    """Delete an objective; replicas stop counting it, and its rules go."""
    _settled(slo, parts.slos.delete_slo(SloId(slo), _expected(if_match), _change(parts, caller)))
    parts.slos_changed()


def _change(parts: ApiParts, caller: str) -> Change:
    return Change(operator=caller, at_unix_s=parts.clock.now_unix_s())


def _settled(slo: str, outcome: StoredSlo | SloMissing | SloStale) -> StoredSlo:
    match outcome:
        case StoredSlo():
            return outcome
        case SloMissing():
            raise not_found("objective", slo)
        case SloStale(revision=revision):
            raise ProblemError(
                Problem(
                    status=412,
                    title=f"{slo} has changed",
                    detail=f"it is at revision {revision} now",
                    field="If-Match",
                    fix="read it again and decide anew",
                ),
                headers={"ETag": f'"{revision}"'},
            )
    assert_never(outcome)


def _changed(parts: ApiParts, response: Response, stored: StoredSlo) -> SloView:
    parts.slos_changed()
    return _tagged(response, stored)


def _tagged(response: Response, stored: StoredSlo) -> SloView:
    response.headers["ETag"] = f'"{stored.revision}"'
    return SloView.of(stored)


def _expected(if_match: str | None) -> int | None:
    """The revision in an If-Match header; None when absent or `*`, which both mean "whatever is there"."""
    if if_match is None or if_match.strip() == "*":
        return None
    revision = if_match.strip().strip('"')
    if not revision.isdecimal():
        raise problem(400, "If-Match is not an ETag of ours", field="If-Match", fix='send it as it came, e.g. "7"')
    return int(revision)
