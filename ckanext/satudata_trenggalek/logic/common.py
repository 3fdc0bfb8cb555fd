"""What our actions share: whom they answer, what a caller may see, where a dataset stands."""

from __future__ import annotations

import datetime as dt
from typing import Any

import ckan.model as core
import ckan.plugins.toolkit as tk
from ckan.types import Context

from ckanext.satudata_trenggalek import kegiatan, model
from ckanext.satudata_trenggalek.doors import may_see, package_of
from ckanext.satudata_trenggalek.workflow import engine, service
from ckanext.satudata_trenggalek.workflow.table import Peran


def iso(value: dt.datetime | None) -> str | None:
    """A moment as the API tells it."""
    return value.isoformat() if value else None


def visible(context: Any, data_dict: dict[str, Any]) -> core.Package:
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


def user_of(context: Any) -> core.User:
    """Who asks.

    Raises:
        tk.NotAuthorized: for the public.
    """
    user = context.get("auth_user_obj") or core.User.get(context.get("user"))
    if user is None or not user.is_authenticated:
        raise tk.NotAuthorized(tk._("Masuk dahulu."))
    return user


def _kegiatan(package: core.Package, user: core.User) -> dict[str, Any] | None:
    """The kegiatan that a dataset points to: id, name, title, status, version.

    Of one that the user may not see the id alone, which is what they chose when it was published.
    """
    row = kegiatan.standing(kegiatan.of(package))
    if row is None:
        return None
    told = dict(row._mapping)
    del told["owner_org"]
    found = core.Package.get(row.id)
    if found and may_see({"user": user.name, "auth_user_obj": user}, found):
        return told
    return dict.fromkeys(told) | {"id": row.id, "title": kegiatan.unseen()}


def status(package: core.Package, user: core.User) -> dict[str, Any]:
    """Where a dataset stands and what the user may do now, as satudata_status_show tells it."""
    # Fresh: the session may have kept the row from before somebody else's decision.
    row = core.Session.get(model.Status, package.id, populate_existing=True)
    if row is None:
        raise tk.ObjectNotFound()
    known = service.facts(package, row)
    who = service.actor(user, package.owner_org)
    organization = core.Group.get(package.owner_org)
    return {
        "id": package.id,
        "type": package.type,
        "name": package.name,
        "title": package.title,
        "organization": organization.name if organization else None,
        "organization_title": organization.title if organization else None,
        "status": row.status,
        "status_label": tk._(engine.label(known)),
        "since": iso(row.since),
        "round": row.round,
        "version": row.version,
        "revision_of": row.revision_of,
        "active_revision": None,
        "content_hash": known.content_hash,
        "data_prioritas": row.data_prioritas,
        "prioritas_kriteria": row.prioritas_kriteria,
        "maker": user.id in row.makers,
        "klasifikasi": known.klasifikasi,
        "kegiatan": _kegiatan(package, user),
        "submitted_by": row.submitted_by,
        "submitted_at": iso(row.submitted_at),
        "reviewer": row.reviewer,
        "claimed_at": iso(row.claimed_at),
        "claim_until": iso(service.claim_until(row.claimed_at)),
        "claim_stale": known.claim_stale,
        "claim": engine.claim_offer(known, who),
        "due_at": iso(row.due_at),
        "overdue": service.late(row, service.now()),
        "clock_paused": row.status == "dikembalikan",
        "publish_at": iso(row.publish_at),
        "publish_error": row.publish_error,
        "verified_at": iso(row.verified_at),
        "published_at": iso(row.published_at),
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


def visible_to_desk(context: Any, data_dict: dict[str, Any]) -> core.Package:
    """As visible; Forum know every dataset's id and title from the queue."""
    user = context.get("auth_user_obj") or core.User.get(context.get("user"))
    if user and user.is_authenticated:
        held = service.actor(user, None).peran
        tk.get_or_bust(data_dict, "id")
        package = package_of(data_dict, "id")
        if package and Peran.FORUM_SATU_DATA in held and package.state != "deleted":
            return package
    return visible(context, data_dict)
