"""The record: only added to, by trigger and by role; what was done to it as the owner shows."""

from __future__ import annotations

import datetime as dt
import json
import stat
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import ckan.model as core
import pytest
import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError

from ckanext.satudata_trenggalek import audit, config, files, model
from ckanext.satudata_trenggalek.model import ddl, roles
from ckanext.satudata_trenggalek.workflow import service
from tests.world import World

Doctor = Callable[[], list[str]]
RECORDS = sorted(ddl.RECORDS)
INSUFFICIENT_PRIVILEGE, CHECK_VIOLATION = "42501", "23514"


def sqlstate(engine: sa.Engine, statement: str) -> str:
    """How the database refuses a statement; it is rolled back should it not."""
    with engine.connect() as connection, pytest.raises(DBAPIError) as refusal:
        connection.exec_driver_sql("SET LOCAL lock_timeout = '5s'")
        connection.exec_driver_sql(statement)
    return refusal.value.orig.pgcode  # pyright: ignore[reportOptionalMemberAccess, reportAttributeAccessIssue]


@pytest.fixture
def anchored(world: World) -> str:
    """Id of a published dataset; a record with events, and all of them anchored."""
    id_ = world.standing("terbit")
    if core.Session.scalar(sa.select(model.Comment.id).limit(1)) is None:
        comments = [{"field": "konsep", "body": "Perjelas."}]
        returned = world.at("diajukan")["id"]
        world.move("walidata", returned, "kembalikan", note="Perbaiki.", comments=comments)
    core.Session.remove()
    audit.anchor()
    assert audit.verify()[2] == []
    return id_


def grow(at: dt.datetime | None = None) -> str:
    """Id of a chain with one event more than was anchored."""
    id_ = f"percobaan-{uuid.uuid4()}"
    service.record(id_, "sistem", "percobaan", at)
    core.Session.commit()
    return id_


# --- the roles -------------------------------------------------------------------------------


@pytest.mark.parametrize("table", RECORDS)
@pytest.mark.parametrize(
    "statement",
    ["UPDATE {} SET {} = 'x'", "DELETE FROM {}", "TRUNCATE {}", "DROP TABLE {}",
     "ALTER TABLE {} DISABLE TRIGGER ALL", "ALTER TABLE {} ADD COLUMN x int",
     "DROP TRIGGER satudata_guard ON {}", "LOCK TABLE {} IN ACCESS EXCLUSIVE MODE",
     "CREATE TRIGGER x BEFORE INSERT ON {} EXECUTE FUNCTION satudata_guard_record()"],
    ids=lambda text: text.split(" {}")[0],
)  # fmt: skip
def test_role_that_serves_only_adds(
    anchored: str, owner: sa.Engine, table: str, statement: str
) -> None:
    column = {"satudata_anchor": "hash", "satudata_comment": "body"}.get(table, "content_hash")
    text = statement.format(table, column)
    assert sqlstate(core.ensure_engine(), text) == INSUFFICIENT_PRIVILEGE
    # The same by trigger, for whoever has the right.
    if statement.startswith(("UPDATE", "DELETE")):
        assert sqlstate(owner, text) == CHECK_VIOLATION


@pytest.mark.parametrize(
    "statement",
    ["ALTER TABLE package DISABLE TRIGGER satudata_guard", "TRUNCATE package CASCADE",
     "DROP TRIGGER satudata_guard ON resource", "CREATE TABLE satudata_lain (id int)",
     "CREATE TEMPORARY TABLE satudata_event (LIKE satudata_event)", "CREATE SCHEMA lain",
     "CREATE OR REPLACE FUNCTION satudata_event_now(pkg text, names text[]) RETURNS boolean"
     " LANGUAGE sql AS 'SELECT true'", "DROP FUNCTION satudata_event_now",
     "SET session_replication_role = replica", "SET ROLE ckan_owner",
     "ALTER ROLE CURRENT_USER SUPERUSER", "GRANT UPDATE ON satudata_event TO CURRENT_USER",
     "UPDATE satudata_publication SET files = '[]'",
     "ALTER DATABASE {} OWNER TO CURRENT_USER"],
    ids=lambda text: " ".join(text.split()[:4]),
)  # fmt: skip
def test_role_that_serves_has_no_ddl(world: World, owner: sa.Engine, statement: str) -> None:
    """Nor any other way to take the triggers away, or to hide a table from them."""
    engine = core.ensure_engine()
    core.Session.remove()
    if statement.startswith("GRANT"):
        # PostgreSQL only warns when none of the rights is there to be given.
        with engine.begin() as connection:
            connection.exec_driver_sql(statement)
        assert roles.excess(core.Session.connection()) == []
        return
    text = statement.format(engine.url.database)
    assert sqlstate(engine, text) == INSUFFICIENT_PRIVILEGE


