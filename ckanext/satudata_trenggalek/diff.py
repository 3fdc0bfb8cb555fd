"""What changed between two contents of a dataset (content.canonical). Pure: no CKAN, no database.

Rows of repeating blocks and files are matched by what they say, not by their place, so that a row
put in front does not make all others look changed.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Collection, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import SequenceMatcher
from typing import Any

Row = Mapping[str, Any]
#: Longest text that is compared by words, in words and spaces; longer ones are told as a whole.
MAX_WORDS = 3000
#: Rows that nothing names are compared pair by pair up to this many pairs.
MAX_PAIRS = 10_000
#: Of the items of a row, how many must be equal to call it the same row.
SAME = 0.5


@dataclass(frozen=True)
class Document:
    """A content as it is compared.

    Attributes:
        values: name -> text, list of texts, or list of rows.
        files: one per resource, in order: values, as above, and `file` and `views`.
    """

    values: Mapping[str, Any]
    files: tuple[Mapping[str, Any], ...] = ()


@dataclass
class Diff:
    """What changed. Paths as in the API, rows from 0, but files by place: `resources/0/name`.

    Attributes:
        changed: path in the new content -> (before, after); None for what was or is empty.
        added: paths of rows and files that are new.
        removed: path of the block (or `resources`) -> (place before, row or file) of what is gone.
        moved: paths of blocks (or `resources`) whose rows stand in another order.
    """

    changed: dict[str, tuple[Any, Any]] = field(default_factory=dict)
    added: set[str] = field(default_factory=set)
    removed: dict[str, list[tuple[int, Any]]] = field(default_factory=dict)
    moved: set[str] = field(default_factory=set)

    def __len__(self) -> int:
        """How many things changed."""
        gone = sum(len(rows) for rows in self.removed.values())
        return len(self.changed) + len(self.added) + gone + len(self.moved)


def _decoded(values: Mapping[str, Any], lists: Collection[str]) -> dict[str, Any]:
    """Lists that are stored as JSON text, read; what is no list of the schema stays as it is."""
    found = dict(values)
    for name in lists:
        value = found.get(name)
        if isinstance(value, str) and value.startswith("["):
            try:
                found[name] = json.loads(value)
            except (ValueError, RecursionError):
                continue
    return found


def document(content: Mapping[str, Any], lists: Collection[str] = ()) -> Document:
    """A canonical content as it is compared.

    Args:
        content: of content.canonical, or of model.Content.
        lists: names of the fields, of dataset and files, that hold several values or rows.
    """

    def values(part: Mapping[str, Any]) -> dict[str, Any]:
        return {**_decoded(part.get("extras") or {}, lists), **(part.get("fields") or {})}

    own = values(content)
    # Under the names of the form; the group of a dataset is its kategori, and follows that field.
    own["tag_string"] = [name for name, _vocabulary in content.get("tags") or ()]
    own["owner_org"] = content.get("owner_org")
    own["groups"] = list(content.get("groups") or ())
    own["kegiatan"] = content.get("kegiatan")
    files = tuple(
        {
            "values": values(resource),
            "file": resource.get("file"),
            "views": resource.get("views") or [],
        }
        for resource in content.get("resources") or ()
    )
    return Document({name: value for name, value in own.items() if value}, files)


# Matching ----------------------------------------------------------------------------------------
def _plain(value: Any) -> str:
    return json.dumps(value, sort_keys=True, ensure_ascii=False, default=str)


def match(
    old: Sequence[Any],
    new: Sequence[Any],
    keys: Sequence[Callable[[Any], Hashable]],
    items: Callable[[Any], Mapping[str, Any]],
) -> dict[int, int]:
    """Which of the new rows is which of the old.

    Args:
        old: rows, or files.
        new: likewise.
        keys: what names a row, the surest first; a falsy name is none.
        items: what a row says, to find the likest of those that nothing names.

    Returns:
        place in new -> place in old, for those that have one.
    """
    found: dict[int, int] = {}
    free = dict.fromkeys(range(len(old)))
    for key in (_plain, *keys):
        by_key: dict[Hashable, list[int]] = {}
        for place in free:
            if name := key(old[place]):
                by_key.setdefault(name, []).append(place)
        for place, row in enumerate(new):
            if place in found:
                continue
            same = by_key.get(key(row))
            if same:
                # Where several are equal, the one that stayed in its place.
                was = place if place in same else same[0]
                same.remove(was)
                found[place] = was
                del free[was]
    rest = [place for place in range(len(new)) if place not in found]
    if len(rest) * len(free) <= MAX_PAIRS:
        likeness = sorted(
            (-_alike(items(old[was]), items(new[place])), abs(was - place), place, was)
            for place in rest
            for was in free
        )
        for score, _distance, place, was in likeness:
            if -score >= SAME and place not in found and was in free:
                found[place] = was
                del free[was]
    return found


def _alike(old: Mapping[str, Any], new: Mapping[str, Any]) -> float:
    names = old.keys() | new.keys()
    same = sum(1 for name in names if old.get(name) == new.get(name))
    return same / len(names) if names else 0.0


def match_rows(old: Sequence[Row], new: Sequence[Row], key: str) -> dict[int, int]:
    """`match` for the rows of a block.

    Args:
        old: rows.
        new: likewise.
        key: subfield that names a row, such as `nama`.
    """
    return match(old, new, (lambda row: _folded(row.get(key)),), lambda row: row)


def _folded(value: Any) -> str:
    return " ".join(value.split()).casefold() if isinstance(value, str) else ""


def match_files(
    old: Sequence[Mapping[str, Any]], new: Sequence[Mapping[str, Any]]
) -> dict[int, int]:
    """`match` for the files of a dataset: by name and bytes, by name, by bytes."""

    def name(file: Mapping[str, Any]) -> str:
        return _folded(file["values"].get("name"))

    def sha(file: Mapping[str, Any]) -> str:
        return (file["file"] or {}).get("sha256", "")

    def both(file: Mapping[str, Any]) -> Hashable:
        return (name(file), sha(file)) if name(file) and sha(file) else ""

    found = match(old, new, (both, name, sha), lambda file: file["values"])
    if len(old) == len(new) == 1:
        found = {0: 0}
    return found


# Comparing ---------------------------------------------------------------------------------------
def _is_rows(value: Any) -> bool:
    return bool(value) and isinstance(value, list) and all(isinstance(row, dict) for row in value)


def compare(old: Document, new: Document, keys: Mapping[str, str] | None = None) -> Diff:
    """What is in the new content and was not in the old, and the other way round.

    Args:
        old: content of before.
        new: content of now.
        keys: block -> subfield that names its rows; `nama` where a block is not listed.

    Returns:
        empty exactly when both are equal.
    """
    diff = Diff()
    _values(diff, "", old.values, new.values, keys or {})
    pairs = match_files(old.files, new.files)
    _settle(diff, "resources", pairs, old.files, new.files)
    for place, was in pairs.items():
        before, after = old.files[was], new.files[place]
        path = f"resources/{place}/"
        _values(diff, path, before["values"], after["values"], keys or {})
        for part in ("file", "views"):
            if before[part] != after[part]:
                diff.changed[path + part] = (before[part], after[part])
    return diff


def _settle(
    diff: Diff, path: str, pairs: Mapping[int, int], old: Sequence[Any], new: Sequence[Any]
) -> None:
    """Tell what has no other half, and whether the order changed."""
    diff.added |= {f"{path}/{place}" for place in range(len(new)) if place not in pairs}
    kept = set(pairs.values())
    if gone := [(was, row) for was, row in enumerate(old) if was not in kept]:
        diff.removed[path] = gone
    order = [pairs[place] for place in sorted(pairs)]
    if order != sorted(order):
        diff.moved.add(path)


def _values(diff: Diff, prefix: str, old: Row, new: Row, keys: Mapping[str, str]) -> None:
    for name in (*new, *(name for name in old if name not in new)):
        before, after = old.get(name), new.get(name)
        if before == after:
            continue
        path = prefix + name
        if (before and not _is_rows(before)) or (after and not _is_rows(after)):
            diff.changed[path] = (before, after)
            continue
        rows, now = before or [], after or []
        pairs = match_rows(rows, now, keys.get(name, "nama"))
        size = len(diff)
        _settle(diff, path, pairs, rows, now)
        for place, was in pairs.items():
            for sub in (*now[place], *(sub for sub in rows[was] if sub not in now[place])):
                cells = rows[was].get(sub), now[place].get(sub)
                if cells[0] != cells[1]:
                    diff.changed[f"{path}/{place}/{sub}"] = cells
        if len(diff) == size:  # an empty list against none
            diff.changed[path] = (before, after)


# Words -------------------------------------------------------------------------------------------
def words(before: str, after: str) -> Iterator[tuple[str, str]]:
    """What changed within a text.

    Yields:
        ("=", text in both), ("-", what is gone), ("+", what is new); those of "=" and "+" together
        give the text of now, those of "=" and "-" that of before.
    """
    old, new = (re.findall(r"\s+|\S+", text) for text in (before, after))
    if max(len(old), len(new)) > MAX_WORDS:
        yield from (part for part in (("-", before), ("+", after)) if part[1])
        return
    parts: list[tuple[bool, str, str]] = []
    for kind, a, b, c, d in SequenceMatcher(None, old, new, autojunk=False).get_opcodes():
        parts.append((kind == "equal", "".join(old[a:b]), "".join(new[c:d])))
    # A space between two changes belongs to them: one phrase is struck out, not five words.
    gone = came = ""
    for number, (same, a, b) in enumerate(parts):
        last = number == len(parts) - 1
        if not same or (a.isspace() and (gone or came) and not last):
            gone, came = gone + a, came + b
            continue
        yield from (part for part in (("-", gone), ("+", came)) if part[1])
        gone = came = ""
        yield ("=", a)
    yield from (part for part in (("-", gone), ("+", came)) if part[1])
