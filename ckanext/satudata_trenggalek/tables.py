"""Loads uploaded tables into the DataStore: file -> DuckDB or calamine -> COPY -> swap.

Uploads that are no tables are searched for personal data only (search_files.py).

The loader writes the tables itself, as the DataStore's owner; no action of a client does. A table
is filled under a name that the DataStore hides, then takes the place of the old one in one
transaction, so that readers see a whole table at any moment. `Table` says which bytes it holds, by
which metadata they were read, and what was found in them.
"""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import json
import logging
import os
import threading
import traceback
from collections.abc import Collection, Iterator
from typing import Any

import ckan.plugins.toolkit as tk
import file_keeper as fk
import psycopg2
import psycopg2.errors
import redis.exceptions
import sqlalchemy as sa
import sqlalchemy.exc
from ckan import model
from ckan.lib import datapreview
from ckanext.datastore.backend import postgres as datastore
from sqlalchemy import event
from sqlalchemy.orm import Session

from . import checks, files, findings, gate, search_files, tabular
from .findings import N_, keep, tell
from .model import Table
from .statement import Statement
from .tabular import EXTENSIONS, Rejected
from .tabular import column_names as column_names

log = logging.getLogger(__name__)

#: Text of a row that goes into its full-text index, in characters; a tsvector holds 1 MB.
MAX_FULL_TEXT = 200_000


class _Busy(Exception):
    """The DataStore can't be written now; the load is tried again later."""


# Writing


def _fill(connection: Any, table: str, source: tabular.Source, plan: checks.Plan) -> int:
    """Make the hidden table: rows, full text, indexes. Commits; returns the number of rows."""
    q = datastore.identifier
    fields = _fields(plan)
    stage = [f"c{i}" for i in range(len(fields))]
    cells = [f"nullif({c}, '')::{f['type']}" for c, f in zip(stage, fields, strict=True)]
    text = f"left(array_to_string(ARRAY[{', '.join(stage)}]::text[], ' '), {MAX_FULL_TEXT})"
    # The configuration that datastore_search asks with, so that both find the same words.
    language = datastore.literal_string(tk.config["ckan.datastore.default_fts_lang"])
    with connection.cursor() as cursor:
        run = cursor.execute
        run(f"DROP TABLE IF EXISTS {q(table)}")
        columns = ", ".join(f"{q(f['id'])} {f['type']}" for f in fields)
        run(f"CREATE TABLE {q(table)} (_id serial PRIMARY KEY, _full_text tsvector, {columns})")
        for column in plan.columns:
            if column.info:
                info = json.dumps({"_info": column.info}, ensure_ascii=False)
                run(
                    f"COMMENT ON COLUMN {q(table)}.{q(column.name)} IS "
                    + datastore.literal_string(" " + info)
                )
        # Staged, since filling _full_text by UPDATE would leave every row twice.
        run(
            f"CREATE TEMP TABLE muat ({', '.join(f'{c} text' for c in stage)}) ON COMMIT DROP;"
            "SET LOCAL synchronize_seqscans = off; SET LOCAL maintenance_work_mem = '128MB'"
        )
        _copy(cursor, source, plan)
        run(
            f"INSERT INTO {q(table)} (_full_text, {', '.join(q(f['id']) for f in fields)}) "
            f"SELECT to_tsvector({language}, {text}), {', '.join(cells)} FROM muat"
        )
        rows = cursor.rowcount
        run(
            f"CREATE TRIGGER zfulltext BEFORE INSERT OR UPDATE ON {q(table)} "
            "FOR EACH ROW EXECUTE PROCEDURE populate_full_text_trigger()"
        )
        for statement in _indexes(table, fields, INDEX):
            run(statement)
        run(f"ANALYZE {q(table)}")
    connection.commit()
    return rows


def _fields(plan: checks.Plan) -> list[dict[str, str]]:
    return [{"id": column.name, "type": column.type} for column in plan.columns]


