"""What a dataset says, and its hash: the thing that is approved and published.

Made from the rows, never from package_show, so that no plugin, cache or reader's role changes it.
Left out are identifiers, flags and times; the name of a revision is that of the dataset it is
merged into, so that both have one hash.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any

import ckan.model as core
import sqlalchemy as sa

from ckanext.satudata_trenggalek import model

#: Columns of `package` that are stored schema fields.
PACKAGE_FIELDS = (
    "title", "version", "url", "author", "author_email", "maintainer", "maintainer_email",
    "notes", "license_id", "type",
)  # fmt: skip
#: Columns of `resource` likewise. `size`, `hash`: the pointer row says those of the bytes.
RESOURCE_FIELDS = (
    "url", "format", "description", "name", "resource_type", "mimetype", "mimetype_inner",
    "url_type", "cache_url",
)  # fmt: skip


_target = core.package_table.alias()
#: Name under which the public meets a dataset.
_address = sa.func.coalesce(
    sa.select(_target.c.name)
    .join(model.Status, model.Status.revision_of == _target.c.id)
    .where(model.Status.package_id == core.package_table.c.id)
    .scalar_subquery(),
    core.package_table.c.name,
).label("address")


def _without_loader_s(extras: dict[str, Any] | None) -> dict[str, Any]:
    """Without the loader's word that there is a table."""
    return {
        key: value
        for key, value in (extras or {}).items()
        if key != "datastore_active" or not isinstance(value, bool)
    }


def _fields(row: Any, names: tuple[str, ...]) -> dict[str, Any]:
    return {name: getattr(row, name) for name in names if getattr(row, name) not in (None, "")}


def canonical(package_id: str) -> dict[str, Any]:
    """The content of a dataset as it stands in this transaction.

    Returns:
        JSON-able dict of fields, extras, tags, group ids, owner organization id and resources in
        their order, each with the SHA-256 and size of its bytes and its views; with the id and
        published version (0 means never) of the kegiatan that the dataset points to.
    """
    session = core.Session
    # The rows as the database has them, whatever this session holds unflushed or cached.
    package = session.execute(
        sa.select(core.package_table, _address).where(core.package_table.c.id == package_id)
    ).one()
    tags = session.execute(
        sa.select(core.tag_table.c.name, core.tag_table.c.vocabulary_id)
        .join(core.package_tag_table, core.package_tag_table.c.tag_id == core.tag_table.c.id)
        .where(
            core.package_tag_table.c.package_id == package_id,
            core.package_tag_table.c.state == "active",
        )
        .order_by(core.tag_table.c.name, core.tag_table.c.vocabulary_id)
    ).all()
    groups = session.scalars(
        sa.select(core.member_table.c.group_id)
        .join(core.group_table, core.group_table.c.id == core.member_table.c.group_id)
        # Whatever their capacity, as core shows them (ckan/lib/dictization/model_dictize.py).
        .where(
            core.member_table.c.table_id == package_id,
            core.member_table.c.state == "active",
            core.group_table.c.is_organization.is_(False),
        )
        .order_by(core.member_table.c.group_id)
    ).all()
    resources = session.execute(
        sa.select(core.resource_table)
        .where(
            core.resource_table.c.package_id == package_id,
            core.resource_table.c.state == "active",
        )
        .order_by(core.resource_table.c.position, core.resource_table.c.id)
    ).all()
    ids = [row.id for row in resources]
    files = {
        row.resource_id: row
        for row in session.execute(
            sa.select(model.Pointer.resource_id, model.Pointer.sha256, model.Pointer.size).where(
                model.Pointer.resource_id.in_(ids)
            )
        )
    }
    views: dict[str, list[dict[str, Any]]] = {}
    view_table = core.resource_view_table
    for view in session.execute(
        sa.select(view_table)
        .where(view_table.c.resource_id.in_(ids))
        .order_by(view_table.c.order, view_table.c.title, view_table.c.id)
    ):
        views.setdefault(view.resource_id, []).append(
            _fields(view, ("view_type", "title", "description")) | {"config": view.config or {}}
        )
    body = {
        "fields": {"name": package.address, **_fields(package, PACKAGE_FIELDS)},
        "extras": dict(package.extras or {}),
        "owner_org": package.owner_org,
        "tags": [[tag.name, tag.vocabulary_id] for tag in tags],
        "groups": list(groups),
        "resources": [
            {
                "fields": _fields(row, RESOURCE_FIELDS),
                "extras": _without_loader_s(row.extras),
                "file": {"sha256": files[row.id].sha256, "size": files[row.id].size}
                if row.id in files
                else None,
                "views": views.get(row.id, []),
            }
            for row in resources
        ],
    }
    if kegiatan := (package.extras or {}).get("id_kegiatan"):
        version = session.scalar(
            sa.select(model.Status.version).where(model.Status.package_id == kegiatan)
        )
        body["kegiatan"] = {"id": kegiatan, "version": version or 0}
    return body


def as_approved(package_id: str, content_hash: str | None) -> dict[str, Any]:
    """The content as it stands, beside the version of the kegiatan that was approved with it.

    A kegiatan that goes on to a new version changes nothing of what was published with the last.

    Args:
        package_id: id of the dataset.
        content_hash: that was approved.
    """
    body, kept = canonical(package_id), core.Session.get(model.Content, content_hash or "")
    approved = kept.content.get("kegiatan") if kept else None
    if approved and approved["id"] == body.get("kegiatan", {}).get("id"):
        body["kegiatan"] = approved
    if kept and "name" not in kept.content["fields"]:
        # Approved by an older version of the portal; a trigger keeps the name of what is published.
        del body["fields"]["name"]
    return body


_ENCODER = json.JSONEncoder(
    sort_keys=True, ensure_ascii=False, separators=(",", ":"), allow_nan=False
)


def canonical_json(value: Any) -> bytes:
    """JSON with sorted keys, no spaces, UTF-8: equal values give equal bytes."""
    return _ENCODER.encode(value).encode()


def digest(content: dict[str, Any]) -> str:
    """The content hash: "sha256:" and 64 hex digits over canonical JSON."""
    return "sha256:" + hashlib.sha256(canonical_json(content)).hexdigest()
