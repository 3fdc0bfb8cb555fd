"""What the database is asked meanwhile."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import ckan.model as core
from sqlalchemy import event


@contextmanager
def statements(only: str | None = None) -> Iterator[list[str]]:
    """The statements that are sent to the database meanwhile: all, or those of this text."""
    sent: list[str] = []

    def note(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        if only in (None, statement):
            sent.append(statement)

    engine = core.ensure_engine()
    event.listen(engine, "before_cursor_execute", note)
    try:
        yield sent
    finally:
        event.remove(engine, "before_cursor_execute", note)
