"""Who is told of what happens to a dataset: in the portal, and by mail as each one chose.

A notice is written in the transaction of what it tells (`tell`), one row a person, and holds no
text: what it says is made when it is shown or sent (mailing.py), for who may read it then.

Told are the Produsen who work on the dataset, and the desk when its turn comes, ends, or nears its
deadline; never who did it. A deadline is the desk's alone (authors are not shown a late reviewer).
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, cast

import ckan.model as core
import ckan.plugins.toolkit as tk
import sqlalchemy as sa
from ckan.lib.plugins import get_permission_labels
from ckan.logic.validators import email_pattern
from sqlalchemy.dialects.postgresql import insert

from ckanext.satudata_trenggalek import config, doors, model, peran, reading
from ckanext.satudata_trenggalek.workflow.calendar import WIB
from ckanext.satudata_trenggalek.workflow.table import (
    N_,
    SISTEM,
    STATUSES,
    TRANSITIONS,
    Peran,
)

#: Reminders of a deadline, and the claim that went to somebody else: kinds for the desk alone.
SEGERA, LEWAT, AMBIL_ALIH, JADWAL_GAGAL = "segera", "lewat", "ambil_alih", "jadwal_gagal"
REMINDERS = (SEGERA, LEWAT)
OF_DESK = (*REMINDERS, AMBIL_ALIH, JADWAL_GAGAL)

#: Kind -> what it says first, also as the subject of a mail. Events by their own names.
LABELS: dict[str, str] = {
    "ajukan": N_("Diajukan untuk diperiksa"),
    "batalkan": N_("Pengajuan dibatalkan"),
    "kembalikan": N_("Perlu diperbaiki"),
    "setujui": N_("Disetujui Walidata"),
    "teruskan_ke_pembina": N_("Diteruskan ke Pembina Data"),
    "setujui_pembina": N_("Disetujui Pembina Data"),
    "tolak_pembina": N_("Ditolak Pembina Data"),
    "batalkan_pembina": N_("Ditarik dari Pembina Data"),
    "jadwalkan": N_("Dijadwalkan terbit"),
    "terbitkan": N_("Terbit"),
    "tarik": N_("Ditarik dari publik"),
    "buka_kembali": N_("Dibuka kembali sebagai draf"),
    AMBIL_ALIH: N_("Pemeriksaan diambil alih"),
    JADWAL_GAGAL: N_("Gagal terbit sesuai jadwal"),
    SEGERA: N_("Segera jatuh tempo"),
    LEWAT: N_("Lewat tenggat"),
}

#: How a user wants mail: each at once, one a day, none. The portal itself tells all of them.
LANGSUNG, HARIAN, TANPA = "langsung", "harian", "tanpa"
MODES = (LANGSUNG, HARIAN, TANPA)

#: See `unmailed`.
_UNMAILED = ContextVar("satudata_unmailed", default=False)

#: Sides that check; the others who have a turn are the Produsen.
_DESKS = frozenset({Peran.WALIDATA, Peran.PEMBINA_DATA})
#: From this reminder of a missed deadline on, the holder's colleagues are reminded too.
_ESCALATES = 2


def now() -> dt.datetime:
    """The time, in UTC."""
    return dt.datetime.now(dt.timezone.utc)


# Who ---------------------------------------------------------------------------------------------
def _officers(*, holding: Peran | None = None, organization: str | None = None) -> dict[str, str]:
    """Id -> name of the active editors and admins of an organization, or of who holds a peran."""
    user, member, group = core.user_table.c, core.member_table.c, core.group_table.c
    query = (
        sa.select(user.id, user.name)
        .join(core.member_table, member.table_id == user.id)
        .join(core.group_table, group.id == member.group_id)
        .where(
            member.table_name == "user",
            member.state == "active",
            member.capacity.in_(("editor", "admin")),
            group.is_organization,
            group.state == "active",
            user.state == "active",
        )
    )
    if holding:
        held = model.OrganizationPeran
        query = query.join(held, held.organization_id == group.id).where(
            held.peran.contains([holding.value])
        )
    else:
        query = query.where(group.id == organization)
    return {row.id: row.name for row in core.Session.execute(query)}


def _desk(
    officers: dict[str, str], status: str, makers: Collection[str], holder: str | None = None
) -> set[str]:
    """Ids of who acts on a dataset in a status: the holder of the claim, else the whole desk.

    Args:
        officers: id -> name of who holds the peran.
        status: of the dataset.
        makers: ids of its makers, who never check it.
        holder: name of the user who claimed it.
    """
    able = {
        id_: name
        for id_, name in officers.items()
        if STATUSES[status].stage != 2 or id_ not in makers
    }
    return {id_ for id_, name in able.items() if name == holder} or set(able)


def _produsen(package: core.Package, row: model.Status) -> set[str]:
    """Ids of the Produsen who work on a dataset, else of all who could."""
    if Peran.PRODUSEN_DATA not in peran.of_organization(package.owner_org):
        return set()
    officers = _officers(organization=package.owner_org)
    working = {
        id_ for id_, name in officers.items() if id_ in row.makers or name == row.submitted_by
    }
    return working or set(officers)


def tell(
    package: core.Package, row: model.Status, event: model.Event, holder: str | None = None
) -> None:
    """Queue the notices of an event. Part of its transaction: flushes, does not commit.

    Args:
        package: the dataset.
        row: its status, as the event left it.
        event: a transition, or one of LABELS; of others nobody is told.
        holder: name of the user who had claimed it until then.
    """
    if event.event not in LABELS:
        return
    if event.event not in OF_DESK:
        # What the last status asked of the desk is done; the counter tells what is not.
        notice = model.Notice
        core.Session.execute(
            sa.update(notice)
            .where(
                notice.package_id == package.id,
                notice.waits_since.is_not(None),
                notice.read_at.is_(None),
            )
            .values(read_at=now())
        )
    news: set[str] = set()
    turn: set[str] = set()
    if event.event == AMBIL_ALIH:
        former = core.User.get(holder)
        news = {former.id} if former and former.state == "active" else set()
    else:
        if event.event not in OF_DESK:
            news = _produsen(package, row)
        # The side that acts knows; what it takes from or gives to another, that one is told.
        sides = {
            name: STATUSES[name].waits_for
            for name in (event.from_status, row.status)
            if name and STATUSES[name].waits_for in _DESKS
            and STATUSES[name].waits_for != event.peran
        }  # fmt: skip
        if side := sides.get(row.status):
            turn = _desk(_officers(holding=side), row.status, row.makers)
        before = event.from_status or ""
        if (side := sides.get(before)) and side is not sides.get(row.status):
            news |= _desk(_officers(holding=side), before, row.makers, holder)
    actor = core.User.get(event.actor) if event.actor != SISTEM else None
    _queue(
        package.id,
        event.event,
        f"{package.id}:{event.seq}",
        {
            id_: row.since if id_ in turn else None
            for id_ in news | turn
            if actor is None or id_ != actor.id
        },
        event.seq,
    )


def _queue(
    package_id: str,
    kind: str,
    key: str,
    waits: dict[str, dt.datetime | None],
    event_seq: int | None = None,
) -> int:
    """One row a person, unless told already.

    Args:
        waits: user id -> when the status began that waits for them, None for news.

    Returns:
        how many were not told already.
    """
    if not waits:
        return 0
    at = now()
    modes = {id_: mode for id_, (mode, _lang) in choices(waits).items()}
    statement = insert(model.Notice).values(
        [
            {
                "user_id": id_,
                "package_id": package_id,
                "kind": kind,
                "key": key,
                "event_seq": event_seq,
                "waits_since": since,
                "queued_at": at,
                "mail": TANPA if modes[id_] == TANPA or _UNMAILED.get() else "antre",
                "next_at": next_mail(modes[id_], at),
            }
            for id_, since in sorted(waits.items())
        ]
    )
    statement = statement.on_conflict_do_nothing(constraint="satudata_outbox_once")
    return len(core.Session.execute(statement.returning(model.Notice.id)).all())


def next_mail(mode: str, at: dt.datetime) -> dt.datetime:
    """When a notice of that moment is mailed: at once, or at the next hour of the digest."""
    if mode != HARIAN:
        return at
    local = at.astimezone(WIB)
    hour = local.replace(hour=config.jam_ringkasan(), minute=0, second=0, microsecond=0)
    return hour if hour > local else hour + dt.timedelta(days=1)


# Reminders ---------------------------------------------------------------------------------------
def remind() -> int:
    """Queue reminders of deadlines that are near or missed; run it on each day, or more often.

    On days without work nobody is reminded. Before the deadline the holder is, else the desk; after
    it, every `ingatkan_selang` working days and `ingatkan_maks` times, all who may act; from the
    second time on the holder's colleagues too.

    Returns:
        how many notices were queued. Commits.
    """
    at, days = now(), config.kalender()
    if not days.works(at.astimezone(WIB).date()):
        return 0
    row, package = model.Status, core.package_table.c
    found = core.Session.execute(
        sa.select(row.package_id, row.status, row.since, row.due_at, row.reviewer, row.makers)
        .join(core.package_table, package.id == row.package_id)
        .where(
            row.due_at.is_not(None),
            sa.or_(row.publish_at.is_(None), row.publish_error.is_not(None)),
            package.state == "active",
        )
        .order_by(row.due_at)
    ).all()
    officers = {side: _officers(holding=side) for side in _DESKS}
    queued = 0
    for item in found:
        side = STATUSES[item.status].waits_for
        if side is None or side not in _DESKS:
            continue
        key = f"{item.package_id}:{item.since.isoformat()}"
        if at <= item.due_at:
            # How many working days begin until the deadline's.
            if days.days_late(at, item.due_at) > config.ingatkan_sebelum():
                continue
            kind, key, acting, holder = SEGERA, f"{key}:{SEGERA}", {side}, item.reviewer
        else:
            late = days.days_late(item.due_at, at, 10_000)
            time = (late - 1) // config.ingatkan_selang() + 1
            if late < 1 or time > config.ingatkan_maks():
                continue
            holder = item.reviewer if time < _ESCALATES else None
            kind, key, acting = LEWAT, f"{key}:{LEWAT}:{time}", _acting(item.status)
        people = {
            id_ for act in acting for id_ in _desk(officers[act], item.status, item.makers, holder)
        }
        queued += _queue(item.package_id, kind, key, dict.fromkeys(people, item.since))
    core.Session.commit()
    return queued


def _acting(status: str) -> set[Peran]:
    """The sides of the desk that may move a dataset on from this status."""
    return {
        side
        for move in TRANSITIONS.values()
        if status in move.sources
        for side in move.peran
        if side in _DESKS
    }


# Choice ------------------------------------------------------------------------------------------
def choices(user_ids: Collection[str]) -> dict[str, tuple[str, str]]:
    """User id -> mode and language, as chosen or by default."""
    chosen = model.NoticeChoice
    found = {
        row.user_id: (row.mode, row.lang)
        for row in core.Session.execute(
            sa.select(chosen.user_id, chosen.mode, chosen.lang).where(chosen.user_id.in_(user_ids))
        )
    }
    default = (LANGSUNG, tk.config["ckan.locale_default"])
    return {id_: found.get(id_, default) for id_ in user_ids}


def languages() -> tuple[str, ...]:
    """Languages that mail is written in: those of the portal."""
    return tuple(cast("list[str]", tk.config["ckan.locales_offered"]))


def choose(user_id: str, mode: str, lang: str) -> None:
    """Keep a user's choice; what waits to be mailed follows it. Commits."""
    values = {"mode": mode, "lang": lang}
    core.Session.execute(
        insert(model.NoticeChoice)
        .values(user_id=user_id, **values)
        .on_conflict_do_update(index_elements=["user_id"], set_=values)
    )
    waiting = sa.update(model.Notice).where(
        model.Notice.user_id == user_id, model.Notice.mail == "antre"
    )
    if mode == TANPA:
        core.Session.execute(waiting.values(mail=TANPA))
    else:
        # What a mail server made wait goes on waiting.
        waiting = waiting.where(model.Notice.tries == 0)
        core.Session.execute(waiting.values(next_at=next_mail(mode, now())))
    core.Session.commit()


