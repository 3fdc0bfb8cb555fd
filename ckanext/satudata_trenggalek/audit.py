"""Is the record whole? Chains of events, their anchors, the rows beside them, the published bytes.

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

from ckanext.satudata_trenggalek import comments as remarks
from ckanext.satudata_trenggalek import config, content, files, model
from ckanext.satudata_trenggalek.workflow import service
from ckanext.satudata_trenggalek.workflow.table import PUBLIC, TRANSITIONS

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
    """Walk every chain of events beside its anchors, rows beside events, anchors beside the file.

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


#: Statuses in which the content is the one that was approved.
APPROVED = (*TRANSITIONS["terbitkan"].sources, *PUBLIC, *TRANSITIONS["buka_kembali"].sources)
#: Events that approve.
APPROVING = tuple(t.name for t in TRANSITIONS.values() if "verify" in t.effects)

#: What status rows, publications and peran say beside their events: a query for each, in one
#: snapshot of the database. What changes without an event (model/ddl.py) is left out, and so are
#: the times of deadlines, which follow from the calendar.
_ROWS = (
    """
    SELECT s.package_id, CASE w.name WHEN 'status' THEN format('event of status %s is missing',
        s.status) ELSE w.name || ' is not what its events say' END AS what
    FROM satudata_status s LEFT JOIN package p ON p.id = s.package_id
    LEFT JOIN (
      SELECT package_id, max(seq) FILTER (WHERE event = ANY (:approving)) AS approved,
        max(seq) FILTER (WHERE event = 'ajukan') AS submitted,
        max(seq) FILTER (WHERE event = 'terbitkan') AS published,
        max(seq) FILTER (WHERE event = 'prioritas') AS marked,
        max(seq) FILTER (WHERE to_status IS NOT NULL) AS moved,
        max(seq) FILTER (WHERE to_status IS NOT NULL
                           OR event IN ('ambil', 'ambil_alih', 'lepas')) AS held,
        count(*) FILTER (WHERE event = 'terbitkan') AS versions
      FROM satudata_event GROUP BY package_id) n ON n.package_id = s.package_id
    LEFT JOIN satudata_event a ON a.package_id = s.package_id AND a.seq = n.approved
    LEFT JOIN satudata_event u ON u.package_id = s.package_id AND u.seq = n.submitted
    LEFT JOIN satudata_event t ON t.package_id = s.package_id AND t.seq = n.published
    LEFT JOIN satudata_event m ON m.package_id = s.package_id AND m.seq = n.marked
    LEFT JOIN satudata_event v ON v.package_id = s.package_id AND v.seq = n.moved
    LEFT JOIN satudata_event h ON h.package_id = s.package_id AND h.seq = n.held
      AND h.event LIKE 'ambil%'
    CROSS JOIN LATERAL (VALUES
      ('status', s.status <> coalesce(v.to_status, 'draf')),
      ('private', p.private IS DISTINCT FROM (s.status <> ALL (:public))),
      ('version', s.version <> coalesce(n.versions, 0)),
      ('round', s.round <> (
        SELECT count(*) FROM satudata_event e WHERE e.package_id = s.package_id
          AND e.event = 'ajukan' AND e.seq > coalesce(n.published, 0))),
      ('content_hash', s.status = ANY (:approved) AND (
        s.content_hash IS NULL OR s.content_hash IS DISTINCT FROM a.content_hash)),
      ('verified_by', s.status = ANY (:approved) AND s.verified_by IS DISTINCT FROM a.actor),
      ('verified_at', s.status = ANY (:approved) AND s.verified_at IS DISTINCT FROM a.at),
      ('published_at', s.published_at IS DISTINCT FROM t.at),
      ('submitted_by', s.submitted_by IS DISTINCT FROM u.actor),
      ('submitted_at', s.submitted_at IS DISTINCT FROM u.at),
      ('reviewer', s.reviewer IS DISTINCT FROM h.actor),
      ('claimed_at', s.claimed_at IS DISTINCT FROM h.at),
      ('data_prioritas',
        s.data_prioritas::text <> coalesce(m.detail ->> 'data_prioritas', 'false')),
      ('prioritas_kriteria', s.prioritas_kriteria IS DISTINCT FROM m.detail ->> 'kriteria'),
      ('makers', EXISTS (
        SELECT 1 FROM satudata_event e JOIN "user" u ON u.name = e.actor
        WHERE e.package_id = s.package_id AND e.event IN ('dibuat', 'ajukan')
          AND u.id <> ALL (s.makers)))
    ) w (name, differs) WHERE w.differs""",
    """
    SELECT p.package_id, 'Pembina approved what Walidata did not forward' AS what
    FROM satudata_event p WHERE p.event = 'setujui_pembina' AND p.content_hash IS DISTINCT FROM (
      SELECT content_hash FROM satudata_event WHERE package_id = p.package_id AND seq < p.seq
        AND event = 'teruskan_ke_pembina' ORDER BY seq DESC LIMIT 1)""",
    """
    SELECT DISTINCT a.package_id, a.actor || ' approved what they made' AS what
    FROM satudata_event a JOIN satudata_event m ON m.package_id = a.package_id
      AND m.actor = a.actor AND m.seq < a.seq AND m.event IN ('dibuat', 'ajukan')
    WHERE a.event = ANY (:approving)""",
    """
    SELECT p.id AS package_id, 'status is missing' AS what
    FROM package p LEFT JOIN satudata_status s ON s.package_id = p.id
    WHERE s.package_id IS NULL AND EXISTS (SELECT 1 FROM satudata_event WHERE package_id = p.id)""",
    # The name of a content that an older version of the portal kept is not in it.
    """
    SELECT coalesce(t.package_id, p.package_id) AS package_id, format('version %s %s',
        coalesce(t.version, p.version), CASE WHEN p.package_id IS NULL THEN 'is missing'
          WHEN t.package_id IS NULL THEN 'was published without an event'
          ELSE 'is not what its events say' END) AS what
    FROM (
      SELECT e.*, row_number() OVER of_dataset AS version,
        lead(seq, 1, 2147483647) OVER of_dataset AS next
      FROM satudata_event e WHERE event = 'terbitkan'
      WINDOW of_dataset AS (PARTITION BY package_id ORDER BY seq)) t
    FULL JOIN satudata_publication p ON p.package_id = t.package_id AND p.version = t.version
    LEFT JOIN satudata_content c ON c.content_hash = t.content_hash
    LEFT JOIN LATERAL (
      SELECT at FROM satudata_event WHERE package_id = t.package_id AND seq < t.seq
        AND event = ANY (:approving) ORDER BY seq DESC LIMIT 1) a ON true
    LEFT JOIN LATERAL (
      SELECT at, public_note FROM satudata_event WHERE package_id = t.package_id
        AND seq > t.seq AND seq < t.next AND event = 'tarik' LIMIT 1) w ON true
    WHERE (p.content_hash, p.name, p.verified_at, p.published_at, p.withdrawn_at, p.public_note)
      IS DISTINCT FROM (t.content_hash, coalesce(c.content #>> '{fields,name}', p.name), a.at,
                        t.at, w.at, w.public_note)""",
    """
    SELECT s.package_id, 'files are not those of version ' || s.version AS what
    FROM satudata_status s
    JOIN satudata_publication p ON p.package_id = s.package_id AND p.version = s.version
    WHERE s.status = ANY (:public) AND (SELECT jsonb_agg(f ORDER BY f ->> 'id')
        FROM jsonb_array_elements(p.files) f) IS DISTINCT FROM (
      SELECT jsonb_agg(jsonb_build_object('id', f.resource_id, 'sha256', f.sha256, 'size', f.size)
          ORDER BY f.resource_id)
      FROM resource r JOIN satudata_file f ON f.resource_id = r.id
      WHERE r.package_id = s.package_id AND r.state = 'active')""",
    """
    SELECT coalesce(r.organization_id, e.package_id) AS package_id,
      'peran is not what its events say' AS what
    FROM satudata_peran r FULL JOIN (
      SELECT DISTINCT ON (package_id) package_id, detail -> 'sesudah' AS told
      FROM satudata_event WHERE event = 'peran' ORDER BY package_id, seq DESC) e
      ON e.package_id = r.organization_id
    WHERE coalesce(to_jsonb(r.peran), 'null') <> coalesce(e.told, 'null')""",
)


