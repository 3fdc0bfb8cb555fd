"""The one door on a real CKAN: evidence, four eyes, rights, faults."""

from __future__ import annotations

import datetime as dt
import io
import uuid
from collections.abc import Callable
from typing import Any

import ckan.lib.search as search
import ckan.model as core
import ckan.plugins.toolkit as tk
import pytest
import sqlalchemy as sa
from werkzeug.datastructures import FileStorage

from ckanext.satudata_trenggalek import content, maintenance, model
from ckanext.satudata_trenggalek.workflow import service
from ckanext.satudata_trenggalek.workflow.table import STATUSES
from tests.world import World


def sql(statement: str, **parameters: Any) -> Any:
    result = core.Session.execute(sa.text(statement), parameters)
    core.Session.commit()
    return result


def public_count(world: World, id_: str) -> int:
    return world.call("package_search", None, fq=f"id:{id_}")["count"]


# --- evidence -------------------------------------------------------------------------------


def test_every_step_leaves_its_event(world: World) -> None:
    id_ = world.at("ditarik")["id"]
    events = world.call("satudata_history_list", "walidata", id=id_, limit=100)["results"]
    assert [(e["event"], e["actor"], e["peran"], e["sop_step"]) for e in events] == [
        ("dibuat", "produsen_dinkes", None, None),
        ("ajukan", "produsen_dinkes", "produsen_data", 5),
        ("setujui", "walidata", "walidata", 6),
        ("terbitkan", "walidata", "walidata", 7),
        ("tarik", "walidata", "walidata", 7),
    ]
    assert events[0]["prev_hash"] == service.GENESIS
    count, problems = maintenance.verify()
    assert count >= len(events) and problems == []


@pytest.mark.parametrize(
    "tampering",
    [
        "UPDATE satudata_event SET note = 'lain' WHERE package_id = :id AND seq = 2",
        "UPDATE satudata_event SET at = at + interval '1 hour' WHERE package_id = :id AND seq = 2",
        "UPDATE satudata_event SET checklist = '{}' WHERE package_id = :id AND seq = 3",
        "DELETE FROM satudata_event WHERE package_id = :id AND seq = 2",
        "UPDATE satudata_event SET seq = CASE seq WHEN 2 THEN 103 ELSE 102 END"
        " WHERE package_id = :id AND seq IN (2, 3)",
    ],
)
def test_audit_names_what_was_changed(world: World, owner: sa.Engine, tampering: str) -> None:
    """Who has the database's owner role can do it, but it shows."""
    id_ = world.at("terverifikasi")["id"]
    core.Session.remove()
    with owner.connect() as connection:
        connection.execute(sa.text("ALTER TABLE satudata_event DISABLE TRIGGER satudata_guard"))
        connection.execute(sa.text(tampering), {"id": id_})
        session = core.Session
        session.remove()
        session.configure(bind=connection)
        try:
            _count, problems = maintenance.verify()
        finally:
            session.remove()
            session.configure(bind=core.meta.engine)
            connection.rollback()
    assert len(problems) == 1 and problems[0].startswith(f"{id_}: event ")


def test_content_hash_is_of_the_content(world: World) -> None:
    dataset = world.draft()
    id_ = dataset["id"]
    first = world.status(id_)["content_hash"]
    seen = {first}
    resource = dataset["resources"][0]["id"]
    for action, data in (
        ("package_patch", {"id": id_, "name": f"{dataset['name']}-x"}),
        ("package_patch", {"id": id_, "satuan": "unit"}),
        ("package_patch", {"id": id_, "tag_string": "lahir"}),
        ("package_patch", {"id": id_, "kategori": "budaya-dan-agama"}),
        ("resource_patch", {"id": resource, "description": "Sumber: puskesmas."}),
        (
            "resource_patch",
            {"id": resource, "upload": FileStorage(io.BytesIO(b"a,b\n1,2\n"), "kelahiran.csv")},
        ),
        ("resource_create", {"package_id": id_, "name": "b", "url": "http://example.id/b.csv"}),
        (
            "resource_view_create",
            {"resource_id": resource, "title": "Teks", "view_type": "text_view"},
        ),
    ):
        world.call(action, "produsen_dinkes", **data)
        now = world.status(id_)["content_hash"]
        assert now not in seen, (action, data)
        seen.add(now)


