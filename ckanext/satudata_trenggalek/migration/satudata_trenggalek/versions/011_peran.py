"""Peran of organizations that are gone or not active, and the index of who acted.

Revision ID: 011
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from ckanext.satudata_trenggalek import model
from ckanext.satudata_trenggalek.workflow import service

revision = "011"
down_revision = "010"
branch_labels = None
depends_on = None

#: Rows that outlived their organization, and rows that lost what only one may hold to another: the
#: rows of organizations that are not active, of which no event told.
_UNTOLD = """
    SELECT r.organization_id AS id, g.id IS NULL AS gone, e.told,
      CASE WHEN g.id IS NOT NULL THEN to_jsonb(r.peran) END AS held, l.seq, l.hash
    FROM satudata_peran r LEFT JOIN "group" g ON g.id = r.organization_id
    JOIN LATERAL (SELECT detail -> 'sesudah' AS told FROM satudata_event
      WHERE package_id = r.organization_id AND event = 'peran' ORDER BY seq DESC LIMIT 1) e ON true
    JOIN LATERAL (SELECT seq, hash FROM satudata_event WHERE package_id = r.organization_id
      ORDER BY seq DESC LIMIT 1) l ON true
    WHERE g.id IS NULL OR g.state <> 'active' AND e.told <> to_jsonb(r.peran)
      AND e.told - '{walidata,forum_satu_data}'::text[]
        = to_jsonb(r.peran) - '{walidata,forum_satu_data}'::text[]"""


def upgrade() -> None:
    connection = op.get_bind()
    op.create_index("ix_satudata_event_actor", "satudata_event", ["actor"])
    for row in connection.execute(sa.text(_UNTOLD)).all():
        event = model.Event(
            package_id=row.id,
            seq=row.seq + 1,
            at=service.now(),
            actor=service.SISTEM,
            event="peran",
            detail={"sebelum": row.told, "sesudah": row.held},
            prev_hash=row.hash,
        )
        event.hash = service.event_hash(event)
        columns = model.Event.__table__.columns.keys()
        values = {column: getattr(event, column) for column in columns if column != "xid"}
        connection.execute(sa.insert(model.Event), values)
    connection.exec_driver_sql(
        'DELETE FROM satudata_peran WHERE organization_id NOT IN (SELECT id FROM "group")'
    )


def downgrade() -> None:
    op.drop_index("ix_satudata_event_actor", "satudata_event")
