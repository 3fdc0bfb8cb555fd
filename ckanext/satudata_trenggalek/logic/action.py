"""API actions: check access, read the parameters, call the service. Thin."""

from __future__ import annotations

import datetime as dt
from typing import Any

import ckan.model as core
import ckan.plugins.toolkit as tk
import sqlalchemy as sa
from ckan.types import Context

from ckanext.satudata_trenggalek import gate, kegiatan, model, peran
from ckanext.satudata_trenggalek.doors import package_of
from ckanext.satudata_trenggalek.logic import schema
from ckanext.satudata_trenggalek.workflow import engine, service
from ckanext.satudata_trenggalek.workflow.table import (
    KRITERIA_PRIORITAS,
    PUBLIC,
    STATUSES,
    TRANSITIONS,
    Peran,
)

#: Statuses in which a dataset waits for somebody.
OPEN = tuple(s.name for s in STATUSES.values() if s.waits_for)


def _iso(value: dt.datetime | None) -> str | None:
    return value.isoformat() if value else None


def _visible(context: Any, data_dict: dict[str, Any]) -> core.Package:
    """The dataset of `id`, if the caller may see it.

    Raises:
        tk.ObjectNotFound: unknown and forbidden alike.
    """
    tk.get_or_bust(data_dict, "id")
    package = package_of(data_dict, "id")
    if package is None:
        raise tk.ObjectNotFound()
    try:
        tk.check_access("package_show", Context(context, package=package), {"id": package.id})
    except tk.NotAuthorized:
        raise tk.ObjectNotFound() from None
    return package


def _user(context: Any) -> core.User:
    user = context.get("auth_user_obj") or core.User.get(context.get("user"))
    if user is None or not user.is_authenticated:
        raise tk.NotAuthorized(tk._("Masuk dahulu."))
    return user


def _status(package: core.Package, user: core.User) -> dict[str, Any]:
    # Fresh: the session may have kept the row from before somebody else's decision.
    row = core.Session.get(model.Status, package.id, populate_existing=True)
    if row is None:
        raise tk.ObjectNotFound()
    known = service.facts(package, row)
    who = service.actor(user, package.owner_org)
    organization = core.Group.get(package.owner_org)
    overdue = bool(row.due_at and row.due_at < service.now() and not row.publish_at)
    of_kegiatan = kegiatan.standing(kegiatan.of(package))
    return {
        "id": package.id,
        "type": package.type,
        "name": package.name,
        "title": package.title,
        "organization": organization.name if organization else None,
        "organization_title": organization.title if organization else None,
        "status": row.status,
        "status_label": tk._(engine.label(known)),
        "since": _iso(row.since),
        "round": row.round,
        "version": row.version,
        "revision_of": row.revision_of,
        "active_revision": None,
        "content_hash": known.content_hash,
        "data_prioritas": row.data_prioritas,
        "klasifikasi": known.klasifikasi,
        "kegiatan": dict(of_kegiatan._mapping) if of_kegiatan else None,
        "submitted_by": row.submitted_by,
        "submitted_at": _iso(row.submitted_at),
        "reviewer": row.reviewer,
        "due_at": _iso(row.due_at),
        "overdue": overdue,
        "clock_paused": row.status == "dikembalikan",
        "publish_at": _iso(row.publish_at),
        "verified_at": _iso(row.verified_at),
        "published_at": _iso(row.published_at),
        "blockers": [dict(blocker) for blocker in known.blockers],
        "transitions": [
            {
                "name": t.name,
                "label": tk._(t.label),
                "to": t.target,
                "note_required": t.note_required,
            }
            for t in engine.available(known, who)
        ],
    }


@tk.side_effect_free
def satudata_status_show(context: Any, data_dict: dict[str, Any]) -> dict[str, Any]:
    """Where a dataset stands, what it lacks and what the caller may do now.

    :param id: id or name of the dataset
    """
    package = _visible(context, data_dict)
    tk.check_access("satudata_status_show", context, {"id": package.id})
    return _status(package, _user(context))


