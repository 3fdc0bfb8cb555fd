"""Metadata as tables: the official order, what people may write, and that nothing is lost."""

from __future__ import annotations

import csv
import datetime as dt
import io
import struct
import zipfile
from collections.abc import Callable
from typing import Any

import ckan.plugins.toolkit as tk
import pytest
import xlsxwriter
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ckanext.satudata_trenggalek import exchange, exchange_in, schema
from ckanext.satudata_trenggalek.exchange_in import Target, Unreadable, Upload

Package = dict[str, Any]

IND = {
    "nama": "Jumlah Kelahiran",
    "konsep": "Kelahiran",
    "definisi": "Banyaknya bayi lahir hidup.",
    "ukuran": "total",
    "satuan": "orang",
    "klasifikasi_penyajian": ["32010026", "waktu"],
    "komposit": "2",
}
VAR = {"nama": "jumlah", "alias": "-", "tipe_data": "integer", "kode_referensi": "bps"}


def dataset(name: str = "kelahiran", **fields: Any) -> Package:
    resource = {"id": f"{name}-1", "name": "Kelahiran 2025", "url": "x.csv", "url_type": "upload"}
    return {
        "id": f"id-{name}",
        "name": name,
        "type": "dataset",
        "title": "Kelahiran",
        "indikator": [dict(IND), {**IND, "nama": "Jumlah Kematian"}],
        "resources": [{**resource, "variabel": [dict(VAR), {**VAR, "nama": "kode"}]}],
    } | fields


def kegiatan(**fields: Any) -> Package:
    return {
        "id": "id-kia",
        "name": "kia-2025",
        "type": "kegiatan",
        "title": "Kompilasi KIA",
        "tahun_kegiatan": "2025",
        "cara_pengumpulan_data": "3",
        "metode_pengumpulan": ["1", "4"],
        "rilis_digital": "2026-03-31",
        "variabel_kegiatan": [{"nama": "Bayi", "konsep": "Kelahiran"}],
        "wilayah_kegiatan": [{"provinsi": "Jawa Timur", "kabupaten_kota": "Trenggalek"}],
        "resources": [],
    } | fields


def tables_of(*packages: Package) -> dict[str, list[list[str]]]:
    """The sheets as lists of cells, header first."""
    return {
        sheet.name: [
            [column.header for column in sheet.columns],
            *(row for package in packages for row in exchange.rows(sheet, package)),
        ]
        for sheet in exchange.sheets()
    }


def xlsx(tables: dict[str, list[list[Any]]]) -> bytes:
    """A workbook as a person leaves it: texts, numbers and dates as they typed them."""
    out = io.BytesIO()
    book = xlsxwriter.Workbook(out, {"in_memory": True})
    date = book.add_format({"num_format": "dd/mm/yyyy"})
    for name, rows in tables.items():
        page = book.add_worksheet(name)
        for r, row in enumerate(rows):
            for c, value in enumerate(row):
                if isinstance(value, dt.date):
                    page.write_datetime(r, c, dt.datetime.combine(value, dt.time()), date)
                elif isinstance(value, (int, float)):
                    page.write_number(r, c, value)
                else:
                    page.write_string(r, c, value)
    book.close()
    return out.getvalue()


def at(tables: dict[str, list[list[Any]]], sheet: str, field: str) -> int:
    found = exchange.sheet(sheet)
    assert found
    return tables[sheet][0].index(found.column(field).header)


def back(
    content: bytes, *packages: Package, filename: str = "x.xlsx"
) -> tuple[Upload, dict[str, Target]]:
    upload = exchange_in.read(content, filename)

    def find(type_: str, name: str) -> Package:
        for package in packages:
            if (package["type"], package["name"]) == (type_, name):
                return package
        raise tk.Invalid("tidak ada")

    targets = exchange_in.plan(upload, find)
    return upload, {target.package["name"]: target for target in targets}


def only(target: Target) -> exchange_in.Change:
    (part,) = target.parts
    (change,) = part.changes
    return change


