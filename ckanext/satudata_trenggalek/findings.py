"""What is found in uploads: how it is kept, and the sentences that people read.

A finding is stored as data without values: personal data must not be kept a second time. It is
told in the reader's language when it is shown.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

import ckan.plugins.toolkit as tk

from . import personal

#: {"kind", "count", "rows", "blocking", ...}: what was found, how often, in which rows (the first
#: few; data rows from 1, as `_id` of the DataStore), and whether it stops `ajukan`.
Finding = dict[str, Any]
#: So many rows, and so many names, are told at once.
FEW = 5


@dataclass
class Tally:
    """How often something was seen, and where first."""

    count: int = 0
    rows: list[int] = field(default_factory=list)

    def add(self, row: int) -> None:
        self.count += 1
        if len(self.rows) < FEW and row not in self.rows:
            self.rows.append(row)

    def merge(self, count: int, rows: list[int]) -> None:
        self.count += count
        self.rows = sorted({*self.rows, *rows})[:FEW]

    def finding(self, kind: str, **details: Any) -> Finding:
        return {"kind": kind, "count": self.count, "rows": self.rows, **details}


# Sentences that are stored ------------------------------------------------------------------------
#: A sentence before it has a language: its msgid, and what fills the places in it.
Told = tuple[str, dict[str, Any]]


def N_(text: str) -> str:
    """Mark a msgid for the catalogs; it is translated when it is told."""
    return text


def few(items: list[str]) -> dict[str, Any]:
    """The first of a list and how many it has, to fill a place of a sentence."""
    return {"items": items[:FEW], "count": len(items)}


def keep(*sentences: Told) -> str | None:
    """Sentences as they are stored: JSON of their msgids and what fills them; None for none."""
    return json.dumps(sentences, ensure_ascii=False) if sentences else None


def tell(stored: str | None) -> str:
    """What `keep` made, in the reader's language; other text as it is."""
    if not (stored or "").startswith("[["):
        return stored or ""
    return " ".join(
        tk._(text).format(**{k: _few(**v) if isinstance(v, dict) else v for k, v in values.items()})
        for text, values in json.loads(stored or "")
    )


def shown_name(name: str, number: int) -> str:
    """A name of the file (column, sheet) as it may be stored and shown: never personal data."""
    return f"#{number}" if personal.is_personal(name) else name


def _few(items: list[str], count: int | None = None) -> str:
    shown = ", ".join(items[:FEW])
    rest = (len(items) if count is None else count) - len(items[:FEW])
    return tk._("{items} dan {n} lainnya").format(items=shown, n=rest) if rest > 0 else shown


def _where(finding: Finding) -> str:
    """The rows, e.g. "baris data 4, 17 dan 3 lainnya"."""
    rows = _few([str(row) for row in finding["rows"]], finding["count"])
    if finding.get("lines"):
        return tk._("baris berkas {rows}").format(rows=rows)
    if finding.get("sheet"):
        return tk._("baris Excel {rows}").format(rows=rows)
    return tk._("baris data {rows}").format(rows=rows)


def _tanpa_variabel(finding: Finding) -> str:
    return tk._(
        "Kolom {names} belum ada dalam daftar variabel. Tambahkan variabelnya, atau hapus kolomnya."
    ).format(names=_few([f"“{name}”" for name in finding["names"]], finding["count"]))


def _tanpa_kolom(finding: Finding) -> str:
    return tk._(
        "Variabel “{column}” tidak ada kolomnya di tabel. Samakan namanya dengan judul kolom, atau"
        " hapus variabelnya."
    ).format(**finding)


def _judul(finding: Finding) -> str:
    return tk._(
        "Baris pertama tampaknya judul tabel, bukan judul kolom: hanya {count} dari {columns} kolom"
        " yang bernama. Hapus baris judulnya sehingga baris pertama berisi nama kolom, lalu unggah"
        " kembali."
    ).format(**finding)


def _sel_gabung(finding: Finding) -> str:
    rows = _few([str(row) for row in finding["rows"]], finding["count"])
    if finding["blocking"]:
        return tk._(
            "Judul kolom berisi sel gabungan (baris Excel {rows}). Pisahkan selnya dan beri setiap"
            " kolom nama sendiri dalam satu baris, lalu unggah kembali."
        ).format(rows=rows)
    return tk._(
        "Ada sel gabungan di isi tabel (baris Excel {rows}). Hanya sel pertamanya yang berisi;"
        " pisahkan selnya dan isi setiap baris."
    ).format(rows=rows)


