"""The work of a Produsen."""

from __future__ import annotations

from typing import Any

import ckan.plugins.toolkit as tk
from flask.typing import ResponseReturnValue as Response

from ckanext.satudata_trenggalek import helpers as h
from ckanext.satudata_trenggalek.views.dasar import ask, refuse, satudata
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
