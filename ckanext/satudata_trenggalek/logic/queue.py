"""The queue: what waits, for whom, until when. Its cost does not grow with what waits."""

from __future__ import annotations

import datetime as dt
from typing import Any

import ckan.model as core
import ckan.plugins.toolkit as tk
import sqlalchemy as sa

from ckanext.satudata_trenggalek import model, peran
from ckanext.satudata_trenggalek.logic import schema
from ckanext.satudata_trenggalek.logic.common import iso, user_of
from ckanext.satudata_trenggalek.workflow import engine, service
from ckanext.satudata_trenggalek.workflow.calendar import WIB
from ckanext.satudata_trenggalek.workflow.table import CLAIMABLE, STATUSES, TRANSITIONS, Peran

#: Statuses in which a dataset waits for somebody.
OPEN = tuple(s.name for s in STATUSES.values() if s.waits_for)
_READY = TRANSITIONS["terbitkan"].sources
#: Counting ends one further, which reads as "more than that".
MOST = 1000

_package, _organization, _row = core.package_table.c, core.group_table.c, model.Status
#: The schedule keeps its deadline itself, unless it could not (service.late).
_UNKEPT = sa.or_(_row.publish_at.is_(None), _row.publish_error.is_not(None))


def _scope(user: core.User, held: dict[str, frozenset[Peran]]) -> sa.ColumnElement[bool]:
    """Which datasets the user has to do with."""
    everything = {name for group in held.values() for name in group}
    if user.sysadmin or everything & {Peran.WALIDATA, Peran.FORUM_SATU_DATA}:
        return sa.true()
    scopes = []
    if Peran.PEMBINA_DATA in everything:
        scopes.append(sa.and_(_row.data_prioritas, _row.submitted_at.is_not(None)))
    own = [org for org, group in held.items() if Peran.PRODUSEN_DATA in group]
    if own:
        scopes.append(_package.owner_org.in_(own))
    return sa.or_(sa.false(), *scopes)


def _filters(data: dict[str, Any], user: core.User) -> list[sa.ColumnElement[bool]]:
    """What every count respects, too."""
    found: list[sa.ColumnElement[bool]] = []
    if q := schema.text(data, "q", 200):
        found += [_package.title.icontains(word, autoescape=True) for word in q.split()]
    if type_ := schema.text(data, "type", 100):
        found.append(_package.type == type_)
    if kategori := schema.text(data, "kategori", 100):
        found.append(_package.extras["kategori"].astext == kategori)
    if (priority := schema.boolean(data, "data_prioritas")) is not None:
        found.append(_row.data_prioritas.is_(priority))
    if reviewer := schema.text(data, "reviewer", 100):
        found.append(
            _row.reviewer.is_(None)
            if reviewer == "none"
            else _row.reviewer == (user.name if reviewer == "me" else reviewer)
        )
    if (runs := schema.boolean(data, "clock")) is not None:
        found.append(_row.due_at.is_not(None) if runs else _row.due_at.is_(None))
    return found


