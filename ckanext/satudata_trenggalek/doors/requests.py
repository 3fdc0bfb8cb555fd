"""Requests as such: who may send them with somebody's session, how large and how many, which pages
there are for whom, and what browsers and caches may do with the answers."""

from __future__ import annotations

import functools
import logging
import posixpath
import re
import time
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import ckan.model as core
import ckan.plugins.toolkit as tk
import flask
import redis
import sqlalchemy as sa
from flask import Response
from redis.connection import parse_url

from ckanext.satudata_trenggalek import config, files, model
from ckanext.satudata_trenggalek.doors import (
    PREFIX,
    may_see,
    package_of,
    package_of_resource,
    text,
)

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

log = logging.getLogger(__name__)

_SAFE = ("GET", "HEAD", "OPTIONS")
#: Largest body of a call of our actions, in bytes: notes of engine.MAX_NOTE characters, a checklist
#: of them, and comments.
MAX_CALL = 1 << 20
#: Of any other call that brings no file: metadata of the widest table.
MAX_METADATA = 16 << 20


def _refuse(status: int, message: str) -> Any:
    """Answer a call of the API in its own form, and a browser by a page."""
    if not _to_api():
        return tk.abort(status, message)
    kind = "Authorization Error" if status == 403 else "Validation Error"
    return {"success": False, "error": {"__type": kind, "message": message}}, status


def _to_api() -> bool:
    return flask.request.path.startswith("/api/")


def _ours() -> bool:
    """Whether it is a call of one of our actions."""
    return _to_api() and flask.request.path.rpartition("/")[2].startswith(PREFIX)


# Whose it is


def _origin(url: str) -> tuple[str, str]:
    parts = urlsplit(url)
    return parts.scheme, parts.netloc


def _known() -> tuple[bool, bool]:
    """Whether the request is somebody's by a token, and by the cookie of their session.

    What stands in the header is not asked: with a token that is none, core takes the session.
    """
    somebody = bool(tk.current_user.is_authenticated)
    # Core sets it for the anonymous, too (ckan/config/middleware/flask_app.py).
    by_token = somebody and bool(flask.g.get("login_via_auth_header"))
    return by_token, somebody and not by_token


def same_origin() -> Any:
    """Refuse what another site sends with a user's session, or as a form to our pages.

    Core's API takes form posts; and the first request to a view without a session, be it a look at
    the page, ends the check of CSRF tokens for that view in the whole process
    (`load_user_from_request` and `ckan_before_request` of ckan/config/middleware/flask_app.py).
    Other sites of the government are same-site, so SameSite cookies do not help.

    Returns:
        None to go on, else the refusal (403).
    """
    request = flask.request
    by_token, by_session = _known()
    # JSONP is a script that any site may load; core answers actions called so as anonymous ones,
    # but not its lists for forms (ckan/views/api.py).
    jsonp = by_session and "callback" in request.args and "/util/" in request.path
    if by_token or (request.method in _SAFE and not jsonp):
        return None
    if request.headers.get("Sec-Fetch-Site") == "same-origin":
        return None
    sent = request.headers.get("Origin") or request.headers.get("Referer") or ""
    if sent and _origin(sent) in (_origin(tk.config["ckan.site_url"]), _origin(request.host_url)):
        return None
    # Programs without a session name no origin; a browser that posts a form names its own.
    if not by_session and (_to_api() or not sent):
        return None
    return _refuse(403, tk._("Permintaan ini tidak dikirim dari portal. Gunakan token API."))


# How large, how many


