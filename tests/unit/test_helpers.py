"""How dates, numbers and hashes are written, in Indonesian and in English."""

from __future__ import annotations

import datetime as dt
from typing import Any

import jinja2
import pytest

from ckanext.satudata_trenggalek import helpers as h

NOON_UTC = "2026-11-22T07:05:00+00:00"


@pytest.fixture(params=["id", "en"])
def locale(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setattr(h, "_locale", lambda: request.param)
    return request.param


@pytest.fixture
def indonesian(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(h, "_locale", lambda: "id")


def test_date_and_time(locale: str) -> None:
    expected = {
        "id": ("22 November 2026", "14.05 WIB", "Minggu, 22 November 2026"),
        "en": ("22 November 2026", "14:05 WIB", "Sunday, 22 November 2026"),
    }[locale]
    date = h.satudata_tanggal(NOON_UTC)
    assert (date, h.satudata_jam(NOON_UTC), h.satudata_tanggal(NOON_UTC, True)) == expected
    assert h.satudata_waktu(NOON_UTC) == f"{expected[0]}, {expected[1]}"


@pytest.mark.usefixtures("indonesian")
@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("2027-01-31", "31 Januari 2027"),  # a bare date stays that date
        (dt.date(2026, 8, 17), "17 Agustus 2026"),
        ("2026-11-22T17:00:00", "23 November 2026"),  # without an offset UTC: midnight in WIB
        ("2026-11-23T00:30:00+07:00", "23 November 2026"),
        (None, ""),
        ("", ""),
    ],
)
def test_date(value: Any, expected: str) -> None:
    assert h.satudata_tanggal(value) == expected


def test_nothing_is_written_for_no_time() -> None:
    assert h.satudata_jam(None) == h.satudata_waktu(None) == ""


@pytest.mark.parametrize(
    ("value", "indonesian", "english"),
    [
        (1234.5, "1.234,5", "1,234.5"),
        (1234567, "1.234.567", "1,234,567"),
        (0, "0", "0"),
        (-12.25, "-12,2", "-12.2"),
        ("7530", "7.530", "7,530"),
        (None, "", ""),
    ],
)
def test_number(locale: str, value: Any, indonesian: str, english: str) -> None:
    assert h.satudata_angka(value) == (indonesian if locale == "id" else english)


@pytest.mark.usefixtures("indonesian")
@pytest.mark.parametrize(
    ("size", "expected"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (5300, "5,3 kB"),
        ("2500000", "2,5 MB"),
        (3_000_000_000, "3 GB"),
        (None, ""),
        (jinja2.Undefined(), ""),
        ("besar", ""),
        ("inf", ""),
    ],
)
def test_size(size: Any, expected: str) -> None:
    assert h.satudata_ukuran(size) == expected


def test_hash() -> None:
    assert h.satudata_sidik("sha256:0123456789abcdef") == "01234567"
    assert h.satudata_sidik("0123456789abcdef", 12) == "0123456789ab"
    assert h.satudata_sidik(None) == ""


@pytest.mark.usefixtures("indonesian")
@pytest.mark.parametrize(
    ("value", "amount", "expected"),
    [
        (1234.5678, True, "1.234,5678"),
        (2025, False, "2025"),
        ("35.03.01", False, "35.03.01"),
        (None, True, ""),
    ],
)
def test_cell(value: Any, amount: bool, expected: str) -> None:
    assert h._cell(value, amount) == expected
