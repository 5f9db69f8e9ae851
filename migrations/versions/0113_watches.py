"""Store the recipients of emails about each webhook's problems, and the last news to each."""

import sqlalchemy as sa
from alembic import op

from portal.database.engine import UtcDateTime

revision = "0113"
down_revision = "0112"
branch_labels = None
depends_on = None

# The owner, or every administrator if no owner can sign in, as they got emails until now. A person
# who got the email about attention knows of failures that began before it.
CARRY_OVER = """
INSERT INTO watches (webhook_id, user_id, is_on, told, told_at)
SELECT webhooks.id, users.id, :yes, CASE
  WHEN notices.told = 'attention' AND webhooks.failing_since <= notices.told_at THEN 'down'
  WHEN notices.told = 'attention' THEN 'failing'
  ELSE notices.told END, notices.told_at
FROM webhooks LEFT JOIN notices ON notices.webhook_id = webhooks.id
LEFT JOIN users AS owners ON owners.id = webhooks.owner_id AND owners.is_active = :yes
JOIN users ON users.is_active = :yes
  AND (users.id = owners.id OR (owners.id IS NULL AND users.role = 'admin'))
WHERE webhooks.deleted_at IS NULL AND webhooks.state <> 'draft'
"""
# One row per webhook, with the news of the last email to anyone.
TAKE_BACK = """
INSERT INTO notices (webhook_id, told, told_at)
SELECT webhook_id, CASE
  WHEN told IN ('off', 'held_ends') THEN 'off' WHEN told = 'well' THEN 'well'
  ELSE 'attention' END, told_at
FROM (SELECT webhook_id, told, told_at, row_number() OVER (
    PARTITION BY webhook_id ORDER BY told_at DESC, user_id) AS place
  FROM watches WHERE told IS NOT NULL) AS known
WHERE place = 1
"""
RENAMED = "UPDATE mails SET kind = :now WHERE kind = :before"
NEW_MAILS = """DELETE FROM mails WHERE kind IN
  ('webhook_down', 'webhook_back', 'webhook_ending', 'webhook_held_ends')"""


def upgrade() -> None:
    op.create_table(
        "watches",
        sa.Column("webhook_id", sa.Integer(), nullable=False),
        sa.Column("user_id", sa.Integer(), nullable=False),
        sa.Column("is_on", sa.Boolean(), nullable=False),
        sa.Column("told", sa.String(10), nullable=True),
        sa.Column("told_at", UtcDateTime(), nullable=True),
        sa.ForeignKeyConstraint(
            ["webhook_id"], ["webhooks.id"], name=op.f("fk_watches_webhook_id"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("fk_watches_user_id")),
        sa.PrimaryKeyConstraint("webhook_id", "user_id", name=op.f("pk_watches")),
    )
    op.create_index("ix_watches_user_id", "watches", ["user_id"])
    op.execute(sa.text(CARRY_OVER).bindparams(yes=True))
    op.execute(sa.text(RENAMED).bindparams(before="webhook_attention", now="webhook_failing"))
    op.drop_table("notices")


def downgrade() -> None:
    op.create_table(
        "notices",
        sa.Column("webhook_id", sa.Integer(), nullable=False),
        sa.Column("told", sa.String(10), nullable=False),
        sa.Column("told_at", UtcDateTime(), nullable=False),
        sa.ForeignKeyConstraint(
            ["webhook_id"], ["webhooks.id"], name=op.f("fk_notices_webhook_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("webhook_id", name=op.f("pk_notices")),
    )
    op.execute(TAKE_BACK)
    op.execute(NEW_MAILS)
    op.execute(sa.text(RENAMED).bindparams(before="webhook_failing", now="webhook_attention"))
    op.drop_table("watches")
