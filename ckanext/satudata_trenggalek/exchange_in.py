"""The way back of exchange.py: a workbook or CSV that people edited becomes a plan of changes.

`read` turns bytes into rows of text and says what is wrong with the file, `plan` compares them with
what the portal has. Nothing is written here but by `apply`, one dataset in one transaction.
"""

from __future__ import annotations

import bisect
import codecs
import csv
import difflib
import functools
import io
import itertools
import re
import xml.parsers.expat
import zipfile
import zlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, NoReturn

import ckan.plugins.toolkit as tk
import python_calamine

from ckanext.satudata_trenggalek import exchange, filetext, gate, schema, tabular
from ckanext.satudata_trenggalek.exchange import BERKAS, GUIDE, Column, Sheet, fold
from ckanext.satudata_trenggalek.schema import Field
from ckanext.satudata_trenggalek.workflow import service

#: Largest file in bytes. The metadata of 300 datasets with 60 variables each take 2 MB.
MAX_BYTES = 10_000_000
#: What a workbook may unpack to, in bytes.
MAX_UNPACKED = 100_000_000
#: Rows and columns of a sheet. calamine holds the whole rectangle up to the last filled cell.
MAX_ROWS, MAX_COLUMNS = 50_000, 150
#: Datasets and kegiatan of a file; each is asked for.
MAX_PACKAGES = 600


class Unreadable(Exception):
    """A file that is no table of ours; the message says why, and the remedy."""


@dataclass(frozen=True)
class Problem:
    """What is wrong, and where.

    Attributes:
        message: what, with the remedy.
        sheet: name of the sheet; "" for the file.
        row: number as the spreadsheet counts them; 0 for no row.
        column: as `exchange.place` writes it; "" for the whole row.
        target: id of the one dataset that can't be changed for it; "" where nothing can.
    """

    message: str
    sheet: str = ""
    row: int = 0
    column: str = ""
    target: str = ""


@dataclass
class Line:
    """A row of a sheet: its number, and the text under each column that we know."""

    number: int
    cells: dict[str, str]


@dataclass
class Grid:
    """A sheet as it was sent."""

    sheet: Sheet
    #: Column name -> index.
    columns: dict[str, int]
    lines: list[Line]


@dataclass
class Upload:
    """A file that was read."""

    grids: list[Grid] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    #: What was left aside, in sentences.
    notes: list[str] = field(default_factory=list)


# --- Reading -------------------------------------------------------------------------------------

Raw = list[list[str]]


def _damaged(*_: object) -> NoReturn:
    raise Unreadable(tk._("Berkas Excel ini rusak. Buka di Excel, simpan ulang sebagai .xlsx."))


def _no_table() -> Unreadable:
    return Unreadable(
        tk._(
            "Berkas ini bukan .xlsx atau CSV. Buka di Excel atau LibreOffice, simpan sebagai .xlsx"
            " tanpa kata sandi, lalu unggah kembali."
        )
    )


def _too_long() -> Unreadable:
    message = tk._("Lembarnya lebih dari {n} baris. Bagi menjadi beberapa berkas.")
    return Unreadable(message.format(n=MAX_ROWS))


def _too_wide() -> Unreadable:
    message = tk._("Ada isi di kanan kolom ke-{n}. Hapus kolom yang tidak dipakai.")
    return Unreadable(message.format(n=MAX_COLUMNS))


class _Extent:
    """How far the filled cells of a worksheet reach.

    calamine reserves the whole rectangle before it reads: one cell at XFD1048576 would end the
    process. So the XML is looked through first.
    """

    def __init__(self) -> None:
        self.row = self.column = 0
        self.inside = False

    def start(self, name: str, attributes: dict[str, str]) -> None:
        tag, at = name.rpartition(":")[2], attributes.get("r")
        if tag == "row":
            self.row = int(at) if at else self.row + 1
            self.column = 0
        elif tag == "c":
            self.inside = True
            self.column += 1
            if at:
                match = re.fullmatch("([A-Z]{1,3})([0-9]{1,7})", at)
                if not match:
                    _damaged()
                self.row = int(match[2])
                self.column = functools.reduce(lambda n, c: n * 26 + ord(c) - 64, match[1], 0)
        elif self.inside:  # formatted only is not filled
            if self.row > MAX_ROWS + 1:  # the header is a row too
                raise _too_long()
            if self.column > MAX_COLUMNS:
                raise _too_wide()

    def end(self, name: str) -> None:
        if name.rpartition(":")[2] == "c":
            self.inside = False


