"""The schema in CKAN: what is saved, what the forms offer, what the pages show."""

from __future__ import annotations

import io
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import ckan.plugins.toolkit as tk
import jsonschema
import lxml.html
import pytest
from ckan import model
from ckan.tests import factories, helpers

from ckanext.satudata_trenggalek import schema, schema_export
from ckanext.satudata_trenggalek.doors.writing import make_topics


@pytest.fixture(scope="module", autouse=True)
def database(plugins: None, reset_db: Callable[[], None], reset_index: Callable[[], None]) -> None:
    """One empty database for all tests here: each makes an OPD and names of its own."""
    reset_db()
    reset_index()


INDIKATOR: dict[str, Any] = {
    "nama": "Jumlah Kelahiran Hidup",
    "konsep": "Kelahiran",
    "definisi": "Banyaknya bayi lahir hidup.",
    "interpretasi": "Semakin besar, semakin banyak kelahiran.",
    "metode_perhitungan": "Penjumlahan laporan bulanan.",
    "ukuran": "total",
    "satuan": "bayi",
    "klasifikasi_penyajian": ["32010026", "33220007"],
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
    "ukuran": "total",
    "satuan": "bayi",
}
COMPLETE: dict[str, Any] = {
    "title": "Jumlah Kelahiran Menurut Kecamatan",
    "notes": "Jumlah kelahiran hidup tiap kecamatan.",
    "kategori": "perlindungan-sosial-dan-kesehatan",
    "urusan": "1.02",
    "tahun_data": "2021-2025",
    "tag_string": "kelahiran,kesehatan ibu",
    "id_sds": "10110023",
    "kode_dssd": "1.02.000474",
    "konsep": "Kelahiran",
    "definisi": "Banyaknya bayi lahir hidup dalam satu tahun kalender.",
    "klasifikasi_penyajian": ["32010026", "33220007"],
    "ukuran": "total",
    "satuan": "orang",
    "indikator": [INDIKATOR],
    "cakupan": "Kabupaten Trenggalek",
    "tingkat_penyajian": "kecamatan",
    "frekuensi": "tahunan",
    "jadwal_pemutakhiran": "2027-01-31",
    "klasifikasi": "tertutup",
    "dasar_hukum_klasifikasi": "UU 14/2008 Pasal 17 huruf h",
    "license_id": "cc-by",
    "penanggung_jawab": "Bidang Kesehatan Masyarakat",
    "penanggung_jawab_email": "dinkes@trenggalekkab.go.id",
}


class Desk:
    """An editor of an OPD, with the actions and the pages."""

    request: pytest.FixtureRequest
    headers: dict[str, str]
    _app: Any = None

    def __init__(self) -> None:
        self.user = factories.UserWithToken()
        self.org = factories.Organization(
            users=[{"name": self.user["name"], "capacity": "editor"}], title="Dinas Kesehatan"
        )
        self._kegiatan = ""

    @property
    def app(self) -> Any:
        """CKAN's fixture builds an application for each test: here one for all, at first need."""
        if self._app is None:
            self._app = self.request.getfixturevalue("app")
        return self._app

    def act(self, action: str, **data: Any) -> Any:
        context = {"user": self.user["name"], "ignore_auth": False}
        return helpers.call_action(action, context, **data)

    def kegiatan(self) -> str:
        """Id of a kegiatan of the OPD, made once."""
        if not self._kegiatan:
            given = {"title": "Kompilasi Data KIA", "name": f"kia-{uuid.uuid4().hex}"}
            made = self.act("package_create", type="kegiatan", owner_org=self.org["id"], **given)
            self._kegiatan = made["id"]
        return self._kegiatan

    def create(self, **changes: Any) -> dict[str, Any]:
        name = f"kelahiran-{uuid.uuid4().hex}"
        given = {"name": name, "owner_org": self.org["id"], **COMPLETE, **changes}
        given.setdefault("id_kegiatan", self.kegiatan())
        return self.act("package_create", **given)

    def refused(self, **changes: Any) -> dict[str, list[str]]:
        with pytest.raises(tk.ValidationError) as error:
            self.create(**changes)
        told: Any = error.value.error_dict
        return told

    def form(self, name: str, **changes: Any) -> dict[str, Any]:
        """What the form of a new dataset sends; rows under numbers with gaps, in no order."""
        sent: dict[str, Any] = {"_ckan_phase": "1", "save": "", "pkg_name": "", "name": name}
        for key, value in {**COMPLETE, "owner_org": self.org["id"], **changes}.items():
            if isinstance(value, list) and value and isinstance(value[0], dict):
                for n, row in reversed(list(enumerate(value))):
                    sent |= {f"{key}-{n * 2}-{item}": cell for item, cell in row.items()}
            else:
                sent[key] = value
        return sent

    def page(self, url: str) -> Any:
        return lxml.html.fromstring(self.app.get(url, headers=self.headers).body)

    def post(self, url: str, data: dict[str, Any]) -> Any:
        return lxml.html.fromstring(self.app.post(url, headers=self.headers, data=data).body)


