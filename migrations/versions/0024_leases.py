"""Leases have a table of their own; an attempt is stored once, when it has ended.

What is under way while this runs, or was left by a crash, moves with its lease.
"""

import sqlalchemy as sa
from alembic import op

from portal.database.engine import UtcDateTime

revision = "0024"
down_revision = "0023"
branch_labels = None
depends_on = None

BIG = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
OPEN = sa.text("status IN ('waiting', 'retrying')")
LEASED = sa.text("lease_token IS NOT NULL")

TO_LEASES = (
    "INSERT INTO leases"
    " (delivery_id, webhook_id, token, until, number, kind, actor, url, started_at)"
    " SELECT deliveries.id, deliveries.webhook_id, lease_token, lease_until, number, kind, actor,"
    " url, started_at FROM deliveries JOIN attempts ON attempts.delivery_id = deliveries.id"
    " AND attempts.number = deliveries.attempts AND attempts.outcome = 'interrupted'"
    " WHERE lease_token IS NOT NULL AND lease_until IS NOT NULL",
    "DELETE FROM attempts WHERE EXISTS (SELECT 1 FROM leases"
    " WHERE leases.delivery_id = attempts.delivery_id AND leases.number = attempts.number)",
    "UPDATE deliveries SET attempts = attempts - 1, tries = tries - (SELECT"
    " CASE WHEN kind = 'scheduled' THEN 1 ELSE 0 END FROM leases"
    " WHERE leases.delivery_id = deliveries.id)"
    " WHERE id IN (SELECT delivery_id FROM leases)",
)
TO_COLUMNS = (
    "UPDATE deliveries SET attempts = attempts + 1,"
    " tries = tries + (SELECT CASE WHEN kind = 'scheduled' THEN 1 ELSE 0 END FROM leases"
    " WHERE leases.delivery_id = deliveries.id),"
    " lease_token = (SELECT token FROM leases WHERE leases.delivery_id = deliveries.id),"
    " lease_until = (SELECT until FROM leases WHERE leases.delivery_id = deliveries.id)"
    " WHERE id IN (SELECT delivery_id FROM leases)",
    # Another attempt may have taken its number meanwhile; the count has not.
    "INSERT INTO attempts (delivery_id, number, kind, actor, url, outcome, started_at)"
    " SELECT leases.delivery_id, deliveries.attempts, kind, actor, url, 'interrupted', started_at"
    " FROM leases JOIN deliveries ON deliveries.id = leases.delivery_id",
)


def upgrade() -> None:
    op.create_table(
        "leases",
        sa.Column("delivery_id", BIG, autoincrement=False, nullable=False),
        sa.Column("webhook_id", sa.Integer(), nullable=False),
        sa.Column("token", sa.Uuid(), nullable=False),
        sa.Column("until", UtcDateTime(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("kind", sa.String(length=10), nullable=False),
        sa.Column("actor", sa.String(length=120), nullable=True),
        sa.Column("url", sa.String(length=2048), nullable=False),
        sa.Column("started_at", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("delivery_id", name=op.f("pk_leases")),
        postgresql_with={
            "autovacuum_vacuum_scale_factor": 0,
            "autovacuum_vacuum_threshold": 1000,
        },
    )
    op.create_index("ix_leases_webhook_id", "leases", ["webhook_id"])
    for statement in TO_LEASES:
        op.execute(statement)
    op.drop_index("ix_deliveries_leased", "deliveries")
    op.drop_column("deliveries", "lease_until")
    op.drop_column("deliveries", "lease_token")
    _index_due("id")


def downgrade() -> None:
    op.add_column("deliveries", sa.Column("lease_token", sa.Uuid(), nullable=True))
    op.add_column("deliveries", sa.Column("lease_until", UtcDateTime(), nullable=True))
    for statement in TO_COLUMNS:
        op.execute(statement)
    op.create_index(
        "ix_deliveries_leased",
        "deliveries",
        ["webhook_id", "lease_until"],
        sqlite_where=LEASED,
        postgresql_where=LEASED,
    )
    _index_due()
    op.drop_table("leases")


def _index_due(*more: str) -> None:
    op.drop_index("ix_deliveries_due", "deliveries")
    columns = ["webhook_id", "priority", "due_at", *more]
    op.create_index(
        "ix_deliveries_due", "deliveries", columns, sqlite_where=OPEN, postgresql_where=OPEN
    )
