"""The schema's YAML and the rules read from it; nothing but Python needed."""

from __future__ import annotations

import json
import re
import shutil
import time
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

import ckan.plugins.toolkit as tk
import pytest
import yaml
from ckan.lib.navl.dictization_functions import validate
from ckan.model import license as ckan_license
from hypothesis import given, settings
from hypothesis import strategies as st

from ckanext.satudata_trenggalek import schema, schema_check, schema_files
from ckanext.satudata_trenggalek.logic import validators

INDIKATOR: dict[str, Any] = {
    "nama": "Jumlah Kelahiran Hidup",
    "konsep": "Kelahiran",
    "definisi": "Banyaknya bayi lahir hidup.",
    "interpretasi": "Semakin besar, semakin banyak kelahiran.",
    "metode_perhitungan": "Penjumlahan laporan bulanan puskesmas.",
    "ukuran": "total",
    "satuan": "bayi",
    "klasifikasi_penyajian": ["32010026"],
    "komposit": "2",
    "kegiatan_pembangun": "Kompilasi Data KIA",
    "variabel_pembangun": "Kelahiran hidup",
    "level_estimasi": "kecamatan",
    "akses_umum": "1",
}
VARIABEL: dict[str, Any] = {
    "nama": "jumlah",
    "alias": "Jumlah kelahiran",
    "konsep": "Kelahiran",
    "definisi": "Banyaknya bayi lahir hidup.",
    "referensi_pemilihan": "Permenkes 21/2021",
    "referensi_waktu": "Satu tahun kalender",
    "tipe_data": "integer",
    "klasifikasi_isian": "-",
    "aturan_validasi": "0 atau lebih",
    "kalimat_pertanyaan": "-",
    "akses_umum": "1",
}
COMPLETE: dict[str, Any] = {
    "title": "Jumlah Kelahiran Menurut Kecamatan",
    "name": "jumlah-kelahiran-menurut-kecamatan",
    "owner_org": "dinkes",
    "notes": "Jumlah kelahiran hidup tiap kecamatan.",
    "kategori": "perlindungan-sosial-dan-kesehatan",
    "urusan": "1.02",
    "tahun_data": "2021-2025",
    "konsep": "Kelahiran",
    "definisi": "Banyaknya bayi lahir hidup dalam satu tahun kalender.",
    "klasifikasi_penyajian": ["32010026", "33220007"],
    "ukuran": "total",
    "satuan": "orang",
    "indikator": [INDIKATOR],
    "id_kegiatan": "kompilasi-data-kia-2026",
    "cakupan": "Kabupaten Trenggalek",
    "tingkat_penyajian": "kecamatan",
    "frekuensi": "tahunan",
    "jadwal_pemutakhiran": "2027-01-31",
    "klasifikasi": "terbuka",
    "license_id": "cc-by",
    "penanggung_jawab": "Bidang Kesehatan Masyarakat",
    "penanggung_jawab_email": "dinkes@trenggalekkab.go.id",
    "resources": [
        {
            "id": "r1",
            "url_type": "upload",
            "url": "http://localhost/dataset/x/resource/r1/download/kelahiran.csv",
            "name": "Kelahiran 2021-2025",
            "format": "CSV",
            "variabel": [VARIABEL],
        }
    ],
}


guess_format: Any = validators.satudata_guess_format


def field(name: str, group: str = "dataset_fields") -> schema.Field:
    return schema.find("dataset", name, group)


def blocked(files: Collection[str] = ("r1",), **changes: Any) -> dict[str, str]:
    dataset = {k: v for k, v in {**COMPLETE, **changes}.items() if v is not None}
    found = schema.blockers(dataset, set(files))
    return {b["field"]: b["message"] for b in found}


# --- The files as shipped ------------------------------------------------------------------------


def test_shipped_files_pass():
    schema_check.check()


def every_field() -> Iterator[schema.Field]:
    for type_ in schema.TYPES:
        for group in ("dataset_fields", "resource_fields"):
            yield from schema.fields(type_, group)


def test_every_field_is_explained_in_both_languages():
    for f in every_field():
        for subfield in (f, *f.get("butir", [])):
            for key in ("label", "help_text", "contoh"):
                assert subfield[key]["id"] and subfield[key]["en"], (subfield["field_name"], key)
        assert f["prinsip"] in schema.PRINCIPLES
        assert f["langkah"]


def test_examples_of_codes_are_labels_of_the_list():
    for f in every_field():
        for subfield in (f, *f.get("butir", [])):
            if "vocab" in subfield:
                labels = {c["label"]["id"] for c in schema.vocab(subfield["vocab"])}
                example = subfield["contoh"]["id"]
                assert example in labels or set(example.split(", ")) <= labels, subfield


def test_other_examples_could_be_saved():
    for f in every_field():
        for subfield in (f, *f.get("butir", [])):
            kind = subfield.get("jenis", "teks")
            if kind not in ("berulang", "kegiatan") and "vocab" not in subfield:
                for example in subfield["contoh"].values():
                    assert schema.clean(subfield, example) == example


@pytest.mark.parametrize("type_", schema.TYPES)
def test_steps_hold_the_fields_in_order(type_: str):
    content = schema_files.load(schema.FOLDER / f"{type_}.yaml")
    steps = [step["id"] for step in content["langkah"]]
    used = [f["langkah"] for f in content["dataset_fields"] + content["resource_fields"]]
    assert list(dict.fromkeys(used)) == steps
    assert used == sorted(used, key=steps.index)