def _tipe(finding: Finding) -> str:
    message = tk._(
        "Kolom “{column}” dinyatakan {declared}, tetapi {count} nilainya tidak sesuai ({where})."
        " Kolom ini tetap teks."
    )
    if finding.get("zero"):
        message = tk._(
            "Kolom “{column}” dinyatakan {declared}, tetapi {count} nilainya tidak sesuai"
            " ({where}), di antaranya angka berawalan nol. Kode adalah CHARACTER. Kolom ini tetap"
            " teks."
        )
    return message.format(
        column=finding["column"],
        declared=finding["declared"].upper(),
        count=finding["count"],
        where=_where(finding),
    )


def _kode(finding: Finding) -> str:
    message = {
        "tidak_dikenal": tk._("Kolom “{column}”: {count} nilai tidak dikenal ({where})."),
        "terpotong": tk._(
            "Kolom “{column}”: {count} kode kehilangan karakter depannya ({where}). Tulis kode"
            " lengkap sebagai teks."
        ),
        "sistem_lain": tk._(
            "Kolom “{column}”: {count} kode berasal dari sistem kode yang lain ({where})."
        ),
        "pasangan": tk._(
            "Kolom “{column}”: {count} nama desa tidak ada di kecamatan pada baris yang sama"
            " ({where})."
        ),
        "nama_ganda": tk._(
            "Kolom “{column}”: {count} nama desa ada di beberapa kecamatan, dan tabel tidak"
            " menyebut kecamatannya ({where})."
        ),
        "tidak_sejalan": tk._(
            "Kolom “{column}”: {count} kode bukan milik wilayah pada baris yang sama ({where})."
        ),
        "belum_ada": tk._(
            "Kolom “{column}”: kode BPS belum ada dalam daftar untuk {names} ({where}), jadi tidak"
            " dapat diperiksa."
        ),
    }[finding["reason"]]
    return message.format(
        column=finding["column"],
        count=finding["count"],
        where=_where(finding),
        names=_few(finding.get("names", [])),
    )


def _data_pribadi(finding: Finding) -> str:
    if finding.get("header"):
        message = tk._("Judul kolom ke-{number} memuat NIK atau nomor KK.")
    elif finding.get("part"):
        message = tk._(
            "Bagian tersembunyi berkas Excel ({part}) memuat NIK atau nomor KK: {count} kali."
        )
    elif finding.get("document"):
        message = tk._("Dokumen memuat NIK atau nomor KK: {count} kali.")
    elif finding.get("lines"):
        message = tk._("Berkas memuat NIK atau nomor KK: {count} baris ({where}).")
    elif finding.get("sheet") and finding.get("hidden"):
        message = tk._(
            "Lembar tersembunyi “{sheet}”, kolom {column}, memuat NIK atau nomor KK: {count} sel"
            " ({where})."
        )
    elif finding.get("sheet"):
        message = tk._(
            "Lembar “{sheet}”, kolom {column}, memuat NIK atau nomor KK: {count} sel ({where})."
        )
    else:
        message = tk._("Kolom “{column}” memuat NIK atau nomor KK: {count} baris ({where}).")
    where = _where(finding) if finding["rows"] else ""
    message = message.format(**{**finding, "where": where})
    if inside := finding.get("inside"):
        message = tk._("Di dalamnya, “{file}”: {message}").format(file=inside, message=message)
    return message


def _tidak_tercari(finding: Finding) -> str:
    """The file itself, or files in it, could not be searched for personal data."""
    if finding["reason"] == "arsip":
        message = tk._(
            "Arsip tidak dapat dibuka untuk mencari NIK dan nomor KK: berkata sandi, rusak, terlalu"
            " besar, atau bukan ZIP. Unggah isinya tanpa arsip, atau sebagai ZIP tanpa kata sandi."
        )
    else:
        message = tk._(
            "Portal tidak dapat mencari NIK dan nomor KK dalam PDF, gambar, dan berkas lain yang"
            " bukan teks. Periksa sendiri bahwa tidak ada data pribadi di dalamnya."
        )
    inside = [name for name in finding["names"] if name]
    return f"{message} ({_few(inside, finding['count'])})" if inside else message


_MESSAGES = {
    "kolom_tanpa_variabel": _tanpa_variabel,
    "variabel_tanpa_kolom": _tanpa_kolom,
    "baris_judul": _judul,
    "sel_gabung": _sel_gabung,
    "tipe": _tipe,
    "kode_wilayah": _kode,
    "data_pribadi": _data_pribadi,
    "tidak_tercari": _tidak_tercari,
}


def message(finding: Finding) -> str:
    """A finding in the reader's language."""
    return _MESSAGES[finding["kind"]](finding)


def place(finding: Finding) -> str:
    """Where in the form of the resource it is mended: `url`, `variabel`, `variabel/<row>/nama`."""
    if finding["kind"] == "variabel_tanpa_kolom":
        return f"variabel/{finding['variabel']}/nama"
    return "variabel" if finding["kind"] == "kolom_tanpa_variabel" else "url"
