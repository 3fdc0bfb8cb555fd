"""What no checker reads is read by nobody: words beside the content, and what was taken from it."""

from __future__ import annotations

import datetime as dt
import hashlib
import io
import json
import os
import uuid
from collections.abc import Callable
from typing import Any

import ckan.model as model
import ckan.plugins.toolkit as tk
import markupsafe
import pytest
import sqlalchemy as sa
import xlsxwriter
from ckan.lib import jobs, search
from ckan.tests.helpers import CKANTestApp
from sqlalchemy.exc import IntegrityError
from werkzeug.datastructures import FileStorage

from ckanext.satudata_trenggalek import (
    content,
    doctor,
    files,
    filetext,
    gate,
    maintenance,
    notices,
    reading,
    tables,
)
from ckanext.satudata_trenggalek.model import Status, ddl
from ckanext.satudata_trenggalek.workflow import service
from tests.world import World, misnamed

LINK = {"url": "https://lain.example/x.csv", "url_type": ""}
WORD = "kata4711liar"


def file(data: bytes = World.CSV, name: str = "kelahiran.csv") -> FileStorage:
    return FileStorage(io.BytesIO(data), filename=name)


def again(world: World, id_: str, change: Callable[[], Any]) -> None:
    """A checker reads; the Produsen takes it back, changes it and submits it again; the checker
    decides by what was read."""
    world.move("produsen_dinkes", id_, "ajukan")
    read = world.status(id_)["content_hash"]
    world.move("produsen_dinkes", id_, "batalkan")
    change()
    world.move("produsen_dinkes", id_, "ajukan")
    world.move("walidata", id_, "setujui", content_hash=read)
    world.move("walidata", id_, "terbitkan", content_hash=read)


def text_of(answer: Any) -> str:
    return json.dumps(answer, default=str)


# Words under keys of core's -----------------------------------------------------------------------
@pytest.mark.parametrize("through", ["resource_patch", "package_patch", "resource_create"])
def test_a_file_says_nothing_that_was_not_read(world: World, through: str) -> None:
    """Core takes `__extras` of a file from whoever sends it, and puts it over what it checked."""
    dataset = world.draft()
    words = {"satudata_catatan": WORD, "datastore_active": WORD, "hash": "f" * 64, "size": 9,
             "last_modified": "1999-01-01T00:00:00", "created": "1999-01-01T00:00:00",
             "id": "id-pilihan-sendiri"}  # fmt: skip

    def change() -> None:
        id_, resource = dataset["id"], dataset["resources"][0]
        if through == "resource_patch":
            world.call(through, "produsen_dinkes", id=resource["id"], __extras=words)
        elif through == "package_patch":
            rows = [resource | {"__extras": words, "__junk": words}]
            world.call(through, "produsen_dinkes", id=id_, resources=rows)
        else:
            world.call("resource_delete", "produsen_dinkes", id=resource["id"])
            world.upload("produsen_dinkes", id_, __extras=words)

    again(world, dataset["id"], change)
    [shown] = world.call("package_show", None, id=dataset["id"])["resources"]
    assert WORD not in text_of(shown) and "1999" not in text_of(shown)
    assert shown["hash"] == files.pointer(shown["id"]).sha256  # pyright: ignore
    assert shown["id"] != words["id"] and shown["size"] == len(World.CSV)


def test_a_link_is_no_file(world: World) -> None:
    """What lies elsewhere changes without anybody's doing here."""
    id_ = world.call("package_create", "produsen_dinkes", **world.metadata())["id"]
    made = world.upload("produsen_dinkes", id_, __extras=LINK)
    assert made["url_type"] == "upload"
    # However it came to be.
    table = model.resource_table
    link = sa.update(table).where(table.c.id == made["id"]).values(**LINK)
    model.Session.execute(link)
    model.Session.commit()
    [blocker] = world.status(id_)["blockers"]
    assert blocker["field"] == f"resources/{made['id']}/url"


