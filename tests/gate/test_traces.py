"""What is left: bytes and tables of what is gone, copies in caches, pages of the withdrawn."""

from __future__ import annotations

import datetime as dt
import re
from typing import Any

import ckan.model as model
import ckan.plugins.toolkit as tk
import pytest
import sqlalchemy as sa
from ckan.lib.search.common import make_connection

from ckanext.satudata_trenggalek import files, gate, schema, tables
from tests.gate.sites import Portal, Refused
from tests.world import World

NO_STORE = "private, no-store"


def stored(sha256: str) -> bool:
    """Whether the storage has this content."""
    return files.storage().exists(files.files.FileData(files.location(sha256)))


def table(resource: str) -> bool:
    """Whether the DataStore has a table of it."""
    from ckanext.datastore.backend.postgres import get_write_engine

    with get_write_engine().connect() as connection:
        name = {"name": f'"{resource}"'}
        return bool(connection.scalar(sa.text("SELECT to_regclass(:name)"), name))


def own_draft(world: World) -> tuple[str, str, str]:
    """Ids of a draft and of its table, and the hash of bytes that no other dataset has."""
    id_ = world.call("package_create", "produsen_dinkes", **world.metadata())["id"]
    text = f"kode,kecamatan,jumlah\n35.03.01,{id_},12\n".encode()
    resource = world.upload("produsen_dinkes", id_, text)
    assert stored(resource["hash"]) and table(resource["id"])
    return id_, resource["id"], resource["hash"]


def work(*ids: str) -> None:
    """What the worker does with what was enqueued for these resources."""
    for id_ in ids:
        tables.load(id_)


# What is gone leaves the disk ---------------------------------------------------------------------
def test_deleted_file(world: World) -> None:
    id_, resource, sha256 = own_draft(world)
    world.call("resource_delete", "produsen_dinkes", id=resource)
    assert files.pointer(resource) is None
    work(resource)
    files.collect(grace_hours=0)
    assert not stored(sha256) and not table(resource)
    assert world.status(id_)["status"] == "draf"


def test_replaced_file(world: World) -> None:
    id_, resource, sha256 = own_draft(world)
    world.call("resource_patch", "produsen_dinkes", id=resource, url="http://example.id/a.csv",
               url_type="")  # fmt: skip
    work(resource)
    files.collect(grace_hours=0)
    assert not stored(sha256) and not table(resource)
    assert id_


def test_purged_dataset(world: World) -> None:
    id_, resource, sha256 = own_draft(world)
    world.call("dataset_purge", "admin", id=id_)
    work(resource)
    files.collect(grace_hours=0)
    assert not stored(sha256) and not table(resource)


def test_what_was_typed_goes_with_its_dataset(world: World) -> None:
    id_ = world.at("diajukan")["id"]
    world.call("satudata_draft_save", "walidata", id=id_, note="Kolom NIK terisi")
    world.move("produsen_dinkes", id_, "batalkan")
    typed = sa.text("SELECT count(*) FROM satudata_draft WHERE package_id = :id")
    assert model.Session.scalar(typed, {"id": id_}) == 1
    world.call("dataset_purge", "admin", id=id_)
    assert model.Session.scalar(typed, {"id": id_}) == 0


def test_deleted_dataset_after_a_week(world: World, owner: sa.Engine) -> None:
    """Until then it may be restored with its files."""
    id_, resource, sha256 = own_draft(world)
    world.call("package_delete", "produsen_dinkes", id=id_)
    files.empty_trash()
    files.collect(grace_hours=0)
    assert stored(sha256)
    _before(owner, id_, dt.timedelta(days=files.TRASH_DAYS, minutes=1))
    files.empty_trash()
    files.collect(grace_hours=0)
    tables.requeue_stuck()
    work(resource)
    assert not stored(sha256) and not table(resource)


def test_deleted_without_the_actions(world: World, owner: sa.Engine) -> None:
    """As `ckan dataset delete` does: on the record, and restored with its files for a week."""
    id_, resource, sha256 = own_draft(world)
    model.Session.remove()
    package = model.Package.get(id_)
    assert package
    package.delete()
    model.repo.commit_and_remove()
    assert history(id_)[-1] == "dihapus"
    files.empty_trash()
    assert files.pointer(resource)
    world.call("package_patch", "produsen_dinkes", id=id_, state="active")
    world.call("package_delete", "produsen_dinkes", id=id_)
    assert history(id_).count("dihapus") == 2
    _before(owner, id_, dt.timedelta(days=files.TRASH_DAYS, minutes=1))
    files.empty_trash()
    files.collect(grace_hours=0)
    assert not stored(sha256)