# Out ---------------------------------------------------------------------------------------------
def test_official_order() -> None:
    heads = {sheet.name: [c.header for c in sheet.columns] for sheet in exchange.sheets()}
    assert heads["MS-Ind"][0] == "(1) No" and heads["MS-Ind"][2] == "(3) Konsep"
    assert [h.split(")")[0] for h in heads["MS-Ind"][:17]] == [f"({n}" for n in range(1, 18)]
    assert heads["MS-Ind"][17:] == ["Dataset"]
    assert [h.split(")")[0] for h in heads["MS-Var"][:12]] == [f"({n}" for n in range(1, 13)]
    assert heads["MS-Var"][-2:] == ["Dataset", "Berkas"]
    keg = heads["MS-Keg"]
    assert keg[:2] == ["Judul Kegiatan", "Tahun Kegiatan"] and keg[-1] == "Kegiatan"
    numbers = [h.split()[0] for h in keg if h[0].isdigit()]
    assert numbers == sorted(numbers, key=lambda n: tuple(map(int, n.split("."))))
    assert "3.1 Latar Belakang Kegiatan" in keg and numbers[-1] == "8.2"


def test_every_field_has_a_column() -> None:
    for sheet in exchange.sheets():
        fields = (
            exchange.block_field(sheet)["butir"]
            if sheet.block
            else [
                f for f in schema.fields("kegiatan") if f["field_name"] not in ("name", "owner_org")
            ]
        )
        assert {c.name for c in sheet.columns if c.field} == {f["field_name"] for f in fields}
        heads = [exchange.fold(c.header) for c in sheet.columns]
        assert len(heads) == len(set(heads)), sheet.name


def test_cells_are_coded_as_the_form_does() -> None:
    row = tables_of(kegiatan())["MS-Keg"][1]
    assert "3 - Kompilasi Produk Administrasi" in row
    assert "5 - Wawancara; Pengamatan (observasi)" in row
    assert "Lihat lembar MS-Keg 3.4" in row
    row = tables_of(dataset())["MS-Ind"][1]
    assert row[:2] == ["1", "Jumlah Kelahiran"] and row[-1] == "kelahiran"
    assert "Wilayah; Waktu (bulan, triwulan, semester)" in row
    assert "Orang" in row and "2 - Tidak" in row


def test_an_empty_block_gives_its_keys_only() -> None:
    tables = tables_of(dataset(indikator=[]))
    assert [cell for cell in tables["MS-Ind"][1] if cell] == ["kelahiran"]
    upload, targets = back(xlsx(tables), dataset(indikator=[]))
    assert not upload.problems and not targets["kelahiran"].parts


def test_workbook_is_the_same_each_time_and_has_no_formulas() -> None:
    package = dataset(indikator=[{"nama": "=1+1", "konsep": "@x"}])
    first = exchange.workbook([kegiatan(), package], ["kegiatan", "dataset"])
    assert first == exchange.workbook(iter([kegiatan(), package]), ["kegiatan", "dataset"])
    with zipfile.ZipFile(io.BytesIO(first)) as archive:
        parts = [archive.read(n) for n in archive.namelist() if "worksheets/sheet" in n]
    assert len(parts) == 6 and not any(b"<f>" in part for part in parts)
    assert all(b'state="frozen"' in part for part in parts[:5])
    assert b"dataValidation" in parts[3]


# In: what people do ------------------------------------------------------------------------------
def test_choices_by_code_by_label_and_by_both() -> None:
    for sheet in exchange.sheets():
        for column in sheet.columns:
            if not column.field or "vocab" not in column.field:
                continue
            many = column.field["jenis"] == "pilihan_banyak"
            for code, label in exchange.labels(column.field["vocab"]).items():
                value = [code] if many else code
                shown = exchange.cell(column.field, value)
                for text in (shown, code, label, label.upper(), f"{code} - {label}"):
                    assert exchange_in.parse(column.field, text) == value, (column.header, text)


@pytest.mark.parametrize(
    "text",
    ["5", "5 - Wawancara; Pengamatan (observasi)", "Wawancara; Pengamatan (observasi)", "1; 4",
     "1,4", "4+1", "wawancara\nPengamatan (observasi)", "5.0",
     "1 - Wawancara; 4 - Pengamatan (observasi)"],
)  # fmt: skip
def test_sums_and_lists(text: str) -> None:
    field = schema.find("kegiatan", "metode_pengumpulan")
    assert exchange_in.parse(field, text) == ["1", "4"]


