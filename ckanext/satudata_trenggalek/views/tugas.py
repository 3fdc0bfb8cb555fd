"""The work of a Produsen."""

from __future__ import annotations

from typing import Any

import ckan.plugins.toolkit as tk
from flask.typing import ResponseReturnValue as Response

from ckanext.satudata_trenggalek import helpers as h
from ckanext.satudata_trenggalek.views.dasar import ask, refuse, satudata
from ckanext.satudata_trenggalek.views.dasar import status as status_of
from ckanext.satudata_trenggalek.workflow import table

#: Of how many datasets `tugas` tells what remains; each is a question of its own.
DETAILED = 20


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
    todo: list[dict[str, Any]] = []
    waiting: list[dict[str, Any]] = []
    published: list[dict[str, Any]] = []
    count = 0
    editable = table.EDITABLE
    others = [name for name, s in table.STATUSES.items() if s.stage in (2, 3)]
    for organization in organizations:
        todo += ask("satudata_queue_list", organization=organization, status=list(editable),
                     limit=100)["results"]  # fmt: skip
        waiting += ask("satudata_queue_list", organization=organization, status=others,
                        limit=100)["results"]  # fmt: skip
        done = ask("satudata_queue_list", organization=organization,
                    status=list(table.PUBLIC), limit=10)  # fmt: skip
        published += done["results"]
        count += done["count"]
    todo.sort(key=lambda row: row["status"] != "dikembalikan")
    for row in todo[:DETAILED]:
        row["blockers"] = (h.satudata_status(row["id"]) or {}).get("blockers", [])
        if row["status"] == "dikembalikan":
            row["returned"] = h.satudata_catatan_kembali(row["id"])
            row["points"] = ask("satudata_comment_list", id=row["id"], limit=0)["facets"]["state"]
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
    points: list[dict[str, Any]] = []
    while True:
        found = ask("satudata_comment_list", id=status["id"], limit=100, offset=len(points))
        points += found["results"]
        if not found["results"] or len(points) >= found["count"]:
            break
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