def test_role_that_serves_does_its_work(world: World) -> None:
    """A withdrawal fills in two columns of a publication, and nothing else is needed."""
    id_ = world.standing("ditarik")
    row = core.Session.get(model.Publication, (id_, 1), populate_existing=True)
    assert row and row.withdrawn_at
    user = core.Session.scalar(sa.text("SELECT current_user"))
    owners = core.Session.scalars(
        sa.text(
            "SELECT DISTINCT pg_get_userbyid(relowner)::text FROM pg_class"
            " WHERE relnamespace = 'public'::regnamespace"
        )
    ).all()
    assert user not in owners and len(owners) == 1


@pytest.mark.parametrize(
    ("grant", "revoke", "told"),
    [("GRANT UPDATE ON satudata_event TO {}", "REVOKE UPDATE ON satudata_event FROM {}",
      "REVOKE UPDATE, DELETE ON satudata_event"),
     ("GRANT DELETE ON satudata_anchor TO {}", "REVOKE DELETE ON satudata_anchor FROM {}",
      "REVOKE UPDATE, DELETE ON satudata_anchor"),
     ("GRANT UPDATE (files) ON satudata_publication TO {}",
      "REVOKE UPDATE (files) ON satudata_publication FROM {}",
      "may change or delete satudata_publication"),
     ("GRANT TRUNCATE ON package TO {}", "REVOKE TRUNCATE ON package FROM {}", "may TRUNCATE"),
     ("GRANT TRIGGER ON satudata_status TO {}", "REVOKE TRIGGER ON satudata_status FROM {}",
      "put triggers"),
     ("GRANT CREATE ON SCHEMA public TO {}", "REVOKE CREATE ON SCHEMA public FROM {}",
      "may create tables"),
     ("GRANT TEMPORARY ON DATABASE ckan TO {}", "REVOKE TEMPORARY ON DATABASE ckan FROM {}",
      "temporary tables")],
    ids=lambda text: " ".join(text.split()[:4]),
)  # fmt: skip
def test_doctor_tells_what_the_role_may(
    world: World, owner: sa.Engine, doctor: Doctor, grant: str, revoke: str, told: str
) -> None:
    role = core.ensure_engine().url.username or ""
    core.Session.remove()
    assert roles.excess(core.Session.connection()) == []
    core.Session.remove()

    def run(statement: str) -> None:
        with owner.begin() as connection:
            connection.exec_driver_sql(statement.format(role))

    run(grant)
    try:
        problems = doctor()
        assert any(told in problem for problem in problems), problems
    finally:
        core.Session.remove()
        run(revoke)
    assert roles.excess(core.Session.connection()) == []


def test_doctor_tells_who_serves_as_the_owner(owner: sa.Engine) -> None:
    with owner.connect() as connection:
        told = str(roles.excess(connection))
    assert "owns " in told and "tables and sequences" in told and "functions of the gate" in told


# --- anchors ---------------------------------------------------------------------------------


def test_anchors_stand_in_the_database_and_in_the_file(anchored: str) -> None:
    path = config.anchor_file()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert [line["seq"] for line in lines] == list(range(1, len(lines) + 1))
    row = core.Session.scalars(
        sa.select(model.Event)
        .where(model.Event.package_id == anchored)
        .order_by(model.Event.seq.desc())
    ).first()
    assert row
    told = [line for line in lines if line["package_id"] == anchored][-1]
    assert (told["event_seq"], told["event_hash"]) == (row.seq, row.hash)
    assert core.Session.scalar(sa.select(sa.func.count()).select_from(model.Anchor)) == len(lines)


