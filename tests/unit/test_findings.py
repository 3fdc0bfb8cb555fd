"""What a table becomes, and what is told of it: types, titles, personal data, words."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import duckdb
import pytest
import xlsxwriter
from hypothesis import given, settings
from hypothesis import strategies as st

from ckanext.satudata_trenggalek import checks, findings, search_files, tabular
from ckanext.satudata_trenggalek.columns import KINDS

#: Made up: Trenggalek, kecamatan 01, born 12 March 1990.
NIK = "3503011203900001"


def examine(
    path: Path, data: bytes | str, extension: str = "csv", koma: bool = False, **types: str
) -> tuple[checks.Plan, list[tuple[Any, ...]]]:
    """The plan for a file whose columns are declared so, and its rows as they would be loaded."""
    file = path / f"data.{extension}"
    file.write_bytes(data.encode() if isinstance(data, str) else data)
    variabel: list[dict[str, Any]] = [{"nama": n, "tipe_data": t} for n, t in types.items()]
    with tabular.read(str(file), extension, checks.commas(variabel, koma)) as source:
        plan = checks.examine(source, variabel, koma)
        cells = ", ".join(column.sql for column in plan.columns)
        rows = source.execute(f"SELECT {cells} FROM {source.table}").fetchall()
    return plan, rows


def found(plan: checks.Plan, kind: str) -> list[findings.Finding]:
    return [finding for finding in plan.findings if finding["kind"] == kind]


def types(plan: checks.Plan) -> list[str]:
    return [column.type for column in plan.columns]


def excel(write: Any) -> bytes:
    out = io.BytesIO()
    with xlsxwriter.Workbook(out, {"in_memory": True, "strings_to_numbers": False}) as book:
        write(book)
    return out.getvalue()


# --- types ----------------------------------------------------------------------------------


def test_types_follow_what_is_declared(tmp_path: Path) -> None:
    plan, rows = examine(
        tmp_path,
        "kode,tahun,n,luas,mulai,x\n"
        "001,2024,\"1,234\",0.5,2025-01-31,a\n"
        "002, 2025 ,-7,\"1,234.50\",1/2/2025,\n"
        ",,,,,\n",
        kode="character", tahun="integer", n="integer", luas="float", mulai="date", x="character",
    )  # fmt: skip
    assert types(plan) == ["text", "bigint", "bigint", "numeric", "date", "text"]
    assert rows == [
        ("001", "2024", "1234", "0.5", "2025-01-31", "a"),
        ("002", "2025", "-7", "1234.50", "2025-02-01", None),
        (None, None, None, None, None, None),
    ]
    assert plan.findings == []


def test_decimal_comma(tmp_path: Path) -> None:
    data = "n;luas\n1.234;1.234,5\n2;0,25\n"
    plan, rows = examine(tmp_path, data, koma=True, n="integer", luas="float")
    assert types(plan) == ["bigint", "numeric"]
    assert rows == [("1234", "1234.5"), ("2", "0.25")]


@pytest.mark.parametrize(
    ("tipe", "koma", "value"),
    [
        ("integer", False, "007"),
        ("integer", False, "1.000"),
        ("integer", False, "1,23"),
        ("integer", False, "12,34,567"),
        ("integer", False, "1234,567"),
        ("integer", False, "12 orang"),
        ("integer", False, "-"),
        ("integer", True, "1.23"),
        ("integer", True, "0.123"),
        ("float", False, "1.234,5"),
        ("float", False, "00.5"),
        ("float", True, "1.5"),
        ("float", True, "1,234.5"),
        ("float", False, "12%"),
        ("float", False, "NaN"),
        ("date", False, "31/02/2025"),
        ("date", False, "01/31/2025"),
        ("date", False, "1/2/25"),
        ("date", False, "2025"),
        ("date", False, "2025-01-31 07:30"),
    ],
)
def test_what_does_not_fit_stays_text_and_is_told(
    tmp_path: Path, tipe: str, koma: bool, value: str
) -> None:
    good = {"integer": "5", "float": "5", "date": "2025-01-31"}[tipe]
    data = f"a|b\n{good}|x\n{value}|x\n{good}|x\n{value}|x\n"
    plan, rows = examine(tmp_path, data, koma=koma, a=tipe, b="character")
    assert types(plan) == ["text", "text"] and [row[0] for row in rows] == [good, value] * 2
    (finding,) = plan.findings
    assert (finding["kind"], finding["column"], finding["declared"]) == ("tipe", "a", tipe)
    assert (finding["rows"], finding["count"], finding["blocking"]) == ([2, 4], 2, False)
    words = findings.message(finding)
    assert "“a”" in words and tipe.upper() in words and "2, 4" in words
    assert ("nol" in words) == value.startswith("00")
    # The same in Python, for the guess.
    assert not KINDS[tipe].fits_text(value, koma)


@settings(max_examples=40, deadline=None)
@given(st.from_regex("-?[0-9., eE/-]{1,8}", fullmatch=True), st.booleans())
def test_python_and_duckdb_agree(value: str, koma: bool) -> None:
    for tipe, kind in KINDS.items():
        row = duckdb.execute(f"SELECT {kind.fits('c', koma)} FROM (SELECT $1 AS c)", [value])
        if value.strip():
            assert row.fetchone() == (kind.fits_text(value, koma),), tipe


def test_few_rows_are_told_of_many(tmp_path: Path) -> None:
    data = "a,b\n" + "x,1\n" * 3 + "1,1\n" + "x,1\n" * 20_000
    plan, _ = examine(tmp_path, data, a="integer", b="integer")
    (finding,) = plan.findings
    assert finding["rows"] == [1, 2, 3, 5, 6] and finding["count"] == 20_003
    assert "19998 lainnya" in findings.message(finding)


def test_whole_numbers_beyond_bigint(tmp_path: Path) -> None:
    data = "a,b\n9223372036854775808,999999999999999999\n-1,1\n"
    plan, rows = examine(tmp_path, data, a="integer", b="integer")
    assert types(plan) == ["numeric", "bigint"] and rows[0][0] == "9223372036854775808"


def test_numbers_of_excel_are_numbers_whatever_the_sign(tmp_path: Path) -> None:
    def write(book: Any) -> None:
        sheet = book.add_worksheet()
        sheet.write_row(0, 0, ["kode", "luas", "n"])
        sheet.write_row(1, 0, [35.03, 1234.5, 7])
        sheet.write_row(2, 0, ["35.03", "1.234,5", "1.234"])

    plan, rows = examine(
        tmp_path, excel(write), "xlsx", koma=True, kode="character", luas="float", n="integer"
    )
    assert types(plan) == ["text", "numeric", "bigint"] and plan.findings == []
    assert rows == [("35.03", "1234.5", "7"), ("35.03", "1234.5", "1234")]


def test_data_dictionary(tmp_path: Path) -> None:
    file = tmp_path / "a.csv"
    file.write_text("jml,x\n1,2\n")
    variabel = [
        {"nama": "JML", "alias": "Jumlah bayi", "definisi": "Bayi lahir hidup.", "satuan": "bayi"},
        {"nama": "x", "alias": "-"},
    ]
    with tabular.read(str(file), "csv") as source:
        plan = checks.examine(source, variabel, False)
    assert [column.info for column in plan.columns] == [
        {"label": "Jumlah bayi", "notes": "Bayi lahir hidup.", "unit": "Bayi"},
        {},
    ]
    assert plan.findings == []


# --- columns and header ---------------------------------------------------------------------


def test_columns_and_variables_must_match(tmp_path: Path) -> None:
    plan, _ = examine(tmp_path, "a,b,c\n1,2,3\n", A="integer", lain="integer")
    (columns,) = found(plan, "kolom_tanpa_variabel")
    (variable,) = found(plan, "variabel_tanpa_kolom")
    assert columns["names"] == ["b", "c"] and columns["blocking"]
    assert variable["column"] == "lain" and variable["blocking"]
    assert findings.place(variable) == "variabel/1/nama"
    assert "“b”" in findings.message(columns) and "“lain”" in findings.message(variable)


def test_without_variables_nothing_is_compared(tmp_path: Path) -> None:
    plan, _ = examine(tmp_path, "a,b\n1,2\n")
    assert plan.findings == [] and types(plan) == ["text", "text"]


@pytest.mark.parametrize(
    "data",
    ["DATA PENDUDUK\nkode,nama,jumlah\n01,x,1\n", "DATA PENDUDUK,,\nkode,nama,jumlah\n01,x,1\n"],
)
def test_title_instead_of_a_header(tmp_path: Path, data: str) -> None:
    plan, _ = examine(tmp_path, data, kode="character", nama="character", jumlah="integer")
    (finding,) = plan.findings
    assert finding["kind"] == "baris_judul" and finding["blocking"]
    assert "Baris pertama tampaknya judul" in findings.message(finding)


def test_header_with_few_gaps_is_no_title(tmp_path: Path) -> None:
    plan, _ = examine(tmp_path, "a,,c\n1,2,3\n")
    assert plan.findings == []


@pytest.mark.parametrize(
    ("merged", "blocking", "row"),
    [("B1:C1", True, 1), ("A1:A2", True, 1), ("A3:A4", False, 3)],
)
def test_merged_cells(tmp_path: Path, merged: str, blocking: bool, row: int) -> None:
    def write(book: Any) -> None:
        sheet = book.add_worksheet()
        for y, cells in enumerate((["a", "b", "c"], [1, 2, 3], [4, 5, 6], [7, 8, 9])):
            sheet.write_row(y, 0, cells)
        sheet.merge_range(merged, "x")

    plan, _ = examine(tmp_path, excel(write), "xlsx")
    (finding,) = plan.findings
    assert (finding["kind"], finding["blocking"]) == ("sel_gabung", blocking)
    assert finding["rows"] == [row] and str(row) in findings.message(finding)


# --- personal data --------------------------------------------------------------------------


def test_personal_data_in_any_column(tmp_path: Path) -> None:
    data = f"nama,ket\nA,-\nB,NIK: {NIK[:6]} {NIK[6:12]} {NIK[12:]}\nC,1234567890123456\n"
    plan, _ = examine(tmp_path, data)
    (finding,) = plan.findings
    assert finding["blocking"] and (finding["column"], finding["rows"]) == ("ket", [2])
    assert "NIK" in findings.message(finding)


@pytest.mark.parametrize("name", ["NIK", "No. KK"])
def test_column_meant_for_personal_data(tmp_path: Path, name: str) -> None:
    masked, _ = examine(tmp_path, f"{name},b\n350301******0001,x\n")
    assert [f["kind"] for f in masked.findings] == ["data_pribadi"]
    empty, _ = examine(tmp_path, f"{name},b\n-,x\n***,x\n,x\n")
    assert empty.findings == []


def test_values_are_never_kept(tmp_path: Path) -> None:
    plan, _ = examine(tmp_path, f"{NIK},b\n{NIK},x\n", b="integer")
    kept = json.dumps(plan.findings)
    assert NIK not in kept and NIK not in " ".join(map(findings.message, plan.findings))
    assert {f.get("header") for f in plan.findings if f["kind"] == "data_pribadi"} == {True, None}
    header_only = tmp_path / "h.csv"
    header_only.write_text(f"a,{NIK}\n")
    (finding,) = search_files.anywhere(str(header_only))
    assert finding["lines"] and finding["rows"] == [1] and NIK not in json.dumps(finding)


def test_notes_hide_personal_data(tmp_path: Path) -> None:
    file = tmp_path / "a.csv"
    file.write_text(f'"NIK ""{NIK}""",b\n1,2\n')
    with tabular.read(str(file), "csv") as source:
        assert source.notes and NIK not in (findings.keep(*source.notes) or "")


