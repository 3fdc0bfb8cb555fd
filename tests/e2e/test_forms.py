"""The forms in a browser: what applies, rows of repeating blocks, a whole kegiatan."""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable
from typing import Any

from playwright.sync_api import Locator, Page, expect

from tests.e2e.test_portal import button, decide, judge, link, says
from tests.world import World

Visit = Callable[..., Page]

#: A survey by tablet, complete: field -> text, code or codes, in the order of the form.
SURVEY: dict[str, Any] = {
    "tahun_kegiatan": "2026",
    "cara_pengumpulan_data": "2",
    "sektor_kegiatan": "9",
    "rekomendasi_bps": "1",
    "identitas_rekomendasi": "V-26.3503.002",
    "instansi_penyelenggara": "Dinas Kesehatan Kabupaten Trenggalek",
    "unit_eselon1": "-",
    "unit_eselon2": "Dinas Kesehatan",
    "pj_jabatan": "Kepala Bidang Pelayanan Kesehatan",
    "pj_alamat": "Jalan dr. Soetomo No. 10, Trenggalek",
    "latar_belakang": "Kepuasan pasien diperlukan bagi perbaikan layanan.",
    "tujuan": "Mengukur kepuasan pasien puskesmas.",
    "pelaksanaan": "2",
    "frekuensi_penyelenggaraan": "7",
    "tipe_pengumpulan": "cross_sectional",
    "metode_pengumpulan": ["1"],
    "sarana_pengumpulan": ["2"],
    "unit_pengumpulan": ["1"],
    "rancangan_sampel": "1",
    "jenis_pemilihan_sampel": "1",
    "metode_sampel": "1",
    "kerangka_sampel": "1",
    "fraksi_sampel": "0,05",
    "unit_sampel": "Pasien",
    "unit_observasi": "Pasien",
    "uji_coba": "1",
    "petugas_pengumpulan": "1",
    "pendidikan_petugas": "3",
    "jumlah_supervisor": "2",
    "jumlah_enumerator": "14",
    "pelatihan_petugas": "1",
    "metode_analisis": "1",
    "produk_digital": "1",
    "rilis_digital": "2027-01-31",
}
STEPS = ("perencanaan", "desain", "pengumpulan", "pengolahan", "analisis", "diseminasi", "evaluasi")


def fill(page: Page, name: str, value: Any) -> None:
    """Fill the field of this name as a person would, by what kind of control it is."""
    control = page.locator(f'[name="{name}"]:not([type=hidden])')
    if isinstance(value, list):
        for code in value:
            control.and_(page.locator(f'[value="{code}"]')).check()
    elif control.evaluate("e => e.tagName") == "SELECT":
        control.select_option(value)
    else:
        control.fill(value)


def step(page: Page, id_: str) -> Locator:
    return page.locator(f"#langkah-{id_}")


def rail(page: Page, label: str) -> Locator:
    return page.get_by_role("navigation", name="Langkah formulir").get_by_role("link", name=label)


def cell(page: Page, row: int, item: str, block: str = "variabel") -> Locator:
    return page.locator(f"#field-{block}-{row}-{item}")


def titles(page: Page, block: str = "variabel") -> list[str]:
    """Names of the rows in their order; of a page that is there as a whole."""
    page.wait_for_load_state()
    return page.evaluate(
        "block => [...document.querySelectorAll(`[data-daftar] [id^=field-${block}-][id$=-nama]`)]"
        ".map(e => e.value)", block,
    )  # fmt: skip


