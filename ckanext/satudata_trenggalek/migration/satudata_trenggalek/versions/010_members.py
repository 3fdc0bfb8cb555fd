"""Rows that no action makes any more: members of another kind, relationships without a partner.

Revision ID: 010
"""

from __future__ import annotations

from alembic import op

revision = "010"
down_revision = "009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # They may belong to frozen datasets. The triggers are enabled again after the migrations.
    for statement in (
        "ALTER TABLE member DISABLE TRIGGER USER",
        "DELETE FROM member WHERE table_name NOT IN ('package', 'user', 'group')",
        "ALTER TABLE package_relationship DISABLE TRIGGER USER",
        "DELETE FROM package_relationship"
        " WHERE subject_package_id IS NULL OR object_package_id IS NULL",
    ):
        op.execute(statement)


def downgrade() -> None:
    """Nothing to take back."""