def test_a_decision_stands_for_the_name_that_was_read(world: World) -> None:
    """The name is the address under which the public meets it."""
    dataset = world.at("diajukan")
    id_, read = dataset["id"], world.status(dataset["id"])["content_hash"]
    world.move("produsen_dinkes", id_, "batalkan")
    world.call("package_patch", "produsen_dinkes", id=id_, name=f"{dataset['name']}-gagal-total")
    world.move("produsen_dinkes", id_, "ajukan")
    decision = {"transition": "setujui", "content_hash": read, "checklist": World.CHECKLIST}
    with pytest.raises(tk.ValidationError) as refused:
        world.call("satudata_transition", "walidata", id=id_, **decision)
    assert list(refused.value.error_dict) == ["content_hash"]
    found = world.call("satudata_diff_show", "walidata", id=id_, base=read)
    assert list(found["changed"]) == ["name"]


def test_a_revision_has_the_name_of_what_it_becomes(world: World) -> None:
    public, id_ = world.at("terbit"), world.draft()["id"]
    revises = sa.update(model.Status).where(model.Status.package_id == id_)
    core.Session.execute(revises.values(revision_of=public["id"]))
    assert content.canonical(id_)["fields"]["name"] == public["name"]
    core.Session.rollback()


def test_what_an_older_portal_approved_stays_approved(world: World) -> None:
    """Its hash knew no name; what is published keeps the one it has."""
    id_ = world.standing("terbit")
    old = content.canonical(id_)
    del old["fields"]["name"]
    core.Session.add(model.Content(content_hash=content.digest(old), content=old))
    core.Session.flush()
    assert content.as_approved(id_, content.digest(old)) == old
    core.Session.rollback()


def test_what_was_submitted_is_kept(world: World) -> None:
    status = world.status(world.at("diajukan")["id"])
    kept = core.Session.get(model.Content, status["content_hash"])
    assert kept and content.digest(kept.content) == status["content_hash"]


# --- four eyes ------------------------------------------------------------------------------


def edit(world: World, user: str, id_: str) -> None:
    world.call("package_patch", user, id=id_, definisi="Diubah sedikit.")


def upload(world: World, user: str, id_: str) -> None:
    world.upload(user, id_, b"a,b\n3,4\n", "tambahan.csv")


def add_view(world: World, user: str, id_: str) -> None:
    resource = core.Package.get(id_).resources[0].id  # type: ignore[union-attr]
    world.call(
        "resource_view_create", user, resource_id=resource, title="Teks", view_type="text_view"
    )


@pytest.mark.parametrize("act", [edit, upload, add_view], ids=lambda act: act.__name__)
def test_whoever_touched_it_does_not_check_it(world: World, act: Any) -> None:
    """Kominfo's own data goes the same way, checked by a colleague who did not make it."""
    dataset = world.draft("walidata", owner_org="diskominfo")
    act(world, "walidata_2", dataset["id"])
    world.move("walidata", dataset["id"], "ajukan")
    for maker in ("walidata", "walidata_2"):
        names = [t["name"] for t in world.status(dataset["id"], maker)["transitions"]]
        assert "setujui" not in names and "kembalikan" in names
        with pytest.raises(tk.NotAuthorized):
            world.move(maker, dataset["id"], "setujui")


def test_colleague_checks(world: World) -> None:
    dataset = world.draft("walidata", owner_org="diskominfo")
    world.move("walidata", dataset["id"], "ajukan")
    assert world.move("walidata_2", dataset["id"], "setujui")["status"] == "terverifikasi"


def test_makers_survive_reopening(world: World) -> None:
    dataset = world.draft("walidata", owner_org="diskominfo")
    for user, name in (
        ("walidata", "ajukan"),
        ("walidata_2", "setujui"),
        ("walidata", "terbitkan"),
        ("walidata", "tarik"),
        ("walidata", "buka_kembali"),
        ("walidata", "ajukan"),
    ):
        world.move(user, dataset["id"], name, note="Salah unggah.")
    with pytest.raises(tk.NotAuthorized):
        world.move("walidata", dataset["id"], "setujui")