def _copy(cursor: Any, source: tabular.Source, plan: checks.Plan) -> None:
    """The rows of the source into the staging table, through a pipe."""
    reader, writer = os.pipe()
    failed: list[BaseException] = []
    cells = ", ".join(f"{column.sql} AS c{i}" for i, column in enumerate(plan.columns))

    def produce() -> None:
        try:
            # Two would gather rows in order faster than PostgreSQL takes them.
            source.duck.execute("SET threads = 1")
            # Quoted, since PostgreSQL takes a line "\\." for the end of the data.
            source.execute(
                f"COPY (SELECT {cells} FROM {source.table}) TO '/dev/fd/{writer}' "
                "(FORMAT csv, HEADER false, FORCE_QUOTE (c0), USE_TMP_FILE false)"
            )
        except BaseException as error:  # told in the thread that asked
            failed.append(error)
        finally:
            os.close(writer)

    thread = threading.Thread(target=produce)
    with open(reader, "rb", buffering=files.CHUNK) as rows:
        thread.start()
        try:
            cursor.copy_expert("COPY muat FROM STDIN (FORMAT csv)", rows, size=files.CHUNK)
        finally:
            # Closing the reading end ends a writer whose reader gave up.
            rows.close()
            thread.join()
    if failed:
        raise failed[0]


INDEX = 'CREATE {unique} INDEX "{name}" ON "{res_id}" USING {method}({fields})'


def _indexes(table: str, fields: list[dict[str, str]], template: str) -> list[str]:
    return datastore._build_fts_indexes({"resource_id": table}, template, fields)[0]


def _swap(connection: Any, resource_id: str, plan: checks.Plan, rows: int) -> None:
    """Put the hidden table in the place of the resource's, in one transaction."""
    q, table = datastore.identifier, _hidden(resource_id)
    fields = _fields(plan)
    names = [_indexes(name, fields, "{name}") for name in (table, resource_id)]
    for attempt in itertools.count(1):
        try:
            with connection.cursor() as cursor:
                run = cursor.execute
                # Long readers of the old table would make all others wait behind us.
                run("SET LOCAL lock_timeout = '3s'")
                run(f"DROP TABLE IF EXISTS {q(resource_id)} CASCADE")
                run(f"ALTER TABLE {q(table)} RENAME TO {q(resource_id)}")
                for old, new in zip(*names, strict=True):
                    run(f"ALTER INDEX {q(old)} RENAME TO {q(new)}")
                run(f"ALTER INDEX {q(table + '_pkey')} RENAME TO {q(resource_id + '_pkey')}")
                run(
                    f"ALTER SEQUENCE {q(table + '__id_seq')}"
                    f" RENAME TO {q(resource_id + '__id_seq')}"
                )
                run("DELETE FROM _table_stats WHERE resource_id = %s", (resource_id,))
                run(
                    "INSERT INTO _table_stats VALUES (%s, jsonb_build_object('rows', %s))",
                    (resource_id, rows),
                )
            connection.commit()
            return
        except psycopg2.errors.LockNotAvailable as error:
            connection.rollback()
            if attempt == 20:
                raise _Busy("the old table is being read") from error


@contextlib.contextmanager
def _datastore(resource_id: str) -> Iterator[Any]:
    """A psycopg2 connection as the DataStore's owner; one load of a resource at a time."""
    try:
        connection: Any = datastore.get_write_engine().raw_connection()
    except (sqlalchemy.exc.OperationalError, psycopg2.OperationalError) as error:
        raise _Busy(str(error)) from error
    key = "SELECT pg_advisory_{}(hashtextextended(%s, 0))"
    try:
        with connection.cursor() as cursor:
            cursor.execute(key.format("lock"), (f"satudata:{resource_id}",))
        connection.commit()
        yield connection
    except (psycopg2.OperationalError, psycopg2.InterfaceError) as error:
        connection.invalidate()
        raise _Busy(str(error)) from error
    finally:
        if connection.is_valid:
            connection.rollback()
            with connection.cursor() as cursor:
                cursor.execute(key.format("unlock"), (f"satudata:{resource_id}",))
            connection.commit()
        connection.close()


# State and jobs

#: Counts up when the same file and metadata would give another table or other findings: all tables
#: are then loaded again, as after an upgrade.
_RULES = 2
#: Whether an upload is a table, by the name of its file.
_IS_TABLE = f"lower(substring(r.url from '[.]([^.]*)$')) IN {EXTENSIONS}"
#: How it is read; nothing for CSV, of which most tables are.
_READ_AS = "nullif(lower(substring(r.url from '[.]([^.]*)$')), 'csv')"
#: The metadata that a table follows, as one text; other files follow none.
_METADATA = f"""md5({_RULES} || CASE WHEN {_IS_TABLE}
    THEN coalesce(x.extras ->> 'tanda_desimal', '') || coalesce(x.extras ->> 'variabel', '')
      || coalesce({_READ_AS}, '')
    ELSE 'berkas' END)"""
