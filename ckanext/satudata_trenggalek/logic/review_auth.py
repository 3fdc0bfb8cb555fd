"""IAuthFunctions of logic/review.py; `id` is that of the dataset."""

from __future__ import annotations

from typing import Any

import ckan.authz as authz
import ckan.plugins.toolkit as tk
from ckan.types import AuthResult

from ckanext.satudata_trenggalek import comments, doors
from ckanext.satudata_trenggalek.workflow.table import STATUSES, Peran


def satudata_comment_list(context: Any, data_dict: dict[str, Any]) -> AuthResult:
    """Whoever may read the status: comments are for those who work on the dataset."""
    return authz.is_authorized("satudata_status_show", context, data_dict)


def satudata_diff_show(context: Any, data_dict: dict[str, Any]) -> AuthResult:
    """As the comments: it tells what was submitted and never published."""
    return authz.is_authorized("satudata_status_show", context, data_dict)


@tk.auth_sysadmins_check
def satudata_comment_create(context: Any, data_dict: dict[str, Any]) -> AuthResult:
    """Produsen, Walidata and Pembina of the dataset; whose turn it is, the action says."""
    package = doors.package_of(data_dict, "id")
    row = doors.status_of(package.id) if package else None
    if package is None or row is None:
        return {"success": False, "msg": tk._("Peran Anda tidak mengizinkan ini.")}
    held = doors.held(context, package.owner_org)
    allowed = {Peran.PRODUSEN_DATA, Peran.WALIDATA}
    if row.of_pembina:
        allowed.add(Peran.PEMBINA_DATA)
    if not held & allowed:
        message = tk._("Komentar ditulis Walidata, Pembina Data, dan Produsen Data dataset ini.")
        return {"success": False, "msg": message}
    return {"success": True}


@tk.auth_sysadmins_check
def satudata_draft_save(context: Any, data_dict: dict[str, Any]) -> AuthResult:
    """Walidata and Pembina."""
    package = doors.package_of(data_dict, "id")
    held = doors.held(context, package.owner_org if package else None)
    if not held & comments.CHECKERS:
        return {"success": False, "msg": tk._("Hanya pemeriksa yang menyimpan penilaian.")}
    return {"success": True}


@tk.auth_sysadmins_check
def satudata_comment_resolve(context: Any, data_dict: dict[str, Any]) -> AuthResult:
    """Walidata, and Pembina what they said themselves; nobody who made the dataset."""
    package = doors.package_of(data_dict, "id")
    row = doors.status_of(package.id) if package else None
    user = doors.user_of(context)
    if package is None or row is None or user is None:
        return {"success": False, "msg": tk._("Peran Anda tidak mengizinkan ini.")}
    held = doors.held(context, package.owner_org)
    own = data_dict.get("peran") == Peran.PEMBINA_DATA.value and Peran.PEMBINA_DATA in held
    if not (Peran.WALIDATA in held or own) or STATUSES[row.status].public:
        return {"success": False, "msg": tk._("Hanya pemeriksa yang menyatakan komentar selesai.")}
    return doors.no_maker(user, row)
