"""Loads uploaded tables into the DataStore: file -> DuckDB or calamine -> COPY -> swap.

The loader writes the tables itself, as the DataStore's owner; no action of a client does. A table
is filled under a name that the DataStore hides, then takes the place of the old one in one
transaction, so that readers see a whole table at any moment. `Table` says which bytes it holds.
"""

from __future__ import annotations

import codecs
import contextlib
import csv
import datetime as dt
import decimal
import hashlib
import itertools
import json
import logging
import os
import re
import tempfile
import threading
import unicodedata
import zipfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import ckan.plugins.toolkit as tk
import duckdb
import psycopg2
import psycopg2.errors
import python_calamine
import redis.exceptions
import sqlalchemy as sa
import sqlalchemy.exc
from ckan import logic, model
from ckan.lib import datapreview
from ckanext.datastore.backend import postgres as datastore

from . import files
from .model import Table

log = logging.getLogger(__name__)

EXTENSIONS = ("csv", "tsv", "xlsx", "xls")
DELIMITERS = ",;\t|"
#: PostgreSQL holds 1,600 columns, fewer when they are wide.
MAX_COLUMNS = 500
#: PostgreSQL cuts longer names, in bytes.
MAX_NAME = 63
#: Longest row of a CSV, in bytes (a village's boundary as text has about 1 MB).
MAX_ROW = 1 << 24
#: What an Excel file may unpack to, in bytes; calamine holds a sheet in memory.
MAX_UNPACKED = 1 << 30
#: For DuckDB. Beside it a load needs little: rows pass through a pipe.
MEMORY = "256MB"
#: Text of a row that goes into its full-text index, in characters; a tsvector holds 1 MB.
MAX_FULL_TEXT = 200_000
#: Names that PostgreSQL keeps for itself.
_SYSTEM_NAMES = frozenset({"tableoid", "xmin", "cmin", "xmax", "cmax", "ctid"})


HEADER_ONLY = "Berkas hanya berisi baris judul kolom, tanpa data. Isi datanya, lalu unggah kembali."


class Rejected(Exception):
    """A file that can't become a table; the message says what, where and the remedy."""


class _Busy(Exception):
    """The DataStore can't be written now; the load is tried again later."""


@dataclass
class Source:
    """A file as a table of text."""

    names: list[str]
    #: Header cell of each column as it stands in the file.
    labels: list[str]
    #: Writes the rows as CSV without header into a file descriptor, and closes it.
    write: Callable[[int], None]
    notes: list[str] = field(default_factory=list)


# Reading


def column_names(header: Iterable[Any]) -> list[str]:
    """Column names for a header row, such as the DataStore takes; always the same for the same row.

    Empty cells become ``kolom_<n>``, what occurs again gets ``_2``; see `is_valid_field_name` of
    ckanext/datastore/helpers.py for what is not allowed.
    """
    names: list[str] = []
    for number, cell in enumerate(header, 1):
        text = unicodedata.normalize("NFC", "" if cell is None else str(cell))
        text = "".join(" " if unicodedata.category(c)[0] in "CZ" else c for c in text)
        # ":x" would be a bind parameter in the DataStore's SQL.
        text = re.sub(r"(?<![:\w]):(?=\w)", " ", text.replace('"', "").replace("\\", "/"))
        text = " ".join(text.split()).lstrip("_ ") or f"kolom_{number}"
        name = base = _cut(text, MAX_NAME)
        for again in itertools.count(2):
            if name not in names and name not in _SYSTEM_NAMES:
                break
            suffix = f"_{again}"
            name = _cut(base, MAX_NAME - len(suffix)) + suffix
        names.append(name)
    return names


def _cut(text: str, size: int) -> str:
    return text.encode()[:size].decode(errors="ignore").strip()


