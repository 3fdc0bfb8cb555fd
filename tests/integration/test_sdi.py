"""National names: what harvesters get, and that nobody's edit sends it back."""

from __future__ import annotations

import json
import re
import uuid
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import ckan.model as core
import ckan.plugins.toolkit as tk
import pytest
from ckan.lib import search
from ckan.logic.schema import default_create_package_schema

from ckanext.satudata_trenggalek import reading, schema, sdi
from tests.world import World

#: Typed by hand from the mapping of data.go.id.
NAMES = """
accessRights accrualPeriodicity theme publisher_type jenis satuan ukuran prioritas_tahun id_sds
id_dds id_msind id_mskeg id_indikator_mms id_kegiatan_mms kodereferensi publishing_status
apakah_indikator_komposit indikator_prioritas kriteria_prioritas interpretasi variabel_disaggregasi
level_estimasi metode_perhitungan rumus
id_kegiatan judul_kegiatan tahun_kegiatan jenis_statistik cara_pengumpulan_data sektor_kegiatan
identitas_rekomendasi i_instansi_penyelanggara i_alamat i_telepon i_email i_faksimile
ii_unit_eselon1 ii_unit_eselon2 ii_pj_nama ii_pj_jabatan ii_pj_alamat
ii_pj_telepon ii_pj_email ii_pj_faksimile
iii_latar_belakang_kegiatan iii_tujuan_kegiatan iv_kegiatan_ini_dilakukan iv_frekuensi_penyelanggara
iv_tipe_pengumpulan_data iv_cakupan_wilayah_pengumpulan_data iv_metode_pengumpulan_data
iv_sarana_pengumpulan_data iv_unit_pengumpulan_data v_jenis_rancangan_sampel
v_metode_pemilihan_sampel_tahap_terakhir v_metode_yang_digunakan v_kerangka_sampel_tahap_terakhir
v_fraksi_sampel_keseluruhan v_nilai_perkiraan_sampling_error_variabel_utama v_unit_sampel
v_unit_observasi vi_apakah_melakukan_uji_coba vi_metode_pemeriksaan_kualitas_pengumpulan_data
vi_apakah_melakukan_penyesuaian_nonrespon vi_petugas_pengumpulan_data
vi_persyaratan_pendidikan_terendah_petugas_pengumpulan_data vi_jumlah_petugas_supervisor
vi_jumlah_petugas_enumerator vi_apakah_melakukan_pelatihan_petugas vii_tahapan_pengolahan_data
vii_metode_analisis vii_unit_analisis vii_tingkat_penyajian_hasil_analisis
viii_ketersediaan_produk_tercetak viii_ketersediaan_produk_digital
viii_ketersediaan_produk_mikrodata
produsen_data_name produsen_data_province_code produsen_data_city_code total_msvar total_msind
submission_period kode_dssd tag_rad
"""


def extras(dataset: dict[str, Any]) -> dict[str, str]:
    pairs = [(extra["key"], extra["value"]) for extra in dataset.get("extras") or []]
    assert len(dict(pairs)) == len(pairs), "core refuses a key that stands twice"
    return dict(pairs)


def anonymous(world: World, id_: str, **data: Any) -> dict[str, str]:
    """The extras by package_show, which are those by package_search."""
    shown = extras(world.call("package_show", None, id=id_, **data))
    type_ = world.call("package_show", None, id=id_)["type"]
    fq = f"id:{id_} dataset_type:{type_}"
    found = world.call("package_search", None, fq=fq, **data)["results"]
    assert [extras(row) for row in found] == [shown]
    return shown


@pytest.mark.parametrize(
    "values",
    [[], [""], ["Ya", ""], ["a|b^~`#", "\ue000", "x"], ["Baris satu\nBaris dua", '"{}"', "\\"]],
    ids=repr,
)
def test_names_as_one_text(values: list[str]) -> None:
    extras = [{"key": f"nama_{n}", "value": value} for n, value in enumerate(values)]
    assert sdi.unpacked(sdi.packed(extras)) == extras


