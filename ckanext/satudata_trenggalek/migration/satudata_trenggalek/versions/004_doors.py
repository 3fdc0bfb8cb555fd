"""Ids of purged datasets and files of deleted resources don't come back.

Revision ID: 004
"""

from __future__ import annotations

from alembic import op

from ckanext.satudata_trenggalek.model import ddl

revision = "004"
down_revision = "003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    ddl.install(op.get_bind())


def downgrade() -> None:
    """Nothing: the functions of before are those of the code of before."""