def test_every_corner_of_a_workbook(tmp_path: Path) -> None:
    def write(book: Any) -> None:
        sheet = book.add_worksheet("Data")
        sheet.write_row(0, 0, ["kode", "rahasia"])
        sheet.write_row(1, 0, ["1", float(NIK)])
        sheet.write_row(2, 0, ["2", "x"])
        sheet.set_column(1, 1, None, None, {"hidden": True})
        sheet.set_row(1, None, None, {"hidden": True})
        sheet.write_comment("A1", f"hubungi {NIK}")
        hidden = book.add_worksheet("Sumber")
        hidden.hide()
        hidden.write_row(2, 1, ["nama", "NIK"])
        hidden.write_row(3, 1, ["A", float(NIK)])
        hidden.write_row(4, 1, ["B", "350301****"])
        very = book.add_worksheet(NIK)
        very.very_hidden()
        very.write(0, 0, f"KK {NIK}")
        book.add_worksheet("Bersih").write(0, 0, 1234567890123456)

    plan, _ = examine(tmp_path, excel(write), "xlsx")
    told = {(f.get("sheet"), f.get("part"), f.get("column")): f for f in plan.findings}
    assert NIK not in json.dumps(plan.findings)
    assert told[None, None, "rahasia"]["rows"] == [1]
    assert told["Sumber", None, "C"]["rows"] == [4, 5] and told["Sumber", None, "C"]["hidden"]
    assert told["#4", None, "A"]["rows"] == [1]
    (part,) = {key[1] for key in told} - {None}
    assert str(part).startswith("xl/comments")
    assert all(f["kind"] == "data_pribadi" and f["blocking"] for f in plan.findings)
    words = [findings.message(f) for f in plan.findings]
    assert any("Lembar tersembunyi “Sumber”" in text for text in words)