#: Uploads, their bytes and metadata, beside what is loaded of them and was found in them.
_WANTED = f"""
    SELECT r.id, r.package_id, r.url, r.name, r.position, f.sha256, x.extras, t.state, t.message,
      t.findings, t.updated, {_METADATA} AS metadata, coalesce({_IS_TABLE}, false) AS is_table,
      t.sha256 IS NOT DISTINCT FROM f.sha256 AND t.metadata IS NOT DISTINCT FROM {_METADATA}
        AS current
    FROM resource r JOIN satudata_file f ON f.resource_id = r.id
    CROSS JOIN LATERAL (SELECT coalesce(nullif(r.extras, ''), '{{}}')::json AS extras) x
    LEFT JOIN satudata_table t ON t.resource_id = r.id
    WHERE r.state = 'active' AND r.url_type = 'upload'"""
#: Rows of satudata_table that no such resource stands behind any more.
_ORPHANS = f"""
    SELECT t.resource_id FROM satudata_table t LEFT JOIN resource r ON r.id = t.resource_id
    WHERE NOT EXISTS (SELECT FROM ({_WANTED}) w WHERE w.id = t.resource_id)"""


def _waiting(uploads: str, orphans: str, again: str) -> str:
    """SQL that has uploads wait for their load; gives their ids and those of orphans."""
    return f"""WITH waiting AS (
      INSERT INTO satudata_table AS t (resource_id, sha256, metadata, state)
      SELECT id, sha256, metadata, 'antre' FROM ({_WANTED} AND {uploads}) w
      WHERE {again} OR NOT current ORDER BY id
      ON CONFLICT (resource_id) DO UPDATE SET sha256 = excluded.sha256,
        metadata = excluded.metadata, state = 'antre', message = NULL, rows = NULL,
        columns = NULL, findings = '[]', updated = now()
      WHERE {again} OR t.sha256 <> excluded.sha256
        OR t.metadata IS DISTINCT FROM excluded.metadata
      RETURNING resource_id)
    SELECT resource_id FROM waiting UNION ALL {_ORPHANS} AND {orphans}"""


#: Of a dataset: what is to be loaded or dropped.
_DUE = Statement(_waiting("r.package_id = $1", "r.package_id = $1", "false"), "id")
#: A resource, even if the same bytes and metadata wait already.
_AGAIN = Statement(_waiting("r.id = $1", "t.resource_id = $1", "true"), "id")

WAITING = N_("Antrean pekerjaan tidak dapat dihubungi; pemuatan dicoba lagi secara otomatis.")
BUSY = N_(
    "DataStore belum dapat dihubungi atau sedang sibuk; pemuatan dicoba lagi secara otomatis."
)
BROKEN = N_(
    "Terjadi kesalahan portal, bukan kesalahan data. Hubungi pengelola portal; rinciannya ada di"
    " log pekerjaan."
)


_PUBLIC = "SELECT FROM package WHERE id = :id AND private IS FALSE"


def unloaded() -> list[str]:
    """Ids of published uploads whose load failed."""
    rows = _query(
        """SELECT r.id FROM satudata_table t JOIN resource r ON r.id = t.resource_id
        JOIN package p ON p.id = r.package_id
        WHERE t.state = 'gagal' AND r.state = 'active' AND p.private IS FALSE ORDER BY r.id"""
    )
    return [row.id for row in rows]


def _query(query: str, **parameters: Any) -> list[Any]:
    # Not the session: what counts is what is committed. One statement needs no transaction.
    with model.ensure_engine().connect() as connection:
        connection.execution_options(isolation_level="AUTOCOMMIT")
        return list(connection.execute(sa.text(query), parameters))


def is_table(resource: dict[str, Any]) -> bool:
    """Whether a resource is an uploaded CSV, TSV, XLSX or XLS (by the name of its file)."""
    name = files.extension(str(resource.get("url") or ""))
    return resource.get("url_type") == "upload" and name in EXTENSIONS


def state(resource_id: str) -> Table | None:
    """The load state of a resource."""
    return model.Session.get(Table, resource_id, populate_existing=True)


