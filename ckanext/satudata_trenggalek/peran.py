"""Which peran an organization holds, and which of them a user may act in.

No row for an organization means Produsen Data, an empty list none. Only direct editors and admins
act: a plain member reads, and nothing cascades from a parent organization (SOP, four roles).
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, NamedTuple

import ckan.authz as authz
import ckan.model as core
import sqlalchemy as sa

from ckanext.satudata_trenggalek.model import OrganizationPeran
from ckanext.satudata_trenggalek.statement import Statement
from ckanext.satudata_trenggalek.workflow.table import Peran

DEFAULT = frozenset({Peran.PRODUSEN_DATA})
#: Peran that exactly one organization holds (Perpres 39/2019 Ps 21, 23).
UNIQUE = (Peran.WALIDATA, Peran.FORUM_SATU_DATA)

_peran: Any = OrganizationPeran.__table__


def _read(peran: list[str] | None) -> frozenset[Peran]:
    return DEFAULT if peran is None else frozenset(Peran(name) for name in peran)


_OF_ORGANIZATION = Statement(
    sa.select(_peran.c.peran, (core.group_table.c.state == "active").label("active"))
    .select_from(core.group_table)
    .outerjoin(_peran, _peran.c.organization_id == core.group_table.c.id)
    .where(sa.or_(core.group_table.c.id == sa.bindparam("name"),
                  core.group_table.c.name == sa.bindparam("name")))
    # An id before a name, as core reads it.
    .order_by((core.group_table.c.id == sa.bindparam("name")).desc())
    .limit(1),
    "name",
)  # fmt: skip


def find(name: str) -> frozenset[Peran] | None:
    """The peran that the organization of this id or name holds; None where there is none.

    One that is not active holds none.
    """
    row = _OF_ORGANIZATION(name=name).first()
    if row is None:
        return None
    return _read(row.peran) if row.active else frozenset()


def of_organization(organization_id: str | None) -> frozenset[Peran]:
    """The peran that an organization holds; none for no organization."""
    return (organization_id and find(organization_id)) or frozenset()


_user, _member, _group = core.user_table.c, core.member_table.c, core.group_table.c
#: Organizations in which active users take part: as who reads, and whether as who acts.
_MEMBERS = (
    sa.select(
        _user.id,
        _user.name,
        _member.group_id,
        _member.capacity.in_(("editor", "admin")).label("acts"),
        _peran.c.peran,
    )
    .select_from(core.user_table)
    .join(core.member_table, _member.table_id == _user.id)
    .join(core.group_table, _group.id == _member.group_id)
    .outerjoin(_peran, _peran.c.organization_id == _member.group_id)
    .where(
        _user.state == "active",
        _member.table_name == "user",
        _member.state == "active",
        _member.capacity.in_(authz.get_roles_with_permission("read")),
        _group.is_organization,
        _group.state == "active",
    )
)
_OF_USER = Statement(_MEMBERS.where(_user.id == sa.bindparam("user")), "user")


class Membership(NamedTuple):
    """What a user is in organizations: whose datasets they read, and in which peran they act."""

    reads: frozenset[str]
    acts: dict[str, frozenset[Peran]]


def membership(user_id: str) -> Membership:
    """Of a user; a deleted one is a member of nothing."""
    return _membership(_OF_USER(user=user_id).all())


def _membership(rows: Collection[Any]) -> Membership:
    acts = {row.group_id: _read(row.peran) for row in rows if row.acts}
    return Membership(frozenset(row.group_id for row in rows), acts)


def of_user(user_id: str) -> dict[str, frozenset[Peran]]:
    """Organization id -> the peran in which the user acts for it."""
    return membership(user_id).acts


def of_names(names: Collection[str]) -> dict[str, tuple[str, dict[str, frozenset[Peran]]]]:
    """Name -> id and `of_user`, in one query; deleted and unknown users are left out."""
    if not names:
        return {}
    found: dict[str, list[Any]] = {}
    for row in core.Session.execute(_MEMBERS.where(_user.name.in_(names))):
        found.setdefault(row.name, []).append(row)
    return {name: (rows[0].id, _membership(rows).acts) for name, rows in found.items()}


def towards(held: dict[str, frozenset[Peran]], owner_org: str | None) -> frozenset[Peran]:
    """The peran that count towards a dataset of owner_org: Produsen Data only at home.

    Args:
        held: what `of_user` gave.
        owner_org: organization id of the dataset.
    """
    return frozenset(
        peran
        for organization, group in held.items()
        for peran in group
        if peran is not Peran.PRODUSEN_DATA or organization == owner_org
    )


def holders(peran: Peran) -> list[str]:
    """Ids of the active organizations that hold this peran by a row of their own."""
    return list(core.Session.scalars(_rows(peran).where(core.Group.state == "active")))


def forfeited(peran: Peran) -> list[str]:
    """Ids of the organizations that have this peran in their row, and are not active or gone."""
    return list(
        core.Session.scalars(_rows(peran).where(core.Group.state.is_distinct_from("active")))
    )


def _rows(peran: Peran) -> sa.Select[tuple[str]]:
    return (
        sa.select(OrganizationPeran.organization_id)
        .outerjoin(core.Group, core.Group.id == OrganizationPeran.organization_id)
        .where(OrganizationPeran.peran.contains([peran.value]))
    )


def assigned(organization_id: str) -> frozenset[Peran]:
    """What stands in the row of an organization, whether or not it counts."""
    row = core.Session.get(OrganizationPeran, organization_id, populate_existing=True)
    return _read(row.peran if row else None)


def assign(organization_id: str, peran: Collection[Peran]) -> None:
    """Give an organization exactly these peran. Flushes, does not commit.

    The database wants their event (logic/action.py) before the commit.

    Raises:
        sqlalchemy.exc.IntegrityError: when another organization is the Walidata or the Forum.
    """
    values = sorted(item.value for item in peran)
    row = core.Session.get(OrganizationPeran, organization_id)
    if row:
        row.peran = values
    else:
        core.Session.add(OrganizationPeran(organization_id=organization_id, peran=values))
    core.Session.flush()
