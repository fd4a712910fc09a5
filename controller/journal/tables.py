"""The tables of the journal, for SQLite and PostgreSQL alike.

What is searched by has a column; what is only carried is one JSON body written by `codec`. Times are seconds since the
epoch as doubles, as everywhere else. `lease` and `control` have exactly one row each, made by the first migration, so that
a transaction always finds a row to lock.
"""

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    Float,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
)

ID_CHARS_MAX = 200
"""Ids are ours and short; the bound keeps indexes small and is enforced at the API."""

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_name)s",
        "uq": "uq_%(table_name)s_%(column_0_name)s",
        "pk": "pk_%(table_name)s",
    }
)
_BIG = BigInteger().with_variant(Integer, "sqlite")  # SQLite only counts rows by itself in INTEGER keys

lease = Table(
    "lease",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("holder", String(ID_CHARS_MAX), nullable=False),
    Column("epoch", BigInteger, nullable=False),
    Column("expires_unix_s", Float(53), nullable=False),
)

control = Table(
    "control",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("paused", Boolean, nullable=False),
    Column("traffic", JSON(none_as_null=True)),
    Column("slo_revision", BigInteger, nullable=False),
)

decisions = Table(
    "decisions",
    metadata,
    Column("line", _BIG, primary_key=True),
    Column("id", String(ID_CHARS_MAX), nullable=False, unique=True),
    Column("at_unix_s", Float(53), nullable=False, index=True),
    Column("epoch", BigInteger, nullable=False),
    Column("kind", String(32), nullable=False, index=True),
    Column("subject", String(ID_CHARS_MAX), nullable=False, index=True),
    Column("summary", Text, nullable=False),
    Column("evidence", JSON, nullable=False),
    Column("action_id", String(ID_CHARS_MAX), index=True),
)

actions = Table(
    "actions",
    metadata,
    Column("id", String(ID_CHARS_MAX), primary_key=True),
    Column("open", Boolean, nullable=False),
    Column("intended_unix_s", Float(53), nullable=False, index=True),
    Column("stage_unix_s", Float(53), nullable=False),
    Column("body", JSON, nullable=False),
    Index("ix_actions_open", "open", "stage_unix_s"),
)

orders = Table(
    "orders",
    metadata,
    Column("key", String(ID_CHARS_MAX), primary_key=True),
    Column("host", String(ID_CHARS_MAX), nullable=False),
    Column("open", Boolean, nullable=False, index=True),
    Column("not_after_unix_s", Float(53), nullable=False),
    Column("body", JSON, nullable=False),
    Column("receipt", JSON(none_as_null=True)),
)

slos = Table(
    "slos",
    metadata,
    Column("id", String(ID_CHARS_MAX), primary_key=True),
    Column("revision", BigInteger, nullable=False),
    Column("body", JSON, nullable=False),
)

intents = Table(
    "intents",
    metadata,
    Column("line", _BIG, primary_key=True),
    Column("id", String(ID_CHARS_MAX), nullable=False, unique=True),
    Column("at_unix_s", Float(53), nullable=False),
    Column("operator", String(ID_CHARS_MAX), nullable=False),
    Column("verb", String(32), nullable=False),
    Column("arguments", JSON, nullable=False),
    Column("taken", Boolean, nullable=False, index=True),
    Column("idempotency_key", String(ID_CHARS_MAX)),
    UniqueConstraint("idempotency_key"),
)

reflexes = Table(
    "reflexes",
    metadata,
    Column("line", _BIG, primary_key=True),
    Column("host", String(ID_CHARS_MAX), nullable=False),
    Column("boot_id", String(ID_CHARS_MAX), nullable=False),
    Column("seq", BigInteger, nullable=False),
    UniqueConstraint("host", "boot_id", "seq", name="uq_reflexes_host_boot_seq"),
)

host_credentials = Table(
    "host_credentials",
    metadata,
    Column("line", _BIG, primary_key=True),
    Column("host", String(ID_CHARS_MAX), nullable=False, index=True),
    Column("token_hash", String(64), nullable=False, unique=True),
    Column("issued_unix_s", Float(53), nullable=False),
    Column("expires_unix_s", Float(53), nullable=False),
    Column("used", Boolean, nullable=False),
)
"""Never a token, only its SHA-256: whoever reads the database, or a copy of it, cannot speak for a host."""

revoked_hosts = Table(
    "revoked_hosts",
    metadata,
    Column("host", String(ID_CHARS_MAX), primary_key=True),
    Column("at_unix_s", Float(53), nullable=False),
    Column("operator", String(ID_CHARS_MAX), nullable=False),
)