@pytest.fixture(scope="module")
def one_desk(database: None) -> Desk:
    return Desk()


@pytest.fixture()
def desk(one_desk: Desk, request: pytest.FixtureRequest) -> Desk:
    one_desk.request = request
    one_desk.headers = {"Authorization": one_desk.user["token"]}
    return one_desk


def controls(page: Any, name: str) -> list[Any]:
    return page.xpath("//*[@name=$name]", name=name)


def codes(page: Any, name: str) -> list[str]:
    return page.xpath("//select[@name=$name]/option/@value", name=name)


def selected(page: Any, name: str) -> list[str]:
    return page.xpath("//select[@name=$name]/option[@selected]/@value", name=name)


def checked(page: Any, name: str) -> list[str]:
    return page.xpath("//input[@name=$name][@checked]/@value", name=name)


def stored(name: str) -> dict[str, Any]:
    """The extras as the database has them."""
    package = model.Package.get(name)
    assert package
    return package.extras


# --- Saving --------------------------------------------------------------------------------------


def test_a_draft_needs_title_name_and_owner_only(desk: Desk):
    made = desk.act("package_create", title="Draf", name="draf", owner_org=desk.org["id"])
    assert made["klasifikasi"] == "terbuka"
    assert stored(made["id"]) == {"klasifikasi": "terbuka"}
    for missing in ("title", "name", "owner_org"):
        given = {"title": "Draf", "name": "draf-2", "owner_org": desk.org["id"]}
        del given[missing]
        with pytest.raises(tk.ValidationError) as error:
            desk.act("package_create", **given)
        assert missing in error.value.error_dict


def test_everything_comes_back_as_sent(desk: Desk):
    shown = desk.act("package_show", id=desk.create()["id"])
    for name, value in COMPLETE.items():
        if name != "tag_string":
            assert shown[name] == value, name
    assert [t["name"] for t in shown["tags"]] == ["kelahiran", "kesehatan ibu"]
    assert schema.blockers(shown, set()) == []
    # and once more, as an unchanged edit would send it
    again = desk.act("package_update", **{**shown, "notes": "Lain."})
    assert {**again, "notes": shown["notes"], "metadata_modified": None} == {
        **shown,
        "metadata_modified": None,
    }


def test_empty_values_are_stored_like_absent_ones(desk: Desk):
    optional = [n for n in [*COMPLETE, "id_kegiatan"] if n not in ("title", "klasifikasi")]
    made = desk.create(**dict.fromkeys(optional, ""), klasifikasi="")
    assert stored(made["id"]) == {"klasifikasi": "terbuka"}
    full = desk.create(name="penuh")
    emptied = desk.act("package_patch", id=full["id"], **dict.fromkeys(optional, ""))
    assert stored(full["id"]) == {"klasifikasi": "tertutup"}
    assert not (emptied.get("notes") or emptied.get("license_id"))


def test_a_full_update_without_classification_does_not_open_the_data(desk: Desk):
    made = desk.create()
    updated = desk.act(
        "package_update", id=made["id"], name=made["name"], title="Baru", owner_org=desk.org["id"]
    )
    assert updated["klasifikasi"] == "tertutup"


