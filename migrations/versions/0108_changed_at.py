"""Store the time of a webhook's last change that could make failed deliveries succeed."""

import sqlalchemy as sa
from alembic import op

from portal.database.engine import UtcDateTime

revision = "0108"
down_revision = "0107"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("webhooks", sa.Column("changed_at", UtcDateTime(), nullable=True))


def downgrade() -> None:
    op.drop_column("webhooks", "changed_at")
