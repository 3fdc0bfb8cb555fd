"""Comments on fields: what a path points to, what a checker gathers, what goes with a decision.

A checker's comments are drafts until the decision; what was sent is never changed. A path names a
row by its place, and rows move, so each comment keeps what stood there (Spot) and is found again by
comparing contents (diff.py).
"""

from __future__ import annotations

import datetime as dt
import hashlib
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import ckan.model as core
import ckan.plugins.toolkit as tk
import sqlalchemy as sa

from ckanext.satudata_trenggalek import content, diff, model, schema
from ckanext.satudata_trenggalek.workflow import engine
from ckanext.satudata_trenggalek.workflow.table import STATUSES, Peran

#: Longest comment, in characters.
MAX_BODY = 5_000
#: Comments that one checker gathers on one dataset.
MAX_DRAFTS = 200
STATES = ("open", "answered", "done")
#: Peran whose comments stay drafts until their decision.
CHECKERS = frozenset({Peran.WALIDATA, Peran.PEMBINA_DATA})


#: What a path pointed to when it was commented on: `value` as stored (text, codes, rows, a row, or
#: for a file its name and SHA-256), `row` (what names the row), `file` (its name), `position` (its
#: place among the files, from 0), `content_hash` (of the content that it is part of).
Spot = dict[str, Any]


def keys(type_: str) -> dict[str, str]:
    """Repeating block -> the subfield that names its rows, for diff.compare."""
    return {
        field["field_name"]: field.get("unik") or field["butir"][0]["field_name"]
        for group in ("dataset_fields", "resource_fields")
        for field in schema.fields(type_, group)
        if field.get("jenis") == "berulang"
    }


def lists(type_: str) -> frozenset[str]:
    """Names of the fields that hold several values, for diff.document."""
    return frozenset(
        field["field_name"]
        for group in ("dataset_fields", "resource_fields")
        for field in schema.fields(type_, group)
        if field.get("jenis") in ("berulang", "pilihan_banyak")
    )


