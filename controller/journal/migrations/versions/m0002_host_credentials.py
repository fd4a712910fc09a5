"""Credentials of hosts, and the hosts that may not have any.

Written out instead of taken from `tables`: a migration describes the past and must not change when the tables do.
"""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_ID = sa.String(200)
_BIG = sa.BigInteger().with_variant(sa.Integer, "sqlite")
_TIME = sa.Float(53)


def upgrade() -> None:
    """Add both tables; nobody has a credential yet, and every host may join."""
    op.create_table(
        "host_credentials",
        sa.Column("line", _BIG, nullable=False),
        sa.Column("host", _ID, nullable=False),
        sa.Column("token_hash", sa.String(64), nullable=False),
        sa.Column("issued_unix_s", _TIME, nullable=False),
        sa.Column("expires_unix_s", _TIME, nullable=False),
        sa.Column("used", sa.Boolean, nullable=False),
        sa.PrimaryKeyConstraint("line", name="pk_host_credentials"),
        sa.UniqueConstraint("token_hash", name="uq_host_credentials_token_hash"),
    )
    op.create_index("ix_host_credentials_host", "host_credentials", ["host"])
    op.create_table(
        "revoked_hosts",
        sa.Column("host", _ID, nullable=False),
        sa.Column("at_unix_s", _TIME, nullable=False),
        sa.Column("operator", _ID, nullable=False),
        sa.PrimaryKeyConstraint("host", name="pk_revoked_hosts"),
    )


def downgrade() -> None:
    """Forget them: agents join again."""
    op.drop_table("revoked_hosts")
    op.drop_table("host_credentials")
