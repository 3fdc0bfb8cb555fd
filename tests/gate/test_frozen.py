"""What is being checked, verified or published changes by no door, for no role."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Callable
from typing import Any

import ckan.model as model
import ckan.plugins.toolkit as tk
import pytest
import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError
from werkzeug.datastructures import FileStorage

from tests.world import World

FROZEN = ("diajukan", "diperiksa_pembina", "terverifikasi", "terbit", "ditarik")
ROLES = ("produsen_dinkes", "admin_dinkes", "walidata", "admin")

Door = Callable[[World, Any, str], None]


def _resource(id_: str) -> str:
    package = model.Package.get(id_)
    assert package
    return package.resources[0].id


def _view(id_: str) -> str:
    query = sa.select(model.resource_view_table.c.id).where(
        model.resource_view_table.c.resource_id == _resource(id_)
    )
    view = model.Session.scalar(query)
    assert view, "the loader made no view"
    return view


def edit_title(world: World, user: Any, id_: str) -> None:
    world.call("package_patch", user, id=id_, title="Diubah")


def edit_tags(world: World, user: Any, id_: str) -> None:
    world.call("package_patch", user, id=id_, tags=[{"name": "diubah"}], tag_string="diubah")


def edit_whole(world: World, user: Any, id_: str) -> None:
    data = world.call("package_show", {"ignore_auth": True, "user": ""}, id=id_)
    world.call("package_update", user, **dict(data, konsep="Diubah"))


def revise(world: World, user: Any, id_: str) -> None:
    world.call("package_revise", user, match={"id": id_}, update={"konsep": "Diubah"})


def delete(world: World, user: Any, id_: str) -> None:
    world.call("package_delete", user, id=id_)


def delete_by_state(world: World, user: Any, id_: str) -> None:
    world.call("package_patch", user, id=id_, state="deleted")


def delete_in_bulk(world: World, user: Any, id_: str) -> None:
    world.call("bulk_update_delete", user, datasets=[id_], org_id=world.ids["dinkes"])


def hide_in_bulk(world: World, user: Any, id_: str) -> None:
    world.call("bulk_update_private", user, datasets=[id_], org_id=world.ids["dinkes"])


def hide(world: World, user: Any, id_: str) -> None:
    world.call("package_patch", user, id=id_, private=True, notes="Diubah")


def purge(world: World, user: Any, id_: str) -> None:
    world.call("dataset_purge", user, id=id_)


def move_owner(world: World, user: Any, id_: str) -> None:
    world.call("package_owner_org_update", user, id=id_, organization_id=world.ids["dukcapil"])


def add_resource(world: World, user: Any, id_: str) -> None:
    world.call("resource_create", user, package_id=id_, url="http://example.id/a.csv", name="a")


def replace_file(world: World, user: Any, id_: str) -> None:
    upload = FileStorage(io.BytesIO(b"a,b\n1,2\n"), filename="kelahiran.csv")
    world.call("resource_update", user, id=_resource(id_), name="kelahiran.csv", upload=upload)


def repoint(world: World, user: Any, id_: str) -> None:
    world.call(
        "resource_patch", user, id=_resource(id_), url="http://example.id/a.csv", url_type=""
    )


def delete_resource(world: World, user: Any, id_: str) -> None:
    world.call("resource_delete", user, id=_resource(id_))


def add_view(world: World, user: Any, id_: str) -> None:
    world.call(
        "resource_view_create",
        user,
        resource_id=_resource(id_),
        title="Diubah",
        view_type="text_view",
    )


def edit_view(world: World, user: Any, id_: str) -> None:
    world.call(
        "resource_view_update", user, id=_view(id_), title="Diubah", view_type="datatables_view"
    )


def delete_view(world: World, user: Any, id_: str) -> None:
    world.call("resource_view_delete", user, id=_view(id_))


def group(world: World, user: Any, id_: str) -> None:
    world.call(
        "member_create", user, id="ekonomi", object=id_, object_type="package", capacity="public"
    )


def group_whole(world: World, user: Any, id_: str) -> None:
    """`packages` is ignored, so this call may succeed: nothing must come of it."""
    world.call(
        "group_patch",
        {"ignore_auth": True, "user": "admin"},
        id="ekonomi",
        packages=[{"id": id_}],
    )
    raise tk.ValidationError({})


def relate(world: World, user: Any, id_: str) -> None:
    world.call(
        "package_relationship_create",
        user,
        subject=id_,
        object=world.standing("draf"),
        type="depends_on",
    )


def datastore_upsert(world: World, user: Any, id_: str) -> None:
    world.call(
        "datastore_upsert",
        user,
        resource_id=_resource(id_),
        records=[{"kode": "1"}],
        method="insert",
        force=True,
    )


def datastore_delete(world: World, user: Any, id_: str) -> None:
    world.call("datastore_delete", user, resource_id=_resource(id_), force=True)


def datastore_create(world: World, user: Any, id_: str) -> None:
    world.call(
        "datastore_create", user, resource_id=_resource(id_), fields=[{"id": "baru"}], force=True
    )


DOORS: tuple[Door, ...] = (
    edit_title, edit_tags, edit_whole, revise, delete, delete_by_state, delete_in_bulk,
    hide_in_bulk, hide, purge, move_owner, add_resource, replace_file, repoint, delete_resource,
    add_view, edit_view, delete_view, group, group_whole, relate, datastore_upsert,
    datastore_delete, datastore_create,
)  # fmt: skip


def state_of(world: World, id_: str) -> tuple[Any, ...]:
    from ckanext.satudata_trenggalek import content
    from ckanext.satudata_trenggalek.model import Status

    model.Session.rollback()
    status = model.Session.get(Status, id_, populate_existing=True)
    assert status
    row = model.Session.execute(
        sa.select(model.package_table).where(model.package_table.c.id == id_)
    ).one()
    table = tk.get_action("datastore_search")(
        {"ignore_auth": True, "user": ""}, {"resource_id": _resource(id_)}
    )
    return (
        content.digest(content.canonical(id_)),
        row.name,
        row.private,
        row.state,
        status.status,
        table["total"],
    )


@pytest.fixture
def kategori(world: World) -> None:
    if model.Group.get("ekonomi") is None:
        site = {"ignore_auth": True, "user": "admin"}
        world.call("group_create", site, name="ekonomi", title="Ekonomi")
        # An editor of the group may put datasets into it, so core lets the door stand open.
        for user in ROLES:
            world.call("group_member_create", site, id="ekonomi", username=user, role="admin")


@pytest.mark.usefixtures("kategori")
@pytest.mark.parametrize("status", ["diajukan", "terbit"])
@pytest.mark.parametrize("door", DOORS, ids=lambda door: door.__name__)
def test_by_people(world: World, door: Door, status: str) -> None:
    id_ = world.standing(status)
    before = state_of(world, id_)
    for role in ROLES:
        with pytest.raises((tk.NotAuthorized, tk.ObjectNotFound, tk.ValidationError)):
            door(world, role, id_)
    assert state_of(world, id_) == before


@pytest.mark.usefixtures("kategori")
@pytest.mark.parametrize("status", ["diajukan", "terbit"])
@pytest.mark.parametrize("door", DOORS, ids=lambda door: door.__name__)
def test_by_jobs(world: World, door: Door, status: str) -> None:
    """`ignore_auth`, as harvesters and other plugins call."""
    id_ = world.standing(status)
    before = state_of(world, id_)
    # Hiding what is hidden changes nothing and needs no refusal.
    refused = (tk.NotAuthorized, tk.ObjectNotFound, tk.ValidationError, DBAPIError)
    with contextlib.suppress(*refused):
        door(world, {"ignore_auth": True, "user": "admin"}, id_)
    assert state_of(world, id_) == before


SQL = {
    "package": "UPDATE package SET title = 'x' WHERE id = :id",
    "package_extras": "UPDATE package SET extras = '{}' WHERE id = :id",
    "package_name": "UPDATE package SET name = name || '-x' WHERE id = :id",
    "package_type": "UPDATE package SET type = 'harvest' WHERE id = :id",
    "package_owner": "UPDATE package SET owner_org = NULL WHERE id = :id",
    "package_state": "UPDATE package SET state = 'deleted' WHERE id = :id",
    "package_row": "DELETE FROM package WHERE id = :id",
    "resource": "UPDATE resource SET url = 'x' WHERE package_id = :id",
    "resource_extras": 'UPDATE resource SET extras = \'{"x": "y"}\' WHERE package_id = :id',
    "resource_package": "UPDATE resource SET package_id = NULL WHERE package_id = :id",
    "resource_row": "DELETE FROM resource WHERE package_id = :id",
    "tag": "UPDATE package_tag SET state = 'deleted' WHERE package_id = :id",
    "tag_row": "DELETE FROM package_tag WHERE package_id = :id",
    "view": "UPDATE resource_view SET title = 'x' WHERE resource_id = :resource",
    "view_row": "DELETE FROM resource_view WHERE resource_id = :resource",
    "pointer": "UPDATE satudata_file SET sha256 = repeat('0', 64) WHERE resource_id = :resource",
    "pointer_row": "DELETE FROM satudata_file WHERE resource_id = :resource",
    "member": "INSERT INTO member (id, table_name, table_id, capacity, group_id, state)"
    " SELECT :id, 'package', :id, 'public', id, 'active' FROM \"group\" WHERE name = 'ekonomi'",
    "relationship": "INSERT INTO package_relationship"
    " (id, subject_package_id, object_package_id, type) VALUES (:id, :id, :id, 'depends_on')",
    "status": "UPDATE satudata_status SET status = 'draf' WHERE package_id = :id",
    "status_row": "DELETE FROM satudata_status WHERE package_id = :id",
    "event": "UPDATE satudata_event SET note = 'x' WHERE package_id = :id",
    "event_row": "DELETE FROM satudata_event WHERE package_id = :id",
}


@pytest.mark.usefixtures("kategori")
@pytest.mark.parametrize("status", FROZEN)
@pytest.mark.parametrize("statement", SQL.values(), ids=SQL)
def test_by_sql(world: World, statement: str, status: str) -> None:
    id_ = world.standing(status)
    before = state_of(world, id_)
    parameters = {"id": id_, "resource": _resource(id_)}
    with pytest.raises(DBAPIError) as error:
        model.Session.execute(sa.text(statement), parameters)
        model.Session.commit()
    model.Session.rollback()
    told: Any = error.value.orig
    # On the record itself the role that serves has no such right (42501 in PostgreSQL's codes).
    assert told.pgcode == "42501" or told.diag.constraint_name in (
        "satudata_frozen",
        "satudata_append_only",
    )
    assert state_of(world, id_) == before


@pytest.mark.usefixtures("kategori")
def test_a_kegiatan_is_frozen_alike(world: World) -> None:
    """Its type changes nothing: no door of a dataset's own rows, and no SQL."""
    from ckanext.satudata_trenggalek import content

    id_ = world.kegiatan()
    before = content.digest(content.canonical(id_))
    doors = (edit_title, edit_tags, delete, delete_by_state, hide, purge, move_owner, add_resource,
             group)  # fmt: skip
    for door in doors:
        for user in ("produsen_dinkes", "admin", {"ignore_auth": True, "user": "admin"}):
            with pytest.raises((tk.NotAuthorized, tk.ValidationError, DBAPIError)):
                door(world, user, id_)
            model.Session.rollback()
    for name in ("package_extras", "package_type", "package_row", "member", "status", "event_row"):
        with pytest.raises(DBAPIError):
            model.Session.execute(sa.text(SQL[name]), {"id": id_})
            model.Session.commit()
        model.Session.rollback()
    assert content.digest(content.canonical(id_)) == before
    assert world.status(id_)["status"] == "terbit"


