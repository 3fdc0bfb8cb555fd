"""A random walk of everybody over everything, beside a model of what may be public.

The model knows nothing of the portal's tables: it holds the rules of the SOP in its own words, what
each reviewer read before deciding, and which decisions were made. Whatever the portal allows that
the rules don't, or shows that the model doesn't, is a `Leak`.
"""

from __future__ import annotations

import csv
import datetime as dt
import hashlib
import io
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, ClassVar, cast

import ckan.model as core
import ckan.plugins.toolkit as tk
import sqlalchemy as sa
from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from hypothesis.stateful import run_state_machine_as_test as run
from sqlalchemy.exc import DBAPIError
from werkzeug.datastructures import FileStorage

from ckanext.satudata_trenggalek import audit, files, maintenance, model, tables
from ckanext.satudata_trenggalek.workflow import service
from tests.world import World

REFUSED = (tk.NotAuthorized, tk.ObjectNotFound, tk.ValidationError, DBAPIError)
#: Answers an anonymous GET: path -> status and body.
Get = Callable[[str], tuple[int, bytes]]


class Leak(AssertionError):
    """What must never be."""


#: transition -> from, to, peran, and whether makers may not make it (Perpres 39/2019, SOP).
MOVES: dict[str, tuple[set[str], str, set[str], bool]] = {
    "ajukan": ({"draf", "dikembalikan"}, "diajukan", {"produsen_data"}, False),
    "batalkan": ({"diajukan"}, "draf", {"produsen_data"}, False),
    "kembalikan": (
        {"diajukan", "ditolak_pembina", "terverifikasi"},
        "dikembalikan",
        {"walidata"},
        False,
    ),
    "setujui": ({"diajukan"}, "terverifikasi", {"walidata"}, True),
    "teruskan_ke_pembina": ({"diajukan"}, "diperiksa_pembina", {"walidata"}, True),
    "setujui_pembina": ({"diperiksa_pembina"}, "terverifikasi", {"pembina_data"}, True),
    "tolak_pembina": ({"diperiksa_pembina"}, "ditolak_pembina", {"pembina_data"}, False),
    "batalkan_pembina": ({"diperiksa_pembina"}, "diajukan", {"walidata"}, False),
    "terbitkan": ({"terverifikasi"}, "terbit", {"walidata"}, False),
    "tarik": ({"terbit"}, "ditarik", {"walidata"}, False),
    "buka_kembali": ({"ditarik"}, "draf", {"walidata", "produsen_data"}, False),
}
APPROVALS = ("setujui", "setujui_pembina")
#: Status -> whose check it waits for; who took the check decides, nobody else.
CHECKERS = {
    "diajukan": "walidata",
    "ditolak_pembina": "walidata",
    "diperiksa_pembina": "pembina_data",
}
#: Words that only those who work on a dataset read.
WORDS = "Komentar-bukan-untuk-umum"
EDITABLE = ("draf", "dikembalikan")
#: Who usually goes on from a status, so that a walk comes to publications at all.
ONWARD = {
    "draf": ("produsen_dinkes", "ajukan"),
    "dikembalikan": ("produsen_dinkes_2", "ajukan"),
    "diajukan": ("walidata", "setujui"),
    "diperiksa_pembina": ("pembina_bps", "setujui_pembina"),
    "ditolak_pembina": ("walidata", "kembalikan"),
    "terverifikasi": ("walidata_2", "terbitkan"),
    "terbit": ("walidata", "tarik"),
    "ditarik": ("walidata_2", "buka_kembali"),
}
#: What whoever has the connection of the web role may try.
SQL = (
    "UPDATE package SET private = false WHERE id = :id",
    "UPDATE package SET private = NULL, title = 'Judul SQL' WHERE id = :id",
    "UPDATE package SET title = 'Judul SQL' WHERE id = :id",
    "UPDATE package SET state = 'deleted' WHERE id = :id",
    "DELETE FROM package_tag WHERE package_id = :id",
    "UPDATE resource SET description = 'SQL' WHERE package_id = :id",
    "DELETE FROM resource WHERE package_id = :id",
    "UPDATE satudata_file f SET sha256 = o.sha256 FROM satudata_file o WHERE o.sha256 <> f.sha256"
    " AND f.resource_id IN (SELECT id FROM resource WHERE package_id = :id)",
    "DELETE FROM satudata_file WHERE resource_id IN"
    " (SELECT id FROM resource WHERE package_id = :id)",
    "UPDATE satudata_status SET status = 'terbit' WHERE package_id = :id;"
    " SELECT set_config('satudata.gate', :id, true);"
    " UPDATE package SET private = false WHERE id = :id",
    "UPDATE satudata_status SET status = 'terverifikasi', content_hash = 'sha256:0'"
    " WHERE package_id = :id",
    "DELETE FROM satudata_event WHERE package_id = :id",
    "UPDATE satudata_event SET event = 'terbitkan', to_status = 'terbit' WHERE package_id = :id",
)
#: What every reader of a dataset reads.
SAID = (
    "title", "notes", "type", "author", "maintainer", "license_id", "definisi", "konsep",
    "tahun_data", "kategori", "klasifikasi", "frekuensi", "tujuan", "tahun_kegiatan",
)  # fmt: skip
SAID_OF_FILE = ("name", "description", "format", "url_type", "mimetype")