def satudata_transition(context: Any, data_dict: dict[str, Any]) -> dict[str, Any]:
    """Move a dataset; the only way its status changes.

    :param id: id or name of the dataset
    :param transition: name of the transition
    :param note: reason, kept from the public
    :param public_note: reason that the public reads (`tarik`)
    :param content_hash: of what the caller read (satudata_status_show)
    :param checklist: principle -> {"sesuai": true | false | null, "note": text}
    :param publish_at: ISO 8601 with offset; the schedule publishes then
    """
    package = _visible(context, data_dict)
    tk.check_access("satudata_transition", context, dict(data_dict, id=package.id))
    name = schema.text(data_dict, "transition", 100)
    if not name:
        raise tk.ValidationError({"transition": [tk._("Sebutkan tindakannya.")]})
    user = _user(context)
    service.transition(
        package.id, user, name, schema.request(data_dict), schema.moment(data_dict, "publish_at")
    )
    return _status(package, user)


def satudata_prioritas_set(context: Any, data_dict: dict[str, Any]) -> dict[str, Any]:
    """Mark a dataset as Data Prioritas (Perpres 39/2019 Ps 28); only Forum unmarks it.

    :param id: id or name of the dataset
    :param data_prioritas: true or false
    :param kriteria: a, b or c of Ps 28, when marking
    :param note: reason
    """
    package = _visible_to_desk(context, data_dict)
    wanted = schema.boolean(data_dict, "data_prioritas")
    if wanted is None:
        raise tk.ValidationError({"data_prioritas": [tk._("Isi true atau false.")]})
    tk.check_access("satudata_prioritas_set", context, {"id": package.id, "data_prioritas": wanted})
    kriteria = schema.choice(data_dict, "kriteria", KRITERIA_PRIORITAS)
    note = schema.text(data_dict, "note")
    if wanted and not kriteria:
        raise tk.ValidationError(
            {"kriteria": [tk._("Sebutkan kriteria a, b, atau c (Perpres 39/2019 Pasal 28).")]}
        )
    user = _user(context)
    with gate.explained():
        package, row = service.lock(package.id)
        if row.status not in ("draf", "dikembalikan", "diajukan"):
            raise tk.ValidationError(
                {"status": [tk._("Tanda Data Prioritas hanya diubah sebelum dataset disetujui.")]}
            )
        who = service.actor(user, package.owner_org)
        as_peran = Peran.FORUM_SATU_DATA if Peran.FORUM_SATU_DATA in who.peran else Peran.WALIDATA
        if wanted != row.data_prioritas or kriteria != (row.prioritas_kriteria or ""):
            service.record(
                package.id,
                user.name,
                "prioritas",
                peran=as_peran.value,
                note=note or None,
                detail={"data_prioritas": wanted, "kriteria": kriteria or None},
            )
            row.data_prioritas, row.prioritas_kriteria = wanted, kriteria or None
        core.Session.commit()
    service.reindex(package.id)
    if Peran.WALIDATA in who.peran:
        return _status(package, user)
    return {"id": package.id, "data_prioritas": row.data_prioritas, "status": row.status}


def _visible_to_desk(context: Any, data_dict: dict[str, Any]) -> core.Package:
    """As _visible; Forum know every dataset's id and title from the queue."""
    user = context.get("auth_user_obj") or core.User.get(context.get("user"))
    if user and user.is_authenticated:
        held = service.actor(user, None).peran
        tk.get_or_bust(data_dict, "id")
        package = package_of(data_dict, "id")
        if package and Peran.FORUM_SATU_DATA in held and package.state != "deleted":
            return package
    return _visible(context, data_dict)


