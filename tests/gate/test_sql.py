"""SQL of the role that serves, beside what the actions do: old snapshots, late ends, odd ids."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import ckan.model as core
import pytest
import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError

from ckanext.satudata_trenggalek import audit
from ckanext.satudata_trenggalek.workflow import service
from tests.world import World

CHECK_VIOLATION, NO_SUCH_STATE = "23514", "25000"


def refused(connection: sa.Connection, statement: str, **values: Any) -> str:
    """How the database refuses a statement."""
    with pytest.raises(DBAPIError) as refusal, connection.begin_nested():
        connection.execute(sa.text(statement), values)
    return refusal.value.orig.pgcode  # pyright: ignore[reportOptionalMemberAccess, reportAttributeAccessIssue]


@pytest.fixture
def sql() -> Iterator[sa.Connection]:
    """A connection as the role that serves; what is done by it is rolled back."""
    core.Session.remove()
    with core.ensure_engine().connect() as connection:
        yield connection
        connection.rollback()


@pytest.mark.parametrize(
    "statement",
    [
        "INSERT INTO member (id, table_name, table_id, capacity, state, group_id)"
        " SELECT gen_random_uuid(), 'package', :id, 'public', 'active', id FROM \"group\" LIMIT 1",
        "UPDATE tag SET name = 'rahasia' WHERE id IN"
        " (SELECT tag_id FROM package_tag WHERE package_id = :id)",
        "UPDATE \"group\" SET state = 'deleted' WHERE name = 'dinkes'",
        "INSERT INTO package (id, name, type, private) VALUES (:new, :new || 'x', 'dataset', true)",
        "UPDATE satudata_status SET status = 'draf' WHERE package_id = :id",
    ],
)
@pytest.mark.parametrize("level", ["REPEATABLE READ", "SERIALIZABLE"])
def test_an_old_snapshot_changes_nothing(world: World, level: str, statement: str) -> None:
    """It does not see what was published since, nor did the triggers."""
    id_ = world.standing("terbit")
    core.Session.remove()
    engine = core.ensure_engine().execution_options(isolation_level=level)
    with engine.connect() as connection:
        values = {"id": id_, "new": str(uuid.uuid4())}
        values = {name: value for name, value in values.items() if f":{name}" in statement}
        assert refused(connection, statement, **values) == NO_SUCH_STATE
        connection.rollback()


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE tag SET name = 'rahasia-' || name WHERE id IN"
        " (SELECT tag_id FROM package_tag WHERE package_id = :id)",
        "UPDATE \"group\" SET name = name || '-lain' WHERE id ="
        " (SELECT owner_org FROM package WHERE id = :id)",
    ],
    ids=["tag", "organization"],
)
def test_a_change_that_began_in_the_draft(world: World, statement: str) -> None:
    """Of what the dataset shows: it ends before the dataset is frozen, or not at all."""
    name = f"kantor-{uuid.uuid4().hex[:8]}"
    world.call("organization_create", "admin", name=name, title="Kantor")
    world.call("organization_member_create", "admin", id=name, username="warga", role="editor")
    data = world.metadata(owner_org=name, tag_string=f"label-{name}")
    id_ = world.call("package_create", "warga", **data)["id"]
    world.upload("warga", id_)
    core.Session.remove()

    def turn(state: str) -> None:
        """Take the tag off, or put it back: its row is not new."""
        with core.ensure_engine().begin() as connection:
            connection.execute(
                sa.text("UPDATE package_tag SET state = :state WHERE package_id = :id"),
                {"id": id_, "state": state},
            )

    with ThreadPoolExecutor(1) as pool, core.ensure_engine().connect() as late:
        if "tag" in statement:
            turn("deleted")
            late.execute(sa.text("UPDATE tag SET name = 'rahasia-' || name WHERE name = :name"),
                         {"name": f"label-{name}"})  # fmt: skip
            turn("active")
        else:
            late.execute(sa.text(statement), {"id": id_})

        def submit() -> dict[str, Any]:
            try:
                return world.move("warga", id_, "ajukan")
            finally:
                core.Session.remove()

        moved = pool.submit(submit)
        with core.ensure_engine().connect() as watch:
            query = sa.text(
                "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
                " AND wait_event_type = 'Lock'"
            )
            while not moved.done() and not watch.scalar(query):
                watch.rollback()
        assert not moved.done()
        late.commit()
        assert moved.result()["status"] == "diajukan"
        assert refused(late, statement, id=id_) == CHECK_VIOLATION
        late.rollback()


@pytest.mark.parametrize("value", ["5.000", "35030101019000013.0"])
def test_numbers_are_what_they_were(world: World, sql: sa.Connection, value: str) -> None:
    """PostgreSQL holds 5 and 5.000 for equal; who reads them does not."""
    id_ = world.draft()["id"]
    whole = value.split(".")[0]
    with core.ensure_engine().begin() as before:
        before.execute(
            sa.text(
                "UPDATE resource SET extras = (extras::jsonb || jsonb_build_object('nomor',"
                " cast(:value as numeric)))::text WHERE package_id = :id"
            ),
            {"id": id_, "value": whole},
        )
    world.bring(id_, "terbit")
    core.Session.remove()
    statement = (
        "UPDATE resource SET extras = (extras::jsonb || jsonb_build_object('nomor',"
        " cast(:value as numeric)))::text WHERE package_id = :id"
    )
    assert refused(sql, statement, id=id_, value=value) == CHECK_VIOLATION


def test_ids_are_ids(world: World, sql: sa.Connection) -> None:
    """Core finds by the id before it finds by the name."""
    id_ = world.standing("terbit")
    name = sql.scalar(sa.text("SELECT name FROM package WHERE id = :id"), {"id": id_})
    for statement, taken in (
        (
            "INSERT INTO package (id, name, type, private) VALUES (:id, 'baru', 'dataset', true)",
            name,
        ),
        ("INSERT INTO \"group\" (id, name) VALUES (:id, 'baru')", "dinkes"),
        ("INSERT INTO \"user\" (id, name) VALUES (:id, 'baru')", "walidata"),
        ('INSERT INTO "user" (id, name) VALUES (gen_random_uuid(), :id)', world.ids["walidata"]),
    ):
        assert refused(sql, statement, id=taken) == CHECK_VIOLATION


@pytest.mark.parametrize(
    "statement",
    [
        "INSERT INTO package (id, name, type, private) VALUES (:id, :name, 'dataset', true)",
        "UPDATE package SET name = :name WHERE id = (SELECT id FROM package JOIN satudata_status"
        " ON package_id = id WHERE status = 'draf' LIMIT 1)",
        'INSERT INTO "group" (id, name) VALUES (:id, :name)',
        'INSERT INTO "user" (id, name) VALUES (:id, :name)',
    ],
    ids=lambda text: " ".join(text.split()[:3]),
)
def test_names_look_like_no_other(world: World, sql: sa.Connection, statement: str) -> None:
    """Core's rule of names takes one that ends with a line feed."""
    world.standing("draf")
    for name in ("walidata\n", "wali data", "wali\x0bdata"):
        values = {"id": str(uuid.uuid4()), "name": name}
        values = {key: value for key, value in values.items() if f":{key}" in statement}
        assert refused(sql, statement, **values) == CHECK_VIOLATION


