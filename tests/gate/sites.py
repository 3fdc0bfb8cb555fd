"""The two places on which a door is tried: the portal, and CKAN without its plugin."""

from __future__ import annotations

import hashlib
import io
import re
import uuid
from dataclasses import asdict, replace
from typing import Any

import ckan.model as model
import ckan.plugins.toolkit as tk
import sqlalchemy as sa
from ckan.lib import files, uploader
from ckan.tests.helpers import CKANTestApp
from sqlalchemy.exc import DBAPIError
from werkzeug.datastructures import FileStorage

from tests.gate.doors import READING, ROLES, Door, Target
from tests.world import World

#: The kategori of the datasets of World, whose group the portal makes.
TOPIC, GROUP = "perlindungan-sosial-dan-kesehatan", "ekonomi"


class Refused(Exception):
    """A page or action that is not given."""


REFUSED = (tk.NotAuthorized, tk.ObjectNotFound, tk.ValidationError, DBAPIError, Refused)


class Site:
    """People and datasets to try doors with."""

    def __init__(self, world: World, app: CKANTestApp) -> None:
        self.world, self.app, self.ids = world, app, world.ids
        self.tokens: dict[str, str] = {}
        self.targets: dict[str, Target] = {}
        self.root = {"ignore_auth": True, "user": "admin"}
        for name, office in (("produsen_ganda", "dinkes dukcapil"), ("pengelola_topik", "")):
            if model.User.get(name) is None:
                email, password = f"{name}@example.id", "rahasia-123"
                self.ids[name] = world.call(
                    "user_create", self.root, name=name, email=email, password=password
                )["id"]
            for organization in office.split():
                self.join("organization", organization, name, "editor")
        for group in (TOPIC, GROUP):
            self.group(group)

    def join(self, kind: str, group: str, user: str, role: str) -> None:
        self.world.call(f"{kind}_member_create", self.root, id=group, username=user, role=role)

    def group(self, name: str) -> None:
        """A group whose admin is the manager of topics."""
        if model.Group.get(name) is None:
            self.world.call("group_create", self.root, name=name, title=name)
        self.join("group", name, "pengelola_topik", "admin")

    def keyword(self, id_: str, token: str, vocabulary: str) -> None:
        """A tag of a vocabulary on a dataset."""
        tag = model.Tag(name=f"kata-{token}", vocabulary_id=vocabulary)
        model.Session.add(tag)
        model.Session.flush()
        model.Session.add(model.PackageTag(model.Package.get(id_), tag))
        model.Session.commit()

    def relate(self, subject: str, partner: str) -> None:
        """A relationship, which core makes only while it can index the dataset."""
        ids = [package.id for name in (subject, partner) if (package := model.Package.get(name))]
        model.Session.execute(
            sa.text("INSERT INTO package_relationship (id, subject_package_id, object_package_id,"
                    " type, comment, state) VALUES (:id, :one, :two, 'depends_on', '', 'active')"),
            {"id": str(uuid.uuid4()), "one": ids[0], "two": ids[1]},
        )  # fmt: skip
        model.Session.commit()

    # As doors.Site says -----------------------------------------------------------------------
    def call(self, action: str, user: Any, /, **data: Any) -> Any:
        try:
            tk.get_action(action)
        except KeyError:
            raise Refused("there is no such action") from None
        return self.world.call(action, user, **data)

    def open(self, user: Any, path: str, method: str = "GET", **form: Any) -> str:
        headers = {}
        if user:
            if user not in self.tokens:
                made = self.world.call("api_token_create", user, user=user, name="uji")
                self.tokens[user] = made["token"]
            headers["Authorization"] = self.tokens[user]
        answer = self.app.test_client().open(
            path, method=method, headers=headers, follow_redirects=False, data=form or None
        )
        text = answer.get_data(as_text=True)
        assert answer.status_code < 500, f"{path}: {answer.status}"
        to_login = answer.status_code == 302 and "/user/login" in answer.location
        # A form that comes back says what was wrong.
        if answer.status_code >= 400 or to_login or (method == "POST" and "<form" in text):
            raise Refused(f"{answer.status} {text}")
        return text

    def sql(self, statement: str, t: Target) -> None:
        values = {"id": t.id, "resource": t.resource, "token": t.token, "group": t.group}
        used = {key: value for key, value in values.items() if f":{key}" in statement}
        model.Session.execute(sa.text(statement), used)
        model.Session.commit()

    def counted(self, t: Target, group: str) -> int:
        return model.Session.execute(
            sa.text(
                "SELECT count(*) FROM package p WHERE NOT private AND state = 'active'"
                " AND type = 'dataset' AND EXISTS (SELECT 1 FROM \"group\" g WHERE g.name = :name"
                " AND (g.id = p.owner_org OR EXISTS (SELECT 1 FROM member m"
                " WHERE m.table_id = p.id AND m.group_id = g.id AND m.state = 'active')))"
            ),
            {"name": group},
        ).scalar_one()

    def newest(self) -> str:
        """Id of the dataset made last."""
        query = "SELECT id FROM package ORDER BY metadata_created DESC LIMIT 1"
        return model.Session.execute(sa.text(query)).scalar_one()

    # What a dataset is ------------------------------------------------------------------------
    def visible(self, id_: str) -> list[str]:
        """By which ways an anonymous reader finds it."""
        found = []
        try:
            name = self.call("package_show", None, id=id_)["name"]
            found.append("package_show")
        except REFUSED:
            name = ""
        if self.call("package_search", None, fq=f"+id:{id_} +dataset_type:*")["count"]:
            found.append("package_search")
        if name in self.call("package_list", None):
            found.append("package_list")
        return found

    def state(self, t: Target) -> dict[str, Any]:
        """Every row of the target, its bytes, its table, and who sees it."""
        model.Session.rollback()
        ids = [row["id"] for row in self._rows("SELECT id FROM resource WHERE package_id = :id", t)]
        return {
            **{name: self._rows(statement, t) for name, statement in _STATE.items()},
            "bytes": {id_: self.content(id_) for id_ in sorted(ids)},
            "table": [self._table(resource) for resource in {t.resource, t.designed}],
            "visible": self.visible(t.id),
        }

    def _rows(self, statement: str, t: Target) -> list[dict[str, Any]]:
        values = {"id": t.id, "token": f"%{t.token}%"}
        used = {key: value for key, value in values.items() if f":{key}" in statement}
        return [dict(row._mapping) for row in model.Session.execute(sa.text(statement), used)]

    def content(self, resource: str) -> str | None:
        """SHA-256 of the bytes of a resource."""
        row = model.Session.get(model.Resource, resource, populate_existing=True)
        if row is None or row.url_type != "upload":
            return None
        found: Any = uploader.get_resource_uploader({"id": resource, "url_type": "upload"})
        where = files.FileData(files.Location(found.get_path(resource)))
        try:
            return hashlib.sha256(found.storage.content(where)).hexdigest()
        except files.exc.MissingFileError:
            return None

    def _table(self, resource: str) -> Any:
        from ckanext.datastore.backend.postgres import get_write_engine

        with get_write_engine().connect() as connection:
            where = {"name": f'"{resource}"'}
            if not connection.scalar(sa.text("SELECT to_regclass(:name)"), where):
                return None
            rows = connection.execute(sa.text(f'SELECT * FROM "{resource}" ORDER BY _id'))
            words = sa.text(
                "SELECT attname, col_description(attrelid, attnum) FROM pg_attribute"
                " WHERE attrelid = to_regclass(:name) AND attnum > 0 ORDER BY attnum"
            )
            return [[tuple(row) for row in found]
                    for found in (rows, connection.execute(words, where))]  # fmt: skip

    # What somebody is answered ----------------------------------------------------------------
    def answer(self, door: Door, user: Any, t: Target) -> tuple[str, str]:
        """How a door ends, and what it says."""
        try:
            return "open", str(door.go(self, user, t))
        except REFUSED as error:
            return type(error).__name__, str(error)
        finally:
            model.Session.rollback()

    def tells(self, door: Door, user: Any, t: Target) -> str:
        """What an answer tells of the target: nothing when an unknown one is answered alike."""
        unknown = replace(t, **_unknown(t))
        told, other = self.answer(door, user, t), self.answer(door, user, unknown)
        # What was asked for may be repeated; what stands in the answer to another may not.
        found = [word for word in (t.token, t.id, t.resource, t.second) if word in other[1].lower()]
        if found:
            return f"{found}: {other[1][:2000]}"
        one, two = _same(told, t), _same(other, unknown)
        return "" if one == two else f"{one}\n-- unlike --\n{two}"


