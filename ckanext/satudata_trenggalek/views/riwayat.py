"""The history of a dataset."""

from __future__ import annotations

from itertools import groupby
from typing import Any

import ckan.plugins.toolkit as tk
from ckan.lib.pagination import Page
from flask.typing import ResponseReturnValue as Response

from ckanext.satudata_trenggalek import helpers as h
from ckanext.satudata_trenggalek.views.dasar import satudata
from ckanext.satudata_trenggalek.views.dasar import status as status_of
from ckanext.satudata_trenggalek.workflow import table

#: Events of a page of the history.
EVENTS = 100


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
    status = status_of(id)
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
