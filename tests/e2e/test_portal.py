"""The main job in a browser: from the first draft to the citizen's download, and what people do."""

from __future__ import annotations

import hashlib
import re
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Locator, Page, Route, expect

from tests.world import World

Visit = Callable[..., Page]

WILAYAH = Path(__file__).parents[2] / "schemas/vocab/wilayah.csv"
NASTY_CELL = "<img src=x onerror=alert(1)>"
NASTY = f"<script>alert('x')</script>{NASTY_CELL}"
PRINSIP = ("Standar Data", "Metadata", "Interoperabilitas", "Kode Referensi dan Data Induk")


# What people do ----------------------------------------------------------------------------------
def field(page: Page, label: str) -> Locator:
    """The control of a schema field, by its label (before it a star or the official number)."""
    official = r"((MS-\w+|Standar Data|Data Standard)( [\d.]+)? )?"
    return page.get_by_label(re.compile(rf"^(\* )?{official}{re.escape(label)}\b"))


def button(page: Page, name: str) -> Locator:
    return page.get_by_role("button", name=name, exact=True)


def link(page: Page, name: str) -> Locator:
    return page.get_by_role("link", name=name, exact=True)


def says(page: Page, text: str | re.Pattern[str]) -> None:
    """A message of the page to its reader, done or refused."""
    expect(
        page.get_by_role("status").or_(page.get_by_role("alert")).filter(has_text=text).first
    ).to_be_visible()


def judge(page: Page, answers: dict[str, str] | None = None) -> None:
    """Fill the checklist of the review page: Sesuai, or what is given for a principle."""
    for principle in PRINSIP:
        group = page.get_by_role("group", name=principle, exact=True)
        group.get_by_text((answers or {}).get(principle, "Sesuai"), exact=True).click()


def decide(page: Page, decision: str, note: str = "") -> None:
    page.get_by_role("radio", name=decision).check()
    if note:
        page.get_by_label(re.compile(r"^Catatan \(")).fill(note)
    page.get_by_role("button", name=re.compile("^(Kirim keputusan|Send decision)$")).click()


def review(page: Page, title: str) -> None:
    """Find a dataset in the queue and open its review."""
    page.goto("/satudata/antrean")
    page.get_by_label("Cari judul").fill(title)
    button(page, "Terapkan").click()
    link(page, title).click()
    expect(page.get_by_role("heading", level=1, name=title)).to_be_visible()


def until(page: Page, wanted: Locator) -> None:
    """Load the page again until it shows what another process brings about."""

    def shown() -> None:
        page.reload()
        expect(wanted).to_be_visible(timeout=500)

    for _ in range(60):
        try:
            return shown()
        except AssertionError:
            continue
    shown()


def status_of(page: Page, url: str) -> int:
    """HTTP status of an address for the reader of this page."""
    return page.request.get(url).status


def events(world: World, dataset: str, name: str) -> list[dict[str, Any]]:
    found = world.call("satudata_history_list", "admin", id=dataset, limit=100)["results"]
    return [event for event in found if event["event"] == name]


def is_hidden(visitor: Page, name: str, title: str, download: str) -> None:
    """The public learns nothing of a dataset, not even that it is there."""
    unknown = visitor.goto("/dataset/tidak-ada-sama-sekali")
    assert unknown and unknown.status == 404
    words = visitor.get_by_role("main").inner_text()
    hidden = visitor.goto(f"/dataset/{name}")
    assert hidden and hidden.status == 404
    assert visitor.get_by_role("main").inner_text() == words
    for page in ("pemeriksaan", "riwayat"):
        assert status_of(visitor, f"/dataset/{name}/{page}") in (403, 404)
    assert status_of(visitor, f"/api/3/action/package_show?id={name}") == 404
    assert status_of(visitor, download) in (403, 404)
    visitor.goto(f"/dataset/?q={title}")
    expect(visitor.get_by_role("heading", level=1)).to_be_visible()
    expect(link(visitor, title)).to_have_count(0)


