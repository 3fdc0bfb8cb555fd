"""MS-Kegiatan: a dataset type of its own under the same gate, and the datasets that point to it."""

from __future__ import annotations

from typing import Any

import ckan.model as core
import ckan.plugins.toolkit as tk
import pytest
import sqlalchemy as sa

from ckanext.satudata_trenggalek import content, maintenance, reading
from ckanext.satudata_trenggalek.workflow import service
from tests.world import World, misnamed

JOB = {"ignore_auth": True, "user": "admin"}


def refused(world: World, user: Any, action: str, **data: Any) -> dict[str, Any]:
    """The errors with which the action refuses."""
    with pytest.raises(tk.ValidationError) as error:
        world.call(action, user, **data)
    core.Session.rollback()
    return error.value.error_dict


def fields_of_blockers(world: World, id_: str) -> list[str]:
    return [blocker["field"] for blocker in world.status(id_)["blockers"]]


# --- the type ---------------------------------------------------------------------------------


def test_the_whole_way(world: World) -> None:
    made = world.call("package_create", "produsen_dinkes", **world.kegiatan_metadata(private=False))
    id_ = made["id"]
    assert made["private"] is True and made["type"] == "kegiatan"
    with pytest.raises(tk.ObjectNotFound):
        world.call("package_show", None, id=id_)
    status = world.status(id_)
    assert (status["type"], status["klasifikasi"], status["blockers"]) == (
        "kegiatan",
        "terbuka",
        [],
    )
    world.bring(id_, "terbit")
    shown = world.call("package_show", None, id=id_)
    assert (shown["satudata_status"], shown["satudata_version"]) == ("terbit", 1)
    assert shown["variabel_kegiatan"][0]["nama"] == "Jumlah bayi lahir hidup"
    publication = world.call("satudata_publication_show", None, id=id_)
    assert publication["content_hash"] == world.status(id_)["content_hash"]
    assert publication["files"] == []


def test_an_incomplete_one_stays(world: World) -> None:
    data = world.kegiatan_metadata(tujuan="", rekomendasi_bps="1", identitas_rekomendasi="")
    id_ = world.call("package_create", "produsen_dinkes", **data)["id"]
    assert fields_of_blockers(world, id_) == ["identitas_rekomendasi", "tujuan"]


FILE = {"name": "a", "url": "http://example.id/a.csv"}


@pytest.mark.parametrize("user", ["produsen_dinkes", JOB], ids=["person", "job"])
def test_it_takes_no_files(world: World, user: Any) -> None:
    data = world.kegiatan_metadata(owner_org=world.ids["dinkes"])
    id_ = world.call("package_create", "produsen_dinkes", **data)["id"]
    other = world.kegiatan_metadata(owner_org=world.ids["dinkes"], resources=[FILE])
    shown = world.call("package_show", {"ignore_auth": True, "user": ""}, id=id_)
    for action, more in (
        ("package_create", other),
        ("package_update", {**shown, "resources": [FILE]}),
        ("package_patch", {"id": id_, "resources": [FILE]}),
        ("package_revise", {"match": {"id": id_}, "update__resources__extend": [FILE]}),
        ("resource_create", {"package_id": id_, **FILE}),
    ):
        errors = refused(world, user, action, **more)
        assert list(errors) == ["resources"] and "tidak memuat berkas" in errors["resources"][0]
    assert core.Package.get(id_).resources == []  # type: ignore[union-attr]


def test_others_are_not_told_that_it_is_one(world: World) -> None:
    id_ = world.kegiatan_at("draf")["id"]
    for user in ("warga", "produsen_dukcapil"):
        with pytest.raises(tk.ObjectNotFound):
            world.call("resource_create", user, package_id=id_, **FILE)


def test_the_type_stays(world: World) -> None:
    kegiatan, dataset = world.kegiatan_at("draf")["id"], world.draft()["id"]
    for id_, type_ in ((kegiatan, "dataset"), (dataset, "kegiatan")):
        for user in ("produsen_dinkes", JOB):
            assert list(refused(world, user, "package_patch", id=id_, type=type_)) == ["type"]