PEOPLE = [name for name in World.PEOPLE if name != "anggota_dinkes"]
WRITERS = ("produsen_dinkes", "produsen_dinkes_2", "admin_dinkes", "produsen_dukcapil", "walidata",
           "admin", "warga")  # fmt: skip
#: Values of `private` and of others that a client sends along.
SENT: tuple[dict[str, Any], ...] = (
    {"title": "Judul lain"},
    {"definisi": "Definisi lain."},
    {"private": False},
    {"private": ""},
    {"state": "active"},
    {"state": "deleted"},
    {"owner_org": "dukcapil"},
    {"tag_string": "kelahiran,lain"},
    {"satudata_status": "terbit", "satudata_version": 9},
    {"name": "x"},
)


@dataclass
class Known:
    """What the model holds of a dataset."""

    id: str
    name: str
    owner: str
    status: str = "draf"
    version: int = 0
    priority: bool = False
    scheduled: bool = False
    gone: bool = False
    #: Who took the check.
    holder: str | None = None
    makers: set[str] = field(default_factory=set)
    #: content hash -> what whoever read it together with that hash saw.
    read: dict[str, dict[str, Any]] = field(default_factory=dict)
    approved: dict[str, Any] | None = None
    #: Ids of its files.
    resources: list[str] = field(default_factory=list)

    @property
    def public(self) -> bool:
        return self.status == "terbit"


