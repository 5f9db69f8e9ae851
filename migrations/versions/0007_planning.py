"""Reservations and maintenance."""

import sqlalchemy as sa
from alembic import op

from portal.database.engine import UtcDateTime

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

IS_WANTED = "state IN ('pending', 'approved')"
IS_PLANNED = "state IN ('scheduled', 'in_progress')"
IS_BEING_DONE = "state = 'in_progress'"


def upgrade() -> None:
    _make_reservations()
    _make_maintenances()


def downgrade() -> None:
    op.drop_table("maintenances")
    op.drop_table("reservations")


def _make_reservations() -> None:
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
        sa.ForeignKeyConstraint(["staff_id"], ["staff.id"], name=op.f("fk_reservations_staff_id")),
        sa.ForeignKeyConstraint(
            ["decided_by_id"], ["users.id"], name=op.f("fk_reservations_decided_by_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_reservations")),
        sa.UniqueConstraint("public_id", name=op.f("uq_reservations_public_id")),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_reservations_asset_id_id", "reservations", ["asset_id", "id"])
    op.create_index("ix_reservations_state_id", "reservations", ["state", "id"])
    op.create_index(op.f("ix_reservations_staff_id"), "reservations", ["staff_id"])
    _make_partial_index("ix_reservations_wanted", "reservations", ["ends_at"], IS_WANTED)


def _make_maintenances() -> None:
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
        sa.CheckConstraint("repeat_every_days > 0", name=op.f("ck_maintenances_repeat")),
        sa.CheckConstraint("estimated_cost >= 0 AND cost >= 0", name=op.f("ck_maintenances_costs")),
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
    op.create_index("ix_maintenances_state_id", "maintenances", ["state", "id"])
    op.create_index(op.f("ix_maintenances_assignee_id"), "maintenances", ["assignee_id"])
    op.create_index(op.f("ix_maintenances_performed_by_id"), "maintenances", ["performed_by_id"])
    _make_partial_index("ix_maintenances_planned", "maintenances", ["due_on", "id"], IS_PLANNED)
    _make_partial_index(
        "uq_maintenances_being_done", "maintenances", ["asset_id"], IS_BEING_DONE, unique=True
    )


def _make_partial_index(
    name: str, table: str, columns: list[str], predicate: str, *, unique: bool = False
) -> None:
    op.create_index(
        name,
        table,
        columns,
        unique=unique,
        sqlite_where=sa.text(predicate),
        postgresql_where=sa.text(predicate),
    )
