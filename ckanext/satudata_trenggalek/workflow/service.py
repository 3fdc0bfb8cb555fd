"""The one door: lock, check, record, effects, one commit, then the index."""

from __future__ import annotations

import datetime as dt
import hashlib
import logging
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import ckan.model as core
import ckan.plugins.toolkit as tk
import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert

from ckanext.satudata_trenggalek import (
    comments,
    config,
    content,
    gate,
    kegiatan,
    model,
    notices,
    peran,
    schema,
    tables,
)
from ckanext.satudata_trenggalek.statement import Statement
from ckanext.satudata_trenggalek.workflow import engine
from ckanext.satudata_trenggalek.workflow.table import (
    SISTEM,
    STATUSES,
    TRANSITIONS,
    Peran,
    Transition,
)

log = logging.getLogger(__name__)

#: prev_hash of a dataset's first event.
GENESIS = "sha256:" + "0" * 64
#: First key of the PostgreSQL advisory locks on chains that have no status row.
_CHAIN = 0x5D23


def now() -> dt.datetime:
    """The time, in UTC."""
    return dt.datetime.now(dt.timezone.utc)


def actor(user: core.User | None, owner_org: str | None) -> engine.Actor:
    """A user as the engine sees them towards datasets of owner_org; None is the schedule."""
    if user is None:
        return engine.Actor(SISTEM, SISTEM, system=True)
    return engine.Actor(user.id, user.name, peran.towards(peran.of_user(user.id), owner_org))


def shown(package_id: str) -> dict[str, Any]:
    """The dataset as its forms have it, for the portal itself: whole, and not from Solr."""
    return tk.get_action("package_show")(
        {"ignore_auth": True, "use_cache": False, "user": ""}, {"id": package_id}
    )


def blockers(package: core.Package) -> list[dict[str, str]]:
    """What stands between a draft and `ajukan` (Perpres 39/2019 Ps 32-33).

    Returns:
        [{"field", "message"}], message translated; field of the form or `resources/<id>/<field>`.
    """
    dataset = shown(package.id)
    ids = [resource["id"] for resource in dataset["resources"]]
    files = set(
        core.Session.scalars(
            sa.select(model.Pointer.resource_id).where(model.Pointer.resource_id.in_(ids))
        )
    )
    found = list(schema.blockers(dataset, files))
    if not files and takes_files(package.type):
        found.append(
            {"field": "resources", "message": tk._("Unggah paling sedikit satu berkas data.")}
        )
    for resource in dataset["resources"]:
        if resource.get("url") and resource.get("url_type") != "upload":
            # What lies elsewhere can change after it was verified. A file that is not there is
            # missed by the schema.
            message = tk._("“{name}” bukan berkas unggahan. Unggah berkasnya atau hapus tautannya.")
            message = message.format(name=resource.get("name") or resource["url"])
            found.append({"field": f"resources/{resource['id']}/url", "message": message})
    found += tables.blockers(dataset)
    named = kegiatan.of(package)
    if named and kegiatan.find(named, package.owner_org) is None:
        found.append({"field": kegiatan.FIELD, "message": kegiatan.refusal()})
    return found


def klasifikasi(type_: str, stored: str | None) -> str:
    """How open a dataset is; a type that has no such field is terbuka.

    Args:
        type_: of the dataset.
        stored: its field `klasifikasi`.
    """
    known = any(field["field_name"] == "klasifikasi" for field in schema.fields(type_))
    return stored or "" if known else "terbuka"


def takes_files(type_: str) -> bool:
    """Whether datasets of this type have resources."""
    return bool(schema.fields(type_, "resource_fields"))


def content_hash(package_id: str, row: model.Status) -> str:
    """Hash of a dataset's content; a published one keeps the version of its kegiatan."""
    if STATUSES[row.status].public:
        return content.digest(content.as_approved(package_id, row.content_hash))
    return content.digest(content.canonical(package_id))


