"""Kode wilayah: values and rows against the list."""

from __future__ import annotations

import pytest

from ckanext.satudata_trenggalek import wilayah

K, B, KEC, DESA = wilayah.SYSTEMS


def problems(**columns: str | None) -> dict[str, str]:
    """Problem by column of one row; the column's name tells its system (kec2 is one of kec)."""
    names = {"kemendagri": K, "bps": B, "kec": KEC, "desa": DESA}
    systems = [names[column.rstrip("2")] for column in columns]
    found = wilayah.check(systems, list(columns.values()))
    return {list(columns)[i]: problem for i, problem, _ in found}


@pytest.mark.parametrize(
    ("system", "value", "name"),
    [
        (K, "35.03", "Trenggalek"),
        (K, "35.03.01", "Panggul"),
        (K, "35.03.11.1002", "Tamanan"),
        (K, " 35.03.01 ", "Panggul"),
        (K, "350301", "Panggul"),
        (K, "'3503111002", "Tamanan"),
        (B, "3503", "Trenggalek"),
        (B, "3503010", "Panggul"),
        (B, "3503010.0", "Panggul"),
        (B, "3503010008", "Besuki"),
    ],
)
def test_codes_of_every_level(system: str, value: str, name: str) -> None:
    area, problem = wilayah.by_code(system, value)
    assert area and area.nama == name and not problem


@pytest.mark.parametrize(
    ("system", "value", "problem"),
    [
        (K, "35.04.01", "tidak_dikenal"),
        (K, "35.03.99", "tidak_dikenal"),
        (K, "3503.01", "tidak_dikenal"),
        (K, "Panggul", "tidak_dikenal"),
        (K, "35.3.1", "terpotong"),
        (K, "03.01", "terpotong"),
        (K, "01.2001", "terpotong"),
        (B, "010", "terpotong"),
        (B, "503010", "terpotong"),
        (K, "3503010", "sistem_lain"),
        (B, "35.03.01.2001", "sistem_lain"),
        (B, "3503999", "tidak_dikenal"),
        # Nglebeng is of Panggul, whose other desa have codes: it may be one that is not listed.
        (B, "3503010999", "belum_ada"),
        # All desa of Munjungan are listed.
        (B, "3503020999", "tidak_dikenal"),
    ],
)
def test_codes_that_are_none(system: str, value: str, problem: str) -> None:
    assert wilayah.by_code(system, value) == (None, problem)


def test_no_code_stands_for_two_areas() -> None:
    both = wilayah._by_code(K).keys() & wilayah._by_code(B).keys()
    assert {wilayah._by_code(K)[code].jenis for code in both} == {"kabupaten"}


def test_fifteen_desa_have_no_bps_code() -> None:
    parents = {area.parent for area in wilayah.areas() if area.is_desa}
    assert sum(len(wilayah.unlisted(parent)) for parent in parents) == 15


@pytest.mark.parametrize("name", ["Panggul", "PANGGUL", " Kec. Panggul", "kecamatan  panggul"])
def test_names_of_kecamatan(name: str) -> None:
    assert problems(kec=name) == {}


@pytest.mark.parametrize("name", ["Karangtengah", "Desa Karang Tengah", "ds. karangtengah"])
def test_names_of_desa_with_their_kecamatan(name: str) -> None:
    assert problems(kec="Panggul", desa=name) == {}
    assert problems(kec="Trenggalek", desa="Kelurahan Kelutan") == {}
    assert problems(kec="Trenggalek", desa="Kel. Kelutan") == {}


def test_pairs_are_checked_not_names_alone() -> None:
    twice = next(found for found in wilayah._desa().values() if len(found) > 1)
    area = next(iter(twice.values()))
    elsewhere = next(a for a in wilayah.areas() if a.is_desa and a.parent not in twice)
    kecamatan = {a.kemendagri: a.nama for a in wilayah.areas() if a.jenis == "kecamatan"}
    assert problems(kec=kecamatan[area.parent], desa=area.nama) == {}
    assert problems(kec=kecamatan[elsewhere.parent], desa=area.nama) == {"desa": "pasangan"}
    # Which one is meant?
    assert problems(desa=area.nama) == {"desa": "nama_ganda"}
    assert problems(desa=area.nama, kemendagri=area.kemendagri) == {}
    assert problems(desa=area.nama, kemendagri=area.parent) == {}


def test_unknown_names_are_told() -> None:
    assert problems(kec="Jumlah", desa="Atlantis") == {
        "kec": "tidak_dikenal",
        "desa": "tidak_dikenal",
    }


def test_code_and_name_of_a_row_belong_together() -> None:
    assert problems(kemendagri="35.03.01", kec="Panggul") == {}
    assert problems(kemendagri="35.03.01", kec="Munjungan") == {"kemendagri": "tidak_sejalan"}
    assert problems(bps="3503020", kec="Panggul") == {"bps": "tidak_sejalan"}
    assert problems(kemendagri="35.03.01.2001", kec="Munjungan") == {"kemendagri": "tidak_sejalan"}
    assert problems(kemendagri="35.03.01.2001", kec="Panggul", desa="Terbis") == {
        "kemendagri": "tidak_sejalan"
    }
    # The numbers of both lists run differently: 35.03.03 is Pule, 3503030 Watulimo.
    assert problems(kemendagri="35.03.03", bps="3503030") == {
        "kemendagri": "tidak_sejalan",
        "bps": "tidak_sejalan",
    }
    assert problems(kemendagri="35.03.03", bps="3503060") == {}


def test_levels_and_several_columns_of_a_kind_do_not_quarrel() -> None:
    assert problems(kemendagri="35.03.01.2001", kemendagri2="35.03.01", desa="Besuki") == {}
    assert problems(kec="Panggul", kec2="Munjungan", kemendagri="35.03.02") == {}
    assert problems(kemendagri="35.03", kec="Panggul") == {}


@pytest.mark.parametrize("code", [None, "", "3503010999"])
def test_desa_without_bps_code_are_told_never_guessed(code: str | None) -> None:
    found = list(wilayah.check((KEC, DESA, B), ("Panggul", "Nglebeng", code)))
    assert found == [(2, "belum_ada", ["Nglebeng"])]
    # The code of the kecamatan is known.
    assert not list(wilayah.check((KEC, DESA, B), ("Panggul", "Nglebeng", "3503010")))
    # That of another desa is not taken for it.
    assert problems(kec="Panggul", desa="Nglebeng", bps="3503010008") == {"bps": "tidak_sejalan"}


def test_blank_rows_are_nothing() -> None:
    assert problems(kemendagri=None, bps="", kec="", desa=None) == {}
