"""The doors: every way of CKAN 2.12 to change what was verified, or to see what is not public.

One table of data. ``test_doors.py`` goes through each door in the portal, where it is closed, and
with ``./portal test --baseline`` in CKAN as it comes, where it stands open; the table in
docs/gate.md is drawn from it by ``python -m tests.gate.doors``.
"""

from __future__ import annotations

import contextlib
import io
import itertools
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Protocol

from werkzeug.datastructures import FileStorage

DOCUMENT = Path(__file__).resolve().parents[2] / "docs/gate.md"

#: Letter -> who it is in docs/gate.md, and their accounts: the first in both worlds, the others
#: (in plain CKAN the same kind of person) in the portal alone.
ROLES: dict[str, tuple[str, tuple[Any, ...]]] = {
    "E": ("editor", ("produsen_dinkes",)),
    "A": ("organization admin", ("admin_dinkes",)),
    "S": ("sysadmin", ("admin",)),
    "B": ("editor of two offices", ("produsen_ganda",)),
    "O": ("editor of another office", ("produsen_dukcapil", "walidata")),
    "G": ("group admin", ("pengelola_topik",)),
    "M": ("member", ("anggota_dinkes",)),
    "U": ("any account", ("warga",)),
    "N": ("anonymous", (None,)),
    "J": ("jobs (`ignore_auth`)", ({"ignore_auth": True, "user": "admin"},)),
    "D": ("SQL and ORM", ("",)),
}


@dataclass(frozen=True)
class Target:
    """A dataset to get at. Every name of it holds `token`, so that any trace of it is found.

    Attributes:
        resource: id of its table, whose views are `view` and `view2`.
        second: id of its text file, which holds the token.
        gone: id of a resource that was deleted.
        partner, other: names of private datasets of the office.
        topic: name of a group that it is in; `group`: of one that it is not in.
        location: where the bytes of `second` lie in the storage.
        column: the first of the table.
    """

    token: str
    id: str
    name: str
    resource: str
    second: str
    view: str
    view2: str
    gone: str
    partner: str
    other: str
    tag: str
    vocabulary: str
    organization: str
    owner: str
    topic: str
    group: str
    location: str
    column: str
    designed: str = ""
    harvested: str = ""


class Site(Protocol):
    """What a door is tried on: the portal or plain CKAN (test_doors.py)."""

    def call(self, action: str, user: Any, /, **data: Any) -> Any:
        """An action with the user's rights."""
        ...

    def open(self, user: Any, path: str, method: str = "GET", **form: Any) -> str:
        """The text of a page, and its headers."""
        ...

    def sql(self, statement: str, t: Target) -> None:
        """A statement with :id, :resource, :token, committed."""
        ...

    def dataset(self, **fields: Any) -> dict[str, Any]:
        """What a new dataset of the office holds at least."""
        ...

    def public(self) -> Target:
        """Another dataset, which is public."""
        ...

    def purged(self, token: str) -> str:
        """Id of a table with the token in it, whose dataset was purged."""
        ...

    def counted(self, t: Target, group: str) -> int:
        """How many public datasets an organization or group has."""
        ...


Go = Callable[[Any, Any, Target], Any]


@dataclass(frozen=True)
class Door:
    """A way in.

    Attributes:
        id: of the test.
        row: what it is called in CKAN.
        who: letters of ROLES that pass in plain CKAN.
        does: what comes of it there.
        stops: the layers that close it here.
        go: tries it.
        kind: "change" (of the target), "make" (gives the id of a dataset, to be public), "grant"
            (what must be refused), "read" (what must say nothing of the target).
        plain: the target by which it stands open in plain CKAN: "public" (made the ordinary way,
            without a review) or "private"; else why it isn't tried there, or is closed.
        opens: settings that open it there.
        quiet: what it sends is left out here, without a refusal.
    """

    id: str
    row: str
    who: str
    does: str
    stops: str
    go: Go
    kind: str = "change"
    plain: str = "public"
    opens: Mapping[str, Any] = field(default_factory=dict)
    quiet: bool = False

    @property
    def side(self) -> str:
        """Of the gate: write or read."""
        return "read" if self.kind == "read" else "write"


_TIMES = itertools.count()


# How a door is tried -----------------------------------------------------------------------------
def fill(value: Any, t: Target) -> Any:
    """The value with `{t.name}` and its like put in; each change says something else."""
    if isinstance(value, str):
        value = value.format(t=t) if "{t." in value else value
        return value.replace("Diubah", f"Diubah {next(_TIMES)}")
    if isinstance(value, dict):
        return {fill(key, t): fill(item, t) for key, item in value.items()}
    return [fill(item, t) for item in value] if isinstance(value, list) else value


def act(action: str, /, **data: Any) -> Go:
    """Calls an action."""
    return lambda site, user, t: site.call(action, user, **fill(data, t))


def page(path: str, method: str = "GET", /, **form: Any) -> Go:
    """Opens a page."""
    return lambda site, user, t: site.open(user, fill(path, t), method, **fill(form, t))


def sql(statement: str) -> Go:
    """Runs a statement as the role that serves."""
    return lambda site, user, t: site.sql(statement, t)


def upload(action: str, text: bytes, filename: str, /, **data: Any) -> Go:
    """Calls an action with a file."""

    def go(site: Any, user: Any, t: Target) -> Any:
        file = FileStorage(io.BytesIO(text), filename=filename)
        return site.call(action, user, upload=file, **fill(data, t))

    return go


def whole(**changes: Any) -> Go:
    """package_update with what package_show gives."""

    def go(site: Any, user: Any, t: Target) -> Any:
        data = site.call("package_show", {"ignore_auth": True, "user": ""}, id=t.id)
        return site.call("package_update", user, **{**data, **fill(changes, t)})

    return go


def make(**fields: Any) -> Go:
    """package_create; gives the id."""

    def go(site: Any, user: Any, t: Target) -> Any:
        return site.call("package_create", user, **site.dataset(**fill(fields, t)))["id"]

    return go


def _as_harvester(user: Any) -> Any:
    """The context of an import (ckanext/harvest/harvesters/base.py, _create_or_update_package)."""
    from ckan.lib.navl.validators import ignore, ignore_missing
    from ckan.logic.schema import default_create_package_schema
    from ckan.plugins.toolkit import get_validator

    schema = default_create_package_schema()
    schema["id"] = [ignore_missing, get_validator("unicode_safe")]
    schema["__junk"] = [ignore]
    return {**user, "schema": schema}


def harvest(site: Any, user: Any, t: Target) -> Any:
    """Import as a new dataset."""
    data = {"owner_org": site.call("organization_show", user, id=t.organization)["id"]}
    return site.call("package_create", _as_harvester(user), **site.dataset(**data))["id"]


def harvest_again(site: Any, user: Any, t: Target) -> Any:
    """Import over a dataset that is there, found by the id that a foreign server names."""
    data = site.call("package_show", user, id=t.id)
    data.update(title="Diubah dari luar", private=False)
    return site.call("package_update", _as_harvester(user), **data)


def in_own_organization(site: Any, user: Any, t: Target) -> Any:
    """Whoever may make an organization may publish in it."""
    name = f"sendiri-{t.token}-{user}"
    site.call("organization_create", user, name=name, title=name)
    return site.call("package_create", user, **site.dataset(owner_org=name))["id"]