# The main job ------------------------------------------------------------------------------------
def test_from_draft_to_download(visit: Visit, world: World) -> None:
    """A compilation of administrative records, from the first draft, with a file that is real."""
    title = f"Kode Wilayah Trenggalek {uuid.uuid4().hex[:8]}"
    world.kegiatan()
    produsen, walidata, visitor = visit("produsen_dinkes"), visit("walidata"), visit()

    def table(page: Page) -> Locator:
        return page.get_by_role("region", name="Tabel Kode wilayah 2025")

    # The Produsen describes the data,
    produsen.goto("/satudata/tugas")
    link(produsen, "Buat dataset").first.click()
    produsen.wait_for_load_state()  # the script that makes the address from the title
    expect(produsen.get_by_label(re.compile("Visibilitas|Visibility"))).to_have_count(0)
    field(produsen, "Judul").fill(title)
    field(produsen, "Deskripsi").fill("Kode dan nama kecamatan, desa, dan kelurahan.")
    field(produsen, "Kategori").select_option(label="Pemerintahan Umum")
    field(produsen, "Urusan pemerintahan").select_option(label="Statistik")
    field(produsen, "Tahun data").fill("2025")
    field(produsen, "Konsep").fill("Wilayah administrasi")
    field(produsen, "Definisi").fill("Kecamatan, desa, dan kelurahan.")
    produsen.get_by_role("group", name="Klasifikasi penyajian").get_by_label("Wilayah").check()
    field(produsen, "Tingkat penyajian").select_option(label="Desa/Kelurahan")
    field(produsen, "Frekuensi pemutakhiran").select_option(label="Tahunan")
    field(produsen, "Jadwal rilis atau pemutakhiran").fill("2027-01-31")
    field(produsen, "Penanggung jawab").fill("Bidang Kesehatan Masyarakat")
    field(produsen, "Surel penanggung jawab").fill("dinkes@trenggalekkab.go.id")
    expect(field(produsen, "Cakupan wilayah")).to_have_value("Kabupaten Trenggalek")
    produsen.get_by_label("Cari judul atau tahun kegiatan").fill("kesehatan ibu 2025")
    expect(produsen.get_by_text(re.compile("^1 kegiatan"))).to_be_visible()
    produsen.get_by_role("radio", name=re.compile("Kompilasi Data Kesehatan Ibu dan Anak")).check()
    expect(produsen.get_by_role("link", name="Identitas 6 dari 6 terisi")).to_be_visible()
    button(produsen, "Simpan dan lanjutkan").click()

    # uploads the file, seeing how far it is,
    expect(produsen.get_by_role("heading", level=1, name="Tambah berkas")).to_be_visible()
    name = produsen.url.split("/dataset/")[1].split("/")[0]
    held: list[Route] = []
    produsen.route("**/resource/new", lambda route: held.append(route)
                   if route.request.method == "POST" else route.continue_())  # fmt: skip
    field(produsen, "Berkas").set_input_files(
        {
            "name": "kode_wilayah_trenggalek.csv",
            "mimeType": "text/csv",
            "buffer": WILAYAH.read_bytes(),
        }
    )
    field(produsen, "Nama berkas").fill("Kode wilayah 2025")
    button(produsen, "Simpan dan lanjutkan").click()
    progress = produsen.get_by_role("progressbar")
    expect(progress).to_be_visible()
    expect(progress).to_have_attribute("aria-valuetext", re.compile("kB"))
    held.pop().continue_()

    # finds its variables read off the header, and says what the portal can't know,
    def variable(number: int, item: str) -> Locator:
        return produsen.locator(f"#field-variabel-{number}-{item}")

    expect(variable(2, "nama")).to_have_value("kode_kemendagri")
    expect(produsen).to_have_url(re.compile("/edit#langkah-variabel$"))
    expect(produsen.get_by_text("5 baris")).to_be_visible()
    expect(variable(3, "tipe_data").locator("option:checked")).to_have_text("CHARACTER")
    expect(produsen.get_by_text("dugaan", exact=True).first).to_be_visible()
    for number in range(5):
        for item, text in (("konsep", "Wilayah"), ("definisi", "Wilayah administrasi.")):
            if not variable(number, item).input_value():
                if not variable(number, item).is_visible():
                    produsen.locator(f"#baris-variabel-{number} summary").click()
                variable(number, item).fill(text)
    produsen.get_by_text("Terapkan ke semua baris", exact=True).click()
    shared = produsen.locator("[data-massal]")
    shared.get_by_label("Referensi Pemilihan").fill("Kepmendagri 300.2.2-2138/2025")
    shared.get_by_label("Referensi Waktu").fill("Keadaan 2025")
    button(produsen, "Isi baris yang masih kosong").click()
    expect(produsen.get_by_text("Diterapkan ke 5 baris.")).to_be_attached()
    expect(produsen.get_by_text(re.compile(r"^57 dari 57 isian wajib"))).to_be_visible()
    button(produsen, "Simpan dan lanjutkan").click()
    expect(produsen.get_by_role("heading", level=1, name=title)).to_be_visible()

    # waits for the table, and submits.
    until(produsen, table(produsen).get_by_text("Panggul", exact=True).first)
    expect(produsen.get_by_text("172 baris, 5 kolom")).to_be_visible()
    download = produsen.get_by_role("link", name="Unduh CSV").get_attribute("href")
    assert download
    is_hidden(visitor, name, title, download)
    until(produsen, button(produsen, "Ajukan"))
    button(produsen, "Ajukan").click()
    says(produsen, "Dataset diajukan ke Walidata.")
    expect(button(produsen, "Ajukan")).to_have_count(0)
    expect(link(produsen, "Ubah isian")).to_have_count(0)
    is_hidden(visitor, name, title, download)

    # Walidata reads it and returns it; a note is needed, and what was typed stays.
    review(walidata, title)
    expect(table(walidata)).to_contain_text("Panggul")
    judge(walidata, {"Standar Data": "Tidak sesuai"})
    walidata.get_by_label("Catatan Standar Data").fill("Definisi tidak menyebut sumber kode.")
    decide(walidata, "Kembalikan untuk perbaikan")
    says(walidata, "Tulis catatan: apa alasannya dan apa yang harus diperbaiki.")
    expect(walidata.get_by_label("Catatan Standar Data")).to_have_value(
        "Definisi tidak menyebut sumber kode."
    )
    expect(walidata.get_by_role("radio", name="Kembalikan untuk perbaikan")).to_be_checked()
    for principle in PRINSIP[1:]:
        group = walidata.get_by_role("group", name=principle, exact=True)
        expect(group.get_by_role("radio", name="Sesuai", exact=True)).to_be_checked()
    note = "Sebut sumber kode\ndi definisi."
    decide(walidata, "Kembalikan untuk perbaikan", note)
    says(walidata, "Dataset dikembalikan ke Dinkes.")
    expect(walidata).to_have_url(re.compile("/satudata/antrean"))

    # The Produsen reads the note, corrects and submits again.
    produsen.goto("/satudata/tugas")
    task = produsen.get_by_role("listitem").filter(has_text=title)
    expect(task).to_contain_text("Sebut sumber kode")
    produsen.get_by_role("link", name=re.compile(rf"^Perbaiki ?: {title}$")).click()
    expect(produsen.get_by_role("main")).to_contain_text("Sebut sumber kode")
    link(produsen, "Ubah isian").click()
    definition = "Kecamatan, desa, dan kelurahan menurut Kepmendagri 300.2.2-2138/2025."
    link(produsen, "Standar data 3 dari 3 terisi").click()  # a complete step is folded
    field(produsen, "Definisi").fill(definition)
    button(produsen, "Simpan dan lanjutkan").click()
    expect(produsen.get_by_text(definition)).to_be_visible()
    button(produsen, "Ajukan").click()
    says(produsen, "Dataset diajukan ke Walidata.")
    expect(produsen.get_by_text("Putaran ke-2").first).to_be_visible()

    # Walidata approves and publishes.
    review(walidata, title)
    expect(walidata.get_by_text("Catatan terakhir walidata")).to_be_visible()
    expect(walidata.get_by_text("menurut Kepmendagri 300.2.2-2138/2025.").first).to_be_visible()
    judge(walidata)
    decide(walidata, "Setujui, terbitkan nanti")
    says(walidata, "Dataset disetujui.")
    is_hidden(visitor, name, title, download)
    walidata.goto(f"/dataset/{name}")
    link(walidata, "Terbitkan").click()
    expect(walidata.get_by_text("Dataset dan berkasnya tampil untuk umum.")).to_be_visible()
    button(walidata, "Terbitkan").click()
    says(walidata, "Dataset terbit sebagai versi 1.")

    # The citizen finds it, looks at the table and downloads the very file.
    visitor.goto("/")
    visitor.get_by_label("Cari dataset").fill(title)
    button(visitor, "Cari data").click()
    link(visitor, title).click()
    expect(visitor.get_by_text("Terverifikasi Walidata · versi 1")).to_be_visible()
    expect(table(visitor)).to_contain_text("Panggul")
    for inside in ("Status dataset", "Sebut sumber kode", "Riwayat", "Ubah isian"):
        expect(visitor.get_by_text(inside)).to_have_count(0)
    content = WILAYAH.read_bytes()
    expect(visitor.get_by_text(hashlib.sha256(content).hexdigest())).to_be_visible()
    with visitor.expect_download() as downloading:
        visitor.get_by_role("link", name="Unduh CSV").click()
    assert downloading.value.suggested_filename == "kode_wilayah_trenggalek.csv"
    assert Path(downloading.value.path()).read_bytes() == content
    link(visitor, "Buka semua baris").click()
    expect(table(visitor).get_by_role("row")).to_have_count(51)
    link(visitor, "4").click()
    expect(table(visitor).get_by_role("row")).to_have_count(23)
    visitor.get_by_label("Cari di tabel").fill("Munjungan")
    button(visitor, "Cari").click()
    expect(table(visitor).get_by_role("row").nth(1)).to_contain_text("Munjungan")
    found = visitor.request.get(f"/api/3/action/package_search?fq=name:{name}").json()["result"]
    assert [d["satudata_version"] for d in found["results"]] == [1]
    assert [e["actor"] for e in events(world, name, "terbitkan")] == ["walidata"]


