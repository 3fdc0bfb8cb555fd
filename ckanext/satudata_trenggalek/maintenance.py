"""Upkeep: is the record whole, do database and index agree?"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any

import ckan.model as core
import ckan.plugins.toolkit as tk
import sqlalchemy as sa
from ckan.lib.search import clear as search_clear
from ckan.lib.search.common import SearchError, make_connection

from ckanext.satudata_trenggalek import audit, content, gate, model, reading
from ckanext.satudata_trenggalek.workflow import service
from ckanext.satudata_trenggalek.workflow.table import STATUSES, UNGATED_TYPES

log = logging.getLogger(__name__)


def verify() -> tuple[int, list[str]]:
    """Walk every hash chain and what anchors it.

    Returns:
        how many events were read, and the first broken link of each chain.
    """
    events, _anchors, problems = audit.verify()
    return events, problems


def altered() -> list[str]:
    """Datasets whose rows are not what was approved; layer 0 of the gate lets none come to be.

    What was approved is what the last approving event says; `audit.verify` tells whether the status
    row does too. That a kegiatan went on to a new version alters nothing of what was approved with
    the last.
    """
    event = model.Event
    approved = core.Session.execute(
        sa.select(event.package_id, event.content_hash)
        .distinct(event.package_id)
        .join(model.Status, model.Status.package_id == event.package_id)
        .where(model.Status.status.in_(audit.APPROVED), event.event.in_(audit.APPROVING))
        .order_by(event.package_id, event.seq.desc())
    ).all()
    return [
        f"{id_}: content differs from what was approved"
        for id_, hash_ in approved
        if content.digest(content.as_approved(id_, hash_)) != hash_
    ]


def _documents(*filters: str, fields: str) -> Iterator[list[dict[str, Any]]]:
    """Documents of this site's datasets in Solr that pass the filters, a thousand at a time."""
    solr, cursor = make_connection(), "*"
    while True:
        page = solr.search(
            "*:*",
            fq=[f'+site_id:"{tk.config["ckan.site_id"]}" +entity_type:package', *filters],
            fl=fields,
            rows=1000,
            sort="index_id asc",
            cursorMark=cursor,
        )
        yield page.docs
        if page.nextCursorMark == cursor:
            return
        cursor = page.nextCursorMark


def _indexed(*filters: str) -> dict[str, dict[str, Any]]:
    """Those documents by dataset id."""
    pages = _documents(*filters, fields="id capacity dataset_type")
    return {document["id"]: document for page in pages for document in page}


def reconcile(fix: bool) -> list[str]:
    """Compare what the database publishes with what Solr shows as public, every word of it.

    Args:
        fix: index again, or remove, what disagrees.

    Returns:
        what disagreed.
    """
    package, row = core.package_table.c, model.Status
    stands = {
        r.id: (r.status, r.private, r.state)
        for r in core.Session.execute(
            sa.select(package.id, row.status, package.private, package.state)
            .outerjoin(row, row.package_id == package.id)
            .where(package.type.not_in(UNGATED_TYPES))
        )
    }
    try:
        shown = {
            id_: document
            for id_, document in _indexed().items()
            if document.get("dataset_type") not in UNGATED_TYPES
        }
        # Fields that Solr finds by but does not store.
        open_to_all = _indexed("permission_labels:public")
        told = {id_: name for name in STATUSES for id_ in _indexed(f"satudata_status:{name}")}
        words = "id validated_data_dict data_dict"
        sound: set[str] = set()
        for page in _documents("capacity:public", fields=words):
            sound |= reading.sound(page)
    except Exception as error:
        raise SearchError(f"Solr does not answer: {error}") from error
    problems = []
    for id_, (status, private, state) in stands.items():
        document = shown.pop(id_, None)
        wanted = "private" if private else "public"
        if state == "deleted":
            wrong = document is not None and document.get("capacity") == "public"
        else:
            wrong = (
                document is None
                or document.get("capacity") != wanted
                or told.get(id_) != status
                or (id_ in open_to_all) == private
                or (not private and id_ not in sound)
            )
        if wrong:
            problems.append(f"dataset {id_}: index differs from status {status}")
            if fix:
                service.reindex(id_)
    for id_ in shown:
        # A dataset that was made since the database was read is judged the next time.
        if core.Session.scalar(sa.select(package.id).where(package.id == id_)):
            continue
        problems.append(f"dataset {id_}: in the index, not in the database")
        if fix:
            search_clear(id_)
    return problems


def unadopted() -> list[str]:
    """Names of the datasets that are older than the extension."""
    package = core.package_table.c
    return list(
        core.Session.scalars(
            sa.select(package.name)
            .outerjoin(model.Status, model.Status.package_id == package.id)
            .where(model.Status.package_id.is_(None), package.type.not_in(UNGATED_TYPES))
            .order_by(package.name)
        )
    )


def misnamed() -> list[tuple[str, str]]:
    """Ids of the datasets named by the id of another, and that id; the triggers let none be new."""
    other = core.package_table.alias()
    query = sa.select(core.package_table.c.id, other.c.id).join(
        other,
        sa.and_(other.c.id == core.package_table.c.name, other.c.id != core.package_table.c.id),
    )
    return [(row[0], row[1]) for row in core.Session.execute(query)]


def adopt() -> list[str]:
    """Give datasets older than the extension a status, and make them private drafts.

    Returns:
        their names.
    """
    done = []
    for name in unadopted():
        with gate.explained():
            package = core.Session.scalars(
                sa.select(core.Package).where(core.Package.name == name).with_for_update()
            ).one()
            core.Session.execute(
                sa.insert(model.Status).values(package_id=package.id, makers=_makers(package))
            )
            service.record(
                package.id,
                service.SISTEM,
                "adopsi",
                to_status="draf",
                detail={"private": package.private},
            )
            gate.withdraw(package)
            core.Session.commit()
        service.reindex(package.id)
        done.append(name)
    return done


def _makers(package: core.Package) -> list[str]:
    return [package.creator_user_id] if package.creator_user_id else []