def test_a_sysadmin_is_nobody(world: World) -> None:
    id_ = world.standing("diajukan")
    assert world.status(id_, "admin")["transitions"] == []
    for name in ("setujui", "kembalikan", "batalkan"):
        with pytest.raises(tk.NotAuthorized):
            world.move("admin", id_, name, note="x")
    draft = world.standing("draf")
    with pytest.raises(tk.NotAuthorized):
        world.call("package_patch", "admin", id=draft, title="Diubah")


# --- rights ---------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [s for s in STATUSES if s != "digabung"])
def test_who_sees_what_is_not_public(world: World, status: str) -> None:
    id_ = world.standing(status)
    priority = status in ("diperiksa_pembina", "ditolak_pembina")
    readers = {
        "produsen_dinkes", "produsen_dinkes_2", "anggota_dinkes", "admin_dinkes", "walidata",
        "walidata_2", "admin",
    }  # fmt: skip
    if priority:
        readers.add("pembina_bps")
    for user in (*World.PEOPLE, None):
        if status == "terbit" or user in readers:
            assert world.call("package_show", user, id=id_)["id"] == id_
            assert world.call("package_search", user, fq=f"id:{id_}", include_private=True)["count"]
            continue
        with pytest.raises(tk.ObjectNotFound) as error:
            world.call("package_show", user, id=id_)
        with pytest.raises(tk.ObjectNotFound) as unknown:
            world.call("package_show", user, id="tidak-ada")
        assert str(error.value) == str(unknown.value)
        found = world.call("package_search", user, fq=f"id:{id_}", include_private=True)
        assert found["count"] == 0
        with pytest.raises(tk.ObjectNotFound):
            world.move_raw(user, id_, "ajukan")


def test_pembina_reads_no_draft(world: World) -> None:
    """Nor one that was submitted before: what is typed now was not."""
    draft = world.draft()["id"]
    world.call("satudata_prioritas_set", "forum", id=draft, data_prioritas=True, kriteria="a")
    world.move("produsen_dinkes", draft, "ajukan")
    assert world.call("package_show", "pembina_bps", id=draft)
    world.move("produsen_dinkes", draft, "batalkan")
    with pytest.raises(tk.ObjectNotFound):
        world.call("package_show", "pembina_bps", id=draft)
    for action in ("satudata_status_show", "satudata_comment_list", "satudata_history_list"):
        with pytest.raises((tk.ObjectNotFound, tk.NotAuthorized)):
            world.call(action, "pembina_bps", id=draft)
    found = world.call("package_search", "pembina_bps", fq=f"id:{draft}", include_private=True)
    assert found["count"] == 0
    world.move("produsen_dinkes", draft, "ajukan")
    assert world.call("package_show", "pembina_bps", id=draft)


def test_queue_shows_each_their_own(world: World) -> None:
    for status in ("draf", "diajukan", "diperiksa_pembina", "terbit"):
        world.standing(status)
    other = world.draft("produsen_dukcapil", owner_org="dukcapil")["id"]

    def ids(user: str, **data: Any) -> set[str]:
        found: list[str] = []
        while True:
            page = world.call("satudata_queue_list", user, limit=100, offset=len(found), **data)
            found += [row["id"] for row in page["results"]]
            if not page["results"]:
                return set(found)

    assert world.standing("draf") in ids("produsen_dinkes")
    assert other not in ids("produsen_dinkes") and other in ids("produsen_dukcapil")
    assert {other, world.standing("diajukan")} <= ids("walidata")
    assert world.standing("terbit") not in ids("walidata")
    assert world.standing("terbit") in ids("walidata", status=["terbit"])
    assert world.standing("diperiksa_pembina") in ids("pembina_bps")
    assert world.standing("diajukan") not in ids("pembina_bps")
    bare = world.call("satudata_queue_list", "forum", status=["diajukan"])["results"][0]
    assert set(bare) == {
        "id", "type", "title", "organization", "organization_title", "status", "status_label",
    }  # fmt: skip
    for user in ("warga", "anggota_dinkes", None):
        with pytest.raises(tk.NotAuthorized):
            world.call("satudata_queue_list", user)


