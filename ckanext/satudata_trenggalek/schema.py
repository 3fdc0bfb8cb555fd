"""The dataset schema: code lists, what a value must look like, what `ajukan` needs.

Everything is declared in the YAML of the package ``schemas`` and read from there: ckanext-scheming
makes the forms of it, this module the rules. One rule serves the save (logic/validators.py) and
the submission (`blockers`), so that nothing can be saved that then can't be submitted, and a code
that has meanwhile left its list is found before Walidata finds it.
"""

from __future__ import annotations

import datetime
import functools
import importlib.resources
import json
import re
import unicodedata
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NoReturn, cast
from urllib.parse import urlsplit

import ckan.plugins.toolkit as tk
import yaml
from ckan.logic.validators import email_pattern
from ckanext.scheming import __file__ as scheming_file

Field = dict[str, Any]

FOLDER = Path(str(importlib.resources.files("ckanext.satudata_trenggalek.schemas")))
PRINCIPLES = ("standar_data", "metadata", "interoperabilitas", "kode_referensi")
# Years and dates outside are slips of the keyboard; projections reach to 2100.
FIRST_YEAR, LAST_YEAR = 1900, 2100


class SchemaError(Exception):
    """A YAML file that the portal can't work with.

    Attributes:
        path: the file.
        line: line number, 1 is the first; 0 where the whole file is meant.
    """

    def __init__(self, path: Path, line: int, problem: str, remedy: str):
        self.path, self.line = path, line
        place = "/".join(path.parts[-3:] if path.parent.name == "vocab" else path.parts[-2:])
        place += f" baris {line}" if line else ""
        super().__init__(f"{place}: {problem}. {remedy}.")


# --- Reading -------------------------------------------------------------------------------------


class _Mapping(dict[str, Any]):
    """A YAML mapping that remembers the line it begins on."""

    line = 0


class _Loader(yaml.SafeLoader):
    """Safe YAML that refuses what PyYAML swallows: duplicate keys, and keys that are no text."""


def _construct_mapping(loader: _Loader, node: yaml.MappingNode) -> _Mapping:
    seen: set[str] = set()
    for key_node, _value in node.value:
        key = loader.construct_object(key_node, deep=True)
        if not isinstance(key, str):
            problem = f"kunci {key!r} bukan teks, apit dengan tanda petik"
            raise yaml.constructor.ConstructorError(None, None, problem, key_node.start_mark)
        if key in seen:
            problem = f"kunci {key} tertulis dua kali"
            raise yaml.constructor.ConstructorError(None, None, problem, key_node.start_mark)
        seen.add(key)
    mapping = _Mapping()
    mapping.update(cast("dict[str, Any]", loader.construct_mapping(node, deep=True)))
    mapping.line = node.start_mark.line + 1
    return mapping


_Loader.add_constructor("tag:yaml.org,2002:map", _construct_mapping)


def _read(path: Path) -> _Mapping:
    """The content of one YAML file.

    Raises:
        SchemaError: missing, unreadable, not UTF-8, not YAML, or not a mapping.
    """
    try:
        content = yaml.load(path.read_text("utf-8"), _Loader)
    except OSError as e:
        remedy = "Kembalikan berkas itu dari repositori atau perbaiki hak bacanya"
        raise SchemaError(path, 0, f"tidak dapat dibaca ({e.strerror})", remedy) from e
    except UnicodeDecodeError as e:
        line = e.object[: e.start].count(b"\n") + 1
        raise SchemaError(path, line, "bukan UTF-8", "Simpan berkas sebagai UTF-8") from e
    except yaml.YAMLError as e:
        mark = getattr(e, "problem_mark", None)
        problem = getattr(e, "problem", None) or str(e)
        remedy = "Periksa indentasi, titik dua, dan tanda petik di baris itu dan sebelumnya"
        raise SchemaError(path, mark.line + 1 if mark else 0, f"YAML: {problem}", remedy) from e
    if not isinstance(content, _Mapping):
        raise SchemaError(path, 1, "isinya bukan pasangan kunci: nilai", "Lihat berkas semula")
    return content


_load = functools.cache(_read)


def _presets(folder: Path) -> dict[str, Field]:
    """Presets by name: ours over those of ckanext-scheming."""
    core = json.loads((Path(scheming_file).parent / "presets.json").read_text("utf-8"))
    ours = _load(folder / "presets.yaml")
    return {p["preset_name"]: p["values"] for p in [*core["presets"], *ours["presets"]]}