def _columns(header: list[Any], width: int) -> tuple[list[str], list[str], list[str]]:
    """Names, labels and notes for a header row and the widest row."""
    if width > MAX_COLUMNS:
        raise Rejected(
            f"Tabel memiliki {width} kolom, melebihi batas {MAX_COLUMNS}. Susun ulang menjadi "
            "tabel panjang (misalnya satu kolom tahun dan satu kolom nilai), lalu unggah kembali."
        )
    labels = ["" if cell is None else str(cell).strip() for cell in header]
    labels += [""] * (width - len(labels))
    names, notes = column_names(labels), []
    renamed = [f"“{old}” → “{new}”" for old, new in zip(labels, names, strict=True) if old != new]
    if renamed:
        notes.append(f"Nama kolom disesuaikan: {_few(renamed)}.")
    return names, labels, notes


def _few(items: list[str], most: int = 5) -> str:
    rest = len(items) - most
    return ", ".join(items[:most]) + (f" dan {rest} lainnya" if rest > 0 else "")


def encoding(path: str) -> str:
    """Python's name of a text file's encoding: UTF-8, UTF-16 with its mark, cp1252 or Latin-1.

    Raises:
        Rejected: NUL bytes in it.
    """
    with open(path, "rb") as stream:
        if stream.read(2) in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE):
            return "utf-16"
        stream.seek(0)
        decoders = {name: codecs.getincrementaldecoder(name)() for name in ("utf-8-sig", "cp1252")}
        line = 1
        while True:
            block = stream.read(files.CHUNK)
            if (at := block.find(b"\0")) >= 0:
                line += block[:at].count(b"\n")
                raise Rejected(
                    f"Baris {line} berisi karakter NUL (biner). Buka berkas di aplikasinya, simpan "
                    "ulang sebagai “CSV UTF-8”, lalu unggah kembali."
                )
            line += block.count(b"\n")
            for name, decoder in list(decoders.items()):
                try:
                    decoder.decode(block, final=not block)
                except UnicodeDecodeError:
                    del decoders[name]
            if not block:
                return next(iter(decoders), "latin-1")


def delimiter(sample: str) -> str:
    """The delimiter that splits the first rows of a CSV into the most columns alike."""

    def score(mark: str) -> tuple[float, int]:
        rows = csv.reader(sample.splitlines(keepends=True)[:50], delimiter=mark)
        widths = [len(row) for row in rows if row]
        usual = max(set(widths), key=widths.count, default=1)
        return (widths.count(usual) / len(widths) if usual > 1 else 0, usual)

    best = max(DELIMITERS, key=score)
    return best if score(best)[0] else ","


def _records(path: str, mark: str, skip: int) -> Iterator[tuple[int, list[str]]]:
    """Rows of a UTF-8 CSV that are not blank, with the number of the line where they end."""
    csv.field_size_limit(MAX_ROW)
    with open(path, encoding="utf-8-sig", newline="") as text:
        for _ in range(skip):
            text.readline()
        reader, line = csv.reader(text, delimiter=mark, strict=True), 0
        try:
            for row in reader:
                line = reader.line_num
                if row:
                    yield reader.line_num + skip, row
        except csv.Error as error:
            raise Rejected(
                f"Baris {line + skip + 1} tidak dapat dibaca sebagai CSV: tanda kutip "
                "dibuka tanpa ditutup, atau ada teks setelah kutip penutup. Perbaiki tanda "
                "kutipnya (kutip di dalam isian ditulis ganda), lalu unggah kembali."
            ) from error


def read_csv(path: str, extension: str = "csv") -> Source:
    """A CSV or TSV file in UTF-8.

    Args:
        path: of the file.
        extension: "csv" or "tsv", a hint.

    Raises:
        Rejected: empty, header only, too wide, broken quotes.
    """
    with open(path, encoding="utf-8-sig", newline="", errors="ignore") as text:
        sample = text.read(files.SAMPLE)
    # Excel's own line that names the delimiter.
    told = re.match(r"sep=(.)\r?\n", sample)
    skip = 1 if told else 0
    mark = told[1] if told else "\t" if extension == "tsv" and "\t" in sample else delimiter(sample)
    records = (row for _, row in _records(path, mark, skip))
    header, first = next(records, []), next(records, None)
    if first is None:
        raise Rejected(HEADER_ONLY)
    if len(header) > MAX_COLUMNS:
        _columns(header, len(header))
    query, parameters = _duck_query(
        path, mark, skip + _blank_lines(sample[told.end() if told else 0 :]), len(header)
    )
    problem = _duck_refuses(query, parameters, first)
    if problem is None:
        names, labels, notes = _columns(header, len(header))
        return Source(names, labels, _duck_writer(query, parameters), notes)
    log.info("DuckDB refuses %s, reading it row by row: %s", path, problem)
    return _read_ragged(path, mark, skip, header)