def test_queue_has_both(world: World) -> None:
    kegiatan, dataset = world.kegiatan_at("diajukan")["id"], world.standing("diajukan")

    def types(**data: Any) -> dict[str, str]:
        rows = world.call("satudata_queue_list", "walidata", limit=100, **data)["results"]
        return {row["id"]: row["type"] for row in rows}

    assert types()[kegiatan] == "kegiatan" and types()[dataset] == "dataset"
    assert set(types(type="kegiatan").values()) == {"kegiatan"}
    rows = world.call("satudata_queue_list", "walidata", type="kegiatan", limit=100)["results"]
    row = next(row for row in rows if row["id"] == kegiatan)
    assert row["klasifikasi"] == "terbuka" and row["due_at"]


# --- the reference ----------------------------------------------------------------------------


def test_a_dataset_points_by_name_and_keeps_the_id(world: World) -> None:
    kegiatan = world.kegiatan_at("draf")
    id_ = world.draft(id_kegiatan=kegiatan["name"])["id"]
    shown = world.call("package_show", "produsen_dinkes", id=id_)
    assert shown["id_kegiatan"] == kegiatan["id"]
    assert content.canonical(id_)["kegiatan"] == {"id": kegiatan["id"], "version": 0}
    assert world.status(id_)["kegiatan"] == {
        "id": kegiatan["id"],
        "name": kegiatan["name"],
        "title": kegiatan["title"],
        "status": "draf",
        "version": 0,
    }


def test_what_may_be_pointed_to(world: World) -> None:
    """Unknown and forbidden read alike; a published one of anybody will do."""
    draft, deleted = world.kegiatan_at("draf"), world.kegiatan_at("draf")
    world.call("package_delete", "produsen_dinkes", id=deleted["id"])
    dataset = world.standing("terbit")
    wrong = {"dukcapil": [draft["id"], draft["name"], "tidak-ada", dataset, deleted["id"]]}
    wrong["dinkes"] = ["tidak-ada", dataset, deleted["id"]]
    told = set()
    for owner, values in wrong.items():
        for value in values:
            data = world.metadata(owner_org=owner, id_kegiatan=value)
            errors = refused(world, f"produsen_{owner}", "package_create", **data)
            assert list(errors) == ["id_kegiatan"]
            told.add(errors["id_kegiatan"][0])
    assert len(told) == 1
    data = world.metadata(owner_org="dukcapil", id_kegiatan=world.kegiatan())
    world.call("package_create", "produsen_dukcapil", **data)


def test_a_kegiatan_called_like_the_id_of_another_takes_nothing_over(
    world: World, owner: sa.Engine
) -> None:
    meant = world.kegiatan_at("draf")["id"]
    with misnamed(owner, world.kegiatan_at("draf")["id"], meant):
        id_ = world.draft(id_kegiatan=meant)["id"]
        assert content.canonical(id_)["kegiatan"]["id"] == meant


def test_without_kegiatan_nothing_is_submitted(world: World) -> None:
    id_ = world.draft(id_kegiatan="")["id"]
    assert fields_of_blockers(world, id_) == ["id_kegiatan"]
    assert list(refused_move(world, "produsen_dinkes", id_, "ajukan")) == ["id_kegiatan"]
    assert "kegiatan" not in content.canonical(id_)


def refused_move(world: World, user: str, id_: str, name: str) -> dict[str, Any]:
    with pytest.raises(tk.ValidationError) as error:
        world.move(user, id_, name)
    return error.value.error_dict


def test_a_kegiatan_that_went_out_of_sight_blocks_no_edit(world: World) -> None:
    """Of another organization and withdrawn meanwhile: the rest can still be changed."""
    made = world.kegiatan_at("terbit")
    kegiatan = made["id"]
    id_ = world.draft("produsen_dukcapil", owner_org="dukcapil", id_kegiatan=kegiatan)["id"]
    world.move("walidata", kegiatan, "tarik", note="Keliru.")
    shown = world.call("package_show", "produsen_dukcapil", id=id_)
    for value in (kegiatan, made["name"]):
        shown |= {"title": f"Diubah {value}", "id_kegiatan": value}
        updated = world.call("package_update", "produsen_dukcapil", **shown)
        assert updated["id_kegiatan"] == kegiatan
    world.call("package_patch", "produsen_dukcapil", id=id_, notes="Diubah juga.")
    assert fields_of_blockers(world, id_) == ["id_kegiatan"]
    assert list(refused_move(world, "produsen_dukcapil", id_, "ajukan")) == ["id_kegiatan"]


