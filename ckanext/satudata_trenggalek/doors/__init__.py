"""Core's other doors: chained actions and auth functions in front of the triggers.

The triggers hold without them; these give people a 403, 404 or 409 with a remedy instead of a 500,
and close what is not in the main database.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Any

import ckan.authz as authz
import ckan.model as core
import ckan.plugins.toolkit as tk
import sqlalchemy as sa
from ckan.types import AuthResult, Context
from flask import has_request_context
from sqlalchemy.dialects.postgresql import ARRAY

from ckanext.satudata_trenggalek import model, peran
from ckanext.satudata_trenggalek.model import ddl
from ckanext.satudata_trenggalek.statement import Statement, forget, remembered
from ckanext.satudata_trenggalek.workflow import engine
from ckanext.satudata_trenggalek.workflow.table import Peran

#: Kinds of members that there are.
MEMBERS = ("package", "user", "group")
#: Keys of what we add at reading; core's package_patch sends back what package_show gave.
PREFIX = "satudata_"


def user_of(context: Any) -> core.User | None:
    """The user on whose behalf an action runs; None for jobs (`ignore_auth` outside a request)."""
    if context.get("ignore_auth"):
        user: Any = tk.current_user if has_request_context() else None
    else:
        user = context.get("auth_user_obj") or core.User.get(context.get("user"))
    return user if user and user.is_authenticated else None


def anonymous(context: Any) -> bool:
    """Whether an action reads for the public; no job, no page, nobody who may send it back."""
    if context.get("ignore_auth") or context.get("for_view") or context.get("user"):
        return False
    return user_of(context) is None and not (
        has_request_context() and tk.current_user.is_authenticated
    )


def held(context: Any, owner_org: str | None) -> frozenset[Peran]:
    """The peran in which the caller acts towards datasets of owner_org."""
    user = context.get("auth_user_obj") or core.User.get(context.get("user"))
    if not user or not user.is_authenticated:
        return frozenset()
    return peran.towards(peran.of_user(user.id), owner_org)


def status_of(package_id: str) -> model.Status | None:
    """The status row as the database has it now."""
    return core.Session.get(model.Status, package_id, populate_existing=True)


_row: Any = model.Status.__table__
_pembina: Any = model.Status.of_pembina
_HIDDEN = Statement(
    sa.select(
        _row.c.package_id,
        _row.c.status,
        _pembina.label("of_pembina"),
    ).where(_row.c.package_id == sa.any_(sa.bindparam("ids", type_=ARRAY(sa.Text)))),
    "ids",
)


def hidden(ids: list[str]) -> dict[str, sa.Row[Any]]:
    """Of those of these datasets that have a status, by id: status, and whether Pembina reads it.

    For what is not public, or not known to be.
    """
    found = {row.package_id: row for row in _HIDDEN(ids=ids)} if ids else {}
    remembered("status").update({id_: found.get(id_) for id_ in ids})
    return found


def membership(user: core.User) -> peran.Membership:
    """Of a user, as the session's transaction found it first."""
    known = remembered("membership")
    if user.id not in known:
        known[user.id] = peran.membership(user.id)
    return known[user.id]


def standing(context: Any, package: core.Package) -> tuple[str | None, frozenset[Peran]]:
    """Status of a dataset as the database has it now, None where it has none; and `held`.

    Core asks four times in an upload, so the answer holds until the transaction writes or ends.
    When others change the status meanwhile the triggers refuse; a peran taken meanwhile counts.
    """
    user = context.get("auth_user_obj") or core.User.get(context.get("user"))
    known = remembered("status")
    row = known[package.id] if package.id in known else hidden([package.id]).get(package.id)
    acts = membership(user).acts if user and user.is_authenticated else {}
    return row.status if row else None, peran.towards(acts, package.owner_org)


def may_follow(held: Collection[Peran], row: Any) -> bool:
    """Whether who holds these peran towards a dataset reads its status and all that was said of it.

    Args:
        held: of `peran.towards`.
        row: with `of_pembina` of its status; None where it has none.
    """
    if {Peran.PRODUSEN_DATA, Peran.WALIDATA}.intersection(held):
        return True
    return Peran.PEMBINA_DATA in held and row is not None and row.of_pembina


def no_maker(user: core.User, row: model.Status) -> AuthResult:
    """Allow who did not make the dataset of a status row: nobody checks their own work."""
    if user.id in row.makers:
        return {"success": False, "msg": tk._(engine.PEMBUAT)}
    return {"success": True}


def text(value: Any) -> str | None:
    """An identifier as sent; None for what is no storable text, which then is unknown."""
    if not isinstance(value, str) or "\x00" in value:
        return None
    try:
        value.encode()
    except UnicodeEncodeError:
        return None
    return value


def is_id(value: Any) -> bool:
    """Whether something sent has the form of the ids that core makes."""
    return isinstance(value, str) and re.fullmatch(ddl.ID, value) is not None


def package_of(data: Any, *keys: str) -> core.Package | None:
    """The dataset that the first of keys with a value names, by id or name.

    As core's `Package.get`, which asks twice for a name; and what the session holds by its id is
    not asked for again.
    """
    name = next((text(data[key]) for key in keys if (data or {}).get(key)), None)
    if not name or is_id(name):
        return core.Package.get(name) if name else None
    columns = core.Package.id, core.Package.name
    query = sa.select(core.Package).where(sa.or_(*(column == name for column in columns)))
    # An id goes before a name.
    return core.Session.scalars(query.order_by(columns[0] != name).limit(1)).first()


def package_of_resource(resource_id: Any) -> core.Package | None:
    """The dataset of a resource, by its id; None also when it was removed from it.

    What was removed keeps its row, which is no content and nobody checks. Core would find it, and
    what has the sought id as its name.
    """
    id_ = text(resource_id)
    resource = core.Session.get(core.Resource, id_) if id_ else None
    return resource.package if resource and resource.state == "active" else None


def package_of_view(data: Any) -> core.Package | None:
    """The dataset of the view `id`, or of the resource `resource_id`."""
    name = text((data or {}).get("id"))
    view = core.ResourceView.get(name) if name else None
    return package_of_resource(view.resource_id if view else (data or {}).get("resource_id"))


_LOCKED = "locked"


def lock(id_: str) -> None:
    """Lock a dataset, and have the session see it, its files and who may do what as they are then.

    Core waits for the lock and goes on with what it had read before: of two edits at once one would
    be lost.
    """
    if id_ in remembered(_LOCKED):
        return
    session = core.Session()
    session.get(core.Package, id_, with_for_update=True, populate_existing=True)
    files = sa.select(core.Resource).where(core.Resource.package_id == id_)
    session.scalars(files.execution_options(populate_existing=True)).all()
    forget(session)
    remembered(_LOCKED)[id_] = True


def may_see(context: Any, package: core.Package) -> bool:
    """Whether the caller may read the dataset (permission labels; sysadmins all)."""
    asked = Context(
        user=context.get("user", ""),
        auth_user_obj=context.get("auth_user_obj") or core.User.get(context.get("user")),
        ignore_auth=context.get("ignore_auth", False),
        package=package,
    )
    return authz.is_authorized_boolean("package_show", asked, {"id": package.id})
