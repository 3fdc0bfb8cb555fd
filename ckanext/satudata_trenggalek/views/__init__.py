"""Pages of the workflow: queue, own work, review, history, and the one form that moves a dataset.

A view asks the API what a program could ask and shows the answer; who may do what is decided there.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping
from itertools import groupby
from typing import Any, NoReturn
from urllib.parse import urlsplit

import ckan.plugins.toolkit as tk
import flask
from ckan.config.middleware.flask_app import csrf
from ckan.lib.pagination import Page
from flask import Blueprint
from flask.typing import ResponseReturnValue as Response
from flask_wtf.csrf import CSRFError

from ckanext.satudata_trenggalek import helpers as h
from ckanext.satudata_trenggalek import schema
from ckanext.satudata_trenggalek.views.data_pribadi import satudata_data_pribadi  # noqa: F401
from ckanext.satudata_trenggalek.views.forms import satudata_formulir  # noqa: F401
from ckanext.satudata_trenggalek.views.metadata import satudata_metadata  # noqa: F401
from ckanext.satudata_trenggalek.views.skema import satudata_skema  # noqa: F401
from ckanext.satudata_trenggalek.workflow import engine, table

satudata = Blueprint("satudata", __name__)

#: Rows of a page of the queue.
PAGE = 20
#: Events of a page of the history.
EVENTS = 100
#: Of how many datasets `tugas` tells what remains; each is a question of its own.
DETAILED = 20


@satudata.before_request
def _only_from_our_forms() -> None:
    """Check the form token here too.

    Core exempts a view from it, for everybody and until the restart, once somebody opens the view
    with an API token (ckan/config/middleware/flask_app.py).
    """
    if tk.request.method == "POST" and flask.current_app.config["WTF_CSRF_ENABLED"]:
        csrf.protect()


@satudata.app_errorhandler(CSRFError)
def _expired(_error: CSRFError) -> Response:
    """A form that was sent after its session ended: to the login page, and back to the form."""
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


# What every page asks ----------------------------------------------------------------------------
def _get(action: str, **data: Any) -> Any:
    return tk.get_action(action)({}, data)


def _missing() -> NoReturn:
    """The words of core for what is not there, so that nobody learns what only is not visible."""
    tk.abort(404, tk._("Dataset not found or you have no permission to view it"))


def _refuse(message: str) -> NoReturn:
    """Those who may log in to the login page, the others the explanation."""
    if tk.current_user.is_anonymous:
        came_from = tk.request.full_path.rstrip("?")
        flask.abort(tk.h.redirect_to("user.login", came_from=came_from))
    tk.abort(403, message)


def _status(id: str) -> dict[str, Any]:
    """satudata_status_show, or the page that the reader gets instead."""
    try:
        return _get("satudata_status_show", id=id)
    except tk.ObjectNotFound:
        _missing()
    except tk.NotAuthorized:
        try:
            _get("package_show", id=id)
        except (tk.NotAuthorized, tk.ObjectNotFound):
            _missing()
        _refuse(tk._("Halaman ini untuk Produsen Data, Walidata, dan Pembina Data dataset ini."))


# Queue -------------------------------------------------------------------------------------------
def _tabs() -> list[dict[str, Any]]:
    """Parts of the queue for the reader: id, label, status (filter) or overdue."""
    if h.satudata_berperan("pembina_data") and not h.satudata_berperan("walidata"):
        parts = [
            ("periksa", tk._("Perlu diperiksa"), ["diperiksa_pembina"]),
            ("walidata", tk._("Di Walidata"), ["diajukan", "ditolak_pembina"]),
        ]
    else:
        parts = [
            ("periksa", tk._("Perlu diperiksa"), ["diajukan"]),
            ("ditolak", tk._("Ditolak Pembina"), ["ditolak_pembina"]),
            ("pembina", tk._("Di Pembina"), ["diperiksa_pembina"]),
            ("terbit", tk._("Siap terbit"), ["terverifikasi"]),
        ]
    tabs: list[dict[str, Any]] = [{"id": i, "label": n, "status": s} for i, n, s in parts]
    return [*tabs, {"id": "terlambat", "label": tk._("Terlambat"), "overdue": True}]


def _by_deadline(rows: Iterable[dict[str, Any]]) -> list[tuple[str, bool, list[dict[str, Any]]]]:
    """Rows under their deadlines: heading, whether they are late, rows."""

    def heading(row: dict[str, Any]) -> tuple[str, bool]:
        if row.get("overdue"):
            return tk._("Lewat tenggat"), True
        if not row.get("due_at"):
            return tk._("Tanpa tenggat"), False
        day, date = h.satudata_hari(row["due_at"]), h.satudata_tanggal(row["due_at"])
        return (date if day == date else f"{day}, {date}"), False

    return [(*key, list(group)) for key, group in groupby(rows, heading)]


@satudata.route("/satudata/antrean")
def antrean() -> Response:
    """The queue of Walidata and Pembina; its state lives in the address."""
    if tk.current_user.is_anonymous or not (
        h.satudata_berperan("walidata", "pembina_data")
        or getattr(tk.current_user, "sysadmin", False)
    ):
        _refuse(
            tk._(
                "Antrean pemeriksaan untuk petugas Walidata dan Pembina Data."
                " Pekerjaan Produsen Data ada di halaman Tugas."
            )
        )
    args, tabs = tk.request.args, _tabs()
    current = next((tab for tab in tabs if tab["id"] == args.get("tab")), tabs[0])
    sort = args.get("sort") if args.get("sort") in ("due", "submitted", "title") else "due"
    page = tk.h.get_page_number(tk.request.args)
    asked = {
        "q": args.get("q", "").strip(),
        "organization": args.get("organization", ""),
        "sort": sort,
        "limit": PAGE,
        "offset": (page - 1) * PAGE,
        **{key: current[key] for key in ("status", "overdue") if key in current},
    }
    try:
        found = _get("satudata_queue_list", **{key: value for key, value in asked.items() if value})
    except tk.ValidationError as error:  # an address that no form of ours makes
        tk.abort(400, " ".join(map(str, error.error_summary.values())))
    facets = found["facets"]
    for tab in tabs:
        tab["count"] = sum(facets["status"].get(name, 0) for name in tab.get("status", ()))
        if tab.get("overdue"):
            tab["count"] = facets["overdue"]
    kept = {key: asked[key] for key in ("q", "organization") if asked[key]}
    kept |= {"sort": sort} if sort != "due" else {}

    def url(**changes: Any) -> str:
        return tk.url_for("satudata.antrean", **{"tab": current["id"], **kept, **changes})

    rows = found["results"]
    return tk.render(
        "satudata/antrean.html",
        {
            "tabs": [{**tab, "url": url(tab=tab["id"])} for tab in tabs],
            "current": current,
            "asked": asked,
            "filtered": bool(asked["q"] or asked["organization"]),
            "facets": facets,
            "count": found["count"],
            "groups": _by_deadline(rows) if sort == "due" else [("", False, rows)],
            "first": rows[0] if rows and sort == "due" and page == 1 else None,
            "turns": h.satudata_giliran(),
            "url": url,
            "page": Page(rows, page, url=lambda page: url(page=page), item_count=found["count"],
                         items_per_page=PAGE, presliced_list=True),
        },
    )  # fmt: skip


@satudata.route("/satudata")
def meja() -> Response:
    """Where a reader's work is, for the way after the login."""
    menu = h.satudata_menu()
    return tk.redirect_to(menu[0]["url"] if menu else "home.index")


