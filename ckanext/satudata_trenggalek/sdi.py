"""The national names of what a published dataset says: schemas/sdi.yaml, read out as extras.

A harvester keeps of a dataset's own fields only what stands in `extras` (a plain CKAN knows no
schema of ours), so that each name is given there, also where a field of ours is called alike.
"""

from __future__ import annotations

import functools
import hashlib
import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import sqlalchemy as sa
import yaml

from ckanext.satudata_trenggalek import kegiatan, schema
from ckanext.satudata_trenggalek.workflow.table import KEGIATAN

#: The edition of the mapping, the code lists and what follows: what was made with another holds no
#: more.
EDITION = hashlib.sha256(
    b"".join(path.read_bytes() for path in (*sorted(schema.FOLDER.rglob("*.yaml")), Path(__file__)))
).hexdigest()[:16]
#: What may stand between the words of a text; most have no escape in JSON.
_SIGNS = "".join(map(chr, (*b"|^~`#", *range(0xE000, 0xF900))))
#: Longest value in characters: a receiver's Solr takes 32,766 bytes, a character has at most four.
MAX_VALUE = 8_000


@dataclass(frozen=True)
class Source:
    """What the values are read from.

    Attributes:
        dataset: as package_show gives it.
        indikator: rows of its MS-Indikator.
        kegiatan: fields of its kegiatan with id and title; empty unless published.
        status: data_prioritas, prioritas_kriteria and submitted_at of its row.
    """

    dataset: dict[str, Any]
    indikator: list[dict[str, Any]]
    kegiatan: dict[str, Any]
    status: sa.Row[Any]


@functools.cache
def mapping() -> dict[str, dict[str, Any]]:
    """Block -> national name -> source, see the head of schemas/sdi.yaml."""
    return yaml.safe_load((schema.FOLDER / "sdi.yaml").read_text("utf-8"))


@functools.cache
def names() -> frozenset[str]:
    """Every national name, also those that have no value yet."""
    return frozenset(name for block in mapping().values() for name in block)


@functools.cache
def _own(type_: str) -> frozenset[str]:
    return names() | {field["field_name"] for field in schema.fields(type_)}


def drop(type_: str, data: dict[str, Any]) -> None:
    """Remove from the `extras` that somebody sends what fields hold or `add` gives, in place.

    So a portal with this extension takes what another one shows to harvesters.
    """
    if type_ in schema.TYPES and isinstance(data.get("extras"), list):
        data["extras"] = [
            extra
            for extra in data["extras"]
            if not (isinstance(extra, dict) and extra.get("key") in _own(type_))
        ]


# --- Values -----------------------------------------------------------------------------------


@functools.cache
def _labels(vocab: str) -> dict[str, str]:
    # National catalogues are Indonesian, whatever language the reader's page has.
    return {item["value"]: item["label"]["id"] for item in schema.vocab(vocab)}


def _label(field: dict[str, Any], code: str) -> str:
    return _labels(field["vocab"]).get(code, code)


def _text(fields: dict[str, dict[str, Any]], item: dict[str, Any], name: str) -> str:
    value, field = item.get(name), fields.get(name, {})
    if field.get("jenis") == "pilihan_banyak":
        codes = json.loads(value) if isinstance(value, str) and value else value
        return ", ".join(_label(field, code) for code in codes or ())
    if value and field.get("jenis") == "pilihan":
        return _label(field, str(value))
    return str(value or "")


def _joined(fields: dict[str, dict[str, Any]], item: dict[str, Any], given: str | list[str]) -> str:
    parts = [given] if isinstance(given, str) else given
    return ", ".join(filter(None, (_text(fields, item, part) for part in parts)))


def _of_rows(fields: dict[str, dict[str, Any]], rows: list[dict[str, Any]], name: str) -> str:
    """The value that all indicators share, else each with the indicator's name."""
    found = [(row.get("nama", ""), _text(fields, row, name)) for row in rows]
    if len({text for _nama, text in found}) == 1:
        return found[0][1]
    return "; ".join(f"{nama}: {text}" for nama, text in found if text)


def _variabel(source: Source) -> list[dict[str, Any]]:
    return [
        row
        for resource in source.dataset.get("resources") or []
        for row in schema.rows({}, resource.get("variabel"))
    ]


def _kodereferensi(source: Source) -> str:
    field = _fields("dataset", "resource_fields")["variabel"]
    subfields = {subfield["field_name"]: subfield for subfield in field["butir"]}
    used = {_text(subfields, row, "kode_referensi") for row in _variabel(source)}
    return ", ".join(sorted(filter(None, used)))


def _prioritas_tahun(source: Source) -> str:
    return str(source.dataset.get("tahun_data") or "") if source.status.data_prioritas else ""


def _indikator_prioritas(source: Source) -> str:
    return "Ya" if source.status.data_prioritas else "Tidak"


#: Perpres 39/2019 Ps 28.
_KRITERIA = {
    "a": "Prioritas pembangunan nasional dan prioritas Presiden",
    "b": "Tujuan Pembangunan Berkelanjutan",
    "c": "Kebutuhan mendesak",
}


