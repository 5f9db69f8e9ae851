"""A sign of life says whose leases are its process's, and since when signs come without a break.

So it can be told on other machines, too, whose leases are nobody's any more.
"""

import sqlalchemy as sa
from alembic import op

from portal.database.engine import UtcDateTime

revision = "0032"
down_revision = "0031"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Those that have signed before are gone: workers are stopped for an upgrade."""
    op.add_column("processes", sa.Column("run", sa.Uuid(), nullable=True))
    op.add_column("processes", sa.Column("steady_since", UtcDateTime(), nullable=True))


def downgrade() -> None:
    op.drop_column("processes", "steady_since")
    op.drop_column("processes", "run")
