"""Every item of Peraturan BPS 4/2020 and 5/2020, typed from the regulations, is in the schemas.

An item here is its number, its official label, whether it is starred, and its codes; those of
multiple choice are powers of two and added up. Nothing here is read from the YAML.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from ckanext.satudata_trenggalek import schema


@dataclass
class Item:
    """One item of a form: where the schema has it, and what the regulation says of it."""

    name: str
    number: str
    label: str
    starred: bool = False
    codes: list[str] | dict[str, str] | None = None
    many: bool = False  # several codes at once
    shown: dict[str, list[str]] = field(default_factory=dict)  # skip rule: item -> codes


S = True
YES_NO = ["Ya", "Tidak"]
SURVEY = {"cara_pengumpulan_data": ["2"]}
INTERVIEW = {"sarana_pengumpulan": ["1", "2", "4", "8"]}
UNITS = {"1": "Individu", "2": "Rumah tangga", "4": "Usaha/perusahaan", "8": "Lainnya"}


def lainnya(name: str, number: str, label: str, of: str, code: str) -> Item:
    """The words for the code Lainnya: an item of a skip rule, needed when it is shown."""
    return Item(name, number, label, S, shown={of: [code]})


KEGIATAN = [
    Item("title", "MS-Keg", "Judul Kegiatan", S),
    Item("tahun_kegiatan", "MS-Keg", "Tahun Kegiatan", S),
    Item("kode_kegiatan", "MS-Keg", "Kode Kegiatan"),
    Item("cara_pengumpulan_data", "MS-Keg", "Cara Pengumpulan Data", S, [
        "Pencacahan Lengkap", "Survei", "Kompilasi Produk Administrasi",
        "Cara lain sesuai dengan perkembangan teknologi informasi",
    ]),
    Item("sektor_kegiatan", "MS-Keg", "Sektor Kegiatan", S, [
        "Pertanian dan Perikanan", "Demografi dan Kependudukan", "Pembangunan",
        "Proyeksi Ekonomi", "Pendidikan dan Pelatihan", "Lingkungan", "Keuangan", "Globalisasi",
        "Kesehatan", "Industri dan Jasa", "Teknologi Informasi dan Komunikasi",
        "Perdagangan Internasional dan Neraca Perdagangan", "Ketenagakerjaan", "Neraca Nasional",
        "Indikator Ekonomi Bulanan", "Produktivitas", "Harga dan Paritas Daya Beli",
        "Sektor Publik, Perpajakan, dan Regulasi Pasar", "Perwilayahan dan Perkotaan",
        "Ilmu Pengetahuan dan Hak Paten", "Perlindungan Sosial dan Kesejahteraan", "Transportasi",
    ]),
    Item("jenis_statistik", "MS-Keg", "Jenis Kegiatan Statistik", S,
         ["Statistik Dasar", "Statistik Sektoral", "Statistik Khusus"]),
    Item("rekomendasi_bps", "MS-Keg", "Apakah mendapat rekomendasi kegiatan statistik dari BPS?",
         codes=YES_NO),
    Item("identitas_rekomendasi", "MS-Keg", "Identitas Rekomendasi", S,
         shown={"rekomendasi_bps": ["1"]}),
    # I. Penyelenggara
    Item("instansi_penyelenggara", "MS-Keg 1.1", "Instansi Penyelenggara", S),
    Item("alamat", "MS-Keg 1.2", "Alamat Lengkap Instansi Penyelenggara"),
    Item("telepon", "MS-Keg 1.2", "Telepon"),
    Item("faksimile", "MS-Keg 1.2", "Faksimile"),
    Item("email", "MS-Keg 1.2", "Email"),
    # II. Penanggung Jawab
    Item("unit_eselon1", "MS-Keg 2.1", "Unit Eselon 1", S),
    Item("unit_eselon2", "MS-Keg 2.1", "Unit Eselon 2", S),
    Item("pj_nama", "MS-Keg 2.2", "Nama Penanggung Jawab Teknis"),
    Item("pj_jabatan", "MS-Keg 2.2", "Jabatan Penanggung Jawab Teknis", S),
    Item("pj_alamat", "MS-Keg 2.2", "Alamat Penanggung Jawab Teknis", S),
    Item("pj_telepon", "MS-Keg 2.2", "Telepon Penanggung Jawab Teknis"),
    Item("pj_faksimile", "MS-Keg 2.2", "Faksimile Penanggung Jawab Teknis"),
    Item("pj_email", "MS-Keg 2.2", "Email Penanggung Jawab Teknis"),
    # III. Perencanaan dan Persiapan
    Item("latar_belakang", "MS-Keg 3.1", "Latar Belakang Kegiatan", S),
    Item("tujuan", "MS-Keg 3.2", "Tujuan Kegiatan", S),
    Item("jadwal_perencanaan_mulai", "MS-Keg 3.3", "Perencanaan Kegiatan: mulai", S),
    Item("jadwal_perencanaan_selesai", "MS-Keg 3.3", "Perencanaan Kegiatan: selesai", S),
    Item("jadwal_desain_mulai", "MS-Keg 3.3", "Desain: mulai", S),
    Item("jadwal_desain_selesai", "MS-Keg 3.3", "Desain: selesai", S),
    Item("jadwal_pengumpulan_mulai", "MS-Keg 3.3", "Pengumpulan Data: mulai", S),
    Item("jadwal_pengumpulan_selesai", "MS-Keg 3.3", "Pengumpulan Data: selesai", S),
    Item("jadwal_pengolahan_mulai", "MS-Keg 3.3", "Pengolahan Data: mulai", S),
    Item("jadwal_pengolahan_selesai", "MS-Keg 3.3", "Pengolahan Data: selesai", S),
    Item("jadwal_analisis_mulai", "MS-Keg 3.3", "Analisis: mulai", S),
    Item("jadwal_analisis_selesai", "MS-Keg 3.3", "Analisis: selesai", S),
    Item("jadwal_diseminasi_mulai", "MS-Keg 3.3", "Diseminasi Hasil: mulai", S),
    Item("jadwal_diseminasi_selesai", "MS-Keg 3.3", "Diseminasi Hasil: selesai", S),
    Item("jadwal_evaluasi_mulai", "MS-Keg 3.3", "Evaluasi: mulai", S),
    Item("jadwal_evaluasi_selesai", "MS-Keg 3.3", "Evaluasi: selesai", S),
    Item("variabel_kegiatan", "MS-Keg 3.4", "Variabel (Karakteristik) yang Dikumpulkan", S),
    # IV. Desain Kegiatan
    Item("pelaksanaan", "MS-Keg 4.1", "Kegiatan Ini Dilakukan", codes=["Hanya sekali", "Berulang"]),
    Item("frekuensi_penyelenggaraan", "MS-Keg 4.2", "Frekuensi Penyelenggaraan", S, [
        "Harian", "Mingguan", "Bulanan", "Triwulanan", "Empat Bulanan", "Semesteran", "Tahunan",
        "Lebih dari Dua Tahunan",
    ], shown={"pelaksanaan": ["2"]}),
    Item("tipe_pengumpulan", "MS-Keg 4.3", "Tipe Pengumpulan Data", codes={
        # The order differs between copies of the form: the name is stored, not a number.
        "longitudinal_panel": "Longitudinal Panel",
        "longitudinal_cross_sectional": "Longitudinal Cross Sectional",
        "cross_sectional": "Cross Sectional",
    }),
    Item("cakupan_wilayah", "MS-Keg 4.4", "Cakupan Wilayah Pengumpulan Data",
         codes=["Seluruh wilayah Indonesia", "Sebagian wilayah Indonesia"]),
    Item("wilayah_kegiatan", "MS-Keg 4.5", "Wilayah Kegiatan", shown={"cakupan_wilayah": ["2"]}),
    Item("metode_pengumpulan", "MS-Keg 4.6", "Metode Pengumpulan Data", codes={
        "1": "Wawancara", "2": "Mengisi kuesioner sendiri (swacacah)",
        "4": "Pengamatan (observasi)", "8": "Pengumpulan data sekunder", "16": "Lainnya",
    }, many=True),
    lainnya("metode_lainnya", "MS-Keg 4.6", "Metode Pengumpulan Data Lainnya",
            "metode_pengumpulan", "16"),
    Item("sarana_pengumpulan", "MS-Keg 4.7", "Sarana Pengumpulan Data", codes={
        "1": "Paper-assisted Personal Interviewing (PAPI)",
        "2": "Computer-assisted Personal Interviewing (CAPI)",
        "4": "Computer-assisted Telephone Interviewing (CATI)",
        "8": "Computer Aided Web Interviewing (CAWI)", "16": "Mail", "32": "Lainnya",
    }, many=True),
    lainnya("sarana_lainnya", "MS-Keg 4.7", "Sarana Pengumpulan Data Lainnya",
            "sarana_pengumpulan", "32"),
    Item("unit_pengumpulan", "MS-Keg 4.8", "Unit Pengumpulan Data", codes=UNITS, many=True),
    lainnya("unit_pengumpulan_lainnya", "MS-Keg 4.8", "Unit Pengumpulan Data Lainnya",
            "unit_pengumpulan", "8"),
    # V. Desain Sampel
    Item("rancangan_sampel", "MS-Keg 5.1", "Jenis Rancangan Sampel",
         codes=["Single Stage/Phase", "Multi Stage/Phase"], shown=SURVEY),
    Item("jenis_pemilihan_sampel", "MS-Keg 5.2", "Metode Pemilihan Sampel Tahap Terakhir",
         codes=["Sampel Probabilitas", "Sampel Nonprobabilitas"], shown=SURVEY),
    Item("metode_sampel", "MS-Keg 5.3", "Metode yang Digunakan", codes=[
        "Simple Random Sampling (SRS)", "Systematic Random Sampling", "Stratified Random Sampling",
        "Cluster Sampling", "Probability Proportional to Size (PPS) Sampling", "Quota Sampling",
        "Accidental Sampling", "Purposive Sampling", "Snowball Sampling", "Saturation Sampling",
    ], shown=SURVEY),
    Item("kerangka_sampel", "MS-Keg 5.4", "Kerangka Sampel Tahap Terakhir",
         codes=["List Frame", "Area Frame"], shown=SURVEY),
    Item("fraksi_sampel", "MS-Keg 5.5", "Fraksi Sampel Keseluruhan", shown=SURVEY),
    Item("sampling_error", "MS-Keg 5.6", "Nilai Perkiraan Sampling Error Variabel Utama",
         shown=SURVEY),
    Item("unit_sampel", "MS-Keg 5.7", "Unit Sampel", shown=SURVEY),
    Item("unit_observasi", "MS-Keg 5.8", "Unit Observasi", shown=SURVEY),
    # VI. Pengumpulan Data
    Item("uji_coba", "MS-Keg 6.1", "Apakah Melakukan Uji Coba (Pilot Survey)?", codes=YES_NO),
    Item("pemeriksaan_kualitas", "MS-Keg 6.2", "Metode Pemeriksaan Kualitas Pengumpulan Data",
         codes={"1": "Kunjungan kembali (revisit)", "2": "Supervisi", "4": "Task Force",
                "8": "Lainnya"}, many=True),
    lainnya("pemeriksaan_lainnya", "MS-Keg 6.2", "Metode Pemeriksaan Kualitas Lainnya",
            "pemeriksaan_kualitas", "8"),
    Item("penyesuaian_nonrespon", "MS-Keg 6.3", "Apakah Melakukan Penyesuaian Nonrespon?",
         codes=YES_NO),
    Item("petugas_pengumpulan", "MS-Keg 6.4", "Petugas Pengumpulan Data", codes=[
        "Staf instansi penyelenggara", "Mitra/tenaga kontrak",
        "Staf instansi penyelenggara dan mitra/tenaga kontrak",
    ], shown=INTERVIEW),
    Item("pendidikan_petugas", "MS-Keg 6.5",
         "Persyaratan Pendidikan Terendah Petugas Pengumpulan Data", codes=[
             "Kurang dari atau sama dengan SMP", "SMA/SMK", "Diploma I/II/III",
             "Diploma IV/S1/S2/S3",
         ], shown=INTERVIEW),
    Item("jumlah_supervisor", "MS-Keg 6.6", "Jumlah Petugas: Supervisor/Penyelia/Pengawas",
         shown=INTERVIEW),
    Item("jumlah_enumerator", "MS-Keg 6.6", "Jumlah Petugas: Pengumpul Data/Enumerator",
         shown=INTERVIEW),
    Item("pelatihan_petugas", "MS-Keg 6.7", "Apakah Melakukan Pelatihan Petugas?", codes=YES_NO,
         shown=INTERVIEW),
    # VII. Pengolahan dan Analisis
    Item("tahap_editing", "MS-Keg 7.1", "Tahapan Pengolahan Data: Penyuntingan (Editing)",
         codes=YES_NO),
    Item("tahap_coding", "MS-Keg 7.1", "Tahapan Pengolahan Data: Penyandian (Coding)",
         codes=YES_NO),
    Item("tahap_data_entry", "MS-Keg 7.1", "Tahapan Pengolahan Data: Perekaman (Data Entry)",
         codes=YES_NO),
    Item("tahap_validasi", "MS-Keg 7.1", "Tahapan Pengolahan Data: Penyahihan (Validasi)",
         codes=YES_NO),
    Item("metode_analisis", "MS-Keg 7.2", "Metode Analisis",
         codes=["Deskriptif", "Inferensia", "Deskriptif dan inferensia"]),
    Item("unit_analisis", "MS-Keg 7.3", "Unit Analisis", codes=UNITS, many=True),
    lainnya("unit_analisis_lainnya", "MS-Keg 7.3", "Unit Analisis Lainnya", "unit_analisis", "8"),
    Item("tingkat_penyajian", "MS-Keg 7.4", "Tingkat Penyajian Hasil Analisis", codes={
        "1": "Nasional", "2": "Provinsi", "4": "Kabupaten/kota", "8": "Kecamatan", "16": "Lainnya",
    }, many=True),
    lainnya("tingkat_penyajian_lainnya", "MS-Keg 7.4", "Tingkat Penyajian Hasil Analisis Lainnya",
            "tingkat_penyajian", "16"),
    # VIII. Diseminasi Hasil
    Item("produk_tercetak", "MS-Keg 8.1",
         "Produk Kegiatan yang Tersedia untuk Umum: Tercetak (hardcopy)", codes=YES_NO),
    Item("produk_digital", "MS-Keg 8.1",
         "Produk Kegiatan yang Tersedia untuk Umum: Digital (softcopy)", codes=YES_NO),
    Item("produk_mikrodata", "MS-Keg 8.1",
         "Produk Kegiatan yang Tersedia untuk Umum: Data Mikro", codes=YES_NO),
    Item("rilis_tercetak", "MS-Keg 8.2", "Rencana Rilis Produk Kegiatan: Tercetak (hardcopy)",
         shown={"produk_tercetak": ["1"]}),
    Item("rilis_digital", "MS-Keg 8.2", "Rencana Rilis Produk Kegiatan: Digital (softcopy)",
         shown={"produk_digital": ["1"]}),
    Item("rilis_mikrodata", "MS-Keg 8.2", "Rencana Rilis Produk Kegiatan: Data Mikro",
         shown={"produk_mikrodata": ["1"]}),
]  # fmt: skip

VARIABEL_KEGIATAN = [
    Item("nama", "MS-Keg 3.4", "Nama Variabel", S),
    Item("konsep", "MS-Keg 3.4", "Konsep", S),
    Item("definisi", "MS-Keg 3.4", "Definisi", S),
    Item("referensi_waktu", "MS-Keg 3.4", "Referensi Waktu", S),
]
WILAYAH_KEGIATAN = [
    Item("provinsi", "MS-Keg 4.5", "Provinsi"),
    Item("kabupaten_kota", "MS-Keg 4.5", "Kabupaten/Kota"),
]

MEASURES = [
    "Total", "Persentase", "Rata-rata", "Median", "Indeks", "Rasio", "Proporsi", "Tingkat", "Laju",
    "Prevalensi", "Distribusi",
]  # fmt: skip
# Number 1 of both forms is the row's own.
INDIKATOR = [
    Item("nama", "MS-Ind 2", "Nama Indikator", S),
    Item("konsep", "MS-Ind 3", "Konsep", S),
    Item("definisi", "MS-Ind 4", "Definisi", S),
    Item("interpretasi", "MS-Ind 5", "Interpretasi", S),
    Item("metode_perhitungan", "MS-Ind 6", "Metode/Rumus Penghitungan", S),
    Item("ukuran", "MS-Ind 7", "Ukuran"),
    Item("satuan", "MS-Ind 8", "Satuan"),
    Item("klasifikasi_penyajian", "MS-Ind 9", "Klasifikasi Penyajian", S, many=True),
    Item("komposit", "MS-Ind 10", "Apakah Indikator Komposit?", S, YES_NO),
    Item("publikasi_pembangun", "MS-Ind 11", "Publikasi Ketersediaan Indikator Pembangun", S,
         shown={"komposit": ["1"]}),
    Item("indikator_pembangun", "MS-Ind 12", "Nama Indikator Pembangun", S,
         shown={"komposit": ["1"]}),
    Item("kegiatan_pembangun", "MS-Ind 13", "Kegiatan Penghasil Variabel Pembangun", S,
         shown={"komposit": ["2"]}),
    Item("kode_kegiatan_pembangun", "MS-Ind 14", "Kode Kegiatan Penghasil Variabel Pembangun",
         shown={"komposit": ["2"]}),
    Item("variabel_pembangun", "MS-Ind 15", "Nama Variabel Pembangun", S,
         shown={"komposit": ["2"]}),
    Item("level_estimasi", "MS-Ind 16", "Level Estimasi", S),
    Item("akses_umum", "MS-Ind 17", "Apakah Indikator Dapat Diakses Umum?", S, YES_NO),
]  # fmt: skip
VARIABEL = [
    Item("nama", "MS-Var 2", "Nama Variabel", S),
    Item("alias", "MS-Var 3", "Alias", S),
    Item("konsep", "MS-Var 4", "Konsep", S),
    Item("definisi", "MS-Var 5", "Definisi", S),
    Item("referensi_pemilihan", "MS-Var 6", "Referensi Pemilihan", S),
    Item("referensi_waktu", "MS-Var 7", "Referensi Waktu", S),
    Item("tipe_data", "MS-Var 8", "Tipe Data", S, {
        "character": "CHARACTER", "integer": "INTEGER", "float": "FLOAT", "date": "DATE",
    }),
    Item("klasifikasi_isian", "MS-Var 9", "Klasifikasi Isian", S),
    Item("aturan_validasi", "MS-Var 10", "Aturan Validasi", S),
    Item("kalimat_pertanyaan", "MS-Var 11", "Kalimat Pertanyaan", S),
    Item("akses_umum", "MS-Var 12", "Apakah Variabel Dapat Diakses Umum?", S, YES_NO),
]  # fmt: skip
# Five components (the national catalogue splits klasifikasi in two), and the code of the catalogue.
STANDAR_DATA = [
    Item("id_sds", "Standar Data", "Kode SDS"),
    Item("konsep", "Standar Data", "Konsep", S),
    Item("definisi", "Standar Data", "Definisi", S),
    Item("klasifikasi_penyajian", "Standar Data", "Klasifikasi penyajian", S, many=True),
    Item("klasifikasi_isian", "Standar Data", "Klasifikasi isian"),
    Item("ukuran", "Standar Data", "Ukuran"),
    Item("satuan", "Standar Data", "Satuan"),
]


def butir(type_: str, name: str, group: str = "dataset_fields") -> list[schema.Field]:
    return schema.find(type_, name, group)["butir"]


def numbered(fields: list[schema.Field], *heads: str) -> list[schema.Field]:
    return [f for f in fields if str(f.get("bps_item", "")).startswith(heads)]


FORMS = {
    "MS-Kegiatan": (KEGIATAN, numbered(schema.fields("kegiatan"), "MS-Keg")),
    "MS-Kegiatan 3.4": (VARIABEL_KEGIATAN, butir("kegiatan", "variabel_kegiatan")),
    "MS-Kegiatan 4.5": (WILAYAH_KEGIATAN, butir("kegiatan", "wilayah_kegiatan")),
    "MS-Indikator": (INDIKATOR, numbered(butir("dataset", "indikator"), "MS-")),
    "MS-Variabel": (VARIABEL, numbered(butir("dataset", "variabel", "resource_fields"), "MS-")),
    "Standar Data": (STANDAR_DATA, numbered(schema.fields("dataset"), "Standar Data")),
}
EACH = [(form, item) for form, (items, _fields) in FORMS.items() for item in items]


@pytest.mark.parametrize("form", FORMS)
def test_items_are_all_there_in_the_order_of_the_form(form: str):
    items, fields = FORMS[form]
    assert [(f["bps_item"], f["field_name"]) for f in fields] == [(i.number, i.name) for i in items]


@pytest.mark.parametrize(("form", "item"), EACH, ids=[f"{f}-{i.name}" for f, i in EACH])
def test_an_item_is_as_in_the_regulation(form: str, item: Item):
    found = next(f for f in FORMS[form][1] if f["field_name"] == item.name)
    assert found["label"]["id"] == item.label
    assert (found.get("ajukan", False) is True) is item.starred
    conditions = {c["field"]: c["in"] for c in schema.conditions(found)}
    assert conditions == item.shown
    assert (found.get("jenis") == "pilihan_banyak") is item.many
    if item.codes is not None:
        codes = item.codes
        if isinstance(codes, list):
            codes = {str(number): label for number, label in enumerate(codes, 1)}
        listed = {c["value"]: c["label"]["id"] for c in schema.vocab(found["vocab"])}
        assert listed == codes
        assert list(listed) == list(codes)
        if item.many:
            assert [int(code) for code in listed] == [2**n for n in range(len(listed))]


def test_the_forms_are_complete():
    """The numbers of the forms, so that a list above can't be short by an item, too."""
    kegiatan = {
        1: 2, 2: 2, 3: 4, 4: 8, 5: 8, 6: 7, 7: 4, 8: 2,
    }  # fmt: skip
    numbers = {item.number for item in KEGIATAN} - {"MS-Keg"}
    assert numbers == {
        f"MS-Keg {b}.{n}" for b, last in kegiatan.items() for n in range(1, last + 1)
    }
    assert {item.number for item in INDIKATOR} == {f"MS-Ind {n}" for n in range(2, 18)}
    assert {item.number for item in VARIABEL} == {f"MS-Var {n}" for n in range(2, 13)}


