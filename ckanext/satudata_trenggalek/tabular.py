"""Reads uploaded tables: a file of any dialect -> names, labels and a DuckDB query of its text.

What can't be read says why (`Rejected`).
"""

from __future__ import annotations

import codecs
import contextlib
import csv
import itertools
import logging
import re
import tempfile
import unicodedata
from collections.abc import Container, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import duckdb
import python_calamine

from . import files, filetext, search_files
from .filetext import Rejected as Rejected
from .findings import N_, Finding, Tally, Told, few, shown_name

log = logging.getLogger(__name__)

EXTENSIONS = ("csv", "tsv", "xlsx", "xls")
DELIMITERS = ",;\t|"
#: PostgreSQL holds 1,600 columns, fewer when they are wide.
MAX_COLUMNS = 500
#: PostgreSQL cuts longer names, in bytes.
MAX_NAME = 63
#: Longest row of a CSV, in bytes (a village's boundary as text has about 1 MB).
MAX_ROW = 1 << 24
#: Longer rows are rare, and reading them takes much more memory (see `_duck_query`).
USUAL_ROW = 1 << 21
#: For DuckDB. Beside it a load needs little: rows pass through a pipe.
MEMORY = "192MB"
#: Names that PostgreSQL keeps for itself.
_SYSTEM_NAMES = frozenset({"tableoid", "xmin", "cmin", "xmax", "cmax", "ctid"})


HEADER_ONLY = N_(
    "Berkas hanya berisi baris judul kolom, tanpa data. Isi datanya, lalu unggah kembali."
)


@dataclass
class Source:
    """A file as a table of text."""

    names: list[str]
    #: Header cell of each column as it stands in the file.
    labels: list[str]
    #: Keeps within `MEMORY`; one for all that is asked, since to start it takes 20 ms.
    duck: duckdb.DuckDBPyConnection
    #: Gives columns c0, c1, ... as text, empty cells as NULL, rows in the order of the file.
    query: str
    parameters: dict[str, Any]
    notes: list[Told] = field(default_factory=list)
    #: What was seen while reading; the rest is seen by `findings.examine`.
    findings: list[Finding] = field(default_factory=list)

    @property
    def table(self) -> str:
        """The rows, for FROM."""
        return f"({self.query})"

    def execute(self, query: str) -> duckdb.DuckDBPyConnection:
        """Runs a query on `table`."""
        return self.duck.execute(query, self.parameters)


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


def is_title(named: int, filled: int, width: int) -> bool:
    """Whether a first row seems to be a title: few cells have text, more of the next row.

    Args:
        named: cells of the first row that are not blank.
        filled: likewise of the next row.
        width: number of columns.
    """
    return width > 1 and named <= max(1, width // 3) and filled > named


def _columns(header: list[Any], width: int) -> tuple[list[str], list[str], list[Told]]:
    """Names, labels and notes for a header row and the widest row."""
    if width > MAX_COLUMNS:
        raise Rejected(
            N_(
                "Tabel memiliki {width} kolom, melebihi batas {most}. Susun ulang menjadi tabel"
                " panjang (misalnya satu kolom tahun dan satu kolom nilai), lalu unggah kembali."
            ),
            width=width,
            most=MAX_COLUMNS,
        )
    labels = ["" if cell is None else str(cell).strip() for cell in header]
    labels += [""] * (width - len(labels))
    names, notes = column_names(labels), list[Told]()
    renamed = [
        f"“{shown_name(old, number)}” → “{shown_name(new, number)}”"
        for number, (old, new) in enumerate(zip(labels, names, strict=True), 1)
        if old != new
    ]
    if renamed:
        notes.append((N_("Nama kolom disesuaikan: {names}."), {"names": few(renamed)}))
    return names, labels, notes


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
                N_(
                    "Baris {line} tidak dapat dibaca sebagai CSV: tanda kutip dibuka tanpa"
                    " ditutup, atau ada teks setelah kutip penutup. Perbaiki tanda kutipnya (kutip"
                    " di dalam isian ditulis ganda), lalu unggah kembali."
                ),
                line=line + skip + 1,
            ) from error


def _delimiter(sample: str, extension: str) -> str:
    return "\t" if extension == "tsv" and "\t" in sample else delimiter(sample)


def _start(path: str, extension: str) -> tuple[str, str, int]:
    """Delimiter of a UTF-8 CSV, its beginning, and how many lines of it are no rows."""
    with open(path, encoding="utf-8-sig", newline="", errors="ignore") as text:
        sample = text.read(files.SAMPLE)
    # Excel's own line that names the delimiter.
    told = re.match(r"sep=(.)\r?\n", sample)
    mark = told[1] if told else _delimiter(sample, extension)
    return mark, sample[told.end() if told else 0 :], 1 if told else 0