def test_nothing_new_is_no_anchor(anchored: str) -> None:
    before = config.anchor_file().read_bytes()
    assert audit.anchor() == 0
    assert config.anchor_file().read_bytes() == before


def test_transitions_do_not_wait(world: World) -> None:
    """One transaction is under way on one dataset; another dataset moves and is anchored."""
    slow, quick = world.standing("terbit"), world.at("diajukan")["id"]
    core.Session.remove()
    audit.anchor()
    service.lock(slow)
    held = service.record(slow, "walidata", "percobaan")
    held_seq = held.seq

    def beside() -> tuple[int, int, list[str]]:
        try:
            core.Session.execute(sa.text("SET lock_timeout = '5s'"))
            core.Session.commit()
            world.move("walidata", quick, "kembalikan", note="Perbaiki.")
            # What is not committed has no anchor, whatever was committed after it.
            return audit.anchor(), *audit.verify()[1:]
        finally:
            core.Session.execute(sa.text("SET lock_timeout = 0"))
            core.Session.commit()
            core.Session.remove()

    with ThreadPoolExecutor(1) as pool:
        count, anchors, problems = pool.submit(beside).result(timeout=60)
    assert (count, problems) == (1, [])
    core.Session.commit()
    # It was written before the other's events and is seen after them.
    assert audit.anchor() == 1
    last = core.Session.scalars(
        sa.select(model.Anchor).order_by(model.Anchor.seq.desc()).limit(1)
    ).one()
    assert (last.package_id, last.event_seq, last.seq) == (slow, held_seq, anchors + 1)
    assert audit.verify()[2] == []


def test_two_runs_at_once(world: World) -> None:
    for _ in range(3):
        grow()
    core.Session.remove()
    with ThreadPoolExecutor(4) as pool:
        runs = [run.result() for run in [pool.submit(audit.anchor) for _ in range(4)]]
    assert sum(count > 0 for count in runs) == 1
    assert audit.verify()[2] == []


# --- manipulations ---------------------------------------------------------------------------


@contextmanager
def tampered(owner: sa.Engine, *statements: str, **values: object) -> Iterator[None]:
    """What the owner of the tables could do; undone at the end."""
    core.Session.remove()
    with owner.connect() as connection:
        for table in RECORDS:
            connection.exec_driver_sql(f"ALTER TABLE {table} DISABLE TRIGGER satudata_guard")
        for statement in statements:
            connection.execute(sa.text(statement), values)
        core.Session.configure(bind=connection)
        try:
            yield
        finally:
            core.Session.remove()
            core.Session.configure(bind=core.meta.engine)
            connection.rollback()


EVENT = "package_id = :id"
#: What is done -> where the first break is (`{id}`, `{last}`: number of the dataset's last event).
EVENTS = {
    "changed": (
        f"UPDATE satudata_event SET note = 'lain' WHERE {EVENT} AND seq = 2",
        "{id}: event 2 was changed",
    ),
    "removed": (
        f"DELETE FROM satudata_event WHERE {EVENT} AND seq = 2",
        "{id}: event 2 is missing",
    ),
    "first removed": (
        f"DELETE FROM satudata_event WHERE {EVENT} AND seq = 1",
        "{id}: event 1 is missing",
    ),
    "tail removed": (
        f"DELETE FROM satudata_event WHERE {EVENT} AND seq > 1",
        "{id}: event 2 is missing",
    ),
    "last removed": (
        f"DELETE FROM satudata_event WHERE {EVENT} AND seq = :last",
        "{id}: event {last} is missing",
    ),
    "all removed": (
        f"DELETE FROM satudata_event WHERE {EVENT}",
        "{id}: event 1 is missing",
    ),
    "inserted": (
        f"UPDATE satudata_event SET seq = seq + 1000 WHERE {EVENT} AND seq > 1;"
        " INSERT INTO satudata_event (package_id, seq, at, actor, event, prev_hash, hash)"
        f" SELECT package_id, 2, at, actor, event, hash, hash FROM satudata_event WHERE {EVENT}"
        f" AND seq = 1; UPDATE satudata_event SET seq = seq - 999 WHERE {EVENT} AND seq > 1000",
        "{id}: event 2 was changed",
    ),
    "reordered": (
        "UPDATE satudata_event SET seq = CASE seq WHEN 1 THEN 1002 ELSE 1001 END"
        f" WHERE {EVENT} AND seq IN (1, 2);"
        f" UPDATE satudata_event SET seq = seq - 1000 WHERE {EVENT} AND seq > 1000",
        "{id}: event 1 does not follow event 0",
    ),
    "moved to another dataset": (
        f"UPDATE satudata_event SET package_id = 'lain' WHERE {EVENT}",
        "lain: event 1 was changed",
    ),
}