def test_nothing_offers_visibility():
    names = {f["field_name"] for f in every_field()}
    assert not names & {"private", "state", "data_prioritas"}


def test_a_draft_needs_title_name_and_owner_only():
    required = {f["field_name"] for f in schema.fields("dataset") if f.get("required")}
    # klasifikasi is always filled: from what is stored, else terbuka
    assert required == {"title", "name", "owner_org", "klasifikasi"}
    assert not [f for f in schema.fields("dataset", "resource_fields") if f.get("required")]
    required = {f["field_name"] for f in schema.fields("kegiatan") if f.get("required")}
    assert required == {"title", "name", "owner_org"}


def test_frequencies_are_those_of_the_national_portal():
    assert [c["label"]["id"] for c in schema.vocab("frekuensi")] == [
        "Harian", "Mingguan", "Bulanan", "Triwulanan", "Empat Bulanan", "Semesteran", "Tahunan",
        "Dua Tahunan", "Ad-hoc",
    ]  # fmt: skip


def test_ten_topics_can_be_names_of_groups():
    topics = schema.vocab("kategori")
    assert [t["kode"] for t in topics] == [f"{n:02}" for n in range(1, 11)]
    assert all(re.fullmatch("[a-z0-9-]{2,100}", t["value"]) for t in topics)


def test_licences_are_ckans():
    known = {c.id for c in vars(ckan_license).values() if isinstance(getattr(c, "id", None), str)}
    offered = [c["value"] for c in schema.vocab("lisensi")]
    assert offered == ["cc-by", "cc-zero", "odc-odbl", "other-closed"]
    assert set(offered) <= known


def test_unknown_vocabulary_names_the_known_ones():
    with pytest.raises(schema.SchemaError, match=r"vocab/hobi\.yaml: .*frekuensi.*urusan"):
        schema.vocab("hobi")


def test_principles_in_order():
    found = schema.principles()
    assert tuple(found) == schema.PRINCIPLES
    assert [f["field_name"] for f in found["standar_data"]] == [
        "id_sds", "konsep", "definisi", "klasifikasi_penyajian", "klasifikasi_isian", "ukuran",
        "satuan", "indikator",
    ]  # fmt: skip
    for type_ in schema.TYPES:
        found = schema.principles(type_)
        assert tuple(found) == schema.PRINCIPLES
        assert all(found.values())
        assert sum(len(f) for f in found.values()) == len(schema.fields(type_))


# --- What `ajukan` needs -------------------------------------------------------------------------


def test_complete_dataset_is_not_blocked():
    assert blocked() == {}


NEEDED = [
    "title", "owner_org", "notes", "kategori", "urusan", "tahun_data", "konsep", "definisi",
    "klasifikasi_penyajian", "satuan", "indikator", "id_kegiatan", "cakupan",
    "tingkat_penyajian", "frekuensi", "jadwal_pemutakhiran", "klasifikasi", "license_id",
    "penanggung_jawab", "penanggung_jawab_email",
]  # fmt: skip


def test_the_list_of_what_is_needed_is_complete():
    names = [f["field_name"] for f in schema.fields("dataset")]
    assert [f["field_name"] for f in schema.fields("dataset") if f.get("ajukan")] == sorted(
        [*NEEDED, "ukuran", "dasar_hukum_klasifikasi"], key=names.index
    )


@pytest.mark.parametrize("empty", [None, "", "  \n ", []])
@pytest.mark.parametrize("name", sorted({*NEEDED} - {"indikator"}))
def test_each_needed_field_blocks_when_empty(name: str, empty: Any):
    found = blocked(**{name: empty})
    assert list(found) == [name]
    assert field(name)["label"]["id"] in found[name]
    assert field(name)["contoh"]["id"].rstrip(".") in found[name]


def test_unit_and_measure_need_each_other():
    assert blocked(ukuran=None, satuan=None, indikator=None) == {}
    assert "karena ukuran sudah diisi" in blocked(satuan=None)["satuan"]
    assert "karena satuan sudah diisi" in blocked(ukuran=None)["ukuran"]
    assert blocked(ukuran=None, satuan="tanpa_satuan") == {}


def test_figures_need_their_indicators():
    assert "karena ukuran sudah diisi" in blocked(indikator=None)["indikator"]
    assert list(blocked(indikator=[{}, {}])) == ["indikator"]


def test_legal_basis_is_needed_only_when_not_open():
    assert list(blocked(klasifikasi="terbatas")) == ["dasar_hukum_klasifikasi"]
    assert blocked(klasifikasi="tertutup", dasar_hukum_klasifikasi="UU 14/2008 Ps 17") == {}


def test_ad_hoc_data_have_no_next_date():
    assert blocked(frekuensi="ad_hoc", jadwal_pemutakhiran=None) == {}


def test_a_code_that_left_its_list_blocks():
    assert "bulan-purnama" in blocked(frekuensi="bulan-purnama")["frekuensi"]
    assert list(blocked(ukuran="berat")) == ["ukuran"]
    assert list(blocked(klasifikasi_penyajian=["32010026", "x"])) == ["klasifikasi_penyajian"]