def address(user: core.User) -> str:
    """The address that mail reaches a user at; empty when there is none or it can't be right."""
    told = (user.email or "").strip()
    return told if told.isascii() and email_pattern.match(told) else ""


# Reading -----------------------------------------------------------------------------------------
def unread(user_id: str, most: int = 100) -> int:
    """How many notices a user has not read, counted up to `most`."""
    notice = model.Notice
    some = sa.select(notice.id).where(notice.user_id == user_id, notice.read_at.is_(None))
    some = some.limit(most).subquery()
    return core.Session.scalar(sa.select(sa.func.count()).select_from(some)) or 0


def find(user_id: str, limit: int, offset: int, only_unread: bool) -> tuple[int, list[Any]]:
    """How many notices a user has, and a page of them, newest first."""
    notice = model.Notice
    base = sa.select(notice).where(notice.user_id == user_id)
    if only_unread:
        base = base.where(notice.read_at.is_(None))
    count = core.Session.scalar(sa.select(sa.func.count()).select_from(base.subquery()))
    rows = core.Session.scalars(base.order_by(notice.id.desc()).limit(limit).offset(offset)).all()
    return count or 0, list(rows)


def get(id_: str) -> model.Notice | None:
    """A notice by its id as an address has it, whoever it tells."""
    known = id_.isascii() and id_.isdigit() and len(id_) < 19  # PostgreSQL's bigint
    return core.Session.get(model.Notice, int(id_)) if known else None