def waits_for_kegiatan(package: core.Package, held: Collection[Peran] | None = None) -> str:
    """Title of the kegiatan that the dataset points to, unless it is published.

    It may be a draft again: that of another organization is told to nobody, and none to who reads
    no drafts of this one.

    Args:
        package: the dataset.
        held: the peran of who is told; None for the portal itself.
    """
    id_ = kegiatan.of(package)
    found = kegiatan.standing(id_)
    if found and STATUSES[found.status].public:
        return ""
    reads = held is None or {Peran.PRODUSEN_DATA, Peran.WALIDATA}.intersection(held)
    if found and (found.owner_org != package.owner_org or not reads):
        return kegiatan.unseen()
    return found.title or found.name if found else id_ or ""


def facts(
    package: core.Package,
    row: model.Status,
    full: bool = True,
    held: Collection[Peran] | None = None,
) -> engine.Facts:
    """What the engine must know.

    Args:
        package: the dataset.
        row: its status row.
        full: also read the content: hash, blockers and tables.
        held: the peran of who is told a refusal; None for the portal itself.
    """
    status = STATUSES[row.status]
    forwarded = status.name == TRANSITIONS["teruskan_ke_pembina"].target
    return engine.Facts(
        status=row.status,
        state=package.state,
        klasifikasi=klasifikasi(package.type, (package.extras or {}).get("klasifikasi")),
        data_prioritas=row.data_prioritas,
        makers=frozenset(row.makers),
        reviewer=row.reviewer,
        claim_stale=row.package_id in stale_claims([(row, package.owner_org)]),
        content_hash=content_hash(package.id, row) if full else None,
        approved_hash=row.content_hash,
        forwarded_hash=_forwarded(package.id) if full and forwarded else None,
        blockers=tuple(blockers(package)) if full and status.edits else (),
        tables=tuple(tables.blockers({"id": package.id})) if full and not status.edits else (),
        waits_for_kegiatan=waits_for_kegiatan(package, held) if full and not status.edits else "",
    )


def _forwarded(package_id: str) -> str | None:
    """Hash of the content that Walidata last forwarded to the Pembina."""
    event = model.Event
    return core.Session.scalar(
        sa.select(event.content_hash)
        .where(event.package_id == package_id, event.event == "teruskan_ke_pembina")
        .order_by(event.seq.desc())
        .limit(1)
    )


def claim_until(claimed_at: dt.datetime | None) -> dt.datetime | None:
    """Until when a claim is its holder's."""
    return config.kalender().due(claimed_at, config.hari_klaim()) if claimed_at else None


def stale_claims(rows: Collection[tuple[Any, str | None]]) -> set[str]:
    """Which claims others may take over: their time is over, or the holder can't check any more.

    Args:
        rows: status rows (package_id, status, reviewer, claimed_at, makers), each with the
            organization id of its dataset. One query for all of them.

    Returns:
        ids of the datasets.
    """
    held = peran.of_names({row.reviewer for row, _org in rows if row.reviewer})
    stale = set()
    for row, owner_org in rows:
        if not row.reviewer:
            continue
        id_, roles = held.get(row.reviewer, ("", {}))
        until = claim_until(row.claimed_at)
        if (
            STATUSES[row.status].waits_for not in peran.towards(roles, owner_org)
            or id_ in row.makers
            or until is None
            or until < now()
        ):
            stale.add(row.package_id)
    return stale


def record(
    package_id: str,
    actor_name: str,
    event: str,
    at: dt.datetime | None = None,
    **fields: Any,
) -> model.Event:
    """Append an event to the dataset's hash chain. Flushes, does not commit.

    The caller holds the lock of the status row, or `lock_chain`.

    Args:
        package_id: the dataset (or organization) that the chain belongs to.
        actor_name: user name, or `sistem`.
        event: a transition's name, or what else happened.
        at: when; now if None.
        **fields: further columns of model.Event.
    """
    row = next_event(package_id, actor_name, event, at, **fields)
    core.Session.add(row)
    core.Session.flush()
    return row


