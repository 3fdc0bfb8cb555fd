"""The pages: who gets which, what they say and offer, and the one form that moves a dataset."""

from __future__ import annotations

import datetime as dt
import io
import re
from collections.abc import Callable
from html import unescape
from typing import Any
from urllib.parse import urlsplit

import pytest
from ckan.tests.helpers import CKANTestApp
from werkzeug.datastructures import FileStorage

from ckanext.satudata_trenggalek import helpers
from ckanext.satudata_trenggalek.logic import queue
from ckanext.satudata_trenggalek.views import riwayat, tugas
from ckanext.satudata_trenggalek.workflow.table import EDITABLE
from tests.world import World

Page = Callable[..., Any]
NASTY = '<script>alert("1")</script> & Anak'


@pytest.fixture
def get(app: CKANTestApp, world: World) -> Page:
    """Open a page as a user, or as None anonymously."""
    tokens: dict[str, str] = {}

    def request(user: str | None, path: str, method: str = "GET", **more: Any) -> Any:
        headers = {}
        if user:
            if user not in tokens:
                tokens[user] = world.call("api_token_create", user, user=user, name="uji")["token"]
            headers["Authorization"] = tokens[user]
        more.setdefault("follow_redirects", False)
        return app.test_client().open(path, method=method, headers=headers, **more)

    return request


@pytest.fixture
def post(get: Page) -> Page:
    def request(user: str | None, path: str, **form: str) -> Any:
        return get(user, path, method="POST", data=form)

    return request