def _blank_lines(text: str) -> int:
    blank = re.match(r"[\r\n]*", text)
    return len(re.findall(r"\r\n|\r|\n", blank[0])) if blank else 0


def _duck_query(path: str, mark: str, skip: int, width: int) -> tuple[str, dict[str, Any]]:
    columns = ", ".join(f"c{i}: 'VARCHAR'" for i in range(width))
    return (
        f"SELECT * FROM read_csv($path, columns={{{columns}}}, auto_detect=false, header=true, "
        f"skip={skip}, delim=$mark, quote='\"', escape='\"', strict_mode=true, "
        f"null_padding=false, max_line_size={MAX_ROW})",
        {"path": path, "mark": mark},
    )


@contextlib.contextmanager
def _duck() -> Iterator[duckdb.DuckDBPyConnection]:
    with (
        tempfile.TemporaryDirectory() as spill,
        duckdb.connect(
            config={"memory_limit": MEMORY, "threads": 2, "temp_directory": spill}
        ) as connection,
    ):
        yield connection


def _duck_refuses(query: str, parameters: dict[str, Any], first: list[str]) -> str | None:
    """Why DuckDB can't read the whole file this way; None when it can.

    Args:
        query: see `_duck_query`.
        parameters: of the query.
        first: the first row after the header, as Python reads it.
    """
    with _duck() as connection:
        try:
            row = connection.execute(query + " LIMIT 1", parameters).fetchone()
            if row is None or [cell or "" for cell in row] != first:
                return "other first row"
            connection.execute(f"SELECT count(COLUMNS(*)) FROM ({query})", parameters)
        except duckdb.Error as error:
            return str(error).split("\n")[0]
    return None


def _duck_writer(query: str, parameters: dict[str, Any]) -> Callable[[int], None]:
    def write(descriptor: int) -> None:
        try:
            with _duck() as connection:
                # Quoted, since PostgreSQL takes a line "\." for the end of the data.
                connection.execute(
                    f"COPY ({query}) TO '/dev/fd/{descriptor}' "
                    "(FORMAT csv, HEADER false, FORCE_QUOTE (c0), USE_TMP_FILE false)",
                    parameters,
                )
        finally:
            os.close(descriptor)

    return write


def _row_writer(rows: Callable[[], Iterable[list[Any]]], width: int) -> Callable[[int], None]:
    def write(descriptor: int) -> None:
        with open(descriptor, "w", encoding="utf-8", newline="") as out:
            writer = csv.writer(out, quoting=csv.QUOTE_ALL)
            writer.writerows([*row, *[""] * (width - len(row))] for row in rows())

    return write


def _read_ragged(path: str, mark: str, skip: int, header: list[str]) -> Source:
    """Rows of unequal length: nothing is dropped, and it is said where they are."""

    def rows() -> Iterator[tuple[int, list[str]]]:
        return itertools.islice(_records(path, mark, skip), 1, None)

    width, short, long = len(header), [], []
    for number, row in rows():
        if len(row) != len(header):
            (short if len(row) < len(header) else long).append(str(number))
            width = max(width, len(row))
    names, labels, notes = _columns(header, width)
    for numbers, what in ((short, "kurang dari"), (long, "lebih dari")):
        if numbers:
            notes.append(
                f"{len(numbers)} baris berisi {what} {len(header)} kolom judul: baris "
                f"{_few(numbers)}. Periksa pemisah kolom di baris itu."
            )
    return Source(names, labels, _row_writer(lambda: (row for _, row in rows()), width), notes)