def loaded_sha(resource_id: str) -> str | None:
    """SHA-256 of the bytes that stand in the DataStore, None while they don't."""
    row = state(resource_id)
    return row.sha256 if row and row.state == "termuat" else None


def pending(package_id: str) -> list[str]:
    """Ids of the dataset's uploads that wait for their load or search, or are in it."""
    return [
        row.id
        for row in _query(_WANTED + " AND r.package_id = :id", id=package_id)
        if not row.current or row.state in ("antre", "memuat")
    ]


def failures(package_id: str) -> dict[str, str]:
    """Message per upload of the dataset whose load or search failed, in the reader's language."""
    return {
        row.id: tell(row.message)
        for row in _query(_WANTED + " AND r.package_id = :id", id=package_id)
        if row.current and row.state == "gagal"
    }


def blockers(dataset: dict[str, Any]) -> list[dict[str, str]]:
    """What of a dataset's tables stands between it and the next step.

    Args:
        dataset: with its `id`; what counts is what is committed.

    Returns:
        [{"field", "message"}], message translated, in the order of the resources: loads that wait
        or failed, findings that block. Field is `resources/<id>/<field>`.
    """
    rows = _query(_WANTED + " AND r.package_id = :id ORDER BY r.position", id=dataset["id"])
    settled = {reason["sha256"] for reason in reasons(dataset["id"])}
    found = []
    for row in rows:
        name, told = row.name or row.url.rpartition("/")[2] or row.id, []
        if not row.current or row.state in ("antre", "memuat"):
            message = tk._("Tabel “{name}” sedang dimuat. Tunggu sebentar lalu muat ulang.")
            if not row.is_table:
                message = tk._("Berkas “{name}” sedang diperiksa. Tunggu sebentar lalu muat ulang.")
            told.append(("url", message.format(name=name)))
        elif row.state == "gagal":
            message = tk._("Tabel “{name}” gagal dimuat: {why} Perbaiki lalu unggah lagi.")
            if not row.is_table:
                message = tk._("Berkas “{name}” gagal diperiksa: {why}")
            told.append(("url", message.format(name=name, why=tell(row.message))))
        for finding in row.findings or [] if row.current else []:
            if not _blocks(finding, row.sha256 in settled):
                continue
            message = f"“{name}”: {findings.message(finding)}"
            if finding["kind"] == PERSONAL:
                message += " " + tk._(
                    "Hapus dari berkas lalu unggah kembali, atau minta Walidata mencatat alasan"
                    " hukumnya."
                )
            told.append((findings.place(finding), message))
        found += [
            {"field": f"resources/{row.id}/{field}", "message": message} for field, message in told
        ]
    return found


#: Kind of finding, and name of the event, of personal data.
PERSONAL = "data_pribadi"


def reasons(package_id: str) -> list[dict[str, Any]]:
    """Legal reasons recorded for personal data in a dataset's files, oldest first.

    Returns:
        sha256 of the bytes they are for, note, actor, at.
    """
    return [
        dict(row._mapping)
        for row in _query(
            "SELECT detail ->> 'sha256' AS sha256, note, actor, at FROM satudata_event"
            " WHERE package_id = :id AND event = :event ORDER BY seq",
            id=package_id,
            event=PERSONAL,
        )
    ]


def _blocks(finding: findings.Finding, settled: bool) -> bool:
    return finding["blocking"] and not (settled and finding["kind"] == PERSONAL)


def found_in(resource: dict[str, Any]) -> list[dict[str, Any]]:
    """Findings of a resource's table in the reader's language, those that block first.

    Args:
        resource: with `id` and `package_id`.

    Returns:
        kind, column, rows, count, blocking, reason (what is recorded for these bytes, if any),
        sha256 of the bytes, and message.
    """
    rows = _query(_WANTED + " AND r.id = :id", id=resource["id"])
    if not rows or not rows[0].current:
        return []
    known = {reason["sha256"]: reason for reason in reasons(rows[0].package_id)}
    reason = known.get(rows[0].sha256)
    told = [
        {
            **finding,
            "blocking": _blocks(finding, reason is not None),
            "reason": reason if finding["kind"] == PERSONAL else None,
            "sha256": rows[0].sha256,
            "message": findings.message(finding),
        }
        for finding in rows[0].findings or []
    ]
    return sorted(told, key=lambda finding: not finding["blocking"])


