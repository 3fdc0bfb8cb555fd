"""API actions of the review: comments, what a checker has typed, what changed since."""

from __future__ import annotations

from typing import Any

import ckan.model as core
import ckan.plugins.toolkit as tk
import sqlalchemy as sa

from ckanext.satudata_trenggalek import comments, content, diff, doors, gate, model, peran
from ckanext.satudata_trenggalek.doors.hiding import watched
from ckanext.satudata_trenggalek.logic import schema
from ckanext.satudata_trenggalek.workflow import engine, service
from ckanext.satudata_trenggalek.workflow.table import STATUSES, Peran


def _dataset(context: Any, data_dict: dict[str, Any]) -> core.Package:
    """The dataset of `id`, if the caller may see it.

    Raises:
        tk.ObjectNotFound: unknown and forbidden alike.
    """
    tk.get_or_bust(data_dict, "id")
    package = doors.package_of(data_dict, "id")
    if package is None or not doors.may_see(context, package):
        raise tk.ObjectNotFound()
    return package


def _user(context: Any) -> core.User:
    user = doors.user_of(context)
    if user is None:
        raise tk.NotAuthorized(tk._("Masuk dahulu."))
    return user


def _shown(comment: model.Comment, finder: comments.Finder) -> dict[str, Any]:
    return {
        "id": comment.id,
        "parent": comment.parent_id,
        "field": comment.field,
        "current_field": finder.path(comment.field, comment.spot),
        "changed": finder.changed(comment.field, comment.spot),
        "label": comments.label(finder.type, comment.field),
        "row": comment.spot.get("row"),
        "file": comment.spot.get("file"),
        "value": comment.spot.get("value"),
        "body": comment.body,
        "author": comment.author,
        "peran": comment.peran,
        "version": comment.version,
        "round": comment.round,
        "at": comment.at.isoformat(),
        "state": comment.state,
        "state_by": comment.state_by,
        "state_at": comment.state_at.isoformat() if comment.state_at else None,
        "draft": False,
        "replies": [],
    }


def _drafted(
    item: dict[str, Any], who: core.User, as_peran: Peran | None, row: model.Status,
    finder: comments.Finder,
) -> dict[str, Any]:  # fmt: skip
    return {
        "id": item["id"],
        "parent": item["parent_id"],
        "field": item["field"],
        "current_field": finder.path(item["field"], item["spot"]),
        "changed": finder.changed(item["field"], item["spot"]),
        "label": comments.label(finder.type, item["field"]),
        "row": item["spot"].get("row"),
        "file": item["spot"].get("file"),
        "value": item["spot"].get("value"),
        "body": item["body"],
        "author": who.name,
        "peran": as_peran.value if as_peran else None,
        "version": row.version,
        "round": row.round,
        "at": item["at"],
        "state": "open",
        "state_by": None,
        "state_at": None,
        "draft": True,
        "replies": [],
    }


