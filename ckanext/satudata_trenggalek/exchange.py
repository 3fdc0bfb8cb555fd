"""Metadata statistik as tables: MS-Keg, MS-Ind and MS-Var in the official order of their items.

Out goes a workbook (or a CSV of one sheet) from which an officer enters the items at INDAH; the way
back is exchange_in.py. Columns, their order and their codes come from the YAML of the package
``schemas`` (`bps_item`, Peraturan BPS 5/2020). Labels are the official Indonesian ones whatever the
reader's language, so that the same metadata give the same bytes.
"""

from __future__ import annotations

import csv
import datetime as dt
import functools
import io
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import xlsxwriter
from xlsxwriter.utility import xl_col_to_name, xl_range_abs

from ckanext.satudata_trenggalek import schema, tables
from ckanext.satudata_trenggalek.schema import Field

#: Columns that say where a row belongs; a field's name has no "@".
NUMBER, DATASET, KEGIATAN, BERKAS = "@no", "@dataset", "@kegiatan", "@berkas"
GUIDE = "Petunjuk"
#: Between the labels of a multi-choice cell; no label has it.
JOIN = "; "
#: Most characters of a cell in Excel.
MAX_CELL = 32_767


@dataclass(frozen=True)
class Column:
    """A column of a sheet.

    Attributes:
        name: field name, or one of the keys above.
        header: what stands in row 1.
        field: the schema field; None for keys and the number.
        item: official item number, such as (3, 1); empty for ours.
    """

    name: str
    header: str
    field: Field | None = None
    item: tuple[int, ...] = ()


@dataclass(frozen=True, eq=False)
class Sheet:
    """A table of metadata: one row for each kegiatan, or for each row of a repeating block.

    Attributes:
        name: such as "MS-Ind".
        type: dataset type whose metadata it holds.
        group: `dataset_fields` or `resource_fields`, where `block` is declared.
        block: name of the repeating field; "" where the row is the kegiatan itself.
        columns: in order.
    """

    name: str
    type: str
    group: str
    block: str
    columns: tuple[Column, ...]

    @property
    def key(self) -> str:
        """The key column of the dataset or kegiatan."""
        return KEGIATAN if self.type == "kegiatan" else DATASET

    def column(self, name: str) -> Column:
        """The column of that name."""
        return next(column for column in self.columns if column.name == name)


# --- Sheets --------------------------------------------------------------------------------------


def _item(field: Field) -> tuple[int, ...]:
    number = str(field.get("bps_item", "")).partition(" ")[2]
    return tuple(map(int, number.split("."))) if re.fullmatch(r"[0-9.]+", number) else ()


def _column(field: Field, pattern: str) -> Column:
    item, label = _item(field), field["label"]["id"]
    number = pattern.format(".".join(map(str, item)))
    return Column(field["field_name"], f"{number} {label}" if item else label, field, item)


def _ordered(fields: Iterable[Field], pattern: str) -> list[Column]:
    """Official items by their number; before them the header of the form, after them ours."""
    columns = [_column(field, pattern) for field in fields]
    return sorted(columns, key=lambda c: (not (c.field or {}).get("bps_item"), c.item))


#: What a row of MS-Keg is known by, and what CKAN alone sets.
_NOT_METADATA = ("name", "owner_org")


@functools.cache
def sheets() -> tuple[Sheet, ...]:
    """All sheets, in the order of the workbook."""
    kegiatan = [f for f in schema.fields("kegiatan") if f["field_name"] not in _NOT_METADATA]
    blocks = [field for field in kegiatan if field.get("jenis") == "berulang"]
    key, no = Column(KEGIATAN, "Kegiatan"), Column(NUMBER, "(1) No")
    found = [
        Sheet("MS-Keg", "kegiatan", "dataset_fields", "", (*_ordered(kegiatan, "{}"), key)),
        *(
            Sheet(
                field["bps_item"],
                "kegiatan",
                "dataset_fields",
                field["field_name"],
                (*_ordered(field["butir"], "{}"), key),
            )
            for field in blocks
        ),
    ]
    dataset = Column(DATASET, "Dataset")
    for name, group, block, keys in (
        ("MS-Ind", "dataset_fields", "indikator", (dataset,)),
        ("MS-Var", "resource_fields", "variabel", (dataset, Column(BERKAS, "Berkas"))),
    ):
        butir = schema.find("dataset", block, group=group)["butir"]
        columns = (no, *_ordered(butir, "({})"), *keys)
        found.append(Sheet(name, "dataset", group, block, columns))
    return tuple(found)


