"""Looks for NIK and NKK in files of every kind: beside a table, in documents, archives and text.

The cells of a table are searched as it is loaded (checks.py). Here is what its file holds beside
it, and every other upload, since the same list may come as a document, under another name or in an
archive. What can't be searched is told, never passed over in silence.
"""

from __future__ import annotations

import gzip
import re
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from typing import IO

from . import files, filetext, personal
from .findings import FEW, Finding, Tally, shown_name

#: Archives in archives are opened so deep.
MAX_DEPTH = 3
#: So many files of an archive are opened; an office's folder has dozens.
MAX_MEMBERS = 5_000
#: So much of an archive or document is unpacked, in bytes.
MAX_BYTES = 4 << 30
#: Kinds of files.sniff that calamine reads, that are text, and that hold XML in a ZIP.
_SHEETS = ("xlsx", "xls", "ods")
_TEXT = ("teks", "json", "xml", "html")
_OFFICE = ("xlsx", "ods", "docx", "pptx")
#: Beginnings of archives that Python's standard library does not open as one, or not safely.
_CLOSED = (b"Rar!", b"7z\xbc\xaf\x27\x1c", b"BZh", b"\xfd7zXZ\x00", b"\x28\xb5\x2f\xfd")
_TAR = (257, b"ustar")

_BROKEN = (zipfile.BadZipFile, zlib.error, OSError, EOFError, NotImplementedError, RuntimeError,
           ValueError)  # fmt: skip


class _TooLarge(Exception):
    """More is in the archive than is read."""


def beside(path: str, others: Iterable[filetext.Sheet]) -> Iterator[Finding]:
    """Personal data in an Excel file outside of the sheet that is its table.

    Args:
        path: of the file.
        others: the sheets that are not loaded.
    """
    yield from _sheets(others, 2)
    search = _Search()
    search.parts(path, "xlsx")
    yield from search.told()


def anywhere(path: str) -> list[Finding]:
    """Personal data in a file that is no table, whatever its name says it is.

    Returns:
        findings ``data_pribadi``, and ``tidak_tercari`` for what can't be searched.
    """
    search = _Search()
    search.file(path)
    return list(search.told())


class _Search:
    """One search through a file and the files in it."""

    def __init__(self) -> None:
        self.findings: list[Finding] = []
        #: Names of files inside that can't be searched, "" for the file itself, by what to do.
        self.unsearched: dict[str, list[str]] = {"arsip": [], "isi": []}
        self.budget = MAX_BYTES
        self.members = MAX_MEMBERS

    def told(self) -> Iterator[Finding]:
        yield from self.findings
        for reason, names in self.unsearched.items():
            if names:
                yield Tally(len(names)).finding(
                    "tidak_tercari", reason=reason, names=names[:FEW], blocking=reason == "arsip"
                )

    def file(self, path: str, inside: str = "", depth: int = 0) -> None:
        """Search a file; `inside` is its name in the archive that it came in."""
        with open(path, "rb") as stream:
            kind, head = files.sniff(stream), stream.read(512)
        closed = head.startswith(_CLOSED) or head[_TAR[0] :].startswith(_TAR[1])
        found: list[Finding] = []
        if kind in _SHEETS:
            try:
                found = list(_sheets(filetext.sheets(path), 1))
            except filetext.Rejected:
                self.unsearched["isi"].append(inside)
        if closed or kind == "terkunci":
            self.unsearched["arsip"].append(inside)
        elif kind in _OFFICE:
            self.parts(path, kind, inside, depth)
        elif kind == "zip":
            self.archive(path, inside, depth, gzipped=head.startswith(b"\x1f\x8b"))
        elif kind not in (*_SHEETS, "kosong"):
            found = _lines(path, "latin-1" if kind not in _TEXT else "")
            if not found and kind not in _TEXT:
                self.unsearched["isi"].append(inside)
        self.findings += [
            {**finding, **({"inside": inside} if inside else {})} for finding in found
        ]

    def archive(self, path: str, inside: str, depth: int, gzipped: bool) -> None:
        """Search the files in a ZIP, or the one in a gzip file."""
        try:
            if depth >= MAX_DEPTH:
                raise _TooLarge
            if gzipped:
                with gzip.open(path) as stream:
                    self._unpacked(stream.read, inside, depth)
                return
            with zipfile.ZipFile(path) as archive:
                for entry in archive.infolist():
                    if not entry.is_dir():
                        with archive.open(entry) as stream:
                            self._unpacked(stream.read, _inner(inside, entry.filename), depth)
        except (*_BROKEN, _TooLarge):  # also a password
            self.unsearched["arsip"].append(inside)

    def _unpacked(self, read: Callable[[int], bytes], inside: str, depth: int) -> None:
        self.members -= 1
        if self.members < 0:
            raise _TooLarge
        with tempfile.NamedTemporaryFile() as copy:
            while block := read(files.CHUNK):
                self.budget -= len(block)
                if self.budget < 0:
                    raise _TooLarge
                copy.write(block)
            copy.flush()
            self.file(copy.name, inside, depth + 1)

    def parts(self, path: str, kind: str, inside: str = "", depth: int = 0) -> None:
        """Search an Office file outside of its sheets: texts, comments, what is embedded in it."""
        total = 0
        try:
            with zipfile.ZipFile(path) as archive:
                for name in archive.namelist():
                    if "embeddings/" in name and not name.endswith("/"):
                        if depth >= MAX_DEPTH:
                            raise _TooLarge
                        within = _inner(inside, name.rpartition("/")[2])
                        with archive.open(name) as part:
                            self._unpacked(part.read, within, depth)
                    elif name.endswith((".xml", ".vml", ".rels")) and not _CELLS.match(name):
                        with archive.open(name) as part:
                            count = self._xml(part)
                        if count and kind == "xlsx":
                            self._part(count, inside, part=shown_name(name, 1))
                        total += count if kind != "xlsx" else 0
        except _TooLarge:
            self.unsearched["arsip"].append(inside)
        except _BROKEN:
            self.unsearched["isi"].append(inside)
        if total:
            self._part(total, inside, document=True)

    def _part(self, count: int, inside: str, **where: object) -> None:
        self._add([Tally(count).finding("data_pribadi", blocking=True, **where)], inside)

    def _add(self, found: list[Finding], inside: str) -> None:
        self.findings += [{**finding, "inside": inside} for finding in found] if inside else found

    def _xml(self, part: IO[bytes]) -> int:
        """How many texts of a part hold personal data."""
        count, rest = 0, ""
        for block in iter(lambda: part.read(files.CHUNK), b""):
            self.budget -= len(block)
            if self.budget < 0:
                raise _TooLarge
            text = rest + block.decode("utf-8", "ignore")
            # Neither a tag nor, where it can be helped, a paragraph is cut in two.
            at = max(text.rfind(end) for end in ("</w:p>", "</a:p>"))
            at = at if at >= 0 else text.rfind("<")
            whole, rest = (text[:at], text[at:]) if at > 0 else (text, "")
            count += _pieces(whole)
        return count + _pieces(rest)


