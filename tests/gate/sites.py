"""The two places on which a door is tried: the portal, and CKAN without its plugin."""

from __future__ import annotations

import difflib
import hashlib
import io
import random
import re
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import asdict, replace
from typing import Any, ClassVar

import ckan.model as model
import ckan.plugins.toolkit as tk
import sqlalchemy as sa
from ckan.lib import files, uploader
from ckan.lib.search.common import make_connection
from ckan.tests.helpers import CKANTestApp
from sqlalchemy.exc import DBAPIError
from werkzeug.datastructures import FileStorage

from tests.gate.doors import ROLES, Door, Target
from tests.world import World

#: The kategori of the datasets of World, whose group the portal makes.
TOPIC, GROUP = "perlindungan-sosial-dan-kesehatan", "ekonomi"


def new_token() -> str:
    """A word that no other text has; of letters alone, since the search takes digits apart."""
    return "".join(random.choices("bdfghjkmpqvwxz", k=10))


class Refused(Exception):
    """A page or action that is not given."""


REFUSED = (tk.NotAuthorized, tk.ObjectNotFound, tk.ValidationError, DBAPIError, Refused)


class Site:
    """People and datasets to try doors with."""

    #: What a dataset is -> the rows that say so.
    STATE: ClassVar[dict[str, str]]

    def __init__(self, world: World, app: CKANTestApp) -> None:
        self.world, self.app, self.ids = world, app, world.ids
        self.tokens: dict[str, str] = {}
        self.targets: dict[str, Target] = {}
        self.stood: dict[str, Any] = {}
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

    def keyword(self, id_: str, vocabulary: str) -> None:
        """A tag of a vocabulary on a dataset; both are the sysadmin's own words."""
        tag = model.Tag(name=f"kata-{new_token()}", vocabulary_id=vocabulary)
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

    refused = REFUSED

    def forget(self) -> None:
        """Rolls back what an attempt has left."""
        model.Session.rollback()

    # As doors.Site says -----------------------------------------------------------------------
    def call(self, action: str, user: Any, /, **data: Any) -> Any:
        try:
            tk.get_action(action)
        except KeyError:
            raise Refused("there is no such action") from None
        return self.world.call(action, user, **data)

    def request(self, user: Any, path: str, method: str = "GET", **more: Any) -> Any:
        """The answer to a request with the user's token."""
        headers = dict(more.pop("headers", {}))
        if user:
            if user not in self.tokens:
                made = self.world.call("api_token_create", user, user=user, name="uji")
                self.tokens[user] = made["token"]
            headers["Authorization"] = self.tokens[user]
        client = self.app.test_client()
        return client.open(path, method=method, headers=headers, follow_redirects=False, **more)

    def open(self, user: Any, path: str, method: str = "GET", **form: Any) -> str:
        answer = self.request(user, path, method, data=form or None)
        text = answer.get_data(as_text=True)
        for name, value in answer.headers:
            if name not in ("Set-Cookie", "Content-Length"):
                text += f"\n{name}: {value}"
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
        return self.world.visible(id_)

    def state(self, t: Target) -> dict[str, Any]:
        """Every row of the target, its bytes, its tables, and what the index says of it."""
        model.Session.rollback()
        rows = self._rows(self.STATE, t)
        return {
            **rows,
            "bytes": {location: self._bytes(location) for location in self._locations(rows)},
            "table": [self._table(resource) for resource in sorted({t.resource, t.designed})],
            "index": self._document(t),
        }

    def _rows(self, statements: Mapping[str, str], t: Target) -> dict[str, Any]:
        """What each statement finds, asked at once."""
        parts = (
            f"'{name}', (SELECT coalesce(jsonb_agg(to_jsonb(q)), '[]') FROM ({statement}) q)"
            for name, statement in statements.items()
        )
        query = sa.text(f"SELECT jsonb_build_object({', '.join(parts)})")
        return model.Session.execute(query, {"id": t.id, "token": f"%{t.token}%"}).scalar_one()

    def _document(self, t: Target) -> tuple[Any, ...]:
        """What Solr holds of the target, and whether everybody finds it."""
        facet = {"facet": "true", "facet.query": "permission_labels:public"}
        solr: Any = make_connection()
        found = solr.search(f'id:"{t.id}"', fl="*", **facet)
        documents = [
            {k: v for k, v in doc.items() if k in ("name", "title", "capacity", "state", "notes")}
            for doc in found.docs
        ]
        return documents, found.facets["facet_queries"]

    def _locations(self, rows: Mapping[str, Any]) -> list[str]:
        """Where the bytes of a dataset lie in the storage."""
        raise NotImplementedError

    def _bytes(self, location: str) -> str | None:
        """SHA-256 of what lies there."""
        storage = files.get_storage("resources")
        try:
            found = storage.content(files.FileData(files.Location(location)))
            return hashlib.sha256(found).hexdigest()
        except files.exc.MissingFileError:
            return None

    def _table(self, resource: str) -> Any:
        from ckanext.datastore.backend.postgres import get_write_engine

        with get_write_engine().connect() as connection:
            where = {"name": f'"{resource}"'}
            if not connection.scalar(sa.text("SELECT to_regclass(:name)"), where):
                return None
            words = (
                "SELECT jsonb_agg(ARRAY[attname, col_description(attrelid, attnum)])"
                " FROM pg_attribute WHERE attrelid = to_regclass(:name) AND attnum > 0"
            )
            rows = f'SELECT jsonb_agg(to_jsonb(d) ORDER BY _id) FROM "{resource}" d'
            return tuple(connection.execute(sa.text(f"SELECT ({rows}), ({words})"), where).one())

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
            lines = [row for row in other[1].split("\n") if any(w in row.lower() for w in found)]
            return f"{found}: {[row[:1000] for row in lines]}"
        one, two = (_same(*pair).split("\n") for pair in ((told, t), (other, unknown)))
        return "\n".join(difflib.unified_diff(two, one, "unknown", "told", n=1, lineterm=""))


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
    token = new_token()
    ids = {name: str(uuid.uuid4()) for name in ("id", "resource", "second", "view", "view2", "gone",
                                                "designed", "harvested")}  # fmt: skip
    named = {name: value.replace(t.token, token) for name, value in asdict(t).items()
             if name not in ids and t.token in value
             and name not in ("organization", "topic", "group", "vocabulary")}  # fmt: skip
    return {**ids, **named, "location": hashlib.sha256(token.encode()).hexdigest()}


