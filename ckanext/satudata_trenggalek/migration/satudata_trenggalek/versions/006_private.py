"""What is public stays public or becomes private: never neither.

Revision ID: 006
"""

from __future__ import annotations

from alembic import op

from ckanext.satudata_trenggalek.model import ddl

revision = "006"
down_revision = "005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    ddl.install(op.get_bind())


def downgrade() -> None:
    """Nothing: the functions of before are those of the code of before."""