# --- order of publication ---------------------------------------------------------------------


def test_a_kegiatan_that_is_a_draft_again_is_told_to_nobody(world: World, app: Any) -> None:
    """To who pointed to it while it was published: neither its new title nor how it stands."""
    kegiatan = world.kegiatan_at("terbit", title="Pendataan Lansia")["id"]
    own = world.metadata(owner_org="dukcapil", id_kegiatan=kegiatan)
    dataset = world.call("package_create", "produsen_dukcapil", **own)["id"]
    shown = world.status(dataset, "produsen_dukcapil")["kegiatan"]
    assert (shown["title"], shown["status"]) == ("Pendataan Lansia", "terbit")
    world.move("walidata", kegiatan, "tarik", note="Salah judul.")
    world.move("walidata", kegiatan, "buka_kembali", note="Perbaiki.")
    world.call("package_patch", "produsen_dinkes", id=kegiatan, title="Judul Rahasia")
    shown = world.status(dataset, "produsen_dukcapil")["kegiatan"]
    assert shown["id"] == kegiatan and "Rahasia" not in str(shown)
    assert shown["name"] is shown["status"] is shown["version"] is None
    assert world.status(dataset, "walidata")["kegiatan"]["title"] == "Judul Rahasia"
    package = core.Package.get(dataset)
    assert package and "Rahasia" not in service.waits_for_kegiatan(package)
    token = world.call("api_token_create", "produsen_dukcapil", user="produsen_dukcapil", name="x")
    for page in (f"/dataset/{dataset}", f"/dataset/edit/{dataset}"):
        answer = app.get(page, headers={"Authorization": token["token"]})
        assert kegiatan in answer.body or "OPD lain" in answer.body
        assert "Rahasia" not in answer.body


def test_a_dataset_waits_for_its_kegiatan(world: World) -> None:
    kegiatan = world.kegiatan_at("draf", title="Pendataan Lansia")["id"]
    id_ = world.draft(id_kegiatan=kegiatan)["id"]
    world.call("satudata_prioritas_set", "forum", id=id_, data_prioritas=True, kriteria="a")
    world.move("produsen_dinkes", id_, "ajukan")
    errors = refused_move(world, "walidata", id_, "teruskan_ke_pembina")
    assert list(errors) == ["id_kegiatan"] and "Pendataan Lansia" in errors["id_kegiatan"][0]
    offered = [t["name"] for t in world.status(id_, "walidata")["transitions"]]
    assert "teruskan_ke_pembina" not in offered and "kembalikan" in offered

    read = world.status(id_)["content_hash"]
    world.bring(kegiatan, "terbit")
    assert content.canonical(id_)["kegiatan"] == {"id": kegiatan, "version": 1}
    # What was read was a dataset of an unpublished kegiatan.
    with pytest.raises(tk.ValidationError) as error:
        world.move("walidata", id_, "teruskan_ke_pembina", content_hash=read)
    assert list(error.value.error_dict) == ["content_hash"]
    world.move("walidata", id_, "teruskan_ke_pembina")

    world.move("walidata", kegiatan, "tarik", note="Keliru.")
    assert list(refused_move(world, "pembina_bps", id_, "setujui_pembina")) == ["id_kegiatan"]