@pytest.mark.parametrize("junk", [5, True, {"a": 1}, [["x"]], 1.5])
def test_junk_from_before_the_schema_is_told_not_raised(junk: Any):
    junk_item = dict.fromkeys([*NEEDED, "id_sds"], junk)
    dataset = {**junk_item, "resources": [{"id": "x", "url": junk}]}
    assert "satuan" in {b["field"] for b in schema.blockers(dataset, set())}


def test_resource_needs_its_file_and_its_name():
    bare = [{"id": "r1", "url": "", "name": " "}]
    assert list(blocked(resources=bare, files=())) == [
        "resources/r1/url",
        "resources/r1/name",
    ]
    assert list(blocked(resources=bare)) == ["resources/r1/name"]
    # an upload whose bytes are not there
    assert list(blocked(files=())) == ["resources/r1/url"]


def test_of_several_files_it_is_said_which_one():
    files = [
        {"id": "r1", "url": "a.pdf", "name": "Laporan"},
        {"id": "r2", "url": "b.csv", "name": "Tabel"},
        {"id": "r3", "url": "c.pdf", "name": ""},
    ]
    told = blocked(resources=files)
    assert told["resources/r2/variabel"].startswith("“Tabel”: Variabel belum diisi")
    assert told["resources/r3/name"].startswith("“Berkas ke-3”: Nama berkas belum diisi")


def test_links_and_missing_files_are_judged_elsewhere():
    link = [{"id": "r2", "url": "https://example.org/a.pdf", "name": "Tautan"}]
    assert blocked(resources=link) == {}
    assert blocked(resources=[]) == {}


def test_national_code_is_optional():
    assert blocked(id_sds=None, kode_dssd=None) == {}


@pytest.mark.parametrize("name", ["a.csv", "a.TSV", "a.xlsx", "a.xls", "a.csv?x=1", "a.csv#b"])
def test_a_table_needs_its_variables(name: str):
    link = [{"id": "r2", "url": f"https://example.org/{name}", "name": "Tabel"}]
    assert "karena berkasnya tabel" in blocked(resources=link)["resources/r2/variabel"]


# --- Rows ----------------------------------------------------------------------------------------


def rows_blocked(name: str, *rows: dict[str, Any]) -> dict[str, str]:
    """Blockers of a block by row and subfield."""
    if name == "indikator":
        found = blocked(indikator=list(rows))
    else:
        found = blocked(resources=[{**COMPLETE["resources"][0], "variabel": list(rows)}])
        found = {k.removeprefix("resources/r1/"): v for k, v in found.items()}
    assert all(key.startswith(f"{name}/") for key in found)
    return {key.removeprefix(f"{name}/"): message for key, message in found.items()}


@pytest.mark.parametrize("row", [INDIKATOR, VARIABEL], ids=["indikator", "variabel"])
def test_each_needed_item_of_a_row_blocks_when_empty(row: dict[str, Any]):
    block = "indikator" if row is INDIKATOR else "variabel"
    group = "dataset_fields" if row is INDIKATOR else "resource_fields"
    subfields = {f["field_name"]: f for f in field(block, group)["butir"]}
    good = {**row, "nama": "Baris baik"}
    for name in row.keys() - {"ukuran", "komposit"}:
        found = rows_blocked(block, good, {**row, name: ""})
        assert list(found) == [f"1/{name}"]
        item, label = subfields[name]["bps_item"], subfields[name]["label"]["id"]
        assert found[f"1/{name}"].startswith(f"Baris 2, {item} {label} belum ")


def test_an_indicator_without_konsep():
    assert (
        "Baris 1, MS-Ind 3 Konsep belum diisi"
        in rows_blocked("indikator", {**INDIKATOR, "konsep": " "})["0/konsep"]
    )


def test_unit_and_measure_of_an_indicator():
    without_measure = {k: v for k, v in INDIKATOR.items() if k != "ukuran"}
    assert list(rows_blocked("indikator", without_measure)) == ["0/ukuran"]
    assert rows_blocked("indikator", {**without_measure, "satuan": ""}) == {}
    assert list(rows_blocked("variabel", {**VARIABEL, "ukuran": "total"})) == ["0/satuan"]


def test_variables_of_one_name():
    again = {**VARIABEL, "nama": " JUMLAH"}
    found = rows_blocked("variabel", VARIABEL, {**VARIABEL, "nama": "lain"}, again)
    assert list(found) == ["2/nama"]
    assert "Baris 3, MS-Var 2 Nama Variabel:" in found["2/nama"]
    assert "sudah dipakai di baris 1" in found["2/nama"]


def test_what_is_wrong_in_stored_rows_is_told_by_row():
    found = rows_blocked("variabel", VARIABEL, {**VARIABEL, "nama": "b", "tipe_data": "teks"})
    assert list(found) == ["1/tipe_data"]
    assert 'Baris 2, MS-Var 8 Tipe Data: Kode "teks" tidak ada' in found["1/tipe_data"]
    for junk in ("x", 5, {"a": 1}, [1], [[VARIABEL]]):
        resources = [{**COMPLETE["resources"][0], "variabel": junk}]
        assert list(blocked(resources=resources)) == ["resources/r1/variabel"]


BLOCK = field("indikator")


def told(value: object) -> list[str]:
    with pytest.raises(tk.Invalid) as error:
        schema.clean(BLOCK, value)
    return getattr(error.value, "messages", [error.value.error])