@tk.side_effect_free
@watched
def satudata_comment_list(context: Any, data_dict: dict[str, Any]) -> dict[str, Any]:
    """Comments of a dataset with their replies, oldest first; the caller's own drafts last.

    :param id: id or name of the dataset
    :param state: open, answered or done; without it all
    :param limit: 0 to 100 threads, 20 by default
    :param offset: threads to skip
    :returns: count, facets (state -> threads), results (with replies), drafts (the caller's own).
        `current_field` is where the field is now, null when it is gone; `changed` whether
        something else stands there than when it was commented on.
    """
    package = _dataset(context, data_dict)
    tk.check_access("satudata_comment_list", context, {"id": package.id})
    user = _user(context)
    limit = schema.number(data_dict, "limit", 20, schema.MAX_LIMIT)
    offset = schema.number(data_dict, "offset", 0)
    state = schema.choice(data_dict, "state", comments.STATES)
    row = doors.status_of(package.id)
    if row is None:
        raise tk.ObjectNotFound()
    comment = model.Comment
    mine = (comment.package_id == package.id, comment.parent_id.is_(None))
    counted = core.Session.execute(
        sa.select(comment.state, sa.func.count()).where(*mine).group_by(comment.state)
    )
    states: dict[str, int] = {row[0]: row[1] for row in counted}
    first = core.Session.scalars(
        sa.select(comment)
        .where(*mine, comment.state == state if state else sa.true())
        .order_by(comment.number)
        .limit(limit)
        .offset(offset)
        .execution_options(populate_existing=True)
    ).all()
    replies = core.Session.scalars(
        sa.select(comment)
        .where(comment.parent_id.in_([c.id for c in first]))
        .order_by(comment.number)
    ).all()
    drafts = comments.draft_of(package.id, user.id).comments
    finder = comments.Finder(
        # From Solr, as pages read it: core trusts that copy only while the row agrees.
        tk.get_action("package_show")({"ignore_auth": True, "user": ""}, {"id": package.id})
        if first or drafts
        else {"type": package.type}
    )
    results = {c.id: _shown(c, finder) for c in first}
    for reply in replies:
        results[reply.parent_id or ""]["replies"].append(_shown(reply, finder))
    held = doors.held(context, package.owner_org)
    as_peran = next(iter(comments.CHECKERS & held), None)
    return {
        "count": states.get(state, 0) if state else sum(states.values()),
        "facets": {"state": {name: states.get(name, 0) for name in comments.STATES}},
        "results": list(results.values()),
        "drafts": [_drafted(item, user, as_peran, row, finder) for item in drafts],
    }


def satudata_comment_create(context: Any, data_dict: dict[str, Any]) -> dict[str, Any]:
    """Comment on a field, or reply to a comment.

    Whose turn it is to check gathers: the comment is a draft that nobody else sees until the
    decision. While the dataset is being mended, a reply is there at once.

    :param id: id or name of the dataset
    :param field: `title`, `indikator/<row>/konsep`, `resources/<id>/variabel/<row>/tipe_data`;
        rows from 0
    :param body: the words
    :param parent: id of the comment that is replied to, instead of field
    :returns: the comment
    """
    package = _dataset(context, data_dict)
    tk.check_access("satudata_comment_create", context, {"id": package.id})
    user = _user(context)
    body = schema.body(data_dict)
    field, parent_id = schema.text(data_dict, "field", 300), schema.text(data_dict, "parent", 100)
    parent = comments.of_package(package.id, parent_id)
    if parent_id and parent is None:
        raise tk.ValidationError({"parent": [tk._("Komentar itu tidak ada.")]})
    if not parent and not field:
        raise tk.ValidationError({"field": [tk._("Sebutkan isian yang dikomentari.")]})
    with gate.explained():
        package, row = service.lock(package.id)
        held = peran.towards(peran.of_user(user.id), package.owner_org)
        dataset = service.shown(package.id)
        finder = comments.Finder(dataset)
        if as_peran := comments.turn(row.status, held):
            kept = service.content_hash(package.id, row)
            item = comments.new_draft(dataset, field, body, kept, parent)
            draft = comments.draft_of(package.id, user.id, lock=True)
            if len(draft.comments) >= comments.MAX_DRAFTS:
                message = tk._("Terlalu banyak komentar, paling banyak {n}.")
                raise tk.ValidationError({"body": [message.format(n=comments.MAX_DRAFTS)]})
            draft.comments = [*draft.comments, item]
            core.Session.add(draft)
            core.Session.commit()
            return _drafted(item, user, as_peran, row, finder)
        as_peran = _replies_as(row.status, held)
        if as_peran is None or parent is None:
            raise tk.ValidationError({"status": [_not_now(row.status, parent is not None)]})
        reply = _reply(package, row, user, as_peran, parent, body)
        core.Session.commit()
        return _shown(reply, finder)


def _replies_as(status: str, held: frozenset[Peran]) -> Peran | None:
    """In which peran somebody replies at once: while the dataset is with its Produsen."""
    edits = STATUSES[status].edits
    if edits is None:
        return None
    return next((p for p in (edits, Peran.WALIDATA, Peran.PEMBINA_DATA) if p in held), None)


