"""Every heading of the register's list sorts it, along an index; by name, each status has its own
part of one."""

import sqlalchemy as sa
from alembic import op

revision = "0035"
down_revision = "0034"
branch_labels = None
depends_on = None

# In the order of their ids, and with what the list asks of most rows: none is opened in vain.
GROUPED = {"category_id": "ix_assets_category_id_id", "location_id": "ix_assets_location_id_id"}
HERE = "deleted_at IS NULL"
OPEN = "ended_at IS NULL"
NO_SERIAL = "deleted_at IS NULL AND serial_number IS NULL"


def upgrade() -> None:
    for column, name in GROUPED.items():
        op.create_index(name, "assets", [column, "id", "status", "deleted_at"])
        op.drop_index(f"ix_assets_{column}", "assets")
    op.create_index(
        "ix_assets_status_name",
        "assets",
        ["status", sa.text("lower(name)"), "id"],
        sqlite_where=sa.text(HERE),
        postgresql_where=sa.text(HERE),
    )
    op.create_index(
        "ix_assets_no_serial_id",
        "assets",
        ["id"],
        sqlite_where=sa.text(NO_SERIAL),
        postgresql_where=sa.text(NO_SERIAL),
    )
    op.create_index(
        "ix_assignments_holding",
        "assignments",
        ["staff_id", "asset_id"],
        sqlite_where=sa.text(OPEN),
        postgresql_where=sa.text(OPEN),
    )
    op.create_index("ix_staff_name_id", "staff", [sa.text("lower(name)"), "id"])


def downgrade() -> None:
    op.drop_index("ix_staff_name_id", "staff")
    op.drop_index("ix_assignments_holding", "assignments")
    op.drop_index("ix_assets_no_serial_id", "assets")
    op.drop_index("ix_assets_status_name", "assets")
    for column, name in GROUPED.items():
        op.create_index(f"ix_assets_{column}", "assets", [column])
        op.drop_index(name, "assets")
