"""Is the record whole? Chains of events, their anchors, and the published bytes.

The events of a dataset are a hash chain (workflow/service.py). Every minute the heads of the chains
that grew are anchored: one more chain over all datasets, in the database and line by line in a file
outside it. Whoever rewrites a chain from some event on, or cuts it off, contradicts its anchor;
whoever rewrites the anchors too contradicts the file.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import hashlib
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import ckan.model as core
import file_keeper as fk
import sqlalchemy as sa

from ckanext.satudata_trenggalek import config, content, files, model
from ckanext.satudata_trenggalek.workflow import service

#: Key of the advisory lock of whoever writes anchors, or compares them with the file.
LOCK = 0x5D21
#: More than the longest line of the file, in bytes.
TAIL = 1 << 16

_ANCHOR = ("seq", "at", "package_id", "event_seq", "event_hash", "prev_hash")

#: Heads of chains that have grown since they were anchored. The events of a chain are committed in
#: their order, as each writer holds the lock of its dataset, so whoever sees a head sees all before
#: it, whatever other transactions are under way. Nobody waits for this query.
_GROWN = """
    SELECT e.package_id, e.seq, e.hash
    FROM (SELECT package_id, max(seq) AS seq FROM satudata_event GROUP BY package_id) head
    JOIN satudata_event e ON e.package_id = head.package_id AND e.seq = head.seq
    LEFT JOIN (SELECT package_id, max(event_seq) AS seq FROM satudata_anchor GROUP BY package_id) a
      ON a.package_id = head.package_id
    WHERE a.seq IS NULL OR a.seq < head.seq
    ORDER BY e.package_id"""


class Broken(Exception):
    """The anchors in the database and in the file contradict each other; the message says how."""


# Anchors


def _body(row: Any) -> dict[str, Any]:
    body = {name: getattr(row, name) for name in _ANCHOR}
    body["at"] = row.at.astimezone(dt.timezone.utc).isoformat(timespec="microseconds")
    return body


def anchor_hash(row: Any) -> str:
    """Hash of an anchor and, through prev_hash, of all before it."""
    return content.digest(_body(row))


def line(row: Any) -> bytes:
    """An anchor as it stands in the file: canonical JSON and a line feed."""
    return content.canonical_json(_body(row) | {"hash": row.hash}) + b"\n"


@contextlib.contextmanager
def _alone() -> Iterator[sa.Connection]:
    """A connection, while nobody else writes anchors."""
    with core.ensure_engine().connect() as connection:
        connection.execute(sa.select(sa.func.pg_advisory_lock(LOCK)))
        try:
            yield connection
        finally:
            connection.rollback()
            connection.execute(sa.select(sa.func.pg_advisory_unlock(LOCK)))


def anchor() -> int:
    """Anchor the chains that grew since the last run, in the database and then in the file.

    When the file could not be written the next run does that first; so it never lacks the anchors
    of more than one run.

    Returns:
        how many heads were anchored.

    Raises:
        Broken: the file is not what the last run left. Nothing is anchored then.
        OSError: the file can't be written.
    """
    path, table = config.anchor_file(), model.Anchor.__table__
    with _alone() as connection:
        last = connection.execute(_select().order_by(model.Anchor.seq.desc()).limit(1)).first()
        _append(path, _lacking(path, last, connection))
        seq, previous = (last.seq, last.hash) if last else (0, service.GENESIS)
        at, anchors = service.now(), []
        for head in connection.execute(sa.text(_GROWN)):
            seq += 1
            row = model.Anchor(
                seq=seq,
                at=at,
                package_id=head.package_id,
                event_seq=head.seq,
                event_hash=head.hash,
                prev_hash=previous,
            )
            row.hash = previous = anchor_hash(row)
            anchors.append(row)
        if anchors:
            names = (*_ANCHOR, "hash")
            connection.execute(
                sa.insert(table), [{name: getattr(row, name) for name in names} for row in anchors]
            )
        connection.commit()
        _append(path, b"".join(map(line, anchors)))
    return len(anchors)


def _select() -> sa.Select[Any]:
    return sa.select(*sa.inspect(model.Anchor).columns)


def _lacking(path: Path, last: Any, connection: sa.Connection) -> bytes:
    """What the last run could not write, to be appended to the file as it is.

    Args:
        path: of the file.
        last: the last anchor in the database, if there is one.
        connection: to the database.

    Raises:
        Broken: the file lacks more, has other lines, or is ahead of the database.
    """
    complete, _, torn = _tail(path).rpartition(b"\n")
    told = complete.rpartition(b"\n")[2]
    try:
        seq = int(json.loads(told)["seq"]) if told else 0
    except (ValueError, KeyError, TypeError):
        raise Broken(f"{path} does not end with an anchor") from None
    end = last.seq if last else 0
    if seq > end:
        raise Broken(f"anchor {seq} is in {path}, not in the database")
    near = {
        row.seq: row
        for row in connection.execute(_select().where(model.Anchor.seq.in_((seq, seq + 1))))
    }
    if seq and (seq not in near or line(near[seq]) != told + b"\n"):
        raise Broken(f"anchor {seq} differs from {path}")
    if seq < end and (seq + 1 not in near or near[seq + 1].at != last.at):
        raise Broken(f"anchor {seq + 1} is not in {path}")
    rows = connection.execute(
        _select().where(model.Anchor.seq > seq).order_by(model.Anchor.seq)
    ).all()
    lacking = b"".join(map(line, rows))
    if not lacking.startswith(torn):
        raise Broken(f"{path} does not end with an anchor")
    return lacking[len(torn) :]


def _tail(path: Path) -> bytes:
    try:
        with path.open("rb") as stream:
            stream.seek(max(0, os.fstat(stream.fileno()).st_size - TAIL))
            return stream.read()
    except FileNotFoundError:
        return b""


def _append(path: Path, lines: bytes) -> None:
    """Write at the end of the file, which is made when it is missing, down to the disk."""
    if not lines:
        return
    made = not path.exists()
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600), "wb", 0) as out:
        while lines:
            lines = lines[out.write(lines) :]
        os.fsync(out.fileno())
    if made:
        files.keep_names(path.parent)


def renew() -> Path | None:
    """Write the file anew from the database: after a disk was lost, or on another machine.

    Returns:
        where the file of before was kept, if there was one.
    """
    path, kept = config.anchor_file(), None
    with _alone() as connection:
        if path.exists():
            kept = path.with_name(f"{path.name}.{service.now():%Y%m%dT%H%M%S%f}")
            path.rename(kept)
        rows = connection.execute(
            _select().order_by(model.Anchor.seq), execution_options={"yield_per": 1000}
        )
        for part in rows.partitions():
            _append(path, b"".join(map(line, part)))
    return kept


def late(minutes: int = 60) -> bool:
    """Whether events wait for an anchor longer than this: the schedule does not run."""
    head = sa.text(f"SELECT min(e.at) FROM ({_GROWN}) g JOIN satudata_event e"
                   " ON e.package_id = g.package_id AND e.seq = g.seq")  # fmt: skip
    oldest = core.Session.scalar(head)
    return bool(oldest and oldest < service.now() - dt.timedelta(minutes=minutes))


# Verifying


def verify() -> tuple[int, int, list[str]]:
    """Walk every chain of events beside its anchors, then the anchors beside the file.

    Returns:
        how many events and how many anchors were read, and the first that is broken of each chain.
    """
    events, problems = _events()
    anchors, problem = _anchors()
    return events, anchors, [*problems.values(), *_unrecorded(problems), *problem]


def _events() -> tuple[int, dict[str, str]]:
    event, anchored = model.Event, model.Anchor
    id_ = sa.func.coalesce(event.package_id, anchored.package_id)
    rows = core.Session.execute(
        sa.select(
            *sa.inspect(event).columns,
            id_.label("chain"),
            anchored.seq.label("anchor"),
            anchored.event_hash.label("anchored_hash"),
        )
        .join_from(
            event,
            anchored,
            sa.and_(anchored.package_id == event.package_id, anchored.event_seq == event.seq),
            full=True,
        )
        .order_by(id_, sa.func.coalesce(event.seq, anchored.event_seq))
        .execution_options(yield_per=1000)
    )
    problems: dict[str, str] = {}
    count, chain, seq, previous = 0, None, 0, service.GENESIS
    for row in rows:
        count += row.seq is not None
        if row.chain != chain:
            chain, seq, previous = row.chain, 0, service.GENESIS
        if chain in problems:
            continue
        seq += 1
        if row.seq is None:
            why = f"event {seq} is missing (a later state is anchor {row.anchor})"
        elif row.seq != seq:
            why = f"event {seq} is missing"
        elif row.prev_hash != previous:
            why = f"event {seq} does not follow event {seq - 1}"
        elif row.hash != service.event_hash(row):
            why = f"event {seq} was changed"
        elif row.anchor and row.anchored_hash != row.hash:
            why = f"event {seq} is not the one of anchor {row.anchor}"
        else:
            previous = row.hash
            continue
        problems[row.chain] = f"{row.chain}: {why}"
    return count, problems


def _unrecorded(known: dict[str, str]) -> list[str]:
    """Datasets that stand in a status that no event brought them to."""
    rows = core.Session.execute(
        sa.text(
            "SELECT s.package_id, s.status FROM satudata_status s LEFT JOIN LATERAL"
            " (SELECT to_status FROM satudata_event e WHERE e.package_id = s.package_id"
            "  AND to_status IS NOT NULL ORDER BY seq DESC LIMIT 1) e ON true"
            " WHERE s.status <> coalesce(e.to_status, 'draf') ORDER BY 1"
        )
    )
    return [
        f"{row.package_id}: event of status {row.status} is missing"
        for row in rows
        if row.package_id not in known
    ]


def _anchors() -> tuple[int, list[str]]:
    path, count, previous = config.anchor_file(), 0, service.GENESIS
    with contextlib.ExitStack() as stack:
        stack.enter_context(_alone())
        try:
            lines: Iterator[bytes] = iter(stack.enter_context(path.open("rb")))
        except FileNotFoundError:
            lines = iter(())
        except OSError as error:
            return 0, [f"{path} can't be read: {error.strerror}"]
        rows = core.Session.execute(
            _select().order_by(model.Anchor.seq).execution_options(yield_per=1000)
        )
        for row in rows:
            count += 1
            told = next(lines, None)
            if row.seq != count:
                return count, [f"anchor {count} is missing"]
            if row.prev_hash != previous:
                return count, [f"anchor {count} does not follow anchor {count - 1}"]
            if row.hash != anchor_hash(row):
                return count, [f"anchor {count} was changed"]
            if told is None:
                return count, [f"anchor {count} is not in {path}"]
            if told != line(row):
                return count, [f"anchor {count} differs from {path}"]
            previous = row.hash
        if next(lines, None) is not None:
            return count, [f"anchor {count + 1} is in {path}, not in the database"]
    return count, []


#: Comments and what the event that sent them keeps of their words (comments.told), where the two
#: are not the same.
_COMMENTS = """
    SELECT coalesce(told.package_id, c.package_id) AS package_id, coalesce(told.id, c.id) AS id,
      CASE WHEN c.id IS NULL THEN 'is missing' WHEN told.id IS NULL THEN 'was sent by no event'
        ELSE 'was changed' END AS how
    FROM (SELECT e.package_id, k.key AS id, k.value AS sha256 FROM satudata_event e,
        jsonb_each_text(e.detail -> 'komentar') k WHERE e.detail ? 'komentar') told
    FULL JOIN satudata_comment c ON c.id = told.id AND c.package_id = told.package_id
    WHERE c.id IS NULL OR told.id IS NULL
      OR encode(sha256(convert_to(c.body, 'UTF8')), 'hex') <> told.sha256
    ORDER BY 1, 2"""


def comments() -> list[str]:
    """Comments whose words are not those that their event tells of."""
    rows = core.Session.execute(sa.text(_COMMENTS))
    return [f"{row.package_id}: comment {row.id} {row.how}" for row in rows]


def published() -> list[str]:
    """Publications that are not what was approved: file, content or event is gone or other.

    Reads every published byte, of past versions too.
    """
    publication, kept = model.Publication, model.Content
    rows = core.Session.execute(
        sa.select(
            publication.package_id,
            publication.version,
            publication.content_hash,
            publication.files,
            kept.content,
            sa.exists()
            .where(
                model.Event.package_id == publication.package_id,
                model.Event.content_hash == publication.content_hash,
                model.Event.event == "terbitkan",
            )
            .label("recorded"),
        )
        .join_from(publication, core.Package, core.Package.id == publication.package_id)
        .outerjoin(kept, kept.content_hash == publication.content_hash)
        .order_by(publication.package_id, publication.version)
        .execution_options(yield_per=100)
    )
    problems: list[str] = []
    seen: dict[str, str] = {}
    for row in rows:
        name = f"{row.package_id}: version {row.version}"
        if not row.recorded:
            problems.append(f"{name} was published without an event")
        elif row.content is None or content.digest(row.content) != row.content_hash:
            problems.append(f"{name}: the content that was approved is missing or was changed")
        elif _approved_files(row.content) != sorted((f["sha256"], f["size"]) for f in row.files):
            problems.append(f"{name} has other files than were approved")
        for file in row.files:
            sha256 = file["sha256"]
            if sha256 not in seen:
                seen[sha256] = _wrong(sha256)
            if seen[sha256]:
                problems.append(f"{name}: file {sha256} {seen[sha256]}")
    return problems


def _approved_files(approved: dict[str, Any]) -> list[tuple[str, int]]:
    found = (resource["file"] for resource in approved["resources"])
    return sorted((file["sha256"], file["size"]) for file in found if file)


def _wrong(sha256: str) -> str:
    """What is wrong with content in the storage; empty when it has its hash."""
    digest = hashlib.sha256()
    try:
        with files.local_copy(sha256) as path, open(path, "rb") as stream:
            while block := stream.read(files.CHUNK):
                digest.update(block)
    except (fk.exc.MissingFileError, FileNotFoundError):
        return "is missing"
    return "" if digest.hexdigest() == sha256 else "was changed"
