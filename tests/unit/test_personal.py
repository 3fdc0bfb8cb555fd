"""NIK and NKK: what is one, what only looks like one."""

from __future__ import annotations

import re
import time

import duckdb
import pytest

from ckanext.satudata_trenggalek import personal

#: Made up: Trenggalek, kecamatan 01, born 12 March 1990, and a woman of the same day.
MAN, WOMAN = "3503011203900001", "3503015203900002"

PERSONAL = [
    MAN,
    WOMAN,
    f"'{MAN}",
    f"NIK: {MAN}.",
    f"NIK.{MAN}",
    f"a.n. Siti/{WOMAN}/RT 2",
    f"KK {MAN}\nlahir",
    f"{MAN}.0",
    "3503 0112 0390 0001",
    "350301 120390 0001",
    "3503-0112-0390-0001",
    "35.03.01.120390.0001",
    "350301.120390.0001",
    "35.03.01.12.03.90.0001",
    "35 03 01 12 03 90 0001",
    "350301 - 120390 - 0001",
    "350301\u00a01203900001",
    "3 5 0 3 0 1 1 2 0 3 9 0 0 0 0 1",
    "3.503.011.203.900.001",
    "9103017112000001",
]
OTHER = [
    "",
    "1234567890123456",
    "3503013202900001",  # day 32
    "3503013002900001",  # 30 February
    "3503017113900001",  # month 13
    "2003011203900001",  # no such province
    "3503001203900001",  # no such kecamatan
    "3503011203900000",  # serial numbers begin with 1
    f"1{MAN}",
    f"{MAN}7",
    "196503121990031005",  # NIP
    "350301120390000",
    "0.3503011203900001",
    "35.03011203900001",
    "350301120390.0001",
    "-8.0512345678901234 111.7081234567890123",
    "12-05-2021 - 12-06-2021",
    "12-05-2021 12-06-2021",
    "08123456789 08198765432",
    "2019 2020 2021 2022",
    "12.35.03.01.01.2020.0001",
]


@pytest.mark.parametrize("text", PERSONAL)
def test_personal_data_are_seen(text: str) -> None:
    assert personal.is_personal(text)


@pytest.mark.parametrize("text", OTHER)
def test_other_numbers_are_not(text: str) -> None:
    assert not personal.is_personal(text)


def test_duckdb_sees_the_same() -> None:
    with duckdb.connect() as duck:
        for text in [*PERSONAL, *OTHER]:
            row = duck.execute("SELECT regexp_matches($1, $2)", [text, personal.PATTERN]).fetchone()
            assert row == (personal.is_personal(text),), text


def test_every_alternative_of_the_pattern_has_sixteen_digits() -> None:
    for way in personal._WAYS:
        plain = personal._structure(dict.fromkeys(way, ""))
        assert re.fullmatch(plain, MAN) and re.fullmatch(plain, WOMAN)


def test_coordinates_cost_little() -> None:
    border = ", ".join(f"111.70{i:06d}1234 -8.05{i:06d}4321" for i in range(30_000))
    start = time.perf_counter()
    assert not personal.is_personal(border)
    assert time.perf_counter() - start < 2


@pytest.mark.parametrize(
    "name",
    ["nik", "NIK", "nkk", "no_kk", "No. KK", "NO_NIK", "No.KTP", "nomor induk kependudukan",
     "Nomor Kartu Keluarga", "nik_ayah", "NIK Kepala Keluarga", "NoKK", "nomor_kk", "NIK/No KK",
     "induk kependudukan", "No e-KTP"],
)  # fmt: skip
def test_columns_meant_for_them(name: str) -> None:
    assert personal.is_personal_name(name)


@pytest.mark.parametrize(
    "name", ["Jumlah NIK", "KK", "jumlah_kk", "teknik", "Klinik", "kartu keluarga terbit", "nama",
             "persentase NIK padan", "no", "nomor", "induk", "% NIK"],
)  # fmt: skip
def test_columns_that_count_or_only_sound_alike(name: str) -> None:
    assert not personal.is_personal_name(name)