def test_lists_of_standar_data():
    assert [c["label"]["id"] for c in schema.vocab("ukuran")] == MEASURES
    codes = {c["value"]: c["label"]["id"] for c in schema.vocab("klasifikasi_penyajian")}
    national = {
        "32010026": "Wilayah",
        "10120066": "Umur",
        "33220007": "Jenis Kelamin",
        "10320055": "Tingkat Pendidikan",
        "22020004": "Lapangan Usaha",
    }
    assert codes.items() >= national.items()
    level = [c["label"]["id"] for c in schema.vocab("tingkat_penyajian")]
    assert level[:5] == ["Nasional", "Provinsi", "Kabupaten/Kota", "Kecamatan", "Desa/Kelurahan"]
    assert schema.vocab("satuan")[0]["label"]["id"].startswith("-")


# --- The skip rules at work ----------------------------------------------------------------------

SURVEI: dict[str, Any] = {
    "type": "kegiatan",
    **{item.name: "2026-01-31" for item in KEGIATAN if item.number == "MS-Keg 3.3"},
    "title": "Survei Kepuasan Pelayanan Puskesmas",
    "name": "survei-kepuasan-2026",
    "owner_org": "dinkes",
    "tahun_kegiatan": "2026",
    "cara_pengumpulan_data": "2",
    "sektor_kegiatan": "9",
    "jenis_statistik": "2",
    "rekomendasi_bps": "1",
    "identitas_rekomendasi": "V-26.3503.001",
    "instansi_penyelenggara": "Dinas Kesehatan",
    "unit_eselon1": "Sekretariat Daerah",
    "unit_eselon2": "Dinas Kesehatan",
    "pj_jabatan": "Kepala Bidang Kesehatan Masyarakat",
    "pj_alamat": "Trenggalek",
    "latar_belakang": "Mutu pelayanan perlu diketahui.",
    "tujuan": "Mengukur kepuasan.",
    "variabel_kegiatan": [
        {
            "nama": "Kepuasan",
            "konsep": "Kepuasan",
            "definisi": "Penilaian pasien.",
            "referensi_waktu": "Saat pendataan",
        }
    ],
    "pelaksanaan": "2",
    "frekuensi_penyelenggaraan": "7",
    "cakupan_wilayah": "2",
    "wilayah_kegiatan": [{"provinsi": "Jawa Timur", "kabupaten_kota": "Kabupaten Trenggalek"}],
    "metode_pengumpulan": ["1", "16"],
    "metode_lainnya": "Kotak saran",
    "sarana_pengumpulan": ["2"],
    "unit_pengumpulan": ["1"],
    "rancangan_sampel": "1",
    "metode_sampel": "2",
    "petugas_pengumpulan": "1",
    "pendidikan_petugas": "2",
    "jumlah_supervisor": "2",
    "jumlah_enumerator": "10",
    "pelatihan_petugas": "1",
    "produk_digital": "1",
    "rilis_digital": "2027-01-31",
}