def test_refused_workbooks_are_searched_too(tmp_path: Path) -> None:
    def write(book: Any) -> None:
        book.add_worksheet("A").write_row(0, 0, ["nama", NIK])

    file = tmp_path / "a.xlsx"
    file.write_bytes(excel(write))
    with pytest.raises(tabular.Rejected), tabular.read(str(file), "xlsx"):
        pass
    (finding,) = search_files.anywhere(str(file))
    assert (finding["sheet"], finding["column"]) == ("A", "B")


@pytest.mark.parametrize("data", [f'a,b\n"{NIK},1\n', f"a,b\n\0,{NIK}\n"])
def test_broken_csv_are_searched_too(tmp_path: Path, data: str) -> None:
    file = tmp_path / "a.csv"
    file.write_text(data)
    with pytest.raises(tabular.Rejected), tabular.read(str(file), "csv"):
        pass
    (finding,) = search_files.anywhere(str(file))
    assert finding["rows"] == [2] and "baris berkas 2" in findings.message(finding)


# --- kode wilayah ---------------------------------------------------------------------------


def test_areas_are_told_by_column_and_row(tmp_path: Path) -> None:
    file = tmp_path / "a.csv"
    file.write_text(
        "kode,kec,desa,bps\n"
        "35.03.01.2001,Panggul,Besuki,3503010008\n"
        "35.03.01.2011,Panggul,Nglebeng,\n"
        "35.03.02,Panggul,Besuki,3503010\n"
        "9,Atlantis,Besuki,x\n"
    )
    codes = {"kode": "kemendagri", "kec": "nama_kecamatan", "desa": "nama_desa", "bps": "bps"}
    variabel = [
        {"nama": n, "tipe_data": "character", "kode_referensi": k} for n, k in codes.items()
    ]
    with tabular.read(str(file), "csv") as source:
        plan = checks.examine(source, variabel, False)
    told = {(f["column"], f["reason"]): f["rows"] for f in plan.findings}
    assert told == {
        ("bps", "belum_ada"): [2],
        ("kode", "tidak_sejalan"): [3],
        ("bps", "tidak_sejalan"): [3],
        ("kode", "terpotong"): [4],
        ("kec", "tidak_dikenal"): [4],
        ("bps", "tidak_dikenal"): [4],
    }
    assert not any(f["blocking"] for f in plan.findings)
    (missing,) = (f for f in plan.findings if f["reason"] == "belum_ada")
    words = findings.message(missing)
    assert "kode BPS belum ada dalam daftar" in words and "Nglebeng" in words
    assert all(findings.message(finding) for finding in plan.findings)
