"""Metadata out and in on a real CKAN: who gets them, what is applied, and that nothing is lost."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable
from html import unescape
from typing import Any

import pytest
import python_calamine
import xlsxwriter
from ckan.tests import helpers
from ckan.tests.helpers import CKANTestApp

from ckanext.satudata_trenggalek.views import metadata
from tests.world import World

Call = Callable[..., Any]
Tables = dict[str, list[list[str]]]


@pytest.fixture(scope="module")
def app(plugins: None) -> CKANTestApp:
    """CKAN's fixture makes one for each test, which takes most of a second."""
    return helpers._get_test_app()


@pytest.fixture
def call(app: CKANTestApp, world: World) -> Call:
    """A request as a user by their API token, or as None anonymously."""
    tokens: dict[str, str] = {}

    def request(user: str | None, path: str, method: str = "GET", **more: Any) -> Any:
        if user and user not in tokens:
            tokens[user] = world.call("api_token_create", user, user=user, name="uji")["token"]
        headers = {"Authorization": tokens[user]} if user else {}
        more.setdefault("follow_redirects", False)
        return app.test_client().open(path, method=method, headers=headers, **more)

    return request


@pytest.fixture
def upload(call: Call) -> Call:
    """Upload a file to a page of metadata."""

    def request(user: str | None, path: str, content: bytes, name: str = "x.xlsx") -> Any:
        data = {"berkas": (io.BytesIO(content), name)}
        return call(user, path, method="POST", data=data)

    return request


