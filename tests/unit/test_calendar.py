"""Working days against the calendar of 2026 (SKB 3 Menteri)."""

from __future__ import annotations

import datetime as dt

import pytest

from ckanext.satudata_trenggalek.workflow import calendar


@pytest.mark.parametrize(
    ("arrived", "days", "expected"),
    [
        ("2026-11-23T10:00+07:00", 1, "2026-11-24"),  # Monday -> Tuesday
        ("2026-11-20T23:59+07:00", 1, "2026-11-23"),  # Friday -> Monday
        ("2026-11-22T18:00+00:00", 1, "2026-11-24"),  # already Monday in Jakarta
        ("2026-12-23T09:00+07:00", 1, "2026-12-28"),  # 24 cuti bersama, 25 Natal, weekend
        ("2026-03-17T09:00+07:00", 2, "2026-03-26"),  # Nyepi, Idulfitri and cuti bersama
        ("2026-11-23T10:00+07:00", 7, "2026-12-02"),
    ],
)
def test_due(arrived: str, days: int, expected: str) -> None:
    due = calendar.due(dt.datetime.fromisoformat(arrived), days)
    assert due.isoformat() == f"{expected}T16:00:00+07:00"
