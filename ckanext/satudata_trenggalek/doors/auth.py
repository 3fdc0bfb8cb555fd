"""Auth functions, chained (layer 2). Each is asked of sysadmins too."""

from __future__ import annotations

from typing import Any

import ckan.authz as authz
import ckan.model as core
import ckan.plugins.toolkit as tk
from ckan.types import AuthResult, Context

from ckanext.satudata_trenggalek import gate, peran
from ckanext.satudata_trenggalek.doors import (
    held,
    may_see,
    package_of,
    package_of_resource,
    package_of_view,
    standing,
    status_of,
    text,
    user_of,
)
from ckanext.satudata_trenggalek.statement import remembered
from ckanext.satudata_trenggalek.workflow import engine
from ckanext.satudata_trenggalek.workflow.table import EDITABLE, UNGATED_TYPES, Peran

_OK: AuthResult = {"success": True}


def _no(message: str) -> AuthResult:
    return {"success": False, "msg": message}


def _editable(context: Any, package: core.Package | None) -> AuthResult:
    """Whether the caller may change this dataset's rows; sysadmins are asked like everyone.

    Raises:
        tk.ObjectNotFound: to who may not even see it.
    """
    if package is None or package.type in UNGATED_TYPES:
        return _OK
    status, roles = standing(context, package)
    if status is None:
        refusal = gate.messages()[gate.ddl.UNADOPTED][1]
    elif status not in EDITABLE:
        refusal = gate.messages()[gate.ddl.FROZEN][1]
    elif not engine.may_edit(status, roles):
        refusal = tk._("Hanya Produsen Data dari OPD pemilik yang mengubah dataset ini.")
    else:
        return _OK
    # Actions of core's ask by other ids than they were given (package_revise).
    if not may_see(context, package):
        raise tk.ObjectNotFound()
    return _no(refusal)


def _chain(find: Any) -> Any:
    @tk.chained_auth_function
    @tk.auth_sysadmins_check
    def auth(next_auth: Any, context: Any, data_dict: Any) -> AuthResult:
        answer = _editable(context, find(context, data_dict or {}))
        return next_auth(context, data_dict) if answer.get("success") else answer

    return auth


def _package(context: Any, data_dict: Any) -> core.Package | None:
    return context.get("package") or package_of(data_dict, "id")


@tk.chained_auth_function
@tk.auth_sysadmins_check
def _package_update(next_auth: Any, context: Any, data_dict: Any) -> AuthResult:
    package = _package(context, data_dict)
    answer = _editable(context, package)
    if not answer.get("success"):
        return answer
    name = text((data_dict or {}).get("owner_org"))
    moves = package and name and name != package.owner_org
    owner = core.Group.get(name) if moves else None
    if (
        owner
        and package
        and owner.id != package.owner_org
        and Peran.PRODUSEN_DATA not in held(context, owner.id)
    ):
        return _no(tk._("Organisasi tujuan bukan Produsen Data tempat Anda bertugas."))
    if package is None or data_dict != {"id": package.id}:
        return next_auth(context, data_dict)
    # Of the dataset as it stands core asks before an upload, and again while it is validated
    # (ignore_not_package_admin in ckan/logic/validators.py).
    known, asked = remembered("may_update"), (package.id, context.get("user"))
    if asked not in known:
        known[asked] = next_auth(context, data_dict)
    return known[asked]


@tk.chained_auth_function
@tk.auth_sysadmins_check
def _package_revise(next_auth: Any, context: Any, data_dict: Any) -> AuthResult:
    """Core leaves out the groups that a dataset has only of one that it knows already."""
    package = package_of((data_dict or {}).get("update") or {}, "id")
    return next_auth({**context, "package": package} if package else context, data_dict)


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
def _resource_delete(next_auth: Any, context: Any, data_dict: Any) -> AuthResult:
    """Core asks for the right to delete the dataset, which nobody has once it was public."""
    package = package_of_resource((data_dict or {}).get("id"))
    if package is None or package.type in UNGATED_TYPES:
        return next_auth(context, data_dict)
    asked = Context(user=context.get("user", ""), auth_user_obj=context.get("auth_user_obj"))
    return authz.is_authorized("package_update", asked, {"id": package.id})


@tk.chained_auth_function
@tk.auth_sysadmins_check
def _package_create(next_auth: Any, context: Any, data_dict: Any) -> AuthResult:
    data = data_dict or {}
    user = user_of(context)
    if data.get("type") in UNGATED_TYPES and not (user and user.sysadmin):
        return _no(tk._("Hanya admin sistem yang membuat sumber panen."))
    name = text(data.get("owner_org"))
    held_there = peran.find(name) if name else None
    if held_there is not None and Peran.PRODUSEN_DATA not in held_there:
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
        answer = _editable(context, package_of(data_dict, "object"))
        if not answer.get("success"):
            return answer
    return next_auth(context, data_dict)


@tk.chained_auth_function
@tk.auth_sysadmins_check
def _api_token_create(next_auth: Any, context: Any, data_dict: Any) -> AuthResult:
    """With another's token a sysadmin would check in their name what he made himself."""
    user, owner = user_of(context), core.User.get(text((data_dict or {}).get("user")))
    if owner and (user is None or user.id != owner.id):
        return _no(tk._("Token API dibuat oleh pemiliknya sendiri."))
    return next_auth(context, data_dict)


_BULK = engine.N_("Dataset terbit satu per satu melalui pemeriksaan Walidata.")
_LOADER = engine.N_("Tabel hanya diisi portal dari berkas. Unggah berkas yang baru.")
_RELATED = engine.N_("Hubungan antardataset tidak dipakai di portal ini.")
_COLLABORATORS = engine.N_("Kolaborator dataset tidak dipakai di portal ini.")
_VIEWS = engine.N_("Tampilan bawaan sebuah berkas dibuat portal sendiri.")
_WORDS = engine.N_("Isian dataset tidak diterjemahkan di luar datasetnya.")

AUTH: dict[str, Any] = {
    "api_token_create": _api_token_create,
    "package_create": _package_create,
    "package_update": _package_update,
    "package_revise": _package_revise,
    "package_delete": _package_delete,
    "resource_delete": _resource_delete,
    "member_create": _member_create,
    "member_delete": _member_create,
    **{
        name: _chain(find)
        for find, names in (
            (_package, ("package_owner_org_update", "package_resource_reorder")),
            (
                lambda _context, data: package_of_resource(data.get("id")),
                ("resource_update", "resource_view_reorder"),
            ),
            (lambda _context, data: package_of(data, "package_id"), ("resource_create",)),
            (
                lambda _context, data: package_of_view(data),
                ("resource_view_create", "resource_view_update", "resource_view_delete"),
            ),
        )
        for name in names
    },
    **{
        name: _nobody(message)
        for message, names in (
            (_BULK, ("bulk_update_public", "bulk_update_private", "bulk_update_delete")),
            (_COLLABORATORS, ("package_collaborator_create", "package_collaborator_delete")),
            (_WORDS, ("term_translation_update",)),
            (
                _RELATED,
                tuple(f"package_relationship_{verb}" for verb in ("create", "update", "delete")),
            ),
            # The portal calls them itself, unasked; of others core tells which dataset it is.
            (
                _VIEWS,
                (
                    "resource_create_default_resource_views",
                    "package_create_default_resource_views",
                ),
            ),
            (
                _LOADER,
                (
                    "datastore_create",
                    "datastore_upsert",
                    "datastore_delete",
                    "datastore_run_triggers",
                    "datastore_function_create",
                    "datastore_function_delete",
                ),
            ),
        )
        for name in names
    },
}