def test_who_acted_stays(world: World, sql: sa.Connection) -> None:
    """By their ids the makers of a dataset are known."""
    id_ = world.ids["produsen_dinkes"]
    world.standing("terbit")
    changed = 'UPDATE "user" SET id = gen_random_uuid() WHERE id = :id'
    assert refused(sql, changed, id=id_) == CHECK_VIOLATION
    assert refused(sql, 'DELETE FROM "user" WHERE id = :id', id=id_) == CHECK_VIOLATION


def test_what_is_no_data_is_not_public_without_its_plugin(sql: sa.Connection) -> None:
    harvester = sql.scalar(sa.text("SELECT to_regclass('harvest_source')"))
    assert harvester is None
    insert = (
        "INSERT INTO package (id, name, type, private)"
        " VALUES (gen_random_uuid(), 'sumber-baru', 'harvest', {})"
    )
    assert refused(sql, insert.format("false")) == CHECK_VIOLATION
    sql.execute(sa.text(insert.format("true")))
    change = "UPDATE package SET private = false WHERE name = 'sumber-baru'"
    assert refused(sql, change) == CHECK_VIOLATION


def test_an_approval_by_a_maker_is_told(world: World) -> None:
    """Whatever the makers say by then."""
    assert audit.verify()[2] == []
    chain = f"percobaan-{uuid.uuid4()}"
    for actor, event in (("walidata", "dibuat"), ("walidata_2", "setujui")):
        service.record(chain, actor, event)
    assert audit.verify()[2] == []
    service.record(chain, "walidata", "setujui")
    assert audit.verify()[2] == [f"{chain}: walidata approved what they made"]
    core.Session.rollback()
