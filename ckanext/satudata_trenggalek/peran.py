"""Which peran an organization holds, and which of them a user may act in.

No row for an organization means Produsen Data, an empty list none. Only direct editors and admins
act: a plain member reads, and nothing cascades from a parent organization (SOP, four roles).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Any

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
    sa.select(_peran.c.peran)
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
    """The peran that the organization of this id or name holds; None where there is none."""
    row = _OF_ORGANIZATION(name=name).first()
    return _read(row.peran) if row else None


def of_organization(organization_id: str | None) -> frozenset[Peran]:
    """The peran that an organization holds; none for no organization."""
    return (organization_id and find(organization_id)) or frozenset()


_member, _group = core.member_table.c, core.group_table.c
#: The memberships in which `user` acts.
OF_USER = (
    sa.select(_member.group_id, _peran.c.peran)
    .join(core.group_table, _group.id == _member.group_id)
    .outerjoin(_peran, _peran.c.organization_id == _member.group_id)
    .where(
        _member.table_name == "user",
        _member.table_id == sa.bindparam("user"),
        _member.state == "active",
        _member.capacity.in_(("editor", "admin")),
        _group.is_organization,
        _group.state == "active",
    )
)
_of_user = Statement(OF_USER, "user")


def of_user(user_id: str) -> dict[str, frozenset[Peran]]:
    """Organization id -> the peran in which the user acts for it."""
    return of_rows(_of_user(user=user_id))


def of_rows(rows: Iterable[Any]) -> dict[str, frozenset[Peran]]:
    """`of_user` of what OF_USER found."""
    return {row.group_id: _read(row.peran) for row in rows}


def of_names(names: Collection[str]) -> dict[str, tuple[str, dict[str, frozenset[Peran]]]]:
    """Name -> id and `of_user`, in one query; deleted and unknown users are left out."""
    if not names:
        return {}
    user, member, group = core.user_table.c, core.member_table.c, core.group_table.c
    acts = sa.and_(
        member.table_name == "user",
        member.table_id == user.id,
        member.state == "active",
        member.capacity.in_(("editor", "admin")),
    )
    rows = core.Session.execute(
        sa.select(user.name, user.id, member.group_id, OrganizationPeran.peran)
        .join(core.member_table, acts)
        .join(core.group_table, group.id == member.group_id)
        .outerjoin(OrganizationPeran, OrganizationPeran.organization_id == member.group_id)
        .where(
            user.name.in_(names),
            user.state == "active",
            group.is_organization,
            group.state == "active",
        )
    )
    found: dict[str, tuple[str, dict[str, frozenset[Peran]]]] = {}
    for row in rows:
        found.setdefault(row.name, (row.id, {}))[1][row.group_id] = _read(row.peran)
    return found


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
    """Ids of the organizations that hold this peran by a row of their own, deleted ones too."""
    return list(
        core.Session.scalars(
            sa.select(OrganizationPeran.organization_id)
            .join(core.Group, core.Group.id == OrganizationPeran.organization_id)
            .where(OrganizationPeran.peran.contains([peran.value]))
        )
    )


def assign(organization_id: str, peran: Collection[Peran]) -> None:
    """Give an organization exactly these peran. Flushes, does not commit.

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