@tk.side_effect_free
def satudata_queue_list(context: Any, data_dict: dict[str, Any]) -> dict[str, Any]:
    """Datasets that the caller has to do with: Produsen their own, Walidata all, Pembina Data
    Prioritas, Forum the bare list; sysadmins all.

    :param status: names of statuses; without it all in which a dataset waits for somebody
    :param organization: id or name
    :param type: dataset type
    :param reviewer: me, none or a user name
    :param overdue: true for those past their deadline
    :param q: words of the title
    :param sort: due, submitted or title
    :param limit: 0 to 100, 20 by default
    :param offset: rows to skip
    """
    tk.check_access("satudata_queue_list", context, data_dict)
    user = _user(context)
    limit = schema.number(data_dict, "limit", 20, schema.MAX_LIMIT)
    offset = schema.number(data_dict, "offset", 0)
    sort = schema.choice(data_dict, "sort", ("due", "submitted", "title"), "due")
    overdue = schema.boolean(data_dict, "overdue")
    held = peran.of_user(user.id)
    everything = {name for group in held.values() for name in group}

    package, row = core.package_table.c, model.Status
    organization = core.group_table.c
    late = sa.and_(row.due_at < service.now(), row.publish_at.is_(None))
    scopes = []
    if user.sysadmin or everything & {Peran.WALIDATA, Peran.FORUM_SATU_DATA}:
        scopes.append(sa.true())
    else:
        if Peran.PEMBINA_DATA in everything:
            scopes.append(sa.and_(row.data_prioritas, row.submitted_at.is_not(None)))
        own = [org for org, group in held.items() if Peran.PRODUSEN_DATA in group]
        scopes.append(package.owner_org.in_(own))
    full = user.sysadmin or Peran.WALIDATA in everything
    base = (
        sa.select(sa.literal(1))
        .select_from(sa.join(core.package_table, row, row.package_id == package.id))
        .outerjoin(core.group_table, organization.id == package.owner_org)
        .where(package.state != "deleted", sa.or_(*scopes))
    )
    if q := schema.text(data_dict, "q", 200):
        for word in q.split():
            base = base.where(package.title.icontains(word, autoescape=True))
    if type_ := schema.text(data_dict, "type", 100):
        base = base.where(package.type == type_)
    if reviewer := schema.text(data_dict, "reviewer", 100):
        base = base.where(
            row.reviewer.is_(None)
            if reviewer == "none"
            else row.reviewer == (user.name if reviewer == "me" else reviewer)
        )
    by_status = row.status.in_(schema.statuses(data_dict) or OPEN)
    by_late = (
        late
        if overdue
        else (sa.not_(sa.func.coalesce(late, False)) if overdue is False else sa.true())
    )
    name = schema.text(data_dict, "organization", 100)
    by_org = sa.or_(organization.id == name, organization.name == name) if name else sa.true()

    def rows(query: Any) -> Any:
        return core.Session.execute(query).all()

    # Each facet leaves its own filter out, so that every tab has its count.
    statuses = rows(
        base.with_only_columns(row.status, sa.func.count()).where(by_org).group_by(row.status)
    )
    organizations = rows(
        base.with_only_columns(organization.name, organization.title, sa.func.count())
        .where(by_status, by_late)
        .group_by(organization.name, organization.title)
        .order_by(organization.title)
    )
    selected = base.where(by_status, by_late, by_org)
    count = core.Session.scalar(selected.with_only_columns(sa.func.count()))
    late_count = core.Session.scalar(
        base.where(row.status.in_(OPEN), by_org, late).with_only_columns(sa.func.count())
    )
    order = {
        "due": (row.due_at.asc().nulls_last(), row.since),
        "submitted": (row.submitted_at.asc().nulls_last(), row.since),
        "title": (sa.func.lower(package.title),),
    }[sort]
    found = rows(
        selected.with_only_columns(
            package.id, package.type, package.name, package.title, package.owner_org,
            package.state,
            package.extras["klasifikasi"].astext.label("klasifikasi"),
            package.extras["tahun_kegiatan"].astext.label("tahun_kegiatan"),
            package.metadata_modified,
            organization.name.label("organization"),
            organization.title.label("organization_title"),
            row.status, row.version, row.revision_of, row.round, row.data_prioritas,
            row.submitted_by, row.submitted_at, row.reviewer, row.since, row.due_at,
            row.publish_at, sa.func.coalesce(late, False).label("overdue"),
        )
        .order_by(*order, package.id)
        .limit(limit)
        .offset(offset)
    )  # fmt: skip
    results = []
    for r in found:
        klasifikasi = service.klasifikasi(r.type, r.klasifikasi)
        label = tk._(engine.label(engine.Facts(status=r.status, klasifikasi=klasifikasi)))
        item = {
            "id": r.id,
            "type": r.type,
            "title": r.title,
            "organization": r.organization,
            "organization_title": r.organization_title,
            "status": r.status,
            "status_label": label,
        }
        whole = (
            full
            or Peran.PRODUSEN_DATA in held.get(r.owner_org, ())
            or (Peran.PEMBINA_DATA in everything and r.data_prioritas and r.submitted_at)
        )
        if whole:
            item |= {
                "name": r.name,
                "tahun_kegiatan": r.tahun_kegiatan,
                "state": r.state,
                "version": r.version,
                "revision_of": r.revision_of,
                "round": r.round,
                "data_prioritas": r.data_prioritas,
                "klasifikasi": klasifikasi,
                "submitted_by": r.submitted_by,
                "submitted_at": _iso(r.submitted_at),
                "reviewer": r.reviewer,
                "since": _iso(r.since),
                "due_at": _iso(r.due_at),
                "overdue": r.overdue,
                "publish_at": _iso(r.publish_at),
                "metadata_modified": _iso(r.metadata_modified),
            }
        results.append(item)
    return {
        "count": count,
        "facets": {
            "status": dict(statuses),
            "organization": [
                {"name": n, "title": title, "count": k} for n, title, k in organizations
            ],
            "overdue": late_count,
        },
        "results": results,
    }