def lock_chain(id_: str) -> None:
    """Wait for whoever adds to a chain that has no status row: of an organization or a user."""
    core.Session.execute(
        sa.text("SELECT pg_advisory_xact_lock(:lock, hashtext(:id))"), {"lock": _CHAIN, "id": id_}
    )


_events: Any = model.Event.__table__
_LAST = Statement(
    sa.select(_events.c.seq, _events.c.hash)
    .where(_events.c.package_id == sa.bindparam("chain"))
    .order_by(_events.c.seq.desc())
    .limit(1),
    "chain",
)


def next_event(
    package_id: str,
    actor_name: str,
    event: str,
    at: dt.datetime | None = None,
    **fields: Any,
) -> model.Event:
    """The event that `record` appends, not yet in the session."""
    last = _LAST(chain=package_id).one_or_none()
    row = model.Event(
        package_id=package_id,
        seq=last.seq + 1 if last else 1,
        at=at or now(),
        actor=actor_name,
        event=event,
        prev_hash=last.hash if last else GENESIS,
        **fields,
    )
    row.hash = event_hash(row)
    return row


def event_hash(row: model.Event | sa.Row[Any]) -> str:
    """Hash of an event and, through prev_hash, of all before it in its chain."""
    names = (
        "package_id", "seq", "actor", "peran", "event", "from_status", "to_status", "sop_step",
        "note", "public_note", "content_hash", "checklist", "detail", "prev_hash",
    )  # fmt: skip
    body = {name: getattr(row, name) for name in names}
    body["at"] = row.at.astimezone(dt.timezone.utc).isoformat(timespec="microseconds")
    return "sha256:" + hashlib.sha256(content.canonical_json(body)).hexdigest()


def lock(package_id: str) -> tuple[core.Package, model.Status]:
    """The dataset and its status, locked in that order, as the database has them now.

    Raises:
        tk.ObjectNotFound: when it is gone.
    """
    session = core.Session
    package = session.scalars(
        sa.select(core.Package)
        .where(core.Package.id == package_id)
        .with_for_update()
        .execution_options(populate_existing=True)
    ).one_or_none()
    row = session.get(model.Status, package_id, with_for_update=True, populate_existing=True)
    if package is None or row is None:
        raise tk.ObjectNotFound()
    return package, row


# --- effects ----------------------------------------------------------------------------------


def _submit(
    package: core.Package, row: model.Status, event: model.Event, who: engine.Actor
) -> None:
    row.submitted_by, row.submitted_at, row.round = who.name, event.at, row.round + 1
    if who.id not in row.makers:
        row.makers = [*row.makers, who.id]
    row.publish_at = None
    _keep(package, event)
    comments.answer_by_change(package.id, shown, who.name, event.at)


def _sizes(package_id: str) -> dict[str, Any]:
    """SHA-256 of each file with a table -> its rows and columns, for comparing rounds."""
    resource, table = core.resource_table.c, model.Table
    rows = core.Session.execute(
        sa.select(table.sha256, table.rows, table.columns)
        .join(core.resource_table, resource.id == table.resource_id)
        .where(
            resource.package_id == package_id,
            resource.state == "active",
            table.rows.is_not(None),
        )
    )
    found = {row.sha256: [row.rows, row.columns] for row in rows}
    return {"tabel": found} if found else {}


def _keep(package: core.Package, event: model.Event) -> None:
    """Keep what stands behind the content hash of an event.

    Raises:
        tk.ValidationError: something else is kept under the hash.
    """
    body, hash_ = content.canonical(package.id), event.content_hash
    core.Session.execute(
        insert(model.Content).values(content_hash=hash_, content=body).on_conflict_do_nothing()
    )
    query = sa.select(model.Content.content).where(model.Content.content_hash == hash_)
    if core.Session.scalar(query) != body:
        log.error("%s: other content is kept under %s", package.name, hash_)
        message = tk._("Sidik isi ini tercatat untuk isi lain. Hubungi pengelola portal.")
        raise tk.ValidationError({"content_hash": [message]})