def test_deleted_by_sql(world: World) -> None:
    """Nobody knows when: its files stay."""
    id_, resource, _sha256 = own_draft(world)
    model.Session.execute(
        sa.text("UPDATE package SET state = 'deleted' WHERE id = :id"), {"id": id_}
    )
    model.Session.commit()
    files.empty_trash()
    assert files.pointer(resource)


def history(id_: str) -> list[str]:
    """Names of a dataset's events, in their order."""
    query = sa.text("SELECT event FROM satudata_event WHERE package_id = :id ORDER BY seq")
    return list(model.Session.scalars(query, {"id": id_}))


def _before(owner: sa.Engine, id_: str, age: dt.timedelta) -> None:
    """Let the dataset have been deleted that long ago; only the owner of the record can."""
    with owner.begin() as connection:
        connection.execute(sa.text("ALTER TABLE satudata_event DISABLE TRIGGER satudata_guard"))
        connection.execute(
            sa.text("UPDATE satudata_event SET at = at - :age"
                    " WHERE package_id = :id AND event = 'dihapus'"), {"age": age, "id": id_},
        )  # fmt: skip
        connection.execute(
            sa.text("ALTER TABLE satudata_event ENABLE ALWAYS TRIGGER satudata_guard")
        )


def test_withdrawn_and_purged(world: World) -> None:
    """What was public too: the events stay, the bytes go."""
    id_, resource, sha256 = own_draft(world)
    for user, name in (("produsen_dinkes", "ajukan"), ("walidata", "setujui"),
                       ("walidata", "terbitkan"), ("walidata", "tarik")):  # fmt: skip
        world.move(user, id_, name, note="Keliru.")
    files.collect(grace_hours=0)
    assert stored(sha256)
    world.call("dataset_purge", "admin", id=id_, note="Memuat data pribadi.")
    work(resource)
    files.collect(grace_hours=0)
    assert not stored(sha256) and not table(resource)


# Names and ids of what is gone --------------------------------------------------------------------
@pytest.mark.parametrize("type_", ["dataset", "harvest"])
def test_a_published_name_is_never_given_away(world: World, type_: str) -> None:
    published = world.at("ditarik")
    world.call("dataset_purge", "admin", id=published["id"], note="Diminta pengadilan.")
    data = world.metadata(name=published["name"], type=type_)
    for user in ("produsen_dinkes", "admin"):
        with pytest.raises((tk.ValidationError, tk.NotAuthorized)):
            world.call("package_create", user, **data)
        model.Session.rollback()
    history = model.Session.execute(
        sa.text("SELECT event FROM satudata_event WHERE package_id = :id ORDER BY seq"),
        {"id": published["id"]},
    )
    assert [row.event for row in history][-1] == "dihapus_permanen"


@pytest.mark.parametrize("key", ["relationships_as_subject", "relationships_as_object"])
def test_relationships_are_not_written_halfway(world: World, key: str) -> None:
    """Core makes a row without a partner of them, and then can't index the dataset."""
    more = {key: [{"type": "depends_on"}]}
    made = world.call("package_create", "produsen_dinkes", **world.metadata(**more))
    world.call("package_patch", "produsen_dinkes", id=made["id"], **more)
    rows = "FROM package_relationship WHERE :id IN (subject_package_id, object_package_id)"
    assert model.Session.scalar(sa.text(f"SELECT count(*) {rows}"), {"id": made["id"]}) == 0
    column = "subject_package_id" if key.endswith("subject") else "object_package_id"
    half = f"INSERT INTO package_relationship (id, {column}, type) VALUES ('x', :id, 'depends_on')"
    model.Session.execute(sa.text(half), {"id": made["id"]})
    model.Session.commit()
    try:
        gate.index(made["id"])
        assert world.call("package_search", "produsen_dinkes", fq=f"id:{made['id']}",
                          include_private=True)["count"] == 1  # fmt: skip
    finally:
        model.Session.execute(sa.text(f"DELETE {rows}"), {"id": made["id"]})
        model.Session.commit()


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


def test_a_purged_id_is_given_to_nobody(world: World) -> None:
    id_, _resource, _sha256 = own_draft(world)
    world.call("dataset_purge", "admin", id=id_)
    for user in ("admin", {"ignore_auth": True, "user": "admin"}):
        with pytest.raises(tk.ValidationError):
            world.call("package_create", user, **world.metadata(id=id_))
        model.Session.rollback()


# Caches -------------------------------------------------------------------------------------------
def _paths(portal: Portal, status: str) -> dict[str, str]:
    t = portal.target(status)
    dataset = f"/dataset/{t.name}"
    return {
        "page": dataset,
        "resource": f"{dataset}/resource/{t.second}",
        "download": f"{dataset}/resource/{t.second}/download/x.txt",
        "view": f"{dataset}/resource/{t.resource}/view/{t.view}",
        "metadata": f"{dataset}/metadata.csv",
        "api": f"/api/3/action/package_show?id={t.name}",
        "search": f"/api/3/action/package_search?q={t.token}&include_private=true",
        "table": f"/api/3/action/datastore_search?resource_id={t.resource}",
        "dump": f"/datastore/dump/{t.resource}?bom=true",
        "feed": f"/feeds/organization/{t.organization}.atom",
        "list": f"/dataset/?q={t.token}",
        "organization": f"/organization/{t.organization}",
        "home": "/",
    }