@pytest.mark.parametrize("values", [LINK, {"hash": "f" * 64}, {"size": 9}], ids=str)
def test_the_database_publishes_verified_files_only(
    world: World, owner: sa.Engine, values: dict[str, Any]
) -> None:
    id_ = world.at("terverifikasi")["id"]
    table = model.resource_table
    here = table.c.package_id == id_
    columns = (table.c[name] for name in values)
    before = model.Session.execute(sa.select(*columns).where(here)).one()._asdict()

    def put(values: dict[str, Any]) -> None:
        model.Session.rollback()
        with owner.begin() as connection:
            connection.execute(sa.text("ALTER TABLE resource DISABLE TRIGGER satudata_guard"))
            connection.execute(sa.update(table).where(here).values(**values))
            connection.execute(sa.text("ALTER TABLE resource ENABLE ALWAYS TRIGGER satudata_guard"))

    put(values)
    # As whoever has found a way past the content hash, too.
    package = model.Session.get(model.Package, id_)
    row = model.Session.get(Status, id_)
    assert package and row
    service.record(id_, "walidata", "terbitkan", from_status=row.status, to_status="terbit")
    row.status = "terbit"
    with pytest.raises(IntegrityError, match="not verified"):
        gate.publish(package)
    put(before)
    assert world.visible(id_) == []


def test_what_only_the_portal_says_of_a_file(world: World) -> None:
    """Core keeps the kind of a file whose `url_type` is sent as null."""
    dataset = world.draft()
    [resource] = dataset["resources"]
    said = {"url": "kelahiran.csv", "url_type": None, "hash": "f" * 64, "size": 1,
            "mimetype": "text/html"}  # fmt: skip
    again(
        world,
        dataset["id"],
        lambda: world.call("resource_patch", "produsen_dinkes", id=resource["id"], **said),
    )
    [shown] = world.call("package_show", None, id=dataset["id"])["resources"]
    assert {key: shown[key] for key in said} == {key: resource[key] for key in said}


def test_all_that_is_stored_is_content(world: World) -> None:
    """Keys of ours, too: nobody but the portal writes them, and it stores none."""
    id_ = world.draft()["id"]
    before = content.canonical(id_)
    table = model.resource_table
    for extras in ({"satudata_catatan": WORD}, {"datastore_active": WORD}):
        [known] = model.Session.scalars(sa.select(table.c.extras).where(table.c.package_id == id_))
        change = sa.update(table).where(table.c.package_id == id_)
        model.Session.execute(change.values(extras=known | extras))
        assert content.canonical(id_) != before
        model.Session.rollback()


# What was taken away ------------------------------------------------------------------------------
def test_tags_that_were_taken_off(world: World) -> None:
    id_ = world.draft(tag_string=f"kelahiran,{WORD}")["id"]
    tags = [{"name": "kelahiran"}]
    world.call("package_patch", "produsen_dinkes", id=id_, tag_string="kelahiran", tags=tags)
    world.bring(id_, "terbit")
    world.draft(tag_string=WORD)
    for action in ("tag_list", "tag_search", "tag_autocomplete"):
        for asked in ({"query": WORD[:6]}, {"q": WORD[:6]}):
            assert WORD not in text_of(world.call(action, None, **asked))
    assert WORD not in world.call("tag_list", None)
    with pytest.raises(tk.ObjectNotFound):
        world.call("tag_show", None, id=WORD)


@pytest.fixture
def removed(world: World) -> dict[str, str]:
    """A published dataset, and a file that a draft of it had: with rows and views of its own."""
    dataset = world.at("terbit")
    id_, old = dataset["id"], dataset["resources"][0]["id"]
    world.move("walidata", id_, "tarik", note="Keliru.")
    world.move("produsen_dinkes", id_, "buka_kembali")
    secret = f"kode,kecamatan,jumlah\n35.03.01,{WORD},1\n".encode()
    world.call("resource_patch", "produsen_dinkes", id=old, upload=file(secret))
    tables.load(old)
    told = {"title": WORD, "description": WORD, "view_type": "text_view"}
    view = world.call("resource_view_create", "produsen_dinkes", resource_id=old, **told)["id"]
    new = world.upload("produsen_dinkes", id_)
    kept = [r for r in world.call("package_show", "produsen_dinkes", id=id_)["resources"]
            if r["id"] == new["id"]]  # fmt: skip
    world.call("package_patch", "produsen_dinkes", id=id_, resources=kept)
    world.bring(id_, "terbit")
    return {"id": id_, "old": old, "view": view, "new": new["id"]}


def test_a_file_that_was_taken_out(world: World, removed: dict[str, str], app: CKANTestApp) -> None:
    """Before the worker removes its table; its id is known from the version before."""
    old, view = removed["old"], removed["view"]
    for action, asked in (
        ("datastore_search", {"resource_id": old}),
        ("datastore_info", {"id": old}),
        ("resource_show", {"id": old}),
        ("resource_view_list", {"id": old}),
        ("resource_view_show", {"id": view}),
    ):
        for user in (None, "produsen_dinkes", "admin"):
            with pytest.raises(tk.ObjectNotFound):
                world.call(action, user, **asked)
    for page in (
        f"/datastore/dump/{old}",
        f"/dataset/{removed['id']}/resource/{old}",
        f"/dataset/{removed['id']}/resource/{removed['new']}/view/{view}",
    ):
        assert app.get(page, expect_errors=True).status_code == 404, page
    assert app.post(f"/datatables/ajax/{view}", expect_errors=True).status_code == 404
    left = sa.select(model.ResourceView.id).where(model.ResourceView.resource_id == old)
    assert not list(model.Session.scalars(left))