def test_what_stays_free(world: World) -> None:
    """The loader's mark and the time of the last write are no content."""
    id_ = world.standing("terbit")
    before = state_of(world, id_)
    for statement in (
        "UPDATE package SET metadata_modified = now() AT TIME ZONE 'UTC' WHERE id = :id",
        "UPDATE resource SET extras = (coalesce(nullif(extras, ''), '{}')::jsonb"
        " || '{\"datastore_active\": true}')::text WHERE package_id = :id",
    ):
        model.Session.execute(sa.text(statement), {"id": id_})
        model.Session.commit()
    assert state_of(world, id_) == before


def test_a_published_name_is_never_given_away(world: World) -> None:
    published = world.at("ditarik")
    world.call("dataset_purge", "admin", id=published["id"], note="Diminta pengadilan.")
    with pytest.raises(tk.ValidationError) as error:
        world.call("package_create", "produsen_dinkes", **world.metadata(name=published["name"]))
    assert "name" in error.value.error_dict
    history = model.Session.execute(
        sa.text("SELECT event FROM satudata_event WHERE package_id = :id ORDER BY seq"),
        {"id": published["id"]},
    )
    assert [row.event for row in history][-1] == "dihapus_permanen"


def test_purge_wants_withdrawal_and_a_note(world: World) -> None:
    for status, field in (("terbit", "id"), ("diajukan", "id"), ("ditarik", "note")):
        with pytest.raises(tk.ValidationError) as error:
            world.call("dataset_purge", "admin", id=world.standing(status))
        assert field in error.value.error_dict