# Own work ----------------------------------------------------------------------------------------
@satudata.route("/satudata/tugas")
def tugas() -> Response:
    """The work of a Produsen: what waits for them, what waits for others, what is published."""
    organizations = h.satudata_organisasi_produsen()
    if not organizations:
        _refuse(
            tk._(
                "Halaman Tugas untuk petugas Produsen Data. Minta admin OPD menjadikan akun Anda"
                " editor organisasinya."
            )
        )
    todo: list[dict[str, Any]] = []
    waiting: list[dict[str, Any]] = []
    published: list[dict[str, Any]] = []
    count = 0
    editable = table.EDITABLE
    others = [name for name, s in table.STATUSES.items() if s.stage in (2, 3)]
    for organization in organizations:
        todo += _get("satudata_queue_list", organization=organization, status=list(editable),
                     limit=100)["results"]  # fmt: skip
        waiting += _get("satudata_queue_list", organization=organization, status=others,
                        limit=100)["results"]  # fmt: skip
        done = _get("satudata_queue_list", organization=organization,
                    status=list(table.PUBLIC), limit=10)  # fmt: skip
        published += done["results"]
        count += done["count"]
    todo.sort(key=lambda row: row["status"] != "dikembalikan")
    for row in todo[:DETAILED]:
        row["blockers"] = (h.satudata_status(row["id"]) or {}).get("blockers", [])
        if row["status"] == "dikembalikan":
            row["returned"] = h.satudata_catatan_kembali(row["id"])
    titles = {row["organization_title"] for row in (*todo, *waiting, *published)}
    return tk.render(
        "satudata/tugas.html",
        {
            "organizations": sorted(titles),
            "todo": todo,
            "waiting": waiting,
            "published": published,
            "published_count": count,
        },
    )