def test_a_file_of_what_was_public_is_deleted_like_any(world: World) -> None:
    dataset = world.at("ditarik")
    world.move("produsen_dinkes", dataset["id"], "buka_kembali")
    old = dataset["resources"][0]["id"]
    for user in ("walidata", "produsen_dukcapil"):
        with pytest.raises((tk.NotAuthorized, tk.ObjectNotFound)):
            world.call("resource_delete", user, id=old)
    world.call("resource_delete", "produsen_dinkes", id=old)
    assert not world.call("package_show", "produsen_dinkes", id=dataset["id"])["resources"]


def test_a_name_is_no_id(world: World) -> None:
    """Core looks for a file by its name where there is no such id: names are anybody's."""
    gone = world.at("ditarik")
    old = gone["resources"][0]["id"]
    world.call("dataset_purge", "admin", id=gone["id"], note="Salah unggah.")
    mine = world.call(
        "package_create", "produsen_dukcapil", **world.metadata(owner_org="dukcapil")
    )["id"]
    link = {"package_id": mine, "name": old, "url": "https://lain.example/x"}
    made = world.call("resource_create", "produsen_dukcapil", **link)
    for action, key in (
        ("datastore_search", "resource_id"), ("datastore_info", "id"), ("resource_show", "id"),
        ("resource_view_list", "id"), ("resource_patch", "id"), ("resource_delete", "id"),
    ):  # fmt: skip
        with pytest.raises(tk.ObjectNotFound):
            world.call(action, "produsen_dukcapil", **{key: old})
    assert world.call("resource_show", "produsen_dukcapil", id=made["id"])["name"] == old


def test_tables_of_what_is_purged(world: World) -> None:
    """Are removed by the next job, not by the next look for what was forgotten."""
    dataset = world.draft()
    [resource] = dataset["resources"]
    jobs.get_queue().empty()
    world.call("dataset_purge", "admin", id=dataset["id"])
    waiting = [job.args for job in jobs.get_queue().jobs if job.func is tables.load]
    assert [resource["id"]] in list(map(list, waiting))
    tables.load(resource["id"])
    assert tables.state(resource["id"]) is None


# Who reads what was said --------------------------------------------------------------------------
def notes_of(world: World, name: str) -> str:
    return text_of(world.call("satudata_notice_list", name))


def test_notes_stay_with_those_who_follow(world: World) -> None:
    """That a dataset is public opens it to all, and what was said of it to nobody more."""
    id_ = world.draft()["id"]
    forum = "satudata_prioritas_set", "forum"
    world.call(*forum, id=id_, data_prioritas=True, kriteria="a")
    world.move("produsen_dinkes", id_, "ajukan")
    world.move("walidata", id_, "teruskan_ke_pembina", note=WORD)
    assert WORD in notes_of(world, "pembina_bps")
    world.move("walidata", id_, "batalkan_pembina", note=WORD)
    world.call(*forum, id=id_, data_prioritas=False)
    world.move("walidata", id_, "setujui")
    assert WORD not in notes_of(world, "pembina_bps")
    world.move("walidata", id_, "terbitkan")
    with pytest.raises(tk.NotAuthorized):
        world.call("satudata_status_show", "pembina_bps", id=id_)
    assert WORD not in notes_of(world, "pembina_bps")
    user = model.User.get("pembina_bps")
    assert user and notices.readable(user, [id_]) == {}


