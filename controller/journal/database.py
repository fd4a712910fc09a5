"""Opening the journal's database: transactions that mean what they say, and the schema brought up to date.

SQLite is embedded, PostgreSQL serves several controllers. SQLite's driver starts transactions lazily and skips DDL, so
we take that over: every transaction begins explicitly, a writing one with the write lock already held, so that reading
and then writing inside it is a compare-and-set.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, Engine, create_engine, event, make_url, text
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.pool import ConnectionPoolEntry

MIGRATIONS = Path(__file__).parent / "migrations"
BUSY_TIMEOUT_MS = 5_000
"""How long a writer waits for another; our transactions take milliseconds, so longer means something is stuck."""
MIGRATION_LOCK = 0x7472696D
"""Advisory lock on PostgreSQL ("trim"), so that two controllers that start together migrate one after the other."""


class Database:
    """An engine with two kinds of transaction: `reading` and `writing`."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """One consistent snapshot."""
        with self._engine.begin() as connection:
            yield connection

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """All or nothing; on SQLite the write lock is held from the first statement on."""
        with self._engine.execution_options(trimtab_writes=True).begin() as connection:
            yield connection

    def close(self) -> None:
        """Let go of every connection."""
        self._engine.dispose()


def open_database(url: str) -> Database:
    """Connect, and bring the schema up to date; raises SQLAlchemy's errors when the database cannot be used."""
    parsed = make_url(url)
    on_sqlite = parsed.get_backend_name() == "sqlite"
    if on_sqlite and parsed.database:
        Path(parsed.database).parent.mkdir(parents=True, exist_ok=True)
    engine = create_engine(parsed, json_serializer=partial(json.dumps, allow_nan=False), pool_pre_ping=not on_sqlite)
    if on_sqlite:
        event.listen(engine, "connect", _prepare_sqlite)
        event.listen(engine, "begin", _begin_sqlite)
    database = Database(engine)
    with database.writing() as connection:
        migrate(connection)
    return database


def migrate(connection: Connection) -> None:
    """Upgrade to the newest schema inside the caller's transaction: it happens whole or not at all."""
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": MIGRATION_LOCK})
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    config.attributes["connection"] = connection
    command.upgrade(config, "head")


def _prepare_sqlite(raw: DBAPIConnection, _entry: ConnectionPoolEntry) -> None:
    raw.isolation_level = None  # transactions are begun by `_begin_sqlite`, not guessed by the driver
    cursor = raw.cursor()
    for pragma in (
        "journal_mode=WAL",  # readers do not wait for the writer
        "synchronous=FULL",  # an epoch that a power cut takes back would be given out twice
        f"busy_timeout={BUSY_TIMEOUT_MS}",
        "foreign_keys=ON",
    ):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _begin_sqlite(connection: Connection) -> None:
    writes = connection.get_execution_options().get("trimtab_writes", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")
