"""Reading of uploaded files: what they are, dialects, headers, cells. No CKAN services."""

from __future__ import annotations

import datetime as dt
import io
import zipfile
from pathlib import Path

import ckan.plugins.toolkit as tk
import pytest
import xlsxwriter
from hypothesis import given
from hypothesis import strategies as st

from ckanext.satudata_trenggalek import files, findings, tabular


def read(path: Path, data: bytes, extension: str = "csv") -> tuple[list[str], list[list[str]], str]:
    """Names, rows and notes of a file, through the query that the loader runs."""
    path = path / f"data.{extension}"
    path.write_bytes(data)
    with tabular.read(str(path), extension) as source:
        rows = source.execute(source.query).fetchall()
    notes = findings.tell(findings.keep(*source.notes))
    return source.names, [[cell or "" for cell in row] for row in rows], notes


def workbook(*sheets: list[list[object]]) -> bytes:
    """An XLSX with these sheets; dates as Excel dates, text as text."""
    out = io.BytesIO()
    with xlsxwriter.Workbook(
        out, {"in_memory": True, "default_date_format": "yyyy-mm-dd", "strings_to_numbers": False}
    ) as book:
        for rows in sheets:
            sheet = book.add_worksheet()
            for y, row in enumerate(rows):
                sheet.write_row(y, 0, row)
    return out.getvalue()


def zipped(**members: str) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name, text in members.items():
            archive.writestr(name, text)
    return out.getvalue()


def ole(*names: str) -> bytes:
    """Enough of an OLE file for its directory to be found ([MS-CFB])."""
    header = bytearray(512)
    header[:8] = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
    header[30:32] = (9).to_bytes(2, "little")
    entries = b"".join(name.encode("utf-16-le").ljust(128, b"\0") for name in names)
    return bytes(header) + entries.ljust(4096, b"\0")


KINDS = {
    "teks": b"kode;nama\n001;Panggul\n",
    "html": b"\n<!DOCTYPE html><html><table>",
    "xlsx": workbook([["a"], [1]]),
    "zip": zipped(a="x"),
    "xls": ole("Root Entry", "Workbook"),
    "terkunci": ole("Root Entry", "EncryptionInfo", "EncryptedPackage"),
    "ole": ole("Root Entry", "WordDocument"),
    "pdf": b"%PDF-1.7\n%\xe2\xe3",
    "json": b'{"a": [1, 2]}',
    "gambar": b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + bytes(20),
    "program": b"MZ\x90\0" + bytes(56) + (64).to_bytes(4, "little") + b"PE\0\0" + bytes(100),
    "kosong": b"",
    "biner": b"\x01\x02\x00\xff\xfe" * 40,
}


@pytest.mark.parametrize("kind", KINDS)
def test_sniff_knows_content_whatever_its_name(kind: str) -> None:
    assert files.sniff(io.BytesIO(KINDS[kind])) == kind


def test_text_in_any_encoding_is_text() -> None:
    for name in ("utf-8-sig", "cp1252", "utf-16"):
        assert files.sniff(io.BytesIO("désa;jumlah\nè;1\n".encode(name))) == "teks"


@pytest.mark.parametrize(
    ("name", "kind", "words"),
    [
        ("data.csv", "xlsx", ["Excel", ".csv"]),
        ("data.xlsx", "teks", ["CSV", ".xlsx"]),
        ("data.csv", "html", ["HTML", "ekspor"]),
        ("data.csv", "zip", ["terkompresi"]),
        ("data.csv", "program", ["program"]),
        ("data.xls", "html", ["HTML"]),
        ("data.xlsx", "terkunci", ["kata sandi", "Hapus"]),
        ("data.csv", "kosong", ["kosong"]),
        ("data.bin", "program", ["program"]),
    ],
)
def test_file_that_is_not_what_its_name_says(name: str, kind: str, words: list[str]) -> None:
    with pytest.raises(tk.ValidationError) as refused:
        files.examine(io.BytesIO(KINDS[kind]), name)
    message = str(refused.value.error_dict["upload"])
    assert all(word in message for word in [*words, name])


@pytest.mark.parametrize(
    ("name", "kind", "mimetype"),
    [
        ("data.csv", "teks", "text/csv"),
        ("data.tsv", "teks", "text/tab-separated-values"),
        ("data.html", "html", "text/html"),
        ("data.pdf", "pdf", "application/pdf"),
        ("data.xls", "xls", "application/vnd.ms-excel"),
        ("gambar", "gambar", "image/png"),
    ],
)
def test_media_type(name: str, kind: str, mimetype: str) -> None:
    assert files.examine(io.BytesIO(KINDS[kind]), name) == mimetype


def test_sizes_are_said_in_indonesian() -> None:
    assert files.human_size(12) == "12 B"
    assert files.human_size(1_536_000) == "1,5 MB"
    message = files.too_large(612_400_000, 500_000_000)
    assert "612,4 MB" in message and "500 MB" in message and "Pecah" in message


@pytest.mark.parametrize("mark", list(tabular.DELIMITERS))
def test_delimiters(tmp_path: Path, mark: str) -> None:
    data = mark.join(["kode", "nama", "nilai"]) + "\n" + mark.join(["001", '"a"', "2.5"]) + "\n"
    names, rows, notes = read(tmp_path, data.encode())
    assert (names, rows, notes) == (["kode", "nama", "nilai"], [["001", "a", "2.5"]], "")


