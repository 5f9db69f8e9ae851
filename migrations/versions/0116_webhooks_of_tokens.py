"""Keep which program has made a webhook."""

import sqlalchemy as sa
from alembic import op

revision = "0116"
down_revision = "0115"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # The token's row is named without a constraint: SQLite would make the whole table anew.
    op.add_column("webhooks", sa.Column("token_id", sa.Integer(), nullable=True))


def downgrade() -> None:
    op.drop_column("webhooks", "token_id")