#: In `Session.info`: the resources whose load is queued in the transaction.
_QUEUED = "satudata_queued"


def sync(package_id: str) -> list[str]:
    """Queue what of a dataset is to be loaded or dropped; its jobs begin after the commit.

    Cheap and idempotent. Call it in the transaction that may have changed its resources or their
    files, after the flush.

    Returns:
        ids of the resources that were queued.
    """
    due = list(_DUE(id=package_id).scalars())
    if due:
        model.Session().info.setdefault(_QUEUED, []).extend(due)
    return due


@event.listens_for(model.Session, "after_commit")
def _committed(session: Session) -> None:
    if not session.in_nested_transaction():
        for id_ in session.info.pop(_QUEUED, ()):
            try:
                _queued(id_)
            except Exception:
                # What is committed stays, and its session must go on: `requeue_stuck` finds it.
                log.exception("Load of %s was not queued", id_)


@event.listens_for(model.Session, "after_soft_rollback")
def _rolled_back(session: Session, _transaction: object) -> None:
    # What a transaction queued that goes on after a savepoint is found by `requeue_stuck`.
    session.info.pop(_QUEUED, None)


def enqueue(resource_id: str) -> bool:
    """Queue the load of one resource again, or the removal of its table when it has no more file.

    Args:
        resource_id: of a committed resource.

    Returns:
        False when there is neither.
    """
    return bool([_queued(id_) for (id_,) in _AGAIN.committed(id=resource_id)])


def _queued(resource_id: str) -> str:
    try:
        tk.enqueue_job(load, [resource_id], title=f"Memuat tabel {resource_id}")
    except redis.exceptions.RedisError:
        log.exception("Redis is not there: load of %s waits for reconcile", resource_id)
        _mark(resource_id, "antre", message=keep((WAITING, {})))
    return resource_id


def requeue_stuck(minutes: int = 10) -> int:
    """Enqueue again what was lost: Redis or DataStore down, a worker killed, a crash.

    Args:
        minutes: how long a load may wait before it counts as lost.

    Returns:
        how many loads were enqueued.
    """
    rows = _query(
        f"""SELECT id FROM ({_WANTED}) w WHERE NOT current
          OR state = 'antre' AND updated < now() - make_interval(mins => :minutes)
        UNION {_ORPHANS}""",
        minutes=minutes,
    )
    lost = {row.id for row in rows} | _deserted()
    return sum(enqueue(id_) for id_ in sorted(lost))


def _deserted() -> set[str]:
    """Resources whose table is said to be loading while nobody holds the lock of `_datastore`."""
    running = "SELECT resource_id FROM satudata_table WHERE state = 'memuat'"
    said = [row.resource_id for row in _query(running)]
    if not said:
        return set()
    lock = sa.text("SELECT pg_try_advisory_xact_lock(hashtextextended(:key, 0))")
    try:
        with datastore.get_write_engine().connect() as connection:
            free = {id_ for id_ in said if connection.scalar(lock, {"key": f"satudata:{id_}"})}
            # Again, now that none of them can end or begin.
            return free & {row.resource_id for row in _query(running)}
    except sqlalchemy.exc.OperationalError as error:
        log.warning("Loads that run are not looked at: %s", error)
        return set()


def _mark(resource_id: str, state: str, wanted: Any = None, **values: Any) -> None:
    """Set the state of a load; only of these bytes and metadata, when they are given."""
    where = [Table.resource_id == resource_id]
    if wanted:
        where += [Table.sha256 == wanted.sha256, Table.metadata_digest == wanted.metadata]
    with model.ensure_engine().begin() as connection:
        connection.execute(
            sa.update(Table)
            .where(*where)
            .values({"message": None, **values, "state": state, "updated": sa.func.now()})
        )


def load(resource_id: str) -> None:
    """Make the DataStore table of a resource what its file says: the job. Idempotent.

    What is wrong with the file is told in `Table.message`; what is wrong with the portal is tried
    again by `requeue_stuck`.
    """
    try:
        with _datastore(resource_id) as connection:
            rows = _query(_WANTED + " AND r.id = :id", id=resource_id)
            if not rows:
                _drop(connection, resource_id)
            elif not rows[0].current or rows[0].state not in ("termuat", "diperiksa"):
                _load(connection, resource_id, rows[0])
    except _Busy as error:
        log.warning("Load of %s is tried again later: %s", resource_id, error)
        _mark(resource_id, "antre", message=keep((BUSY, {})))