# Review ------------------------------------------------------------------------------------------
def _review(
    id: str, form: Mapping[str, Any] | None = None, errors: list[dict[str, str]] | None = None,
    stale: bool = False,
) -> str:  # fmt: skip
    """The review page.

    Args:
        id: name or id of the dataset.
        form: what was typed; kept as it is, the hash that was read included.
        errors: anchor and message of what is wrong with it.
        stale: whether the dataset changed since it was read.
    """
    # First the hash, then the content: what is shown is then never older than what is approved.
    status = _status(id)
    try:
        dataset = _get("package_show", id=id)
    except (tk.NotAuthorized, tk.ObjectNotFound):
        _missing()
    decisions = [t for t in status["transitions"] if t["name"] not in ("ajukan", "batalkan")]
    guards = {g for t in decisions for g in table.TRANSITIONS[t["name"]].guards}
    return tk.render(
        "satudata/pemeriksaan.html",
        {
            "pkg_dict": dataset,
            "dataset_type": dataset["type"],
            "status": status,
            "principles": schema.principles(dataset["type"]),
            "decisions": decisions,
            "checklist": "checklist" in guards,
            "schedules": [t["name"] for t in decisions if t["name"] in _SCHEDULED],
            "form": form or {"content_hash": status["content_hash"]},
            "errors": errors or [],
            "stale": stale,
            "returned": h.satudata_catatan_kembali(status["id"]),
        },
    )


@satudata.route("/dataset/<id>/pemeriksaan")
def pemeriksaan(id: str) -> Response:
    """What is decided on, beside the decision."""
    return _review(id)


# Moving a dataset --------------------------------------------------------------------------------
#: Transitions that take `publish_at`.
_SCHEDULED = ("setujui", "setujui_pembina", "terbitkan")
#: Where a page may send the reader afterwards.
_NEXT = ("antrean", "tugas")
_ANSWERS = {"sesuai": True, "tidak": False, "tidak_berlaku": None}


