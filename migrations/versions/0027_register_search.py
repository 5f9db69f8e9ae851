"""The register is found by parts of words through an index, and counted by status through another.

SQLite keeps the trigrams of tag, name and serial number in a table of its own, which triggers keep
in step, whoever writes. PostgreSQL needs its extension pg_trgm; where the role may not make it, or
the server does not have it, searches read every asset, as they did before, and this says so.
"""

import logging

import sqlalchemy as sa
from alembic import op
from sqlalchemy.exc import DBAPIError

revision = "0027"
down_revision = "0026"
branch_labels = None
depends_on = None

# The table of trigrams on SQLite, and what is in it.
SEARCHED = {
    "asset_words": ("assets", ("asset_tag", "name", "serial_number")),
    "staff_words": ("staff", ("name", "email")),
}
OPTIONAL = ("serial_number",)
ALIVE = sa.text("deleted_at IS NULL")
GONE = sa.text("deleted_at IS NOT NULL")
LOW = sa.text("deleted_at IS NULL AND min_quantity IS NOT NULL AND quantity < min_quantity")
ENDING = sa.text("deleted_at IS NULL AND warranty_expires IS NOT NULL")
LENT = sa.text("ended_at IS NULL AND due_at IS NOT NULL")
# name, table, columns, predicate
INDEXES = (
    ("ix_assets_status_id", "assets", ["status", "id"], ALIVE),
    ("ix_assets_deleted_id", "assets", ["id"], GONE),
    ("ix_assets_low_id", "assets", ["id"], LOW),
    ("ix_assets_warranty_expires", "assets", ["warranty_expires"], ENDING),
    ("ix_assignments_due_at", "assignments", ["due_at", "asset_id"], LENT),
)

log = logging.getLogger("alembic.runtime.migration")


def upgrade() -> None:
    for name, table, columns, where in INDEXES:
        op.create_index(name, table, columns, sqlite_where=where, postgresql_where=where)
    if op.get_bind().dialect.name == "sqlite":
        for words, (table, columns) in SEARCHED.items():
            _make_words(words, table, columns)
    else:
        _make_indexes()


def downgrade() -> None:
    for words in SEARCHED:
        if op.get_bind().dialect.name == "sqlite":
            for when in ("insert", "update", "delete"):
                op.execute(f"DROP TRIGGER {words}_{when}")
            op.execute(f"DROP TABLE {words}")
        else:
            # The extension may be somebody else's.
            op.execute(f"DROP INDEX IF EXISTS ix_{words}")
    for name, table, *_ in reversed(INDEXES):
        op.drop_index(name, table)


def _make_words(words: str, table: str, columns: tuple[str, ...]) -> None:
    """A table without a copy of the texts, and the triggers that keep it in step."""
    old, new, known = (_joined(columns, "char", side) for side in ("OLD.", "NEW.", ""))
    take = f"INSERT INTO {words} ({words}, rowid, words) VALUES ('delete', OLD.id, {old});"  # noqa: S608 - our own names
    put = f"INSERT INTO {words} (rowid, words) VALUES (NEW.id, {new});"  # noqa: S608
    changes = f"AFTER UPDATE OF id, {', '.join(columns)} ON {table}"
    for statement in (
        f"CREATE VIRTUAL TABLE {words}"
        " USING fts5(words, content='', columnsize=0, tokenize='trigram')",
        # What a person's name was is gone from the file's table with the name.
        f"INSERT INTO {words} ({words}, rank) VALUES ('secure-delete', 1)",  # noqa: S608
        f"INSERT INTO {words} (rowid, words) SELECT id, {known} FROM {table}",  # noqa: S608
        f"CREATE TRIGGER {words}_insert AFTER INSERT ON {table} BEGIN {put} END",
        f"CREATE TRIGGER {words}_delete AFTER DELETE ON {table} BEGIN {take} END",
        f"CREATE TRIGGER {words}_update {changes} WHEN OLD.id <> NEW.id OR {old} <> {new}"
        f" BEGIN {take} {put} END",
    ):
        op.execute(statement)


def _make_indexes() -> None:
    connection = op.get_bind()
    try:
        with connection.begin_nested():
            _make_them(connection)
    except DBAPIError as error:
        log.warning(
            "PostgreSQL's extension pg_trgm cannot be used (%s). Searches of a large register stay"
            " slow until it is there: see docs/deployment.md, “Searches on PostgreSQL”.",
            str(error.orig).partition("\n")[0],
        )


def _make_them(connection: sa.Connection) -> None:
    connection.execute(sa.text("CREATE EXTENSION IF NOT EXISTS pg_trgm"))
    # It may stand in a schema that this role does not look into.
    where = (
        "SELECT quote_ident(nspname) FROM pg_extension"
        " JOIN pg_namespace ON pg_namespace.oid = extnamespace WHERE extname = 'pg_trgm'"
    )
    schema = connection.execute(sa.text(where)).scalar_one()
    for words, (table, columns) in SEARCHED.items():
        # New entries wait in a list that each search reads as well: a short one.
        op.execute(
            f"CREATE INDEX ix_{words} ON {table}"
            f" USING gin (({_joined(columns, 'chr')}) {schema}.gin_trgm_ops)"
            " WITH (gin_pending_list_limit = 256)"
        )
        # How seldom a text is: by the usual hundred samples, all below a hundredth are the same.
        op.execute(f"ALTER INDEX ix_{words} ALTER COLUMN 1 SET STATISTICS 1000")


def _joined(columns: tuple[str, ...], sign: str, side: str = "") -> str:
    """The texts as one. What nobody can type stands between them, so that no search finds the end
    of one and the beginning of the next."""
    texts = (f"coalesce({side}{c}, '')" if c in OPTIONAL else f"{side}{c}" for c in columns)
    return f" || {sign}(31) || ".join(texts)
