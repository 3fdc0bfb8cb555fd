"""IAuthFunctions of our own actions; they decide from the one table in workflow/table.py."""

from __future__ import annotations

from typing import Any

import ckan.model as core
import ckan.plugins.toolkit as tk

from ckanext.satudata_trenggalek import doors, model, peran
from ckanext.satudata_trenggalek.workflow import engine, service
from ckanext.satudata_trenggalek.workflow.table import STATUSES, TRANSITIONS, Peran


def _answer(allowed: object, message: str = "") -> dict[str, Any]:
    if allowed:
        return {"success": True}
    return {"success": False, "msg": message or tk._("Peran Anda tidak mengizinkan ini.")}


def _package(data_dict: dict[str, Any]) -> core.Package | None:
    return core.Package.get(data_dict.get("id"))


def satudata_status_show(context: Any, data_dict: dict[str, Any]) -> dict[str, Any]:
    """Produsen of the organization, Walidata, Pembina for Data Prioritas, sysadmin."""
    package = _package(data_dict)
    held = doors.held(context, package.owner_org if package else None)
    return _answer(doors.may_follow(held, doors.status_of(package.id) if package else None))


def satudata_history_list(context: Any, data_dict: dict[str, Any]) -> dict[str, Any]:
    """As satudata_status_show: it tells who reviewed what."""
    return satudata_status_show(context, data_dict)


@tk.auth_sysadmins_check
def satudata_transition(context: Any, data_dict: dict[str, Any]) -> dict[str, Any]:
    """Who holds a peran of the transition towards this dataset, and did not make what is checked.

    An unknown transition is no question of rights: the action says which are known.
    """
    package = _package(data_dict)
    transition = TRANSITIONS.get(str(data_dict.get("transition")))
    row = core.Session.get(model.Status, package.id) if package else None
    if package is None or row is None:
        return _answer(False)
    held = doors.held(context, package.owner_org)
    if transition is None:
        return _answer(held or _is_sysadmin(context))
    user = context["auth_user_obj"]
    known = service.facts(package, row, full=False)
    try:
        engine.permitted(known, engine.Actor(user.id, user.name, held), transition)
    except engine.Refused as error:
        return _answer(False, tk._(error.message).format(**error.values))
    return _answer(True)


@tk.auth_sysadmins_check
def satudata_claim(context: Any, data_dict: dict[str, Any]) -> dict[str, Any]:
    """Who checks datasets: Walidata and Pembina Data."""
    package = _package(data_dict)
    held = doors.held(context, package.owner_org if package else None)
    return _answer(held & {s.waits_for for s in STATUSES.values() if s.claimable})


@tk.auth_sysadmins_check
def satudata_release(context: Any, data_dict: dict[str, Any]) -> dict[str, Any]:
    """As satudata_claim."""
    return satudata_claim(context, data_dict)


def _is_sysadmin(context: Any) -> bool:
    return bool(getattr(context.get("auth_user_obj"), "sysadmin", False))


def satudata_queue_list(context: Any, _data_dict: dict[str, Any]) -> dict[str, Any]:
    """Whoever acts for some organization; sysadmins."""
    user = context.get("auth_user_obj")
    held = peran.of_user(user.id) if user and user.is_authenticated else {}
    return _answer(any(held.values()))


def satudata_kegiatan_list(context: Any, data_dict: dict[str, Any]) -> dict[str, Any]:
    """As the queue."""
    return satudata_queue_list(context, data_dict)


@tk.auth_allow_anonymous_access
def satudata_publication_show(_context: Any, _data_dict: dict[str, Any]) -> dict[str, Any]:
    """Everybody; the action shows published data only."""
    return _answer(True)


@tk.auth_sysadmins_check
def satudata_prioritas_set(context: Any, data_dict: dict[str, Any]) -> dict[str, Any]:
    """Walidata and Forum mark, only Forum unmarks."""
    package = _package(data_dict)
    held = doors.held(context, package.owner_org if package else None)
    marks = {Peran.WALIDATA, Peran.FORUM_SATU_DATA}
    return _answer(
        held & (marks if data_dict.get("data_prioritas") else {Peran.FORUM_SATU_DATA}),
        tk._("Walidata atau Forum menandai Data Prioritas; hanya Forum yang mencabutnya."),
    )


def satudata_peran_list(context: Any, data_dict: dict[str, Any]) -> dict[str, Any]:
    """As the queue."""
    return satudata_queue_list(context, data_dict)


def satudata_peran_set(_context: Any, _data_dict: dict[str, Any]) -> dict[str, Any]:
    """Sysadmins only, who pass before this is asked."""
    return _answer(False, tk._("Hanya admin sistem yang mengatur peran organisasi."))
