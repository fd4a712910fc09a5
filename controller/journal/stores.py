"""The same memory as operators use it: objectives, intents, and the story of what happened.

Not fenced: any controller may serve these. Each change is one transaction behind the lease row's lock, so revisions are
handed out one at a time, and writes its own audit line.
"""

from sqlalchemy import Connection, RowMapping, Select, delete, func, insert, select, update

from contracts.vocabulary import SloId
from controller.admission.references import dependents_of, why_unfit
from controller.core.actions import ActionId, ActionRecord
from controller.journal import codec, tables
from controller.journal.database import Database
from controller.journal.sql import decision_row
from controller.ports import DecisionRecord, Lease, OperatorIntent
from controller.slo_store import (
    SloExists,
    SloLimit,
    SloMissing,
    SloNeeded,
    SlosApplied,
    SloSet,
    SloStale,
    SloUnfit,
    StoredSlo,
)
from controller.stores import (
    Change,
    Control,
    DecisionQuery,
    IntentAccepted,
    IntentKeyReused,
    IntentLimit,
    UnknownCursor,
)
from slo_rules.errors import SloError
from slo_rules.model import Slo
from slo_rules.together import SLOS_MAX, check_together
from slo_rules.words.promise import promise_of, sli_of

EXACT_SLOS_MAX = 64
"""Those of our own replicas also cost each of them two counters, and each of their requests two comparisons."""
INTENTS_WAITING_MAX = 100
"""The loop takes all of them up each tick; a longer queue means that nobody leads."""


class SqlSlos:
    """`slo_store.SloStore` over a database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def slos(self) -> SloSet:
        """All objectives with the revision of the set, from one snapshot."""
        with self._database.reading() as connection:
            rows = connection.execute(select(tables.slos).order_by(tables.slos.c.id)).mappings()
            return SloSet(
                slos=tuple(_stored(row) for row in rows),
                revision=connection.scalars(select(tables.control.c.slo_revision)).one(),
            )

    def create_slo(self, slo: Slo, change: Change) -> StoredSlo | SloExists | SloLimit | SloUnfit:
        """Add one objective."""
        with self._database.writing() as connection:
            revision = _locked_revision(connection) + 1
            present = _find_slo(connection, slo.id)
            if present is not None:
                return SloExists(revision=present.revision)
            others = _all_slos(connection)
            refusal = _why_full((*others, slo)) or _unfit(slo, others)
            if refusal is not None:
                return refusal
            return _insert(connection, StoredSlo(slo, revision), change)

    def replace_slo(
        self, slo: Slo, expected: int | None, change: Change
    ) -> StoredSlo | SloMissing | SloStale | SloLimit | SloUnfit:
        """Overwrite one objective that nobody changed meanwhile."""
        with self._database.writing() as connection:
            revision = _locked_revision(connection) + 1
            present = _unchanged(connection, slo.id, expected)
            if not isinstance(present, StoredSlo):
                return present
            others = tuple(other for other in _all_slos(connection) if other.id != slo.id)
            refusal = _why_full((*others, slo)) or _unfit(slo, others)
            if refusal is not None:
                return refusal
            return _overwrite(connection, StoredSlo(slo, revision), change)

    def apply_slos(self, slos: tuple[Slo, ...], change: Change) -> SlosApplied | SloLimit | SloUnfit:
        """Create or replace all of them, or none."""
        with self._database.writing() as connection:
            revision = _locked_revision(connection)
            rows = connection.execute(select(tables.slos)).mappings()
            there = {stored.slo.id: stored for stored in map(_stored, rows)}
            wanted = {name: stored.slo for name, stored in there.items()} | {slo.id: slo for slo in slos}
            refusal = _why_full(tuple(wanted.values())) or _unfit_together(tuple(wanted.values()))
            if refusal is not None:
                return refusal
            changed = tuple(slo for slo in slos if slo.id not in there or there[slo.id].slo != slo)
            for each in (StoredSlo(slo, revision + number) for number, slo in enumerate(changed, start=1)):
                write = _overwrite if each.slo.id in there else _insert
                there[each.slo.id] = write(connection, each, change)
            return SlosApplied(tuple(there[slo.id] for slo in slos), tuple(slo.id for slo in changed))

    def delete_slo(
        self, slo: SloId, expected: int | None, change: Change
    ) -> StoredSlo | SloMissing | SloStale | SloNeeded:
        """Remove one objective that nobody changed meanwhile, and that no other names."""
        with self._database.writing() as connection:
            revision = _locked_revision(connection) + 1
            present = _unchanged(connection, slo, expected)
            if not isinstance(present, StoredSlo):
                return present
            needed_by = dependents_of(slo, _all_slos(connection))
            if needed_by:
                return SloNeeded(by=needed_by)
            connection.execute(delete(tables.slos).where(tables.slos.c.id == slo))
            _audit(connection, revision, present.slo, f"deleted objective {slo}", change)
            return present


class SqlIntents:
    """`stores.IntentStore` over a database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add_intent(
        self, intent: OperatorIntent, idempotency_key: str | None
    ) -> IntentAccepted | IntentKeyReused | IntentLimit:
        """Record one wish; the same key brings back the first one's id."""
        columns = tables.intents.c
        with self._database.writing() as connection:
            _locked_revision(connection)
            if idempotency_key is not None:
                query = select(tables.intents).where(columns.idempotency_key == idempotency_key)
                former = connection.execute(query).mappings().one_or_none()
                if former is not None:
                    return _repeated(former, intent)
            waiting = select(func.count()).select_from(tables.intents).where(columns.taken.is_(False))
            if (connection.scalar(waiting) or 0) >= INTENTS_WAITING_MAX:
                return IntentLimit(waiting_max=INTENTS_WAITING_MAX)
            connection.execute(
                insert(tables.intents).values(
                    id=intent.id,
                    at_unix_s=intent.at_unix_s,
                    operator=intent.operator,
                    verb=intent.verb,
                    arguments=[list(pair) for pair in intent.arguments],
                    taken=False,
                    idempotency_key=idempotency_key,
                )
            )
            return IntentAccepted(id=intent.id, repeated=False)


