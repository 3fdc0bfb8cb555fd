"""Personal data in the files of a dataset, and the page on which Walidata records why it stays."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import ckan.plugins.toolkit as tk
import flask
from ckan.config.middleware.flask_app import csrf
from flask import Blueprint
from flask.typing import ResponseReturnValue as Response

satudata_data_pribadi = Blueprint("satudata_data_pribadi", __name__)


@satudata_data_pribadi.before_request
def _only_from_our_forms() -> None:
    """Check the form token here too (see views/__init__.py)."""
    if tk.request.method == "POST" and flask.current_app.config["WTF_CSRF_ENABLED"]:
        csrf.protect()


def _get(action: str, **data: Any) -> Any:
    return tk.get_action(action)({}, data)


@satudata_data_pribadi.route("/dataset/<id>/data-pribadi", methods=["GET", "POST"])
def data_pribadi(id: str) -> Response:
    """What was found, file by file; for Walidata the form that records why it may stay."""
    try:
        status = _get("satudata_status_show", id=id)
        dataset = _get("package_show", id=status["id"])
    except (tk.NotAuthorized, tk.ObjectNotFound):
        tk.abort(404, tk._("Dataset not found or you have no permission to view it"))
    form, errors = tk.request.form, []
    if tk.request.method == "POST":
        errors = _record({resource["id"] for resource in dataset["resources"]}, form)
        if not errors:
            tk.h.flash_success(tk._("Alasan hukum dicatat untuk berkas ini."))
            return tk.redirect_to("satudata_data_pribadi.data_pribadi", id=status["name"])
    files = [
        {"resource": resource, "findings": found}
        for resource in dataset["resources"]
        if (found := _found(resource))
    ]
    try:
        tk.check_access("satudata_data_pribadi_set", {}, {"id": status["id"]})
        refusal = ""
    except tk.NotAuthorized as error:
        refusal = str(error.message or tk._("Peran Anda tidak mengizinkan ini."))
    page = tk.render(
        "satudata/data_pribadi.html",
        {"status": status, "files": files, "refusal": refusal, "form": form, "errors": errors},
    )
    return page, 409 if errors else 200


def _record(files: Collection[str], form: Mapping[str, str]) -> list[dict[str, str]]:
    """Record the reason for one of the files; what is wrong, each with its place on the page."""
    resource = form.get("resource_id", "")
    if resource not in files:
        return [{"anchor": "", "message": tk._("Berkas itu sudah tidak ada.")}]
    if "setuju" not in form:
        message = tk._("Nyatakan bahwa Anda telah memeriksa berkas dan dasar hukumnya.")
        return [{"anchor": f"setuju-{resource}", "message": message}]
    try:
        sent = {key: form.get(key, "") for key in ("sha256", "note")}
        _get("satudata_data_pribadi_set", id=resource, **sent)
    except tk.ObjectNotFound:
        return [{"anchor": "", "message": tk._("Berkas itu sudah tidak ada.")}]
    except tk.NotAuthorized as error:
        return [{"anchor": "", "message": str(error.message)}]
    except tk.ValidationError as error:
        return [
            {"anchor": f"note-{resource}", "message": str(message)}
            for messages in error.error_dict.values()
            for message in (messages if isinstance(messages, list) else [messages])
        ]
    return []


def _found(resource: dict[str, Any]) -> list[dict[str, Any]]:
    found = _get("satudata_temuan_list", id=resource["id"])
    return [finding for finding in found if finding["kind"] == "data_pribadi"]


def satudata_temuan(resource: dict[str, Any]) -> list[dict[str, Any]]:
    """Template helper: findings of a file, [] for those who may not read them.

    Args:
        resource: as resource_show gives it; without an id (a new file) it has none.
    """
    if not resource.get("id"):
        return []
    try:
        return _get("satudata_temuan_list", id=resource["id"])
    except (tk.NotAuthorized, tk.ObjectNotFound):
        return []