# Other people ------------------------------------------------------------------------------------
def test_pembina_rejects_then_approves(visit: Visit, world: World) -> None:
    dataset = world.at("diperiksa_pembina", title=f"Stunting {uuid.uuid4().hex[:8]}")
    title, name = dataset["title"], dataset["name"]
    pembina, walidata = visit("pembina_bps"), visit("walidata")

    review(pembina, title)
    expect(pembina.get_by_role("group", name="Metadata", exact=True)).to_have_count(0)
    decide(pembina, "Tolak")
    says(pembina, "Tulis catatan")
    decide(pembina, "Tolak", "Konsep bukan konsep BPS.")
    says(pembina, "Dataset ditolak dan kembali ke Walidata.")

    walidata.goto("/satudata/antrean?tab=ditolak")
    link(walidata, title).click()
    expect(walidata.get_by_text("Konsep bukan konsep BPS.")).to_be_visible()
    decide(walidata, "Kembalikan untuk perbaikan", "Ikuti catatan Pembina.")
    says(walidata, "Dataset dikembalikan")
    world.call("package_patch", "produsen_dinkes", id=name, konsep="Prevalensi stunting")
    world.move("produsen_dinkes", name, "ajukan")
    review(walidata, title)
    judge(walidata)
    decide(walidata, "Setujui dan teruskan ke Pembina")
    says(walidata, "diteruskan ke Pembina Data")

    review(pembina, title)
    expect(pembina.get_by_text("Prevalensi stunting")).to_be_visible()
    decide(pembina, "Setujui sebagai Pembina")
    says(pembina, "Dataset disetujui sebagai Pembina Data.")
    assert world.status(name)["status"] == "terverifikasi"


