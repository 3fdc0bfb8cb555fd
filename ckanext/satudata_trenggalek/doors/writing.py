"""Actions that write, chained (layer 1)."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import ckan.model as core
import ckan.plugins as p
import ckan.plugins.toolkit as tk
import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import ARRAY, insert

from ckanext.satudata_trenggalek import files, gate, model, schema, sdi, tables
from ckanext.satudata_trenggalek.doors import (
    MEMBERS,
    PREFIX,
    lock,
    may_see,
    package_of,
    package_of_resource,
    package_of_view,
    status_of,
    text,
    user_of,
)
from ckanext.satudata_trenggalek.logic import schema as parameters
from ckanext.satudata_trenggalek.statement import Statement
from ckanext.satudata_trenggalek.workflow import service
from ckanext.satudata_trenggalek.workflow.table import EDITABLE, UNGATED_TYPES


def _is_ours(key: str) -> bool:
    # The second is said of files, and by the loader.
    return key.startswith(PREFIX) or key == "datastore_active"


def drop_ours(data: dict[str, Any]) -> None:
    """Remove every key that only the portal sets from what a client sent, in place.

    And relationships, which core writes halfway, and then can't index.
    """
    for key in ("relationships_as_subject", "relationships_as_object"):
        data.pop(key, None)
    # Under the second core keeps what no schema knows, and takes it from a client, too: it would
    # be put over what was checked (keep_extras in ckan/lib/navl/validators.py).
    for key in [key for key in data if isinstance(key, str) and key.startswith((PREFIX, "__"))]:
        del data[key]
    # Core takes them for translations, and shows no page of what has others (get_translated).
    for key in ("name_translated", "description_translated"):
        data.pop(key, None)
    if isinstance(data.get("extras"), list):
        data["extras"] = [
            extra
            for extra in data["extras"]
            if not (isinstance(extra, dict) and _is_ours(str(extra.get("key", ""))))
        ]
    if isinstance(data.get("resources"), list):
        for resource in data["resources"]:
            if isinstance(resource, dict):
                drop_ours(resource)


def _drop(data: dict[str, Any]) -> None:
    """As `drop_ours`; and the time of the change, by which core tells what the index has of it."""
    drop_ours(data)
    data.pop("metadata_modified", None)


def _refuse_files(access: str, context: Any, data: dict[str, Any], type_: str) -> None:
    """Some types describe data and hold none; who may not even write learns that first.

    Raises:
        tk.NotAuthorized: by the auth function `access`.
        tk.ValidationError: naming `resources`.
    """
    if service.takes_files(type_):
        return
    tk.check_access(access, context, data)
    message = tk._("Kegiatan tidak memuat berkas. Unggah berkasnya pada dataset kegiatan ini.")
    raise tk.ValidationError({"resources": [message]})


def _known(context: Any, named: Any, package: core.Package | None) -> None:
    """To who may not see it, a dataset that is not public does not exist.

    Args:
        context: of the action.
        named: what the caller sent; core says it itself when that is missing.
        package: the dataset found by it.

    Raises:
        tk.ObjectNotFound: unknown and forbidden alike.
    """
    if named and (package is None or not may_see(context, package)):
        raise tk.ObjectNotFound()


@contextmanager
def _unseen(context: Any, named: Any, package: core.Package | None) -> Iterator[None]:
    """As `_known`, for what asks for the right to change first: only refusals pay for the question.

    Raises:
        tk.ObjectNotFound: unknown and forbidden alike.
    """
    if named and package is None:
        raise tk.ObjectNotFound()
    try:
        yield
    except (tk.NotAuthorized, tk.ValidationError):
        _known(context, named, package)
        raise


def _guarded(next_action: Any, context: Any, data_dict: Any) -> Any:
    user = user_of(context)
    with gate.acting(user.id if user else None), gate.explained():
        return next_action(context, data_dict)


def _is_false(value: Any) -> bool:
    try:
        return not tk.asbool(value)
    except ValueError:
        return False


@tk.chained_action
def package_create(next_action: Any, context: Any, data_dict: Any) -> Any:
    """A new dataset is private whatever the caller sends, also from a harvester."""
    _drop(data_dict)
    _texts(data_dict, "id", "name", "owner_org", "type")
    type_ = data_dict.get("type") or "dataset"
    schema.expand(data_dict, type_)
    sdi.drop(type_, data_dict)
    if data_dict.get("type") not in UNGATED_TYPES:
        data_dict["private"] = True
    elif not p.plugin_loaded(data_dict["type"]):
        raise tk.ValidationError({"type": [tk._("Jenis dataset ini tidak dipakai di portal ini.")]})
    if data_dict.get("resources"):
        _refuse_files("package_create", context, data_dict, type_)
    _own_resources("package_create", context, data_dict, None)
    for resource in data_dict.get("resources") or []:
        # Core asks the uploader in package_update only.
        if isinstance(resource, dict):
            files.portal_fields(resource)
    return _guarded(next_action, context, data_dict)


def _own_resources(
    access: str, context: Any, data: dict[str, Any], package: core.Package | None
) -> None:
    """Refuse ids of resources that are not the dataset's, or one for two.

    Ids are made by the portal: under a chosen one, what another resource left behind would come
    back to life (core lets the id of a deleted resource be used again). Two of one id would leave a
    dataset that core can't add to.

    Raises:
        tk.NotAuthorized: by the auth function `access`.
        tk.ValidationError: on `id` of the resource, on `resources`, or in an update on `url`.
    """
    if "resources" not in data:
        return
    sent = data["resources"]
    if not isinstance(sent, list) or not all(isinstance(row, dict) for row in sent):
        if package is None:
            return  # core's schema says so
        tk.check_access(access, context, {"id": package.id})
        raise tk.ValidationError({"resources": [tk._("Harus berupa daftar objek.")]})
    # Core's uploader takes it for granted (ckan/lib/uploader.py).
    odd = [
        package is not None and row.get("url") is not None and text(row["url"]) is None
        for row in sent
    ]
    ids = [row.get("id") for row in sent]
    if not any(ids) and not any(odd):
        return
    # Core shows the dataset before it adds a resource, and locks it.
    shown = context.get("original_package") or {}
    if package and shown.get("id") == package.id:
        known = [row["id"] for row in shown["resources"]]
    else:
        known = [row.id for row in package.resources] if package else []
    told = [tk._("Id berkas dibuat oleh portal. Kosongkan.")]
    errors: Any = [{"url": [tk._("Harus berupa teks.")]} if is_odd else {} for is_odd in odd]
    for number, id_ in enumerate(ids):
        if id_ and (id_ not in known or id_ in ids[:number]):
            errors[number]["id"] = told
    if any(errors):
        tk.check_access(access, context, {"id": package.id} if package else data)
        raise tk.ValidationError({"resources": errors})


def _texts(data: dict[str, Any], *keys: str) -> None:
    """Refuse identifiers that are no storable text, which core would answer with a 500."""
    for key in keys:
        if data.get(key) is not None and text(data[key]) is None:
            raise tk.ValidationError({key: [tk._("Harus berupa teks.")]})


def after_dataset_create(context: Any, package: dict[str, Any]) -> None:
    """First event of a dataset, in the transaction that makes it."""
    if package.get("type") in UNGATED_TYPES:
        return
    user = user_of(context) or core.Session.get(core.User, gate.actor() or "")
    service.record(package["id"], user.name if user else service.SISTEM, "dibuat", to_status="draf")
    follow_kategori(package["id"])


#: The groups of topics in which a dataset is, and that of its topic.
_members = (
    sa.select(core.member_table.c.group_id, core.member_table.c.state)
    .where(
        core.member_table.c.table_name == "package",
        core.member_table.c.table_id == sa.bindparam("package"),
    )
    # By the dataset: else PostgreSQL may read all that a topic has.
    .offset(0)
    .subquery()
)
_TOPICS = Statement(
    sa.select(
        core.group_table.c.id,
        core.group_table.c.name,
        _members.c.state,
        _members.c.group_id.is_not(None).label("known"),
    )
    .outerjoin(_members, _members.c.group_id == core.group_table.c.id)
    .where(
        core.group_table.c.name == sa.any_(sa.bindparam("topics", type_=ARRAY(sa.Text))),
        core.group_table.c.state == "active",
        sa.or_(
            _members.c.state == "active",
            core.group_table.c.name == sa.bindparam("chosen"),
        ),
    ),
    "package",
    "topics",
    "chosen",
)


#: In the context of an update: state and owner of the dataset before it.
_STOOD = "satudata_stood"


def after_dataset_update(context: Any, package: dict[str, Any]) -> None:
    """What follows a change, in its transaction; the files are stored."""
    columns = core.Package.state, core.Package.owner_org
    now = core.Session.execute(sa.select(*columns).where(core.Package.id == package["id"])).one()
    state, owner = context.pop(_STOOD, now)
    user = user_of(context)
    told: dict[str, Any] = {}
    if state == "deleted" != now.state:
        told["dipulihkan"] = None
    if owner != now.owner_org:
        # Others read it and act on it from now on.
        told["dipindahkan"] = {"dari": owner, "ke": now.owner_org}
    for event, detail in told.items():
        who = user.name if user else service.SISTEM
        service.record(package["id"], who, event, detail=detail)
    follow_kategori(package["id"])
    tables.sync(package["id"])


def follow_kategori(package_id: str) -> None:
    """Put a dataset into the group of its kategori and of no other; core's groups are the topics.

    Runs inside core's transaction: the hook is called after the flush, before commit and index.
    """
    package = core.Session.get(core.Package, package_id)
    chosen = (package.extras or {}).get("kategori") if package else None
    topics = [item["value"] for item in schema.vocab("kategori")]
    asked = {"package": package_id, "topics": topics, "chosen": chosen}
    found = _TOPICS(**asked).all()
    if chosen in topics and not any(row.name == chosen for row in found):
        make_topics(core.Session.connection())
        found = _TOPICS(**asked).all()
    for row in found:
        if row.name != chosen or row.state != "active":
            _belong(package_id, row.id, row.name == chosen, row.known)


def make_topics(connection: sa.Connection) -> None:
    """Make the groups of the topics that are absent.

    Each of them whether or not it has a dataset: groups are public, and one made for a draft would
    tell that there is one.
    """
    made = [
        {"id": str(uuid.uuid4()), "name": topic["value"], "title": topic["label"]["id"],
         "type": "group"}
        for topic in schema.vocab("kategori")
    ]  # fmt: skip
    new = insert(core.group_table).on_conflict_do_nothing(index_elements=["name"])
    connection.execute(new, made)


def _belong(package_id: str, group_id: str, belongs: bool, known: bool) -> None:
    """Say whether a dataset belongs to a group, of which it is `known` whether it does or did."""
    row = {"table_name": "package", "table_id": package_id, "group_id": group_id}
    state, member = "active" if belongs else "deleted", core.member_table
    if known:
        there = (member.c[name] == value for name, value in row.items())
        core.Session.execute(sa.update(member).where(*there).values(state=state))
    else:
        core.Session.execute(sa.insert(member).values(**row, capacity="public", state=state))


@tk.chained_action
def package_update(next_action: Any, context: Any, data_dict: Any) -> Any:
    """Covers patch, revise, reorder, bulk_update_* and the resource actions, which end here."""
    _drop(data_dict)
    _texts(data_dict, "name", "owner_org")
    package = package_of(data_dict, "id", "name")
    with _unseen(context, data_dict.get("id") or data_dict.get("name"), package):
        _prepare_update(context, data_dict, package)
        return _guarded(next_action, context, data_dict)


def _prepare_update(context: Any, data_dict: Any, package: core.Package | None) -> None:
    if package and package.type not in UNGATED_TYPES:
        lock(package.id)
        context[_STOOD] = package.state, package.owner_org
        schema.expand(data_dict, package.type)
        sdi.drop(package.type, data_dict)
        if data_dict.get("type") not in (None, "", package.type):
            tk.check_access("package_update", context, {"id": package.id})
            raise tk.ValidationError({"type": [tk._("Jenis dataset tidak dapat diubah.")]})
        if data_dict.get("resources"):
            _refuse_files("package_update", context, {"id": package.id}, package.type)
        _own_resources("package_update", context, data_dict, package)
        private = data_dict.get("private")
        if package.private and private is not None and _is_false(private):
            # Who may not even edit learns that first.
            tk.check_access("package_update", context, {"id": package.id})
            raise tk.ValidationError({"private": [gate.messages()[gate.ddl.UNVERIFIED][1]]})
        if data_dict.get("state") == "deleted" and package.state != "deleted":
            tk.check_access("package_delete", context, {"id": package.id})
            with gate.explained():
                _close(context, _locked(package))


def _locked(package: core.Package) -> model.Status | None:
    """The status row, locked after its dataset as transitions do; None where there is none."""
    return service.lock(package.id)[1] if status_of(package.id) else None


def _close(context: Any, row: model.Status | None) -> None:
    """Record a deletion; what is restored from it is a draft."""
    if row is None or row.status not in EDITABLE or row.version:
        return  # the trigger refuses it
    user = user_of(context)
    service.record(
        row.package_id,
        user.name if user else service.SISTEM,
        "dihapus",
        from_status=row.status,
        to_status="draf",
    )
    row.status, row.since, row.due_at = "draf", service.now(), None
    core.Session.flush()


def _refuse_frozen(row: model.Status | None) -> None:
    """What the trigger would say, where core could not bear its answer.

    Raises:
        tk.ValidationError: when nobody edits the dataset now.
    """
    if row and row.status not in EDITABLE:
        raise tk.ValidationError({"status": [gate.messages()[gate.ddl.FROZEN][1]]})


@tk.chained_action
def resource_create(next_action: Any, context: Any, data_dict: Any) -> Any:
    """Core tells a refusal of package_update as one of the last resource."""
    try:
        # package_show within says what is unknown.
        return next_action(context, data_dict)
    except (tk.NotAuthorized, tk.ValidationError):
        if package := package_of(data_dict, "package_id"):
            _refuse_files("resource_create", context, data_dict, package.type)
        raise


@tk.chained_action
def resource_delete(next_action: Any, context: Any, data_dict: Any) -> Any:
    """Core looks for `resources` in package_update's errors, and fails without it."""
    package = package_of_resource(data_dict.get("id"))
    _known(context, data_dict.get("id"), package)
    if package and package.type not in UNGATED_TYPES:
        tk.check_access("resource_delete", context, data_dict)
        _refuse_frozen(status_of(package.id))
    try:
        return next_action(context, data_dict)
    except KeyError as error:
        # Others may have frozen it since then, or its metadata no longer holds.
        if isinstance(error.__context__, tk.ValidationError):
            raise error.__context__ from None
        raise


