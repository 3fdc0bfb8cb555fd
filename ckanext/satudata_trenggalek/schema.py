"""The schemas: code lists, what a value must look like, what `ajukan` needs.

Everything is declared in the YAML of the package ``schemas`` and read from there: ckanext-scheming
makes the forms of it, this module the rules. One rule serves the save (logic/validators.py) and
the submission (`blockers`), so that a code that has meanwhile left its list is found before
Walidata finds it. schema_files.py reads the YAML, schema_check.py checks it, schema_export.py
writes it as JSON Schema and as a table.
"""

from __future__ import annotations

import contextlib
import datetime
import functools
import json
import re
import unicodedata
from collections.abc import Callable, Iterator
from typing import Any, NoReturn

import ckan.plugins.toolkit as tk
from ckan.logic.validators import email_pattern

from ckanext.satudata_trenggalek.schema_files import FOLDER as FOLDER
from ckanext.satudata_trenggalek.schema_files import TYPES as TYPES
from ckanext.satudata_trenggalek.schema_files import Field, by_name, fields, vocab
from ckanext.satudata_trenggalek.schema_files import SchemaError as SchemaError
from ckanext.satudata_trenggalek.schema_files import find as find

Row = dict[str, Any]
Value = str | list[str] | list[Row]

PRINCIPLES = ("standar_data", "metadata", "interoperabilitas", "kode_referensi")
# Years and dates outside are slips of the keyboard; projections reach to 2100.
FIRST_YEAR, LAST_YEAR = 1900, 2100


def satudata_vocab_choices(field: Field) -> list[dict[str, Any]]:
    """Template helper: choices of a field for ckanext-scheming (`choices_helper`)."""
    return vocab(field["vocab"])


@functools.cache
def _codes(name: str) -> dict[str, dict[str, str]]:
    """Labels of a code list by code, in order."""
    return {choice["value"]: choice["label"] for choice in vocab(name)}


def choice_label(field: Field, code: object) -> str:
    """What a code of the field means, in the reader's language; an unknown code as it is."""
    labels = _codes(field["vocab"]).get(str(code))
    return text(labels) if labels else str(code)


def principles(type_: str = "dataset") -> dict[str, list[Field]]:
    """Fields under the four principles of Perpres 39/2019 Pasal 3, in form order."""
    return {
        principle: [f for f in fields(type_) if f.get("prinsip") == principle]
        for principle in PRINCIPLES
    }


# --- Values --------------------------------------------------------------------------------------


def text(labels: dict[str, str]) -> str:
    """The wording of a label in the reader's language, else in Indonesian."""
    try:
        language = tk.h.lang()
    except (AttributeError, RuntimeError):  # no request: background job, command line, unit test
        language = None
    return labels.get(language or "id") or labels["id"]


def named(field: Field) -> str:
    """Label of a field, with the number it has in the forms of BPS."""
    item = str(field.get("bps_item", ""))
    return f"{item} {text(field['label'])}" if item[-1:].isdigit() else text(field["label"])


class RowsInvalid(tk.Invalid):
    """Rows that can't be saved.

    Attributes:
        messages: sentences that name row (from 1) and item.
        cells: the bare message by row (from 0) and subfield.
    """

    def __init__(self, messages: list[str], cells: dict[tuple[int, str], str]):
        super().__init__(" ".join(messages))
        self.messages, self.cells = messages, cells


def _refuse(message: str, field: Field, **values: object) -> NoReturn:
    raise tk.Invalid(message.format(label=named(field), **values))


def _short(value: object) -> str:
    shown = str(value)
    return shown if len(shown) <= 60 else f"{shown[:60]}..."


# Left by word processors and never meant: soft hyphen, zero-width space, word joiner, BOM.
_INVISIBLE = dict.fromkeys([0x00AD, 0x200B, 0x2060, 0xFEFF])
# Control characters, halves of characters, and marks that make text read other than it is stored.
_UNSEEN = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff\u202a-\u202e\u2066-\u2069]")
LARGEST = 10**15 - 1  # what a program may send as a number; JavaScript's are exact up to here


def numeric(field: Field) -> bool:
    """Whether a program may send a number: ``2024`` for a year, but not for a code such as 007."""
    kind = field.get("jenis", "teks")
    return kind in ("tahun", "bilangan", "pilihan", "pilihan_banyak") or (
        kind in ("teks", "paragraf") and "pola" not in field
    )