def _unrecorded(known: dict[str, str]) -> list[str]:
    """Rows that are not what events made them, but for those of the chains that are known."""
    asked = {name: list(names) for name, names in
             (("approved", APPROVED), ("approving", APPROVING), ("public", PUBLIC))}  # fmt: skip
    found = []
    for text in _ROWS:
        query = sa.text(text)
        names = query.compile().params
        found += core.Session.execute(query, {name: asked[name] for name in names}).all()
    row, last = model.Status, service.scheduling().lateral()
    planned = core.Session.execute(
        sa.select(row.package_id, row.publish_at, last.c.detail)
        .outerjoin(last, sa.true())
        .where(row.publish_at.is_not(None))
    ).all()
    problems = [(row.package_id, row.what) for row in found] + [
        (row.package_id, "publish_at is not what its events say")
        for row in planned
        if row.publish_at != service.scheduled(row.detail)
    ]
    return [f"{id_}: {what}" for id_, what in sorted(problems) if id_ not in known]


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


#: Comments beside the events that sent them (comments.told), and whether an event says of each that
#: it is open, answered or done, and none that came after says otherwise.
_COMMENTS = """
    SELECT coalesce(told.package_id, c.package_id) AS chain, coalesce(told.id, c.id) AS key,
      told.id IS NOT NULL AS sent, told.digest, c.*,
      (told.actor, told.peran, told.at) IS NOT DISTINCT FROM (c.author, c.peran, c.at)
      AND (c.state = 'open' AND c.state_by IS NULL AND c.state_at IS NULL OR by.seq IS NOT NULL)
      AND NOT EXISTS (
        SELECT 1 FROM satudata_event e WHERE e.package_id = c.package_id
          AND e.seq > coalesce(by.seq, 0) AND e.detail ->> 'tentang' = c.id
          AND e.event IN ('komentar_selesai', 'komentar_dibuka')) AS agrees
    FROM (SELECT e.*, k.key AS id, k.value AS digest FROM satudata_event e, jsonb_each_text(
        CASE jsonb_typeof(e.detail -> 'komentar') WHEN 'object' THEN e.detail -> 'komentar' END) k
      WHERE e.detail ? 'komentar') told
    FULL JOIN satudata_comment c ON c.id = told.id AND c.package_id = told.package_id
    LEFT JOIN LATERAL (
      SELECT e.seq FROM satudata_event e
      WHERE e.package_id = c.package_id AND e.at = c.state_at AND e.actor = c.state_by
        AND CASE e.event WHEN 'ajukan' THEN c.state = 'answered'
          WHEN 'komentar_selesai' THEN c.state = 'done' AND e.detail ->> 'tentang' = c.id
          WHEN 'komentar_dibuka' THEN c.state = 'open' AND e.detail ->> 'tentang' = c.id
          WHEN 'komentar_dibalas' THEN c.state <> 'done' AND e.detail ->> 'tentang' = c.id
          ELSE c.state = 'open' AND EXISTS (
            SELECT 1 FROM satudata_comment reply
            WHERE reply.parent_id = c.id AND e.detail -> 'komentar' ? reply.id) END
      LIMIT 1) by ON true
    ORDER BY 1, 2"""