def draft_to_active(site: Any, user: Any, t: Target) -> Any:
    """A draft that is public for when it becomes active."""
    site.open(user, "/dataset/new", "POST", **_form(site), save="", _ckan_phase="dataset_new_1")
    id_ = site.newest()
    site.call("package_patch", user, id=id_, state="active", private=False)
    return id_


def _form(site: Any) -> dict[str, Any]:
    data = site.dataset()
    text = {key: value for key, value in data.items() if isinstance(value, str)}
    return {**text, "private": "False"}


def by_orm(site: Any, user: Any, t: Target) -> Any:
    """A new dataset by the models."""
    import ckan.model as model

    package = model.Package(name=f"orm-{t.token}", title="ORM", type="dataset", private=False)
    model.Session.add(package)
    model.Session.commit()
    return package.id


def orm(name: str, value: Any) -> Go:
    """An attribute of the model."""

    def go(site: Any, user: Any, t: Target) -> None:
        import ckan.model as model

        package: Any = model.Package.get(t.id)
        setattr(package, name, fill(value, t))
        model.Session.commit()

    return go


def query(name: str, value: Any) -> Go:
    """Query.update, which no listener of the models sees."""

    def go(site: Any, user: Any, t: Target) -> None:
        import ckan.model as model

        model.Session.query(model.Package).filter_by(id=t.id).update({name: fill(value, t)})
        model.Session.commit()

    return go


def table(action: str, /, **data: Any) -> Go:
    """A DataStore action."""
    return act(action, **{"resource_id": "{t.resource}", "force": True, **data})


def trigger(site: Any, user: Any, t: Target) -> Any:
    """Replace the function that every table of the DataStore runs, then run it."""
    site.call(
        "datastore_function_create",
        user,
        name="populate_full_text_trigger",
        or_replace=True,
        rettype="trigger",
        definition=f"BEGIN NEW.{t.column} := 'DIPALSUKAN'; RETURN NEW; END;",
    )
    site.call("datastore_run_triggers", user, resource_id=t.resource)


def unregister_file(site: Any, user: Any, t: Target) -> Any:
    """Make the bytes of a resource a file of one's own, and delete it."""
    file = site.call("file_register", user, storage="resources", location=t.location)
    site.call("file_delete", user, id=file["id"])


def hand_over_file(site: Any, user: Any, t: Target) -> str:
    """Likewise, and give it to an account that reads it."""
    file = site.call("file_register", user, storage="resources", location=t.location)
    reader = site.call("user_show", user, id="warga")["id"]
    site.call("file_ownership_transfer", user, id=file["id"], owner_type="user", owner_id=reader)
    return site.open("warga", f"/file/download/{file['id']}")


def own_by_package(site: Any, user: Any, t: Target) -> str:
    """A file given to a public dataset is public with it."""
    text = FileStorage(io.BytesIO(f"tanpa pemeriksaan {t.token}".encode()), filename="a.txt")
    file = site.call("file_create", user, storage="resources", name=f"{t.token}.txt", upload=text)
    site.call("file_ownership_transfer", user, id=file["id"], owner_type="package", owner_id=t.id)
    return site.open(None, f"/file/download/{file['id']}")


def _reuse(site: Any, user: Any, id_: str) -> str:
    """Id of a dataset with a resource of one's own under an id that was another's."""
    resource = {"id": id_, "url": "x.csv", "url_type": "upload", "name": "x"}
    data = site.dataset(owner_org="dukcapil", resources=[resource])
    return site.call("package_create", user, **data)["id"]


def reuse_deleted(site: Any, user: Any, t: Target) -> str:
    """The bytes of a deleted resource."""
    made = _reuse(site, user, t.gone)
    return site.open(user, f"/dataset/{made}/resource/{t.gone}/download/x.csv")


def reuse_patched(site: Any, user: Any, t: Target) -> str:
    """Likewise, in a dataset that is there."""
    made = site.call("package_create", user, **site.dataset(owner_org="dukcapil"))["id"]
    resource = {"id": t.gone, "url": "x.csv", "url_type": "upload", "name": "x"}
    site.call("package_patch", user, id=made, resources=[resource])
    return site.open(user, f"/dataset/{made}/resource/{t.gone}/download/x.csv")


def reuse_purged(site: Any, user: Any, t: Target) -> Any:
    """The table of a purged one."""
    id_ = site.purged(t.token)
    _reuse(site, user, id_)
    return site.call("datastore_search", user, resource_id=id_)


#: With `fl` a result says neither `private` nor, perhaps, `id`.
_FIELDS: tuple[Any, ...] = ({}, {"fl": ["id", "name"]}, {"fl": ["title"]}, {"fl": "*"})
#: Solr gives a field another's name, and values that nothing has.
_RENAMED = (
    {"fl": ["id", "title", "dataset_type:[value v=harvest]"]},
    {"fl": ["title", "id:extras_id_kegiatan"]},
    {"fl": "title,id:[value v=x],dataset_type:[value v=harvest]"},
    {"fl": ["title,name", "capacity:[value v=private]", "id:owner_org"]},
)


@contextlib.contextmanager
def _public_in_solr(t: Target) -> Iterator[None]:
    """Within it, an index that missed a withdrawal."""
    import ckan.plugins.toolkit as tk
    from ckan.lib.search import rebuild
    from ckan.lib.search.common import make_connection

    solr: Any = make_connection()
    for document in solr.search(f'id:"{t.id}"', fl="*"):
        document.pop("_version_")
        for key, value in document.items():
            if hasattr(value, "strftime"):
                document[key] = value.strftime("%Y-%m-%dT%H:%M:%SZ")
        public = {"capacity": "public", "permission_labels": ["public"]}
        solr.add([document | public], commit=True)
    try:
        yield
    finally:
        with contextlib.suppress(tk.ObjectNotFound):
            rebuild(t.id)


def stale(site: Any, user: Any, t: Target, asked: Any = _FIELDS) -> Any:
    """What Solr calls public is told, whatever the database says."""
    from ckan.lib.search import SearchQueryError

    found = []
    with _public_in_solr(t):
        for more in asked:
            with contextlib.suppress(SearchQueryError):
                found += site.call("package_search", user, fq=f"name:{t.name}", **more)["results"]
    return found


def stale_suggestions(site: Any, user: Any, t: Target) -> Any:
    """Likewise."""
    with _public_in_solr(t):
        return site.call("package_autocomplete", user, q=t.token)


def helper(name: str, /, *args: Any) -> Go:
    """What a template helper gives a page of an anonymous reader."""

    def go(site: Any, user: Any, t: Target) -> Any:
        import ckan.plugins.toolkit as tk

        with site.app.flask_app.test_request_context("/"):
            return tk.h[name](*args)

    return go


def counts(action: str, which: str) -> Go:
    """The token, when more datasets are counted than are public."""

    def go(site: Any, user: Any, t: Target) -> str:
        group = fill(which, t)
        shown = site.call(action, user, all_fields=True, **{action.split("_")[0] + "s": [group]})
        return t.token if shown[0]["package_count"] > site.counted(t, group) else ""

    return go


def drafts_of(site: Any, user: Any, t: Target) -> str:
    """The token, when more datasets of a user are counted than are public."""
    name = ROLES["E"][1][0]
    shown = site.call("user_show", user, id=name).get("number_created_packages", 0)
    public = site.call("package_search", None, fq=f"creator_user_id:{site.ids[name]}", rows=0)
    return t.token if shown > public["count"] else ""


def diff(site: Any, user: Any, t: Target) -> Any:
    """The last private draft, by the difference to the first public one."""
    latest = site.call("package_activity_list", user, id=t.id, limit=1)[0]
    return site.call("activity_diff", user, id=latest["id"], object_type="package")