class Walk(RuleBasedStateMachine):
    """See the module; the test sets the world and how anonymous readers read."""

    world: ClassVar[World]
    get: ClassVar[Any]
    #: Counts what is done.
    count: ClassVar[Any]
    #: How many datasets of one walk there are at most.
    most: ClassVar[int] = 6

    def __init__(self) -> None:
        super().__init__()
        self.peran = {name: set(held) for name, held in World.ORGANIZATIONS.items()}
        self.member = {
            name: {organization} if organization and capacity in ("editor", "admin") else set()
            for name, (organization, capacity) in World.PEOPLE.items()
        }
        self.known: list[Known] = []
        self.touched: Known | None = None
        self.trail: list[str] = []
        # One of each, so that a walk begins where something can go wrong.
        self._add(self.world.kegiatan_at("terbit"), "terbit")
        self.kegiatan = self.known[0]
        for _ in range(2):
            self._add(self.world.at("diajukan", id_kegiatan=self.kegiatan.id), "diajukan")
        for user, name in (("walidata", "setujui"), ("walidata_2", "terbitkan")):
            self._move(user, self.known[1], name, self._read(user, self.known[1]))

    # The model -----------------------------------------------------------------------------------

    def _add(self, dataset: dict[str, Any], status: str) -> None:
        known = Known(dataset["id"], dataset["name"], "dinkes", status)
        known.makers = {"produsen_dinkes"}
        known.resources = [resource["id"] for resource in dataset.get("resources") or []]
        self.known.append(known)
        if status == "terbit":
            known.approved, known.version = self._saw(known), 1

    def held(self, user: str, owner: str) -> set[str]:
        """The peran in which a user acts towards datasets of an organization."""
        found = set()
        for organization in self.member[user]:
            for name in self.peran[organization]:
                if name != "produsen_data" or organization == owner:
                    found.add(name)
        return found

    def _saw(self, known: Known) -> dict[str, Any]:
        """What a reader with every right sees of a dataset, with the SHA-256 of what lies there."""
        root = {"ignore_auth": True, "user": "admin"}
        dataset = self.world.call("package_show", root, id=known.id, use_cache=False)
        digests = [self._digest(resource["id"]) for resource in dataset["resources"]]
        core.Session.remove()
        return {"said": self._said(dataset), "bytes": digests}

    @staticmethod
    def _digest(resource: str) -> str | None:
        row = files.pointer(resource)
        if row is None:
            return None
        with files.local_copy(row.sha256) as path, open(path, "rb") as stream:
            return hashlib.sha256(stream.read()).hexdigest()

    @staticmethod
    def _said(dataset: dict[str, Any]) -> dict[str, Any]:
        return {
            "fields": {key: dataset.get(key) for key in SAID if dataset.get(key)},
            "owner": (dataset.get("organization") or {}).get("id"),
            "tags": sorted(tag["name"] for tag in dataset["tags"]),
            "groups": sorted(group["id"] for group in dataset["groups"]),
            "files": [
                {key: resource.get(key) for key in SAID_OF_FILE if resource.get(key)}
                for resource in dataset["resources"]
            ],
        }

    def _leak(self, what: str) -> None:
        raise Leak(what + "\n  " + "\n  ".join(self.trail[-40:]))

    def _try(self, what: str, known: Known | None, act: Callable[[], Any]) -> Any:
        """Let somebody do something; what came of it, or None where it was refused."""
        self.touched = known
        told = f"{what} {known.status} {known.name}" if known else what
        try:
            result = act()
        except REFUSED as error:
            core.Session.rollback()
            self.trail.append(f"{told}: {type(error).__name__} {str(error)[:100]}")
            self.count("things refused")
            return None
        finally:
            core.Session.remove()
        self.trail.append(f"{told}: done")
        self.count("things done")
        return {} if result is None else result

    def _made(self, user: str, known: Known) -> None:
        """Somebody changed a dataset: nobody may where nobody edits."""
        if known.status not in EDITABLE:
            self._leak(f"{user} changed {known.name} in status {known.status}")
        if "produsen_data" not in self.held(user, known.owner):
            self._leak(f"{user} changed {known.name} without being its Produsen Data")
        known.makers.add(user)

    def _pick(self, data: st.DataObject) -> Known:
        if all(known.gone for known in self.known):
            self._add(self.world.draft(id_kegiatan=self.kegiatan.id), "draf")
        return data.draw(st.sampled_from([known for known in self.known if not known.gone]))

    # What people do ------------------------------------------------------------------------------

    @precondition(lambda self: sum(not known.gone for known in self.known) < self.most)
    @rule(user=st.sampled_from(WRITERS), sent=st.sampled_from(SENT))
    def create(self, user: str, sent: dict[str, Any]) -> None:
        fields = self.world.metadata(id_kegiatan=self.kegiatan.id)
        fields |= {key: value for key, value in sent.items() if key != "name"}
        made = self._try(
            f"{user} creates with {sent}",
            None,
            lambda: self.world.call("package_create", user, **fields),
        )
        if not made:
            return
        # A sysadmin brings in drafts from elsewhere (`katalog`, harvests), and is their maker.
        if user != "admin" and "produsen_data" not in self.held(user, fields["owner_org"]):
            self._leak(f"{user} created a dataset of {fields['owner_org']}")
        self._add(made, "draf")
        known = self.known[-1]
        known.owner, known.makers = fields["owner_org"], {user}
        known.gone = made["state"] == "deleted"
        if not known.gone:
            self._upload(user, known, None, World.CSV)

    @rule(data=st.data(), user=st.sampled_from(WRITERS), sent=st.sampled_from(SENT))
    def patch(self, data: st.DataObject, user: str, sent: dict[str, Any]) -> None:
        known = self._pick(data)
        if sent == {"name": "x"}:
            sent = {"name": data.draw(st.sampled_from(self.known)).name}
        done = self._try(
            f"{user} patches {sent}",
            known,
            lambda: self.world.call("package_patch", user, id=known.id, **sent),
        )
        if done:
            self._made(user, known)
            known.owner = sent.get("owner_org", known.owner)
            known.name = done["name"]
            if done["state"] == "deleted":
                known.gone, known.status = True, "draf"

    def _upload(self, user: str, known: Known, resource: str | None, content: bytes) -> None:
        file = FileStorage(io.BytesIO(content), filename="kelahiran.csv")
        fields: dict[str, Any] = {"name": "kelahiran.csv", "format": "CSV", "upload": file}
        fields["variabel"] = [dict(row) for row in World.VARIABEL]
        fields |= {"id": resource} if resource else {"package_id": known.id}
        action = "resource_patch" if resource else "resource_create"
        done = self._try(f"{user} {action}", known, lambda: self.world.call(action, user, **fields))
        if done:
            self._made(user, known)
            known.resources = [*dict.fromkeys([*known.resources, done["id"]])]
            self.work()

    @rule(
        data=st.data(),
        user=st.sampled_from(WRITERS),
        number=st.integers(0, 9),
        anew=st.booleans(),
    )
    def upload(self, data: st.DataObject, user: str, number: int, anew: bool) -> None:
        known = self._pick(data)
        if anew and len(known.resources) > 2:
            return
        resource = known.resources[0] if known.resources and not anew else None
        row = f"35.03.03,Watulimo,{number}\n".encode()
        self._upload(user, known, resource, World.CSV + row)

    @rule(
        data=st.data(),
        user=st.sampled_from(WRITERS),
        action=st.sampled_from(
            ("resource_delete", "package_delete", "dataset_purge", "package_owner_org_update",
             "resource_view_create", "member_create", "package_resource_reorder",
             "bulk_update_public", "package_collaborator_create")
        ),
    )  # fmt: skip
    def change(self, data: st.DataObject, user: str, action: str) -> None:
        known = self._pick(data)
        resource = known.resources[-1] if known.resources else "tidak-ada"
        arguments: dict[str, dict[str, Any]] = {
            "resource_delete": {"id": resource},
            "package_delete": {"id": known.id},
            "dataset_purge": {"id": known.id, "note": "Keliru."},
            "package_owner_org_update": {
                "id": known.id,
                "organization_id": self.world.ids["dukcapil"],
            },
            "resource_view_create": {
                "resource_id": resource,
                "view_type": "text_view",
                "title": "Lain",
            },
            "member_create": {
                "id": "perlindungan-sosial-dan-kesehatan",
                "object": known.id,
                "object_type": "package",
                "capacity": "public",
            },
            "package_resource_reorder": {"id": known.id, "order": known.resources[::-1]},
            "bulk_update_public": {"datasets": [known.id], "org_id": self.world.ids["dinkes"]},
            "package_collaborator_create": {
                "id": known.id,
                "user_id": self.world.ids["warga"],
                "capacity": "editor",
            },
        }
        before = known.status
        done = self._try(
            f"{user} {action}",
            known,
            lambda: self.world.call(action, user, **arguments[action]),
        )
        if done is None:
            return
        if action == "dataset_purge":
            if user != "admin" or before not in ("ditarik", *EDITABLE):
                self._leak(f"{user} purged {known.name} in status {before}")
            known.gone, known.status = True, "draf"
            return
        self._made(user, known)
        if action == "package_delete":
            if known.version:
                self._leak(f"{user} deleted {known.name}, which was published")
            known.gone, known.status = True, "draf"
        elif action == "resource_delete":
            known.resources.remove(resource)
        elif action == "package_owner_org_update":
            known.owner = "dukcapil"

    # The workflow --------------------------------------------------------------------------------

    def _read(self, user: str, known: Known) -> str:
        """What a reviewer does first: read the dataset and its hash."""
        status = self.world.status(known.id, user)
        core.Session.remove()
        known.read[status["content_hash"]] = self._saw(known)
        return status["content_hash"]

    def _move(self, user: str, known: Known, name: str, hash_: str, **more: Any) -> None:
        data = {"note": "Catatan.", "content_hash": hash_, **more}
        if name in ("setujui", "teruskan_ke_pembina"):
            data["checklist"] = World.CHECKLIST
        before = known.status
        done = self._try(
            f"{user} {name} {more or ''}",
            known,
            lambda: self.world.move_raw(user, known.id, name, **data),
        )
        if done is None:
            return
        sources, target, peran, strangers = MOVES[name]
        if more and name == "terbitkan":
            target = "terverifikasi"
        if before == target and done["status"] == target and before not in sources:
            return  # said again by who did it last
        if before not in sources:
            self._leak(f"{user}: {name} of {known.name} from {before}")
        if not peran & self.held(user, known.owner):
            self._leak(f"{user}: {name} of {known.name} without peran")
        if strangers and user in known.makers:
            self._leak(f"{user}: {name} of {known.name}, which {user} made")
        decides = before in CHECKERS and name not in ("batalkan", "batalkan_pembina")
        if decides and known.holder not in (None, user):
            self._leak(f"{user}: {name} of {known.name}, which {known.holder} checks")
        if name in (*APPROVALS, "teruskan_ke_pembina"):
            if (name == "setujui") == known.priority and name != "setujui_pembina":
                self._leak(f"{user}: {name} of {known.name}, Data Prioritas: {known.priority}")
            if hash_ not in known.read or known.read[hash_] != self._saw(known):
                self._leak(f"{user}: {name} of {known.name} on what was not read")
        if name in APPROVALS:
            known.approved = known.read[hash_]
        elif name == "terbitkan" and target == "terbit":
            self._published(known)
        elif name == "terbitkan":
            known.scheduled = True
        elif name in ("kembalikan", "buka_kembali"):
            known.approved, known.scheduled = None, False
        elif name == "ajukan":
            known.makers.add(user)
        if done["status"] != target:
            self._leak(f"{user}: {name} of {known.name} says {done['status']}")
        known.status, known.holder = target, None

    def _checks(self, user: str | None, known: Known) -> bool:
        """Whether somebody may check a dataset as it stands."""
        peran = CHECKERS.get(known.status)
        return bool(user) and peran in self.held(user, known.owner) and user not in known.makers

    @rule(data=st.data(), user=st.sampled_from(PEOPLE), release=st.booleans())
    def claim(self, data: st.DataObject, user: str, release: bool) -> None:
        known = self._pick(data)
        action = "satudata_release" if release else "satudata_claim"
        done = self._try(
            f"{user} {action}",
            known,
            lambda: self.world.call(action, user, id=known.id, note="Cuti."),
        )
        if done is None:
            return
        if known.holder not in (None, user) and self._checks(known.holder, known):
            self._leak(f"{user}: {action} of {known.name}, which {known.holder} checks")
        if not release and not self._checks(user, known):
            self._leak(f"{user} took {known.name} in status {known.status}")
        known.holder = None if release else user

    @rule(data=st.data(), user=st.sampled_from(PEOPLE))
    def comment(self, data: st.DataObject, user: str) -> None:
        known = self._pick(data)
        done = self._try(
            f"{user} comments",
            known,
            lambda: self.world.call(
                "satudata_comment_create", user, id=known.id, field="title", body=WORDS
            ),
        )
        held = self.held(user, known.owner)
        if done is not None and not held & {"walidata", "pembina_data", "produsen_data"}:
            self._leak(f"{user} commented on {known.name}")

    def _published(self, known: Known) -> None:
        if known.approved is None or known.approved != self._saw(known):
            self._leak(f"{known.name} was published other than it was approved")
        known.version += 1
        known.status, known.scheduled = "terbit", False
        self.count("publications")

    @rule(data=st.data(), times=st.integers(1, 4))
    def onward(self, data: st.DataObject, times: int) -> None:
        self._onward(self._pick(data), times)

    @rule(data=st.data())
    def all_the_way(self, data: st.DataObject) -> None:
        """Twice on the list, since a walk leaves some of its rules out (swarm testing)."""
        self._onward(self._pick(data), 4)

    def _onward(self, known: Known, times: int) -> None:
        if known is self.kegiatan and known.public:
            return  # without it nothing is approved; other steps withdraw it
        if not self.kegiatan.public and not self.kegiatan.gone:
            known = self.kegiatan
        for _ in range(times):
            user, name = ONWARD[known.status]
            if known.priority and name == "setujui":
                name = "teruskan_ke_pembina"
            if "produsen_data" not in self.held(user, known.owner) and name == "ajukan":
                user = "produsen_dukcapil"
            try:
                hash_ = self._read(user, known)
            except REFUSED:
                core.Session.remove()
                return
            before = known.status
            self._move(user, known, name, hash_)
            if known.status == before:
                return

    @rule(
        data=st.data(),
        user=st.sampled_from(PEOPLE),
        name=st.sampled_from(sorted(MOVES)),
        stale=st.booleans(),
    )
    def transition(self, data: st.DataObject, user: str, name: str, stale: bool) -> None:
        known = self._pick(data)
        old = list(known.read)
        if stale and old:
            hash_ = data.draw(st.sampled_from(old))
        else:
            try:
                hash_ = self._read(user, known)
            except REFUSED:
                core.Session.remove()
                hash_ = ""
        self._move(user, known, name, hash_)

    @rule(data=st.data(), user=st.sampled_from(("forum", "walidata", "warga", "admin")))
    def priority(self, data: st.DataObject, user: str) -> None:
        known = self._pick(data)
        wanted = not known.priority
        done = self._try(
            f"{user} priority {wanted}",
            known,
            lambda: self.world.call(
                "satudata_prioritas_set", user, id=known.id, data_prioritas=wanted, kriteria="a"
            ),
        )
        if done is None:
            return
        held = self.held(user, known.owner)
        if not {"forum_satu_data"} & held and not (wanted and "walidata" in held):
            self._leak(f"{user} set priority of {known.name} to {wanted}")
        known.priority = wanted

    @rule(data=st.data())
    def schedule(self, data: st.DataObject) -> None:
        known = self._pick(data)
        at = (dt.datetime.now(dt.timezone.utc) + dt.timedelta(days=2)).isoformat()
        try:
            hash_ = self._read("walidata", known)
        except REFUSED:
            core.Session.remove()
            return
        self._move("walidata", known, "terbitkan", hash_, publish_at=at)

    # What runs by itself -------------------------------------------------------------------------

    @rule()
    def publish_due(self) -> None:
        """Two days later."""
        row = model.Status
        planned = sa.select(row.package_id).where(
            row.publish_at.is_not(None), row.package_id.in_([known.id for known in self.known])
        )
        for id_ in core.Session.scalars(planned).all():
            self.world.due(id_)
        done = self._try("publish_due", None, service.publish_due) or []
        for known in self.known:
            if known.name in done:
                if not known.scheduled or known.status != "terverifikasi":
                    self._leak(f"the schedule published {known.name} in status {known.status}")
                self._published(known)

    @rule()
    def work(self) -> None:
        """The job worker."""
        for known in self.known:
            for resource in known.resources:
                row = tables.state(resource)
                if row is None or row.state != "termuat":
                    tables.load(resource)
        core.Session.remove()

    @rule(job=st.sampled_from(("reconcile", "anchor")))
    def upkeep(self, job: str) -> None:
        if job == "anchor":
            self._try(job, None, audit.anchor)
        else:
            self._try(job, None, lambda: maintenance.reconcile(fix=True))

    # What others try -----------------------------------------------------------------------------

    @rule(
        organization=st.sampled_from(("dinkes", "dukcapil", "bps-trenggalek")),
        peran=st.sampled_from((["produsen_data"], [], ["pembina_data"], ["walidata"])),
        user=st.sampled_from(("admin", "admin", "walidata", "warga")),
    )
    def set_peran(self, organization: str, peran: list[str], user: str) -> None:
        done = self._try(
            f"{user} peran of {organization}: {peran}",
            None,
            lambda: self.world.call(
                "satudata_peran_set", user, organization=organization, peran=peran
            ),
        )
        if done is not None:
            if user != "admin" or "walidata" in peran:
                self._leak(f"{user} gave {organization} {peran}")
            self.peran[organization] = set(peran)

    @rule(
        user=st.sampled_from(("warga", "produsen_dukcapil", "walidata_2")),
        organization=st.sampled_from(("dinkes", "diskominfo")),
        role=st.sampled_from(("editor", "member", "")),
        by=st.sampled_from(("admin", "admin_dinkes", "warga")),
    )
    def membership(self, user: str, organization: str, role: str, by: str) -> None:
        action = f"organization_member_{'create' if role else 'delete'}"
        more = {"role": role} if role else {}
        done = self._try(
            f"{by} makes {user} {role or 'nothing'} of {organization}",
            None,
            lambda: self.world.call(action, by, id=organization, username=user, **more),
        )
        if done is not None:
            if by == "warga":
                self._leak(f"{by} changed members of {organization}")
            self.member[user] -= {organization}
            if role == "editor":
                self.member[user] |= {organization}

    @rule(data=st.data(), owner=st.sampled_from(PEOPLE), by=st.sampled_from(PEOPLE))
    def token(self, data: st.DataObject, owner: str, by: str) -> None:
        known = self._pick(data)
        made = self._try(
            f"{by} makes a token of {owner}",
            known,
            lambda: self.world.call("api_token_create", by, user=owner, name="jalan"),
        )
        if made and owner != by:
            self._leak(f"{by} holds a token of {owner}")

    @rule(
        data=st.data(),
        user=st.sampled_from(WRITERS),
        action=st.sampled_from(("datastore_create", "datastore_upsert", "datastore_delete")),
    )
    def datastore(self, data: st.DataObject, user: str, action: str) -> None:
        known = self._pick(data)
        if known.resources:
            sent: dict[str, Any] = {"resource_id": known.resources[0], "force": True}
            if action != "datastore_delete":
                sent |= {"records": [{"kode": "x", "kecamatan": "PALSU", "jumlah": 1}]}
            done = self._try(
                f"{user} {action}", known, lambda: self.world.call(action, user, **sent)
            )
            if done is not None:
                self._leak(f"{user} wrote the table of {known.name}")

    @rule(data=st.data(), statement=st.sampled_from(SQL))
    def sql(self, data: st.DataObject, statement: str) -> None:
        known = self._pick(data)

        self._sql(known, statement)

    def _sql(self, known: Known, statement: str) -> None:
        def act() -> None:
            core.Session.execute(sa.text(statement), {"id": known.id})
            core.Session.commit()

        done = self._try(f"SQL {statement}", known, act)
        if done is not None and known.status in EDITABLE:
            # A draft is whatever its rows say; who wrote them is for the database's own log.
            known.gone = known.gone or "state = 'deleted'" in statement
            if statement.startswith("DELETE FROM resource"):
                known.resources = []

    # What must be so after every step ------------------------------------------------------------

    @invariant()
    def the_public_sees_what_was_approved(self) -> None:
        self.count("steps")
        public = {known.id: known for known in self.known if known.public}
        asked = " OR ".join(known.id for known in self.known)
        found = self._api("package_search", f"fq=%2Bid:({asked})+%2Bdataset_type:*&rows=100")
        for row in (found or {"results": []})["results"]:
            self._compare("package_search", public.get(row["id"]), row)
        names = set(self._api("package_list") or ()) & {known.name for known in self.known}
        if not names <= {known.name for known in public.values()}:
            self._leak(f"package_list names {names}")
        # What was just tried, or one in turn.
        self._look(self.touched or self.known[len(self.trail) % len(self.known)])

    def _api(self, action: str, query: str = "") -> Any:
        status, body = self.get(f"/api/3/action/{action}?{query}")
        if status >= 500:
            self._leak(f"{action}?{query} answers {status}")
        if WORDS.encode() in body:
            self._leak(f"{action}?{query} tells a comment")
        return json.loads(body)["result"] if status == 200 else None

    def _compare(self, where: str, known: Known | None, dataset: dict[str, Any]) -> None:
        if known is None:
            self._leak(f"{where} shows {dataset['name']}, which is not published")
        elif known.approved is None or self._said(dataset) != known.approved["said"]:
            self._leak(f"{where} shows {self._said(dataset)}, approved was {known.approved}")

    def _look(self, known: Known) -> None:
        """Everything of one dataset that anonymous readers may ask for."""
        shown = self._api("package_show", f"id={known.id}")
        if shown is not None:
            self._compare("package_show", known if known.public else None, shown)
        elif known.public:
            self._leak(f"package_show does not show {known.name}, which is published")
        approved = (known.approved or {}).get("bytes", []) if known.public else []
        ids = [resource["id"] for resource in (shown or {"resources": []})["resources"]]
        if len(approved) != len(ids):
            self._leak(f"{known.name} has {len(ids)} files, approved were {len(approved)}")
        for action in ("satudata_publication_show", "satudata_comment_list"):
            self._api(action, f"id={known.id}")
        for resource in {*known.resources} - {*ids}:
            if self._download(known, resource)[0] == 200 or self._table(resource) is not None:
                self._leak(f"file or table of {known.name} in status {known.status}")
        for resource, sha256 in zip(ids, approved, strict=True):
            status, body = self._download(known, resource)
            if status != 200 or hashlib.sha256(body).hexdigest() != sha256:
                self._leak(f"download of {known.name}: {status}, other bytes than approved")
            rows, told = list(csv.DictReader(io.StringIO(body.decode()))), self._table(resource)
            if told != rows:
                self._leak(f"table of {known.name}: {told}, the file says {rows}")

    def _download(self, known: Known, resource: str) -> tuple[int, bytes]:
        return self.get(f"/dataset/{known.id}/resource/{resource}/download/x.csv")

    def _table(self, resource: str) -> list[dict[str, str]] | None:
        found = self._api("datastore_search", f"resource_id={resource}&limit=100")
        return found and [
            {key: str(value) for key, value in row.items() if key != "_id"}
            for row in found["records"]
        ]

    @invariant()
    def the_model_is_told_the_truth(self) -> None:
        """The database stands where the decisions led, and nowhere else."""
        known = self.touched
        if known and not known.gone:
            query = sa.text("SELECT status FROM satudata_status WHERE package_id = :id")
            status = core.Session.scalar(query, {"id": known.id})
            core.Session.remove()
            if status != known.status:
                self._leak(f"{known.name} is {status}, decided was {known.status}")

    def teardown(self) -> None:
        """Give everybody back what they had, for the tests that come after."""
        root = {"ignore_auth": True, "user": "admin"}
        core.Session.remove()
        for organization, held in World.ORGANIZATIONS.items():
            if self.peran[organization] != set(held):
                self.world.give_peran(organization, held)
        for user, (organization, capacity) in World.PEOPLE.items():
            wanted = {organization} if organization and capacity in ("editor", "admin") else set()
            for extra in self.member[user] - wanted:
                self.world.call("organization_member_delete", root, id=extra, username=user)
            for lost in wanted - self.member[user]:
                self.world.call(
                    "organization_member_create", root, id=lost, username=user, role=capacity
                )
        core.Session.remove()
        problems = [*audit.verify()[2], *maintenance.altered()]
        core.Session.remove()
        mine = [p for p in problems if any(known.id in p for known in self.known)]
        if mine:
            self._leak(str(mine))


def machine(world: World, get: Get, count: Callable[[str], object]) -> type[Walk]:
    """The machine that walks.

    Args:
        world: the people.
        get: how anonymous readers read.
        count: told "steps", "things done", "things refused" or "publications", for each.
    """
    return type(
        "Walk", (Walk,), {"world": world, "get": staticmethod(get), "count": staticmethod(count)}
    )


def walk(walker: type[Walk], number: int, walks: int, steps: int) -> None:
    """Walk a number of times from a new beginning.

    Args:
        walker: see `machine`.
        number: the seed; the same one walks the same ways.
        walks: how often.
        steps: of each walk.

    Raises:
        Leak: with the last steps that led there.
    """
    run(
        seed(number)(walker),
        settings=settings(
            max_examples=walks,
            stateful_step_count=steps,
            phases=[Phase.generate],
            deadline=None,
            database=None,
            report_multiple_bugs=False,
            suppress_health_check=cast(Any, list(HealthCheck)),
        ),
    )
