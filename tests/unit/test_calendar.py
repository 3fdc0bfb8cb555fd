"""Working days against the calendar of 2026 (SKB 3 Menteri)."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import pytest

from ckanext.satudata_trenggalek.workflow import calendar
from ckanext.satudata_trenggalek.workflow.calendar import BadCalendar, Calendar

#: SKB 3 Menteri for 2026, typed by hand: libur nasional, then cuti bersama.
PUBLIC = (
    "01-01 01-16 02-17 03-19 03-21 03-22 04-03 04-05 05-01 05-14 05-27 05-31 06-01 06-16 08-17"
    " 08-25 12-25"
)
GOVERNMENT = "02-16 03-18 03-20 03-23 03-24 05-15 05-28 12-24"


def moment(text: str) -> dt.datetime:
    return dt.datetime.fromisoformat(text)


def days(*texts: str) -> frozenset[dt.date]:
    return frozenset(map(dt.date.fromisoformat, texts))


def test_skb_2026() -> None:
    off = days(*(f"2026-{day}" for day in f"{PUBLIC} {GOVERNMENT}".split()))
    assert len(off) == 17 + 8
    day, year = dt.date(2026, 1, 1), []
    while day.year == 2026:
        year.append(day)
        day += dt.timedelta(days=1)
    wrong = [d for d in year if Calendar().works(d) != (d.weekday() < 5 and d not in off)]
    assert wrong == []


@pytest.mark.parametrize(
    ("arrived", "count", "expected"),
    [
        ("2026-11-23T10:00+07:00", 1, "2026-11-24"),  # Monday -> Tuesday
        ("2026-11-20T23:59+07:00", 1, "2026-11-23"),  # Friday -> Monday
        ("2026-11-21T10:00+07:00", 1, "2026-11-23"),  # Saturday
        ("2026-11-22T18:00+00:00", 1, "2026-11-24"),  # already Monday in Jakarta
        ("2026-11-22T16:59+00:00", 1, "2026-11-23"),  # a minute to midnight in Jakarta
        ("2026-12-23T09:00+07:00", 1, "2026-12-28"),  # 24 cuti bersama, 25 Natal, weekend
        ("2026-12-31T09:00+07:00", 1, "2027-01-04"),  # New Year on Friday, weekend
        ("2025-12-31T09:00+07:00", 1, "2026-01-02"),
        ("2026-02-13T09:00+07:00", 1, "2026-02-18"),  # cuti bersama before Imlek
        ("2026-03-17T09:00+07:00", 2, "2026-03-26"),  # Nyepi, Idulfitri and cuti bersama
        ("2026-05-13T09:00+07:00", 1, "2026-05-18"),  # Kenaikan, cuti bersama, weekend
        ("2026-05-26T09:00+07:00", 2, "2026-06-02"),  # Iduladha; Pancasila on Monday
        ("2026-11-23T10:00+07:00", 7, "2026-12-02"),
    ],
)
def test_due(arrived: str, count: int, expected: str) -> None:
    due = Calendar().due(moment(arrived), count)
    assert due.isoformat() == f"{expected}T16:00:00+07:00"


@pytest.mark.parametrize(
    ("due", "now", "expected"),
    [
        ("2026-11-24T16:00+07:00", "2026-11-24T16:01+07:00", 0),
        ("2026-11-24T16:00+07:00", "2026-11-24T17:01+00:00", 1),  # past midnight in Jakarta
        ("2026-11-20T16:00+07:00", "2026-11-22T09:00+07:00", 0),
        ("2026-11-20T16:00+07:00", "2026-11-24T09:00+07:00", 2),
        ("2026-12-23T16:00+07:00", "2026-12-28T09:00+07:00", 1),
        ("2020-11-20T16:00+07:00", "2026-11-24T09:00+07:00", 100),
    ],
)
def test_days_late(due: str, now: str, expected: int) -> None:
    assert Calendar().days_late(moment(due), moment(now)) == expected


def test_override_file(tmp_path: Path) -> None:
    """A holiday added, an estimate withdrawn, a Saturday with work."""
    path = tmp_path / "hari_libur.yaml"
    path.write_text("libur: [2026-11-24]\nkerja: [2026-12-24, 2026-12-26]\n")
    told = calendar.read(path)
    assert told == Calendar(days("2026-11-24"), days("2026-12-24", "2026-12-26"))
    for arrived, expected in (
        ("2026-11-23T10:00+07:00", "2026-11-25"),
        ("2026-12-23T10:00+07:00", "2026-12-24"),
        ("2026-12-24T10:00+07:00", "2026-12-26"),
    ):
        assert told.due(moment(arrived), 1).date().isoformat() == expected
    path.write_text("")
    assert calendar.read(path) == Calendar()


def test_calendar_days(tmp_path: Path) -> None:
    path = tmp_path / "hari_libur.yaml"
    path.write_text("libur: [2026-12-26]\n")
    told = calendar.read(path, every_day=True)
    assert told.due(moment("2026-12-24T10:00+07:00"), 3).date() == dt.date(2026, 12, 27)


@pytest.mark.parametrize(
    "text",
    [
        "- 2026-01-01",
        "lain: []",
        "libur: 2026-01-01",
        "libur: [besok]",
        "libur: [2026-01-01T09:00:00]",
        "libur: {2026-01-01: Tahun Baru}",
        "libur: [2026-01-01]\nkerja: [2026-01-01]",
        "libur: [",
    ],
)
def test_a_bad_file_is_named(tmp_path: Path, text: str) -> None:
    path = tmp_path / "hari_libur.yaml"
    path.write_text(text)
    with pytest.raises(BadCalendar, match=r"hari_libur\.yaml"):
        calendar.read(path)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadCalendar, match="tidak-ada"):
        calendar.read(tmp_path / "tidak-ada.yaml")
