"""What the built-in receiver got."""

import sqlalchemy as sa
from alembic import op

from portal.database.engine import UtcDateTime

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "inbox_messages",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("webhook_id", sa.Integer(), nullable=False),
        sa.Column("received_at", UtcDateTime(), nullable=False),
        sa.Column("headers", sa.JSON(), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.Column("house", sa.String(length=8), nullable=False),
        sa.Column("standard", sa.String(length=8), nullable=False),
        sa.ForeignKeyConstraint(
            ["webhook_id"],
            ["webhooks.id"],
            name=op.f("fk_inbox_messages_webhook_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_inbox_messages")),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_inbox_messages_webhook_id_id", "inbox_messages", ["webhook_id", "id"])
    op.create_index("ix_inbox_messages_received_at", "inbox_messages", ["received_at"])


def downgrade() -> None:
    op.drop_table("inbox_messages")