def test_a_survey_is_filled_submitted_checked_and_published(visit: Visit, world: World) -> None:
    title = f"Survei Kepuasan Pasien {uuid.uuid4().hex[:8]}"
    produsen, walidata, visitor = visit("produsen_dinkes"), visit("walidata"), visit()
    produsen.goto("/kegiatan/new")
    produsen.wait_for_load_state()
    produsen.get_by_label(re.compile("Judul Kegiatan")).fill(title)

    # Blok V is there for a survey alone, 4.2 for what is repeated, 6.4 to 6.7 by the means (4.7).
    sample, often = step(produsen, "blok_5"), produsen.locator("#field-frekuensi_penyelenggaraan")
    staff = [produsen.locator(f"#field-{name}") for name in
             ("petugas_pengumpulan", "pendidikan_petugas", "jumlah_supervisor",
              "pelatihan_petugas")]  # fmt: skip
    cara = produsen.locator("#field-cara_pengumpulan_data")
    for hidden in (sample, rail(produsen, "Blok V:"), often, *staff):
        expect(hidden).to_be_hidden()
    cara.select_option(label="Survei")
    expect(sample).to_be_visible()
    expect(rail(produsen, "Blok V:")).to_be_visible()
    produsen.locator("#field-pelaksanaan").select_option(label="Berulang")
    expect(often).to_be_visible()
    means = step(produsen, "blok_4")
    means.get_by_role("checkbox", name="Mail", exact=True).check()
    expect(staff[0]).to_be_hidden()
    means.get_by_label(re.compile(r"\(CAPI\)")).check()
    for shown in staff:
        expect(shown).to_be_visible()
    means.get_by_role("checkbox", name="Mail", exact=True).uncheck()
    # What was typed comes back with the item, and is not sent without it.
    produsen.locator("#field-fraksi_sampel").fill("0,1")
    cara.select_option(label="Pencacahan Lengkap")
    expect(produsen.locator("#field-fraksi_sampel")).to_be_disabled()
    cara.select_option(label="Survei")
    expect(produsen.locator("#field-fraksi_sampel")).to_have_value("0,1")

    values = SURVEY | {
        f"jadwal_{name}_{end}": f"2026-0{n}-{day}"
        for n, name in enumerate(STEPS, 1)
        for end, day in (("mulai", "05"), ("selesai", "25"))
    }
    for name, value in values.items():
        fill(produsen, name, value)
    button(produsen, "Tambah variabel (karakteristik) yang dikumpulkan").click()
    expect(cell(produsen, 0, "nama", "variabel_kegiatan")).to_be_focused()
    for item in ("nama", "konsep", "definisi", "referensi_waktu"):
        cell(produsen, 0, item, "variabel_kegiatan").fill(f"Kepuasan: {item}")
    expect(rail(produsen, "Blok III")).to_contain_text("20 dari 20 terisi")
    button(produsen, "Simpan dan lanjutkan").click()

    expect(produsen.get_by_role("heading", level=1, name=title)).to_be_visible()
    expect(produsen).to_have_url(re.compile("/kegiatan/survei-kepuasan-pasien-[0-9a-f]+-2026$"))
    name = produsen.url.rsplit("/", 1)[1]
    stored = world.call("package_show", "produsen_dinkes", id=name)
    for key, value in values.items():
        assert stored[key] == value, key
    assert "lainnya" not in " ".join(stored) and stored["state"] == "active"
    button(produsen, "Ajukan").click()
    says(produsen, "diajukan ke Walidata.")

    # Next year the same comes out of the records: copied, and complete without Blok V.
    produsen.goto("/kegiatan/new")
    produsen.get_by_text("Salin dari kegiatan lain").click()
    produsen.get_by_label("Salin dari", exact=True).select_option(name)
    button(produsen, "Salin").click()
    says(produsen, "Belum tersimpan: periksa, lalu simpan.")
    expect(produsen.locator("#field-fraksi_sampel")).to_have_value("0,05")
    again = {"tahun_kegiatan": "2027", "cara_pengumpulan_data": "3", "rekomendasi_bps": "2"} | {
        key: day.replace("2027", "2028").replace("2026", "2027")
        for key, day in values.items()
        if key.startswith(("jadwal_", "rilis_"))
    }
    for key, value in again.items():
        fill(produsen, key, value)
    expect(sample).to_be_hidden()
    button(produsen, "Simpan dan lanjutkan").click()
    expect(produsen.get_by_role("heading", level=1, name=title)).to_be_visible()
    records = world.call("package_show", "produsen_dinkes", id=produsen.url.rsplit("/", 1)[1])
    assert "fraksi_sampel" not in records and "identitas_rekomendasi" not in records
    assert records["variabel_kegiatan"] == stored["variabel_kegiatan"]
    assert all(records[key] == value for key, value in again.items())
    assert world.status(records["id"])["blockers"] == []

    walidata.goto("/satudata/antrean")
    link(walidata, f"{title}, 2026").click()
    expect(walidata.get_by_role("heading", level=1, name=title)).to_be_visible()
    expect(walidata.get_by_text("MS-Keg 5.5")).to_be_visible()
    expect(walidata.get_by_text("0,05")).to_be_visible()
    judge(walidata)
    decide(walidata, "Setujui, terbitkan nanti")
    says(walidata, "disetujui.")
    walidata.goto(f"/kegiatan/{name}")
    link(walidata, "Terbitkan").click()
    button(walidata, "Terbitkan").click()
    says(walidata, "terbit sebagai versi 1.")
    visitor.goto("/kegiatan/")
    link(visitor, title).click()
    expect(visitor.get_by_text("Terverifikasi Walidata · versi 1")).to_be_visible()
    expect(visitor.get_by_role("heading", name="Blok V: Desain sampel")).to_be_visible()


