"""Store the recipients of an alert's email, and the number of recipients per check."""

import sqlalchemy as sa
from alembic import op

revision = "0118"
down_revision = "0117"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # Until now, this was a number, without the addresses.
    op.drop_column("alerts", "mailed_to")
    addresses = sa.Column("mailed_to", sa.JSON(), server_default="[]", nullable=False)
    op.add_column("alerts", addresses)
    holder_told = sa.Column(
        "is_holder_told", sa.Boolean(), server_default=sa.false(), nullable=False
    )
    op.add_column("alerts", holder_told)
    for name in ("mailed_to", "holders_told"):
        number = sa.Column(name, sa.Integer(), server_default="0", nullable=False)
        op.add_column("alert_runs", number)


def downgrade() -> None:
    for name in ("holders_told", "mailed_to"):
        op.drop_column("alert_runs", name)
    op.drop_column("alerts", "is_holder_told")
    number = sa.Column("mailed_count", sa.Integer(), server_default="0", nullable=False)
    op.add_column("alerts", number)
    op.execute("UPDATE alerts SET mailed_count = json_array_length(mailed_to)")
    op.drop_column("alerts", "mailed_to")
    op.execute("ALTER TABLE alerts RENAME COLUMN mailed_count TO mailed_to")