@tk.side_effect_free
def satudata_kegiatan_list(context: Any, data_dict: dict[str, Any]) -> dict[str, Any]:
    """Kegiatan that datasets of the caller's organizations may point to, by title, their own first.

    :param q: words of title, name or year
    :param organization: id or name
    :param limit: 0 to 100, 20 by default
    :param offset: rows to skip
    """
    tk.check_access("satudata_kegiatan_list", context, data_dict)
    limit = schema.number(data_dict, "limit", 20, schema.MAX_LIMIT)
    offset = schema.number(data_dict, "offset", 0)
    held = peran.of_user(_user(context).id)
    own = [org for org, group in held.items() if Peran.PRODUSEN_DATA in group]
    package, organization = core.package_table.c, core.group_table.c
    year = package.extras["tahun_kegiatan"].astext
    query = (
        kegiatan.select(own)
        .join(core.group_table, organization.id == package.owner_org, isouter=True)
        .add_columns(
            organization.name.label("organization"), organization.title.label("organization_title")
        )
    )
    for word in schema.text(data_dict, "q", 200).split():
        query = query.where(
            sa.or_(
                *(c.icontains(word, autoescape=True) for c in (package.title, package.name, year))
            )
        )
    if name := schema.text(data_dict, "organization", 100):
        query = query.where(sa.or_(organization.id == name, organization.name == name))
    count = core.Session.scalar(sa.select(sa.func.count()).select_from(query.subquery()))
    found = core.Session.execute(
        query.order_by(
            package.owner_org.not_in(own), sa.func.lower(package.title), year.desc(), package.id
        )
        .limit(limit)
        .offset(offset)
    )
    return {
        "count": count,
        "results": [
            {
                "id": row.id,
                "name": row.name,
                "title": row.title,
                "tahun_kegiatan": row.extras.get("tahun_kegiatan"),
                "organization": row.organization,
                "organization_title": row.organization_title,
                "status": row.status,
                "version": row.version,
            }
            for row in found
        ],
    }


@tk.side_effect_free
def satudata_history_list(context: Any, data_dict: dict[str, Any]) -> dict[str, Any]:
    """Events of a dataset, oldest first.

    :param id: id or name of the dataset
    :param limit: 0 to 100, 20 by default
    :param offset: events to skip
    """
    package = _visible(context, data_dict)
    tk.check_access("satudata_history_list", context, {"id": package.id})
    limit = schema.number(data_dict, "limit", 20, schema.MAX_LIMIT)
    offset = schema.number(data_dict, "offset", 0)
    mine = model.Event.package_id == package.id
    count = core.Session.scalar(sa.select(sa.func.count()).where(mine))
    events = core.Session.scalars(
        sa.select(model.Event).where(mine).order_by(model.Event.seq).limit(limit).offset(offset)
    )
    return {
        "count": count,
        "results": [
            {
                "seq": e.seq,
                "at": _iso(e.at),
                "actor": e.actor,
                "peran": e.peran,
                "event": e.event,
                "label": tk._(TRANSITIONS[e.event].label) if e.event in TRANSITIONS else e.event,
                "from": e.from_status,
                "to": e.to_status,
                "sop_step": e.sop_step,
                "note": e.note,
                "public_note": e.public_note,
                "checklist": e.checklist,
                "detail": e.detail,
                "content_hash": e.content_hash,
                "prev_hash": e.prev_hash,
                "hash": e.hash,
            }
            for e in events
        ],
    }


