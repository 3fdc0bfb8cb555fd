"""Checks what the portal relies on in the YAML of the package ``schemas``."""

from __future__ import annotations

import re
from collections.abc import Collection
from pathlib import Path
from typing import NoReturn

from ckanext.satudata_trenggalek.schema import KINDS, PRINCIPLES
from ckanext.satudata_trenggalek.schema_files import (
    FOLDER,
    Field,
    Mapping,
    SchemaError,
    presets,
    read,
)

# Every key a field may have; a misspelt `ajukan` would otherwise open the gate in silence.
_KEYS = re.compile(
    # ours
    "bps_item|prinsip|langkah|vocab|contoh|maks|pola|pola_pesan|ajukan|tampil|jenis"
    "|butir|paling_banyak|unik|sesudah|ringkas|massal"
    # ckanext-scheming's
    "|field_name|label|help_(text|allow_html|inline)|preset|required|default|default_jinja2"
    "|((create_|output_)?validators)|(form|display|error)_snippet|classes"
    "|form_(placeholder|attrs|select_attrs|include_blank_choice)|choices|choices_helper"
    "|select_size|sorted_choices|upload_(field|clear|label)"
    "|display_(property|email_name_field)|repeating_subfields"
)
# Items of Peraturan BPS 4/2020, and of 5/2020 with their numbers.
_BPS_ITEM = re.compile(r"Standar Data|MS-(Keg|Ind|Var)( [0-9]{1,2}(\.[0-9]{1,2})?)?")
_FIELD_GROUPS = {
    "dataset.yaml": ("dataset_type", ["dataset_fields", "resource_fields"]),
    "kegiatan.yaml": ("dataset_type", ["dataset_fields", "resource_fields"]),
    "organization.yaml": ("organization_type", ["fields"]),
    "group.yaml": ("group_type", ["fields"]),
}


class _Checker:
    """Checks one file; every finding stops with its line."""

    def __init__(self, path: Path):
        self.path = path
        self.content = read(path)

    def fail(self, node: object, problem: str, remedy: str) -> NoReturn:
        raise SchemaError(self.path, getattr(node, "line", 0), problem, remedy)

    def labels(self, node: Mapping, key: str, what: str) -> None:
        """`key` holds its wording in both languages."""
        labels = node.get(key)
        for language in ("id", "en"):
            wording = labels.get(language) if isinstance(labels, dict) else None
            if not isinstance(wording, str) or not wording.strip():
                problem = f"{key} {what} tidak lengkap dalam bahasa {language}"
                self.fail(node, problem, f"Tulis {key}: {{id: ..., en: ...}} sebagai teks")

    def mappings(self, parent: Mapping, key: str) -> list[Mapping]:
        """The non-empty list of mappings under `key`."""
        nodes = parent.get(key)
        if not isinstance(nodes, list) or not nodes:
            self.fail(parent, f"daftar {key} tidak ada", f"Tulis {key}: lalu butirnya")
        for node in nodes:
            if not isinstance(node, Mapping):
                self.fail(
                    parent, f"butir {node!r} dalam {key} salah bentuk", "Tulis - kunci: nilai"
                )
        return nodes

    def unique(self, nodes: list[Mapping], key: str, pattern: str) -> list[str]:
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
        if not isinstance(preset.get("values"), Mapping):
            checker.fail(preset, "values tidak ada", "Tulis values: lalu kunci field")


def _known_validators() -> set[str]:
    from ckan.lib.navl import validators as navl
    from ckan.logic import converters, validators
    from ckanext.scheming.validation import all_validators

    from ckanext.satudata_trenggalek.logic import validators as own

    modules = (navl, validators, converters, own)
    return {name for module in modules for name in vars(module)} | set(all_validators)


# What a row can't hold: rows again, files, references that somebody must resolve.
_NOT_IN_ROWS = ("berulang", "tautan", "kegiatan")
_CODED = ("pilihan", "pilihan_banyak")