def test_deleted_and_restored_is_a_draft(world: World) -> None:
    dataset = world.at("dikembalikan")
    world.call("package_delete", "produsen_dinkes", id=dataset["id"])
    world.call("package_patch", "produsen_dinkes", id=dataset["id"], state="active")
    assert world.status(dataset["id"])["status"] == "draf"


def test_a_deleted_file_id_brings_nothing_back(world: World) -> None:
    """Core lets a resource id of a deleted resource be used again, with the bytes behind it."""
    victim = world.draft()
    resource = _resource(victim["id"])
    world.call("resource_delete", "produsen_dinkes", id=resource)
    thief = world.call(
        "package_create", "produsen_dukcapil", **world.metadata(owner_org="dukcapil")
    )
    with pytest.raises((tk.ValidationError, tk.NotAuthorized)):
        world.call(
            "package_patch",
            "produsen_dukcapil",
            id=thief["id"],
            resources=[{"id": resource, "url": "kelahiran.csv", "url_type": "upload"}],
        )


def test_keys_of_the_portal_are_dropped(world: World) -> None:
    dataset = world.call(
        "package_create",
        "produsen_dinkes",
        **world.metadata(
            satudata_status="terbit",
            resources=[{"url": "http://example.id", "name": "a", "satudata_version": 9}],
        ),
    )
    world.call("package_patch", "produsen_dinkes", id=dataset["id"], satudata_version=5)
    row = model.Session.execute(
        sa.text("SELECT p.extras::text || coalesce(r.extras, '') FROM package p JOIN resource r"
                " ON r.package_id = p.id WHERE p.id = :id"), {"id": dataset["id"]},
    ).scalar_one()  # fmt: skip
    assert "satudata" not in row