def _not_now(status: str, reply: bool) -> str:
    label = tk._(STATUSES[status].label)
    if STATUSES[status].edits:
        return tk._(
            "Komentar baru ditulis saat pemeriksaan. Pada status “{status}” komentar yang ada"
            " dapat dibalas."
        ).format(status=label)
    if reply:
        return tk._("Pada status “{status}” komentar tidak dapat dibalas.").format(status=label)
    return tk._("Pada status “{status}” yang berkomentar adalah pemeriksanya.").format(status=label)


def _reply(
    package: core.Package, row: model.Status, user: core.User, as_peran: Peran,
    parent: model.Comment, body: str,
) -> model.Comment:  # fmt: skip
    at = service.now()
    item = comments.new_draft({}, "", body, None, parent)
    reply = model.Comment(
        **{name: item[name] for name in ("id", "parent_id", "field", "spot", "body")},
        package_id=package.id,
        author=user.name,
        peran=as_peran.value,
        version=row.version,
        round=row.round,
        at=at,
        state="open",
    )
    core.Session.add(reply)
    if parent.state != "done":
        answered = as_peran not in comments.CHECKERS
        comments.settle(parent, "answered" if answered else "open", user.name, at)
    service.record(
        package.id,
        user.name,
        "komentar_dibalas",
        at,
        peran=as_peran.value,
        detail={"tentang": parent.id, **comments.told([reply])},
    )
    return reply


def _own_draft(context: Any, data_dict: dict[str, Any]) -> tuple[core.User, core.Package, str]:
    """Who asks, the dataset, and the id of a comment that they gathered.

    Raises:
        tk.ObjectNotFound: no such comment, or not theirs.
    """
    id_ = doors.text(tk.get_or_bust(data_dict, "id"))
    user = doors.user_of(context)
    found = (
        user
        and id_
        and core.Session.scalars(
            sa.select(model.Draft.package_id).where(
                model.Draft.author_id == user.id, model.Draft.comments.contains([{"id": id_}])
            )
        ).one_or_none()
    )
    package = core.Package.get(found) if found else None
    if user is None or package is None or not doors.may_see(context, package):
        raise tk.ObjectNotFound(tk._("Komentar itu tidak ada, atau sudah dikirim."))
    return user, package, str(id_)


def satudata_comment_update(context: Any, data_dict: dict[str, Any]) -> dict[str, Any]:
    """Change the words of a comment that was not sent yet; one's own.

    :param id: id of the comment
    :param body: the words
    :returns: the comment
    """
    user, package, id_ = _own_draft(context, data_dict)
    tk.check_access("satudata_comment_create", context, {"id": package.id})
    body = schema.body(data_dict)
    with gate.explained():
        draft = comments.draft_of(package.id, user.id, lock=True)
        draft.comments = [{**c, "body": body} if c["id"] == id_ else c for c in draft.comments]
        core.Session.commit()
    listed = satudata_comment_list(context, {"id": package.id, "limit": 0})["drafts"]
    return next(item for item in listed if item["id"] == id_)


def satudata_comment_delete(context: Any, data_dict: dict[str, Any]) -> dict[str, Any]:
    """Drop a comment that was not sent yet; one's own.

    :param id: id of the comment
    """
    user, package, id_ = _own_draft(context, data_dict)
    tk.check_access("satudata_comment_create", context, {"id": package.id})
    with gate.explained():
        draft = comments.draft_of(package.id, user.id, lock=True)
        draft.comments = [c for c in draft.comments if c["id"] != id_]
        core.Session.commit()
    return {"id": id_}