def text(response: Any) -> str:
    """What a reader reads, on one line."""
    return unescape(re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", response.get_data(as_text=True))))


def decision(world: World, dataset: str, **form: str) -> dict[str, str]:
    """What the review page sends when all four principles are met."""
    return {
        "origin": "pemeriksaan",
        "next": "antrean",
        "content_hash": world.status(dataset)["content_hash"],
        **{f"checklist_{name}": "sesuai" for name in World.CHECKLIST},
        **form,
    }


# Queue -------------------------------------------------------------------------------------------
def test_queue_is_for_the_checkers(get: Page) -> None:
    anonymous = get(None, "/satudata/antrean?tab=terbit")
    assert anonymous.status_code == 302
    assert "/user/login" in anonymous.location and "tab%3Dterbit" in anonymous.location
    for user in ("produsen_dinkes", "forum", "warga"):
        refused = get(user, "/satudata/antrean")
        assert refused.status_code == 403, user
        assert "untuk petugas Walidata dan Pembina Data" in text(refused)
    for user in ("walidata", "pembina_bps", "admin"):
        assert get(user, "/satudata/antrean").status_code == 200, user


def test_queue_lists_what_waits(get: Page, world: World) -> None:
    dataset = world.at("diajukan", title=f"Kelahiran {NASTY}")
    page = get("walidata", "/satudata/antrean")
    assert f"/dataset/{dataset['name']}/pemeriksaan" in page.get_data(as_text=True)
    assert NASTY not in page.get_data(as_text=True)
    assert NASTY in text(page)
    assert "ke-1" in text(page) and "Perlu diperiksa" in text(page)


def test_queue_filters_live_in_the_address(get: Page, world: World) -> None:
    dataset = world.at("diajukan", title="Produksi Durian")
    url = f"/dataset/{dataset['name']}/pemeriksaan"
    found = get("walidata", "/satudata/antrean?q=durian&organization=dinkes&sort=title")
    assert url in found.get_data(as_text=True)
    assert 'value="durian"' in found.get_data(as_text=True)
    assert "q=durian" in found.get_data(as_text=True)  # the tabs keep it
    other = get("walidata", "/satudata/antrean?q=durian&organization=dukcapil")
    assert url not in other.get_data(as_text=True)
    assert "Tidak ada yang cocok" in text(other)


@pytest.mark.parametrize("query", ["tab=x&sort=x&page=x", "page=99999", "q=%00", "page=-1"])
def test_queue_bears_odd_addresses(get: Page, query: str) -> None:
    assert get("walidata", f"/satudata/antrean?{query}").status_code in (200, 302, 400)


def test_pembina_sees_data_prioritas_alone(get: Page, world: World) -> None:
    other, mine = world.at("diajukan"), world.at("diperiksa_pembina")
    page = get("pembina_bps", "/satudata/antrean").get_data(as_text=True)
    assert mine["name"] in page and other["name"] not in page


def test_queue_claims_and_releases(get: Page, post: Page, world: World) -> None:
    dataset = world.at("diajukan", title="Panen Salak")
    state = "tab=periksa&q=panen+salak"
    page = get("walidata", f"/satudata/antrean?{state}")
    assert "Belum diambil" in text(page)
    taken = post("walidata", "/satudata/antrean/ambil", id=dataset["id"], dari=state)
    assert taken.status_code == 302 and taken.location.endswith(f"/satudata/antrean?{state}")
    mine = text(get("walidata", f"/satudata/antrean?tab=saya&{state[12:]}"))
    assert "Lanjutkan" in mine and "Lepas" in mine and "Panen Salak" in mine
    theirs = text(get("walidata_2", f"/satudata/antrean?{state}"))
    assert "walidata" in theirs and "Lihat" in theirs and "Belum diambil" not in theirs
    # Two tabs: the other one still shows the button.
    post("walidata_2", "/satudata/antrean/ambil", id=dataset["id"], dari=state)
    assert world.status(dataset["id"])["reviewer"] == "walidata"
    post("walidata_2", "/satudata/antrean/lepas", id=dataset["id"])
    assert world.status(dataset["id"])["reviewer"] == "walidata"
    back = post("walidata", "/satudata/antrean/lepas", id=dataset["id"], next="pemeriksaan")
    assert back.location.endswith("/pemeriksaan")
    assert world.status(dataset["id"])["reviewer"] is None


def test_several_are_claimed_at_once(get: Page, world: World) -> None:
    free, held = world.at("diajukan")["id"], world.at("diajukan")["id"]
    world.call("satudata_claim", "walidata_2", id=held)
    chosen = [free, held, "tidak-ada", free]
    answer = get("walidata", "/satudata/antrean/ambil", method="POST", data={"pilih": chosen},
                 follow_redirects=True)  # fmt: skip
    words = text(answer)
    assert "Anda sekarang memeriksa" in words and "Sedang diperiksa oleh walidata_2" in words
    assert "Satu dataset tidak diambil" in words
    assert [world.status(id_)["reviewer"] for id_ in (free, held)] == ["walidata", "walidata_2"]
    none = get("walidata", "/satudata/antrean/ambil", method="POST", follow_redirects=True)
    assert "Centang dahulu" in text(none)


def test_taking_over_asks_for_the_reason(get: Page, post: Page, world: World) -> None:
    dataset = world.at("diajukan", title="Panen Kelengkeng")
    url = f"/dataset/{dataset['name']}/ambil-alih"
    assert get("walidata_2", url).status_code == 302, "nobody holds it"
    world.call("satudata_claim", "walidata", id=dataset["id"])
    assert get("walidata_2", url).status_code == 302, "its holder is at work"
    world.later(dataset["id"], "claimed_at", -dt.timedelta(days=30))
    assert "boleh diambil alih" in text(get("walidata_2", "/satudata/antrean?q=kelengkeng"))
    page = get("walidata_2", url)
    assert page.status_code == 200 and "Dipegang oleh walidata sejak" in text(page)
    refused = post("walidata_2", url, note=" ")
    assert refused.status_code == 409 and "Tulis alasan" in text(refused)
    done = post("walidata_2", url, note="Sedang cuti.")
    assert done.status_code == 302 and done.location.endswith("/pemeriksaan")
    assert world.status(dataset["id"])["reviewer"] == "walidata_2"


@pytest.mark.parametrize("path", ["ambil", "lepas"])
def test_claims_are_for_the_checkers(post: Page, world: World, path: str) -> None:
    id_ = world.standing("diajukan")
    for user, status in ((None, 302), ("produsen_dinkes", 403), ("admin", 302)):
        assert post(user, f"/satudata/antrean/{path}", id=id_).status_code == status
    assert world.status(id_)["reviewer"] is None
    odd = post("walidata", f"/satudata/antrean/{path}", id="\x00", dari="page=x&q=%00&lain=1")
    assert odd.status_code == 302


def test_a_page_that_is_no_more(get: Page) -> None:
    """The last page empties while it is looked at."""
    gone = get("walidata", "/satudata/antrean?q=tidak-ada-yang-begini&page=3")
    assert gone.status_code == 302 and "page" not in gone.location


def test_counts_end_and_say_so(get: Page, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """At 1.000+ for all; here with a smaller end."""
    assert helpers.MOST == 1000
    for module in (queue, helpers):
        monkeypatch.setattr(module, "MOST", 2)
    for _ in range(4):
        world.at("diajukan")
    found = world.call("satudata_queue_list", "walidata", status=["diajukan"])
    assert found["count"] == found["facets"]["status"]["diajukan"] == 3
    assert {row["count"] for row in found["facets"]["organization"]} == {None}
    assert "Perlu diperiksa 2+ " in text(get("walidata", "/satudata/antrean"))


# Own work ----------------------------------------------------------------------------------------
def test_tasks_tell_the_note_and_what_remains(get: Page, post: Page, world: World) -> None:
    returned = world.at("dikembalikan", title="Dikembalikan Satu")
    world.call("package_patch", "produsen_dinkes", id=returned["id"], definisi="")
    waiting = world.call("satudata_queue_list", "produsen_dinkes", status=["dikembalikan"], limit=0)
    page = get("produsen_dinkes", f"/satudata/tugas?hal={-(-waiting['count'] // tugas.PAGE)}")
    assert page.status_code == 200
    words = text(page)
    assert "Dikembalikan Satu" in words and "Perbaiki satuan." in words
    assert "1 hal lagi sebelum dapat diajukan" in words
    assert f"/dataset/edit/{returned['name']}#field-definisi" in page.get_data(as_text=True)


def test_tasks_are_turned_page_by_page(
    get: Page, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    returned = [world.at("dikembalikan")["id"], world.standing("dikembalikan")]
    drafts = [world.draft()["id"], world.draft()["id"]]
    sent = [world.at("diajukan")["name"], world.standing("diajukan")]
    monkeypatch.setattr(tugas, "PAGE", 3)
    names = {id_: world.call("package_show", "admin", id=id_)["name"] for id_ in returned + drafts}
    seen: list[str] = []
    page, last = 0, ""
    while page < 300:
        page += 1
        body = get("produsen_dinkes", f"/satudata/tugas?hal={page}&tunggu=2").get_data(as_text=True)
        todo = body.partition('id="waiting"')[0].partition('id="todo"')[2]
        if todo == last:  # the page beyond the last is the last
            break
        last = todo
        found = re.findall(r'sd-link-block" href="/(?:dataset|kegiatan)/([^"]+)"', todo)
        assert 0 < len(found) <= 3 and "tunggu=2" in todo
        seen += found
    assert len(seen) == len(set(seen)) and set(names.values()) <= set(seen)
    order = [seen.index(names[id_]) for id_ in returned]
    assert max(order) < min(seen.index(names[id_]) for id_ in drafts)
    first = get("produsen_dinkes", "/satudata/tugas").get_data(as_text=True)
    assert sent[0] not in first.partition('id="waiting"')[2] or "tunggu=2" in first


def test_tasks_of_another_office_stay_theirs(get: Page, world: World) -> None:
    dataset = world.draft()
    page = get("produsen_dukcapil", "/satudata/tugas")
    assert page.status_code == 200 and dataset["name"] not in page.get_data(as_text=True)
    assert "Buat dataset" in text(page)
    assert get("warga", "/satudata/tugas").status_code == 403
    assert get(None, "/satudata/tugas").status_code == 302


def test_counter_of_tasks_is_of_ones_own_office(get: Page, world: World) -> None:
    """Forum see every office's datasets in the list; the work of others is not theirs."""
    world.draft()
    own = world.call("satudata_queue_list", "forum", organization="bappeda", status=list(EDITABLE))
    assert f"Tugas {own['count']} " in text(get("forum", "/"))
    world.draft("forum", owner_org="bappeda")
    assert f"Tugas {own['count'] + 1} " in text(get("forum", "/"))


def test_desk_leads_to_the_work(get: Page) -> None:
    places = {
        "walidata": "/satudata/antrean",
        "produsen_dinkes": "/satudata/tugas",
        "pembina_bps": "/satudata/antrean",
        "warga": "/",
    }
    for user, place in places.items():
        assert urlsplit(get(user, "/satudata").location).path == place, user


# Dataset page ------------------------------------------------------------------------------------
def test_public_page(get: Page, world: World) -> None:
    dataset = world.at("terbit", title=f"Terbit {NASTY}")
    file = world.call("satudata_publication_show", None, id=dataset["id"])["files"][0]
    page = get(None, f"/dataset/{dataset['name']}")
    words = text(page)
    assert page.status_code == 200
    assert NASTY not in page.get_data(as_text=True) and NASTY in words
    assert re.search(r"Terverifikasi Walidata · versi 1 · \d+ \w+ \d{4}", words)
    assert file["sha256"] in words
    assert "Panggul" in words  # the rows of the table
    assert "Definisi MS-Ind 4" in words and "31 Januari 2027" in words
    assert "Cara mengutip" in words
    for hidden in ("Status dataset", "Tarik dari publik", "Ubah isian", "pemeriksaan"):
        assert hidden not in words


def test_unpublished_page_does_not_exist_for_others(get: Page, world: World) -> None:
    dataset = world.at("diajukan")
    unknown = text(get(None, "/dataset/tidak-ada"))
    for user in (None, "warga", "produsen_dukcapil", "pembina_bps"):
        for page in ("", "/pemeriksaan", "/riwayat", "/transisi"):
            response = get(user, f"/dataset/{dataset['name']}{page}")
            assert response.status_code == 404, (user, page)
            if user is None:
                assert text(response).replace(page, "") == unknown.replace(page, "")


@pytest.mark.parametrize(
    ("status", "user", "offered", "absent"),
    [
        ("draf", "produsen_dinkes", ["Ajukan", "Ubah isian"], ["Periksa dan putuskan"]),
        ("diajukan", "produsen_dinkes", ["Batalkan pengajuan"], ["Ubah isian", "Setujui"]),
        ("diajukan", "walidata", ["Periksa dan putuskan"], ["Ajukan", "Ubah isian"]),
        ("dikembalikan", "produsen_dinkes", ["Ajukan", "Perbaiki satuan."], []),
        ("diperiksa_pembina", "pembina_bps", ["Periksa dan putuskan"], ["Tarik dari Pembina"]),
        ("diperiksa_pembina", "walidata", ["Tarik dari Pembina"], ["Periksa dan putuskan"]),
        ("terverifikasi", "walidata", ["Terbitkan", "Kembalikan untuk perbaikan"], []),
        ("terbit", "walidata", ["Tarik dari publik"], ["Ubah isian"]),
        ("terbit", "produsen_dinkes", ["Status dataset"], ["Tarik dari publik", "Ubah isian"]),
        ("ditarik", "produsen_dinkes", ["Buka kembali sebagai draf"], ["Ubah isian"]),
    ],
)
def test_members_page_offers_what_may_be_done(
    get: Page, world: World, status: str, user: str, offered: list[str], absent: list[str]
) -> None:
    page = get(user, f"/dataset/{world.standing(status)}", follow_redirects=True)
    button = r"<(?:a|button) class=\"btn[^>]*>(.*?)</(?:a|button)>"
    buttons = " ".join(re.findall(button, page.get_data(as_text=True)))
    for label in offered:
        assert label in text(page), label
    for label in absent:
        assert label not in buttons, label
    assert "Unpublish" not in page.get_data(as_text=True)


def test_blockers_link_to_the_field(get: Page, world: World) -> None:
    dataset = world.call(
        "package_create", "produsen_dinkes", name="kosong", title="Kosong", owner_org="dinkes"
    )
    page = get("produsen_dinkes", "/dataset/kosong").get_data(as_text=True)
    for blocker in world.status(dataset["id"])["blockers"]:
        assert blocker["message"] in unescape(page)
    assert "/dataset/edit/kosong#field-definisi" in page
    assert "/dataset/kosong/resource/new" in page


# Review and decision -----------------------------------------------------------------------------
def test_review_shows_content_and_decisions(get: Page, world: World) -> None:
    dataset = world.at("diajukan")
    page = get("walidata", f"/dataset/{dataset['name']}/pemeriksaan")
    body, words = page.get_data(as_text=True), text(page)
    assert world.status(dataset["id"])["content_hash"] in body
    for heading in ("1. Standar Data", "2. Metadata", "3. Interoperabilitas", "4. Kode Referensi"):
        assert heading in words
    assert "Banyaknya bayi lahir hidup" in words and "Panggul" in words
    assert 'name="checklist_standar_data"' in body
    for name in ("setujui", "kembalikan"):
        assert f'name="transition" value="{name}"' in body
    assert 'value="teruskan_ke_pembina"' not in body


def test_review_is_read_only_for_the_producer(get: Page, world: World) -> None:
    page = get("produsen_dinkes_2", f"/dataset/{world.standing('diajukan')}/pemeriksaan")
    assert page.status_code == 200
    assert "Tidak ada keputusan untuk Anda" in text(page)
    assert "Kirim keputusan" not in text(page)


def test_pembina_decides_without_checklist(get: Page, post: Page, world: World) -> None:
    dataset = world.at("diperiksa_pembina")
    path = f"/dataset/{dataset['name']}"
    body = get("pembina_bps", f"{path}/pemeriksaan").get_data(as_text=True)
    assert "checklist_" not in body
    assert 'value="setujui_pembina"' in body and 'value="tolak_pembina"' in body
    form = {"origin": "pemeriksaan", "content_hash": world.status(dataset["id"])["content_hash"]}
    refused = post("pembina_bps", f"{path}/transisi", transition="tolak_pembina", **form)
    assert refused.status_code == 409 and 'href="#note"' in refused.get_data(as_text=True)
    post("pembina_bps", f"{path}/transisi", transition="tolak_pembina", note="Cek lagi.", **form)
    assert world.status(dataset["id"])["status"] == "ditolak_pembina"


def test_what_is_decided_is_read(get: Page, world: World) -> None:
    """A decision has no page without the content."""
    for status, user, transition in (
        ("diajukan", "walidata", "setujui"),
        ("diajukan", "walidata", "kembalikan"),
        ("diperiksa_pembina", "pembina_bps", "setujui_pembina"),
    ):
        name = world.at(status)["name"]
        page = get(user, f"/dataset/{name}/transisi?transition={transition}")
        assert page.location.endswith(f"/dataset/{name}/pemeriksaan"), transition


def test_the_name_of_a_file_is_read(get: Page, world: World) -> None:
    """The public saves the file under it."""
    dataset = world.draft()
    file = FileStorage(io.BytesIO(World.CSV), filename="kata-4711.csv")
    id_ = dataset["resources"][0]["id"]
    world.call("resource_patch", "produsen_dinkes", id=id_, name="Tabel", upload=file)
    page = get("walidata", f"/dataset/{dataset['name']}/pemeriksaan")
    assert "kata-4711.csv" in text(page)


def test_return_with_a_note(get: Page, post: Page, world: World) -> None:
    dataset = world.at("diajukan")
    done = post(
        "walidata",
        f"/dataset/{dataset['name']}/transisi",
        **decision(world, dataset["id"], transition="kembalikan", note="Perjelas definisi."),
    )
    assert done.status_code == 302 and done.location.endswith("/satudata/antrean")
    assert world.status(dataset["id"])["status"] == "dikembalikan"


def test_flash_says_what_happened(app: CKANTestApp, world: World) -> None:
    dataset = world.draft()
    token = world.call("api_token_create", "produsen_dinkes", user="produsen_dinkes", name="x")
    page = app.post(
        f"/dataset/{dataset['name']}/transisi",
        data={"transition": "ajukan"},
        headers={"Authorization": token["token"]},
    )
    assert "Dataset diajukan ke Walidata." in text(page)


def test_errors_keep_what_was_typed_and_lead_to_the_field(post: Page, world: World) -> None:
    dataset = world.at("diajukan")
    form = decision(world, dataset["id"], transition="setujui", note=f"Bagus {NASTY}")
    form["checklist_metadata"] = "tidak_berlaku"
    form["checklist_interoperabilitas"] = "tidak"
    form["checklist_interoperabilitas_note"] = "Ada sel kosong"
    del form["checklist_kode_referensi"]
    page = post("walidata", f"/dataset/{dataset['name']}/transisi", **form)
    body, words = page.get_data(as_text=True), text(page)
    assert page.status_code == 409
    for anchor in ("check-metadata", "check-interoperabilitas", "check-kode_referensi"):
        assert f'href="#{anchor}"' in body and f'id="{anchor}"' in body
    assert "Ada 3 hal yang perlu dibetulkan" in words
    assert "Ada sel kosong" in words and f"Bagus {NASTY}" in words and NASTY not in body
    assert re.search(r'value="setujui"[^>]* checked', body)
    assert re.search(r'name="checklist_metadata" value="tidak_berlaku"[^>]* checked', body)
    assert world.status(dataset["id"])["status"] == "diajukan"


def test_no_decision_chosen(post: Page, world: World) -> None:
    dataset = world.standing("diajukan")
    page = post("walidata", f"/dataset/{dataset}/transisi", **decision(world, dataset))
    assert page.status_code == 409 and "Pilih keputusan." in text(page)


def test_stale_page_keeps_all_and_takes_the_new_hash_only_when_told(
    get: Page, post: Page, world: World
) -> None:
    dataset = world.at("diajukan")
    path = f"/dataset/{dataset['name']}/transisi"
    old = decision(world, dataset["id"], transition="setujui", note="Sudah baik.")
    world.move("produsen_dinkes", dataset["id"], "batalkan")
    world.call("package_patch", "produsen_dinkes", id=dataset["id"], satuan="unit")
    world.move("produsen_dinkes", dataset["id"], "ajukan")
    new = world.status(dataset["id"])["content_hash"]

    stale = post("walidata", path, **old)
    body, words = stale.get_data(as_text=True), text(stale)
    assert stale.status_code == 409
    assert "Isi dataset berubah setelah halaman ini Anda buka" in words
    assert "Satuan : Dihapus: Orang Ditambahkan: Unit" in words and "Pengajuan dibatalkan" in words
    assert "Sudah baik." in words and re.search(r'value="setujui"[^>]* checked', body)
    assert f'name="content_hash" value="{old["content_hash"]}"' in body
    assert f'name="content_hash" value="{new}"' not in body

    review = f"/dataset/{dataset['name']}/pemeriksaan"
    assert "Isi dataset berubah" in text(get("walidata", review))  # also in another tab
    assert post("walidata", review, **old, muat="1").status_code == 302
    body = get("walidata", review).get_data(as_text=True)
    assert "Sudah baik." in body and "Isi dataset berubah" not in body
    assert f'name="content_hash" value="{new}"' in body
    assert world.status(dataset["id"])["status"] == "diajukan"
    assert post("walidata", path, **{**old, "content_hash": new}).status_code == 302
    assert world.status(dataset["id"])["status"] == "terverifikasi"


def test_publishing_is_asked_once_more(get: Page, post: Page, world: World) -> None:
    dataset = world.at("terverifikasi")
    path = f"/dataset/{dataset['name']}/transisi"
    asked = get("walidata", f"{path}?transition=terbitkan")
    assert asked.status_code == 200 and "tampil untuk umum" in text(asked)
    form = {"origin": "konfirmasi", "content_hash": world.status(dataset["id"])["content_hash"]}
    wrong = post("walidata", path, transition="terbitkan", publish_at="2020-01-01T09:00", **form)
    assert wrong.status_code == 409 and "2020-01-01T09:00" in wrong.get_data(as_text=True)
    later = post("walidata", path, transition="terbitkan", publish_at="2099-01-02T09:00", **form)
    assert later.status_code == 302
    assert world.status(dataset["id"])["publish_at"].startswith("2099-01-02T02:00")
    post("walidata", path, transition="terbitkan", **form)
    assert world.status(dataset["id"])["status"] == "terbit"


def test_withdrawing_wants_a_reason(get: Page, post: Page, world: World) -> None:
    dataset = world.at("terbit")
    path = f"/dataset/{dataset['name']}/transisi"
    wrong = post("walidata", path, transition="tarik", origin="konfirmasi", note=" ")
    assert wrong.status_code == 409 and 'href="#note"' in wrong.get_data(as_text=True)
    post("walidata", path, transition="tarik", origin="konfirmasi", note="Salah satuan.")
    assert world.status(dataset["id"])["status"] == "ditarik"
    assert get(None, f"/dataset/{dataset['name']}").status_code == 404


def test_who_may_not_is_told_so(post: Page, world: World) -> None:
    dataset = world.at("diajukan")
    response = post("produsen_dinkes", f"/dataset/{dataset['name']}/transisi", transition="setujui")
    assert response.status_code == 302
    assert world.status(dataset["id"])["status"] == "diajukan"
    unknown = post("walidata", f"/dataset/{dataset['name']}/transisi", transition="apa saja")
    assert unknown.status_code == 302


def test_forms_want_their_token(app: CKANTestApp, post: Page, get: Page, world: World) -> None:
    """Also after somebody opened the page with an API token, which exempts core's views."""
    dataset = world.draft()
    path = f"/dataset/{dataset['name']}/transisi"
    enabled = app.flask_app.config["WTF_CSRF_ENABLED"]
    app.flask_app.config["WTF_CSRF_ENABLED"] = True
    try:
        get("walidata", path)
        assert post("produsen_dinkes", path, transition="ajukan").status_code == 400
    finally:
        app.flask_app.config["WTF_CSRF_ENABLED"] = enabled
    assert world.status(dataset["id"])["status"] == "draf"


# History -----------------------------------------------------------------------------------------
def test_history_by_rounds(get: Page, world: World) -> None:
    dataset = world.at("dikembalikan", title=f"Riwayat {NASTY}")
    world.move("produsen_dinkes", dataset["id"], "ajukan")
    page = get("walidata", f"/dataset/{dataset['name']}/riwayat")
    words = text(page)
    assert NASTY not in page.get_data(as_text=True)
    order = [words.index(part) for part in ("Putaran ke-2", "Perbaiki satuan.", "Dataset dibuat")]
    assert order == sorted(order)
    assert "SOP 6" in words and "walidata (Walidata)" in words
    assert get("warga", f"/dataset/{dataset['name']}/riwayat").status_code == 404
    public = world.at("terbit")
    assert get("warga", f"/dataset/{public['name']}/riwayat").status_code == 403
    assert get(None, f"/dataset/{public['name']}/riwayat").status_code == 302


def test_history_page_by_page_and_what_changed(
    get: Page, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset = world.at("dikembalikan")
    world.move("produsen_dinkes", dataset["id"], "ajukan")  # the same content again
    world.move("produsen_dinkes", dataset["id"], "batalkan")
    world.call("package_patch", "produsen_dinkes", id=dataset["id"], notes="Isi baru.")
    world.move("produsen_dinkes", dataset["id"], "ajukan")
    monkeypatch.setattr(riwayat, "EVENTS", 2)
    address = f"/dataset/{dataset['name']}/riwayat"
    last = text(get("walidata", address + "?page=3"))
    # Counted from the first event, not from the first of the page.
    assert "Putaran ke-1" in last and "Penyusunan" in last and "Putaran ke-2" not in last
    assert "Putaran ke-3" in text(get("walidata", address))
    assert "Perubahan isi 2 " in last
    changed = text(get("walidata", address + "?jenis=isi"))
    assert changed.count("Diajukan ke Walidata") == 2 and "Dataset dibuat" not in changed


# Forms, frame ------------------------------------------------------------------------------------
def test_form_has_steps_official_numbers_and_no_visibility(get: Page, world: World) -> None:
    body = get("produsen_dinkes", "/dataset/new").get_data(as_text=True)
    assert 'name="private"' not in body and "Unpublish" not in body
    for part in ('id="langkah-identitas"', 'id="langkah-standar_data"', "MS-Ind 4", "Contoh: "):
        assert part in body
    assert 'aria-describedby="field-definisi-hint"' in body


def test_form_errors_link_to_the_field_and_keep_the_input(post: Page) -> None:
    page = post("produsen_dinkes", "/dataset/new", title=NASTY, name="", owner_org="dinkes",
                id_sds="xx", _ckan_phase="dataset_new_1", pkg_name="", save="")  # fmt: skip
    body = page.get_data(as_text=True)
    assert 'href="#field-id_sds"' in body and 'id="field-id_sds-error"' in body
    assert NASTY not in body and NASTY in unescape(body)


def test_resource_form_ends_the_draft_in_our_words(get: Page, post: Page) -> None:
    form = {"_ckan_phase": "dataset_new_1", "pkg_name": "", "save": ""}
    made = post("produsen_dinkes", "/dataset/new", title="Baru", name="lewat-formulir",
                owner_org="dinkes", **form)  # fmt: skip
    assert made.location.endswith("/dataset/lewat-formulir/resource/new")
    words = text(get("produsen_dinkes", made.location))
    assert "Simpan dan selesai" in words and "Publish" not in words


def test_home_counts_what_is_published(get: Page, world: World) -> None:
    dataset = world.at("terbit", title="Paling Baru")
    words = text(get(None, "/"))
    assert "Paling Baru" in words and "dataset terbit" in words
    assert "Versi 1" in words
    assert dataset["name"] in get(None, "/dataset/").get_data(as_text=True)


def test_lists_tell_members_the_status(get: Page, world: World) -> None:
    dataset = world.at("diajukan", title="Masih Diperiksa")
    words = text(get("produsen_dinkes", f"/dataset/?q={dataset['name']}"))
    assert "Menunggu pemeriksaan Walidata" in words
    assert "Masih Diperiksa" not in text(get(None, f"/dataset/?q={dataset['name']}"))


def test_frame(get: Page, world: World) -> None:
    world.at("diajukan")
    body = get("walidata", "/").get_data(as_text=True)
    assert "sd-count" in body and "/satudata/antrean" in body
    assert "/satudata/antrean" not in get(None, "/").get_data(as_text=True)
    for page in ("/", "/about", "/organization/", "/group/", "/user/login", "/dataset/"):
        body = get(None, page).get_data(as_text=True)
        for tag in re.findall(r"<(?:script|link|img|iframe)[^>]*>", body):
            if 'rel="canonical"' in tag or 'rel="alternate"' in tag:
                continue  # an address, not something to load
            assert not re.search(r'(?:src|href)="(?:https?:)?//', tag), (page, tag)
        assert not re.search(r"<script(?![^>]*src=)[^>]*>", body), page


def test_pages_in_english(get: Page, world: World) -> None:
    dataset = world.standing("diajukan")
    for page in ("/en/satudata/antrean", f"/en/dataset/{dataset}/pemeriksaan"):
        assert get("walidata", page).status_code == 200