@tk.chained_action
def package_delete(next_action: Any, context: Any, data_dict: Any) -> Any:
    """Core flushes after it told Solr, so a refusal must come first."""
    package = package_of(data_dict, "id")
    _known(context, data_dict.get("id"), package)
    if package and package.type not in UNGATED_TYPES:
        tk.check_access("package_delete", context, data_dict)
        with gate.explained():
            row = _locked(package)
            _refuse_frozen(row)
            if row and row.version:
                message = tk._("Dataset yang pernah terbit tidak dihapus.")
                raise tk.ValidationError({"id": [message]})
            if package.state != "deleted":
                _close(context, row)
    return _guarded(next_action, context, data_dict)


@tk.chained_action
def dataset_purge(next_action: Any, context: Any, data_dict: Any) -> Any:
    """Purge a draft, or what was withdrawn; with `note` what was public; its events stay."""
    package = package_of(data_dict, "id")
    _known(context, data_dict.get("id"), package)
    if package and package.type not in UNGATED_TYPES:
        tk.check_access("dataset_purge", context, data_dict)
        user = user_of(context)
        with gate.explained():
            package, row = service.lock(package.id)
            note = parameters.text(data_dict, "note")
            never = row.version == 0
            if row.status not in ("ditarik", *EDITABLE):
                raise tk.ValidationError(
                    {"id": [tk._("Tarik dahulu dataset ini sebelum menghapusnya permanen.")]}
                )
            if not never and not note:
                raise tk.ValidationError({"note": [tk._("Tulis alasan penghapusan permanen.")]})
            service.record(
                package.id,
                user.name if user else service.SISTEM,
                "dihapus_permanen",
                from_status=row.status,
                note=note or None,
            )
            uploads = [resource.id for resource in package.resources_all]
            done = next_action(context, data_dict)
        for id_ in uploads:
            tables.enqueue(id_)  # removes their tables
        return done
    return next_action(context, data_dict)


