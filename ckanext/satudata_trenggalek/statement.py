"""Queries that nearly every request waits for, and their answers within one transaction."""

from __future__ import annotations

import itertools
import os
import select
import threading
from collections.abc import Callable
from typing import Any

import ckan.model as core
import psycopg2
import sqlalchemy as sa
from psycopg2.extensions import POLL_OK, POLL_READ
from sqlalchemy import event
from sqlalchemy.dialects.postgresql.psycopg2 import PGDialect_psycopg2
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session
from sqlalchemy.pool import Pool
from sqlalchemy.sql import visitors

_numbers = itertools.count(1)
#: In `Session.info`: a transaction, and what was found in it.
_FOUND = "satudata_found"


class Statement:
    """A query that is compiled once, and planned once for each connection to PostgreSQL.

    Else both take longer over it than PostgreSQL takes to answer.

    Args:
        query: of tables, not classes; its columns come as psycopg2 reads them. Or SQL, with $1 for
            the first of the parameters.
        parameters: names of its bind parameters that have no value yet.
    """

    def __init__(self, query: sa.Select[Any] | str, *parameters: str) -> None:
        text = query if isinstance(query, str) else _compiled(query, parameters)
        self.name = f"satudata_{next(_numbers)}"
        self.prepare = f"PREPARE {self.name} AS {text}"
        places = ", ".join(f"%({name})s" for name in parameters)
        self.execute = f"EXECUTE {self.name} ({places})" if places else f"EXECUTE {self.name}"

    def __call__(self, **parameters: Any) -> sa.CursorResult[Any]:
        """Its rows, read in the session's transaction."""
        connection = core.Session.connection()
        if self.name not in connection.info:
            connection.exec_driver_sql(self.prepare)
            connection.info[self.name] = True
        return connection.exec_driver_sql(self.execute, _sent(parameters))

    def committed(self, **parameters: Any) -> list[tuple[Any, ...]]:
        """Its rows of what is committed, past the session; what it writes is committed with it.

        Raises:
            sqlalchemy.exc.DBAPIError: as from the session.
        """
        return self.asked(**parameters)()

    def asked(self, **parameters: Any) -> Callable[[], list[tuple[Any, ...]]]:
        """As `committed`, but PostgreSQL looks while the caller does something else.

        Returns:
            what gives the rows.
        """
        sent, link, cursor = _sent(parameters), _taken(), None
        try:
            cursor = link and link.ask(self, sent)
        except psycopg2.Error:
            link = None

        def rows() -> list[tuple[Any, ...]]:
            try:
                if link:
                    try:
                        return link.rows(cursor)
                    except psycopg2.OperationalError:
                        pass  # It may have been lost since it was last used.
                fresh = _Link(core.ensure_engine())
                return fresh.rows(fresh.ask(self, sent))
            except psycopg2.Error as error:
                base = psycopg2.Error
                raise DBAPIError.instance(self.execute, parameters, error, base) from error

        return rows


class _Link:
    """A connection beside those of the session, never in a transaction.

    Each thread keeps one: the pool of the others takes a question of its own to lend it.
    """

    def __init__(self, engine: sa.Engine) -> None:
        arguments, options = engine.dialect.create_connect_args(engine.url)
        self.engine, self.process, self.known = engine, os.getpid(), set[str]()
        self.connection: Any = psycopg2.connect(*arguments, **options, async_=True)
        self._wait()
        self._run(_KEEP_PLANS)

    def _send(self, text: str, parameters: dict[str, Any] | None = None) -> Any:
        cursor = self.connection.cursor()
        cursor.execute(text, parameters)
        return cursor

    def _run(self, text: str) -> None:
        _cursor = self._send(text)  # psycopg2 gives up the answer of one that is gone
        self._wait()

    def _wait(self) -> None:
        waits = select.poll()
        while (state := self.connection.poll()) != POLL_OK:
            waits.register(self.connection, select.POLLIN if state == POLL_READ else select.POLLOUT)
            waits.poll()

    def ask(self, statement: Statement, parameters: dict[str, Any]) -> Any:
        """Send a question."""
        if statement.name not in self.known:
            self._run(statement.prepare)
            self.known.add(statement.name)
        return self._send(statement.execute, parameters)

    def rows(self, cursor: Any) -> list[tuple[Any, ...]]:
        """Its answer, after which another may be asked."""
        try:
            self._wait()
            return cursor.fetchall()
        finally:
            _kept.link = self


class _Kept(threading.local):
    link: _Link | None = None


_kept = _Kept()


def _taken() -> _Link | None:
    """The thread's own, until its answer is read; one that is not read is never used again."""
    link, _kept.link = _kept.link, None
    if link is None or link.connection.closed or link.engine is not core.ensure_engine():
        return None
    # A worker's child has that of its parent.
    return link if link.process == os.getpid() else None


def _sent(parameters: dict[str, Any]) -> dict[str, Any]:
    """Lists as PostgreSQL reads them from one text: quicker than psycopg2's ARRAY of many."""
    return {
        name: f"{{{','.join(map(_quoted, value))}}}" if isinstance(value, list) else value
        for name, value in parameters.items()
    }


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


#: Else PostgreSQL plans anew, each time, what is asked of a list: it can't know how long the list
#: is, and takes the worst for dearer than planning.
_KEEP_PLANS = "SET plan_cache_mode = force_generic_plan"


@event.listens_for(Pool, "connect")
def _keep_plans(connection: Any, _record: object) -> None:
    with connection.cursor() as cursor:
        cursor.execute(_KEEP_PLANS)
    connection.commit()


def _compiled(query: sa.Select[Any], parameters: tuple[str, ...]) -> str:
    dialect, places = PGDialect_psycopg2(), {name: n for n, name in enumerate(parameters, 1)}

    def numbered(element: Any, **_: Any) -> sa.ColumnClause[Any] | None:
        if not isinstance(element, sa.BindParameter) or element.key not in places:
            return None
        kind = element.type.compile(dialect)
        return sa.literal_column(f"CAST(${places[element.key]} AS {kind})", element.type)

    placed: Any = visitors.replacement_traverse(query, {}, numbered)
    return str(placed.compile(dialect=dialect, compile_kwargs={"literal_binds": True}))


def remembered(kind: str) -> dict[Any, Any]:
    """What the session's transaction found of a kind, by its key; forgotten when it writes or ends.

    For what core asks several times in one request. When others change it meanwhile the triggers
    refuse.
    """
    session = core.Session()
    began, found = session.info.get(_FOUND, (None, {}))
    if began is None or began is not session.get_transaction():
        # The first question of a transaction begins it.
        core.Session.connection()
        found = {}
        session.info[_FOUND] = session.get_transaction(), found
    return found.setdefault(kind, {})


@event.listens_for(core.Session, "after_flush")
@event.listens_for(core.Session, "after_soft_rollback")
def forget(session: Session, *_: object) -> None:
    """Have what `remembered` holds be asked for again."""
    session.info.pop(_FOUND, None)
