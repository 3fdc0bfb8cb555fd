"""Notices and their mail.

Revision ID: 008
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "008"
down_revision = "007"
branch_labels = None
depends_on = None

_time = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.create_table(
        "satudata_outbox",
        sa.Column("id", sa.BigInteger, sa.Identity(), primary_key=True),
        sa.Column("user_id", sa.Text, nullable=False),
        sa.Column("package_id", sa.Text, nullable=False, index=True),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("key", sa.Text, nullable=False),
        sa.Column("event_seq", sa.Integer),
        sa.Column("waits_since", _time),
        sa.Column("queued_at", _time, nullable=False),
        sa.Column("read_at", _time),
        sa.Column("mail", sa.Text, nullable=False),
        sa.Column("tries", sa.Integer, nullable=False, server_default="0"),
        sa.Column("next_at", _time, nullable=False),
        sa.Column("mailed_at", _time),
        sa.Column("reason", sa.Text),
        sa.UniqueConstraint("user_id", "key", name="satudata_outbox_once"),
    )
    op.create_index(
        "satudata_outbox_unread",
        "satudata_outbox",
        ["user_id"],
        postgresql_where=sa.text("read_at IS NULL"),
    )
    op.create_index(
        "satudata_outbox_due",
        "satudata_outbox",
        ["next_at"],
        postgresql_where=sa.text("mail = 'antre'"),
    )
    op.create_index("satudata_outbox_of_user", "satudata_outbox", ["user_id", sa.text("id DESC")])
    op.create_table(
        "satudata_notice_choice",
        sa.Column("user_id", sa.Text, primary_key=True),
        sa.Column("mode", sa.Text, nullable=False),
        sa.Column("lang", sa.Text, nullable=False),
    )


def downgrade() -> None:
    op.drop_table("satudata_notice_choice")
    op.drop_table("satudata_outbox")