def test_forum_has_own_work_but_reads_no_data(visit: Visit, world: World) -> None:
    waiting = world.at("diajukan")
    forum = visit("forum")
    forum.goto("/satudata/tugas")
    expect(forum.get_by_role("heading", level=1, name="Tugas saya")).to_be_visible()
    assert status_of(forum, f"/dataset/{waiting['name']}") == 404
    refused = forum.goto("/satudata/antrean")
    assert refused and refused.status == 403
    expect(forum.get_by_role("main")).to_contain_text("untuk petugas Walidata dan Pembina Data")
    rows = forum.request.get("/api/3/action/satudata_queue_list?status=diajukan&limit=100")
    found = {row["id"]: row for row in rows.json()["result"]["results"]}
    assert "title" in found[waiting["id"]] and "name" not in found[waiting["id"]]


def test_citizen_with_an_account_is_told_kindly(visit: Visit, world: World) -> None:
    hidden = world.at("diajukan")["name"]
    warga = visit("warga")
    warga.goto("/")
    for work in ("Antrean", "Tugas"):
        expect(warga.get_by_role("banner").get_by_role("link", name=work)).to_have_count(0)
    for path, code, words in (
        ("/satudata/antrean", 403, "untuk petugas Walidata dan Pembina Data"),
        ("/satudata/tugas", 403, "Minta admin OPD menjadikan akun Anda editor organisasinya."),
        (f"/dataset/{hidden}", 404, "Dataset"),
        (f"/dataset/{hidden}/pemeriksaan", 404, "Dataset"),
        ("/tidak-ada", 404, "Halaman tidak ditemukan"),
    ):
        answer = warga.goto(path)
        assert answer and answer.status == code, path
        expect(warga.get_by_role("heading", level=1)).to_have_count(1)
        expect(warga.get_by_role("main")).to_contain_text(words)
        expect(link(warga, "beranda")).to_be_visible()


