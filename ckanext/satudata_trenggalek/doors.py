"""Core's other doors: chained actions and auth functions in front of the triggers.

The triggers hold without them; these give people a 403, 404 or 409 with a remedy instead of a 500,
and close what is not in the main database.
"""

from __future__ import annotations

from typing import Any

import ckan.model as core
import ckan.plugins.toolkit as tk
import sqlalchemy as sa
from ckan.types import AuthResult
from flask import has_request_context

from ckanext.satudata_trenggalek import files, gate, model, peran, schema, tables
from ckanext.satudata_trenggalek.workflow import engine, service
from ckanext.satudata_trenggalek.workflow.table import EDITABLE, UNGATED_TYPES, Peran

#: Keys of what we add at reading; core's package_patch sends back what package_show gave.
PREFIX = "satudata_"


def user_of(context: Any) -> core.User | None:
    """The user on whose behalf an action runs; None for jobs (`ignore_auth` outside a request)."""
    if context.get("ignore_auth"):
        user: Any = tk.current_user if has_request_context() else None
    else:
        user = context.get("auth_user_obj") or core.User.get(context.get("user"))
    return user if user and user.is_authenticated else None


def status_of(package_id: str) -> model.Status | None:
    """The status row as the database has it now."""
    return core.Session.get(model.Status, package_id, populate_existing=True)


def drop_ours(data: dict[str, Any]) -> None:
    """Remove every key that only the portal sets from what a client sent, in place."""
    for key in [key for key in data if isinstance(key, str) and key.startswith(PREFIX)]:
        del data[key]
    if isinstance(data.get("extras"), list):
        data["extras"] = [
            extra
            for extra in data["extras"]
            if not (isinstance(extra, dict) and str(extra.get("key", "")).startswith(PREFIX))
        ]
    if isinstance(data.get("resources"), list):
        for resource in data["resources"]:
            if isinstance(resource, dict):
                drop_ours(resource)


# --- actions ------------------------------------------------------------------------------------


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
    drop_ours(data_dict)
    if data_dict.get("type") not in UNGATED_TYPES:
        data_dict["private"] = True
    for resource in data_dict.get("resources") or []:
        # Core asks the uploader in package_update only.
        if isinstance(resource, dict):
            files.portal_fields(resource)
    result = _guarded(next_action, context, data_dict)
    _sync(result)
    return result


def after_dataset_create(context: Any, package: dict[str, Any]) -> None:
    """First event of a dataset, in the transaction that makes it."""
    if package.get("type") in UNGATED_TYPES:
        return
    user = user_of(context)
    service.record(package["id"], user.name if user else service.SISTEM, "dibuat", to_status="draf")
    follow_kategori(package["id"])


def follow_kategori(package_id: str) -> None:
    """Put a dataset into the group of its kategori and of no other; core's groups are the topics.

    Runs inside core's transaction: the hook is called after the flush, before commit and index.
    """
    package = core.Package.get(package_id)
    chosen = (package.extras or {}).get("kategori") if package else None
    groups = core.Session.scalars(
        sa.select(core.Group).where(
            core.Group.name.in_([item["value"] for item in schema.vocab("kategori")]),
            core.Group.state == "active",
        )
    )
    members = {
        member.group_id: member
        for member in core.Session.scalars(
            sa.select(core.Member).where(
                core.Member.table_name == "package", core.Member.table_id == package_id
            )
        )
    }
    for group in groups:
        member, wanted = members.get(group.id), "active" if group.name == chosen else "deleted"
        if member and member.state != wanted:
            member.state = wanted
        elif member is None and wanted == "active":
            core.Session.add(
                core.Member(
                    table_name="package", table_id=package_id, group=group, capacity="public"
                )
            )
    core.Session.flush()


@tk.chained_action
def package_update(next_action: Any, context: Any, data_dict: Any) -> Any:
    """Covers patch, revise, reorder, bulk_update_* and the resource actions, which end here."""
    drop_ours(data_dict)
    package = core.Package.get(data_dict.get("id") or data_dict.get("name"))
    if package and package.type not in UNGATED_TYPES:
        private = data_dict.get("private")
        if package.private and private is not None and _is_false(private):
            # Who may not even edit learns that first.
            tk.check_access("package_update", context, data_dict)
            raise tk.ValidationError({"private": [gate.messages()[gate.ddl.UNVERIFIED][1]]})
        if data_dict.get("state") == "deleted" and package.state != "deleted":
            tk.check_access("package_delete", context, {"id": package.id})
            _close(context, package)
    result = _guarded(next_action, context, data_dict)
    _sync(result)
    return result


