"""All sending can be stopped: the row is there for as long as it is."""

import sqlalchemy as sa
from alembic import op

from portal.database.engine import UtcDateTime

revision = "0033"
down_revision = "0032"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "sending_switch",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("stopped_at", UtcDateTime(), nullable=False),
        sa.Column("stopped_by", sa.String(length=120), nullable=False),
        sa.Column("stopped_by_id", sa.Integer(), nullable=True),
        sa.CheckConstraint("id = 1", name=op.f("ck_sending_switch_one_row")),
        sa.ForeignKeyConstraint(
            ["stopped_by_id"], ["users.id"], name=op.f("fk_sending_switch_stopped_by_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_sending_switch")),
    )


def downgrade() -> None:
    """The earlier version knows no stop: it sends."""
    op.drop_table("sending_switch")