def _load(connection: Any, resource_id: str, row: Any) -> None:
    # A load called without enqueue has no row yet.
    with model.ensure_engine().begin() as main:
        main.execute(
            sa.text(
                """INSERT INTO satudata_table (resource_id, sha256, metadata, state)
                VALUES (:id, :sha256, :metadata, 'memuat') ON CONFLICT (resource_id) DO UPDATE SET
                sha256 = excluded.sha256, metadata = excluded.metadata, state = 'memuat',
                message = NULL, findings = '[]', updated = now()"""
            ),
            {"id": resource_id, "sha256": row.sha256, "metadata": row.metadata},
        )
    try:
        if not row.is_table:
            found = _search(row.sha256)
            _drop(connection, resource_id, keep_state=True)
            _mark(resource_id, "diperiksa", row, findings=found)
            return
        source, plan, count = _read(connection, resource_id, row)
        _swap(connection, resource_id, plan, count)
    except _Busy:
        raise
    except (psycopg2.OperationalError, psycopg2.InterfaceError):
        raise  # the connection: see _datastore
    except Exception as error:
        # The end of the job: whatever it is, nobody may wait for ever.
        connection.rollback()
        known = isinstance(error, Rejected)
        if known:
            log.info("Resource %s is no table: %s", resource_id, error)
        else:
            # Without the message: databases quote the value that they refuse.
            where = "".join(traceback.format_tb(error.__traceback__))
            log.error("Load of resource %s failed: %s\n%s", resource_id, type(error), where)
        public = bool(_query(_PUBLIC, id=row.package_id))
        if not public:
            # What stands there is of other bytes.
            _drop(connection, resource_id, keep_state=True)
        # The public keeps what was loaded from the same bytes, and our own fault is tried again.
        _mark(
            resource_id,
            "antre" if public and not known else "gagal",
            row,
            message=keep(error.told if isinstance(error, Rejected) else (BROKEN, {})),
            findings=_search(row.sha256) if known else [],
        )
        return
    message = keep(*source.notes)
    log.info("Loaded %s rows of resource %s", count, resource_id)
    _show(resource_id, True)
    # Before the dataset may be submitted: they are content.
    _views(resource_id)
    _mark(
        resource_id,
        "termuat",
        row,
        message=message,
        rows=count,
        columns=len(plan.columns),
        findings=plan.findings,
    )


def _read(connection: Any, resource_id: str, row: Any) -> tuple[tabular.Source, checks.Plan, int]:
    """Make the hidden table of what a file says; what was read, how, and the number of rows."""
    variabel, koma = _metadata(row.extras)
    with (
        files.local_copy(row.sha256) as path,
        tabular.read(path, files.extension(row.url), checks.commas(variabel, koma)) as source,
    ):
        plan = checks.examine(source, variabel, koma)
        return source, plan, _fill(connection, _hidden(resource_id), source, plan)


def differing(only: Collection[str] = ()) -> Iterator[tuple[str, str]]:
    """Read each file again, and compare its table, row by row, and what was found in it.

    As long as loading them all. The triggers of the gate do not reach the DataStore, whose owner
    CKAN itself is, nor the findings, which the loader may write in any status.

    Args:
        only: ids of resources; all of them when there is none.

    Yields:
        ids of the resources whose table or findings are not what the file says, and why they can't
        be compared, or nothing.
    """
    loaded = f"{_WANTED} AND t.state IN ('termuat', 'diperiksa')"
    for row in _query(f"{loaded} ORDER BY r.id"):
        if only and row.id not in only:
            continue
        try:
            with _datastore(row.id) as connection:
                # It may have been loaded or removed meanwhile.
                now = _query(f"{loaded} AND r.id = :id", id=row.id)
                if now and now[0].current and _differs(connection, row.id, now[0]):
                    yield row.id, ""
        except (Rejected, _Busy, fk.exc.StorageError, OSError) as error:
            yield row.id, f"{type(error).__name__}: {error}"


