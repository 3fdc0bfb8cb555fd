"""The record: only added to, by trigger and by role; what was done to it as the owner shows."""

from __future__ import annotations

import datetime as dt
import importlib
import json
import stat
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import ckan.model as core
import ckan.plugins.toolkit as tk
import pytest
import sqlalchemy as sa
from alembic.migration import MigrationContext
from alembic.operations import Operations
from sqlalchemy.exc import DBAPIError

from ckanext.satudata_trenggalek import audit, comments, config, content, files, maintenance, model
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
        for table in ddl.TRIGGERS:
            connection.exec_driver_sql(f"ALTER TABLE {table} DISABLE TRIGGER USER")
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


#: A comment, what is done to it, whether its event tells of it when it keeps the words alone.
_SENT = (
    ("author = 'pembina_bps'", True),
    ("peran = 'pembina_data'", True),
    ("field = 'title'", False),
    ("spot = '{}'", False),
    ("round = 7", False),
    ("at = at - interval '1 day'", True),
    ("state = 'done', state_by = 'walidata', state_at = at", True),
    ("state = 'answered'", True),
)


@pytest.mark.parametrize(("change", "of_words"), _SENT, ids=lambda value: str(value).split()[0])
def test_comments_are_compared_whole(
    anchored: str, owner: sa.Engine, change: str, of_words: bool
) -> None:
    comment = core.Session.scalars(
        sa.select(model.Comment)
        .where(model.Comment.parent_id.is_(None), model.Comment.state_at.is_(None))
        .limit(1)
    ).one()
    told = f"{comment.package_id}: comment {comment.id} was changed"
    id_, package = comment.id, comment.package_id
    old = (
        "UPDATE satudata_event SET detail = jsonb_set(detail, ARRAY['komentar', :id], to_jsonb("
        "encode(sha256(convert_to((SELECT body FROM satudata_comment WHERE id = :id), 'UTF8')),"
        " 'hex'))) WHERE package_id = :package AND detail -> 'komentar' ? :id"
    )
    values = {"id": id_, "package": package}
    with tampered(owner, f"UPDATE satudata_comment SET {change} WHERE id = :id", **values):
        assert audit.comments() == [told]
    # As an older version of the portal recorded it.
    with tampered(owner, old, **values):
        assert audit.comments() == []
    with tampered(owner, old, f"UPDATE satudata_comment SET {change} WHERE id = :id", **values):
        assert audit.comments() == [told] * of_words


def test_states_of_comments_are_those_of_their_events(world: World) -> None:
    """Answered by a reply and by a change, settled, open again by who opened it and by a reply."""
    dataset = world.at("diajukan")["id"]
    fields = ("konsep", "definisi", "satuan")
    sent = [{"field": field, "body": "Perjelas."} for field in fields]
    world.move("walidata", dataset, "kembalikan", note="Perbaiki.", comments=sent)
    ids = core.Session.scalars(
        sa.select(model.Comment.id)
        .where(model.Comment.package_id == dataset)
        .order_by(model.Comment.number)
    ).all()
    world.call("satudata_comment_create", "produsen_dinkes", id=dataset, parent=ids[0], body="Ya.")
    world.call("package_patch", "produsen_dinkes", id=dataset, definisi="Diperjelas.")
    world.move("produsen_dinkes", dataset, "ajukan")
    for state in ("done", "open", "done"):
        world.call("satudata_comment_resolve", "walidata", id=ids[1], state=state)
    again = [{"parent": ids[0], "body": "Belum."}]
    world.move("walidata", dataset, "kembalikan", note="Perbaiki.", comments=again)
    states = [core.Session.get_one(model.Comment, id_, populate_existing=True).state for id_ in ids]
    assert states == ["open", "done", "open"]
    assert audit.comments() == []


def test_comment_settled_by_nobody(world: World) -> None:
    """The role that serves may change the state; then no event has said so."""
    dataset = world.at("diajukan")["id"]
    sent = [{"field": "konsep", "body": "Perjelas."}]
    world.move("walidata", dataset, "kembalikan", note="Perbaiki.", comments=sent)
    comment = core.Session.scalars(
        sa.select(model.Comment).where(model.Comment.package_id == dataset)
    ).one()
    comments.settle(comment, "done", "walidata", service.now())
    core.Session.flush()
    assert audit.comments() == [f"{dataset}: comment {comment.id} was changed"]
    core.Session.rollback()


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


# --- rows beside their events ----------------------------------------------------------------