def _loader_only(_next_action: Any, _context: Any, _data_dict: Any) -> Any:
    """The loader writes tables by itself, from the file; nobody else does."""
    raise tk.NotAuthorized(tk._("Tabel hanya diisi portal dari berkas. Unggah berkas yang baru."))


def _no_file_of_data(next_action: Any, context: Any, data_dict: Any) -> Any:
    """Files of the API (`file_create` and its kin) are none of a dataset's.

    A file registered in the storage of resources could be deleted, or given to whoever may then
    read it; one given to a dataset would be public with it.
    """
    resources = tk.config["ckan.files.default_storages.resource"]
    storage = data_dict.get("storage") or tk.config["ckan.files.default_storages.default"]
    if storage == resources or data_dict.get("owner_type") in ("package", "resource"):
        raise tk.NotAuthorized(tk._("Berkas data diunggah pada datasetnya."))
    return next_action(context, data_dict)


def _unrelated(_next_action: Any, _context: Any, _data_dict: Any) -> Any:
    """Core shows ids of partners that are not public, and can't index what has some."""
    raise tk.NotAuthorized(tk._("Hubungan antardataset tidak dipakai di portal ini."))


def _of_known_package(next_action: Any, context: Any, data_dict: Any) -> Any:
    if context.get("ignore_auth"):  # core's own call within another
        return _guarded(next_action, context, data_dict)
    with _unseen(context, data_dict.get("id"), package_of(data_dict, "id")):
        return _guarded(next_action, context, data_dict)


