"""The register's list is sorted by name, and by what was changed last, along an index."""

import sqlalchemy as sa
from alembic import op

revision = "0030"
down_revision = "0029"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_index("ix_assets_name_id", "assets", [sa.text("lower(name)"), "id"])
    op.create_index("ix_assets_updated_at_id", "assets", ["updated_at", "id"])


def downgrade() -> None:
    op.drop_index("ix_assets_updated_at_id", "assets")
    op.drop_index("ix_assets_name_id", "assets")