def mark_read(user_id: str, ids: Collection[int] | None = None) -> None:
    """Mark notices of a user as read: these, or all. Commits."""
    notice = model.Notice
    statement = sa.update(notice).where(notice.user_id == user_id, notice.read_at.is_(None))
    if ids is not None:
        statement = statement.where(notice.id.in_(ids))
    core.Session.execute(statement.values(read_at=now()))
    core.Session.commit()


def readable(user: core.User, package_ids: Iterable[str]) -> dict[str, core.Package]:
    """Those of the datasets whose notices a user may read now.

    They may read the dataset (permission labels) and its workflow (satudata_status_show).
    """
    package = core.Package
    packages = core.Session.scalars(
        sa.select(package).where(package.id.in_(set(package_ids)), package.state != "deleted")
    ).all()
    if user.sysadmin:
        return {item.id: item for item in packages}
    held = peran.of_user(user.id)
    mine = set(get_permission_labels().get_user_dataset_labels(user))
    labels = reading.labels(packages)
    row = model.Status
    known = {
        found.package_id: found
        for found in core.Session.execute(
            sa.select(row.package_id, row.of_pembina).where(row.package_id.in_(labels))
        )
    }
    return {
        item.id: item
        for item in packages
        if doors.may_follow(peran.towards(held, item.owner_org), known.get(item.id))
        and mine.intersection(labels[item.id])
    }


