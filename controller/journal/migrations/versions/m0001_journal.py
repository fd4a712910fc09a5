"""The first schema: lease, control, decisions, actions, orders, objectives, intents, reflexes.

Written out instead of taken from `tables`: a migration describes the past and must not change when the tables do.
"""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_ID = sa.String(200)
_BIG = sa.BigInteger().with_variant(sa.Integer, "sqlite")
_TIME = sa.Float(53)


def upgrade() -> None:
    """Make the tables, and the single rows of `lease` and `control` that every transaction locks."""
    _make_singletons()
    _make_story()
    _make_work()


def downgrade() -> None:
    """Take everything back."""
    for table in ("reflexes", "intents", "slos", "orders", "actions", "decisions", "control", "lease"):
        op.drop_table(table)


def _make_singletons() -> None:
    lease = op.create_table(
        "lease",
        sa.Column("id", sa.Integer, autoincrement=False, nullable=False),
        sa.Column("holder", _ID, nullable=False),
        sa.Column("epoch", sa.BigInteger, nullable=False),
        sa.Column("expires_unix_s", _TIME, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_lease"),
    )
    control = op.create_table(
        "control",
        sa.Column("id", sa.Integer, autoincrement=False, nullable=False),
        sa.Column("paused", sa.Boolean, nullable=False),
        sa.Column("traffic", sa.JSON),
        sa.Column("slo_revision", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_control"),
    )
    op.bulk_insert(lease, [{"id": 1, "holder": "", "epoch": 0, "expires_unix_s": 0.0}])
    op.bulk_insert(control, [{"id": 1, "paused": False, "slo_revision": 0}])


def _make_story() -> None:
    op.create_table(
        "decisions",
        sa.Column("line", _BIG, nullable=False),
        sa.Column("id", _ID, nullable=False),
        sa.Column("at_unix_s", _TIME, nullable=False),
        sa.Column("epoch", sa.BigInteger, nullable=False),
        sa.Column("kind", sa.String(32), nullable=False),
        sa.Column("subject", _ID, nullable=False),
        sa.Column("summary", sa.Text, nullable=False),
        sa.Column("evidence", sa.JSON, nullable=False),
        sa.Column("action_id", _ID),
        sa.PrimaryKeyConstraint("line", name="pk_decisions"),
        sa.UniqueConstraint("id", name="uq_decisions_id"),
    )
    for column in ("at_unix_s", "kind", "subject", "action_id"):
        op.create_index(f"ix_decisions_{column}", "decisions", [column])
    op.create_table(
        "reflexes",
        sa.Column("line", _BIG, nullable=False),
        sa.Column("host", _ID, nullable=False),
        sa.Column("boot_id", _ID, nullable=False),
        sa.Column("seq", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("line", name="pk_reflexes"),
        sa.UniqueConstraint("host", "boot_id", "seq", name="uq_reflexes_host_boot_seq"),
    )


def _make_work() -> None:
    op.create_table(
        "actions",
        sa.Column("id", _ID, nullable=False),
        sa.Column("open", sa.Boolean, nullable=False),
        sa.Column("intended_unix_s", _TIME, nullable=False),
        sa.Column("stage_unix_s", _TIME, nullable=False),
        sa.Column("body", sa.JSON, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_actions"),
    )
    op.create_index("ix_actions_open", "actions", ["open", "stage_unix_s"])
    op.create_index("ix_actions_intended_unix_s", "actions", ["intended_unix_s"])
    op.create_table(
        "orders",
        sa.Column("key", _ID, nullable=False),
        sa.Column("host", _ID, nullable=False),
        sa.Column("open", sa.Boolean, nullable=False),
        sa.Column("not_after_unix_s", _TIME, nullable=False),
        sa.Column("body", sa.JSON, nullable=False),
        sa.Column("receipt", sa.JSON),
        sa.PrimaryKeyConstraint("key", name="pk_orders"),
    )
    op.create_index("ix_orders_open", "orders", ["open"])
    op.create_table(
        "slos",
        sa.Column("id", _ID, nullable=False),
        sa.Column("revision", sa.BigInteger, nullable=False),
        sa.Column("body", sa.JSON, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_slos"),
    )
    op.create_table(
        "intents",
        sa.Column("line", _BIG, nullable=False),
        sa.Column("id", _ID, nullable=False),
        sa.Column("at_unix_s", _TIME, nullable=False),
        sa.Column("operator", _ID, nullable=False),
        sa.Column("verb", sa.String(32), nullable=False),
        sa.Column("arguments", sa.JSON, nullable=False),
        sa.Column("taken", sa.Boolean, nullable=False),
        sa.Column("idempotency_key", _ID),
        sa.PrimaryKeyConstraint("line", name="pk_intents"),
        sa.UniqueConstraint("id", name="uq_intents_id"),
        sa.UniqueConstraint("idempotency_key", name="uq_intents_idempotency_key"),
    )
    op.create_index("ix_intents_taken", "intents", ["taken"])