# Paths -------------------------------------------------------------------------------------------
def _row_number(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 6 else None


def find(dataset: Mapping[str, Any], path: str) -> Spot | None:
    """What a path points to, None when there is no such field, row or file.

    Args:
        dataset: as package_show gives it.
        path: `title`, `indikator/0`, `indikator/0/konsep`, `resources/<id>` or one of these after
            `resources/<id>/`; rows from 0.
    """
    parts = path.split("/")
    group, item = "dataset_fields", dataset
    spot: Spot = {}
    if parts[0] == "resources" and len(parts) > 1:
        files = dataset.get("resources") or []
        place = next((n for n, file in enumerate(files) if file["id"] == parts[1]), None)
        if place is None:
            return None
        group, item, parts = "resource_fields", files[place], parts[2:]
        spot.update(file=item.get("name") or item.get("url") or "", position=place)
        if not parts:
            return {**spot, "value": {"name": item.get("name"), "sha256": item.get("hash")}}
    field = schema.by_name(schema_type(dataset), group).get(parts[0])
    if field is None or (field.get("jenis") != "berulang" and len(parts) > 1) or len(parts) > 3:
        return None
    value = item.get(parts[0])
    if field["field_name"] == "tag_string":
        value = [tag["name"] for tag in dataset.get("tags") or ()]
    if field.get("jenis") != "berulang" or len(parts) == 1:
        return {**spot, "value": _tidy(field, value)}
    rows, number = schema.rows(field, value), _row_number(parts[1])
    if number is None or number >= len(rows):
        return None
    row = rows[number]
    spot["row"] = str(row.get(keys(schema_type(dataset))[parts[0]]) or number + 1)
    if len(parts) == 2:
        return {**spot, "value": row}
    if all(known["field_name"] != parts[2] for known in field["butir"]):
        return None
    return {**spot, "value": row.get(parts[2])}


def _tidy(field: schema.Field, value: Any) -> Any:
    """A value in the one form that a comparison needs."""
    if field.get("jenis") == "berulang":
        return schema.rows(field, value)
    if field.get("jenis") == "pilihan_banyak":
        return value if isinstance(value, list) else [value] if value else []
    return value or ""


def schema_type(dataset: Mapping[str, Any]) -> str:
    """The type whose schema a dataset has."""
    type_ = str(dataset.get("type"))
    return type_ if type_ in schema.TYPES else schema.TYPES[0]


def label(type_: str, path: str) -> str:
    """What a path is called: "MS-Ind 3 Konsep"; a name that the schema has no more stays as it is.

    Args:
        type_: dataset type.
        path: as for `find`.
    """
    parts = path.split("/")
    group = "dataset_fields"
    if parts[0] == "resources" and len(parts) > 1:
        group, parts = "resource_fields", parts[2:]
        if not parts:
            return tk._("Berkas")
    field = schema.by_name(type_, group).get(parts[0])
    if field is None:
        return parts[-1]
    sub = parts[2] if len(parts) > 2 else ""
    field = next((f for f in field.get("butir", ()) if f["field_name"] == sub), field)
    # In the reader's language, as where it isn't a number ("Standar Data").
    item = tk._(str(field["bps_item"])) if field.get("bps_item") else ""
    return f"{item} {schema.text(field['label'])}".strip()


class Finder:
    """Finds the fields of comments again in a dataset whose rows may have moved since.

    Args:
        dataset: as package_show gives it now.
    """

    def __init__(self, dataset: Mapping[str, Any]):
        self.dataset, self.type = dataset, schema_type(dataset)
        self.keys, self.lists = keys(self.type), lists(self.type)
        self._documents: dict[str, diff.Document | None] = {}
        self._pairs: dict[tuple[str, str], dict[int, int]] = {}

    def _document(self, content_hash: str | None) -> diff.Document | None:
        if not content_hash:
            return None
        if content_hash not in self._documents:
            kept = core.Session.get(model.Content, content_hash)
            self._documents[content_hash] = (
                diff.document(kept.content, self.lists) if kept else None
            )
        return self._documents[content_hash]

    def path(self, field: str, spot: Mapping[str, Any]) -> str | None:
        """Where the field is now; None when it is gone."""
        parts = field.split("/")
        head = parts[:2] if parts[0] == "resources" and len(parts) > 1 else []
        rest = parts[len(head) :]
        if len(rest) < 2:
            return field if find(self.dataset, field) is not None else None
        block, was = "/".join([*head, rest[0]]), _row_number(rest[1])
        now = find(self.dataset, block)
        if now is None or was is None:
            return None
        place = self._moved(block, was, spot, now.get("value", []))
        if place is None:
            return None
        path = "/".join([block, str(place), *rest[2:]])
        return path if find(self.dataset, path) is not None else None

    def _moved(
        self, block: str, was: int, spot: Mapping[str, Any], rows: Sequence[Any]
    ) -> int | None:
        name = block.rpartition("/")[2]
        kept = self._document(spot.get("content_hash"))
        if kept is None:  # known by its name alone
            names = [str(row.get(self.keys[name]) or n) for n, row in enumerate(rows, 1)]
            if was < len(names) and names[was] == spot.get("row"):
                return was
            return names.index(spot["row"]) if spot.get("row") in names else None
        pair = (str(spot.get("content_hash")), block)
        if pair not in self._pairs:
            place = spot.get("position")
            holder = kept.values
            if place is not None:
                holder = kept.files[place]["values"] if place < len(kept.files) else {}
            old = holder.get(name)
            found = diff.match_rows(old if isinstance(old, list) else [], rows, self.keys[name])
            self._pairs[pair] = {before: after for after, before in found.items()}
        return self._pairs[pair].get(was)

    def changed(self, field: str, spot: Mapping[str, Any]) -> bool:
        """Whether another value stands there than when it was commented on."""
        path = self.path(field, spot)
        now = find(self.dataset, path) if path else None
        return now is None or now.get("value") != spot.get("value")


# Drafts ------------------------------------------------------------------------------------------
def unknown_field(path: str) -> str:
    """What is said of a path that points to nothing."""
    return tk._(
        "Isian “{field}” tidak ada dalam dataset ini. Muat ulang halamannya, lalu pilih isiannya."
    ).format(field=path[:200])


def draft_of(package_id: str, author_id: str, lock: bool = False) -> model.Draft:
    """What a checker has typed and not sent; a new, empty one when there is none.

    Args:
        package_id: the dataset.
        author_id: user id.
        lock: let no other request of the same user change it until the end of the transaction.
    """
    session = core.Session
    if lock:  # also where there is no row yet
        session.execute(
            sa.text("SELECT pg_advisory_xact_lock(hashtext(:a), hashtext(:b))"),
            {"a": package_id, "b": author_id},
        )
    found = session.get(model.Draft, (package_id, author_id), populate_existing=True)
    if found is None:
        found = model.Draft(package_id=package_id, author_id=author_id, form={}, comments=[])
    return found


def new_draft(
    dataset: Mapping[str, Any], field: str, body: str, content_hash: str | None,
    parent: model.Comment | None = None,
) -> dict[str, Any]:  # fmt: skip
    """A comment as a draft keeps it.

    Raises:
        tk.ValidationError: when the field does not exist.
    """
    if parent:
        field, spot = parent.field, parent.spot
    else:
        found = find(dataset, field)
        if found is None:
            raise tk.ValidationError({"field": [unknown_field(field)]})
        spot = {**found, "content_hash": content_hash}
    return {
        "id": str(uuid.uuid4()),
        "parent_id": parent.id if parent else None,
        "field": field,
        "spot": spot,
        "body": body,
        "at": dt.datetime.now(dt.timezone.utc).isoformat(),
    }


def turn(status: str, held: Iterable[Peran]) -> Peran | None:
    """The peran in which a user checks a dataset in this status now, and so gathers comments."""
    known = STATUSES[status]
    return known.waits_for if known.waits_for in CHECKERS & set(held) else None


# Sending -----------------------------------------------------------------------------------------
def gather(
    package: core.Package,
    row: model.Status,
    who: engine.Actor,
    as_peran: Peran | None,
    dataset: Mapping[str, Any] | None,
    given: Sequence[Mapping[str, str]],
    content_hash: str | None,
) -> list[model.Comment]:
    """The comments that go with a decision: the drafts of who decides, and those given with it.

    Nothing is written. The caller holds the lock of the status row.

    Args:
        package: the dataset.
        row: its status before the decision.
        who: who decides.
        as_peran: in which peran.
        dataset: package_show, needed where comments are given.
        given: `field` and `body`, or `parent` and `body`, each checked for shape.
        content_hash: of the content now.

    Raises:
        tk.ValidationError: on `comments`, saying which is wrong.
    """
    if as_peran is None or as_peran is not turn(row.status, who.peran):
        if given:
            message = tk._("Komentar dikirim bersama keputusan pemeriksaan, bukan tindakan ini.")
            raise tk.ValidationError({"comments": [message]})
        return []
    drafts = list(draft_of(package.id, who.id, lock=True).comments)
    for number, item in enumerate(given, 1):
        parent = of_package(package.id, item.get("parent"))
        try:
            if item.get("parent") and parent is None:
                raise tk.ValidationError({"parent": [tk._("Komentar itu tidak ada.")]})
            drafts.append(
                new_draft(dataset or {}, item.get("field", ""), item["body"], content_hash, parent)
            )
        except tk.ValidationError as error:
            told = " ".join(map(str, error.error_summary.values()))
            message = tk._("Komentar ke-{n}: {message}").format(n=number, message=told)
            raise tk.ValidationError({"comments": [message]}) from None
    if len(drafts) > MAX_DRAFTS:
        message = tk._("Terlalu banyak komentar, paling banyak {n}.").format(n=MAX_DRAFTS)
        raise tk.ValidationError({"comments": [message]})
    return [
        model.Comment(
            **{name: item[name] for name in ("id", "parent_id", "field", "spot", "body")},
            package_id=package.id,
            author=who.name,
            peran=as_peran.value,
            version=row.version,
            round=row.round,
            state="open",
        )
        for item in drafts
    ]


def told(sent: Sequence[model.Comment]) -> dict[str, Any]:
    """What the event of a decision keeps of the comments: ids with their digests."""
    return {"komentar": {c.id: digest(c) for c in sent}} if sent else {}


def digest(comment: Any) -> str:
    """Hash of all that a comment says; its author, peran and time are also those of its event.

    Args:
        comment: a model.Comment, or a row with its columns.
    """
    names = ("id", "package_id", "parent_id", "field", "spot", "body", "version", "round")
    return content.digest({name: getattr(comment, name) for name in names})


def said(comment: Any, digest_: str) -> bool:
    """Whether a digest of an event is that of a comment; older events keep that of its words."""
    if digest_.startswith("sha256:"):
        return digest_ == digest(comment)
    return digest_ == hashlib.sha256(comment.body.encode()).hexdigest()


def send(sent: Sequence[model.Comment], who: engine.Actor, at: dt.datetime) -> None:
    """Write the comments of a decision and empty the draft they come from. Flushes."""
    session = core.Session
    for comment in sent:
        comment.at = at
        session.add(comment)
        session.flush()  # one by one: their order is that of writing
        if comment.parent_id:  # a checker who replies has a point open again
            parent = session.get(model.Comment, comment.parent_id)
            if parent and parent.state != "done":
                settle(parent, "open", who.name, at)


def clear(package_id: str, author_id: str) -> None:
    """Forget what was typed: it was sent. Flushes nothing."""
    core.Session.execute(
        sa.delete(model.Draft).where(
            model.Draft.package_id == package_id, model.Draft.author_id == author_id
        )
    )


def settle(comment: model.Comment, state: str, by: str, at: dt.datetime) -> None:
    """Set the state of a point."""
    comment.state, comment.state_by, comment.state_at = state, by, at


def of_package(package_id: str, id_: str | None) -> model.Comment | None:
    """The first comment of the thread that a comment of this dataset belongs to."""
    found = core.Session.get(model.Comment, id_ or "", populate_existing=True)
    if found and found.parent_id:
        found = core.Session.get(model.Comment, found.parent_id, populate_existing=True)
    return found if found and found.package_id == package_id else None


def bodies(ids: Iterable[str]) -> set[str]:
    """The words of these comments."""
    asked = list(ids)
    query = sa.select(model.Comment.body).where(model.Comment.id.in_(asked))
    return set(core.Session.scalars(query)) if asked else set()


def answer_by_change(
    package_id: str, show: Callable[[str], Mapping[str, Any]], by: str, at: dt.datetime
) -> None:
    """On submission: points whose field says something else now are answered.

    Args:
        package_id: the dataset.
        show: gives the dataset as package_show does; not asked where no point is open.
        by: who submits.
        at: when.
    """
    rows = core.Session.scalars(
        sa.select(model.Comment).where(
            model.Comment.package_id == package_id,
            model.Comment.parent_id.is_(None),
            model.Comment.state == "open",
        )
    ).all()
    finder = Finder(show(package_id)) if rows else None
    for row in rows:
        if finder and finder.changed(row.field, row.spot):
            settle(row, "answered", by, at)
