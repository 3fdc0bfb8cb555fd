"""What the database is asked meanwhile."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import ckan.model as core
from sqlalchemy import event


@contextmanager
def statements(only: str | None = None) -> Iterator[list[str]]:
    """The statements that are sent to the database meanwhile: all, or those of this text.

    Not what is planned for later: it depends on whether the pool gives another connection.
    """
    sent: list[str] = []

    def note(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        if only in (None, statement) and not statement.startswith("PREPARE "):
            sent.append(statement)

    engine = core.ensure_engine()
    event.listen(engine, "before_cursor_execute", note)
    try:
        yield sent
    finally:
        event.remove(engine, "before_cursor_execute", note)
