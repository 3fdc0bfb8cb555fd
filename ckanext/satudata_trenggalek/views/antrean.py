"""The queue of Walidata and Pembina, and taking a check from it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import groupby
from typing import Any
from urllib.parse import parse_qsl

import ckan.plugins.toolkit as tk
from ckan.lib.pagination import Page
from flask.typing import ResponseReturnValue as Response

from ckanext.satudata_trenggalek import helpers as h
from ckanext.satudata_trenggalek import schema
from ckanext.satudata_trenggalek.views import dasar
from ckanext.satudata_trenggalek.views.dasar import ask, refuse, satudata
from ckanext.satudata_trenggalek.workflow.table import CLAIMABLE, TRANSITIONS

#: Rows of a page of the queue.
PAGE = 20
#: Pages that can be turned: the count ends there, and a filter finds the rest faster.
PAGES = 1000 // PAGE
#: What the address keeps of the queue's state.
_KEPT = ("tab", "q", "organization", "kategori", "data_prioritas", "overdue", "sort", "page")


def _tabs() -> list[dict[str, Any]]:
    """Parts of the queue for the reader: id, label, and the filters of the API that make them."""
    mine = ("saya", tk._("Saya periksa"), {"status": list(CLAIMABLE), "reviewer": "me"})
    if h.satudata_berperan("pembina_data") and not h.satudata_berperan("walidata"):
        parts = [
            ("periksa", tk._("Perlu diperiksa"), {"status": ["diperiksa_pembina"]}),
            mine,
            ("walidata", tk._("Di Walidata"), {"status": ["diajukan", "ditolak_pembina"]}),
        ]
    else:
        ready = {"status": list(TRANSITIONS["terbitkan"].sources), "clock": True}
        parts = [
            ("periksa", tk._("Perlu diperiksa"), {"status": ["diajukan"]}),
            mine,
            ("ditolak", tk._("Ditolak Pembina"), {"status": ["ditolak_pembina"]}),
            ("pembina", tk._("Di Pembina"), {"status": ["diperiksa_pembina"]}),
            ("terbit", tk._("Siap terbit"), ready),
        ]
        if not h.satudata_giliran():  # a sysadmin checks nothing
            parts.remove(mine)
    parts.append(("terlambat", tk._("Terlambat"), {"overdue": True}))
    return [{"id": id_, "label": label, "filter": filter_} for id_, label, filter_ in parts]


def _count(tab: Mapping[str, Any], facets: Mapping[str, Any]) -> int:
    """How many a part of the queue holds."""
    own = {"saya": "mine", "terbit": "ready", "terlambat": "overdue"}.get(tab["id"])
    if own:
        return facets[own]
    return sum(facets["status"].get(name, 0) for name in tab["filter"]["status"])


def _by_deadline(rows: Iterable[dict[str, Any]]) -> list[tuple[str, bool, list[dict[str, Any]]]]:
    """Rows under their deadlines: heading, whether they are late, rows."""

    def heading(row: dict[str, Any]) -> tuple[str, bool]:
        if row.get("overdue"):
            return tk._("Lewat tenggat"), True
        if not row.get("due_at"):
            return tk._("Tanpa tenggat"), False
        day, date = h.satudata_hari(row["due_at"]), h.satudata_tanggal(row["due_at"])
        if day == tk._("Hari ini"):
            return tk._("Jatuh tempo hari ini"), False
        return (date if day == date else f"{day}, {date}"), False

    return [(*key, list(group)) for key, group in groupby(rows, heading)]


def _only_checkers() -> None:
    if tk.current_user.is_anonymous or not (
        h.satudata_berperan("walidata", "pembina_data")
        or getattr(tk.current_user, "sysadmin", False)
    ):
        refuse(
            tk._(
                "Antrean pemeriksaan untuk petugas Walidata dan Pembina Data."
                " Pekerjaan Produsen Data ada di halaman Tugas."
            )
        )


@satudata.route("/satudata/antrean")
def antrean() -> Response:
    """The queue; its state lives in the address."""
    _only_checkers()
    args, tabs = tk.request.args, _tabs()
    current = next((tab for tab in tabs if tab["id"] == args.get("tab")), tabs[0])
    sort = args.get("sort") if args.get("sort") in ("due", "submitted", "title") else "due"
    page = min(tk.h.get_page_number(args), PAGES)
    asked = {key: args.get(key, "").strip() for key in ("q", "organization", "kategori")}
    asked |= {key: args[key] for key in ("data_prioritas", "overdue") if args.get(key) == "true"}
    filters = {key: value for key, value in asked.items() if value}
    kept = {**filters, **({"sort": sort} if sort != "due" else {})}

    def url(**changes: Any) -> str:
        return tk.url_for("satudata.antrean", **{"tab": current["id"], **kept, **changes})

    try:
        found = ask(
            "satudata_queue_list",
            **{**filters, **current["filter"], "sort": sort},
            limit=PAGE,
            offset=(page - 1) * PAGE,
        )
    except tk.ValidationError as error:  # an address that no form of ours makes
        tk.abort(400, " ".join(map(str, error.error_summary.values())))
    if not filters:
        tk.g.satudata_facets = found["facets"]  # the header counts the same
    facets, rows, count = found["facets"], found["results"], found["count"]
    if not rows and page > 1:  # decided in the meantime
        last = min(-(-count // PAGE), PAGES)
        return tk.redirect_to(url(page=last) if last > 1 else url())
    mine = [row for row in rows if row.get("claim") in ("claim", "release")]
    return tk.render(
        "satudata/antrean.html",
        {
            "tabs": [
                {**tab, "url": url(tab=tab["id"]), "count": _count(tab, facets)} for tab in tabs
            ],
            "current": current,
            "asked": asked,
            "sort": sort,
            "categories": schema.vocab("kategori"),
            "filtered": bool(filters),
            "facets": facets,
            "count": count,
            "most": PAGES * PAGE,
            "groups": _by_deadline(rows) if sort == "due" else [("", False, rows)],
            "first": mine[0] if mine and sort == "due" and page == 1 else None,
            "claimable": any(row.get("claim") == "claim" for row in rows),
            "turns": h.satudata_giliran(),
            "url": url,
            "page": Page(rows, page, url=lambda page: url(page=page), items_per_page=PAGE,
                         item_count=min(count, PAGES * PAGE), presliced_list=True),
        },
    )  # fmt: skip


# Claims ------------------------------------------------------------------------------------------
def _back(id_: str = "") -> Response:
    """To the page of the queue that was looked at, or to the review of the one dataset."""
    if tk.request.form.get("next") == "pemeriksaan" and id_:
        return tk.redirect_to("satudata.pemeriksaan", id=id_)
    asked = dict(parse_qsl(tk.request.form.get("dari", "")))
    return tk.redirect_to(
        "satudata.antrean", **{key: asked[key] for key in _KEPT if asked.get(key)}
    )


def _words(error: tk.NotAuthorized | tk.ValidationError) -> str:
    """What a refusal says."""
    if isinstance(error, tk.NotAuthorized):
        return str(error.message or tk._("Peran Anda tidak mengizinkan ini."))
    return " ".join(map(str, error.error_summary.values()))


@satudata.route("/satudata/antrean/ambil", methods=["POST"])
def ambil() -> Response:
    """Claim one dataset or all that were ticked; what could not be claimed is named with why."""
    _only_checkers()
    one = tk.request.form.get("id", "")
    chosen = [one] if one else list(dict.fromkeys(tk.request.form.getlist("pilih")))[:PAGE]
    taken: list[dict[str, Any]] = []
    for id_ in chosen:
        try:
            taken.append(ask("satudata_claim", id=id_))
        except (tk.ValidationError, tk.NotAuthorized) as error:
            known = h.satudata_status(id_)
            tk.h.flash_error(f"{known['title'] if known else id_}: {_words(error)}")
        except tk.ObjectNotFound:
            tk.h.flash_error(tk._("Satu dataset tidak diambil karena sudah tidak ada."))
    if len(taken) == 1:
        tk.h.flash_success(tk._("Anda sekarang memeriksa {title}.").format(**taken[0]))
    elif taken:
        tk.h.flash_success(
            tk._("{n} dataset Anda ambil, lihat bagian Saya periksa.").format(n=len(taken))
        )
    if not chosen:
        tk.h.flash_error(tk._("Centang dahulu dataset yang akan diambil."))
    return _back(one)


@satudata.route("/satudata/antrean/lepas", methods=["POST"])
def lepas() -> Response:
    """Give a claimed dataset back to the queue."""
    _only_checkers()
    id_ = tk.request.form.get("id", "")
    try:
        status = ask("satudata_release", id=id_)
        tk.h.flash_success(tk._("{title} dilepas, rekan Anda dapat mengambilnya.").format(**status))
    except (tk.ValidationError, tk.NotAuthorized) as error:
        tk.h.flash_error(_words(error))
    except tk.ObjectNotFound:
        tk.h.flash_error(tk._("Dataset itu sudah tidak ada."))
        id_ = ""
    return _back(id_)


@satudata.route("/dataset/<id>/ambil-alih", methods=["GET", "POST"])
def ambil_alih(id: str) -> Response:
    """Take over the check that somebody else holds, with the reason."""
    status = dasar.status(id)
    review = tk.url_for("satudata.pemeriksaan", id=status["name"])
    errors: list[dict[str, str]] = []
    if tk.request.method == "POST":
        try:
            ask("satudata_claim", id=status["id"], note=tk.request.form.get("note", ""))
            tk.h.flash_success(tk._("Anda sekarang memeriksa {title}.").format(**status))
            return tk.redirect_to(review)
        except tk.NotAuthorized as error:
            tk.h.flash_error(_words(error))
            return tk.redirect_to(review)
        except tk.ValidationError as error:
            errors = [{"anchor": "note", "message": _words(error)}]
            status = dasar.status(id)
    if status["claim"] != "take_over":
        words = {
            "claim": tk._("Dataset ini tidak dipegang siapa pun. Ambil saja."),
            "release": tk._("Anda sudah memegang dataset ini."),
        }.get(status["claim"]) or tk._("Dataset ini tidak dapat Anda ambil alih sekarang.")
        tk.h.flash_error(errors[0]["message"] if errors else words)
        return tk.redirect_to(review)
    page = tk.render(
        "satudata/ambil_alih.html",
        {"status": status, "errors": errors, "form": tk.request.form},
    )
    return page, 409 if errors else 200


@satudata.route("/satudata")
def meja() -> Response:
    """Where a reader's work is, for the way after the login."""
    menu = h.satudata_menu()
    return tk.redirect_to(menu[0]["url"] if menu else "home.index")