def every_action(site: Any, user: Any, t: Target) -> str:
    """Each action that there is, CKAN's and the portal's, asked for what a dataset is made of."""
    from ckan.logic import _actions

    lines = []
    for name in sorted(_actions):
        for data in _asked(t)[:2]:
            try:
                answer = str(site.call(name, user, **data))
            except Exception as error:  # what is asked for makes little sense to most of them
                answer = f"{type(error).__name__} {error}"
            site.forget()
            lines.append(f"{name} {answer}")
    return "\n".join(line.replace("\n", " ") for line in lines)


def every_write(site: Any, user: Any, t: Target) -> str:
    """Each action that may change something, of all that a dataset is made of."""
    from ckan.logic import _actions, get_action

    passed = []
    for name in sorted(_actions):
        if getattr(get_action(name), "side_effect_free", False):
            continue
        for data in _asked(t):
            with contextlib.suppress(Exception):
                site.call(name, user, **data)
                passed.append(name)
            site.forget()
    return " ".join(passed)


def _asked(t: Target) -> list[dict[str, Any]]:
    """What to send when an action is not known."""
    more = {
        "resource_id": t.resource,
        "package_id": t.id,
        "entity_id": t.resource,
        "object": t.id,
        "object_type": "package",
        "subject": t.name,
        "match": {"id": t.id},
        "datasets": [t.id],
        "org_id": t.owner,
        "title": "Diubah",
        "name": t.organization,
        "private": False,
        "force": True,
        "tags": [],
        "type": "depends_on",
        "limit": 1000,
    }
    return [{**more, "id": id_} for id_ in (t.id, t.resource, t.view, t.vocabulary)]


def every_page(site: Any, user: Any, t: Target) -> str:
    """Each address that takes the id of something, by GET, OPTIONS and POST."""
    values = {
        "resource_id": t.second,
        "view_id": t.view,
        "resource_view_id": t.view,
        "filename": "x.txt",
        "storage_name": "resources",
        "location": t.location,
    }
    kinds = {
        "group": t.topic, "organization": t.organization, "user": "produsen_dinkes",
        "file": t.second, "feeds": t.topic,
    }  # fmt: skip
    lines = []
    for rule in sorted(site.app.flask_app.url_map.iter_rules(), key=str):
        given = {**values, "id": kinds.get(rule.endpoint.split(".")[0], t.name)}
        if not rule.arguments or not rule.arguments <= {*given, "package_type", "group_type"}:
            continue
        _domain, path = rule.build(given, append_unknown=False)
        for method in sorted({"GET", "OPTIONS", "POST"} & (rule.methods or set())):
            try:
                answer = site.open(user, path, method)
            except Exception as error:  # a form without its fields is a 500 to some of core
                answer = str(error)
            site.forget()
            lines.append(f"{method} {rule} {' '.join(answer.split())}")
    return "\n".join(lines)


def beside(path: str) -> Go:
    """A page of a public dataset, with the ids of what another one has."""
    return lambda site, user, t: site.open(user, f"/dataset/{site.public().name}" + fill(path, t))


#: A format that core's text view shows without asking for more.
_SHOWN = {"id": "{t.second}", "package_id": "{t.id}", "format": "JSONP", "url": "x"}
_FORM = {"title": "Diubah", "name": "{t.name}", "owner_org": "{t.owner}", "save": "save"}
_RELATION = {"subject": "{t.name}", "object": "{t.partner}", "type": "depends_on"}
_SETTINGS_UNOWNED = {
    "ckan.auth.create_unowned_dataset": True,
    "ckan.auth.create_dataset_if_not_in_organization": True,
}
_COLLABORATORS = {"ckan.auth.allow_dataset_collaborators": True}
_GATE = "trigger, action, auth"
_FROZEN = "trigger, auth"
_LOADER = "action, auth: the loader alone writes tables"
_OFF = "the plugin is off; `doctor` names it when it is on"
_HIDDEN = "label; 404 as for what is unknown"

W = Door

