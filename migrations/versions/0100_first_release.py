"""Create the tables of the first release, on which all later migrations build.

The models document each column. The databases differ in the triggers that keep records append-only,
in the indexes for searches, and in two foreign keys that PostgreSQL does without (docs/adr/0017).
"""

import logging
from collections.abc import Callable

import sqlalchemy as sa
from alembic import op
from sqlalchemy.exc import DBAPIError

from portal.database.engine import UtcDateTime

# Numbers below 0100 were used before the first release.
revision = "0100"
down_revision = None
branch_labels = None
depends_on = None

# SQLite's row ids require the plain integer type.
BIG = sa.BigInteger().with_variant(sa.Integer(), "sqlite")

# In the order of their creation.
TABLES = (
    "sign_in_throttles",
    "users",
    "links",
    "sessions",
    "events",
    "audit_entries",
    "erasures",
    "webhooks",
    "inbox_messages",
    "notices",
    "webhook_events",
    "categories",
    "counters",
    "locations",
    "assets",
    "activities",
    "stock_moves",
    "import_matches",
    "tasks",
    "task_rows",
    "leases",
    "batch_rows",
    "deliveries",
    "dismissals",
    "rollups",
    "attempts",
    "dismissed_deliveries",
    "attempt_bodies",
    "staff",
    "assignments",
    "incidents",
    "maintenances",
    "reservations",
    "alert_runs",
    "alert_settings",
    "alerts",
    "key_checks",
    "processes",
    "submissions",
    "sending_switch",
)

# table -> name of its rows in an error, unique columns, columns that never change, columns that an
# erasure can overwrite as a whole, and columns in which it can put its words inside a text.
# The last two change only while a row of `erasures` has no `finished_at`, and only into a text with
# that erasure's own words ("Erased person 17"). `actor_name` changes only in rows of the erased
# user. A timeline's event can be removed after it was kept long enough, and the demonstration can
# move its time into the past.
APPEND_ONLY = {
    "audit_entries": (
        "audit entries",
        ("id",),
        ("id", "at", "actor_id", "origin", "action", "target_kind", "target_id"),
        ("target_name",),
        ("changes",),
    ),
    "activities": (
        "lines of a timeline",
        ("id",),
        ("asset_id", "actor_id", "origin", "action", "status_from", "status_to"),
        (),
        ("changes", "note"),
    ),
    "stock_moves": (
        "moves of stock",
        ("id", "public_id"),
        ("id", "public_id", "asset_id", "kind", "delta", "balance_after", "at", "actor_id"),
        (),
        ("note",),
    ),
}
HAS_FREE_COLUMNS = ("activities",)
# Test whether an unfinished erasure's words are in a text, are all of it, or name this user.
POSTGRESQL_FUNCTIONS = {
    "erasure_in(said text)": "said ~ ('Erased person ' || id || '([^0-9]|$)')",
    "erasure_is(said text)": "'Erased person ' || id = said",
    "erasure_of(said text, actor integer)": (
        "'Erased person ' || id = said AND kind = 'user' AND person_id = actor"
    ),
}
SQLITE_CONDITIONS = {
    "erasure_in": "{0} || ' ' GLOB '*Erased person ' || id || '[^0-9]*'",
    "erasure_is": "'Erased person ' || id = {0}",
    "erasure_of": "'Erased person ' || id = {0} AND kind = 'user' AND person_id = {1}",
}

# (condition, its arguments) -> SQL
Condition = Callable[[str, tuple[str, ...]], str]

# Searched columns. SQLite keeps trigrams in a table of its own, which triggers update with every
# writer. PostgreSQL needs its extension pg_trgm. If the role can't create it, or the server doesn't
# have it, searches read every row, and the log says so.
SEARCHED = {
    "asset_words": ("assets", ("asset_tag", "name", "serial_number")),
    "staff_words": ("staff", ("name", "email")),
}
OPTIONAL = ("serial_number",)

log = logging.getLogger("alembic.runtime.migration")


def upgrade() -> None:
    for make in (
        _make_people,
        _make_events,
        _make_audit,
        _make_webhooks,
        _make_assets,
        _make_tasks,
        _make_deliveries,
        _make_assignments,
        _make_planning,
        _make_alerts,
        _make_operations,
    ):
        make()
    if _is_sqlite():
        _keep_append_only_on_sqlite()
        for words, (table, columns) in SEARCHED.items():
            _make_words(words, table, columns)
    else:
        _keep_append_only_on_postgresql()
        _make_search_indexes()


def downgrade() -> None:
    """Remove everything but the extension pg_trgm, which others might use."""
    if _is_sqlite():
        for words in SEARCHED:
            op.execute(f"DROP TABLE {words}")
    for table in reversed(TABLES):
        op.drop_table(table)
    if not _is_sqlite():
        for function in (*POSTGRESQL_FUNCTIONS, *(f"{table}_refuse()" for table in APPEND_ONLY)):
            op.execute(f"DROP FUNCTION {function}")


def _is_sqlite() -> bool:
    return op.get_bind().dialect.name == "sqlite"


def _on_sqlite(key: sa.ForeignKeyConstraint) -> list[sa.ForeignKeyConstraint]:
    return [key] if _is_sqlite() else []


def _partial_index(
    name: str, table: str, columns: list[str | sa.TextClause], *, where: str, unique: bool = False
) -> None:
    predicate = sa.text(where)
    op.create_index(
        name, table, columns, unique=unique, sqlite_where=predicate, postgresql_where=predicate
    )


