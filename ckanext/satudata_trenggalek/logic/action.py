"""API actions: check access, read the parameters, call the service. Thin."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import ckan.model as core
import ckan.plugins.toolkit as tk
import sqlalchemy as sa

from ckanext.satudata_trenggalek import gate, kegiatan, model, notices, peran
from ckanext.satudata_trenggalek.doors import package_of
from ckanext.satudata_trenggalek.doors.hiding import watched
from ckanext.satudata_trenggalek.logic import schema
from ckanext.satudata_trenggalek.logic.common import (
    iso,
    status,
    user_of,
    visible,
    visible_to_desk,
)
from ckanext.satudata_trenggalek.workflow import service
from ckanext.satudata_trenggalek.workflow.table import (
    KRITERIA_PRIORITAS,
    PUBLIC,
    TRANSITIONS,
    Peran,
)


@tk.side_effect_free
@watched
def satudata_status_show(context: Any, data_dict: dict[str, Any]) -> dict[str, Any]:
    """Where a dataset stands, what it lacks and what the caller may do now.

    :param id: id or name of the dataset
    """
    package = visible(context, data_dict)
    tk.check_access("satudata_status_show", context, {"id": package.id})
    return status(package, user_of(context))


def satudata_transition(context: Any, data_dict: dict[str, Any]) -> dict[str, Any]:
    """Move a dataset; the only way its status changes.

    :param id: id or name of the dataset
    :param transition: name of the transition
    :param note: reason, kept from the public
    :param public_note: reason that the public reads (`tarik`)
    :param content_hash: of what the caller read (satudata_status_show)
    :param checklist: principle -> {"sesuai": true | false | null, "note": text}
    :param publish_at: ISO 8601 with offset; the schedule publishes then
    :param comments: list of field (or parent, the id of a comment) and body; sent with the
        decision, together with what the caller gathered by satudata_comment_create
    """
    package = visible(context, data_dict)
    tk.check_access("satudata_transition", context, dict(data_dict, id=package.id))
    name = schema.text(data_dict, "transition", 100)
    if not name:
        raise tk.ValidationError({"transition": [tk._("Sebutkan tindakannya.")]})
    user = user_of(context)
    service.transition(
        package.id,
        user,
        name,
        schema.request(data_dict),
        schema.moment(data_dict, "publish_at"),
        schema.comments(data_dict),
    )
    return status(package, user)


def satudata_claim(context: Any, data_dict: dict[str, Any]) -> dict[str, Any]:
    """Take a check, so that colleagues leave it alone; taken by another, 409 with the holder.

    :param id: id or name of the dataset
    :param note: reason, to take over a claim that has become stale
    """
    package = visible(context, data_dict)
    tk.check_access("satudata_claim", context, {"id": package.id})
    user = user_of(context)
    service.claim(package.id, user, schema.text(data_dict, "note"))
    return status(package, user)


def satudata_release(context: Any, data_dict: dict[str, Any]) -> dict[str, Any]:
    """Give a claimed check back to the queue.

    :param id: id or name of the dataset
    """
    package = visible(context, data_dict)
    tk.check_access("satudata_release", context, {"id": package.id})
    user = user_of(context)
    service.release(package.id, user)
    return status(package, user)


def satudata_prioritas_set(context: Any, data_dict: dict[str, Any]) -> dict[str, Any]:
    """Mark a dataset as Data Prioritas (Perpres 39/2019 Ps 28); only Forum unmarks it.

    :param id: id or name of the dataset
    :param data_prioritas: true or false
    :param kriteria: a, b or c of Ps 28, when marking
    :param note: reason
    """
    package = visible_to_desk(context, data_dict)
    wanted = schema.boolean(data_dict, "data_prioritas")
    if wanted is None:
        raise tk.ValidationError({"data_prioritas": [tk._("Isi true atau false.")]})
    tk.check_access("satudata_prioritas_set", context, {"id": package.id, "data_prioritas": wanted})
    kriteria = schema.choice(data_dict, "kriteria", KRITERIA_PRIORITAS) if wanted else ""
    note = schema.text(data_dict, "note")
    if wanted and not kriteria:
        raise tk.ValidationError(
            {"kriteria": [tk._("Sebutkan kriteria a, b, atau c (Perpres 39/2019 Pasal 28).")]}
        )
    user = user_of(context)
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
        return status(package, user)
    return {"id": package.id, "data_prioritas": row.data_prioritas, "status": row.status}


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
    held = peran.of_user(user_of(context).id)
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
@watched
def satudata_history_list(context: Any, data_dict: dict[str, Any]) -> dict[str, Any]:
    """Events of a dataset, oldest first.

    :param id: id or name of the dataset
    :param limit: 0 to 100, 20 by default
    :param offset: events to skip
    :returns: count, results with `told`: who was told of each and what became of the mail; and
        `reminders` of deadlines, for those who check
    """
    package = visible(context, data_dict)
    tk.check_access("satudata_history_list", context, {"id": package.id})
    user = user_of(context)
    held = service.actor(user, package.owner_org).peran
    checks = user.sysadmin or bool(held & {Peran.WALIDATA, Peran.PEMBINA_DATA})
    told = notices.of_dataset(package.id, desk=checks)
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
                "at": iso(e.at),
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
                "told": [item for item in told if item["event"] == e.seq],
            }
            for e in events
        ],
        "reminders": [item for item in told if item["event"] is None],
    }


@tk.side_effect_free
def satudata_publication_show(context: Any, data_dict: dict[str, Any]) -> dict[str, Any]:
    """What the public may rely on: the version, when it was verified, the SHA-256 of its files.

    :param id: id or name of a published dataset
    :returns: status, version, verified_at, published_at, content_hash, files[{id, sha256, size}],
        and versions[], the newest first: version, verified_at, published_at, withdrawn_at and
        public_note (both null unless it was withdrawn)
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
        "verified_at": iso(publication.verified_at),
        "published_at": iso(publication.published_at),
        "content_hash": publication.content_hash,
        "files": publication.files,
        "versions": [
            {
                "version": each.version,
                "verified_at": iso(each.verified_at),
                "published_at": iso(each.published_at),
                "withdrawn_at": iso(each.withdrawn_at),
                "public_note": each.public_note,
            }
            for each in core.Session.scalars(
                sa.select(model.Publication)
                .where(model.Publication.package_id == package.id)
                .order_by(model.Publication.version.desc())
                .limit(100)
            )
        ],
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
            for other in map(core.Group.get, peran.holders(unique)):
                if other and other.id != organization.id:
                    message = tk._("{peran} hanya satu, sekarang {name}. Cabut dahulu dari sana.")
                    raise tk.ValidationError(
                        {"peran": [message.format(peran=unique.value, name=other.name)]}
                    )
            # What an organization held that is gone falls back to whoever comes after it.
            for id_ in peran.forfeited(unique):
                _give(id_, peran.assigned(id_) - {unique}, user)
        _give(organization.id, wanted, user)
        core.Session.commit()
    return satudata_peran_list(context, {})


def _give(organization_id: str, wanted: Collection[Peran], user: core.User | None) -> None:
    """Give an organization exactly these peran, with the event that says so."""
    service.lock_chain(organization_id)
    before = peran.assigned(organization_id)
    peran.assign(organization_id, wanted)
    service.record(
        organization_id,
        user.name if user else service.SISTEM,
        "peran",
        detail={
            "sebelum": sorted(item.value for item in before),
            "sesudah": sorted(item.value for item in wanted),
        },
    )