def sheet(name: str) -> Sheet | None:
    """The sheet of that name, however a person writes it ("ms ind")."""
    return next((s for s in sheets() if fold(s.name) == fold(name)), None)


def fold(text: str) -> str:
    """A name reduced to what tells it from others: letters and digits, without case."""
    return re.sub(r"[\W_]+", "", text.casefold())


def block_field(of: Sheet) -> Field:
    """The repeating field of a sheet that has one."""
    return schema.find(of.type, of.block, group=of.group)


# --- Cells ---------------------------------------------------------------------------------------

# XML has no such characters, and of two escapes that share their "_" XlsxWriter escapes only one.
_UNWRITABLE = re.compile(r"[\ufffe\uffff]|_(?=x[0-9A-Fa-f]{4}_x[0-9A-Fa-f]{4}_)")


@functools.cache
def labels(vocab: str) -> dict[str, str]:
    """Code -> official label of a code list."""
    return {item["value"]: item["label"]["id"] for item in schema.vocab(vocab)}


@functools.cache
def coded(vocab: str) -> bool:
    """Whether the form itself numbers the choices, so that a cell shows the code too."""
    return all(re.fullmatch("[0-9]{1,2}", code) for code in labels(vocab))


@functools.cache
def summed(vocab: str) -> bool:
    """Whether the form adds the codes of several choices (powers of two)."""
    return coded(vocab) and all(int(code).bit_count() == 1 for code in labels(vocab))


def choice(vocab: str, code: str) -> str:
    """A choice as a cell shows it: "2 - Survei", or the label where the code is only ours."""
    label = labels(vocab).get(code)
    if label is None:  # has meanwhile left its list
        return code
    return f"{code} - {label}" if coded(vocab) else label


def cell(field: Field, value: Any) -> str:
    """A stored value as a cell shows it.

    Args:
        field: of the schema.
        value: text, or a list of codes for a multi-choice field.
    """
    if isinstance(value, list):
        known = labels(field["vocab"])
        text = JOIN.join(known.get(code, str(code)) for code in value)
        if value and summed(field["vocab"]) and all(code in known for code in value):
            text = f"{sum(map(int, value))} - {text}"
    elif value and field.get("jenis") == "pilihan":
        text = choice(field["vocab"], str(value))
    else:
        text = "" if value is None else str(value)
    return _UNWRITABLE.sub("\ufffd", text)[:MAX_CELL]


# --- Rows ----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Block:
    """The rows of a sheet that belong together.

    Attributes:
        sheet: where they stand.
        keys: key column -> cell.
        items: a dict of field values for each row.
        resource: id of the file whose variables they are.
    """

    sheet: Sheet
    keys: dict[str, str]
    items: list[dict[str, Any]]
    resource: str = ""


def berkas(resource: dict[str, Any]) -> str:
    """The key of a file: its id, and its name for people."""
    return f"{resource['id']} - {resource.get('name') or ''}".removesuffix(" - ")


def blocks(of: Sheet, package: dict[str, Any]) -> Iterator[Block]:
    """What a dataset or kegiatan has for a sheet, as package_show gives it.

    A file that is no table and has no variables is left out.
    """
    if of.type != package["type"]:
        return
    keys = {of.key: package["name"]}
    if not of.block:
        yield Block(of, keys, [package])
        return
    field = block_field(of)
    if of.group == "dataset_fields":
        yield Block(of, keys, schema.rows(field, package.get(of.block)))
        return
    for resource in package.get("resources") or []:
        items = schema.rows(field, resource.get(of.block))
        if items or tables.is_table(resource):
            yield Block(of, {**keys, BERKAS: berkas(resource)}, items, resource["id"])


def _cells(of: Sheet, block: Block, number: int, item: dict[str, Any]) -> list[str]:
    return [
        cell(column.field, _value(column, item))
        if column.field
        else str(number or "")
        if column.name == NUMBER
        else block.keys[column.name]
        for column in of.columns
    ]


def _value(column: Column, item: dict[str, Any]) -> Any:
    field = column.field or {}
    if field.get("jenis") == "berulang":  # has a sheet of its own
        return pointer(field) if schema.rows(field, item.get(column.name)) else ""
    return item.get(column.name)


def pointer(field: Field) -> str:
    """What MS-Keg says where an item is a table itself."""
    return f"Lihat lembar {field['bps_item']}"