def test_forum_counts_nothing_out(world: World) -> None:
    """Forum is told id, title, organization and status, by its questions too."""
    title = f"Antrean {WORD}"
    dataset = world.at("diajukan", title=title)
    world.call("satudata_claim", "walidata", id=dataset["id"])

    def count(user: str, **asked: Any) -> int:
        return world.call("satudata_queue_list", user, q=title, **asked)["count"]

    asked: list[dict[str, Any]] = [
        {"reviewer": "walidata"}, {"kategori": dataset["kategori"]}, {"overdue": False},
        {"data_prioritas": False}, {"clock": True},
    ]  # fmt: skip
    for each in asked:
        assert (count("walidata", **each), count("forum", **each)) == (1, 0), each
    assert count("forum") == count("forum", status="diajukan", organization="dinkes") == 1
    found = world.call("satudata_queue_list", "forum", q=title)
    facets = ("overdue", "today", "mine", "ready")
    assert [found["facets"][name] for name in facets] == [0, 0, 0, 0]
    assert set(found["results"][0]) == {
        "id", "type", "title", "organization", "organization_title", "status", "status_label",
    }  # fmt: skip
    # Of its own organization it reads all.
    own = world.draft("forum", owner_org="bappeda", title=title)["id"]
    mine = world.call(
        "satudata_queue_list", "forum", q=title, status="draf", kategori=dataset["kategori"]
    )
    assert [row["id"] for row in mine["results"]] == [own] and mine["results"][0]["kategori"]


def test_the_order_tells_forum_nothing(world: World, owner: sa.Engine) -> None:
    title = f"Urutan {WORD}"
    first, second = (world.at("diajukan", title=title)["id"] for _ in range(2))
    now = dt.datetime.now(dt.timezone.utc)
    with owner.begin() as connection:
        connection.execute(sa.text("ALTER TABLE satudata_status DISABLE TRIGGER USER"))
        for id_, days in ((first, 9), (second, -9)):
            due = now + dt.timedelta(days=days)
            change = sa.update(Status).where(Status.package_id == id_)
            connection.execute(change.values(due_at=due))
        for name in ("satudata_guard", "satudata_agree"):
            enable = f"ALTER TABLE satudata_status ENABLE ALWAYS TRIGGER {name}"
            connection.execute(sa.text(enable))

    def order(user: str, sort: str) -> list[str]:
        rows = world.call("satudata_queue_list", user, q=title, sort=sort)["results"]
        return [row["id"] for row in rows]

    assert order("walidata", "due") == [second, first]
    assert order("walidata", "submitted") == [first, second]
    assert order("forum", "due") == order("forum", "submitted") == sorted([first, second])


# Names and times ----------------------------------------------------------------------------------
@pytest.mark.parametrize("kind", ["dataset", "kegiatan"])
def test_a_note_for_the_public_stands_where_the_public_was(
    world: World, app: CKANTestApp, kind: str
) -> None:
    """Not under a name that was given since then."""
    made = world.at("terbit") if kind == "dataset" else world.kegiatan_at("terbit")
    id_, name = made["id"], made["name"]
    world.move("walidata", id_, "tarik", note="Keliru.", public_note="Angka keliru.")
    world.move("produsen_dinkes", id_, "buka_kembali")
    world.call("package_patch", "produsen_dinkes", id=id_, name=f"{name}-{WORD}")

    def answer(name: str) -> int:
        return app.get(f"/{kind}/{name}", expect_errors=True, follow_redirects=False).status_code

    assert (answer(name), answer(id_), answer(f"{name}-{WORD}")) == (410, 410, 404)


def test_a_download_tells_nothing_of_the_same_bytes_elsewhere(
    world: World, app: CKANTestApp
) -> None:
    """They lie on the disk once, since the first upload of them."""
    data = f"kode,kecamatan,jumlah\n35.03.01,{WORD},1\n".encode()
    first = world.call("package_create", "produsen_dinkes", **world.metadata())["id"]
    world.upload("produsen_dinkes", first, data)
    storage: Any = files.storage()
    path = storage.full_path(files.location(hashlib.sha256(data).hexdigest()))
    os.utime(path, (1_000_000_000, 1_000_000_000))
    id_ = world.call("package_create", "produsen_dinkes", **world.metadata())["id"]
    resource = world.upload("produsen_dinkes", id_, data)
    world.bring(id_, "terbit")
    page = f"/dataset/{id_}/resource/{resource['id']}/download/kelahiran.csv"

    def get(**headers: str) -> Any:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return app.get(page, headers=named, expect_errors=True)

    whole = get()
    tag, time = whole.headers["ETag"], whole.headers["Last-Modified"]
    assert tag == f'"{resource["hash"]}"' and "2001" not in time
    assert get(If_None_Match=tag).status_code == 304
    assert get(If_Modified_Since=time).status_code == 304
    assert get(If_Modified_Since="Sun, 09 Sep 2001 01:46:40 GMT").status_code == 200
    assert get(If_None_Match='"lain"').status_code == 200
    part = get(Range="bytes=0-3")
    assert (part.status_code, part.data, part.headers["ETag"]) == (206, data[:4], tag)
    assert get(Range="bytes=0-3", If_Range=tag).status_code == 206
    for other in ('"lain"', "Sun, 09 Sep 2001 01:46:40 GMT"):
        assert get(Range="bytes=0-3", If_Range=other).data == data
    for asked in ({"If_Match": '"lain"'}, {"If_Unmodified_Since": "Sun, 09 Sep 2001 01:46:40 GMT"},
                  {"Range": "bytes=900-"}):  # fmt: skip
        answer = get(**asked)
        assert "2001" not in str(answer.headers) and "1000000000" not in str(answer.headers)
    assert get(If_Match=tag).status_code == 200


