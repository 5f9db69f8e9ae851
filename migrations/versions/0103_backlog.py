"""Store since when a delivery fails, and index failing deliveries instead of failed ones.

A delivery counts after two failed attempts. One is enough if the next attempt is more than a minute
away or none is left. Values come from the attempts, or without any from a failed delivery's end.
"""

import sqlalchemy as sa
from alembic import op

from portal.database.engine import UtcDateTime

revision = "0103"
down_revision = "0102"
branch_labels = None
depends_on = None

FAILED = (
    "FROM attempts WHERE attempts.delivery_id = deliveries.id AND attempts.outcome = 'failed'"
    " AND attempts.number > coalesce((SELECT max(arrived.number) FROM attempts AS arrived"
    " WHERE arrived.delivery_id = deliveries.id AND arrived.outcome = 'delivered'), 0)"
)
FIRST = f"(SELECT min(attempts.finished_at) {FAILED})"
MANY = f"(SELECT count(*) {FAILED})"
WAITS = {
    "sqlite": f"(julianday(due_at) - julianday({FIRST})) * 86400 > 60",
    "postgresql": f"due_at > {FIRST} + interval '60 seconds'",
}
UNDELIVERED = "status <> 'delivered' AND priority <> 0"
FILL = (
    f"UPDATE deliveries SET failing_since = coalesce({FIRST}, finished_at, created_at)"  # noqa: S608 - our own words
    f" WHERE {UNDELIVERED} AND status = 'failed'",
    f"UPDATE deliveries SET failing_since = {FIRST}"  # noqa: S608
    f" WHERE {UNDELIVERED} AND status <> 'failed' AND attempts > 0 AND ({MANY} > 1 OR {{waits}})",
)
IS_FAILING = (
    "failing_since IS NOT NULL AND (status IN ('queued', 'retrying') OR status = 'failed')"
    " AND priority <> 0"
)


def upgrade() -> None:
    op.add_column("deliveries", sa.Column("failing_since", UtcDateTime(), nullable=True))
    for statement in FILL:
        op.execute(statement.format(waits=WAITS[op.get_bind().dialect.name]))
    op.drop_index("ix_deliveries_failures", "deliveries")
    columns = ["webhook_id", "reason", "code", "status", "failing_since", "priority"]
    _make("ix_deliveries_failing", columns, IS_FAILING)


def downgrade() -> None:
    op.drop_index("ix_deliveries_failing", "deliveries")
    op.drop_column("deliveries", "failing_since")
    # Create the other index again, as SQLite takes the newest of two that serve equally well.
    op.drop_index("ix_deliveries_order", "deliveries")
    columns = ["webhook_id", "reason", "finished_at", "id", "code"]
    _make("ix_deliveries_failures", columns, "status = 'failed' AND priority <> 0")
    _make("ix_deliveries_order", ["webhook_id", "id"], "status IN ('queued', 'retrying')")


def _make(name: str, columns: list[str], where: str) -> None:
    predicate = sa.text(where)
    op.create_index(name, "deliveries", columns, sqlite_where=predicate, postgresql_where=predicate)