def test_all_bad_values_are_told_at_once_by_field(desk: Desk):
    bad = {
        "title": "x" * 301,
        "notes": "x" * 20001,
        "kategori": "kesehatan",
        "urusan": "9.99",
        "tahun_data": "dua ribu",
        "id_sds": "12",
        "klasifikasi_penyajian": ["32010026", "zzz"],
        "satuan": "orang\x00",
        "frekuensi": ["tahunan"],
        "jadwal_pemutakhiran": "31/01/2027",
        "klasifikasi": "rahasia",
        "license_id": "gfdl",
        "penanggung_jawab_email": "dinkes",
    }
    bad["indikator"] = [INDIKATOR, {**INDIKATOR, "satuan": "zak-semen"}]
    errors = desk.refused(**bad, name="tidak-jadi")
    assert set(errors) == set(bad)
    for name, (message, *_rest) in errors.items():
        if name != "indikator":
            assert schema.find("dataset", name)["label"]["id"] in message
    assert errors["indikator"][0].startswith("Baris 2, MS-Ind 8 Satuan: Kode")
    assert 'Kode "kesehatan" tidak ada dalam daftar Kategori.' in errors["kategori"][0]
    assert model.Package.get("tidak-jadi") is None


@pytest.mark.parametrize("junk", [5, 1.5, True, ["a"], {"a": 1}, [["a"]], [{"a": 1}], "\ud800"])
def test_junk_is_an_error_never_a_crash(desk: Desk, junk: Any):
    for name in COMPLETE:
        try:
            desk.create(**{name: junk})
        except tk.ValidationError as error:
            assert name in error.error_dict
            model.Session.rollback()


def test_addresses_of_resources(desk: Desk):
    made = desk.create()
    for url in ("javascript:alert(1)", "file:///etc/passwd", "a\x00b"):
        with pytest.raises(tk.ValidationError) as error:
            desk.act("resource_create", package_id=made["id"], url=url, name="x")
        assert list(error.value.error_dict) == ["url"], url
    link = desk.act(
        "resource_create", package_id=made["id"], url="https://a.id/b.csv", variabel=[VARIABEL]
    )
    assert link["format"] == "CSV"
    missing = schema.blockers(desk.act("package_show", id=made["id"]), set())
    assert [b["field"] for b in missing] == [f"resources/{link['id']}/name"]


def test_an_upload_is_complete_with_its_name(desk: Desk):
    made = desk.create()
    file = io.BytesIO(b"kecamatan,jumlah\nPule,3\n")
    response = desk.app.post(
        "/api/action/resource_create",
        headers=desk.headers,
        data={"package_id": made["id"], "name": "Kelahiran", "upload": (file, "kelahiran.csv")},
    )
    resource = desk.act("resource_patch", id=response.json["result"]["id"], variabel=[VARIABEL])
    assert (resource["url_type"], resource["format"]) == ("upload", "CSV")
    shown = desk.act("package_show", id=made["id"])
    assert schema.blockers(shown, {resource["id"]}) == []
    lost = [b["field"] for b in schema.blockers(shown, set())]
    assert lost == [f"resources/{resource['id']}/url"]


# --- Rows ----------------------------------------------------------------------------------------

SIXTY = [{**VARIABEL, "nama": f"kolom_{n}"} for n in range(60)]
TWENTY = [{**INDIKATOR, "nama": f"Indikator {n}"} for n in range(20)]


def test_rows_keep_their_order_and_survive_every_patch(desk: Desk):
    link = {"url": "https://a.id/b.csv", "name": "B", "variabel": SIXTY}
    made = desk.create(indikator=TWENTY, resources=[link, {**link, "variabel": SIXTY[::-1]}])
    first, second = made["resources"]
    assert isinstance(stored(made["id"])["indikator"], str)

    def same() -> dict[str, Any]:
        shown = desk.act("package_show", id=made["id"])
        assert shown["indikator"] == TWENTY
        assert [r["variabel"] for r in shown["resources"]] == [SIXTY, SIXTY[::-1]]
        return shown

    same()
    desk.act("package_patch", id=made["id"], notes="Lain.")
    desk.act("resource_patch", id=second["id"], name="Lain")
    desk.act("resource_update", **{**first, "description": "Lain"})
    desk.act("package_update", **same())
    same()
    # a program that leaves them out of a full update means it
    desk.act("package_update", **{k: v for k, v in same().items() if k != "indikator"})
    assert "indikator" not in desk.act("package_show", id=made["id"])


def test_showing_rows_does_not_check_them_again(desk: Desk):
    made = desk.create()
    package = model.Package.get(made["id"])
    assert package
    package.extras["indikator"] = '[{"satuan": "lama", "hilang": "x"}]'
    model.Session.commit()
    context = {"user": desk.user["name"], "use_cache": False}
    shown: Any = helpers.call_action("package_show", context, id=made["id"])
    assert shown["indikator"] == [{"satuan": "lama", "hilang": "x"}]
    blocked = {b["field"] for b in schema.blockers(shown, set())}
    assert {"indikator/0/satuan", "indikator/0/nama"} <= blocked