def _done(transition: str, status: Mapping[str, Any]) -> str:
    """What happened, in a sentence."""
    thing = h.satudata_sebutan(status)
    if transition in _SCHEDULED and status["status"] == "terverifikasi" and status["publish_at"]:
        return tk._("Disimpan. {thing} terbit otomatis pada {time}.").format(
            thing=thing, time=h.satudata_waktu(status["publish_at"])
        )
    return {
        "ajukan": tk._("{thing} diajukan ke Walidata."),
        "batalkan": tk._("Pengajuan dibatalkan. {thing} menjadi draf lagi."),
        "kembalikan": tk._("{thing} dikembalikan ke {organization}."),
        "setujui": tk._("{thing} disetujui."),
        "teruskan_ke_pembina": tk._("{thing} disetujui dan diteruskan ke Pembina Data."),
        "setujui_pembina": tk._("{thing} disetujui sebagai Pembina Data."),
        "tolak_pembina": tk._("{thing} ditolak dan kembali ke Walidata."),
        "batalkan_pembina": tk._("{thing} ditarik dari Pembina Data, kembali ke antrean Walidata."),
        "terbitkan": tk._("{thing} terbit sebagai versi {version}."),
        "tarik": tk._("{thing} ditarik dari publik."),
        "buka_kembali": tk._("{thing} dibuka kembali sebagai draf."),
    }[transition].format(
        thing=thing, organization=status["organization_title"] or "", version=status["version"]
    )


def _checklist(form: Mapping[str, str]) -> dict[str, dict[str, Any]]:
    """The judged principles, as the API takes them."""
    return {
        name: {
            "sesuai": _ANSWERS[form[f"checklist_{name}"]],
            "note": form.get(f"checklist_{name}_note", ""),
        }
        for name in table.PRINSIP
        if form.get(f"checklist_{name}") in _ANSWERS
    }


def _checklist_errors(checklist: Mapping[str, Any], complete: bool) -> list[dict[str, str]]:
    """All that is wrong with a checklist at once, each with its place on the page."""
    found = []
    for name, label in h.satudata_prinsip().items():
        message = ""
        if name not in checklist:
            message = tk._("Nilai dahulu {label}.").format(label=label) if complete else ""
        elif complete and checklist[name]["sesuai"] is False:
            message = tk._(
                "{label} tidak sesuai, jadi dataset tidak dapat disetujui. Pilih Kembalikan."
            ).format(label=label)
        else:
            try:
                engine.parse_checklist({name: checklist[name]})
            except engine.Refused:
                message = tk._("{label} tidak berlaku: tulis alasannya.").format(label=label)
        if message:
            found.append({"anchor": f"check-{name}", "message": message})
    return found


def _publish_at(value: str) -> str:
    """A date and time of a form, read as WIB, in ISO 8601 with offset; as typed when it is none."""
    try:
        return dt.datetime.fromisoformat(value).replace(tzinfo=h.WIB).isoformat()
    except ValueError:
        return value


_ANCHORS = {"note": "note", "public_note": "public_note", "publish_at": "publish_at",
            "transition": "keputusan", "checklist": "check-standar_data"}  # fmt: skip


def _api_errors(status: Mapping[str, Any], error: tk.ValidationError) -> list[dict[str, str]]:
    """What the API refused: message and the place where it is mended."""
    found = []
    for field, messages in error.error_dict.items():
        if field in _ANCHORS:
            target = {"anchor": _ANCHORS[field]}
        elif field in ("content_hash", "state", "klasifikasi"):
            target = {"anchor": ""}
        else:
            target = {"anchor": "", "url": h.satudata_tautan_isian(status, field)}
        for message in messages if isinstance(messages, list) else [messages]:
            found.append({**target, "message": str(message)})
    return found


