"""What a bulk retry works at."""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

BIG = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "batch_rows",
        sa.Column("task_id", sa.Integer(), nullable=False),
        sa.Column("delivery_id", BIG, nullable=False),
        sa.Column("webhook_id", sa.Integer(), nullable=False),
        sa.Column("outcome", sa.String(length=12), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("message", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["task_id"], ["tasks.id"], name=op.f("fk_batch_rows_task_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("task_id", "delivery_id", name=op.f("pk_batch_rows")),
    )
    op.create_index(
        "ix_batch_rows_next",
        "batch_rows",
        ["task_id", "outcome", "webhook_id", "delivery_id"],
    )


def downgrade() -> None:
    op.drop_index("ix_batch_rows_next", "batch_rows")
    op.drop_table("batch_rows")
