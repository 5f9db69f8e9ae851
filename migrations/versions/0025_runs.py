"""Leases say which run of a process has them: those of one that is over need not run out."""

import sqlalchemy as sa
from alembic import op

revision = "0025"
down_revision = "0024"
branch_labels = None
depends_on = None

TABLES = ("leases", "tasks")


def upgrade() -> None:
    for table in TABLES:
        op.add_column(table, sa.Column("run", sa.Uuid(), nullable=True))


def downgrade() -> None:
    for table in TABLES:
        op.drop_column(table, "run")