class SqlStory:
    """`stores.Story` and `stores.SignalStore` over a database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def decisions(self, query: DecisionQuery) -> tuple[DecisionRecord, ...] | UnknownCursor:
        """The newest lines, or those that follow a known one; oldest first either way."""
        columns = tables.decisions.c
        wanted = _filtered(query)
        with self._database.reading() as connection:
            if query.after is None:
                newest = connection.execute(wanted.order_by(columns.line.desc()).limit(query.limit)).mappings().all()
                return tuple(_decision(row) for row in reversed(newest))
            cursor = connection.scalar(select(columns.line).where(columns.id == query.after))
            if cursor is None:
                return UnknownCursor()
            following = wanted.where(columns.line > cursor).order_by(columns.line).limit(query.limit)
            return tuple(_decision(row) for row in connection.execute(following).mappings())

    def actions(self, *, open_only: bool, limit: int) -> tuple[ActionRecord, ...]:
        """Newest first."""
        columns = tables.actions.c
        query = select(columns.body).order_by(columns.intended_unix_s.desc(), columns.id.desc()).limit(limit)
        with self._database.reading() as connection:
            bodies = connection.scalars(query.where(columns.open) if open_only else query)
            return tuple(codec.action_from_json(body) for body in bodies)

    def action(self, action_id: ActionId) -> ActionRecord | None:
        """One action, or None."""
        with self._database.reading() as connection:
            body = connection.scalar(select(tables.actions.c.body).where(tables.actions.c.id == action_id))
            return None if body is None else codec.action_from_json(body)

    def control(self) -> Control:
        """Lease, pause switch, traffic and revision, from one snapshot."""
        with self._database.reading() as connection:
            lease = connection.execute(select(tables.lease)).mappings().one()
            row = connection.execute(select(tables.control)).mappings().one()
        return Control(
            lease=Lease(holder=lease["holder"], epoch=lease["epoch"], expires_unix_s=lease["expires_unix_s"])
            if lease["epoch"]
            else None,
            paused=row["paused"],
            traffic=None if row["traffic"] is None else codec.traffic_from_json(row["traffic"]),
            slo_revision=row["slo_revision"],
        )

    def record_signals(self, records: tuple[DecisionRecord, ...]) -> int:
        """Append the lines whose id is new."""
        columns = tables.decisions.c
        by_id = {record.id: record for record in records}
        with self._database.writing() as connection:
            _locked_revision(connection)
            known = set(connection.scalars(select(columns.id).where(columns.id.in_(list(by_id)))))
            new = [decision_row(record) for record in by_id.values() if record.id not in known]
            if new:
                connection.execute(insert(tables.decisions), new)
            return len(new)


def _locked_revision(connection: Connection) -> int:
    """The set's revision, behind the lock that the loop takes too: one writer at a time, so lines appear in their order."""
    connection.execute(select(tables.lease.c.id).with_for_update())
    revision: int = connection.scalars(select(tables.control.c.slo_revision)).one()
    return revision