def test_rows_are_tidied_and_keep_their_order():
    sent = [{"satuan": "", "nama": f" Indikator {n} ", "komposit": 2} for n in range(60)]
    clean = schema.clean(BLOCK, [*sent[:30], {}, {"nama": " "}, *sent[30:]])
    assert clean == [{"nama": f"Indikator {n}", "komposit": "2"} for n in range(60)]
    assert schema.clean(BLOCK, clean) == clean


def test_bad_rows_are_named_by_row_and_item():
    rows = [
        INDIKATOR,
        {**INDIKATOR, "satuan": "zak-semen", "definisi": "x" * 5001, "nama": "a\x00b"},
    ]
    messages = told(rows)
    assert messages == [
        "Baris 2, MS-Ind 2 Nama Indikator memuat karakter yang tidak tampak (U+0000)."
        " Hapus dan ketik ulang bagian itu.",
        "Baris 2, MS-Ind 4 Definisi terlalu panjang: 5001 karakter, paling banyak 5000. Ringkas.",
        'Baris 2, MS-Ind 8 Satuan: Kode "zak-semen" tidak ada dalam daftar MS-Ind 8 Satuan.'
        " Pilih dari daftar, atau minta Walidata menambahkannya.",
    ]
    cells = schema.cell_errors(BLOCK, rows)
    assert list(cells) == [(1, "nama"), (1, "definisi"), (1, "satuan")]
    assert cells[1, "definisi"].startswith("MS-Ind 4 Definisi terlalu panjang")
    assert schema.cell_errors(BLOCK, [INDIKATOR]) == {}
    assert schema.cell_errors(BLOCK, "x") == {}


def test_unknown_keys_and_rows_that_are_none_are_named():
    assert told([{"nama": "a", "konsepp": "b"}]) == [
        'Baris 1: butir "konsepp" tidak dikenal dalam Indikator. Hapus butir itu.'
    ]
    assert told([INDIKATOR, "a", None]) == [
        "Baris 2: Indikator harus berupa pasangan nama butir dan isinya.",
        "Baris 3: Indikator harus berupa pasangan nama butir dan isinya.",
    ]
    assert told({"nama": "a"}) == ["Indikator harus berupa daftar baris."]
    assert told('[{"nama": "a"}]') == ["Indikator harus berupa daftar baris."]


def test_too_many_rows_are_refused_before_they_are_read():
    variables = field("variabel", "resource_fields")
    started = time.perf_counter()
    with pytest.raises(tk.Invalid) as error:
        schema.clean(variables, [{"nama": {"bukan": "teks"}}] * 10_000)
    assert error.value.error == "Variabel terlalu banyak: 10000 baris, paling banyak 500. Kurangi."
    assert time.perf_counter() - started < 0.01
    assert schema.clean(variables, [{"nama": f"v{n}"} for n in range(500)])


def test_a_table_of_errors_is_not_told_in_full():
    messages = told([{"satuan": "zak-semen", "ukuran": "berat"}] * 200)
    assert len(messages) == 51
    assert messages[-1] == "Dan 350 kesalahan lain."
    assert len(schema.cell_errors(BLOCK, [{"satuan": "zak-semen", "ukuran": "x"}] * 200)) == 400


def test_reading_rows_never_fails():
    rows = [{"nama": "a"}, {"nama": "b"}]
    assert schema.rows(BLOCK, rows) == schema.rows(BLOCK, json.dumps(rows)) == rows
    for junk in (None, "", "x", "[", "[" * 100_000, 5, {"a": 1}, tk.missing, "[1]", ["a"]):
        assert schema.rows(BLOCK, junk) == []


def test_cleaning_many_rows_is_quick():
    variables = [{**VARIABEL, "nama": f"kolom_{n}", "ukuran": "total", "satuan": "bayi"}
                 for n in range(60)]  # fmt: skip
    indicators = [INDIKATOR] * 20
    started = time.perf_counter()
    for _resource in range(5):
        schema.clean(field("variabel", "resource_fields"), variables)
    schema.clean(BLOCK, indicators)
    assert time.perf_counter() - started < 0.1


# --- Forms ---------------------------------------------------------------------------------------


def test_rows_of_a_form_come_in_the_order_of_their_numbers():
    data: dict[str, Any] = {f"indikator-{n}-nama": f"Indikator {n}" for n in reversed(range(60))}
    data |= {f"indikator-{n}-konsep": "" for n in range(70)}  # ten rows left blank
    data |= {"indikator-7-klasifikasi_penyajian": ["32010026", "waktu"], "title": "a-b"}
    data |= {"indikator-x-nama": "?", "indikatorr-0-nama": "?", "resources": [
        {"variabel-10-nama": "k", "variabel-9-nama": "j", "url": "a-1-b"}, "x"]}  # fmt: skip
    schema.expand(data, "dataset")
    assert [row["nama"] for row in data["indikator"]] == [f"Indikator {n}" for n in range(60)]
    assert data["indikator"][7]["klasifikasi_penyajian"] == ["32010026", "waktu"]
    assert data["resources"] == [{"variabel": [{"nama": "j"}, {"nama": "k"}], "url": "a-1-b"}, "x"]
    assert data["indikator-x-nama"] == data["indikatorr-0-nama"] == "?"
    assert set(data) == {"indikator", "title", "resources", "indikator-x-nama", "indikatorr-0-nama"}