def _sync(result: Any) -> None:
    package_id = result if isinstance(result, str) else result.get("id")
    if package_id:
        tables.sync(package_id)


def _close(context: Any, package: core.Package) -> None:
    """Record a deletion; what comes back from it is a draft (contract: restoring gives draf)."""
    row = status_of(package.id)
    if row is None or row.status not in EDITABLE or row.version:
        return  # the trigger refuses it
    user = user_of(context)
    service.record(
        package.id,
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
def resource_delete(next_action: Any, context: Any, data_dict: Any) -> Any:
    """Core looks for `resources` in package_update's errors, and fails without it."""
    package = _resource_package(data_dict.get("id"))
    if package and package.type not in UNGATED_TYPES:
        tk.check_access("resource_delete", context, data_dict)
        _refuse_frozen(status_of(package.id))
    return next_action(context, data_dict)


@tk.chained_action
def package_delete(next_action: Any, context: Any, data_dict: Any) -> Any:
    """Core flushes after it told Solr, so a refusal must come first."""
    package = core.Package.get(data_dict.get("id"))
    if package and package.type not in UNGATED_TYPES:
        tk.check_access("package_delete", context, data_dict)
        with gate.explained():
            row = status_of(package.id)
            _refuse_frozen(row)
            if row and row.version:
                message = tk._("Dataset yang pernah terbit tidak dihapus.")
                raise tk.ValidationError({"id": [message]})
            _close(context, package)
    return _guarded(next_action, context, data_dict)


@tk.chained_action
def dataset_purge(next_action: Any, context: Any, data_dict: Any) -> Any:
    """Purge a draft never published, or with `note` what was withdrawn; its events stay."""
    package = core.Package.get(tk.get_or_bust(data_dict, "id"))
    if package and package.type not in UNGATED_TYPES:
        tk.check_access("dataset_purge", context, data_dict)
        user = user_of(context)
        with gate.explained():
            package, row = service.lock(package.id)
            note = str(data_dict.get("note") or "").strip()
            never = row.version == 0 and row.status in EDITABLE
            if not never and row.status != "ditarik":
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
            return next_action(context, data_dict)
    return next_action(context, data_dict)


@tk.chained_action
@tk.side_effect_free
def package_show(next_action: Any, context: Any, data_dict: Any) -> Any:
    """Forbidden reads like unknown: core's 403 names the id, and so tells that it exists."""
    try:
        return next_action(context, data_dict)
    except tk.NotAuthorized:
        raise tk.ObjectNotFound() from None


@tk.chained_action
@tk.side_effect_free
def resource_show(next_action: Any, context: Any, data_dict: Any) -> Any:
    """As package_show."""
    try:
        return next_action(context, data_dict)
    except tk.NotAuthorized:
        raise tk.ObjectNotFound() from None


def _datastore_write(_next_action: Any, _context: Any, _data_dict: Any) -> Any:
    """The loader writes tables by itself, from the file; nobody else does."""
    raise tk.NotAuthorized(tk._(_LOADER))


@tk.chained_action
def group_create(next_action: Any, context: Any, data_dict: Any) -> Any:
    """`packages` would attach other people's datasets."""
    data_dict.pop("packages", None)
    return _guarded(next_action, context, data_dict)


@tk.chained_action
def group_update(next_action: Any, context: Any, data_dict: Any) -> Any:
    """As group_create; without the key core leaves the members alone."""
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
        resource_delete,
        dataset_purge,
        package_show,
        resource_show,
        group_create,
        group_update,
    )
} | {
    name: _named(name, function)
    for function, names in (
        (
            _guarded,
            (
                "package_owner_org_update",
                "member_create",
                "member_delete",
                "resource_view_create",
                "resource_view_update",
                "resource_view_reorder",
                "resource_view_delete",
                "resource_view_clear",
                "package_relationship_create",
                "package_relationship_update",
                "package_relationship_delete",
            ),
        ),
        (
            _datastore_write,
            (
                "datastore_create",
                "datastore_upsert",
                "datastore_delete",
                "datastore_records_delete",
            ),
        ),
    )
    for name in names
}


# --- auth ---------------------------------------------------------------------------------------

_OK: AuthResult = {"success": True}


def _no(message: str) -> AuthResult:
    return {"success": False, "msg": message}


def held(context: Any, owner_org: str | None) -> frozenset[Peran]:
    """The peran in which the caller acts towards datasets of owner_org."""
    user = context.get("auth_user_obj") or core.User.get(context.get("user"))
    if not user or not user.is_authenticated:
        return frozenset()
    return peran.towards(peran.of_user(user.id), owner_org)