def test_rows_are_moved_copied_and_taken_back_by_keyboard(visit: Visit, world: World) -> None:
    dataset = world.draft()
    page = visit("produsen_dinkes")
    page.goto(f"/dataset/edit/{dataset['name']}")
    rail(page, "Indikator").click()
    add = button(page, "Tambah indikator")
    for name in ("Dua", "Tiga"):
        add.click()
        page.keyboard.type(name)  # the focus is in the new row

    def third(name: str) -> Locator:
        return page.locator("#baris-indikator-2").get_by_role("button", name=name, exact=True)

    assert titles(page, "indikator") == ["Jumlah Kelahiran Hidup", "Dua", "Tiga"]
    third("Naikkan").focus()
    page.keyboard.press("Enter")
    expect(page.get_by_text("Tiga sekarang baris 2 dari 3.")).to_be_attached()
    page.keyboard.press("Enter")  # the button went along and kept the focus
    expect(page.get_by_role("group", name="Indikator 1: Tiga")).to_be_visible()
    expect(
        page.locator("#baris-indikator-0").get_by_role("button", name="Turunkan")
    ).to_be_focused()
    assert titles(page, "indikator") == ["Tiga", "Jumlah Kelahiran Hidup", "Dua"]

    # Items of the dataset's Standar Data are taken over where a row has none.
    first = page.locator("#baris-indikator-0")
    cell(page, 0, "konsep", "indikator").fill("Konsep sendiri")
    first.get_by_role("button", name="Isi dari Standar Data").click()
    expect(cell(page, 0, "konsep", "indikator")).to_have_value("Konsep sendiri")
    expect(cell(page, 0, "definisi", "indikator")).to_have_value(dataset["definisi"])
    expect(cell(page, 0, "satuan", "indikator")).to_have_value("orang")
    # In each row 10 decides on 11 and 12, or 13 to 15.
    for answer, shown, hidden in (("1", "publikasi_pembangun", "kegiatan_pembangun"),
                                  ("2", "kegiatan_pembangun", "publikasi_pembangun")):  # fmt: skip
        cell(page, 0, "komposit", "indikator").select_option(answer)
        expect(cell(page, 0, shown, "indikator")).to_be_visible()
        expect(cell(page, 0, hidden, "indikator")).to_be_hidden()

    # What was filled comes back with one key; a copy keeps all.
    third("Hapus").focus()
    page.keyboard.press("Enter")
    assert titles(page, "indikator") == ["Tiga", "Jumlah Kelahiran Hidup"]
    undo = page.get_by_role("button", name=re.compile("Baris 3 Dua dihapus. Urungkan"))
    expect(undo).to_be_focused()
    page.keyboard.press("Enter")
    assert titles(page, "indikator") == ["Tiga", "Jumlah Kelahiran Hidup", "Dua"]
    expect(cell(page, 2, "nama", "indikator")).to_be_focused()
    page.locator("#baris-indikator-1").get_by_role("button", name="Gandakan").click()
    expect(page.get_by_text("4 baris", exact=True)).to_be_visible()
    cell(page, 2, "nama", "indikator").fill("Salinan")
    add.click()  # left as it came: no row
    button(page, "Simpan draf").click()
    says(page, "Draf tersimpan.")
    expect(page).to_have_url(re.compile("#langkah-indikator$"))
    rows = world.call("package_show", "produsen_dinkes", id=dataset["id"])["indikator"]
    assert [row["nama"] for row in rows] == ["Tiga", "Jumlah Kelahiran Hidup", "Salinan", "Dua"]
    assert rows[2] == rows[1] | {"nama": "Salinan"}
    assert rows[0]["komposit"] == "2" and rows[0]["konsep"] == "Konsep sendiri"