def test_queue_filters_and_pages(world: World) -> None:
    dataset = world.draft(title="Luas Panen 100% Kedelai_Hitam")
    found = world.call("satudata_queue_list", "walidata", q="panen 100% kedelai_hitam")
    assert [r["id"] for r in found["results"]] == [dataset["id"]] and found["count"] == 1
    assert world.call("satudata_queue_list", "walidata", q="panen 100_")["count"] == 0
    assert (
        world.call("satudata_queue_list", "walidata", q="kedelai", organization="bappeda")["count"]
        == 0
    )
    page = world.call("satudata_queue_list", "walidata", limit=1, offset=1, sort="title")
    assert len(page["results"]) == 1 and page["count"] > 1
    for bad in (
        {"status": ["banana"]}, {"sort": "x"}, {"limit": "x"}, {"offset": -1}, {"limit": []},
        {"overdue": "x"}, {"q": {}}, {"organization": [1]}, {"status": {"a": 1}},
    ):  # fmt: skip
        with pytest.raises(tk.ValidationError) as error:
            world.call("satudata_queue_list", "walidata", **bad)
        assert set(error.value.error_dict) == set(bad)


def test_prioritas(world: World) -> None:
    id_ = world.draft()["id"]
    with pytest.raises(tk.NotAuthorized):
        world.call("satudata_prioritas_set", "admin_dinkes", id=id_, data_prioritas=True)
    with pytest.raises(tk.ValidationError) as error:
        world.call("satudata_prioritas_set", "walidata", id=id_, data_prioritas=True)
    assert "kriteria" in error.value.error_dict
    world.call("satudata_prioritas_set", "walidata", id=id_, data_prioritas=True, kriteria="b")
    with pytest.raises(tk.NotAuthorized):
        world.call("satudata_prioritas_set", "walidata", id=id_, data_prioritas=False)
    world.call("satudata_prioritas_set", "forum", id=id_, data_prioritas=False, note="Keliru.")
    assert world.status(id_)["data_prioritas"] is False
    with pytest.raises(tk.ValidationError):
        world.call(
            "satudata_prioritas_set",
            "forum",
            id=world.standing("terverifikasi"),
            data_prioritas=True,
            kriteria="a",
        )


def test_peran(world: World) -> None:
    rows = {r["organization"]: r["peran"] for r in world.call("satudata_peran_list", "walidata")}
    assert rows["diskominfo"] == ["produsen_data", "walidata"]
    for user in ("admin_dinkes", "walidata", None):
        with pytest.raises(tk.NotAuthorized):
            world.call("satudata_peran_set", user, organization="dinkes", peran=["walidata"])
    for data, field in (
        ({"organization": "dinkes", "peran": ["walidata"]}, "peran"),
        ({"organization": "dinkes", "peran": ["raja"]}, "peran"),
        ({"organization": "dinkes", "peran": [{}]}, "peran"),
        ({"organization": "tidak-ada", "peran": []}, "organization"),
    ):
        with pytest.raises(tk.ValidationError) as error:
            world.call("satudata_peran_set", "admin", **data)
        assert field in error.value.error_dict
    world.call("satudata_peran_set", "admin", organization="dukcapil", peran=[])
    try:
        with pytest.raises(tk.NotAuthorized):
            world.call(
                "package_create", "produsen_dukcapil", **world.metadata(owner_org="dukcapil")
            )
    finally:
        world.call("satudata_peran_set", "admin", organization="dukcapil", peran=["produsen_data"])


@pytest.mark.parametrize(
    ("data", "field"),
    [
        ({"transition": ""}, "transition"),
        ({"transition": "banana"}, "transition"),
        ({"transition": ["setujui"]}, "transition"),
        ({"transition": "setujui", "note": {"a": 1}}, "note"),
        ({"transition": "setujui", "note": "x" * 10_001}, "note"),
        ({"transition": "setujui", "note": "a\x00b"}, "note"),
        ({"transition": "kembalikan"}, "note"),
        ({"transition": "kembalikan", "note": "   "}, "note"),
        ({"transition": "setujui"}, "content_hash"),
        ({"transition": "setujui", "content_hash": 5}, "content_hash"),
        ({"transition": "setujui", "content_hash": "sha256:00"}, "content_hash"),
        ({"transition": "setujui", "checklist": []}, "checklist"),
        ({"transition": "setujui", "checklist": {"metadata": 1}}, "checklist"),
        ({"transition": "setujui", "publish_at": "besok"}, "publish_at"),
        ({"transition": "setujui", "publish_at": "2030-01-01T09:00:00"}, "publish_at"),
        ({"transition": "setujui", "publish_at": "2020-01-01T09:00:00+07:00"}, "publish_at"),
        ({"transition": "terbitkan"}, "transition"),
    ],
)
def test_bad_input_changes_nothing(world: World, data: dict[str, Any], field: str) -> None:
    id_ = world.standing("diajukan")
    before = world.status(id_)
    if field not in ("content_hash",):
        data = {"content_hash": before["content_hash"], "checklist": World.CHECKLIST} | data
    with pytest.raises(tk.ValidationError) as error:
        world.call("satudata_transition", "walidata", id=id_, **data)
    assert list(error.value.error_dict) == [field]
    assert world.status(id_) == before