def _verify(
    package: core.Package, row: model.Status, event: model.Event, who: engine.Actor
) -> None:
    # The kegiatan may have a version that it had not when this was submitted.
    _keep(package, event)
    row.content_hash = event.content_hash
    row.verified_by, row.verified_at = who.name, event.at


def _unverify(_package: core.Package, row: model.Status, _event: Any, _who: Any) -> None:
    row.content_hash = row.verified_by = row.verified_at = row.publish_at = None


def _publish(package: core.Package, row: model.Status, event: model.Event, _who: Any) -> None:
    row.version, row.published_at, row.publish_at = row.version + 1, event.at, None
    row.round = 0
    files = core.Session.execute(
        sa.select(model.Pointer.resource_id, model.Pointer.sha256, model.Pointer.size)
        .join(core.resource_table, core.resource_table.c.id == model.Pointer.resource_id)
        .where(
            core.resource_table.c.package_id == package.id, core.resource_table.c.state == "active"
        )
        .order_by(core.resource_table.c.position)
    )
    # The trigger looks for the version, too.
    core.Session.flush()
    core.Session.add(
        model.Publication(
            package_id=package.id,
            version=row.version,
            name=package.name,
            content_hash=event.content_hash,
            verified_at=row.verified_at,
            published_at=event.at,
            files=[{"id": f.resource_id, "sha256": f.sha256, "size": f.size} for f in files],
        )
    )
    gate.publish(package)


def _withdraw(package: core.Package, row: model.Status, event: model.Event, _who: Any) -> None:
    publication = core.Session.get(model.Publication, (package.id, row.version))
    if publication:
        publication.withdrawn_at, publication.public_note = event.at, event.public_note
    gate.withdraw(package)


EFFECTS: dict[str, Callable[[core.Package, model.Status, model.Event, engine.Actor], None]] = {
    "submit": _submit,
    "verify": _verify,
    "unverify": _unverify,
    "publish": _publish,
    "withdraw": _withdraw,
}


def transition(
    package_id: str,
    user: core.User | None,
    name: str,
    request: engine.Request,
    publish_at: dt.datetime | None = None,
    given: Sequence[Mapping[str, str]] = (),
) -> None:
    """Make a transition, or raise and leave everything as it was.

    Asking again for what one has just done does nothing: who got no answer, because a connection
    or a process died, repeats the call.

    Args:
        package_id: id of a dataset that the user may see.
        user: who asks; None is the schedule.
        name: of the transition.
        request: notes, hash and checklist as sent.
        publish_at: when the schedule publishes what this approves.
        given: comments that go with it, beside those that the user has gathered.

    Raises:
        tk.NotAuthorized: wrong peran, or a maker checks.
        tk.ValidationError: naming the parameter; also for a lost race.
    """
    with gate.acting(user.id if user else None), gate.explained():
        package, row = lock(package_id)
        kegiatan.lock(kegiatan.of(package))
        who = actor(user, package.owner_org)
        if _made(row, who, name, request, publish_at, given):
            core.Session.rollback()
            # Who asks again got no answer: then perhaps the index was not written either.
            reindex(package_id)
            return
        known = facts(package, row, held=who.peran if user else None)
        with refusals():
            move, as_peran = engine.check(known, who, name, request)
        if move.target == "terbit":
            gate.require_triggers()
            if publish_at:
                if given:
                    message = tk._("Komentar dikirim bersama keputusan pemeriksaan.")
                    raise tk.ValidationError({"comments": [message]})
                event = _schedule(package, row, who, as_peran, known, publish_at, request)
                notices.tell(package, row, event)
                core.Session.commit()
                return
        dataset = shown(package_id) if given else None
        sent = comments.gather(package, row, who, as_peran, dataset, given, known.content_hash)
        event = _make(package, row, known, move, who, as_peran, request, sent)
        if publish_at:
            event = _schedule(package, row, who, as_peran, known, publish_at)
        notices.tell(package, row, event, known.reviewer)
        core.Session.commit()
    log.info("%s: %s by %s, now %s", package.name, name, who.name, move.target)
    reindex(package_id)