def test_rows_of_a_program_are_left_alone():
    data = {"indikator": [INDIKATOR, {}], "resources": [{"variabel": [VARIABEL]}]}
    before = json.loads(json.dumps(data))
    schema.expand(data, "dataset")
    assert data == before
    schema.expand({"resources": "x"}, "dataset")


def test_one_ticked_box_becomes_a_list():
    # As text, "16" would tick the box "1" of a form that was refused.
    data = {"metode_pengumpulan": "16", "variabel_kegiatan-0-nama": " "}
    schema.expand(data, "kegiatan")
    assert data == {"metode_pengumpulan": ["16"], "variabel_kegiatan": []}


# --- Skip rules ----------------------------------------------------------------------------------


def test_labels_of_codes():
    f = schema.find("kegiatan", "cara_pengumpulan_data")
    assert schema.choice_label(f, "2") == "Survei"
    assert schema.choice_label(f, "9") == "9"


def test_several_conditions_must_all_hold():
    two = {"tampil": [{"field": "a", "in": ["1"]}, {"field": "b", "in": ["2", "4"]}]}
    assert schema.shown(two, {"a": "1", "b": ["4", "8"]})
    assert schema.shown(two, {"a": "1", "b": '["4"]'})
    assert not schema.shown(two, {"a": "1", "b": ["8"]})
    assert not schema.shown(two, {"b": ["4"]})
    assert schema.shown({}, {})


@pytest.mark.parametrize(
    ("condition", "value", "holds"),
    [
        ({}, "x", True),
        ({}, " ", False),
        ({}, [], False),
        ({}, None, False),
        ({"not": "a"}, "b", True),
        ({"not": "a"}, "a", False),
        ({"not": "a"}, "", False),
        ({"in": ["a", "b"]}, "b", True),
        ({"in": ["a", "b"]}, "c", False),
        ({"in": ["1"]}, ["16"], False),
        ({"pola": "[0-9]+"}, "12", True),
        ({"pola": "[0-9]+"}, "12a", False),
    ],
)
def test_conditions_of_ajukan(condition: dict[str, Any], value: object, holds: bool):
    rule = {"ajukan": {"if": {"field": "f", **condition}, "alasan": {}}}
    assert schema.needed(rule, {"f": value}) is holds


# --- Values --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "typed", "stored"),
    [
        ("title", "  Jumlah \t Penduduk\n", "Jumlah Penduduk"),
        ("title", "a < b & <b>tebal</b>", "a < b & <b>tebal</b>"),
        ("title", "Ha\u00adsil\u200b", "Hasil"),
        ("title", "Cafe\u0301", "Caf\u00e9"),
        ("title", 2024, "2024"),
        ("definisi", "satu\r\ndua\u2028tiga", "satu\ndua\ntiga"),
        ("tahun_data", 2024, "2024"),
        ("tahun_data", 2024.0, "2024"),
        ("tahun_data", "2021 - 2025", "2021-2025"),
        ("tahun_data", "2021\u20132025", "2021-2025"),
        ("tahun_data", "2021 s.d. 2025", "2021-2025"),
        ("tahun_data", "2024-2024", "2024"),
        ("jadwal_pemutakhiran", "2028-02-29", "2028-02-29"),
        ("penanggung_jawab_email", " a.b@dinkes.go.id ", "a.b@dinkes.go.id"),
        ("id_sds", "10110023", "10110023"),
        ("kode_dssd", "1.01.000474", "1.01.000474"),
        ("satuan", " orang ", "orang"),
        ("klasifikasi_penyajian", "33220007", ["33220007"]),
        ("klasifikasi_penyajian", ["33220007", "32010026", ""], ["32010026", "33220007"]),
        ("klasifikasi_penyajian", [], ""),
        ("klasifikasi_penyajian", [""], ""),
        ("konsep", None, ""),
        ("konsep", tk.missing, ""),
        ("konsep", " \u200b ", ""),
    ],
)
def test_tidied(name: str, typed: object, stored: object):
    assert schema.clean(field(name), typed) == stored


