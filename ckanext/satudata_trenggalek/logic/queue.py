"""The queue: what waits, for whom, until when. Its cost does not grow with what waits."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import ckan.model as core
import ckan.plugins.toolkit as tk
import sqlalchemy as sa

from ckanext.satudata_trenggalek import model, peran
from ckanext.satudata_trenggalek.doors import may_follow
from ckanext.satudata_trenggalek.logic import schema
from ckanext.satudata_trenggalek.logic.common import iso, user_of
from ckanext.satudata_trenggalek.workflow import engine, service
from ckanext.satudata_trenggalek.workflow.calendar import WIB
from ckanext.satudata_trenggalek.workflow.table import (
    CLAIMABLE,
    EDITABLE,
    STATUSES,
    TRANSITIONS,
    Peran,
)

#: Statuses in which a dataset waits for somebody.
OPEN = tuple(s.name for s in STATUSES.values() if s.waits_for)
_READY = TRANSITIONS["terbitkan"].sources
#: Counting ends one further, which reads as "more than that".
MOST = 1000

_package, _organization, _row = core.package_table.c, core.group_table.c, model.Status
#: The schedule keeps its deadline itself, unless it could not (service.late).
_UNKEPT = sa.or_(_row.publish_at.is_(None), _row.publish_error.is_not(None))


@dataclass
class _Query:
    """Conditions of a question, those that need the row of the dataset itself apart.

    What waits for a check is never deleted (the triggers refuse it), so that without such
    conditions the status rows and their indexes are enough to count.
    """

    of_status: list[sa.ColumnElement[bool]]
    of_package: list[sa.ColumnElement[bool]]

    def joined(self, *more: sa.ColumnElement[bool]) -> sa.Select[Any]:
        """All of it, datasets beside their status."""
        pair = sa.join(core.package_table, _row, _row.package_id == _package.id)
        return (
            sa.select(sa.literal(1))
            .select_from(pair)
            .where(_package.state != "deleted", *self.of_status, *self.of_package, *more)
        )


def _followed(
    user: core.User, held: dict[str, frozenset[Peran]]
) -> tuple[sa.ColumnElement[bool], bool] | None:
    """Which rows the user reads whole (doors.may_follow), and whether it takes the dataset to tell.

    Returns:
        None when it is all of them.
    """
    everything = {name for group in held.values() for name in group}
    if user.sysadmin or Peran.WALIDATA in everything:
        return None
    priority: Any = _row.of_pembina if Peran.PEMBINA_DATA in everything else sa.false()
    own = [org for org, group in held.items() if Peran.PRODUSEN_DATA in group]
    return (sa.or_(_package.owner_org.in_(own), priority), True) if own else (priority, False)


#: Parameters that ask for what Forum is not told of a row.
_WHOLE = ("kategori", "reviewer", "data_prioritas", "overdue", "clock")


def _filters(asked: _Query, data: dict[str, Any], user: core.User) -> None:
    """What every count respects, too."""
    if q := schema.text(data, "q", 200):
        asked.of_package += [_package.title.icontains(w, autoescape=True) for w in q.split()]
    if type_ := schema.text(data, "type", 100):
        asked.of_package.append(_package.type == type_)
    if kategori := schema.text(data, "kategori", 100):
        asked.of_package.append(_package.extras["kategori"].astext == kategori)
    if (priority := schema.boolean(data, "data_prioritas")) is not None:
        asked.of_status.append(_row.data_prioritas.is_(priority))
    if reviewer := schema.text(data, "reviewer", 100):
        asked.of_status.append(
            _row.reviewer.is_(None)
            if reviewer == "none"
            else _row.reviewer == (user.name if reviewer == "me" else reviewer)
        )
    if (runs := schema.boolean(data, "clock")) is not None:
        asked.of_status.append(_row.due_at.is_not(None) if runs else _row.due_at.is_(None))


@tk.side_effect_free
def satudata_queue_list(context: Any, data_dict: dict[str, Any]) -> dict[str, Any]:
    """Datasets that the caller has to do with: Produsen their own, Walidata all, Pembina Data
    Prioritas, Forum the bare list; sysadmins all.

    Counts end at 1001, which means more than 1000.

    :param status: names of statuses; without it all in which a dataset waits for somebody
    :param organization: ids or names
    :param kategori: code of a kategori (schemas/vocab/kategori.yaml)
    :param type: dataset type
    :param reviewer: me, none or a user name
    :param data_prioritas: true or false
    :param overdue: true for those past their deadline
    :param clock: true for those whose deadline counts
    :param q: words of the title
    :param sort: due, submitted or title
    :param limit: 0 to 100, 20 by default
    :param offset: rows to skip
    :returns: count, facets (status, organization, overdue, today, mine, ready), results
    """
    tk.check_access("satudata_queue_list", context, data_dict)
    user = user_of(context)
    limit = schema.number(data_dict, "limit", 20, schema.MAX_LIMIT)
    offset = schema.number(data_dict, "offset", 0)
    sort = schema.choice(data_dict, "sort", ("due", "submitted", "title"), "due")
    overdue = schema.boolean(data_dict, "overdue")
    held = peran.of_user(user.id)

    asked = _Query([], [])
    followed = _followed(user, held)
    if followed and (
        not any(Peran.FORUM_SATU_DATA in group for group in held.values())
        or any(data_dict.get(name) not in (None, "") for name in _WHOLE)
    ):
        # Else Forum would count out, by asking, what it is not told.
        (asked.of_package if followed[1] else asked.of_status).append(followed[0])
        followed = None
    _filters(asked, data_dict, user)
    wanted = schema.statuses(data_dict) or list(OPEN)
    names = schema.names(data_dict, "organization")
    groups = {group.id for group in map(core.Group.get, names) if group}
    orgs = groups if names else None

    now = service.now()
    midnight = dt.datetime.combine(now.astimezone(WIB) + dt.timedelta(days=1), dt.time(), WIB)
    late = sa.func.coalesce(sa.and_(_row.due_at < now, _UNKEPT), False)
    selected: list[sa.ColumnElement[bool]] = [_row.status.in_(wanted)]
    if overdue is not None:
        selected.append(sa.and_(_row.due_at < now, _UNKEPT) if overdue else sa.not_(late))
    facets: dict[str, sa.ColumnElement[bool]] = {
        "overdue": sa.and_(_row.status.in_(OPEN), _row.due_at < now, _UNKEPT),
        "today": sa.and_(_row.status.in_(OPEN), _row.due_at >= now, _row.due_at < midnight),
        "mine": sa.and_(_row.status.in_(CLAIMABLE), _row.reviewer == user.name),
        "ready": sa.and_(_row.status.in_(_READY), _row.due_at.is_not(None)),
    }
    if followed:
        facets = {name: sa.and_(followed[0], condition) for name, condition in facets.items()}
    if asked.of_package or orgs is not None or (followed and followed[1]):
        count, told = _counted(asked, facets, sa.and_(*selected), orgs)
    else:
        count, told = _capped(asked, facets, sa.and_(*selected), wanted)
    by_org = [] if orgs is None else [_package.owner_org.in_(orgs)]
    seen = followed[0] if followed else None
    page = asked.joined(*selected, *by_org)
    results = _rows(page, sort, limit, offset, late, seen) if limit else []
    return {"count": count, "facets": told, "results": _told(results, user, held)}


def _capped(
    asked: _Query,
    facets: dict[str, sa.ColumnElement[bool]],
    selected: sa.ColumnElement[bool],
    wanted: list[str],
) -> tuple[int, dict[str, Any]]:
    """Counts that end at MOST + 1, read from the indexes of the status rows."""

    def capped(condition: sa.ColumnElement[bool], deletable: bool = False) -> Any:
        some = sa.select(sa.literal(1)).select_from(_row).where(*asked.of_status, condition)
        if deletable:
            some = asked.joined(condition)
        rows = some.limit(MOST + 1).subquery()
        return sa.select(sa.func.count()).select_from(rows).scalar_subquery()

    counts = (
        core.Session.execute(
            sa.select(
                capped(selected, bool({*wanted} & {*EDITABLE})).label("count"),
                *(capped(condition).label(name) for name, condition in facets.items()),
                *(capped(_row.status == name, name in EDITABLE).label(name) for name in STATUSES),
            )
        )
        .one()
        ._mapping
    )
    organizations: dict[str, int] | None = None
    if counts["count"] <= MOST:
        organizations = {
            row.owner_org: row.n
            for row in core.Session.execute(
                asked.joined(selected)
                .with_only_columns(_package.owner_org, sa.func.count().label("n"))
                .group_by(_package.owner_org)
            )
        }
    return counts["count"], {
        "status": {name: counts[name] for name in STATUSES if counts[name]},
        "organization": _organizations(organizations),
        **{name: counts[name] for name in facets},
    }


def _counted(
    asked: _Query,
    facets: dict[str, sa.ColumnElement[bool]],
    selected: sa.ColumnElement[bool],
    orgs: set[str] | None,
) -> tuple[int, dict[str, Any]]:
    """The same counts where datasets must be looked at: all in one walk over them."""
    columns = {name: sa.func.coalesce(c, False) for name, c in {**facets, "": selected}.items()}
    groups = core.Session.execute(
        asked.joined()
        .with_only_columns(
            _package.owner_org,
            _row.status,
            *(column.label(name or "selected") for name, column in columns.items()),
            sa.func.count().label("n"),
        )
        .group_by(*(sa.literal_column(str(n)) for n in range(1, len(columns) + 3)))
    ).all()
    here = [g for g in groups if orgs is None or g.owner_org in orgs]

    def total(rows: Iterable[Any]) -> int:
        return min(sum(g.n for g in rows), MOST + 1)

    statuses = {name: total(g for g in here if g.status == name) for name in STATUSES}
    organizations: dict[str, int] = {}
    for g in groups:
        if g.selected:
            organizations[g.owner_org] = organizations.get(g.owner_org, 0) + g.n
    return total(g for g in here if g.selected), {
        "status": {name: count for name, count in statuses.items() if count},
        "organization": _organizations(organizations),
        **{name: total(g for g in here if g._mapping[name]) for name in facets},
    }


def _organizations(counted: dict[str, int] | None) -> list[dict[str, Any]]:
    """Organizations with their counts; None is too many to count: all, their count None."""
    known = (
        _organization.id.in_(counted) if counted is not None else _organization.state == "active"
    )
    rows = core.Session.execute(
        sa.select(_organization.id, _organization.name, _organization.title)
        .where(_organization.is_organization, known)
        .order_by(_organization.title)
    )
    return [
        {
            "name": row.name,
            "title": row.title,
            "count": None if counted is None else min(counted[row.id], MOST + 1),
        }
        for row in rows
    ]


def _rows(
    selected: sa.Select[Any], sort: str, limit: int, offset: int, late: sa.ColumnElement[bool],
    seen: sa.ColumnElement[bool] | None,
) -> list[sa.Row[Any]]:  # fmt: skip
    """A page of rows; their times order only those `seen`, where that is given."""
    order: tuple[Any, ...] = (sa.func.lower(_package.title),)
    if sort != "title":
        order = {"due": _row.due_at, "submitted": _row.submitted_at}[sort], _row.since
        if seen is not None:
            order = tuple(sa.case((seen, column)) for column in order)
    page = (
        selected.with_only_columns(
            _package.id, _package.type, _package.name, _package.title, _package.owner_org,
            _package.state, _package.metadata_modified,
            _package.extras["klasifikasi"].astext.label("klasifikasi"),
            _package.extras["tahun_kegiatan"].astext.label("tahun_kegiatan"),
            _package.extras["kategori"].astext.label("kategori"),
            _row.package_id, _row.status, _row.version, _row.revision_of, _row.round,
            _row.data_prioritas, _row.of_pembina, _row.makers, _row.submitted_by,
            _row.submitted_at, _row.reviewer, _row.claimed_at, _row.since,
            _row.due_at, _row.publish_at, _row.publish_error,
            sa.func.coalesce(late, False).label("overdue"),
            _organization.name.label("organization"),
            _organization.title.label("organization_title"),
        )
        .outerjoin(core.group_table, _organization.id == _package.owner_org)
        .order_by(*order, _row.package_id)
        .limit(limit)
        .offset(offset)
    )  # fmt: skip
    return list(core.Session.execute(page))


def _told(
    rows: list[sa.Row[Any]], user: core.User, held: dict[str, frozenset[Peran]]
) -> list[dict[str, Any]]:
    """The rows as the caller may read them."""
    stale = service.stale_claims([(row, row.owner_org) for row in rows])
    results = []
    for row in rows:
        known = engine.Facts(
            row.status,
            klasifikasi=service.klasifikasi(row.type, row.klasifikasi),
            makers=frozenset(row.makers),
            reviewer=row.reviewer,
            claim_stale=row.id in stale,
        )
        item = {
            "id": row.id,
            "type": row.type,
            "title": row.title,
            "organization": row.organization,
            "organization_title": row.organization_title,
            "status": row.status,
            "status_label": tk._(engine.label(known)),
        }
        who = engine.Actor(user.id, user.name, peran.towards(held, row.owner_org))
        if user.sysadmin or may_follow(who.peran, row):
            item |= {
                "name": row.name,
                "tahun_kegiatan": row.tahun_kegiatan,
                "kategori": row.kategori,
                "state": row.state,
                "version": row.version,
                "revision_of": row.revision_of,
                "round": row.round,
                "data_prioritas": row.data_prioritas,
                "klasifikasi": known.klasifikasi,
                "submitted_by": row.submitted_by,
                "submitted_at": iso(row.submitted_at),
                "reviewer": row.reviewer,
                "claimed_at": iso(row.claimed_at),
                "claim_stale": known.claim_stale,
                "claim": engine.claim_offer(known, who),
                "since": iso(row.since),
                "due_at": iso(row.due_at),
                "overdue": row.overdue,
                "publish_at": iso(row.publish_at),
                "publish_error": row.publish_error,
                "metadata_modified": iso(row.metadata_modified),
            }
        results.append(item)
    return results
