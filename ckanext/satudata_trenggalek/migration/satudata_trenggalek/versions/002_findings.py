"""Tables follow their metadata, and say what was found in them.

Tables of before have no digest, so that the next `reconcile --fix` loads and checks all of them.

Revision ID: 002
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "002"
down_revision = "001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("satudata_table", sa.Column("metadata", sa.CHAR(32)))
    op.add_column(
        "satudata_table", sa.Column("findings", JSONB, nullable=False, server_default="[]")
    )


def downgrade() -> None:
    op.drop_column("satudata_table", "findings")
    op.drop_column("satudata_table", "metadata")