@pytest.mark.parametrize(
    ("name", "typed", "told"),
    [
        ("title", "x" * 301, "Judul terlalu panjang: 301 karakter, paling banyak 300"),
        ("notes", "x" * 20001, "Deskripsi terlalu panjang"),
        ("title", "a\x00b", r"Judul memuat karakter yang tidak tampak \(U\+0000\)"),
        ("title", "a\x1bb", r"U\+001B"),
        ("title", "gaji\u202e001", r"U\+202E"),
        ("notes", "\ud800", r"U\+D800"),
        ("title", ["a"], "Judul harus berupa teks"),
        ("title", {"id": "a"}, "Judul harus berupa teks"),
        ("title", False, "Judul harus berupa teks"),
        ("title", 10**15, "Judul terlalu besar"),
        ("title", 1.5, "Judul harus berupa teks"),
        ("id_sds", 10110023, "Kode SDS harus berupa teks"),
        ("id_kegiatan", "a b", "Kegiatan statistik .* Pilih dari daftar kegiatan"),
        ("satuan", "oranges", 'Kode "oranges" tidak ada dalam daftar Satuan. Pilih dari daftar'),
        ("satuan", ["orang"], "Satuan harus berupa teks"),
        ("satuan", "Orang", "tidak ada dalam daftar Satuan"),
        ("license_id", "gfdl", "tidak ada dalam daftar Lisensi"),
        ("klasifikasi_penyajian", ["32010026", "99"], 'Kode "99" tidak ada dalam daftar'),
        ("klasifikasi_penyajian", '["33220007"]', "tidak ada dalam daftar"),
        ("klasifikasi_penyajian", {"a": 1}, "harus berupa teks"),
        ("tahun_data", "24", 'Tahun data "24" tidak sesuai bentuknya.*misalnya 2024'),
        ("tahun_data", "2025-2021", "2021-2025"),
        ("tahun_data", "2021-20255", "Tahun data"),
        ("tahun_data", "1024", "Tahun data"),
        ("tahun_data", "\u0662\u0660\u0662\u0664", "Tahun data"),
        ("jadwal_pemutakhiran", "31-01-2027", "bukan tanggal yang benar.*2027-01-31"),
        ("jadwal_pemutakhiran", "2027-02-30", "bukan tanggal yang benar"),
        ("jadwal_pemutakhiran", "20270131", "bukan tanggal yang benar"),
        ("jadwal_pemutakhiran", "0001-01-01", "bukan tanggal yang benar"),
        ("penanggung_jawab_email", "dinkes", "Surel penanggung jawab .* bukan alamat surel"),
        ("penanggung_jawab_email", "a@b", "bukan alamat surel"),
        ("penanggung_jawab_email", "a b@c.id", "bukan alamat surel"),
        ("id_sds", "1234", "Tulis 8 angka seperti 10110023"),
        ("kode_dssd", "1.1.1", "Tulis seperti 1.02.000474"),
    ],
)
def test_refused_with_field_and_remedy(name: str, typed: object, told: str):
    with pytest.raises(tk.Invalid) as error:
        schema.clean(field(name), typed)
    assert re.search(told, error.value.error)


@pytest.mark.parametrize("url", ["data.csv", "https://a.id/x.csv", "HTTP://a.id", "a b.csv", ""])
def test_addresses_kept(url: str):
    assert schema.clean(field("url", "resource_fields"), url) == url


@pytest.mark.parametrize(
    "url", ["javascript:alert(1)", "JaVaScript:x", "data:text/html,x", "file:///etc/passwd",
            "//evil.example", "https://", "https:evil", "https://[x", "http:///a",
            "https://user:sandi@a.id/"],
)  # fmt: skip
def test_addresses_refused(url: str):
    with pytest.raises(tk.Invalid, match=r"Unggah berkasnya|karakter"):
        schema.clean(field("url", "resource_fields"), url)


def test_counts():
    count = schema.find("kegiatan", "jumlah_supervisor")
    for sent, stored in ((14, "14"), (0, "0"), (" 007 ", "7"), ("", ""), (12.0, "12")):
        assert schema.clean(count, sent) == stored
    for bad in ("-1", "1.000", "1,5", "dua", "\u0662", "1234567", 1234567, -1, 1.5, True):
        with pytest.raises(tk.Invalid, match=r"MS-Keg 6\.6 Jumlah Petugas"):
            schema.clean(count, bad)


def test_the_year_of_a_kegiatan_is_one_year():
    year = schema.find("kegiatan", "tahun_kegiatan")
    assert schema.clean(year, 2026) == schema.clean(year, " 2026") == "2026"
    for bad in ("2025-2026", "26", "1026", 26):
        with pytest.raises(tk.Invalid, match="Tahun Kegiatan"):
            schema.clean(year, bad)


def test_long_values_are_not_echoed():
    with pytest.raises(tk.Invalid) as error:
        schema.clean(field("konsep") | {"jenis": "tahun", "maks": 10**6}, "9" * 10**5)
    assert len(error.value.error) < 300


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)


@settings(max_examples=1000, deadline=None)
@given(json_values)
def test_any_json_is_cleaned_or_refused_and_clean_stays_clean(value: object):
    for f in every_field():
        try:
            once = schema.clean(f, value)
        except tk.Invalid as e:
            assert f["label"]["id"] in e.error
        else:
            assert schema.clean(f, once) == once
            json.dumps(once, ensure_ascii=False).encode("utf-8")


# --- The validators ------------------------------------------------------------------------------


default: Any = tk.get_validator("default")
satudata_value: Any = validators.satudata_value


def run(name: str, data: dict[str, Any], context: Any = None) -> tuple[dict[str, Any], Any]:
    chain: list[Any] = [satudata_value(field(name), {})]
    if name == "klasifikasi":
        chain = [validators.satudata_keep_stored, default("terbuka"), *chain]
    return validate(data, {name: chain}, context or {})


class Stored:
    extras = {"klasifikasi": "tertutup"}


def test_value_is_stored_tidy_or_not_at_all():
    assert run("konsep", {"konsep": " Kelahiran "}) == ({"konsep": "Kelahiran"}, {})
    assert run("konsep", {"konsep": " "}) == ({}, {})
    assert run("konsep", {}) == ({}, {})
    assert run("klasifikasi_penyajian", {"klasifikasi_penyajian": ["32010026"]}) == (
        {"klasifikasi_penyajian": '["32010026"]'},
        {},
    )