@pytest.mark.parametrize("text", ["64", "0", "5 - Wawancara", "Wawancara; Menebak", "5; 4; x"])
def test_wrong_sums_and_lists(text: str) -> None:
    with pytest.raises(tk.Invalid):
        exchange_in.parse(schema.find("kegiatan", "metode_pengumpulan"), text)


def test_a_human_edits_in_excel() -> None:
    packages = dataset(), kegiatan()
    tables: dict[str, list[list[Any]]] = tables_of(*packages)
    keg, ind = tables["MS-Keg"], tables["MS-Ind"]
    keg[1][at(tables, "MS-Keg", "tahun_kegiatan")] = 2026
    keg[1][at(tables, "MS-Keg", "cara_pengumpulan_data")] = 2
    keg[1][at(tables, "MS-Keg", "metode_pengumpulan")] = 9
    keg[1][at(tables, "MS-Keg", "rilis_digital")] = dt.date(2027, 1, 31)
    keg[1][at(tables, "MS-Keg", "rilis_tercetak")] = "28/02/2027"
    keg[1][at(tables, "MS-Keg", "jumlah_supervisor")] = 14.0
    ind[1][at(tables, "MS-Ind", "komposit")] = "ya"
    ind[1][at(tables, "MS-Ind", "definisi")] = " a\r\nb "
    for row in ind:
        row[:] = row[::-1]  # reordered columns
    ind += [[""] * len(ind[0])] * 3
    tables = {"ms-keg": keg, "Ms Ind": ind, "Catatan": [["x"]]}
    upload, targets = back(xlsx(tables), *packages)
    assert not upload.problems
    assert "Catatan" in upload.notes[0]
    assert targets["kia-2025"].patch == {
        "tahun_kegiatan": "2026",
        "cara_pengumpulan_data": "2",
        "metode_pengumpulan": ["1", "8"],
        "rilis_digital": "2027-01-31",
        "rilis_tercetak": "2027-02-28",
        "jumlah_supervisor": "14",
    }
    first, second = targets["kelahiran"].patch["indikator"]
    assert first == {**IND, "komposit": "1", "definisi": "a\nb"}
    assert second["nama"] == "Jumlah Kematian"
    change = only(targets["kelahiran"])
    assert (change.kind, change.line, change.moved) == ("ubah", 2, None)
    assert [(c.header, c.old, c.new) for c in change.cells] == [
        ("(4) Definisi", "Banyaknya bayi lahir hidup.", "a\nb"),
        ("(10) Apakah Indikator Komposit?", "2 - Tidak", "1 - Ya"),
    ]


def test_rows_added_moved_and_removed() -> None:
    items = [{"nama": f"i{n}"} for n in range(6)]
    package = dataset(indikator=items)
    tables = tables_of(package)
    head, *rows = tables["MS-Ind"]
    new = [*rows[0]]
    new[1] = "baru"
    tables["MS-Ind"] = [head, rows[5], rows[0], new, rows[1], rows[3], rows[4]]  # i2 is gone
    _upload, targets = back(xlsx(tables), package)
    (part,) = targets["kelahiran"].parts
    assert [(c.kind, c.title, c.moved) for c in part.changes] == [
        ("pindah", "i5", (6, 1)),
        ("tambah", "baru", None),
        ("hapus", "i2", None),
    ]
    assert (part.before, part.after) == (6, 6)
    names = [row["nama"] for row in targets["kelahiran"].patch["indikator"]]
    assert names == ["i5", "i0", "baru", "i1", "i3", "i4"]


def test_absent_sheets_columns_and_datasets_are_left_alone() -> None:
    one, other = dataset("satu"), dataset("dua")
    tables = tables_of(one)
    del tables["MS-Var"]
    column = at(tables, "MS-Ind", "satuan")
    for row in tables["MS-Ind"]:
        del row[column]
    tables["MS-Ind"][1][2] = "Natalitas"
    upload, targets = back(xlsx(tables), one, other)
    assert set(targets) == {"satu"} and not targets["satu"].files
    assert targets["satu"].patch["indikator"][0] == {**IND, "konsep": "Natalitas"}
    assert "(8) Satuan" in upload.notes[0]


