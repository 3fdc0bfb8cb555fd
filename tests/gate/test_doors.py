"""Every door of doors.py: closed in the portal, open in CKAN as it comes (--baseline)."""

from __future__ import annotations

import contextlib
from dataclasses import replace
from typing import Any

import ckan.model as model
import ckan.plugins.toolkit as tk
import pytest
from ckan.lib import files
from ckan.tests.helpers import CKANTestApp

from tests.gate.doors import (
    ALL,
    DATASET,
    FILES,
    OWN_SQL,
    READING,
    ROLES,
    Door,
    Target,
    fill,
    sql,
)
from tests.gate.sites import REFUSED, Plain, PlainWorld, Portal

#: Doors of datasets that a kegiatan has, too.
KEGIATAN = ("edit_patch", "edit_tags", "hide", "delete", "delete_state", "purge", "move_owner",
            "resource_link", "member_create", "group_delete", "form_edit")  # fmt: skip
#: Statuses of what nobody edits, and of what nobody outside sees: never published, and once.
FROZEN = ("terbit", "diajukan")
UNVERIFIED = ("draf", "diajukan", "terverifikasi", "ditarik")
HIDDEN = ("diajukan", "ditarik")

_PLAIN = pytest.StashKey[Plain]()


def _doors(*kinds: str) -> Any:
    doors = [door for door in ALL if door.kind in kinds]
    return pytest.mark.parametrize("door", doors, ids=[door.id for door in doors])


def _try(portal: Portal, door: Door, t: Target, everybody: bool = True) -> list[tuple[Any, Any]]:
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


@_doors("change")
def test_changes_nothing(portal: Portal, door: Door) -> None:
    """Rows, bytes, table, status, record, and what the index says: all as before."""
    for place, status in enumerate(UNVERIFIED if door.plain == "private" else FROZEN):
        t = portal.target(status, related=door.id.startswith("relate_"))
        passed = [user for user, _result in _try(portal, door, t, everybody=not place)]
        portal.stands(t, passed)
        # A job is told nothing when what it asks for is so already.
        assert door.quiet or not [user for user in passed if not isinstance(user, dict)], status


@pytest.mark.parametrize("statement", OWN_SQL.values(), ids=OWN_SQL)
def test_our_own_rows(portal: Portal, statement: str) -> None:
    for status in (*FROZEN, "ditarik"):
        t = portal.target(status)
        with pytest.raises(REFUSED):
            sql(statement)(portal, "", t)
        portal.stands(t)


def test_a_publication_is_withdrawn_once(portal: Portal) -> None:
    """By its event, with what that says to the public."""
    told = "UPDATE satudata_publication SET public_note = 'x', withdrawn_at = now()"
    for status in ("terbit", "ditarik"):
        t = portal.target(status)
        with pytest.raises(REFUSED):
            sql(f"{told} WHERE package_id = :id")(portal, "", t)
        portal.stands(t)


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
    for place, letter in enumerate(door.who):
        user = ROLES[letter][1][0]
        # Who may see it is no stranger; the row says why the door is there.
        user = "warga" if user in ("produsen_dinkes", "admin_dinkes") else user
        for status in HIDDEN[:1] if place or door.id.startswith("every_") else HIDDEN:
            if user != "admin":
                assert portal.tells(door, user, portal.target(status)) == "", (user, status)
            else:
                assert portal.answer(door, user, portal.target(status))[0] != "open"


def test_every_status(portal: Portal) -> None:
    """One is public."""
    for status in ("draf", "dikembalikan", "diperiksa_pembina", "ditolak_pembina",
                   "terverifikasi", "terbit"):  # fmt: skip
        for door in READING:
            if door.id in ("package_show", "search", "page", "download", "datastore_search"):
                told = portal.tells(door, None, portal.target(status))
                assert bool(told) == (status == "terbit"), (status, door.id)


def test_a_kegiatan_is_frozen_alike(portal: Portal) -> None:
    """The triggers ask for no type."""
    id_ = portal.world.kegiatan()
    name = portal.call("package_show", "admin", id=id_)["name"]
    t = replace(portal.target("terbit"), id=id_, name=name)
    before = portal.state(t)
    for door in (*DATASET, *FILES):
        if door.kind == "change" and door.id in KEGIATAN:
            assert _try(portal, door, t, everybody=False) == [], door.id
    for statement in OWN_SQL.values():
        if "resource" not in statement:
            with pytest.raises(REFUSED):
                sql(statement)(portal, "", t)
            model.Session.rollback()
    assert portal.state(t) == before
    waits = portal.world.kegiatan_at("diajukan")
    t = replace(t, id=waits["id"], name=waits["name"])
    for door in DATASET:
        if door.plain == "private" and not door.id.startswith("form_"):
            assert _try(portal, door, t) == [], door.id
    assert portal.visible(waits["id"]) == []


def test_what_stays_free(portal: Portal) -> None:
    """The loader's mark and the time of the last write are no content."""
    t = portal.target("terbit")
    for statement in (
        "UPDATE package SET metadata_modified = now() AT TIME ZONE 'UTC' WHERE id = :id",
        "UPDATE resource SET extras = (coalesce(nullif(extras, ''), '{}')::jsonb"
        " || '{\"datastore_active\": true}')::text WHERE id = :resource",
    ):
        portal.sql(statement, t)
    portal.stands(t)


# CKAN as it comes ---------------------------------------------------------------------------------
@pytest.fixture
def plain(request: pytest.FixtureRequest, app: CKANTestApp) -> Plain:
    """CKAN without the portal's plugin."""
    made = request.config.stash.get(_PLAIN, None)
    if made is None:
        request.getfixturevalue("clean_db")
        made = request.config.stash[_PLAIN] = Plain(PlainWorld(), app)
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


@pytest.mark.baseline
@pytest.mark.parametrize(
    "door",
    [pytest.param(door, id=door.id) for door in ALL if door.plain in ("public", "private")],
)
def test_stands_open_in_plain_ckan(plain: Plain, opened: Any, door: Door) -> None:
    for letter in door.who:
        user = ROLES[letter][1][0]
        for t in plain.tries(door.plain):
            opened(door, t)
            if _passes(plain, door, user, t):
                break
        else:
            raise AssertionError(f"closed to {ROLES[letter][0]}")


def _passes(plain: Plain, door: Door, user: Any, t: Target) -> bool:
    """Whether a door comes of something in plain CKAN."""
    if door.kind == "read":
        return bool(plain.tells(door, user, t))
    if door.id.startswith("relate_"):
        plain.relate(t.name, t.partner)
    before, result = plain.state(t), None
    # Core does some of it, and then fails to say so.
    with contextlib.suppress(Exception):
        result = door.go(plain, user, t)
    model.Session.rollback()
    if door.kind == "make":
        return bool(plain.visible(str(result)))
    return result is not None if door.kind == "grant" else plain.state(t) != before
