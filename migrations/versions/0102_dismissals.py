"""Store the person, time, reason, and action of each delivery's dismissal.

The downgrade creates rows of the earlier tables for failed deliveries. Other deliveries keep only
the name. Reasons and actions of dismissals are lost.
"""

from uuid import uuid4

import sqlalchemy as sa
from alembic import op

from portal.database.engine import UtcDateTime

revision = "0102"
down_revision = "0101"
branch_labels = None
depends_on = None

# SQLite's row ids require the plain integer type.
BIG = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
SYSTEM = "Asset register"
NEW = {
    "dismissed_by": sa.String(length=120),
    "dismissed_at": UtcDateTime(),
    "dismissed_reason": sa.String(length=200),
    "dismissal_id": sa.Uuid(),
}

deliveries = sa.table(
    "deliveries",
    sa.column("id", BIG),
    sa.column("webhook_id", sa.Integer()),
    sa.column("status", sa.String()),
    sa.column("prior_status", sa.String()),
    sa.column("priority", sa.Integer()),
    sa.column("reason", sa.String()),
    sa.column("created_at", UtcDateTime()),
    sa.column("finished_at", UtcDateTime()),
    sa.column("stopped_by", sa.String()),
    *(sa.column(name, kind) for name, kind in NEW.items()),
)
webhooks = sa.table(
    "webhooks", sa.column("id", sa.Integer()), sa.column("deleted_at", UtcDateTime())
)
users = sa.table("users", sa.column("id", sa.Integer()), sa.column("name", sa.String()))
problems = sa.table(
    "dismissals",
    sa.column("webhook_id", sa.Integer()),
    sa.column("reason", sa.String()),
    sa.column("until", UtcDateTime()),
    sa.column("since", UtcDateTime()),
    sa.column("dismissed_at", UtcDateTime()),
    sa.column("actor_id", sa.Integer()),
)
marks = sa.table(
    "dismissed_deliveries",
    sa.column("delivery_id", BIG),
    sa.column("at", UtcDateTime()),
    sa.column("actor_id", sa.Integer()),
)
its = deliveries.c


def upgrade() -> None:
    """Merge stopped deliveries and dismissed failed deliveries into one status."""
    for name, kind in NEW.items():
        op.add_column("deliveries", sa.Column(name, kind, nullable=True))
    bind = op.get_bind()
    _take_stopped(bind)
    _take_problems(bind)
    _take_marks(bind)
    op.execute("ALTER TABLE deliveries DROP COLUMN stopped_by")
    op.drop_table("dismissed_deliveries")
    op.drop_table("dismissals")
    op.create_index(
        "ix_deliveries_dismissal",
        "deliveries",
        ["dismissal_id", "id"],
        sqlite_where=sa.text("dismissal_id IS NOT NULL"),
        postgresql_where=sa.text("dismissal_id IS NOT NULL"),
    )


def _opened() -> sa.Case[str]:
    return sa.case((its.reason.is_not(None), "retrying"), else_="queued")


def _take_stopped(bind: sa.Connection) -> None:
    ended = sa.func.coalesce(its.finished_at, its.created_at)
    is_deleted = sa.exists().where(webhooks.c.id == its.webhook_id, webhooks.c.deleted_at <= ended)
    was_held = its.reason == "webhook_off"
    bind.execute(
        sa.update(deliveries)
        .where(its.status == "dismissed")
        .values(
            prior_status=sa.case((was_held, "on_hold"), else_=_opened()),
            dismissed_by=sa.case((was_held, SYSTEM), else_=its.stopped_by),
            dismissed_at=ended,
            dismissed_reason=sa.case(
                (was_held, "Hold expired"), (is_deleted, "Webhook deleted"), else_=None
            ),
        )
    )
    # A retry of a stopped delivery restores it.
    bind.execute(
        sa.update(deliveries).where(its.prior_status == "dismissed").values(prior_status=_opened())
    )


def _name(actor_id: int | None) -> sa.ScalarSelect[str]:
    return sa.select(users.c.name).where(users.c.id == actor_id).scalar_subquery()


def _take(
    bind: sa.Connection, actor_id: int | None, at: object, *conditions: sa.ColumnElement[bool]
) -> None:
    bind.execute(
        sa.update(deliveries)
        .where(its.status == "failed", its.priority != 0, *conditions)
        .values(
            status="dismissed",
            prior_status="failed",
            dismissed_by=_name(actor_id),
            dismissed_at=at,
            dismissal_id=uuid4(),
        )
    )


def _take_problems(bind: sa.Connection) -> None:
    ended = sa.func.coalesce(its.finished_at, its.created_at)
    for row in bind.execute(sa.select(problems)).all():
        same = sa.func.coalesce(its.reason, "") == row.reason
        mine = its.webhook_id == row.webhook_id, same
        if row.since is not None:
            _take(bind, None, row.since, *mine, ended <= row.since)
        at = row.dismissed_at or row.until
        _take(bind, row.actor_id, at, *mine, ended <= row.until)


def _take_marks(bind: sa.Connection) -> None:
    """Treat the marks of one moment and one person as one action."""
    for row in bind.execute(sa.select(marks.c.at, marks.c.actor_id).distinct()).all():
        mine = sa.select(marks.c.delivery_id).where(
            marks.c.at == row.at, marks.c.actor_id.is_not_distinct_from(row.actor_id)
        )
        ended = sa.func.coalesce(its.finished_at, its.created_at)
        _take(bind, row.actor_id, row.at, its.id.in_(mine), ended <= row.at)


def downgrade() -> None:
    """Mark dismissed failed deliveries and set them to failed. Set all others to stopped."""
    op.drop_index("ix_deliveries_dismissal", "deliveries")
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
    op.add_column("deliveries", sa.Column("stopped_by", sa.String(length=120), nullable=True))
    bind = op.get_bind()
    had_failed = sa.and_(its.status == "dismissed", its.prior_status == "failed")
    # An attempt that was under way can have ended after the dismissal.
    ended = sa.func.coalesce(its.finished_at, its.created_at)
    at = sa.case((its.dismissed_at > ended, its.dismissed_at), else_=ended)
    who = sa.select(sa.func.min(users.c.id)).where(users.c.name == its.dismissed_by)
    marked = sa.select(its.id, at, who.scalar_subquery()).where(had_failed)
    bind.execute(sa.insert(marks).from_select(["delivery_id", "at", "actor_id"], marked))
    bind.execute(sa.update(deliveries).where(had_failed).values(status="failed", prior_status=None))
    stopped = {"stopped_by": its.dismissed_by, "prior_status": None}
    bind.execute(sa.update(deliveries).where(its.status == "dismissed").values(**stopped))
    for name in NEW:
        op.execute(f"ALTER TABLE deliveries DROP COLUMN {name}")