def test_mapping_is_whole() -> None:
    """Every name, and every source is a field, a function or a constant that there is."""
    assert sdi.names() == set(NAMES.split())
    butir = {field["field_name"] for field in schema.find("dataset", "indikator")["butir"]}
    known = {
        "dataset": {field["field_name"] for field in schema.fields("dataset")},
        "indikator": butir,
        "kegiatan": {field["field_name"] for field in schema.fields("kegiatan")} | {"id"},
        "portal": set(),
    }
    used = set()
    for block, entries in sdi.mapping().items():
        for name, source in entries.items():
            if isinstance(source, dict):
                assert set(source) <= {"tetap", "fungsi"} and len(source) <= 1, name
                used |= {source["fungsi"]} if "fungsi" in source else set()
            else:
                assert {source} if isinstance(source, str) else set(source) <= known[block], name
    assert used == set(sdi.FUNCTIONS)


def test_frequencies_are_those_of_the_national_catalogue() -> None:
    assert [item["label"]["id"] for item in schema.vocab("frekuensi")] == [
        "Harian", "Mingguan", "Bulanan", "Triwulanan", "Empat Bulanan", "Semesteran", "Tahunan",
        "Dua Tahunan", "Ad-hoc",
    ]  # fmt: skip


def test_what_harvesters_read(world: World) -> None:
    second = {**World.INDIKATOR, "nama": "Rasio Jenis Kelamin", "interpretasi": "Di atas 100."}
    made = world.draft(
        indikator=[World.INDIKATOR, second], id_dds="04.02.0012", tag_rad="04.02",
        kode_dssd="1.02.000474", id_sds="10110023",
    )  # fmt: skip
    world.call("satudata_prioritas_set", "forum", id=made["id"], data_prioritas=True, kriteria="b")
    world.move("produsen_dinkes", made["id"], "ajukan")
    world.move("walidata", made["id"], "teruskan_ke_pembina")
    world.move("pembina_bps", made["id"], "setujui_pembina")
    world.move("walidata", made["id"], "terbitkan")
    found = anonymous(world, made["id"])
    assert found.keys() <= sdi.names()
    year = found.pop("submission_period")
    assert re.fullmatch("20[0-9]{2}", year)
    assert {name: found[name] for name in found if not re.match("[iv]+_", name)} == {
        "accessRights": "Terbuka",
        "accrualPeriodicity": "Tahunan",
        "theme": "Perlindungan Sosial dan Kesehatan",
        "publisher_type": "Pemerintah Kabupaten",
        "publishing_status": "approved",
        "jenis": "Statistik",
        "satuan": "Orang",
        "ukuran": "Total",
        "id_sds": "10110023",
        "id_dds": "04.02.0012",
        "kode_dssd": "1.02.000474",
        "tag_rad": "04.02",
        "prioritas_tahun": "2025",
        "indikator_prioritas": "Ya",
        "kriteria_prioritas": "Tujuan Pembangunan Berkelanjutan",
        "kodereferensi": "Kode wilayah Kemendagri, Nama kecamatan",
        "apakah_indikator_komposit": "Tidak",
        "interpretasi": "Jumlah Kelahiran Hidup: Makin besar, makin banyak bayi yang lahir hidup.;"
        " Rasio Jenis Kelamin: Di atas 100.",
        "variabel_disaggregasi": "Wilayah",
        "level_estimasi": "Kecamatan",
        "metode_perhitungan": "Penjumlahan laporan seluruh puskesmas.",
        "rumus": "Penjumlahan laporan seluruh puskesmas.",
        "id_kegiatan": world.kegiatan(),
        "id_kegiatan_mms": "SDI-35030001",
        "id_mskeg": "SDI-35030001",
        "judul_kegiatan": "Kompilasi Data Kesehatan Ibu dan Anak",
        "tahun_kegiatan": "2025",
        "jenis_statistik": "Statistik Sektoral",
        "cara_pengumpulan_data": "Kompilasi Produk Administrasi",
        "sektor_kegiatan": "Kesehatan",
        "identitas_rekomendasi": "V-25.3503.001",
        "produsen_data_name": "Dinkes",
        "produsen_data_province_code": "35",
        "produsen_data_city_code": "3503",
        "total_msvar": "3",
        "total_msind": "2",
    }
    assert found["i_instansi_penyelanggara"] == "Dinas Kesehatan"
    assert found["iv_frekuensi_penyelanggara"] == "Tahunan"
    assert found["iv_metode_pengumpulan_data"].endswith("Lainnya, Laporan bulanan")
    assert found["vii_tahapan_pengolahan_data"] == "Editing, Validasi"
    assert found["viii_ketersediaan_produk_digital"] == "Ya"
    assert "v_jenis_rancangan_sampel" not in found, "no sample, no name"


