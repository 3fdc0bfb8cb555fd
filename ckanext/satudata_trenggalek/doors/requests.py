"""Requests as such: who may send them with somebody's session, and what a cache may keep."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

import ckan.plugins.toolkit as tk
import flask
from flask import Response

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
    """Refuse an unsafe API call that another site sends with a user's session.

    Core's API takes form posts and asks for no CSRF token; other sites of the government are
    same-site, so SameSite cookies do not help.

    Returns:
        None to go on, else the refusal (403).
    """
    request = flask.request
    if request.method in _SAFE or not request.path.startswith("/api/") or not _by_session():
        return None
    if request.headers.get("Sec-Fetch-Site") == "same-origin":
        return None
    sent = request.headers.get("Origin") or request.headers.get("Referer") or ""
    if sent and _origin(sent) in (_origin(tk.config["ckan.site_url"]), _origin(request.host_url)):
        return None
    message = tk._("Permintaan ini tidak dikirim dari portal. Gunakan token API.")
    error = {"__type": "Authorization Error", "message": message}
    return {"success": False, "error": error}, 403


def no_store(response: Response) -> Response:
    """What an API answers to a known user is for no cache: one stands in front of the portal."""
    if flask.request.path.startswith("/api/") and tk.current_user.is_authenticated:
        flask.request.environ["__no_cache__"] = True
        response.headers["Cache-Control"] = "private, no-store"
    return response


def middleware(app: Any) -> None:
    """Hooks on requests, for ``IMiddleware``."""
    app.before_request(same_origin)
    app.after_request(no_store)