def test_admin_has_no_way_around(visit: Visit, world: World) -> None:
    published, waiting = world.at("terbit")["name"], world.at("diajukan")["name"]
    admin = visit("admin")
    admin.goto("/dataset/new")
    expect(field(admin, "Judul")).to_be_visible()
    expect(admin.locator("[name=private]")).to_have_count(0)
    for name in (published, waiting):
        admin.goto(f"/dataset/{name}")
        expect(admin.get_by_role("region", name="Status dataset")).to_be_visible()
        for label in ("Unpublish", "Publish", "Terbitkan", "Tarik dari publik", "Setujui",
                      "Periksa dan putuskan", "Ubah isian", "Edit"):  # fmt: skip
            expect(admin.get_by_role("main").get_by_text(label, exact=True)).to_have_count(0)
    admin.goto(f"/dataset/{waiting}/pemeriksaan")
    expect(admin.get_by_text("Tidak ada keputusan untuk Anda saat ini.")).to_be_visible()
    expect(button(admin, "Kirim keputusan")).to_have_count(0)
    refused = admin.goto(f"/dataset/edit/{published}")
    assert refused and refused.status == 403
    expect(admin.get_by_role("main")).to_contain_text("Dataset terkunci selama diperiksa")
    assert world.status(published)["status"] == "terbit"


