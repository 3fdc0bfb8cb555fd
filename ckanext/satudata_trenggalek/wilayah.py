"""Areas of the Kabupaten: codes and names of schemas/vocab/wilayah.csv, checked row by row.

Kemendagri and BPS number the same areas in different orders (Kepmendagri and Peraturan BPS), so no
code is ever made from the other, and what the list does not have is told, not guessed.
"""

from __future__ import annotations

import csv
import functools
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from . import schema

#: vocab/kode_referensi.yaml: columns of these are checked.
CODES = ("kemendagri", "bps")
SYSTEMS = (*CODES, "nama_kecamatan", "nama_desa")


@dataclass(frozen=True)
class Area:
    """A row of the list. `parent` is the Kemendagri code of the area above."""

    jenis: str
    nama: str
    kemendagri: str
    bps: str
    parent: str

    @property
    def is_desa(self) -> bool:
        return self.jenis not in ("kabupaten", "kecamatan")

    def code(self, system: str) -> str:
        return self.kemendagri if system == "kemendagri" else self.bps


_PREFIX = re.compile(r"\s*(?:kecamatan|kec|kelurahan|kel|desa|ds|kabupaten|kab)(?:\.\s*|\s+)")


def key(name: str) -> str:
    """A name without case, spaces and marks, "Kec." or "Desa" before it: for comparing."""
    name = _PREFIX.sub("", name.casefold(), count=1)
    return re.sub("[^a-z0-9]", "", name)


@functools.cache
def areas() -> tuple[Area, ...]:
    """The list, in its order."""
    with open(schema.FOLDER / "vocab/wilayah.csv", encoding="utf-8", newline="") as text:
        return tuple(
            Area(
                row["jenis"],
                row["nama"],
                row["kode_kemendagri"],
                row["kode_bps"],
                row["kode_induk_kemendagri"],
            )
            for row in csv.DictReader(text)
        )


@functools.cache
def _by_code(system: str) -> dict[str, Area]:
    """Areas by the digits of their codes."""
    return {a.code(system).replace(".", ""): a for a in areas() if a.code(system)}


@functools.cache
def _kecamatan() -> dict[str, Area]:
    return {key(area.nama): area for area in areas() if area.jenis == "kecamatan"}


@functools.cache
def _desa() -> dict[str, dict[str, Area]]:
    """Areas by the key of their names, then by the Kemendagri code of their kecamatan."""
    found: dict[str, dict[str, Area]] = {}
    for area in areas():
        if area.is_desa:
            found.setdefault(key(area.nama), {})[area.parent] = area
    return found


@functools.cache
def unlisted(parent: str) -> tuple[Area, ...]:
    """Desa of a kecamatan (Kemendagri code) whose BPS code the list does not have."""
    return tuple(a for a in areas() if a.is_desa and a.parent == parent and not a.bps)


def by_code(system: str, value: str) -> tuple[Area | None, str]:
    """The area of a code, or why there is none.

    Args:
        system: "kemendagri" or "bps".
        value: as in the table: with dots or without, also as a number of Excel ("3503010.0").

    Returns:
        the area and "", or None and "tidak_dikenal", "terpotong" (it lost its beginning or zeros),
        "sistem_lain" (a code of the other list) or "belum_ada" (it may be one of the desa whose
        BPS code the list does not have).
    """
    text = value.strip().strip("'\u00a0")
    text = re.sub(r"[.]0+$", "", text) if system == "bps" else text
    if not re.fullmatch("[0-9. ]+", text):
        return None, "tidak_dikenal"
    parts = [part for part in re.split("[. ]+", text) if part]
    digits, known = "".join(parts), _by_code(system)
    if digits in known and (
        system == "bps" or "." not in text or text == known[digits].code(system)
    ):
        return known[digits], ""
    if digits in _by_code(CODES[system == CODES[0]]):
        return None, "sistem_lain"
    padded = "".join(part.zfill(2) for part in parts)
    if digits not in known and (padded in known or any(c.endswith(digits) for c in known)):
        return None, "terpotong"
    above = known.get(digits[:7]) if system == "bps" and len(digits) == 10 else None
    if above and unlisted(above.kemendagri):
        return None, "belum_ada"
    return None, "tidak_dikenal"


def check(systems: Sequence[str], values: Sequence[Any]) -> Iterator[tuple[int, str, list[str]]]:
    """What is wrong with the codes and names in one row.

    Where a row has several names or codes of a kind (origin and destination, code and that of the
    area above), a match with any of them will do.

    Args:
        systems: of `SYSTEMS`, of each column.
        values: text or None of the same columns.

    Yields:
        position, problem ("pasangan", "nama_ganda", "tidak_sejalan" beside those of `by_code`) and
        names of the desa it is about, for "belum_ada".
    """
    filled = [(i, s, v) for i, (s, v) in enumerate(zip(systems, values, strict=True)) if v]
    found = {i: (system, *by_code(system, v)) for i, system, v in filled if system in CODES}
    codes = [(system, area) for system, area, _ in found.values() if area]
    kecamatan: list[Area] = []
    desa: list[Area] = []
    for i, system, value in filled:
        if system == "nama_kecamatan":
            if area := _kecamatan().get(key(value)):
                kecamatan.append(area)
            else:
                yield i, "tidak_dikenal", []
    # Without a name of the kecamatan, a code may tell which of two desa of a name is meant.
    parents = {a.parent if a.is_desa else a.kemendagri for _, a in codes}
    for i, system, value in filled:
        if system != "nama_desa":
            continue
        named = _desa().get(key(value), {})
        paired = [named[k.kemendagri] for k in kecamatan if k.kemendagri in named]
        if not named:
            yield i, "tidak_dikenal", []
        elif kecamatan and not paired:
            yield i, "pasangan", []
        elif paired or len(named) == 1:
            desa += paired or named.values()
        elif "nama_kecamatan" not in systems and not parents & named.keys():
            yield i, "nama_ganda", []
    meant = [*desa, *(area for _, area in codes if area.is_desa)]
    for i, system in enumerate(systems):
        if system not in CODES:
            continue
        _, area, problem = found.get(i, (system, None, ""))
        if system == "bps" and area is None and any(not a.bps for a in meant):
            yield i, "belum_ada", [a.nama for a in meant[:1]]
        elif problem == "belum_ada":
            above = _by_code("bps")[re.sub("[^0-9]", "", str(values[i]))[:7]]
            yield i, problem, [a.nama for a in unlisted(above.kemendagri)]
        elif problem:
            yield i, problem, []
        elif area and not _agrees(system, area, kecamatan, desa, codes):
            yield i, "tidak_sejalan", []


def _agrees(
    system: str, area: Area, kecamatan: list[Area], desa: list[Area], codes: list[tuple[str, Area]]
) -> bool:
    """Whether the area of a code is among those of the row's names and of its other codes."""
    others = [a for s, a in codes if s != system and a.is_desa == area.is_desa]
    names = desa if area.is_desa else kecamatan if area.jenis == "kecamatan" else []
    if area.is_desa and kecamatan and area.parent not in {k.kemendagri for k in kecamatan}:
        return False
    return (not names or area in names) and (not others or area in others)
