"""The story: what was decided and why, what was done and what came of it."""

from typing import Annotated, Any

from fastapi import APIRouter, Query
from pydantic import BaseModel, TypeAdapter

from chassis.clock import isoformat
from controller.api.access import Viewer
from controller.api.parts import Parts
from controller.api.problems import not_found, problem
from controller.core.actions import Action, ActionId, ActionRecord, Expectation
from controller.ports import DecisionRecord
from controller.stores import DecisionQuery, UnknownCursor

PAGE_MAX = 500
PAGE_DEFAULT = 100

router = APIRouter(tags=["story"])
Text = Annotated[str | None, Query(max_length=200)]
Limit = Annotated[int, Query(ge=1, le=PAGE_MAX)]
_ACTION: TypeAdapter[Action] = TypeAdapter(Action)


class DecisionView(BaseModel):
    """One line of the story."""

    id: str
    at: str
    at_unix_s: float
    epoch: int
    kind: str
    subject: str
    summary: str
    evidence: dict[str, str]
    action_id: str | None

    @classmethod
    def of(cls, record: DecisionRecord) -> "DecisionView":
        """From the journal's value."""
        return cls(
            id=record.id,
            at=isoformat(record.at_unix_s),
            at_unix_s=record.at_unix_s,
            epoch=record.epoch,
            kind=record.kind,
            subject=record.subject,
            summary=record.summary,
            evidence=dict(record.evidence),
            action_id=record.action_id,
        )


class DecisionPage(BaseModel):
    """Lines in the order in which they were written, oldest first."""

    items: list[DecisionView]
    next_after: str | None
    """Pass it as `after` to get what follows, now or later; None only when nothing was ever written."""


class ActionView(BaseModel):
    """One action from intent to verdict."""

    id: str
    kind: str
    stage: str
    verdict: str | None
    cause: str
    detail: str
    origin: str
    evidence: dict[str, str]
    action: dict[str, Any]
    expectation: Expectation
    epoch: int
    intended_at: str
    intended_unix_s: float
    stage_unix_s: float
    stage_deadline_unix_s: float
    order_keys: list[str]

    @classmethod
    def of(cls, record: ActionRecord) -> "ActionView":
        """From the journal's value."""
        return cls(
            id=record.id,
            kind=record.action.kind,
            stage=record.stage,
            verdict=record.verdict,
            cause=record.cause,
            detail=record.detail,
            origin=record.origin,
            evidence=dict(record.evidence),
            action=_ACTION.dump_python(record.action, mode="json"),
            expectation=record.expectation,
            epoch=record.epoch,
            intended_at=isoformat(record.intended_unix_s),
            intended_unix_s=record.intended_unix_s,
            stage_unix_s=record.stage_unix_s,
            stage_deadline_unix_s=record.stage_deadline_unix_s,
            order_keys=list(record.order_keys),
        )


class ActionList(BaseModel):
    """Newest first."""

    items: list[ActionView]


@router.get("/decisions")
def list_decisions(
    parts: Parts,
    _caller: Viewer,
    limit: Limit = PAGE_DEFAULT,
    after: Text = None,
    kind: Text = None,
    subject: Text = None,
    action_id: Text = None,
) -> DecisionPage:
    """The newest `limit` lines, or with `after` the ones that follow it: ask again with `next_after` to tail the story."""
    query = DecisionQuery(limit=limit, after=after, kind=kind, subject=subject, action_id=action_id)
    found = parts.story.decisions(query)
    if isinstance(found, UnknownCursor):
        raise problem(
            410,
            "the line to continue after is gone",
            field="after",
            fix="start over without after: old lines are pruned",
        )
    return DecisionPage(
        items=[DecisionView.of(record) for record in found], next_after=found[-1].id if found else after
    )


@router.get("/actions")
def list_actions(
    parts: Parts,
    _caller: Viewer,
    limit: Limit = PAGE_DEFAULT,
    open_only: Annotated[bool, Query(alias="open", description="Only actions that are not closed yet")] = False,
) -> ActionList:
    """What was done, newest first."""
    return ActionList(items=[ActionView.of(a) for a in parts.story.actions(open_only=open_only, limit=limit)])


@router.get("/actions/{action_id}")
def read_action(action_id: str, parts: Parts, _caller: Viewer) -> ActionView:
    """One action; its lines of the story are at `/api/v1/decisions?action_id=`."""
    found = parts.story.action(ActionId(action_id))
    if found is None:
        raise not_found("action", action_id)
    return ActionView.of(found)
