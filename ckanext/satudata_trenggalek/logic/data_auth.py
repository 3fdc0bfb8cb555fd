"""IAuthFunctions of logic/data.py; `id` is that of the dataset."""

from __future__ import annotations

from typing import Any

import ckan.authz as authz
import ckan.plugins.toolkit as tk
from ckan.types import AuthResult

from ckanext.satudata_trenggalek import doors
from ckanext.satudata_trenggalek.workflow.table import Peran


def satudata_temuan_list(context: Any, data_dict: dict[str, Any]) -> AuthResult:
    """Whoever may read the status: findings are for members."""
    return authz.is_authorized("satudata_status_show", context, data_dict)


@tk.auth_sysadmins_check
def satudata_data_pribadi_set(context: Any, data_dict: dict[str, Any]) -> AuthResult:
    """Walidata who did not make the dataset."""
    row = doors.status_of(data_dict["id"])
    package = doors.package_of(data_dict, "id")
    user = doors.user_of(context)
    if row is None or package is None or user is None:
        return {"success": False, "msg": tk._("Peran Anda tidak mengizinkan ini.")}
    if Peran.WALIDATA not in doors.held(context, package.owner_org):
        return {"success": False, "msg": tk._("Hanya Walidata yang mencatat alasan ini.")}
    return doors.no_maker(user, row)


def satudata_variabel_guess(context: Any, data_dict: dict[str, Any]) -> AuthResult:
    """Whoever may edit the dataset."""
    return authz.is_authorized("package_update", context, data_dict)