# What makes a dataset public, or changes one ---------------------------------------------------
DATASET = (
    W("create", "package_create", "EAS", "without `private` a dataset is public at once",
      "trigger, action: `private` whatever is sent", make(), "make"),
    W("create_public", "package_create private=false", "EASJ", "public at once",
      "trigger, action", make(private=False), "make"),
    W("create_type", "package_create type=…", "EASJ",
      "a type that nobody registered passes by gates on `dataset`", "trigger (all types), action",
      make(type="laporan", private=False), "make"),
    W("create_harvest", "package_create type=harvest", "EAS", "data called a harvest source",
      "action: the plugin is off, sysadmins only; trigger: no files",
      make(type="harvest", private=False, url="http://example.id/{t.token}", source_type="ckan"),
      "make"),
    W("create_unowned", "package_create without owner_org", "U",
      "any account publishes, any editor edits it", "setting, trigger",
      make(owner_org=None, private=False), "make", opens=_SETTINGS_UNOWNED),
    W("create_link", "package_create with a link", "EAS",
      "whoever owns the linked server changes what is public",
      "workflow: only uploaded files are submitted",
      make(resources=[{"url": "http://example.id/a.csv", "name": "a"}]), "make"),
    W("create_draft", "package_create state=draft, then package_patch state=active", "EAS",
      "a draft's `private=false` comes into force later", "trigger, action", draft_to_active,
      "make"),
    W("own_organization", "organization_create", "U", "any account publishes in its own",
      "setting, trigger", in_own_organization, "make",
      opens={"ckan.auth.user_create_organizations": True}),
    W("flip", "package_patch private=false", "EASJ", "public by one field", _GATE,
      act("package_patch", id="{t.id}", private=False), plain="private"),
    W("flip_empty", "package_patch private=''", "EASJ", "empty means public", _GATE,
      act("package_patch", id="{t.id}", private=""), plain="private"),
    W("flip_update", "package_update private=false", "EASJ", "public by one field", _GATE,
      whole(private=False), plain="private"),
    W("flip_revise", "package_revise private=false", "EASJ", "public by one field", _GATE,
      act("package_revise", match={"id": "{t.id}"}, update={"private": False}), plain="private"),
    W("flip_bulk", "bulk_update_public", "AS", "public in one click", "auth, trigger",
      act("bulk_update_public", datasets=["{t.id}"], org_id="{t.owner}"),
      plain="private"),
    W("edit_patch", "package_patch", "EASJ", "changes what is public", _GATE,
      act("package_patch", id="{t.id}", title="Diubah")),
    W("edit_tags", "package_patch tags", "EASJ", "changes what is public", _GATE,
      act("package_patch", id="{t.id}", tags=[{"name": "Diubah"}], tag_string="Diubah")),
    W("edit_update", "package_update", "EASJ", "changes what is public", _GATE,
      whole(notes="Diubah")),
    W("edit_revise", "package_revise", "EASJ", "changes what is public", _GATE,
      act("package_revise", match={"id": "{t.id}"}, update={"notes": "Diubah"})),
    W("edit_name", "package_patch name", "EASJ", "breaks the address, frees the name", _GATE,
      act("package_patch", id="{t.id}", name="diubah-{t.token}")),
    W("reorder", "package_resource_reorder", "EASJ", "another file comes first", _GATE,
      act("package_resource_reorder", id="{t.id}", order=["{t.second}", "{t.resource}"])),
    W("hide", "package_patch private=true", "EASJ", "gone without a word", _GATE,
      act("package_patch", id="{t.id}", private=True, notes="Diubah")),
    W("hide_bulk", "bulk_update_private", "AS", "gone without a word", "auth, trigger",
      act("bulk_update_private", datasets=["{t.id}"], org_id="{t.owner}")),
    W("delete", "package_delete", "EASJ", "gone without a word", _GATE,
      act("package_delete", id="{t.id}")),
    W("delete_state", "package_patch state=deleted", "EASJ", "gone without a word", _GATE,
      act("package_patch", id="{t.id}", state="deleted")),
    W("delete_bulk", "bulk_update_delete", "AS", "gone without a word", "auth, trigger",
      act("bulk_update_delete", datasets=["{t.id}"], org_id="{t.owner}")),
    W("purge", "dataset_purge", "S", "the rows are gone, the files stay", "trigger, action",
      act("dataset_purge", id="{t.id}")),
    W("move_owner", "package_owner_org_update", "S",
      "another owner, without validation, hook or index", _GATE,
      act("package_owner_org_update", id="{t.id}", organization_id="dukcapil")),
    W("move_editor", "package_patch owner_org", "BS", "another office reads and edits it", _GATE,
      act("package_patch", id="{t.id}", owner_org="dukcapil")),
    W("disown", "package_patch owner_org=''", "EASJ", "unowned: any editor edits it",
      "setting, trigger, auth", act("package_patch", id="{t.id}", owner_org=""),
      opens=_SETTINGS_UNOWNED),
    W("type", "package_update type", "J", "another type, other rules", "trigger, action",
      whole(type="laporan"), plain="core keeps the type since 2.10"),
    W("organization_delete", "organization_delete", "AS", "its datasets become unowned",
      "trigger, setting", act("organization_delete", id="{t.organization}"),
      opens=_SETTINGS_UNOWNED),
    W("organization_purge", "organization_purge", "S", "its datasets become unowned", "trigger",
      act("organization_purge", id="{t.organization}"), opens=_SETTINGS_UNOWNED),
    W("organization_state", "organization_patch state=deleted", "AS",
      "public data without an owner", "trigger",
      act("organization_patch", id="{t.organization}", state="deleted")),
    W("organization_name", "organization_patch name", "AS", "public data of another name",
      "trigger", act("organization_patch", id="{t.organization}", name="palsu-{t.token}")),
    W("group_create", "group_create packages", "U", "attaches other people's datasets",
      "setting, action", act("group_create", name="baru-{t.token}", packages=[{"id": "{t.id}"}]),
      opens={"ckan.auth.user_create_groups": True}),
    W("group_update", "group_patch packages", "GSJ", "attaches other people's datasets",
      "action: `packages` is dropped", act("group_patch", id="{t.group}",
                                           packages=[{"id": "{t.id}"}]), quiet=True),
    W("group_empty", "group_update packages=[]", "GSJ", "takes datasets out of their topic",
      "action, trigger", act("group_update", id="{t.topic}", name="{t.topic}", packages=[]),
      quiet=True),
    W("group_delete", "group_delete", "GS", "public data loses its topic", "trigger",
      act("group_delete", id="{t.topic}"), opens={"ckan.auth.user_delete_groups": True}),
    W("group_state", "group_patch state=deleted", "GS", "public data loses its topic", "trigger",
      act("group_patch", id="{t.topic}", state="deleted")),
    W("group_purge", "group_purge", "S", "public data loses its topic", "trigger",
      act("group_purge", id="{t.topic}")),
    W("member_create", "member_create (package)", "GSJ", "a topic, without rights on the dataset",
      _GATE, act("member_create", id="{t.group}", object="{t.id}", object_type="package",
                 capacity="public")),
    W("member_spelling", "member_create (Package, PACKAGE)", "GSJ",
      "likewise: core shows it, whatever its kind is called", _GATE,
      act("member_create", id="{t.group}", object="{t.id}", object_type="Package",
          capacity="public")),
    W("member_delete", "member_delete (package)", "GSJ", "likewise, taken away", _GATE,
      act("member_delete", id="{t.topic}", object="{t.id}", object_type="package")),
    W("collaborator", "package_collaborator_create", "AS", "outsiders edit and read",
      "setting, auth", act("package_collaborator_create", id="{t.id}", user_id="warga",
                           capacity="editor"), opens=_COLLABORATORS),
    W("relate", "package_relationship_create", "EAS", "shows ids of private partners",
      "action, auth: nobody; trigger",
      act("package_relationship_create", subject="{t.name}", object="{t.other}",
          type="derives_from")),
    W("relate_update", "package_relationship_update", "EAS", "changes what is public",
      "action, auth: nobody; trigger",
      act("package_relationship_update", **_RELATION, comment="Diubah")),
    W("relate_delete", "package_relationship_delete", "EAS", "changes what is public",
      "action, auth: nobody; trigger", act("package_relationship_delete", **_RELATION)),
    W("form_draft", "POST /dataset/new with pkg_name", "EAS", "sets a public dataset to draft",
      _GATE, page("/dataset/new", "POST", **_FORM, pkg_name="{t.id}", _ckan_phase="1")),
    W("form_edit", "POST /dataset/edit", "EAS", "changes what is public", _GATE,
      page("/dataset/edit/{t.name}", "POST", **_FORM)),
    W("form_delete", "POST /dataset/delete", "EAS", "gone without a word", _GATE,
      page("/dataset/delete/{t.name}", "POST", confirm="1")),
    W("form_groups", "POST /dataset/groups", "GS", "a topic, without rights on the dataset", _GATE,
      page("/dataset/groups/{t.name}", "POST", group_added="{t.group}")),
    W("form_publish", "POST /dataset/…/resource/new save=go-metadata-publish", "EAS",
      "adds a file and publishes", _GATE,
      page("/dataset/{t.name}/resource/new", "POST", id="", url="http://example.id/a.csv",
           name="a", save="go-metadata-publish")),
    W("form_unpublish", "POST /dataset/…/resource/new save=go-metadata-unpublish", "EAS",
      "adds a file, and sets a public dataset to draft", _GATE,
      page("/dataset/{t.name}/resource/new", "POST", id="", url="http://example.id/a.csv",
           name="a", save="go-metadata-unpublish")),
    W("form_bulk_public", "POST /organization/bulk_process", "AS", "public in one click",
      "auth, trigger", page("/organization/bulk_process/{t.organization}", "POST",
                            **{"bulk_action.public": "public", "dataset_{t.id}": "on"}),
      plain="private"),
    W("form_bulk", "POST /organization/bulk_process (private, delete)", "AS",
      "gone without a word", "auth, trigger",
      page("/organization/bulk_process/{t.organization}", "POST",
           **{"bulk_action.delete": "delete", "dataset_{t.id}": "on"})),
    W("tag_delete", "tag_delete", "S", "takes a tag from public data", "trigger",
      act("tag_delete", id="{t.tag}")),
    W("vocabulary", "vocabulary_update", "S", "takes its tags from public data", "trigger",
      act("vocabulary_update", id="{t.vocabulary}", tags=[])),
    W("vocabulary_delete", "vocabulary_delete", "S", "takes its tags from public data", "trigger",
      act("vocabulary_delete", id="{t.vocabulary}"),
      plain="a foreign key keeps a vocabulary that has tags"),
    W("translation_many", "term_translation_update_many", "S",
      "public data reads otherwise (multilingual)", "action, auth",
      act("term_translation_update_many", data=[{"term": "Judul {t.token}", "lang_code": "en",
                                                 "term_translation": "Palsu {t.token}"}])),
    W("translation", "term_translation_update", "S", "public data reads otherwise (multilingual)",
      "action, auth", act("term_translation_update", term="Judul {t.token}", lang_code="en",
                          term_translation="Palsu {t.token}")),
    W("every_write", "every action there is, with the ids of a dataset", "SJ",
      "what CKAN or a plugin adds", _GATE, every_write, quiet=True,
      plain="all of the above at once"),
    W("token", "api_token_create for another", "S", "acts in another's name",
      "auth: one's own only",
      act("api_token_create", user="walidata", name="pinjam-{t.token}"), "grant"),
)  # fmt: skip

