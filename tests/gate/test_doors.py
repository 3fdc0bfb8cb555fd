"""Every door of doors.py: closed in the portal, open in CKAN as it comes (--baseline)."""

from __future__ import annotations

import contextlib
from typing import Any

import ckan.model as model
import ckan.plugins.toolkit as tk
import pytest
from ckan.lib import files
from ckan.tests.helpers import CKANTestApp

from tests.gate.doors import ALL, OWN_SQL, ROLES, Door, Target, fill, sql
from tests.gate.sites import REFUSED, Plain, PlainWorld, Portal
from tests.world import World

#: Statuses of what nobody edits, and of what nobody outside sees.
FROZEN = ("diajukan", "terbit")
HIDDEN = ("draf", "diajukan", "dikembalikan", "diperiksa_pembina", "terverifikasi", "ditarik")

_SITES = pytest.StashKey[Any]()


def _doors(*kinds: str) -> Any:
    doors = [door for door in ALL if door.kind in kinds]
    return pytest.mark.parametrize("door", doors, ids=[door.id for door in doors])


@pytest.fixture
def portal(request: pytest.FixtureRequest, world: World, app: CKANTestApp) -> Portal:
    """The portal, its targets made once."""
    made = request.config.stash.get(_SITES, None)
    if made is None or made.world is not world:
        made = request.config.stash[_SITES] = Portal(world, app)
    return made


def _try(portal: Any, door: Door, t: Target, everybody: bool = True) -> list[tuple[Any, Any]]:
    """Who was not refused, and what came of it."""
    passed = []
    for letter in door.who:
        for user in ROLES[letter][1] if everybody else ROLES[letter][1][:1]:
            try:
                passed.append((user, door.go(portal, user, t)))
            except REFUSED:
                pass
            finally:
                model.Session.rollback()
    return passed


@pytest.mark.parametrize("status", FROZEN)
@_doors("change")
def test_changes_nothing(portal: Portal, door: Door, status: str) -> None:
    """Rows, bytes, table, hash, status and who sees it: all as before."""
    t = portal.target(status, related=door.id.startswith("relate_"))
    before = portal.state(t)
    passed = [user for user, _result in _try(portal, door, t)]
    assert portal.state(t) == before, passed
    # A job is told nothing when what it asks for is so already.
    assert door.quiet or not [user for user in passed if not isinstance(user, dict)]


@pytest.mark.parametrize("status", (*FROZEN, "ditarik"))
@pytest.mark.parametrize("statement", OWN_SQL.values(), ids=OWN_SQL)
def test_our_own_rows(portal: Portal, statement: str, status: str) -> None:
    t = portal.target(status)
    before = portal.state(t)
    with pytest.raises(REFUSED):
        sql(statement)(portal, "", t)
    assert portal.state(t) == before


@_doors("make")
def test_makes_nothing_public(portal: Portal, door: Door) -> None:
    for user, id_ in _try(portal, door, portal.target("diajukan")):
        assert portal.visible(id_) == [], user


@_doors("grant")
def test_is_refused(portal: Portal, door: Door) -> None:
    assert _try(portal, door, portal.target("diajukan")) == []


@_doors("read")
def test_tells_nothing(portal: Portal, door: Door) -> None:
    """To who may not see it, a dataset answers as one that isn't there."""
    for letter in door.who:
        user = ROLES[letter][1][0]
        # Who may see it is no stranger; the row says why the door is there.
        user = "warga" if user in ("produsen_dinkes", "admin_dinkes") else user
        for status in HIDDEN if user is None else ("diajukan", "ditarik"):
            if user != "admin":
                assert portal.tells(door, user, portal.target(status)) == "", (user, status)
            else:
                assert portal.answer(door, user, portal.target(status))[0] != "open"


# CKAN as it comes ---------------------------------------------------------------------------------
@pytest.fixture
def plain(request: pytest.FixtureRequest, app: CKANTestApp) -> Plain:
    """CKAN without the portal's plugin."""
    made = request.config.stash.get(_SITES, None)
    if made is None:
        request.getfixturevalue("clean_db")
        made = request.config.stash[_SITES] = Plain(PlainWorld(), app)
    return made


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Sets what a door names as what opens it."""

    def open_(door: Door, t: Target) -> None:
        for key, value in fill(dict(door.opens), t).items():
            if key == "storage.public":
                settings = files.get_storage("resources").settings
                monkeypatch.setattr(settings, "public", value)
            else:
                monkeypatch.setitem(tk.config, key, value)

    return open_


def _ways() -> list[Any]:
    return [
        pytest.param(door, letter, id=f"{door.id}-{letter}")
        for door in ALL
        for letter in door.who
        if door.plain in ("public", "private")
    ]


@pytest.mark.baseline
@pytest.mark.parametrize(("door", "letter"), _ways())
def test_stands_open_in_plain_ckan(plain: Plain, opened: Any, door: Door, letter: str) -> None:
    t, user = plain.to_try(door), ROLES[letter][1][0]
    opened(door, t)
    if door.kind == "read":
        assert plain.tells(door, user, t)
        return
    if door.id.startswith("relate_"):
        plain.relate(t.name, t.partner)
    before, result = plain.state(t), None
    # Core does some of it, and then fails to say so.
    with contextlib.suppress(*(() if door.kind == "grant" else (Exception,))):
        result = door.go(plain, user, t)
    model.Session.rollback()
    if door.kind == "make":
        assert plain.visible(str(result))
    elif door.kind == "change":
        assert plain.state(t) != before
