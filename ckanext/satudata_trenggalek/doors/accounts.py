"""Who may act: each change of it is an event, in the transaction that makes it; and so is a dataset
that is deleted past the actions.

CKAN lets a sysadmin set another's password or e-mail address and act as them, and whoever makes a
user an editor gives them a peran. That stays possible, but not unseen: the chain of each
organization in which the user holds a peran (of a sysadmin: the user's own) says who changed what,
never the address or the password itself. So does it say which state an organization came to, and
that its peran went with it when it was purged. Seen are all changes by CKAN's models: API, pages
and command line; of SQL the database holds what concerns peran and names (model/ddl.py).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import ckan.model as core
import ckan.plugins.toolkit as tk
import sqlalchemy as sa
from flask import has_request_context
from sqlalchemy import event
from sqlalchemy.orm import Session

from ckanext.satudata_trenggalek import gate, model, peran
from ckanext.satudata_trenggalek.workflow import service
from ckanext.satudata_trenggalek.workflow.table import SISTEM, UNGATED_TYPES

#: Names of the events.
MEMBERSHIP, ACCOUNT, STATE = "keanggotaan", "akun", "keadaan"
#: Attribute of a user -> what an event calls it.
_WATCHED = {
    "name": "nama",
    "email": "email",
    "_password": "kata_sandi",
    "sysadmin": "admin_sistem",
    "state": "keadaan",
}


def _load_before(*_: object) -> None:
    """For a listener that makes SQLAlchemy load the value that is about to be replaced."""


for _attribute in (
    core.Member.state, core.Member.capacity, core.Group.state, core.Package.state
):  # fmt: skip
    event.listen(_attribute, "set", _load_before, active_history=True)


def _before(row: Any, name: str) -> Any:
    """An attribute as it was before the flush."""
    old = sa.inspect(row).attrs[name].history.deleted
    return old[0] if old else getattr(row, name)


def _memberships(session: Session) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for row in {*session.new, *session.dirty, *session.deleted}:
        if not isinstance(row, core.Member) or row.table_name != "user":
            continue
        old = None if row in session.new else (_before(row, "state"), _before(row, "capacity"))
        new = None if row in session.deleted else (row.state, row.capacity)
        before, after = (pair[1] if pair and pair[0] == "active" else None for pair in (old, new))
        if before != after and row.group_id:
            detail = {"pengguna": row.table_id, "sebelum": before, "sesudah": after}
            yield row.group_id, MEMBERSHIP, detail


def _organizations(session: Session) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Organizations that came to another state: only who belongs to an active one may act."""
    for row in {*session.dirty, *session.deleted}:
        if not isinstance(row, core.Group) or not row.is_organization:
            continue
        before, after = _before(row, "state"), None if row in session.deleted else row.state
        if before != after:
            yield row.id, STATE, {"sebelum": before, "sesudah": after}


@event.listens_for(core.Session, "before_flush")
def _take_peran(session: Session, *_: object) -> None:
    """The peran of an organization that is purged, while its row still says them."""
    for group in session.deleted:
        if not isinstance(group, core.Group):
            continue
        row = model.OrganizationPeran
        held = session.scalar(sa.select(row.peran).where(row.organization_id == group.id))
        if held is not None:
            service.lock_chain(group.id)
            _write(session, group.id, "peran", {"sebelum": sorted(held), "sesudah": None})


def _accounts(session: Session) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for row in session.new:
        if isinstance(row, core.User) and row.sysadmin:
            yield row.id, ACCOUNT, {"pengguna": row.id, "ubah": ["admin_sistem"]}
    for row in session.dirty:
        if not isinstance(row, core.User):
            continue
        state: Any = sa.inspect(row)
        attributes = state.attrs
        changed = [
            word for name, word in _WATCHED.items() if attributes[name].history.has_changes()
        ]
        if not changed:
            continue
        detail = {"pengguna": row.id, "ubah": changed}
        yield from ((id_, ACCOUNT, detail) for id_, held in _peran(row) if held)


def _tokens(session: Session) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Tokens that somebody else made: the command line asks for no owner (ckan/cli/user.py)."""
    for row in session.new:
        owner = core.User.get(row.user_id) if isinstance(row, core.ApiToken) else None
        if owner and owner.name != _actor():
            detail = {"pengguna": owner.id, "ubah": ["token_api"]}
            yield from ((id_, ACCOUNT, detail) for id_, held in _peran(owner) if held)


def _peran(user: core.User) -> list[tuple[str, Any]]:
    """The chains on which it stands who may act as a user, with the peran that it is about."""
    chains: list[tuple[str, Any]] = list(peran.of_user(user.id).items())
    return [*chains, (user.id, True)] if user.sysadmin or _before(user, "sysadmin") else chains


def _actor() -> str:
    user = core.Session.get(core.User, gate.actor() or "")
    if user is None and has_request_context() and tk.current_user.is_authenticated:
        return tk.current_user.name
    return user.name if user else SISTEM


@event.listens_for(core.Session, "after_flush")
def _record(session: Session, _context: object) -> None:
    organizations = [*_organizations(session)]
    found = [*organizations, *_memberships(session), *_accounts(session), *_tokens(session)]
    if not found:
        return
    users = core.user_table.c
    wanted = {detail["pengguna"] for _chain, _name, detail in found if "pengguna" in detail}
    rows = session.execute(sa.select(users.id, users.name).where(users.id.in_(wanted)))
    names = {row.id: row.name for row in rows}
    groups = core.group_table.c
    chains = {
        *session.scalars(
            sa.select(groups.id).where(groups.is_organization, groups.id.in_({f[0] for f in found}))
        ),
        *names,
        *(chain for chain, _name, _detail in organizations),
    }
    # In one order, so that two who change the same never wait for each other.
    for chain, name, detail in sorted(found, key=lambda item: item[:2]):
        if chain in chains:
            service.lock_chain(chain)
            if "pengguna" in detail:
                detail = {**detail, "pengguna": names[detail["pengguna"]]}
            _write(session, chain, name, detail)


@event.listens_for(core.Session, "after_flush")
def _deleted(session: Session, _context: object) -> None:
    """Datasets deleted as `ckan dataset delete` does; the actions have recorded it before.

    It is a draft: the triggers let nothing else be deleted.
    """
    for row in session.dirty:
        if (
            isinstance(row, core.Package)
            and row.type not in UNGATED_TYPES
            and row.state == core.State.DELETED != _before(row, "state")
            and not session.scalar(_RECORDED, {"id": row.id})
        ):
            _write(session, row.id, "dihapus", from_status="draf", to_status="draf")


_RECORDED = sa.text("SELECT satudata_event_now(:id, ARRAY['dihapus'])")


def _write(
    session: Session, chain: str, name: str, detail: dict[str, Any] | None = None, **fields: Any
) -> None:
    row = service.next_event(chain, _actor(), name, detail=detail, **fields)
    # Not through the session, which is in its flush.
    columns = model.Event.__table__.columns.keys()
    values = {column: getattr(row, column) for column in columns if column != "xid"}
    session.execute(sa.insert(model.Event), values)