# Files, views, tables -----------------------------------------------------------------------------
FILES = (
    W("resource_link", "resource_create", "EASJ", "adds to what is public", _GATE,
      act("resource_create", package_id="{t.id}", url="http://example.id/a.csv", name="a")),
    W("resource_upload", "resource_create (upload)", "EASJ", "adds to what is public", _GATE,
      upload("resource_create", b"a,b\n1,2\n", "a.csv", package_id="{t.id}", name="a")),
    W("resource_replace", "resource_update (upload)", "EASJ", "overwrites bytes in place",
      "trigger, auth; files are content-addressed",
      upload("resource_update", b"a,b\n1,2\n", "x.csv", id="{t.resource}", name="x.csv")),
    W("resource_repoint", "resource_patch url", "EASJ", "links elsewhere", _GATE,
      act("resource_patch", id="{t.resource}", url="http://example.id/a.csv", url_type="")),
    W("resource_text", "resource_patch", "EASJ", "changes what is public", _GATE,
      act("resource_patch", id="{t.resource}", description="Diubah")),
    W("resource_drop", "package_patch resources=[]", "EASJ", "takes the files away", _GATE,
      act("package_patch", id="{t.id}", resources=[])),
    W("resource_delete", "resource_delete", "EASJ", "takes a file away", _GATE,
      act("resource_delete", id="{t.resource}")),
    W("resource_form", "POST /dataset/…/resource/…/edit", "EAS", "changes what is public", _GATE,
      page("/dataset/{t.name}/resource/{t.resource}/edit", "POST", name="Diubah", save="")),
    W("resource_form_delete", "POST /dataset/…/resource/…/delete", "EAS", "takes a file away",
      _GATE, page("/dataset/{t.name}/resource/{t.resource}/delete", "POST")),
    W("last_modified", "resource_patch last_modified (DataStore's job)", "J",
      "hides that a file was replaced", "trigger",
      act("resource_patch", id="{t.resource}", last_modified="2020-01-01T00:00:00")),
    W("hash", "resource_patch hash, size, mimetype (xloader's job)", "EASJ",
      "says that other bytes are there", _GATE,
      act("resource_patch", id="{t.resource}", hash="0" * 64, size=1, mimetype="text/html")),
    W("view_create", "resource_view_create", "EAS", "public text on verified data", _GATE,
      act("resource_view_create", resource_id="{t.resource}", title="Baru",
          view_type="text_view")),
    W("view_update", "resource_view_update", "EAS", "public text on verified data", _GATE,
      act("resource_view_update", id="{t.view}", resource_id="{t.resource}", title="Diubah",
          view_type="text_view")),
    W("view_reorder", "resource_view_reorder", "EAS", "another view comes first", _GATE,
      act("resource_view_reorder", id="{t.resource}", resource_id="{t.resource}",
          order=["{t.view2}", "{t.view}"])),
    W("view_delete", "resource_view_delete", "EAS", "takes a view away", _GATE,
      act("resource_view_delete", id="{t.view}", resource_id="{t.resource}")),
    W("view_clear", "resource_view_clear", "S", "takes every view of the portal away", "trigger",
      act("resource_view_clear")),
    W("view_default", "resource_create_default_resource_views", "EAS", "adds views", _GATE,
      act("resource_create_default_resource_views", resource=_SHOWN,
          create_datastore_views=False)),
    W("view_default_all", "package_create_default_resource_views", "EAS", "adds views", _GATE,
      act("package_create_default_resource_views", create_datastore_views=False,
          package={"id": "{t.id}", "resources": [_SHOWN]})),
    W("view_form", "POST /dataset/…/edit_view", "EAS", "public text on verified data", _GATE,
      page("/dataset/{t.name}/resource/{t.resource}/edit_view/{t.view}", "POST", title="Diubah",
           view_type="text_view", save="")),
    W("datastore_create", "datastore_create", "EASJ", "rewrites the public table", _LOADER,
      table("datastore_create", fields=[{"id": "baru"}], records=[{"baru": "1"}])),
    W("datastore_resource", "datastore_create resource={package_id}", "EASJ",
      "adds a public resource and its table", _LOADER,
      act("datastore_create", resource={"package_id": "{t.id}"}, fields=[{"id": "baru"}],
          records=[{"baru": "1"}])),
    W("datastore_upsert", "datastore_upsert", "EASJ", "rows change, no dataset does", _LOADER,
      table("datastore_upsert", records=[{}], method="insert")),
    W("datastore_delete", "datastore_delete", "EASJ", "the public table is gone", _LOADER,
      table("datastore_delete")),
    W("datastore_records", "datastore_records_delete", "EASJ", "its rows are gone", _LOADER,
      table("datastore_records_delete", filters={})),
    W("datastore_trigger", "datastore_function_create, datastore_run_triggers", "S",
      "rewrites rows of every table", _LOADER, trigger,
      plain="core forgets to commit since 2.12"),
    W("dictionary", "POST /dataset/…/dictionary", "EAS", "other words for public columns", _LOADER,
      page("/dataset/{t.name}/dictionary/{t.resource}", "POST", **{"info__1__label": "Diubah"})),
    W("designer", "POST /dataset/…/tabledesigner/…/add-row", "EAS", "rows change, no dataset does",
      _OFF, page("/dataset/{t.name}/tabledesigner/{t.designed}/add-row", "POST",
                 **{"col__0__value": "1"})),
    W("datapusher", "datapusher_submit, xloader_submit", "EAS",
      "loads the table again from a link that may have changed", _OFF,
      act("datapusher_submit", resource_id="{t.resource}"), "grant",
      "the plugin is off there, too: it breaks core's resource_delete"),
    W("file_delete", "file_register, file_delete", "S", "deletes the bytes behind a resource",
      "action, auth: no file of the API in the storage of resources", unregister_file),
    W("reuse_deleted", "package_create with the id of a deleted resource", "O",
      "its bytes come back to whoever uses its id", "action, trigger: the pointer goes with it",
      reuse_deleted, "read"),
    W("reuse_patched", "package_patch resources=[{id: …}]", "O",
      "its bytes come back to whoever uses its id", "action, trigger: the pointer goes with it",
      reuse_patched, "read"),
    W("reuse_purged", "package_create with the id of a purged resource", "O",
      "its table comes back likewise", "action: ids are made by the portal", reuse_purged, "read"),
    W("file_handover", "file_register, file_ownership_transfer to a user", "S",
      "hands bytes that are not public to anybody",
      "action, auth: no file of the API in the storage of resources", hand_over_file, "read",
      "private"),
    W("file_owner", "file_create, file_ownership_transfer to a dataset", "S",
      "a file becomes public with a dataset that nobody changed",
      "action, auth; setting (cascade_access)", own_by_package, "read"),
)  # fmt: skip