@functools.cache
def _fields(group: str) -> list[Field]:
    """Fields of `dataset_fields` or `resource_fields`, presets expanded as scheming does."""
    presets = _presets(FOLDER)
    fields = _load(FOLDER / "dataset.yaml")[group]
    return [{**presets.get(field.get("preset", ""), {}), **field} for field in fields]


def vocab(name: str) -> list[dict[str, Any]]:
    """The code list schemas/vocab/NAME.yaml: ``{"value", "label": {"id", "en"}, ...}`` in order.

    Raises:
        SchemaError: there is no such list.
    """
    path = FOLDER / "vocab" / f"{name}.yaml"
    if not path.is_file():
        known = ", ".join(sorted(p.stem for p in path.parent.glob("*.yaml")))
        raise SchemaError(path, 0, "kosakata tidak ada", f"Buat berkas itu atau pakai: {known}")
    return _load(path)["items"]


def satudata_vocab_choices(field: Field) -> list[dict[str, Any]]:
    """Template helper: choices of a field for ckanext-scheming (`choices_helper`)."""
    return vocab(field["vocab"])


def principles() -> dict[str, list[Field]]:
    """Dataset fields under the four principles of Perpres 39/2019 Pasal 3, in form order."""
    return {
        principle: [f for f in _fields("dataset_fields") if f.get("prinsip") == principle]
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


def _refuse(message: str, field: Field, **values: object) -> NoReturn:
    raise tk.Invalid(message.format(label=text(field["label"]), **values))


def _short(value: object) -> str:
    shown = str(value)
    return shown if len(shown) <= 60 else f"{shown[:60]}..."


# Left by word processors and never meant: soft hyphen, zero-width space, word joiner, BOM.
_INVISIBLE = dict.fromkeys([0x00AD, 0x200B, 0x2060, 0xFEFF])
# They make text read other than it is stored.
_BIDI = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


def _paragraf(field: Field, value: object) -> str:
    if isinstance(value, bool) or not isinstance(value, (str, int)):
        _refuse(tk._("{label} harus berupa teks."), field)
    limit = field.get("maks", 300)
    # Markup stays as typed: "<" is a sign of statistics, and the pages escape it.
    raw = str(value).strip()
    if len(raw) > limit:
        message = tk._("{label} terlalu panjang: {n} karakter, paling banyak {limit}. Ringkas.")
        _refuse(message, field, n=len(raw), limit=limit)
    raw = re.sub("\r\n?|\u2028|\u2029", "\n", raw).translate(_INVISIBLE)
    for char in raw:
        if (unicodedata.category(char) in ("Cc", "Cs") and char not in "\n\t") or char in _BIDI:
            message = tk._(
                "{label} memuat karakter yang tidak tampak (U+{code:04X})."
                " Hapus dan ketik ulang bagian itu."
            )
            _refuse(message, field, code=ord(char))
    return unicodedata.normalize("NFC", raw).strip()


def _teks(field: Field, value: object) -> str:
    line = " ".join(_paragraf(field, value).split())
    if line and "pola" in field and not re.fullmatch(field["pola"], line, re.ASCII):
        message = tk._('{label} "{value}" tidak sesuai bentuknya. {remedy}')
        _refuse(message, field, value=_short(line), remedy=text(field["pola_pesan"]))
    return line


def _pilihan(field: Field, value: object) -> str:
    code = _teks(field, value)
    if code and all(choice["value"] != code for choice in vocab(field["vocab"])):
        message = tk._(
            'Kode "{value}" tidak ada dalam daftar {label}.'
            " Pilih dari daftar, atau minta Walidata menambahkannya."
        )
        _refuse(message, field, value=_short(code))
    return code


def _pilihan_banyak(field: Field, value: object) -> list[str]:
    if isinstance(value, str) and value.startswith("["):  # as stored
        try:
            value = json.loads(value)
        except ValueError:
            _refuse(tk._("{label} harus berupa daftar kode."), field)
    values = value if isinstance(value, list) else [value]
    codes = {_pilihan(field, v) for v in values}
    return [choice["value"] for choice in vocab(field["vocab"]) if choice["value"] in codes]


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
    address = _teks({**field, "maks": 254}, value)
    if address and not (email_pattern.match(address) and "." in address.rpartition("@")[2]):
        message = tk._(
            '{label} "{value}" bukan alamat surel yang benar.'
            " Tulis seperti dinkes@trenggalekkab.go.id."
        )
        _refuse(message, field, value=_short(address))
    return address


def _tautan(field: Field, value: object) -> str:
    """Name of an uploaded file, or an address of the web: no ``javascript:`` and its like."""
    address = _teks(field, value)
    try:
        parts = urlsplit(address)
        unusable = (parts.scheme or parts.netloc) and not (
            parts.scheme in ("http", "https") and parts.hostname
        )
    except ValueError:
        unusable = True
    if unusable:
        message = tk._(
            '{label} "{value}" tidak dapat dipakai.'
            " Unggah berkasnya, atau tulis alamat yang diawali https://."
        )
        _refuse(message, field, value=_short(address))
    return address


_KINDS: dict[str, Callable[[Field, object], str | list[str]]] = {
    "teks": _teks,
    "paragraf": _paragraf,
    "pilihan": _pilihan,
    "pilihan_banyak": _pilihan_banyak,
    "tanggal": _tanggal,
    "tahun": _tahun,
    "email": _email,
    "tautan": _tautan,
}


def clean(field: Field, value: object) -> str | list[str]:
    """A field's value as it is to be stored; "" when nothing was given.

    Args:
        field: the field with its preset expanded; its `jenis` names the rule.
        value: what a form or a program sent.

    Raises:
        tk.Invalid: with a sentence that names the field and the remedy.
    """
    if value in (None, tk.missing, "", []):
        return ""
    return _KINDS[field.get("jenis", "teks")](field, value) or ""


# --- Submission ----------------------------------------------------------------------------------


def _needed(field: Field, item: dict[str, Any]) -> bool:
    rule = field.get("ajukan", False)
    if isinstance(rule, bool):
        return rule
    value = str(item.get(rule["if"]["field"]) or "").strip()
    return bool(value) and value != rule["if"].get("not")


def _missing(field: Field) -> str:
    if field.get("jenis") in ("pilihan", "pilihan_banyak"):
        message = tk._("{label} belum dipilih{reason}. Pilih dari daftar, misalnya: {example}.")
    elif "upload_field" in field:
        message = tk._("{label} belum diunggah{reason}. Unggah berkasnya, misalnya: {example}.")
    else:
        message = tk._("{label} belum diisi{reason}. Isi, misalnya: {example}.")
    rule = field["ajukan"]
    return message.format(
        label=text(field["label"]),
        reason=f", {text(rule['alasan'])}" if isinstance(rule, dict) else "",
        example=text(field["contoh"]).rstrip("."),
    )


def _item_blockers(
    group: str, item: dict[str, Any], prefix: str = "", has_file: bool = False
) -> Iterator[dict[str, str]]:
    for field in _fields(group):
        name, value = field["field_name"], item.get(field["field_name"])
        message = ""
        try:
            if not (clean(field, value) or (has_file and "upload_field" in field)):
                message = _missing(field) if _needed(field, item) else ""
        except tk.Invalid as e:
            message = e.error
        if message:
            yield {"field": prefix + name, "message": message}


def blockers(dataset: dict[str, Any], file_ids: set[str]) -> list[dict[str, str]]:
    """What the schema still wants before `ajukan` (Perpres 39/2019 Pasal 32-33).

    Args:
        dataset: as package_show gives it.
        file_ids: ids of the resources that hold an uploaded file.

    Returns:
        ``{"field", "message"}`` in form order; the field of a resource is
        ``resources/<id>/<field>``. Whether there are files at all, links and loads are not
        judged here.
    """
    found = list(_item_blockers("dataset_fields", dataset))
    for resource in dataset.get("resources") or []:
        prefix, has_file = f"resources/{resource['id']}/", resource["id"] in file_ids
        # An upload without its bytes is no file, whatever its address says.
        if resource.get("url_type") == "upload" and not has_file:
            resource = {**resource, "url": ""}
        found += _item_blockers("resource_fields", resource, prefix, has_file)
    return found


# --- Checking the YAML ---------------------------------------------------------------------------

# Every key a field may have; a misspelt `ajukan` would otherwise open the gate in silence.
_KEYS = re.compile(
    # ours
    "bps_item|prinsip|langkah|vocab|contoh|maks|pola|pola_pesan|ajukan|jenis"
    # ckanext-scheming's
    "|field_name|label|help_(text|allow_html|inline)|preset|required|default|default_jinja2"
    "|((create_|output_)?validators)|(form|display|error)_snippet|classes"
    "|form_(placeholder|attrs|select_attrs|include_blank_choice)|choices|choices_helper"
    "|select_size|sorted_choices|upload_(field|clear|label)"
    "|display_(property|email_name_field)|repeating_subfields"
)
# Item numbers of Peraturan BPS 5/2020.
_BPS_ITEM = re.compile(r"MS-(Keg|Ind|Var) [0-9]{1,2}(\.[0-9]{1,2})?")
_FIELD_GROUPS = {
    "dataset.yaml": ("dataset_type", ["dataset_fields", "resource_fields"]),
    "organization.yaml": ("organization_type", ["fields"]),
    "group.yaml": ("group_type", ["fields"]),
}


class _Checker:
    """Checks one file; every finding stops with its line."""

    def __init__(self, path: Path):
        self.path = path
        self.content = _read(path)

    def fail(self, node: object, problem: str, remedy: str) -> NoReturn:
        raise SchemaError(self.path, getattr(node, "line", 0), problem, remedy)

    def labels(self, node: _Mapping, key: str, what: str) -> None:
        """`key` holds its wording in both languages."""
        labels = node.get(key)
        for language in ("id", "en"):
            wording = labels.get(language) if isinstance(labels, dict) else None
            if not isinstance(wording, str) or not wording.strip():
                problem = f"{key} {what} tidak lengkap dalam bahasa {language}"
                self.fail(node, problem, f"Tulis {key}: {{id: ..., en: ...}} sebagai teks")

    def mappings(self, parent: _Mapping, key: str) -> list[_Mapping]:
        """The non-empty list of mappings under `key`."""
        nodes = parent.get(key)
        if not isinstance(nodes, list) or not nodes:
            self.fail(parent, f"daftar {key} tidak ada", f"Tulis {key}: lalu butirnya")
        for node in nodes:
            if not isinstance(node, _Mapping):
                self.fail(
                    parent, f"butir {node!r} dalam {key} salah bentuk", "Tulis - kunci: nilai"
                )
        return nodes

    def unique(self, nodes: list[_Mapping], key: str, pattern: str) -> list[str]:
        """The texts under `key`, each once and of the form `pattern`."""
        seen: list[str] = []
        for node in nodes:
            value = node.get(key)
            if not isinstance(value, str):
                problem = f"{key} {value!r} bukan teks"
                self.fail(node, problem, 'Apit dengan tanda petik, misalnya "1.01"')
            if not re.fullmatch(pattern, value):
                self.fail(node, f"{key} {value!r} salah bentuk", f"Pakai bentuk {pattern}")
            if value in seen:
                self.fail(node, f"{key} {value} dipakai dua kali", "Ganti atau hapus salah satunya")
            seen.append(value)
        return seen


def _check_vocab(path: Path) -> list[str]:
    checker = _Checker(path)
    checker.labels(checker.content, "title", path.stem)
    if not isinstance(checker.content.get("source"), str):
        checker.fail(checker.content, "source tidak ada", "Tulis dasar hukum atau asal daftar ini")
    items = checker.mappings(checker.content, "items")
    codes = checker.unique(items, "value", "[A-Za-z0-9][A-Za-z0-9._-]*")
    for item in items:
        checker.labels(item, "label", item["value"])
    return codes


def _check_presets(path: Path) -> None:
    checker = _Checker(path)
    presets = checker.mappings(checker.content, "presets")
    checker.unique(presets, "preset_name", "[a-z][a-z0-9_]*")
    for preset in presets:
        if not isinstance(preset.get("values"), _Mapping):
            checker.fail(preset, "values tidak ada", "Tulis values: lalu kunci field")


def _known_validators() -> set[str]:
    from ckan.lib.navl import validators as navl
    from ckan.logic import converters, validators
    from ckanext.scheming.validation import all_validators

    from ckanext.satudata_trenggalek.logic import validators as own

    modules = (navl, validators, converters, own)
    return {name for module in modules for name in vars(module)} | set(all_validators)


def _check_field(
    checker: _Checker,
    written: _Mapping,
    field: Field,
    names: list[str],
    steps: list[str],
    vocabs: dict[str, list[str]],
) -> None:
    """One field: `written` as in the file, `field` with its preset expanded."""
    name = field["field_name"]

    def fail(problem: str, remedy: str) -> NoReturn:
        checker.fail(written, f"field {name}: {problem}", remedy)

    def one_of(key: str, value: object, known: list[str]) -> None:
        if value not in known:
            fail(f"{key} {value!r} tidak dikenal", f"Pakai salah satu: {', '.join(known)}")

    if name == "private" or name.startswith("satudata_"):
        fail("nama ini milik portal", "Hapus field ini, atau beri nama lain")
    for key in written:
        if not _KEYS.fullmatch(key):
            fail(f"kunci {key!r} tidak dikenal", "Periksa ejaannya, atau hapus")
    checker.labels(written, "label", name)
    for key in ("help_text", "contoh", "pola_pesan"):
        if key in written:
            checker.labels(written, key, name)
    if "prinsip" in field:
        one_of("prinsip", field["prinsip"], list(PRINCIPLES))
    if "langkah" in field:
        one_of("langkah", field["langkah"], steps)
    if "bps_item" in field and not _BPS_ITEM.fullmatch(str(field["bps_item"])):
        fail(f"bps_item {field['bps_item']!r} salah bentuk", "Tulis seperti MS-Ind 3")
    one_of("jenis", field.get("jenis", "teks"), list(_KINDS))
    if field.get("jenis") in ("pilihan", "pilihan_banyak"):
        one_of("vocab", field.get("vocab"), sorted(vocabs))
        default = field.get("default")
        if default is not None and default not in vocabs[field["vocab"]]:
            fail(f"default {default!r} tidak ada di vocab", "Pakai kode dari vocab itu")
    maks = field.get("maks", 1)
    if isinstance(maks, bool) or not isinstance(maks, int) or maks < 1:
        fail(f"maks {maks!r} bukan bilangan", "Tulis jumlah karakter, misalnya maks: 300")
    if "pola" in field:
        try:
            re.compile(field["pola"])
        except (re.error, TypeError) as e:
            fail(f"pola salah ({e})", "Perbaiki regular expression itu")
        if "pola_pesan" not in field:
            fail("pola tanpa pola_pesan", "Tulis pola_pesan: apa yang harus diketik")
    known = _known_validators()
    for key in ("validators", "create_validators", "output_validators"):
        for call in field.get(key, "").split():
            if call.partition("(")[0] not in known:
                fail(f"{key} {call!r} tidak dikenal", "Periksa ejaan nama validator")
    if "ajukan" in field:
        _check_rule(fail, field, names, vocabs)


def _check_rule(
    fail: Callable[[str, str], NoReturn],
    field: Field,
    names: list[str],
    vocabs: dict[str, list[str]],
) -> None:
    """The `ajukan` of a field."""
    rule = field["ajukan"]
    if rule is not False and "contoh" not in field:
        fail("ajukan tanpa contoh", "Tulis contoh: {id: ..., en: ...}")
    if isinstance(rule, bool):
        return
    condition = rule.get("if") if isinstance(rule, dict) else None
    remedy = "Tulis ajukan: true, atau {if: {field: NAMA, not: KODE}, alasan: {id: ..., en: ...}}"
    if not isinstance(condition, dict) or not set(condition) <= {"field", "not"}:
        fail(f"ajukan {rule!r} tidak dikenal", remedy)
    if condition.get("field") not in names:
        fail(f"ajukan merujuk field {condition.get('field')!r} yang tidak ada", remedy)
    reason = rule.get("alasan")
    if not isinstance(reason, dict) or not (reason.get("id") and reason.get("en")):
        fail("ajukan tanpa alasan dalam id dan en", remedy)


def check(folder: Path = FOLDER) -> None:
    """Read every YAML file afresh and check what the portal relies on.

    To be called before ckanext-scheming loads the same files: it would let the parser's traceback
    through, name neither file nor line for an unknown preset, and find an unknown validator only
    when somebody saves.

    Raises:
        SchemaError: the first thing wrong, with file, line and remedy.
    """
    vocabs = {p.stem: _check_vocab(p) for p in sorted((folder / "vocab").glob("*.yaml"))}
    _check_presets(folder / "presets.yaml")
    presets = _presets(folder)
    for file, (type_key, groups) in _FIELD_GROUPS.items():
        checker = _Checker(folder / file)
        if not isinstance(checker.content.get(type_key), str):
            checker.fail(checker.content, f"{type_key} tidak ada", f"Tulis {type_key}: ...")
        steps: list[str] = []
        if file == "dataset.yaml":
            step_nodes = checker.mappings(checker.content, "langkah")
            steps = checker.unique(step_nodes, "id", "[a-z][a-z0-9_]*")
            for step in step_nodes:
                checker.labels(step, "label", step["id"])
        for group in groups:
            fields = checker.mappings(checker.content, group)
            names = checker.unique(fields, "field_name", "[a-z][a-z0-9_]*")
            for written in fields:
                preset = written.get("preset", "")
                if preset and preset not in presets:
                    problem = f"preset {preset!r} tidak ada"
                    checker.fail(written, problem, f"Pakai salah satu: {', '.join(presets)}")
                field = {**presets.get(preset, {}), **written}
                _check_field(checker, written, field, names, steps, vocabs)