def test_required_and_bad_values_are_errors_of_their_field():
    assert run("title", {})[1] == {"title": ["Judul wajib diisi."]}
    assert run("title", {"title": " \n"})[1] == {"title": ["Judul wajib diisi."]}
    assert list(run("satuan", {"satuan": "x"})[1]) == ["satuan"]


@pytest.mark.parametrize("sent", [{}, {"klasifikasi": ""}, {"klasifikasi": None}])
def test_leaving_the_classification_out_never_opens_data(sent: dict[str, Any]):
    assert run("klasifikasi", sent) == ({"klasifikasi": "terbuka"}, {})
    assert run("klasifikasi", sent, {"package": Stored}) == ({"klasifikasi": "tertutup"}, {})


def test_format_is_guessed_but_a_bad_address_does_not_crash():
    def guess(url: object, fmt: object = "") -> object:
        data: dict[Any, Any] = {("format",): fmt, ("url",): url}
        guess_format(("format",), data, {}, {})
        return data[("format",)]

    assert guess("data.csv") == "text/csv"
    assert guess("data.csv", "XLSX") == "XLSX"
    assert guess("http://[x") == ""
    assert guess(5) == ""


# --- Broken files --------------------------------------------------------------------------------


@pytest.fixture()
def folder(tmp_path: Path) -> Path:
    """A copy of the shipped files to break."""
    return Path(shutil.copytree(schema.FOLDER, tmp_path / "schemas"))


def line_of(path: Path, text: str) -> int:
    return path.read_text().split(text)[0].count("\n") + 1


