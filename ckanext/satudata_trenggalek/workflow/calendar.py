"""Working days (hari kerja): Monday to Friday without libur nasional and cuti bersama."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import holidays
import yaml

WIB = ZoneInfo("Asia/Jakarta")
#: Offices close at 16.00; a step that is due today may still be done until then.
CLOSING = dt.time(16, 0)


class BadCalendar(ValueError):
    """A file of holidays that can't be read; says what to mend."""


@dataclass(frozen=True)
class Calendar:
    """What differs from the calendar that `holidays` knows.

    Its Islamic dates of years to come are estimates, so the yearly SKB 3 Menteri has the last word.

    Attributes:
        off: further days without work.
        work: days with work all the same, weekends included.
        every_day: count calendar days, weekends and holidays too.
    """

    off: frozenset[dt.date] = frozenset()
    work: frozenset[dt.date] = frozenset()
    every_day: bool = False

    def works(self, day: dt.date) -> bool:
        """Whether offices work that day."""
        if self.every_day or day in self.work:
            return True
        return day.weekday() < 5 and day not in self.off and day not in _free_days(day.year)

    def due(self, arrived: dt.datetime, days: int) -> dt.datetime:
        """16.00 WIB of the n-th working day after the day of arrival.

        Args:
            arrived: when the status began, with a time zone.
            days: working days, at least 1.
        """
        day = arrived.astimezone(WIB).date()
        while days:
            day += dt.timedelta(days=1)
            days -= self.works(day)
        return dt.datetime.combine(day, CLOSING, WIB)

    def days_late(self, due: dt.datetime, now: dt.datetime, most: int = 100) -> int:
        """Working days that began after the day of a deadline, today included; 0 on that day.

        Args:
            due: the deadline, with a time zone.
            now: with a time zone.
            most: where counting ends.
        """
        day, today, days = due.astimezone(WIB).date(), now.astimezone(WIB).date(), 0
        while day < today and days < most:
            day += dt.timedelta(days=1)
            days += self.works(day)
        return days


@lru_cache(maxsize=16)
def _free_days(year: int) -> frozenset[dt.date]:
    # "government" is cuti bersama (SKB 3 Menteri).
    return frozenset(
        holidays.country_holidays("ID", years=year, categories=("public", "government"))
    )


def read(path: Path, every_day: bool = False) -> Calendar:
    """The calendar with what a YAML file says of SKB 3 Menteri.

    Args:
        path: of a file with the lists `libur` (days off) and `kerja` (days with work), dates as
            2027-03-11, each list may be left out.
        every_day: see Calendar.

    Raises:
        BadCalendar: naming the file and what is wrong with it.
    """
    try:
        told: Any = yaml.safe_load(path.read_text("utf-8")) or {}
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise BadCalendar(f"{path} can't be read: {error}") from None
    if not isinstance(told, dict) or set(told) - {"libur", "kerja"}:
        raise BadCalendar(f"{path}: write the lists `libur` and `kerja`, nothing else")
    lists: dict[str, frozenset[dt.date]] = {}
    for name in ("libur", "kerja"):
        days = told.get(name) or []
        wrong = (
            [day for day in days if type(day) is not dt.date] if isinstance(days, list) else days
        )
        if wrong:
            raise BadCalendar(f"{path}: `{name}` is a list of dates as 2027-03-11, not {wrong!r}")
        lists[name] = frozenset(days)
    if both := lists["libur"] & lists["kerja"]:
        raise BadCalendar(f"{path}: {min(both)} is in both lists")
    return Calendar(lists["libur"], lists["kerja"], every_day)
