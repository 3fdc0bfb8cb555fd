"""Comments of the review: gathered, sent with the decision, answered, settled; never public."""

from __future__ import annotations

from typing import Any

import ckan.model as core
import ckan.plugins.toolkit as tk
import pytest
import sqlalchemy as sa
from ckan.tests.helpers import CKANTestApp
from sqlalchemy.exc import DBAPIError

from ckanext.satudata_trenggalek import model
from tests.world import World


def comment(world: World, dataset: str, field: str = "konsep", user: str = "walidata") -> Any:
    return world.call(
        "satudata_comment_create", user, id=dataset, field=field, body=f"Perjelas {field}."
    )


def listed(world: World, dataset: str, user: str = "produsen_dinkes", **more: Any) -> Any:
    return world.call("satudata_comment_list", user, id=dataset, **more)


def returned(world: World, *fields: str) -> dict[str, Any]:
    """A dataset that walidata sent back with a comment on each field."""
    dataset = world.at("diajukan")
    for field in fields:
        comment(world, dataset["id"], field)
    world.move("walidata", dataset["id"], "kembalikan", note="Lihat komentar.")
    return dataset


def variable(dataset: dict[str, Any], row: int, sub: str = "") -> str:
    path = f"resources/{dataset['resources'][0]['id']}/variabel/{row}"
    return f"{path}/{sub}" if sub else path


# Gathering ---------------------------------------------------------------------------------------
def test_drafts_are_seen_by_their_author_alone(world: World) -> None:
    dataset = world.at("diajukan")
    made = comment(world, dataset["id"], "indikator/0/konsep")
    assert made["draft"] and made["label"] == "MS-Ind 3 Konsep"
    assert made["row"] == "Jumlah Kelahiran Hidup" and made["value"] == "Kelahiran"
    assert [c["id"] for c in listed(world, dataset["id"], "walidata")["drafts"]] == [made["id"]]
    for user in ("walidata_2", "produsen_dinkes", "admin"):
        found = listed(world, dataset["id"], user)
        assert found["count"] == 0 and found["drafts"] == [], user

    changed = world.call("satudata_comment_update", "walidata", id=made["id"], body="Lebih jelas.")
    assert changed["body"] == "Lebih jelas."
    for action in ("satudata_comment_update", "satudata_comment_delete"):
        with pytest.raises(tk.ObjectNotFound):
            world.call(action, "walidata_2", id=made["id"], body="x")
    world.call("satudata_comment_delete", "walidata", id=made["id"])
    assert listed(world, dataset["id"], "walidata")["drafts"] == []


@pytest.mark.parametrize(
    "field",
    ["tidak_ada", "indikator/9/konsep", "indikator/x", "indikator/0/tidak_ada", "konsep/0",
     "resources/tidak-ada/name", "resources/", "indikator/0/konsep/lagi", "\u0661", "a" * 301],
)  # fmt: skip
def test_unknown_field_is_told(world: World, field: str) -> None:
    with pytest.raises(tk.ValidationError) as error:
        comment(world, world.standing("diajukan"), field)
    assert "field" in error.value.error_dict


@pytest.mark.parametrize("body", ["", "  ", None, 7, "x" * 5001, "nol \x00"])
def test_body_is_bounded(world: World, body: Any) -> None:
    with pytest.raises(tk.ValidationError) as error:
        world.call("satudata_comment_create", "walidata", id=world.standing("diajukan"),
                   field="konsep", body=body)  # fmt: skip
    assert "body" in error.value.error_dict


def test_who_comments_when(world: World) -> None:
    dataset = world.standing("diajukan")
    for user in ("pembina_bps", "warga", "produsen_dukcapil"):  # to them it does not exist
        with pytest.raises(tk.ObjectNotFound):
            comment(world, dataset, user=user)
    with pytest.raises(tk.NotAuthorized):
        comment(world, dataset, user="admin")
    with pytest.raises(tk.ValidationError):  # not their turn
        comment(world, dataset, user="produsen_dinkes")
    at_pembina = world.standing("diperiksa_pembina")
    assert comment(world, at_pembina, user="pembina_bps")["peran"] == "pembina_data"
    with pytest.raises(tk.ValidationError):
        comment(world, at_pembina, user="walidata")
    with pytest.raises(tk.ValidationError):
        comment(world, world.standing("terbit"), user="walidata")


