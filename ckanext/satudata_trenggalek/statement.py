"""Queries that nearly every request waits for."""

from __future__ import annotations

from typing import Any

import ckan.model as core
import sqlalchemy as sa
from sqlalchemy.dialects.postgresql.psycopg2 import PGDialect_psycopg2


class Statement:
    """A query that is compiled once: SQLAlchemy takes longer over it than PostgreSQL.

    Args:
        query: of tables, not classes; its columns come as psycopg2 reads them.
        parameters: names of its bind parameters that have no value yet.
    """

    def __init__(self, query: sa.Select[Any], *parameters: str) -> None:
        made = query.params(dict.fromkeys(parameters)).compile(
            dialect=PGDialect_psycopg2(), compile_kwargs={"render_postcompile": True}
        )
        self.text, self.fixed = str(made), dict(made.params)

    def __call__(self, **parameters: Any) -> sa.CursorResult[Any]:
        """Its rows, read in the session's transaction."""
        return core.Session.connection().exec_driver_sql(self.text, {**self.fixed, **parameters})
