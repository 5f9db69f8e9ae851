"""People can be erased: what is append-only lets their names change, and nothing else.

While a row of `erasures` has no `finished_at`, the columns below may change, and only into a text
in which that erasure's own words stand ("Erased person 17"); who acted may change only in the rows
of the user whom that erasure is about. Every other column stays as it was written, always, and no
row goes away.
"""

from collections.abc import Callable, Mapping

import sqlalchemy as sa
from alembic import op

from portal.database.engine import UtcDateTime

# table → what is said, what is kept, where a name is the whole text, where it may stand in one.
# Of a timeline the event may go when it was kept long enough, and its time is the demonstration
# register's to put into the past (0013).
APPEND_ONLY = {
    "audit_entries": (
        "audit entries cannot be changed",
        ("id", "at", "actor_id", "origin", "action", "target_kind", "target_id"),
        ("target_name",),
        ("changes",),
    ),
    "activities": (
        "lines of a timeline cannot be changed",
        ("asset_id", "actor_id", "origin", "action", "status_from", "status_to"),
        (),
        ("changes", "note"),
    ),
    "stock_moves": (
        "moves of stock cannot be changed",
        ("id", "public_id", "asset_id", "kind", "delta", "balance_after", "at", "actor_id"),
        (),
        ("note",),
    ),
}
FREE = {"activities": ("id", "at", "event_id")}
# What each table's trigger was called before, and what it was.
BEFORE_SQLITE = {
    "audit_entries": "BEFORE UPDATE ON audit_entries",
    "activities": (
        "BEFORE UPDATE OF asset_id, actor_id, actor_name, origin, action, status_from, status_to, "
        "changes, note ON activities"
    ),
    "stock_moves": "BEFORE UPDATE ON stock_moves",
}
POSTGRESQL_BEFORE = (
    "CREATE TRIGGER {table}_append_only BEFORE UPDATE OR DELETE OR TRUNCATE "
    "ON {table} FOR EACH STATEMENT EXECUTE FUNCTION {table}_refuse()"
)
# The words of an erasure that is under way: anywhere in a text, or all of it.
POSTGRESQL_FUNCTIONS = (
    "CREATE FUNCTION erasure_in(said text) RETURNS boolean LANGUAGE sql STABLE AS "
    "$$ SELECT EXISTS (SELECT 1 FROM erasures WHERE finished_at IS NULL "
    "AND said ~ ('Erased person ' || id || '([^0-9]|$)')) $$",
    "CREATE FUNCTION erasure_is(said text) RETURNS boolean LANGUAGE sql STABLE AS "
    "$$ SELECT EXISTS (SELECT 1 FROM erasures WHERE finished_at IS NULL "
    "AND 'Erased person ' || id = said) $$",
    "CREATE FUNCTION erasure_of(said text, actor integer) RETURNS boolean LANGUAGE sql STABLE AS "
    "$$ SELECT EXISTS (SELECT 1 FROM erasures WHERE finished_at IS NULL "
    "AND 'Erased person ' || id = said AND kind = 'user' AND person_id = actor) $$",
)
SQLITE_FUNCTIONS: Mapping[str, str] = {
    "erasure_in": "{0} || ' ' GLOB '*Erased person ' || id || '[^0-9]*'",
    "erasure_is": "'Erased person ' || id = {0}",
    "erasure_of": "'Erased person ' || id = {0} AND kind = 'user' AND person_id = {1}",
}

# (which question, about what) → the condition in this database's words
Ask = Callable[[str, tuple[str, ...]], str]

revision = "0023"
down_revision = "0022"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "erasures",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("kind", sa.String(length=8), nullable=False),
        sa.Column("person_id", sa.Integer(), nullable=False),
        sa.Column("by_id", sa.Integer(), nullable=True),
        sa.Column("known_as", sa.JSON(none_as_null=True), nullable=True),
        sa.Column("counts", sa.JSON(), nullable=False),
        sa.Column("task_public_id", sa.Uuid(), nullable=True),
        sa.Column("started_at", UtcDateTime(), nullable=False),
        sa.Column("finished_at", UtcDateTime(), nullable=True),
        sa.ForeignKeyConstraint(["by_id"], ["users.id"], name=op.f("fk_erasures_by_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_erasures")),
        sa.UniqueConstraint("kind", "person_id", name=op.f("uq_erasures_kind_person_id")),
        sqlite_autoincrement=True,
    )
    if op.get_bind().dialect.name == "sqlite":
        _let_names_change_on_sqlite()
    else:
        _let_names_change_on_postgresql()