# Sending -----------------------------------------------------------------------------------------
def test_sent_with_the_decision_in_one_transaction(world: World) -> None:
    dataset = world.at("diajukan")
    kept = comment(world, dataset["id"], "definisi")
    world.call("satudata_draft_save", "walidata", id=dataset["id"], note="Belum selesai")
    other = comment(world, dataset["id"], "satuan", "walidata_2")
    given = [{"field": variable(dataset, 2, "tipe_data"), "body": "Bilangan bulat?"}]
    world.move("walidata", dataset["id"], "kembalikan", note="Dua hal.", comments=given)

    found = listed(world, dataset["id"])
    assert [c["body"] for c in found["results"]] == ["Perjelas definisi.", "Bilangan bulat?"]
    first, second = found["results"]
    assert first["id"] == kept["id"] and first["state"] == "open" and not first["draft"]
    assert (first["author"], first["peran"], first["round"]) == ("walidata", "walidata", 1)
    assert second["row"] == "jumlah" and second["file"] == "kelahiran.csv"
    assert listed(world, dataset["id"], "walidata")["drafts"] == []
    with pytest.raises(tk.ValidationError):  # from the page that was just left
        world.call("satudata_draft_save", "walidata", id=dataset["id"], note="Belum selesai")
    assert world.call("satudata_draft_show", "walidata", id=dataset["id"]) == {}
    # What the other officer gathered is still theirs.
    assert listed(world, dataset["id"], "walidata_2")["drafts"][0]["id"] == other["id"]
    event = world.call("satudata_history_list", "walidata", id=dataset["id"], limit=100)["results"][
        -1
    ]
    assert event["event"] == "kembalikan"
    assert set(event["detail"]["komentar"]) == {first["id"], second["id"]}


def test_a_refused_decision_sends_nothing(world: World) -> None:
    dataset = world.at("diajukan")
    comment(world, dataset["id"])
    wrong = [
        {"transition": "kembalikan", "note": ""},
        {"transition": "setujui", "content_hash": "sha256:" + "0" * 64},
        {"transition": "kembalikan", "note": "x", "comments": [{"field": "x", "body": "y"}]},
        {"transition": "kembalikan", "note": "x", "comments": [{"field": "konsep"}]},
        {"transition": "kembalikan", "note": "x", "comments": "konsep"},
        {"transition": "kembalikan", "note": "x", "comments": [{"parent": "x", "body": "y"}]},
    ]
    for data in wrong:
        with pytest.raises(tk.ValidationError):
            world.move("walidata", dataset["id"], **data)
    found = listed(world, dataset["id"], "walidata")
    assert found["count"] == 0 and len(found["drafts"]) == 1
    assert world.status(dataset["id"])["status"] == "diajukan"
    with pytest.raises(tk.ValidationError) as error:
        world.move("produsen_dinkes", dataset["id"], "batalkan",
                   comments=[{"field": "konsep", "body": "y"}])  # fmt: skip
    assert "comments" in error.value.error_dict


def test_words_that_were_sent_stay(world: World) -> None:
    returned(world, "konsep")
    for statement in ("UPDATE satudata_comment SET body = 'lain'", "DELETE FROM satudata_comment"):
        with pytest.raises(DBAPIError):
            core.Session.execute(sa.text(statement))
        core.Session.rollback()