def satudata_comment_resolve(context: Any, data_dict: dict[str, Any]) -> dict[str, Any]:
    """Say that a comment is settled, or that it is open again.

    :param id: id of the comment
    :param state: done (default) or open
    :returns: the comment
    """
    id_ = tk.get_or_bust(data_dict, "id")
    comment = core.Session.get(model.Comment, doors.text(id_) or "")
    package = core.Package.get(comment.package_id) if comment else None
    if comment is None or package is None or not doors.may_see(context, package):
        raise tk.ObjectNotFound(tk._("Komentar itu tidak ada."))
    asked = comments.of_package(package.id, comment.id)
    assert asked
    # The thread is settled, whichever of its comments is named.
    tk.check_access("satudata_comment_resolve", context, {"id": package.id, "peran": asked.peran})
    user = _user(context)
    state = schema.choice(data_dict, "state", ("done", "open"), "done")
    with gate.explained():
        package, _row = service.lock(package.id)
        thread = comments.of_package(package.id, comment.id)
        assert thread
        if thread.state != state:
            held = peran.towards(peran.of_user(user.id), package.owner_org)
            at = service.now()
            comments.settle(thread, state, user.name, at)
            service.record(
                package.id,
                user.name,
                "komentar_selesai" if state == "done" else "komentar_dibuka",
                at,
                peran=next(p for p in (Peran.WALIDATA, Peran.PEMBINA_DATA) if p in held).value,
                detail={"tentang": thread.id},
            )
        core.Session.commit()
    return _shown(thread, comments.Finder(service.shown(package.id)))


# What is typed -----------------------------------------------------------------------------------
#: What of a decision is kept before it is sent, with the longest text of each.
_TYPED = {
    "transition": 100,
    "note": engine.MAX_NOTE,
    "public_note": engine.MAX_NOTE,
    "publish_at": 64,
    "content_hash": 100,
}


@tk.side_effect_free
def satudata_draft_show(context: Any, data_dict: dict[str, Any]) -> dict[str, Any]:
    """What the caller typed for a decision and has not sent.

    :param id: id or name of the dataset
    :returns: transition, note, public_note, publish_at, content_hash, checklist, each as saved;
        empty when nothing is
    """
    package = _dataset(context, data_dict)
    tk.check_access("satudata_draft_save", context, {"id": package.id})
    return dict(comments.draft_of(package.id, _user(context).id).form)


def satudata_draft_save(context: Any, data_dict: dict[str, Any]) -> dict[str, Any]:
    """Keep what is typed for a decision until it is sent; nothing of it is judged yet.

    :param id: id or name of the dataset
    :param transition: as of satudata_transition, like note, public_note, publish_at, content_hash
    :param checklist: principle -> {"sesuai": true | false | null, "note": text}
    :returns: as satudata_draft_show
    """
    package = _dataset(context, data_dict)
    tk.check_access("satudata_draft_save", context, {"id": package.id})
    user = _user(context)
    form: dict[str, Any] = {name: schema.text(data_dict, name, n) for name, n in _TYPED.items()}
    checklist = data_dict.get("checklist") or {}
    form["checklist"] = {
        name: {
            "sesuai": schema.boolean(entry, "sesuai"),
            "note": schema.text(entry, "note"),
        }
        for name, entry in (checklist.items() if isinstance(checklist, dict) else ())
        if name in engine.PRINSIP and isinstance(entry, dict)
    }
    with gate.explained():
        # After a decision of the same user that is on its way: what is sent is not typed any more.
        package, row = service.lock(package.id)
        if not comments.turn(row.status, peran.towards(peran.of_user(user.id), package.owner_org)):
            raise tk.ValidationError({"status": [_not_now(row.status, False)]})
        draft = comments.draft_of(package.id, user.id, lock=True)
        draft.form = form
        core.Session.add(draft)
        core.Session.commit()
    return form


# What changed ------------------------------------------------------------------------------------
def _base(package_id: str, row: model.Status, base: str) -> str | None:
    """Hash of the content to compare with; None when there is none."""
    if base == "terbit":
        return core.Session.scalar(
            sa.select(model.Publication.content_hash)
            .where(model.Publication.package_id == (row.revision_of or package_id))
            .order_by(model.Publication.version.desc())
            .limit(1)
        )
    submitted = core.Session.scalars(
        sa.select(model.Event.content_hash)
        .where(model.Event.package_id == package_id, model.Event.event == "ajukan")
        .order_by(model.Event.seq.desc())
        .limit(2)
    ).all()
    # What is being checked is the last submission itself; what is being mended follows it.
    place = 0 if STATUSES[row.status].edits else 1
    return submitted[place] if place < len(submitted) else None