@pytest.mark.parametrize(
    ("file", "old", "new", "told"),
    [
        ("dataset.yaml", "label: {id: Konsep, en: Concept}", "label: {id: Konsep", "YAML: "),
        ("dataset.yaml", "label: {id: Konsep, en: Concept}", "label: {id: Konsep}",
         "label konsep tidak lengkap dalam bahasa en"),
        ("dataset.yaml", "label: {id: Konsep, en: Concept}", "label: Konsep", "label konsep"),
        ("dataset.yaml", "bps_item: MS-Ind 3", "bps_item: Ind-3", "Tulis seperti MS-Ind 3"),
        ("kegiatan.yaml", "in: [\"2\"]}", "in: [\"7\"]}", "kode '7' yang tidak ada di vocab"),
        ("kegiatan.yaml", "in: [\"2\"]}", "in: [2]}", "kode 2 yang tidak ada di vocab"),
        ("kegiatan.yaml", "in: [\"2\"]}", "in: \"2\"}", "bukan daftar kode"),
        ("kegiatan.yaml", "in: [\"2\"]}", "not: \"2\"}", "Tulis tampil:"),
        ("kegiatan.yaml", "{field: pelaksanaan,", "{field: laksana,", "'laksana' yang tidak ada"),
        ("kegiatan.yaml", "{field: pelaksanaan,", "{field: title,", "yang bukan pilihan"),
        ("kegiatan.yaml", "{field: pelaksanaan,", "{field: frekuensi_penyelenggaraan,",
         "'frekuensi_penyelenggaraan' yang tidak ada"),
        ("kegiatan.yaml", "    paling_banyak: 200\n", "", "paling_banyak tidak ada"),
        ("kegiatan.yaml", "paling_banyak: 200", "paling_banyak: nol", "bukan bilangan"),
        ("kegiatan.yaml", "    butir:\n      - field_name: nama\n",
         "    butir:\n      - nama: nama\n", "field_name None bukan teks"),
        ("kegiatan.yaml", "      - field_name: konsep", "      - field_name: nama", "dua kali"),
        ("kegiatan.yaml", "sesudah: jadwal_desain_mulai", "sesudah: desain", "'desain' yang tidak"),
        ("kegiatan.yaml", "sesudah: jadwal_desain_mulai", "sesudah: tujuan", "untuk tanggal"),
        ("kegiatan.yaml", "resource_fields: []", "resource_fields: ~", "daftar resource_fields"),
        ("kegiatan.yaml", "{id: blok_8,", "{id: blok_7,", "blok_7 dipakai dua kali"),
        ("kegiatan.yaml", "vocab: sektor_kegiatan", "vocab: sektor", "vocab 'sektor'"),
        ("dataset.yaml", "unik: nama", "unik: namaa", "unik 'namaa' tidak dikenal"),
        ("dataset.yaml", "unik: nama", "maks: 5\n    uniq: nama", "kunci 'uniq' tidak dikenal"),
        ("dataset.yaml", "    preset: satudata_tahun\n",
         "    preset: satudata_tahun\n    butir: []\n", "butir tanpa jenis berulang"),
        ("dataset.yaml", "tampil: {field: komposit,", "tampil: {field: komposit, x: 1,",
         "Tulis tampil:"),
        ("dataset.yaml", "        preset: satudata_teks\n        maks: 300",
         "        preset: satudata_berulang\n        maks: 300", "jenis 'berulang' tidak dikenal"),
        ("dataset.yaml", "        vocab: ukuran", "        vocab: ukurann", "vocab 'ukurann'"),
        ("dataset.yaml", "{field: url, pola: '(?i:", "{field: url, pola: '((?i:", "pola salah"),
        ("dataset.yaml", "not: tanpa_satuan", "not: tanpasatuan", "kode 'tanpasatuan' yang tidak"),
        ("dataset.yaml", "not: tanpa_satuan", "not: orang, in: [orang]", "Tulis ajukan: true"),
        ("dataset.yaml", "bps_item: MS-Ind 3", "bps_itm: MS-Ind 3", "kunci 'bps_itm'"),
        ("dataset.yaml", "    vocab: ukuran", "    vocab: ukurann", "vocab 'ukurann'"),
        ("dataset.yaml", "if: {field: ukuran}", "if: {field: ukurannya}", "'ukurannya'"),
        ("dataset.yaml", "if: {field: ukuran}", "when: {field: ukuran}", "Tulis ajukan: true"),
        ("dataset.yaml", "field_name: ukuran", "field_name: konsep", "konsep dipakai dua kali"),
        ("dataset.yaml", "field_name: ukuran", "field_name: private", "milik portal"),
        ("dataset.yaml", "field_name: ukuran", "field_name: satudata_x", "milik portal"),
        ("dataset.yaml", "preset: satudata_tahun", "preset: satudata_thn", "preset 'satudata_thn'"),
        ("dataset.yaml", "default: cc-by", "default: cc-bye", "default 'cc-bye'"),
        ("dataset.yaml", "maks: 20000", "maks: banyak", "maks 'banyak' bukan bilangan"),
        ("dataset.yaml", "    pola: '[0-9]\\.", "    pola: '([0-9]\\.", "pola salah"),
        ("dataset.yaml", "satudata_value tag_string_convert", "satudata_value tag_string_covert",
         "'tag_string_covert' tidak dikenal"),
        ("dataset.yaml", "    maks: 20000", "    maks: 20000\n    maks: 1", "tertulis dua kali"),
        ("dataset.yaml", "dataset_type: dataset", "type: dataset", "dataset_type tidak ada"),
        ("dataset.yaml", "- {id: berkas,", "- {id: jadwal,", "jadwal dipakai dua kali"),
        ("dataset.yaml", "  - {id: berkas, label: {id: Berkas data, en: Data files}}", "  # hilang",
         "langkah 'berkas' tidak dikenal"),
        ("presets.yaml", "jenis: tanggal", "jenis: tgl", "jenis 'tgl' tidak dikenal"),
        ("presets.yaml", "preset_name: satudata_email", "preset_name: satudata_teks", "dua kali"),
        ("organization.yaml", "en: Agency code", "ne: Agency code", "label kode_opd"),
        ("group.yaml", "fields:", "field:", "daftar fields tidak ada"),
        ("vocab/urusan.yaml", '"1.02"', "1.02", "value 1.02 bukan teks"),
        ("vocab/urusan.yaml", '"1.02"', '"1.01"', "value 1.01 dipakai dua kali"),
        ("vocab/urusan.yaml", '"1.02"', '"1 02"', "salah bentuk"),
        ("vocab/urusan.yaml", "source: >-", "sumber: >-", "source tidak ada"),
        ("vocab/klasifikasi.yaml", '"terbatas"', "no", "bukan teks"),
        ("vocab/klasifikasi.yaml", "value:", "no:", "kunci False bukan teks"),
        ("vocab/ukuran.yaml", 'en: "Median"', 'en: ""', "label median"),
    ],
)  # fmt: skip
def test_broken_file_is_named_with_line_and_remedy(
    folder: Path, file: str, old: str, new: str, told: str
):
    path = folder / file
    content = path.read_text()
    assert old in content
    path.write_text(content.replace(old, new, 1))
    with pytest.raises(schema.SchemaError) as error:
        schema_check.check(folder)
    message = str(error.value)
    assert told in message
    assert re.match(r"[\w/.]+\.yaml( baris \d+)?: .+\. .+\.$", message)
    assert error.value.path.parent.parent in (folder, folder.parent)


def test_the_line_is_the_fields(folder: Path):
    path = folder / "dataset.yaml"
    path.write_text(path.read_text().replace("{id: Konsep, en: Concept}", "{id: Konsep}"))
    with pytest.raises(schema.SchemaError) as error:
        schema_check.check(folder)
    assert error.value.line == line_of(path, "field_name: konsep")
    assert f"schemas/dataset.yaml baris {error.value.line}:" in str(error.value)


def test_unreadable_files(folder: Path):
    path = folder / "vocab" / "satuan.yaml"
    path.write_bytes(b"title: {id: a, en: b}\nsource: \xff\n")
    with pytest.raises(schema.SchemaError, match=r"satuan\.yaml baris 2: bukan UTF-8"):
        schema_check.check(folder)
    path.write_text("- a\n- b\n")
    with pytest.raises(schema.SchemaError, match="bukan pasangan"):
        schema_check.check(folder)
    path.write_text("")
    with pytest.raises(schema.SchemaError, match="bukan pasangan"):
        schema_check.check(folder)
    shutil.copy(schema.FOLDER / "vocab" / "satuan.yaml", path)
    (folder / "group.yaml").unlink()
    with pytest.raises(schema.SchemaError, match=r"group\.yaml: tidak dapat dibaca"):
        schema_check.check(folder)


def test_scheming_reads_the_same_as_the_check():
    for path in schema.FOLDER.rglob("*.yaml"):
        assert yaml.safe_load(path.read_text("ascii")) == schema_files.load(path)
