"""The history of a dataset."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterator
from itertools import groupby
from typing import Any

import ckan.plugins.toolkit as tk
import flask
from ckan.lib.pagination import Page
from flask.typing import ResponseReturnValue as Response

from ckanext.satudata_trenggalek.exchange import guarded
from ckanext.satudata_trenggalek.views.dasar import ask, every, satudata
from ckanext.satudata_trenggalek.views.dasar import status as status_of
from ckanext.satudata_trenggalek.workflow import table

#: Events of a page of the history.
EVENTS = 100


def _rounds(events: list[dict[str, Any]]) -> Iterator[tuple[int, str]]:
    """`seq` of each event, oldest first, and the round of checking to which it belongs."""
    label, turn, version = tk._("Penyusunan"), 0, 0
    for event in events:
        if event["event"] == "ajukan":
            turn += 1
            label = tk._("Putaran ke-{n}").format(n=turn)
        elif event["to"] in table.PUBLIC and event["from"] != event["to"]:
            turn, version = 0, version + 1
            label = tk._("Versi {n}").format(n=version)
        elif event["event"] == "buka_kembali":
            label = tk._("Penyusunan")
        yield event["seq"], label


#: What the page can be narrowed to: name -> whether an event belongs to it.
_KINDS: dict[str, Callable[[dict[str, Any]], bool]] = {
    "keputusan": lambda event: event["from"] != event["to"] and bool(event["to"]),
    "komentar": lambda event: bool(_comment_ids(event)),
    "isi": lambda event: event["new_content"],
}


def _all(id: str) -> list[dict[str, Any]]:
    """Every event, oldest first; `new_content` says whether it tells of content not told before."""
    events = list(every("satudata_history_list", id=id))
    known = ""
    for event in events:
        content = event["content_hash"] or known
        event["new_content"] = content != known
        known = content
    return events


def _comment_ids(event: dict[str, Any]) -> list[str]:
    """Ids of the comments that an event tells of."""
    detail = event["detail"] or {}
    return [*detail.get("komentar", ()), *([detail["tentang"]] if "tentang" in detail else ())]


def _comments(id: str) -> dict[str, dict[str, Any]]:
    """Every comment of a dataset by its id, replies too."""
    return {
        comment["id"]: comment
        for thread in every("satudata_comment_list", id=id)
        for comment in (thread, *thread["replies"])
    }


@satudata.route("/dataset/<id>/riwayat")
def riwayat(id: str) -> Response:
    """What happened to a dataset, newest first."""
    status = status_of(id)
    page = tk.h.get_page_number(tk.request.args)
    kind = tk.request.args.get("jenis", "")
    kept = {"jenis": kind} if kind in _KINDS else {}
    events = _all(status["id"])
    wanted = [event for event in reversed(events) if not kept or _KINDS[kind](event)]

    def url(page: int) -> str:
        return tk.url_for("satudata.riwayat", id=id, page=page, **kept)

    shown = Page(wanted, page, items_per_page=EVENTS, url=url)
    labels = dict(_rounds(events))
    groups = groupby(shown.items, lambda event: labels[event["seq"]])
    comments = _comments(status["id"]) if any(map(_comment_ids, shown.items)) else {}
    return tk.render(
        "satudata/riwayat.html",
        {
            "status": status,
            "groups": [(label, list(group)) for label, group in groups],
            "events": events,
            "kind": kept.get("jenis", ""),
            "kinds": {name: sum(map(test, events)) for name, test in _KINDS.items()},
            "said": {
                event["seq"]: [comments[id] for id in _comment_ids(event) if id in comments]
                for event in shown.items
            },
            "reminders": ask("satudata_history_list", id=status["id"], limit=0)["reminders"],
            "page": shown,
        },
    )


# Files -------------------------------------------------------------------------------------------
#: Columns of the CSV: keys of satudata_history_list, and the comments of an event; lists as JSON.
COLUMNS = (
    "seq", "at", "actor", "peran", "event", "label", "from", "to", "sop_step", "note",
    "public_note", "checklist", "comments", "told", "content_hash", "prev_hash", "hash",
)  # fmt: skip


def _events(id: str) -> Iterator[dict[str, Any]]:
    """All events, oldest first, with their comments; read page by page."""
    comments = _comments(id)
    for event in every("satudata_history_list", id=id):
        told = [comments[id] for id in _comment_ids(event) if id in comments]
        yield {
            **event,
            "comments": [
                {key: c[key] for key in ("id", "parent", "field", "label", "row", "body",
                                         "author", "peran", "round", "at", "state")}
                for c in told
            ],
        }  # fmt: skip


def _file(status: dict[str, Any], extension: str, type_: str, parts: Iterator[str]) -> Response:
    name = f"riwayat-{status['name']}.{extension}"
    answer = flask.Response(flask.stream_with_context(parts), mimetype=type_)
    answer.headers["Content-Disposition"] = f'attachment; filename="{name}"'
    answer.headers["Cache-Control"] = "private, no-store"
    return answer


@satudata.route("/dataset/<id>/riwayat.csv")
def riwayat_csv(id: str) -> Response:
    """The history as CSV, UTF-8 with its mark; no cell is a formula to a spreadsheet program."""
    status = status_of(id)

    def cell(value: Any) -> str:
        if isinstance(value, dict | list):
            value = json.dumps(value, ensure_ascii=False) if value else ""
        return guarded("" if value is None else str(value))

    def lines() -> Iterator[str]:
        out = io.StringIO(newline="")
        writer = csv.writer(out)
        writer.writerow(COLUMNS)
        yield "\ufeff"
        for event in _events(status["id"]):
            writer.writerow([cell(event[name]) for name in COLUMNS])
            yield out.getvalue()
            out.seek(0)
            out.truncate()
        yield out.getvalue()

    return _file(status, "csv", "text/csv", lines())


@satudata.route("/dataset/<id>/riwayat.json")
def riwayat_json(id: str) -> Response:
    """The history as JSON: the dataset and its events, oldest first."""
    status = status_of(id)
    head = {key: status[key] for key in ("id", "name", "title", "organization", "status")}

    def parts() -> Iterator[str]:
        yield json.dumps(head, ensure_ascii=False)[:-1] + ', "events": ['
        for number, event in enumerate(_events(status["id"])):
            yield (",\n" if number else "\n") + json.dumps(event, ensure_ascii=False)
        yield "\n]}\n"

    return _file(status, "json", "application/json", parts())
