"""Charts of tables: what of a table can be drawn honestly, and where its marks stand.

A chart shows figures as the file has them, never sums of our own: only a column whose values name
each row once becomes an axis. Pure Python; the marks are drawn as SVG by
templates/satudata/snippets/grafik.html, in percent of the width, so that text keeps its size on a
phone and no script is needed.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

#: Rows of which a chart is made; a larger table has none.
MAX_ROWS = 1000
#: Bars at most; the rest stands in the table.
MAX_BARS = 20
#: Years at most, the latest.
MAX_YEARS = 40
#: Beyond this a figure is a mistake, and arithmetic on it overflows.
MAX_FIGURE = 1e100
#: Fewer points than these are a sentence, not a picture.
MIN_POINTS = 2

_YEAR = re.compile(r"(^|_)(tahun|thn|year)(_|$)", re.IGNORECASE)
#: Numbers that name or number things.
_NAMES = re.compile(
    r"(^|_)(kode|id|no|nomor|urut|nik|kk|rt|rw|lintang|bujur|latitude|longitude|lat|lon|lng)(_|$)",
    re.IGNORECASE,
)
_TOTAL_COLUMN = re.compile(r"(^|_)(jumlah|total)(_|$)", re.IGNORECASE)
#: Categories that have an order of their own keep that of the file.
_ORDERED = re.compile(
    r"tahun|thn|year|bulan|triwulan|semester|umur|usia|kelas|jenjang|tingkat|tanggal|hari|minggu|golongan|kelompok",
    re.IGNORECASE,
)
#: Rows that sum up the others.
_TOTAL_ROW = re.compile(
    r"(sub ?|grand )?(total|jumlah)( keseluruhan)?|kabupaten trenggalek|kab\. trenggalek",
    re.IGNORECASE,
)
#: PostgreSQL types of numbers, by their beginnings.
_NUMBERS = ("int", "num", "float", "double", "real", "big", "small")


@dataclass(frozen=True)
class Point:
    """A mark: its label, its figure (None: missing) and where it stands, in percent."""

    label: str
    value: float | None
    #: Bars: left edge and width of the bar. Lines: x, and y from the top.
    start: float = 0.0
    size: float = 0.0


@dataclass(frozen=True)
class Chart:
    """What is drawn: `bars` over categories or a `line` over years."""

    kind: str
    #: Ids of the columns.
    measure: str
    axis: str
    points: list[Point]
    #: The year that all rows are of, where the table tells one.
    year: str = ""
    #: Where 0 stands: bars from the left, lines from the top, in percent.
    zero: float = 0.0
    #: Values of the scale and where they stand (lines only), in percent from the top.
    ticks: list[tuple[float, float]] = field(default_factory=list)
    #: How many categories there are beside those drawn.
    left_out: int = 0
    #: Figures that are missing.
    missing: int = 0
    #: Rows that sum up the others, which are not drawn.
    totals: int = 0
    #: Whether bars are sorted by their figures.
    sorted: bool = False

    @property
    def segments(self) -> list[tuple[Point, Point]]:
        """The pieces of a line; none leads over a missing figure."""
        pairs = zip(self.points, self.points[1:], strict=False)
        return [(a, b) for a, b in pairs if a.value is not None and b.value is not None]


@dataclass(frozen=True)
class Columns:
    """Columns of a table that a chart may need; ids, the likely ones first."""

    year: str | None
    categories: list[str]
    measure: str

    @property
    def ids(self) -> list[str]:
        """All of them."""
        return [*([self.year] if self.year else []), *self.categories, self.measure]


def columns(
    fields: Sequence[Mapping[str, Any]], variables: Sequence[Mapping[str, Any]] = ()
) -> Columns | None:
    """Which columns of a table a chart needs; None where it has no number or nothing to name it.

    Args:
        fields: of the DataStore: id and type.
        variables: MS-Variabel of the file: nama, ukuran, satuan, kode_referensi. Where any of them
            has a measure or a unit, only such columns are figures.
    """
    known = {str(row.get("nama")): row for row in variables}
    told = {name for name, row in known.items() if row.get("ukuran") or row.get("satuan")}
    year: str | None = None
    categories: list[str] = []
    measures: list[str] = []
    for item in fields:
        id_, number = item["id"], str(item["type"]).startswith(_NUMBERS)
        if id_ == "_id":
            continue
        if _YEAR.search(id_) and year is None:
            year = id_
        elif number and not _NAMES.search(id_) and not known.get(id_, {}).get("kode_referensi"):
            if not (told & {f["id"] for f in fields}) or id_ in told:
                measures.append(id_)
        elif item["type"] == "text" and not _NAMES.search(id_):
            categories.append(id_)
    if not measures or not (year or categories):
        return None
    total = next((id_ for id_ in measures if _TOTAL_COLUMN.search(id_)), measures[0])
    return Columns(year, categories[:4], total)


def number(value: Any) -> float | None:
    """A figure, None where there is none."""
    if value is None or isinstance(value, bool) or value == "":
        return None
    try:
        found = float(value)
    except (TypeError, ValueError):
        return None
    return found if abs(found) < MAX_FIGURE else None


def year_of(value: Any) -> str:
    """A year as people write it: 2025, "2025", 2025.0 → "2025"; "" for none."""
    found = number(value)
    whole = found is not None and found == int(found)
    return str(int(found)) if found and whole else str(value or "").strip()


def chart(records: Sequence[Mapping[str, Any]], wanted: Columns) -> Chart | None:
    """The chart of a table's rows; None where no column names each row once.

    Args:
        records: all rows of the table, in its order, with the columns of `wanted`.
        wanted: from `columns`.
    """
    rows, year = list(records), ""
    if wanted.year:
        years = [year_of(row[wanted.year]) for row in rows]
        distinct = sorted(set(years) - {""})
        if len(distinct) == len(rows) >= MIN_POINTS:
            if all(re.fullmatch("[12][0-9]{3}", y) for y in years):
                return _line(years, [row[wanted.measure] for row in rows], wanted)
            return _bars(rows, years, wanted.year, wanted.measure, "")
        if distinct:
            year = distinct[-1]
            rows = [row for row, y in zip(rows, years, strict=True) if y == year]
    for id_ in wanted.categories:
        names = [str(row[id_] or "").strip() for row in rows]
        if "" not in names and len(set(names)) == len(names) >= MIN_POINTS:
            return _bars(rows, names, id_, wanted.measure, year)
    return None


def _bars(
    rows: list[Mapping[str, Any]], names: list[str], axis: str, measure: str, year: str
) -> Chart | None:
    pairs = [
        (name, number(row[measure]))
        for name, row in zip(names, rows, strict=True)
        if not _TOTAL_ROW.fullmatch(name)
    ]
    totals = len(names) - len(pairs)
    ordered = bool(_ORDERED.search(axis))
    if not ordered:  # Python's sort is stable: equal figures stay in the order of the file
        pairs.sort(key=lambda pair: -math.inf if pair[1] is None else pair[1], reverse=True)
    shown = pairs[:MAX_BARS]
    values = [value for _, value in shown if value is not None]
    if len(values) < MIN_POINTS:
        return None
    low, high = min(0.0, *values), max(0.0, *values)
    span = (high - low) or 1.0

    def share(value: float) -> float:
        return round(value / span * 100, 2)

    zero = share(-low)
    return Chart(
        kind="bars",
        measure=measure,
        axis=axis,
        year=year,
        zero=zero,
        points=[
            Point(
                name,
                value,
                start=round(zero + min(share(value or 0.0), 0.0), 2),
                size=abs(share(value or 0.0)),
            )
            for name, value in shown
        ],
        left_out=len(pairs) - len(shown),
        missing=len(shown) - len(values),
        totals=totals,
        sorted=not ordered,
    )


def ticks(low: float, high: float, wanted: int = 4) -> list[float]:
    """Round values of a scale that holds `low` and `high`, lowest first: steps of 1, 2 or 5."""
    span = (high - low) / wanted
    power = 10.0 ** math.floor(math.log10(span)) if span > 1e-12 else 1.0
    step = next(m * power for m in (1, 2, 5, 10) if m * power >= span * 0.999)
    first, last = math.floor(low / step), math.ceil(high / step)
    # The noise of numbers like 0.1 * 3 is cut off.
    digits = max(0, -math.floor(math.log10(step)))
    return [round(n * step, digits) for n in range(first, last + 1)]


def _line(years: list[str], figures: list[Any], wanted: Columns) -> Chart | None:
    found = dict(zip(map(int, years), map(number, figures), strict=True))
    last = max(found)
    # A year without a row is a gap as is a row without a figure.
    start = max(min(found), last - MAX_YEARS + 1)
    series = [(year, found.get(year)) for year in range(start, last + 1)]
    values = [value for _, value in series if value is not None]
    if len(values) < MIN_POINTS:
        return None
    scale = ticks(min(0.0, *values), max(0.0, *values))
    low, high = scale[0], scale[-1]
    span = (high - low) or 1.0

    def height(value: float) -> float:
        return round((high - value) / span * 100, 2)

    return Chart(
        kind="line",
        measure=wanted.measure,
        axis=str(wanted.year),
        zero=height(0.0),
        points=[
            Point(
                str(year),
                value,
                start=round((year - start) / (last - start) * 100, 2),
                size=height(value) if value is not None else 0.0,
            )
            for year, value in series
        ],
        ticks=[(value, height(value)) for value in scale],
        left_out=sum(year < start for year in found),
        missing=len(series) - len(values),
    )