def _same(answer: tuple[str, str], t: Target) -> str:
    """An answer without the names that were asked for."""
    text = "\n".join(answer)
    for name, value in sorted(asdict(t).items(), key=lambda item: -len(item[1])):
        if value and name != "column":
            text = text.replace(value, "X").replace(value.upper(), "X")
    return _VARIES.sub("", text)


class Portal(Site):
    """The portal: a target in each status has come there through the workflow."""

    STATE = _STATE | {
        "pointer": "SELECT f.* FROM satudata_file f JOIN resource r ON r.id = f.resource_id"
        " WHERE r.package_id = :id ORDER BY resource_id",
        "status": "SELECT * FROM satudata_status WHERE package_id = :id",
        "publication": "SELECT * FROM satudata_publication WHERE package_id = :id ORDER BY 1, 2",
        "event": "SELECT seq, hash FROM satudata_event WHERE package_id = :id ORDER BY seq",
    }

    def _locations(self, rows: Mapping[str, Any]) -> list[str]:
        from ckanext.satudata_trenggalek import files

        return [files.location(row["sha256"]) for row in rows["pointer"]]

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
            t = self.targets[key] = self._target(status, related)
            self.stood[t.id] = self.state(t)
        return self.targets[key]

    def public(self) -> Target:
        return self.target("terbit")

    def stands(self, t: Target, *told: Any) -> None:
        """Fails when a target is not as it was made; tests that follow get another."""
        found = self.state(t)
        if found != self.stood[t.id]:
            self.targets = {key: value for key, value in self.targets.items() if value is not t}
            changed = {k: (v, found[k]) for k, v in self.stood[t.id].items() if found[k] != v}
            raise AssertionError(f"changed by {told}: {changed}")

    def _target(self, status: str, related: bool) -> Target:
        world, token = self.world, new_token()
        words = f"kosakata-{new_token()}"
        vocabulary = world.call("vocabulary_create", self.root, name=words)["id"]
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
        self.keyword(id_, vocabulary)
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


class PlainWorld(World):
    """The same people where nobody has a peran."""

    def give_peran(self, organization: str, peran: list[str]) -> None:
        """There are none."""


class Plain(Site):
    """CKAN as it comes: a target is what an editor made the ordinary way."""

    STATE = _STATE

    def _locations(self, rows: Mapping[str, Any]) -> list[str]:
        ids = [row["row"]["id"] for row in rows["resource"] if row["row"]["url_type"] == "upload"]
        return [self._location(id_) for id_ in ids]

    def _location(self, resource: str) -> str:
        found: Any = uploader.get_resource_uploader({"id": resource, "url_type": "upload"})
        return str(found.get_path(resource))

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

    def tries(self, kind: str) -> Iterator[Target]:
        """The dataset that a door is tried on, and when another door has spoilt it, a new one."""
        yield self._shared(kind)
        del self.targets[kind]
        yield self._shared(kind)

    def _shared(self, kind: str) -> Target:
        if kind not in self.targets:
            self.targets[kind] = self.target(kind)
        return self.targets[kind]

    def public(self) -> Target:
        return self._shared("public")

    def target(self, kind: str) -> Target:
        """A new dataset in an organization and a group of its own."""
        token = new_token()
        call, root = self.call, self.root
        organization, topic, group = (f"{name}-{token}" for name in ("opd", "topik", "lain"))
        owner = call("organization_create", root, name=organization, title=organization)["id"]
        for letter, role in (("E", "editor"), ("A", "admin"), ("B", "editor"), ("M", "member")):
            self.join("organization", organization, ROLES[letter][1][0], role)
        self.group(topic)
        self.group(group)
        for letter in "EA":
            self.join("group", topic, ROLES[letter][1][0], "member")
        vocabulary = call("vocabulary_create", root, name=f"kosakata-{new_token()}")["id"]
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
        self.keyword(id_, vocabulary)
        call("follow_dataset", "produsen_dinkes", id=id_)
        return Target(
            token, id_, names[0], resource, second, views[0], views[1], gone, names[1], names[2],
            f"tag-{token}", vocabulary, organization, owner, topic, group,
            self._location(second), "kecamatan", designed, self._harvested(id_, token),
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
