"""Requests as such: who may send them with somebody's session, which pages there are for whom, and
what a cache may keep."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

import ckan.model as core
import ckan.plugins.toolkit as tk
import flask
import sqlalchemy as sa
from flask import Response

from ckanext.satudata_trenggalek import model
from ckanext.satudata_trenggalek.doors import may_see, package_of, package_of_resource

_SAFE = ("GET", "HEAD", "OPTIONS")


def _origin(url: str) -> tuple[str, str]:
    parts = urlsplit(url)
    return parts.scheme, parts.netloc


def _by_session() -> bool:
    """Whether the request is somebody's by the cookie of their session, not by a token."""
    header = tk.config.get("apitoken_header_name") or "Authorization"
    if flask.request.headers.get(header) or flask.request.headers.get("Authorization"):
        return False
    return bool(tk.current_user.is_authenticated)


def same_origin() -> Any:
    """Refuse an API call with a user's session that another site sends to change or to read.

    Core's API takes form posts and asks for no CSRF token; other sites of the government are
    same-site, so SameSite cookies do not help.

    Returns:
        None to go on, else the refusal (403).
    """
    request = flask.request
    if not request.path.startswith("/api/") or not _by_session():
        return None
    # JSONP is a script that any site may load; core answers actions called so as anonymous ones,
    # but not its lists for forms (ckan/views/api.py).
    jsonp = "callback" in request.args and "/util/" in request.path
    if request.method in _SAFE and not jsonp:
        return None
    if request.headers.get("Sec-Fetch-Site") == "same-origin":
        return None
    sent = request.headers.get("Origin") or request.headers.get("Referer") or ""
    if sent and _origin(sent) in (_origin(tk.config["ckan.site_url"]), _origin(request.host_url)):
        return None
    message = tk._("Permintaan ini tidak dikirim dari portal. Gunakan token API.")
    error = {"__type": "Authorization Error", "message": message}
    return {"success": False, "error": error}, 403


#: Views that ask for the dataset themselves, and answer 404.
_ASKING = (".read", ".download")


def hidden_pages() -> None:
    """Answer for pages of a dataset that the reader may not see as for those of an unknown one.

    Core asks for the right to edit first: 403 for what is there, 404 or a 500 for what isn't.

    Raises:
        werkzeug.exceptions.NotFound: in the words of core.
    """
    endpoint, args = flask.request.endpoint or "", flask.request.view_args or {}
    if "id" not in args or ("package_type" not in args and endpoint != "datastore.dictionary"):
        return
    if endpoint.endswith(_ASKING):
        if "resource_id" not in args:
            _withdrawn(args["id"])
        return
    package, resource = package_of(args, "id"), args.get("resource_id")
    context = {"user": tk.current_user.name, "auth_user_obj": tk.current_user}
    if package is None or not may_see(context, package):
        tk.abort(404, tk._("Dataset not found"))
    elif resource and package_of_resource(resource) is not package:
        tk.abort(404, tk._("Resource not found"))


def _withdrawn(id_: str) -> None:
    """Tell who may not see a withdrawn dataset the reason that was written for the public, if any.

    Raises:
        werkzeug.exceptions.Gone: with it; its name was public, and nothing else is told.
    """
    package = package_of({"id": id_}, "id")
    if package is None or not package.private:
        return
    row = model.Publication
    last = core.Session.scalars(
        sa.select(row).where(row.package_id == package.id).order_by(row.version.desc()).limit(1)
    ).first()
    context = {"user": tk.current_user.name, "auth_user_obj": tk.current_user}
    if last and last.withdrawn_at and last.public_note and not may_see(context, package):
        told = tk._("Dataset ini ditarik dari publik pada {date}. Alasannya: {note}")
        date = tk.h.satudata_tanggal(last.withdrawn_at)
        tk.abort(410, told.format(date=date, note=last.public_note))


#: Text that people write may hold Markdown images; nothing of a page comes from another host.
_POLICY = "img-src 'self' data:; object-src 'none'; base-uri 'self'; frame-ancestors 'self'"


#: The same for everybody.
_SHARED = ("static", "webassets.index", "api.i18n_js_translations")


def headers(response: Response) -> Response:
    """What a browser may load, and what a cache in front of the portal may keep.

    What a known user is answered is for no cache, nor is it when and why somebody was refused: what
    isn't there today may be published tomorrow.
    """
    response.headers["X-Content-Type-Options"] = "nosniff"
    if response.mimetype == "text/html":
        response.headers.setdefault("Content-Security-Policy", _POLICY)
    if flask.request.endpoint in _SHARED:
        return response
    if response.status_code >= 400 or tk.current_user.is_authenticated:
        flask.request.environ["__no_cache__"] = True
        response.headers["Cache-Control"] = "private, no-store"
    return response


def middleware(app: Any) -> None:
    """Hooks on requests, for ``IMiddleware``."""
    # `ckan generate config` leaves the key empty; Flask then sends "Domain=", and programs such as
    # Python's cookie jar drop the session.
    app.config["SESSION_COOKIE_DOMAIN"] = app.config.get("SESSION_COOKIE_DOMAIN") or None
    app.before_request(same_origin)
    app.before_request(hidden_pages)
    app.after_request(headers)
