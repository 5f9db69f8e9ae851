"""Stock and its moves."""

import sqlalchemy as sa
from alembic import op

from portal.database.engine import UtcDateTime

# SQLite's own row ids need the plain type.
BIG = sa.BigInteger().with_variant(sa.Integer(), "sqlite")

# A balance is the sum of its moves: the database itself refuses to change or remove one.
SQLITE_TRIGGERS = (
    "CREATE TRIGGER stock_moves_no_update BEFORE UPDATE ON stock_moves "
    "BEGIN SELECT RAISE(ABORT, 'moves of stock cannot be changed'); END",
    "CREATE TRIGGER stock_moves_no_delete BEFORE DELETE ON stock_moves "
    "BEGIN SELECT RAISE(ABORT, 'moves of stock cannot be removed'); END",
)
POSTGRESQL_TRIGGERS = (
    "CREATE FUNCTION stock_moves_refuse() RETURNS trigger LANGUAGE plpgsql AS "
    "$$ BEGIN RAISE EXCEPTION 'moves of stock cannot be changed or removed'; END $$",
    "CREATE TRIGGER stock_moves_append_only BEFORE UPDATE OR DELETE OR TRUNCATE "
    "ON stock_moves FOR EACH STATEMENT EXECUTE FUNCTION stock_moves_refuse()",
)

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
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
    on_sqlite = op.get_bind().dialect.name == "sqlite"
    for statement in SQLITE_TRIGGERS if on_sqlite else POSTGRESQL_TRIGGERS:
        op.execute(statement)


def downgrade() -> None:
    op.drop_table("stock_moves")
    if op.get_bind().dialect.name == "postgresql":
        op.execute("DROP FUNCTION stock_moves_refuse()")
