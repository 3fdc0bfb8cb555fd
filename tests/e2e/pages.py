"""Every page of ours, by who looks at it: the one list for what is asked of all pages.

A page is an address in which {name} stands for the name of a dataset in that status (or of what
else `names` makes). A route of ours that is on no list, and not among FILES, fails the test.
"""

from __future__ import annotations

from tests.world import World

#: Routes of ours that answer with something other than a page.
FILES = {
    "satudata.meja",
    "satudata.riwayat_csv",
    "satudata.riwayat_json",
    "satudata_formulir.pilihan",
    "satudata_metadata.dataset_csv",
    "satudata_metadata.dataset_xlsx",
    "satudata_metadata.organization_csv",
    "satudata_metadata.organization_xlsx",
    "satudata_pemberitahuan.buka",
    "satudata_publik.sitasi",
    "satudata_skema.skema",
}

PAGES: dict[str | None, list[str]] = {
    None: [
        "/",
        "/about",
        "/dataset/",
        "/dataset/?q=tidak-ada-sama-sekali",
        "/dataset/?groups=perlindungan-sosial-dan-kesehatan",
        "/dataset/{terbit}",
        "/dataset/{grafik}",
        "/dataset/{terbit}/resource/{berkas}",
        "/dataset/{terbit}/resource/{berkas}?q=tidak-ada",
        "/dataset/{ditarik}",
        "/dataset/{ditarik_umum}",
        "/kegiatan/",
        "/kegiatan/{kegiatan}",
        "/organization/",
        "/organization/dinkes",
        "/organization/about/dinkes",
        "/group/",
        "/group/perlindungan-sosial-dan-kesehatan",
        "/user/login",
        "/tidak-ada",
    ],
    "produsen_dinkes": [
        "/satudata/pemberitahuan",
        "/satudata/tugas",
        "/dataset/new",
        "/kegiatan/new",
        "/dataset/{draf}",
        "/dataset/edit/{draf}",
        "/dataset/delete/{draf}",
        "/dataset/{draf}/resource/new",
        "/dataset/{draf}/resource/{berkas_draf}/edit",
        "/dataset/{draf}/resource/{berkas_draf}/delete",
        "/dataset/{draf}/resource/{berkas_draf}",
        "/dataset/{draf}/riwayat",
        "/dataset/{draf}/metadata",
        "/dataset/{dikembalikan}",
        "/dataset/{dikembalikan}/perbaikan",
        "/dataset/{dikembalikan}/riwayat",
        "/dataset/{ditarik}",
        "/dataset/{ditarik}/transisi?transition=buka_kembali",
        "/dataset/{terbit}",
        "/kegiatan/edit/{kegiatan_draf}",
        "/kegiatan/{kegiatan_draf}",
        "/organization/dinkes/metadata",
        "/satudata/antrean",
        "/satudata/pemberitahuan",
    ],
    "walidata": [
        "/satudata/antrean",
        "/satudata/antrean?tab=terbit",
        "/satudata/antrean?q=tidak-ada-sama-sekali",
        "/satudata/pemberitahuan?tab=belum",
        "/dataset/{diajukan}",
        "/dataset/{diajukan}/pemeriksaan",
        "/dataset/{diajukan}/data-pribadi",
        "/dataset/{diajukan}/ambil-alih",
        "/dataset/{diperiksa_pembina}/transisi?transition=batalkan_pembina",
        "/dataset/{ditolak_pembina}/pemeriksaan",
        "/dataset/{terverifikasi}/transisi?transition=terbitkan",
        "/dataset/{terbit}/transisi?transition=tarik",
        "/dataset/{terbit}/riwayat",
        "/kegiatan/{kegiatan_diajukan}",
        "/dataset/{kegiatan_diajukan}/pemeriksaan",
    ],
    "pembina_bps": [
        "/satudata/antrean",
        "/dataset/{diperiksa_pembina}",
        "/dataset/{diperiksa_pembina}/pemeriksaan",
        "/dataset/{diperiksa_pembina}/riwayat",
    ],
    "forum": ["/satudata/tugas", "/satudata/antrean"],
    "admin": ["/dataset/{diajukan}", "/dataset/{terbit}", "/satudata/antrean"],
    "warga": ["/satudata/tugas", "/satudata/pemberitahuan"],
}

STATUSES = (
    "draf", "diajukan", "dikembalikan", "diperiksa_pembina", "ditolak_pembina", "terverifikasi",
    "terbit", "ditarik",
)  # fmt: skip

#: A table over years with a gap and a loss.
SERIES = b"tahun,jumlah\n2019,12\n2020,-3\n2022,40\n2023,\n2024,61\n"


def names(world: World) -> dict[str, str]:
    """What stands for the braces of the addresses."""

    def show(id_: str) -> dict:
        import ckan.plugins.toolkit as tk

        return tk.get_action("package_show")({"ignore_auth": True, "user": ""}, {"id": id_})

    shown = {status: show(world.standing(status)) for status in STATUSES}
    found = {status: dataset["name"] for status, dataset in shown.items()}
    series = world.call("package_create", "produsen_dinkes", **world.metadata())
    world.upload("produsen_dinkes", series["id"], SERIES, filename="deret.csv")
    told = world.at("terbit")
    world.move("walidata", told["id"], "tarik", note="x", public_note="Perbaiki satuan.")
    return found | {
        "ditarik_umum": told["name"],
        "berkas": shown["terbit"]["resources"][0]["id"],
        "berkas_draf": shown["draf"]["resources"][0]["id"],
        "grafik": world.bring(series["id"], "terbit")["name"],
        "kegiatan": show(world.kegiatan())["name"],
        "kegiatan_draf": world.kegiatan_at("draf")["name"],
        "kegiatan_diajukan": world.kegiatan_at("diajukan")["name"],
    }