def _paragraf(field: Field, value: object) -> str:
    if isinstance(value, float) and value.is_integer():
        value = int(value)  # JSON knows no difference
    if isinstance(value, int) and not isinstance(value, bool) and numeric(field):
        if abs(value) > LARGEST:
            _refuse(tk._("{label} terlalu besar. Tulis sebagai teks."), field)
    elif not isinstance(value, str):
        _refuse(tk._("{label} harus berupa teks."), field)
    limit = field.get("maks", 300)
    # Markup stays as typed: "<" is a sign of statistics, and the pages escape it.
    raw = str(value)
    if len(raw) > limit:
        message = tk._("{label} terlalu panjang: {n} karakter, paling banyak {limit}. Ringkas.")
        _refuse(message, field, n=len(raw), limit=limit)
    raw = re.sub("\r\n?|\u2028|\u2029", "\n", raw)
    if unseen := _UNSEEN.search(raw):
        message = tk._(
            "{label} memuat karakter yang tidak tampak (U+{code:04X})."
            " Hapus dan ketik ulang bagian itu."
        )
        _refuse(message, field, code=ord(unseen[0]))
    if not raw.isascii():
        raw = unicodedata.normalize("NFC", raw.translate(_INVISIBLE))
    return raw.strip()


def _teks(field: Field, value: object) -> str:
    line = " ".join(_paragraf(field, value).split())
    if line and "pola" in field and not re.fullmatch(field["pola"], line, re.ASCII):
        message = tk._('{label} "{value}" tidak sesuai bentuknya. {remedy}')
        _refuse(message, field, value=_short(line), remedy=text(field["pola_pesan"]))
    return line


def _pilihan(field: Field, value: object) -> str:
    code = _teks(field, value)
    if code and code not in _codes(field["vocab"]):
        message = tk._(
            'Kode "{value}" tidak ada dalam daftar {label}.'
            " Pilih dari daftar, atau minta Walidata menambahkannya."
        )
        _refuse(message, field, value=_short(code))
    return code


def _pilihan_banyak(field: Field, value: object) -> list[str]:
    codes = {_pilihan(field, v) for v in (value if isinstance(value, list) else [value])}
    return [code for code in _codes(field["vocab"]) if code in codes]


def _bilangan(field: Field, value: object) -> str:
    number = _teks(field, value)
    if number and not re.fullmatch("[0-9]+", number):
        message = tk._(
            '{label} "{value}" bukan bilangan. Tulis dengan angka saja, tanpa titik, misalnya 14.'
        )
        _refuse(message, field, value=_short(number))
    return str(int(number)) if number else ""


REFERENCE = "[A-Za-z0-9_-]{2,100}"


def _kegiatan(field: Field, value: object) -> str:
    reference = _teks(field, value)
    # An id or name; whether there is such a kegiatan is asked where the dataset is saved.
    if reference and not re.fullmatch(REFERENCE, reference):
        message = tk._('{label} "{value}" bukan kegiatan. Pilih dari daftar kegiatan.')
        _refuse(message, field, value=_short(reference))
    return reference


def _tanggal(field: Field, value: object) -> str:
    day = _teks(field, value)
    if not day:
        return day
    try:
        if not re.fullmatch("[0-9]{4}-[0-9]{2}-[0-9]{2}", day):
            raise ValueError
        if not FIRST_YEAR <= datetime.date.fromisoformat(day).year <= LAST_YEAR:
            raise ValueError
    except ValueError:
        message = tk._(
            '{label} "{value}" bukan tanggal yang benar.'
            " Tulis tahun-bulan-hari, misalnya 2027-01-31."
        )
        _refuse(message, field, value=_short(day))
    return day


def _tahun(field: Field, value: object) -> str:
    year = _teks(field, value)
    if not year:
        return year
    match = re.fullmatch("([0-9]{4})(?: ?(?:-|\u2013|\u2014|s\\.d\\.|s/d) ?([0-9]{4}))?", year)
    first, last = (int(y) for y in (match[1], match[2] or match[1])) if match else (1, 0)
    if not FIRST_YEAR <= first <= last <= LAST_YEAR:
        message = tk._(
            '{label} "{value}" tidak sesuai bentuknya. Tulis empat angka, atau rentang dari tahun'
            " awal ke tahun akhir, misalnya 2024 atau 2021-2025."
        )
        _refuse(message, field, value=_short(year))
    return str(first) if first == last else f"{first}-{last}"