def test_equal_names_keep_their_rows_apart() -> None:
    package = dataset(indikator=[{**IND, "konsep": text} for text in "abc"])
    tables = tables_of(package)
    tables["MS-Ind"][2][2] = "x"
    _upload, targets = back(xlsx(tables), package)
    assert [r["konsep"] for r in targets["kelahiran"].patch["indikator"]] == ["a", "x", "c"]


@pytest.mark.parametrize("key", ["kelahiran-1", "Kelahiran 2025", "lama - kelahiran 2025", ""])
def test_a_file_is_known_by_id_or_by_its_name(key: str) -> None:
    tables = tables_of(dataset())
    for row in tables["MS-Var"][1:]:
        row[-1] = key
    tables["MS-Var"][1][2] = "Banyaknya"
    upload, targets = back(xlsx(tables), dataset())
    assert not upload.problems and list(targets["kelahiran"].files) == ["kelahiran-1"]


def test_a_value_that_left_its_list_stays_while_nobody_touches_it() -> None:
    package = dataset(indikator=[{**IND, "satuan": "depa"}])
    tables = tables_of(package)
    assert "depa" in tables["MS-Ind"][1]
    upload, targets = back(xlsx(tables), package)
    assert not upload.problems and not targets["kelahiran"].parts


# In: what is wrong -------------------------------------------------------------------------------
def wrong(sheet: str, change: Callable[[list[list[Any]]], None]) -> list[tuple[int, str, str]]:
    """Row, column and message of the problems after a change of a sheet."""
    packages = dataset(), kegiatan()
    tables: dict[str, list[list[Any]]] = tables_of(*packages)
    change(tables[sheet])
    upload, _targets = back(xlsx(tables), *packages)
    assert {p.sheet for p in upload.problems} <= {sheet}
    return [(p.row, p.column, p.message) for p in upload.problems]


def put(row: int, column: int, value: Any) -> Callable[[list[list[Any]]], None]:
    def change(rows: list[list[Any]]) -> None:
        rows[row][column] = value

    return change


@pytest.mark.parametrize(
    "sheet, change, row, column, message",
    [
        ("MS-Ind", put(2, 7, "depa"), 3, "H, (8) Satuan", "“depa” tidak ada dalam daftar"),
        ("MS-Ind", put(1, 9, "3"), 2, "J, (10) Apakah Indikator Komposit?", "daftar pilihan"),
        ("MS-Ind", put(1, 2, "x" * 301), 2, "C, (3) Konsep", "terlalu panjang: 301 karakter"),
        ("MS-Ind", put(0, 2, "Konsepsi"), 1, "C", "Judul kolom “Konsepsi” tidak dikenal"),
        ("MS-Ind", put(0, 2, "(3) Konsp"), 1, "C", "Mungkin maksudnya “(3) Konsep”"),
        ("MS-Ind", put(0, 2, ""), 1, "C", "tanpa judul"),
        ("MS-Ind", put(0, 2, "(4) Definisi"), 1, "D", "ada dua kali"),
        ("MS-Ind", put(0, 17, ""), 1, "R", "tanpa judul"),
        ("MS-Ind", put(2, 17, ""), 3, "R, Dataset", "Kolom Dataset kosong"),
        ("MS-Ind", put(2, 17, "entah"), 3, "R, Dataset", "tidak ada"),
        ("MS-Ind", put(2, 1, "jumlah  KELAHIRAN"), 3, "B, (2) Nama Indikator", "di baris 2"),
        ("MS-Var", put(2, 17, "entah - apa"), 3, "R, Berkas", "“entah - apa” tidak ada di dataset"),
        ("MS-Var", put(1, 7, "teks"), 2, "H, (8) Tipe Data", "misalnya INTEGER"),
        ("MS-Keg", put(1, 0, ""), 2, "A, Judul Kegiatan", "wajib diisi"),
        ("MS-Keg", put(1, 1, "20X5"), 2, "B, Tahun Kegiatan", "Tulis empat angka"),
        ("MS-Keg", put(1, 37, "apa saja"), 2, "AL, 3.4 ", "lembar MS-Keg 3.4"),
        ("MS-Keg", lambda rows: rows.append(rows[1]), 3, "Kegiatan", "sudah ada di baris 2"),
        ("MS-Ind", lambda rows: rows.insert(0, ["METADATA 2025"]), 1, "", "ada di baris 2"),
        ("MS-Ind", lambda rows: rows.__setitem__(slice(0, 1), []), 1, "", "bukan judul kolom"),
        ("MS-Ind", lambda rows: rows.extend([rows[1]] * 201), 4, "(2) Nama", "sudah ada di baris"),
    ],
)  # fmt: skip
def test_problems_are_told_by_sheet_row_and_column(
    sheet: str, change: Any, row: int, column: str, message: str
) -> None:
    found = wrong(sheet, change)
    assert any(r == row and column in c and message in m for r, c, m in found), found


