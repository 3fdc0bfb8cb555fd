"""A user's notices, and how they want to be told."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

import ckan.model as core
import ckan.plugins.toolkit as tk
import flask
from ckan.config.middleware.flask_app import csrf
from ckan.lib.pagination import Page
from flask import Blueprint
from flask.typing import ResponseReturnValue as Response

from ckanext.satudata_trenggalek import config, notices
from ckanext.satudata_trenggalek import helpers as h
from ckanext.satudata_trenggalek.workflow.table import STATUSES

satudata_pemberitahuan = Blueprint(
    "satudata_pemberitahuan", __name__, url_prefix="/satudata/pemberitahuan"
)

#: Notices of a page.
PAGE = 20


@satudata_pemberitahuan.before_request
def _only_with_an_account() -> Response | None:
    """To the login page and back; check the form token here too (see views/__init__.py)."""
    if tk.current_user.is_anonymous:
        came_from = tk.request.full_path.rstrip("?")
        return tk.redirect_to("user.login", came_from=came_from)
    if tk.request.method == "POST" and flask.current_app.config["WTF_CSRF_ENABLED"]:
        csrf.protect()
    return None


def _call(action: str, **data: Any) -> Any:
    return tk.get_action(action)({}, data)


@satudata_pemberitahuan.route("")
def daftar() -> str:
    """The list, newest first, and the choice beside it."""
    return _page({})


def _page(errors: Mapping[str, str], form: dict[str, str] | None = None) -> str:
    page = tk.h.get_page_number(tk.request.args)
    unread = tk.request.args.get("tab") == "belum"
    found = _call("satudata_notice_list", unread=unread, limit=PAGE, offset=(page - 1) * PAGE)
    choice = _call("satudata_notice_show")

    def url(**changes: Any) -> str:
        return tk.url_for(
            "satudata_pemberitahuan.daftar", **({"tab": "belum"} if unread else {}), **changes
        )

    return tk.render(
        "satudata/pemberitahuan.html",
        {
            "found": found,
            "unread": unread,
            "choice": choice | (form or {}),
            "languages": {code: tk.h.lang_native_name(code) for code in notices.languages()},
            "hour": config.jam_ringkasan(),
            "errors": errors,
            "page": Page(found["results"], page, url=lambda page: url(page=page),
                         item_count=found["count"], items_per_page=PAGE, presliced_list=True),
        },
    )  # fmt: skip


@satudata_pemberitahuan.route("/<id>")
def buka(id: str) -> Response:
    """The page that a notice is about; opened by whom it tells, the notice is then read."""
    user = cast(core.User, tk.current_user)
    row = notices.get(id)
    packages = notices.readable(user, [row.package_id]) if row else {}
    if row is None or row.package_id not in packages:
        # Nobody learns whether there is such a notice, or of which dataset.
        tk.abort(404, tk._("Pemberitahuan ini tidak ada, atau datasetnya tidak lagi untuk Anda."))
    if row.user_id == user.id:
        _call("satudata_notice_read", ids=[row.id])
    package = packages[row.package_id]
    status = _call("satudata_status_show", id=package.id)
    known = STATUSES[status["status"]]
    if known.waits_for and not known.edits and h.satudata_berperan(known.waits_for.value):
        return tk.redirect_to("satudata.pemeriksaan", id=package.name)
    if row.kind == "kembalikan" and known.edits and h.satudata_berperan(known.edits.value):
        return tk.redirect_to("satudata.perbaikan", id=package.name)
    return tk.redirect_to(h.satudata_alamat({"name": package.name, "type": package.type}))


@satudata_pemberitahuan.route("/dibaca", methods=["POST"])
def dibaca() -> Response:
    """Mark all as read."""
    _call("satudata_notice_read")
    return tk.redirect_to("satudata_pemberitahuan.daftar")


@satudata_pemberitahuan.route("/atur", methods=["POST"])
def atur() -> Response:
    """Keep the choice."""
    form = {key: tk.request.form.get(key, "") for key in ("mode", "lang")}
    try:
        _call("satudata_notice_set", **form)
    except tk.ValidationError as error:
        told = cast("dict[str, list[str]]", error.error_dict)
        errors = {field: " ".join(map(str, messages)) for field, messages in told.items()}
        return _page(errors, form), 409
    tk.h.flash_success(tk._("Pilihan pemberitahuan disimpan."))
    return tk.redirect_to("satudata_pemberitahuan.daftar")
