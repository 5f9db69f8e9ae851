"""An event knows the request that brought it about, so that the log can name it when a delivery
fails hours later."""

import sqlalchemy as sa
from alembic import op

revision = "0034"
down_revision = "0033"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("events", sa.Column("request_id", sa.String(length=16), nullable=True))


def downgrade() -> None:
    op.drop_column("events", "request_id")
