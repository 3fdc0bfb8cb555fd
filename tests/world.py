"""A regency for the tests: organizations, people, and what they do with a dataset."""

from __future__ import annotations

import io
import uuid
from typing import Any, ClassVar

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
            self.call("satudata_peran_set", "admin", organization=name, peran=peran)
        for name, (organization, capacity) in self.PEOPLE.items():
            if organization:
                self.call(
                    "organization_member_create",
                    site,
                    id=organization,
                    username=name,
                    role=capacity,
                )

    def call(self, action: str, user: str | dict[str, Any] | None, /, **data: Any) -> Any:
        """Call an action as a user (with access checks), as None anonymously, or in a context."""
        import ckan.plugins.toolkit as tk

        if action == "get_site_user":
            return tk.get_action(action)({"ignore_auth": True}, {})
        context: Any = dict(user) if isinstance(user, dict) else {"user": user or ""}
        return tk.get_action(action)(context, data)

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
        """Upload a file as a new resource, and load its table as the worker would."""
        from ckanext.satudata_trenggalek import tables

        resource = self.call(
            "resource_create",
            user,
            package_id=dataset,
            name=filename,
            format=filename.rsplit(".", 1)[-1].upper(),
            upload=FileStorage(io.BytesIO(data), filename=filename),
            **more,
        )
        if tables.is_table(resource):
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

    def move(self, user: str, dataset: str, transition: str, **data: Any) -> dict[str, Any]:
        """satudata_transition, with the present hash and a good checklist unless given."""
        data.setdefault("content_hash", self.status(dataset)["content_hash"])
        if transition in ("setujui", "teruskan_ke_pembina"):
            data.setdefault("checklist", self.CHECKLIST)
        return self.call("satudata_transition", user, id=dataset, transition=transition, **data)

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
        import ckan.plugins.toolkit as tk

        dataset = self.draft(**fields)
        id_ = dataset["id"]
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