def rows(of: Sheet, package: dict[str, Any]) -> Iterator[list[str]]:
    """The rows of a dataset or kegiatan on a sheet.

    An empty block gives one row with the keys only, ready to be filled.
    """
    for block in blocks(of, package):
        numbered = list(enumerate(block.items, 1)) or [(0, {})]
        for number, item in numbered:
            yield _cells(of, block, number, item)


# --- CSV -----------------------------------------------------------------------------------------

# A spreadsheet program would run these as formulas (OWASP, CSV injection); "'" itself is escaped so
# that it comes back.
_RISKY = re.compile(r"['=+\-@].", re.DOTALL)


def guarded(text: str) -> str:
    """A cell of a CSV that no spreadsheet program takes for a formula."""
    return f"'{text}" if _RISKY.match(text) else text


def unguarded(text: str) -> str:
    """The reverse of `guarded`; text that people typed stays."""
    return text[1:] if text[:1] == "'" and _RISKY.match(text[1:]) else text


def csv_text(of: Sheet, packages: Iterable[dict[str, Any]]) -> bytes:
    """A sheet as CSV: comma, UTF-8 with its mark, by which Excel knows it."""
    out = io.StringIO(newline="")
    writer = csv.writer(out)
    writer.writerow([column.header for column in of.columns])
    for package in packages:
        writer.writerows(map(guarded, row) for row in rows(of, package))
    return out.getvalue().encode("utf-8-sig")


# --- XLSX ----------------------------------------------------------------------------------------

_HOW = (
    "Isi tabel metadata ini dapat dimasukkan ke INDAH: urutan kolomnya sama dengan formulir resmi"
    " (Peraturan BPS 5/2020).",
    "Ubah isinya di sini, lalu unggah kembali di halaman metadata portal. Portal menampilkan dahulu"
    " apa yang berubah; tidak ada yang tersimpan sebelum Anda menerapkannya.",
    "Jangan mengubah judul kolom di baris 1 dan isi kolom paling kanan (Dataset, Berkas, Kegiatan):"
    " dari sana portal tahu milik siapa baris itu.",
    "Baris baru: salin kolom paling kanan dari baris lain dataset yang sama. Kolom (1) No tidak"
    " dibaca; urutan baris di lembar menjadi urutan di portal.",
    "Baris yang dihapus dari lembar akan dihapus dari dataset itu. Dataset yang tidak ada di suatu"
    " lembar, dan lembar yang dihapus, dibiarkan apa adanya.",
    "Pilihan: tulis kode, sebutan, atau keduanya, misalnya 2, Survei, atau 2 - Survei.",
    "Pilihan lebih dari satu: tulis jumlah kodenya (5 untuk 1 dan 4), atau sebutannya dipisah titik"
    " koma.",
    "Tanggal: 2027-01-31 atau 31/01/2027. Jangan menggabungkan sel.",
)
_WIDTHS = {"paragraf": 48, "teks": 28, "tanggal": 13, "tahun": 10, KEGIATAN: 36, DATASET: 36}
#: Rows below the last one that also offer the lists.
_ROOM = 500