def _of_known_resource(next_action: Any, context: Any, data_dict: Any) -> Any:
    with _unseen(context, data_dict.get("id"), package_of_resource(data_dict.get("id"))):
        return next_action(context, data_dict)


def _of_known_view(next_action: Any, context: Any, data_dict: Any) -> Any:
    for key in ("id", "resource_id"):
        _known(context, data_dict.get(key), package_of_view({key: data_dict.get(key)}))
    view = core.ResourceView.get(text(data_dict.get("id")) or "")
    # Core takes it for granted that it is sent.
    if view and data_dict.setdefault("resource_id", view.resource_id) != view.resource_id:
        # It would keep its place, which another view may have, and core orders by nothing else.
        asked = {"id": view.id, "resource_id": view.resource_id}
        tk.check_access("resource_view_update", context, asked)
        message = tk._("Tampilan tetap pada berkasnya. Buat tampilan baru.")
        raise tk.ValidationError({"resource_id": [message]})
    return _guarded(next_action, context, data_dict)


def _of_known_resource_s_view(next_action: Any, context: Any, data_dict: Any) -> Any:
    # Its id is made by core, which tells whether one that is sent is taken.
    data_dict.pop("id", None)
    return _of_known_view(next_action, context, data_dict)


def _of_known_resource_views(next_action: Any, context: Any, data_dict: Any) -> Any:
    _known(context, data_dict.get("id"), package_of_resource(data_dict.get("id")))
    return _guarded(next_action, context, data_dict)


