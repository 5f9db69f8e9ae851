"""How long all sending was stopped while a webhook was failing, which is not held against it."""

import sqlalchemy as sa
from alembic import op

revision = "0038"
down_revision = "0037"
branch_labels = None
depends_on = None


def upgrade() -> None:
    seconds = sa.Column("stopped_for", sa.Integer(), nullable=False, server_default="0")
    op.add_column("webhooks", seconds)


def downgrade() -> None:
    op.drop_column("webhooks", "stopped_for")
