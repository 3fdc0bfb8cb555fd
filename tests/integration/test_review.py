"""The review page: comments in their places, what changed, decisions, and what may go wrong."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable
from typing import Any

import ckan.model as core
import pytest
import sqlalchemy as sa
from ckan.tests.helpers import CKANTestApp

from ckanext.satudata_trenggalek import tables
from tests.integration.test_pages import decision, get, post, text  # noqa: F401
from tests.world import World

Page = Callable[..., Any]


def path(dataset: dict[str, Any], page: str = "pemeriksaan") -> str:
    return f"/dataset/{dataset['name']}/{page}"


def test_comment_by_form_without_a_script(get: Page, post: Page, world: World) -> None:  # noqa: F811
    dataset = world.at("diajukan")
    body = get("walidata", path(dataset)).get_data(as_text=True)
    assert "komentar=indikator/0/konsep" in body.replace("%2F", "/")
    form = get("walidata", f"{path(dataset)}?komentar=definisi").get_data(as_text=True)
    assert re.search(r'name="komentar_field" value="definisi"', form)
    typed = decision(world, dataset["id"], note="Belum selesai")
    saved = post("walidata", path(dataset), **typed, aksi="komentar", komentar_field="definisi",
                 komentar_sub="", komentar_parent="", komentar_body="Kurang tempat.")  # fmt: skip
    assert saved.status_code == 302 and saved.location.endswith("#definisi")
    words = text(get("walidata", path(dataset)))
    assert "Kurang tempat." in words and "belum terkirim" in words and "Belum selesai" in words
    assert "1 komentar Anda ikut terkirim." in words
    other = text(get("walidata_2", path(dataset)))
    assert "Kurang tempat." not in other and "Belum selesai" not in other

    id_ = world.call("satudata_comment_list", "walidata", id=dataset["id"])["drafts"][0]["id"]
    assert "ubah_body" in get("walidata", f"{path(dataset)}?ubah={id_}").get_data(as_text=True)
    post("walidata", path(dataset), ubah=id_, ubah_body="Sebut tempatnya.")
    assert "Sebut tempatnya." in text(get("walidata", path(dataset)))
    # What is typed and not saved goes with the decision, too.
    done = post("walidata", path(dataset, "transisi"), **typed, transition="kembalikan",
                komentar_field="indikator/0", komentar_sub="konsep", komentar_parent="",
                komentar_body="Konsep?")  # fmt: skip
    assert done.status_code == 302
    sent = world.call("satudata_comment_list", "produsen_dinkes", id=dataset["id"])["results"]
    assert [(c["field"], c["body"]) for c in sent] == [
        ("definisi", "Sebut tempatnya."), ("indikator/0/konsep", "Konsep?")]  # fmt: skip
    gone = post("walidata", path(dataset), hapus=id_)
    assert gone.status_code == 409 and "sudah dikirim" in text(gone)


def test_second_round(get: Page, post: Page, world: World) -> None:  # noqa: F811
    dataset = world.at("diajukan")
    resource = dataset["resources"][0]
    fields = ["definisi", f"resources/{resource['id']}/variabel/1"]
    world.move(
        "walidata",
        dataset["id"],
        "kembalikan",
        note="Dua hal.",
        comments=[{"field": f, "body": f"Lihat {n}"} for n, f in enumerate(fields)],
    )
    world.call("package_patch", "produsen_dinkes", id=dataset["id"],
               definisi="Banyaknya bayi lahir hidup dalam satu tahun anggaran.")  # fmt: skip
    rows = [dict(row) for row in World.VARIABEL]
    rows[2]["klasifikasi_isian"] = "Lebih dari 0"
    world.call("resource_patch", "produsen_dinkes", id=resource["id"], variabel=rows)
    tables.load(resource["id"])
    world.move("produsen_dinkes", dataset["id"], "ajukan")

    page = get("walidata", path(dataset))
    body, words = page.get_data(as_text=True), text(page)
    assert "Sejak pengajuan sebelumnya: 2 hal berubah" in words
    assert "Dihapus: kalender. Ditambahkan: anggaran." in words
    assert "item lain, tidak berubah" in words and "variabel lain, tidak berubah" in words
    assert "Dijawab" in words and "Terbuka" in words
    changed = text(get("walidata", f"{path(dataset)}?tampil=berubah"))
    assert "anggaran." in changed and "31 Januari 2027" not in changed
    commented = text(get("walidata", f"{path(dataset)}?tampil=komentar"))
    assert "Lihat 0" in commented and "Lihat 1" in commented and "Makin besar" not in commented

    id_ = re.search(r'name="selesai" value="([^"]+)"', body)
    assert id_
    assert post("walidata", path(dataset), selesai=id_[1]).status_code == 302
    assert "Selesai" in text(get("walidata", path(dataset)))
    assert post("produsen_dinkes", path(dataset), buka=id_[1]).status_code == 409


def test_what_was_found_in_the_table_is_marked_in_it(get: Page, world: World) -> None:  # noqa: F811
    """The first ten rows, and those beyond in which something was found."""
    rows = [f"35.03.01,Panggul,{n}" for n in range(1, 31)]
    rows[24] = "35.03.99,Panggul,25"
    dataset = world.call("package_create", "produsen_dinkes", **world.metadata())
    table = "\n".join(["kode,kecamatan,jumlah", *rows]).encode()
    world.upload("produsen_dinkes", dataset["id"], table)
    world.move("produsen_dinkes", dataset["id"], "ajukan")
    page = get("walidata", path(dataset))
    body, words = page.get_data(as_text=True), text(page)
    assert "11 dari 30 baris. Baris yang bermasalah ikut ditampilkan dan ditandai." in words
    marked = re.findall(r'<(t[hd])[^>]* is-found"[^>]*>(.*?)</t', body)
    assert [cell for cell, _ in marked] == ["th", "td"]
    assert "Temuan:" in marked[1][1] and marked[1][1].endswith("35.03.99")
    assert text(get("walidata", path(world.at("diajukan")))).count("Temuan:") == 0


def test_approve_and_publish_at_once_or_on_a_date(post: Page, world: World) -> None:  # noqa: F811
    dataset = world.at("diajukan")
    form = decision(world, dataset["id"], transition="setujui:terbitkan")
    assert post("walidata", path(dataset, "transisi"), **form).status_code == 302
    assert world.status(dataset["id"])["status"] == "terbit"

    dataset = world.at("diajukan")
    form = decision(world, dataset["id"], transition="setujui:jadwal")
    refused = post("walidata", path(dataset, "transisi"), **form)
    assert refused.status_code == 409 and "Isi tanggal dan jam" in text(refused)
    late = {**form, "publish_at": "2099-01-02T09:00"}
    # A date that stands there while another choice is made schedules nothing.
    other = world.at("diajukan")
    post("walidata", path(other, "transisi"), **{**late, "transition": "setujui",
         "content_hash": world.status(other["id"])["content_hash"]})  # fmt: skip
    assert world.status(other["id"])["publish_at"] is None
    post("walidata", path(dataset, "transisi"), **late)
    status = world.status(dataset["id"])
    assert status["status"] == "terverifikasi" and status["publish_at"].startswith("2099-01-02T02")


def test_data_prioritas_is_marked_here(get: Page, post: Page, world: World) -> None:  # noqa: F811
    dataset = world.at("diajukan")
    assert post("walidata", path(dataset), aksi="prioritas").status_code == 409
    assert post("walidata", path(dataset), aksi="prioritas", kriteria="b").status_code == 302
    page = get("walidata", path(dataset))
    assert "kriteria b" in text(page)
    body = page.get_data(as_text=True)
    assert 'value="teruskan_ke_pembina"' in body and 'value="setujui"' not in body


def test_back_button_after_deciding(post: Page, world: World) -> None:  # noqa: F811
    dataset = world.at("diajukan")
    form = decision(world, dataset["id"], transition="setujui", note="Catatan saya")
    post("walidata_2", path(dataset, "transisi"), **decision(world, dataset["id"],
         transition="kembalikan", note="x"))  # fmt: skip
    late = post("walidata", path(dataset, "transisi"), **form, komentar_field="konsep",
                komentar_sub="", komentar_parent="", komentar_body="Ketikan")  # fmt: skip
    words = text(late)
    assert late.status_code == 409
    assert "Keputusan tidak dikirim" in words and "oleh walidata_2" in words
    assert "Catatan saya" in words and "Ketikan" in words
    assert world.status(dataset["id"])["status"] == "dikembalikan"


def test_reviewer_who_edited_the_dataset(get: Page, post: Page, world: World) -> None:  # noqa: F811
    own = world.draft("walidata", owner_org="diskominfo")
    world.move("walidata", own["id"], "ajukan")
    page = get("walidata", path(own))
    assert 'value="setujui"' not in page.get_data(as_text=True)
    assert "Anda ikut membuat dataset ini" in text(page)
    assert 'value="setujui"' in get("walidata_2", path(own)).get_data(as_text=True)


def test_user_and_organization_removed_meanwhile(get: Page, world: World) -> None:  # noqa: F811
    dataset = world.draft("forum", owner_org="bappeda")
    world.move("forum", dataset["id"], "ajukan")
    world.move("walidata", dataset["id"], "kembalikan", note="x",
               comments=[{"field": "konsep", "body": "Perjelas"}])  # fmt: skip
    statements = (
        "UPDATE \"user\" SET state = :state WHERE name = 'forum'",
        "UPDATE \"group\" SET state = :state WHERE name = 'bappeda'",
    )

    def remove(state: str) -> None:
        for statement in statements:
            core.Session.execute(sa.text(statement), {"state": state})
        core.Session.commit()

    remove("deleted")
    try:
        for page in ("pemeriksaan", "riwayat"):
            shown = get("walidata", path(dataset, page))
            assert shown.status_code == 200 and "forum" in text(shown), page
        assert "Perjelas" in text(get("walidata", path(dataset)))
    finally:
        remove("active")


def test_what_was_typed_survives_the_session(
    app: CKANTestApp,
    world: World,
    get: Page,  # noqa: F811
) -> None:
    dataset = world.at("diajukan")
    form = decision(world, dataset["id"], transition="kembalikan", note="Panjang <b>sekali</b>")
    host = get(None, "/").request.host

    def send(user: str | None, to: str, data: dict[str, str], origin: str = host) -> Any:
        ours = {"HTTP_ORIGIN": f"http://{origin}"}
        return get(user, to, method="POST", data=data, environ_overrides=ours)

    for key in ("transisi", "pemeriksaan"):
        lost = send(None, path(dataset, key), {**form, "komentar_body": "Komentar saya"})
        body, words = lost.get_data(as_text=True), text(lost)
        assert lost.status_code == 403 and "Masuk di tab baru" in words
        assert "Panjang <b>sekali</b>" in words and "Komentar saya" in words
        assert "<b>sekali</b>" not in body and f'action="{path(dataset, key)}"' in body
        assert f'name="content_hash" value="{form["content_hash"]}"' in body
        # What another site sends is not shown as one's own words.
        assert "sekali" not in text(send(None, path(dataset, key), form, "jahat.example"))
    enabled = app.flask_app.config["WTF_CSRF_ENABLED"]
    app.flask_app.config["WTF_CSRF_ENABLED"] = True
    try:
        again = send("walidata", path(dataset, "transisi"), form)
        assert again.status_code == 400 and "tekan Lanjutkan" in text(again)
        edit = send("produsen_dinkes", f"/dataset/edit/{dataset['name']}", {"title": "Judul saya"})
        assert "Judul saya" in edit.get_data(as_text=True)
        login = send(None, "/user/login", {"login": "walidata", "password": "rahasia-123"})
        assert "rahasia-123" not in login.get_data(as_text=True)
    finally:
        app.flask_app.config["WTF_CSRF_ENABLED"] = enabled
    assert world.status(dataset["id"])["status"] == "diajukan"


@pytest.mark.parametrize("status", ["draf", "dikembalikan", "terverifikasi", "terbit", "ditarik"])
def test_the_page_in_every_status(get: Page, world: World, status: str) -> None:  # noqa: F811
    at = f"/dataset/{world.standing(status)}/pemeriksaan"
    for user, query in (
        ("walidata", "?komentar=%3Cscript%3E&ubah=x&tampil=x"),
        ("produsen_dinkes", "?tampil=berubah&banding=terbit"),
    ):
        page = get(user, f"{at}{query}", follow_redirects=True)
        assert page.status_code == 200, user
        assert "<script>" not in page.get_data(as_text=True).split("sd-split")[1]


# Produsen, history -------------------------------------------------------------------------------
def test_returned_work_is_a_task_list(get: Page, post: Page, world: World) -> None:  # noqa: F811
    dataset = world.at("diajukan")
    resource = dataset["resources"][0]["id"]
    cell = f"resources/{resource}/variabel/2/satuan"
    world.move("walidata", dataset["id"], "kembalikan", note="Tiga hal.",
               comments=[{"field": f, "body": f"Soal {f}"} for f in ("konsep", "definisi", cell)],
               )  # fmt: skip
    tasks = get("produsen_dinkes", "/satudata/tugas")
    assert f"/dataset/{dataset['name']}/perbaikan" in tasks.get_data(as_text=True)
    assert "0 dari 3 komentar ditanggapi" in text(tasks)
    page = get("produsen_dinkes", path(dataset, "perbaikan"))
    body, words = page.get_data(as_text=True), text(page)
    assert "0 dari 3 ditanggapi" in words and "3 komentar belum ditanggapi" in words
    assert f"/dataset/edit/{dataset['name']}#field-konsep" in body
    assert f"/resource/{resource}/edit#field-variabel-2-satuan" in body
    # The comment stands beside the field.
    assert "Soal konsep" in text(get("produsen_dinkes", f"/dataset/edit/{dataset['name']}"))
    file = text(get("produsen_dinkes", f"/dataset/{dataset['name']}/resource/{resource}/edit"))
    assert f"Soal {cell}" in file and "Soal konsep" not in file

    point = world.call("satudata_comment_list", "walidata", id=dataset["id"])["results"][0]
    empty = post("produsen_dinkes", path(dataset, "perbaikan"), parent=point["id"], body=" ")
    assert empty.status_code == 409 and "Tulis komentarnya." in text(empty)
    done = post("produsen_dinkes", path(dataset, "perbaikan"), parent=point["id"], body="Sudah.")
    assert done.status_code == 302
    world.call("package_patch", "produsen_dinkes", id=dataset["id"], definisi="Rumusan lain.")
    words = text(get("produsen_dinkes", path(dataset, "perbaikan")))
    assert "2 dari 3 ditanggapi" in words and "Sudah diubah" in words and "Dijawab" in words
    receipt = post("produsen_dinkes", path(dataset, "transisi"), transition="ajukan")
    assert receipt.status_code == 302
    # Where the page has no task list any more it leads to what is checked.
    assert get("produsen_dinkes", path(dataset, "perbaikan")).location.endswith("/pemeriksaan")
    assert get("warga", path(dataset, "perbaikan")).status_code == 404


def test_history_with_comments_as_page_csv_and_json(get: Page, world: World) -> None:  # noqa: F811
    dataset = world.at("diajukan")
    world.move("walidata", dataset["id"], "kembalikan", note="=HYPERLINK(1)",
               comments=[{"field": "konsep", "body": "=1+1 Perjelas"}])  # fmt: skip
    point = world.call("satudata_comment_list", "walidata", id=dataset["id"])["results"][0]
    world.call("satudata_comment_create", "produsen_dinkes", id=dataset["id"],
               parent=point["id"], body="Jelas.")  # fmt: skip
    words = text(get("produsen_dinkes", path(dataset, "riwayat")))
    assert "Konsep : =1+1 Perjelas" in words and "Komentar dibalas" in words and "Jelas." in words
    narrowed = text(get("produsen_dinkes", path(dataset, "riwayat?jenis=komentar")))
    assert "Komentar dibalas" in narrowed and "Diajukan ke Walidata" not in narrowed

    table = get("walidata", path(dataset, "riwayat.csv"))
    assert table.status_code == 200 and "attachment" in table.headers["Content-Disposition"]
    rows = list(csv.DictReader(io.StringIO(table.get_data(as_text=True).lstrip("\ufeff"))))
    events = world.call("satudata_history_list", "walidata", id=dataset["id"], limit=100)
    assert [row["event"] for row in rows] == [e["event"] for e in events["results"]]
    returned = next(row for row in rows if row["event"] == "kembalikan")
    assert returned["note"] == "'=HYPERLINK(1)" and "Perjelas" in returned["comments"]
    found = get("walidata", path(dataset, "riwayat.json")).get_json()
    assert found["name"] == dataset["name"] and len(found["events"]) == events["count"]
    assert found["events"][-1]["comments"][-1]["body"] in ("Jelas.", "=1+1 Perjelas")
    for page in ("riwayat.csv", "riwayat.json"):
        assert get("warga", path(dataset, page)).status_code == 404
        assert get(None, path(dataset, page)).status_code == 404
