"""The import of a catalogue: reading, wording, rows; what can be checked without a portal."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pytest

from ckanext.satudata_trenggalek import demo, katalog, schema

CATALOGUE = demo.HERE / "katalog.jsonl"
ENTRIES = katalog.read(CATALOGUE)[0]


def entry(*columns: str, judul: str = "DATA PADI") -> katalog.Entry:
    kolom = [{"nama": name, "judul": name, "tipe": ""} for name in columns]
    return katalog.Entry(1, "7", judul, kolom)


def test_the_whole_catalogue_is_read() -> None:
    entries, problems, empty = katalog.read(CATALOGUE)
    assert (len(entries), problems, empty) == (323, [], 192)


@pytest.mark.parametrize("found", ENTRIES, ids=lambda e: e.id)
def test_every_entry_can_be_saved(found: katalog.Entry) -> None:
    content, _ = katalog.dataset(found, "opd")
    (resource,) = content["resources"]
    for name in ("title",):
        assert schema.clean(schema.find("dataset", name), content[name]) == content[name]
    assert 2 <= len(content["name"]) <= 100
    block = schema.find("dataset", "variabel", "resource_fields")
    rows: Any = schema.clean(block, resource["variabel"])
    assert [row["nama"] for row in rows] == [row["nama"] for row in resource["variabel"]]
    assert len(rows) == len(found.kolom)
    assert all(row.get("alias") and row.get("tipe_data") for row in rows)


def test_drafts_have_names_and_ids_of_their_own() -> None:
    made = [katalog.dataset(found, "opd")[0] for found in ENTRIES]
    for key in ("id", "name"):
        assert len({content[key] for content in made}) == len(made)
    assert katalog.id_of("opd", ENTRIES[0]) == katalog.id_of("opd", ENTRIES[0])
    assert katalog.id_of("opd", ENTRIES[0]) != katalog.id_of("opd-lain", ENTRIES[0])


GOOD = json.dumps({"id": 1, "judul": "A", "kolom": [{"nama": "tahun"}]}).encode()


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (b'{"id": 2, "judul": ', "bukan JSON"),
        (b"[" * 100_000, "bukan JSON"),
        (b'"teks"', "bukan objek JSON"),
        (b'{"id": 2, "judul": "\xff"}', "bukan UTF-8"),
        (b'{"judul": "A", "kolom": []}', "id tidak ada"),
        (b'{"id": true, "judul": "A", "kolom": []}', "id tidak ada"),
        (b'{"id": 2, "judul": " ", "kolom": []}', "judul tidak ada"),
        (b'{"id": 2, "judul": "A"}', "kolom bukan daftar"),
        (b'{"id": 2, "judul": "A", "kolom": [{"nama": "a"}, {}]}', "kolom ke-2 tanpa nama"),
        (b'{"id": 2, "judul": "A", "kolom": ["a"]}', "kolom ke-1 tanpa nama"),
        (b'{"id": "1", "judul": "B", "kolom": []}', "id 1 sudah ada pada baris 1"),
        (
            json.dumps(
                {"id": 2, "judul": "A", "kolom": [{"nama": f"k{n}"} for n in range(501)]}
            ).encode(),
            "501 kolom, paling banyak 500",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_bad_line_is_named_and_skipped(tmp_path: Path, line: bytes, message: str) -> None:
    file = tmp_path / "katalog.jsonl"
    file.write_bytes(b"\xef\xbb\xbf" + GOOD + b"\n\n" + line + b"\n" + GOOD.replace(b"1", b"3", 1))
    entries, problems, _ = katalog.read(file)
    assert [found.id for found in entries] == ["1", "3"]
    assert len(problems) == 1
    assert problems[0].startswith("Baris 3: ") and message in problems[0]


@pytest.mark.parametrize(
    ("judul", "title"),
    [
        ("DATA MASJID", "Masjid"),
        ("DATA UMKM KECAMATAN KARANGAN", "UMKM Kecamatan Karangan"),
        ("DATA TERPADU SOSIAL (DTKS) TAHUN 2022", "Data Terpadu Sosial (DTKS) Tahun 2022"),
        ("LPPD KABUPATEN TRENGGALEK", "LPPD"),
        ("DATA ADMINISTRASI WILAYAH KABUPATEN TRENGGALEK", "Administrasi Wilayah"),
        ("DAFTAR BUM DESA SE-KABUPATEN TRENGGALEK", "Daftar BUM Desa"),
        ("DATA JUMLAH KALORI KAB. TRENGGALEK TAHUN 2020-2024", "Jumlah Kalori Tahun 2020-2024"),
        ("DATA LUAS KOLAM, TAMBAK, DAN LAUT (M2)", "Luas Kolam, Tambak, dan Laut (m2)"),
        ("DATA USTADZ DAN USTADZAH TPA-TPQ", "Ustadz dan Ustadzah TPA-TPQ"),
        ("LKPJ BUPATI TRENGGALEK", "LKPJ Bupati Trenggalek"),
        ("Jumlah  Kematian Ibu", "Jumlah Kematian Ibu"),
        ("DATA", "Data"),
    ],
)  # fmt: skip
def test_titles(judul: str, title: str) -> None:
    assert katalog.title(judul) == title


@pytest.mark.parametrize(
    ("text", "alias"),
    [
        ("LUAS PANEN (Ha)", "Luas panen (ha)"),
        ("PRODUKTIVITAS (Ku/Ha)", "Produktivitas (ku/ha)"),
        ("ALAMAT", "Alamat"),
        ("jumlah_rt", "Jumlah rt"),
        ("JUMLAH PNS", "Jumlah PNS"),
        ("Laki-laki", "Laki-laki"),
    ],
)
def test_column_titles(text: str, alias: str) -> None:
    assert katalog.tidy(text, sentence=True) == alias


def test_columns_of_the_same_name() -> None:
    rows, notes = katalog.variables(entry("tahun", "TAHUN", "tahun", "a:b"))
    names = [row["nama"] for row in rows]
    assert names[0] == "tahun"
    assert len({name.casefold() for name in names}) == 4
    assert len(notes) == sum(
        a != b for a, b in zip(names, ["tahun", "TAHUN", "tahun", "a:b"], strict=True)
    )


def test_personal_data_by_the_names_of_columns() -> None:
    found = {e.id: katalog.personal(e) for e in ENTRIES}
    told = {id_: names for id_, names in found.items() if names}
    assert {id_: ["nik"] for id_ in ("61", "62", "76", "144")}.items() <= told.items()
    assert katalog.personal(entry("jumlah_penduduk", "nama")) == []


@pytest.mark.parametrize(
    ("blocked", "kind"),
    [
        ("title", "isian"),
        ("klasifikasi_penyajian", "isian"),
        ("id_kegiatan", "kegiatan"),
        ("indikator", "indikator"),
        ("indikator/0/konsep", "indikator"),
        ("resources", "berkas"),
        ("resources/abc/url", "berkas"),
        ("resources/abc/variabel", "variabel"),
        ("resources/abc/variabel/3/tipe_data", "variabel"),
    ],
)
def test_kinds_of_blockers(blocked: str, kind: str) -> None:
    assert katalog.kind_of(blocked) == kind


def result(**changes: Any) -> katalog.Result:
    values: dict[str, Any] = {
        "entry": entry("nik", judul="=HYPERLINK(1)"),
        "title": "Padi",
        "state": "baru",
        "name": "padi-7",
        "personal": ["nik"],
        "notes": [],
        "blockers": [
            {"field": field, "message": f"{field} belum diisi."}
            for field in ("title", "indikator", "resources/a/url", "resources/a/variabel/0/konsep")
        ],
    }
    return katalog.Result(**(values | changes))


def test_report(tmp_path: Path) -> None:
    file = tmp_path / "laporan.csv"
    katalog.write(file, [result()])
    (row,) = csv.DictReader(file.open(encoding="utf-8-sig", newline=""))
    assert row["judul_katalog"] == "'=HYPERLINK(1)"
    assert [row[kind] for kind in katalog.KINDS] == ["0", "1", "1", "1", "1"]
    assert (row["kurang"], row["data_pribadi"]) == ("4", "nik")
    assert row["kurang_pertama"].count(" | ") == katalog.FIRST - 1
    assert "[data pribadi: nik]" in katalog.line(result())


def test_summary() -> None:
    lines = katalog.summary([result()], ["Baris 3: bukan JSON."], 2)
    assert lines[0].startswith("1 draf baru, 0 sudah ada") and "1 baris dilewati" in lines[0]
    assert any("1 entri menyebut kolom data pribadi: Padi (nik)" in line for line in lines)
    again = katalog.summary([result(state="sudah ada")], [], 2)
    assert any(line.startswith("Tidak ada yang baru") for line in again)
    assert not any(line.startswith("Tidak ada yang baru") for line in lines)


def test_what_the_names_give_away() -> None:
    padi = next(found for found in ENTRIES if found.id == "127")
    rows = {row["nama"]: row for row in katalog.variables(padi)[0]}
    assert rows["luas_panen_ha"]["satuan"] == "hektare"
    assert rows["kecamatan"]["kode_referensi"] == "nama_kecamatan"
    assert rows["kecamatan"]["alias"] in ("Kecamatan", "-")  # not "ID Data Kecamatan"
    assert rows["tahun"]["tipe_data"] == "integer"
    # What only the officer knows stays open.
    assert "referensi_pemilihan" not in rows["luas_panen_ha"]
