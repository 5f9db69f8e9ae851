"""A sign of life says more: what the database refuses its process, and how its clock stands."""

import sqlalchemy as sa
from alembic import op

revision = "0028"
down_revision = "0027"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Nothing is known of those that have signed before."""
    op.add_column("processes", sa.Column("trouble", sa.Text(), nullable=True))
    op.add_column(
        "processes", sa.Column("skew", sa.Double(), nullable=False, server_default=sa.text("0"))
    )


def downgrade() -> None:
    """Both went out of date within seconds."""
    op.drop_column("processes", "skew")
    op.drop_column("processes", "trouble")