@pytest.mark.parametrize("name", ["utf-8", "utf-8-sig", "cp1252", "latin-1", "utf-16"])
def test_encodings(tmp_path: Path, name: str) -> None:
    text = "désa,jumlah\nÈ,1\n" + ("\x81,2\n" if name == "latin-1" else "")
    names, rows, _ = read(tmp_path, text.encode(name))
    assert names == ["désa", "jumlah"] and rows[0] == ["È", "1"]


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("before", [0, 1, 2])
def test_line_ends_and_blank_lines(tmp_path: Path, end: str, before: int) -> None:
    data = end * before + end.join(["a,b", "1,2", "", '"x,y",4']) + end
    assert read(tmp_path, data.encode())[1] == [["1", "2"], ["x,y", "4"]]


def test_header_over_two_lines_and_delimiter_told_by_excel(tmp_path: Path) -> None:
    data = b'sep=;\r\n"Jumlah\n(jiwa)";kode\r\n1;2\r\n3;4\r\n'
    names, rows, _ = read(tmp_path, data)
    assert (names, rows) == (["Jumlah (jiwa)", "kode"], [["1", "2"], ["3", "4"]])


def test_ragged_rows_lose_nothing_and_are_told(tmp_path: Path) -> None:
    names, rows, notes = read(tmp_path, b"a,b\n1,2,3\n4\n5,6\n")
    assert names == ["a", "b", "kolom_3"]
    assert rows == [["1", "2", "3"], ["4", "", ""], ["5", "6", ""]]
    assert "lebih dari 2 kolom judul: baris 2" in notes
    assert "kurang dari 2 kolom judul: baris 3" in notes


def test_a_file_larger_than_the_memory_is_read_by_duckdb(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its longest row bounds what is kept of it, not its size."""
    # Room for six buffers of a usual row; two threads hold up to four of them.
    monkeypatch.setattr(tabular, "MEMORY", "24MB")
    path = tmp_path / "besar.csv"
    with path.open("w") as text:
        text.write("kode,uraian\n" + "35.03.01,Panggul dan sekitarnya\n" * 1_500_000)
    assert path.stat().st_size > 2 * 24e6
    with tabular.read(str(path), "csv") as source:
        count = source.execute(f"SELECT count(*) FROM {source.table}").fetchone()
    # As it lies there: nothing was copied to be read row by row.
    assert count == (1_500_000,) and source.parameters["path"] == str(path)


def test_a_row_longer_than_usual_is_read_as_it_lies_there(tmp_path: Path) -> None:
    boundary = "x" * (tabular.USUAL_ROW + 1)
    path = tmp_path / "batas.csv"
    path.write_text(f"desa,batas\nNglebeng,{boundary}\nPanggul,\n")
    with tabular.read(str(path), "csv") as source:
        rows = source.execute(source.query).fetchall()
    assert rows == [("Nglebeng", boundary), ("Panggul", None)]
    assert source.parameters["path"] == str(path)


def test_title_row_is_loaded_as_it_is(tmp_path: Path) -> None:
    names, rows, _ = read(tmp_path, b"DATA PENDUDUK\nkode,nama\n01,x\n")
    assert names == ["DATA PENDUDUK", "kolom_2"] and rows == [["kode", "nama"], ["01", "x"]]


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"a,b\n", ["judul kolom"]),
        (b"a,b\n1,2\n3,\0\n", ["Baris 3", "NUL"]),
        (b'a,b\n1,2\n"3,4\n', ["Baris 3", "kutip"]),
        (b",".join([b"a"] * 501) + b"\n" + b",".join([b"1"] * 501), ["501", "500"]),
    ],
)
def test_files_that_are_no_table(tmp_path: Path, data: bytes, words: list[str]) -> None:
    with pytest.raises(tabular.Rejected) as refused:
        read(tmp_path, data)
    assert all(word in str(refused.value) for word in [*words, "unggah kembali"])


def test_a_line_that_ends_copy_is_data(tmp_path: Path) -> None:
    assert read(tmp_path, b"a\n1\n\\.\n2\n")[1] == [["1"], ["\\."], ["2"]]


def test_column_names() -> None:
    header = ["Kode", "Kode", "", None, "_x", 'a"b', "xmin", "jam :mulai", "Persen (%)", "é" * 40]
    assert tabular.column_names(header) == [
        "Kode",
        "Kode_2",
        "kolom_3",
        "kolom_4",
        "x",
        "ab",
        "xmin_2",
        "jam mulai",
        "Persen (%)",
        "é" * 31,
    ]


@given(st.lists(st.text(max_size=80), min_size=1, max_size=8))
def test_column_names_suit_the_datastore(header: list[str]) -> None:
    from ckanext.datastore.helpers import is_valid_field_name

    names = tabular.column_names(header)
    assert len(set(names)) == len(header)
    assert all(is_valid_field_name(name) and len(name.encode()) <= 63 for name in names)
    assert names == tabular.column_names(header)


def test_excel(tmp_path: Path) -> None:
    data = workbook(
        [],
        [
            ["kode", "n", "pecahan", "tanggal", "ya"],
            ["001", 7, 0.1 + 0.2, dt.date(2026, 1, 2), True],
            [],
            [None, 1e15, 1e-7],
        ],
        [["lain"], [1]],
    )
    names, rows, notes = read(tmp_path, data, "xlsx")
    assert names == ["kode", "n", "pecahan", "tanggal", "ya"]
    assert rows == [
        ["001", "7", "0.3", "2026-01-02", "TRUE"],
        ["", "1000000000000000", "0.0000001", "", ""],
    ]
    assert "Sheet2" in notes and "Sheet3" in notes


def test_excel_that_is_damaged_or_empty(tmp_path: Path) -> None:
    good = workbook([["a"], [1]])
    header_only, empty = workbook([["a"]]), workbook([])
    for data, word in ((good[:900], "rusak"), (empty, "kosong"), (header_only, "judul")):
        with pytest.raises(tabular.Rejected, match=word):
            read(tmp_path, data, "xlsx")