# Answering ---------------------------------------------------------------------------------------
def test_answered_by_a_reply_or_by_a_change(world: World) -> None:
    dataset = returned(world, "konsep", "definisi", "satuan")
    konsep, definisi, satuan = (c["id"] for c in listed(world, dataset["id"])["results"])
    reply = world.call("satudata_comment_create", "produsen_dinkes_2", id=dataset["id"],
                       parent=konsep, body="Sesuai BPS.")  # fmt: skip
    assert reply["peran"] == "produsen_data" and reply["parent"] == konsep
    world.call("package_patch", "produsen_dinkes", id=dataset["id"], definisi="Yang baru.")
    world.move("produsen_dinkes", dataset["id"], "ajukan")
    found = {c["id"]: c for c in listed(world, dataset["id"])["results"]}
    assert {id_: c["state"] for id_, c in found.items()} == {
        konsep: "answered", definisi: "answered", satuan: "open"}  # fmt: skip
    assert found[konsep]["replies"][0]["body"] == "Sesuai BPS."
    assert listed(world, dataset["id"], state="open")["count"] == 1

    # The checker settles one, and asks again on the other with the decision.
    done = world.call("satudata_comment_resolve", "walidata_2", id=konsep)
    assert (done["state"], done["state_by"]) == ("done", "walidata_2")
    world.move("walidata", dataset["id"], "kembalikan", note="Satu lagi.",
               comments=[{"parent": definisi, "body": "Belum."}])  # fmt: skip
    found = {c["id"]: c for c in listed(world, dataset["id"])["results"]}
    assert found[definisi]["state"] == "open" and found[definisi]["replies"][-1]["round"] == 2
    names = [e["event"] for e in world.call("satudata_history_list", "walidata", id=dataset["id"],
                                            limit=100)["results"]]  # fmt: skip
    assert "komentar_dibalas" in names and "komentar_selesai" in names


def test_who_settles(world: World) -> None:
    dataset = returned(world, "konsep")
    id_ = listed(world, dataset["id"])["results"][0]["id"]
    for user in ("produsen_dinkes", "admin"):
        with pytest.raises(tk.NotAuthorized):
            world.call("satudata_comment_resolve", user, id=id_)
    for user, unknown in (("warga", id_), ("walidata", "tidak-ada"), ("pembina_bps", id_)):
        with pytest.raises(tk.ObjectNotFound):
            world.call("satudata_comment_resolve", user, id=unknown)
    # Dinas Kominfo's own data: its maker does not settle what a colleague said.
    own = world.draft("walidata", owner_org="diskominfo")
    world.move("walidata", own["id"], "ajukan")
    world.move("walidata_2", own["id"], "kembalikan", note="x",
               comments=[{"field": "konsep", "body": "y"}])  # fmt: skip
    id_ = listed(world, own["id"], "walidata_2")["results"][0]["id"]
    with pytest.raises(tk.NotAuthorized):
        world.call("satudata_comment_resolve", "walidata", id=id_)
    assert world.call("satudata_comment_resolve", "walidata_2", id=id_)["state"] == "done"


def test_found_again_where_rows_moved_and_kept_where_they_are_gone(world: World) -> None:
    dataset = world.at("diajukan")
    for row in (0, 2):
        comment(world, dataset["id"], variable(dataset, row, "definisi"))
    comment(world, dataset["id"], variable(dataset, 1))
    world.move("walidata", dataset["id"], "kembalikan", note="Tiga variabel.")
    resource = dataset["resources"][0]
    rows = [dict(row) for row in World.VARIABEL]
    world.call("resource_patch", "produsen_dinkes", id=resource["id"],
               variabel=[rows[2], rows[0]])  # fmt: skip
    found = {c["row"]: c for c in listed(world, dataset["id"])["results"]}
    assert found["jumlah"]["current_field"] == variable(dataset, 0, "definisi")
    assert found["kode"]["current_field"] == variable(dataset, 1, "definisi")
    assert found["kecamatan"]["current_field"] is None
    assert found["kecamatan"]["value"]["nama"] == "kecamatan"
    world.call("resource_delete", "produsen_dinkes", id=resource["id"])
    assert {c["current_field"] for c in listed(world, dataset["id"])["results"]} == {None}


