"""MS-Kegiatan, MS-Indikator and MS-Variabel of the demo, put together from its YAML."""

from __future__ import annotations

import csv
import functools
import io
from pathlib import Path
from typing import Any

import yaml
from ckan.lib.munge import munge_title_to_name

from ckanext.satudata_trenggalek import guess
from ckanext.satudata_trenggalek.demo import figures

Row = dict[str, Any]

HERE = Path(__file__).parent
EXAMPLE = "Kegiatan contoh untuk peragaan; keterangan dan angkanya bukan yang resmi."
STAGES = (
    "perencanaan", "desain", "pengumpulan", "pengolahan", "analisis", "diseminasi", "evaluasi",
)  # fmt: skip
#: Keys of an entry of kegiatan.yaml that are no fields.
_NO_FIELDS = ("opd", "variabel", "jadwal", "jalan", "bolong")
_YES, _NO = "1", "2"


@functools.cache
def read(name: str) -> dict[str, Any]:
    """A YAML file of this folder."""
    return yaml.safe_load((HERE / name).read_text(encoding="utf-8"))


# --- Kegiatan ------------------------------------------------------------------------------------


@functools.cache
def all_kegiatan() -> list[dict[str, Any]]:
    """Entries of kegiatan.yaml with what they have in common filled in, and their `name`."""
    content = read("kegiatan.yaml")
    entries = [
        {**content["umum"], **content["cara"][entry["cara_pengumpulan_data"]], **entry}
        for entry in content["kegiatan"]
    ]
    for entry in entries:
        entry["name"] = munge_title_to_name(f"{entry['title']} {entry['tahun_kegiatan']}")
    return entries


def kegiatan_of(entry: dict[str, Any]) -> dict[str, Any]:
    """The kegiatan of an entry of dataset.yaml: the one it names, or that of its OPD and last year.

    Raises:
        LookupError: there is none.
    """
    year = str(figures.years(entry)[-1])
    for found in all_kegiatan():
        if entry.get("kegiatan", found["name"]) == found["name"] and (
            (found["opd"], found["tahun_kegiatan"]) == (entry["opd"], year)
        ):
            return found
    raise LookupError(f"no kegiatan of {entry['opd']} in {year} for {entry['title']}")


def kegiatan(entry: dict[str, Any], home: dict[str, Any], email: str) -> dict[str, Any]:
    """A kegiatan as package_create takes it.

    Args:
        entry: of `all_kegiatan`.
        home: its organization, of opd.yaml.
        email: of that organization.
    """
    year = int(entry["tahun_kegiatan"])
    fields = {key: value for key, value in entry.items() if key not in _NO_FIELDS}
    fields |= {
        "type": "kegiatan",
        "owner_org": home["name"],
        "instansi_penyelenggara": f"{home['title']} Kabupaten Trenggalek",
        "email": email,
        "unit_eselon2": home["title"],
        "pj_jabatan": f"Kepala {home['unit']}",
        "pj_alamat": entry["alamat"],
        "pj_telepon": entry["telepon"],
        "pj_email": email,
        "latar_belakang": f"{entry['latar_belakang']} {EXAMPLE}",
        "variabel_kegiatan": [
            {"nama": name, "konsep": name, "definisi": definition, "referensi_waktu": f"{year}"}
            for name, definition in entry["variabel"].items()
        ],
    }
    for stage in STAGES:
        first, last = (day.format(year, year + 1) for day in entry["jadwal"][stage])
        fields[f"jadwal_{stage}_mulai"], fields[f"jadwal_{stage}_selesai"] = first, last
    for product in ("tercetak", "digital", "mikrodata"):
        if entry[f"produk_{product}"] == _YES:
            fields[f"rilis_{product}"] = fields["jadwal_diseminasi_selesai"]
    return {key: value for key, value in fields.items() if value and key not in lacking(entry)}


def lacking(entry: dict[str, Any]) -> list[str]:
    """Fields that a draft still lacks."""
    return entry.get("bolong", [])


# --- Indikator and variabel ----------------------------------------------------------------------


def _of(entry: dict[str, Any]) -> dict[str, Any]:
    content = read("metadata.yaml")
    if entry.get("berkas") == "wilayah":
        return content["wilayah"]
    return content["katalog"].get(entry.get("katalog"), {})


