"""Reads the YAML of the package ``schemas``: the fields of each type, and the code lists."""

from __future__ import annotations

import functools
import importlib.resources
import json
from pathlib import Path
from typing import Any, cast

import yaml
from ckanext.scheming import __file__ as scheming_file

Field = dict[str, Any]

TYPES = ("dataset", "kegiatan")
FOLDER = Path(str(importlib.resources.files("ckanext.satudata_trenggalek.schemas")))


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


class Mapping(dict[str, Any]):
    """A YAML mapping that remembers the line it begins on."""

    line = 0


class _Loader(yaml.SafeLoader):
    """Safe YAML that refuses what PyYAML swallows: duplicate keys, and keys that are no text."""


def _construct_mapping(loader: _Loader, node: yaml.MappingNode) -> Mapping:
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
    mapping = Mapping()
    mapping.update(cast("dict[str, Any]", loader.construct_mapping(node, deep=True)))
    mapping.line = node.start_mark.line + 1
    return mapping


_Loader.add_constructor("tag:yaml.org,2002:map", _construct_mapping)


def read(path: Path) -> Mapping:
    """The content of one YAML file.

    Raises:
        SchemaError: missing, unreadable, not UTF-8, not YAML, or not a mapping.
    """
    try:
        content = yaml.load(path.read_text("utf-8"), _Loader)  # noqa: S506 - a SafeLoader
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
    if not isinstance(content, Mapping):
        raise SchemaError(path, 1, "isinya bukan pasangan kunci: nilai", "Lihat berkas semula")
    return content


load = functools.cache(read)


@functools.cache
def presets(folder: Path) -> dict[str, Field]:
    """Presets by name: ours over those of ckanext-scheming."""
    core = json.loads((Path(scheming_file).parent / "presets.json").read_text("utf-8"))
    ours = load(folder / "presets.yaml")
    return {p["preset_name"]: p["values"] for p in [*core["presets"], *ours["presets"]]}


def fields(type_: str, group: str = "dataset_fields") -> list[Field]:
    """Fields of a dataset type, presets expanded as scheming does, also in `butir`.

    Args:
        type_: one of `TYPES`; any other counts as ``dataset``.
        group: ``dataset_fields`` or ``resource_fields``.
    """
    return list(by_name(type_, group).values())


def expanded(field: Field, known: dict[str, Field]) -> Field:
    """A field with its preset, and those of its rows, filled in."""
    field = {**known.get(field.get("preset", ""), {}), **field}
    if isinstance(field.get("butir"), list):
        field["butir"] = [expanded(f, known) for f in field["butir"]]
    return field


def by_name(type_: str, group: str) -> dict[str, Field]:
    """The same by name."""
    return _by_name(type_ if type_ in TYPES else TYPES[0], group)


@functools.cache
def _by_name(type_: str, group: str) -> dict[str, Field]:
    known = presets(FOLDER)
    content = load(FOLDER / f"{type_}.yaml")
    return {f["field_name"]: expanded(f, known) for f in content[group]}


def find(type_: str, name: str, group: str = "dataset_fields") -> Field:
    """The field of this name.

    Raises:
        KeyError: there is no such field.
    """
    return by_name(type_, group)[name]


@functools.cache
def vocab(name: str) -> list[dict[str, Any]]:
    """The code list schemas/vocab/NAME.yaml: ``{"value", "label": {"id", "en"}, ...}`` in order.

    Raises:
        SchemaError: there is no such list.
    """
    path = FOLDER / "vocab" / f"{name}.yaml"
    if not path.is_file():
        known = ", ".join(sorted(p.stem for p in path.parent.glob("*.yaml")))
        raise SchemaError(path, 0, "kosakata tidak ada", f"Buat berkas itu atau pakai: {known}")
    return load(path)["items"]
