"""Looks at every value of a table before it is loaded: types, personal data, kode wilayah.

DuckDB counts; the rows are looked up only where something was counted. Nothing of a value leaves
this module: what is told are columns, rows and numbers.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from . import personal, schema, tabular, wilayah
from .columns import BIGINT_DIGITS, KINDS, Kind
from .findings import FEW, Finding, Tally, shown_name

Row = dict[str, Any]
#: Rows that Python takes from DuckDB at a time.
_BATCH = 10_000


@dataclass
class Column:
    """A column as it is to be loaded.

    Attributes:
        name: in the DataStore.
        type: of PostgreSQL.
        sql: DuckDB's expression of its values, as text that the type reads.
        info: for the data dictionary: label, notes, unit (where there is something to say).
    """

    name: str
    type: str
    sql: str
    info: dict[str, str]


@dataclass
class Plan:
    """What is to be loaded, and what was found."""

    columns: list[Column]
    findings: list[Finding]


def declared(names: list[str], variabel: list[Row]) -> list[Row]:
    """The row of MS-Variabel of each column; {} where there is none. Case does not matter."""
    rows = {str(row.get("nama") or "").casefold(): row for row in reversed(variabel)}
    return [rows.get(name.casefold(), {}) for name in names]


def commas(variabel: list[Row], koma: bool) -> set[str]:
    """Columns whose numbers stand with a decimal comma, also those of Excel's own cells."""
    numbers = (row for row in variabel if row.get("tipe_data") in ("integer", "float"))
    return {str(row.get("nama")) for row in numbers} if koma else set()


def examine(source: tabular.Source, variabel: list[Row], koma: bool) -> Plan:
    """Decide what each column becomes, and say what is wrong with the table.

    Args:
        source: the file as a table.
        variabel: rows of MS-Variabel of its resource.
        koma: whether its decimals stand after a comma (tanda_desimal).
    """
    rows = declared(source.names, variabel)
    findings = list(source.findings)
    first = source.execute(f"SELECT * FROM {source.table} LIMIT 1").fetchone()
    title = _title(source.labels, first)
    findings += title
    # Names that are none would only be told one by one.
    if variabel and not title and not any(f["blocking"] for f in _merged(findings)):
        findings += _unmatched(source.names, rows, variabel)
    counter = _Counter(source)
    kinds = [KINDS.get(str(row.get("tipe_data"))) for row in rows]
    for i, kind in enumerate(kinds):
        if kind:
            counter.add(("tipe", i), f"NOT {kind.fits(f'c{i}', koma)}")
            if not kind.calendar:
                counter.add(("zero", i), f"regexp_matches(c{i}, '^\\s*-?0[0-9]')")
        counter.add(("data_pribadi", i), _personal_values(f"c{i}", source.labels[i]))
        if personal.is_personal(source.labels[i]):
            findings.append(
                Tally(1).finding("data_pribadi", blocking=True, header=True, number=i + 1)
            )
    found = counter.found()
    for (what, i), tally in found.items():
        name = shown_name(source.names[i], i + 1)
        if what == "data_pribadi":
            findings.append(tally.finding(what, column=name, blocking=True))
        elif what == "tipe":
            findings.append(
                tally.finding(
                    what,
                    column=name,
                    declared=rows[i]["tipe_data"],
                    zero=("zero", i) in found,
                    blocking=False,
                )
            )
    for i in range(len(kinds)):
        if ("tipe", i) in found:
            kinds[i] = None
    wide = _wide(source, kinds, koma)
    findings += _areas(source, rows)
    columns = [
        Column(
            name,
            "text" if not kind else "numeric" if i in wide else kind.postgres,
            kind.cast(f"c{i}", koma) if kind else f"c{i}",
            _info(name, source.labels[i], rows[i]),
        )
        for i, (name, kind) in enumerate(zip(source.names, kinds, strict=True))
    ]
    return Plan(columns, findings)


def _title(labels: list[str], first: tuple[Any, ...] | None) -> list[Finding]:
    """A title instead of names of columns."""
    named = sum(1 for label in labels if label)
    filled = sum(1 for cell in first or () if cell)
    if not tabular.is_title(named, filled, len(labels)):
        return []
    return [Tally(named).finding("baris_judul", columns=len(labels), blocking=True)]


def _merged(findings: list[Finding]) -> Iterator[Finding]:
    return (finding for finding in findings if finding["kind"] == "sel_gabung")