def wrong() -> list[str]:
    """All that `ckan satudata audit verify` names."""
    return [*audit.verify()[2], *audit.comments(), *maintenance.altered(), *audit.published()]


_OTHER_WORDS = "UPDATE package SET title = 'Lain' WHERE id = :id;"
_OF_STATUS, _OF_PUBLICATION = (
    f"UPDATE satudata_{table} SET {{}} WHERE package_id = :id"
    for table in ("status", "publication")
)
#: What is done to a published dataset -> what is said of it.
ROWS = {
    "other words": (_OTHER_WORDS, "content differs from what was approved"),
    "other words, no hash": (
        _OTHER_WORDS + _OF_STATUS.format("content_hash = NULL"),
        "content differs from what was approved",
    ),
    "other words, their hash": (
        _OTHER_WORDS + _OF_STATUS.format("content_hash = :hash"),
        "content differs from what was approved",
    ),
    "publication removed": (
        "DELETE FROM satudata_publication WHERE package_id = :id",
        "version 1 is missing",
    ),
    "publication inserted": (
        "INSERT INTO satudata_publication SELECT (jsonb_populate_record(p,"
        " '{\"version\": 2}')).* FROM satudata_publication p WHERE package_id = :id",
        "version 2 was published without an event",
    ),
    "draft is public": ("UPDATE package SET private = false WHERE id = :draft", "private"),
    **{
        f"publication: {change}": (
            _OF_PUBLICATION.format(change),
            "version 1 is not what its events say",
        )
        for change in (
            "verified_at = verified_at - interval '1 day'",
            "published_at = now()",
            "name = 'lain'",
            "content_hash = 'sha256:0'",
            "withdrawn_at = now()",
            "public_note = 'Keliru.'",
        )
    },
    "publication: version": (_OF_PUBLICATION.format("version = 3"), "version 1 is missing"),
    "publication: files": (
        _OF_PUBLICATION.format("files = jsonb_set(files, '{0,id}', '\"lain\"')"),
        "files are not those of version 1",
    ),
    **{
        change: (_OF_STATUS.format(change), f"{change.split()[0]} is not what its events say")
        for change in (
            "content_hash = NULL",
            "content_hash = 'sha256:0'",
            "makers = '{}'",
            "version = 2",
            "round = 3",
            "reviewer = 'walidata_2'",
            "verified_at = now()",
            "verified_by = 'walidata_2'",
            "published_at = now()",
            "submitted_by = 'forum'",
            "submitted_at = now()",
            "data_prioritas = true",
            "prioritas_kriteria = 'a'",
            "publish_at = '2020-01-01'",
        )
    },
}


@pytest.mark.parametrize("what", ROWS)
def test_manipulated_rows_are_named(
    world: World, anchored: str, owner: sa.Engine, what: str
) -> None:
    statement, told = ROWS[what]
    draft = world.standing("draf")
    other = content.canonical(anchored)
    other["fields"]["title"] = "Lain"
    values = {"id": anchored, "hash": content.digest(other), "draft": draft}
    assert wrong() == []
    with tampered(owner, *filter(None, statement.split(";")), **values):
        problems = wrong()
    named = draft if told == "private" else anchored
    assert any(p.startswith(f"{named}: ") and told in p for p in problems), problems


def test_publication_of_no_dataset_is_named(anchored: str, owner: sa.Engine) -> None:
    forged = (
        "INSERT INTO satudata_publication SELECT (jsonb_populate_record(p,"
        ' \'{"package_id": "bukan-dataset"}\')).* FROM satudata_publication p'
        " WHERE package_id = :id"
    )
    with tampered(owner, forged, id=anchored):
        assert "bukan-dataset: version 1 was published without an event" in wrong()


def test_peran_that_no_event_gave_is_named(anchored: str, world: World, owner: sa.Engine) -> None:
    id_ = world.ids["dukcapil"]
    told = f"{id_}: peran is not what its events say"
    for statement in (
        "UPDATE satudata_peran SET peran = '{pembina_data}' WHERE organization_id = :id",
        "DELETE FROM satudata_peran WHERE organization_id = :id",
    ):
        with tampered(owner, statement, id=id_):
            assert audit.verify()[2] == [told]


