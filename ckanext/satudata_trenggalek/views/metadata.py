"""Metadata statistik as files: out as XLSX and CSV, and back with a preview before it is saved.

A preview is kept in Redis under the user's name until they confirm it; what is applied is that, not
what the browser sends.
"""

from __future__ import annotations

import hmac
import json
import logging
import secrets
import time
import zlib
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NoReturn

import ckan.plugins.toolkit as tk
import flask
import sqlalchemy.exc
from ckan.config.middleware.flask_app import csrf
from ckan.lib.redis import connect_to_redis
from flask import Blueprint
from flask.typing import ResponseReturnValue as Response

from ckanext.satudata_trenggalek import exchange, exchange_in
from ckanext.satudata_trenggalek import helpers as h

log = logging.getLogger(__name__)

satudata_metadata = Blueprint("satudata_metadata", __name__)

#: Datasets of a file of an OPD; the rest come in further parts.
PART = 250
#: Seconds that a preview waits for its confirmation.
KEPT = 2 * 60 * 60
#: Seconds after which a confirmation begins no further dataset; a request may take 120.
WORK = 60
#: Changes shown of one block, problems shown of one file.
SHOWN = 200


@satudata_metadata.before_request
def _only_from_our_forms() -> None:
    """Check the form token here too (see views/__init__.py)."""
    if tk.request.method == "POST" and flask.current_app.config["WTF_CSRF_ENABLED"]:
        csrf.protect()


# What there is -----------------------------------------------------------------------------------
def _get(action: str, **data: Any) -> Any:
    return tk.get_action(action)({}, data)


def _dataset(id: str) -> dict[str, Any]:
    """A dataset or kegiatan; for what is not visible the words of core for what is not there."""
    try:
        return _get("package_show", id=id)
    except (tk.NotAuthorized, tk.ObjectNotFound):
        tk.abort(404, tk._("Dataset not found or you have no permission to view it"))


def _organization(id: str) -> dict[str, Any]:
    try:
        return _get("organization_show", id=id, include_users=False, include_followers=False)
    except (tk.NotAuthorized, tk.ObjectNotFound):
        tk.abort(404, tk._("OPD tidak ditemukan."))