def blocked(**changes: Any) -> dict[str, str]:
    return {b["field"]: b["message"] for b in schema.blockers({**SURVEI, **changes}, set())}


def test_a_complete_survey_is_not_blocked():
    assert blocked() == {}


@pytest.mark.parametrize("item", [i for i in KEGIATAN if i.starred], ids=lambda item: item.name)
def test_a_starred_item_is_needed_when_it_is_shown(item: Item):
    shown: dict[str, Any] = {}
    for name, codes in item.shown.items():
        many = schema.find("kegiatan", name)["jenis"] == "pilihan_banyak"
        shown[name] = codes if many else codes[0]
    message = blocked(**shown, **{item.name: ""})[item.name]
    assert message.startswith(f"{item.number} {item.label}" if " " in item.number else item.label)
    hidden: dict[str, Any] = dict.fromkeys(item.shown, "")
    assert item.name not in blocked(**hidden, **{item.name: ""}) or not item.shown


@pytest.mark.parametrize(
    ("changes", "superfluous"),
    [
        ({"cara_pengumpulan_data": "3"}, ["rancangan_sampel", "metode_sampel"]),
        ({"rekomendasi_bps": "2"}, ["identitas_rekomendasi"]),
        ({"pelaksanaan": "1"}, ["frekuensi_penyelenggaraan"]),
        ({"cakupan_wilayah": "1"}, ["wilayah_kegiatan"]),
        ({"metode_pengumpulan": ["1"]}, ["metode_lainnya"]),
        ({"sarana_pengumpulan": ["16"]}, [
            "petugas_pengumpulan", "pendidikan_petugas", "jumlah_supervisor", "jumlah_enumerator",
            "pelatihan_petugas",
        ]),
        ({"produk_digital": "2"}, ["rilis_digital"]),
    ],
)  # fmt: skip
def test_what_a_skip_rule_hides_is_to_be_removed(changes: dict[str, Any], superfluous: list[str]):
    found = blocked(**changes)
    assert list(found) == superfluous
    for name, message in found.items():
        number = schema.find("kegiatan", name)["bps_item"]
        assert message.startswith(number.removesuffix("MS-Keg")) and "Kosongkan" in message
    assert blocked(**changes, **dict.fromkeys(superfluous, "")) == {}