def test_withdrawn_and_published_again(world: World) -> None:
    """Withdrawing is allowed; what was published with version 1 stays, what waits is read again."""
    kegiatan = world.kegiatan_at("terbit")["id"]
    published = world.at("terbit", id_kegiatan=kegiatan)["id"]
    waiting = world.at("terverifikasi", id_kegiatan=kegiatan)["id"]
    before = world.status(published)["content_hash"]
    world.move("walidata", kegiatan, "tarik", note="Keliru.")
    assert list(refused_move(world, "walidata", waiting, "terbitkan")) == ["id_kegiatan"]
    assert world.call("package_show", None, id=published)["satudata_version"] == 1

    world.move("produsen_dinkes", kegiatan, "buka_kembali")
    world.bring(kegiatan, "terbit")
    assert world.status(kegiatan)["version"] == 2
    assert list(refused_move(world, "walidata", waiting, "terbitkan")) == ["content_hash"]
    assert world.status(published)["content_hash"] == before
    assert maintenance.altered() == []
    assert not any(published in problem for problem in maintenance.reconcile(fix=False))
    world.move("walidata", waiting, "kembalikan", note="Kegiatan berubah.")
    world.bring(waiting, "terbit")


def test_audit_finds_altered_content(world: World, owner: sa.Engine) -> None:
    """As whoever owns the tables could alter it; the trigger stops all others."""
    dataset = world.at("terverifikasi")
    id_ = dataset["id"]

    def alter(title: str) -> None:
        core.Session.remove()
        update = f"UPDATE package SET title = '{title}' WHERE id = '{id_}'"
        switch = "ALTER TABLE package {} TRIGGER satudata_guard"
        for statement in (switch.format("DISABLE"), update, switch.format("ENABLE ALWAYS")):
            with owner.begin() as connection:
                connection.exec_driver_sql(statement)

    alter("Lain")
    try:
        assert [problem.split(":")[0] for problem in maintenance.altered()] == [id_]
    finally:
        alter(dataset["title"])


# --- lists and searches -----------------------------------------------------------------------


def test_searches_leave_it_out_unless_asked(world: World) -> None:
    kegiatan = world.kegiatan()

    def found(user: str | None = None, **data: Any) -> bool:
        rows = world.call("package_search", user, rows=1000, **data)["results"]
        return kegiatan in [row["id"] for row in rows]

    assert not found() and not found(fq=f"id:{kegiatan}") and not found("produsen_dinkes")
    assert not found(fq_list=[f"id:{kegiatan}"]) and not found(q="tipe: kegiatan")
    assert found(fq="dataset_type:kegiatan") and found(fq_list=["+dataset_type:(kegiatan)"])
    assert found(q="dataset_type:kegiatan") and found("produsen_dinkes", fq="dataset_type:kegiatan")
    assert not found(fq="dataset_type:dataset")


def test_lists_leave_it_out(world: World) -> None:
    name = world.call("package_show", None, id=world.kegiatan())["name"]
    datasets = [world.call("package_show", None, id=world.standing("terbit"))["name"]]
    names = world.call("package_list", None)
    assert name not in names and set(datasets) <= set(names)
    assert world.call("package_list", None, limit=2, offset=1) == names[1:3]
    assert refused(world, None, "package_list", limit="x")
    rows = world.call("current_package_list_with_resources", None, limit=1000)
    assert name not in [row["name"] for row in rows]


def test_autocomplete_leaves_it_out(world: World) -> None:
    """And what is left out takes no place from datasets."""
    for _n in range(3):
        world.kegiatan_at("draf", title="Kelahiran Bandeng Presto")
    world.draft(title="Kelahiran Bandeng Presto")
    for limit in (1, 2, 10):
        found = world.call("package_autocomplete", "produsen_dinkes", q="bandeng", limit=limit)
        assert [row["name"].partition("-")[0] for row in found] == ["kelahiran"]


def test_counts_and_pages_leave_it_out(world: World, app: Any) -> None:
    def counts() -> list[int]:
        show, all_ = ({"include_dataset_count": True}, {"all_fields": True})
        listed = world.call("organization_list", None, **show, **all_)
        return [
            world.call("package_search", None, rows=0)["count"],
            world.call("organization_show", None, id="dinkes", **show)["package_count"],
            next(row["package_count"] for row in listed if row["name"] == "dinkes"),
        ]

    before, title = counts(), "Pencatatan Kelahiran Berkala"
    world.kegiatan_at("terbit", title=title)
    assert counts() == before
    for page in ("/feeds/dataset.atom?limit=100", "/feeds/organization/dinkes.atom"):
        assert title not in app.get(page).body
    assert title in app.get("/kegiatan/").body


