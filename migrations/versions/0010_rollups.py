"""Roll-ups of the log, and what its wider filters need."""

import sqlalchemy as sa
from alembic import op

from portal.database.engine import UtcDateTime

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "rollups",
        sa.Column("hour", UtcDateTime(), nullable=False),
        sa.Column("webhook_id", sa.Integer(), nullable=False),
        sa.Column("delivered", sa.Integer(), nullable=False),
        sa.Column("failed", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(
            ["webhook_id"],
            ["webhooks.id"],
            name=op.f("fk_rollups_webhook_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("hour", "webhook_id", name=op.f("pk_rollups")),
    )
    op.create_index("ix_rollups_webhook_id_hour", "rollups", ["webhook_id", "hour"])
    op.create_index("ix_deliveries_reason_id", "deliveries", ["reason", "id"])
    op.create_index("ix_deliveries_code_id", "deliveries", ["code", "id"])


def downgrade() -> None:
    op.drop_index("ix_deliveries_code_id", "deliveries")
    op.drop_index("ix_deliveries_reason_id", "deliveries")
    op.drop_table("rollups")
