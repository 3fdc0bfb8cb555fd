"""Offers MS-Variabel for an uploaded table: names from its header, types from its first rows.

What is offered is a beginning for the officer, who sees it marked as a guess. Nothing is stored.
"""

from __future__ import annotations

import functools
import re
from collections import Counter
from typing import Any

import ckan.plugins.toolkit as tk

from . import filetext, personal, schema, tabular, wilayah
from .columns import KINDS

Row = dict[str, Any]

#: How much of a CSV is looked at, in bytes, and of any table, in cells.
SAMPLE = 2 << 20
CELLS = 100_000
#: Share of values that fit a type for the column to be offered as one: "-" stands for nothing.
_MOST = 0.9
#: So many different values make a classification, if each occurs so often on average.
_CLASSES, _REPEATS = 12, 3

#: Words of a name that make a column a code or a number of something: CHARACTER (MS-Var 8).
_CODES = re.compile(
    " (?:kode|kd|id|no|nomor|nomer|nik|nkk|nip|nuptk|npsn|npwp|nisn|nis|nib|nop|telp|telepon|hp|wa"
    "|kodepos|urut) "
)
#: Words of a name -> ukuran (vocab/ukuran.yaml).
_MEASURES = (
    ("persentase", "persentase|presentase|persen|%"),
    ("rata_rata", "rata rata|rerata"),
    ("indeks", "indeks"),
    ("rasio", "rasio"),
    ("total", "jumlah|jml|banyak|banyaknya|total"),
)
#: Types of the catalogue of the portal before this one.
_OLD_TYPES = {
    "angka": "integer",
    "year": "integer",
    "desimal": "float",
    "karakter": "character",
    "text": "character",
    "string": "character",
    "id": "character",
}
#: Abbreviations of units beside those in the brackets of vocab/satuan.yaml.
_UNITS = {
    "m²": "meter_persegi",
    "m³": "meter_kubik",
    "km²": "kilometer_persegi",
    "rp": "rupiah",
    "rp.": "rupiah",
    "kk": "kepala_keluarga",
    "hektar": "hektare",
    "kw": "kuintal",
    "kw/ha": "kuintal_per_hektare",
    "ton/ha": "ton_per_hektare",
}


def rows(columns: list[dict[str, str]]) -> list[Row]:
    """Rows of MS-Variabel for columns of which only names are known.

    Args:
        columns: nama (of the column), judul (as people read it), tipe (words such as
            "Angka/Numerik", or "").

    Returns:
        rows with their filled fields only.
    """
    result = []
    for column in columns:
        word = re.match("[a-z]*", column.get("tipe", "").lower())
        tipe = _OLD_TYPES.get(word[0] if word else "", "")
        if tipe == "integer" and _words(column["nama"])[-1:] == ["ha"]:
            tipe = "float"
        result.append(_row(column["nama"], column.get("judul") or column["nama"], tipe, []))
    return result


def table(path: str, extension: str, year: str = "") -> dict[str, Any]:
    """What is offered for a file.

    Args:
        path: of the file.
        extension: of its name.
        year: that the dataset describes (tahun_data).

    Returns:
        variabel (rows with their filled fields only), tanda_desimal, notes (translated).

    Raises:
        tabular.Rejected: nothing to be read.
    """
    header, sample = tabular.sample(path, extension, SAMPLE, CELLS)
    width = max([len(header), *map(len, sample)])
    labels = [filetext.cell_text(cell) for cell in header] + [""] * (width - len(header))
    if _is_title(labels, sample):
        note = tk._("Baris pertama tampaknya judul tabel. Hapus, lalu unggah kembali berkasnya.")
        return {"variabel": [], "tanda_desimal": "titik", "notes": [note]}
    names = tabular.column_names(labels[: tabular.MAX_COLUMNS])
    cells = [[row[i] if i < len(row) else "" for row in sample] for i in range(len(names))]
    koma, notes = _decimals(Counter(str(v) for column in cells for v in column if v))
    variabel = []
    for name, label, column in zip(names, labels, cells, strict=False):
        values = [text for cell in column if (text := filetext.cell_text(cell, koma).strip())]
        variabel.append(_row(name, label, _type(name, values, koma), values, year))
        if personal.is_personal_name(label) or any(map(personal.is_personal, values)):
            notes.append(
                tk._(
                    "Kolom “{column}” tampaknya berisi NIK atau nomor KK. Hapus dari berkas sebelum"
                    " dataset diajukan."
                ).format(column=name if not personal.is_personal(name) else "-")
            )
    return {"variabel": variabel, "tanda_desimal": "koma" if koma else "titik", "notes": notes}