# What the index says ------------------------------------------------------------------------------
def document(id_: str) -> dict[str, Any]:
    """What the index stores of a dataset."""
    [found] = search.make_connection(decode_dates=False).search(f'id:"{id_}"', fl="*").docs
    del found["_version_"]
    return found


def write(document: dict[str, Any], **more: Any) -> None:
    """Put a document into the index, with what it does not store."""
    solr: Any = search.make_connection()
    solr.add([document | more], commit=True)


PUBLIC = {"permission_labels": ["public"], "satudata_status": "terbit"}


@pytest.mark.parametrize("copy", ["validated_data_dict", "data_dict"])
@pytest.mark.parametrize("forge", ["words", "seal", "none"])
def test_words_that_the_portal_did_not_write(world: World, copy: str, forge: str) -> None:
    """Whoever writes to Solr is found out."""
    id_ = world.at("terbit")["id"]
    assert not [problem for problem in maintenance.reconcile(fix=False) if id_ in problem]
    forged = document(id_)
    if forge == "none":
        forged[copy] = "{}"
    else:
        words = json.loads(forged[copy]) | {"title": WORD}
        if forge == "seal" and reading.PREPARED in words:
            words[reading.PREPARED]["seal"] = "0" * 64
        forged[copy] = json.dumps(words)
    write(forged, **PUBLIC)
    [problem] = [problem for problem in maintenance.reconcile(fix=True) if id_ in problem]
    assert "index differs" in problem
    assert document(id_)[copy] != forged[copy] and WORD not in text_of(document(id_))
    assert not [problem for problem in maintenance.reconcile(fix=False) if id_ in problem]


@pytest.mark.parametrize("schema", [False, True])
def test_an_index_of_the_version_before(world: World, schema: bool) -> None:
    """It missed that a version was withdrawn, and the next one too."""
    id_ = world.at("terbit", title=f"Jumlah {WORD}", notes=f"Uraian {WORD}")["id"]
    old = document(id_)
    world.move("walidata", id_, "tarik", note="Memuat nama orang.")
    world.move("produsen_dinkes", id_, "buka_kembali")
    told = {"title": "Jumlah Kelahiran", "notes": "Kelahiran hidup."}
    world.call("package_patch", "produsen_dinkes", id=id_, **told)
    world.bring(id_, "terbit")
    write(old, **PUBLIC)
    for fields in (["id", "title"], ["data_dict"], ["validated_data_dict"]):
        found = world.call("package_search", None, fq=f"id:{id_}", fl=fields)
        assert (found["count"], found["results"]) == (0, [])
    assert WORD not in text_of(world.call("package_autocomplete", None, q=WORD))
    for user in (None, "warga"):
        asked = {"fq": f"id:{id_}", "use_default_schema": schema}
        [found] = world.call("package_search", user, **asked)["results"]
        assert WORD not in text_of(found) and found["title"] == told["title"]
        assert found["satudata_version"] == 2
        assert world.call("package_show", user, id=id_)["title"] == told["title"]
    assert [problem for problem in maintenance.reconcile(fix=True) if id_ in problem]
    assert WORD not in text_of(document(id_))


# What the checker reads ---------------------------------------------------------------------------
def test_the_checker_reads_the_rows(world: World) -> None:
    """Whatever the index says of what is not public."""
    dataset = world.at("diajukan", title="Kelahiran Hidup")
    forged = document(dataset["id"])
    words = json.loads(forged["validated_data_dict"]) | {"title": WORD}
    write(forged | {"validated_data_dict": json.dumps(words)})
    assert WORD in search.show(dataset["id"])["validated_data_dict"]
    for user in ("walidata", "produsen_dinkes", "admin"):
        assert world.call("package_show", user, id=dataset["id"])["title"] == "Kelahiran Hidup"