def read_csv(path: str, extension: str, folder: str, duck: duckdb.DuckDBPyConnection) -> Source:
    """A CSV or TSV file in UTF-8.

    Args:
        path: of the file.
        extension: "csv" or "tsv", a hint.
        folder: where a copy may be written.
        duck: reads it.

    Raises:
        Rejected: empty, header only, too wide, broken quotes.
    """
    mark, sample, skip = _start(path, extension)
    records = (row for _, row in _records(path, mark, skip))
    header, first = next(records, []), next(records, None)
    if first is None:
        raise Rejected(HEADER_ONLY)
    if len(header) > MAX_COLUMNS:
        _columns(header, len(header))
    problem = None
    for longest in (USUAL_ROW, MAX_ROW):
        query, parameters = _duck_query(
            path, len(header), mark, True, skip + _blank_lines(sample), longest
        )
        problem = _duck_refuses(duck, query, parameters, first)
        if problem is None:
            names, labels, notes = _columns(header, len(header))
            return Source(names, labels, duck, query, parameters, notes)
    log.info("DuckDB refuses %s, reading it row by row: %s", path, problem)
    return _read_ragged(path, mark, skip, header, folder, duck)


def _blank_lines(text: str) -> int:
    blank = re.match(r"[\r\n]*", text)
    return len(re.findall(r"\r\n|\r|\n", blank[0])) if blank else 0


def _duck_query(
    path: str,
    width: int,
    mark: str = ",",
    header: bool = False,
    skip: int = 0,
    longest: int = MAX_ROW,
) -> tuple[str, dict[str, Any]]:
    columns = ", ".join(f"c{i}: 'VARCHAR'" for i in range(width))
    return (
        f"SELECT * FROM read_csv($path, columns={{{columns}}}, auto_detect=false, header={header}, "
        f"skip={skip}, delim=$mark, quote='\"', escape='\"', strict_mode=true, "
        # Several are read at once; its own choice, sixteen of the longest rows, is more than all
        # the memory that it may take.
        f"null_padding=false, max_line_size={longest}, buffer_size={2 * longest})",
        {"path": path, "mark": mark},
    )


def _duck_refuses(
    duck: duckdb.DuckDBPyConnection, query: str, parameters: dict[str, Any], first: list[str]
) -> str | None:
    """Why DuckDB can't read the whole file this way; None when it can.

    Args:
        duck: reads it.
        query: see `_duck_query`.
        parameters: of the query.
        first: the first row after the header, as Python reads it.
    """
    try:
        row = duck.execute(query + " LIMIT 1", parameters).fetchone()
        if row is None or [cell or "" for cell in row] != first:
            return "other first row"
        duck.execute(f"SELECT count(COLUMNS(*)) FROM ({query})", parameters)
    except duckdb.Error as error:
        # Its message quotes the file, which may hold personal data.
        return type(error).__name__
    return None


def _copy(folder: str, rows: Iterable[list[str]], width: int) -> tuple[str, dict[str, Any]]:
    """The query of a CSV, plain enough for DuckDB, that is written into the folder."""
    path = f"{folder}/bersih.csv"
    with open(path, "w", encoding="utf-8", newline="") as out:
        writer = csv.writer(out, quoting=csv.QUOTE_ALL, lineterminator="\n")
        writer.writerows([*row, *[""] * (width - len(row))] for row in rows)
    return _duck_query(path, width)


def _read_ragged(
    path: str,
    mark: str,
    skip: int,
    header: list[str],
    folder: str,
    duck: duckdb.DuckDBPyConnection,
) -> Source:
    """Rows of unequal length: nothing is dropped, and it is said where they are."""

    def rows() -> Iterator[tuple[int, list[str]]]:
        return itertools.islice(_records(path, mark, skip), 1, None)

    width, short, long = len(header), [], []
    for number, row in rows():
        if len(row) != len(header):
            (short if len(row) < len(header) else long).append(str(number))
            width = max(width, len(row))
    names, labels, notes = _columns(header, width)
    for numbers, text in (
        (
            short,
            N_(
                "{n} baris berisi kurang dari {columns} kolom judul: baris {rows}. Periksa pemisah"
                " kolom di baris itu."
            ),
        ),
        (
            long,
            N_(
                "{n} baris berisi lebih dari {columns} kolom judul: baris {rows}. Periksa pemisah"
                " kolom di baris itu."
            ),
        ),
    ):
        if numbers:
            values = {"n": len(numbers), "columns": len(header), "rows": few(numbers)}
            notes.append((text, values))
    return Source(names, labels, duck, *_copy(folder, (row for _, row in rows()), width), notes)