# Harvest, and whoever writes to the database ------------------------------------------------------
INSIDE = (
    W("harvest_create", "import of ckanext-harvest (ignore_auth, a schema of its own)", "J",
      "public at once, without the validators", "trigger, action", harvest, "make"),
    W("harvest_update", "import over a dataset of another office", "J",
      "found by an id that a foreign server names", "trigger", harvest_again),
    W("harvest_source", "harvest_source_create", "EAS", "any editor lets a server write here",
      _OFF, act("harvest_source_create", name="sumber-{t.token}", title="Sumber",
                url="http://example.id/{t.token}", source_type="ckan",
                owner_org="{t.organization}"), "grant"),
    W("harvest_job", "harvest_job_create, harvest_source_update, harvest_source_clear", "EAS",
      "whoever edits a source imports from it, and clears what it imported", _OFF,
      act("harvest_job_create", source_id="{t.harvested}"), "grant",
      "needs a source: see harvest_source_create"),
    W("harvest_clear", "harvest_source_clear", "D", "deletes datasets by SQL", "trigger",
      sql("UPDATE package SET state = 'to_delete' WHERE id = :id")),
    W("orm_flip", "model.Package.private = False", "D", "public by one attribute", "trigger",
      orm("private", False), plain="private"),
    W("orm_edit", "model.Package.title = …", "D", "changes what is public", "trigger",
      orm("title", "Diubah")),
    W("orm_create", "model.Package(private=False)", "D", "public at once", "trigger", by_orm,
      "make", "plain CKAN makes it, but indexes it only on a rebuild"),
    W("query_flip", "Query.update private", "D", "past every listener", "trigger",
      query("private", False), plain="private"),
    W("query_edit", "Query.update title", "D", "past every listener", "trigger",
      query("title", "Diubah")),
    *(
        W(f"sql_{name}", f"SQL: {what}", "D", "changes what is public", "trigger", sql(statement))
        for name, what, statement in (
            ("null", "package.private = NULL", "UPDATE package SET private = NULL WHERE id = :id"),
            ("title", "package", "UPDATE package SET title = 'x' WHERE id = :id"),
            ("extras", "package.extras", "UPDATE package SET extras = '{}' WHERE id = :id"),
            ("name", "package.name", "UPDATE package SET name = name || '-x' WHERE id = :id"),
            ("type", "package.type", "UPDATE package SET type = 'harvest' WHERE id = :id"),
            ("owner", "package.owner_org", "UPDATE package SET owner_org = NULL WHERE id = :id"),
            ("state", "package.state", "UPDATE package SET state = 'deleted' WHERE id = :id"),
            ("resource", "resource", "UPDATE resource SET url = 'x' WHERE package_id = :id"),
            ("resource_extras", "resource.extras",
             'UPDATE resource SET extras = \'{"x": "y"}\' WHERE package_id = :id'),
            ("resource_package", "resource.package_id",
             "UPDATE resource SET package_id = (SELECT min(id) FROM package WHERE id <> :id)"
             " WHERE package_id = :id"),
            ("tag", "package_tag",
             "UPDATE package_tag SET state = 'deleted' WHERE package_id = :id"),
            ("tag_row", "DELETE package_tag", "DELETE FROM package_tag WHERE package_id = :id"),
            ("view", "resource_view",
             "UPDATE resource_view SET title = 'x' WHERE resource_id = :resource"),
            ("view_row", "DELETE resource_view",
             "DELETE FROM resource_view WHERE resource_id = :resource"),
            ("member", "INSERT member",
             "INSERT INTO member (id, table_name, table_id, capacity, group_id, state) SELECT"
             " :id, 'package', :id, 'public', id, 'active' FROM \"group\" WHERE name = :group"),
            ("member_kind", "INSERT member of another kind",
             "INSERT INTO member (id, table_name, table_id, capacity, group_id, state) SELECT"
             " :id, 'Package', :id, 'public', id, 'active' FROM \"group\" WHERE name = :group"),
            ("member_user", "INSERT member with the id as that of a user",
             "INSERT INTO member (id, table_name, table_id, capacity, group_id, state) SELECT"
             " :id, 'user', :id, 'public', id, 'active' FROM \"group\" WHERE name = :group"),
            ("tag_name", "tag",
             "UPDATE tag SET name = name || '-x'"
             " WHERE id IN (SELECT tag_id FROM package_tag WHERE package_id = :id)"),
            ("table_flag", "resource.extras datastore_active",
             "UPDATE resource SET extras = (coalesce(nullif(extras, ''), '{}')::jsonb"
             " || jsonb_build_object('datastore_active', 'palsu'))::text WHERE package_id = :id"),
            ("relationship", "INSERT package_relationship",
             "INSERT INTO package_relationship (id, subject_package_id, object_package_id, type)"
             " VALUES (:id, :id, :id, 'depends_on')"),
        )
    ),
)  # fmt: skip

#: SQL on rows that plain CKAN doesn't keep.
OWN_SQL = {
    "package_row": "DELETE FROM package WHERE id = :id",
    "resource_row": "DELETE FROM resource WHERE package_id = :id",
    "pointer": "UPDATE satudata_file SET sha256 = repeat('0', 64) WHERE resource_id = :resource",
    "pointer_row": "DELETE FROM satudata_file WHERE resource_id = :resource",
    "status": "UPDATE satudata_status SET status = 'draf' WHERE package_id = :id",
    "approved": "UPDATE satudata_status SET content_hash = 'sha256:0' WHERE package_id = :id",
    "status_row": "DELETE FROM satudata_status WHERE package_id = :id",
    "makers": "UPDATE satudata_status SET makers = '{}' WHERE package_id = :id",
    "verified": "UPDATE satudata_status SET verified_at = now() - interval '9 days',"
    " submitted_at = now() WHERE package_id = :id",
    "priority": "UPDATE satudata_status SET data_prioritas = NOT data_prioritas"
    " WHERE package_id = :id",
    "event": "UPDATE satudata_event SET note = 'x' WHERE package_id = :id",
    "event_row": "DELETE FROM satudata_event WHERE package_id = :id",
    # The setting of a publication without its event opens nothing, nor does the status.
    "setting": "SELECT set_config('satudata.gate', :id, true);"
    " UPDATE package SET private = NOT private WHERE id = :id",
    "status_public": "UPDATE satudata_status SET status = CASE status WHEN 'terbit' THEN 'ditarik'"
    " ELSE 'terbit' END WHERE package_id = :id",
}


def R(id_: str, row: str, who: str, go: Go, stops: str = _HIDDEN, plain: str = "public",
      does: str = "shown", **more: Any) -> Door:  # fmt: skip
    """A door of the read side."""
    return Door(id_, row, who, does, stops, go, "read", plain, **more)


_SOLR = "label, index; results are checked against the database"
_SQL = "`private`, which these lists ask for"
_LISTS = "action: of published data only"