def cell_text(value: Any) -> str:
    """A cell of Excel as the text that Excel shows without a number format (15 digits)."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "TRUE" if value else "FALSE"
    if isinstance(value, float):
        if value.is_integer():
            return str(int(value))
        return f"{decimal.Decimal(format(value, '.15g')):f}"
    if isinstance(value, dt.datetime) and value.time() == dt.time():
        return value.date().isoformat()
    if isinstance(value, dt.date | dt.time):
        return value.isoformat(" ") if isinstance(value, dt.datetime) else value.isoformat()
    return str(value).replace("\0", "").strip()


def read_excel(path: str) -> Source:
    """The first sheet with content of an XLSX or XLS file.

    Raises:
        Rejected: no content, header only, too wide, a password, damaged, too large unpacked.
    """
    with contextlib.suppress(zipfile.BadZipFile), zipfile.ZipFile(path) as archive:
        if sum(entry.file_size for entry in archive.infolist()) > MAX_UNPACKED:
            raise Rejected(
                "Isi berkas Excel terlalu besar untuk dimuat. Simpan lembarnya sebagai "
                "“CSV UTF-8”, lalu unggah kembali."
            )
    try:
        book = python_calamine.load_workbook(path)
        sheets = [
            book.get_sheet_by_name(sheet.name)
            for sheet in book.sheets_metadata
            if sheet.typ == python_calamine.SheetTypeEnum.WorkSheet
        ]
    except python_calamine.PasswordError:
        raise Rejected(
            "Berkas Excel dilindungi kata sandi. Hapus kata sandinya, lalu unggah kembali."
        ) from None
    except (python_calamine.CalamineError, OSError, ValueError) as error:
        raise Rejected(
            "Berkas Excel rusak atau bukan format yang dikenal. Buka di Excel, simpan ulang "
            "sebagai .xlsx, lalu unggah kembali."
        ) from error
    filled = [sheet for sheet in sheets if sheet.height]
    if not filled:
        raise Rejected("Semua lembar kosong. Isi datanya, lalu unggah kembali.")
    sheet = filled[0]

    def rows() -> Iterator[list[str]]:
        for row in sheet.iter_rows():
            if any(row):
                yield [cell_text(cell) for cell in row]

    header, *data = itertools.islice(rows(), 2)
    if not data:
        raise Rejected(HEADER_ONLY)
    names, labels, notes = _columns(header, len(header))
    if len(filled) > 1:
        others = _few([f"“{other.name}”" for other in filled[1:]])
        notes.insert(0, f"Yang dimuat lembar “{sheet.name}”; lembar lain tidak: {others}.")
    write = _row_writer(lambda: itertools.islice(rows(), 1, None), len(header))
    return Source(names, labels, write, notes)


@contextlib.contextmanager
def read(path: str, extension: str) -> Iterator[Source]:
    """A file as a table, while the context lasts.

    Args:
        path: of the file.
        extension: one of `EXTENSIONS`.

    Raises:
        Rejected: it can't become a table.
    """
    if extension in ("xlsx", "xls"):
        yield read_excel(path)
        return
    name = encoding(path)
    if name == "utf-8-sig":
        yield read_csv(path, extension)
        return
    with tempfile.NamedTemporaryFile("w", encoding="utf-8", newline="", suffix=".csv") as copy:
        with open(path, encoding=name, newline="", errors="replace") as text:
            while block := text.read(files.CHUNK):
                copy.write(block)
        copy.flush()
        yield read_csv(copy.name, extension)


# Writing


def column_type(resource_id: str, name: str) -> str:
    """PostgreSQL type of a column: the one place that decides it.

    Text, until the variables of a dataset declare types: a code such as 001 stays what it is.
    """
    return "text"


def _fill(connection: Any, table: str, resource_id: str, source: Source) -> int:
    """Make the hidden table: rows, full text, indexes. Commits; returns the number of rows."""
    q = datastore.identifier
    fields = [{"id": name, "type": column_type(resource_id, name)} for name in source.names]
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
        for name, label in zip(source.names, source.labels, strict=True):
            if label and label != name:
                info = json.dumps({"_info": {"label": label}}, ensure_ascii=False)
                run(
                    f"COMMENT ON COLUMN {q(table)}.{q(name)} IS "
                    + datastore.literal_string(" " + info)
                )
        # Staged, since filling _full_text by UPDATE would leave every row twice.
        run(
            f"CREATE TEMP TABLE muat ({', '.join(f'{c} text' for c in stage)}) ON COMMIT DROP;"
            "SET LOCAL synchronize_seqscans = off; SET LOCAL maintenance_work_mem = '128MB'"
        )
        _copy(cursor, source)
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


def _copy(cursor: Any, source: Source) -> None:
    """The rows of the source into the staging table, through a pipe."""
    reader, writer = os.pipe()
    failed: list[BaseException] = []

    def produce() -> None:
        try:
            source.write(writer)
        except BaseException as error:  # told in the thread that asked
            failed.append(error)

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


def _swap(connection: Any, table: str, resource_id: str, source: Source, rows: int) -> None:
    """Put the hidden table in the place of the resource's, in one transaction."""
    q = datastore.identifier
    fields = [{"id": name, "type": column_type(resource_id, name)} for name in source.names]
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

