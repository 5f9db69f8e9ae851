"""Webhooks that are tested before they are saved."""

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None

# On SQLite foreign keys are off while migrations run: nothing goes by cascade.
REMOVE_DRAFTS = (
    "DELETE FROM attempt_bodies WHERE attempt_id IN (SELECT attempts.id FROM attempts"
    " JOIN deliveries ON deliveries.id = attempts.delivery_id"
    " JOIN webhooks ON webhooks.id = deliveries.webhook_id WHERE webhooks.state = 'draft')",
    "DELETE FROM attempts WHERE delivery_id IN (SELECT deliveries.id FROM deliveries"
    " JOIN webhooks ON webhooks.id = deliveries.webhook_id WHERE webhooks.state = 'draft')",
    "DELETE FROM deliveries WHERE webhook_id IN (SELECT id FROM webhooks WHERE state = 'draft')",
    "DELETE FROM webhook_events WHERE webhook_id IN"
    " (SELECT id FROM webhooks WHERE state = 'draft')",
    "DELETE FROM webhooks WHERE state = 'draft'",
)


def upgrade() -> None:
    op.add_column("webhooks", sa.Column("draft_of", sa.Uuid(), nullable=True))
    op.add_column("webhooks", sa.Column("draft_form", sa.JSON(), nullable=True))


def downgrade() -> None:
    """Drafts go first: without these columns nobody could tell what they belong to."""
    for statement in REMOVE_DRAFTS:
        op.execute(statement)
    op.drop_column("webhooks", "draft_form")
    op.drop_column("webhooks", "draft_of")