#: Columns of a table in their order, with what the data dictionary says of each.
_COLUMNS = """SELECT attname, format_type(atttypid, atttypmod), col_description(attrelid, attnum)
    FROM pg_attribute WHERE attrelid = to_regclass(%s) AND attnum > 0 AND NOT attisdropped
    ORDER BY attnum"""


def _differs(connection: Any, resource_id: str, row: Any) -> bool:
    if not row.is_table:
        return _ordered(_search(row.sha256)) != _ordered(row.findings)
    _source, plan, _count = _read(connection, resource_id, row)
    names = [datastore.identifier(name) for name in (resource_id, _hidden(resource_id))]
    with connection.cursor() as cursor:
        columns = []
        for name in names:
            cursor.execute(_COLUMNS, (name,))
            columns.append(cursor.fetchall())
        differs = columns[0] != columns[1] or _ordered(plan.findings) != _ordered(row.findings)
        if not differs:
            # By their numbers, which are the order in the file.
            cursor.execute(
                f"SELECT EXISTS (SELECT FROM {names[0]} a FULL JOIN {names[1]} b USING (_id)"
                " WHERE ROW(a.*) IS DISTINCT FROM ROW(b.*))"
            )
            differs = cursor.fetchone()[0]
        cursor.execute(f"DROP TABLE {names[1]}")
    connection.commit()
    return differs


def _ordered(found: Any) -> Any:
    """Findings as they are kept; the order of names in them is DuckDB's, another each time."""
    rows = json.loads(json.dumps(found or []))
    return [{**row, "names": sorted(row.get("names", []))} for row in rows]


def _hidden(resource_id: str) -> str:
    """Name under which a table is filled: by its first character not in the DataStore's list."""
    return "_muat_" + hashlib.md5(resource_id.encode(), usedforsecurity=False).hexdigest()


def _metadata(extras: dict[str, Any]) -> tuple[list[checks.Row], bool]:
    """Rows of MS-Variabel of a resource, and whether its decimals stand after a comma."""
    try:
        rows = json.loads(extras.get("variabel") or "[]")
    except ValueError:  # the schema's blocker tells it
        rows = []
    rows = [row for row in rows if isinstance(row, dict)] if isinstance(rows, list) else []
    return rows, extras.get("tanda_desimal") == "koma"


def _search(sha256: str) -> list[findings.Finding]:
    """Personal data in a file that is no table."""
    with files.local_copy(sha256) as path:
        return search_files.anywhere(path)


def _drop(connection: Any, resource_id: str, keep_state: bool = False) -> None:
    """Remove a resource's table."""
    with connection.cursor() as cursor:
        # With what a killed loader left half filled.
        for table in (resource_id, _hidden(resource_id)):
            cursor.execute(f"DROP TABLE IF EXISTS {datastore.identifier(table)} CASCADE")
        cursor.execute("DELETE FROM _table_stats WHERE resource_id = %s", (resource_id,))
    connection.commit()
    if not keep_state:
        with model.ensure_engine().begin() as main:
            main.execute(sa.delete(Table).where(Table.resource_id == resource_id))
    _show(resource_id, False)


def _show(resource_id: str, active: bool) -> None:
    """Write `datastore_active`, and nothing else, then index the dataset."""
    table = model.resource_table
    with model.ensure_engine().begin() as main:
        row = main.execute(
            sa.select(table.c.package_id, table.c.extras)
            .where(table.c.id == resource_id)
            .with_for_update()
        ).first()
        if row is None or bool(row.extras.get("datastore_active")) == active:
            return
        main.execute(
            sa.update(table)
            .where(table.c.id == resource_id)
            .values(extras={**row.extras, "datastore_active": active})
        )
    model.Session.expire_all()
    gate.index(row.package_id)


def _context() -> Any:
    user = tk.get_action("get_site_user")({"ignore_auth": True}, {})["name"]
    return {"ignore_auth": True, "user": user}


def _views(resource_id: str) -> None:
    """Default views of a table, while the dataset may still be edited (they are content)."""
    try:
        resource = tk.get_action("resource_show")(_context(), {"id": resource_id})
        datapreview.add_views_to_resource(_context(), resource, create_datastore_views=True)
    except (tk.NotAuthorized, tk.ValidationError, sqlalchemy.exc.IntegrityError) as error:
        model.Session.rollback()
        log.info("No default views for resource %s: %s", resource_id, error)
