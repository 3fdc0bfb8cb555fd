"""Nobody publishes past the review: every role, by each of core's ways to make a dataset public."""

from __future__ import annotations

from typing import Any

import ckan.model as model
import ckan.plugins.toolkit as tk
import pytest
import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError

from tests.world import World

ROLES = ("produsen_dinkes", "admin_dinkes", "admin")
REFUSED = (tk.NotAuthorized, tk.ValidationError)


def visible(world: World, id_: str) -> list[str]:
    """By which doors an anonymous reader finds the dataset."""
    doors = []
    try:
        world.call("package_show", None, id=id_)
        doors.append("package_show")
    except tk.ObjectNotFound:
        pass
    name = model.Session.scalar(
        sa.select(model.package_table.c.name).where(model.package_table.c.id == id_)
    )
    found = world.call("package_search", None, q="*:*", fq=f"id:{id_}", rows=5)
    if found["count"]:
        doors.append("package_search")
    if name in world.call("package_list", None):
        doors.append("package_list")
    return doors


@pytest.mark.parametrize("role", ROLES)
def test_create_without_private(world: World, role: str) -> None:
    data = world.metadata()
    dataset = world.call("package_create", role, **data)
    assert dataset["private"] is True
    assert visible(world, dataset["id"]) == []


@pytest.mark.parametrize("role", ROLES)
def test_create_public(world: World, role: str) -> None:
    dataset = world.call("package_create", role, **world.metadata(private=False))
    assert dataset["private"] is True
    assert visible(world, dataset["id"]) == []


@pytest.mark.parametrize("type_", ["dataset", "laporan"])
def test_create_as_a_job(world: World, type_: str) -> None:
    """As harvesters do: no access checks, a schema of their own, a type nobody registered."""
    from ckan.logic.schema import default_create_package_schema

    organization = world.ids["dinkes"]
    dataset = tk.get_action("package_create")(
        {"ignore_auth": True, "user": "admin", "schema": default_create_package_schema()},
        {**world.metadata(), "owner_org": organization, "type": type_},
    )
    assert visible(world, dataset["id"]) == []


def flip_by_patch(world: World, role: str, id_: str) -> None:
    world.call("package_patch", role, id=id_, private=False)


def flip_by_empty(world: World, role: str, id_: str) -> None:
    world.call("package_patch", role, id=id_, private="")


def flip_by_update(world: World, role: str, id_: str) -> None:
    data = world.call("package_show", {"ignore_auth": True, "user": ""}, id=id_)
    world.call("package_update", role, **dict(data, private=False))


def flip_by_revise(world: World, role: str, id_: str) -> None:
    world.call("package_revise", role, match={"id": id_}, update={"private": False})


def flip_by_bulk(world: World, role: str, id_: str) -> None:
    world.call("bulk_update_public", role, datasets=[id_], org_id=world.ids["dinkes"])


FLIPS = (flip_by_patch, flip_by_empty, flip_by_update, flip_by_revise, flip_by_bulk)


@pytest.mark.parametrize("status", ["draf", "diajukan", "terverifikasi"])
@pytest.mark.parametrize("flip", FLIPS)
@pytest.mark.parametrize("role", ROLES)
def test_flip(world: World, role: str, flip: Any, status: str) -> None:
    id_ = world.standing(status)
    with pytest.raises(REFUSED):
        flip(world, role, id_)
    assert visible(world, id_) == []
    assert world.status(id_)["status"] == status


def test_a_kegiatan_is_published_by_no_other_way_either(world: World) -> None:
    id_ = world.kegiatan_at("diajukan")["id"]
    for role in ROLES:
        for flip in FLIPS:
            with pytest.raises(REFUSED):
                flip(world, role, id_)
    for door in INSIDE:
        with pytest.raises((DBAPIError, tk.ValidationError)):
            door(id_)
        model.Session.rollback()
    assert visible(world, id_) == []
    assert not world.call("package_search", None, fq=f"dataset_type:kegiatan id:{id_}")["count"]


def inside_job(id_: str) -> None:
    tk.get_action("package_patch")(
        {"ignore_auth": True, "user": "admin"}, {"id": id_, "private": False}
    )


def inside_orm(id_: str) -> None:
    package = model.Package.get(id_)
    assert package
    package.private = False
    model.Session.commit()


def inside_query(id_: str) -> None:
    model.Session.query(model.Package).filter_by(id=id_).update({"private": False})
    model.Session.commit()


def inside_null(id_: str) -> None:
    model.Session.execute(sa.text("UPDATE package SET private = NULL WHERE id = :id"), {"id": id_})
    model.Session.commit()


def inside_setting_alone(id_: str) -> None:
    """The transaction's setting without its event opens nothing."""
    model.Session.execute(sa.text("SELECT set_config('satudata.gate', :id, true)"), {"id": id_})
    inside_query(id_)


def inside_status_alone(id_: str) -> None:
    model.Session.execute(
        sa.text("UPDATE satudata_status SET status = 'terbit' WHERE package_id = :id"), {"id": id_}
    )
    inside_setting_alone(id_)


INSIDE = (
    inside_job,
    inside_orm,
    inside_query,
    inside_null,
    inside_setting_alone,
    inside_status_alone,
)


@pytest.mark.parametrize("status", ["draf", "diajukan", "terverifikasi", "ditarik"])
@pytest.mark.parametrize("door", INSIDE)
def test_flip_from_inside(world: World, door: Any, status: str) -> None:
    id_ = world.standing(status)
    with pytest.raises((DBAPIError, tk.ValidationError)):
        door(id_)
    model.Session.rollback()
    assert visible(world, id_) == []


def test_publication_refused_without_triggers(world: World, owner: sa.Engine) -> None:
    """Fail closed: a portal without its gate publishes nothing."""
    from ckanext.satudata_trenggalek import maintenance

    id_ = world.at("terverifikasi")["id"]
    model.Session.remove()
    with owner.begin() as connection:
        connection.execute(sa.text("ALTER TABLE resource DISABLE TRIGGER satudata_guard"))
    try:
        with pytest.raises(tk.ValidationError) as error:
            world.move("walidata", id_, "terbitkan")
        assert "transition" in error.value.error_dict
        assert any("satudata_guard on resource" in p for p in maintenance.doctor())
    finally:
        model.Session.remove()
        with owner.begin() as connection:
            connection.execute(sa.text("ALTER TABLE resource ENABLE ALWAYS TRIGGER satudata_guard"))
    assert visible(world, id_) == []
    assert maintenance.doctor() == []
    world.move("walidata", id_, "terbitkan")
    assert visible(world, id_) == ["package_show", "package_search", "package_list"]
