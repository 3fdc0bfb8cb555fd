"""Working days (hari kerja): Monday to Friday without libur nasional and cuti bersama."""

from __future__ import annotations

import datetime as dt
from functools import lru_cache
from zoneinfo import ZoneInfo

import holidays

WIB = ZoneInfo("Asia/Jakarta")
#: Offices close at 16.00; a step that is due today may still be done until then.
CLOSING = dt.time(16, 0)


@lru_cache(maxsize=16)
def _free_days(year: int) -> frozenset[dt.date]:
    # "government" is cuti bersama (SKB 3 Menteri).
    return frozenset(
        holidays.country_holidays("ID", years=year, categories=("public", "government"))
    )


def is_working_day(day: dt.date) -> bool:
    """Whether offices work that day."""
    return day.weekday() < 5 and day not in _free_days(day.year)


def due(arrived: dt.datetime, days: int) -> dt.datetime:
    """16.00 WIB of the n-th working day after the day of arrival.

    Args:
        arrived: when the status began, with a time zone.
        days: working days, at least 1.
    """
    day = arrived.astimezone(WIB).date()
    while days:
        day += dt.timedelta(days=1)
        days -= is_working_day(day)
    return dt.datetime.combine(day, CLOSING, WIB)
