"""What frequent questions cost, and that their answers are those of the database."""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import ckan.authz as authz
import ckan.model as core
import ckan.plugins.toolkit as tk
import pytest
import sqlalchemy as sa
from ckan.lib.plugins import DefaultPermissionLabels
from ckan.tests import factories
from ckan.types import Context
from sqlalchemy.exc import DataError, OperationalError

from ckanext.satudata_trenggalek import doors, reading
from ckanext.satudata_trenggalek.statement import Statement
from tests.statements import statements
from tests.world import World

TITLE = Statement(
    sa.select(core.package_table.c.title).where(
        core.package_table.c.id == sa.bindparam("package"), core.package_table.c.type == "dataset"
    ),
    "package",
)
HALF = Statement("SELECT 10 / CAST($1 AS integer)", "by")
PROCESS = Statement("SELECT pg_backend_pid()")
END = Statement("SELECT pg_terminate_backend(pg_backend_pid())")


def prepared(statement: Statement) -> int:
    """How often the session's connection has planned it."""
    count = sa.text("SELECT count(*) FROM pg_prepared_statements WHERE name = :name")
    return core.Session.scalar(count, {"name": statement.name}) or 0


def test_planned_once_for_each_connection(world: World) -> None:
    id_ = world.draft(title="Kelahiran Hidup")["id"]
    core.Session.remove()
    for _ in range(2):
        # The second is a new connection.
        core.ensure_engine().dispose()
        assert prepared(TITLE) == 0
        for _ in range(3):
            assert TITLE(package=id_).scalar() == "Kelahiran Hidup"
        assert prepared(TITLE) == 1
        core.Session.rollback()
        assert TITLE(package=None).scalar() is None and prepared(TITLE) == 1
        core.Session.remove()


def test_lists_arrive_as_they_are(world: World) -> None:
    each = Statement("SELECT unnest(CAST($1 AS text[]))", "ids")
    for ids in (
        [],
        ["a"],
        ['"', "\\", "a,b", "{}", "", "NULL", " x ", "'", "\n", "%s", "\U0001f33e"],
    ):
        assert list(each(ids=ids).scalars()) == ids
        assert each.committed(ids=ids) == [(id_,) for id_ in ids]
    core.Session.remove()


def test_plans_are_kept(world: World) -> None:
    """Also those for lists, which PostgreSQL would make anew each time."""
    ids = [world.draft()["id"]]
    core.Session.remove()
    core.ensure_engine().dispose()
    for _ in range(8):
        assert list(doors.hidden(ids)) == ids
    plans = sa.text(
        "SELECT generic_plans, custom_plans FROM pg_prepared_statements WHERE name = :n"
    )
    assert tuple(core.Session.execute(plans, {"n": doors._HIDDEN.name}).one()) == (8, 0)
    core.Session.remove()


def test_what_is_committed(world: World) -> None:
    id_ = world.draft(title="Lama")["id"]
    core.Session.execute(sa.text("UPDATE package SET title = 'Baru' WHERE id = :id"), {"id": id_})
    assert TITLE(package=id_).scalar() == "Baru"
    assert TITLE.committed(package=id_) == [("Lama",)]
    core.Session.remove()


def test_errors_of_what_is_committed(world: World) -> None:
    """Are SQLAlchemy's; the next question is answered."""
    for by in (5, 0, 5):
        if by:
            assert HALF.committed(by=by) == [(2,)]
        else:
            with pytest.raises(DataError):
                HALF.committed(by=by)


def test_a_connection_that_dies(world: World) -> None:
    """Says so as the session's would; the next call has another."""
    with pytest.raises(OperationalError, match=r"terminating connection|closed the connection"):
        END.committed()
    assert HALF.committed(by=5) == [(2,)]


def test_a_connection_that_was_lost_while_nobody_asked(world: World) -> None:
    """As after PostgreSQL started again: nobody is told of it."""
    [(process,)] = PROCESS.committed()
    assert PROCESS.committed() == [(process,)]
    end = sa.text("SELECT pg_terminate_backend(:process, 10000)")
    assert core.Session.scalar(end, {"process": process})
    core.Session.remove()
    assert PROCESS.committed() != [(process,)]


def test_each_thread_and_process_has_its_own(world: World) -> None:
    with ThreadPoolExecutor(1) as other:
        assert other.submit(PROCESS.committed).result() != PROCESS.committed()
    [(mine,)] = PROCESS.committed()
    reads, writes = os.pipe()
    child = os.fork()
    if not child:
        try:
            os.write(writes, str(PROCESS.committed()[0][0]).encode())
        finally:
            os._exit(0)
    os.waitpid(child, 0)
    assert os.read(reads, 20).decode() not in ("", str(mine))
    assert PROCESS.committed() == [(mine,)]


