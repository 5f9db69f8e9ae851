"""The throttle keeps no e-mail or network address, and users count the times when all browsers
that know them were forgotten."""

import sqlalchemy as sa
from alembic import op

from portal.database.engine import UtcDateTime

revision = "0021"
down_revision = "0020"
branch_labels = None
depends_on = None

TABLE = "sign_in_throttles"


def upgrade() -> None:
    column = sa.Column("devices_version", sa.Integer(), nullable=False, server_default="1")
    op.add_column("users", column)
    # Tries of the last hour, counted by keys that mean something else now: they begin anew, at
    # worst five of them more for each account. No address may stay in the old rows.
    op.drop_table(TABLE)
    op.create_table(
        TABLE,
        sa.Column("key", sa.String(length=64), nullable=False),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.Column("first_failed_at", UtcDateTime(), nullable=False),
        sa.Column("last_failed_at", UtcDateTime(), nullable=False),
        sa.Column("blocked_until", UtcDateTime(), nullable=True),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_sign_in_throttles")),
    )


def downgrade() -> None:
    # Nobody can tell whose tries a hash counts: they begin anew here, too.
    op.drop_table(TABLE)
    op.create_table(
        TABLE,
        sa.Column("key", sa.String(length=320), nullable=False),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.Column("last_failed_at", UtcDateTime(), nullable=False),
        sa.Column("blocked_until", UtcDateTime(), nullable=True),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_sign_in_throttles")),
    )
    op.drop_column("users", "devices_version")
