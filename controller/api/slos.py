"""Objectives over HTTP: read, try, create, replace, delete, with revisions so that nobody overwrites what they have not seen.

A body may be our own JSON or an OpenSLO document. What cannot be is always refused, with field and fix, and so is what would
leave another objective without what it needs. What is merely not there yet (a metric, a bucket, a region) keeps nobody from
creating an objective, which may well come before its traffic: `dry_run=true` asks Prometheus and tells.
"""

import asyncio
from dataclasses import dataclass
from typing import Annotated, Any, assert_never

from fastapi import APIRouter, Depends, Header, Path, Query, Request, Response
from fastapi.responses import JSONResponse

from chassis.clock import utc_date
from contracts.serving_api import Problem
from contracts.vocabulary import SloId
from controller.admission.references import dependents_of, with_needs
from controller.admission.report import Asked
from controller.api.access import Operator, Viewer
from controller.api.admission_views import AdmissionView, FindingView, ReportView
from controller.api.parts import ApiParts, Parts
from controller.api.problems import ProblemError, not_found, problem, unusable
from controller.api.slo_documents import NewProposal, Proposal, Replacement, described
from controller.api.slo_views import EXAMPLE_ID, AppliedSlos, NewSlo, RulesView, SloFields, SloList, SloView
from controller.slo_store import SloExists, SloLimit, SloMissing, SloNeeded, SlosApplied, SloStale, SloUnfit, StoredSlo
from controller.stores import Change
from slo_rules.compiler import compile_slos
from slo_rules.errors import SloError
from slo_rules.model import Slo
from slo_rules.openslo.documents import NAME_PATTERN
from slo_rules.openslo.export import export

DAYS_DEFAULT = 7
DAYS_MAX = 90
"""Longer than most Prometheus servers keep; a page is 1,440 minutes a day to read."""
EXAMINED_MAX = 20
"""Objectives in one dry run: each may take a minute at worst."""
YAML = "application/yaml"

router = APIRouter(tags=["objectives"])
SloPath = Annotated[str, Path(pattern=NAME_PATTERN, examples=[EXAMPLE_ID])]
IfMatch = Annotated[str | None, Header(alias="If-Match", max_length=100, description="ETag of the objective you read")]


@dataclass(frozen=True, slots=True)
class Trial:
    """Whether a change is only tried, and for whom."""

    request: Request
    dry_run: Annotated[bool, Query(description="Store nothing; answer with an admission report (200)")] = False
    days: Annotated[int, Query(ge=0, le=DAYS_MAX, description="How far back a dry run looks; 0: not at all")] = (
        DAYS_DEFAULT
    )


IsTrial = Annotated[Trial, Depends()]
Responses = dict[int | str, dict[str, Any]]
CHANGE_PROBLEMS: Responses = {404: {"model": Problem}, 409: {"model": Problem}, 412: {"model": Problem}}
DRY_RUN_ANSWER: Responses = {200: {"model": AdmissionView, "description": "The answer to a dry run"}}
YAML_ANSWER: Responses = {200: {"content": {YAML: {"schema": {"type": "string"}}}}}


@router.get("/slos", response_model=SloList, responses=YAML_ANSWER)
def list_slos(request: Request, parts: Parts, _caller: Viewer) -> SloList | Response:
    """All objectives by id, and how far they have got; as OpenSLO documents with `Accept: application/yaml`."""
    found = parts.slos.slos()
    if _wants_yaml(request):
        return _exported(tuple(stored.slo for stored in found.slos))
    replicas = [replica for host in parts.fleet.fleet().hosts for replica in host.replicas]
    return SloList(
        items=[SloView.of(stored) for stored in found.slos],
        revision=found.revision,
        rules=RulesView.of(parts.rules()),
        replicas={replica.id: replica.slo_revision for replica in replicas},
    )


