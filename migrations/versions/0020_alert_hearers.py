"""Runs of alerts say who heard of what they sent."""

import sqlalchemy as sa
from alembic import op

revision = "0020"
down_revision = "0019"
branch_labels = None
depends_on = None


def upgrade() -> None:
    column = sa.Column("heard", sa.JSON(), nullable=False, server_default="{}")
    op.add_column("alert_runs", column)


def downgrade() -> None:
    op.drop_column("alert_runs", "heard")
