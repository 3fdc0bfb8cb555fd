"""The queue of Walidata and Pembina."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import groupby
from typing import Any

import ckan.plugins.toolkit as tk
from ckan.lib.pagination import Page
from flask.typing import ResponseReturnValue as Response

from ckanext.satudata_trenggalek import helpers as h
from ckanext.satudata_trenggalek.views.dasar import ask, refuse, satudata

#: Rows of a page of the queue.
PAGE = 20


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
        refuse(
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
        found = ask("satudata_queue_list", **{key: value for key, value in asked.items() if value})
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
