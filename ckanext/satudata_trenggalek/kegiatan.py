"""Which kegiatan (MS-Kegiatan) a dataset may point to, and how it stands."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Any

import ckan.model as core
import ckan.plugins.toolkit as tk
import sqlalchemy as sa

from ckanext.satudata_trenggalek import model
from ckanext.satudata_trenggalek.statement import Statement
from ckanext.satudata_trenggalek.workflow.table import KEGIATAN, PUBLIC

#: The field of a dataset that holds the id.
FIELD = "id_kegiatan"

_package, _status = core.package_table.c, model.Status


def published() -> sa.ColumnElement[bool]:
    """Condition: the public sees this dataset."""
    return sa.and_(
        _status.status.in_(PUBLIC), _package.private.is_(False), _package.state == "active"
    )


def select(owners: Collection[str] | sa.Select[Any]) -> sa.Select[Any]:
    """The kegiatan that datasets of these organizations may point to: their own and published ones.

    Args:
        owners: organization ids, or a query for them.

    Returns:
        a query for id, name, title, owner_org, extras, status and version; none is deleted.
    """
    return (
        sa.select(
            _package.id,
            _package.name,
            _package.title,
            _package.owner_org,
            _package.extras,
            _status.status,
            _status.version,
        )
        .join_from(core.package_table, _status, _status.package_id == _package.id)
        .where(
            _package.type == KEGIATAN,
            _package.state != "deleted",
            sa.or_(_package.owner_org.in_(owners), published()),
        )
    )


_group = core.group_table.c
_named, _owner = sa.bindparam("named"), sa.bindparam("owner")
_FIND = Statement(
    select(
        sa.select(_group.id)
        .where(sa.or_(_group.id == _owner, _group.name == _owner))
        # An id before a name: somebody may call one like the id of another.
        .order_by((_group.id == _owner).desc())
        .limit(1)
    )
    .where(sa.or_(_package.id == _named, _package.name == _named))
    .order_by((_package.id == _named).desc())
    .limit(1),
    "named",
    "owner",
)


def find(named: str, owner: str | None) -> sa.Row[Any] | None:
    """The kegiatan of this id or name, if datasets of the owner (id or name) may point to it."""
    return _FIND(named=named, owner=owner).one_or_none()


def refusal() -> str:
    """What is said of a kegiatan that is unknown or that may not be pointed to, both alike."""
    return tk._(
        "Kegiatan ini tidak ditemukan, atau milik OPD lain dan belum terbit. Pilih dari daftar."
    )


def unseen() -> str:
    """What is said in place of the title of a kegiatan that its reader may not see."""
    return tk._("Kegiatan OPD lain yang tidak sedang terbit")


def of(package: core.Package) -> str | None:
    """Id of the kegiatan that a dataset points to."""
    return (package.extras or {}).get(FIELD) or None


def standing(id_: str | None) -> sa.Row[Any] | None:
    """A kegiatan as it stands, whoever may see it; None when there is none of this id."""
    if not id_:
        return None
    return core.Session.execute(
        sa.select(
            _package.id,
            _package.name,
            _package.title,
            _package.owner_org,
            _status.status,
            _status.version,
        )
        .join_from(core.package_table, _status, _status.package_id == _package.id)
        .where(_package.id == id_, _package.type == KEGIATAN)
    ).one_or_none()


def lock(id_: str | None) -> None:
    """Keep a kegiatan from being withdrawn until this transaction ends, or wait until it was."""
    if id_:
        core.Session.execute(
            sa.select(_status.package_id)
            .where(_status.package_id == id_)
            .with_for_update(read=True)
        )


def of_public(ids: Iterable[str]) -> dict[str, sa.Row[Any]]:
    """Those of these kegiatan that are published, by id: rows as of `select`."""
    rows = core.Session.execute(select([]).where(_package.id.in_(list(ids))))
    return {row.id: row for row in rows}
