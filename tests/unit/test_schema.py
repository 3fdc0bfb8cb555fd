"""The schema's YAML and the rules read from it; nothing but Python needed."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Collection
from pathlib import Path
from typing import Any

import ckan.plugins.toolkit as tk
import pytest
import yaml
from ckan.lib.navl.dictization_functions import validate
from ckan.model import license as ckan_license
from hypothesis import given, settings
from hypothesis import strategies as st

from ckanext.satudata_trenggalek import schema, schema_check
from ckanext.satudata_trenggalek.logic import validators

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
        }
    ],
}


guess_format: Any = validators.satudata_guess_format


def field(name: str, group: str = "dataset_fields") -> schema.Field:
    return next(f for f in schema.fields("dataset", group) if f["field_name"] == name)


def blocked(files: Collection[str] = ("r1",), **changes: Any) -> dict[str, str]:
    dataset = {k: v for k, v in {**COMPLETE, **changes}.items() if v is not None}
    found = schema.blockers(dataset, set(files))
    return {b["field"]: b["message"] for b in found}


# --- The files as shipped ------------------------------------------------------------------------


def test_shipped_files_pass():
    schema_check.check()


def test_every_dataset_field_is_explained_in_both_languages():
    for group in ("dataset_fields", "resource_fields"):
        for f in schema.fields("dataset", group):
            for key in ("label", "help_text", "contoh"):
                assert f[key]["id"] and f[key]["en"], (f["field_name"], key)
            assert f["prinsip"] in schema.PRINCIPLES
            assert f["langkah"]


def test_steps_hold_the_fields_in_order():
    dataset = schema._load(schema.FOLDER / "dataset.yaml")
    steps = [step["id"] for step in dataset["langkah"]]
    used = [f["langkah"] for f in dataset["dataset_fields"] + dataset["resource_fields"]]
    assert list(dict.fromkeys(used)) == steps
    assert used == sorted(used, key=steps.index)


def test_nothing_offers_visibility():
    names = {
        f["field_name"] for g in ("dataset_fields", "resource_fields") for f in schema.fields("dataset", g)
    }
    assert not names & {"private", "state", "data_prioritas"}


def test_a_draft_needs_title_name_and_owner_only():
    required = {f["field_name"] for f in schema.fields("dataset") if f.get("required")}
    # klasifikasi is always filled: from what is stored, else terbuka
    assert required == {"title", "name", "owner_org", "klasifikasi"}
    assert not [f for f in schema.fields("dataset", "resource_fields") if f.get("required")]


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


def test_no_multiple_choice_code_is_part_of_another():
    # After a failed save the form holds a single code as text and looks for the others in it.
    codes = [c["value"] for c in schema.vocab("klasifikasi_penyajian")]
    assert not [(a, b) for a in codes for b in codes if a != b and a in b]


def test_unknown_vocabulary_names_the_known_ones():
    with pytest.raises(schema.SchemaError, match=r"vocab/hobi\.yaml: .*frekuensi.*urusan"):
        schema.vocab("hobi")


def test_principles_in_order():
    found = schema.principles()
    assert tuple(found) == schema.PRINCIPLES
    assert [f["field_name"] for f in found["standar_data"]] == [
        "id_sds", "konsep", "definisi", "klasifikasi_penyajian", "ukuran", "satuan",
    ]  # fmt: skip
    fields = schema.fields("dataset")
    assert sum(len(f) for f in found.values()) == len(fields)


# --- What `ajukan` needs -------------------------------------------------------------------------


def test_complete_dataset_is_not_blocked():
    assert blocked() == {}


NEEDED = [
    "title", "owner_org", "notes", "kategori", "urusan", "tahun_data", "konsep", "definisi",
    "klasifikasi_penyajian", "satuan", "cakupan", "tingkat_penyajian", "frekuensi",
    "jadwal_pemutakhiran", "klasifikasi", "license_id", "penanggung_jawab",
    "penanggung_jawab_email",
]  # fmt: skip


def test_the_list_of_what_is_needed_is_complete():
    assert [f["field_name"] for f in schema.fields("dataset") if f.get("ajukan")] == sorted(
        [*NEEDED, "dasar_hukum_klasifikasi"],
        key=[f["field_name"] for f in schema.fields("dataset")].index,
    )


@pytest.mark.parametrize("empty", [None, "", "  \n ", []])
@pytest.mark.parametrize("name", NEEDED)
def test_each_needed_field_blocks_when_empty(name: str, empty: Any):
    found = blocked(**{name: empty})
    assert list(found) == [name]
    assert field(name)["label"]["id"] in found[name]
    assert field(name)["contoh"]["id"].rstrip(".") in found[name]


def test_unit_is_needed_only_with_a_measure():
    assert blocked(ukuran=None, satuan=None) == {}
    assert "karena ukuran sudah diisi" in blocked(satuan=None)["satuan"]


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


def test_links_and_missing_files_are_judged_elsewhere():
    link = [{"id": "r2", "url": "https://example.org/a.csv", "name": "Tautan"}]
    assert blocked(resources=link) == {}
    assert blocked(resources=[]) == {}


def test_national_code_is_optional():
    assert blocked(id_sds=None, kode_dssd=None) == {}


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
        ("klasifikasi_penyajian", '["33220007"]', ["33220007"]),
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
        ("satuan", "oranges", 'Kode "oranges" tidak ada dalam daftar Satuan. Pilih dari daftar'),
        ("satuan", ["orang"], "Satuan harus berupa teks"),
        ("satuan", "Orang", "tidak ada dalam daftar Satuan"),
        ("license_id", "gfdl", "tidak ada dalam daftar Lisensi"),
        ("klasifikasi_penyajian", ["32010026", "99"], 'Kode "99" tidak ada dalam daftar'),
        ("klasifikasi_penyajian", "[1,", "harus berupa daftar kode"),
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
            "//evil.example", "https://", "https:evil", "https://[x", "http:///a"],
)  # fmt: skip
def test_addresses_refused(url: str):
    with pytest.raises(tk.Invalid, match=r"Unggah berkasnya|karakter"):
        schema.clean(field("url", "resource_fields"), url)


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
    for group in ("dataset_fields", "resource_fields"):
        for f in schema.fields("dataset", group):
            try:
                once = schema.clean(f, value)
            except tk.Invalid as e:
                assert f["label"]["id"] in e.error
            else:
                assert schema.clean(f, once) == once
                json.dumps(once).encode("utf-8")


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
        assert yaml.safe_load(path.read_text("ascii")) == schema._load(path)