def _of_known_member(next_action: Any, context: Any, data_dict: Any) -> Any:
    # Core takes the name of any of its classes, in any spelling, and says which objects there are.
    parameters.choice(data_dict, "object_type", MEMBERS)
    if data_dict.get("object_type") == "package":
        _known(context, data_dict.get("object"), package_of(data_dict, "object"))
    return _guarded(next_action, context, data_dict)


def _of_known_group(next_action: Any, context: Any, data_dict: Any) -> Any:
    """Core takes it for granted that there is one (ckan/logic/action/delete.py)."""
    name = text(tk.get_or_bust(data_dict, "id"))
    if not name or core.Group.get(name) is None:
        raise tk.ObjectNotFound()
    return next_action(context, data_dict)


def _by_id(next_action: Any, context: Any, data_dict: Any) -> Any:
    """Core ends the memberships of an organization by what was sent: none by its name."""
    name = text(data_dict.get("id"))
    group = core.Group.get(name) if name else None
    if group and group.is_organization:
        data_dict["id"] = group.id
    return _guarded(next_action, context, data_dict)


def _tag_delete(next_action: Any, context: Any, data_dict: Any) -> Any:
    """Core looks for the tag before it asks for the right, and tags of drafts are not public."""
    tk.check_access("tag_delete", context, data_dict)
    return _guarded(next_action, context, data_dict)


