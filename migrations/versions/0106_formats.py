"""Store a webhook's format and its pace, and the body of an attempt sent in a format."""

import sqlalchemy as sa
from alembic import op

from portal.database.engine import UtcDateTime

revision = "0106"
down_revision = "0105"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("webhooks", sa.Column("format", sa.String(12), nullable=True))
    op.add_column("webhooks", sa.Column("next_at", UtcDateTime(), nullable=True))
    op.add_column("attempt_bodies", sa.Column("request_body", sa.Text(), nullable=True))


def downgrade() -> None:
    op.drop_column("attempt_bodies", "request_body")
    op.drop_column("webhooks", "next_at")
    op.drop_column("webhooks", "format")
