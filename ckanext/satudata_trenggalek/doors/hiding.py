"""Actions that read, chained: forbidden reads like unknown, and lists tell of public data only."""

from __future__ import annotations

import functools
from collections.abc import Callable, Collection
from typing import Any

import ckan.model as core
import ckan.plugins.toolkit as tk
import sqlalchemy as sa
from ckan.logic.schema import default_pagination_schema
from ckan.types import Context
from flask import g, has_request_context

from ckanext.satudata_trenggalek import reading
from ckanext.satudata_trenggalek.doors import (
    MEMBERS,
    asking,
    hidden,
    is_id,
    lock,
    may_see,
    package_of,
    package_of_resource,
    package_of_view,
    text,
)
from ckanext.satudata_trenggalek.logic import schema as parameters
from ckanext.satudata_trenggalek.statement import forget
from ckanext.satudata_trenggalek.workflow.table import ASIDE_TYPES, EDITABLE


def _unknown(find: Callable[[Any], core.Package | None], *keys: str) -> Any:
    """An action that answers for what the caller may not see as for what does not exist.

    Core says 403, often with the id: that tells the dataset exists.
    """

    def action(next_action: Any, context: Any, data_dict: Any) -> Any:
        data = data_dict or {}
        asked = any(data.get(key) is not None for key in keys)
        if asked and not context.get("ignore_auth"):
            package = find(data)
            if package is None or not may_see(context, package):
                raise tk.ObjectNotFound()
        return next_action(context, data_dict)

    return action


def _every(find: Callable[[Any], core.Package | None], *keys: str) -> Any:
    """As `_unknown`, for each of the keys that is sent: core takes some for one another."""

    def action(next_action: Any, context: Any, data_dict: Any) -> Any:
        given = [data_dict[key] for key in keys if (data_dict or {}).get(key) is not None]
        for value in given if not context.get("ignore_auth") else ():
            package = find(value)
            if package is None or not may_see(context, package):
                raise tk.ObjectNotFound()
        return next_action(context, data_dict)

    return action


def _show(next_action: Any, context: Any, data_dict: Any) -> Any:
    # Asks for itself, so that the many readers of published data pay for one check only.
    for key in _NAMES:
        if (data_dict or {}).get(key) is not None and text(data_dict[key]) is None:
            raise tk.ObjectNotFound()
    try:
        return next_action(context, data_dict)
    except tk.NotAuthorized:
        raise tk.ObjectNotFound() from None


def _resource_show(next_action: Any, context: Any, data_dict: Any) -> Any:
    id_ = (data_dict or {}).get("id")
    if id_ and package_of_resource(id_) is None:
        raise tk.ObjectNotFound()
    return _show(next_action, context, data_dict)


_NAMES = ("id", "name_or_id")


def _package_show(next_action: Any, context: Any, data_dict: Any) -> Any:
    data = data_dict or {}
    if not is_id(data.get("id")) and (package := package_of(data, *_NAMES)):
        # By its id, by which the session holds it: core looks for it again, and again for access.
        data_dict = {**data, "id": package.id}
    if context.get("for_update") and (package := package_of(data_dict or {}, *_NAMES)):
        lock(package.id)
    if not context.get("for_update") and not context.get("ignore_auth"):
        known = core.Session.get(core.Package, text((data_dict or {}).get("id")) or "")
        row = hidden([known.id]).get(known.id) if known and known.private else None
        if row and row.status not in EDITABLE:
            # Who checks it reads its rows: the index may have missed, or been given, other words.
            context["use_cache"] = False
    asked = (data_dict or {}).get("id")

    def read() -> Any:
        shown = _show(next_action, context, data_dict)
        if is_id(asked) and shown.get("id") != asked:
            # Core takes a copy from the index of what has the id for its name.
            shown = _show(next_action, {**context, "use_cache": False}, data_dict)
        return shown

    return _read(read, lambda: _anew([str(asked)]))


def _search(next_action: Any, context: Any, data_dict: Any) -> Any:
    token = reading.reader.set(context)
    try:
        return next_action(context, data_dict)
    finally:
        reading.reader.reset(token)


def _aside(column: Any) -> set[str]:
    """Names or ids of the datasets that lists leave out."""
    query = sa.select(column).where(core.package_table.c.type.in_(ASIDE_TYPES))
    return set(core.Session.scalars(query))


def _list(next_action: Any, context: Any, data_dict: Any) -> Any:
    """Core pages before we can leave anything out, so it gives all."""
    page = _pages(context, data_dict)
    column = core.package_table.c["id" if context.get("api_version") == 2 else "name"]
    aside = _aside(column)
    return _page([row for row in next_action(context, {}) if row not in aside], page)


_PAGES = ("limit", "offset")


def _pages(context: Any, data_dict: Any) -> dict[str, Any]:
    """`limit` and `offset` as sent.

    Raises:
        tk.ValidationError: naming which is no number.
    """
    sent = {key: value for key, value in (data_dict or {}).items() if key in _PAGES}
    page, errors = tk.navl_validate(sent, default_pagination_schema(), context)
    if errors:
        raise tk.ValidationError(errors)
    return page


