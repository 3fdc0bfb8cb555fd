"""Datasets by their organization: core has no index for what a Produsen is asked on every page.

Revision ID: 009
"""

from __future__ import annotations

from alembic import op

revision = "009"
down_revision = "008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_index("satudata_pemilik", "package", ["owner_org"])


def downgrade() -> None:
    op.drop_index("satudata_pemilik", "package")
