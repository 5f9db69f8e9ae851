"""Store which program created a webhook."""

import sqlalchemy as sa
from alembic import op

revision = "0116"
down_revision = "0115"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # The token's id has no foreign key, because SQLite would have to rebuild the whole table.
    op.add_column("webhooks", sa.Column("token_id", sa.Integer(), nullable=True))


def downgrade() -> None:
    op.drop_column("webhooks", "token_id")
