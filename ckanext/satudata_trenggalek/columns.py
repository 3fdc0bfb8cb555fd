"""What a column may hold: the types that MS-Variabel declares, in DuckDB, Python and PostgreSQL.

A value fits its type or it does not; nothing is rounded, cut or guessed. A number with a leading
zero is a code and fits no number type. The patterns are RE2's and Python's at once.
"""

from __future__ import annotations

import datetime as dt
import re
from dataclasses import dataclass

#: Blanks around a value; Excel and web pages leave no-break spaces.
_BLANK = "[\\s\u00a0]*"


def _whole(mark: str) -> str:
    # Thousands separators stand in right groups of three, or nowhere.
    return f"-?(?:0|[1-9][0-9]{{0,99}}|[1-9][0-9]{{0,2}}(?:{mark}[0-9]{{3}}){{1,33}})"


#: tanda_desimal is koma? -> decimal sign and thousands separator, as patterns.
_SIGNS = {False: (r"\.", ","), True: (",", r"\.")}
#: Formats of dates; the day comes first, as Indonesians write it.
_DATES = ("%Y-%m-%d", "%d/%m/%Y", "%d-%m-%Y")


@dataclass(frozen=True)
class Kind:
    """A type of MS-Variabel (butir 8).

    Attributes:
        pattern: of a value that fits, by tanda_desimal (True for koma).
        calendar: whether it must also be a day of the calendar.
        postgres: type in the DataStore.
    """

    pattern: dict[bool, str]
    postgres: str
    calendar: bool = False

    def fits(self, column: str, koma: bool) -> str:
        """SQL of DuckDB: whether the text in a column fits; blank text does."""
        full = f"regexp_full_match({column}, '{_BLANK}(?:{self.pattern[koma]})?{_BLANK}')"
        if not self.calendar:
            return full
        return f"({full} AND ({_trimmed(column)} = '' OR {_day(column)} IS NOT NULL))"

    def cast(self, column: str, koma: bool) -> str:
        """SQL of DuckDB: a value that fits as PostgreSQL reads it, blank ones as NULL."""
        if self.calendar:
            return f"strftime({_day(column)}, '%Y-%m-%d')"
        decimal, thousands = _SIGNS[koma]
        plain = f"regexp_replace({_trimmed(column)}, '{thousands}', '', 'g')"
        return f"nullif(regexp_replace({plain}, '{decimal}', '.'), '')"

    def fits_text(self, text: str, koma: bool) -> bool:
        """As `fits`, of one value that is not blank."""
        value = text.strip()
        if not re.fullmatch(self.pattern[koma], value):
            return False
        return not self.calendar or _is_day(value)


def _trimmed(column: str) -> str:
    return f"regexp_replace({column}, '[\\s\u00a0]+', '', 'g')"


def _day(column: str) -> str:
    formats = ", ".join(f"'{form}'" for form in _DATES)
    # Without the time that Excel writes behind a day.
    return f"try_strptime(regexp_extract({column}, '[0-9/-]+'), [{formats}])"


def _is_day(value: str) -> bool:
    for form in _DATES:
        try:
            dt.datetime.strptime(re.split("[ T]", value)[0], form)
            return True
        except ValueError:
            continue
    return False


_DATE = (
    "[12][0-9]{3}-[0-9]{1,2}-[0-9]{1,2}(?:[ T]00:00(?::00(?:[.]0+)?)?)?"
    "|[0-9]{1,2}[/-][0-9]{1,2}[/-][12][0-9]{3}"
)

#: vocab/tipe_data.yaml; `character` is not here: text is what everything is.
KINDS: dict[str, Kind] = {
    "integer": Kind({koma: _whole(mark) for koma, (_, mark) in _SIGNS.items()}, "bigint"),
    "float": Kind(
        {
            koma: f"(?:{_whole(mark)}(?:{sign}[0-9]{{1,100}})?|-?{sign}[0-9]{{1,100}})"
            "(?:[eE][+-]?[0-9]{1,2})?"
            for koma, (sign, mark) in _SIGNS.items()
        },
        "numeric",
    ),
    "date": Kind({False: _DATE, True: _DATE}, "date", calendar=True),
}
#: Most digits of a bigint that every number of so many digits fits; beyond it numeric.
BIGINT_DIGITS = 18