_STATE = {
    "package": "SELECT to_jsonb(p) - 'metadata_modified' AS row FROM package p WHERE id = :id",
    "resource": "SELECT to_jsonb(r) - 'metadata_modified' AS row FROM resource r"
    " WHERE package_id = :id ORDER BY id",
    "tag": "SELECT t.name, t.vocabulary_id, p.state FROM package_tag p"
    " JOIN tag t ON t.id = p.tag_id WHERE package_id = :id ORDER BY 1, 2",
    "member": 'SELECT to_jsonb(m) AS row, g.name, g.title, g.state FROM member m JOIN "group" g'
    " ON g.id = m.group_id WHERE m.table_id = :id ORDER BY m.id",
    "owner": 'SELECT g.name, g.title, g.state FROM package p JOIN "group" g ON g.id = p.owner_org'
    " WHERE p.id = :id",
    "collaborator": "SELECT user_id, capacity FROM package_member WHERE package_id = :id",
    "relationship": "SELECT to_jsonb(r) AS row FROM package_relationship r"
    " WHERE :id IN (subject_package_id, object_package_id) ORDER BY id",
    "view": "SELECT to_jsonb(v) AS row FROM resource_view v JOIN resource r"
    " ON r.id = v.resource_id WHERE r.package_id = :id ORDER BY v.id",
    "translation": "SELECT to_jsonb(t) AS row FROM term_translation t WHERE term LIKE :token",
    "task": "SELECT to_jsonb(t) AS row FROM task_status t JOIN resource r ON r.id = t.entity_id"
    " WHERE r.package_id = :id",
}

