"""The timeline of an asset cannot be rewritten."""

from alembic import op

# What a line says stays as it was written. Its event may go when it was kept long enough, and the
# demonstration register puts its history into the past.
SAYS = "asset_id, actor_id, actor_name, origin, action, status_from, status_to, changes, note"

SQLITE_TRIGGERS = (
    f"CREATE TRIGGER activities_no_update BEFORE UPDATE OF {SAYS} ON activities "
    "BEGIN SELECT RAISE(ABORT, 'lines of a timeline cannot be changed'); END",
    "CREATE TRIGGER activities_no_delete BEFORE DELETE ON activities "
    "BEGIN SELECT RAISE(ABORT, 'lines of a timeline cannot be removed'); END",
)
POSTGRESQL_TRIGGERS = (
    "CREATE FUNCTION activities_refuse() RETURNS trigger LANGUAGE plpgsql AS "
    "$$ BEGIN RAISE EXCEPTION 'lines of a timeline cannot be changed or removed'; END $$",
    f"CREATE TRIGGER activities_no_update BEFORE UPDATE OF {SAYS} "
    "ON activities FOR EACH STATEMENT EXECUTE FUNCTION activities_refuse()",
    "CREATE TRIGGER activities_no_delete BEFORE DELETE OR TRUNCATE "
    "ON activities FOR EACH STATEMENT EXECUTE FUNCTION activities_refuse()",
)

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    on_sqlite = op.get_bind().dialect.name == "sqlite"
    for statement in SQLITE_TRIGGERS if on_sqlite else POSTGRESQL_TRIGGERS:
        op.execute(statement)


def downgrade() -> None:
    on_postgresql = op.get_bind().dialect.name == "postgresql"
    for name in ("activities_no_update", "activities_no_delete"):
        op.execute(f"DROP TRIGGER {name}" + (" ON activities" if on_postgresql else ""))
    if on_postgresql:
        op.execute("DROP FUNCTION activities_refuse()")