@tk.side_effect_free
def satudata_publication_show(context: Any, data_dict: dict[str, Any]) -> dict[str, Any]:
    """What the public may rely on: the version, when it was verified, the SHA-256 of its files.

    :param id: id or name of a published dataset
    """
    tk.get_or_bust(data_dict, "id")
    package = package_of(data_dict, "id")
    row = core.Session.get(model.Status, package.id, populate_existing=True) if package else None
    if not package or package.private or not row or row.status not in PUBLIC:
        raise tk.ObjectNotFound()
    tk.check_access("satudata_publication_show", context, {"id": package.id})
    publication = core.Session.get(model.Publication, (package.id, row.version))
    if publication is None:
        raise tk.ObjectNotFound()
    return {
        "status": row.status,
        "version": publication.version,
        "verified_at": _iso(publication.verified_at),
        "published_at": _iso(publication.published_at),
        "content_hash": publication.content_hash,
        "files": publication.files,
    }


@tk.side_effect_free
def satudata_peran_list(context: Any, data_dict: dict[str, Any]) -> list[dict[str, Any]]:
    """Which organization holds which peran, all organizations.

    :returns: rows of organization, title, peran[]
    """
    tk.check_access("satudata_peran_list", context, data_dict)
    group = core.group_table.c
    rows = core.Session.execute(
        sa.select(group.id, group.name, group.title)
        .where(group.is_organization, group.state == "active")
        .order_by(group.name)
    )
    return [
        {
            "organization": row.name,
            "title": row.title,
            "peran": sorted(item.value for item in peran.of_organization(row.id)),
        }
        for row in rows
    ]


def satudata_peran_set(context: Any, data_dict: dict[str, Any]) -> list[dict[str, Any]]:
    """Give an organization exactly these peran; sysadmins only.

    :param organization: id or name
    :param peran: list of produsen_data, walidata, pembina_data, forum_satu_data; may be empty
    """
    tk.check_access("satudata_peran_set", context, data_dict)
    organization = core.Group.get(schema.text(data_dict, "organization", 100))
    if not organization or not organization.is_organization or organization.state != "active":
        raise tk.ValidationError({"organization": [tk._("Organisasi tidak dikenal.")]})
    names = data_dict.get("peran")
    if isinstance(names, str):
        names = [name for name in names.split(",") if name]
    known = [item.value for item in Peran]
    if not isinstance(names, list) or any(name not in known for name in names):
        raise tk.ValidationError(
            {"peran": [tk._("Isi daftar dari: {names}.").format(names=", ".join(known))]}
        )
    wanted = {Peran(name) for name in names}
    user = context.get("auth_user_obj") or core.User.get(context.get("user"))
    with gate.explained():
        for unique in wanted & set(peran.UNIQUE):
            for id_ in peran.holders(unique):
                other = core.Group.get(id_)
                if other and other.state == "active" and id_ != organization.id:
                    message = tk._("{peran} hanya satu, sekarang {name}. Cabut dahulu dari sana.")
                    raise tk.ValidationError(
                        {"peran": [message.format(peran=unique.value, name=other.name)]}
                    )
                # What an organization held that is gone falls back to whoever comes after it.
                peran.assign(id_, peran.of_organization(id_) - {unique})
        before = peran.of_organization(organization.id)
        peran.assign(organization.id, wanted)
        service.record(
            organization.id,
            user.name if user else service.SISTEM,
            "peran",
            detail={
                "sebelum": sorted(item.value for item in before),
                "sesudah": sorted(item.value for item in wanted),
            },
        )
        core.Session.commit()
    return satudata_peran_list(context, {})