@router.post(
    "/slos",
    status_code=201,
    response_model=SloView,
    responses={409: {"model": Problem}, **DRY_RUN_ANSWER},
    openapi_extra=described(NewSlo),
)
async def create_slo(caller: Operator, proposal: NewProposal, parts: Parts, trial: IsTrial) -> Response:
    """Create an objective; replicas count against it within seconds, and its rules are loaded into Prometheus."""
    await asyncio.to_thread(_check, parts, proposal)
    if trial.dry_run:
        return await _examined(parts, proposal, trial)
    slo = proposal.only
    made = await asyncio.to_thread(parts.slos.create_slo, slo, _change(parts, caller))
    match made:
        case StoredSlo():
            return _changed(parts, made, status=201)
        case SloExists(revision=revision):
            raise problem(
                409,
                f"{slo.id} exists already",
                detail=f"at revision {revision}",
                field="id",
                fix="PUT to its own path, or choose another id",
            )
        case SloLimit() | SloUnfit():
            raise _refused(made)
    assert_never(made)


@router.patch("/slos", response_model=AppliedSlos, responses={409: {"model": Problem}}, openapi_extra=described(NewSlo))
async def apply_slos(caller: Operator, proposal: NewProposal, parts: Parts) -> AppliedSlos:
    """Create or replace the objectives of a set of OpenSLO documents, all or none; others stay, equal ones keep their revision."""
    await asyncio.to_thread(_check, parts, proposal)
    outcome = await asyncio.to_thread(parts.slos.apply_slos, proposal.slos, _change(parts, caller))
    if not isinstance(outcome, SlosApplied):
        raise _refused(outcome)
    if outcome.changed:
        parts.slos_changed()
    return AppliedSlos(items=[SloView.of(stored) for stored in outcome.slos], changed=list(outcome.changed))


@router.get("/slos/{slo}", response_model=SloView, responses=YAML_ANSWER)
def read_slo(slo: SloPath, request: Request, parts: Parts, _caller: Viewer) -> Response:
    """One objective, with its ETag; as an OpenSLO document with `Accept: application/yaml`."""
    stored = _found(parts, slo)
    return _exported((stored.slo,), stored.revision) if _wants_yaml(request) else _tagged(stored, 200)


@router.get("/slos/{slo}/openslo", response_class=Response, responses=YAML_ANSWER)
def export_slo(slo: SloPath, parts: Parts, _caller: Viewer) -> Response:
    """One objective as an OpenSLO v1 document."""
    stored = _found(parts, slo)
    return _exported((stored.slo,), stored.revision)


@router.put(
    "/slos/{slo}",
    response_model=SloView,
    responses={**CHANGE_PROBLEMS, **DRY_RUN_ANSWER},
    openapi_extra=described(SloFields),
)
async def replace_slo(
    slo: SloPath,
    caller: Operator,
    proposal: Replacement,
    parts: Parts,
    trial: IsTrial,
    if_match: IfMatch = None,
) -> Response:
    """Replace an objective. With If-Match only when it is still the one that was read."""
    await asyncio.to_thread(_check, parts, proposal)
    if trial.dry_run:
        await asyncio.to_thread(_found, parts, slo)
        return await _examined(parts, proposal, trial)
    expected, change = _expected(if_match), _change(parts, caller)
    outcome = await asyncio.to_thread(parts.slos.replace_slo, proposal.only, expected, change)
    return _changed(parts, _settled(slo, outcome), status=200)


@router.delete("/slos/{slo}", status_code=204, responses=CHANGE_PROBLEMS)
def delete_slo(slo: SloPath, parts: Parts, caller: Operator, if_match: IfMatch = None) -> None:
    """Delete an objective that no other names; replicas stop counting it, and its rules go."""
    _settled(slo, parts.slos.delete_slo(SloId(slo), _expected(if_match), _change(parts, caller)))
    parts.slos_changed()


