"""What our actions take: parsed, bounded, with the name of the field in every message."""

from __future__ import annotations

import datetime as dt
from typing import Any

import ckan.plugins.toolkit as tk

from ckanext.satudata_trenggalek import comments as commenting
from ckanext.satudata_trenggalek.workflow import engine
from ckanext.satudata_trenggalek.workflow.table import STATUSES

MAX_LIMIT = 100
#: Last year of a schedule: PostgreSQL keeps years that Python, and so every reader, cannot.
MAX_YEAR = 2199


def _invalid(field: str, message: str) -> tk.ValidationError:
    return tk.ValidationError({field: [message]})


def text(data: dict[str, Any], field: str, maximum: int = engine.MAX_NOTE) -> str:
    """A text, stripped; "" when absent."""
    value = data.get(field)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise _invalid(field, tk._("Harus berupa teks."))
    value = value.strip()
    if len(value) > maximum:
        raise _invalid(
            field, tk._("Terlalu panjang, paling banyak {n} karakter.").format(n=maximum)
        )
    if not engine.storable(value):
        raise _invalid(field, tk._("Berisi karakter yang tidak dapat disimpan."))
    return value


def number(data: dict[str, Any], field: str, default: int, maximum: int | None = None) -> int:
    """A whole number from 0 to maximum; larger values are cut to maximum."""
    value = data.get(field, default)
    try:
        result = int(value)
        if result < 0 or isinstance(value, bool) or result >= 2**31:
            raise ValueError
    except (OverflowError, TypeError, ValueError):
        message = tk._("Harus berupa bilangan bulat dari 0 sampai {n}.").format(n=2**31 - 1)
        raise _invalid(field, message) from None
    return result if maximum is None else min(result, maximum)


def boolean(data: dict[str, Any], field: str) -> bool | None:
    """True, False, or None when absent."""
    value = data.get(field)
    if value is None or value == "":
        return None
    try:
        return tk.asbool(value)
    except ValueError:
        raise _invalid(field, tk._("Isi true atau false.")) from None


def choice(data: dict[str, Any], field: str, choices: tuple[str, ...], default: str = "") -> str:
    """One of choices; default when absent."""
    value = text(data, field, 100) or default
    if value and value not in choices:
        names = ", ".join(choices)
        raise _invalid(field, tk._("Tidak dikenal. Yang dikenal: {names}.").format(names=names))
    return value


def names(data: dict[str, Any], field: str) -> list[str]:
    """Names, given once, several times or with commas; at most MAX_LIMIT of them."""
    value = data.get(field) or []
    given = value.split(",") if isinstance(value, str) else value
    if not isinstance(given, list) or not all(isinstance(name, str) for name in given):
        raise _invalid(field, tk._("Harus berupa daftar nama."))
    if len(given) > MAX_LIMIT:
        raise _invalid(field, tk._("Terlalu banyak, paling banyak {n}.").format(n=MAX_LIMIT))
    return [found for name in given if (found := text({field: name}, field, 100))]


def statuses(data: dict[str, Any]) -> list[str]:
    """`status`: names of statuses."""
    found = names(data, "status")
    for name in found:
        choice({"status": name}, "status", tuple(STATUSES))
    return found


def moment(data: dict[str, Any], field: str) -> dt.datetime | None:
    """A future time in ISO 8601 with its offset; None when absent."""
    value = text(data, field, 64)
    if not value:
        return None
    try:
        result = dt.datetime.fromisoformat(value.replace("Z", "+00:00"))
    except ValueError:
        result = None
    if result is None or result.tzinfo is None:
        raise _invalid(
            field, tk._("Tulis waktu ISO 8601 dengan zona, misalnya 2026-12-01T09:00:00+07:00.")
        )
    if result <= dt.datetime.now(dt.timezone.utc):
        raise _invalid(field, tk._("Waktu sudah lewat. Pilih waktu yang akan datang."))
    if result.year > MAX_YEAR:
        raise _invalid(field, tk._("Terlalu jauh. Pilih tahun sebelum 2200."))
    # PostgreSQL takes no offsets of 16 hours and more.
    return result.astimezone(dt.timezone.utc)


def request(data: dict[str, Any]) -> engine.Request:
    """The parameters of a transition."""
    checklist = data.get("checklist")
    return engine.Request(
        note=text(data, "note"),
        public_note=text(data, "public_note"),
        content_hash=text(data, "content_hash", 100),
        checklist={} if checklist is None or checklist == "" else checklist,
    )


def body(data: dict[str, Any]) -> str:
    """The words of a comment."""
    words = text(data, "body", commenting.MAX_BODY)
    if not words:
        raise _invalid("body", tk._("Tulis komentarnya."))
    return words


def comments(data: dict[str, Any]) -> list[dict[str, str]]:
    """`comments[]` of a transition: field (or parent) and body of each, checked for shape."""
    given = data.get("comments") or []
    if not isinstance(given, list) or not all(isinstance(item, dict) for item in given):
        raise _invalid("comments", tk._('Isi daftar berisi {"field": …, "body": …}.'))
    if len(given) > commenting.MAX_DRAFTS:
        message = tk._("Terlalu banyak komentar, paling banyak {n}.")
        raise _invalid("comments", message.format(n=commenting.MAX_DRAFTS))
    found = []
    for number, item in enumerate(given, 1):
        try:
            parts = {name: text(item, name, 300) for name in ("field", "parent")}
            found.append({**parts, "body": body(item)})
        except tk.ValidationError as error:
            told = "; ".join(f"{name}: {said}" for name, said in error.error_summary.items())
            message = tk._("Komentar ke-{n}: {message}").format(n=number, message=told)
            raise _invalid("comments", message) from None
    return found