def _look_through(archive: zipfile.ZipFile) -> None:
    """Refuse a workbook that would take too much memory to open.

    Raises:
        Unreadable: too large, damaged, or with parts that can't be judged.
    """
    if sum(entry.file_size for entry in archive.infolist()) > MAX_UNPACKED:
        raise Unreadable(tk._("Isi berkas Excel terlalu besar. Bagi menjadi beberapa berkas."))
    for entry in archive.infolist():
        # Read to its end, which also checks that the size that it tells is true.
        content = archive.read(entry)
        # As calamine reads it, whatever the part says that it is.
        parser = xml.parsers.expat.ParserCreate("UTF-8")
        extent = _Extent()
        parser.StartElementHandler, parser.EndElementHandler = extent.start, extent.end
        parser.StartDoctypeDeclHandler = _damaged
        try:
            parser.Parse(content, True)
        except (xml.parsers.expat.ExpatError, ValueError):
            if b"sheetData" in content.replace(b"\0", b""):
                _damaged()


def _workbook(content: bytes) -> Iterator[tuple[str, Raw, list[Any]]]:
    """Name, rows and merged ranges of each worksheet."""
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            names = {name.lower() for name in archive.namelist()}
            if "xl/workbook.xml" not in names or "xl/workbook.bin" in names:
                raise _no_table()
            _look_through(archive)
        book = python_calamine.load_workbook(io.BytesIO(content))
        for meta in book.sheets_metadata:
            if meta.typ == python_calamine.SheetTypeEnum.WorkSheet:
                page = book.get_sheet_by_name(meta.name)
                rows = page.to_python(skip_empty_area=False)
                yield (
                    meta.name,
                    [[_text(c) for c in r] for r in rows],
                    page.merged_cell_ranges or [],
                )
    except (
        zipfile.BadZipFile, zipfile.LargeZipFile, zlib.error, python_calamine.CalamineError,
        EOFError, NotImplementedError, OSError, RuntimeError, ValueError,
    ):  # fmt: skip
        _damaged()


def _text(value: Any) -> str:
    """A cell as text: what Excel shows without a number format, dates as 2027-01-31."""
    text = value if isinstance(value, str) else filetext.cell_text(value)
    return re.sub("\r\n?", "\n", text).strip()


def _csv(content: bytes) -> Raw:
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        encodings = ("utf-16",)
    else:
        encodings = ("utf-8-sig", "cp1252", "latin-1")
    for encoding in encodings:
        try:
            text = content.decode(encoding)
            break
        except UnicodeDecodeError:
            continue
    else:
        raise _no_table()
    if "\0" in text:
        raise _no_table()
    told = re.match(r"sep=(.)\r?\n", text)  # Excel's own line that names the delimiter
    text = text[told.end() :] if told else text
    mark = told[1] if told else tabular.delimiter(text[:100_000])
    rows: Raw = []
    try:
        for row in csv.reader(io.StringIO(text, newline=""), delimiter=mark, strict=True):
            if len(row) > MAX_COLUMNS and any(row[MAX_COLUMNS:]):
                raise _too_wide()
            rows.append([exchange.unguarded(_text(cell)) for cell in row])
            if len(rows) > MAX_ROWS + 1:
                raise _too_long()
    except csv.Error:
        message = tk._(
            "Baris {n} tidak dapat dibaca sebagai CSV: tanda kutip dibuka tanpa ditutup, atau"
            " isinya terlalu panjang. Perbaiki, atau unggah sebagai .xlsx."
        )
        raise Unreadable(message.format(n=len(rows) + 1)) from None
    return rows


def _known(sheet: Sheet) -> dict[str, str]:
    """Folded header -> column name: the header itself, and what of it is clear alone."""
    by_text: dict[str, set[str]] = {}
    for column in sheet.columns:
        label = column.field["label"] if column.field else {}
        for text in (*label.values(), column.name):
            by_text.setdefault(fold(text), set()).add(column.name)
    known = {text: names.pop() for text, names in by_text.items() if len(names) == 1}
    return known | {fold(column.header): column.name for column in sheet.columns}