def test_tags_leave_it_out(world: World) -> None:
    tags = [{"name": "presto"}]
    kegiatan = world.kegiatan_at("draf", tags=tags)
    world.bring(kegiatan["id"], "terbit")
    shown = world.call("tag_show", None, id="presto", include_datasets=True)
    assert shown["packages"] == []


def test_names_of_rows_are_searched(world: World) -> None:
    """200 long indicators and 60 variables neither break Solr nor fill it."""
    text = "Penjelasan panjang. " * 100
    rows = [
        {**World.INDIKATOR, "nama": f"Rasio Puskesmas {n} Zirkonium", "definisi": text}
        for n in range(200)
    ]
    header = ",".join(["yttrium", *(f"k{n}" for n in range(59))])
    id_ = world.call("package_create", "produsen_dinkes", **world.metadata(indikator=rows))["id"]
    world.upload("produsen_dinkes", id_, f"{header}\n{header}\n".encode())
    for word in ("zirkonium", "yttrium"):
        found = world.call("package_search", "produsen_dinkes", q=word, include_private=True)
        assert [row["id"] for row in found["results"]] == [id_]
    document = {"id": id_, "type": "dataset"} | {
        "validated_data_dict": tk.h.dump_json(world.call("package_show", "admin", id=id_)),
        "indikator": "x",
    }
    indexed = reading.before_dataset_index(document)
    assert "indikator" not in indexed
    assert len(indexed["extras_indikator"]) <= reading.MAX_ROWS_TEXT


def test_a_long_text_does_not_break_the_index(world: World) -> None:
    """Solr's string fields end at 32,766 bytes."""
    title = "Kajian Panjang"
    data = world.kegiatan_metadata(title=title, extras=[{"key": "lampiran", "value": "é" * 20_000}])
    id_ = world.call("package_create", "produsen_dinkes", **data)["id"]
    found = world.call(
        "package_search", "produsen_dinkes", fq=f"dataset_type:kegiatan id:{id_}",
        include_private=True,
    )  # fmt: skip
    assert found["count"] == 1


# --- the picker -------------------------------------------------------------------------------


def test_picker(world: World) -> None:
    draft = world.kegiatan_at("draf", title="Survei Kepuasan Gandusari", tahun_kegiatan="2024")
    published = world.kegiatan()

    def ids(user: str, **data: Any) -> list[str]:
        data.setdefault("limit", 100)
        return [row["id"] for row in world.call("satudata_kegiatan_list", user, **data)["results"]]

    assert {draft["id"], published} <= set(ids("produsen_dinkes"))
    assert draft["id"] not in ids("produsen_dukcapil") and published in ids("produsen_dukcapil")
    assert ids("produsen_dinkes", q="gandusari 2024") == [draft["id"]]
    assert ids("produsen_dinkes", organization="dukcapil") == []
    found = world.call("satudata_kegiatan_list", "produsen_dinkes", q="gandusari")
    assert found == {
        "count": 1,
        "results": [
            {
                "id": draft["id"],
                "name": draft["name"],
                "title": "Survei Kepuasan Gandusari",
                "tahun_kegiatan": "2024",
                "organization": "dinkes",
                "organization_title": "Dinkes",
                "status": "draf",
                "version": 0,
            }
        ],
    }
    own = world.kegiatan_metadata(owner_org="dukcapil", title="Zona Akhir")
    own = world.call("package_create", "produsen_dukcapil", **own)["id"]
    assert ids("produsen_dukcapil")[0] == own, "what is one's own comes first"
    page = world.call("satudata_kegiatan_list", "produsen_dinkes", limit=1, offset=1)
    assert len(page["results"]) == 1 and page["count"] > 1
    for user in ("warga", "anggota_dinkes", None):
        with pytest.raises(tk.NotAuthorized):
            world.call("satudata_kegiatan_list", user)
    for bad in ({"limit": "x"}, {"offset": -1}, {"q": {}}, {"q": "a\x00"}, {"organization": []}):
        assert list(refused(world, "produsen_dinkes", "satudata_kegiatan_list", **bad)) == list(bad)
