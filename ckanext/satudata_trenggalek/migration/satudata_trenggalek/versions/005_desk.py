"""Claims with their time, schedules that could not be kept, indexes in the orders of the queue.

Revision ID: 005
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from ckanext.satudata_trenggalek.model import ddl

revision = "005"
down_revision = "004"
branch_labels = None
depends_on = None

_time = sa.DateTime(timezone=True)
_TABLE = "satudata_status"
_INDEXES: tuple[tuple[str, tuple[str, ...], str | None], ...] = (
    ("satudata_antrean_tenggat", ("status", "due_at", "since", "package_id"), None),
    ("satudata_antrean_diajukan", ("status", "submitted_at", "since", "package_id"), None),
    (
        "satudata_antrean_prioritas",
        ("status", "due_at", "since", "package_id"),
        "data_prioritas",
    ),
    (
        "satudata_antrean_terlambat",
        ("due_at", "since", "package_id"),
        "publish_at IS NULL OR publish_error IS NOT NULL",
    ),
    ("satudata_antrean_pemeriksa", ("reviewer", "due_at"), "reviewer IS NOT NULL"),
)


def upgrade() -> None:
    op.add_column(_TABLE, sa.Column("claimed_at", _time))
    op.add_column(_TABLE, sa.Column("publish_error", sa.Text))
    op.add_column(_TABLE, sa.Column("publish_tried_at", _time))
    for column in ("status", "due_at"):
        op.drop_index(f"ix_satudata_status_{column}", _TABLE)
    for name, columns, where in _INDEXES:
        op.create_index(
            name, _TABLE, list(columns), postgresql_where=sa.text(where) if where else None
        )
    ddl.install(op.get_bind())


def downgrade() -> None:
    for name, _columns, _where in _INDEXES:
        op.drop_index(name, _TABLE)
    for column in ("status", "due_at"):
        op.create_index(f"ix_satudata_status_{column}", _TABLE, [column])
    for column in ("publish_tried_at", "publish_error", "claimed_at"):
        op.drop_column(_TABLE, column)