def test_the_checker_reads_what_the_schema_does_not_know(
    world: World, app: CKANTestApp, tokens: Any
) -> None:
    words = [f"{WORD}-{n}" for n in range(5)]
    id_ = world.draft(extras=[{"key": "asal", "value": words[0]}], maintainer=words[1])["id"]
    [resource] = world.call("package_show", "produsen_dinkes", id=id_)["resources"]
    world.call("resource_patch", "produsen_dinkes", id=resource["id"], catatan=words[2])
    told = {"title": words[3], "description": words[4], "view_type": "text_view"}
    world.call("resource_view_create", "produsen_dinkes", resource_id=resource["id"], **told)
    world.move("produsen_dinkes", id_, "ajukan")
    page = app.get(f"/dataset/{id_}/pemeriksaan", headers=tokens("walidata")).text
    assert "Isian lain yang ikut terbit" in page and all(word in page for word in words)
    other = app.get(
        f"/dataset/{world.standing('diajukan')}/pemeriksaan", headers=tokens("walidata")
    )
    assert "Isian lain yang ikut terbit" not in other.text


@pytest.mark.parametrize("title", ["Table", "Tabel"])
def test_what_the_portal_calls_a_table_is_no_word_of_anybody_s(
    world: World, app: CKANTestApp, tokens: Any, title: str
) -> None:
    """In the language of whoever uploaded it."""
    id_ = world.draft()["id"]
    [resource] = world.call("package_show", "produsen_dinkes", id=id_)["resources"]
    [view] = world.call("resource_view_list", "produsen_dinkes", id=resource["id"])
    world.call("resource_view_update", "produsen_dinkes", **(view | {"title": title}))
    world.move("produsen_dinkes", id_, "ajukan")
    page = app.get(f"/dataset/{id_}/pemeriksaan", headers=tokens("walidata")).text
    assert "Isian lain yang ikut terbit" not in page


def test_the_checker_reads_how_a_table_is_shown(
    world: World, app: CKANTestApp, tokens: Any
) -> None:
    """Its view can leave out columns and rows."""
    id_ = world.draft()["id"]
    [resource] = world.call("package_show", "produsen_dinkes", id=id_)["resources"]
    [view] = world.call("resource_view_list", "produsen_dinkes", id=resource["id"])
    told = {"show_fields": ["kecamatan"], "filter_fields": ["kecamatan"],
            "filter_values": ["Panggul"], "date_format": f"{WORD}D",
            "filterable": False}  # fmt: skip
    world.call("resource_view_update", "produsen_dinkes", **(view | told))
    world.move("produsen_dinkes", id_, "ajukan")
    page = app.get(f"/dataset/{id_}/pemeriksaan", headers=tokens("walidata")).text
    section = page[page.index('id="isian-lain"') :]
    for word in (*told, "Panggul", f"{WORD}D", "false"):
        assert word in section, word


def test_the_checker_reads_what_a_kegiatan_is_tagged_with(
    world: World, app: CKANTestApp, tokens: Any
) -> None:
    made = world.kegiatan_at("diajukan", tag_string=WORD)
    page = app.get(f"/dataset/{made['id']}/pemeriksaan", headers=tokens("walidata")).text
    assert WORD in page[page.index('id="isian-lain"') :]


def test_the_checker_reads_a_description_as_it_is_written(
    world: World, app: CKANTestApp, tokens: Any
) -> None:
    words = f"<!-- {WORD}1 --> <i title='{WORD}2'>x</i>\n\n[{WORD}3]: http://x/{WORD}4 '{WORD}5'"
    id_ = world.draft()["id"]
    [resource] = world.call("package_show", "produsen_dinkes", id=id_)["resources"]
    world.call("resource_patch", "produsen_dinkes", id=resource["id"], description=words)
    world.move("produsen_dinkes", id_, "ajukan")
    page = app.get(f"/dataset/{id_}/pemeriksaan", headers=tokens("walidata")).text
    assert str(markupsafe.escape(words)) in page


def test_the_checker_reads_keys_that_say_nothing(
    world: World, app: CKANTestApp, tokens: Any
) -> None:
    id_ = world.draft()["id"]
    [resource] = world.call("package_show", "produsen_dinkes", id=id_)["resources"]
    keys = {f"{WORD}{n}": value for n, value in enumerate((0, "", None, [], False))}
    other = {"name_translated": "x", "description_translated": ["y"], "url": "kelahiran.csv?a#b"}
    made = world.call("resource_patch", "produsen_dinkes", id=resource["id"], **keys, **other)
    assert made["url"].endswith("/kelahiran.csvab") and not other.keys() - {"url"} & made.keys()
    made = world.call("resource_patch", "produsen_dinkes", id=resource["id"], url="kelahiran.csv")
    tables.load(resource["id"])
    world.move("produsen_dinkes", id_, "ajukan")
    page = app.get(f"/dataset/{id_}/pemeriksaan", headers=tokens("walidata")).text
    assert all(key in page for key in keys)