def _is_title(labels: list[str], sample: list[list[Any]]) -> bool:
    named = sum(1 for label in labels if label)
    filled = max((sum(1 for c in row if c not in ("", None)) for row in sample[:3]), default=0)
    return tabular.is_title(named, filled, len(labels))


# Decimal sign and types --------------------------------------------------------------------------

#: Numbers that can only be read one way: with a decimal `sign` and thousands after `mark`.
_CLEAR = (
    r"-?(?:[0-9]+{sign}(?:[0-9]{{1,2}}|[0-9]{{4,}})|0{sign}[0-9]+"
    r"|[0-9]{{1,3}}(?:{mark}[0-9]{{3}})+{sign}[0-9]+|[0-9]{{1,3}}(?:{mark}[0-9]{{3}}){{2,}})"
)
_POINT, _COMMA = (
    re.compile(_CLEAR.format(sign=sign, mark=mark)) for sign, mark in ((r"\.", ","), (",", r"\."))
)
#: 1.234 and 1,234: thousands, if nothing in the table says otherwise.
_THOUSANDS_POINT, _THOUSANDS_COMMA = (
    re.compile(f"-?[1-9][0-9]{{0,2}}{mark}[0-9]{{3}}") for mark in (r"\.", ",")
)


def _decimals(values: Counter[str]) -> tuple[bool, list[str]]:
    """Whether decimals stand after a comma, and what the officer should look at."""

    def count(pattern: re.Pattern[str]) -> int:
        return sum(n for value, n in values.items() if pattern.fullmatch(value.strip()))

    point, comma = count(_POINT), count(_COMMA)
    if point or comma:
        return comma > point, []
    koma = count(_THOUSANDS_POINT) > count(_THOUSANDS_COMMA)
    if not koma and not count(_THOUSANDS_COMMA):
        return False, []
    example, meaning = ("1.234", "1234") if koma else ("1,234", "1234")
    note = tk._(
        "Angka seperti {example} dibaca sebagai {meaning} (pemisah ribuan). Ganti tanda desimalnya"
        " bila itu pecahan."
    )
    return koma, [note.format(example=example, meaning=meaning)]


def _type(name: str, values: list[str], koma: bool) -> str:
    """The type of a column (vocab/tipe_data.yaml); "" where there are no values."""
    if not values:
        return ""
    counts = Counter(values)
    words = f" {' '.join(_words(name))} "
    # A number with a leading zero is a code.
    if any(re.fullmatch("0[0-9]+", value) for value in counts):
        return "character"
    if _CODES.search(words) and not _measure(words):
        return "character"
    for tipe in ("date", "integer", "float"):
        fit = sum(n for value, n in counts.items() if KINDS[tipe].fits_text(value, koma))
        if fit >= _MOST * len(values):
            return tipe
    return "character"


# Rows --------------------------------------------------------------------------------------------


def _words(name: str) -> list[str]:
    return re.sub("[^a-z0-9%]+", " ", name.lower()).split()