def indikator(entry: dict[str, Any]) -> list[Row]:
    """MS-Indikator of an entry of dataset.yaml; none where metadata.yaml has nothing of it."""
    known = _of(entry)
    source = kegiatan_of(entry)
    rows = []
    for given in known.get("indikator", []):
        columns = given.get("dari") or [
            name for name in known["variabel"] if not _is_text(entry, name)
        ]
        row = {
            "nama": given["nama"],
            "konsep": given.get("konsep", entry["konsep"]),
            "definisi": given.get("definisi", entry["definisi"]),
            "interpretasi": given["interpretasi"],
            "metode_perhitungan": given["rumus"],
            "ukuran": given.get("ukuran", entry.get("ukuran", "total")),
            "satuan": given.get("satuan", entry["satuan"]),
            "klasifikasi_penyajian": entry["menurut"],
            "level_estimasi": entry.get("tingkat", "kecamatan"),
            "akses_umum": _access(entry),
        }
        if parts := given.get("komposit"):
            row |= {
                "komposit": _YES,
                "publikasi_pembangun": parts["publikasi"],
                "indikator_pembangun": "\n".join(parts["nama"]),
            }
        else:
            row |= {
                "komposit": _NO,
                "kegiatan_pembangun": f"{source['title']} {source['tahun_kegiatan']}",
                "variabel_pembangun": "\n".join(columns),
            }
        rows.append(row)
    return rows


def _access(entry: dict[str, Any]) -> str:
    return _YES if entry.get("klasifikasi", "terbuka") == "terbuka" else _NO


def _is_text(entry: dict[str, Any], name: str) -> bool:
    """Whether a column says what a row is of, and counts nothing."""
    rule = entry.get("kolom", {}).get(name)
    return (isinstance(rule, list) and isinstance(rule[0], str)) or (
        isinstance(rule, dict) and "ambang" in rule
    )


#: What a row is about in time, by the column that says so.
_PERIODS = {
    "bulan": "Satu bulan kalender",
    "triwulan": "Satu triwulan",
    "semester": "Satu semester",
    "periode": "Satu semester",
}


def variabel(
    entry: dict[str, Any], home: dict[str, Any], titles: dict[str, str], table: list[Row]
) -> list[Row]:
    """MS-Variabel of a file; for a draft with gaps only what the names of its columns give away.

    Args:
        entry: of dataset.yaml.
        home: its organization, of opd.yaml.
        titles: column name -> what people call it.
        table: rows of the file, from which the types are taken.
    """
    known = read("metadata.yaml")["umum"] | _of(entry).get("variabel", {})
    period = next((_PERIODS[name] for name in titles if name in _PERIODS), "Satu tahun kalender")
    rows = []
    for name, title in titles.items():
        values = [row[name] for row in table]
        kind = next(
            (k for k, t in _KINDS.items() if any(isinstance(value, t) for value in values)),
            "integer",
        )
        if given := known.get(name):
            row = {"nama": name, "alias": title, "referensi_waktu": period}
            row |= _described(entry, home, name, given, kind)
        else:
            (row,) = guess.rows([{"nama": name, "judul": title}])
        rows.append({k: v for k, v in {**row, "tipe_data": kind}.items() if v})
    return rows


#: MS-Var 8 -> type of the values, the widest first.
_KINDS = {"character": str, "float": float}
_RULES = {
    "character": "-",
    "integer": "Bilangan bulat 0 atau lebih",
    "float": "Bilangan 0 atau lebih",
}


def _described(
    entry: dict[str, Any], home: dict[str, Any], name: str, given: Any, kind: str
) -> Row:
    if isinstance(given, str):
        given = {"definisi": given}
    values = entry.get("kolom", {}).get(name)
    is_area = "kode_referensi" in given
    listed = "; ".join(values) if isinstance(values, list) and kind == "character" else "-"
    row = {
        **({"alias": given["alias"]} if "alias" in given else {}),
        "konsep": given.get("konsep", entry["konsep"]),
        "definisi": given["definisi"],
        "referensi_pemilihan": "Kode Wilayah Kabupaten Trenggalek"
        if is_area
        else f"Standar data ditetapkan {home['title']}",
        "klasifikasi_isian": given.get("isian", listed),
        "aturan_validasi": given.get(
            "validasi", "Harus salah satu dari isian" if listed != "-" else _RULES[kind]
        ),
        "kalimat_pertanyaan": "-",
        "akses_umum": _access(entry),
        "kode_referensi": given.get("kode_referensi", ""),
    }
    # Only what counts something has a unit; a year is no quantity.
    if kind != "character" and "isian" not in given:
        row |= {
            "ukuran": given.get("ukuran", entry.get("ukuran", "total")),
            "satuan": given.get("satuan", entry.get("satuan", "")),
        }
    return row


def table_of(content: bytes) -> tuple[dict[str, str], list[Row]]:
    """Header and rows of a CSV: column names with themselves as titles, and the rows as text."""
    rows = list(csv.DictReader(io.StringIO(content.decode("utf-8-sig"))))
    return {name: name for name in rows[0]}, [dict(row) for row in rows]
