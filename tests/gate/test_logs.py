"""What servers write down when something is refused."""

from __future__ import annotations

import os
import uuid
from pathlib import Path

import ckan.model as core
import portal
import pytest
import sqlalchemy as sa
from processes import Problem
from sqlalchemy.exc import DBAPIError

from tests.world import World


@pytest.fixture
def installation() -> portal.TestPortal:
    """The services of this run."""
    home = portal.Portal(Path(os.environ["SATUDATA_HOME"]))
    return portal.TestPortal(home, os.environ["SATUDATA_TEST_HOME"])


def logged(installation: portal.TestPortal) -> str:
    return "".join(path.read_text(errors="replace") for path in installation.logs.iterdir())


def test_a_refused_statement_is_logged_without_its_values(
    installation: portal.TestPortal, world: World
) -> None:
    """Message and SQLSTATE tell what failed; the values are what nobody has published."""
    id_, secret = world.standing("terbit"), f"rahasia-{uuid.uuid4()}"
    core.Session.remove()
    before = logged(installation)
    with core.ensure_engine().connect() as connection, pytest.raises(DBAPIError) as refusal:
        connection.execute(
            sa.text(f"UPDATE package SET title = '{secret}' WHERE id = :id"), {"id": id_}
        )
    told = logged(installation)
    code = refusal.value.orig.pgcode  # pyright: ignore[reportOptionalMemberAccess, reportAttributeAccessIssue]
    assert told.count(f" {code} ERROR:") == before.count(f" {code} ERROR:") + 1
    assert secret not in told


@pytest.mark.parametrize("rest", ["x", ""])
def test_a_password_is_logged_nowhere(installation: portal.TestPortal, rest: str) -> None:
    secret = f"kata-{uuid.uuid4()}"
    with pytest.raises(Problem) as told:
        installation.sql(f"ALTER ROLE tidak_ada PASSWORD '{secret}' {rest}")
    assert secret not in f"{told.value}{logged(installation)}"