_VARIES = re.compile(
    r'<meta name="_csrf_token"[^>]*>|name="_csrf_token"[^>]*>|<(updated|published)>[^<]*<'
    r"|__debug[^\"]*|\?_id=[^\"&]*"
)


def _unknown(t: Target) -> dict[str, str]:
    """The names of a target that isn't there, of the same shape."""
    token = uuid.uuid4().hex[:8]
    ids = {name: str(uuid.uuid4()) for name in ("id", "resource", "second", "view", "view2", "gone",
                                                "designed", "harvested", "vocabulary")}  # fmt: skip
    named = {name: value.replace(t.token, token) for name, value in asdict(t).items()
             if name not in ids and t.token in value
             and name not in ("organization", "topic", "group")}  # fmt: skip
    return {**ids, **named, "location": hashlib.sha256(token.encode()).hexdigest()}


def _same(answer: tuple[str, str], t: Target) -> tuple[str, str]:
    """An answer without the names that were asked for."""
    text = answer[1]
    for name, value in sorted(asdict(t).items(), key=lambda item: -len(item[1])):
        if value and name != "column":
            text = text.replace(value, "X").replace(value.upper(), "X")
    return answer[0], _VARIES.sub("", text)


class Portal(Site):
    """The portal: a target in each status has come there through the workflow."""

    def dataset(self, **fields: Any) -> dict[str, Any]:
        data = self.world.metadata(**fields)
        return {key: value for key, value in data.items() if value is not None}

    def purged(self, token: str) -> str:
        dataset = self.world.call("package_create", "produsen_dinkes", **self.world.metadata())
        text = f"kode,kecamatan,jumlah\n1,{token},1\n".encode()
        resource = self.world.upload("produsen_dinkes", dataset["id"], text)["id"]
        self.world.call("dataset_purge", "admin", id=dataset["id"])
        return resource

    def withdrawn(self, user: Any, action: str, **data: Any) -> Any:
        return self.call(action, user, **data)

    def target(self, status: str, related: bool = False) -> Target:
        """A dataset of dinkes in this status that tests share: no test may change it."""
        key = f"{status} {related}"
        if key not in self.targets:
            self.targets[key] = self._target(status, related)
        return self.targets[key]

    def _target(self, status: str, related: bool) -> Target:
        world, token = self.world, uuid.uuid4().hex[:8]
        vocabulary = world.call("vocabulary_create", self.root, name=f"kosakata-{token}")["id"]
        fields = {"title": f"Judul {token}", "tag_string": f"tag-{token}"}
        id_ = world.call(
            "package_create", "produsen_dinkes",
            **world.metadata(name=f"pintu-{token}", **fields),
        )["id"]  # fmt: skip
        other = [
            world.call(
                "package_create", "produsen_dinkes",
                **world.metadata(name=f"mitra{n}-{token}"),
            )["name"] for n in (1, 2)
        ]  # fmt: skip
        resource, second, gone = (
            world.upload("produsen_dinkes", id_, *file)["id"]
            for file in (
                (World.CSV, f"satu-{token}.csv"),
                (f"Isi {token}.".encode(), f"dua-{token}.txt"),
                (f"Lama {token}.".encode(), f"lama-{token}.txt"),
            )
        )
        world.call("resource_delete", "produsen_dinkes", id=gone)
        world.call("resource_patch", "produsen_dinkes", id=second, format=f"FMT{token}")
        views = [
            world.call(
                "resource_view_create", "produsen_dinkes", resource_id=resource,
                view_type="text_view", title=f"Tampilan {n} {token}",
            )["id"] for n in (1, 2)
        ]  # fmt: skip
        self.keyword(id_, token, vocabulary)
        if related:
            self.relate(f"pintu-{token}", other[0])
        for view in world.call("resource_view_list", "produsen_dinkes", id=second):
            world.call("resource_view_delete", "produsen_dinkes", id=view["id"])
        world.call("follow_dataset", "produsen_dinkes", id=id_)
        world.bring(id_, status)
        pointer: Any = uploader.get_resource_uploader({"id": second, "url_type": "upload"})
        return Target(
            token, id_, f"pintu-{token}", resource, second, views[0], views[1], gone, other[0],
            other[1], f"tag-{token}", vocabulary, "dinkes", self.ids["dinkes"], TOPIC, GROUP,
            str(pointer.get_path(second)), "kecamatan", resource, resource,
        )  # fmt: skip

    def state(self, t: Target) -> dict[str, Any]:
        from ckanext.satudata_trenggalek import content
        from ckanext.satudata_trenggalek.model import Status

        found = super().state(t)
        row = model.Session.get(Status, t.id, populate_existing=True)
        assert row
        return {
            **found,
            "content_hash": content.digest(content.canonical(t.id)),
            "status": (row.status, row.version, row.content_hash, row.makers),
        }


