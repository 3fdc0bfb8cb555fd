"""The demo's catalogue: what can be checked of it without a portal."""

from __future__ import annotations

from typing import Any

import pytest

from ckanext.satudata_trenggalek import demo, schema
from ckanext.satudata_trenggalek.demo import figures
from ckanext.satudata_trenggalek.workflow.table import STATUSES, TRANSITIONS

ENTRIES = demo.read("dataset.yaml")["dataset"]
CATALOGUE = figures.catalogue((demo.HERE / "katalog.jsonl").read_text(encoding="utf-8"))
TABLES = [entry for entry in ENTRIES if "katalog" in entry and entry.get("berkas") != "tidak_ada"]


def end(entry: dict[str, Any]) -> str:
    """The status in which an entry's way ends; every step must start where the last one ended."""
    status = "draf"
    for step in entry["jalan"]:
        name = step if isinstance(step, str) else next(iter(step))
        if name in TRANSITIONS:
            assert status in TRANSITIONS[name].sources, f"{entry['title']}: {name} from {status}"
            status = TRANSITIONS[name].target
        else:
            assert name in ("ubah", "unggah", "prioritas")
    return status


def test_size_and_spread() -> None:
    assert len(ENTRIES) >= 40
    assert len({entry["opd"] for entry in ENTRIES}) >= 12
    ends = [end(entry) for entry in ENTRIES]
    # What has a revision comes with the revisions.
    assert set(ends) == set(STATUSES) - {"digabung"}
    assert ends.count("terbit") >= 15
    assert any(entry.get("klasifikasi", "terbuka") != "terbuka" for entry in ENTRIES)
    assert any("terbit_dalam_hari" in str(entry["jalan"]) for entry in ENTRIES)


@pytest.mark.parametrize("entry", TABLES, ids=lambda entry: str(entry["katalog"]))
def test_rows(entry: dict[str, Any]) -> None:
    names = figures.columns(CATALOGUE[entry["katalog"]])
    assert not any("nik" in name.lower() for name in names)
    rows = list(figures.rows(entry, names))
    assert 14 <= len(rows) <= 170
    assert {row["tahun"] for row in rows} == set(figures.years(entry))
    for row in rows:
        assert list(row) == names
        for value in row.values():
            assert value != "" and not (isinstance(value, (int, float)) and value < 0), row
    assert figures.as_csv(names, rows) == figures.as_csv(names, list(figures.rows(entry, names)))


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry["title"][:40])
def test_codes_are_of_the_vocabularies(entry: dict[str, Any]) -> None:
    for field, vocab in (
        ("kategori", "kategori"),
        ("urusan", "urusan"),
        ("satuan", "satuan"),
        ("tingkat", "tingkat_penyajian"),
        ("frekuensi", "frekuensi"),
        ("ukuran", "ukuran"),
    ):
        if entry.get(field):
            assert entry[field] in {item["value"] for item in schema.vocab(vocab)}, field
    known = {item["value"] for item in schema.vocab("klasifikasi_penyajian")}
    assert set(entry["menurut"]) <= known


def test_workbooks_are_the_same_at_every_run() -> None:
    rows = [{"tahun": 2025, "nilai": 1.5}]
    assert figures.as_xlsx(["tahun", "nilai"], rows) == figures.as_xlsx(["tahun", "nilai"], rows)
