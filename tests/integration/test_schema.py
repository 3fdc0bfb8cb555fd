"""The schema in CKAN: what is saved, what the forms offer, what the pages show."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import ckan.plugins.toolkit as tk
import lxml.html
import pytest
from ckan import model
from ckan.tests import factories, helpers

from ckanext.satudata_trenggalek import schema

pytestmark = pytest.mark.usefixtures("clean_db")

COMPLETE: dict[str, Any] = {
    "title": "Jumlah Kelahiran Menurut Kecamatan",
    "name": "jumlah-kelahiran",
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

    def __init__(self, app: Any):
        self.app = app
        self.user = factories.UserWithToken()
        self.org = factories.Organization(
            users=[{"name": self.user["name"], "capacity": "editor"}], title="Dinas Kesehatan"
        )
        self.headers = {"Authorization": self.user["token"]}

    def act(self, action: str, **data: Any) -> Any:
        context = {"user": self.user["name"], "ignore_auth": False}
        return helpers.call_action(action, context, **data)

    def create(self, **changes: Any) -> dict[str, Any]:
        return self.act("package_create", **{"owner_org": self.org["id"], **COMPLETE, **changes})

    def refused(self, **changes: Any) -> dict[str, list[str]]:
        with pytest.raises(tk.ValidationError) as error:
            self.create(**changes)
        told: Any = error.value.error_dict
        return told

    def page(self, url: str) -> Any:
        return lxml.html.fromstring(self.app.get(url, headers=self.headers).body)

    def post(self, url: str, data: dict[str, Any]) -> Any:
        return lxml.html.fromstring(self.app.post(url, headers=self.headers, data=data).body)


@pytest.fixture()
def desk(app: Any) -> Desk:
    return Desk(app)


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
    optional = [n for n in COMPLETE if n not in ("title", "name", "klasifikasi")]
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
    errors = desk.refused(**bad)
    assert set(errors) == set(bad)
    for name, (message, *_rest) in errors.items():
        field = next(f for f in schema.fields("dataset") if f["field_name"] == name)
        assert field["label"]["id"] in message
    assert 'Kode "kesehatan" tidak ada dalam daftar Kategori.' in errors["kategori"][0]
    assert model.Session.query(model.Package).count() == 0


@pytest.mark.parametrize("junk", [5, 1.5, True, ["a"], {"a": 1}, [["a"]], [{"a": 1}], "\ud800"])
def test_junk_is_an_error_never_a_crash(desk: Desk, junk: Any):
    for name in COMPLETE.keys() - {"name"}:
        try:
            desk.create(**{"name": f"sampah-{name}".replace("_", "-"), name: junk})
        except tk.ValidationError as error:
            assert name in error.error_dict
            model.Session.rollback()


def test_addresses_of_resources(desk: Desk):
    made = desk.create()
    for url in ("javascript:alert(1)", "file:///etc/passwd", "a\x00b"):
        with pytest.raises(tk.ValidationError) as error:
            desk.act("resource_create", package_id=made["id"], url=url, name="x")
        assert list(error.value.error_dict) == ["url"], url
    link = desk.act("resource_create", package_id=made["id"], url="https://a.id/b.csv")
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
    resource = response.json["result"]
    assert (resource["url_type"], resource["format"]) == ("upload", "CSV")
    shown = desk.act("package_show", id=made["id"])
    assert schema.blockers(shown, {resource["id"]}) == []
    lost = [b["field"] for b in schema.blockers(shown, set())]
    assert lost == [f"resources/{resource['id']}/url"]


# --- Forms ---------------------------------------------------------------------------------------


def test_the_form_offers_every_field_and_no_visibility(desk: Desk):
    page = desk.page("/dataset/new")
    for field in schema.fields("dataset"):
        assert controls(page, field["field_name"]), field["field_name"]
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
    form = {**COMPLETE, "owner_org": desk.org["id"], "_ckan_phase": "1", "save": "", "pkg_name": ""}
    desk.post("/dataset/new", {**form, "kode_dssd": "", "definisi": "  "})
    shown = desk.act("package_show", id=COMPLETE["name"])
    assert shown["klasifikasi_penyajian"] == COMPLETE["klasifikasi_penyajian"]
    assert "kode_dssd" not in shown and "definisi" not in shown
    page = desk.page(f"/dataset/edit/{shown['name']}")
    assert not controls(page, "private")
    assert selected(page, "urusan") == ["1.02"]
    assert checked(page, "klasifikasi_penyajian") == COMPLETE["klasifikasi_penyajian"]
    assert [i.get("value") for i in controls(page, "jadwal_pemutakhiran")] == ["2027-01-31"]


def test_a_refused_form_keeps_what_was_typed(desk: Desk):
    form = {**COMPLETE, "owner_org": desk.org["id"], "_ckan_phase": "1", "save": "", "pkg_name": ""}
    form["tahun_data"] = "tahun lalu"
    form["klasifikasi_penyajian"] = "33220007"  # one box ticked: the form sends no list
    page = desk.post("/dataset/new", form)
    assert "Tulis empat angka" in page.text_content()
    assert [i.get("value") for i in controls(page, "tahun_data")] == ["tahun lalu"]
    assert checked(page, "klasifikasi_penyajian") == ["33220007"]
    assert selected(page, "satuan") == ["orang"]


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


def test_the_ten_topics_can_be_seeded_as_groups(desk: Desk):
    for topic in schema.vocab("kategori"):
        factories.Group(name=topic["value"], title=topic["label"]["id"])
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