def test_a_row_of_nobody_stops_everything_a_bad_cell_its_dataset() -> None:
    one, other = dataset("satu"), dataset("dua")
    tables = tables_of(one, other)
    tables["MS-Ind"][1][7] = "depa"
    tables["MS-Ind"][3][2] = "Natalitas"
    upload, targets = back(xlsx(tables), one, other)
    assert [problem.target for problem in upload.problems] == ["id-satu"]
    assert targets["satu"].problems == 1 and targets["dua"].parts
    tables["MS-Ind"][1][-1] = "tiga"
    upload, _targets = back(xlsx(tables), one, other)
    assert "" in [problem.target for problem in upload.problems]


def test_too_many_rows_of_a_block() -> None:
    package = dataset()
    tables = tables_of(package)
    row = tables["MS-Ind"][1]
    tables["MS-Ind"] += [[str(n), f"i{n}", *row[2:]] for n in range(200)]
    upload, _targets = back(xlsx(tables), package)
    assert "202 baris, paling banyak 200" in upload.problems[0].message


def test_merged_cells() -> None:
    out = io.BytesIO()
    book = xlsxwriter.Workbook(out, {"in_memory": True})
    page = book.add_worksheet("MS-Ind")
    for c, text in enumerate(tables_of()["MS-Ind"][0]):
        page.write_string(0, c, text)
    page.merge_range(1, 1, 2, 1, "Kelahiran")
    book.close()
    upload = exchange_in.read(out.getvalue(), "x.xlsx")
    assert "B2:B3 digabung" in upload.problems[0].message and upload.problems[0].row == 2


def far_cell(row: int, column: int) -> bytes:
    out = io.BytesIO()
    book = xlsxwriter.Workbook(out, {"in_memory": True})
    book.add_worksheet("MS-Ind").write_string(row, column, "x")
    book.close()
    return out.getvalue()