def _row(name: str, label: str, tipe: str, values: list[str], year: str = "") -> Row:
    """What is offered for a column; `values` are those of the sample that are not blank."""
    plain = " ".join(_words(re.sub(r"\([^()]*\)", " ", label) or name))
    known = _known(plain, " ".join(_words(name)), tipe)
    system = _system(values, known.get("kode_referensi", ""))
    if system in wilayah.CODES:
        tipe = "character"
    general = _general(known.get("tipe_data") or tipe or "character")
    offered: Row = {
        "nama": name,
        "alias": _alias(name, label),
        "referensi_waktu": f"Tahun {year}" if year else "",
        "tipe_data": tipe,
        **general,
        **_measured(label, name, known.get("tipe_data") or tipe),
        "kalimat_pertanyaan": "-",
        "akses_umum": "2" if personal.is_personal_name(label) else "1",
        **known,
        "kode_referensi": system,
    }
    if system and not known.get("kode_referensi"):
        item = next(i for i in _items() if i["isi"].get("kode_referensi") == system)
        offered |= item["isi"]
    classes = _classes(values) if offered["klasifikasi_isian"] == "-" else ""
    if classes and offered["tipe_data"] == "character":
        offered["klasifikasi_isian"] = classes
        offered["aturan_validasi"] = "Salah satu dari klasifikasi isian"
    return {key: value for key, value in offered.items() if value}


def _items() -> list[dict[str, Any]]:
    return schema.vocab("variabel_umum")


def _general(tipe: str) -> Row:
    """What can be said of any column of a type."""
    return dict(next(item["isi"] for item in _items() if item.get("tipe") == tipe))


def _known(label: str, name: str, tipe: str) -> Row:
    """What is said of a well-known column; {} for others, and where the type is another."""
    for item in _items():
        if "pola" not in item or not any(re.fullmatch(item["pola"], t) for t in (label, name)):
            continue
        if not tipe or tipe in item.get("hanya", (tipe,)):
            return dict(item["isi"])
    return {}


def _system(values: list[str], named: str) -> str:
    """The list of areas that the values are of; `named` is what the name of the column says."""
    if not values:
        return named
    different = list(dict.fromkeys(values))[:500]

    def share(system: str) -> float:
        # Two desa of a name, and codes that are not listed yet, are of the list all the same.
        known = ("nama_ganda", "belum_ada")
        wrong = [
            value
            for value in different
            if any(problem not in known for _, problem, _ in wilayah.check((system,), (value,)))
        ]
        return 1 - len(wrong) / len(different)

    if named:
        return named if share(named) >= 0.5 else ""
    return next((s for s in wilayah.CODES if share(s) >= 0.8 and len(different) > 1), "")


def _alias(name: str, label: str) -> str:
    text = " ".join((label or name).replace("_", " ").split())
    text = text[:1].upper() + text[1:]
    return text if text.casefold() != name.casefold() else "-"


def _classes(values: list[str]) -> str:
    counts = Counter(values)
    if not 1 < len(counts) <= _CLASSES or len(values) < _REPEATS * len(counts):
        return ""
    if any(len(value) > 60 or personal.is_personal(value) for value in counts):
        return ""
    return "; ".join(counts)


def _measured(label: str, name: str, tipe: str) -> Row:
    """Ukuran and satuan of a column of numbers, where name or header tell both."""
    if tipe not in ("integer", "float"):
        return {}
    words = f" {' '.join(_words(label))} {' '.join(_words(name))} "
    ukuran = _measure(words)
    satuan = "persen" if ukuran == "persentase" else _unit(label, name)
    return {"ukuran": ukuran or "total", "satuan": satuan} if satuan else {}


def _measure(words: str) -> str:
    """Code of the ukuran that the words of a name tell, "" for none."""
    return next((u for u, pattern in _MEASURES if re.search(f" (?:{pattern}) ", words)), "")


def _unit(label: str, name: str) -> str:
    """Code of the unit in brackets of a header or at the end of a name; "" for none."""
    for text in re.findall(r"\(([^()]*)\)", label):
        if unit := _units().get(text.strip().lower()):
            return unit
    words = _words(name)
    for count in (2, 1):
        if len(words) > count:
            for joint in ("/", " "):
                if unit := _units().get(joint.join(words[-count:])):
                    return unit
    return ""


@functools.cache
def _units() -> dict[str, str]:
    """Codes of vocab/satuan.yaml by their names and by what stands in their brackets."""
    units = dict(_UNITS)
    for item in schema.vocab("satuan"):
        name, _, short = item["label"]["id"].lower().partition(" (")
        for text in (item["value"].replace("_", " "), name, short.rstrip(")")):
            units.setdefault(text, item["value"])
    for nothing in ("", "-", "tanpa satuan"):
        units.pop(nothing, None)
    return units