def _made(
    row: model.Status,
    who: engine.Actor,
    name: str,
    request: engine.Request,
    publish_at: dt.datetime | None,
    given: Sequence[Mapping[str, str]],
) -> bool:
    """Whether the last that happened to the dataset is what the same person asks for again."""
    if name not in TRANSITIONS:
        return False
    event, status = model.Event, TRANSITIONS[name].target
    of_dataset = sa.select(event).where(event.package_id == row.package_id)
    last, *before = core.Session.scalars(of_dataset.order_by(event.seq.desc()).limit(2)).all() or [
        None
    ]
    if publish_at:
        if last is None or (last.event, row.publish_at) != ("jadwalkan", publish_at):
            return False
        if status == "terbit":
            name, status = "jadwalkan", "terverifikasi"
        else:
            last = before[0] if before else None
    try:
        checklist = engine.parse_checklist(request.checklist)
    except engine.Refused:
        return False
    if (
        last is None
        or last.actor != who.name
        or last.peran not in {held.value for held in who.peran}
        or request.content_hash not in ("", last.content_hash)
    ):
        return False
    sent = comments.bodies((last.detail or {}).get("komentar") or ())
    return (
        (last.event, row.status) == (name, status)
        and (last.note or "", last.public_note or "") == (request.note, request.public_note)
        and (last.checklist or {}) == checklist
        and all(item["body"] in sent for item in given)
    )


@contextmanager
def refusals() -> Iterator[None]:
    """The engine's refusals as CKAN's exceptions, their messages translated.

    Raises:
        tk.NotAuthorized: where the asker may not.
        tk.ValidationError: naming the parameter that must change.
    """
    try:
        yield
    except engine.Refused as error:
        if error.errors:
            errors: dict[str, Any] = {}
            for field, message in error.errors:
                errors.setdefault(field, []).append(message)
            raise tk.ValidationError(errors) from None
        values = {
            key: tk._(value) if key in ("label", "status") else value
            for key, value in error.values.items()
        }
        message = tk._(error.message).format(**values)
        if error.forbidden:
            raise tk.NotAuthorized(message) from None
        raise tk.ValidationError({error.field: [message]}) from None


def claim(package_id: str, user: core.User, note: str = "") -> None:
    """Make the user the one who checks a dataset, or raise and leave everything as it was.

    Args:
        package_id: id of a dataset that the user may see.
        user: who asks.
        note: reason, for taking a stale claim over.

    Raises:
        tk.NotAuthorized: wrong peran, or a maker.
        tk.ValidationError: naming the holder; also for a lost race.
    """
    with gate.explained():
        package, row = lock(package_id)
        who, known = actor(user, package.owner_org), facts(package, row, full=False)
        with refusals():
            event, as_peran = engine.claim(known, who, note)
        if event:
            at, before = now(), row.reviewer
            detail = {"dari": before} if before else None
            told = record(
                package.id, user.name, event, at, peran=as_peran.value, note=note or None,
                detail=detail,
            )  # fmt: skip
            row.reviewer, row.claimed_at = user.name, at
            notices.tell(package, row, told, before)
        core.Session.commit()
    if event:
        log.info("%s: %s by %s", package.name, event, user.name)


def release(package_id: str, user: core.User) -> None:
    """Give a claimed dataset back to the queue.

    Args:
        package_id: id of a dataset that the user may see.
        user: who holds it.

    Raises:
        tk.NotAuthorized: wrong peran.
        tk.ValidationError: when it is not the user's.
    """
    with gate.explained():
        package, row = lock(package_id)
        who, known = actor(user, package.owner_org), facts(package, row, full=False)
        with refusals():
            as_peran = engine.release(known, who)
        record(package.id, user.name, "lepas", peran=as_peran.value)
        row.reviewer = row.claimed_at = None
        core.Session.commit()
    log.info("%s: released by %s", package.name, user.name)