def last_event(id_: str) -> int | None:
    return core.Session.scalar(
        sa.select(sa.func.max(model.Event.seq)).where(model.Event.package_id == id_)
    )


@pytest.mark.parametrize("what", EVENTS)
def test_manipulated_events_are_named(anchored: str, owner: sa.Engine, what: str) -> None:
    statement, told = EVENTS[what]
    last = last_event(anchored)
    with tampered(owner, *statement.split(";"), id=anchored, last=last):
        problems = audit.verify()[2]
    assert any(p.startswith(told.format(id=anchored, last=last)) for p in problems), problems
    assert audit.verify()[2] == []


@pytest.mark.parametrize(
    ("statement", "how"),
    [
        ("UPDATE satudata_comment SET body = 'Sudah baik.' WHERE id = :id", "was changed"),
        ("DELETE FROM satudata_comment WHERE id = :id", "is missing"),
        ("UPDATE satudata_comment SET id = 'lain' WHERE id = :id", "is missing"),
        ("UPDATE satudata_comment SET id = 'lain' WHERE id = :id", "was sent by no event"),
    ],
    ids=["changed", "removed", "renamed", "inserted"],
)
def test_manipulated_comments_are_named(
    anchored: str, owner: sa.Engine, statement: str, how: str
) -> None:
    comment = core.Session.scalars(sa.select(model.Comment).limit(1)).one()
    package, id_ = comment.package_id, comment.id
    assert audit.comments() == []
    with tampered(owner, statement, id=id_):
        problems = audit.comments()
    named = "lain" if "no event" in how else id_
    assert f"{package}: comment {named} {how}" in problems


def _chain_again(connection: sa.Connection, id_: str) -> None:
    """Give every event of a dataset the hash that fits what it says now."""
    previous = service.GENESIS
    columns = sa.inspect(model.Event).columns
    rows = connection.execute(
        sa.select(*columns).where(model.Event.package_id == id_).order_by(model.Event.seq)
    ).all()
    for row in rows:
        event = model.Event(**{**row._mapping, "prev_hash": previous})
        previous = service.event_hash(event)
        connection.execute(
            sa.text(
                "UPDATE satudata_event SET prev_hash = :prev, hash = :hash"
                " WHERE package_id = :id AND seq = :seq"
            ),
            {"prev": event.prev_hash, "hash": previous, "id": id_, "seq": row.seq},
        )


def _anchor_again(connection: sa.Connection) -> None:
    """Give every anchor the hash of its event as it stands now, and the chain that fits."""
    previous = service.GENESIS
    for row in connection.execute(audit._select().order_by(model.Anchor.seq)).all():
        hash_ = connection.scalar(
            sa.select(model.Event.hash).where(
                model.Event.package_id == row.package_id, model.Event.seq == row.event_seq
            )
        )
        anchor = model.Anchor(**{**row._mapping, "event_hash": hash_, "prev_hash": previous})
        previous = audit.anchor_hash(anchor)
        connection.execute(
            sa.text(
                "UPDATE satudata_anchor SET event_hash = :event, prev_hash = :prev, hash = :hash"
                " WHERE seq = :seq"
            ),
            {"event": hash_, "prev": anchor.prev_hash, "hash": previous, "seq": row.seq},
        )