def read_excel(
    path: str, commas: Container[str], folder: str, duck: duckdb.DuckDBPyConnection
) -> Source:
    """The first sheet with content of an XLSX or XLS file.

    Args:
        path: of the file.
        commas: names of columns whose numbers are written with a decimal comma.
        folder: where a copy may be written.
        duck: reads that.

    Raises:
        Rejected: no content, header only, too wide, a password, damaged, too large unpacked.
    """
    filled = list(filetext.sheets(path))
    if not filled:
        raise Rejected(N_("Semua lembar kosong. Isi datanya, lalu unggah kembali."))
    sheet, _hidden = filled[0]
    (top, header), *data = itertools.islice(filetext.filled(sheet), 2)
    if not data:
        raise Rejected(HEADER_ONLY)
    names, labels, notes = _columns([filetext.cell_text(cell) for cell in header], len(header))
    if len(filled) > 1:
        others = [f"“{shown_name(s.name, n)}”" for n, (s, _) in enumerate(filled[1:], 2)]
        text = N_("Yang dimuat lembar “{sheet}”; lembar lain tidak: {others}.")
        notes.insert(0, (text, {"sheet": shown_name(sheet.name, 1), "others": few(others)}))
    comma = [name in commas for name in names]
    rows = (
        [filetext.cell_text(cell, c) for cell, c in zip(row, comma, strict=True)]
        for _, row in itertools.islice(filetext.filled(sheet), 1, None)
    )
    source = Source(names, labels, duck, *_copy(folder, rows, len(names)), notes)
    source.findings = [
        *_merged(sheet, top),
        *search_files.beside(path, filled[1:]),
    ]
    return source


def _merged(sheet: python_calamine.CalamineSheet, top: int) -> Iterator[Finding]:
    """Merged cells, in the header (row `top`, as Excel counts) and below it."""
    header, below = Tally(), Tally()
    for (first, _left), (last, _right) in sheet.merged_cell_ranges or ():
        (header if first < top <= last + 1 else below).add(first + 1)
    for tally, blocking in ((header, True), (below, False)):
        if tally.count:
            yield tally.finding("sel_gabung", blocking=blocking)


def _duck(spill: str) -> duckdb.DuckDBPyConnection:
    return duckdb.connect(config={"memory_limit": MEMORY, "threads": 2, "temp_directory": spill})


@contextlib.contextmanager
def read(path: str, extension: str, commas: Container[str] = ()) -> Iterator[Source]:
    """A file as a table, while the context lasts.

    Args:
        path: of the file.
        extension: one of `EXTENSIONS`.
        commas: names of columns in which a number of Excel is written with a decimal comma.

    Raises:
        Rejected: it can't become a table.
    """
    with tempfile.TemporaryDirectory() as folder, _duck(folder) as duck:
        if extension in ("xlsx", "xls"):
            yield read_excel(path, commas, folder, duck)
            return
        name = filetext.encoding(path)
        if name == "utf-8-sig":
            yield read_csv(path, extension, folder, duck)
            return
        recoded = f"{folder}/utf8.csv"
        with (
            open(path, encoding=name, newline="", errors="replace") as text,
            open(recoded, "w", encoding="utf-8", newline="") as copy,
        ):
            while block := text.read(files.CHUNK):
                copy.write(block)
        yield read_csv(recoded, extension, folder, duck)


def sample(path: str, extension: str, size: int, most: int) -> tuple[list[Any], list[list[Any]]]:
    """The header and the first rows of a file, quickly: text of a CSV, cells of an Excel file.

    Args:
        path: of the file.
        extension: one of `EXTENSIONS`.
        size: how much of a CSV is read, in bytes.
        most: how many cells are given, at least 50 rows.

    Raises:
        Rejected: nothing in it, or not to be opened.
    """
    if extension in ("xlsx", "xls"):
        sheet = next(filetext.sheets(path), None)
        rows = (row for _, row in filetext.filled(sheet[0])) if sheet else iter(())
    else:
        with open(path, "rb") as stream:
            head = stream.read(size)
        text = _decoded(head)
        told = re.match(r"sep=(.)\r?\n", text)
        text = text[told.end() :] if told else text
        lines = text.splitlines(keepends=True)
        # The last line may be cut.
        lines = lines[:-1] if len(head) == size and len(lines) > 1 else lines
        csv.field_size_limit(MAX_ROW)
        mark = told[1] if told else _delimiter(text[: files.SAMPLE], extension)
        rows = (row for row in csv.reader(lines, delimiter=mark) if row)
    header = next(rows, None)
    if header is None:
        raise Rejected(N_("Berkas kosong. Isi datanya, lalu unggah kembali."))
    return header, list(itertools.islice(rows, max(50, most // len(header))))


def _decoded(head: bytes) -> str:
    """The beginning of a text file, which may end within a character."""
    if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return head.decode("utf-16", "ignore")
    try:
        return codecs.getincrementaldecoder("utf-8-sig")().decode(head)
    except UnicodeDecodeError:
        return head.decode("cp1252", "replace")