def described(user: core.User, rows: Collection[Any]) -> list[dict[str, Any]]:
    """Notices as a user may read them now; a constant number of queries.

    Returns:
        for each row id, kind, label, read, at, mail; and `dataset` (id, name, title, type,
        organization_title; None when the user may no longer see it), and with it what happened:
        `text`, actor, peran, note, comments, due_at, stale (it waits for the user no longer).
    """
    packages = readable(user, {row.package_id for row in rows})
    events = _events([row for row in rows if row.package_id in packages])
    statuses = {
        row.package_id: row
        for row in core.Session.scalars(
            sa.select(model.Status)
            .where(model.Status.package_id.in_(packages))
            .execution_options(populate_existing=True)
        )
    }
    group = core.group_table.c
    titles = {
        row.id: row.title
        for row in core.Session.execute(
            sa.select(group.id, group.title).where(
                group.id.in_({package.owner_org for package in packages.values()})
            )
        )
    }
    return [
        _describe(
            user,
            row,
            packages.get(row.package_id),
            statuses.get(row.package_id),
            events.get((row.package_id, row.event_seq)),
            titles,
        )
        for row in rows
    ]


def _events(rows: Collection[Any]) -> dict[tuple[str, int | None], model.Event]:
    keys = {(row.package_id, row.event_seq) for row in rows if row.event_seq is not None}
    found = core.Session.scalars(
        sa.select(model.Event).where(sa.tuple_(model.Event.package_id, model.Event.seq).in_(keys))
    )
    return {(event.package_id, event.seq): event for event in found}