@pytest.mark.parametrize(
    ("rows", "told"),
    [
        ([{}] * 201, "terlalu banyak: 201 baris, paling banyak 200"),
        ("x", "harus berupa daftar baris"),
        ({"nama": "x"}, "harus berupa daftar baris"),
        ([INDIKATOR, "x"], "Baris 2: Indikator harus berupa pasangan"),
        ([{"nama": "x", "nmaa": "y"}], 'Baris 1: butir "nmaa" tidak dikenal'),
        ([{"nama": "a\x00"}], "Baris 1, MS-Ind 2 Nama Indikator memuat karakter"),
        ([{"nama": "\ud800"}], "Baris 1, MS-Ind 2 Nama Indikator memuat karakter"),
        ([{}, {"konsep": "x" * 301}], "Baris 2, MS-Ind 3 Konsep terlalu panjang"),
        ([{"definisi": ["x"]}], "Baris 1, MS-Ind 4 Definisi harus berupa teks"),
    ],
)
def test_bad_rows(desk: Desk, rows: Any, told: str):
    errors = desk.refused(indikator=rows, id_kegiatan="")
    assert list(errors) == ["indikator"]
    assert told in errors["indikator"][0]


def test_too_many_variables_and_two_bad_files(desk: Desk):
    files = [
        {"url": "https://a.id/a.csv", "variabel": [{"nama": "x"}] * 10_000},
        {"url": "https://a.id/b.csv", "variabel": [VARIABEL, {"tipe_data": "teks"}]},
    ]
    errors: Any = desk.refused(resources=files)["resources"]
    assert "terlalu banyak: 10000 baris, paling banyak 500" in errors[0]["variabel"][0]
    assert "Baris 2, MS-Var 8 Tipe Data: Kode" in errors[1]["variabel"][0]


def test_unfinished_rows_are_saved(desk: Desk):
    rows = [{"nama": "Kelahiran"}, {"satuan": "bayi"}, {"komposit": "1", "kegiatan_pembangun": "x"}]
    made = desk.create(indikator=[*rows, {"nama": " "}, {}])
    assert made["indikator"] == rows
    twice = [VARIABEL, VARIABEL]
    link = desk.act("resource_create", package_id=made["id"], url="https://a.id/b", variabel=twice)
    assert link["variabel"] == twice


def test_the_largest_blocks_are_saved_and_indexed(desk: Desk):
    rows = [dict.fromkeys(("nama", "konsep"), f"{n} {'kata ' * 50}".strip()) for n in range(200)]
    variables = [{**VARIABEL, "nama": f"k{n}", "definisi": "a" * 5000} for n in range(500)]
    link = {"url": "https://a.id/b.csv", "variabel": variables}
    made = desk.create(indikator=rows, resources=[link])
    assert made["indikator"] == rows
    assert made["resources"][0]["variabel"] == variables
    found = helpers.call_action("package_search", {"ignore_auth": True}, q=f"id:{made['id']}",
                                include_private=True)  # fmt: skip
    assert found["count"] == 1


def test_a_kegiatan_comes_back_as_sent(desk: Desk):
    sent = {
        "type": "kegiatan",
        "title": "Survei Kepuasan",
        "name": "survei-kepuasan-2026",
        "owner_org": desk.org["id"],
        "tahun_kegiatan": "2026",
        "cara_pengumpulan_data": "2",
        "metode_pengumpulan": ["1", "16"],
        "jumlah_enumerator": "0",
        "jadwal_desain_mulai": "2026-01-31",
        "variabel_kegiatan": [{"nama": f"v{n}"} for n in range(60)],
        "wilayah_kegiatan": [{"provinsi": "Jawa Timur", "kabupaten_kota": "Trenggalek"}],
    }
    made = desk.act("package_create", **sent)
    shown = desk.act("package_show", id=made["id"])
    assert {key: shown[key] for key in sent} == sent
    assert "klasifikasi" not in shown
    desk.act("package_patch", id=made["id"], tujuan="Mengukur.", metode_pengumpulan=[])
    shown = desk.act("package_show", id=made["id"])
    assert shown["variabel_kegiatan"] == sent["variabel_kegiatan"]
    assert "metode_pengumpulan" not in shown