#: Uploaded tables and their bytes, beside what is loaded of them.
_WANTED = f"""
    SELECT r.id, r.package_id, r.url, f.sha256, t.sha256 AS loaded, t.state, t.message, t.updated
    FROM resource r JOIN satudata_file f ON f.resource_id = r.id
    LEFT JOIN satudata_table t ON t.resource_id = r.id
    WHERE r.state = 'active' AND r.url_type = 'upload'
      AND lower(substring(r.url from '[.]([^.]*)$')) IN {EXTENSIONS}"""
#: Rows of satudata_table that no such resource stands behind any more.
_ORPHANS = f"""
    SELECT t.resource_id FROM satudata_table t LEFT JOIN resource r ON r.id = t.resource_id
    WHERE t.resource_id NOT IN (SELECT id FROM ({_WANTED}) w)"""

WAITING = "Antrean pekerjaan tidak dapat dihubungi; pemuatan dicoba lagi secara otomatis."
BUSY = "DataStore belum dapat dihubungi atau sedang sibuk; pemuatan dicoba lagi secara otomatis."
BROKEN = (
    "Tabel gagal dimuat karena kesalahan portal, bukan karena datanya. Hubungi pengelola portal; "
    "rinciannya ada di log pekerjaan."
)


def _query(query: str, **parameters: Any) -> list[Any]:
    # Not the session: what counts is what is committed.
    with model.ensure_engine().connect() as connection:
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
    """Ids of the dataset's table resources that wait for their load or are in it."""
    return [
        row.id
        for row in _query(_WANTED + " AND r.package_id = :id", id=package_id)
        if row.loaded != row.sha256 or row.state in ("antre", "memuat")
    ]


def failures(package_id: str) -> dict[str, str]:
    """Message per table resource of the dataset whose load failed."""
    return {
        row.id: row.message
        for row in _query(_WANTED + " AND r.package_id = :id", id=package_id)
        if row.loaded == row.sha256 and row.state == "gagal"
    }


def sync(package_id: str) -> list[str]:
    """Enqueue what of a dataset is to be loaded or dropped. Cheap and idempotent.

    Call it after the commit of anything that may have changed its resources or their files.

    Returns:
        ids of the resources that were enqueued.
    """
    return [
        row.id
        for row in _query(_WANTED + " AND r.package_id = :id", id=package_id)
        if row.loaded != row.sha256 and enqueue(row.id)
    ] + [
        row.resource_id
        for row in _query(_ORPHANS + " AND r.package_id = :id", id=package_id)
        if enqueue(row.resource_id)
    ]


def enqueue(resource_id: str, again: bool = False) -> bool:
    """Queue the load of one resource, or the removal of its table when it has no more file.

    Args:
        resource_id: of a committed resource.
        again: also when the same bytes wait already.

    Returns:
        False when that load waits or is done.
    """
    with model.ensure_engine().begin() as connection:
        fresh = connection.execute(
            sa.text(
                f"""INSERT INTO satudata_table AS t (resource_id, sha256, state)
                SELECT id, sha256, 'antre' FROM ({_WANTED} AND r.id = :id) w
                ON CONFLICT (resource_id) DO UPDATE SET sha256 = excluded.sha256, state = 'antre',
                  message = NULL, rows = NULL, columns = NULL, updated = now()
                WHERE :again OR t.sha256 <> excluded.sha256"""
            ),
            {"id": resource_id, "again": again},
        ).rowcount
        orphan = connection.execute(
            sa.text(_ORPHANS + " AND t.resource_id = :id"), {"id": resource_id}
        ).first()
    if not fresh and not orphan:
        return False
    try:
        tk.enqueue_job(load, [resource_id], title=f"Memuat tabel {resource_id}")
    except redis.exceptions.RedisError:
        log.exception("Redis is not there: load of %s waits for reconcile", resource_id)
        _mark(resource_id, "antre", message=WAITING)
    return True


