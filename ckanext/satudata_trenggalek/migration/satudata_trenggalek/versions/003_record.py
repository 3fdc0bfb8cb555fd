"""Anchors of the record; what is only added to is that by privileges as well.

Revision ID: 003
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from ckanext.satudata_trenggalek.model import ddl

revision = "003"
down_revision = "002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "satudata_anchor",
        sa.Column("seq", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("package_id", sa.Text, nullable=False),
        sa.Column("event_seq", sa.Integer, nullable=False),
        sa.Column("event_hash", sa.Text, nullable=False),
        sa.Column("prev_hash", sa.Text, nullable=False),
        sa.Column("hash", sa.Text, nullable=False),
        sa.UniqueConstraint("package_id", "event_seq"),
    )
    ddl.install(op.get_bind())


def downgrade() -> None:
    op.execute("DROP TRIGGER satudata_guard ON satudata_content")
    op.drop_table("satudata_anchor")
