"""What the pages of the workflow share: the blueprint, the form token, what every page asks.

A view asks the API what a program could ask and shows the answer; who may do what is decided there.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NoReturn
from urllib.parse import urlsplit

import ckan.plugins.toolkit as tk
import flask
from ckan.config.middleware.flask_app import csrf
from flask import Blueprint
from flask.typing import ResponseReturnValue as Response
from flask_wtf.csrf import CSRFError

from ckanext.satudata_trenggalek.workflow import table

satudata = Blueprint("satudata", __name__)


@satudata.before_request
def _only_from_our_forms() -> None:
    """Check the form token here too.

    Core exempts a view from it, for everybody and until the restart, once somebody opens the view
    with an API token (ckan/config/middleware/flask_app.py).
    """
    if tk.request.method == "POST" and flask.current_app.config["WTF_CSRF_ENABLED"]:
        csrf.protect()


@satudata.before_request
def _only_who_is_known() -> Response | None:
    """Who posts without an account (the session ended, the account was removed) loses nothing."""
    if tk.request.method == "POST" and tk.current_user.is_anonymous and _from_our_page():
        return send_again(), 403
    return None


def _from_our_page() -> bool:
    """Whether a form was sent from a page of this portal: no other site fills in what is shown."""
    origin = tk.request.headers.get("Origin") or tk.request.referrer or ""
    return tk.request.method == "POST" and urlsplit(origin).netloc == tk.request.host


#: Blueprints whose forms come back with what was typed; not those that ask for a password.
_KEPT = ("satudata", "satudata_data_pribadi", "satudata_formulir", "dataset", "kegiatan",
         "dataset_resource", "kegiatan_resource")  # fmt: skip


@satudata.app_errorhandler(CSRFError)
def _expired(_error: CSRFError) -> Response:
    """A form that was sent after its session ended: what was typed comes back, to be sent again."""
    if tk.request.blueprint in _KEPT and _from_our_page():
        return send_again(), 400
    if tk.current_user.is_anonymous and not tk.request.path.startswith("/api"):
        tk.h.flash_error(
            tk._("Sesi Anda berakhir, jadi tidak ada yang tersimpan. Masuk lagi untuk melanjutkan.")
        )
        referrer = urlsplit(tk.request.referrer or "")
        back = referrer.path + (f"?{referrer.query}" if referrer.query else "")
        came_from = back if referrer.netloc == tk.request.host else None
        return tk.redirect_to("user.login", came_from=came_from)
    content = tk._("Formulir ini sudah kedaluwarsa. Muat ulang halamannya, lalu kirim lagi.")
    return tk.render("error_document_template.html", {"code": 400, "content": content}), 400


def send_again() -> str:
    """The page that holds what was typed in a form until its reader has logged in again.

    Nothing is done before the reader presses the button there, with a token of the new session.
    """
    form = tk.request.form
    token = flask.current_app.config["WTF_CSRF_FIELD_NAME"]
    labels = {
        "note": tk._("Catatan"),
        "public_note": tk._("Alasan yang dibaca umum"),
        "komentar_body": tk._("Komentar"),
        "ubah_body": tk._("Komentar"),
    }
    move = table.TRANSITIONS.get(form.get("transition", "").partition(":")[0])
    decided = [(tk._("Keputusan"), tk._(move.label))] if move else []
    fields = [(name, value) for name, value in form.items(multi=True) if name != token]
    return tk.render(
        "satudata/kirim_lagi.html",
        {
            "fields": fields,
            "shown": decided + [(labels[n], v) for n, v in fields if n in labels and v.strip()],
            "action": tk.request.full_path.rstrip("?"),
            "logged_in": tk.current_user.is_authenticated,
            "files": any(file.filename for file in tk.request.files.values()),
        },
    )


def ask(action: str, **data: Any) -> Any:
    """The answer of an action to the reader."""
    return tk.get_action(action)({}, data)


def every(action: str, **data: Any) -> Iterator[dict[str, Any]]:
    """All results of an action that gives the reader at most 100 at once."""
    seen = 0
    while True:
        found = ask(action, **data, limit=100, offset=seen)
        yield from found["results"]
        seen += len(found["results"])
        if not found["results"] or seen >= found["count"]:
            return


def missing() -> NoReturn:
    """The words of core for what is not there, so that nobody learns what only is not visible."""
    tk.abort(404, tk._("Dataset not found or you have no permission to view it"))


def refuse(message: str) -> NoReturn:
    """Those who may log in to the login page, the others the explanation."""
    if tk.current_user.is_anonymous:
        came_from = tk.request.full_path.rstrip("?")
        flask.abort(tk.h.redirect_to("user.login", came_from=came_from))
    tk.abort(403, message)


def status(id: str) -> dict[str, Any]:
    """satudata_status_show, or the page that the reader gets instead."""
    try:
        return ask("satudata_status_show", id=id)
    except tk.ObjectNotFound:
        missing()
    except tk.NotAuthorized:
        try:
            ask("package_show", id=id)
        except (tk.NotAuthorized, tk.ObjectNotFound):
            missing()
        refuse(tk._("Halaman ini untuk Produsen Data, Walidata, dan Pembina Data dataset ini."))