def downgrade() -> None:
    on_sqlite = op.get_bind().dialect.name == "sqlite"
    for table, (sentence, *_) in APPEND_ONLY.items():
        if on_sqlite:
            op.execute(f"DROP TRIGGER {table}_no_update")
            op.execute(
                f"CREATE TRIGGER {table}_no_update {BEFORE_SQLITE[table]} "
                f"BEGIN SELECT RAISE(ABORT, '{sentence}'); END"
            )
            continue
        op.execute(f"DROP TRIGGER {table}_no_update ON {table}")
        if table == "activities":
            op.execute(
                f"CREATE TRIGGER activities_no_update {BEFORE_SQLITE[table]} "
                "FOR EACH STATEMENT EXECUTE FUNCTION activities_refuse()"
            )
            continue
        op.execute(f"DROP TRIGGER {table}_no_delete ON {table}")
        op.execute(POSTGRESQL_BEFORE.format(table=table))
    if not on_sqlite:
        for name in ("erasure_in(text)", "erasure_is(text)", "erasure_of(text, integer)"):
            op.execute(f"DROP FUNCTION {name}")
    op.drop_table("erasures")


def _let_names_change_on_sqlite() -> None:
    for table, (sentence, *_) in APPEND_ONLY.items():
        op.execute(f"DROP TRIGGER {table}_no_update")
        allowed = _allowed(table, "IS", "{0}", _asked)
        op.execute(
            f"CREATE TRIGGER {table}_no_update BEFORE UPDATE{_watched(table)} ON {table} "
            f"WHEN NOT ({allowed}) BEGIN SELECT RAISE(ABORT, '{sentence}'); END"
        )


def _let_names_change_on_postgresql() -> None:
    for statement in POSTGRESQL_FUNCTIONS:
        op.execute(statement)
    for table in APPEND_ONLY:
        if table == "activities":
            op.execute("DROP TRIGGER activities_no_update ON activities")
        else:
            op.execute(f"DROP TRIGGER {table}_append_only ON {table}")
            op.execute(
                f"CREATE TRIGGER {table}_no_delete BEFORE DELETE OR TRUNCATE "
                f"ON {table} FOR EACH STATEMENT EXECUTE FUNCTION {table}_refuse()"
            )
        allowed = _allowed(table, "IS NOT DISTINCT FROM", "{0}::text", _called)
        op.execute(
            f"CREATE TRIGGER {table}_no_update BEFORE UPDATE{_watched(table)} ON {table} "
            f"FOR EACH ROW WHEN (NOT ({allowed})) EXECUTE FUNCTION {table}_refuse()"
        )


def _watched(table: str) -> str:
    """The columns that the trigger is asked about, where some may change freely."""
    if table not in FREE:
        return ""
    _, kept, whole, parts = APPEND_ONLY[table]
    return f" OF {', '.join((*kept, 'actor_name', *whole, *parts))}"


def _allowed(table: str, same: str, text: str, ask: Ask) -> str:
    """What has to be true of a changed row."""
    _, kept, whole, parts = APPEND_ONLY[table]
    conditions = [f"NEW.{name} {same} OLD.{name}" for name in kept]
    words = {name: ("erasure_is", (f"NEW.{name}",)) for name in whole}
    words |= {name: ("erasure_in", (text.format(f"NEW.{name}"),)) for name in parts}
    words["actor_name"] = ("erasure_of", ("NEW.actor_name", "OLD.actor_id"))
    for name, (question, arguments) in words.items():
        old, new = text.format(f"OLD.{name}"), text.format(f"NEW.{name}")
        conditions.append(f"({new} {same} {old} OR {ask(question, arguments)})")
    return " AND ".join(conditions)


def _called(question: str, arguments: tuple[str, ...]) -> str:
    return f"{question}({', '.join(arguments)})"


def _asked(question: str, arguments: tuple[str, ...]) -> str:
    answer = SQLITE_FUNCTIONS[question].format(*arguments)
    return f"EXISTS (SELECT 1 FROM erasures WHERE finished_at IS NULL AND {answer})"  # noqa: S608 - our names