def _make(
    package: core.Package,
    row: model.Status,
    known: engine.Facts,
    move: Transition,
    who: engine.Actor,
    as_peran: Peran | None,
    request: engine.Request,
    sent: Sequence[model.Comment] = (),
) -> model.Event:
    at = now()
    event = record(
        package.id,
        who.name,
        move.name,
        at,
        peran=as_peran.value if as_peran else SISTEM,
        from_status=row.status,
        to_status=move.target,
        sop_step=move.sop_step,
        note=request.note or None,
        public_note=request.public_note or None,
        content_hash=known.content_hash,
        checklist=engine.parse_checklist(request.checklist) or None,
        detail={
            "putaran": row.round + ("submit" in move.effects),
            **_waited(row, at),
            **(_sizes(package.id) if "submit" in move.effects else {}),
            **comments.told(sent),
        },
    )
    comments.send(sent, who, at)
    if comments.turn(row.status, who.peran):
        comments.clear(package.id, who.id)
    row.status, row.since, row.reviewer, row.claimed_at = move.target, at, None, None
    row.publish_error = row.publish_tried_at = None
    for effect in move.effects:
        EFFECTS[effect](package, row, event, who)
    set_clock(package, row)
    core.Session.flush()
    return event


def late(row: model.Status | sa.Row[Any], at: dt.datetime) -> bool:
    """Whether a deadline was missed; what the schedule keeps is late once it could not."""
    return bool(row.due_at and row.due_at < at and (not row.publish_at or row.publish_error))


def _waited(row: model.Status, at: dt.datetime) -> dict[str, Any]:
    """What an event keeps of the wait that it ends, so that each side's time can be reported."""
    return {
        "sejak": row.since.astimezone(dt.timezone.utc).isoformat(),
        "tenggat": row.due_at.astimezone(dt.timezone.utc).isoformat() if row.due_at else None,
        "terlambat": late(row, at) if row.due_at else None,
        "pemeriksa": row.reviewer,
    }


def set_clock(package: core.Package, row: model.Status) -> None:
    """Start the deadline of the status in which a dataset arrived, or none."""
    status = STATUSES[row.status]
    days = getattr(config, status.setting)() if status.setting else status.days
    runs = engine.clock_runs(facts(package, row, full=False))
    row.due_at = config.kalender().due(row.since, days) if runs and days else None


#: What a schedule says that comes with a decision, whose event has the words.
_NOTHING = engine.Request()


def _schedule(
    package: core.Package,
    row: model.Status,
    who: engine.Actor,
    as_peran: Peran | None,
    known: engine.Facts,
    publish_at: dt.datetime,
    request: engine.Request = _NOTHING,
) -> model.Event:
    if row.status != "terverifikasi" or not known.klasifikasi == "terbuka":
        raise tk.ValidationError(
            {"publish_at": [tk._("Jadwal terbit hanya untuk data Terbuka yang disetujui.")]}
        )
    row.publish_at = row.due_at = publish_at
    row.publish_error = row.publish_tried_at = None
    return record(
        package.id,
        who.name,
        "jadwalkan",
        peran=as_peran.value if as_peran else SISTEM,
        note=request.note or None,
        public_note=request.public_note or None,
        checklist=engine.parse_checklist(request.checklist) or None,
        content_hash=known.content_hash,
        detail={"publish_at": publish_at.isoformat()},
    )


def reindex(package_id: str) -> None:
    """Write the committed dataset to Solr; what is missed here, reconcile repairs."""
    try:
        gate.index(package_id)
    except Exception:
        # The decision stands; search results are checked against the database at reading.
        log.exception("%s: not indexed; `ckan satudata reconcile --fix` repairs it", package_id)


