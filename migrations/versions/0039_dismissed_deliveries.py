"""Which failed deliveries a person has dismissed one by one, when, and who."""

import sqlalchemy as sa
from alembic import op

from portal.database.engine import UtcDateTime

revision = "0039"
down_revision = "0038"
branch_labels = None
depends_on = None

BIG = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "dismissed_deliveries",
        sa.Column("delivery_id", BIG, autoincrement=False, nullable=False),
        sa.Column("at", UtcDateTime(), nullable=False),
        sa.Column("actor_id", sa.Integer(), nullable=True),
        sa.ForeignKeyConstraint(
            ["delivery_id"],
            ["deliveries.id"],
            name=op.f("fk_dismissed_deliveries_delivery_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("delivery_id", name=op.f("pk_dismissed_deliveries")),
    )


def downgrade() -> None:
    op.drop_table("dismissed_deliveries")
