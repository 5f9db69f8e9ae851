"""Give each webhook one note for colleagues, with its author and time. A take's note becomes it."""

import sqlalchemy as sa
from alembic import op

from portal.database.engine import UtcDateTime

revision = "0120"
down_revision = "0119"
branch_labels = None
depends_on = None

# The person's id has no foreign key, because SQLite would have to rebuild the whole table.
NEW = {
    "note": sa.Text(),
    "note_by": sa.String(length=120),
    "note_by_id": sa.Integer(),
    "note_at": UtcDateTime(),
}


def upgrade() -> None:
    for name, kind in NEW.items():
        op.add_column("webhooks", sa.Column(name, kind, nullable=True))
    op.execute(
        "UPDATE webhooks SET note = taken_note, note_by = taken_by, note_by_id = taken_by_id, "
        "note_at = taken_at WHERE taken_note <> '' AND taken_at IS NOT NULL"
    )
    op.drop_column("webhooks", "taken_note")


def downgrade() -> None:
    # Earlier versions only keep notes of takes, and only 500 characters.
    op.add_column("webhooks", sa.Column("taken_note", sa.String(length=500), nullable=True))
    op.execute("UPDATE webhooks SET taken_note = substr(note, 1, 500) WHERE taken_at IS NOT NULL")
    for name in reversed(NEW):
        op.drop_column("webhooks", name)
