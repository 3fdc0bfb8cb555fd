"""Workflow tables and the gate's triggers.

Revision ID: 001
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

from ckanext.satudata_trenggalek.model import ddl

revision = "001"
down_revision = None
branch_labels = None
depends_on = None

_time = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.create_table(
        "satudata_status",
        sa.Column("package_id", sa.Text, primary_key=True),
        sa.Column("status", sa.Text, nullable=False, server_default="draf", index=True),
        sa.Column("version", sa.Integer, nullable=False, server_default="0"),
        sa.Column("revision_of", sa.Text, index=True),
        sa.Column("round", sa.Integer, nullable=False, server_default="0"),
        sa.Column("data_prioritas", sa.Boolean, nullable=False, server_default="false"),
        sa.Column("prioritas_kriteria", sa.Text),
        sa.Column("makers", ARRAY(sa.Text), nullable=False, server_default="{}"),
        sa.Column("content_hash", sa.Text),
        sa.Column("submitted_by", sa.Text),
        sa.Column("submitted_at", _time),
        sa.Column("reviewer", sa.Text),
        sa.Column("since", _time, nullable=False, server_default=sa.func.now()),
        sa.Column("due_at", _time, index=True),
        sa.Column("publish_at", _time, index=True),
        sa.Column("verified_by", sa.Text),
        sa.Column("verified_at", _time),
        sa.Column("published_at", _time),
    )
    op.create_table(
        "satudata_event",
        sa.Column("package_id", sa.Text, primary_key=True),
        sa.Column("seq", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("at", _time, nullable=False),
        sa.Column("actor", sa.Text, nullable=False),
        sa.Column("peran", sa.Text),
        sa.Column("event", sa.Text, nullable=False),
        sa.Column("from_status", sa.Text),
        sa.Column("to_status", sa.Text),
        sa.Column("sop_step", sa.Integer),
        sa.Column("note", sa.Text),
        sa.Column("public_note", sa.Text),
        sa.Column("content_hash", sa.Text),
        sa.Column("checklist", JSONB),
        sa.Column("detail", JSONB),
        sa.Column("prev_hash", sa.Text, nullable=False),
        sa.Column("hash", sa.Text, nullable=False),
        sa.Column(
            "xid",
            sa.BigInteger,
            nullable=False,
            server_default=sa.text("(pg_current_xact_id()::text)::bigint"),
        ),
    )
    op.create_table(
        "satudata_publication",
        sa.Column("package_id", sa.Text, primary_key=True),
        sa.Column("version", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("name", sa.Text, nullable=False, index=True),
        sa.Column("content_hash", sa.Text, nullable=False),
        sa.Column("verified_at", _time, nullable=False),
        sa.Column("published_at", _time, nullable=False),
        sa.Column("files", JSONB, nullable=False),
        sa.Column("withdrawn_at", _time),
        sa.Column("public_note", sa.Text),
    )
    op.create_table(
        "satudata_content",
        sa.Column("content_hash", sa.Text, primary_key=True),
        sa.Column("content", JSONB, nullable=False),
    )
    op.create_table(
        "satudata_file",
        sa.Column("resource_id", sa.Text, primary_key=True),
        sa.Column("sha256", sa.CHAR(64), nullable=False, index=True),
        sa.Column("size", sa.BigInteger, nullable=False),
        sa.Column("created", _time, nullable=False, server_default=sa.func.now()),
    )
    op.create_table(
        "satudata_table",
        sa.Column("resource_id", sa.Text, primary_key=True),
        sa.Column("sha256", sa.CHAR(64), nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("message", sa.Text),
        sa.Column("rows", sa.BigInteger),
        sa.Column("columns", sa.Integer),
        sa.Column("updated", _time, nullable=False, server_default=sa.func.now()),
    )
    op.create_table(
        "satudata_peran",
        sa.Column("organization_id", sa.Text, primary_key=True),
        sa.Column("peran", ARRAY(sa.Text), nullable=False, server_default="{}"),
    )
    for name, peran in (("walidata", "walidata"), ("forum", "forum_satu_data")):
        op.create_index(
            f"satudata_satu_{name}",
            "satudata_peran",
            [sa.text("(true)")],
            unique=True,
            postgresql_where=sa.text(f"'{peran}' = ANY (peran)"),
        )
    ddl.install(op.get_bind())


def downgrade() -> None:
    ddl.uninstall(op.get_bind())
    for table in (
        "satudata_peran",
        "satudata_table",
        "satudata_file",
        "satudata_content",
        "satudata_publication",
        "satudata_event",
        "satudata_status",
    ):
        op.drop_table(table)