def _guess(header: list[str], filename: str) -> Sheet | None:
    """The sheet of a table that does not say it: by the file's name, then by its header."""
    texts = {fold(text) for text in header if text}
    scores = {
        s: len(texts & {fold(c.header) for c in s.columns}) + 0.5 * (fold(s.name) in fold(filename))
        for s in exchange.sheets()
    }
    best = max(scores, key=lambda s: scores[s])
    return best if scores[best] >= 2 else None


def _first(raw: Raw) -> int:
    """Index of the first row with content; the number of rows when there is none."""
    return next((n for n, row in enumerate(raw) if any(row)), len(raw))


def _grid(sheet: Sheet, raw: Raw, found: Upload) -> None:
    """Add a sheet to what was read, or say what is wrong with its header."""
    at, known = _first(raw), _known(sheet)
    if at == len(raw):
        return

    def hits(row: list[str]) -> int:
        return sum(fold(text) in known for text in row if text)

    if hits(raw[at]) < 2:
        better = next((n for n in range(at + 1, min(len(raw), at + 20)) if hits(raw[n]) >= 2), None)
        if better is None:
            message = tk._(
                "Baris pertama bukan judul kolom. Unduh dahulu lembarnya dari portal, lalu isi di"
                " bawah judul kolomnya."
            )
        else:
            message = tk._("Judul kolom baru ada di baris {n}. Hapus semua baris di atasnya.")
            message = message.format(n=better + 1)
        found.problems.append(Problem(message, sheet.name, at + 1))
        return
    columns: dict[str, int] = {}
    for index, text in enumerate(raw[at]):
        name = known.get(fold(text)) if text else None
        where = exchange.letter(index)
        if name is None:
            if text or any(len(row) > index and row[index] for row in raw[at + 1 :]):
                found.problems.append(
                    Problem(_unknown_column(sheet, text), sheet.name, at + 1, where)
                )
        elif name in columns:
            message = tk._("Judul kolom “{header}” ada dua kali. Hapus salah satunya.")
            found.problems.append(Problem(message.format(header=text), sheet.name, at + 1, where))
        else:
            columns[name] = index
    missing = [c for c in sheet.columns if c.name not in columns and c.name in _must(sheet)]
    for column in missing:
        message = tk._(
            "Kolom “{header}” tidak ada, jadi portal tidak tahu milik siapa barisnya."
            " Unduh lagi lembarnya, lalu salin kolom itu."
        )
        found.problems.append(Problem(message.format(header=column.header), sheet.name, at + 1))
    absent = [
        c.header for c in sheet.columns
        if c.field and c.name not in columns and c.field.get("jenis") != "berulang"
        and c not in missing
    ]  # fmt: skip
    if absent:
        message = tk._("Lembar {sheet} tanpa kolom {headers}: isinya dibiarkan apa adanya.")
        found.notes.append(message.format(sheet=sheet.name, headers=_few(absent)))
    if missing:
        return
    contents = {name for name in columns if not name.startswith("@")}
    lines = []
    for number, row in enumerate(raw[at + 1 :], at + 2):
        cells = {name: row[index] for name, index in columns.items() if index < len(row)}
        if any(cells.get(name) for name in contents):
            lines.append(Line(number, cells))
    found.grids.append(Grid(sheet, columns, lines))


def _must(sheet: Sheet) -> set[str]:
    """Columns without which rows can't be matched."""
    return {c.name for c in sheet.columns if c.name in (sheet.key, BERKAS)} | _naming(sheet)


def _naming(sheet: Sheet) -> set[str]:
    """Columns by which a row of a block is known: its nama, else all."""
    names = {c.name for c in sheet.columns if c.field} if sheet.block else set()
    return {"nama"} if "nama" in names else names


def _unknown_column(sheet: Sheet, text: str) -> str:
    if not text:
        return tk._("Kolom ini berisi, tetapi tanpa judul. Tulis judulnya atau hapus kolomnya.")
    headers = [column.header for column in sheet.columns]
    near = difflib.get_close_matches(text, headers, 1)
    if near:
        message = tk._("Judul kolom “{header}” tidak dikenal. Mungkin maksudnya “{near}”.")
        return message.format(header=_short(text), near=near[0])
    message = tk._("Judul kolom “{header}” tidak dikenal. Hapus kolom itu atau betulkan judulnya.")
    return message.format(header=_short(text))


def _few(items: list[str], most: int = 4) -> str:
    rest = len(items) - most
    more = tk._(" dan {n} lainnya").format(n=rest) if rest > 0 else ""
    return ", ".join(items[:most]) + more