def small() -> Any:
    """Refuse a body that is larger than any that is meant, before it is read (413)."""
    request = flask.request
    if not _to_api() or (request.mimetype == "multipart/form-data" and not _ours()):
        return None  # files.py bounds what brings a file
    most = MAX_CALL if _ours() else MAX_METADATA
    # Also of what does not tell its length.
    request.max_content_length = most
    if (request.content_length or 0) <= most:
        return None
    message = tk._("Permintaan terlalu besar, paling banyak {n} kB.")
    return _refuse(413, message.format(n=most // 1000))


@functools.cache
def _counter(url: str) -> redis.Redis:
    # CKAN's own connection waits for ever for a Redis that hangs.
    options: dict[str, Any] = {**parse_url(url)}
    options |= {"socket_timeout": 0.5, "socket_connect_timeout": 0.5}
    return redis.Redis(connection_pool=redis.ConnectionPool(**options))


def few() -> Any:
    """Refuse calls of our actions and pages beyond a number a minute of a user or address (429).

    Without Redis nobody is refused: the limit spares the database, it closes no door, and whoever
    could stop Redis must not stop the officers.
    """
    most = config.calls_per_minute()
    if not most or not (_ours() or (flask.request.blueprint or "").startswith("satudata")):
        return None
    user, now = tk.current_user, time.time()
    # The last address is what our own proxy saw; those before it are what the client says.
    who = user.id if user.is_authenticated else flask.request.access_route[-1]
    key = f"{tk.config['ckan.site_id']}:satudata:{int(now // 60)}:{who}"
    try:
        with _counter(tk.config["ckan.redis.url"]).pipeline() as pipe:
            pipe.incr(key)
            pipe.expire(key, 60)
            count = pipe.execute()[0]
    except redis.RedisError as error:
        log.warning("calls are not counted: %s", error)
        return None
    if count <= most:
        return None
    flask.g.satudata_retry_after = 60 - int(now % 60)
    message = tk._("Terlalu banyak permintaan. Coba lagi dalam {n} detik.")
    return _refuse(429, message.format(n=flask.g.satudata_retry_after))


# Which pages there are


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
        werkzeug.exceptions.Gone: with it, under a name or id that was public; nothing else is told.
    """
    row, asked = model.Publication, text(id_)
    public = sa.select(row.package_id).where(sa.or_(row.package_id == asked, row.name == asked))
    last = core.Session.scalars(
        sa.select(row).where(row.package_id.in_(public)).order_by(row.version.desc()).limit(1)
    ).first()
    package = core.Session.get(core.Package, last.package_id) if last else None
    if last is None or package is None or not package.private:
        return
    context = {"user": tk.current_user.name, "auth_user_obj": tk.current_user}
    if last.withdrawn_at and last.public_note and not may_see(context, package):
        told = tk._("Dataset ini ditarik dari publik pada {date}. Alasannya: {note}")
        date = tk.h.satudata_tanggal(last.withdrawn_at)
        tk.abort(410, told.format(date=date, note=last.public_note))


# What browsers and caches may do with the answers


#: Text that people write may hold Markdown images; nothing of a page comes from another host, no
#: form of it goes there, and no other site shows it in a frame.
_POLICY = (
    "img-src 'self' data:; object-src 'none'; base-uri 'self'; form-action 'self';"
    " frame-ancestors 'self'"
)
#: What people uploaded as pictures; core serves it as it is.
_UPLOADS = "/uploads/"


#: The same for everybody.
_SHARED = ("static", "webassets.index", "api.i18n_js_translations")


def headers(response: Response) -> Response:
    """What a browser may load, and what a cache in front of the portal may keep.

    What a known user is answered is for no cache, nor is it when and why somebody was refused: what
    isn't there today may be published tomorrow.
    """
    response.headers["X-Content-Type-Options"] = "nosniff"
    # Addresses of drafts are not for others. Not `no-referrer`: a form would then tell no origin.
    response.headers["Referrer-Policy"] = "same-origin"
    if posixpath.normpath(flask.request.path).startswith(_UPLOADS):
        response.headers["Content-Security-Policy"] = files.SANDBOX
    elif response.mimetype == "text/html":
        response.headers.setdefault("Content-Security-Policy", _POLICY)
        response.headers.setdefault("X-Frame-Options", "SAMEORIGIN")
    if seconds := flask.g.get("satudata_retry_after"):
        response.headers["Retry-After"] = str(seconds)
    if flask.request.endpoint in _SHARED:
        return response
    if response.status_code >= 400 or tk.current_user.is_authenticated:
        flask.request.environ["__no_cache__"] = True
        response.headers["Cache-Control"] = "private, no-store"
    return response


#: Address of a stylesheet or script that has its content's hash in it (webassets' `%(version)s`).
_VERSIONED = re.compile(r"/webassets/(?:[^/]+/)*[0-9a-f]{8}_[^/]+")


def kept(wsgi: WSGIApplication) -> WSGIApplication:
    """Have browsers keep what never changes under its address.

    With core they ask again on each page for each of a dozen stylesheets and scripts, which is half
    the time of a page. Flask adds the session after all hooks on answers; here there is none.
    """

    def answer(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        def start(status: str, headers: list[tuple[str, str]], *error: Any) -> Any:
            if status[:3] in ("200", "206", "304"):
                of_session = ("cache-control", "set-cookie", "vary")
                headers = [pair for pair in headers if pair[0].lower() not in of_session]
                headers.append(("Cache-Control", "public, max-age=31536000, immutable"))
            return start_response(status, headers, *error)

        versioned = _VERSIONED.fullmatch(environ.get("PATH_INFO", ""))
        return wsgi(environ, start if versioned else start_response)

    return answer


def middleware(app: Any) -> None:
    """Hooks on requests, for ``IMiddleware``."""
    # `ckan generate config` leaves the key empty; Flask then sends "Domain=", and programs such as
    # Python's cookie jar drop the session.
    app.config["SESSION_COOKIE_DOMAIN"] = app.config.get("SESSION_COOKIE_DOMAIN") or None
    for refusal in (small, same_origin, few, hidden_pages):
        app.before_request(refusal)
    app.after_request(headers)
    app.wsgi_app = kept(app.wsgi_app)