def _make_people() -> None:
    op.create_table(
        "sign_in_throttles",
        sa.Column("key", sa.String(length=64), nullable=False),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.Column("first_failed_at", UtcDateTime(), nullable=False),
        sa.Column("last_failed_at", UtcDateTime(), nullable=False),
        sa.Column("blocked_until", UtcDateTime(), nullable=True),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_sign_in_throttles")),
    )
    op.create_table(
        "users",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("public_id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.String(length=120), nullable=False),
        sa.Column("email", sa.String(length=254), nullable=False),
        sa.Column("password_hash", sa.Text(), nullable=False),
        sa.Column("role", sa.String(length=16), nullable=False),
        sa.Column("is_active", sa.Boolean(), nullable=False),
        sa.Column("devices_version", sa.Integer(), nullable=False),
        sa.Column("time_zone", sa.String(length=64), nullable=True),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_users")),
        sa.UniqueConstraint("public_id", name=op.f("uq_users_public_id")),
    )
    op.create_index("uq_users_email", "users", [sa.text("lower(email)")], unique=True)
    op.create_table(
        "links",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("public_id", sa.Uuid(), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("token_hash", sa.String(length=64), nullable=False),
        sa.Column("email", sa.String(length=254), nullable=True),
        sa.Column("role", sa.String(length=16), nullable=False),
        sa.Column("created_by_id", sa.Integer(), nullable=True),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.Column("expires_at", UtcDateTime(), nullable=False),
        sa.Column("used_at", UtcDateTime(), nullable=True),
        sa.Column("shown_until", UtcDateTime(), nullable=True),
        sa.ForeignKeyConstraint(
            ["created_by_id"], ["users.id"], name=op.f("fk_links_created_by_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_links")),
        sa.UniqueConstraint("public_id", name=op.f("uq_links_public_id")),
        sa.UniqueConstraint("token_hash", name=op.f("uq_links_token_hash")),
    )
    op.create_table(
        "sessions",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("user_id", sa.Integer(), nullable=False),
        sa.Column("way", sa.String(length=16), nullable=False),
        sa.Column("device", sa.String(length=80), nullable=False),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.Column("confirmed_at", UtcDateTime(), nullable=False),
        sa.Column("last_seen_on", sa.Date(), nullable=False),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("fk_sessions_user_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_sessions")),
    )
    op.create_index(op.f("ix_sessions_user_id"), "sessions", ["user_id"])


def _make_events() -> None:
    op.create_table(
        "events",
        sa.Column("id", BIG, nullable=False),
        sa.Column("public_id", sa.Uuid(), nullable=False),
        sa.Column("event", sa.String(length=40), nullable=False),
        sa.Column("asset_id", sa.Integer(), nullable=True),
        sa.Column("asset_tag", sa.String(length=40), nullable=False),
        sa.Column("asset_name", sa.String(length=120), nullable=False),
        sa.Column("occurred_at", UtcDateTime(), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.Column("is_test", sa.Boolean(), nullable=False),
        sa.Column("request_id", sa.String(length=16), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_events")),
        sa.UniqueConstraint("public_id", name=op.f("uq_events_public_id")),
        sqlite_autoincrement=True,
    )


def _make_audit() -> None:
    op.create_table(
        "audit_entries",
        sa.Column("id", BIG, nullable=False),
        sa.Column("at", UtcDateTime(), nullable=False),
        sa.Column("actor_id", sa.Integer(), nullable=True),
        sa.Column("actor_name", sa.String(length=120), nullable=False),
        sa.Column("origin", sa.String(length=16), nullable=False),
        sa.Column("action", sa.String(length=64), nullable=False),
        sa.Column("target_kind", sa.String(length=32), nullable=False),
        sa.Column("target_id", sa.String(length=64), nullable=False),
        sa.Column("target_name", sa.String(length=254), nullable=False),
        sa.Column("changes", sa.JSON(), nullable=False),
        sa.ForeignKeyConstraint(["actor_id"], ["users.id"], name=op.f("fk_audit_entries_actor_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_audit_entries")),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_audit_entries_actor_id_id", "audit_entries", ["actor_id", "id"])
    op.create_index("ix_audit_entries_at", "audit_entries", ["at"])
    op.create_index(
        "ix_audit_entries_target_kind_target_id_id",
        "audit_entries",
        ["target_kind", "target_id", "id"],
    )
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


def _make_webhooks() -> None:
    op.create_table(
        "webhooks",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("public_id", sa.Uuid(), nullable=False),
        sa.Column("kind", sa.String(length=8), nullable=False),
        sa.Column("name", sa.String(length=120), nullable=False),
        sa.Column("url", sa.String(length=2048), nullable=False),
        sa.Column("url_is_secret", sa.Boolean(), nullable=False),
        sa.Column("state", sa.String(length=8), nullable=False),
        sa.Column("off_reason", sa.String(length=16), nullable=True),
        sa.Column("off_at", UtcDateTime(), nullable=True),
        sa.Column("secret_enc", sa.LargeBinary(), nullable=True),
        sa.Column("secret_hint", sa.String(length=4), nullable=False),
        sa.Column("secret_set_at", UtcDateTime(), nullable=True),
        sa.Column("secret_shown_until", UtcDateTime(), nullable=True),
        sa.Column("secret_made_by_id", sa.Integer(), nullable=True),
        sa.Column("old_secret_enc", sa.LargeBinary(), nullable=True),
        sa.Column("old_until", UtcDateTime(), nullable=True),
        sa.Column("headers_enc", sa.LargeBinary(), nullable=True),
        sa.Column("in_order", sa.Boolean(), nullable=False),
        sa.Column("throttled", sa.Boolean(), nullable=False),
        sa.Column("backoff_seconds", sa.Integer(), nullable=False),
        sa.Column("backoff_until", UtcDateTime(), nullable=True),
        sa.Column("reopened_at", UtcDateTime(), nullable=True),
        sa.Column("failures_in_row", sa.Integer(), nullable=False),
        sa.Column("failing_since", UtcDateTime(), nullable=True),
        sa.Column("stopped_for", sa.Integer(), server_default="0", nullable=False),
        sa.Column("last_delivered_at", UtcDateTime(), nullable=True),
        sa.Column("owner_id", sa.Integer(), nullable=True),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.Column("updated_at", UtcDateTime(), nullable=False),
        sa.Column("deleted_at", UtcDateTime(), nullable=True),
        sa.Column("draft_of", sa.Uuid(), nullable=True),
        sa.Column("draft_form", sa.JSON(), nullable=True),
        sa.ForeignKeyConstraint(["owner_id"], ["users.id"], name=op.f("fk_webhooks_owner_id")),
        sa.ForeignKeyConstraint(
            ["secret_made_by_id"], ["users.id"], name=op.f("fk_webhooks_secret_made_by_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_webhooks")),
        sa.UniqueConstraint("public_id", name=op.f("uq_webhooks_public_id")),
        sqlite_autoincrement=True,
    )
    _partial_index(
        "uq_webhooks_name",
        "webhooks",
        [sa.text("lower(name)")],
        unique=True,
        where="deleted_at IS NULL AND state <> 'draft'",
    )
    op.create_table(
        "inbox_messages",
        sa.Column("id", BIG, nullable=False),
        sa.Column("webhook_id", sa.Integer(), nullable=False),
        sa.Column("received_at", UtcDateTime(), nullable=False),
        sa.Column("headers", sa.JSON(), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.Column("legacy", sa.String(length=8), nullable=False),
        sa.Column("standard", sa.String(length=8), nullable=False),
        sa.ForeignKeyConstraint(
            ["webhook_id"],
            ["webhooks.id"],
            name=op.f("fk_inbox_messages_webhook_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_inbox_messages")),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_inbox_messages_received_at", "inbox_messages", ["received_at"])
    op.create_index("ix_inbox_messages_webhook_id_id", "inbox_messages", ["webhook_id", "id"])
    op.create_table(
        "notices",
        sa.Column("webhook_id", sa.Integer(), nullable=False),
        sa.Column("told", sa.String(length=10), nullable=False),
        sa.Column("told_at", UtcDateTime(), nullable=False),
        sa.ForeignKeyConstraint(
            ["webhook_id"], ["webhooks.id"], name=op.f("fk_notices_webhook_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("webhook_id", name=op.f("pk_notices")),
    )
    op.create_table(
        "webhook_events",
        sa.Column("webhook_id", sa.Integer(), nullable=False),
        sa.Column("event", sa.String(length=40), nullable=False),
        sa.ForeignKeyConstraint(
            ["webhook_id"],
            ["webhooks.id"],
            name=op.f("fk_webhook_events_webhook_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("webhook_id", "event", name=op.f("pk_webhook_events")),
    )
    op.create_index("ix_webhook_events_event", "webhook_events", ["event", "webhook_id"])


def _make_assets() -> None:
    op.create_table(
        "categories",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("public_id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.String(length=120), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_categories")),
        sa.UniqueConstraint("public_id", name=op.f("uq_categories_public_id")),
    )
    op.create_index("uq_categories_name", "categories", [sa.text("lower(name)")], unique=True)
    op.create_table(
        "counters",
        sa.Column("name", sa.String(length=32), nullable=False),
        sa.Column("value", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_counters")),
    )
    op.create_table(
        "locations",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("public_id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.String(length=120), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_locations")),
        sa.UniqueConstraint("public_id", name=op.f("uq_locations_public_id")),
    )
    op.create_index("uq_locations_name", "locations", [sa.text("lower(name)")], unique=True)
    op.create_table(
        "assets",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("asset_tag", sa.String(length=40), nullable=False),
        sa.Column("name", sa.String(length=120), nullable=False),
        sa.Column("kind", sa.String(length=8), nullable=False),
        sa.Column("category_id", sa.Integer(), nullable=True),
        sa.Column("manufacturer", sa.String(length=120), nullable=True),
        sa.Column("model", sa.String(length=120), nullable=True),
        sa.Column("serial_number", sa.String(length=120), nullable=True),
        sa.Column("status", sa.String(length=16), nullable=False),
        sa.Column("condition", sa.String(length=16), nullable=False),
        sa.Column("location_id", sa.Integer(), nullable=True),
        sa.Column("supplier", sa.String(length=120), nullable=True),
        sa.Column("order_number", sa.String(length=120), nullable=True),
        sa.Column("purchase_date", sa.Date(), nullable=True),
        sa.Column("purchase_cost", sa.Numeric(precision=12, scale=2), nullable=True),
        sa.Column("warranty_expires", sa.Date(), nullable=True),
        sa.Column("reservable", sa.Boolean(), nullable=False),
        sa.Column("quantity", sa.Integer(), nullable=True),
        sa.Column("min_quantity", sa.Integer(), nullable=True),
        sa.Column("unit", sa.String(length=40), nullable=True),
        sa.Column("low_stock_alerted_at", UtcDateTime(), nullable=True),
        sa.Column("notes", sa.Text(), nullable=True),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.Column("updated_at", UtcDateTime(), nullable=False),
        sa.Column("deleted_at", UtcDateTime(), nullable=True),
        sa.CheckConstraint("purchase_cost >= 0", name=op.f("ck_assets_purchase_cost")),
        sa.CheckConstraint("quantity >= 0", name=op.f("ck_assets_quantity")),
        sa.ForeignKeyConstraint(
            ["category_id"], ["categories.id"], name=op.f("fk_assets_category_id")
        ),
        sa.ForeignKeyConstraint(
            ["location_id"], ["locations.id"], name=op.f("fk_assets_location_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_assets")),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_assets_asset_tag", "assets", [sa.text("lower(asset_tag)")])
    op.create_index(
        "ix_assets_category_id_id", "assets", ["category_id", "id", "status", "deleted_at"]
    )
    _partial_index("ix_assets_deleted_id", "assets", ["id"], where="deleted_at IS NOT NULL")
    op.create_index(
        "ix_assets_location_id_id", "assets", ["location_id", "id", "status", "deleted_at"]
    )
    _partial_index(
        "ix_assets_low_id",
        "assets",
        ["id"],
        where="deleted_at IS NULL AND min_quantity IS NOT NULL AND quantity < min_quantity",
    )
    op.create_index("ix_assets_name_id", "assets", [sa.text("lower(name)"), "id"])
    _partial_index(
        "ix_assets_no_serial_id",
        "assets",
        ["id"],
        where="deleted_at IS NULL AND serial_number IS NULL",
    )
    _partial_index("ix_assets_status_id", "assets", ["status", "id"], where="deleted_at IS NULL")
    _partial_index(
        "ix_assets_status_name",
        "assets",
        ["status", sa.text("lower(name)"), "id"],
        where="deleted_at IS NULL",
    )
    op.create_index("ix_assets_updated_at_id", "assets", ["updated_at", "id"])
    _partial_index(
        "ix_assets_warranty_expires",
        "assets",
        ["warranty_expires"],
        where="deleted_at IS NULL AND warranty_expires IS NOT NULL",
    )
    _partial_index(
        "uq_assets_asset_tag",
        "assets",
        [sa.text("lower(asset_tag)")],
        unique=True,
        where="deleted_at IS NULL",
    )
    _partial_index(
        "uq_assets_serial_number",
        "assets",
        [sa.text("lower(serial_number)")],
        unique=True,
        where="deleted_at IS NULL AND serial_number IS NOT NULL",
    )
    op.create_table(
        "activities",
        sa.Column("id", BIG, nullable=False),
        sa.Column("asset_id", sa.Integer(), nullable=False),
        sa.Column("at", UtcDateTime(), nullable=False),
        sa.Column("actor_id", sa.Integer(), nullable=True),
        sa.Column("actor_name", sa.String(length=120), nullable=False),
        sa.Column("origin", sa.String(length=16), nullable=False),
        sa.Column("action", sa.String(length=40), nullable=False),
        sa.Column("status_from", sa.String(length=16), nullable=True),
        sa.Column("status_to", sa.String(length=16), nullable=True),
        sa.Column("changes", sa.JSON(), nullable=False),
        sa.Column("note", sa.Text(), nullable=False),
        sa.Column("event_id", BIG, nullable=True),
        sa.ForeignKeyConstraint(["actor_id"], ["users.id"], name=op.f("fk_activities_actor_id")),
        sa.ForeignKeyConstraint(["asset_id"], ["assets.id"], name=op.f("fk_activities_asset_id")),
        sa.ForeignKeyConstraint(
            ["event_id"], ["events.id"], name=op.f("fk_activities_event_id"), ondelete="SET NULL"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_activities")),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_activities_asset_id_id", "activities", ["asset_id", "id"])
    op.create_index("ix_activities_event_id", "activities", ["event_id"])
    op.create_table(
        "stock_moves",
        sa.Column("id", BIG, nullable=False),
        sa.Column("public_id", sa.Uuid(), nullable=False),
        sa.Column("asset_id", sa.Integer(), nullable=False),
        sa.Column("kind", sa.String(length=8), nullable=False),
        sa.Column("delta", sa.Integer(), nullable=False),
        sa.Column("balance_after", sa.Integer(), nullable=False),
        sa.Column("at", UtcDateTime(), nullable=False),
        sa.Column("actor_id", sa.Integer(), nullable=True),
        sa.Column("actor_name", sa.String(length=120), nullable=False),
        sa.Column("note", sa.Text(), nullable=False),
        sa.CheckConstraint("balance_after >= 0", name=op.f("ck_stock_moves_balance_after")),
        sa.ForeignKeyConstraint(["actor_id"], ["users.id"], name=op.f("fk_stock_moves_actor_id")),
        sa.ForeignKeyConstraint(["asset_id"], ["assets.id"], name=op.f("fk_stock_moves_asset_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_stock_moves")),
        sa.UniqueConstraint("public_id", name=op.f("uq_stock_moves_public_id")),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_stock_moves_asset_id_id", "stock_moves", ["asset_id", "id"])


def _make_tasks() -> None:
    op.create_table(
        "import_matches",
        sa.Column("headings", sa.String(length=64), nullable=False),
        sa.Column("matches", sa.JSON(), nullable=False),
        sa.Column("words", sa.JSON(), nullable=False),
        sa.Column("used_at", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("headings", name=op.f("pk_import_matches")),
    )
    op.create_index(op.f("ix_import_matches_used_at"), "import_matches", ["used_at"])
    op.create_table(
        "tasks",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("public_id", sa.Uuid(), nullable=False),
        sa.Column("kind", sa.String(length=40), nullable=False),
        sa.Column("state", sa.String(length=10), nullable=False),
        sa.Column("params", sa.JSON(), nullable=False),
        sa.Column("cursor", sa.JSON(), nullable=False),
        sa.Column("total", sa.Integer(), nullable=False),
        sa.Column("done", sa.Integer(), nullable=False),
        sa.Column("counts", sa.JSON(), nullable=False),
        sa.Column("due_at", UtcDateTime(), nullable=False),
        sa.Column("lease_token", sa.Uuid(), nullable=True),
        sa.Column("lease_until", UtcDateTime(), nullable=True),
        sa.Column("run", sa.Uuid(), nullable=True),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.Column("error", sa.Text(), nullable=False),
        sa.Column("actor_kind", sa.String(length=10), nullable=False),
        sa.Column("actor_id", sa.Integer(), nullable=True),
        sa.Column("actor_name", sa.String(length=120), nullable=False),
        sa.Column("origin", sa.String(length=16), nullable=False),
        sa.Column("stopped_by", sa.String(length=120), nullable=True),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.Column("started_at", UtcDateTime(), nullable=True),
        sa.Column("finished_at", UtcDateTime(), nullable=True),
        sa.ForeignKeyConstraint(["actor_id"], ["users.id"], name=op.f("fk_tasks_actor_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_tasks")),
        sa.UniqueConstraint("public_id", name=op.f("uq_tasks_public_id")),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_tasks_created_at", "tasks", ["created_at"])
    _partial_index("ix_tasks_due", "tasks", ["due_at"], where="state IN ('waiting', 'running')")
    op.create_table(
        "task_rows",
        sa.Column("task_id", sa.Integer(), nullable=False),
        sa.Column("number", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("data", sa.JSON(), nullable=False),
        sa.Column("outcome", sa.String(length=12), nullable=True),
        sa.Column("message", sa.Text(), nullable=False),
        sa.Column("asset_id", sa.Integer(), nullable=True),
        sa.ForeignKeyConstraint(
            ["task_id"], ["tasks.id"], name=op.f("fk_task_rows_task_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("task_id", "number", name=op.f("pk_task_rows")),
    )
    op.create_index(
        "ix_task_rows_task_id_outcome_number", "task_rows", ["task_id", "outcome", "number"]
    )


def _make_deliveries() -> None:
    op.create_table(
        "leases",
        sa.Column("delivery_id", BIG, autoincrement=False, nullable=False),
        sa.Column("webhook_id", sa.Integer(), nullable=False),
        sa.Column("token", sa.Uuid(), nullable=False),
        sa.Column("until", UtcDateTime(), nullable=False),
        sa.Column("run", sa.Uuid(), nullable=True),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("kind", sa.String(length=10), nullable=False),
        sa.Column("actor", sa.String(length=120), nullable=True),
        sa.Column("url", sa.String(length=2048), nullable=False),
        sa.Column("started_at", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("delivery_id", name=op.f("pk_leases")),
        postgresql_with={"autovacuum_vacuum_scale_factor": 0, "autovacuum_vacuum_threshold": 1000},
    )
    op.create_index("ix_leases_webhook_id", "leases", ["webhook_id"])
    op.create_table(
        "batch_rows",
        sa.Column("task_id", sa.Integer(), nullable=False),
        sa.Column("delivery_id", BIG, autoincrement=False, nullable=False),
        sa.Column("webhook_id", sa.Integer(), nullable=False),
        sa.Column("outcome", sa.String(length=12), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("message", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["task_id"], ["tasks.id"], name=op.f("fk_batch_rows_task_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("task_id", "delivery_id", name=op.f("pk_batch_rows")),
    )
    op.create_index(
        "ix_batch_rows_next", "batch_rows", ["task_id", "outcome", "webhook_id", "delivery_id"]
    )
    op.create_table(
        "deliveries",
        sa.Column("id", BIG, nullable=False),
        sa.Column("public_id", sa.Uuid(), nullable=False),
        sa.Column("event_id", BIG, nullable=False),
        sa.Column("webhook_id", sa.Integer(), nullable=False),
        sa.Column("event", sa.String(length=40), nullable=False),
        sa.Column("asset_id", sa.Integer(), nullable=True),
        sa.Column("status", sa.String(length=10), nullable=False),
        sa.Column("priority", sa.Integer(), nullable=False),
        sa.Column("due_at", UtcDateTime(), nullable=False),
        sa.Column("tries", sa.Integer(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("prior_status", sa.String(length=10), nullable=True),
        sa.Column("prior_due_at", UtcDateTime(), nullable=True),
        sa.Column("requested_by", sa.String(length=120), nullable=True),
        sa.Column("stopped_by", sa.String(length=120), nullable=True),
        sa.Column("reason", sa.String(length=20), nullable=True),
        sa.Column("code", sa.Integer(), nullable=True),
        sa.Column("took_ms", sa.Integer(), nullable=True),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.Column("finished_at", UtcDateTime(), nullable=True),
        sa.ForeignKeyConstraint(["event_id"], ["events.id"], name=op.f("fk_deliveries_event_id")),
        sa.ForeignKeyConstraint(
            ["webhook_id"], ["webhooks.id"], name=op.f("fk_deliveries_webhook_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_deliveries")),
        sa.UniqueConstraint(
            "event_id", "webhook_id", name=op.f("uq_deliveries_event_id_webhook_id")
        ),
        sa.UniqueConstraint("public_id", name=op.f("uq_deliveries_public_id")),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_deliveries_asset_id_id", "deliveries", ["asset_id", "id"])
    op.create_index("ix_deliveries_by_event", "deliveries", ["event", "id"])
    op.create_index("ix_deliveries_code_id", "deliveries", ["code", "id"])
    op.create_index("ix_deliveries_created_at", "deliveries", ["created_at"])
    op.create_index("ix_deliveries_reason_id", "deliveries", ["reason", "id"])
    op.create_index("ix_deliveries_status_id", "deliveries", ["status", "id"])
    op.create_index("ix_deliveries_webhook_id_id", "deliveries", ["webhook_id", "id"])
    op.create_index(
        "ix_deliveries_webhook_id_status_id", "deliveries", ["webhook_id", "status", "id"]
    )
    # Created last, because SQLite takes the newest of two indexes that serve a query equally well.
    # These contain only open or failed rows.
    _partial_index(
        "ix_deliveries_due",
        "deliveries",
        ["webhook_id", "priority", "due_at", "id"],
        where="status IN ('waiting', 'retrying')",
    )
    _partial_index(
        "ix_deliveries_failures",
        "deliveries",
        ["webhook_id", "reason", "finished_at", "id", "code"],
        where="status = 'failed' AND priority <> 0",
    )
    _partial_index(
        "ix_deliveries_order",
        "deliveries",
        ["webhook_id", "id"],
        where="status IN ('waiting', 'retrying')",
    )
    op.create_table(
        "dismissals",
        sa.Column("webhook_id", sa.Integer(), nullable=False),
        sa.Column("reason", sa.String(length=20), nullable=False),
        sa.Column("until", UtcDateTime(), nullable=False),
        sa.Column("since", UtcDateTime(), nullable=True),
        sa.Column("dismissed_at", UtcDateTime(), nullable=True),
        sa.Column("actor_id", sa.Integer(), nullable=True),
        sa.ForeignKeyConstraint(
            ["webhook_id"],
            ["webhooks.id"],
            name=op.f("fk_dismissals_webhook_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("webhook_id", "reason", name=op.f("pk_dismissals")),
    )
    op.create_table(
        "rollups",
        sa.Column("hour", UtcDateTime(), nullable=False),
        sa.Column("webhook_id", sa.Integer(), nullable=False),
        sa.Column("delivered", sa.Integer(), nullable=False),
        sa.Column("failed", sa.Integer(), nullable=False),
        sa.Column("late", sa.Integer(), nullable=False),
        sa.Column("failed_attempts", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(
            ["webhook_id"], ["webhooks.id"], name=op.f("fk_rollups_webhook_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("hour", "webhook_id", name=op.f("pk_rollups")),
    )
    op.create_index("ix_rollups_webhook_id_hour", "rollups", ["webhook_id", "hour"])
    op.create_table(
        "attempts",
        sa.Column("id", BIG, nullable=False),
        sa.Column("delivery_id", BIG, nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("kind", sa.String(length=10), nullable=False),
        sa.Column("actor", sa.String(length=120), nullable=True),
        sa.Column("url", sa.String(length=2048), nullable=False),
        sa.Column("outcome", sa.String(length=12), nullable=False),
        sa.Column("reason", sa.String(length=20), nullable=True),
        sa.Column("code", sa.Integer(), nullable=True),
        sa.Column("phases", sa.JSON(), nullable=True),
        sa.Column("peer", sa.String(length=64), nullable=True),
        sa.Column("certificate_ends_at", UtcDateTime(), nullable=True),
        sa.Column("started_at", UtcDateTime(), nullable=False),
        sa.Column("finished_at", UtcDateTime(), nullable=True),
        *_on_sqlite(
            sa.ForeignKeyConstraint(
                ["delivery_id"], ["deliveries.id"], name=op.f("fk_attempts_delivery_id")
            )
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_attempts")),
        sa.UniqueConstraint("delivery_id", "number", name=op.f("uq_attempts_delivery_id_number")),
        sqlite_autoincrement=True,
    )
    _partial_index(
        "ix_attempts_failures",
        "attempts",
        ["finished_at", "delivery_id"],
        where="outcome = 'failed'",
    )
    op.create_table(
        "dismissed_deliveries",
        sa.Column("delivery_id", BIG, autoincrement=False, nullable=False),
        sa.Column("at", UtcDateTime(), nullable=False),
        sa.Column("actor_id", sa.Integer(), nullable=True),
        sa.ForeignKeyConstraint(
            ["delivery_id"],
            ["deliveries.id"],
            name=op.f("fk_dismissed_deliveries_delivery_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("delivery_id", name=op.f("pk_dismissed_deliveries")),
    )
    op.create_table(
        "attempt_bodies",
        sa.Column("attempt_id", BIG, autoincrement=False, nullable=False),
        sa.Column("request_headers", sa.JSON(), nullable=False),
        sa.Column("response_headers", sa.JSON(), nullable=False),
        sa.Column("response_text", sa.Text(), nullable=False),
        sa.Column("is_truncated", sa.Boolean(), nullable=False),
        sa.Column("location", sa.Text(), nullable=True),
        sa.Column("detail", sa.Text(), nullable=False),
        *_on_sqlite(
            sa.ForeignKeyConstraint(
                ["attempt_id"],
                ["attempts.id"],
                name=op.f("fk_attempt_bodies_attempt_id"),
                ondelete="CASCADE",
            )
        ),
        sa.PrimaryKeyConstraint("attempt_id", name=op.f("pk_attempt_bodies")),
    )


def _make_assignments() -> None:
    op.create_table(
        "staff",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("public_id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.String(length=120), nullable=False),
        sa.Column("email", sa.String(length=254), nullable=False),
        sa.Column("employee_no", sa.String(length=40), nullable=True),
        sa.Column("department", sa.String(length=120), nullable=True),
        sa.Column("phone", sa.String(length=40), nullable=True),
        sa.Column("is_active", sa.Boolean(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_staff")),
        sa.UniqueConstraint("public_id", name=op.f("uq_staff_public_id")),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_staff_name_id", "staff", [sa.text("lower(name)"), "id"])
    op.create_index("uq_staff_email", "staff", [sa.text("lower(email)")], unique=True)
    op.create_table(
        "assignments",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("asset_id", sa.Integer(), nullable=False),
        sa.Column("staff_id", sa.Integer(), nullable=False),
        sa.Column("kind", sa.String(length=12), nullable=False),
        sa.Column("started_at", UtcDateTime(), nullable=False),
        sa.Column("due_at", UtcDateTime(), nullable=True),
        sa.Column("ended_at", UtcDateTime(), nullable=True),
        sa.Column("end_reason", sa.String(length=40), nullable=True),
        sa.Column("location", sa.JSON(none_as_null=True), nullable=True),
        sa.Column("condition_out", sa.String(length=16), nullable=False),
        sa.Column("condition_in", sa.String(length=16), nullable=True),
        sa.Column("purpose", sa.String(length=200), nullable=False),
        sa.Column("notes", sa.Text(), nullable=False),
        sa.Column("reservation_id", sa.Integer(), nullable=True),
        sa.ForeignKeyConstraint(["asset_id"], ["assets.id"], name=op.f("fk_assignments_asset_id")),
        sa.ForeignKeyConstraint(["staff_id"], ["staff.id"], name=op.f("fk_assignments_staff_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_assignments")),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_assignments_asset_id_id", "assignments", ["asset_id", "id"])
    _partial_index(
        "ix_assignments_due_at",
        "assignments",
        ["due_at", "asset_id"],
        where="ended_at IS NULL AND due_at IS NOT NULL",
    )
    _partial_index(
        "ix_assignments_holding", "assignments", ["staff_id", "asset_id"], where="ended_at IS NULL"
    )
    op.create_index(op.f("ix_assignments_staff_id"), "assignments", ["staff_id"])
    _partial_index(
        "uq_assignments_open", "assignments", ["asset_id"], unique=True, where="ended_at IS NULL"
    )
    op.create_table(
        "incidents",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("asset_id", sa.Integer(), nullable=False),
        sa.Column("kind", sa.String(length=12), nullable=False),
        sa.Column("at", UtcDateTime(), nullable=False),
        sa.Column("status_from", sa.String(length=16), nullable=False),
        sa.Column("details", sa.JSON(), nullable=False),
        sa.Column("closed_at", UtcDateTime(), nullable=True),
        sa.ForeignKeyConstraint(["asset_id"], ["assets.id"], name=op.f("fk_incidents_asset_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_incidents")),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_incidents_asset_id_id", "incidents", ["asset_id", "id"])


def _make_planning() -> None:
    op.create_table(
        "maintenances",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("public_id", sa.Uuid(), nullable=False),
        sa.Column("asset_id", sa.Integer(), nullable=False),
        sa.Column("title", sa.String(length=120), nullable=False),
        sa.Column("type", sa.String(length=16), nullable=False),
        sa.Column("due_on", sa.Date(), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("repeat_every_days", sa.Integer(), nullable=True),
        sa.Column("assignee_id", sa.Integer(), nullable=True),
        sa.Column("supplier", sa.String(length=120), nullable=True),
        sa.Column("estimated_cost", sa.Numeric(precision=12, scale=2), nullable=True),
        sa.Column("status_before", sa.String(length=16), nullable=True),
        sa.Column("started_at", UtcDateTime(), nullable=True),
        sa.Column("completed_on", sa.Date(), nullable=True),
        sa.Column("outcome", sa.String(length=16), nullable=True),
        sa.Column("cost", sa.Numeric(precision=12, scale=2), nullable=True),
        sa.Column("performed_by_id", sa.Integer(), nullable=True),
        sa.Column("note", sa.String(length=1000), nullable=False),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.Column("closed_at", UtcDateTime(), nullable=True),
        sa.CheckConstraint("estimated_cost >= 0 AND cost >= 0", name=op.f("ck_maintenances_costs")),
        sa.CheckConstraint("repeat_every_days > 0", name=op.f("ck_maintenances_repeat")),
        sa.ForeignKeyConstraint(["asset_id"], ["assets.id"], name=op.f("fk_maintenances_asset_id")),
        sa.ForeignKeyConstraint(
            ["assignee_id"], ["staff.id"], name=op.f("fk_maintenances_assignee_id")
        ),
        sa.ForeignKeyConstraint(
            ["performed_by_id"], ["staff.id"], name=op.f("fk_maintenances_performed_by_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_maintenances")),
        sa.UniqueConstraint("public_id", name=op.f("uq_maintenances_public_id")),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_maintenances_asset_id_id", "maintenances", ["asset_id", "id"])
    op.create_index(op.f("ix_maintenances_assignee_id"), "maintenances", ["assignee_id"])
    op.create_index(op.f("ix_maintenances_performed_by_id"), "maintenances", ["performed_by_id"])
    _partial_index(
        "ix_maintenances_planned",
        "maintenances",
        ["due_on", "id"],
        where="state IN ('scheduled', 'in_progress')",
    )
    op.create_index("ix_maintenances_state_id", "maintenances", ["state", "id"])
    _partial_index(
        "uq_maintenances_being_done",
        "maintenances",
        ["asset_id"],
        unique=True,
        where="state = 'in_progress'",
    )
    op.create_table(
        "reservations",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("public_id", sa.Uuid(), nullable=False),
        sa.Column("asset_id", sa.Integer(), nullable=False),
        sa.Column("staff_id", sa.Integer(), nullable=False),
        sa.Column("starts_at", UtcDateTime(), nullable=False),
        sa.Column("ends_at", UtcDateTime(), nullable=False),
        sa.Column("purpose", sa.String(length=200), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("decided_by_id", sa.Integer(), nullable=True),
        sa.Column("decided_at", UtcDateTime(), nullable=True),
        sa.Column("reason", sa.String(length=200), nullable=False),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.Column("closed_at", UtcDateTime(), nullable=True),
        sa.CheckConstraint("starts_at < ends_at", name=op.f("ck_reservations_times")),
        sa.ForeignKeyConstraint(["asset_id"], ["assets.id"], name=op.f("fk_reservations_asset_id")),
        sa.ForeignKeyConstraint(
            ["decided_by_id"], ["users.id"], name=op.f("fk_reservations_decided_by_id")
        ),
        sa.ForeignKeyConstraint(["staff_id"], ["staff.id"], name=op.f("fk_reservations_staff_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_reservations")),
        sa.UniqueConstraint("public_id", name=op.f("uq_reservations_public_id")),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_reservations_asset_id_id", "reservations", ["asset_id", "id"])
    op.create_index(op.f("ix_reservations_staff_id"), "reservations", ["staff_id"])
    op.create_index("ix_reservations_state_id", "reservations", ["state", "id"])
    _partial_index(
        "ix_reservations_wanted",
        "reservations",
        ["ends_at"],
        where="state IN ('pending', 'approved')",
    )


def _make_alerts() -> None:
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
        sa.Column("audiences", sa.JSON(), nullable=False),
        sa.Column("waiting", sa.Integer(), nullable=False),
        sa.Column("task_public_id", sa.Uuid(), nullable=True),
        sa.Column("actor_name", sa.String(length=120), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_alert_runs")),
        sa.UniqueConstraint("slot", name=op.f("uq_alert_runs_slot")),
        sqlite_autoincrement=True,
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
    _partial_index("ix_alerts_standing", "alerts", ["asset_id", "id"], where="resolved_at IS NULL")


def _make_operations() -> None:
    op.create_table(
        "key_checks",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("sealed", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_key_checks")),
    )
    op.create_table(
        "processes",
        sa.Column("name", sa.String(length=120), nullable=False),
        sa.Column("kind", sa.String(length=32), nullable=False),
        sa.Column("host", sa.String(length=120), nullable=False),
        sa.Column("pid", sa.Integer(), nullable=True),
        sa.Column("started_at", UtcDateTime(), nullable=False),
        sa.Column("seen_at", UtcDateTime(), nullable=False),
        sa.Column("trouble", sa.Text(), nullable=True),
        sa.Column("skew", sa.Double(), nullable=False),
        sa.Column("offline_since", UtcDateTime(), nullable=True),
        sa.Column("offline_hosts", sa.Text(), nullable=True),
        sa.Column("run", sa.Uuid(), nullable=True),
        sa.Column("steady_since", UtcDateTime(), nullable=True),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_processes")),
    )
    op.create_index(op.f("ix_processes_kind"), "processes", ["kind"])
    op.create_table(
        "submissions",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("owner", sa.String(length=80), nullable=False),
        sa.Column("once", sa.Uuid(), nullable=False),
        sa.Column("result_path", sa.Text(), nullable=False),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_submissions")),
        sa.UniqueConstraint("owner", "once", name=op.f("uq_submissions_owner_once")),
    )
    op.create_index(op.f("ix_submissions_created_at"), "submissions", ["created_at"])
    op.create_table(
        "sending_switch",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("stopped_at", UtcDateTime(), nullable=False),
        sa.Column("stopped_by", sa.String(length=120), nullable=False),
        sa.Column("stopped_by_id", sa.Integer(), nullable=True),
        sa.CheckConstraint("id = 1", name=op.f("ck_sending_switch_one_row")),
        sa.ForeignKeyConstraint(
            ["stopped_by_id"], ["users.id"], name=op.f("fk_sending_switch_stopped_by_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_sending_switch")),
    )


def _keep_append_only_on_sqlite() -> None:
    for table, (rows, unique, *_) in APPEND_ONLY.items():
        is_same = " OR ".join(f"{column} = NEW.{column}" for column in unique)
        there = f"SELECT 1 FROM {table} WHERE {is_same}"  # noqa: S608 - our own names
        allowed = _allowed(table, "IS", "{0}", _written_out)
        for name, when, verb in (
            ("update", f"UPDATE{_watched(table)} ON {table} WHEN NOT ({allowed})", "changed"),
            ("delete", f"DELETE ON {table}", "removed"),
            # `INSERT OR REPLACE` removes a row without firing the trigger above.
            ("replace", f"INSERT ON {table} WHEN EXISTS ({there})", "replaced"),
        ):
            op.execute(
                f"CREATE TRIGGER {table}_no_{name} BEFORE {when} "
                f"BEGIN SELECT RAISE(ABORT, '{rows} cannot be {verb}'); END"
            )


def _keep_append_only_on_postgresql() -> None:
    for function, condition in POSTGRESQL_FUNCTIONS.items():
        op.execute(
            f"CREATE FUNCTION {function} RETURNS boolean LANGUAGE sql STABLE AS "  # noqa: S608
            f"$$ SELECT EXISTS (SELECT 1 FROM erasures WHERE finished_at IS NULL "
            f"AND {condition}) $$"
        )
    for table, (rows, *_) in APPEND_ONLY.items():
        allowed = _allowed(table, "IS NOT DISTINCT FROM", "{0}::text", _called)
        refuse = f"EXECUTE FUNCTION {table}_refuse()"
        for statement in (
            f"CREATE FUNCTION {table}_refuse() RETURNS trigger LANGUAGE plpgsql AS "
            f"$$ BEGIN RAISE EXCEPTION '{rows} cannot be changed or removed'; END $$",
            f"CREATE TRIGGER {table}_no_delete BEFORE DELETE OR TRUNCATE ON {table} "
            f"FOR EACH STATEMENT {refuse}",
            f"CREATE TRIGGER {table}_no_update BEFORE UPDATE{_watched(table)} ON {table} "
            f"FOR EACH ROW WHEN (NOT ({allowed})) {refuse}",
        ):
            op.execute(statement)


def _watched(table: str) -> str:
    """Return the columns that the trigger watches, if others can change freely."""
    if table not in HAS_FREE_COLUMNS:
        return ""
    _, _, kept, whole, parts = APPEND_ONLY[table]
    return f" OF {', '.join((*kept, 'actor_name', *whole, *parts))}"


def _allowed(table: str, same: str, text: str, condition: Condition) -> str:
    """Return the SQL condition that a changed row must meet."""
    _, _, kept, whole, parts = APPEND_ONLY[table]
    conditions = [f"NEW.{name} {same} OLD.{name}" for name in kept]
    words = {name: ("erasure_is", (f"NEW.{name}",)) for name in whole}
    words |= {name: ("erasure_in", (text.format(f"NEW.{name}"),)) for name in parts}
    words["actor_name"] = ("erasure_of", ("NEW.actor_name", "OLD.actor_id"))
    for name, (question, arguments) in words.items():
        old, new = text.format(f"OLD.{name}"), text.format(f"NEW.{name}")
        conditions.append(f"({new} {same} {old} OR {condition(question, arguments)})")
    return " AND ".join(conditions)


def _called(question: str, arguments: tuple[str, ...]) -> str:
    return f"{question}({', '.join(arguments)})"


def _written_out(question: str, arguments: tuple[str, ...]) -> str:
    answer = SQLITE_CONDITIONS[question].format(*arguments)
    return f"EXISTS (SELECT 1 FROM erasures WHERE finished_at IS NULL AND {answer})"  # noqa: S608


def _make_words(words: str, table: str, columns: tuple[str, ...]) -> None:
    """Create a search table without a copy of the texts, and triggers that keep it up to date."""
    old, new, known = (_joined(columns, "char", side) for side in ("OLD.", "NEW.", ""))
    take = f"INSERT INTO {words} ({words}, rowid, words) VALUES ('delete', OLD.id, {old});"  # noqa: S608 - our own names
    put = f"INSERT INTO {words} (rowid, words) VALUES (NEW.id, {new});"  # noqa: S608
    changes = f"AFTER UPDATE OF id, {', '.join(columns)} ON {table}"
    for statement in (
        f"CREATE VIRTUAL TABLE {words}"
        " USING fts5(words, content='', columnsize=0, tokenize='trigram')",
        # Removes a person's former name from the file, along with the name itself.
        f"INSERT INTO {words} ({words}, rank) VALUES ('secure-delete', 1)",  # noqa: S608
        f"INSERT INTO {words} (rowid, words) SELECT id, {known} FROM {table}",  # noqa: S608
        f"CREATE TRIGGER {words}_insert AFTER INSERT ON {table} BEGIN {put} END",
        f"CREATE TRIGGER {words}_delete AFTER DELETE ON {table} BEGIN {take} END",
        f"CREATE TRIGGER {words}_update {changes} WHEN OLD.id <> NEW.id OR {old} <> {new}"
        f" BEGIN {take} {put} END",
    ):
        op.execute(statement)


def _make_search_indexes() -> None:
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
    # The extension can be in a schema outside of this role's search path.
    where = (
        "SELECT quote_ident(nspname) FROM pg_extension"
        " JOIN pg_namespace ON pg_namespace.oid = extnamespace WHERE extname = 'pg_trgm'"
    )
    schema = connection.execute(sa.text(where)).scalar_one()
    for words, (table, columns) in SEARCHED.items():
        # Each search also reads the list of pending entries, so it must be short.
        op.execute(
            f"CREATE INDEX ix_{words} ON {table}"
            f" USING gin (({_joined(columns, 'chr')}) {schema}.gin_trgm_ops)"
            " WITH (gin_pending_list_limit = 256)"
        )
        # The default of 100 samples can't tell apart texts that are rarer than one in a hundred.
        op.execute(f"ALTER INDEX ix_{words} ALTER COLUMN 1 SET STATISTICS 1000")


def _joined(columns: tuple[str, ...], sign: str, side: str = "") -> str:
    """Join the texts by a character that no one can type, so that no match spans two of them."""
    texts = (f"coalesce({side}{c}, '')" if c in OPTIONAL else f"{side}{c}" for c in columns)
    return f" || {sign}(31) || ".join(texts)