# What goes wrong ---------------------------------------------------------------------------------
def test_an_error_in_the_form_keeps_what_was_typed(visit: Visit) -> None:
    page = visit("produsen_dinkes")
    page.goto("/dataset/new")
    title = f"Jumlah Posyandu {uuid.uuid4().hex[:8]}"
    field(page, "Judul").fill(title)
    field(page, "Deskripsi").fill("Data contoh.")
    field(page, "Satuan").select_option(label="Orang")
    page.get_by_role("group", name="Klasifikasi penyajian").get_by_label("Jenis Kelamin").check()
    field(page, "Kode DSSD").fill("salah")
    field(page, "Tahun data").fill("dua ribu")
    button(page, "Simpan dan lanjutkan").click()
    summary = page.get_by_role("alert")
    expect(summary).to_contain_text("Ada 2 hal yang perlu dibetulkan")
    for label, value in (("Judul", title), ("Deskripsi", "Data contoh."), ("Kode DSSD", "salah"),
                         ("Tahun data", "dua ribu")):  # fmt: skip
        expect(field(page, label)).to_have_value(value)
    expect(field(page, "Satuan").locator("option:checked")).to_have_text("Orang")
    boxes = page.get_by_role("group", name="Klasifikasi penyajian")
    expect(boxes.get_by_label("Jenis Kelamin")).to_be_checked()
    summary.get_by_role("link").first.click()
    expect(field(page, "Tahun data")).to_be_focused()


def test_a_stale_review_says_so_and_keeps_what_was_typed(visit: Visit, world: World) -> None:
    name = world.at("diajukan")["name"]
    page = visit("walidata")
    page.goto(f"/dataset/{name}/pemeriksaan")
    judge(page)
    page.get_by_label(re.compile(r"^Catatan \(")).fill("Sudah baik.")
    world.move("produsen_dinkes", name, "batalkan")
    world.call("package_patch", "produsen_dinkes", id=name, definisi="Rumusan lain.")
    world.move("produsen_dinkes", name, "ajukan")
    decide(page, "Setujui, terbitkan nanti")
    says(page, "Isi dataset berubah setelah halaman ini Anda buka")
    expect(page.get_by_text("Rumusan lain.").first).to_be_visible()
    expect(button(page, "Kirim keputusan")).to_be_disabled()
    assert world.status(name)["status"] == "diajukan"
    button(page, "Pakai isi yang baru").click()
    expect(page.get_by_label(re.compile(r"^Catatan \("))).to_have_value("Sudah baik.")
    expect(page.get_by_role("radio", name="Setujui, terbitkan nanti")).to_be_checked()
    decide(page, "Setujui, terbitkan nanti")
    says(page, "Dataset disetujui.")
    assert world.status(name)["status"] == "terverifikasi"


@pytest.mark.parametrize("way", ["back", "second tab", "double click"])
def test_a_decision_is_made_once(visit: Visit, world: World, way: str) -> None:
    name = world.at("diajukan")["name"]
    page = visit("walidata")
    page.goto(f"/dataset/{name}/pemeriksaan")
    second = page.context.new_page() if way == "second tab" else page
    if second is not page:
        second.goto(f"/dataset/{name}/pemeriksaan")
    page.get_by_role("radio", name="Kembalikan untuk perbaikan").check()
    page.get_by_label(re.compile(r"^Catatan \(")).fill("Perbaiki.")
    if way == "double click":
        button(page, "Kirim keputusan").dblclick()
        expect(page).not_to_have_url(re.compile("pemeriksaan"))
        says(page, re.compile("Dataset dikembalikan ke Dinkes.|Keputusan tidak dikirim"))
    else:
        button(page, "Kirim keputusan").click()
        says(page, "Dataset dikembalikan ke Dinkes.")
        if way == "back":
            page.go_back()
            expect(page.get_by_role("heading", level=1)).to_be_visible()
        if button(second, "Kirim keputusan").count():
            decide(second, "Kembalikan untuk perbaikan", "Perbaiki lagi.")
            says(second, "Keputusan tidak dikirim")
    assert [e["note"] for e in events(world, name, "kembalikan")] == ["Perbaiki."]
    assert world.status(name)["status"] == "dikembalikan"