def test_upgrade_tells_what_became_of_peran(world: World, owner: sa.Engine) -> None:
    """Older portals left peran of what was purged, and took some of what was deleted, unseen."""
    migration = importlib.import_module(
        "ckanext.satudata_trenggalek.migration.satudata_trenggalek.versions.011_peran"
    )
    ids = {}
    for what in ("purged", "deleted", "forged"):
        name = f"kantor-{uuid.uuid4().hex[:8]}"
        ids[what] = world.call("organization_create", "admin", name=name, title="Kantor")["id"]
        world.call("organization_member_delete", "admin", id=name, username="admin")
        world.give_peran(name, ["pembina_data"])
    world.give_peran("bappeda", ["produsen_data"])
    for what in ("deleted", "purged"):
        world.give_peran(ids[what], ["forum_satu_data", "pembina_data"])
        world.call("organization_delete", "admin", id=ids[what])
    world.give_peran("bappeda", World.ORGANIZATIONS["bappeda"])
    with tampered(
        owner,
        "DROP INDEX ix_satudata_event_actor",
        "DELETE FROM satudata_event WHERE package_id = :deleted AND event = 'peran'"
        " AND detail -> 'sesudah' = '[\"pembina_data\"]' AND seq > 3",
        "DELETE FROM member WHERE group_id = :purged",
        'DELETE FROM "group" WHERE id = :purged',
        "UPDATE satudata_peran SET peran = '{produsen_data}' WHERE organization_id = :forged",
        **ids,
    ):
        connection = core.Session.connection()
        context = MigrationContext.configure(connection)
        with Operations.context(context):  # pyright: ignore[reportArgumentType]
            migration.upgrade()
        problems = [problem for problem in audit.verify()[2] if "peran" in problem]
        assert problems == [f"{ids['forged']}: peran is not what its events say"]
        told = connection.scalar(
            sa.text("SELECT detail FROM satudata_event WHERE package_id = :id"
                    " ORDER BY seq DESC LIMIT 1"), {"id": ids["purged"]},
        )  # fmt: skip
        assert told == {"sebelum": ["pembina_data"], "sesudah": None}
    for id_ in ids.values():
        world.call("organization_purge", "admin", id=id_)


def test_status_row_that_was_removed_is_named(anchored: str, owner: sa.Engine) -> None:
    with tampered(owner, "DELETE FROM satudata_status WHERE package_id = :id", id=anchored):
        assert f"{anchored}: status is missing" in audit.verify()[2]


def test_past_versions_and_withdrawals_are_whole(world: World) -> None:
    """What people do in any order is what verify wants to find."""
    id_ = world.at("ditarik")["id"]
    world.move("walidata", id_, "buka_kembali")
    world.call("satudata_prioritas_set", "walidata", id=id_, data_prioritas=True, kriteria="b")
    world.call("satudata_prioritas_set", "forum", id=id_, data_prioritas=False)
    world.bring(id_, "dikembalikan")
    world.move("produsen_dinkes", id_, "ajukan")
    world.call("satudata_claim", "walidata", id=id_)
    assert wrong() == []
    world.call("satudata_release", "walidata", id=id_)
    later = service.now() + dt.timedelta(days=30)
    world.move("walidata", id_, "setujui", publish_at=later.isoformat())
    assert wrong() == []
    world.move("walidata", id_, "terbitkan")
    world.move("walidata", id_, "tarik", note="Keliru.", public_note="Sedang diperbaiki.")
    purged = world.at("ditarik")["id"]
    world.call("dataset_purge", "admin", id=purged, note="Keliru.")
    assert wrong() == []


# --- what the role that serves may add -------------------------------------------------------


@pytest.mark.parametrize(
    "change",
    [{"package_id": "bukan-dataset"}, {"version": 2}, {"version": 2, "public_note": "x"}],
    ids=str,
)
def test_publication_wants_its_event(anchored: str, change: dict[str, object]) -> None:
    """Nor does what was published keep others from their names, or itself from a withdrawal."""
    forged = (
        "INSERT INTO satudata_publication SELECT (jsonb_populate_record(p, %s)).*"
        f" FROM satudata_publication p WHERE package_id = '{anchored}' AND version = 1"
    )
    core.Session.remove()
    with core.ensure_engine().connect() as connection, pytest.raises(DBAPIError) as refusal:
        connection.exec_driver_sql(forged, (json.dumps(change),))
    assert refusal.value.orig.pgcode == CHECK_VIOLATION  # pyright: ignore[reportOptionalMemberAccess, reportAttributeAccessIssue]


