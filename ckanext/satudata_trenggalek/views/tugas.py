"""The work of a Produsen."""

from __future__ import annotations

from typing import Any

import ckan.plugins.toolkit as tk
from ckan.lib.pagination import Page
from flask.typing import ResponseReturnValue as Response

from ckanext.satudata_trenggalek import helpers as h
from ckanext.satudata_trenggalek.views.antrean import PAGES
from ckanext.satudata_trenggalek.views.dasar import ask, every, refuse, satudata
from ckanext.satudata_trenggalek.views.dasar import status as status_of
from ckanext.satudata_trenggalek.workflow import table

#: Rows of a page of a list; of each dataset to do it is asked what remains.
PAGE = 20
#: Published datasets shown; the others are found by the search.
LATEST = 10


def _part(
    organizations: list[str], statuses: list[list[str]], argument: str, page: int = 0
) -> tuple[Page, int]:
    """A page of the datasets of these organizations, those of the first statuses first, and how
    many there are.

    Args:
        organizations: ids.
        statuses: groups of names of statuses, in the order of their rows.
        argument: of the address, that says which page.
        page: instead of that one.
    """
    args = tk.request.args
    page = page or min(tk.h.get_page_number(args, argument), PAGES)
    rows: list[dict[str, Any]] = []
    count, skip = 0, (page - 1) * PAGE
    for names in statuses:
        found = ask("satudata_queue_list", organization=organizations, status=names,
                    limit=PAGE - len(rows), offset=max(skip - count, 0))  # fmt: skip
        rows += found["results"]
        count += found["count"]
    if not rows and page > 1:  # sent in the meantime
        last = max(1, min(-(-count // PAGE), PAGES, page - 1))
        return _part(organizations, statuses, argument, last)

    def url(page: int) -> str:
        return tk.url_for("satudata.tugas", **{**args, argument: page})

    turned = min(count, PAGES * PAGE)
    shown = Page(rows, page, item_count=turned, items_per_page=PAGE, presliced_list=True, url=url)
    return shown, count


@satudata.route("/satudata/tugas")
def tugas() -> Response:
    """The work of a Produsen: what waits for them, what waits for others, what is published."""
    organizations = h.satudata_organisasi_produsen()
    if not organizations:
        refuse(
            tk._(
                "Halaman Tugas untuk petugas Produsen Data. Minta admin OPD menjadikan akun Anda"
                " editor organisasinya."
            )
        )
    drafts = [name for name in table.EDITABLE if name != "dikembalikan"]
    todo, todo_count = _part(organizations, [["dikembalikan"], drafts], "hal")
    others = [name for name, status in table.STATUSES.items() if status.stage in (2, 3)]
    waiting, waiting_count = _part(organizations, [others], "tunggu")
    published = ask("satudata_queue_list", organization=organizations, status=list(table.PUBLIC),
                    limit=LATEST)  # fmt: skip
    for row in todo.items:
        row["blockers"] = (h.satudata_status(row["id"]) or {}).get("blockers", [])
        if row["status"] == "dikembalikan":
            row["returned"] = h.satudata_catatan_kembali(row["id"])
            row["points"] = ask("satudata_comment_list", id=row["id"], limit=0)["facets"]["state"]
    shown = (*todo.items, *waiting.items, *published["results"])
    return tk.render(
        "satudata/tugas.html",
        {
            "organizations": sorted({row["organization_title"] for row in shown}),
            "todo": todo,
            "todo_count": todo_count,
            "waiting": waiting,
            "waiting_count": waiting_count,
            "published": published["results"],
            "published_count": published["count"],
        },
    )


@satudata.route("/dataset/<id>/perbaikan", methods=["GET", "POST"])
def perbaikan(id: str) -> Response:
    """What a returned dataset needs: each point of the checkers with its place in the form."""
    status = status_of(id)
    if table.STATUSES[status["status"]].edits is None:
        return tk.redirect_to("satudata.pemeriksaan", id=status["name"])
    typed, error = "", ""
    parent = tk.request.form.get("parent", "")
    if tk.request.method == "POST":
        typed = tk.request.form.get("body", "")
        try:
            ask("satudata_comment_create", id=status["id"], parent=parent, body=typed)
        except (tk.ValidationError, tk.NotAuthorized) as refused:
            told = getattr(refused, "error_summary", None) or {"": getattr(refused, "message", "")}
            error = " ".join(map(str, told.values()))
        else:
            return tk.redirect_to(
                tk.url_for("satudata.perbaikan", id=status["name"]) + f"#komentar-{parent}"
            )
    points = list(every("satudata_comment_list", id=status["id"]))
    # First what is not touched yet; a changed field answers its point when it is submitted.
    rank = {"open": 0, "answered": 2, "done": 3}
    for point in points:
        state = point["state"]
        point["shown"] = "changed" if state == "open" and point["changed"] else state
    points.sort(key=lambda point: rank.get(point["shown"], 1))
    left = sum(point["shown"] == "open" for point in points)
    page = tk.render(
        "satudata/perbaikan.html",
        {
            "status": status,
            "points": points,
            "left": left,
            "returned": h.satudata_catatan_kembali(status["id"]),
            "submit": next((t for t in status["transitions"] if t["name"] == "ajukan"), None),
            "may_edit": any(t["name"] == "ajukan" for t in status["transitions"])
            or bool(status["blockers"]),
            "replying": parent,
            "typed": typed,
            "error": error,
        },
    )
    return (page, 409) if error else page