def test_what_is_asked_meanwhile(world: World) -> None:
    """Two questions at once are two connections; an answer that nobody reads is nobody's."""
    first, second = (HALF.asked(by=by) for by in (5, 2))
    assert (second(), first()) == ([(5,)], [(2,)])
    HALF.asked(by=1)
    assert HALF.committed(by=10) == [(1,)]


@pytest.fixture
def asked() -> Iterator[list[str]]:
    """The questions for the status of what is not public, while it runs."""
    with statements(doors._HIDDEN.execute) as found:
        yield found


def test_who_may_change_it_is_asked_once_in_a_transaction(world: World, asked: list[str]) -> None:
    """And anew after whatever may change the answer."""
    package = core.Package.get(world.draft()["id"])
    assert package
    context = {"user": "produsen_dinkes"}

    def status() -> str | None:
        return doors.standing(context, package)[0]

    core.Session.rollback()
    asked.clear()
    for number in (1, 2):
        assert status() == status() == "draf" and len(asked) == number
        core.Session.commit()
    assert status() == "draf"
    assert doors.standing({"user": "walidata"}, package)[1] != doors.standing(context, package)[1]

    before = len(asked)
    with pytest.raises(KeyError), core.Session.begin_nested():
        package.title = "Baru"
        core.Session.flush()
        assert status() == status() == "draf" and len(asked) == before + 1
        raise KeyError
    assert status() == status() == "draf" and len(asked) == before + 2
    core.Session.rollback()


def test_a_right_is_asked_for_once_in_a_transaction(world: World) -> None:
    """Of the dataset as it stands; who loses it meanwhile has lost it in the next."""
    id_ = world.draft()["id"]
    org = world.call("package_show", "produsen_dinkes", id=id_)["owner_org"]
    core.Session.remove()

    def may() -> bool:
        user = core.User.get("produsen_dinkes")
        assert user
        context = Context(user=user.name, auth_user_obj=user)
        return authz.is_authorized_boolean("package_update", context, {"id": id_})

    assert may()
    with statements() as sent:
        assert may() and may()
    assert not any("FROM member" in statement for statement in sent)
    member = {"id": org, "username": "produsen_dinkes"}
    world.call("organization_member_delete", "admin", **member)
    try:
        # And with it the sight of it.
        with pytest.raises(tk.ObjectNotFound):
            may()
    finally:
        core.Session.rollback()
        world.call("organization_member_create", "admin", **member, role="editor")
    assert may()
    core.Session.remove()


def test_an_upload_asks_once(world: World, asked: list[str]) -> None:
    id_ = world.draft()["id"]
    core.Session.remove()
    asked.clear()
    world.upload("produsen_dinkes", id_)
    # To show and to change it, to index it, and to index it with its table.
    assert len(asked) == 3


def test_labels_are_those_of_core(world: World, ckan_config: Any) -> None:
    """For members of every capacity and of none; nothing cascades, whatever a setting says."""
    people = {"warga": factories.User()["name"]}
    for capacity in ("member", "editor", "admin"):
        name = people[capacity] = factories.User()["name"]
        factories.Organization(users=[{"name": name, "capacity": capacity}])
    above = factories.Organization(users=[{"name": people["admin"], "capacity": "admin"}])
    below = factories.Organization()
    row = {"group_id": below["id"], "table_id": above["id"], "table_name": "group"}
    core.Session.execute(sa.insert(core.member_table).values(**row, capacity="parent"))
    core.Session.commit()
    found: dict[str, set[str]] = {}
    for name in (*people.values(), *world.PEOPLE):
        user: Any = core.User.get(name)
        found[name] = set(reading.Labels().get_user_dataset_labels(user))
        core_s = set(DefaultPermissionLabels().get_user_dataset_labels(user))
        assert found[name] - {reading.WALIDATA, reading.PEMBINA} == core_s
    # "public", the datasets that they made, and those of their organizations.
    numbers = [len(found[people[name]]) for name in ("warga", "member", "editor", "admin")]
    assert numbers == [2, 3, 3, 4]
    ckan_config["ckan.auth.roles_that_cascade_to_sub_groups"] = ["admin"]
    user = core.User.get(people["admin"])
    assert f"member-{below['id']}" in DefaultPermissionLabels().get_user_dataset_labels(user)
    assert set(reading.Labels().get_user_dataset_labels(user)) == found[people["admin"]]
