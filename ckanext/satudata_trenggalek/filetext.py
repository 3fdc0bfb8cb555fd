"""What the readers of files share: the encoding of a text, the sheets and cells of a workbook."""

from __future__ import annotations

import codecs
import contextlib
import datetime as dt
import decimal
import zipfile
from collections.abc import Iterator
from typing import Any

import python_calamine

from . import files
from .findings import N_, Told

#: What an Excel file may unpack to, in bytes; calamine holds a sheet in memory.
MAX_UNPACKED = 1 << 30


class Rejected(Exception):
    """A file that can't become a table; the message says what, where and the remedy.

    Args:
        text: msgid of the message.
        values: what fills it.
    """

    def __init__(self, text: str, **values: Any) -> None:
        super().__init__(text.format(**values))
        self.told: Told = (text, values)


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
                    N_(
                        "Baris {line} berisi karakter NUL (biner). Buka berkas di aplikasinya,"
                        " simpan ulang sebagai “CSV UTF-8”, lalu unggah kembali."
                    ),
                    line=line,
                )
            line += block.count(b"\n")
            for name, decoder in list(decoders.items()):
                try:
                    decoder.decode(block, final=not block)
                except UnicodeDecodeError:
                    del decoders[name]
            if not block:
                return next(iter(decoders), "latin-1")


def cell_text(value: Any, comma: bool = False) -> str:
    """A cell of Excel as the text that Excel shows without a number format (15 digits).

    Args:
        value: as calamine gives it.
        comma: whether decimals stand after a comma, as in an Indonesian Excel.
    """
    if value is None:
        return ""
    if isinstance(value, bool):
        return "TRUE" if value else "FALSE"
    if isinstance(value, float):
        if value.is_integer():
            return str(int(value))
        text = f"{decimal.Decimal(format(value, '.15g')):f}"
        return text.replace(".", ",") if comma else text
    if isinstance(value, dt.datetime) and value.time() == dt.time():
        return value.date().isoformat()
    if isinstance(value, dt.date | dt.time):
        return value.isoformat(" ") if isinstance(value, dt.datetime) else value.isoformat()
    return str(value).replace("\0", "").strip()


Sheet = tuple[python_calamine.CalamineSheet, bool]


def sheets(path: str) -> Iterator[Sheet]:
    """The worksheets of an Excel file that hold something, and whether each is hidden: these last.

    Raises:
        Rejected: a password, damaged, too large unpacked.
    """
    visible = python_calamine.SheetVisibleEnum.Visible
    with contextlib.suppress(zipfile.BadZipFile), zipfile.ZipFile(path) as archive:
        if sum(entry.file_size for entry in archive.infolist()) > MAX_UNPACKED:
            raise Rejected(
                N_(
                    "Isi berkas Excel terlalu besar untuk dimuat. Simpan lembarnya sebagai “CSV"
                    " UTF-8”, lalu unggah kembali."
                )
            )
    try:
        book = python_calamine.load_workbook(path)
        for told in sorted(book.sheets_metadata, key=lambda sheet: sheet.visible != visible):
            if told.typ == python_calamine.SheetTypeEnum.WorkSheet:
                sheet = book.get_sheet_by_name(told.name)
                if sheet.height:
                    yield sheet, told.visible != visible
    except python_calamine.PasswordError:
        raise Rejected(
            N_("Berkas Excel dilindungi kata sandi. Hapus kata sandinya, lalu unggah kembali.")
        ) from None
    except (python_calamine.CalamineError, OSError, ValueError) as error:
        raise Rejected(
            N_(
                "Berkas Excel rusak atau bukan format yang dikenal. Buka di Excel, simpan ulang"
                " sebagai .xlsx, lalu unggah kembali."
            )
        ) from error


def filled(sheet: python_calamine.CalamineSheet) -> Iterator[tuple[int, list[Any]]]:
    """Rows that are not blank, with their numbers as Excel shows them."""
    for number, row in enumerate(sheet.iter_rows(), 1):
        if any(cell != "" and cell is not None for cell in row):
            yield number, row