def test_only_the_public_gets_them(world: World) -> None:
    id_ = world.standing("terbit")
    for reader in (*(name for name in World.PEOPLE), {"ignore_auth": True, "user": ""}):
        assert extras(world.call("package_show", reader, id=id_)) == {}
        found = world.call("package_search", reader, fq=f"id:{id_}")["results"]
        assert [extras(row) for row in found] == [{}]
    page = {"user": "", "for_view": True}
    assert extras(world.call("package_show", page, id=id_)) == {}
    # The index holds them apart from what the dataset says.
    stored = json.loads(search.show(id_)["validated_data_dict"])
    assert "accrualPeriodicity" in str(stored.pop(reading.PREPARED))
    assert "accrualPeriodicity" not in str(stored) + str(content_of(id_))
    chosen = world.call("package_search", None, fq=f"id:{id_}", fl=["id", "title"])["results"]
    assert set(chosen[0]) == {"id", "title"}


def content_of(id_: str) -> Any:
    package = core.Package.get(id_)
    assert package
    return package.extras


def test_by_the_api_of_the_portal(world: World, app: Any) -> None:
    """As a harvester asks, and the page of a dataset shows none of it."""
    id_ = world.standing("terbit")
    found = app.get(f"/api/3/action/package_search?rows=100&start=0&sort=id+asc&fq=id:{id_}").json
    assert extras(found["result"]["results"][0])["accrualPeriodicity"] == "Tahunan"
    assert "accrualPeriodicity" not in app.get(f"/dataset/{id_}").body


def test_a_kegiatan_that_is_not_public_is_not_told(world: World) -> None:
    kegiatan = world.kegiatan_at("terbit")["id"]
    id_ = world.at("terbit", id_kegiatan=kegiatan)["id"]
    assert anonymous(world, id_)["judul_kegiatan"]
    assert anonymous(world, kegiatan)["iii_tujuan_kegiatan"]
    world.move("walidata", kegiatan, "tarik", note="Keliru.")
    found = anonymous(world, id_)
    assert "judul_kegiatan" not in found and found["accrualPeriodicity"] == "Tahunan"
    # The index was not written since: what it holds of the kegiatan is given to nobody.
    assert "judul_kegiatan" in search.show(id_)["validated_data_dict"]
    for fields in (["validated_data_dict"], ["*"], ["id", "data_dict", "validated_data_dict"]):
        for reader in (None, "warga", "produsen_dukcapil"):
            rows = world.call("package_search", reader, fq=f"id:{id_}", fl=fields)["results"]
            assert len(rows) == 1 and "judul_kegiatan" not in str(rows)