#: How long the schedule leaves alone what it could not publish.
RETRY = dt.timedelta(hours=1)


def publish_due() -> list[str]:
    """Publish what is scheduled for now or earlier, each in its own transaction.

    Two runners at once publish each dataset once: the second finds the row locked and leaves it.
    What is refused keeps its schedule, is shown as late in the queue with the reason, and is tried
    again after RETRY; an event and a warning tell it when the reason is new.

    Returns:
        names of what was published.
    """
    return [name for package_id, name in _due() if _publish_scheduled(package_id, name)]


def _is_due() -> sa.ColumnElement[bool]:
    row = model.Status
    return sa.and_(
        row.publish_at <= now(),
        row.status == "terverifikasi",
        sa.or_(row.publish_tried_at.is_(None), row.publish_tried_at <= now() - RETRY),
    )


def _due() -> list[tuple[str, str]]:
    found = core.Session.execute(
        sa.select(model.Status.package_id, core.Package.name)
        .join(core.Package, core.Package.id == model.Status.package_id)
        .where(_is_due())
        .order_by(model.Status.publish_at, model.Status.package_id)
    )
    due = [(row.package_id, row.name) for row in found]
    core.Session.rollback()
    return due


def _still_due(package_id: str) -> bool:
    """Lock a dataset that is due, in the order of `lock`; another runner's is not waited for."""
    package = core.Session.scalar(
        sa.select(core.Package.id)
        .where(core.Package.id == package_id)
        .with_for_update(skip_locked=True)
    )
    at = package and core.Session.scalar(
        sa.select(model.Status.publish_at)
        .where(model.Status.package_id == package_id, _is_due())
        .with_for_update()
    )
    if at and at != scheduled(core.Session.scalar(scheduling(package_id))):
        log.error("%s: due at a time that no event scheduled, not published", package_id)
        return False
    return bool(at)


def scheduling(package_id: Any = model.Status.package_id) -> sa.Select[Any]:
    """Detail of the last event that can say when a dataset is published in its present status.

    Args:
        package_id: id, or where the question is part of another one about status rows.
    """
    event = model.Event
    return (
        sa.select(event.detail)
        .where(
            event.package_id == package_id,
            sa.or_(event.event == "jadwalkan", event.to_status.is_not(None)),
        )
        .order_by(event.seq.desc())
        .limit(1)
    )


def scheduled(detail: Any) -> dt.datetime | None:
    """When a dataset is to be published by what `scheduling` gave; None when by nothing."""
    try:
        at = dt.datetime.fromisoformat(detail["publish_at"])
    except (KeyError, TypeError, ValueError):
        return None
    return at if at.tzinfo else None


def _publish_scheduled(package_id: str, name: str) -> bool:
    try:
        if not _still_due(package_id):
            core.Session.rollback()
            return False
        transition(package_id, None, "terbitkan", engine.Request())
        return True
    except (tk.ValidationError, tk.NotAuthorized, tk.ObjectNotFound) as error:
        core.Session.rollback()
        reason = next(iter(getattr(error, "error_dict", None) or {"": ""}))
        _keep_refusal(package_id, name, reason.split("/")[0] or "transition", str(error))
    except Exception:
        # Whatever one dataset meets, the others are published.
        core.Session.rollback()
        log.exception("%s: scheduled, not published", name)
        _keep_refusal(package_id, name, "galat", "")
    return False


def _keep_refusal(package_id: str, name: str, reason: str, told: str) -> None:
    """Remember why the schedule did not publish; told once for each reason."""
    if not _still_due(package_id):
        core.Session.rollback()
        return
    package, row = lock(package_id)
    if row.publish_error != reason:
        if told:
            log.warning("%s: scheduled, not published: %s", name, told)
        event = record(package_id, SISTEM, "jadwal_gagal", peran=SISTEM, detail={"sebab": reason})
        notices.tell(package, row, event)
    row.publish_error, row.publish_tried_at = reason, now()
    core.Session.commit()
