"""Email alerts to addresses, and to the holder of an overdue asset."""

import sqlalchemy as sa
from alembic import op

from portal.database.engine import UtcDateTime

revision = "0110"
down_revision = "0109"
branch_labels = None
depends_on = None

ADDRESSES = ("mail_overdue", "mail_maintenance", "mail_warranty", "mail_low_stock")


def upgrade() -> None:
    op.add_column("alerts", sa.Column("mailed_at", UtcDateTime(), nullable=True))
    op.add_column(
        "alerts", sa.Column("mailed_to", sa.Integer(), server_default="0", nullable=False)
    )
    # Alerts that fired before there were emails aren't emailed.
    op.execute("UPDATE alerts SET mailed_at = fired_at")
    op.create_index("ix_alerts_mailed_at", "alerts", ["mailed_at", "id"])
    for name in ADDRESSES:
        addresses = sa.Column(name, sa.JSON(), server_default="[]", nullable=False)
        op.add_column("alert_settings", addresses)
    off = sa.Column("remind_holder", sa.Boolean(), server_default=sa.false(), nullable=False)
    op.add_column("alert_settings", off)
    text = sa.Column("holder_text", sa.Text(), server_default="", nullable=False)
    op.add_column("alert_settings", text)
    op.add_column("mails", sa.Column("staff_id", sa.Integer(), nullable=True))


def downgrade() -> None:
    op.execute("DELETE FROM mails WHERE kind IN ('alerts', 'alert_holder')")
    op.drop_column("mails", "staff_id")
    for name in ("holder_text", "remind_holder", *ADDRESSES):
        op.drop_column("alert_settings", name)
    op.drop_index("ix_alerts_mailed_at", "alerts")
    op.drop_column("alerts", "mailed_to")
    op.drop_column("alerts", "mailed_at")