class _Fields:
    """The fields of one list: of a type, of its resources, of the rows of a block."""

    def __init__(
        self,
        checker: _Checker,
        written: list[Mapping],
        known: dict[str, Field],
        vocabs: dict[str, list[str]],
        steps: list[str] | None,
    ):
        """`steps` is None for the rows of a block."""
        self.checker, self.presets, self.vocabs, self.steps = checker, known, vocabs, steps
        self.written = written
        checker.unique(written, "field_name", "[a-z][a-z0-9_]*")
        self.fields = {}
        for node in written:
            preset = node.get("preset", "")
            if preset and preset not in known:
                problem = f"preset {preset!r} tidak ada"
                checker.fail(node, problem, f"Pakai salah satu: {', '.join(known)}")
            self.fields[node["field_name"]] = {**known.get(preset, {}), **node}

    def check(self) -> None:
        """Every field, and the rows inside."""
        for node in self.written:
            self._field(node, self.fields[node["field_name"]])

    def _fail(self, node: Mapping, problem: str, remedy: str) -> NoReturn:
        self.checker.fail(node, f"field {node['field_name']}: {problem}", remedy)

    def _one_of(self, node: Mapping, key: str, value: object, known: Collection[str]) -> None:
        if value not in known:
            remedy = f"Pakai salah satu: {', '.join(known)}"
            self._fail(node, f"{key} {value!r} tidak dikenal", remedy)

    def _pattern(self, node: Mapping, pattern: object) -> None:
        try:
            re.compile(pattern)  # type: ignore[call-overload]
        except (re.error, TypeError) as e:
            self._fail(node, f"pola salah ({e})", "Perbaiki regular expression itu")

    def _count(self, node: Mapping, field: Field, key: str, example: str) -> None:
        value = field.get(key, 1)
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            self._fail(node, f"{key} {value!r} bukan bilangan", f"Tulis {example}")

    def _field(self, node: Mapping, field: Field) -> None:
        name = field["field_name"]
        if name == "private" or name.startswith("satudata_"):
            self._fail(node, "nama ini milik portal", "Hapus field ini, atau beri nama lain")
        for key in node:
            if not _KEYS.fullmatch(key):
                self._fail(node, f"kunci {key!r} tidak dikenal", "Periksa ejaannya, atau hapus")
        self.checker.labels(node, "label", name)
        for key in ("help_text", "contoh", "pola_pesan"):
            if key in node:
                self.checker.labels(node, key, name)
        if "prinsip" in field:
            self._one_of(node, "prinsip", field["prinsip"], PRINCIPLES)
        if "langkah" in field:
            self._one_of(node, "langkah", field["langkah"], self.steps or [])
        if "bps_item" in field and not _BPS_ITEM.fullmatch(str(field["bps_item"])):
            problem = f"bps_item {field['bps_item']!r} salah bentuk"
            self._fail(node, problem, "Tulis seperti MS-Ind 3")
        self._kind(node, field)
        self._count(node, field, "maks", "jumlah karakter, misalnya maks: 300")
        if "pola" in field:
            self._pattern(node, field["pola"])
            if "pola_pesan" not in field:
                self._fail(
                    node, "pola tanpa pola_pesan", "Tulis pola_pesan: apa yang harus diketik"
                )
        known = _known_validators()
        for key in ("validators", "create_validators", "output_validators"):
            for call in field.get(key, "").split():
                if call.partition("(")[0] not in known:
                    problem = f"{key} {call!r} tidak dikenal"
                    self._fail(node, problem, "Periksa ejaan nama validator")
        if "tampil" in field:
            self._shown(node, field)
        if "ajukan" in field:
            self._needed(node, field)
        if "sesudah" in field:
            other = self._other(node, "sesudah", field["sesudah"])
            if {field.get("jenis"), other.get("jenis")} != {"tanggal"}:
                self._fail(node, "sesudah hanya untuk tanggal", "Pakai preset satudata_tanggal")

    def _kind(self, node: Mapping, field: Field) -> None:
        kind = field.get("jenis", "teks")
        in_rows = self.steps is None
        self._one_of(
            node, "jenis", kind, [k for k in KINDS if not in_rows or k not in _NOT_IN_ROWS]
        )
        if kind in _CODED:
            self._one_of(node, "vocab", field.get("vocab"), sorted(self.vocabs))
            default = field.get("default")
            if default is not None and default not in self.vocabs[field["vocab"]]:
                problem = f"default {default!r} tidak ada di vocab"
                self._fail(node, problem, "Pakai kode dari vocab itu")
        if kind != "berulang":
            for key in ("butir", "paling_banyak", "unik", "ringkas", "massal"):
                if key in field:
                    self._fail(
                        node, f"{key} tanpa jenis berulang", "Pakai preset satudata_berulang"
                    )
            return
        if "paling_banyak" not in field:
            self._fail(node, "paling_banyak tidak ada", "Tulis jumlah baris terbanyak")
        self._count(node, field, "paling_banyak", "jumlah baris, misalnya paling_banyak: 200")
        nodes = self.checker.mappings(node, "butir")
        inner = _Fields(self.checker, nodes, self.presets, self.vocabs, None)
        inner.check()
        if "unik" in field:
            self._one_of(node, "unik", field["unik"], inner.fields)
        for key in ("ringkas", "massal"):
            for name in field.get(key, []):
                self._one_of(node, key, name, inner.fields)

    def _other(self, node: Mapping, key: str, name: object) -> Field:
        """The field that a condition refers to."""
        if not isinstance(name, str) or name not in self.fields or name == node["field_name"]:
            remedy = f"Pakai salah satu: {', '.join(self.fields)}"
            self._fail(node, f"{key} merujuk field {name!r} yang tidak ada", remedy)
        return self.fields[name]

    def _codes(self, node: Mapping, key: str, other: Field, codes: object) -> None:
        if not isinstance(codes, list) or not codes:
            self._fail(node, f"{key} {codes!r} bukan daftar kode", 'Tulis in: ["1", "2"]')
        for code in codes:
            if other.get("vocab") and code not in self.vocabs.get(other["vocab"], [code]):
                problem = f"{key} merujuk kode {code!r} yang tidak ada di vocab {other['vocab']}"
                self._fail(node, problem, "Pakai kode dari vocab itu, apit dengan tanda petik")

    def _shown(self, node: Mapping, field: Field) -> None:
        rule = field["tampil"]
        remedy = 'Tulis tampil: {field: NAMA, in: ["KODE"]}'
        for condition in rule if isinstance(rule, list) and rule else [rule]:
            if not isinstance(condition, dict) or set(condition) != {"field", "in"}:
                self._fail(node, f"tampil {condition!r} tidak dikenal", remedy)
            other = self._other(node, "tampil", condition["field"])
            if other.get("jenis") not in _CODED:
                problem = f"tampil merujuk field {condition['field']!r} yang bukan pilihan"
                self._fail(node, problem, remedy)
            self._codes(node, "tampil", other, condition["in"])

    def _needed(self, node: Mapping, field: Field) -> None:
        rule = field["ajukan"]
        if rule is not False and "contoh" not in field:
            self._fail(node, "ajukan tanpa contoh", "Tulis contoh: {id: ..., en: ...}")
        if isinstance(rule, bool):
            return
        condition = rule.get("if") if isinstance(rule, dict) else None
        remedy = (
            "Tulis ajukan: true, atau {if: {field: NAMA, not: KODE}, alasan: {id: ..., en: ...}}"
        )
        if not isinstance(condition, dict) or not (
            "field" in condition and set(condition) - {"field"} in _TESTS
        ):
            self._fail(node, f"ajukan {rule!r} tidak dikenal", remedy)
        other = self._other(node, "ajukan", condition["field"])
        if "pola" in condition:
            self._pattern(node, condition["pola"])
        if "in" in condition or "not" in condition:
            codes = condition["in"] if "in" in condition else [condition["not"]]
            self._codes(node, "ajukan", other, codes)
        reason = rule.get("alasan")
        if not isinstance(reason, dict) or not (reason.get("id") and reason.get("en")):
            self._fail(node, "ajukan tanpa alasan dalam id dan en", remedy)


# What `ajukan: {if: ...}` may ask of a field: that it is filled, or one more thing.
_TESTS: tuple[set[str], ...] = (set(), {"not"}, {"in"}, {"pola"})


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
    known = presets(folder)
    for file, (type_key, groups) in _FIELD_GROUPS.items():
        checker = _Checker(folder / file)
        if not isinstance(checker.content.get(type_key), str):
            checker.fail(checker.content, f"{type_key} tidak ada", f"Tulis {type_key}: ...")
        steps: list[str] = []
        if type_key == "dataset_type":
            step_nodes = checker.mappings(checker.content, "langkah")
            steps = checker.unique(step_nodes, "id", "[a-z][a-z0-9_]*")
            for step in step_nodes:
                checker.labels(step, "label", step["id"])
        for group in groups:
            if group == "resource_fields" and checker.content.get(group) == []:
                continue  # a type without files
            nodes = checker.mappings(checker.content, group)
            _Fields(checker, nodes, known, vocabs, steps).check()