def test_a_failed_edit_keeps_60_rows_and_leads_to_the_cell(visit: Visit, world: World) -> None:
    names = [f"kolom_{n}" for n in range(60)]
    dataset = world.call("package_create", "produsen_dinkes", **world.metadata())
    rows = [dict(World.VARIABEL[2], nama=name, definisi=f"Isi {name}") for name in names]
    content = f"{','.join(names)},baru\n{','.join('1' * 61)}\n".encode()
    resource = world.upload("produsen_dinkes", dataset["id"], content, variabel=rows)["id"]
    page = visit("produsen_dinkes")
    page.goto(f"/dataset/{dataset['name']}/resource/{resource}/edit")
    expect(page.get_by_text("60 baris", exact=True)).to_be_visible()

    # The column without a variable is offered; the last row goes first by keyboard and by mouse.
    expect(page.get_by_text("Satu kolom belum punya variabel: baru.")).to_be_visible()
    button(page, "Tambahkan").click()
    expect(cell(page, 60, "nama")).to_have_value("baru")
    page.locator("#baris-variabel-60").get_by_role("button", name="Naikkan").focus()
    for _ in range(2):
        page.keyboard.press("Enter")
    names.insert(58, "baru")
    assert titles(page) == names
    page.locator("#baris-variabel-3 [data-seret]").drag_to(
        page.locator("#baris-variabel-1"), target_position={"x": 40, "y": 5}
    )
    names.insert(1, names.pop(3))
    assert titles(page) == names

    text = 'Baris satu\nbaris dua "dan" <b>tebal</b>'
    cell(page, 11, "aturan_validasi").fill(text)
    page.locator("#baris-variabel-12 summary").click()
    cell(page, 12, "id_sds").fill("bukan kode")
    button(page, "Simpan draf").click()
    summary = page.get_by_role("alert")
    expect(summary).to_contain_text("Baris 13, Kode SDS")
    assert titles(page) == names
    expect(cell(page, 11, "aturan_validasi")).to_have_value(text)
    page.locator("#baris-variabel-12 summary").click()  # fold it; the link unfolds it
    summary.get_by_role("link").click()
    expect(cell(page, 12, "id_sds")).to_be_focused()
    expect(cell(page, 12, "id_sds")).to_have_value("bukan kode")
    page.keyboard.press("Control+A")
    page.keyboard.type("10110023")
    button(page, "Simpan draf").click()
    says(page, "Draf tersimpan.")
    stored = world.call("resource_show", "produsen_dinkes", id=resource)["variabel"]
    assert [row["nama"] for row in stored] == names
    assert stored[11]["aturan_validasi"] == text and stored[12]["id_sds"] == "10110023"