@pytest.mark.parametrize("status", ["diajukan", "terbit"])
def test_no_cache_keeps_what_somebody_may_see(portal: Portal, status: str) -> None:
    """Nor why somebody may not: what isn't there today may be published tomorrow."""
    for user in ("produsen_dinkes", None):
        for name, path in _paths(portal, status).items():
            answer = portal.request(user, path, "HEAD" if name == "table" else "GET")
            told = answer.headers.get("Cache-Control", "")
            if user or answer.status_code >= 400:
                assert told == NO_STORE, (user, name)
            else:
                # What everybody is told is the same for all, and a cache may keep it.
                assert "no-store" not in told, (user, name)
            assert answer.headers["X-Content-Type-Options"] == "nosniff", name


def test_browsers_keep_what_never_changes(portal: Portal) -> None:
    """Stylesheets and scripts by the hash in their names; pages, pictures and what is not there
    are asked for again."""
    page = portal.request(None, "/").get_data(as_text=True)
    assets = set(re.findall(r'(?:href|src)="(/webassets/[^"]+)"', page))
    assert len(assets) > 5
    for user in ("produsen_dinkes", None):
        for path in assets:
            answer = portal.request(user, path)
            assert answer.headers["Cache-Control"] == "public, max-age=31536000, immutable"
            # Of no session: a cache in front of the portal may hand it to anybody.
            assert not {"Vary", "Set-Cookie"} & set(answer.headers.keys()), path
        gone = portal.request(user, "/webassets/base/00000000_main.css")
        assert gone.status_code == 404
        for answer in (
            gone,
            portal.request(user, "/"),
            portal.request(user, "/satudata_trenggalek/logo.svg"),
        ):
            assert "immutable" not in answer.headers.get("Cache-Control", "")


def test_part_of_a_file(portal: Portal) -> None:
    """Range and If-None-Match ask for rights as the whole does."""
    t = portal.target("diajukan")
    path = f"/dataset/{t.name}/resource/{t.second}/download/x.txt"
    whole = portal.request("walidata", path)
    tag = whole.headers.get("ETag", "*")
    for more in ({"Range": "bytes=0-3"}, {"If-None-Match": tag}, {"Range": "bytes=-1"}):
        assert portal.request(None, path, headers=more).status_code == 404
        assert portal.request("walidata", path, headers=more).headers["Cache-Control"] == NO_STORE
    for method in ("HEAD", "OPTIONS"):
        answer = portal.request(None, path, method)
        assert t.token not in f"{answer.headers} {answer.get_data(as_text=True)}"


def test_jsonp_of_a_session(portal: Portal) -> None:
    """A script that any site loads would read the names of drafts with its reader's session."""
    t = portal.target("diajukan")
    path = f"/api/2/util/dataset/autocomplete?incomplete={t.token}"
    client = portal.app.test_client()
    form = {"login": "walidata", "password": "rahasia-123"}
    client.post("/user/login", data=form, follow_redirects=False)
    assert t.token in client.get(path).get_data(as_text=True)
    stolen = client.get(f"{path}&callback=curi", headers={"Sec-Fetch-Site": "same-site"})
    assert stolen.status_code == 403 and t.token not in stolen.get_data(as_text=True)
    action = client.get(f"/api/3/action/package_show?id={t.name}&callback=curi")
    assert t.token not in action.get_data(as_text=True).replace(t.name, "")


def test_index_holds_nothing_for_some_only(portal: Portal) -> None:
    """The index serves everybody the same text of a public dataset (`validated_data_dict`)."""
    t = portal.target("terbit")
    (document,) = make_connection().search(f'id:"{t.id}"', fl="*")
    text = str(document)
    assert t.token in text
    for word in ("Perbaiki satuan.", "checklist", "reviewer", "makers", "content_hash"):
        assert word not in text, word