def _find_slo(connection: Connection, slo: SloId) -> StoredSlo | None:
    row = connection.execute(select(tables.slos).where(tables.slos.c.id == slo)).mappings().one_or_none()
    return None if row is None else _stored(row)


def _all_slos(connection: Connection) -> tuple[Slo, ...]:
    """A few hundred small rows at most: cheap enough to be read with every change."""
    return tuple(codec.slo_from_json(body) for body in connection.scalars(select(tables.slos.c.body)))


def _insert(connection: Connection, new: StoredSlo, change: Change) -> StoredSlo:
    body = codec.slo_to_json(new.slo)
    connection.execute(insert(tables.slos).values(id=new.slo.id, revision=new.revision, body=body))
    _audit(connection, new.revision, new.slo, f"created objective {new.slo.id}", change)
    return new


def _overwrite(connection: Connection, new: StoredSlo, change: Change) -> StoredSlo:
    row = update(tables.slos).where(tables.slos.c.id == new.slo.id)
    connection.execute(row.values(revision=new.revision, body=codec.slo_to_json(new.slo)))
    _audit(connection, new.revision, new.slo, f"changed objective {new.slo.id}", change)
    return new


def _why_full(wanted: tuple[Slo, ...]) -> SloLimit | None:
    if len(wanted) > SLOS_MAX:
        return SloLimit(slos_max=SLOS_MAX)
    exact = [slo.indicator.kind for slo in wanted if slo.exact is not None]
    return SloLimit(slos_max=EXACT_SLOS_MAX, of_kind=exact[0]) if len(exact) > EXACT_SLOS_MAX else None


def _unfit_together(wanted: tuple[Slo, ...]) -> SloUnfit | None:
    try:
        check_together(wanted)
    except SloError as error:
        return SloUnfit(field=error.field, problem=error.problem, fix=error.fix)
    return None


def _unfit(slo: Slo, others: tuple[Slo, ...]) -> SloUnfit | None:
    why = why_unfit(slo, others)
    return None if why is None else SloUnfit(field=why.field, problem=why.problem, fix=why.fix)


def _unchanged(connection: Connection, slo: SloId, expected: int | None) -> StoredSlo | SloMissing | SloStale:
    present = _find_slo(connection, slo)
    if present is None:
        return SloMissing()
    if expected is not None and present.revision != expected:
        return SloStale(revision=present.revision)
    return present


def _audit(connection: Connection, revision: int, slo: Slo, summary: str, change: Change) -> None:
    connection.execute(update(tables.control).values(slo_revision=revision))
    record = DecisionRecord(
        id=f"slo-revision-{revision}",
        at_unix_s=change.at_unix_s,
        epoch=connection.scalars(select(tables.lease.c.epoch)).one(),
        kind="operator",
        subject=slo.id,
        summary=f"{change.operator} {summary}: {slo.objective:g} {promise_of(slo)}",
        evidence=(("revision", str(revision)), ("sli", sli_of(slo))),
    )
    connection.execute(insert(tables.decisions).values(decision_row(record)))


def _repeated(former: RowMapping, intent: OperatorIntent) -> IntentAccepted | IntentKeyReused:
    same = (former["verb"], codec.pairs_from_json(former["arguments"])) == (intent.verb, intent.arguments)
    return IntentAccepted(id=former["id"], repeated=True) if same else IntentKeyReused(id=former["id"])


def _filtered(query: DecisionQuery) -> Select[tuple[object, ...]]:
    columns = tables.decisions.c
    wanted = select(tables.decisions)
    for column, value in (
        (columns.kind, query.kind),
        (columns.subject, query.subject),
        (columns.action_id, query.action_id),
    ):
        if value is not None:
            wanted = wanted.where(column == value)
    return wanted


def _stored(row: RowMapping) -> StoredSlo:
    return StoredSlo(slo=codec.slo_from_json(row["body"]), revision=row["revision"])


def _decision(row: RowMapping) -> DecisionRecord:
    return DecisionRecord(
        id=row["id"],
        at_unix_s=row["at_unix_s"],
        epoch=row["epoch"],
        kind=row["kind"],
        subject=row["subject"],
        summary=row["summary"],
        evidence=codec.pairs_from_json(row["evidence"]),
        action_id=row["action_id"],
    )
