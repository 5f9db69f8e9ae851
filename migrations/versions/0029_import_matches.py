"""What the headings and words of imported files became, remembered for files like them."""

import sqlalchemy as sa
from alembic import op

from portal.database.engine import UtcDateTime

revision = "0029"
down_revision = "0028"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "import_matches",
        sa.Column("headings", sa.String(length=64), nullable=False),
        sa.Column("matches", sa.JSON(), nullable=False),
        sa.Column("words", sa.JSON(), nullable=False),
        sa.Column("used_at", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("headings", name=op.f("pk_import_matches")),
    )
    op.create_index(op.f("ix_import_matches_used_at"), "import_matches", ["used_at"])


def downgrade() -> None:
    """The next file of each kind is matched by a person again."""
    op.drop_table("import_matches")
