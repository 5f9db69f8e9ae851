"""Which machine could not reach which receiver, and which sends nothing for a while.

An attempt that was given back for that says whose it was.
"""

import sqlalchemy as sa
from alembic import op

from portal.database.engine import UtcDateTime

revision = "0031"
down_revision = "0030"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "reach",
        sa.Column("webhook_id", sa.Integer(), nullable=False),
        sa.Column("machine", sa.String(length=120), nullable=False),
        sa.Column("since", UtcDateTime(), nullable=False),
        sa.Column("failed_at", UtcDateTime(), nullable=False),
        sa.Column("pause", sa.Integer(), nullable=False),
        sa.Column("until", UtcDateTime(), nullable=False),
        sa.Column("refuted", sa.Boolean(), nullable=False),
        sa.ForeignKeyConstraint(
            ["webhook_id"],
            ["webhooks.id"],
            name=op.f("fk_reach_webhook_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("webhook_id", "machine", name=op.f("pk_reach")),
    )
    op.add_column("processes", sa.Column("benched_at", UtcDateTime(), nullable=True))
    op.add_column("attempts", sa.Column("sender", sa.String(length=120), nullable=True))


def downgrade() -> None:
    """An attempt that was given back becomes one that a shutdown gave back: it spent no try."""
    op.execute("UPDATE attempts SET outcome = 'interrupted' WHERE outcome = 'unreached'")
    op.drop_column("attempts", "sender")
    op.drop_column("processes", "benched_at")
    op.drop_table("reach")