def tampered(content: bytes, name: str, change: Callable[[bytes], bytes]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as old, zipfile.ZipFile(out, "w") as new:
        for entry in old.namelist():
            data = old.read(entry)
            new.writestr(entry, change(data) if entry == name else data)
    return out.getvalue()


def lying_zip() -> bytes:
    """A workbook whose directory says that a part of 300 MB has 10 bytes."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("xl/workbook.xml", "<x/>")
        archive.writestr("xl/worksheets/sheet1.xml", b" " * 3_000_000)
    size = struct.pack("<I", 3_000_000)
    return out.getvalue().replace(size, struct.pack("<I", 10))


SHEET = "xl/worksheets/sheet1.xml"
BOMB = b'<!DOCTYPE x [<!ENTITY a "aaaa">]><worksheet><sheetData>&a;</sheetData></worksheet>'


@pytest.mark.parametrize(
    "content, message",
    [
        (b"", "kosong"),
        (b"  \n", "kosong"),
        (b"%PDF-1.7 ...", "bukan .xlsx atau CSV"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"\0" * 600, "tanpa kata sandi"),
        (b"a,b\0c\n", "bukan .xlsx atau CSV"),
        (b"PK\x03\x04 rusak", "rusak"),
        (b"x" * (exchange_in.MAX_BYTES + 1), "lebih dari 10 MB"),
        (b"nama,konsep\nx,y\n", "Tidak ada lembar MS-Keg, MS-Ind, MS-Var"),
        (b'(2) Nama Indikator,(3) Konsep\n"x,y\n', "Baris 2 tidak dapat dibaca"),
        (far_cell(1_048_575, 0), "lebih dari 50000 baris"),
        (far_cell(0, 16_383), "kanan kolom ke-150"),
        (tampered(far_cell(1, 1), SHEET, lambda _: BOMB), "rusak"),
        (tampered(far_cell(1, 1), SHEET, lambda data: data[:200]), "rusak"),
        (tampered(far_cell(1, 1), SHEET, lambda d: d.replace(b'"B2"', b'"AAAAA2"')), "rusak"),
        (tampered(far_cell(1, 1), SHEET, lambda data: b"\xff\xfe<" + data), "rusak"),
        (lying_zip(), "rusak"),
    ],
)  # fmt: skip
def test_files_that_are_refused(content: bytes, message: str) -> None:
    with pytest.raises(Unreadable, match=message):
        exchange_in.read(content, "x.xlsx")


def test_too_much_unpacked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exchange_in, "MAX_UNPACKED", 1000)
    with pytest.raises(Unreadable, match="terlalu besar"):
        exchange_in.read(far_cell(1, 1), "x.xlsx")


def test_encoding_that_a_part_claims_is_not_believed() -> None:
    """Else the part could be judged as other text than calamine reads."""
    file = tampered(far_cell(1_048_575, 0), SHEET, lambda data: data.replace(b"UTF-8", b"cp037", 1))
    with pytest.raises(Unreadable, match="lebih dari 50000 baris"):
        exchange_in.read(file, "x.xlsx")


WHOLE = xlsx(tables_of(dataset()))
BYTES = st.tuples(st.integers(4, len(WHOLE) - 1), st.integers(0, 255))


@settings(max_examples=60, deadline=None)
@given(st.lists(BYTES, min_size=1, max_size=20))
def test_damaged_workbooks_are_refused_in_words(changes: list[tuple[int, int]]) -> None:
    damaged = bytearray(WHOLE)
    for at, byte in changes:
        damaged[at] = byte
    try:
        exchange_in.read(bytes(damaged), "x.xlsx")
    except Unreadable as error:
        assert str(error)


# CSV ---------------------------------------------------------------------------------------------
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "cp1252", "utf-16"])
@pytest.mark.parametrize("mark", [",", ";", "\t"])
@pytest.mark.parametrize("name", ["MS-Ind", "MS-Var", "MS-Keg", "MS-Keg 3.4"])
def test_csv_of_any_kind(encoding: str, mark: str, name: str) -> None:
    packages = dataset(), kegiatan()
    rows = tables_of(*packages)[name]
    rows[1][2] = "é“x”, a; b"
    out = io.StringIO(newline="")
    csv.writer(out, delimiter=mark).writerows(rows)
    upload, targets = back(out.getvalue().encode(encoding), *packages, filename="unduhan.csv")
    assert [grid.sheet.name for grid in upload.grids] == [name] and not upload.problems
    (changed,) = [target for target in targets.values() if target.parts]
    assert [c.new for c in only(changed).cells] == ["é“x”, a; b"]


def test_csv_runs_no_formula() -> None:
    package = dataset(indikator=[{"nama": "=HYPERLINK(1)", "konsep": "'=x", "definisi": "-5"}])
    sheet = exchange.sheet("MS-Ind")
    assert sheet
    content = exchange.csv_text(sheet, [package])
    (row,) = list(csv.reader(io.StringIO(content.decode("utf-8-sig"))))[1:]
    assert row[1:4] == ["'=HYPERLINK(1)", "''=x", "'-5"]
    upload, targets = back(content, package, filename="x.csv")
    assert not upload.problems and not targets["kelahiran"].parts


# Round trip --------------------------------------------------------------------------------------
UNUSUAL = [
    "=1+1", "'=1+1", "'", "''", "'-", "+62", "-", "-1", "@a", "001", "1.0", "1e5", "2027-01-31",
    "31/01/2027", "TRUE", "a\nb", 'kutip "dua"', "a;b,c\td", "x" * 5000, "é 𝔘 😀 ش", "_x0041_",
    "_x005F_x0041_", "\ufffe", "<b>&amp;</b>", "#REF!", "5 - Wawancara", "sep=;", "\\N", "N/A",
]  # fmt: skip
TEXTS = st.sampled_from(UNUSUAL) | st.text(max_size=60) | st.text("'=+-@ \n\"_x0A;", max_size=12)


def values(field: schema.Field) -> st.SearchStrategy[Any]:
    """Values of a field as they may be stored: what `clean` lets through."""
    if field["jenis"] == "berulang":
        return items(field, 4)
    if "vocab" in field:
        codes = st.sampled_from([item["value"] for item in schema.vocab(field["vocab"])])
        found: st.SearchStrategy[Any] = (
            st.lists(codes, max_size=4) if field["jenis"] == "pilihan_banyak" else codes
        )
    else:
        special = {
            "tanggal": st.dates(dt.date(1900, 1, 1), dt.date(2100, 12, 31)).map(str),
            "bilangan": st.integers(0, 999).map(str),
            "email": st.just("dinkes@trenggalekkab.go.id"),
        }
        found = special.get(field["jenis"], TEXTS)

    def cleaned(value: Any) -> Any:
        try:
            return schema.clean(field, value)
        except tk.Invalid:
            return ""

    return found.map(cleaned)


def items(field: schema.Field, most: int) -> st.SearchStrategy[list[dict[str, Any]]]:
    row = st.fixed_dictionaries({f["field_name"]: values(f) for f in field["butir"]})
    filled = row.map(lambda r: {k: v for k, v in r.items() if v}).filter(bool)
    return st.lists(filled, max_size=most)


KEGIATAN = st.fixed_dictionaries(
    {
        f["field_name"]: values(f)
        for f in schema.fields("kegiatan")
        if f["field_name"] not in ("name", "owner_org", "title")
    }
)
INDIKATOR = items(schema.find("dataset", "indikator"), 4)
VARIABEL = items(schema.find("dataset", "variabel", group="resource_fields"), 4)


def unique(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return list({row.get("nama", "").casefold(): row for row in rows}.values())


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(KEGIATAN, INDIKATOR, VARIABEL)
def test_nothing_changes_on_a_round_trip(
    fields: dict[str, Any], indikator: list[Any], variabel: list[Any]
) -> None:
    activity = kegiatan(**fields)
    package = dataset(indikator=indikator)
    package["resources"][0]["variabel"] = unique(variabel)
    content = exchange.workbook([activity, package], ["kegiatan", "dataset"])
    upload, targets = back(content, activity, package)
    assert not upload.problems and not upload.notes
    assert [part for target in targets.values() for part in target.parts] == []
    for sheet in exchange.sheets():
        content = exchange.csv_text(sheet, [activity, package])
        if len(content.splitlines()) > 1 and any(exchange.rows(sheet, activity)):
            upload, targets = back(content, activity, package, filename=f"{sheet.name}.csv")
            assert not upload.problems
            assert [part for target in targets.values() for part in target.parts] == []


# XML and XlsxWriter can't write these, so they come back only where the portal still has them.
def writable(rows: list[dict[str, Any]]) -> bool:
    texts = [v for row in rows for v in row.values() if isinstance(v, str)]
    return not any(exchange._UNWRITABLE.search(text) for text in texts)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(INDIKATOR.filter(writable), VARIABEL.filter(writable))
def test_an_empty_dataset_takes_what_another_gave(
    indikator: list[Any], variabel: list[Any]
) -> None:
    """The values themselves survive, not only that they look alike."""
    indikator, variabel = unique(indikator), unique(variabel)
    package = dataset(indikator=indikator)
    package["resources"][0]["variabel"] = variabel
    empty = dataset(indikator=[])
    empty["resources"][0]["variabel"] = []
    for content in (
        exchange.workbook([package], ["dataset"]),
        *(exchange.csv_text(s, [package]) for s in exchange.sheets() if s.type == "dataset"),
    ):
        upload, targets = back(content, empty)
        assert not upload.problems
        target = targets.get("kelahiran", Target(empty))
        names = {grid.sheet.name for grid in upload.grids}
        if "MS-Ind" in names:
            assert target.patch.get("indikator", []) == indikator
        if "MS-Var" in names:
            assert target.files.get("kelahiran-1", []) == variabel
