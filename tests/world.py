"""A regency for the tests: organizations, people, and what they do with a dataset."""

from __future__ import annotations

import datetime as dt
import io
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, ClassVar

import sqlalchemy as sa
from werkzeug.datastructures import FileStorage


class World:
    """Organizations and people of a regency, and what they do with a dataset.

    Everything goes through actions with the access checks that a request has.
    """

    ORGANIZATIONS: ClassVar[dict[str, list[str]]] = {
        "dinkes": ["produsen_data"],
        "dukcapil": ["produsen_data"],
        "diskominfo": ["walidata", "produsen_data"],
        "bps-trenggalek": ["pembina_data"],
        "bappeda": ["forum_satu_data", "produsen_data"],
    }
    PEOPLE: ClassVar[dict[str, tuple[str | None, str]]] = {
        "admin": (None, "sysadmin"),
        "produsen_dinkes": ("dinkes", "editor"),
        "produsen_dinkes_2": ("dinkes", "editor"),
        "anggota_dinkes": ("dinkes", "member"),
        "admin_dinkes": ("dinkes", "admin"),
        "produsen_dukcapil": ("dukcapil", "editor"),
        "walidata": ("diskominfo", "editor"),
        "walidata_2": ("diskominfo", "editor"),
        "pembina_bps": ("bps-trenggalek", "editor"),
        "forum": ("bappeda", "editor"),
        "warga": (None, ""),
    }
    CHECKLIST: ClassVar[dict[str, dict[str, Any]]] = {
        name: {"sesuai": True, "note": ""}
        for name in ("standar_data", "metadata", "interoperabilitas", "kode_referensi")
    }
    CSV = b"kode,kecamatan,jumlah\n35.03.01,Panggul,12\n35.03.02,Munjungan,7\n"
    INDIKATOR: ClassVar[dict[str, Any]] = {
        "nama": "Jumlah Kelahiran Hidup",
        "konsep": "Kelahiran",
        "definisi": "Banyaknya bayi lahir hidup dalam satu tahun kalender.",
        "interpretasi": "Makin besar, makin banyak bayi yang lahir hidup.",
        "metode_perhitungan": "Penjumlahan laporan seluruh puskesmas.",
        "ukuran": "total",
        "satuan": "orang",
        "klasifikasi_penyajian": ["32010026"],
        "komposit": "2",
        "kegiatan_pembangun": "Kompilasi Data Kesehatan Ibu dan Anak",
        "variabel_pembangun": "Jumlah bayi lahir hidup",
        "level_estimasi": "kecamatan",
        "akses_umum": "1",
    }
    #: The columns of CSV; what other columns have is made of the first.
    VARIABEL: ClassVar[tuple[dict[str, Any], ...]] = tuple(
        {
            "nama": nama,
            "alias": "-",
            "konsep": konsep,
            "definisi": definisi,
            "referensi_pemilihan": "Laporan KIA puskesmas",
            "referensi_waktu": "Tahun 2025",
            "tipe_data": tipe,
            "klasifikasi_isian": isian,
            "aturan_validasi": "Tidak boleh kosong",
            "kalimat_pertanyaan": "-",
            "akses_umum": "1",
            **more,
        }
        for nama, konsep, definisi, tipe, isian, more in (
            (
                "kode",
                "Wilayah",
                "Kode kecamatan menurut Kemendagri.",
                "character",
                "Kode wilayah",
                {"kode_referensi": "kemendagri"},
            ),
            (
                "kecamatan",
                "Wilayah",
                "Nama kecamatan.",
                "character",
                "Nama kecamatan",
                {"kode_referensi": "nama_kecamatan"},
            ),
            (
                "jumlah",
                "Kelahiran",
                "Banyaknya bayi lahir hidup.",
                "integer",
                "0 ke atas",
                {"ukuran": "total", "satuan": "orang"},
            ),
        )
    )

    def __init__(self) -> None:
        from ckan import model

        self.ids: dict[str, str] = {}
        self.shared: dict[str, str] = {}
        self.count = 0
        site = {"user": self.call("get_site_user", None)["name"], "ignore_auth": True}
        for name in self.PEOPLE:
            user = self.call(
                "user_create", site, name=name, email=f"{name}@example.id", password="rahasia-123"
            )
            self.ids[name] = user["id"]
        admin = model.User.get("admin")
        assert admin
        admin.sysadmin = True
        model.Session.commit()
        for name, peran in self.ORGANIZATIONS.items():
            organization = self.call("organization_create", site, name=name, title=name.title())
            self.ids[name] = organization["id"]
            # Core makes the creator an admin of it, and so gives a sysadmin its peran.
            self.call("organization_member_delete", site, id=name, username=site["user"])
            self.give_peran(name, peran)
        for name, (organization, capacity) in self.PEOPLE.items():
            if organization:
                self.call(
                    "organization_member_create",
                    site,
                    id=organization,
                    username=name,
                    role=capacity,
                )

    def give_peran(self, organization: str, peran: list[str]) -> None:
        """Give an organization exactly these peran."""
        self.call("satudata_peran_set", "admin", organization=organization, peran=peran)

    def call(self, action: str, user: str | dict[str, Any] | None, /, **data: Any) -> Any:
        """Call an action as a user (with access checks), as None anonymously, or in a context."""
        import ckan.plugins.toolkit as tk

        if action == "get_site_user":
            return tk.get_action(action)({"ignore_auth": True}, {})
        context: Any = dict(user) if isinstance(user, dict) else {"user": user or ""}
        return tk.get_action(action)(context, data)

    def kegiatan_metadata(self, **fields: Any) -> dict[str, Any]:
        """A complete MS-Kegiatan of dinkes under a new name: a compilation, without a sample."""
        steps = ("perencanaan", "desain", "pengumpulan", "pengolahan", "analisis", "diseminasi",
                 "evaluasi")  # fmt: skip
        return (
            {
                "type": "kegiatan",
                "name": f"kia-{uuid.uuid4().hex[:10]}",
                "title": "Kompilasi Data Kesehatan Ibu dan Anak",
                "owner_org": "dinkes",
                "tahun_kegiatan": "2025",
                "kode_kegiatan": "SDI-35030001",
                "cara_pengumpulan_data": "3",
                "sektor_kegiatan": "9",
                "jenis_statistik": "2",
                "rekomendasi_bps": "1",
                "identitas_rekomendasi": "V-25.3503.001",
                "instansi_penyelenggara": "Dinas Kesehatan",
                "unit_eselon1": "-",
                "unit_eselon2": "Dinas Kesehatan",
                "pj_jabatan": "Kepala Bidang Kesehatan Masyarakat",
                "pj_alamat": "Jl. Dr. Sutomo, Trenggalek",
                "latar_belakang": "Angka kelahiran diperlukan setiap tahun.",
                "tujuan": "Mengetahui banyaknya kelahiran tiap kecamatan.",
                "variabel_kegiatan": [
                    {
                        "nama": "Jumlah bayi lahir hidup",
                        "konsep": "Kelahiran",
                        "definisi": "Bayi yang lahir hidup.",
                        "referensi_waktu": "Tahun 2025",
                    }
                ],
                "pelaksanaan": "2",
                "frekuensi_penyelenggaraan": "7",
                "metode_pengumpulan": ["8", "16"],
                "metode_lainnya": "Laporan bulanan",
                "tahap_editing": "1",
                "tahap_validasi": "1",
                "tahap_coding": "2",
                "produk_digital": "1",
                "rilis_digital": "2026-03-31",
            }
            | {f"jadwal_{step}_mulai": f"2025-0{n}-01" for n, step in enumerate(steps, 1)}
            | {f"jadwal_{step}_selesai": f"2025-0{n}-20" for n, step in enumerate(steps, 1)}
            | fields
        )

    def kegiatan(self) -> str:
        """Id of a published kegiatan of dinkes that all datasets share."""
        from ckan import model

        id_ = self.shared.get("kegiatan", "")
        if not id_ or model.Package.get(id_) is None:
            id_ = self.shared["kegiatan"] = self.kegiatan_at("terbit")["id"]
        return id_

    def kegiatan_at(self, status: str, **fields: Any) -> dict[str, Any]:
        """A kegiatan of produsen_dinkes that has come to this status through the workflow."""
        made = self.call("package_create", "produsen_dinkes", **self.kegiatan_metadata(**fields))
        return self.bring(made["id"], status)

    def metadata(self, **fields: Any) -> dict[str, Any]:
        """A complete dataset of dinkes under a new name."""
        self.count += 1
        return {
            "name": f"kelahiran-{uuid.uuid4().hex[:10]}",
            "title": f"Jumlah Kelahiran {self.count}",
            "owner_org": "dinkes",
            "notes": "Kelahiran hidup tiap kecamatan. Data contoh, bukan angka resmi.",
            "kategori": "perlindungan-sosial-dan-kesehatan",
            "urusan": "1.02",
            "tahun_data": "2025",
            "tag_string": "kelahiran",
            "konsep": "Kelahiran",
            "definisi": "Banyaknya bayi lahir hidup dalam satu tahun kalender.",
            "klasifikasi_penyajian": ["32010026"],
            "ukuran": "total",
            "satuan": "orang",
            "indikator": [dict(self.INDIKATOR)],
            "id_kegiatan": self.kegiatan(),
            "jenis_data": "statistik",
            "cakupan": "Kabupaten Trenggalek",
            "tingkat_penyajian": "kecamatan",
            "frekuensi": "tahunan",
            "jadwal_pemutakhiran": "2027-01-31",
            "klasifikasi": "terbuka",
            "license_id": "cc-by",
            "penanggung_jawab": "Bidang Kesehatan Masyarakat",
            "penanggung_jawab_email": "dinkes@trenggalekkab.go.id",
        } | fields

    def upload(
        self,
        user: str,
        dataset: str,
        data: bytes = CSV,
        filename: str = "kelahiran.csv",
        **more: Any,
    ) -> dict[str, Any]:
        """Upload a file as a new resource, and load its table as the worker would.

        A comma-separated file gets the MS-Variabel of its columns.
        """
        from ckanext.satudata_trenggalek import tables

        if filename.endswith(".csv"):
            known = {row["nama"]: row for row in self.VARIABEL}
            header = data.decode("utf-8-sig", errors="replace").splitlines()[0].split(",")
            rows = [
                known.get(name, {**self.VARIABEL[0], "nama": name, "kode_referensi": ""})
                for name in tables.column_names(header)
            ]
            more.setdefault("variabel", rows)
        more.setdefault("format", filename.rsplit(".", 1)[-1].upper())
        resource = self.call(
            "resource_create",
            user,
            package_id=dataset,
            name=filename,
            upload=FileStorage(io.BytesIO(data), filename=filename),
            **more,
        )
        tables.load(resource["id"])
        return resource

    def draft(self, user: str = "produsen_dinkes", **fields: Any) -> dict[str, Any]:
        """A draft that is ready for `ajukan`."""
        dataset = self.call("package_create", user, **self.metadata(**fields))
        self.upload(user, dataset["id"])
        return self.call("package_show", user, id=dataset["id"])

    def status(self, dataset: str, user: str = "admin") -> dict[str, Any]:
        """satudata_status_show."""
        return self.call("satudata_status_show", user, id=dataset)

    def visible(self, id_: str) -> list[str]:
        """By which ways an anonymous reader finds a dataset."""
        import ckan.plugins.toolkit as tk

        found, name = [], ""
        try:
            name = self.call("package_show", None, id=id_)["name"]
            found.append("package_show")
        except (tk.NotAuthorized, tk.ObjectNotFound):
            pass
        if self.call("package_search", None, fq=f"+id:{id_} +dataset_type:*")["count"]:
            found.append("package_search")
        if name in self.call("package_list", None):
            found.append("package_list")
        return found

    def move(self, user: str, dataset: str, transition: str, **data: Any) -> dict[str, Any]:
        """satudata_transition, with the present hash and a good checklist unless given."""
        data.setdefault("content_hash", self.status(dataset)["content_hash"])
        if transition in ("setujui", "teruskan_ke_pembina"):
            data.setdefault("checklist", self.CHECKLIST)
        return self.call("satudata_transition", user, id=dataset, transition=transition, **data)

    def due(self, dataset: str) -> None:
        """Schedule the publication of what is approved for a minute ago."""
        self.later(dataset, "publish_at", -dt.timedelta(minutes=1))

    def later(self, dataset: str, column: str, by: dt.timedelta) -> None:
        """Set a time of a dataset's status to now and so much."""
        self.put(dataset, **{column: dt.datetime.now(dt.timezone.utc) + by})

    def put(self, dataset: str, **columns: Any) -> None:
        """Set columns of a dataset's status, with the event that they need."""
        from ckan import model

        from ckanext.satudata_trenggalek.workflow import service

        _package, row = service.lock(dataset)
        for name, value in columns.items():
            setattr(row, name, value)
        event = "percobaan"
        more: dict[str, Any] = {}
        if at := columns.get("publish_at"):
            event, more = "jadwalkan", {"detail": {"publish_at": at.isoformat()}}
            row.due_at, row.publish_tried_at = at, None
        elif {"reviewer", "claimed_at"} & columns.keys():
            event, more = "ambil" if row.reviewer else "lepas", {"at": row.claimed_at}
        service.record(dataset, row.reviewer or "walidata", event, **more)
        model.Session.commit()

    def standing(self, status: str) -> str:
        """Id of a dataset in this status that tests share: for what must leave it unchanged."""
        if status not in self.shared:
            self.shared[status] = self.at(status)["id"]
        return self.shared[status]

    def move_raw(self, user: str | None, dataset: str, transition: str, **data: Any) -> Any:
        """satudata_transition with nothing added."""
        return self.call("satudata_transition", user, id=dataset, transition=transition, **data)

    def at(self, status: str, **fields: Any) -> dict[str, Any]:
        """A dataset of produsen_dinkes that has come to this status through the workflow."""
        return self.bring(self.draft(**fields)["id"], status)

    def bring(self, id_: str, status: str) -> dict[str, Any]:
        """Bring a draft of produsen_dinkes to this status."""
        import ckan.plugins.toolkit as tk

        if status in ("diperiksa_pembina", "ditolak_pembina"):
            self.call("satudata_prioritas_set", "forum", id=id_, data_prioritas=True, kriteria="a")
        for user, transition in {
            "draf": (),
            "diajukan": (("produsen_dinkes", "ajukan"),),
            "dikembalikan": (("produsen_dinkes", "ajukan"), ("walidata", "kembalikan")),
            "diperiksa_pembina": (
                ("produsen_dinkes", "ajukan"),
                ("walidata", "teruskan_ke_pembina"),
            ),
            "ditolak_pembina": (
                ("produsen_dinkes", "ajukan"),
                ("walidata", "teruskan_ke_pembina"),
                ("pembina_bps", "tolak_pembina"),
            ),
            "terverifikasi": (("produsen_dinkes", "ajukan"), ("walidata", "setujui")),
            "terbit": (
                ("produsen_dinkes", "ajukan"),
                ("walidata", "setujui"),
                ("walidata", "terbitkan"),
            ),
            "ditarik": (
                ("produsen_dinkes", "ajukan"),
                ("walidata", "setujui"),
                ("walidata", "terbitkan"),
                ("walidata", "tarik"),
            ),
        }[status]:
            self.move(user, id_, transition, note="Perbaiki satuan.")
        result = tk.get_action("package_show")({"ignore_auth": True, "user": ""}, {"id": id_})
        assert self.status(id_)["status"] == status
        return result


@contextmanager
def misnamed(owner: sa.Engine, id_: str, name: str) -> Iterator[None]:
    """Within it, a dataset has the name and the time of change of an older portal's: any.

    Args:
        owner: of the tables, whom no trigger holds.
        id_: of a draft.
        name: id of another dataset, whose time it takes, too.
    """
    from ckan import model

    def give(given: str) -> None:
        model.Session.rollback()
        with owner.begin() as connection:
            connection.execute(sa.text("ALTER TABLE package DISABLE TRIGGER satudata_guard"))
            connection.execute(
                sa.text(
                    "UPDATE package SET name = :name, metadata_modified ="
                    " (SELECT metadata_modified FROM package WHERE id = :other) WHERE id = :id"
                ),
                {"name": given, "id": id_, "other": name},
            )
            connection.execute(sa.text("ALTER TABLE package ENABLE ALWAYS TRIGGER satudata_guard"))
        model.Session.expire_all()

    give(name)
    try:
        yield
    finally:
        give(f"dahulu-{id_}")
