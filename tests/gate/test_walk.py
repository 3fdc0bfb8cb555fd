"""Everybody does everything in any order, and no anonymous reader sees what is not `terbit`.

300 steps in `./portal test`, 10,000 in `./portal soak walk`; see walk.py. A run that failed is
walked again with `--walk-seed`.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from typing import Any

import ckan.model as core
import pytest
import requests
import sqlalchemy as sa
from ckan.tests.helpers import CKANTestApp

from tests.gate.walk import SQL, Get, Leak, machine, walk
from tests.soak import Soak
from tests.world import World

#: The walks of `./portal test` are the same each time.
SEED = 39_2019


@pytest.fixture
def get(soak: Soak, request: pytest.FixtureRequest) -> Get:
    """How anonymous readers read: from CKAN in this process, while soaking over the wire."""
    if soak.on:
        address, session = request.getfixturevalue("server"), requests.Session()

        def over_the_wire(path: str) -> tuple[int, bytes]:
            answer = session.get(address + path, timeout=60)
            return answer.status_code, answer.content

        return over_the_wire
    app: CKANTestApp = request.getfixturevalue("app")

    def here(path: str) -> tuple[int, bytes]:
        answer = app.test_client().get(path)
        return answer.status_code, answer.data

    return here


def test_random_walk(world: World, get: Get, soak: Soak, request: pytest.FixtureRequest) -> None:
    number = request.config.getoption("--walk-seed") or soak(SEED, random.randrange(10**9))
    if soak.on:
        soak.say(f"\nwalk of seed {number}")
    walks, steps = soak((2, 150), (50, 200))
    before = soak.done.copy()
    walker = machine(world, get, lambda what: soak.count(what, each=500))
    # Hypothesis ends some walks early: then others follow, of the next seeds.
    for more in range(5):
        left = walks * steps - (soak.done - before)["steps"]
        if left > 0:
            walk(walker, number + more, -(-left // steps), steps)
    # A walk on which nothing happens proves nothing.
    done = soak.done - before
    assert done["steps"] >= walks * steps
    assert done["publications"] >= walks and done["things refused"] > walks * 10


#: What stands open -> the triggers that are off, the status of the dataset that is tried, and words
#: of the SQL that then goes through.
OPEN = {
    "publication": (
        [
            ("package", "satudata_guard"),
            ("satudata_status", "satudata_guard"),
            ("satudata_status", "satudata_agree"),
        ],
        "diajukan",
        "SET status = 'terbit'",
    ),
    "bytes": ([("satudata_file", "satudata_guard")], "terbit", "SET sha256"),
}


@pytest.fixture
def switch(owner: sa.Engine) -> Iterator[Callable[[str], None]]:
    """Opens a door by switching triggers off, as the owner of the tables could."""

    def turn(door: str, how: str) -> None:
        core.Session.remove()
        with owner.begin() as connection:
            for table, trigger in OPEN[door][0]:
                connection.exec_driver_sql(f"ALTER TABLE {table} {how} TRIGGER {trigger}")

    yield lambda door: turn(door, "DISABLE")
    for door in OPEN:
        turn(door, "ENABLE ALWAYS")


@pytest.mark.parametrize("door", OPEN)
def test_the_walk_sees_an_open_door(
    world: World, get: Get, switch: Callable[[str], None], door: str
) -> None:
    """One step of the walk goes through it; what is checked after every step finds it."""
    _triggers, status, words = OPEN[door]
    other = World.CSV + b"35.03.03,Watulimo,1\n"
    world.upload("produsen_dinkes", world.draft()["id"], other, "lain.csv")
    walker = machine(world, get, str)()
    known = next(each for each in walker.known[1:] if each.status == status)
    (statement,) = [statement for statement in SQL if words in statement]
    walker._sql(known, statement)
    walker.the_public_sees_what_was_approved()
    switch(door)
    rows = {table: _rows(table, known.id) for table in KEYS}
    walker._sql(known, statement)
    with pytest.raises(Leak, match=known.name):
        walker.the_public_sees_what_was_approved()
    for table, (key, columns) in KEYS.items():
        sets = ", ".join(f"{column} = :{column}" for column in columns)
        for row in rows[table]:
            core.Session.execute(sa.text(f"UPDATE {table} SET {sets} WHERE {key} = :key"), row)
    core.Session.commit()


#: table -> its key, and the columns that the statements change.
KEYS = {
    "package": ("id", ("private",)),
    "satudata_status": ("package_id", ("status",)),
    "satudata_file": ("resource_id", ("sha256",)),
}


def _rows(table: str, id_: str) -> list[dict[str, Any]]:
    key, columns = KEYS[table]
    where = f"{key} = :id OR {key} IN (SELECT id FROM resource WHERE package_id = :id)"
    query = sa.text(f"SELECT {key} AS key, {', '.join(columns)} FROM {table} WHERE {where}")
    return [dict(row._mapping) for row in core.Session.execute(query, {"id": id_})]


def test_the_walk_sees_who_checks_himself(
    world: World, get: Get, monkeypatch: pytest.MonkeyPatch
) -> None:
    walker = machine(world, get, str)()
    known = next(each for each in walker.known if each.status == "diajukan")
    known.makers.add("walidata")
    with pytest.raises(Leak, match="which walidata made"):
        walker._move("walidata", known, "setujui", walker._read("walidata", known))