def test_rewritten_chain_contradicts_its_anchor(anchored: str, owner: sa.Engine) -> None:
    """Changed, and every hash after it made anew: the chain alone is whole."""
    with tampered(
        owner, f"UPDATE satudata_event SET note = 'lain' WHERE {EVENT} AND seq = 1", id=anchored
    ):
        _chain_again(core.Session.connection(), anchored)
        problems = audit.verify()[2]
        first = core.Session.execute(
            sa.select(model.Anchor.event_seq, model.Anchor.seq)
            .where(model.Anchor.package_id == anchored)
            .order_by(model.Anchor.seq)
        ).first()
    assert first
    assert problems == [f"{anchored}: event {first.event_seq} is not the one of anchor {first.seq}"]


def test_rewritten_chain_and_anchors_contradict_the_file(anchored: str, owner: sa.Engine) -> None:
    """All of the database fits together; only what lies outside it tells."""
    with tampered(
        owner, f"UPDATE satudata_event SET note = 'lain' WHERE {EVENT} AND seq = 1", id=anchored
    ):
        connection = core.Session.connection()
        number = connection.scalar(
            sa.text("SELECT min(seq) FROM satudata_anchor WHERE package_id = :id"),
            {"id": anchored},
        )
        _chain_again(connection, anchored)
        _anchor_again(connection)
        problems = audit.verify()[2]
    assert problems == [f"anchor {number} differs from {config.anchor_file()}"]


@pytest.mark.parametrize(
    ("statement", "told"),
    [
        ("UPDATE satudata_anchor SET event_hash = hash WHERE seq = 2", "anchor 2 was changed"),
        ("DELETE FROM satudata_anchor WHERE seq = 2", "anchor 2 is missing"),
        ("DELETE FROM satudata_anchor WHERE seq = :last", "anchor {last} is in {path}, not in"),
        ("TRUNCATE satudata_anchor", "anchor 1 is in {path}, not in the database"),
        (
            "UPDATE satudata_anchor SET seq = seq + :last WHERE seq = 1",
            "anchor 1 is missing",
        ),
    ],
    ids=["changed", "removed", "tail removed", "truncated", "renumbered"],
)
def test_manipulated_anchors_are_named(
    world: World, anchored: str, owner: sa.Engine, statement: str, told: str
) -> None:
    grow()
    audit.anchor()
    last = core.Session.scalar(sa.select(sa.func.max(model.Anchor.seq)))
    with tampered(owner, statement, last=last):
        problems = audit.verify()[2]
    wanted = told.format(last=last, path=config.anchor_file())
    assert any(problem.startswith(wanted) for problem in problems), problems


def test_truncated_events_are_named(anchored: str, owner: sa.Engine) -> None:
    with tampered(owner, "TRUNCATE satudata_event"):
        count, _anchors, problems = audit.verify()
    assert count == 0 and f"{anchored}: event 1 is missing" in str(problems)


def test_removed_before_its_anchor(world: World, owner: sa.Engine) -> None:
    """Within the minute the status that the event left tells of it."""
    id_ = world.standing("diajukan")
    tables = ("satudata_event", "satudata_anchor")
    with tampered(owner, *(f"DELETE FROM {table} WHERE {EVENT}" for table in tables), id=id_):
        problems = audit.verify()[2]
    assert f"{id_}: event of status diajukan is missing" in problems


Rewrite = Callable[[list[bytes]], list[bytes]]


