"""What failed, by webhook and reason, and until when a person has dismissed it."""

import sqlalchemy as sa
from alembic import op

from portal.database.engine import UtcDateTime

revision = "0026"
down_revision = "0025"
branch_labels = None
depends_on = None

FAILURES = sa.text("status = 'failed' AND priority <> 0")


def upgrade() -> None:
    op.create_table(
        "dismissals",
        sa.Column("webhook_id", sa.Integer(), nullable=False),
        sa.Column("reason", sa.String(length=20), nullable=False),
        sa.Column("until", UtcDateTime(), nullable=False),
        sa.ForeignKeyConstraint(
            ["webhook_id"],
            ["webhooks.id"],
            name=op.f("fk_dismissals_webhook_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("webhook_id", "reason", name=op.f("pk_dismissals")),
    )
    op.create_index(
        "ix_deliveries_failures",
        "deliveries",
        ["webhook_id", "reason", "finished_at", "id", "code"],
        sqlite_where=FAILURES,
        postgresql_where=FAILURES,
    )
    # What is dismissed is told by the time at which it failed: it has had one for long.
    op.execute(
        "UPDATE deliveries SET finished_at = created_at"
        " WHERE status = 'failed' AND priority <> 0 AND finished_at IS NULL"
    )


def downgrade() -> None:
    op.drop_index("ix_deliveries_failures", "deliveries")
    op.drop_table("dismissals")
