"""The demo's catalogue: what can be checked of it without a portal."""

from __future__ import annotations

import re
from collections import Counter
from typing import Any

import pytest

from ckanext.satudata_trenggalek import demo, schema
from ckanext.satudata_trenggalek.demo import figures, metadata
from ckanext.satudata_trenggalek.workflow.table import STATUSES, TRANSITIONS

ENTRIES = demo.read("dataset.yaml")["dataset"]
CATALOGUE = figures.catalogue((demo.HERE / "katalog.jsonl").read_text(encoding="utf-8"))
HOMES = {home["name"]: home for home in demo.read("opd.yaml")["organisasi"]}
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
    assert len(ENTRIES) == 50
    assert len({entry["opd"] for entry in ENTRIES}) == 19
    ends = [end(entry) for entry in ENTRIES]
    # What has a revision comes with the revisions.
    assert set(ends) == set(STATUSES) - {"digabung"}
    assert ends.count("terbit") == 25
    assert any(entry.get("klasifikasi", "terbuka") != "terbuka" for entry in ENTRIES)
    assert any("terbit_dalam_hari" in str(entry["jalan"]) for entry in ENTRIES)


@pytest.mark.parametrize("entry", TABLES, ids=lambda entry: str(entry["katalog"]))
def test_rows(entry: dict[str, Any]) -> None:
    names = list(figures.columns(CATALOGUE[entry["katalog"]]))
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


# Metadata -----------------------------------------------------------------------------------------


def content(entry: dict[str, Any]) -> dict[str, Any]:
    """The dataset of an entry as package_show would give it, with its files."""
    home = HOMES[entry["opd"]]
    files = demo._files(entry, home, CATALOGUE, whole=True)
    resources = [
        file | {"id": f"r{number}", "url": file["upload"].filename}
        for number, file in enumerate(files)
    ]
    made = demo._metadata(entry, home, entry.get("name", "nama"))
    return made | {"type": "dataset", "resources": resources}


def blockers(dataset: dict[str, Any]) -> list[dict[str, str]]:
    return schema.blockers(dataset, {resource["id"] for resource in dataset["resources"]})


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry["title"][:40])
def test_metadata_is_complete_where_it_was_submitted(entry: dict[str, Any]) -> None:
    dataset = content(entry)
    for resource in dataset["resources"]:
        rows = resource["variabel"]
        # The header of the file, in its order: nothing left out, nothing invented.
        resource["upload"].stream.seek(0)
        if resource["format"] == "CSV":
            header = resource["upload"].stream.readline().decode("utf-8-sig").strip().split(",")
            assert [row["nama"] for row in rows] == header
    if entry["jalan"]:
        assert blockers(dataset) == []
    elif "bolong" in entry:
        assert blockers(dataset)
    for resource in dataset["resources"]:
        told = [row["definisi"] for row in resource["variabel"] if "definisi" in row]
        assert len(set(told)) == len(told)


def test_columns_of_places_carry_their_codes() -> None:
    wilayah = next(entry for entry in ENTRIES if entry.get("berkas") == "wilayah")
    (resource,) = content(wilayah)["resources"]
    codes = {row["nama"]: row.get("kode_referensi") for row in resource["variabel"]}
    assert (codes["kode_kemendagri"], codes["kode_bps"]) == ("kemendagri", "bps")
    for entry in TABLES:
        names = {
            row["nama"]: row.get("kode_referensi")
            for row in content(entry)["resources"][0]["variabel"]
        }
        assert names.get("kecamatan", "nama_kecamatan") == "nama_kecamatan"
        assert names.get("desa", "nama_desa") == "nama_desa"


KEGIATAN = metadata.all_kegiatan()


def kegiatan(entry: dict[str, Any]) -> dict[str, Any]:
    return metadata.kegiatan(entry, HOMES[entry["opd"]], "dinas@trenggalekkab.go.id")


@pytest.mark.parametrize("entry", KEGIATAN, ids=lambda entry: entry["name"])
def test_kegiatan(entry: dict[str, Any]) -> None:
    fields = kegiatan(entry)
    assert re.search("bukan yang resmi", fields["latar_belakang"])
    missing = schema.blockers(fields | {"resources": []}, set())
    assert {b["field"] for b in missing} >= set(entry.get("bolong", ()))
    assert bool(missing) == bool(entry.get("bolong"))
    for name, value in fields.items():
        if name not in ("type", "owner_org"):
            assert schema.clean(schema.find("kegiatan", name), value)


def test_kegiatan_of_every_kind_and_status() -> None:
    kinds = Counter(entry["cara_pengumpulan_data"] for entry in KEGIATAN)
    assert (kinds["2"], kinds["1"]) == (2, 1) and kinds["3"] > 15
    assert {end(entry) for entry in KEGIATAN} == {"draf", "diajukan", "dikembalikan", "terbit"}
    assert all(
        "rancangan_sampel" in kegiatan(e) for e in KEGIATAN if e["cara_pengumpulan_data"] == "2"
    )
    # A dataset comes after its kegiatan, and is approved only with one that is published.
    for entry in ENTRIES:
        source = metadata.kegiatan_of(entry)
        assert source["opd"] == entry["opd"]
        assert source["tahun_kegiatan"] == str(figures.years(entry)[-1])
        if end(entry) not in ("draf", "diajukan", "dikembalikan"):
            assert end(source) == "terbit"


def test_a_dataset_without_kegiatan_is_told() -> None:
    with pytest.raises(LookupError, match="dinkes in 1999"):
        metadata.kegiatan_of({"opd": "dinkes", "tahun": 1999, "title": "Lama"})