@tk.side_effect_free
def satudata_queue_list(context: Any, data_dict: dict[str, Any]) -> dict[str, Any]:
    """Datasets that the caller has to do with: Produsen their own, Walidata all, Pembina Data
    Prioritas, Forum the bare list; sysadmins all.

    Counts end at 1001, which means more than 1000.

    :param status: names of statuses; without it all in which a dataset waits for somebody
    :param organization: id or name
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

    late = sa.and_(_row.due_at < service.now(), _UNKEPT)
    base = sa.select(sa.literal(1)).select_from(
        sa.join(core.package_table, _row, _row.package_id == _package.id)
    )
    base = base.where(_package.state != "deleted", _scope(user, held), *_filters(data_dict, user))
    wanted = schema.statuses(data_dict) or list(OPEN)
    parts: list[sa.ColumnElement[bool]] = [_row.status.in_(wanted)]
    if overdue is not None:
        parts.append(late if overdue else sa.not_(sa.func.coalesce(late, False)))
    by_org: sa.ColumnElement[bool] = sa.true()
    if name := schema.text(data_dict, "organization", 100):
        group = core.Group.get(name)
        by_org = _package.owner_org == group.id if group else sa.false()

    def capped(*conditions: sa.ColumnElement[bool]) -> sa.ScalarSelect[int]:
        some = base.where(*conditions).limit(MOST + 1).subquery()
        return sa.select(sa.func.count()).select_from(some).scalar_subquery()

    # Each facet leaves its own filter out, so that every tab has its count.
    waiting, now = _row.status.in_(OPEN), service.now()
    midnight = dt.datetime.combine(now.astimezone(WIB) + dt.timedelta(days=1), dt.time(), WIB)
    soon = sa.and_(_row.due_at >= now, _row.due_at < midnight)
    counts = (
        core.Session.execute(
            sa.select(
                capped(*parts, by_org).label("count"),
                capped(waiting, by_org, late).label("overdue"),
                capped(waiting, by_org, soon).label("today"),
                capped(_row.status.in_(_READY), by_org, _row.due_at.is_not(None)).label("ready"),
                capped(_row.status.in_(CLAIMABLE), by_org, _row.reviewer == user.name).label(
                    "mine"
                ),
                *(capped(_row.status == status, by_org).label(status) for status in STATUSES),
            )
        )
        .one()
        ._mapping
    )
    results = _rows(base.where(*parts, by_org), sort, limit, offset, late) if limit else []
    return {
        "count": counts["count"],
        "facets": {
            "status": {status: counts[status] for status in STATUSES if counts[status]},
            "organization": _organizations(base.where(*parts)) if limit else [],
            "overdue": counts["overdue"],
            **{name: counts[name] for name in ("today", "mine", "ready")},
        },
        "results": _told(results, user, held),
    }


def _organizations(selected: sa.Select[Any]) -> list[dict[str, Any]]:
    """Organizations with how many of the selected are theirs.

    More than MOST are not counted: then it is all organizations, their count None.
    """
    some = selected.with_only_columns(_package.owner_org).limit(MOST + 1).subquery()
    group = core.group_table.c
    counted = core.Session.execute(
        sa.select(group.name, group.title, group.state, sa.func.count(some.c.owner_org).label("n"))
        .select_from(sa.outerjoin(core.group_table, some, some.c.owner_org == group.id))
        .where(group.is_organization)
        .group_by(group.id)
        .order_by(group.title)
    ).all()
    if sum(row.n for row in counted) > MOST:
        return [
            {"name": row.name, "title": row.title, "count": None}
            for row in counted
            if row.n or row.state == "active"
        ]
    return [{"name": row.name, "title": row.title, "count": row.n} for row in counted if row.n]


def _rows(
    selected: sa.Select[Any], sort: str, limit: int, offset: int, late: sa.ColumnElement[bool]
) -> list[sa.Row[Any]]:
    order = {
        "due": (_row.due_at, _row.since),
        "submitted": (_row.submitted_at, _row.since),
        "title": (sa.func.lower(_package.title),),
    }[sort]
    page = (
        selected.with_only_columns(
            _package.id, _package.type, _package.name, _package.title, _package.owner_org,
            _package.state, _package.metadata_modified,
            _package.extras["klasifikasi"].astext.label("klasifikasi"),
            _package.extras["tahun_kegiatan"].astext.label("tahun_kegiatan"),
            _package.extras["kategori"].astext.label("kategori"),
            _row.package_id, _row.status, _row.version, _row.revision_of, _row.round,
            _row.data_prioritas, _row.makers, _row.submitted_by, _row.submitted_at, _row.reviewer,
            _row.claimed_at, _row.since, _row.due_at, _row.publish_at, _row.publish_error,
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
    everything = {name for group in held.values() for name in group}
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
        if (
            user.sysadmin
            or who.peran & {Peran.PRODUSEN_DATA, Peran.WALIDATA}
            or (Peran.PEMBINA_DATA in everything and row.data_prioritas and row.submitted_at)
        ):
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
