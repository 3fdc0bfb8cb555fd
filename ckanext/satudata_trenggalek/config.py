"""One typed reader per option; declared in config_declaration.yaml."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import ckan.plugins.toolkit as tk

from ckanext.satudata_trenggalek.workflow import calendar


def hari_pembina() -> int:
    """Working days that the Pembina Data has for the second check (Perpres 39/2019 Ps 35)."""
    return tk.config["ckanext.satudata_trenggalek.hari_pembina"]


def hari_klaim() -> int:
    """Working days after which others may take over the check that somebody claimed."""
    return tk.config["ckanext.satudata_trenggalek.hari_klaim"]


@lru_cache(maxsize=1)
def _kalender(path: str, every_day: bool) -> calendar.Calendar:
    return calendar.read(Path(path), every_day) if path else calendar.Calendar(every_day=every_day)


def kalender() -> calendar.Calendar:
    """The calendar by which deadlines run; its file is read once.

    Raises:
        calendar.BadCalendar: when the file can't be read.
    """
    return _kalender(
        tk.config["ckanext.satudata_trenggalek.hari_libur"],
        tk.config["ckanext.satudata_trenggalek.hari_kalender"],
    )


def anchor_file() -> Path:
    """The file outside the database that repeats the anchors of the record."""
    told = tk.config["ckanext.satudata_trenggalek.anchor_file"]
    return Path(told or f"{tk.config['ckan.storage_path']}/anchor.jsonl")


def jam_ringkasan() -> int:
    """Hour of the day (WIB) at which the daily digest of notices is sent."""
    return min(tk.config["ckanext.satudata_trenggalek.jam_ringkasan"], 23)


def ingatkan_sebelum() -> int:
    """Working days before a deadline at which its holder is reminded; 0: on the day itself."""
    return tk.config["ckanext.satudata_trenggalek.ingatkan_sebelum"]


def ingatkan_selang() -> int:
    """Working days between two reminders of a missed deadline."""
    return max(tk.config["ckanext.satudata_trenggalek.ingatkan_selang"], 1)


def ingatkan_maks() -> int:
    """How often a missed deadline is reminded of; 0: never."""
    return tk.config["ckanext.satudata_trenggalek.ingatkan_maks"]


def calls_per_minute() -> int:
    """How many calls of our actions and pages a user, or an address, may make; 0 is no limit."""
    return tk.config["ckanext.satudata_trenggalek.calls_per_minute"]
