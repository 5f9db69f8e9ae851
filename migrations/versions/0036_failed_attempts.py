"""Attempts that failed, by when: what anything failed of in some time is found by them."""

import sqlalchemy as sa
from alembic import op

revision = "0036"
down_revision = "0035"
branch_labels = None
depends_on = None

FAILED = sa.text("outcome = 'failed'")


def upgrade() -> None:
    op.create_index(
        "ix_attempts_failures",
        "attempts",
        ["finished_at", "delivery_id"],
        sqlite_where=FAILED,
        postgresql_where=FAILED,
    )


def downgrade() -> None:
    op.drop_index("ix_attempts_failures", table_name="attempts")
