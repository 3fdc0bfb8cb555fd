"""MS-Variabel offered from a file's first rows, or from names alone."""

from __future__ import annotations

import datetime as dt
import time
from pathlib import Path
from typing import Any

import pytest
import xlsxwriter

from ckanext.satudata_trenggalek import guess, schema, tabular


def offer(path: Path, data: bytes | str, extension: str = "csv", year: str = "") -> dict[str, Any]:
    file = path / f"data.{extension}"
    file.write_bytes(data.encode() if isinstance(data, str) else data)
    return guess.table(str(file), extension, year)


def by_name(offered: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {row["nama"]: row for row in offered["variabel"]}


TABLE = (
    "kode;kecamatan;tahun;Luas Panen (Ha);jumlah_penduduk;tgl;ket\n"
    "35.03.01;Panggul;2024;1.234,5;1.234;31/01/2025;a\n"
    "35.03.02;Munjungan;2025;0,25;12;1/2/2025;b c\n"
)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "cp1252", "utf-16"])
@pytest.mark.parametrize("mark", [";", "\t", "|"])
def test_dialects(tmp_path: Path, mark: str, encoding: str) -> None:
    offered = offer(tmp_path, TABLE.replace(";", mark).encode(encoding), year="2025")
    rows = by_name(offered)
    assert offered["tanda_desimal"] == "koma" and offered["notes"] == []
    assert {name: row["tipe_data"] for name, row in rows.items()} == {
        "kode": "character",
        "kecamatan": "character",
        "tahun": "integer",
        "Luas Panen (Ha)": "float",
        "jumlah_penduduk": "integer",
        "tgl": "date",
        "ket": "character",
    }
    assert {row["referensi_waktu"] for row in rows.values()} == {"Tahun 2025"}
    assert {row["kalimat_pertanyaan"] for row in rows.values()} == {"-"}
    assert {row["akses_umum"] for row in rows.values()} == {"1"}
    assert rows["kode"]["kode_referensi"] == "kemendagri"
    assert rows["kecamatan"]["kode_referensi"] == "nama_kecamatan"
    assert rows["kecamatan"]["konsep"] == "Wilayah"
    assert (rows["Luas Panen (Ha)"]["satuan"], rows["Luas Panen (Ha)"]["ukuran"]) == (
        "hektare",
        "total",
    )
    assert rows["jumlah_penduduk"]["alias"] == "Jumlah penduduk"
    assert "ukuran" not in rows["jumlah_penduduk"], "without a unit it would only block"


def test_what_is_offered_can_be_saved(tmp_path: Path) -> None:
    offered = offer(tmp_path, TABLE, year="2021-2025")
    field = schema.find("dataset", "variabel", "resource_fields")
    assert schema.clean(field, offered["variabel"]) == offered["variabel"]


def test_every_well_known_row_can_be_saved() -> None:
    field = schema.find("dataset", "variabel", "resource_fields")
    rows = [{"nama": f"k{n}", **item["isi"]} for n, item in enumerate(guess._items())]
    assert schema.clean(field, rows) == rows


@pytest.mark.parametrize(
    ("values", "sign", "tipe", "notes"),
    [
        (["1", "2"], "titik", "integer", 0),
        (["1.5", "2"], "titik", "float", 0),
        (["1,5", "2"], "koma", "float", 0),
        (["1.234", "12"], "koma", "integer", 1),
        (["1,234", "12"], "titik", "integer", 1),
        (["1.234.567", "1"], "koma", "integer", 0),
        (["0.123", "0.5"], "titik", "float", 0),
        (["007", "12"], "titik", "character", 0),
        (["-8.05123", "-8.1"], "titik", "float", 0),
        (["2025-01-31", "31/12/2024"], "titik", "date", 0),
        (["ya", "tidak"], "titik", "character", 0),
    ],
)
def test_types_and_decimal_sign(
    tmp_path: Path, values: list[str], sign: str, tipe: str, notes: int
) -> None:
    offered = offer(tmp_path, "a;b\n" + "".join(f"{value};x\n" for value in values))
    assert offered["tanda_desimal"] == sign
    assert offered["variabel"][0]["tipe_data"] == tipe
    assert len(offered["notes"]) == notes


def test_signs_for_nothing_do_not_make_numbers_text(tmp_path: Path) -> None:
    offered = offer(tmp_path, "n,b\n" + "12,x\n" * 20 + "-,x\n")
    assert offered["variabel"][0]["tipe_data"] == "integer"


@pytest.mark.parametrize("name", ["no", "kode_pos", "NPSN", "nomor urut", "No. HP"])
def test_codes_and_numbers_of_things_are_character(tmp_path: Path, name: str) -> None:
    assert offer(tmp_path, f"{name},b\n1,2\n3,4\n")["variabel"][0]["tipe_data"] == "character"


def test_counts_are_no_codes(tmp_path: Path) -> None:
    offered = offer(tmp_path, "Jumlah KK,jumlah nomor\n1,2\n")
    assert [row["tipe_data"] for row in offered["variabel"]] == ["integer", "integer"]
    assert offered["variabel"][0]["satuan"] == "kepala_keluarga"


def test_classes_are_listed_where_they_repeat(tmp_path: Path) -> None:
    data = "jenis,nama\n" + "".join(f"{'banjir' if n % 2 else 'longsor'},n{n}\n" for n in range(12))
    jenis, nama = offer(tmp_path, data)["variabel"]
    assert jenis["klasifikasi_isian"] == "longsor; banjir"
    assert jenis["aturan_validasi"] == "Salah satu dari klasifikasi isian"
    assert nama["klasifikasi_isian"] == "-"