def _with_kegiatan(packages: Iterable[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Each dataset, and before it the kegiatan it comes from, once and where the reader sees it."""
    told: set[str] = set()
    asked: set[str] = set()
    for package in packages:
        group, kegiatan = [package], package.get("id_kegiatan")
        if kegiatan and kegiatan not in asked:
            asked.add(kegiatan)
            group[:0] = [p for p in _shown([kegiatan]) if p["type"] == "kegiatan"]
        for each in group:
            if each["id"] not in told:
                told.add(each["id"])
                yield each


def _of_organization(id: str, part: int = 1, rows: int = PART) -> tuple[int, list[str]]:
    """How many datasets and kegiatan of an OPD the reader sees, and the ids of one part."""
    found = _get(
        "package_search",
        fq=f'+owner_org:"{id}" +dataset_type:(dataset OR kegiatan)',
        sort="name asc, id asc",
        fl="id",
        rows=rows,
        start=(part - 1) * PART,
        include_private=True,
        include_drafts=True,
    )
    return found["count"], [row["id"] for row in found["results"]]


def _shown(ids: Iterable[str]) -> Iterator[dict[str, Any]]:
    for id in ids:
        try:
            yield _get("package_show", id=id)
        except (tk.NotAuthorized, tk.ObjectNotFound):  # gone since the search
            continue


def _part() -> int:
    text = tk.request.args.get("bagian", "1")
    return max(1, int(text)) if text.isdecimal() and len(text) < 6 else 1


# Out ---------------------------------------------------------------------------------------------
_XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
_BOTH = ("kegiatan", "dataset")


def _file(content: bytes, name: str, mimetype: str) -> Response:
    response = flask.Response(content, mimetype=mimetype)
    response.headers.set("Content-Disposition", "attachment", filename=name)
    response.headers["X-Content-Type-Options"] = "nosniff"
    if tk.current_user.is_authenticated:
        # Drafts may be in it, and CKAN marks pages for caches.
        tk.request.environ["__no_cache__"] = True
        response.headers["Cache-Control"] = "private, no-store"
    return response


def _sheet(types: Iterable[str]) -> exchange.Sheet:
    """The sheet that `lembar` names; without it the first one."""
    offered = [sheet for sheet in exchange.sheets() if sheet.type in types]
    name = tk.request.args.get("lembar", "")
    chosen = exchange.sheet(name) if name else offered[0]
    if chosen not in offered:
        message = tk._("Lembar tidak dikenal. Yang ada: {names}.")
        tk.abort(404, message.format(names=", ".join(sheet.name for sheet in offered)))
    return chosen


def _csv(name: str, packages: Iterable[dict[str, Any]], types: Iterable[str]) -> Response:
    sheet = _sheet(types)
    file = f"{sheet.name.lower().replace(' ', '-')}-{name}.csv"
    return _file(exchange.csv_text(sheet, packages), file, "text/csv")


def _types(package: Mapping[str, Any]) -> tuple[str, ...]:
    return ("kegiatan",) if package["type"] == "kegiatan" else _BOTH


@satudata_metadata.route("/dataset/<id>/metadata.xlsx")
def dataset_xlsx(id: str) -> Response:
    """MS-Keg of the kegiatan, MS-Ind and MS-Var of a dataset; of a kegiatan MS-Keg."""
    package = _dataset(id)
    content = exchange.workbook(_with_kegiatan([package]), _types(package))
    return _file(content, f"metadata-{package['name']}.xlsx", _XLSX)


@satudata_metadata.route("/dataset/<id>/metadata.csv")
def dataset_csv(id: str) -> Response:
    """One sheet of it; `lembar` names which."""
    package = _dataset(id)
    return _csv(package["name"], _with_kegiatan([package]), _types(package))


@satudata_metadata.route("/organization/<id>/metadata.xlsx")
def organization_xlsx(id: str) -> Response:
    """All that the reader sees of an OPD; `bagian` counts the parts of a large one."""
    organization, part = _organization(id), _part()
    _count, ids = _of_organization(organization["id"], part)
    content = exchange.workbook(_with_kegiatan(_shown(ids)), _BOTH)
    suffix = f"-{part}" if part > 1 else ""
    return _file(content, f"metadata-{organization['name']}{suffix}.xlsx", _XLSX)


@satudata_metadata.route("/organization/<id>/metadata.csv")
def organization_csv(id: str) -> Response:
    """One sheet of it."""
    organization, part = _organization(id), _part()
    _count, ids = _of_organization(organization["id"], part)
    suffix = f"-{part}" if part > 1 else ""
    return _csv(organization["name"] + suffix, _with_kegiatan(_shown(ids)), _BOTH)


# In ----------------------------------------------------------------------------------------------
def _refusal(package: Mapping[str, Any]) -> str:
    """Why the reader can't change a dataset; "" when they can."""
    try:
        tk.check_access("package_update", {}, {"id": package["id"]})
    except tk.NotAuthorized as error:
        return str(error.message or tk._("Anda tidak dapat mengubah dataset ini."))
    return ""


def _refuse(message: str) -> NoReturn:
    """Those who may log in to the login page, the others the explanation."""
    if tk.current_user.is_anonymous:
        came_from = tk.request.full_path.rstrip("?")
        flask.abort(tk.h.redirect_to("user.login", came_from=came_from))
    tk.abort(403, message)


def _key(page: str) -> str:
    site, user = tk.config.get("ckan.site_id", ""), tk.current_user.id
    return f"satudata:{site}:metadata:{user}:{page}"


def _keep(page: str, changes: list[dict[str, Any]]) -> str:
    """Keep what was previewed, in place of what this user previewed on this page before.

    Returns:
        the token by which the confirmation names it.
    """
    token = secrets.token_urlsafe(24)
    content = zlib.compress(json.dumps({"token": token, "changes": changes}).encode())
    connect_to_redis().set(_key(page), content, ex=KEPT)
    return token


def _take(page: str, token: str) -> list[dict[str, Any]] | None:
    """What was previewed, once; None when it is too old, replaced, or already taken."""
    redis, key = connect_to_redis(), _key(page)
    content: Any = redis.get(key)
    kept: Any = json.loads(zlib.decompress(content)) if content else {"token": ""}
    if not kept["token"] or not hmac.compare_digest(kept["token"].encode(), token.encode()):
        return None
    return kept["changes"] if redis.delete(key) else None


def _judged(targets: list[exchange_in.Target]) -> None:
    """Fill in for what changes whether the reader may, and what it was compared with."""
    for target in targets:
        if not target.parts:
            continue
        target.blocked = _refusal(target.package)
        if not target.blocked:
            try:
                status = _get("satudata_status_show", id=target.package["id"])
                target.hash = status["content_hash"]
            except (tk.NotAuthorized, tk.ObjectNotFound):
                target.blocked = tk._("Anda tidak dapat mengubah dataset ini.")


def _preview(
    page: dict[str, Any], find: exchange_in.Find, defaults: dict[str, str]
) -> tuple[str, int] | str:
    """What an uploaded file would change; nothing is written."""
    sent = tk.request.files.get("berkas")
    if sent is None or not sent.filename:
        return _start(page, tk._("Pilih dahulu berkas .xlsx atau CSV yang akan diperiksa.")), 409
    try:
        upload = exchange_in.read(sent.stream.read(exchange_in.MAX_BYTES + 1), sent.filename)
        targets = exchange_in.plan(upload, find, defaults)
    except exchange_in.Unreadable as error:
        return _start(page, str(error)), 409
    _judged(targets)
    changed = [target for target in targets if target.parts or target.problems]
    fatal = any(not problem.target for problem in upload.problems)
    ready = [t for t in changed if not (fatal or t.problems or t.blocked)]
    token = _keep(page["key"], [exchange_in.stored(target) for target in ready]) if ready else ""
    return tk.render(
        "satudata/metadata_pratinjau.html",
        {
            **page,
            "filename": sent.filename,
            "upload": upload,
            "targets": changed,
            "same": len(targets) - len(changed),
            "ready": ready,
            "fatal": fatal,
            "token": token,
            "limit": SHOWN,
        },
    )


def _apply(page: dict[str, Any]) -> tuple[str, int] | str:
    """Write what was previewed, dataset by dataset, and tell what became of each."""
    changes = _take(page["key"], tk.request.form["terapkan"])
    if changes is None:
        message = tk._(
            "Pratinjau itu sudah diterapkan, diganti yang lebih baru, atau terlalu lama. Tidak ada"
            " yang disimpan kali ini. Unggah lagi berkasnya untuk melihat apa yang masih berubah."
        )
        return _start(page, message), 409
    end = time.monotonic() + WORK
    done: list[dict[str, Any]] = []
    failed: list[dict[str, Any]] = []
    while changes and (time.monotonic() < end or not (done or failed)):
        change = changes.pop(0)
        try:
            exchange_in.apply(change, tk.current_user.name)
        except tk.ValidationError as error:
            failed.append({**change, "reasons": _sentences(error.error_dict)})
        except (tk.NotAuthorized, tk.ObjectNotFound):
            message = tk._("Dataset ini sekarang tidak dapat Anda ubah.")
            failed.append({**change, "reasons": [message]})
        except sqlalchemy.exc.DBAPIError:
            log.exception("metadata of %s not applied", change["name"])
            message = tk._("Ada gangguan basis data. Unggah lagi berkasnya sebentar lagi.")
            failed.append({**change, "reasons": [message]})
        else:
            done.append(change)
    token = _keep(page["key"], changes) if changes else ""
    context = {**page, "done": done, "failed": failed, "left": changes, "token": token}
    return tk.render("satudata/metadata_hasil.html", context)


def _sentences(errors: Any) -> list[str]:
    """The messages of a ValidationError, however deep."""
    if isinstance(errors, Mapping):
        errors = list(errors.values())
    if isinstance(errors, list):
        return [sentence for error in errors for sentence in _sentences(error)]
    return [str(errors)]


def _start(page: dict[str, Any], error: str = "") -> str:
    errors = [{"anchor": "berkas", "message": error}] if error else []
    return tk.render("satudata/metadata.html", {**page, "errors": errors})


def _answer(
    page: dict[str, Any], find: exchange_in.Find, defaults: dict[str, str]
) -> tuple[str, int] | str:
    if tk.request.method == "GET":
        return _start(page)
    if not page["may_upload"]:
        _refuse(page["why"] or tk._("Anda tidak dapat mengubah dataset ini."))
    return _apply(page) if "terapkan" in tk.request.form else _preview(page, find, defaults)


def _sheets(packages: list[dict[str, Any]], types: Iterable[str]) -> list[tuple[str, int]]:
    """The sheets on offer, with their number of rows."""
    return [
        (s.name, sum(len(block.items) for p in packages for block in exchange.blocks(s, p)))
        for s in exchange.sheets()
        if s.type in types
    ]


def _page(kind: str, thing: Mapping[str, Any], **more: Any) -> dict[str, Any]:
    """What the three pages share.

    Args:
        kind: "dataset" or "organization".
        thing: of package_show or organization_show.
        more: what the page adds.
    """

    def url(extension: str = "", **query: Any) -> str:
        endpoint = f"satudata_metadata.{kind}{extension}"
        return tk.url_for(endpoint, id=thing["name"], **query)

    return {
        "kind": kind,
        "thing": thing,
        "title": thing.get("title") or thing["name"],
        "key": thing["id"],
        "back": tk.url_for(f"{thing['type']}.read", id=thing["name"]),
        "url": url,
        "max_bytes": exchange_in.MAX_BYTES,
        **more,
    }


@satudata_metadata.route("/dataset/<id>/metadata", methods=["GET", "POST"])
def dataset(id: str) -> Response:
    """Download the metadata of a dataset or kegiatan, upload them changed, confirm."""
    package = _dataset(id)
    packages = list(_with_kegiatan([package]))
    reasons = [_refusal(each) for each in packages]

    def find(type_: str, name: str) -> dict[str, Any]:
        for each in packages:
            if each["type"] == type_ and name in (each["name"], each["id"]):
                return each
        message = tk._(
            "“{name}” bukan dataset atau kegiatan halaman ini. Berkas untuk banyak dataset diunggah"
            " di halaman metadata OPD."
        )
        raise tk.Invalid(message.format(name=name[:100]))

    page = _page(
        "dataset",
        package,
        sheets=_sheets(packages, _types(package)),
        parts=1,
        may_upload=not all(reasons),
        why=reasons[packages.index(package)],
    )
    return _answer(page, find, {each["type"]: each["name"] for each in packages})


@satudata_metadata.route("/organization/<id>/metadata", methods=["GET", "POST"])
def organization(id: str) -> Response:
    """The same for all datasets of an OPD."""
    organization = _organization(id)
    count, _ids = _of_organization(organization["id"], rows=0)

    def find(type_: str, name: str) -> dict[str, Any]:
        try:
            package = _get("package_show", id=name)
        except (tk.NotAuthorized, tk.ObjectNotFound):
            package = {}
        # A dataset may come from the kegiatan of another OPD.
        ours = package.get("owner_org") == organization["id"] or type_ == "kegiatan"
        if package.get("type") == type_ and ours:
            return package
        message = tk._("“{name}” tidak ada di OPD ini. Salin namanya dari unduhan terbaru.")
        raise tk.Invalid(message.format(name=name[:100]))

    page = _page(
        "organization",
        organization,
        sheets=[(sheet.name, None) for sheet in exchange.sheets()],
        parts=-(-count // PART) or 1,
        count=count,
        may_upload=organization["id"] in h.satudata_organisasi_produsen(),
        why=tk._("Hanya Produsen Data dari OPD ini yang mengunggah metadatanya."),
    )
    return _answer(page, find, {})