def requeue_stuck(minutes: int = 10) -> int:
    """Enqueue again what was lost: Redis or DataStore down, a worker killed, a crash.

    Args:
        minutes: how long a load may wait before it counts as lost; one that runs has
            ``ckan.jobs.timeout``.

    Returns:
        how many loads were enqueued.
    """
    rows = _query(
        f"""SELECT id FROM ({_WANTED}) w WHERE loaded IS DISTINCT FROM sha256
          OR state = 'antre' AND updated < now() - make_interval(mins => :minutes)
          OR state = 'memuat' AND updated < now() - make_interval(secs => :timeout)
        UNION {_ORPHANS}""",
        minutes=minutes,
        timeout=tk.config["ckan.jobs.timeout"],
    )
    return sum(enqueue(row.id, again=True) for row in rows)


def _mark(resource_id: str, state: str, sha256: str | None = None, **values: Any) -> None:
    """Set the state of a load; only of these bytes, when they are given."""
    where = [Table.resource_id == resource_id]
    if sha256:
        where.append(Table.sha256 == sha256)
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
            elif (rows[0].loaded, rows[0].state) != (rows[0].sha256, "termuat"):
                _load(connection, resource_id, rows[0])
    except _Busy as error:
        log.warning("Load of %s is tried again later: %s", resource_id, error)
        _mark(resource_id, "antre", message=BUSY)


def _load(connection: Any, resource_id: str, row: Any) -> None:
    # A load called without enqueue has no row yet.
    with model.ensure_engine().begin() as main:
        main.execute(
            sa.text(
                """INSERT INTO satudata_table (resource_id, sha256, state) VALUES (:id, :sha256,
                'memuat') ON CONFLICT (resource_id) DO UPDATE SET sha256 = excluded.sha256,
                state = 'memuat', message = NULL, updated = now()"""
            ),
            {"id": resource_id, "sha256": row.sha256},
        )
    # Hidden from the DataStore's list of tables by its first character.
    table = "_muat_" + hashlib.md5(resource_id.encode(), usedforsecurity=False).hexdigest()
    try:
        with (
            files.local_copy(row.sha256) as path,
            read(path, files.extension(row.url)) as source,
        ):
            count = _fill(connection, table, resource_id, source)
            _swap(connection, table, resource_id, source, count)
    except _Busy:
        raise
    except (psycopg2.OperationalError, psycopg2.InterfaceError):
        raise  # the connection: see _datastore
    except Exception as error:
        # The end of the job: whatever it is, nobody may wait for ever.
        connection.rollback()
        if isinstance(error, Rejected):
            log.info("Resource %s is no table: %s", resource_id, error)
        else:
            log.exception("Load of resource %s failed", resource_id)
        # What stands there is of other bytes.
        _drop(connection, resource_id, keep_state=True)
        message = str(error) if isinstance(error, Rejected) else BROKEN
        _mark(resource_id, "gagal", row.sha256, message=message)
        return
    message = " ".join(source.notes) or None
    log.info("Loaded %s rows of resource %s", count, resource_id)
    _show(resource_id, True)
    _mark(
        resource_id,
        "termuat",
        row.sha256,
        message=message,
        rows=count,
        columns=len(source.names),
    )
    _views(resource_id)


def _drop(connection: Any, resource_id: str, keep_state: bool = False) -> None:
    """Remove a resource's table."""
    with connection.cursor() as cursor:
        cursor.execute(f"DROP TABLE IF EXISTS {datastore.identifier(resource_id)} CASCADE")
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
    logic.index_update_package(_context(), row.package_id)


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