@pytest.mark.parametrize(
    ("rewrite", "told", "mended"),
    [
        (lambda lines: [lines[0].replace(b"sha256:", b"sha256:0", 1), *lines[1:]],
         "anchor 1 differs from", True),
        (lambda lines: [], "anchor 1 is not in", False),
        (lambda lines: lines[:1], "anchor 2 is not in", False),
        (lambda lines: [*lines[:-1], b"{}\n"], "anchor {last} differs from", False),
        (lambda lines: [*lines, lines[-1].replace(b'"seq":', b'"seq":9')],
         "anchor {next} is in", False),
        # As after a crash or a full disk: the next run mends it.
        (lambda lines: lines[:-1], "anchor {last} is not in", True),
        (lambda lines: [*lines[:-1], lines[-1][:20]], "anchor {last} differs from", True),
    ],
    ids=["changed", "emptied", "cut", "last changed", "added to", "last lost", "torn"],
)  # fmt: skip
def test_rewritten_file_is_named(
    world: World, anchored: str, rewrite: Rewrite, told: str, mended: bool
) -> None:
    path = config.anchor_file()
    for _ in range(2):
        grow()
        audit.anchor()
    whole = path.read_bytes()
    lines = whole.splitlines(keepends=True)
    path.write_bytes(b"".join(rewrite(lines)))
    try:
        wanted = told.format(last=len(lines), next=len(lines) + 1)
        assert [p[: len(wanted)] for p in audit.verify()[2]] == [wanted]
        if mended:
            audit.anchor()
        else:
            # The job does not heal what only a hand can have done.
            with pytest.raises(audit.Broken):
                audit.anchor()
        if path.read_bytes() != whole:
            kept = audit.renew()
            assert kept and kept.read_bytes() != whole
            kept.unlink()
        assert path.read_bytes() == whole
    finally:
        path.write_bytes(whole)
    assert audit.verify()[2] == []


def test_file_that_cannot_be_written(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """A full disk: what was anchored in the database goes into the file with the next run."""
    audit.anchor()
    grow()
    append, path = audit._append, config.anchor_file()

    def full(path: Path, lines: bytes) -> None:
        append(path, lines[:10])
        if lines:
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(audit, "_append", full)
    for _ in range(2):
        with pytest.raises(OSError, match="No space"):
            audit.anchor()
    monkeypatch.undo()
    assert audit.verify()[2] != []
    assert audit.anchor() == 0
    assert audit.verify()[2] == []
    assert path.read_bytes().endswith(b"}\n")


def test_events_without_an_anchor_are_told(world: World, doctor: Doctor) -> None:
    audit.anchor()
    grow()
    assert doctor() == []
    grow(service.now() - dt.timedelta(hours=2))
    assert any("satudata anchor" in problem for problem in doctor())
    audit.anchor()
    assert doctor() == []


# --- published bytes -------------------------------------------------------------------------


def test_published_bytes_are_those_that_were_approved(anchored: str) -> None:
    from file_keeper.default.adapters.fs import FsStorage

    assert audit.published() == []
    row = core.Session.get(model.Publication, (anchored, 1))
    assert row
    store, sha256 = files.storage(), row.files[0]["sha256"]
    assert isinstance(store, FsStorage)
    path = Path(store.full_path(files.location(sha256)))
    data = path.read_bytes()
    name = f"{anchored}: version 1: file {sha256}"
    path.write_bytes(data.replace(b"1", b"2", 1))
    try:
        assert f"{name} was changed" in audit.published()
        path.unlink()
        assert f"{name} is missing" in audit.published()
    finally:
        path.write_bytes(data)
    assert audit.published() == []


@pytest.mark.parametrize(
    ("statement", "told"),
    [
        ("UPDATE satudata_publication SET files = '[]' WHERE package_id = :id",
         "has other files than were approved"),
        ("UPDATE satudata_publication SET content_hash = 'sha256:0' WHERE package_id = :id",
         "was published without an event"),
        ("UPDATE satudata_content SET content = jsonb_set(content, '{fields,title}', '\"x\"')"
         " WHERE content_hash IN (SELECT content_hash FROM satudata_publication"
         " WHERE package_id = :id)", "the content that was approved is missing or was changed"),
    ],
    ids=["files", "hash", "content"],
)  # fmt: skip
def test_rewritten_publication_is_named(
    anchored: str, owner: sa.Engine, statement: str, told: str
) -> None:
    with tampered(owner, statement, id=anchored):
        problems = audit.published()
    assert [told in problem for problem in problems] == [True], problems