def _email(field: Field, value: object) -> str:
    address = _teks({"maks": 254, **field}, value)
    if address and not (email_pattern.match(address) and "." in address.rpartition("@")[2]):
        message = tk._(
            '{label} "{value}" bukan alamat surel yang benar.'
            " Tulis seperti dinkes@trenggalekkab.go.id."
        )
        _refuse(message, field, value=_short(address))
    return address


# The name of an uploaded file, or an address of the web: no ``javascript:`` and its like.
ADDRESS = (
    "[Hh][Tt][Tt][Pp][Ss]?://[A-Za-z0-9][A-Za-z0-9._-]*(:[0-9]{1,5})?([/?#].*)?"
    "|(?![A-Za-z][A-Za-z0-9+.-]*:|//).*"
)


def _tautan(field: Field, value: object) -> str:
    address = _teks(field, value)
    if not re.fullmatch(ADDRESS, address):
        message = tk._(
            '{label} "{value}" tidak dapat dipakai.'
            " Unggah berkasnya, atau tulis alamat yang diawali https://."
        )
        _refuse(message, field, value=_short(address))
    return address


def _listed(field: Field, value: object) -> list[Row]:
    """The rows, not yet looked into.

    Raises:
        tk.Invalid: no list, too many rows.
        RowsInvalid: rows that are no mappings.
    """
    if value in (None, tk.missing, ""):
        return []
    if not isinstance(value, list):
        _refuse(tk._("{label} harus berupa daftar baris."), field)
    if len(value) > field["paling_banyak"]:
        message = tk._("{label} terlalu banyak: {n} baris, paling banyak {limit}. Kurangi.")
        _refuse(message, field, n=len(value), limit=field["paling_banyak"])
    message = tk._("Baris {row}: {label} harus berupa pasangan nama butir dan isinya.")
    label = named(field)
    wrong = [n for n, row in enumerate(value, 1) if not isinstance(row, dict)]
    if wrong:
        raise RowsInvalid([message.format(row=n, label=label) for n in wrong[:_TOLD]], {})
    return value


# So many problems of rows are told at once; a table of 500 bad rows needs no 7,500 sentences.
_TOLD = 50


def in_row(number: int, field: Field, message: str) -> str:
    """A message about a subfield, with the row (from 0) and the item it is about."""
    name = named(field)
    if not message.startswith(name):
        message = f"{name}: {message}"
    return tk._("Baris {row}, {message}").format(row=number + 1, message=message)


def _berulang(field: Field, value: object) -> list[Row]:
    subfields = {f["field_name"]: f for f in field["butir"]}
    result: list[Row] = []
    messages: list[str] = []
    cells: dict[tuple[int, str], str] = {}
    for number, row in enumerate(_listed(field, value)):
        for key in [key for key in row if key not in subfields]:
            message = tk._(
                'Baris {row}: butir "{key}" tidak dikenal dalam {label}. Hapus butir itu.'
            )
            messages.append(message.format(row=number + 1, key=_short(key), label=named(field)))
        tidy: Row = {}
        for name, subfield in subfields.items():
            try:
                if cell := clean(subfield, row.get(name)):
                    tidy[name] = cell
            except tk.Invalid as e:
                cells[number, name] = e.error
                messages.append(in_row(number, subfield, e.error))
        if tidy:
            result.append(tidy)
    if messages:
        more = len(messages) - _TOLD
        if more > 0:
            messages[_TOLD:] = [tk._("Dan {n} kesalahan lain.").format(n=more)]
        raise RowsInvalid(messages, cells)
    return result


KINDS: dict[str, Callable[[Field, object], Value]] = {
    "teks": _teks,
    "paragraf": _paragraf,
    "pilihan": _pilihan,
    "pilihan_banyak": _pilihan_banyak,
    "tanggal": _tanggal,
    "tahun": _tahun,
    "bilangan": _bilangan,
    "email": _email,
    "tautan": _tautan,
    "kegiatan": _kegiatan,
    "berulang": _berulang,
}


def clean(field: Field, value: object) -> Value:
    """A field's value as it is to be stored; "" when nothing was given.

    Args:
        field: the field with its preset expanded; its `jenis` names the rule.
        value: what a form or a program sent.

    Returns:
        Text, a list of codes, or for `berulang` the rows that hold something, each with only its
        filled subfields.

    Raises:
        tk.Invalid: with a sentence that names the field and the remedy.
        RowsInvalid: likewise, for what is wrong inside rows.
    """
    if value in (None, tk.missing, "", []):
        return ""
    return KINDS[field.get("jenis", "teks")](field, value) or ""


