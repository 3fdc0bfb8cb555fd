"""Personal data by its looks: NIK and NKK, by the structure of a value or the name of a column.

NIK and NKK have 16 digits (Permendagri 102/2019 Ps 37, UU 23/2006 Ps 13): six of the area where it
was issued, six of a date (of birth, for women with 40 added to the day, or of issue), four of a
serial number. Both are personal data (UU 27/2022 Ps 4).
"""

from __future__ import annotations

import re
from collections.abc import Mapping

# Two digits each; every alternative is two characters or classes, so that a separator fits between.
_PROVINCE = "1[1-9]|21|3[1-6]|5[1-3]|6[1-5]|7[1-6]|8[12]|9[1-6]"
_REGENCY = "0[1-9]|[1-3][0-9]|7[1-9]"
_DISTRICT = "0[1-9]|[1-9][0-9]"
#: Days of a month and the months that have them.
_DATES = (
    ("0[1-9]|[12][0-9]|4[1-9]|[56][0-9]", "0[1-9]|1[0-2]"),
    ("[37]0", "0[13-9]|1[0-2]"),
    ("[37]1", "0[13578]|1[02]"),
)
_YEAR = "[0-9][0-9]"
_SERIAL = "[0-9][0-9][0-9][1-9]|[0-9][0-9][1-9]0|[0-9][1-9]00|[1-9]000"

_ATOM = re.compile(r"\[[^]]*\]|[0-9]")


def _structure(cuts: Mapping[int, str]) -> str:
    """The 16 digits with a separator after the digits that `cuts` numbers."""

    def part(start: int, alternatives: str) -> str:
        joined = []
        for alternative in alternatives.split("|"):
            atoms = _ATOM.findall(alternative)
            joined.append("".join(a + cuts.get(start + n, "") for n, a in enumerate(atoms, 1)))
        return f"(?:{'|'.join(joined)})"

    dates = "|".join(part(6, day) + part(8, month) for day, month in _DATES)
    return (
        part(0, _PROVINCE) + part(2, _REGENCY) + part(4, _DISTRICT) + f"(?:{dates})"
        + part(10, _YEAR) + part(12, _SERIAL)
    )  # fmt: skip


# No-break space and en dash come with text from Word and Excel.
_GAP, _MARK = "[ \u00a0\u2013-]{1,3}", "[ .\u00a0\u2013-]{1,3}"
_WAYS: tuple[Mapping[int, str], ...] = (
    # Together, or in groups. One dot alone would make a decimal number of it.
    dict.fromkeys((2, 4, 6, 12), f"(?:{_GAP})?"),
    {2: r"\.", 4: r"\.", 6: f"(?:{_MARK})?", 12: f"(?:{_MARK})?"},
    {6: r"\.", 12: r"\."},
    {4: _MARK, 8: _MARK, 12: _MARK},
    # Area, day, month, year; "12-05-2021 - 12-06-2021" has no gap after the sixth digit.
    {2: f"(?:{_MARK})?", 4: f"(?:{_MARK})?", 6: _MARK, 8: _MARK, 10: _MARK, 12: f"(?:{_MARK})?"},
    # The boxes of a form, and a number with thousands separators.
    dict.fromkeys(range(1, 16), _MARK),
    dict.fromkeys((1, 4, 7, 10, 13), "[.,]"),
)
#: A text that holds an NIK or NKK; for Python and for RE2 (DuckDB), which knows no lookaround.
#: No digit stands beside it, and it is no part of a decimal number.
PATTERN = (
    r"(?:^|[^0-9.,]|(?:^|[^0-9])[.,])"
    + f"(?:{'|'.join(_structure(way) for way in _WAYS)})"
    + r"(?:$|[^0-9.]|\.(?:$|[^0-9]|0+(?:$|[^0-9])))"
)
#: Shortest such text, in characters: most values are shorter and need no second look.
SHORTEST = 16

_PERSONAL = re.compile(PATTERN)
_DIGITS = re.compile("(?:[0-9][ .,\u00a0\u2013-]{0,3}){15}[0-9]")


def is_personal(text: str) -> bool:
    """Whether a text holds an NIK or NKK by its structure."""
    # The second pattern costs much less where there are many digits, as in coordinates.
    return len(text) >= SHORTEST and bool(_DIGITS.search(text) and _PERSONAL.search(text))


_NUMBER = "(?:no|nomor|nomer|nmr|num|number|id)"
#: Names of columns that hold such numbers, as words between spaces.
_NAMES = re.compile(
    rf" (?:nik|nkk|nonik|nonkk|nokk|noktp|nomornik|nomornkk|nomorkk|nomorktp"
    rf"|{_NUMBER} (?:e )?(?:kk|ktp|ektp)"
    rf"|(?:{_NUMBER} )?induk kependudukan"
    rf"|{_NUMBER} kartu (?:keluarga|tanda penduduk)) "
)
#: What counts people is no number of theirs: "Jumlah NIK", "% NIK padan".
_COUNTS = re.compile(
    " (?:jumlah|jml|banyak|banyaknya|total|persen|persentase|presentase|rasio|rata) |%"
)


def is_personal_name(name: str) -> bool:
    """Whether a column of this name is meant for NIK or NKK: "NIK", "No. KK", "nomor_kk_ayah"."""
    words = f" {' '.join(re.sub('[^a-z0-9%]+', ' ', name.lower()).split())} "
    return bool(_NAMES.search(words)) and not _COUNTS.search(words)
