"""Roll-ups count failed attempts, and what arrived late."""

import sqlalchemy as sa
from alembic import op

revision = "0019"
down_revision = "0018"
branch_labels = None
depends_on = None

COLUMNS = ("late", "failed_attempts")


def upgrade() -> None:
    for name in COLUMNS:
        op.add_column("rollups", sa.Column(name, sa.Integer(), nullable=False, server_default="0"))
    # Whatever failed for good had an attempt that failed: the charts of the last week keep it.
    op.execute("UPDATE rollups SET failed_attempts = failed")


def downgrade() -> None:
    for name in reversed(COLUMNS):
        op.drop_column("rollups", name)