def _stored(value: object) -> object:
    """A list that is stored as JSON text; anything else as it is."""
    if isinstance(value, str) and value.startswith("["):
        with contextlib.suppress(ValueError, RecursionError):
            return json.loads(value)
    return value


def rows(field: Field, value: object) -> list[Row]:
    """The rows of a repeating block, whatever is stored; for reading, so it refuses nothing."""
    value = _stored(value)
    return [row for row in value if isinstance(row, dict)] if isinstance(value, list) else []


def cell_errors(field: Field, value: object) -> dict[tuple[int, str], str]:
    """What is wrong in which cell, by row (from 0) and subfield: for a form that was refused."""
    try:
        clean(field, value)
    except RowsInvalid as e:
        return e.cells
    except tk.Invalid:
        pass
    return {}


_FLAT = re.compile("([a-z][a-z0-9_]*)-([0-9]{1,6})-([a-z][a-z0-9_]*)")


def expand(data: dict[str, Any], type_: str) -> None:
    """Turn the keys of a form into rows, in place: ``indikator-2-nama`` is the nama of row 2.

    Rows come in the order of their numbers (which may have gaps), or of `urutan`, the place (from
    1) that was typed where no script can move a row; blank ones are dropped. A single ticked box,
    which a form sends as text, becomes a list.
    """
    _expand(data, type_, "dataset_fields")
    resources = data.get("resources")
    for resource in resources if isinstance(resources, list) else []:
        if isinstance(resource, dict):
            _expand(resource, type_, "resource_fields")


def _expand(item: dict[str, Any], type_: str, group: str) -> None:
    for field in fields(type_, group):
        name, value = field["field_name"], item.get(field["field_name"])
        if field.get("jenis") == "pilihan_banyak" and isinstance(value, str) and value:
            item[name] = [value]
    found: dict[str, dict[int, Row]] = {}
    for key in [key for key in item if isinstance(key, str) and "-" in key]:
        match = _FLAT.fullmatch(key)
        field = by_name(type_, group).get(match[1]) if match else None
        if match and field and field.get("jenis") == "berulang":
            found.setdefault(match[1], {}).setdefault(int(match[2]), {})[match[3]] = item.pop(key)
    for name, by_number in found.items():
        places = {
            number: _place(number, row.pop("urutan", "")) for number, row in by_number.items()
        }
        item[name] = [
            by_number[number]
            for number in sorted(by_number, key=lambda number: (places[number], number))
            if any(v.strip() if isinstance(v, str) else v for v in by_number[number].values())
        ]


def _place(number: int, typed: object) -> tuple[int, int]:
    """Where a row goes: the place typed for it, before or after the row that is there now."""
    place = (
        int(typed) - 1 if isinstance(typed, str) and re.fullmatch("[0-9]{1,6}", typed) else number
    )
    return place, (place > number) - (place < number)


# --- Submission ----------------------------------------------------------------------------------


def _holds(condition: dict[str, Any], item: dict[str, Any]) -> bool:
    value = _stored(item.get(condition["field"]))
    values = [str(v).strip() for v in (value if isinstance(value, list) else [value]) if v]
    if "in" in condition:
        return any(v in condition["in"] for v in values)
    if "pola" in condition:
        return any(re.fullmatch(condition["pola"], v) for v in values)
    return any(values) and condition.get("not") not in values


def conditions(field: Field) -> list[dict[str, Any]]:
    """The conditions of `tampil`, all of which must hold."""
    rule = field.get("tampil", [])
    return rule if isinstance(rule, list) else [rule]


def shown(field: Field, item: dict[str, Any]) -> bool:
    """Whether the field applies, by the skip rules of the form.

    Args:
        field: of `fields`, or a subfield.
        item: the dataset or resource, or for a subfield the row.
    """
    return all(_holds(condition, item) for condition in conditions(field))


def needed(field: Field, item: dict[str, Any]) -> bool:
    """Whether `ajukan` needs the field, given that it is shown."""
    rule = field.get("ajukan", False)
    return rule if isinstance(rule, bool) else _holds(rule["if"], item)


def _missing(field: Field) -> str:
    if field.get("jenis") in ("pilihan", "pilihan_banyak", "kegiatan"):
        message = tk._("{label} belum dipilih{reason}. Pilih dari daftar, misalnya: {example}.")
    elif "upload_field" in field:
        message = tk._("{label} belum diunggah{reason}. Unggah berkasnya, misalnya: {example}.")
    else:
        message = tk._("{label} belum diisi{reason}. Isi, misalnya: {example}.")
    rule = field["ajukan"]
    return message.format(
        label=named(field),
        reason=f", {text(rule['alasan'])}" if isinstance(rule, dict) else "",
        example=text(field["contoh"]).rstrip("."),
    )