def test_what_is_missing_is_named(world: World) -> None:
    dataset = world.call(
        "package_create",
        "produsen_dinkes",
        title="Baru",
        name=world.metadata()["name"],
        owner_org="dinkes",
    )
    world.call(
        "resource_create",
        "produsen_dinkes",
        package_id=dataset["id"],
        name="tautan",
        url="http://example.id/a.csv",
    )
    fields = {b["field"] for b in world.status(dataset["id"])["blockers"]}
    assert {"definisi", "satuan", "license_id", "resources"} - {"satuan"} <= fields
    assert any(field.startswith("resources/") and field.endswith("/url") for field in fields)
    with pytest.raises(tk.ValidationError) as error:
        world.call("satudata_transition", "produsen_dinkes", id=dataset["id"], transition="ajukan")
    assert set(error.value.error_dict) == fields


def test_closed_data_is_verified_and_stays_inside(world: World) -> None:
    legal = "UU 14/2008 Pasal 17"
    id_ = world.at("terverifikasi", klasifikasi="terbatas", dasar_hukum_klasifikasi=legal)["id"]
    status = world.status(id_, "walidata")
    assert status["status_label"] == "Terverifikasi, tidak dipublikasikan"
    assert status["due_at"] is None
    assert [t["name"] for t in status["transitions"]] == ["kembalikan"]
    with pytest.raises(tk.ValidationError) as error:
        world.move("walidata", id_, "terbitkan")
    assert "klasifikasi" in error.value.error_dict


# --- schedule and faults --------------------------------------------------------------------


def test_schedule_publishes_once(world: World) -> None:
    id_ = world.at("diajukan")["id"]
    status = world.move("walidata", id_, "setujui", publish_at="2099-01-01T09:00:00+07:00")
    assert status["status"] == "terverifikasi" and status["publish_at"]
    assert service.publish_due() == []
    world.due(id_)
    assert len(service.publish_due()) == 1
    assert service.publish_due() == []
    status = world.status(id_)
    assert (status["status"], status["version"]) == ("terbit", 1)
    events = world.call("satudata_history_list", "walidata", id=id_, limit=100)["results"]
    assert (events[-1]["event"], events[-1]["actor"]) == ("terbitkan", "sistem")


def test_returning_clears_the_schedule(world: World) -> None:
    id_ = world.at("terverifikasi")["id"]
    world.move("walidata", id_, "terbitkan", publish_at="2099-01-01T09:00:00+07:00")
    assert world.status(id_)["status"] == "terverifikasi"
    world.move("walidata", id_, "kembalikan", note="Satuan keliru.")
    assert world.status(id_)["publish_at"] is None


