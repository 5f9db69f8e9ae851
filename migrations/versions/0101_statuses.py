"""Rename the statuses of a delivery to the words that people see: queued, on_hold, dismissed.

An open delivery is retrying once an attempt of it has failed, even during a person's retry. Until
now, it was waiting during such a retry. Audit entries stay as they were written.
"""

import sqlalchemy as sa
from alembic import op

revision = "0101"
down_revision = "0100"
branch_labels = None
depends_on = None

NEW = {"waiting": "queued", "held": "on_hold", "stopped": "dismissed"}
OLD = {new: old for old, new in NEW.items()}

HAS_FAILED = """UPDATE deliveries SET status = 'retrying'
  WHERE status = 'queued' AND coalesce(prior_status, '') <> 'delivered' AND EXISTS (
    SELECT 1 FROM attempts WHERE attempts.delivery_id = deliveries.id
    AND attempts.outcome = 'failed')"""
IS_RETRIED = """UPDATE deliveries SET status = 'waiting'
  WHERE status = 'retrying' AND prior_status IS NOT NULL"""


def upgrade() -> None:
    _rename(NEW)
    op.execute(HAS_FAILED)
    _index_open("status IN ('queued', 'retrying')")


def downgrade() -> None:
    _rename(OLD)
    op.execute(IS_RETRIED)
    _index_open("status IN ('waiting', 'retrying')")


def _rename(words: dict[str, str]) -> None:
    # Drop the indexes that name the old words. They are created again.
    for name in ("ix_deliveries_due", "ix_deliveries_order", "ix_deliveries_failures"):
        op.drop_index(name, "deliveries")
    for column in ("status", "prior_status"):
        whens = " ".join(f"WHEN '{before}' THEN '{after}'" for before, after in words.items())
        named = ", ".join(f"'{before}'" for before in words)
        op.execute(
            f"UPDATE deliveries SET {column} = CASE {column} {whens} END"  # noqa: S608 - our own
            f" WHERE {column} IN ({named})"
        )


def _index_open(is_open: str) -> None:
    # In their first order, and after the other indexes, because SQLite takes the newest of two that
    # serve a query equally well.
    for name, columns, where in (
        ("ix_deliveries_due", ["webhook_id", "priority", "due_at", "id"], is_open),
        (
            "ix_deliveries_failures",
            ["webhook_id", "reason", "finished_at", "id", "code"],
            "status = 'failed' AND priority <> 0",
        ),
        ("ix_deliveries_order", ["webhook_id", "id"], is_open),
    ):
        op.create_index(
            name,
            "deliveries",
            columns,
            sqlite_where=sa.text(where),
            postgresql_where=sa.text(where),
        )