def _editable(context: Any, package: core.Package | None) -> AuthResult:
    """Whether the caller may change this dataset's rows; sysadmins are asked like everyone."""
    if package is None or package.type in UNGATED_TYPES:
        return _OK
    row = status_of(package.id)
    if row is None:
        return _no(gate.messages()[gate.ddl.UNADOPTED][1])
    if row.status not in EDITABLE:
        return _no(gate.messages()[gate.ddl.FROZEN][1])
    if not engine.may_edit(row.status, held(context, package.owner_org)):
        return _no(tk._("Hanya Produsen Data dari OPD pemilik yang mengubah dataset ini."))
    return _OK


def _package(context: Any, data_dict: Any) -> core.Package | None:
    return context.get("package") or core.Package.get(
        (data_dict or {}).get("id") or (data_dict or {}).get("package_id")
    )


def _resource_package(resource_id: str | None) -> core.Package | None:
    resource = core.Resource.get(resource_id) if resource_id else None
    return resource.package if resource else None


def _view_package(data_dict: Any) -> core.Package | None:
    view = core.ResourceView.get(data_dict.get("id")) if data_dict.get("id") else None
    return _resource_package(view.resource_id if view else data_dict.get("resource_id"))


def _chain(find: Any) -> Any:
    @tk.chained_auth_function
    @tk.auth_sysadmins_check
    def auth(next_auth: Any, context: Any, data_dict: Any) -> AuthResult:
        answer = _editable(context, find(context, data_dict or {}))
        return next_auth(context, data_dict) if answer.get("success") else answer

    return auth


@tk.chained_auth_function
@tk.auth_sysadmins_check
def _package_delete(next_auth: Any, context: Any, data_dict: Any) -> AuthResult:
    package = _package(context, data_dict)
    answer = _editable(context, package)
    if not answer.get("success"):
        return answer
    row = status_of(package.id) if package else None
    if row and row.version:
        return _no(tk._("Dataset yang pernah terbit tidak dihapus."))
    return next_auth(context, data_dict)


@tk.chained_auth_function
@tk.auth_sysadmins_check
def _package_create(next_auth: Any, context: Any, data_dict: Any) -> AuthResult:
    organization = core.Group.get((data_dict or {}).get("owner_org"))
    if (
        organization
        and (data_dict or {}).get("type") not in UNGATED_TYPES
        and Peran.PRODUSEN_DATA not in peran.of_organization(organization.id)
    ):
        return _no(tk._("Organisasi ini bukan Produsen Data, jadi tidak membuat dataset."))
    return next_auth(context, data_dict)


def _nobody(message: str) -> Any:
    @tk.chained_auth_function
    @tk.auth_sysadmins_check
    def auth(_next_auth: Any, _context: Any, _data_dict: Any) -> AuthResult:
        return _no(tk._(message))

    return auth


@tk.chained_auth_function
@tk.auth_sysadmins_check
def _member_create(next_auth: Any, context: Any, data_dict: Any) -> AuthResult:
    if (data_dict or {}).get("object_type") == "package":
        answer = _editable(context, core.Package.get(data_dict.get("object")))
        if not answer.get("success"):
            return answer
    return next_auth(context, data_dict)


N_ = engine.N_
_BULK = N_("Dataset terbit satu per satu melalui pemeriksaan Walidata.")
_LOADER = N_("Tabel hanya diisi portal dari berkas. Unggah berkas yang baru.")

AUTH: dict[str, Any] = {
    "package_create": _package_create,
    "package_delete": _package_delete,
    "member_create": _member_create,
    "member_delete": _member_create,
    **{
        name: _chain(_package)
        for name in ("package_update", "package_owner_org_update", "package_resource_reorder")
    },
    **{
        name: _chain(lambda _context, data: _resource_package(data.get("id")))
        for name in ("resource_update", "resource_delete")
    },
    "resource_create": _chain(lambda _context, data: core.Package.get(data.get("package_id"))),
    "resource_view_create": _chain(
        lambda _context, data: _resource_package(data.get("resource_id"))
    ),
    "resource_view_reorder": _chain(lambda _context, data: _resource_package(data.get("id"))),
    **{
        name: _chain(lambda _context, data: _view_package(data))
        for name in ("resource_view_update", "resource_view_delete")
    },
    **{
        name: _chain(lambda _context, data: core.Package.get(data.get("subject")))
        for name in (
            "package_relationship_create",
            "package_relationship_update",
            "package_relationship_delete",
        )
    },
    **{
        name: _nobody(_BULK)
        for name in ("bulk_update_public", "bulk_update_private", "bulk_update_delete")
    },
    **{
        name: _nobody(_LOADER)
        for name in ("datastore_create", "datastore_upsert", "datastore_delete")
    },
}