def test_comments_are_for_those_who_work_on_it(world: World, app: CKANTestApp) -> None:
    dataset = returned(world, "konsep")
    world.move("produsen_dinkes", dataset["id"], "ajukan")
    for user in ("warga", None, "produsen_dukcapil", "pembina_bps"):
        with pytest.raises((tk.ObjectNotFound, tk.NotAuthorized)):
            world.call("satudata_comment_list", user, id=dataset["id"])
    world.move("walidata", dataset["id"], "setujui")
    world.move("walidata", dataset["id"], "terbitkan")
    for user in ("warga", None):
        with pytest.raises(tk.NotAuthorized):
            world.call("satudata_comment_list", user, id=dataset["id"])
    for action, data in (("package_show", {"id": dataset["id"]}),
                         ("package_search", {"q": f"id:{dataset['id']}"})):  # fmt: skip
        assert "Perjelas konsep" not in str(world.call(action, None, **data))
    assert "Perjelas konsep" not in app.get(f"/dataset/{dataset['name']}").get_data(as_text=True)


# Drafts of the decision, differences --------------------------------------------------------------
def test_what_was_typed_is_kept(world: World) -> None:
    dataset = world.standing("diajukan")
    typed = {"note": "Setengah", "checklist": {"metadata": {"sesuai": None, "note": "a"}, "x": 1}}
    world.call("satudata_draft_save", "walidata", id=dataset, **typed)
    kept = world.call("satudata_draft_show", "walidata", id=dataset)
    assert kept["note"] == "Setengah"
    assert kept["checklist"] == {"metadata": {"sesuai": None, "note": "a"}}
    assert world.call("satudata_draft_show", "walidata_2", id=dataset) == {}
    with pytest.raises(tk.NotAuthorized):
        world.call("satudata_draft_save", "produsen_dinkes", id=dataset, note="x")
    with pytest.raises(tk.ValidationError):
        world.call("satudata_draft_save", "walidata", id=dataset, note="x" * 10_001)


def test_difference_to_the_round_before_and_to_the_published(world: World) -> None:
    dataset = world.at("terbit")
    world.move("walidata", dataset["id"], "tarik", note="Salah.")
    world.move("produsen_dinkes", dataset["id"], "buka_kembali")
    world.call("package_patch", "produsen_dinkes", id=dataset["id"], satuan="unit")
    world.move("produsen_dinkes", dataset["id"], "ajukan")
    world.move("walidata", dataset["id"], "kembalikan", note="x")
    resource = dataset["resources"][0]["id"]
    rows = [dict(row) for row in World.VARIABEL]
    rows[0]["definisi"] = "Kode resmi."
    world.call("resource_patch", "produsen_dinkes", id=resource, variabel=rows[:2])
    mended = world.call("satudata_diff_show", "produsen_dinkes", id=dataset["id"])
    assert mended["changed"] == {
        f"resources/{resource}/variabel/0/definisi": {
            "before": "Kode kecamatan menurut Kemendagri.", "after": "Kode resmi."}}  # fmt: skip
    assert mended["removed"][f"resources/{resource}/variabel"][0]["row"]["nama"] == "jumlah"
    public = world.call("satudata_diff_show", "walidata", id=dataset["id"], base="terbit")
    assert public["changed"]["satuan"] == {"before": "orang", "after": "unit"}
    assert public["count"] == 3
    other = world.status(world.at("diajukan")["id"])["content_hash"]
    assert (
        world.call("satudata_diff_show", "walidata", id=dataset["id"], base=other)["base"] is None
    )
    with pytest.raises(tk.ValidationError):
        world.call("satudata_diff_show", "walidata", id=dataset["id"], base="x")
    with pytest.raises(tk.ObjectNotFound):
        world.call("satudata_diff_show", "warga", id=dataset["id"])


def test_rows_and_columns_of_a_replaced_table(world: World) -> None:
    dataset = returned(world, "konsep")
    resource = dataset["resources"][0]
    world.call("resource_delete", "produsen_dinkes", id=resource["id"])
    more = World.CSV + b"35.03.03,Watulimo,9\n"
    new = world.upload("produsen_dinkes", dataset["id"], more)
    world.move("produsen_dinkes", dataset["id"], "ajukan")
    found = world.call("satudata_diff_show", "walidata", id=dataset["id"])
    assert found["tables"] == {new["id"]: {"before": [2, 3], "after": [3, 3]}}
    assert core.Session.scalar(sa.select(sa.func.count()).select_from(model.Comment))
