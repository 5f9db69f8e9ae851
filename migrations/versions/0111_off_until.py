"""Store until when a webhook is turned off."""

import sqlalchemy as sa
from alembic import op

from portal.database.engine import UtcDateTime

revision = "0111"
down_revision = "0110"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("webhooks", sa.Column("off_until", UtcDateTime(), nullable=True))


def downgrade() -> None:
    op.drop_column("webhooks", "off_until")