@satudata.route("/dataset/<id>/transisi", methods=["GET", "POST"])
def transisi(id: str) -> Response:
    """Move a dataset; opened with GET the page that asks for the note, or once more."""
    status = _status(id)
    read = url = tk.url_for("dataset.read", id=status["name"])
    if tk.request.method == "GET":
        name = tk.request.args.get("transition", "")
        transition = next((t for t in status["transitions"] if t["name"] == name), None)
        if transition is None:
            tk.h.flash_error(tk._("Tindakan itu sekarang tidak tersedia untuk dataset ini."))
            return tk.redirect_to(url)
        return _confirm(status, transition, {"content_hash": status["content_hash"]})

    form = tk.request.form.to_dict()
    name, origin = form.get("transition", ""), form.get("origin")
    if "muat" in form:
        return _review(id, {**form, "content_hash": status["content_hash"]})
    known = table.TRANSITIONS.get(name)
    checklist = _checklist(form)
    errors: list[dict[str, str]] = []
    if origin == "pemeriksaan":
        if known is None:
            errors.append({"anchor": "keputusan", "message": tk._("Pilih keputusan.")})
        errors += _checklist_errors(checklist, bool(known and "checklist" in known.guards))
        if known and known.note_required and not form.get("note", "").strip():
            message = tk._("Tulis catatan: apa alasannya dan apa yang harus diperbaiki.")
            errors.append({"anchor": "note", "message": message})
        if errors:
            return _review(id, form, errors), 409
    data = {key: form[key] for key in ("note", "public_note", "content_hash") if form.get(key)}
    if checklist:
        data["checklist"] = checklist
    if form.get("publish_at") and name in _SCHEDULED:
        data["publish_at"] = _publish_at(form["publish_at"])
    try:
        status = _get("satudata_transition", id=status["id"], transition=name, **data)
    except tk.NotAuthorized as error:
        tk.h.flash_error(error.message or tk._("Anda tidak dapat melakukan tindakan ini."))
        return tk.redirect_to(url)
    except tk.ValidationError as error:
        errors = _api_errors(status, error)
        if origin == "pemeriksaan":
            stale = "content_hash" in error.error_dict
            return _review(id, form, [] if stale else errors, stale=stale), 409
        transition = next((t for t in status["transitions"] if t["name"] == name), None)
        if origin == "konfirmasi" and transition:
            return _confirm(status, transition, form, errors), 409
        for item in errors:
            tk.h.flash_error(item["message"])
        return tk.redirect_to(url)
    tk.h.flash_success(_done(name, status))
    if form.get("next") in _NEXT:
        return tk.redirect_to(f"satudata.{form['next']}")
    return tk.redirect_to(read)


def _confirm(
    status: Mapping[str, Any], transition: Mapping[str, Any], form: Mapping[str, str],
    errors: list[dict[str, str]] | None = None,
) -> str:  # fmt: skip
    return tk.render(
        "satudata/transisi.html",
        {
            "status": status,
            "transition": transition,
            "schedules": transition["name"] in _SCHEDULED,
            "form": form,
            "errors": errors or [],
        },
    )


# History -----------------------------------------------------------------------------------------
def _rounds(events: list[dict[str, Any]]) -> list[tuple[str, list[dict[str, Any]]]]:
    """Events, newest first, under the round of checking to which they belong."""
    label, turn, version = tk._("Penyusunan"), 0, 0
    labelled = []
    for event in sorted(events, key=lambda event: event["seq"]):
        if event["event"] == "ajukan":
            turn += 1
            label = tk._("Putaran ke-{n}").format(n=turn)
        elif event["to"] in table.PUBLIC and event["from"] != event["to"]:
            turn, version = 0, version + 1
            label = tk._("Versi {n}").format(n=version)
        elif event["event"] == "buka_kembali":
            label = tk._("Penyusunan")
        labelled.append((label, event))
    return [
        (key, [event for _, event in group])
        for key, group in groupby(reversed(labelled), lambda pair: pair[0])
    ]


@satudata.route("/dataset/<id>/riwayat")
def riwayat(id: str) -> Response:
    """What happened to a dataset, newest first."""
    status = _status(id)
    page = tk.h.get_page_number(tk.request.args)
    count, events = h.satudata_peristiwa(status["id"], page, EVENTS)
    # Rounds are numbered from the first event, so only where all are on the page.
    groups = _rounds(events) if count <= EVENTS else [("", events)]
    return tk.render(
        "satudata/riwayat.html",
        {
            "status": status,
            "groups": groups,
            "events": events,
            "page": Page(events, page, item_count=count, items_per_page=EVENTS, presliced_list=True,
                         url=lambda page: tk.url_for("satudata.riwayat", id=id, page=page)),
        },
    )  # fmt: skip
