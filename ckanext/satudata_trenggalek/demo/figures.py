"""Files of made-up figures: real columns, real places, invented numbers; the same at every run."""

from __future__ import annotations

import csv
import datetime as dt
import io
import itertools
import json
import random
from collections.abc import Iterator
from functools import lru_cache
from typing import Any

import xlsxwriter

from ckanext.satudata_trenggalek import schema
from ckanext.satudata_trenggalek.katalog import column, label

Row = dict[str, Any]

MONTHS = (
    "Januari", "Februari", "Maret", "April", "Mei", "Juni", "Juli", "Agustus", "September",
    "Oktober", "November", "Desember",
)  # fmt: skip
#: Columns that say what a row is of, when the entry does not list their values itself.
_TIMES = {
    "bulan": MONTHS,
    "triwulan": ("I", "II", "III", "IV"),
    "semester": ("I", "II"),
    "periode": ("Semester I", "Semester II"),
}
_KECAMATAN = ("kecamatan", "kecamatan_bencana", "nama_kecamatan")
_TOTALS = ("jumlah", "total", "jumlah_total")


@lru_cache(maxsize=1)
def places() -> list[dict[str, str]]:
    """Rows of schemas/vocab/wilayah.csv: jenis, nama, kode_kemendagri, kode_bps, parent."""
    with (schema.FOLDER / "vocab/wilayah.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def columns(katalog: dict[str, Any]) -> dict[str, str]:
    """Column names of a catalogue entry, each once, and what people call them."""
    titles: dict[str, str] = {}
    for of_catalogue in katalog["kolom"]:
        titles.setdefault(column(of_catalogue), label(of_catalogue))
    return titles


def years(entry: dict[str, Any]) -> list[int]:
    """The years that an entry's `tahun` (2021-2025 or 2025) spans."""
    first, _, last = str(entry["tahun"]).partition("-")
    return list(range(int(first), int(last or first) + 1))


def rows(entry: dict[str, Any], names: list[str]) -> Iterator[Row]:
    """The rows of an entry: each year times each of what its columns are of.

    Args:
        entry: of dataset.yaml, with `angka` and `kolom` as explained there.
        names: of the columns.
    """
    rules = dict(entry.get("kolom", {}))
    subjects = [_villages()] if "desa" in names else _dimensions(names, rules)
    known = {key for values in subjects for key in (values[0] if values else ())}
    measures = [name for name in names if name not in known and name != "tahun"]
    derived = {name for name in measures if isinstance(rules.get(name), dict)}
    totals = {name for name in measures if name in _TOTALS and name not in rules}
    for year in years(entry):
        for combination in itertools.product(*subjects):
            row: Row = {"tahun": year}
            for part in combination:
                row |= part
            for name in measures:
                if name not in derived | totals:
                    row[name] = _number(entry, name, row, rules.get(name) or entry["angka"])
            # In their order: a rule may use what an earlier one made.
            for name in [name for name in rules if name in derived]:
                row[name] = _derive(entry, name, rules[name], row)
            for name in totals:
                row[name] = sum(row[n] for n in measures if n not in derived | totals)
            yield {name: row[name] for name in names}


def _dimensions(names: list[str], rules: dict[str, Any]) -> list[list[Row]]:
    found = []
    for name in names:
        rule = rules.get(name)
        if isinstance(rule, list) and isinstance(rule[0], str):
            found.append([{name: value} for value in rule])
        elif name in _KECAMATAN:
            found.append(
                [{name: p["nama"]} | _code(names, p) for p in places() if p["jenis"] == "kecamatan"]
            )
        elif name in _TIMES:
            found.append([{name: value} for value in _TIMES[name]])
    return found


def _villages() -> list[Row]:
    return [
        {"kecamatan": _parent(place), "desa": place["nama"]}
        for place in places()
        if place["jenis"] == "desa"
    ]


def _parent(place: dict[str, str]) -> str:
    return next(
        p["nama"] for p in places() if p["kode_kemendagri"] == place["kode_induk_kemendagri"]
    )


def _code(names: list[str], place: dict[str, str]) -> Row:
    return {"kode_wilayah": place["kode_kemendagri"]} if "kode_wilayah" in names else {}


def _number(entry: dict[str, Any], name: str, row: Row, bounds: list[Any]) -> int | float:
    """A number within bounds that keeps its size over the years, with a trend and some noise."""
    low, high = bounds
    subject = "|".join(value for value in row.values() if isinstance(value, str))
    seed = f"{entry['title']}|{name}|{subject}"
    fixed, yearly = random.Random(seed), random.Random(f"{seed}|{row['tahun']}")
    value = low + (high - low) * fixed.betavariate(2, 3)
    value *= 1 + (row["tahun"] - years(entry)[0]) * fixed.uniform(-0.02, 0.04)
    value = min(max(value * yearly.uniform(0.95, 1.05), low), high)
    if isinstance(low, float):
        return round(value, 4 if high <= 1 else 2)
    # Rare events come and go; what there are some of stays.
    return yearly.randint(0, round(value)) if low == 0 and high <= 30 else round(value)


def _derive(entry: dict[str, Any], name: str, rule: dict[str, Any], row: Row) -> Any:
    if "desa" in rule:
        return sum(1 for village in _villages() if village["kecamatan"] == row["kecamatan"])
    if "hanya" in rule:
        inside = row["kecamatan"] in rule["hanya"]
        return _number(entry, name, row, rule["dari"]) if inside else 0
    if "jumlah" in rule:
        return round(sum(row[name] for name in rule["jumlah"]), 2)
    if "rata" in rule:
        return round(sum(row[name] for name in rule["rata"]) / len(rule["rata"]), 4)
    if "sisa" in rule:
        whole, part = rule["sisa"]
        return row[whole] - row[part]
    if "bagian" in rule:
        whole = row[rule["bagian"]]
        return round(whole * random.Random(f"{name}|{row}").uniform(*rule["dari"]))
    if "kali" in rule:
        product = rule["faktor"]
        for name in rule["kali"]:
            product *= row[name]
        return round(product)
    return next(text for limit, text in rule["kelas"] if row[rule["ambang"]] <= limit)


def as_csv(names: list[str], table: list[Row]) -> bytes:
    """CSV in UTF-8 with CRLF, as RFC 4180 has it."""
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, names)
    writer.writeheader()
    writer.writerows(table)
    return text.getvalue().encode()


def as_xlsx(names: list[str], table: list[Row]) -> bytes:
    """A workbook with one sheet; its bytes are the same at every run."""
    buffer = io.BytesIO()
    with xlsxwriter.Workbook(buffer, {"in_memory": True}) as book:
        book.set_properties({"created": dt.datetime(2026, 1, 2, tzinfo=dt.timezone.utc)})
        sheet = book.add_worksheet("Data")
        sheet.write_row(0, 0, names)
        for number, row in enumerate(table, 1):
            sheet.write_row(number, 0, list(row.values()))
    return buffer.getvalue()


def catalogue(text: str) -> dict[int, dict[str, Any]]:
    """Entries of katalog.jsonl by id."""
    entries = (json.loads(line) for line in text.splitlines())
    return {entry["id"]: entry for entry in entries}