def _page(rows: list[Any], page: dict[str, Any]) -> list[Any]:
    rows = rows[page.get("offset") or 0 :]
    return rows[: page["limit"]] if page.get("limit") else rows


def _autocomplete(next_action: Any, context: Any, data_dict: Any) -> Any:
    """Core asks Solr past package_search: without its checks before and after."""
    words = (data_dict or {}).get("q")
    asking.check({"q": words})
    data: dict[str, Any] = {**(data_dict or {})}
    if words:
        # Core puts it between quotes, of which a backslash would take the second away.
        data["q"] = words.replace("\\", " ")
    limit = int(data.get("limit") or 10)
    while True:
        found = next_action(context, data)
        kept = _seen(context, found)
        # Again, with more: what was left out may have taken the place of others.
        if len(kept) >= limit or len(found) < int(data.get("limit") or limit):
            return kept[:limit]
        data["limit"] = int(data.get("limit") or limit) + len(found) - len(kept)


def _seen(context: Any, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Those rows that are of data as the caller may see it now: Solr may have missed that."""
    names = [row["name"] for row in rows]
    query = sa.select(core.Package).where(core.Package.name.in_(names))
    known = {package.name: package for package in core.Session.scalars(query)}
    public = reading.published(package.id for package in known.values())
    shown = {
        (name, package.title)
        for name, package in known.items()
        if package.type not in ASIDE_TYPES and (package.id in public or may_see(context, package))
    }
    return [row for row in rows if (row["name"], row["title"]) in shown]


def _groups(next_action: Any, context: Any, data_dict: Any) -> Any:
    """Core counts datasets of every type that the caller may see (ckan/logic/action/get.py)."""
    found = next_action(context, data_dict)
    rows = [row for row in found if isinstance(row, dict) and "package_count" in row]
    if rows:
        query = {
            "fq": f"dataset_type:({' OR '.join(ASIDE_TYPES)})",
            "facet.field": ["groups", "owner_org"],
            "facet.limit": -1,
            "include_private": True,
            "rows": 0,
        }
        asked = Context(
            user=context.get("user", ""),
            auth_user_obj=context.get("auth_user_obj"),
            ignore_auth=context.get("ignore_auth", False),
        )
        facets = tk.get_action("package_search")(asked, query)["search_facets"]
        aside = {
            item["name"]: item["count"] for facet in facets.values() for item in facet["items"]
        }
        for row in rows:
            key = row["id" if row["is_organization"] else "name"]
            row["package_count"] -= aside.get(key, 0)
    return found


def _tag(next_action: Any, context: Any, data_dict: Any) -> Any:
    tag = next_action(context, data_dict)
    if not tag["vocabulary_id"] and not _public_tags(tag["name"]):
        raise tk.ObjectNotFound()
    if "packages" in tag:
        # Core takes them from Solr past package_search.
        data = [row for row in tag["packages"] if row["type"] not in ASIDE_TYPES]
        public = reading.published(row["id"] for row in data)
        tag["packages"] = [row for row in data if row["id"] in public]
    return tag


def _public(column: Any, join: Any, *values: str) -> set[Any]:
    """The values of a column in published datasets; of these values, if given."""
    package = core.package_table.c
    query = (
        sa.select(column)
        .select_from(join)
        .where(package.private.is_(False), package.state == "active")
        .distinct()
    )
    if values:
        query = query.where(column.in_(values))
    return set(core.Session.scalars(query))


def _public_tags(*names: str) -> set[str]:
    link, tag = core.package_tag_table, core.tag_table
    # Core leaves a row of what was taken off.
    join = link.join(tag, sa.and_(tag.c.id == link.c.tag_id, link.c.state == "active")).join(
        core.package_table, core.package_table.c.id == link.c.package_id
    )
    return _public(tag.c.name, join, *names)


def _tags(next_action: Any, context: Any, data_dict: Any) -> Any:
    """Core lists the tags of drafts too (ckan/model/tag.py), and counts them before it pages."""
    public, page = _public_tags(), _pages(context, data_dict)
    asked = {key: value for key, value in (data_dict or {}).items() if key not in _PAGES}
    found = next_action(context, asked)

    def keep(rows: list[Any]) -> list[Any]:
        return [row for row in rows if (row["name"] if isinstance(row, dict) else row) in public]

    if isinstance(found, dict):
        results = keep(found["results"])
        return {**found, "results": _page(results, page), "count": len(results)}
    return _page(keep(found), page)


def _formats(next_action: Any, context: Any, data_dict: Any) -> Any:
    """Core orders and cuts them by how many there are of each, drafts counted."""
    next_action(context, {**(data_dict or {}), "limit": 1})  # refuses what it can't take
    resource, package = core.resource_table.c, core.package_table.c
    name = sa.func.lower(resource.format)
    query = (
        sa.select(name)
        .select_from(core.resource_table)
        .join(core.package_table, package.id == resource.package_id)
        .where(
            package.private.is_(False),
            package.state == "active",
            resource.state == "active",
            resource.format.icontains(data_dict["q"], autoescape=True),
        )
        .group_by(name)
        .order_by(sa.func.count().desc(), name)
        .limit(int(data_dict.get("limit") or 5))
    )
    return list(core.Session.scalars(query))


def _members(next_action: Any, context: Any, data_dict: Any) -> Any:
    parameters.choice(data_dict or {}, "object_type", MEMBERS)
    rows = next_action(context, data_dict)
    public = reading.published(row[0] for row in rows if row[1] == "package")
    return [row for row in rows if row[1] in ("user", "group") or row[0] in public]


def _relationships(next_action: Any, context: Any, data_dict: Any) -> Any:
    # What else is a relationship, core asserts (ckan/model/package_relationship.py).
    known = (*core.PackageRelationship.get_all_types(), "relationships")
    parameters.choice(data_dict, "rel", known)
    return _every(_of_id, "id", "id2")(next_action, context, data_dict)


def _package_of_task(data: Any) -> core.Package | None:
    """The dataset of a task, by its id or by what it is done for."""
    name = text(data.get("id"))
    task = core.TaskStatus.get(name) if name else None
    entity = task.entity_id if task else data.get("entity_id")
    return package_of_resource(entity) or package_of({"id": entity}, "id")


def _chained(name: str, function: Any, reads: bool) -> Any:
    @tk.chained_action
    def action(next_action: Any, context: Any, data_dict: Any) -> Any:
        return function(next_action, context, data_dict)

    action.__name__ = name
    # Without it a GET of a chained read is refused (ckan/views/api.py).
    return tk.side_effect_free(action) if reads else action


def _of_id(value: Any) -> core.Package | None:
    return package_of({"id": value}, "id")


#: How often a dataset is read anew that changes while it is read.
_READS = 3


def _read(read: Callable[[], Any], again: Callable[[], None]) -> Any:
    """What was read while the dataset stood as when access to it was checked.

    Core reads after it has checked access; meanwhile the dataset may be withdrawn, taken back or
    moved, and changed.

    Args:
        read: checks and reads; raises reading.Changed.
        again: called before it is read again.

    Raises:
        tk.ObjectNotFound: it does not come to rest, or the caller may not see it any more.
    """
    for _ in range(_READS):
        try:
            return read()
        except reading.Changed:
            again()
    raise tk.ObjectNotFound()


def _anew(ids: Collection[str]) -> None:
    """Have the session ask the database again for datasets and who may see them."""
    session = core.Session()
    forget(session)
    if has_request_context():
        g.pop("satudata_asked", None)
    for package in filter(None, (session.get(core.Package, id_) for id_ in ids)):
        for row in (package, *package.resources_all):
            session.expire(row)


def steady(action: Any, *keys: str) -> Any:
    """An action that reads of a dataset, or of one of its files, more than core's package_show.

    Args:
        action: called as a chained one is.
        keys: parameters that name the dataset, a file or a view.
    """

    def answer(next_action: Any, context: Any, data_dict: Any) -> Any:
        data = data_dict or {}
        if context.get("ignore_auth"):
            return action(next_action, context, data_dict)
        # Whichever of them core takes.
        given = [data[key] for key in keys if data.get(key) is not None]
        found = [
            find(value)
            for value in given
            for find in (package_of_resource, _of_id, lambda v: package_of_view({"id": v}))
        ]
        ids = sorted({package.id for package in found if package})

        def read() -> Any:
            before = reading.stand(ids)
            told = action(next_action, context, data_dict)
            if reading.stand(ids) != before:
                raise reading.Changed
            return told

        return _read(read, lambda: _anew(ids))

    return answer


def watched(action: Any) -> Any:
    """`steady`, of an action of our own that names a dataset or a file by `id`."""

    @functools.wraps(action)
    def answer(context: Any, data_dict: Any) -> Any:
        read = steady(lambda _next, *asked: action(*asked), "id")
        return read(None, context, data_dict)

    return answer


_by_id = _every(_of_id, "id")
_by_resource = steady(_every(package_of_resource, "id", "resource_id"), "id", "resource_id")

ACTIONS: dict[str, Any] = {
    name: _chained(name, function, reads)
    for function, reads, names in (
        (_package_show, True, ("package_show",)),
        (_resource_show, True, ("resource_show",)),
        (_search, True, ("package_search",)),
        (_list, True, ("package_list",)),
        (_autocomplete, True, ("package_autocomplete",)),
        (_groups, True, ("organization_list", "group_list")),
        (_tag, True, ("tag_show",)),
        (_tags, True, ("tag_list", "tag_search", "tag_autocomplete")),
        (_formats, True, ("format_autocomplete",)),
        (_members, True, ("member_list",)),
        (
            _by_id,
            True,
            (
                "package_collaborator_list",
                "dataset_follower_count",
                "am_following_dataset",
            ),
        ),
        (_by_id, False, ("follow_dataset", "unfollow_dataset")),
        (_relationships, True, ("package_relationships_list",)),
        (_by_resource, True, ("resource_view_list", "datastore_info", "datastore_search")),
        (steady(_unknown(package_of_view, "id"), "id"), True, ("resource_view_show",)),
        (_unknown(_package_of_task, "id", "entity_id"), True, ("task_status_show",)),
    )
    for name in names
}
