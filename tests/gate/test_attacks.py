"""Ways around the gate, each tried as an attacker would; named after the hole."""

from __future__ import annotations

import datetime as dt
from typing import Any

import ckan.model as model
import ckan.plugins.toolkit as tk
import pytest
import sqlalchemy as sa

from tests.world import World

REFUSED = (tk.NotAuthorized, tk.ObjectNotFound, tk.ValidationError)


def test_harvest_type_is_public_without_review(world: World) -> None:
    """Any editor makes a public dataset by calling it a harvest source."""
    data = world.metadata(type="harvest", private=False)
    data["resources"] = [{"name": "rahasia", "url": "http://127.0.0.1/rahasia.csv"}]
    try:
        dataset = world.call("package_create", "produsen_dinkes", **data)
    except REFUSED:
        return
    found = world.call("package_search", None, fq=f"id:{dataset['id']}")
    assert found["count"] == 0
    with pytest.raises(tk.ObjectNotFound):
        world.call("package_show", None, id=dataset["id"])


def test_harvest_type_takes_a_published_name(world: World) -> None:
    """A name once published is given to no other dataset, of whatever type."""
    dataset = world.at("ditarik")
    world.call("dataset_purge", "admin", id=dataset["id"], note="Percobaan.")
    data = world.metadata(name=dataset["name"], type="harvest")
    with pytest.raises(REFUSED):
        world.call("package_create", "produsen_dinkes", **data)


@pytest.mark.parametrize("status", ["terverifikasi", "terbit"])
def test_sysadmin_rewrites_rows_through_a_datastore_trigger(world: World, status: str) -> None:
    """`populate_full_text_trigger` stands on every table; whoever replaces it changes rows."""
    dataset = world.at(status)
    resource = dataset["resources"][0]["id"]
    before = world.call("datastore_search", "admin", resource_id=resource)["records"]
    original = _datastore("SELECT prosrc FROM pg_proc WHERE proname = 'populate_full_text_trigger'")
    try:
        try:
            world.call(
                "datastore_function_create",
                "admin",
                name="populate_full_text_trigger",
                or_replace=True,
                rettype="trigger",
                definition="BEGIN NEW.kecamatan := 'DIPALSUKAN'; RETURN NEW; END;",
            )
            world.call("datastore_run_triggers", "admin", resource_id=resource)
        except REFUSED:
            pass
        after = world.call("datastore_search", "admin", resource_id=resource)["records"]
        assert after == before
    finally:
        from ckanext.datastore.backend.postgres import get_write_engine

        with get_write_engine().begin() as connection:
            connection.exec_driver_sql(
                "CREATE OR REPLACE FUNCTION populate_full_text_trigger() RETURNS trigger AS"
                f" $body${original.replace('%', '%%')}$body$ LANGUAGE plpgsql"
            )


def _datastore(query: str) -> Any:
    from ckanext.datastore.backend.postgres import get_write_engine

    with get_write_engine().connect() as connection:
        return connection.scalar(sa.text(query))


@pytest.mark.parametrize("status", ["draf", "ditarik"])
def test_tags_of_unpublished_datasets_are_listed(world: World, status: str) -> None:
    tag = f"rahasia-{status}"
    world.at(status, tag_string=tag)
    assert tag not in world.call("tag_list", None)
    assert tag not in world.call("tag_list", None, query="rahasia")
    assert tag not in world.call("tag_autocomplete", None, query="rahasia")
    found = world.call("tag_search", None, query="rahasia")["results"]
    assert tag not in [row["name"] for row in found]


def test_formats_of_unpublished_datasets_are_listed(world: World) -> None:
    dataset = world.draft()
    id_ = dataset["resources"][0]["id"]
    world.call("resource_patch", "produsen_dinkes", id=id_, format="FORMATRAHASIA")
    assert world.call("format_autocomplete", None, q="formatrahasia") == []


def test_member_list_names_unpublished_datasets(world: World) -> None:
    dataset = world.draft()
    for reader in (None, "warga", "produsen_dukcapil"):
        rows = world.call("member_list", reader, id="dinkes", object_type="package")
        assert dataset["id"] not in [row[0] for row in rows]


ORACLES: list[tuple[str, str, dict[str, Any]]] = [
    ("package_relationships_list", "id", {}),
    ("dataset_follower_count", "id", {}),
    ("am_following_dataset", "id", {}),
    ("follow_dataset", "id", {}),
    ("package_collaborator_list", "id", {}),
    ("package_patch", "id", {"title": "x"}),
    ("package_update", "id", {"title": "x"}),
    ("package_delete", "id", {}),
    ("dataset_purge", "id", {}),
    ("package_owner_org_update", "id", {"organization_id": "dinkes"}),
]