def test_withdrawn_data_is_gone_even_where_solr_missed_it(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    id_ = world.at("terbit")["id"]
    assert public_count(world, id_) == 1
    # The process dies between commit and index.
    monkeypatch.setattr(service, "reindex", lambda _id: None)
    world.move("walidata", id_, "tarik", note="Keliru.", public_note="Sedang diperbaiki.")
    assert public_count(world, id_) == 0
    with pytest.raises(tk.ObjectNotFound):
        world.call("package_show", None, id=id_)
    monkeypatch.undo()
    assert any(id_ in problem for problem in maintenance.reconcile(fix=True))
    assert not any(id_ in problem for problem in maintenance.reconcile(fix=False))


def test_published_data_missing_from_solr_is_repaired(world: World) -> None:
    id_ = world.at("terbit")["id"]
    search.clear(id_)
    assert public_count(world, id_) == 0
    assert any(id_ in problem for problem in maintenance.reconcile(fix=True))
    assert public_count(world, id_) == 1


def test_a_dataset_made_while_reconciling_stays_in_the_index(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After the database was read, before Solr is."""
    documents, made = maintenance._documents, []

    def meanwhile(*filters: str, fields: str) -> Any:
        if not made:
            made.append(world.at("draf")["id"])
        return documents(*filters, fields=fields)

    monkeypatch.setattr(maintenance, "_documents", meanwhile)
    problems = maintenance.reconcile(fix=True)
    assert not any(made[0] in problem for problem in problems)
    assert made[0] in maintenance._indexed()


def test_a_failure_before_the_commit_leaves_everything(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    id_ = world.at("terverifikasi")["id"]

    def dies(_package: object, _row: object) -> None:
        raise OSError("disk")

    monkeypatch.setattr(service, "set_clock", dies)
    with pytest.raises(OSError, match="disk"):
        world.move("walidata", id_, "terbitkan")
    monkeypatch.undo()
    assert world.status(id_)["status"] == "terverifikasi"
    assert public_count(world, id_) == 0
    assert world.move("walidata", id_, "terbitkan")["version"] == 1


def test_a_new_dataset_has_its_status_from_the_database(world: World) -> None:
    id_ = str(uuid.uuid4())
    sql(
        "INSERT INTO package (id, name, type, private, state, extras)"
        " VALUES (:id, 'ditulis-dengan-sql', 'dataset', true, 'active', '{}')",
        id=id_,
    )
    row = core.Session.get(model.Status, id_)
    assert row and row.status == "draf" and row.version == 0


def test_adopt(world: World, owner: sa.Engine, doctor: Callable[[], list[str]]) -> None:
    """A dataset older than the extension: public, without a status."""
    id_ = world.draft()["id"]
    core.Session.remove()
    with owner.begin() as connection:
        for table in ("package", "satudata_status"):
            connection.execute(sa.text(f"ALTER TABLE {table} DISABLE TRIGGER satudata_guard"))
        connection.execute(
            sa.text("UPDATE package SET private = false WHERE id = :id"), {"id": id_}
        )
        connection.execute(
            sa.text("DELETE FROM satudata_status WHERE package_id = :id"), {"id": id_}
        )
        for table in ("package", "satudata_status"):
            connection.execute(sa.text(f"ALTER TABLE {table} ENABLE ALWAYS TRIGGER satudata_guard"))
    core.Session.rollback()
    assert any("adopt" in problem for problem in doctor())
    with pytest.raises(tk.ObjectNotFound):
        world.call("package_show", None, id=id_)
    with pytest.raises(tk.NotAuthorized):
        world.call("package_patch", "produsen_dinkes", id=id_, title="Diubah")
    assert len(maintenance.adopt()) == 1
    assert not any("adopt" in problem for problem in doctor())
    assert world.status(id_)["status"] == "draf"
    world.call("package_patch", "produsen_dinkes", id=id_, title="Diubah")


def test_a_dataset_is_in_the_group_of_its_kategori(world: World) -> None:
    """Core's groups are the topics; one is made with its first dataset."""
    id_ = world.draft(kategori="pertahanan-dan-luar-negeri")["id"]

    def groups() -> list[tuple[str, str]]:
        shown = world.call("package_show", "produsen_dinkes", id=id_)
        return [(group["name"], group["title"]) for group in shown["groups"]]

    assert groups() == [("pertahanan-dan-luar-negeri", "Pertahanan dan Luar Negeri")]
    world.call("package_patch", "produsen_dinkes", id=id_, kategori="budaya-dan-agama")
    assert groups() == [("budaya-dan-agama", "Budaya dan Agama")]


def test_a_table_that_nobody_queued_stops_the_submission(world: World) -> None:
    """The process died between the upload's commit and the queueing of its load."""
    dataset = world.draft()
    resource = dataset["resources"][0]["id"]
    sql("DELETE FROM satudata_table WHERE resource_id = :id", id=resource)
    field = f"resources/{resource}/url"
    assert [b["field"] for b in world.status(dataset["id"])["blockers"]] == [field]
    with pytest.raises(tk.ValidationError) as error:
        world.move("produsen_dinkes", dataset["id"], "ajukan")
    assert list(error.value.error_dict) == [field]


def test_deletion_of_a_file_that_the_metadata_refuse(world: World) -> None:
    """A code list changed since: the field is named, where core would fail."""
    made = world.draft()
    statement = "UPDATE package SET extras = extras || CAST(:extras AS jsonb) WHERE id = :id"
    core.Session.execute(sa.text(statement), {"id": made["id"], "extras": '{"kategori": "lama"}'})
    core.Session.commit()
    search.rebuild(made["id"])
    core.Session.remove()
    with pytest.raises(tk.ValidationError) as error:
        world.call("resource_delete", "produsen_dinkes", id=made["resources"][0]["id"])
    assert "kategori" in error.value.error_dict


# What a decision is about, and what is told of it -----------------------------------------------
def events_of(id_: str) -> list[tuple[str, str | None]]:
    rows = core.Session.execute(
        sa.select(model.Event.event, model.Event.note)
        .where(model.Event.package_id == id_)
        .order_by(model.Event.seq)
    )
    return [(row.event, row.note) for row in rows]


def test_pembina_approves_what_walidata_forwarded(world: World) -> None:
    """A new version of the kegiatan is another content; and its draft is told to nobody."""
    kegiatan = world.kegiatan_at("terbit")["id"]
    id_ = world.at("diperiksa_pembina", id_kegiatan=kegiatan)["id"]
    world.move("walidata", kegiatan, "tarik", note="Keliru.")
    world.move("produsen_dinkes", kegiatan, "buka_kembali")
    title = "Kegiatan yang belum dibaca"
    world.call("package_patch", "produsen_dinkes", id=kegiatan, title=title)

    def refusal() -> dict[str, Any]:
        hash_ = world.status(id_)["content_hash"]
        with pytest.raises(tk.ValidationError) as error:
            world.move_raw("pembina_bps", id_, "setujui_pembina", content_hash=hash_)
        assert title not in str(error.value.error_dict)
        return error.value.error_dict

    assert "id_kegiatan" in str(refusal())
    world.bring(kegiatan, "terbit")
    assert list(refusal()) == ["content_hash"]
    world.move("walidata", id_, "batalkan_pembina", note="Kegiatannya versi baru.")
    world.move("walidata", id_, "teruskan_ke_pembina")
    world.move("pembina_bps", id_, "setujui_pembina")
    assert maintenance.verify()[1] == []


def test_what_came_back_is_told(world: World) -> None:
    id_ = world.draft()["id"]
    for _ in range(2):
        world.call("package_delete", "produsen_dinkes", id=id_)
    world.call("package_patch", "produsen_dinkes_2", id=id_, state="active")
    world.call("package_patch", "produsen_dinkes_2", id=id_, notes="Lain.")
    assert [event for event, _ in events_of(id_)] == ["dibuat", "dihapus", "dipulihkan"]
    world.move("produsen_dinkes", id_, "ajukan")
    assert maintenance.verify()[1] == []


def test_a_move_to_another_organization_is_told(world: World) -> None:
    for name in ("dinkes", "dukcapil"):
        world.call("organization_member_create", "admin", id=name, username="warga", role="editor")
    try:
        id_ = world.draft()["id"]
        world.call("package_patch", "warga", id=id_, owner_org="dukcapil", id_kegiatan="")
        last = core.Session.scalars(
            sa.select(model.Event).where(model.Event.package_id == id_)
            .order_by(model.Event.seq.desc())
        ).first()  # fmt: skip
        assert last and (last.event, last.actor) == ("dipindahkan", "warga")
        assert last.detail == {"dari": world.ids["dinkes"], "ke": world.ids["dukcapil"]}
    finally:
        for name in ("dinkes", "dukcapil"):
            world.call("organization_member_delete", "admin", id=name, username="warga")


def test_another_decision_is_no_repetition(world: World) -> None:
    """Though it names the same time, or has the same note."""
    at = (service.now() + dt.timedelta(days=1)).isoformat()
    id_ = world.at("diajukan")["id"]
    world.move("walidata", id_, "setujui", publish_at=at)
    world.move("walidata", id_, "setujui", publish_at=at)
    with pytest.raises(tk.ValidationError):
        world.move("walidata", id_, "kembalikan", note="Keliru.", publish_at=at)
    assert [event for event, _ in events_of(id_)][-2:] == ["setujui", "jadwalkan"]
    world.move("walidata", id_, "kembalikan", note="Keliru.")
    with pytest.raises(tk.ValidationError):
        world.move("walidata", id_, "kembalikan", note="Keliru.",
                   comments=[{"field": "konsep", "body": "Perjelas."}])  # fmt: skip
    world.move("walidata", id_, "kembalikan", note="Keliru.")
    assert world.status(id_)["publish_at"] is None


def test_the_note_of_a_schedule_is_kept(world: World) -> None:
    at = (service.now() + dt.timedelta(days=1)).isoformat()
    id_ = world.at("terverifikasi")["id"]
    for _ in range(2):
        world.move("walidata", id_, "terbitkan", note="Bersama rilis.", publish_at=at)
    assert events_of(id_)[-1] == ("jadwalkan", "Bersama rilis.")
    assert [event for event, _ in events_of(id_)].count("jadwalkan") == 1


def test_no_criterion_without_the_mark(world: World) -> None:
    id_ = world.draft()["id"]
    for marked in (True, False):
        world.call("satudata_prioritas_set", "forum", id=id_, data_prioritas=marked, kriteria="b")
    assert world.status(id_)["prioritas_kriteria"] is None


def test_pembina_settle_no_thread_of_walidata(world: World) -> None:
    id_ = world.at("diperiksa_pembina")["id"]
    world.move("walidata", id_, "batalkan_pembina", note="Tunggu.")
    world.move("walidata", id_, "kembalikan", note="Perbaiki.",
               comments=[{"field": "konsep", "body": "Perjelas."}])  # fmt: skip
    world.call("package_patch", "produsen_dinkes", id=id_, definisi="Banyaknya bayi lahir hidup.")
    world.move("produsen_dinkes", id_, "ajukan")
    world.move("walidata", id_, "teruskan_ke_pembina")
    [thread] = world.call("satudata_comment_list", "walidata", id=id_)["results"]
    world.move("pembina_bps", id_, "tolak_pembina", note="Tolak.",
               comments=[{"parent": thread["id"], "body": "Setuju."}])  # fmt: skip
    [thread] = world.call("satudata_comment_list", "walidata", id=id_)["results"]
    [reply] = thread["replies"]
    for comment in (thread, reply):
        with pytest.raises(tk.NotAuthorized):
            world.call("satudata_comment_resolve", "pembina_bps", id=comment["id"])
    world.call("satudata_comment_resolve", "walidata", id=reply["id"])


def test_what_was_reopened_can_be_purged_with_a_reason(world: World) -> None:
    """Bytes that the law forbids need not be published once more before."""
    id_ = world.at("terbit")["id"]
    world.move("walidata", id_, "tarik", note="Keliru.")
    world.move("produsen_dinkes", id_, "buka_kembali")
    with pytest.raises(tk.ValidationError) as refused:
        world.call("dataset_purge", "admin", id=id_)
    assert list(refused.value.error_dict) == ["note"]
    world.call("dataset_purge", "admin", id=id_, note="Perintah pengadilan.")
    assert events_of(id_)[-1] == ("dihapus_permanen", "Perintah pengadilan.")
    assert maintenance.verify()[1] == []


def test_who_may_edit_may_revise(world: World) -> None:
    """Nobody but the portal writes the group of the topic in which the dataset is."""
    id_ = world.draft()["id"]
    assert world.call("package_show", "produsen_dinkes", id=id_)["groups"]
    for match in ({"id": id_}, {"name": world.status(id_)["name"]}):
        world.call("package_revise", "produsen_dinkes", match=match, update={"notes": str(match)})
        assert world.call("package_show", "produsen_dinkes", id=id_)["notes"] == str(match)
    other = world.draft("produsen_dukcapil", owner_org="dukcapil")["id"]
    topic: Any = core.Group.get("budaya-dan-agama")
    for match, update in (
        ({"id": other}, {"notes": "x"}),
        ({"id": id_}, {"id": other, "notes": "x"}),
        ({"id": id_}, {"groups": [{"id": topic.id}]}),
    ):
        with pytest.raises((tk.NotAuthorized, tk.ObjectNotFound, tk.ValidationError)):
            world.call("package_revise", "produsen_dinkes", match=match, update=update)
    published = world.at("terbit")["id"]
    for user in ("produsen_dinkes", "admin"):
        with pytest.raises(tk.NotAuthorized):
            world.call("package_revise", user, match={"id": published}, update={"notes": "x"})