def _unmatched(names: list[str], rows: list[Row], variabel: list[Row]) -> Iterator[Finding]:
    """Columns without variable, and variables without column."""
    alone = [
        shown_name(n, i) for i, (n, row) in enumerate(zip(names, rows, strict=True), 1) if not row
    ]
    if alone:
        yield Tally(len(alone)).finding("kolom_tanpa_variabel", names=alone[:FEW], blocking=True)
    known = {name.casefold() for name in names}
    for number, row in enumerate(variabel):
        name = str(row.get("nama") or "")
        if name and name.casefold() not in known:
            yield Tally(1).finding(
                "variabel_tanpa_kolom",
                column=shown_name(name, number + 1),
                variabel=number,
                blocking=True,
            )


def _personal_values(column: str, label: str) -> str:
    if personal.is_personal_name(label):
        # Masked or numbered, it is still theirs; "-" and "***" are nothing.
        return f"regexp_matches({column}, '[0-9]')"
    long = f"length({column}) >= {personal.SHORTEST}"
    return f"{long} AND regexp_matches({column}, '{personal.PATTERN}')"


class _Counter:
    """Conditions on rows: all are counted at once, then rows are looked up of those that hold."""

    def __init__(self, source: tabular.Source) -> None:
        self.source = source
        self.conditions: dict[tuple[str, int], str] = {}

    def add(self, key: tuple[str, int], condition: str) -> None:
        self.conditions[key] = condition

    def found(self) -> dict[tuple[str, int], Tally]:
        """Tally of each condition that holds somewhere."""
        counts = self._row(
            [f"count(*) FILTER ({c})" for c in self.conditions.values()], self.source.table
        )
        held = [key for key, count in zip(self.conditions, counts, strict=True) if count]
        if not held:
            return {}
        rows = self._row(
            [f"min(rn, {FEW}) FILTER ({self.conditions[key]})" for key in held],
            _numbered(self.source),
        )
        counted = dict(zip(self.conditions, counts, strict=True))
        return {key: Tally(counted[key], list(few)) for key, few in zip(held, rows, strict=True)}

    def _row(self, expressions: list[str], table: str) -> tuple[Any, ...]:
        query = f"SELECT {', '.join(expressions)} FROM {table}"
        return self.source.execute(query).fetchone() or ()


def _numbered(source: tabular.Source) -> str:
    """The rows, each with its number `rn`, for FROM: DuckDB counts them in one thread."""
    return f"(SELECT row_number() OVER () AS rn, * FROM {source.table})"


def _wide(source: tabular.Source, kinds: list[Kind | None], koma: bool) -> set[int]:
    """Positions of the columns of whole numbers that a bigint does not hold."""
    whole = [i for i, kind in enumerate(kinds) if kind and kind.postgres == "bigint"]
    if not whole:
        return set()
    digits = ", ".join(
        f"max(length(ltrim({KINDS['integer'].cast(f'c{i}', koma)}, '-')))" for i in whole
    )
    longest = source.execute(f"SELECT {digits} FROM {source.table}").fetchone() or ()
    return {i for i, n in zip(whole, longest, strict=True) if (n or 0) > BIGINT_DIGITS}


def _areas(source: tabular.Source, rows: list[Row]) -> list[Finding]:
    """What is wrong with kode wilayah and names; each different row is looked at once."""
    positions = [i for i, row in enumerate(rows) if row.get("kode_referensi") in wilayah.SYSTEMS]
    if not positions:
        return []
    systems = [str(rows[i]["kode_referensi"]) for i in positions]
    cells = ", ".join(f"trim(c{i})" for i in positions)
    query = f"SELECT {cells}, count(*), min(rn, {FEW}) FROM {_numbered(source)} GROUP BY ALL"
    tallies: dict[tuple[int, str], Tally] = {}
    names: dict[tuple[int, str], list[str]] = {}
    result = source.execute(query)
    while batch := result.fetchmany(_BATCH):
        for *values, count, few in batch:
            for position, problem, desa in wilayah.check(systems, values):
                key = (position, problem)
                tallies.setdefault(key, Tally()).merge(count, few)
                told = names.setdefault(key, [])
                told += [name for name in desa if name not in told]
    return [
        tally.finding(
            "kode_wilayah",
            column=shown_name(source.names[positions[position]], positions[position] + 1),
            reason=problem,
            declared=systems[position],
            blocking=False,
            **({"names": names[position, problem]} if names[position, problem] else {}),
        )
        for (position, problem), tally in sorted(tallies.items())
    ]


def _info(name: str, label: str, row: Row) -> dict[str, str]:
    """What the data dictionary says of a column."""
    alias = str(row.get("alias") or "")
    alias = "" if alias == "-" else alias
    units = {item["value"]: item["label"]["id"] for item in schema.vocab("satuan")}
    info = {
        "label": alias or (label if label != name else ""),
        "notes": str(row.get("definisi") or ""),
        "unit": units.get(str(row.get("satuan") or ""), ""),
    }
    return {key: text for key, text in info.items() if text}
