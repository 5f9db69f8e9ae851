"""Distinguish stand-ins for a webhook's owner from users who requested its emails."""

import sqlalchemy as sa
from alembic import op

revision = "0119"
down_revision = "0118"
branch_labels = None
depends_on = None

# Administrators who get emails while no owner can sign in are stand-ins.
STOOD_IN = """
UPDATE watches SET stands_in = :yes WHERE is_on = :yes
AND user_id IN (SELECT id FROM users WHERE role = 'admin')
AND webhook_id NOT IN (SELECT webhooks.id FROM webhooks
  JOIN users ON users.id = webhooks.owner_id AND users.is_active = :yes)
"""


def upgrade() -> None:
    column = sa.Column("stands_in", sa.Boolean(), nullable=False, server_default=sa.false())
    op.add_column("watches", column)
    op.execute(sa.text(STOOD_IN).bindparams(yes=True))


def downgrade() -> None:
    # Earlier versions can't write an email about several webhooks.
    op.execute("DELETE FROM mails WHERE kind = 'webhooks'")
    op.drop_column("watches", "stands_in")