def test_names_of_areas_only_where_the_values_are(tmp_path: Path) -> None:
    rows = by_name(offer(tmp_path, "kecamatan,desa\n12,A\n13,B\n"))
    assert "kode_referensi" not in rows["kecamatan"] and "kode_referensi" not in rows["desa"]
    rows = by_name(offer(tmp_path, "wilayah,desa\n3503010,Besuki\n3503020,Pakel\n"))
    assert rows["wilayah"]["kode_referensi"] == "bps"
    assert rows["wilayah"]["tipe_data"] == "character"
    assert rows["desa"]["kode_referensi"] == "nama_desa"


def test_personal_data_are_pointed_out_not_shown(tmp_path: Path) -> None:
    nik = "3503011203900001"
    offered = offer(tmp_path, "nik,ket\n" + f"{nik},{nik}\n" * 9)
    assert len(offered["notes"]) == 2 and nik not in str(offered)
    assert offered["variabel"][0]["akses_umum"] == "2"


def test_title_row_is_told(tmp_path: Path) -> None:
    offered = offer(tmp_path, "DATA PENDUDUK,,\nkode,nama,n\n1,x,2\n")
    assert offered["variabel"] == [] and "judul" in offered["notes"][0]


def test_excel(tmp_path: Path) -> None:
    file = tmp_path / "data.xlsx"
    with xlsxwriter.Workbook(file, {"default_date_format": "yyyy-mm-dd"}) as book:
        book.add_worksheet("kosong")
        hidden = book.add_worksheet("sumber")
        hidden.hide()
        hidden.write_row(0, 0, ["x", "y"])
        sheet = book.add_worksheet("data")
        sheet.write_row(0, 0, ["kode", "n", "luas", "hari"])
        for y in range(1, 4):
            sheet.write_row(y, 0, ["001", y, y + 0.5])
            sheet.write_datetime(y, 3, dt.datetime(2025, 1, y))
    offered = guess.table(str(file), "xlsx")
    assert {r["nama"]: r["tipe_data"] for r in offered["variabel"]} == {
        "kode": "character",
        "n": "integer",
        "luas": "float",
        "hari": "date",
    }


def test_ragged_short_and_empty(tmp_path: Path) -> None:
    assert [r["nama"] for r in offer(tmp_path, "a,b\n1,2,3\n")["variabel"]] == ["a", "b", "kolom_3"]
    (row,) = offer(tmp_path, "tahun\n")["variabel"]
    assert row["tipe_data"] == "integer", "from the name alone"
    with pytest.raises(tabular.Rejected):
        offer(tmp_path, "")


def test_names_are_those_of_the_loader(tmp_path: Path) -> None:
    data = "sep=;\r\nPersen (%);;Persen (%)\r\n1;2;3\r\n"
    offered = offer(tmp_path, data)
    with tabular.read(str(tmp_path / "data.csv"), "csv") as source:
        assert [row["nama"] for row in offered["variabel"]] == source.names


def test_only_the_beginning_of_a_file_is_read(tmp_path: Path) -> None:
    file = tmp_path / "data.csv"
    with file.open("wb") as out:
        row = b"35.03.0%d,Panggul,12,1.5,a,2025-01-01\n"
        out.write(b"kode,nama,n,x,y,z\n" + (row % 1 + row % 2) * 200_000)
        # A sparse tail: as long as a large file, quickly made.
        out.truncate(100_000_000)
    start = time.perf_counter()
    rows = by_name(guess.table(str(file), "csv"))
    assert time.perf_counter() - start < 1
    assert rows["z"]["tipe_data"] == "date" and rows["kode"]["kode_referensi"] == "kemendagri"


def test_columns_of_a_catalogue() -> None:
    rows = guess.rows(
        [
            {"nama": "tahun", "judul": "Tahun", "tipe": "Year"},
            {"nama": "luas_panen_ha", "judul": "LUAS PANEN (Ha)", "tipe": "Angka/Numerik"},
            {"nama": "produktivitas_ku_ha", "judul": "PRODUKTIVITAS", "tipe": "Desimal"},
            {"nama": "populasi_ekor", "judul": "POPULASI", "tipe": "Angka/Numerik Penjumlahan"},
            {"nama": "nama", "judul": "NAMA", "tipe": "Karakter"},
            {"nama": "alamat", "judul": "", "tipe": "Text/Paragraf"},
            {"nama": "vertikal_id", "judul": "ID Data Kecamatan", "tipe": "ID"},
            {"nama": "desa", "judul": "DESA", "tipe": "Angka/Numerik"},
            {"nama": "kecamatan", "judul": "KECAMATAN", "tipe": "string"},
            {"nama": "lain"},
        ]
    )
    assert [row.get("tipe_data") for row in rows] == [
        "integer", "float", "float", "integer", "character", "character", "character",
        "integer", "character", None,
    ]  # fmt: skip
    assert [row.get("satuan") for row in rows[1:4]] == ["hektare", "kuintal_per_hektare", "ekor"]
    assert rows[0]["definisi"] and rows[0]["konsep"] == "Waktu"
    assert "kode_referensi" not in rows[7] and rows[8]["kode_referensi"] == "nama_kecamatan"
    field = schema.find("dataset", "variabel", "resource_fields")
    assert schema.clean(field, rows) == rows