def test_views_stay_in_their_order(world: World) -> None:
    """Which core gives them by their number alone, where two may have one."""
    id_ = world.draft()["id"]
    other = world.upload("produsen_dinkes", id_)["id"]
    [resource, _] = world.call("package_show", "produsen_dinkes", id=id_)["resources"]
    [view] = world.call("resource_view_list", "produsen_dinkes", id=resource["id"])
    for who in ("produsen_dinkes", "admin"):
        with pytest.raises((tk.ValidationError, tk.NotAuthorized)):
            world.call("resource_view_update", who, **(view | {"resource_id": other}))
    del view["resource_id"]
    told = world.call("resource_view_update", "produsen_dinkes", **(view | {"title": "Baris"}))
    assert (told["title"], told["resource_id"]) == ("Baris", resource["id"])


def test_the_checker_reads_which_sheet_is_the_table(
    world: World, app: CKANTestApp, tokens: Any
) -> None:
    out = io.BytesIO()
    book = xlsxwriter.Workbook(out, {"in_memory": True})
    for name, hidden in (("Data", False), ("Catatan", True)):
        sheet = book.add_worksheet(name)
        for r, row in enumerate((("kode", "kecamatan", "jumlah"), ("35.03.01", "Panggul", 1))):
            sheet.write_row(r, 0, row)
        if hidden:
            sheet.hide()
    book.close()
    id_ = world.call("package_create", "produsen_dinkes", **world.metadata())["id"]
    rows = list(World.VARIABEL)
    world.upload("produsen_dinkes", id_, out.getvalue(), "kelahiran.xlsx", variabel=rows)
    world.move("produsen_dinkes", id_, "ajukan")
    page = app.get(f"/dataset/{id_}/pemeriksaan", headers=tokens("walidata")).text
    assert "lembar" in page and "Data" in page and "lembar lain tidak" in page


# Tables -------------------------------------------------------------------------------------------
def in_datastore(statement: str) -> None:
    from ckanext.datastore.backend.postgres import get_write_engine

    with get_write_engine().begin() as connection:
        connection.exec_driver_sql(statement)


@pytest.mark.parametrize(
    "change",
    [
        """UPDATE "{}" SET kecamatan = 'Pule' WHERE _id = 2""",
        """DELETE FROM "{}" WHERE _id = 1""",
        """INSERT INTO "{}" (kecamatan) VALUES ('Pule')""",
        """COMMENT ON COLUMN "{}".jumlah IS ' {{"_info": {{"notes": "lain"}}}}'""",
        """ALTER TABLE "{}" ADD COLUMN lain text""",
        """UPDATE "{}" SET _full_text = to_tsvector('lain')""",
    ],
)
def test_a_table_that_says_something_else_than_its_file(world: World, change: str) -> None:
    resource = world.at("terbit")["resources"][0]["id"]
    assert not dict(tables.differing([resource]))
    in_datastore(change.format(resource))
    assert dict(tables.differing([resource])) == {resource: ""}
    assert tables.enqueue(resource)
    tables.load(resource)
    assert not dict(tables.differing([resource]))


def test_findings_that_are_not_those_of_the_file(world: World) -> None:
    """Without them personal data stop no submission."""
    for name, data in (("kelahiran.csv", b"kode,kecamatan,jumlah\nNIK 3503015203900001,x,1\n"),
                       ("catatan.txt", b"NIK 3503015203900001\n")):  # fmt: skip
        id_ = world.call("package_create", "produsen_dinkes", **world.metadata())["id"]
        upload = FileStorage(io.BytesIO(data), filename=name)
        resource = world.call("resource_create", "produsen_dinkes", package_id=id_, name=name,
                              format=name[-3:].upper(), upload=upload)["id"]  # fmt: skip
        tables.load(resource)
        assert not dict(tables.differing([resource]))
        with model.ensure_engine().begin() as connection:
            changed = connection.execute(
                sa.text(
                    "UPDATE satudata_table SET findings = '[]'"
                    " WHERE resource_id = :id AND findings <> '[]'"
                ),
                {"id": resource},
            )
        assert changed.rowcount == 1 and dict(tables.differing([resource])) == {resource: ""}