class _Book:
    """A workbook under construction."""

    def __init__(self) -> None:
        self.bytes = io.BytesIO()
        self.book = xlsxwriter.Workbook(self.bytes, {"in_memory": True})
        # The same metadata give the same file.
        self.book.set_properties({"created": dt.datetime(2000, 1, 1), "author": "Satu Data"})
        style: dict[str, Any] = {"valign": "top", "text_wrap": True, "num_format": "@"}
        self.text = self.book.add_format(style)
        head = {**style, "bold": True, "border": 1, "border_color": "#7B8B88"}
        self.official = self.book.add_format({**head, "bg_color": "#DCEFE9"})
        self.ours = self.book.add_format({**head, "bg_color": "#EAEEED"})
        self.keys = self.book.add_format({**head, "bg_color": "#FFF3DB"})
        self.title = self.book.add_format({"bold": True, "font_size": 14})

    def head(self, of: Sheet) -> Any:
        page = self.book.add_worksheet(of.name)
        for index, column in enumerate(of.columns):
            kind = (column.field or {}).get("jenis", "") if column.field else column.name
            width = 6 if column.name == NUMBER else _WIDTHS.get(kind, 26)
            page.set_column(index, index, width, self.text)
            official = column.name == NUMBER or (column.field or {}).get("bps_item")
            head = self.official if official else self.ours if column.field else self.keys
            page.write_string(0, index, column.header, head)
        page.freeze_panes(1, 2 if of.columns[0].name == NUMBER else 1)
        return page

    def offer(self, page: Any, of: Sheet, last: int) -> None:
        """Lists of choices, and a filter. A code typed alone is taken too, so it only informs."""
        page.autofilter(0, 0, max(last, 1), len(of.columns) - 1)
        for index, column in enumerate(of.columns):
            if column.field and column.field.get("jenis") == "pilihan":
                rule = {
                    "validate": "list",
                    "source": f"=daftar_{column.field['vocab']}",
                    "error_type": "information",
                    "error_title": "Tidak ada dalam daftar",
                    "error_message": "Pilih dari daftar, atau tulis kodenya.",
                }
                page.data_validation(1, index, last + _ROOM, index, rule)

    def guide(self, shown: list[Sheet]) -> None:
        """How to fill it, what each column means, and the code lists."""
        page = self.book.add_worksheet(GUIDE)
        page.set_column(0, 0, 14, self.text)
        page.set_column(1, 2, 44, self.text)
        page.set_column(3, 4, 60, self.text)
        page.write_string(0, 0, "Petunjuk pengisian metadata statistik", self.title)
        line = 1
        for number, sentence in enumerate(_HOW, 1):
            page.merge_range(line, 0, line, 4, f"{number}. {sentence}", self.text)
            page.set_row(line, 32)
            line += 1
        line += 1
        lists: dict[str, list[str]] = {}
        line = self._table(page, line, ("Lembar", "Kolom", "Wajib", "Petunjuk", "Contoh"))
        for of in shown:
            for column in of.columns:
                if not column.field:
                    continue
                texts = (column.field.get(key) or {} for key in ("help_text", "contoh"))
                cells = (
                    of.name,
                    column.header,
                    _needed(column.field),
                    *(t.get("id", "") for t in texts),
                )
                line = self._table(page, line, cells, self.text)
                if "vocab" in column.field:
                    name = f"{of.name} {column.header}"
                    lists.setdefault(column.field["vocab"], []).append(name)
        line += 1
        line = self._table(page, line, ("Daftar", "Pilihan", "Dipakai di kolom"))
        for vocab, used in lists.items():
            first = line
            for code in labels(vocab):
                where = JOIN.join(used) if line == first else ""
                line = self._table(page, line, (vocab, choice(vocab, code), where), self.text)
            area = xl_range_abs(first, 1, line - 1, 1)
            self.book.define_name(f"daftar_{vocab}", f"={GUIDE}!{area}")

    def _table(self, page: Any, line: int, cells: Iterable[str], style: Any = None) -> int:
        for index, text in enumerate(cells):
            page.write_string(line, index, text, style or self.official)
        return line + 1

    def close(self) -> bytes:
        self.book.close()
        return self.bytes.getvalue()


def _needed(field: Field) -> str:
    """Whether the form wants the item: "Ya", when, or ""."""
    rule = field.get("ajukan", False)
    if not rule:
        return ""
    if isinstance(rule, dict):
        return f"Ya, {rule['alasan']['id']}" if rule.get("alasan") else "Ya, bersyarat"
    return "Ya, bila item ini berlaku" if field.get("tampil") else "Ya"


def workbook(packages: Iterable[dict[str, Any]], types: Iterable[str]) -> bytes:
    """The workbook of datasets and kegiatan.

    Args:
        packages: as package_show gives them; read once, in order.
        types: the dataset types whose sheets it has.

    Returns:
        the bytes of an XLSX file; cells are text and never formulas.
    """
    wanted = set(types)
    shown = [of for of in sheets() if of.type in wanted]
    out = _Book()
    pages = {of: out.head(of) for of in shown}
    filled = dict.fromkeys(shown, 0)
    for package in packages:
        for of, page in pages.items():
            for row in rows(of, package):
                filled[of] += 1
                for index, text in enumerate(row):
                    if text:
                        page.write_string(filled[of], index, text)
    for of, page in pages.items():
        out.offer(page, of, filled[of])
    out.guide(shown)
    return out.close()


def letter(index: int) -> str:
    """The name of a column in a spreadsheet, from 0: "A"."""
    return xl_col_to_name(index)


def place(of: Sheet, name: str, index: int | None) -> str:
    """A column as people find it: "D, (4) Definisi"."""
    header = of.column(name).header
    return header if index is None else f"{letter(index)}, {header}"