READING = (
    R("package_show", "package_show", "NUO", act("package_show", id="{t.id}")),
    R("package_show_name", "package_show by name", "NUO", act("package_show", id="{t.name}")),
    R("resource_show", "resource_show", "NUO", act("resource_show", id="{t.resource}")),
    R("view_show", "resource_view_show", "NUO", act("resource_view_show", id="{t.view}")),
    R("view_list", "resource_view_list", "NUO", act("resource_view_list", id="{t.resource}")),
    R("datastore_search", "datastore_search", "NUO",
      act("datastore_search", resource_id="{t.resource}")),
    R("datastore_info", "datastore_info", "NUO", act("datastore_info", id="{t.resource}")),
    R("datastore_sql", "datastore_search_sql", "NUO",
      act("datastore_search_sql", sql='SELECT * FROM "{t.resource}"'), "setting (off)"),
    R("datastore_tables", "datastore_search resource_id=_table_metadata", "NUO",
      act("datastore_search", resource_id="_table_metadata", limit=32000),
      "setting (public_table_search)", "private", "ids of every table"),
    R("page", "/dataset/…", "NUO", page("/dataset/{t.name}")),
    R("resource_page", "/dataset/…/resource/…", "NUO",
      page("/dataset/{t.name}/resource/{t.resource}")),
    R("download", "/dataset/…/download", "NUO",
      page("/dataset/{t.name}/resource/{t.second}/download/x.txt")),
    R("view_page", "/dataset/…/view/…", "NUO",
      page("/dataset/{t.name}/resource/{t.second}/view/{t.view}")),
    R("resources_page", "/dataset/resources/…", "EAS" , page("/dataset/resources/{t.name}"),
      "request: 404 as for what is unknown", "plain CKAN answers editors only; 403 tells the rest",
      "403 for what is there, 404 for what isn't"),
    R("dump", "/datastore/dump", "NUO", page("/datastore/dump/{t.resource}")),
    R("datatables", "/datatables/ajax", "NUO",
      page("/datatables/ajax/{t.view}", "POST", draw="1", start="0", length="9",
           **{"search[value]": ""}), plain="needs a datatables view, which plain CKAN has not"),
    R("dcat", "/dataset/….ttl, /catalog.ttl (ckanext-dcat)", "NUO", page("/dataset/{t.name}.ttl"),
      "not installed; reads by package_show and package_search", "ckanext-dcat is not installed"),
    R("proxy", "/dataset/…/proxy (resource_proxy)", "NUO",
      page("/dataset/{t.name}/resource/{t.resource}/proxy"), _OFF,
      "the proxy asks the site's own address, which tests have not"),
    R("search", "package_search", "NUO", act("package_search", q="{t.token}")),
    R("search_fields", "package_search fl", "NUO",
      act("package_search", fq="name:{t.name}", fl=["name", "title"]), _SOLR),
    R("search_private", "package_search include_private, include_drafts, include_deleted", "NUO",
      act("package_search", q="{t.token}", include_private=True, include_drafts=True,
          include_deleted=True), _SOLR),
    R("search_state", "package_search fq=+state:…", "NUO",
      act("package_search", fq="+state:(draft OR active OR deleted) +name:{t.name}"), _SOLR),
    R("search_facets", "package_search facets", "NUO",
      act("package_search", **{"rows": 0, "facet.limit": -1,
                               "facet.field": ["name", "tags", "res_format"]}), _SOLR),
    R("search_mincount", "package_search facet.mincount=0", "NUO",
      act("package_search", **{"rows": 0, "facet.limit": -1, "facet.mincount": 0,
                               "facet.field": ["name", "title_string", "tags", "res_format"]}),
      "search: what no visible dataset has is not listed", "private",
      "names, titles and tags of private datasets, each counted as 0"),
    R("search_stale", "package_search on an index that missed a withdrawal", "NUO", stale, _SOLR,
      "private"),
    R("search_stale_fields", "package_search fl with other names and values, on such an index",
      "NUO", partial(stale, asked=_RENAMED), "search: fl takes nothing but names of fields",
      "private"),
    R("autocomplete_stale", "package_autocomplete on such an index", "NUO",
      stale_suggestions, "action: looked up in the database",
      "private"),
    R("search_page", "/dataset/?q=…", "N", page("/dataset/?q=title:{t.token}&sort=name+asc"),
      _SOLR),
    R("home", "/ (recent datasets)", "N", helper("get_recent_datasets", 1000), _SOLR),
    R("featured", "/ (featured organizations)", "N", helper("get_featured_organizations", 1000),
      "setting (collaborators off), label", "private",
      "private datasets, when collaborators are on",
      opens={**_COLLABORATORS, "ckan.featured_orgs": ["{t.organization}"]}),
    R("feed", "/feeds/dataset.atom", "N", page("/feeds/custom.atom?q={t.token}"), _SOLR),
    R("feed_organization", "/feeds/organization/….atom", "N",
      page("/feeds/organization/{t.organization}.atom?limit=1000"), _SOLR),
    R("feed_group", "/feeds/group/….atom", "N", page("/feeds/group/{t.topic}.atom"), _SOLR),
    R("feed_tag", "/feeds/tag/….atom", "N", page("/feeds/tag/{t.tag}.atom"), _SOLR),
    R("organization_page", "/organization/…", "N", page("/organization/{t.organization}"), _SOLR),
    R("group_page", "/group/…", "N", page("/group/{t.topic}"), _SOLR),
    R("user_page", "/user/…", "U", page("/user/produsen_dinkes"), _SOLR),
    R("organization_show", "organization_show include_datasets", "NUO",
      act("organization_show", id="{t.organization}", include_datasets=True), _SOLR),
    R("group_show", "group_show include_datasets", "NUO",
      act("group_show", id="{t.topic}", include_datasets=True), _SOLR),
    R("group_packages", "group_package_show", "NUO", act("group_package_show", id="{t.topic}"),
      _SOLR),
    R("user_show", "user_show include_datasets", "UO",
      act("user_show", id="produsen_dinkes", include_datasets=True), _SOLR),
    R("user_count", "user_show number_created_packages", "UO", drafts_of,
      "core", "core counts public ones since 2.10", "how many drafts there are"),
    R("autocomplete", "package_autocomplete", "NUO", act("package_autocomplete", q="{t.token}"),
      _SOLR),
    R("autocomplete_page", "/api/2/util/dataset/autocomplete", "N",
      page("/api/2/util/dataset/autocomplete?incomplete={t.token}"), _SOLR),
    R("package_list", "package_list", "NUO", act("package_list"), _SQL),
    R("list_resources", "current_package_list_with_resources", "NUO",
      act("current_package_list_with_resources", limit=1000), _SOLR),
    R("resource_search", "resource_search", "NUO",
      act("resource_search", query="name:{t.token}"), _SQL),
    R("tag_show", "tag_show include_datasets", "NUO",
      act("tag_show", id="{t.tag}", include_datasets=True), _SOLR),
    R("tag_list", "tag_list", "NUO", act("tag_list"), _LISTS, "private", "tags of drafts"),
    R("tag_search", "tag_search", "NUO", act("tag_search", query="{t.token}"), _LISTS, "private",
      "tags of drafts"),
    R("tag_autocomplete", "tag_autocomplete", "NUO", act("tag_autocomplete", query="{t.token}"),
      _LISTS, "private", "tags of drafts"),
    R("tag_page", "/api/2/util/tag/autocomplete", "N",
      page("/api/2/util/tag/autocomplete?incomplete={t.token}"), _LISTS, "private",
      "tags of drafts"),
    R("tag_vocabulary", "vocabulary_show, tag_list vocabulary_id", "NUO",
      act("tag_list", vocabulary_id="{t.vocabulary}"), _LISTS,
      "tags of a vocabulary are the sysadmin's own list, not a dataset's"),
    R("format", "format_autocomplete", "NUO", act("format_autocomplete", q="{t.token}"), _LISTS,
      "private", "formats of drafts"),
    R("format_page", "/api/2/util/resource/format_autocomplete", "N",
      page("/api/2/util/resource/format_autocomplete?incomplete={t.token}"), _LISTS, "private",
      "formats of drafts"),
    R("member_list", "member_list", "NUO",
      act("member_list", id="{t.organization}", object_type="package"), _LISTS, "private",
      "ids of drafts"),
    R("member_list_group", "member_list of a group", "NUO",
      act("member_list", id="{t.topic}", object_type="package"), _LISTS, "private",
      "ids of drafts"),
    R("organization_count", "organization_list package_count", "NUO",
      counts("organization_list", "{t.organization}"), _SOLR,
      "core counts what the caller may see since 2.12", "how many drafts there are"),
    R("group_count", "group_list package_count", "NUO", counts("group_list", "{t.topic}"), _SOLR,
      "core counts what the caller may see since 2.12", "how many drafts there are"),
    R("follower_count", "dataset_follower_count", "NUO",
      act("dataset_follower_count", id="{t.name}"), "action", "private", "tells that it exists"),
    R("following", "am_following_dataset", "UO", act("am_following_dataset", id="{t.name}"),
      "action", "private", "tells that it exists"),
    R("follow", "follow_dataset", "UO", act("follow_dataset", id="{t.name}"), "action",
      "private", "tells that it exists"),
    R("followee_list", "followee_list, dataset_followee_list", "UO",
      act("dataset_followee_list", id="produsen_dinkes"), "core, since 2.12.0",
      "closed: core hides it since 2.12.0"),
    R("collaborators", "package_collaborator_list", "UO",
      act("package_collaborator_list", id="{t.name}"), "action", "private",
      "403 for what is there, 404 for what isn't", opens=_COLLABORATORS),
    R("relationships", "package_relationships_list", "NUO",
      act("package_relationships_list", id="{t.name}"), "action", "private",
      "403 for what is there, 404 for what isn't"),
    R("task", "task_status_show", "NUO",
      act("task_status_show", entity_id="{t.resource}", task_type="datapusher", key="datapusher"),
      "action", "private", "job key and error text of any resource"),
    R("activity_view", "user_activity_list", "U",
      act("user_activity_list", id="produsen_dinkes", limit=100), _OFF, "private",
      "titles of the views of private datasets"),
    R("activity_package", "package_activity_list after a withdrawal", "NU",
      lambda site, user, t: site.withdrawn(user, "package_activity_list", id=t.id), _OFF,
      "public", "the whole dataset as it was public"),
    R("activity_recent", "recently_changed_packages_activity_list", "NU",
      act("recently_changed_packages_activity_list"), _OFF, "public",
      "the whole dataset as it was public"),
    R("activity_diff", "activity_diff", "NU", diff, _OFF, "public",
      "both snapshots, the private one too",
      opens={"ckan.auth.public_activity_stream_detail": True}),
    R("harvest_object", "harvest_object_show", "N", act("harvest_object_show", id="{t.harvested}"),
      _OFF, "private", "the raw record of harvested data"),
    R("public_storage", "/file/public-download/resources/…", "N",
      page("/file/public-download/resources/{t.location}"), "setting (no public storage)",
      "private", "any file of a storage marked public", opens={"storage.public": True}),
    R("sitemap", "/sitemap.xml", "N", page("/sitemap.xml"), "none", "core has none"),
    R("beside", "/dataset/<another>/resource/…", "NU", beside("/resource/{t.resource}"),
      plain="core asks for the resource itself"),
    R("beside_download", "/dataset/<another>/resource/…/download", "NU",
      beside("/resource/{t.second}/download/x.txt"), plain="core asks for the resource itself"),
    R("beside_view", "/dataset/<another>/resource/…/view/…", "NU",
      lambda site, user, t: beside(f"/resource/{site.public().resource}/view/{t.view}")(
          site, user, t), plain="core asks for the view itself"),
    R("every_page", "every address that takes an id", "NU", every_page,
      "request: 404 as for what is unknown", "private",
      "403 for what is there, 404 for what isn't"),
    R("every_action", "every action, with the ids of a dataset", "NU", every_action,
      "action: 404 as for what is unknown", "private",
      "403 for what is there, 404 for what isn't"),
    *(
        R(f"tells_{action}", action, "UO", act(action, **data),
          "action: 404 as for what is unknown", "private",
          "403 with the id for what is there, 404 for what isn't")
        for action, data in (
            ("package_update", {"id": "{t.name}", "title": "x"}),
            ("package_patch", {"id": "{t.name}", "title": "x"}),
            ("package_revise", {"match": {"name": "{t.name}"}}),
            ("package_resource_reorder", {"id": "{t.name}", "order": ["{t.second}"]}),
            ("package_delete", {"id": "{t.name}"}),
            ("dataset_purge", {"id": "{t.name}"}),
            ("resource_create", {"package_id": "{t.name}", "url": "x", "name": "x"}),
            ("resource_patch", {"id": "{t.resource}", "name": "x"}),
            ("resource_update", {"id": "{t.resource}", "name": "x"}),
            ("resource_delete", {"id": "{t.resource}"}),
            ("resource_view_create",
             {"resource_id": "{t.resource}", "title": "x", "view_type": "text_view"}),
            ("resource_view_update", {"id": "{t.view}", "resource_id": "{t.resource}",
                                      "title": "x", "view_type": "text_view"}),
            ("resource_view_reorder", {"id": "{t.resource}", "resource_id": "{t.resource}",
                                       "order": ["{t.view}"]}),
            ("resource_view_delete", {"id": "{t.view}", "resource_id": "{t.resource}"}),
            ("package_relationship_create",
             {"subject": "{t.name}", "object": "x", "type": "depends_on"}),
            ("member_create", {"id": "{t.topic}", "object": "{t.name}", "object_type": "package",
                               "capacity": "public"}),
            ("member_delete", {"id": "{t.topic}", "object": "{t.name}",
                               "object_type": "package"}),
        )
    ),
)  # fmt: skip