def test_what_was_prepared_holds_while_nothing_changed(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And not when the kegiatan was published after the dataset, which no index entry tells of."""
    kegiatan = world.kegiatan_at("terbit")["id"]
    id_ = world.at("terbit", id_kegiatan=kegiatan)["id"]
    made: list[str] = []
    compute = sdi._compute

    def counted(datasets: list[tuple[dict[str, Any], Any]]) -> None:
        made.extend(dataset["id"] for dataset, _row in datasets)
        compute(datasets)

    monkeypatch.setattr(sdi, "_compute", counted)

    def judul() -> str | None:
        return extras(world.call("package_search", None, fq=f"id:{id_}")["results"][0]).get(
            "judul_kegiatan"
        )

    told = judul()
    assert told and made == []
    world.move("walidata", kegiatan, "tarik", note="Keliru.")
    made.clear()
    assert judul() is None and made == [id_]
    search.rebuild(id_)
    made.clear()
    assert judul() is None and made == []
    world.move("produsen_dinkes", kegiatan, "buka_kembali")
    world.bring(kegiatan, "terbit")
    made.clear()
    assert judul() == told and made == [id_]


def test_a_kegiatan_that_is_published_while_the_index_is_written(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was made ready from two different moments is not kept."""
    kegiatan = world.kegiatan_at("terbit")["id"]
    id_ = world.at("terbit", id_kegiatan=kegiatan)["id"]
    world.move("walidata", kegiatan, "tarik", note="Keliru.")
    world.move("produsen_dinkes", kegiatan, "buka_kembali")
    world.bring(kegiatan, "terverifikasi")
    add = sdi.add

    def between(datasets: Any) -> None:
        monkeypatch.setattr(sdi, "add", add)
        with ThreadPoolExecutor(1) as pool:
            pool.submit(world.move, "walidata", kegiatan, "terbitkan").result()
        add(datasets)

    monkeypatch.setattr(sdi, "add", between)
    search.rebuild(id_)
    core.Session.remove()
    assert reading.PREPARED not in search.show(id_)["validated_data_dict"]
    assert anonymous(world, id_)["judul_kegiatan"]
    world.move("walidata", kegiatan, "tarik", note="Keliru.")
    core.Session.remove()
    found = world.call("package_search", None, fq=f"id:{id_}")["results"][0]
    assert "judul_kegiatan" not in extras(found) | anonymous(world, id_)


@pytest.mark.parametrize(
    "asked",
    [
        {"fl": ["id", "x:validated_data_dict"]},
        {"fl": ["id,x:validated_data_dict"]},
        {"fl": "id x:validated_data_dict"},
        {"extras": {"satudata_fl": []}},
        {"extras": {"satudata_fl": 5}},
        {"extras": "satudata_fl"},
    ],
    ids=str,
)
def test_no_question_gets_around_the_check(world: World, asked: dict[str, Any]) -> None:
    """What the index holds of a withdrawn kegiatan, by another name or the search's own mark."""
    kegiatan = world.shared.get("ditarik-kegiatan") or world.kegiatan_at("terbit")["id"]
    if "ditarik-kegiatan" not in world.shared:
        world.shared["ditarik-kegiatan"] = kegiatan
        world.shared["ditarik-dataset"] = world.at("terbit", id_kegiatan=kegiatan)["id"]
        world.move("walidata", kegiatan, "tarik", note="Keliru.")
    id_ = world.shared["ditarik-dataset"]
    assert "judul_kegiatan" in search.show(id_)["validated_data_dict"]
    try:
        found = world.call("package_search", None, fq=f"id:{id_}", **asked)
    except search.SearchQueryError as error:
        assert "fl" in asked and "fl" in str(error)
    else:
        assert "fl" not in asked and found["count"] == 1
        assert "judul_kegiatan" not in str(found) and reading.PREPARED not in str(found)


def test_an_index_of_before_an_upgrade(world: World) -> None:
    """What an older version of the portal prepared is made anew."""
    id_ = world.standing("terbit")
    row = world.call("package_show", "admin", id=id_)
    row[reading.PREPARED] = {"stamp": "lama", "fields": {}, "extras": []}
    found: dict[str, Any] = {"count": 1, "results": [row]}
    reader = reading.reader.set({"user": ""})
    reading.after_dataset_search(found, {})
    reading.reader.reset(reader)
    assert extras(row)["accrualPeriodicity"] == "Tahunan" and reading.PREPARED not in row
    assert row["satudata_status"] == "terbit"


def test_with_the_schema_of_core(world: World) -> None:
    """`use_default_schema` gives our fields as extras already; each key stands once."""
    fq = f"id:{world.standing('terbit')}"
    found = extras(world.call("package_search", None, fq=fq, use_default_schema=True)["results"][0])
    assert found["accrualPeriodicity"] == "Tahunan" and found["konsep"] == "Kelahiran"
    assert (found["satuan"], found["total_msind"]) == ("Orang", "1")
    assert found["judul_kegiatan"] == "Kompilasi Data Kesehatan Ibu dan Anak"


def test_long_values_are_cut(world: World) -> None:
    """A receiver's Solr would refuse the dataset: its terms end at 32,766 bytes."""
    rows = [
        {**World.INDIKATOR, "nama": f"Indikator {n}", "interpretasi": f"{n} " + "é" * 900}
        for n in range(40)
    ]
    found = anonymous(world, world.at("terbit", indikator=rows)["id"])
    assert len(found["interpretasi"]) == sdi.MAX_VALUE and found["interpretasi"].endswith("…")


# --- receivers --------------------------------------------------------------------------------

#: As a harvester calls.
JOB = {"ignore_auth": True, "user": "admin"}


def harvested(world: World, **more: Any) -> dict[str, Any]:
    """A result of an anonymous search as ckanext-harvest hands it on, under a name of its own."""
    id_ = world.at("terbit")["id"]
    found = world.call("package_search", None, fq=f"id:{id_}")["results"][0]
    for key in ("id", "organization", "groups", "metadata_created", "metadata_modified"):
        found.pop(key, None)
    for resource in found["resources"]:
        for key in ("id", "package_id", "url_type"):
            resource.pop(key, None)
    return (
        found | {"name": f"panen-{uuid.uuid4().hex[:8]}", "owner_org": world.ids["dukcapil"]} | more
    )


def test_a_plain_ckan_keeps_the_names(world: World) -> None:
    """A type without a schema of ours is what a plain CKAN has."""
    data = harvested(world, type="lain")
    sent = extras(data)
    assert len(sent) > 40
    context = {**JOB, "schema": default_create_package_schema()}
    made = world.call("package_create", context, **data)
    assert extras(made) == sent
    found = world.call("package_search", "admin", q="accrualPeriodicity:Tahunan",
                       fq=f"id:{made['id']}", include_private=True)  # fmt: skip
    assert found["count"] == 1


@pytest.mark.parametrize("own", [True, False], ids=["schema", "harvester"])
def test_a_portal_with_this_extension_takes_it(world: World, own: bool) -> None:
    context = dict(JOB) if own else {**JOB, "schema": default_create_package_schema()}
    data = harvested(world)
    foreign = str(uuid.uuid4())
    made = world.call("package_create", context, **{**data, "id_kegiatan": foreign})
    shown = world.call("package_show", "admin", id=made["id"])
    assert extras(shown) == {} and shown["satuan"] == "orang"
    assert shown["indikator"] == data["indikator"]
    # Of a kegiatan that only the other portal knows; who takes the dataset over chooses one.
    assert shown["id_kegiatan"] == foreign
    assert "id_kegiatan" in [b["field"] for b in world.status(made["id"])["blockers"]]
    again = {**data, "id": made["id"], "title": "Diubah", "private": True}
    assert world.call("package_update", {**JOB}, **again)["title"] == "Diubah"


def test_names_are_dropped_from_what_is_sent(world: World) -> None:
    own = [{"key": "catatan_opd", "value": "milik kami"}]
    sent = [*own, {"key": "accrualPeriodicity", "value": "x"}, {"key": "satuan", "value": "x"}]
    made = world.call("package_create", "produsen_dinkes", **world.metadata(extras=sent))
    assert extras(made) == {"catatan_opd": "milik kami"}
    world.call("package_patch", "produsen_dinkes", id=made["id"], extras=sent, title="Lain")
    shown = world.call("package_show", "produsen_dinkes", id=made["id"])
    assert extras(shown) == {"catatan_opd": "milik kami"} and shown["satuan"] == "orang"
    assert tk.get_action("package_update")({"user": "produsen_dinkes"}, {**shown, "notes": "Baru."})
