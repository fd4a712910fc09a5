"""Reads the table of Xids and health rules that ships with the package, and refuses one that cannot be meant."""

from collections import Counter
from collections.abc import Mapping
from importlib.resources import files
from typing import Annotated

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from agent.core.kernel_log import XID_MAX
from agent.core.xid import Companion, HealthRule, Repetition, XidRule, XidTable
from contracts.vocabulary import GpuAction

Xid = Annotated[int, Field(ge=1, le=XID_MAX)]
Seconds = Annotated[float, Field(gt=0)]
Note = Annotated[str, Field(pattern=r"^[a-z0-9_]+$")]
"""It becomes a label's value and the source of a recommendation."""


class XidTableError(ValueError):
    """The table cannot be used; the message names the fault."""


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class _Companion(_Strict):
    codes: frozenset[Xid]
    within_s: Seconds
    action: GpuAction


class _Repetition(_Strict):
    count: Annotated[int, Field(ge=2, le=16)]
    within_s: Seconds
    note: Note


class _Group(_Strict):
    action: GpuAction
    meaning: str
    codes: tuple[Xid, ...]
    alone_after_s: Annotated[float, Field(ge=0)] = 0.0
    companion: _Companion | None = None
    repetition: _Repetition | None = None
    note: Note | None = None


class _Health(_Strict):
    note: Note
    value: Note
    at_least: float
    action: GpuAction
    explained_by: frozenset[Xid] = frozenset()


class _Document(_Strict):
    source: str
    date: str
    expires_s: Mapping[GpuAction, Seconds]
    recovery_actions: Mapping[int, GpuAction]
    reasons: Mapping[str, GpuAction]
    health: tuple[_Health, ...]
    xids: tuple[_Group, ...]


def parse_table(document: object) -> XidTable:
    """Turn the parsed YAML into a table; raises `XidTableError`."""
    try:
        told = _Document.model_validate(document)
    except ValidationError as error:
        msg = f"cannot read the Xid table: {error}"
        raise XidTableError(msg) from error
    rules = [_rule(group, xid) for group in told.xids for xid in group.codes]
    twice = sorted(xid for xid, count in Counter(rule.xid for rule in rules).items() if count > 1)
    if twice:
        msg = f"the Xid table names codes twice: {twice}"
        raise XidTableError(msg)
    return XidTable(
        source=told.source,
        date=told.date,
        rules={rule.xid: rule for rule in rules},
        recovery_actions=told.recovery_actions,
        reasons=told.reasons,
        health=tuple(HealthRule(**dict(rule)) for rule in told.health),
        expires_s=told.expires_s,
    )


def shipped_table() -> XidTable:
    """The table of this version of the agent."""
    text = files("agent").joinpath("data/xid_actions.yaml").read_text(encoding="utf-8")
    return parse_table(yaml.safe_load(text))


def _rule(group: _Group, xid: int) -> XidRule:
    companion, repetition = group.companion, group.repetition
    return XidRule(
        xid=xid,
        meaning=group.meaning,
        action=group.action,
        alone_after_s=group.alone_after_s,
        companion=None
        if companion is None
        else Companion(xids=companion.codes, within_s=companion.within_s, action=companion.action),
        repetition=None if repetition is None else Repetition(**dict(repetition)),
        note=group.note or "",
    )
