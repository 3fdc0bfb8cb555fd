"""API actions on the caller's own notices."""

from __future__ import annotations

from typing import Any

import ckan.model as core
import ckan.plugins.toolkit as tk
from ckan.types import AuthResult

from ckanext.satudata_trenggalek import notices
from ckanext.satudata_trenggalek.logic import schema
from ckanext.satudata_trenggalek.logic.common import user_of


def _own(_context: Any, _data_dict: dict[str, Any]) -> AuthResult:
    """Whoever is logged in (CKAN asks only those): all of this is the caller's own."""
    return {"success": True}


#: IAuthFunctions of the actions below.
AUTH = dict.fromkeys(
    (
        "satudata_notice_list",
        "satudata_notice_read",
        "satudata_notice_show",
        "satudata_notice_set",
    ),
    _own,
)


def _caller(action: str, context: Any, data_dict: dict[str, Any]) -> core.User:
    tk.check_access(action, context, data_dict)
    return user_of(context)


@tk.side_effect_free
def satudata_notice_list(context: Any, data_dict: dict[str, Any]) -> dict[str, Any]:
    """What the caller was told, newest first.

    :param unread: true for what was not read yet
    :param limit: 0 to 100, 20 by default
    :param offset: rows to skip
    :returns: count, unread (counted up to 100), results: id, kind, label, at, read, mail, and
        `dataset` with what happened; without, when the caller may no longer see it
    """
    user = _caller("satudata_notice_list", context, data_dict)
    limit = schema.number(data_dict, "limit", 20, schema.MAX_LIMIT)
    offset = schema.number(data_dict, "offset", 0)
    only_unread = bool(schema.boolean(data_dict, "unread"))
    count, rows = notices.find(user.id, limit, offset, only_unread)
    return {
        "count": count,
        "unread": notices.unread(user.id),
        "results": notices.described(user, rows),
    }


def satudata_notice_read(context: Any, data_dict: dict[str, Any]) -> dict[str, Any]:
    """Mark notices of the caller as read.

    :param ids: of the notices; all without it
    :returns: unread: how many are left, counted up to 100
    """
    user = _caller("satudata_notice_read", context, data_dict)
    ids = data_dict.get("ids")
    if ids is not None:
        values = ids if isinstance(ids, list) else [ids]
        if len(values) > schema.MAX_LIMIT:
            message = tk._("Paling banyak {n} sekali kirim.").format(n=schema.MAX_LIMIT)
            raise tk.ValidationError({"ids": [message]})
        ids = [schema.number({"ids": value}, "ids", 0) for value in values]
    notices.mark_read(user.id, ids)
    return {"unread": notices.unread(user.id)}


def _choice(user: core.User) -> dict[str, Any]:
    mode, lang = notices.choices([user.id])[user.id]
    return {"mode": mode, "lang": lang, "address": notices.address(user) or None}


@tk.side_effect_free
def satudata_notice_show(context: Any, data_dict: dict[str, Any]) -> dict[str, Any]:
    """How the caller wants to be told.

    :returns: mode, lang, and address: where mail goes; None when the account has no usable one
    """
    return _choice(_caller("satudata_notice_show", context, data_dict))


def satudata_notice_set(context: Any, data_dict: dict[str, Any]) -> dict[str, Any]:
    """Choose how to be told; the portal's own list of notices tells all of it either way.

    :param mode: langsung (a mail at once), harian (one a day) or tanpa (none)
    :param lang: language of the mail, one that the portal offers; unchanged without it
    :returns: as satudata_notice_show
    """
    user = _caller("satudata_notice_set", context, data_dict)
    mode = schema.choice(data_dict, "mode", notices.MODES)
    if not mode:
        names = ", ".join(notices.MODES)
        raise tk.ValidationError({"mode": [tk._("Pilih salah satu: {names}.").format(names=names)]})
    before = notices.choices([user.id])[user.id][1]
    lang = schema.choice(data_dict, "lang", notices.languages(), before)
    notices.choose(user.id, mode, lang)
    return _choice(user)