SECTIONS: tuple[tuple[str, tuple[Door, ...]], ...] = (
    ("Datasets, organizations, groups", DATASET),
    ("Files, views, tables", FILES),
    ("From inside", INSIDE),
    ("Reading", READING),
)
ALL = tuple(door for _title, doors in SECTIONS for door in doors)


# The document -------------------------------------------------------------------------------------
_REGION = re.compile(r"(<!-- doors -->\n).*?(<!-- /doors -->)", re.DOTALL)


def _who(door: Door) -> str:
    who = ", ".join(ROLES[letter][0] for letter in door.who)
    if door.plain not in ("public", "private"):
        return f"{who} ({door.plain})"
    # The settings that open it there; `doctor` looks at those.
    return who + "".join(f", with `{key}`" for key in door.opens)


def _rows(doors: tuple[Door, ...]) -> str:
    lines = [
        "| Door | Passes in plain CKAN | What comes of it | Closed here by |",
        "|---|---|---|---|",
    ]
    lines += [
        "| "
        + " | ".join(part.replace("|", "\\|") for part in (d.row, _who(d), d.does, d.stops))
        + " |"
        for d in doors
    ]
    return "\n".join(lines)


def render(text: str) -> str:
    """docs/gate.md with its table of doors as this module has it."""
    tables = "\n\n".join(f"### {title}\n\n{_rows(doors)}" for title, doors in SECTIONS)
    return _REGION.sub(lambda match: f"{match[1]}\n{tables}\n\n{match[2]}", text)


if __name__ == "__main__":
    DOCUMENT.write_text(render(DOCUMENT.read_text()))
