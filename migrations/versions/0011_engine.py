"""What throttle, order and notices need."""

import sqlalchemy as sa
from alembic import op

from portal.database.engine import UtcDateTime

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

OPEN = sa.text("status IN ('waiting', 'retrying')")


def upgrade() -> None:
    op.add_column("webhooks", sa.Column("pause", sa.Integer(), nullable=False, server_default="0"))
    op.add_column("webhooks", sa.Column("reopened_at", UtcDateTime(), nullable=True))
    op.create_index(
        "ix_deliveries_order",
        "deliveries",
        ["webhook_id", "id"],
        sqlite_where=OPEN,
        postgresql_where=OPEN,
    )
    op.create_table(
        "notices",
        sa.Column("webhook_id", sa.Integer(), nullable=False),
        sa.Column("told", sa.String(length=10), nullable=False),
        sa.Column("told_at", UtcDateTime(), nullable=False),
        sa.ForeignKeyConstraint(
            ["webhook_id"],
            ["webhooks.id"],
            name=op.f("fk_notices_webhook_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("webhook_id", name=op.f("pk_notices")),
    )


def downgrade() -> None:
    op.drop_table("notices")
    op.drop_index("ix_deliveries_order", "deliveries")
    op.drop_column("webhooks", "reopened_at")
    op.drop_column("webhooks", "pause")
