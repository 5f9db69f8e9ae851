"""PostgreSQL: attempts, and what came back with them, without foreign keys (docs/adr/0017)."""

from alembic import op

revision = "0040"
down_revision = "0039"
branch_labels = None
depends_on = None

# Name, table, column, table and column that it refers to, what a removal does.
KEYS = (
    ("fk_attempts_delivery_id", "attempts", "delivery_id", "deliveries", "id", None),
    ("fk_attempt_bodies_attempt_id", "attempt_bodies", "attempt_id", "attempts", "id", "CASCADE"),
)


def upgrade() -> None:
    if op.get_bind().dialect.name == "postgresql":
        for name, table, *_ in KEYS:
            op.drop_constraint(name, table, type_="foreignkey")


def downgrade() -> None:
    if op.get_bind().dialect.name == "postgresql":
        for name, table, column, other, key, then in KEYS:
            op.create_foreign_key(name, table, other, [column], [key], ondelete=then)
