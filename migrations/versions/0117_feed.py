"""Number the events in the order of their commits, for programs that read them one after another.

An event gets its id when it is stored, and another transaction can commit a later id first. A
program that reads by id would then miss the earlier id forever.
"""

import sqlalchemy as sa
from alembic import op

revision = "0117"
down_revision = "0116"
branch_labels = None
depends_on = None

# Nothing else takes this lock. PostgreSQL numbers inside the commit itself, so that no client that
# is cut off can hold the lock. On SQLite, one transaction writes at a time.
POSTGRESQL = (
    "CREATE FUNCTION events_feed() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
    "PERFORM pg_advisory_xact_lock(7305813101); "
    "INSERT INTO feed (event_id) SELECT id FROM events WHERE id = NEW.id; "
    "RETURN NULL; END $$",
    "CREATE CONSTRAINT TRIGGER events_feed AFTER INSERT ON events "
    "DEFERRABLE INITIALLY DEFERRED FOR EACH ROW WHEN (NOT NEW.is_test) "
    "EXECUTE FUNCTION events_feed()",
)
SQLITE = (
    "CREATE TRIGGER events_feed AFTER INSERT ON events WHEN NOT NEW.is_test "
    "BEGIN INSERT INTO feed (event_id) VALUES (NEW.id); END",
)


def upgrade() -> None:
    # SQLite's row ids require the plain integer type.
    big = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
    op.create_table(
        "feed",
        sa.Column("position", big, nullable=False),
        sa.Column("event_id", big, nullable=False),
        sa.ForeignKeyConstraint(
            ["event_id"], ["events.id"], name=op.f("fk_feed_event_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("position", name=op.f("pk_feed")),
        sa.UniqueConstraint("event_id", name=op.f("uq_feed_event_id")),
        sqlite_autoincrement=True,
    )
    op.execute("INSERT INTO feed (event_id) SELECT id FROM events WHERE NOT is_test ORDER BY id")
    is_sqlite = op.get_bind().dialect.name == "sqlite"
    for statement in SQLITE if is_sqlite else POSTGRESQL:
        op.execute(statement)


def downgrade() -> None:
    if op.get_bind().dialect.name == "sqlite":
        op.execute("DROP TRIGGER events_feed")
    else:
        op.execute("DROP TRIGGER events_feed ON events")
        op.execute("DROP FUNCTION events_feed()")
    op.drop_table("feed")