# --- JSON Schema ---------------------------------------------------------------------------------

# For every kind of field: what is to be saved and what is to be refused.
TRIES: dict[str, tuple[list[Any], list[Any]]] = {
    "teks": (["x", "", None, []], ["a\x00b", {"a": 1}, True, "x" * 20001, ["x"]]),
    "paragraf": (["a\nb", 7, ""], ["a\u202eb", 1.5, "x" * 20001]),
    "pilihan": (["", None, []], ["bukan kode", True, {}, ["1"]]),
    "pilihan_banyak": ([[], "", [""]], [["bukan kode"], "bukan kode", [None], {}]),
    "tanggal": (["2028-02-29", ""], ["2027-02-29", 20270131, "1899-12-31"]),
    "tahun": (["2026", 2026.0, ""], ["2026-2025", 26, "1899"]),
    "bilangan": (["14", 0, ""], ["1.000", -1, 10**6]),
    "email": (["a@b.id", ""], ["a@b", "a..b@c.id", 5]),
    "tautan": (["https://a.id/b.csv", "b.csv", ""], ["javascript:x", "//a.id", 5]),
    "berulang": ([[{}], [], ""], ["x", [5], [{"tidak_ada": "x"}], {}, [{}] * 501]),
}
CORES: dict[str, tuple[list[Any], list[Any]]] = {
    "name": ([], ["A", "a", "a b", "edit", "", None, 5, "x" * 101]),
    "owner_org": ([], ["", 5]),
    "title": (["Judul", 7], ["", None, [], " ", "\u200b"]),
    "klasifikasi": (["terbatas", "", None], ["rahasia", [], 1]),
    "tag_string": (["aa, b-b_c.d,, e f", "", "caf\u00e9"], ["a", "a!b", "x" * 101, ["aa"]]),
}


@pytest.mark.parametrize("type_", schema.TYPES)
def test_the_json_schema_is_what_the_api_takes(desk: Desk, type_: str):
    validator = jsonschema.Draft202012Validator(schema_export.json_schema(type_))
    base = {"type": type_, "title": "Judul", "owner_org": desk.org["id"]}
    # id_kegiatan refers to what must exist
    fields = [f for f in schema.fields(type_) if f.get("jenis") != "kegiatan"]
    resource_fields = schema.fields(type_, "resource_fields")
    tries = {f["field_name"]: CORES.get(f["field_name"], TRIES[f.get("jenis", "teks")])
             for f in fields}  # fmt: skip
    for f in fields:
        if "pola" in f and f.get("jenis") != "tahun":
            tries[f["field_name"]] = ([f["contoh"]["id"], ""], ["?", 10110023])
        elif "vocab" in f:
            codes = [c["value"] for c in schema.vocab(f["vocab"])]
            good, bad = tries[f["field_name"]]
            tries[f["field_name"]] = ([codes[0], codes[-1], *good], bad)
    files: list[tuple[list[Any], list[Any]]] = [TRIES[f.get("jenis", "teks")]
                                                for f in resource_fields]  # fmt: skip

    def sent(which: int, n: int) -> dict[str, Any]:
        """Every field with its try of this number, and with its first one when there are fewer."""
        data = {**base, "name": f"{type_}-{which}-{n}"}
        data |= {name: lists[which][n] for name, lists in tries.items() if n < len(lists[which])}
        if resource_fields:
            pairs = zip(resource_fields, files, strict=True)
            data["resources"] = [
                {f["field_name"]: t[which][n] for f, t in pairs if n < len(t[which])}
            ]
        return data

    for n in range(max(len(good) for good, _bad in tries.values())):
        data = sent(0, n)
        assert not [e.message for e in validator.iter_errors(data)]
        desk.act("package_create", **data)
    for n in range(max(len(bad) for _good, bad in tries.values())):
        data = sent(1, n)
        wrong = {name for name, (_good, bad) in tries.items() if n < len(bad)}
        if data.get("resources", [{}]) != [{}]:
            wrong.add("resources")
        assert {e.absolute_path[0] for e in validator.iter_errors(data)} == wrong
        for name, good in {"name": f"{type_}-1-{n}", "owner_org": base["owner_org"]}.items():
            if name in wrong:  # told before anything else is looked at
                with pytest.raises(tk.ValidationError, match=name):
                    desk.act("package_create", **{**base, "name": "coba", name: data[name]})
                data[name] = good
                wrong.remove(name)
        if not wrong:
            break
        with pytest.raises(tk.ValidationError) as error:
            desk.act("package_create", **data)
        told: Any = error.value.error_dict
        assert {("tag_string" if name == "tags" else name) for name in told} == wrong
        if "resources" in wrong:
            assert told["resources"][0].keys() == data["resources"][0].keys()
            assert told["resources"][0].keys() == {
                e.absolute_path[2] for e in validator.iter_errors(data) if len(e.absolute_path) > 2
            }