def _sizes(package_id: str) -> dict[str, list[int | None]]:
    """SHA-256 of a file -> rows and columns of its table, as they were at each submission."""
    found: dict[str, list[int | None]] = {}
    for detail in core.Session.scalars(
        sa.select(model.Event.detail).where(
            model.Event.package_id == package_id, model.Event.event == "ajukan"
        )
    ):
        found |= (detail or {}).get("tabel") or {}
    return found


@tk.side_effect_free
@watched
def satudata_diff_show(context: Any, data_dict: dict[str, Any]) -> dict[str, Any]:
    """What changed in a dataset since an earlier content, field by field.

    :param id: id or name of the dataset
    :param base: putaran (the submission before, the default), terbit (the published version), or
        the content hash of a submission
    :returns: base (the hash, null when there is nothing to compare with), count, changed (field ->
        before, after), added (fields of rows and files), removed (block -> place, row), moved
        (blocks in another order), tables (id of a file -> rows and columns, before and after).
        A file's fields begin with `resources/<id>/`.
    """
    package = _dataset(context, data_dict)
    tk.check_access("satudata_diff_show", context, {"id": package.id})
    row = doors.status_of(package.id)
    if row is None:
        raise tk.ObjectNotFound()
    base = schema.text(data_dict, "base", 100) or "putaran"
    known = base if base.startswith("sha256:") else _base(package.id, row, base)
    if base not in ("putaran", "terbit") and not base.startswith("sha256:"):
        raise tk.ValidationError({"base": [tk._("Isi putaran, terbit, atau sidik isi.")]})
    kept = core.Session.get(model.Content, known) if known else None
    if kept is not None and base.startswith("sha256:") and not _of_dataset(package.id, base):
        kept = None
    if kept is None:
        return {"base": None, "count": 0, "changed": {}, "added": [], "removed": {}, "moved": [],
                "tables": {}}  # fmt: skip
    lists, keys = comments.lists(package.type), comments.keys(package.type)
    old = diff.document(kept.content, lists)
    new = diff.document(
        content.as_approved(package.id, row.content_hash)
        if STATUSES[row.status].public
        else content.canonical(package.id),
        lists,
    )
    found = diff.compare(old, new, keys)
    ids = list(
        core.Session.scalars(
            sa.select(core.Resource.id)
            .where(core.Resource.package_id == package.id, core.Resource.state == "active")
            .order_by(core.Resource.position, core.Resource.id)
        )
    )

    def path(place: str) -> str:
        parts = place.split("/")
        if parts[0] == "resources" and len(parts) > 1:
            parts[1] = ids[int(parts[1])]
        return "/".join(parts)

    sizes = _sizes(package.id)
    files = {
        ids[place]: {"before": sizes.get(before["sha256"]), "after": sizes.get(after["sha256"])}
        for name, (before, after) in found.changed.items()
        if (parts := name.split("/"))[0] == "resources" and parts[2:] == ["file"]
        for place in [int(parts[1])]
        if before and after
    }
    return {
        "base": known,
        "count": len(found),
        "changed": {path(p): {"before": b, "after": a} for p, (b, a) in found.changed.items()},
        "added": [path(p) for p in sorted(found.added)],
        "removed": {
            path(p): [{"place": place, "row": _flat(row)} for place, row in rows]
            for p, rows in found.removed.items()
        },
        "moved": [path(p) for p in sorted(found.moved)],
        "tables": files,
    }


def _flat(row: dict[str, Any]) -> dict[str, Any]:
    """A row, or what a file says."""
    return {**row["values"], "file": row["file"]} if "values" in row else row


def _of_dataset(package_id: str, content_hash: str) -> bool:
    """Whether a content was ever that of this dataset: hashes of others tell nothing."""
    return bool(
        core.Session.scalar(
            sa.select(sa.literal(True))
            .where(model.Event.package_id == package_id, model.Event.content_hash == content_hash)
            .limit(1)
        )
    )
