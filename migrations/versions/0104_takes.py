"""Store the person who looks into a webhook's failures, since when, and their note."""

import sqlalchemy as sa
from alembic import op

from portal.database.engine import UtcDateTime

revision = "0104"
down_revision = "0103"
branch_labels = None
depends_on = None

# The person's id has no foreign key, because SQLite would have to rebuild the whole table.
NEW = {
    "taken_by": sa.String(length=120),
    "taken_by_id": sa.Integer(),
    "taken_at": UtcDateTime(),
    "taken_note": sa.String(length=500),
}


def upgrade() -> None:
    for name, kind in NEW.items():
        op.add_column("webhooks", sa.Column(name, kind, nullable=True))


def downgrade() -> None:
    for name in reversed(NEW):
        op.drop_column("webhooks", name)