# --- Forms ---------------------------------------------------------------------------------------


def test_the_form_offers_every_field_and_no_visibility(desk: Desk):
    page = desk.page("/dataset/new")
    for field in schema.fields("dataset"):
        name = field["field_name"]
        assert controls(page, f"{name}-0-nama" if "butir" in field else name), name
    assert not controls(page, "private")
    for name in ("kategori", "urusan", "ukuran", "satuan", "tingkat_penyajian", "frekuensi"):
        assert codes(page, name) == ["", *(c["value"] for c in schema.vocab(name))]
    assert codes(page, "license_id") == ["", "cc-by", "cc-zero", "odc-odbl", "other-closed"]
    assert codes(page, "klasifikasi") == ["terbuka", "terbatas", "tertutup"]
    assert selected(page, "klasifikasi") == ["terbuka"]
    assert selected(page, "license_id") == ["cc-by"]
    assert checked(page, "klasifikasi_penyajian") == []


def test_the_form_speaks_both_languages(desk: Desk):
    assert "Klasifikasi penyajian" in desk.page("/dataset/new").text_content()
    english = desk.page("/en/dataset/new").text_content()
    assert "Presentation classification" in english and "Jenis Kelamin" not in english


def test_saving_by_form(desk: Desk):
    desk.post("/dataset/new", desk.form(name="lewat-formulir", kode_dssd="", definisi="  "))
    shown = desk.act("package_show", id="lewat-formulir")
    assert shown["indikator"] == COMPLETE["indikator"]
    assert shown["klasifikasi_penyajian"] == COMPLETE["klasifikasi_penyajian"]
    assert "kode_dssd" not in shown and "definisi" not in shown
    page = desk.page(f"/dataset/edit/{shown['name']}")
    assert not controls(page, "private")
    assert selected(page, "urusan") == ["1.02"]
    assert checked(page, "klasifikasi_penyajian") == COMPLETE["klasifikasi_penyajian"]
    assert [i.get("value") for i in controls(page, "jadwal_pemutakhiran")] == ["2027-01-31"]


def test_a_refused_form_keeps_what_was_typed(desk: Desk):
    form = desk.form(name="ditolak", tahun_data="tahun lalu")
    form["klasifikasi_penyajian"] = "33220007"  # one box ticked: the form sends no list
    page = desk.post("/dataset/new", form)
    assert "Tulis empat angka" in page.text_content()
    assert [i.get("value") for i in controls(page, "tahun_data")] == ["tahun lalu"]
    assert checked(page, "klasifikasi_penyajian") == ["33220007"]
    assert selected(page, "satuan") == ["orang"]


def test_rows_of_a_form_keep_their_order_when_it_is_refused(desk: Desk):
    rows = [{**INDIKATOR, "nama": f"Indikator {n}"} for n in range(60)]

    def names(page: Any) -> list[str]:
        return page.xpath("//input[starts-with(@name, 'indikator-')][contains(@name, '-nama')]"
                          "[string(@value)]/@value")  # fmt: skip

    page = desk.post("/dataset/new", desk.form("enam-puluh", indikator=rows, title="x" * 301))
    assert names(page) == [row["nama"] for row in rows]
    desk.post("/dataset/new", desk.form("enam-puluh", indikator=rows))
    assert desk.act("package_show", id="enam-puluh")["indikator"] == rows
    assert names(desk.page("/dataset/edit/enam-puluh")) == [row["nama"] for row in rows]
    bad = [*rows[:30], {**INDIKATOR, "nama": "Baru", "satuan": "zak-semen"}, *rows[30:]]
    page = desk.post("/dataset/edit/enam-puluh", desk.form("enam-puluh", indikator=bad))
    assert "Baris 31, MS-Ind 8 Satuan" in page.text_content()
    assert names(page) == [row["nama"] for row in bad]
    assert desk.act("package_show", id="enam-puluh")["indikator"] == rows
    desk.post("/dataset/edit/enam-puluh", desk.form("enam-puluh", indikator=rows[::-1]))
    assert desk.act("package_show", id="enam-puluh")["indikator"] == rows[::-1]


