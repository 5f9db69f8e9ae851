"""Store the conditions under which a webhook gets an event."""

import sqlalchemy as sa
from alembic import op

revision = "0105"
down_revision = "0104"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("webhooks", sa.Column("conditions", sa.Text(), nullable=True))


def downgrade() -> None:
    op.drop_column("webhooks", "conditions")