def _kriteria_prioritas(source: Source) -> str:
    marked = source.status.prioritas_kriteria if source.status.data_prioritas else None
    return _KRITERIA.get(marked or "", "")


def _produsen_data_name(source: Source) -> str:
    # A harvester puts the dataset under its own organization, so the office is told here.
    return (source.dataset.get("organization") or {}).get("title") or ""


def _total_msvar(source: Source) -> str:
    return str(len(_variabel(source)))


def _total_msind(source: Source) -> str:
    return str(len(source.indikator))


def _submission_period(source: Source) -> str:
    return str(source.status.submitted_at.year) if source.status.submitted_at else ""


def _tahapan_pengolahan(source: Source) -> str:
    """MS-Keg 7.1: the steps that are taken."""
    steps = {"editing": "Editing", "coding": "Coding", "data_entry": "Data Entry"}
    steps["validasi"] = "Validasi"
    return ", ".join(
        label for step, label in steps.items() if source.kegiatan.get(f"tahap_{step}") == "1"
    )


FUNCTIONS: dict[str, Callable[[Source], str]] = {
    "indikator_prioritas": _indikator_prioritas,
    "kodereferensi": _kodereferensi,
    "kriteria_prioritas": _kriteria_prioritas,
    "prioritas_tahun": _prioritas_tahun,
    "produsen_data_name": _produsen_data_name,
    "submission_period": _submission_period,
    "tahapan_pengolahan": _tahapan_pengolahan,
    "total_msind": _total_msind,
    "total_msvar": _total_msvar,
}


@functools.cache
def _butir() -> dict[str, dict[str, Any]]:
    return {field["field_name"]: field for field in _fields("dataset")["indikator"]["butir"]}


@functools.cache
def _fields(type_: str, group: str = "dataset_fields") -> dict[str, dict[str, Any]]:
    return {field["field_name"]: field for field in schema.fields(type_, group)}


def _value(block: str, given: Any, source: Source) -> str:
    if isinstance(given, dict):
        function = FUNCTIONS.get(given.get("fungsi", ""))
        return function(source) if function else given.get("tetap", "")
    if block == "indikator":
        return _of_rows(_butir(), source.indikator, given)
    if block == KEGIATAN:
        return _joined(_fields(KEGIATAN), source.kegiatan, given)
    return _joined(_fields("dataset"), source.dataset, given)


def values(block: str, source: Source) -> dict[str, str]:
    """National name -> value, for a block of the mapping, without those that have none."""
    found = {name: _value(block, given, source) for name, given in mapping()[block].items()}
    return {
        name: value if len(value) <= MAX_VALUE else value[: MAX_VALUE - 1] + "…"
        for name, value in found.items()
        if value
    }


def add(datasets: Iterable[tuple[dict[str, Any], sa.Row[Any]]]) -> None:
    """Add the extras to published datasets, in place.

    Args:
        datasets: each as package_show or package_search gives it, and its row of `reading.rows`.
    """
    if ours := [pair for pair in datasets if pair[0].get("type") in schema.TYPES]:
        _compute(ours)


def _compute(datasets: list[tuple[dict[str, Any], sa.Row[Any]]]) -> None:
    items = []
    for dataset, row in datasets:
        # With core's own schema (use_default_schema) our fields stand among the extras.
        given = {extra["key"]: extra["value"] for extra in dataset.get("extras") or []}
        items.append((dataset, row, given, given | dataset))
    of_public = kegiatan.of_public(
        item[kegiatan.FIELD] for *_, item in items if item.get(kegiatan.FIELD)
    )
    # Datasets share a kegiatan, which has most of the names.
    told: dict[str, dict[str, str]] = {}
    for dataset, row, given, item in items:
        found = of_public.get(item.get(kegiatan.FIELD) or "")
        if item["type"] == KEGIATAN:
            of_kegiatan = item
        else:
            of_kegiatan = {**found.extras, "id": found.id, "title": found.title} if found else {}
        source = Source(item, schema.rows({}, item.get("indikator")), of_kegiatan, row)
        shared = of_kegiatan.get("id", "")
        if shared not in told:
            told[shared] = values(KEGIATAN, source)
        merged = dict(given)
        for block in mapping():
            merged |= told[shared] if block == KEGIATAN else values(block, source)
        dataset["extras"] = [{"key": key, "value": value} for key, value in merged.items()]


def packed(extras: Iterable[dict[str, str]]) -> str:
    """Extras as one text, which begins with the sign between its words.

    As JSON within the JSON of Solr, half of what a search reads would be quotes and their escapes.
    """
    words = [word for extra in extras for word in (extra["key"], extra["value"])]
    taken = set("".join(words))
    sign = next(sign for sign in _SIGNS if sign not in taken)
    return sign + sign.join(words) if words else ""


def unpacked(text: str) -> list[dict[str, str]]:
    """What `packed` made a text of."""
    words = iter(text[1:].split(text[0])) if text else iter(())
    return [{"key": name, "value": value} for name, value in zip(words, words, strict=True)]