def _check(parts: ApiParts, proposal: Proposal) -> None:
    """Refuse what makes no rules, by itself or with what it names and what names it, before anything is stored."""
    proposed = {slo.id: slo for slo in proposal.slos}
    among = {stored.slo.id: stored.slo for stored in parts.slos.slos().slos} | proposed
    today = utc_date(parts.clock.now_unix_s())
    for slo in proposal.slos:
        try:
            compile_slos(with_needs(slo, among), (), today=today)
        except SloError as error:
            raise unusable(error, slo.id) from error
    needed = ((each, dependent) for each in proposed for dependent in dependents_of(each, among.values()))
    for each, dependent in needed:
        try:
            compile_slos(with_needs(among[dependent], among), (), today=today)
        except SloError as error:
            why = f"{dependent} names it and would not hold: {error.problem}"
            raise unusable(SloError("id", why, error.fix), each) from error


async def _examined(parts: ApiParts, proposal: Proposal, trial: Trial) -> Response:
    if len(proposal.slos) > EXAMINED_MAX:
        raise problem(
            422,
            f"{len(proposal.slos)} objectives are more than {EXAMINED_MAX}",
            field="body",
            fix="try fewer at a time",
        )
    stored = await asyncio.to_thread(parts.slos.slos)
    proposed = {slo.id for slo in proposal.slos}
    among = (*proposal.slos, *(each.slo for each in stored.slos if each.slo.id not in proposed))
    reports = [
        await parts.admission.examine(Asked(slo, among, trial.days))
        for slo in proposal.slos
        if not await trial.request.is_disconnected()  # then nobody waits for this any more, and others may
    ]
    answer = AdmissionView(
        works=all(report.works for report in reports),
        reports=[ReportView.of(report) for report in reports],
        notices=[FindingView.of_notice(notice) for notice in proposal.notices],
    )
    return JSONResponse(answer.model_dump(mode="json"))


def _found(parts: ApiParts, slo: str) -> StoredSlo:
    for stored in parts.slos.slos().slos:
        if stored.slo.id == slo:
            return stored
    raise not_found("objective", slo)


def _wants_yaml(request: Request) -> bool:
    wanted = [each.partition(";")[0].strip() for each in request.headers.get("accept", "").split(",")]
    return YAML in wanted and "application/json" not in wanted


def _exported(slos: tuple[Slo, ...], revision: int | None = None) -> Response:
    try:
        text = export(slos)
    except SloError as error:
        raise problem(409, "not sayable as OpenSLO", detail=str(error), field=error.field, fix=error.fix) from error
    headers = {} if revision is None else {"ETag": f'"{revision}"'}
    return Response(text, media_type=YAML, headers=headers)


def _change(parts: ApiParts, caller: str) -> Change:
    return Change(operator=caller, at_unix_s=parts.clock.now_unix_s())


def _settled(slo: str, outcome: StoredSlo | SloMissing | SloStale | SloLimit | SloUnfit | SloNeeded) -> StoredSlo:
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
        case SloLimit() | SloUnfit():
            raise _refused(outcome)
        case SloNeeded(by=by):
            raise problem(
                409, f"{slo} is needed by {', '.join(by)}", field="id", fix=f"delete or change {', '.join(by)} first"
            )
    assert_never(outcome)


def _refused(outcome: SloLimit | SloUnfit) -> ProblemError:
    if isinstance(outcome, SloUnfit):
        return unusable(SloError(outcome.field, outcome.problem, outcome.fix))
    kind = f" of kind {outcome.of_kind}" if outcome.of_kind else ""
    return problem(409, f"there are {outcome.slos_max} objectives{kind} already", fix="delete one that nobody looks at")


def _changed(parts: ApiParts, stored: StoredSlo, *, status: int) -> Response:
    parts.slos_changed()
    return _tagged(stored, status)


def _tagged(stored: StoredSlo, status: int) -> Response:
    body = SloView.of(stored).model_dump(mode="json")
    return JSONResponse(body, status_code=status, headers={"ETag": f'"{stored.revision}"'})


def _expected(if_match: str | None) -> int | None:
    """The revision in an If-Match header; None when absent or `*`, which both mean "whatever is there"."""
    if if_match is None or if_match.strip() == "*":
        return None
    revision = if_match.strip().strip('"')
    if not revision.isdecimal():
        raise problem(400, "If-Match is not an ETag of ours", field="If-Match", fix='send it as it came, e.g. "7"')
    return int(revision)