def test_a_taken_name_blocks_no_withdrawal(world: World, owner: sa.Engine) -> None:
    """Names are asked for when they are given, not at each change of a dataset that has one."""
    id_ = world.at("terbit")["id"]
    core.Session.remove()
    with owner.connect() as connection:
        connection.exec_driver_sql("ALTER TABLE satudata_publication DISABLE TRIGGER USER")
        connection.exec_driver_sql(
            "INSERT INTO satudata_publication SELECT (jsonb_populate_record(p,"
            ' \'{"package_id": "bukan-dataset"}\')).* FROM satudata_publication p'
            f" WHERE package_id = '{id_}'"
        )
        connection.exec_driver_sql(
            f"UPDATE package SET metadata_modified = now() WHERE id = '{id_}'"
        )
        connection.rollback()


def test_anchor_wants_its_event(anchored: str) -> None:
    forged = (
        "INSERT INTO satudata_anchor SELECT"
        " (jsonb_populate_record(a, '{{\"seq\": 1000000, {}}}')).*"
        f" FROM satudata_anchor a WHERE package_id = '{anchored}'"
    )
    for change in ('"event_seq": 99', '"package_id": "lain"', '"event_hash": "sha256:0"'):
        assert sqlstate(core.ensure_engine(), forged.format(change)) == CHECK_VIOLATION


def test_content_of_another_under_the_hash(world: World) -> None:
    """Put there before: what is submitted is not what would be kept as submitted."""
    id_ = world.draft()["id"]
    hash_ = content.digest(content.canonical(id_))
    core.Session.add(model.Content(content_hash=hash_, content={"fields": {}, "resources": []}))
    core.Session.commit()
    with pytest.raises(tk.ValidationError) as refused:
        world.move("produsen_dinkes", id_, "ajukan")
    assert list(refused.value.error_dict) == ["content_hash"]
    assert world.status(id_)["status"] == "draf"
    world.call("package_patch", "produsen_dinkes", id=id_, definisi="Lain.")
    world.move("produsen_dinkes", id_, "ajukan")


@pytest.mark.parametrize(
    "change",
    ["publish_at = now() - interval '1 minute'", "reviewer = 'walidata_2'",
     "verified_by = 'walidata_2'", "submitted_by = 'forum'", "revision_of = 'lain'",
     "since = since - interval '9 days'", "due_at = now()", "round = 5",
     "claimed_at = now()"],
    ids=lambda text: text.split()[0],
)  # fmt: skip
def test_status_changes_with_an_event(world: World, change: str) -> None:
    id_ = world.standing("terverifikasi")
    core.Session.remove()
    with core.ensure_engine().connect() as connection, pytest.raises(DBAPIError) as refusal:
        connection.exec_driver_sql(
            f"UPDATE satudata_status SET {change} WHERE package_id = '{id_}'"
        )
        connection.commit()
    assert refusal.value.orig.pgcode == CHECK_VIOLATION  # pyright: ignore[reportOptionalMemberAccess, reportAttributeAccessIssue]


@pytest.mark.parametrize("told", [None, "2099-01-01T09:00:00+07:00", "kemarin", 5])
def test_what_nobody_scheduled_is_not_published(world: World, told: object) -> None:
    """An event of another time, of none, or of another round schedules nothing."""
    id_ = world.at("terverifikasi")["id"]
    past = service.now() - dt.timedelta(minutes=1)
    service.lock(id_)
    if told is None:
        service.record(id_, "walidata", "percobaan")
    else:
        service.record(id_, "walidata", "jadwalkan", detail={"publish_at": told})
    core.Session.execute(
        sa.update(model.Status).where(model.Status.package_id == id_).values(publish_at=past)
    )
    core.Session.commit()
    assert service.publish_due() == []
    assert world.status(id_)["status"] == "terverifikasi"
    assert f"{id_}: publish_at is not what its events say" in audit.verify()[2]
    world.move("walidata", id_, "kembalikan", note="Perbaiki.")
    assert audit.verify()[2] == []


def test_schedule_of_a_round_before(world: World) -> None:
    id_ = world.at("terverifikasi")["id"]
    world.due(id_)
    past = world.status(id_)["publish_at"]
    world.move("walidata", id_, "kembalikan", note="Perbaiki.")
    world.bring(id_, "terverifikasi")
    service.lock(id_)
    service.record(id_, "walidata", "percobaan")
    core.Session.execute(
        sa.update(model.Status).where(model.Status.package_id == id_).values(publish_at=past)
    )
    core.Session.commit()
    assert service.publish_due() == []
    world.move("walidata", id_, "kembalikan", note="Perbaiki.")


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
         "the content that was approved is missing or was changed"),
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