def comments() -> list[str]:
    """Comments that are not what their events tell of: words, field, author, time, state."""
    problems = []
    rows = core.Session.execute(sa.text(_COMMENTS).execution_options(yield_per=1000))
    for row in rows:
        if row.id is None:
            how = "is missing"
        elif not row.sent:
            how = "was sent by no event"
        elif not row.agrees or not remarks.said(row, row.digest):
            how = "was changed"
        else:
            continue
        problems.append(f"{row.chain}: comment {row.key} {how}")
    return problems


def published() -> list[str]:
    """Publications that are not what was approved: file or content is gone or other.

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
            core.Package.id.is_not(None).label("stands"),
        )
        .join_from(
            publication, core.Package, core.Package.id == publication.package_id, isouter=True
        )
        .outerjoin(kept, kept.content_hash == publication.content_hash)
        .order_by(publication.package_id, publication.version)
        .execution_options(yield_per=100)
    )
    problems: list[str] = []
    seen: dict[str, str] = {}
    for row in rows:
        name = f"{row.package_id}: version {row.version}"
        if row.content is None or content.digest(row.content) != row.content_hash:
            problems.append(f"{name}: the content that was approved is missing or was changed")
        elif _approved_files(row.content) != sorted((f["sha256"], f["size"]) for f in row.files):
            problems.append(f"{name} has other files than were approved")
        # The bytes of what was purged are gone; that it was published is not.
        for file in row.files if row.stands else ():
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
