"""Comments of the review, and what is typed there before it is sent.

Revision ID: 007
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

from ckanext.satudata_trenggalek.model import ddl

revision = "007"
down_revision = "006"
branch_labels = None
depends_on = None

_time = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.create_table(
        "satudata_comment",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("number", sa.BigInteger, sa.Identity(), nullable=False, unique=True),
        sa.Column("package_id", sa.Text, nullable=False, index=True),
        sa.Column("parent_id", sa.Text),
        sa.Column("field", sa.Text, nullable=False),
        sa.Column("spot", JSONB, nullable=False),
        sa.Column("body", sa.Text, nullable=False),
        sa.Column("author", sa.Text, nullable=False),
        sa.Column("peran", sa.Text, nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("round", sa.Integer, nullable=False),
        sa.Column("at", _time, nullable=False),
        sa.Column("state", sa.Text, nullable=False, server_default="open"),
        sa.Column("state_by", sa.Text),
        sa.Column("state_at", _time),
    )
    op.create_table(
        "satudata_draft",
        sa.Column("package_id", sa.Text, primary_key=True),
        sa.Column("author_id", sa.Text, primary_key=True),
        sa.Column("form", JSONB, nullable=False, server_default="{}"),
        sa.Column("comments", JSONB, nullable=False, server_default="[]"),
    )
    ddl.install(op.get_bind())


def downgrade() -> None:
    op.drop_table("satudata_draft")
    op.drop_table("satudata_comment")