def _short(text: str, most: int = 60) -> str:
    text = " ".join(text.split())
    return text if len(text) <= most else f"{text[:most]}..."


def read(content: bytes, filename: str) -> Upload:
    """A file as rows of text.

    Args:
        content: of the file, at most `MAX_BYTES` (the caller reads no more).
        filename: as the sender calls it; tells the sheet of a CSV.

    Raises:
        Unreadable: no XLSX or CSV, damaged, too large, nothing of ours in it.
    """
    found = Upload()
    if len(content) > MAX_BYTES:
        message = tk._("Berkas lebih dari {n} MB. Bagi menjadi beberapa berkas.")
        raise Unreadable(message.format(n=MAX_BYTES // 1_000_000))
    if not content.strip():
        raise Unreadable(tk._("Berkas ini kosong. Pilih berkas yang Anda isi."))
    if content.startswith(b"PK\x03\x04"):
        parts = list(_workbook(content))
    elif content.startswith((b"\xd0\xcf\x11\xe0", b"%PDF", b"\x89PNG", b"\xff\xd8\xff", b"{\\rtf")):
        raise _no_table()
    else:
        parts = [("", _csv(content), [])]
    filled = [part for part in parts if _first(part[1]) < len(part[1])]
    ours = [part for part in filled if exchange.sheet(part[0])]
    others = [part for part in filled if part not in ours and fold(part[0]) != fold(GUIDE)]
    if not ours and len(others) == 1:
        # A CSV, or a workbook of one sheet that was renamed.
        _name, raw, merged = others[0]
        if guessed := _guess(raw[_first(raw)], filename):
            ours, others = [(guessed.name, raw, merged)], []
    if not ours:
        message = tk._(
            "Tidak ada lembar {names} di berkas ini. Unduh dahulu lembarnya dari halaman ini, lalu"
            " isi dan unggah kembali."
        )
        names = ", ".join(s.name for s in exchange.sheets() if "." not in s.name)
        raise Unreadable(message.format(names=names))
    for name, _raw, _merged in others:
        message = tk._("Lembar “{name}” tidak dikenal, jadi tidak dibaca.")
        found.notes.append(message.format(name=_short(name)))
    for name, group in itertools.groupby(ours, key=lambda part: fold(part[0])):
        sheet, same = exchange.sheet(name), list(group)
        assert sheet
        for _name, raw, merged in same[:1]:
            for (top, left), (bottom, right) in merged[:20]:
                area = f"{exchange.letter(left)}{top + 1}:{exchange.letter(right)}{bottom + 1}"
                message = tk._("Sel {area} digabung. Pisahkan (Unmerge Cells), lalu isi tiap sel.")
                found.problems.append(Problem(message.format(area=area), sheet.name, top + 1))
            _grid(sheet, raw, found)
        if len(same) > 1:
            message = tk._("Lembar ini ada dua kali. Hapus salah satunya.")
            found.problems.append(Problem(message, sheet.name))
    return found


# --- Cells ---------------------------------------------------------------------------------------


@functools.cache
def _choices(vocab: str) -> dict[str, str]:
    """What people may write for a choice -> its code."""
    accepted: dict[str, str] = {}
    for item in schema.vocab(vocab):
        code, label = item["value"], item["label"]
        for text in (*label.values(), *(f"{code} - {name}" for name in label.values())):
            accepted.setdefault(_loose(text), code)
    # A code wins over another's label.
    return accepted | {_loose(item["value"]): item["value"] for item in schema.vocab(vocab)}


def _loose(text: str) -> str:
    return " ".join(re.sub("[\u2010-\u2015]", "-", text).casefold().split())


def _code(vocab: str, text: str) -> str | None:
    """The code that a text stands for: code, label, or both; a number as Excel keeps it."""
    accepted, text = _choices(vocab), _loose(text)
    number = re.fullmatch(r"0*([0-9]+)(?:[.,]0+)?", text)
    return accepted.get(text) or (accepted.get(number[1]) if number else None)


def _refuse_choice(of: Field, text: str) -> NoReturn:
    known = [exchange.choice(of["vocab"], code) for code in exchange.labels(of["vocab"])]
    near = difflib.get_close_matches(text, known, 1) or [of["contoh"]["id"]]
    message = tk._("“{value}” tidak ada dalam daftar pilihan. Pilih dari daftar, misalnya {near}.")
    raise tk.Invalid(message.format(value=_short(text), near=near[0]))


def _choice(of: Field, text: str) -> str:
    return _code(of["vocab"], text) or _refuse_choice(of, text)


def _choices_of(of: Field, text: str) -> list[str]:
    """Codes of a multi-choice cell: their sum, sum and labels, or codes or labels in a row."""
    vocab = of["vocab"]
    match = re.fullmatch(r"([0-9]{1,9})(?:[.,]0+)?(?:\s*-\s*(.+))?", text, re.DOTALL)
    if not (match and exchange.summed(vocab)):
        return _listed(vocab, text) or _refuse_choice(of, text)
    total = int(match[1])
    codes = [code for code in exchange.labels(vocab) if total & int(code)]
    if (
        total
        and sum(map(int, codes)) == total
        and (not match[2] or _listed(vocab, match[2]) == codes)
    ):
        return codes
    if match[2] and (codes := _listed(vocab, text)):  # each with its code: "1 - A; 4 - B"
        return codes
    message = tk._(
        "“{value}” bukan jumlah kode dari daftar pilihan, atau tidak sama dengan sebutannya. Tulis"
        " jumlah kodenya saja, atau sebutannya dipisah titik koma."
    )
    raise tk.Invalid(message.format(value=_short(text)))


def _listed(vocab: str, text: str) -> list[str] | None:
    """Codes of texts in a row; None where one is unknown."""
    for mark in (r"[;\n]", r"[;\n,+]"):  # labels may hold commas
        parts = [part for part in re.split(mark, text) if part.strip()]
        codes = [_code(vocab, part) for part in parts]
        if codes and all(codes):
            return [code for code in exchange.labels(vocab) if code in codes]
    return None


def _date(_of: Field, text: str) -> str:
    """A date the Indonesian way, day first."""
    match = re.fullmatch("([0-9]{1,2})[/.-]([0-9]{1,2})[/.-]([0-9]{4})", text)
    return f"{match[3]}-{match[2]:0>2}-{match[1]:0>2}" if match else text


_PARSERS: dict[str, Callable[[Field, str], str | list[str]]] = {
    "pilihan": _choice,
    "pilihan_banyak": _choices_of,
    "tanggal": _date,
}


def parse(of: Field, text: str) -> str | list[str]:
    """The value of a cell, the reverse of `exchange.cell`; not yet checked by the schema.

    Raises:
        tk.Invalid: no such choice; with the remedy.
    """
    parser = _PARSERS.get(of.get("jenis", "teks"))
    return parser(of, text) if parser and text else text


# --- Planning ------------------------------------------------------------------------------------


@dataclass
class Cell:
    """A value before and after, as cells show it."""

    header: str
    old: str
    new: str


@dataclass
class Change:
    """A row that changes.

    Attributes:
        kind: ubah, tambah, hapus or pindah.
        title: name of the row.
        line: number in the sheet; 0 for what is removed.
        cells: what differs.
        moved: old and new position in the block, from 1; None where it keeps its place.
    """

    kind: str
    title: str
    line: int = 0
    cells: list[Cell] = field(default_factory=list)
    moved: tuple[int, int] | None = None


@dataclass
class Part:
    """Changes of one block."""

    sheet: Sheet
    #: The file whose variables they are; "" elsewhere.
    title: str
    changes: list[Change]
    before: int
    after: int


@dataclass
class Target:
    """A dataset or kegiatan that the file says something about.

    Attributes:
        patch: field -> value to store.
        files: resource id -> its new rows of variabel.
        blocked: why the reader can't change it; "" when they can.
        hash: content hash at the time of the preview.
    """

    package: dict[str, Any]
    parts: list[Part] = field(default_factory=list)
    patch: dict[str, Any] = field(default_factory=dict)
    files: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    problems: int = 0
    blocked: str = ""
    hash: str = ""

    @property
    def changes(self) -> Counter[str]:
        """How many rows change, by kind."""
        return Counter(change.kind for part in self.parts for change in part.changes)


#: Of type and what the key cell says, the dataset. Raises tk.Invalid with the remedy.
Find = Callable[[str, str], dict[str, Any]]


class _Planner:
    def __init__(self, upload: Upload, find: Find, defaults: dict[str, str]) -> None:
        self.upload, self.find, self.defaults = upload, find, defaults
        self.targets: dict[str, Target] = {}
        self.known: dict[tuple[str, str], dict[str, Any] | None] = {}
        self.told: set[tuple[str, int, str]] = set()

    def problem(
        self, grid: Grid, line: int, message: str, name: str = "", target: Target | None = None
    ) -> None:
        where = exchange.place(grid.sheet, name, grid.columns.get(name)) if name else ""
        if (grid.sheet.name, line, where) in self.told:
            return  # one cell, one problem
        self.told.add((grid.sheet.name, line, where))
        id_ = target.package["id"] if target else ""
        if target:
            target.problems += 1
        self.upload.problems.append(Problem(message, grid.sheet.name, line, where, id_))

    def package(self, grid: Grid, line: Line) -> dict[str, Any] | None:
        """The dataset of a row; a row of nobody stops everything, for it may be anybody's."""
        sheet = grid.sheet
        name = line.cells.get(sheet.key, "") or self.defaults.get(sheet.type, "")
        if not name:
            header = sheet.column(sheet.key).header
            message = tk._("Kolom {header} kosong. Salin dari baris lain milik dataset yang sama.")
            self.problem(grid, line.number, message.format(header=header), sheet.key)
            return None
        if (sheet.type, name) not in self.known:
            if len(self.known) == MAX_PACKAGES:
                message = tk._("Berkas ini memuat lebih dari {n} dataset. Bagi menjadi beberapa.")
                raise Unreadable(message.format(n=MAX_PACKAGES))
            try:
                self.known[sheet.type, name] = self.find(sheet.type, name)
            except tk.Invalid as error:
                self.known[sheet.type, name] = None
                self.problem(grid, line.number, error.error, sheet.key)
        return self.known[sheet.type, name]

    def block(self, grid: Grid, line: Line, target: Target) -> exchange.Block | None:
        """The block of a row: the dataset's own, or that of a file."""
        found = list(exchange.blocks(grid.sheet, target.package))
        if grid.sheet.group == "dataset_fields":
            return found[0]
        key = line.cells.get(BERKAS, "")
        if not key and len(found) == 1:
            return found[0]
        # The name alone will do where it is clear: rows copied from last year have another id.
        named = {_loose(key), _loose(key.partition(" - ")[2])}
        same = [b for b in found if _of_file(key, b)] or [
            b for b in found if _loose(b.keys[BERKAS].partition(" - ")[2]) in named
        ]
        if key and len(same) == 1:
            return same[0]
        if not found:
            message = tk._("Dataset {name} belum mempunyai berkas tabel. Unggah berkasnya dahulu.")
        elif not key:
            message = tk._("Kolom Berkas kosong. Salin dari baris lain milik berkas yang sama.")
        else:
            message = tk._(
                "Berkas “{file}” tidak ada di dataset {name}. Salin dari unduhan terbaru."
            )
        message = message.format(name=target.package["name"], file=_short(key))
        self.problem(grid, line.number, message, BERKAS, target)
        return None

    def run(self) -> list[Target]:
        for grid in self.upload.grids:
            groups: dict[tuple[str, str], tuple[Target, exchange.Block, list[Line]]] = {}
            for line in grid.lines:
                package = self.package(grid, line)
                if package is None:
                    continue
                target = self.targets.setdefault(package["id"], Target(package))
                if block := self.block(grid, line, target):
                    key = (package["id"], block.resource)
                    groups.setdefault(key, (target, block, []))[2].append(line)
            for target, block, lines in groups.values():
                if grid.sheet.block:
                    self.rows(grid, target, block, lines)
                else:
                    self.record(grid, target, lines)
        return list(self.targets.values())

    def value(
        self, grid: Grid, line: Line, target: Target, column: Column, old: dict[str, Any]
    ) -> Any:
        """The new value of a cell: the stored one where the cell says what it said before."""
        stored = old.get(column.name) or ""
        text = line.cells.get(column.name, "")
        assert column.field
        if column.name not in grid.columns or text == _text(exchange.cell(column.field, stored)):
            return stored
        try:
            return parse(column.field, text)
        except tk.Invalid as error:
            self.problem(grid, line.number, error.error, column.name, target)
            return text

    def record(self, grid: Grid, target: Target, lines: list[Line]) -> None:
        """A kegiatan: one row, its fields."""
        for line in lines[1:]:
            message = tk._("Kegiatan ini sudah ada di baris {n}. Hapus salah satunya.")
            self.problem(
                grid, line.number, message.format(n=lines[0].number), grid.sheet.key, target
            )
        line, package = lines[0], target.package
        change = Change("ubah", package.get("title") or package["name"], line.number)
        for column in grid.sheet.columns:
            of = column.field
            if of is None:
                continue
            if of.get("jenis") == "berulang":
                text = line.cells.get(column.name, "")
                if text and _loose(text) != _loose(exchange.pointer(of)):
                    message = tk._("Item ini diisi di lembar {sheet}. Kosongkan sel ini.")
                    message = message.format(sheet=of["bps_item"])
                    self.problem(grid, line.number, message, column.name, target)
                continue
            stored = package.get(column.name) or ""
            new = self.value(grid, line, target, column, package)
            if new == stored:
                continue
            try:
                new = schema.clean(of, new)
                if not new and of.get("required"):
                    raise tk.Invalid(tk._("{label} wajib diisi.").format(label=schema.named(of)))
            except tk.Invalid as error:
                self.problem(grid, line.number, error.error, column.name, target)
                continue
            if new != stored:
                cells = exchange.cell(of, stored), exchange.cell(of, new)
                change.cells.append(Cell(column.header, *cells))
                target.patch[column.name] = new
        if change.cells:
            target.parts.append(Part(grid.sheet, "", [change], 1, 1))

    def rows(self, grid: Grid, target: Target, block: exchange.Block, lines: list[Line]) -> None:
        """A block: rows in the order of the sheet, matched with the stored ones by name."""
        sheet, of = grid.sheet, exchange.block_field(grid.sheet)
        columns = [column for column in sheet.columns if column.field]
        matched = self.match(grid, target, block.items, lines)
        new = []
        for line, index in zip(lines, matched, strict=True):
            old = {} if index is None else block.items[index]
            row = {c.name: self.value(grid, line, target, c, old) for c in columns}
            new.append({name: value for name, value in row.items() if value})
        stored = [{k: v for k, v in row.items() if v} for row in block.items]
        if new == stored:
            return
        try:
            clean: Any = schema.clean(of, new)
        except schema.RowsInvalid as error:
            for (row, name), message in error.cells.items():
                self.problem(grid, lines[row].number, message, name, target)
            if not error.cells:
                for message in error.messages:
                    self.problem(grid, lines[0].number, message, sheet.key, target)
            return
        except tk.Invalid as error:
            self.problem(grid, lines[0].number, error.error, sheet.key, target)
            return
        if len(clean) != len(new):  # cells of nothing but invisible characters
            filled = [n for n, row in enumerate(new) if schema.clean(of, [row])]
            lines, matched = [lines[n] for n in filled], [matched[n] for n in filled]
        if clean == stored:
            return
        titles = _titles(sheet)
        moved = _moved(matched)
        changes = []
        for position, (line, index) in enumerate(zip(lines, matched, strict=True)):
            old, now = {} if index is None else block.items[index], clean[position]
            change = Change("ubah", titles(now), line.number, _differences(columns, old, now))
            if index is None:
                change.kind = "tambah"
            elif index in moved:
                change.moved = (index + 1, position + 1)
                change.kind = "ubah" if change.cells else "pindah"
            if change.cells or change.moved:
                changes.append(change)
        gone = [n for n in range(len(block.items)) if n not in set(matched)]
        for n in gone:
            item = block.items[n]
            changes.append(Change("hapus", titles(item), 0, _differences(columns, item, {})))
        title = block.keys.get(BERKAS, "").partition(" - ")[2] or block.resource
        target.parts.append(Part(sheet, title, changes, len(block.items), len(clean)))
        if block.resource:
            target.files[block.resource] = clean
        else:
            target.patch[sheet.block] = clean

    def match(
        self, grid: Grid, target: Target, items: list[dict[str, Any]], lines: list[Line]
    ) -> list[int | None]:
        """For each line the index of the stored row of that name; of equal names the next one."""
        naming = [c for c in grid.sheet.columns if c.name in _naming(grid.sheet)]
        waiting: dict[tuple[str, ...], list[int]] = {}
        for index, item in enumerate(items):
            key = tuple(
                _loose(_text(exchange.cell(c.field or {}, item.get(c.name)))) for c in naming
            )
            waiting.setdefault(key, []).append(index)
        seen: dict[tuple[str, ...], int] = {}
        matched: list[int | None] = []
        for line in lines:
            key = tuple(_loose(line.cells.get(c.name, "")) for c in naming)
            same = waiting.get(key)
            if not same and key in seen and any(key):
                message = tk._("Nama ini sudah ada di baris {n}. Hapus atau ganti salah satunya.")
                message = message.format(n=seen[key])
                self.problem(grid, line.number, message, naming[0].name, target)
            seen.setdefault(key, line.number)
            matched.append(same.pop(0) if same else None)
        return matched


def _of_file(key: str, block: exchange.Block) -> bool:
    return key == block.resource or key.startswith(f"{block.resource} - ")


def _titles(sheet: Sheet) -> Callable[[dict[str, Any]], str]:
    names = [c for c in sheet.columns if c.name in _naming(sheet)]

    def title(item: dict[str, Any]) -> str:
        texts = (exchange.cell(c.field or {}, item.get(c.name)) for c in names)
        return ", ".join(text for text in texts if text) or tk._("(tanpa nama)")

    return title


def _differences(columns: Iterable[Column], old: dict[str, Any], new: dict[str, Any]) -> list[Cell]:
    pairs = (
        (c.header, exchange.cell(c.field or {}, old.get(c.name)),
         exchange.cell(c.field or {}, new.get(c.name)))
        for c in columns
    )  # fmt: skip
    return [Cell(*pair) for pair in pairs if pair[1] != pair[2]]


def _moved(matched: list[int | None]) -> set[int]:
    """The fewest rows that must have moved: those outside a longest rising run."""
    found = [index for index in matched if index is not None]
    tails: list[int] = []
    before: list[int | None] = []
    ends: list[int] = []
    for place, index in enumerate(found):
        at = bisect.bisect_left(tails, index)
        tails[at:] = [index, *tails[at + 1 :]]
        before.append(ends[at - 1] if at else None)
        ends[at:] = [place, *ends[at + 1 :]]
    kept: set[int] = set()
    step = ends[-1] if ends else None
    while step is not None:
        kept.add(found[step])
        step = before[step]
    return set(found) - kept


def plan(upload: Upload, find: Find, defaults: dict[str, str] | None = None) -> list[Target]:
    """What the file would change; what is wrong is added to `upload.problems`.

    Args:
        upload: of `read`.
        find: of type and name, the dataset as package_show gives it.
        defaults: type -> name of the dataset whose rows leave the key empty.

    Returns:
        every dataset that the file has rows of, also where nothing changes.

    Raises:
        Unreadable: too many datasets.
    """
    targets = _Planner(upload, find, defaults or {}).run()
    order = {s.name: n for n, s in enumerate(exchange.sheets())}
    upload.problems.sort(key=lambda p: (order.get(p.sheet, -1), p.row))
    return targets


# --- Applying ------------------------------------------------------------------------------------


def stored(target: Target) -> dict[str, Any]:
    """What must be kept between preview and confirmation, as JSON can hold it."""
    package = target.package
    return {
        **{key: package[key] for key in ("id", "name", "type")},
        "title": package.get("title") or package["name"],
        "rows": target.changes.total(),
        "hash": target.hash,
        "patch": target.patch,
        "files": target.files,
    }


def apply(change: dict[str, Any], user: str) -> None:
    """Write what was planned for one dataset: all of it, or nothing.

    Args:
        change: of `stored`.
        user: name of the user on whose behalf.

    Raises:
        tk.ValidationError: changed since the preview, or refused by the schema.
        tk.NotAuthorized: no longer theirs to change.
        tk.ObjectNotFound: gone.
    """

    id_ = change["id"]
    with gate.explained():
        # Whoever else saves this dataset waits until it is done.
        service.lock(id_)
        status = tk.get_action("satudata_status_show")({"user": user}, {"id": id_})
        if status["content_hash"] != change["hash"]:
            message = tk._(
                "Isinya berubah setelah pratinjau. Unduh lagi, lalu ulangi perubahannya."
            )
            raise tk.ValidationError({"content_hash": [message]})
        data = {"id": id_, **change["patch"]}
        if change["files"]:
            context: Any = {"user": user, "use_cache": False}
            resources = tk.get_action("package_show")(context, {"id": id_})["resources"]
            for resource in resources:
                if resource["id"] in change["files"]:
                    resource["variabel"] = change["files"][resource["id"]]
            data["resources"] = resources
        tk.get_action("package_patch")({"user": user}, data)