def test_an_expired_session_loses_nothing(visit: Visit, world: World) -> None:
    name = world.at("diajukan")["name"]
    page = visit("walidata")
    page.goto(f"/dataset/{name}/pemeriksaan")
    page.context.clear_cookies()
    judge(page)
    decide(page, "Setujui, terbitkan nanti", "Baik.")
    expect(page.get_by_role("heading", name="Sesi Anda berakhir")).to_be_visible()
    expect(page.get_by_text("Baik.", exact=True)).to_be_visible()
    assert world.status(name)["status"] == "diajukan" and not events(world, name, "setujui")
    with page.expect_popup() as opened:
        link(page, "Masuk di tab baru").click()
    opened.value.locator("#field-login").fill("walidata")
    opened.value.locator("#field-password").fill("rahasia-123")
    opened.value.get_by_role("main").get_by_role("button", name="Masuk").click()
    expect(opened.value.get_by_role("link", name="walidata", exact=True)).to_be_visible()
    button(page, "Lanjutkan").click()  # the token of before
    expect(page.get_by_text("Anda sudah masuk sebagai walidata")).to_be_visible()
    button(page, "Lanjutkan").click()
    says(page, "Dataset disetujui.")
    assert [event["note"] for event in events(world, name, "setujui")] == ["Baik."]


# Every page --------------------------------------------------------------------------------------
#: What is wrong with the page as it stands, apart from what axe would find.
FAULTS = """() => {
  const root = document.documentElement, faults = [];
  const all = css => [...document.querySelectorAll(css)].filter(e => e.getClientRects().length);
  const named = e => e.getAttribute('aria-label') || e.getAttribute('aria-labelledby') || e.title;
  const say = (what, elements) => elements.length
    && faults.push(what + ': ' + elements.map(e => e.outerHTML.slice(0, 150)).join(' | '));
  if (!root.lang) faults.push('no lang');
  if (all('h1').length !== 1) faults.push(all('h1').length + ' h1');
  say('no label', all('input:not([type=hidden]), select, textarea')
    .filter(e => !e.labels.length && !named(e)));
  say('no name', all('a[href], button').filter(e => !e.textContent.trim() && !named(e)
    && !e.querySelector('img[alt]:not([alt=""])')));
  say('markup of the data', [...document.querySelectorAll('[onerror]')]);
  const ids = all('[id]').map(e => e.id);
  const twice = ids.filter((id, i) => ids.indexOf(id) !== i);
  if (twice.length) faults.push('id twice: ' + twice);
  if (root.scrollWidth > root.clientWidth) {
    faults.push('wider than the screen: ' + root.scrollWidth);
    say('wide', all('body *').filter(e => !e.closest('.sd-scroll')
      && e.getBoundingClientRect().right > root.clientWidth).slice(0, 3));
  }
  return faults;
}"""