def test_a_schedule_does_not_end_before_it_begins():
    found = blocked(jadwal_desain_selesai="2026-01-30")
    assert list(found) == ["jadwal_desain_selesai"]
    assert (
        "MS-Keg 3.3 Desain: selesai mendahului MS-Keg 3.3 Desain: mulai"
        in (found["jadwal_desain_selesai"])
    )
    assert blocked(jadwal_desain_selesai="2026-02-01") == {}
    parts = {item.name.rpartition("_")[0] for item in KEGIATAN if item.number == "MS-Keg 3.3"}
    assert all(blocked(**{f"{part}_selesai": "2026-01-01"}) for part in parts)


def test_composite_indicators():
    row = dict.fromkeys((i.name for i in INDIKATOR), "")
    base = {"type": "dataset", "resources": []}

    def wanted(**cells: Any) -> set[str]:
        dataset = {**base, "indikator": [{**row, "nama": "x", **cells}]}
        fields = {b["field"] for b in schema.blockers(dataset, set())}
        return {f.rpartition("/")[2] for f in fields if f.startswith("indikator/0/")}

    yes, no = wanted(komposit="1"), wanted(komposit="2")
    assert yes - no == {"publikasi_pembangun", "indikator_pembangun"}
    assert no - yes == {"kegiatan_pembangun", "variabel_pembangun"}
    assert wanted() - yes - no == {"komposit"}
    # what the other answer asks for is to be removed
    assert wanted(komposit="1", kode_kegiatan_pembangun="1") - yes == {"kode_kegiatan_pembangun"}
    assert "satuan" in wanted(ukuran="total") and "satuan" not in wanted()


def test_the_table_of_items_is_up_to_date():
    from ckanext.satudata_trenggalek import schema_export

    docs = Path(__file__).resolve().parents[2] / "docs"
    assert (docs / "metadata.md").read_text() == schema_export.render()
