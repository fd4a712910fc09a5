"""The loop's journal in SQL: a lease that fences, a state that survives, a tick that is written whole or not at all.

Every transaction that writes locks the lease row first. A leader that was replaced therefore finds the newer epoch before
it changes anything, and two candidates cannot both win. A `kill -9` in the middle of a transaction leaves the former state.
"""

from sqlalchemy import Connection, RowMapping, delete, func, insert, or_, select, update

from contracts.agent_api import Receipt
from contracts.vocabulary import HostId, ReceiptStatus
from controller.core.actions import ActionRecord, Stage
from controller.journal import codec, tables
from controller.journal.database import Database
from controller.ports import (
    DecisionRecord,
    FencedError,
    JournalState,
    Lease,
    LeaseHeld,
    OpenOrder,
    OperatorIntent,
    TickRecord,
)

FINAL = frozenset({ReceiptStatus.DONE, ReceiptStatus.FAILED, ReceiptStatus.REFUSED})
REFLEXES_KEPT = 20_000
"""An agent reports at most its 32 newest reflexes, so this remembers those of 600 hosts that all misbehave at once."""


class SqlJournal:
    """`ports.Journal` over a database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def acquire(self, holder: str, now_unix_s: float, ttl_s: float) -> Lease | LeaseHeld:
        """Take or renew the lease in one transaction; a new holder gets the next epoch."""
        with self._database.writing() as connection:
            held = _locked_lease(connection)
            if held.epoch and held.holder != holder and held.expires_unix_s > now_unix_s:
                return LeaseHeld(holder=held.holder, expires_unix_s=held.expires_unix_s)
            renewed = bool(held.epoch) and held.holder == holder
            lease = Lease(
                holder=holder, epoch=held.epoch if renewed else held.epoch + 1, expires_unix_s=now_unix_s + ttl_s
            )
            connection.execute(
                update(tables.lease).values(holder=lease.holder, epoch=lease.epoch, expires_unix_s=lease.expires_unix_s)
            )
            return lease

    def load(self, now_unix_s: float, history_s: float) -> JournalState:
        """One consistent snapshot of everything a leader needs."""
        with self._database.reading() as connection:
            control = connection.execute(select(tables.control)).mappings().one()
            return JournalState(
                actions=_recent_actions(connection, since_unix_s=now_unix_s - history_s),
                orders=_open_orders(connection),
                traffic=None if control["traffic"] is None else codec.traffic_from_json(control["traffic"]),
                slos=tuple(
                    codec.slo_from_json(body)
                    for body in connection.scalars(select(tables.slos.c.body).order_by(tables.slos.c.id))
                ),
                slo_revision=control["slo_revision"],
                paused=control["paused"],
                intents=_waiting_intents(connection),
                reflexes_seen=_reflexes_seen(connection),
            )

    def write(self, epoch: int, record: TickRecord) -> None:
        """Write one tick; raises `FencedError`, and writes nothing, when a newer leader exists."""
        with self._database.writing() as connection:
            newest = _locked_lease(connection).epoch
            if newest != epoch:
                msg = f"epoch {epoch} tried to write, but epoch {newest} leads"
                raise FencedError(msg)
            _write_control(connection, record)
            _write_story(connection, record)
            _write_work(connection, record)

    def prune(self, before_unix_s: float) -> int:
        """Forget what is closed and older; returns how many decisions went. Open work is never touched."""
        with self._database.writing() as connection:
            gone = connection.execute(delete(tables.decisions).where(tables.decisions.c.at_unix_s < before_unix_s))
            for table, age in (
                (tables.actions, tables.actions.c.stage_unix_s),
                (tables.orders, tables.orders.c.not_after_unix_s),
            ):
                connection.execute(delete(table).where(table.c.open.is_(False), age < before_unix_s))
            connection.execute(
                delete(tables.intents).where(tables.intents.c.taken, tables.intents.c.at_unix_s < before_unix_s)
            )
            newest_line = connection.scalar(select(func.max(tables.reflexes.c.line))) or 0
            connection.execute(delete(tables.reflexes).where(tables.reflexes.c.line <= newest_line - REFLEXES_KEPT))
            return gone.rowcount


def decision_row(record: DecisionRecord) -> dict[str, object]:
    """Columns of one line of the story."""
    return {
        "id": record.id,
        "at_unix_s": record.at_unix_s,
        "epoch": record.epoch,
        "kind": record.kind,
        "subject": record.subject,
        "summary": record.summary,
        "evidence": [list(pair) for pair in record.evidence],
        "action_id": record.action_id,
    }


def _locked_lease(connection: Connection) -> Lease:
    row = connection.execute(select(tables.lease).with_for_update()).mappings().one()
    return Lease(holder=row["holder"], epoch=row["epoch"], expires_unix_s=row["expires_unix_s"])


def _recent_actions(connection: Connection, *, since_unix_s: float) -> tuple[ActionRecord, ...]:
    columns = tables.actions.c
    query = (
        select(columns.body)
        .where(or_(columns.open, columns.stage_unix_s >= since_unix_s))
        .order_by(columns.intended_unix_s, columns.id)
    )
    return tuple(codec.action_from_json(body) for body in connection.scalars(query))


def _open_orders(connection: Connection) -> tuple[OpenOrder, ...]:
    columns = tables.orders.c
    query = select(columns.host, columns.body).where(columns.open).order_by(columns.key)
    return tuple(
        OpenOrder(host=HostId(host), order=codec.order_from_json(body)) for host, body in connection.execute(query)
    )


def _waiting_intents(connection: Connection) -> tuple[OperatorIntent, ...]:
    columns = tables.intents.c
    query = select(tables.intents).where(columns.taken.is_(False)).order_by(columns.line)
    return tuple(_intent(row) for row in connection.execute(query).mappings())


def _intent(row: RowMapping) -> OperatorIntent:
    return OperatorIntent(
        id=row["id"],
        at_unix_s=row["at_unix_s"],
        operator=row["operator"],
        verb=row["verb"],
        arguments=codec.pairs_from_json(row["arguments"]),
    )


def _reflexes_seen(connection: Connection) -> frozenset[tuple[HostId, str, int]]:
    columns = tables.reflexes.c
    rows = connection.execute(select(columns.host, columns.boot_id, columns.seq))
    return frozenset((HostId(host), boot_id, seq) for host, boot_id, seq in rows)


def _write_control(connection: Connection, record: TickRecord) -> None:
    if record.traffic is not None:
        connection.execute(update(tables.control).values(traffic=codec.traffic_to_json(record.traffic)))
    if record.paused is not None:
        connection.execute(update(tables.control).values(paused=record.paused))
    if record.intents_taken:
        connection.execute(
            update(tables.intents).where(tables.intents.c.id.in_(record.intents_taken)).values(taken=True)
        )


def _write_story(connection: Connection, record: TickRecord) -> None:
    if record.decisions:
        connection.execute(insert(tables.decisions), [decision_row(decision) for decision in record.decisions])
    new = set(record.reflexes_seen) - _reflexes_seen(connection) if record.reflexes_seen else set()
    if new:
        connection.execute(
            insert(tables.reflexes),
            [{"host": host, "boot_id": boot_id, "seq": seq} for host, boot_id, seq in sorted(new)],
        )


def _write_work(connection: Connection, record: TickRecord) -> None:
    for action in record.actions:
        _put_action(connection, action)
    for issued in record.orders_issued:
        _put_order(connection, issued)
    for _host, receipt in record.receipts:
        _close_order(connection, receipt)
    if record.orders_dropped:
        dropped = tables.orders.c.key.in_(record.orders_dropped)
        connection.execute(update(tables.orders).where(dropped).values(open=False))


def _put_action(connection: Connection, record: ActionRecord) -> None:
    values = {
        "open": record.stage is not Stage.CLOSED,
        "intended_unix_s": record.intended_unix_s,
        "stage_unix_s": record.stage_unix_s,
        "body": codec.action_to_json(record),
    }
    columns = tables.actions.c
    changed = connection.execute(update(tables.actions).where(columns.id == record.id).values(values))
    if not changed.rowcount:  # the lease row is locked, so nobody else can insert it in between
        connection.execute(insert(tables.actions).values(id=record.id, **values))


def _put_order(connection: Connection, issued: OpenOrder) -> None:
    known = connection.scalar(select(tables.orders.c.key).where(tables.orders.c.key == issued.order.key))
    if known is not None:
        return  # a key means one order for ever: issuing it again changes nothing, and never re-opens it
    connection.execute(
        insert(tables.orders).values(
            key=issued.order.key,
            host=issued.host,
            open=True,
            not_after_unix_s=issued.order.not_after_unix_s,
            body=codec.order_to_json(issued.order),
        )
    )


def _close_order(connection: Connection, receipt: Receipt) -> None:
    if receipt.status not in FINAL:
        return
    connection.execute(
        update(tables.orders)
        .where(tables.orders.c.key == receipt.key, tables.orders.c.open)
        .values(open=False, receipt=codec.receipt_to_json(receipt))
    )
