"""What is append-only cannot be replaced either.

SQLite removes the row that an `INSERT OR REPLACE` takes the place of without asking the triggers
that refuse to remove it. PostgreSQL has no such statement.
"""

from alembic import op

# table → its unique columns, and what is said
APPEND_ONLY = {
    "audit_entries": (("id",), "audit entries cannot be replaced"),
    "activities": (("id",), "lines of a timeline cannot be replaced"),
    "stock_moves": (("id", "public_id"), "moves of stock cannot be replaced"),
}

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None


def upgrade() -> None:
    if op.get_bind().dialect.name != "sqlite":
        return
    for table, (columns, sentence) in APPEND_ONLY.items():
        is_same = " OR ".join(f"{column} = NEW.{column}" for column in columns)
        there = f"SELECT 1 FROM {table} WHERE {is_same}"  # noqa: S608 - our own names
        op.execute(
            f"CREATE TRIGGER {table}_no_replace BEFORE INSERT ON {table} WHEN EXISTS ({there}) "
            f"BEGIN SELECT RAISE(ABORT, '{sentence}'); END"
        )


def downgrade() -> None:
    if op.get_bind().dialect.name == "sqlite":
        for table in APPEND_ONLY:
            op.execute(f"DROP TRIGGER {table}_no_replace")