def test_findings_in_another_order(world: World) -> None:
    """Names are found in no order."""
    [resource] = world.draft()["resources"]
    for names, differs in ((["a", "b"], False), (["b", "a"], False), (["a"], True)):
        found = [{"kind": "kode_wilayah", "names": names}]
        assert (tables._ordered(found) != tables._ordered([{"kind": "kode_wilayah",
                "names": ["a", "b"]}])) is differs  # fmt: skip
    assert not dict(tables.differing([resource["id"]]))


def test_a_table_whose_file_is_missing(world: World) -> None:
    """Is told, and stops nothing."""
    data = f"kode,kecamatan,jumlah\n35.03.01,{WORD}-hilang,1\n".encode()
    id_ = world.call("package_create", "produsen_dinkes", **world.metadata())["id"]
    made = world.upload("produsen_dinkes", id_, data)
    storage: Any = files.storage()
    path = storage.full_path(files.location(made["hash"]))
    os.rename(path, f"{path}.lain")
    [other] = world.draft()["resources"]
    try:
        found = dict(tables.differing([made["id"], other["id"]]))
    finally:
        os.rename(f"{path}.lain", path)
    assert set(found) == {made["id"]} and made["hash"] in found[made["id"]]


@pytest.mark.parametrize("error", [OSError(28, "full"), MemoryError()], ids=str)
def test_a_published_table_stays_when_it_can_t_be_loaded_again(
    world: World, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    """As after an upgrade that reads files by other rules."""
    resource = world.at("terbit")["resources"][0]["id"]

    def rows() -> int:
        return world.call("datastore_search", None, resource_id=resource)["total"]

    def broken(*_: Any) -> Any:
        raise error

    assert tables.enqueue(resource) and rows() == 2
    with monkeypatch.context() as patch:
        patch.setattr(tables.checks, "examine", broken)
        tables.load(resource)
    row = tables.state(resource)
    assert row and row.state == "antre" and rows() == 2
    tables.load(resource)
    row = tables.state(resource)
    assert row and row.state == "termuat" and rows() == 2 and tables.unloaded() == []
    with monkeypatch.context() as patch:
        patch.setattr(tables.checks, "examine", refuse)
        assert tables.enqueue(resource)
        tables.load(resource)
    assert rows() == 2 and tables.unloaded() == [resource]
    assert tables.enqueue(resource)
    tables.load(resource)
    assert tables.unloaded() == []


def refuse(*_: Any) -> Any:
    raise filetext.Rejected(tables.BROKEN)


def test_an_id_is_no_name(world: World) -> None:
    """Core asks the index for both at once, and removes by both."""
    public = world.at("terbit")
    taken = {"name": [gate.messages()[ddl.NAME_TAKEN][1]]}
    for name in (public["id"], str(uuid.uuid4())):
        with pytest.raises(tk.ValidationError) as refused:
            world.call("package_create", "admin", **world.metadata(name=name))
        assert {"name": refused.value.error_dict["name"]} == taken
        with pytest.raises(tk.ValidationError) as refused:
            world.call("package_patch", "produsen_dinkes", id=world.draft()["id"], name=name)
        assert {"name": refused.value.error_dict["name"]} == taken


def test_a_field_of_solr_is_no_extra(world: World) -> None:
    """Else the dataset would never be found again, or never be changed."""
    extras = [{"key": key, "value": "-1"} for key in ("_version_", "_root_", "_childDocuments_")]
    id_ = world.kegiatan_at("terbit", extras=extras)["id"]
    assert "package_search" in world.visible(id_)
    assert not [line for line in maintenance.reconcile(False) if id_ in line]


def test_the_time_of_a_change_is_the_portal_s(world: World) -> None:
    """By it core takes a copy from the index for the dataset's own words."""
    long_ago = "2001-01-01T00:00:00"
    made = world.call(
        "package_create", "admin", **world.metadata(metadata_modified=long_ago, owner_org="dinkes")
    )
    assert made["metadata_modified"] > long_ago


def test_a_copy_of_another_dataset_in_the_index(world: World, owner: Any) -> None:
    """As an older portal may have left it: a draft named by the id of what is published."""
    public, draft = world.at("terbit"), world.draft(title=WORD, notes=WORD)
    with misnamed(owner, draft["id"], public["id"]):
        for id_ in (draft["id"], public["id"], draft["id"], public["id"]):
            service.reindex(id_)
            for name in (public["id"], public["name"]):
                shown = world.call("package_show", None, id=name)
                assert shown["id"] == public["id"] and WORD not in json.dumps(shown)
        assert [line for line in doctor.problems() if public["id"] in line]
    assert not [line for line in doctor.problems() if public["id"] in line]