def words(response: Any) -> str:
    return unescape(re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", response.get_data(as_text=True))))


def token(response: Any) -> str:
    found = re.search(r'name="terapkan" value="([^"]+)"', response.get_data(as_text=True))
    return found[1] if found else ""


def opened(response: Any) -> Tables:
    """The sheets of a workbook."""
    assert response.status_code == 200, response.status_code
    book = python_calamine.load_workbook(io.BytesIO(response.data))
    pages = {name: book.get_sheet_by_name(name).to_python() for name in book.sheet_names}
    return {name: [list(map(str, row)) for row in rows] for name, rows in pages.items()}


def closed(tables: Tables) -> bytes:
    out = io.BytesIO()
    book = xlsxwriter.Workbook(out, {"in_memory": True})
    for name, rows in tables.items():
        page = book.add_worksheet(name)
        for r, row in enumerate(rows):
            for c, value in enumerate(row):
                page.write_string(r, c, value)
    book.close()
    return out.getvalue()


def put(tables: Tables, sheet: str, row: int, header: str, value: str) -> None:
    tables[sheet][row][tables[sheet][0].index(header)] = value


def content(world: World, id_: str) -> tuple[Any, ...]:
    shown = world.call("package_show", "admin", id=id_)
    return shown.get("indikator"), [r.get("variabel") for r in shown["resources"]]


def test_out_and_back_changes_nothing(call: Call, upload: Call, world: World) -> None:
    odd = {"definisi": '=1+1\n\'baris "dua"; é', "konsep": "001", "interpretasi": "x" * 5000}
    dataset = world.draft(indikator=[{**World.INDIKATOR, **odd}, {"nama": "Kosong"}])
    page, before = f"/dataset/{dataset['name']}/metadata", world.status(dataset["id"])
    book = call("produsen_dinkes", f"{page}.xlsx")
    assert book.headers["Cache-Control"] == "private, no-store"
    assert f"metadata-{dataset['name']}.xlsx" in book.headers["Content-Disposition"]
    assert book.data == call("produsen_dinkes", f"{page}.xlsx").data
    tables = opened(book)
    assert tables["MS-Ind"][1][2:5] == ["001", odd["definisi"], odd["interpretasi"]]
    assert tables["MS-Keg"][1][0] == "Kompilasi Data Kesehatan Ibu dan Anak"
    assert len(tables["MS-Var"]) == 4 and tables["Petunjuk"]
    # As it came, and as another program saves it.
    for file in (book.data, closed(tables)):
        answer = upload("produsen_dinkes", page, file)
        assert "Isi berkas sama dengan isi portal" in words(answer) and not token(answer)
    for lembar in ("MS-Var", "MS-Keg"):
        table = call("produsen_dinkes", f"{page}.csv?lembar={lembar}")
        answer = upload("produsen_dinkes", page, table.data, f"{lembar}.csv")
        assert "Isi berkas sama dengan isi portal" in words(answer), lembar
    assert world.status(dataset["id"])["content_hash"] == before["content_hash"]


def test_changes_are_shown_then_applied(call: Call, upload: Call, world: World) -> None:
    dataset = world.draft()
    page = f"/dataset/{dataset['name']}/metadata"
    tables = opened(call("produsen_dinkes", f"{page}.xlsx"))
    put(tables, "MS-Ind", 1, "(3) Konsep", "Natalitas")
    put(tables, "MS-Ind", 1, "(17) Apakah Indikator Dapat Diakses Umum?", "2")
    tables["MS-Ind"].append(["", "Rasio <b>Baru</b>", *[""] * 15, dataset["name"]])
    head, kode, kecamatan, _jumlah = tables["MS-Var"]
    tables["MS-Var"] = [head, kecamatan, kode]
    answer = upload("produsen_dinkes", page, closed(tables), "ubahan.xlsx")
    said = words(answer)
    assert answer.status_code == 200 and "Dari berkas ubahan.xlsx. Belum ada yang disimpan." in said
    assert "(3) Konsep : Kelahiran" in said and "Natalitas" in said
    assert "Rasio <b>Baru</b>" in said and "Rasio <b>" not in answer.get_data(as_text=True)
    assert "Satu baris tidak ada di berkas dan akan dihapus." in said
    assert "urutan" in said and "menjadi" in said
    assert content(world, dataset["id"]) == content(world, dataset["name"])
    assert world.call("package_show", "admin", id=dataset["id"])["indikator"] == [World.INDIKATOR]

    # Nobody else's confirmation counts, and no made-up one.
    for user, value in (("produsen_dinkes_2", token(answer)), ("produsen_dinkes", "palsu")):
        refused = call(user, page, method="POST", data={"terapkan": value})
        assert refused.status_code == 409 and "Tidak ada yang disimpan" in words(refused)
    done = call("produsen_dinkes", page, method="POST", data={"terapkan": token(answer)})
    assert done.status_code == 200 and "Diterapkan (1)" in words(done)
    indikator, (variabel,) = content(world, dataset["id"])
    changed = {**World.INDIKATOR, "konsep": "Natalitas", "akses_umum": "2"}
    assert indikator == [changed, {"nama": "Rasio <b>Baru</b>"}]
    known = {row["nama"]: {k: v for k, v in row.items() if v} for row in World.VARIABEL}
    assert variabel == [known["kecamatan"], known["kode"]]
    again = call("produsen_dinkes", page, method="POST", data={"terapkan": token(answer)})
    assert again.status_code == 409
    assert "sama dengan isi portal" in words(upload("produsen_dinkes", page, closed(tables)))


def test_a_dataset_that_changed_since_is_left_alone(call: Call, upload: Call, world: World) -> None:
    dataset = world.draft()
    page = f"/dataset/{dataset['name']}/metadata"
    tables = opened(call("produsen_dinkes", f"{page}.xlsx"))
    put(tables, "MS-Ind", 1, "(3) Konsep", "Natalitas")
    answer = upload("produsen_dinkes", page, closed(tables))
    world.call("package_patch", "produsen_dinkes_2", id=dataset["id"], notes="Diubah.")
    done = call("produsen_dinkes", page, method="POST", data={"terapkan": token(answer)})
    assert "Tidak diterapkan (1)" in words(done) and "berubah setelah pratinjau" in words(done)
    assert content(world, dataset["id"])[0] == [World.INDIKATOR]


def test_a_whole_office(
    call: Call, upload: Call, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Published data are skipped, one bad row stops its dataset, the rest is applied."""
    user, office = "produsen_dukcapil", {"owner_org": "dukcapil"}
    good, bad, public = (world.draft(user, **office) for _ in range(3))
    activity = world.call("package_create", user, **world.kegiatan_metadata(**office))
    for who, transition in ((user, "ajukan"), ("walidata", "setujui"), ("walidata", "terbitkan")):
        world.move(who, public["id"], transition)
    page = "/organization/dukcapil/metadata"
    tables = opened(call(user, f"{page}.xlsx"))
    assert "siap diterapkan" not in words(upload(user, page, closed(tables)))
    rows = {row[-1]: number for number, row in enumerate(tables["MS-Ind"])}
    names = {d["name"] for d in (good, bad, public)}
    assert names <= rows.keys()
    for name in names:
        put(tables, "MS-Ind", rows[name], "(3) Konsep", "Natalitas")
    put(tables, "MS-Ind", rows[bad["name"]], "(8) Satuan", "depa")
    line = [row[-1] for row in tables["MS-Keg"]].index(activity["name"])
    put(tables, "MS-Keg", line, "4.6 Metode Pengumpulan Data", "5")
    put(tables, "MS-Keg", line, "3.3 Desain: mulai", "3/2/2025")
    answer = upload(user, page, closed(tables))
    said = words(answer)
    assert f"MS-Ind baris {rows[bad['name']] + 1}, kolom H, (8) Satuan : “depa” tidak ada" in said
    assert "tidak dapat diubah pada status ini" in said
    assert "2 siap diterapkan, 2 tidak." in said
    # A file that takes longer than a request may is applied in steps.
    monkeypatch.setattr(metadata, "WORK", 0)
    done = call(user, page, method="POST", data={"terapkan": token(answer)})
    assert "1 dataset atau kegiatan belum dikerjakan" in words(done)
    done = call(user, page, method="POST", data={"terapkan": token(done)})
    assert "Diterapkan (1)" in words(done) and not token(done)
    assert content(world, good["id"])[0][0]["konsep"] == "Natalitas"
    for other in (bad, public):
        assert content(world, other["id"])[0] == [World.INDIKATOR]
    shown = world.call("package_show", "admin", id=activity["id"])
    assert shown["metode_pengumpulan"] == ["1", "4"]
    assert shown["jadwal_desain_mulai"] == "2025-02-03"
    # A row that may be anybody's stops everything.
    put(tables, "MS-Ind", rows[good["name"]], "Dataset", "")
    answer = upload(user, page, closed(tables))
    assert "Tidak ada yang dapat diterapkan" in words(answer) and not token(answer)

    # Readers get what they see of it, and no more.
    for reader, seen in ((None, False), ("produsen_dinkes", False), ("walidata", True)):
        shown_to = {row[-1] for row in opened(call(reader, f"{page}.xlsx"))["MS-Ind"]}
        assert public["name"] in shown_to and (good["name"] in shown_to) is seen
    assert len(call(None, f"{page}.csv?lembar=MS-Ind&bagian=2").data.splitlines()) == 1


def test_readers_of_a_dataset(call: Call, upload: Call, world: World) -> None:
    """What is not visible is answered like what does not exist."""
    draft, public = world.standing("draf"), world.standing("terbit")
    for user in (None, "produsen_dukcapil"):
        for path in ("", ".xlsx", ".csv?lembar=MS-Ind"):
            refused = call(user, f"/dataset/{draft}/metadata{path}")
            assert refused.status_code == 404, (user, path)
            assert call(user, f"/dataset/{public}/metadata{path}").status_code == 200
        unknown = call(user, "/dataset/tidak-ada/metadata.csv?lembar=MS-Ind")
        assert unknown.status_code == 404 and words(unknown) == words(refused)
    sent = upload(None, f"/dataset/{public}/metadata", b"x")
    assert sent.status_code == 302 and "/user/login" in sent.location
    for user in ("warga", "walidata", "admin"):
        assert upload(user, "/organization/dinkes/metadata", b"x").status_code == 403
        assert upload(user, f"/dataset/{public}/metadata", b"x").status_code == 403
    assert call(None, "/organization/tidak-ada/metadata").status_code == 404


def test_pages_say_what_is_there_and_what_is_wrong(call: Call, upload: Call, world: World) -> None:
    page = f"/dataset/{world.standing('draf')}/metadata"
    said = words(call("produsen_dinkes", page))
    assert "MS-Ind 1 baris" in said and "MS-Var 3 baris" in said and "Periksa perubahan" in said
    assert "Periksa perubahan" not in words(call("walidata", page))
    assert "belum" not in words(call(None, "/organization/dinkes/metadata")).lower()
    wrong = upload("produsen_dinkes", page, b"%PDF-1.7")
    assert wrong.status_code == 409 and "bukan .xlsx atau CSV" in words(wrong)
    assert "Pilih dahulu berkas" in words(call("produsen_dinkes", page, method="POST", data={}))
    assert call(None, "/organization/dinkes/metadata.csv?lembar=apa").status_code == 404
    table = call(None, f"/dataset/{world.kegiatan()}/metadata.csv?lembar=ms keg").data
    (_head, row) = csv.reader(io.StringIO(table.decode("utf-8-sig")))
    assert row[0] == "Kompilasi Data Kesehatan Ibu dan Anak"


def test_form_token_is_asked_for(call: Call, upload: Call, app: CKANTestApp, world: World) -> None:
    """An API token opens the page for reading; a form needs its own token."""
    path = f"/dataset/{world.standing('draf')}/metadata"
    assert call("produsen_dinkes", path).status_code == 200
    config = app.flask_app.config
    config["WTF_CSRF_ENABLED"] = True
    try:
        assert upload("produsen_dinkes", path, b"x").status_code == 400
    finally:
        config["WTF_CSRF_ENABLED"] = False