@pytest.mark.parametrize(("action", "key", "more"), ORACLES, ids=[o[0] for o in ORACLES])
@pytest.mark.parametrize("reader", ["warga", "produsen_dukcapil"])
def test_existence_is_told(
    world: World, action: str, key: str, more: dict[str, Any], reader: str
) -> None:
    """To others a dataset that is not public does not exist: the same answer as for an unknown."""
    id_ = world.standing("diajukan")
    name = world.call("package_show", "admin", id=id_)["name"]

    def answer(value: str) -> tuple[str, str]:
        try:
            return "ok", str(world.call(action, reader, **{key: value}, **more))
        except REFUSED as error:
            model.Session.rollback()
            return type(error).__name__, str(error).replace(value, "X")

    assert answer(name) == answer("tidak-ada-" + name)


@pytest.mark.parametrize("action", ["resource_view_list", "resource_patch", "resource_delete",
                                    "datastore_info", "datastore_search"])  # fmt: skip
def test_existence_of_a_resource_is_told(world: World, action: str) -> None:
    id_ = world.standing("diajukan")
    resource = world.call("package_show", "admin", id=id_)["resources"][0]["id"]
    key = "resource_id" if action == "datastore_search" else "id"
    for reader in ("warga", "produsen_dukcapil"):
        with pytest.raises(tk.ObjectNotFound):
            world.call(action, reader, **{key: resource})


@pytest.mark.parametrize(
    "checklist",
    [["x"], "x", {"lain": {"sesuai": True}}, {"metadata": {"sesuai": None}}, {"metadata": 1},
     {"metadata": {"sesuai": True, "note": "a\x00b"}},
     {"metadata": {"sesuai": True, "note": "\ud800"}}],
    ids=["list", "text", "unknown", "no note", "number", "NUL", "surrogate"],
)  # fmt: skip
@pytest.mark.parametrize("transition", ["ajukan", "kembalikan"])
def test_checklist_of_a_move_without_checklist_fails(
    world: World, transition: str, checklist: Any
) -> None:
    """A wrong checklist is refused (409) also where none is asked for; it was a 500."""
    user, status = {"ajukan": ("produsen_dinkes", "draf"), "kembalikan": ("walidata", "diajukan")}[
        transition
    ]
    dataset = world.at(status)
    with pytest.raises(tk.ValidationError):
        world.move_raw(user, dataset["id"], transition, note="Perbaiki.", checklist=checklist)
    assert world.status(dataset["id"])["status"] == status


@pytest.mark.parametrize("field", ["note", "public_note", "content_hash"])
def test_lone_surrogate_fails(world: World, field: str) -> None:
    dataset = world.at("diajukan")
    data = {"note": "Perbaiki.", field: "x\ud800"}
    if field == "content_hash":
        with pytest.raises(tk.ValidationError):
            world.move("walidata", dataset["id"], "setujui", **data)
    else:
        with pytest.raises(tk.ValidationError):
            world.move_raw("walidata", dataset["id"], "kembalikan", **data)


def test_publish_at_beyond_the_calendar_breaks_the_queue(world: World) -> None:
    """PostgreSQL keeps the year 10000, Python does not read it: every queue would fail."""
    dataset = world.at("terverifikasi")
    try:
        with pytest.raises(tk.ValidationError):
            world.move(
                "walidata", dataset["id"], "terbitkan", publish_at="9999-12-31T23:59:59-12:00"
            )
        world.call("satudata_queue_list", "walidata", limit=100)
    finally:
        model.Session.rollback()
        model.Session.execute(
            sa.text("UPDATE satudata_status SET publish_at = NULL, due_at = NULL"
                    " WHERE package_id = :id"), {"id": dataset["id"]},
        )  # fmt: skip
        model.Session.commit()


@pytest.mark.parametrize("value", [float("inf"), ["x"], "\x00"])
def test_queue_limit_fails(world: World, value: Any) -> None:
    with pytest.raises(tk.ValidationError):
        world.call("satudata_queue_list", "walidata", limit=value)


@pytest.mark.parametrize("id_", [["x"], {"a": 1}, 5, "a\x00b", "\ud800"])
@pytest.mark.parametrize(
    "action",
    ["satudata_status_show", "satudata_transition", "satudata_history_list",
     "satudata_publication_show", "satudata_prioritas_set"],
)  # fmt: skip
def test_id_of_a_wrong_type_fails(world: World, action: str, id_: Any) -> None:
    try:
        with pytest.raises((tk.ObjectNotFound, tk.ValidationError)):
            world.call(action, "forum", id=id_, transition="x", data_prioritas=True, kriteria="a")
    finally:
        model.Session.rollback()


@pytest.mark.parametrize("fl", [["id", "title"], ["title"], ["name"]])
def test_stale_index_leaks_chosen_fields(world: World, fl: list[str]) -> None:
    """With `fl` a result says neither `private` nor, perhaps, `id`; it is withdrawn."""
    from ckan.lib.search.common import make_connection

    dataset = world.at("terbit")
    solr = make_connection()
    document = next(iter(solr.search(f'id:"{dataset["id"]}"', fl="*")))
    world.move("walidata", dataset["id"], "tarik", note="Keliru.")
    # As after a Solr that did not answer: what was public is there still.
    stale = {
        key: value.strftime("%Y-%m-%dT%H:%M:%SZ") if isinstance(value, dt.datetime) else value
        for key, value in document.items()
        if key != "_version_"
    }
    solr.add([stale | {"capacity": "public", "permission_labels": ["public"]}], commit=True)
    try:
        found = world.call("package_search", None, fq=f"id:{dataset['id']}", fl=fl)
        assert found["results"] == []
    finally:
        from ckanext.satudata_trenggalek.workflow import service

        service.reindex(dataset["id"])


