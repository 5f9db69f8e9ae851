"""Who dismissed a problem, when, and what was dismissed before: so that it can be brought back."""

import sqlalchemy as sa
from alembic import op

from portal.database.engine import UtcDateTime

revision = "0037"
down_revision = "0036"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("dismissals", sa.Column("since", UtcDateTime(), nullable=True))
    op.add_column("dismissals", sa.Column("dismissed_at", UtcDateTime(), nullable=True))
    op.add_column("dismissals", sa.Column("actor_id", sa.Integer(), nullable=True))


def downgrade() -> None:
    op.drop_column("dismissals", "actor_id")
    op.drop_column("dismissals", "dismissed_at")
    op.drop_column("dismissals", "since")