def _inner(inside: str, name: str) -> str:
    """Name of a file in an archive as it may be stored."""
    return "/".join(filter(None, [inside, shown_name(name, 1)]))[-200:]


# Sheets ------------------------------------------------------------------------------------------


def _sheets(sheets: Iterable[filetext.Sheet], first: int) -> Iterator[Finding]:
    """Personal data in sheets that are not loaded, by column; `first` is the number of the first.

    Hidden rows and columns are cells like others to calamine.
    """
    for order, (sheet, hidden) in enumerate(sheets, first):
        left = (sheet.start or (0, 0))[1]
        found: dict[int, Tally] = {}
        named: set[int] = set()
        for count, (number, row) in enumerate(filetext.filled(sheet)):
            for x, cell in enumerate(row):
                # Shorter values, and numbers below 16 digits, are none.
                long = isinstance(cell, str | float) and (
                    len(cell) >= personal.SHORTEST if isinstance(cell, str) else cell >= 1e15
                )
                if count == 0 and personal.is_personal_name(filetext.cell_text(cell)):
                    named.add(x)
                elif (x in named and re.search("[0-9]", filetext.cell_text(cell))) or (
                    long and personal.is_personal(filetext.cell_text(cell))
                ):
                    found.setdefault(x, Tally()).add(number)
        for x, tally in sorted(found.items()):
            yield tally.finding(
                "data_pribadi",
                blocking=True,
                sheet=shown_name(sheet.name, order),
                hidden=hidden,
                column=_letters(left + x),
            )


def _letters(index: int) -> str:
    """Excel's name of a column, from 0: A, B, ..., Z, AA."""
    name = ""
    while index >= 0:
        name, index = chr(65 + index % 26) + name, index // 26 - 1
    return name


# Texts -------------------------------------------------------------------------------------------

#: Parts of Office files that are cells, searched as such, or hold no text of people.
_CELLS = re.compile(
    r"xl/(?:worksheets/sheet|sharedStrings|styles|theme|calcChain)|(?:word|ppt)/(?:styles|theme|font)"
)
#: Tags within one text: a number of which some digits are bold is still one number.
_RUNS = re.compile(
    r"<(?!/?(?:w|a):(?:p|tc|tab|br|cr)[ />])/?(?:w|a):[^>]*>"
    r"|</?(?:r|t|rPr|sz|color|rFont|family|charset|scheme|b|i|u|text:span)(?: [^>]*|/)?>"
)
#: Other tags, with the value that a pivot table keeps as an attribute.
_TAGS = re.compile(r'<[^>]*?(?:\bv="([^"]*)"[^>]*)?>')


def _pieces(text: str) -> int:
    """How many pieces of a piece of XML hold personal data."""
    return sum(map(personal.is_personal, _TAGS.sub(r"|\1|", _RUNS.sub("", text)).split("|")))


#: A line longer than a block is searched in pieces that overlap so far, in characters.
_OVERLAP = 100


def _lines(path: str, name: str = "") -> list[Finding]:
    """Personal data in a text, by line; `name` is its encoding, "" to look."""
    if not name:
        try:
            name = filetext.encoding(path)
        except filetext.Rejected:  # NUL bytes; what stands between them is text all the same
            name = "latin-1"
    tally, number, before = Tally(), 1, ""
    with open(path, encoding=name, errors="replace") as text:
        for line in iter(lambda: text.readline(files.CHUNK), ""):
            if personal.is_personal(before + line):
                tally.add(number)
            ended = line.endswith("\n")
            number, before = number + ended, "" if ended else line[-_OVERLAP:]
    return [tally.finding("data_pribadi", blocking=True, lines=True)] if tally.count else []