class PlainWorld(World):
    """The same people where nobody has a peran."""

    def give_peran(self, organization: str, peran: list[str]) -> None:
        """There are none."""


class Plain(Site):
    """CKAN as it comes: a target is what an editor made the ordinary way."""

    def dataset(self, **fields: Any) -> dict[str, Any]:
        data = {"name": f"data-{uuid.uuid4().hex[:10]}", "title": "Data", "owner_org": "dinkes"}
        return {key: value for key, value in (data | fields).items() if value is not None}

    def purged(self, token: str) -> str:
        id_ = self.call("package_create", "produsen_dinkes", **self.dataset())["id"]
        resource = self._upload(id_, token.encode(), "a.txt")
        self._load(resource, token)
        self.call("dataset_purge", "admin", id=id_)
        return resource

    def withdrawn(self, user: Any, action: str, **data: Any) -> Any:
        self.call("package_patch", "admin", id=data["id"], private=True)
        return self.call(action, user, **data)

    def _upload(self, dataset: str, text: bytes, filename: str, **more: Any) -> str:
        upload = FileStorage(io.BytesIO(text), filename=filename)
        return self.call(
            "resource_create", self.root, package_id=dataset, name=filename, upload=upload, **more
        )["id"]

    def _load(self, resource: str, token: str, **more: Any) -> None:
        self.call(
            "datastore_create", self.root, resource_id=resource, force=True,
            fields=[{"id": "kecamatan", "type": "text", **more}],
            records=[{"kecamatan": token}, {"kecamatan": "Munjungan"}],
        )  # fmt: skip

    def to_try(self, door: Door) -> Target:
        """A dataset for a door; those that only read share one."""
        if door not in READING or door.id.startswith("activity"):
            return self.target(door.plain)
        if door.plain not in self.targets:
            self.targets[door.plain] = self.target(door.plain)
        return self.targets[door.plain]

    def target(self, kind: str) -> Target:
        """A new dataset in an organization and a group of its own."""
        token = uuid.uuid4().hex[:8]
        call, root = self.call, self.root
        organization, topic, group = (f"{name}-{token}" for name in ("opd", "topik", "lain"))
        owner = call("organization_create", root, name=organization, title=organization)["id"]
        for letter, role in (("E", "editor"), ("A", "admin"), ("B", "editor"), ("M", "member")):
            self.join("organization", organization, ROLES[letter][1][0], role)
        self.group(topic)
        self.group(group)
        for letter in "EA":
            self.join("group", topic, ROLES[letter][1][0], "member")
        vocabulary = call("vocabulary_create", root, name=f"kosakata-{token}")["id"]
        names = [f"{name}-{token}" for name in ("pintu", "mitra1", "mitra2")]
        id_, *_others = (
            call(
                "package_create", "produsen_dinkes", name=name, title=f"Judul {token}",
                owner_org="dinkes" if n else organization, tag_string=f"tag-{token}",
                extras=[{"key": "catatan", "value": token}],
                private=kind == "private" or n > 0,
            )["id"] for n, name in enumerate(names)
        )  # fmt: skip
        call("member_create", root, id=topic, object=id_, object_type="package", capacity="public")
        resource = self._upload(id_, token.encode(), f"satu-{token}.csv", format="CSV")
        second = self._upload(
            id_, f"Isi {token}.".encode(), f"dua-{token}.txt", format=f"FMT{token}"
        )
        gone = self._upload(id_, f"Lama {token}.".encode(), f"lama-{token}.txt")
        designed = call(
            "resource_create", root, package_id=id_, name="rancang", url_type="tabledesigner"
        )["id"]
        self._load(resource, token)
        self._load(designed, token, tdtype="text")
        # As the datapusher leaves it.
        call(
            "task_status_update", root, entity_id=resource, entity_type="resource",
            task_type="datapusher", key="datapusher", value="{}", state="error", error=token,
        )  # fmt: skip
        call("resource_delete", root, id=gone)
        views = [
            call(
                "resource_view_create", "produsen_dinkes", resource_id=resource,
                view_type="text_view", title=f"Tampilan {n} {token}",
            )["id"] for n in (1, 2)
        ]  # fmt: skip
        for view in call("resource_view_list", root, id=second):
            call("resource_view_delete", root, id=view["id"])
        self.keyword(id_, token, vocabulary)
        call("follow_dataset", "produsen_dinkes", id=id_)
        found: Any = uploader.get_resource_uploader({"id": second, "url_type": "upload"})
        return Target(
            token, id_, names[0], resource, second, views[0], views[1], gone, names[1], names[2],
            f"tag-{token}", vocabulary, organization, owner, topic, group,
            str(found.get_path(second)), "kecamatan", designed, self._harvested(id_, token),
        )  # fmt: skip

    def _harvested(self, id_: str, token: str) -> str:
        """An object that was harvested and became the dataset."""
        from ckanext.harvest.model import HarvestJob, HarvestObject, HarvestSource

        source = HarvestSource(url=f"http://example.id/{token}", type="ckan")
        job = HarvestJob(source=source)
        row = HarvestObject(guid=token, job=job, source=source, content=token, package_id=id_)
        model.Session.add_all([source, job, row])
        model.Session.commit()
        return str(row.id)