def test_the_resource_form(desk: Desk):
    page = desk.page(f"/dataset/{desk.create()['name']}/resource/new")
    for name in ("url", "upload", "name", "description", "format"):
        assert controls(page, name), name
    assert "Nama berkas" in page.text_content()


# --- Pages ---------------------------------------------------------------------------------------


def test_pages_show_labels_not_codes(desk: Desk):
    name = desk.create()["name"]
    shown = desk.page(f"/dataset/{name}").text_content()
    for wording in ("Perlindungan Sosial dan Kesehatan", "Jenis Kelamin", "Tahunan", "Orang"):
        assert wording in shown
    assert "33220007" not in shown and "desa_kelurahan" not in shown
    english = desk.page(f"/en/dataset/{name}").text_content()
    assert "Social Protection and Health" in english and "Persons" in english


def test_markup_is_shown_never_run(desk: Desk):
    evil = "<script>alert(1)</script><b onclick=x()>"
    texts = ("title", "notes", "konsep", "definisi", "cakupan", "penanggung_jawab")
    name = desk.create(**dict.fromkeys(texts, evil), dasar_hukum_klasifikasi=evil)["name"]
    for url in (f"/dataset/{name}", f"/dataset/edit/{name}", "/dataset/"):
        page = desk.page(url)
        assert not page.xpath("//script[text()='alert(1)']"), url
        assert not page.xpath("//*[@onclick]"), url


# --- Organizations and groups --------------------------------------------------------------------

OPD: dict[str, Any] = {
    "title": "Dinas Sosial",
    "name": "dinsos",
    "description": "Urusan sosial.",
    "kode_opd": "1.06.0.00.0.00.01.0000",
    "kepala": "Kepala Dinas Sosial",
    "alamat": "Jalan Raya 1\nTrenggalek",
    "telepon": "0355 123456",
    "email": "dinsos@trenggalekkab.go.id",
}


def test_organization(desk: Desk):
    made = factories.Organization(**OPD)
    shown = helpers.call_action("organization_show", id=made["id"])
    assert {k: shown[k] for k in OPD} == OPD
    sysadmin = factories.SysadminWithToken()
    context = {"user": sysadmin["name"]}
    bad = {"email": "x", "telepon": "-", "title": " "}
    with pytest.raises(tk.ValidationError) as error:
        helpers.call_action("organization_patch", dict(context), id=made["id"], **bad)
    assert set(error.value.error_dict) == set(bad)
    helpers.call_action("organization_patch", dict(context), id=made["id"], telepon="")
    assert "telepon" not in helpers.call_action("organization_show", id=made["id"])
    desk.headers = {"Authorization": sysadmin["token"]}
    page = desk.page("/organization/edit/dinsos")
    assert [i.get("value") for i in controls(page, "kode_opd")] == [OPD["kode_opd"]]
    assert "Surel" in page.text_content()
    assert controls(desk.page("/organization/new"), "alamat")
    assert "Dinas Sosial" in desk.page("/organization/about/dinsos").text_content()


def test_the_ten_topics_are_groups_whether_or_not_they_have_a_dataset(desk: Desk):
    """One that came with a draft would tell that there is one."""
    with model.ensure_engine().begin() as connection:
        make_topics(connection)
        make_topics(connection)
    assert len(helpers.call_action("group_list")) == 10
    desk.headers = {"Authorization": factories.SysadminWithToken()["token"]}
    assert controls(desk.page("/group/edit/budaya-dan-agama"), "description")


def test_a_broken_schema_is_told_before_scheming_reads_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """scheming would give a traceback that names neither file nor line."""
    from ckanext.satudata_trenggalek import plugin, schema, schema_check

    def broken() -> None:
        raise schema.SchemaError(Path("schemas/dataset.yaml"), 30, "YAML: x", "Periksa indentasi")

    monkeypatch.setattr(schema_check, "check", broken)
    with pytest.raises(schema.SchemaError, match="baris 30"):
        plugin.SatudataTrenggalekPlugin()