def test_every_page_fits_a_phone_and_shows_markup_as_text(visit: Visit, world: World) -> None:
    key = uuid.uuid4().hex[:8]
    title = f"{NASTY} {'Panjang' * 12} {key}"
    produsen, walidata, pembina, admin, visitor = (
        visit(name, viewport={"width": 360, "height": 740})
        for name in ("produsen_dinkes", "walidata", "pembina_bps", "admin", None)
    )
    faults: list[str] = []

    def look(page: Page, *paths: str, shows: str = NASTY) -> None:
        for path in paths:
            page.goto(path)
            faults.extend(f"{path}: {fault}" for fault in page.evaluate(FAULTS))
            if shows and shows not in page.get_by_role("main").inner_text():
                faults.append(f"{path}: does not show {shows}")

    indicators = [dict(World.INDIKATOR, nama=NASTY, definisi="Panjang" * 40)] * 2
    dataset = world.draft(title=title, notes=NASTY, konsep=NASTY, penanggung_jawab=NASTY,
                          indikator=indicators)  # fmt: skip
    kegiatan = world.call("package_create", "produsen_dinkes",
                          **world.kegiatan_metadata(title=title, tujuan=NASTY))["name"]  # fmt: skip
    id_, name = dataset["id"], dataset["name"]
    table = f"kode,{NASTY_CELL}\n1,{NASTY_CELL}\n".encode()
    resource = world.upload(
        "produsen_dinkes", id_, table, filename=f"{'nama' * 30}.csv", description=NASTY
    )["id"]
    at = f"/dataset/{name}"
    look(produsen, "/satudata/tugas", at, f"/dataset/edit/{name}", f"{at}/riwayat",
         f"{at}/resource/new", f"{at}/resource/{resource}/edit",
         f"/dataset/delete/{name}")  # fmt: skip
    look(produsen, f"{at}/resource/{resource}", f"{at}/resource/{resource}/delete", shows="")
    look(produsen, "/dataset/new", shows="Buat dataset")
    look(produsen, f"/kegiatan/{kegiatan}", f"/kegiatan/edit/{kegiatan}", f"/kegiatan/?q={key}",
         f"/kegiatan/delete/{kegiatan}", f"/dataset/{kegiatan}/pemeriksaan")  # fmt: skip
    look(produsen, "/kegiatan/new", shows="Blok VIII")
    world.move("produsen_dinkes", id_, "ajukan")
    look(produsen, "/satudata/tugas", at)
    look(walidata, f"/satudata/antrean?q={key}", f"{at}/pemeriksaan", at, f"{at}/riwayat")
    look(walidata, "/satudata/antrean?q=tidak-ada", shows="Tidak ada yang cocok")
    world.move("walidata", id_, "kembalikan", note=NASTY)
    look(produsen, "/satudata/tugas", at, f"{at}/riwayat")
    world.call("satudata_prioritas_set", "forum", id=id_, data_prioritas=True, kriteria="a")
    world.move("produsen_dinkes", id_, "ajukan", note=NASTY)
    world.move("walidata", id_, "teruskan_ke_pembina", note=NASTY)
    look(pembina, f"/satudata/antrean?q={key}", f"{at}/pemeriksaan", at)
    look(walidata, f"{at}/transisi?transition=batalkan_pembina")
    world.move("pembina_bps", id_, "setujui_pembina")
    look(walidata, f"/satudata/antrean?tab=terbit&q={key}", f"{at}/transisi?transition=terbitkan")
    world.move("walidata", id_, "terbitkan")
    look(walidata, f"{at}/transisi?transition=tarik")
    look(admin, at, f"{at}/riwayat")
    look(visitor, "/", f"/dataset/?q={key}", at, "/organization/dinkes")
    look(visitor, f"{at}/resource/{resource}", "/organization/", "/group/", "/about",
         "/user/login", "/tidak-ada", shows="")  # fmt: skip
    assert not faults, "\n".join(faults)


def test_english_on_request(visit: Visit, world: World) -> None:
    name = world.at("diajukan")["name"]
    walidata, produsen = visit("walidata"), visit("produsen_dinkes")
    walidata.goto("/satudata/antrean")
    link(walidata, "English").click()
    expect(walidata.get_by_role("heading", level=1, name="Review queue")).to_be_visible()
    expect(walidata.locator("html")).to_have_attribute("lang", "en")
    expect(walidata.get_by_role("link", name=re.compile("^To review"))).to_be_visible()
    walidata.goto(f"/en/dataset/{name}/pemeriksaan")
    expect(walidata.get_by_role("heading", name="Assessment")).to_be_visible()
    decide(walidata, "Return")
    says(walidata, re.compile("note", re.I))
    produsen.goto(f"/en/dataset/{name}")
    expect(produsen.get_by_role("heading", name="Dataset status")).to_be_visible()
    produsen.goto("/en/satudata/tugas")
    expect(produsen.get_by_role("heading", level=1, name="My tasks")).to_be_visible()
    produsen.goto("/en/dataset/new")
    expect(field(produsen, "Definition")).to_be_visible()
    assert world.status(name)["status"] == "diajukan"
