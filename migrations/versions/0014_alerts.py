"""The ledger of alerts, their settings and their runs."""

import sqlalchemy as sa
from alembic import op

from portal.database.engine import UtcDateTime

# SQLite's own row ids need the plain type.
BIG = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
STANDING = sa.text("resolved_at IS NULL")

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "alerts",
        sa.Column("id", BIG, nullable=False),
        sa.Column("public_id", sa.Uuid(), nullable=False),
        sa.Column("event", sa.String(length=40), nullable=False),
        sa.Column("asset_id", sa.Integer(), nullable=False),
        sa.Column("maintenance_id", sa.Integer(), nullable=True),
        sa.Column("assignment_id", sa.Integer(), nullable=True),
        sa.Column("matter", sa.String(length=100), nullable=False),
        sa.Column("dedupe_key", sa.String(length=120), nullable=False),
        sa.Column("event_id", BIG, nullable=True),
        sa.Column("fired_at", UtcDateTime(), nullable=False),
        sa.Column("is_sent", sa.Boolean(), nullable=False),
        sa.Column("details", sa.JSON(), nullable=False),
        sa.Column("resolved_at", UtcDateTime(), nullable=True),
        sa.Column("acknowledged_at", UtcDateTime(), nullable=True),
        sa.Column("acknowledged_by_id", sa.Integer(), nullable=True),
        sa.Column("acknowledged_by", sa.String(length=120), nullable=True),
        sa.ForeignKeyConstraint(
            ["acknowledged_by_id"], ["users.id"], name=op.f("fk_alerts_acknowledged_by_id")
        ),
        sa.ForeignKeyConstraint(["asset_id"], ["assets.id"], name=op.f("fk_alerts_asset_id")),
        sa.ForeignKeyConstraint(
            ["event_id"], ["events.id"], name=op.f("fk_alerts_event_id"), ondelete="SET NULL"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_alerts")),
        sa.UniqueConstraint("dedupe_key", name=op.f("uq_alerts_dedupe_key")),
        sa.UniqueConstraint("public_id", name=op.f("uq_alerts_public_id")),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_alerts_asset_id_id", "alerts", ["asset_id", "id"])
    op.create_index("ix_alerts_by_event", "alerts", ["event", "id"])
    op.create_index("ix_alerts_event_id", "alerts", ["event_id"])
    op.create_index(
        "ix_alerts_standing",
        "alerts",
        ["asset_id", "id"],
        sqlite_where=STANDING,
        postgresql_where=STANDING,
    )
    op.create_table(
        "alert_settings",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("warranty_on", sa.Boolean(), nullable=False),
        sa.Column("warranty_days", sa.Integer(), nullable=False),
        sa.Column("maintenance_on", sa.Boolean(), nullable=False),
        sa.Column("maintenance_days", sa.Integer(), nullable=False),
        sa.Column("overdue_on", sa.Boolean(), nullable=False),
        sa.Column("repeat_every_days", sa.Integer(), nullable=True),
        sa.Column("low_stock_on", sa.Boolean(), nullable=False),
        sa.Column("time_of_day", sa.String(length=5), nullable=False),
        sa.Column("first_answer", sa.String(length=8), nullable=True),
        sa.Column("first_answer_at", UtcDateTime(), nullable=True),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_alert_settings")),
    )
    op.create_table(
        "alert_runs",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("kind", sa.String(length=10), nullable=False),
        sa.Column("slot", sa.Date(), nullable=True),
        sa.Column("started_at", UtcDateTime(), nullable=False),
        sa.Column("finished_at", UtcDateTime(), nullable=True),
        sa.Column("outcome", sa.String(length=8), nullable=True),
        sa.Column("is_marking", sa.Boolean(), nullable=False),
        sa.Column("counts", sa.JSON(), nullable=False),
        sa.Column("waiting", sa.Integer(), nullable=False),
        sa.Column("task_public_id", sa.Uuid(), nullable=True),
        sa.Column("actor_name", sa.String(length=120), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_alert_runs")),
        sa.UniqueConstraint("slot", name=op.f("uq_alert_runs_slot")),
        sqlite_autoincrement=True,
    )


def downgrade() -> None:
    op.drop_table("alert_runs")
    op.drop_table("alert_settings")
    op.drop_table("alerts")