def _describe(
    user: core.User,
    row: model.Notice,
    package: core.Package | None,
    status: model.Status | None,
    event: model.Event | None,
    titles: dict[str, str],
) -> dict[str, Any]:
    item: dict[str, Any] = {
        "id": row.id,
        "kind": row.kind,
        "label": tk._(LABELS[row.kind]),
        "at": row.queued_at.isoformat(),
        "read": row.read_at is not None,
        "mail": row.mail,
        "dataset": None,
    }
    if package is None or status is None:
        return item
    organization = titles.get(package.owner_org or "", "")
    item["dataset"] = {
        "id": package.id,
        "name": package.name,
        "title": package.title or package.name,
        "type": package.type,
        "organization_title": organization,
    }
    waits = row.waits_since is not None
    item["waits"] = waits
    item["stale"] = waits and (
        status.since != row.waits_since
        or (row.kind not in REMINDERS and status.reviewer not in (None, user.name))
        or (row.kind == SEGERA and status.due_at is not None and status.due_at < now())
    )
    item["due_at"] = (
        status.due_at.isoformat() if waits and status.due_at and not item["stale"] else None
    )
    if event:
        told = {"event": event.event, "detail": event.detail}
        item |= {
            "text": tk.h.satudata_kalimat(
                told, {"organization_title": organization, "type": package.type}
            ),
            "actor": event.actor,
            "peran": event.peran,
            "note": event.note or "",
            "comments": len((event.detail or {}).get("komentar") or ()),
        }
    elif row.kind == LEWAT:
        item["text"] = tk.h.satudata_lewat(status.due_at)
    else:
        due = tk.h.satudata_tenggat(status.due_at)
        item["text"] = due[:1].upper() + due[1:]
    return item


def of_dataset(package_id: str, desk: bool) -> list[dict[str, Any]]:
    """Who was told of a dataset, for its history, oldest first.

    Args:
        package_id: of the dataset.
        desk: whether the reader checks; Produsen are not shown the reminders of others.

    Returns:
        for each notice: event (seq; None for a reminder), kind, label, user (name), queued_at,
        mail (as model.Notice.mail), mailed_at.
    """
    notice, user = model.Notice, core.user_table.c
    query = (
        sa.select(notice, user.name)
        .outerjoin(core.user_table, user.id == notice.user_id)
        .where(notice.package_id == package_id)
        .order_by(notice.id)
    )
    if not desk:
        query = query.where(notice.kind.not_in(OF_DESK))
    return [
        {
            "event": row.event_seq,
            "kind": row.kind,
            "label": tk._(LABELS[row.kind]),
            "user": name,
            "queued_at": row.queued_at.isoformat(),
            "mail": row.mail,
            "mailed_at": row.mailed_at.isoformat() if row.mailed_at else None,
        }
        for row, name in core.Session.execute(query)
    ]


@contextmanager
def unmailed() -> Iterator[None]:
    """Notices queued herein have no mail, and those of a turn that passed are read at the end.

    For the demo, whose years of work are made within a minute. Does not commit.
    """
    token = _UNMAILED.set(True)
    try:
        yield
    finally:
        _UNMAILED.reset(token)
    notice, row = model.Notice, model.Status
    waiting = sa.exists().where(
        row.package_id == notice.package_id, row.since == notice.waits_since
    )
    core.Session.execute(sa.update(notice).where(~waiting).values(read_at=now()))