# What was public ----------------------------------------------------------------------------------
def test_page_of_what_was_withdrawn(portal: Portal) -> None:
    """The public reads the reason written for it, and nothing else; without one, nothing."""
    world = portal.world
    made: list[dict[str, Any]] = []
    for public_note in ("Angka salah & <b>ditarik</b>.", ""):
        dataset = world.at("terbit", title="Judul Rahasia Lama")
        world.move("walidata", dataset["id"], "tarik", note="Rahasia dalam.",
                   public_note=public_note)  # fmt: skip
        made.append(dataset)
    told, silent = made
    for user in (None, "warga", "produsen_dukcapil"):
        for id_ in (told["name"], told["id"]):
            answer = portal.request(user, f"/dataset/{id_}")
            text = answer.get_data(as_text=True)
            assert answer.status_code == 410
            assert "Angka salah &amp; &lt;b&gt;ditarik" in text
            assert "Rahasia" not in text
            assert answer.headers["Cache-Control"] == NO_STORE
        with pytest.raises(tk.ObjectNotFound):
            world.call("package_show", user, id=told["id"])
        assert portal.request(user, f"/dataset/{silent['name']}").status_code == 404
    with pytest.raises(Refused):
        portal.open(None, f"/dataset/{told['name']}/resource/{told['resources'][0]['id']}")
    assert "Rahasia dalam." in portal.open("produsen_dinkes", f"/dataset/{told['name']}/riwayat")


def test_public_dataset_of_a_withdrawn_kegiatan(portal: Portal) -> None:
    """What was published stays; of its kegiatan the public reads no more."""
    world, secret = portal.world, "Kegiatan Yang Ditarik"
    kegiatan = world.kegiatan_at("terbit", title=secret)["id"]
    dataset = world.at("terbit", id_kegiatan=kegiatan)
    world.move("walidata", kegiatan, "tarik", note="Keliru.")
    assert portal.visible(dataset["id"])
    for path in ("", "/metadata.csv?lembar=kegiatan", "/metadata.csv", "/metadata"):
        answer = portal.request(None, f"/dataset/{dataset['name']}{path}")
        assert secret not in answer.get_data(as_text=True), path


# What nobody would read ---------------------------------------------------------------------------


def test_the_hash_knows_what_the_public_sees(world: World) -> None:
    """Nothing that is shown can be put in without another hash."""
    dataset = world.draft()
    (resource,) = dataset["resources"]

    def content_hash() -> str:
        return world.status(dataset["id"])["content_hash"]

    before = content_hash()
    palsu = [{"key": "datastore_active", "value": "PALSU"}]
    world.call("package_patch", "produsen_dinkes", id=dataset["id"], extras=palsu)
    times = dict.fromkeys(("created", "last_modified", "cache_last_updated"), "2031-01-01")
    world.call("resource_patch", "produsen_dinkes", id=resource["id"], **times)
    shown = world.call("package_show", "produsen_dinkes", id=dataset["id"])
    assert "PALSU" not in str(shown) and "2031" not in str(shown["resources"])
    assert content_hash() == before
    member = {"object": dataset["id"], "object_type": "package", "capacity": "organization"}
    name = f"topik-{dataset['id'][:8]}"
    group = world.call("group_create", "admin", name=name, title=name)
    try:
        world.call("member_create", "admin", id=group["id"], **member)
    except tk.NotAuthorized:
        job = {"ignore_auth": True, "user": "admin"}
        world.call("member_create", job, id=group["id"], **member)
    groups = world.call("package_show", "produsen_dinkes", id=dataset["id"])["groups"]
    assert group["id"] in [row["id"] for row in groups]
    assert content_hash() != before


def test_an_id_of_something_else(world: World) -> None:
    """Members are rows of an id: a dataset of a user's would make their peran irrevocable."""
    user = model.User.get("walidata_2") or model.User.get("walidata")
    organization = model.Group.get("dinkes")
    (resource,) = world.draft()["resources"]
    assert user and organization
    for id_ in (user.id, organization.id, resource["id"]):
        for who in ("admin", {"ignore_auth": True, "user": "admin"}):
            with pytest.raises(tk.ValidationError):
                world.call("package_create", who, **world.metadata(id=id_))


def test_a_file_that_is_read_otherwise_is_loaded_again(world: World) -> None:
    """Its name says how: what is checked is what a later load gives."""
    data = b"kode,kecamatan\tjumlah\n35.03.01,Panggul\t12\n"
    id_ = world.draft()["id"]
    made = world.upload("produsen_dinkes", id_, data, "data.csv")
    world.call("resource_patch", "produsen_dinkes", id=made["id"], url="data.tsv", format="TSV")
    assert tables.pending(id_) == [made["id"]]
    tables.load(made["id"])
    assert tables.pending(id_) == []


def test_a_topic_tells_of_no_draft(world: World, owner: sa.Engine) -> None:
    """All groups of topics are made at once, not each with its first dataset."""
    topics = [item["value"] for item in schema.vocab("kategori")]
    unused = topics[-2:]
    with owner.begin() as connection:
        connection.execute(
            sa.text('DELETE FROM "group" WHERE name = ANY (:names)'), {"names": unused}
        )
    world.draft(kategori=unused[0])
    assert set(topics) <= set(world.call("group_list", None))