def _without_packages(next_action: Any, context: Any, data_dict: Any) -> Any:
    """`packages` would attach other people's datasets; without it core leaves them alone."""
    data_dict.pop("packages", None)
    return _guarded(next_action, context, data_dict)


def _named(name: str, function: Any) -> Any:
    """The function as a chained action of its own: CKAN keeps one chain for each name."""

    @tk.chained_action
    def action(next_action: Any, context: Any, data_dict: Any) -> Any:
        return function(next_action, context, data_dict)

    action.__name__ = name
    return action


ACTIONS: dict[str, Any] = {
    function.__name__: function
    for function in (
        package_create,
        package_update,
        package_delete,
        resource_create,
        resource_delete,
        dataset_purge,
    )
} | {
    name: _named(name, function)
    for function, names in (
        # package_show inside them would say it, but only after the rights.
        (_of_known_package, ("package_owner_org_update", "package_patch")),
        (_of_known_resource, ("resource_update", "resource_patch")),
        (_of_known_resource_s_view, ("resource_view_create",)),
        (_of_known_view, ("resource_view_update", "resource_view_delete")),
        (_of_known_resource_views, ("resource_view_reorder",)),
        (_tag_delete, ("tag_delete",)),
        (_of_known_member, ("member_create", "member_delete")),
        (_of_known_group, ("group_member_delete", "organization_member_delete")),
        (_by_id, ("group_delete", "organization_delete")),
        (
            _guarded,
            (
                "api_token_create",
                "user_create",
                "user_update",
                "user_delete",
                "resource_view_clear",
                "group_purge",
                "organization_purge",
                "vocabulary_delete",
                "vocabulary_update",
            ),
        ),
        (
            _without_packages,
            ("group_create", "group_update", "organization_create", "organization_update"),
        ),
        (
            _unrelated,
            tuple(f"package_relationship_{verb}" for verb in ("create", "update", "delete")),
        ),
        (_no_file_of_data, ("file_create", "file_register", "file_ownership_transfer")),
        (
            _loader_only,
            (
                "datastore_create",
                "datastore_upsert",
                "datastore_delete",
                "datastore_records_delete",
                "datastore_run_triggers",
                "datastore_function_create",
                "datastore_function_delete",
            ),
        ),
    )
    for name in names
}