def _superfluous(field: Field, siblings: list[Field]) -> str:
    reasons = []
    for condition in conditions(field):
        other = next(f for f in siblings if f["field_name"] == condition["field"])
        codes = f" {tk._('atau')} ".join(choice_label(other, code) for code in condition["in"])
        reasons.append(f"{named(other)}: {codes}")
    message = tk._("{label} hanya diisi bila {reason}. Kosongkan.")
    return message.format(label=named(field), reason=f", {tk._('dan')} ".join(reasons))


def _too_early(field: Field, siblings: list[Field]) -> str:
    start = next(f for f in siblings if f["field_name"] == field["sesudah"])
    message = tk._("{label} mendahului {start}. Perbaiki salah satu tanggalnya.")
    return message.format(label=named(field), start=named(start))


def _item_blockers(
    siblings: list[Field], item: dict[str, Any], prefix: str = "", has_file: bool = False
) -> Iterator[tuple[str, Field, str]]:
    """Field path, field and message of all that is wrong in one dataset, resource or row."""
    for field in siblings:
        name, value = field["field_name"], item.get(field["field_name"])
        repeating = field.get("jenis") == "berulang"
        try:
            given: Any = _listed(field, value) if repeating else clean(field, value)
        except RowsInvalid as e:
            for message in e.messages:
                yield prefix + name, field, message
            continue
        except tk.Invalid as e:
            yield prefix + name, field, e.error
            continue
        given = given if any(given) else ""  # rows may all be blank
        if not shown(field, item):
            if given:
                yield prefix + name, field, _superfluous(field, siblings)
        elif not (given or (has_file and "upload_field" in field)):
            if needed(field, item):
                yield prefix + name, field, _missing(field)
        elif "sesudah" in field and str(item.get(field["sesudah"]) or "") > given:
            yield prefix + name, field, _too_early(field, siblings)
        elif repeating:
            yield from _row_blockers(field, given, f"{prefix}{name}/")


def _row_blockers(field: Field, given: list[Row], prefix: str) -> Iterator[tuple[str, Field, str]]:
    unique = field.get("unik", "")
    seen: dict[str, int] = {}
    for number, row in enumerate(given):
        for path, subfield, message in _item_blockers(field["butir"], row, f"{prefix}{number}/"):
            yield path, subfield, in_row(number, subfield, message)
        folded = " ".join(str(row.get(unique) or "").split()).casefold()
        if folded and folded in seen:
            subfield = next(f for f in field["butir"] if f["field_name"] == unique)
            message = tk._('"{value}" sudah dipakai di baris {row}. Ganti salah satunya.')
            message = message.format(value=_short(row[unique]), row=seen[folded] + 1)
            yield f"{prefix}{number}/{unique}", subfield, in_row(number, subfield, message)
        seen.setdefault(folded, number)


def blockers(dataset: dict[str, Any], file_ids: set[str]) -> list[dict[str, str]]:
    """What the schema still wants before `ajukan` (Perpres 39/2019 Pasal 32-33).

    Args:
        dataset: as package_show gives it, of any of `TYPES`.
        file_ids: ids of the resources that hold an uploaded file.

    Returns:
        ``{"field", "message"}`` in form order; the field of a resource is
        ``resources/<id>/<field>``, that of a cell ``<field>/<row from 0>/<subfield>``. Whether
        there are files at all, links and loads are not judged here.
    """
    type_ = str(dataset.get("type") or "dataset")
    found = [(path, message) for path, _, message in _item_blockers(fields(type_), dataset)]
    resources = dataset.get("resources") or []
    for number, resource in enumerate(resources, 1):
        prefix, has_file = f"resources/{resource['id']}/", resource["id"] in file_ids
        name = resource.get("name") or tk._("Berkas ke-{n}").format(n=number)
        # An upload without its bytes is no file, whatever its address says.
        if resource.get("url_type") == "upload" and not has_file:
            resource = {**resource, "url": ""}
        for path, _, message in _item_blockers(
            fields(type_, "resource_fields"), resource, prefix, has_file
        ):
            # Of several files it is said which one lacks something.
            found.append((path, f"“{name}”: {message}" if len(resources) > 1 else message))
    return [{"field": path, "message": message} for path, message in found]