@pytest.mark.parametrize("who", ["admin_dinkes", "admin"])
def test_organization_of_verified_data_is_deleted_by_patch(world: World, who: str) -> None:
    """`state` of an organization is no way to take its published datasets from the public."""
    dataset = world.at("terbit")
    before = _uncached(dataset["id"])["organization"]
    try:
        try:
            world.call("organization_patch", who, id="dinkes", state="deleted")
        except REFUSED:
            model.Session.rollback()
        assert _uncached(dataset["id"])["organization"] == before
    finally:
        world.call("organization_patch", "admin", id="dinkes", state="active")


def test_organization_of_verified_data_is_renamed(world: World) -> None:
    """What a published dataset calls its owner is not for one person to change unseen."""
    dataset = world.at("terbit")
    before = _uncached(dataset["id"])["organization"]["name"]
    try:
        try:
            world.call("organization_patch", "admin_dinkes", id="dinkes", name="dinas-palsu")
        except REFUSED:
            model.Session.rollback()
        assert _uncached(dataset["id"])["organization"]["name"] == before
    finally:
        world.call("organization_patch", "admin", id=world.ids["dinkes"], name="dinkes")


def _uncached(id_: str) -> dict[str, Any]:
    return tk.get_action("package_show")({"user": "", "use_cache": False}, {"id": id_})


def test_sysadmin_makes_a_token_of_walidata(world: World) -> None:
    """With it he checks in another's name what he made himself."""
    with pytest.raises(REFUSED):
        world.call("api_token_create", "admin", user="walidata", name="pinjam")


@pytest.mark.parametrize("action", ["organization_delete", "organization_purge"])
def test_organization_with_datasets_goes(world: World, action: str) -> None:
    world.standing("terbit")
    try:
        with pytest.raises(REFUSED):
            world.call(action, "admin", id="dinkes")
    finally:
        model.Session.rollback()


@pytest.mark.parametrize("action", ["group_delete", "group_patch", "group_purge"])
def test_group_of_verified_data_goes(world: World, action: str) -> None:
    """The topic of a published dataset is content; its removal is refused in words."""
    group = "perlindungan-sosial-dan-kesehatan"
    if not model.Group.get(group):
        world.call("group_create", "admin", name=group, title="Kesehatan")
    world.at("terbit")
    more = {"state": "deleted"} if action == "group_patch" else {}
    try:
        with pytest.raises(REFUSED):
            world.call(action, "admin", id=group, **more)
    finally:
        model.Session.rollback()
        world.call("group_patch", "admin", id=group, state="active")


def test_tag_delete_changes_verified_data(world: World) -> None:
    dataset = world.at("terbit", tag_string="dihapus-admin")
    try:
        with pytest.raises(REFUSED):
            world.call("tag_delete", "admin", id="dihapus-admin")
    finally:
        model.Session.rollback()
    assert "dihapus-admin" in str(world.call("package_show", None, id=dataset["id"])["tags"])


def test_number_of_drafts_is_told(world: World) -> None:
    before = world.call("user_show", "warga", id="produsen_dinkes")["number_created_packages"]
    world.draft()
    after = world.call("user_show", "warga", id="produsen_dinkes")["number_created_packages"]
    assert after == before


def test_maker_of_a_view_checks(world: World) -> None:
    """Whoever adds a view, a group or a relation made part of it."""
    dataset = world.draft()
    world.call(
        "resource_view_create",
        "produsen_dinkes_2",
        resource_id=dataset["resources"][0]["id"],
        view_type="text_view",
        title="Pratinjau",
    )
    makers = model.Session.scalar(
        sa.text("SELECT makers FROM satudata_status WHERE package_id = :id"), {"id": dataset["id"]}
    )
    assert world.ids["produsen_dinkes_2"] in makers


def test_makers_after_an_error_in_the_same_session(world: World) -> None:
    """After a refusal the next editor is recorded, and nobody of before."""
    dataset = world.draft()
    with pytest.raises(tk.ValidationError):
        world.call("package_patch", "admin_dinkes", id=dataset["id"], title="")
    world.call("package_patch", "produsen_dinkes_2", id=dataset["id"], notes="Lain.")
    makers = model.Session.scalar(
        sa.text("SELECT makers FROM satudata_status WHERE package_id = :id"), {"id": dataset["id"]}
    )
    assert world.ids["produsen_dinkes_2"] in makers
    assert world.ids["admin_dinkes"] not in makers
    assert not model.Session.scalar(sa.text("SELECT current_setting('satudata.actor', true)"))
