"""The review page as data: what is read, what changed in it, what is said of it.

Made from the answers of the API alone (package_show, satudata_diff_show, satudata_comment_list), so
that a program could show the same.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import ckan.plugins.toolkit as tk
from ckan.lib import datapreview
from markupsafe import Markup

from ckanext.satudata_trenggalek import comments, diff, forms, schema
from ckanext.satudata_trenggalek import helpers as h
from ckanext.satudata_trenggalek.publik import satudata_kata

#: What of the page is shown.
VIEWS = ("semua", "berubah", "komentar")
#: What core and the portal themselves say of a dataset, of a file and of a view. All else that is
#: shown to the public and no field of the schema is read by the checker, too.
_SAID = {
    "dataset": frozenset((
        "id", "type", "state", "private", "creator_user_id", "metadata_created",
        "metadata_modified", "num_resources", "num_tags", "isopen", "license_title", "license_url",
        "organization", "owner_org", "tags", "groups", "resources", "extras",
        "relationships_as_subject", "relationships_as_object",
    )),
    "file": frozenset((
        "id", "package_id", "state", "position", "created", "last_modified", "metadata_modified",
        "cache_last_updated", "hash", "size", "mimetype", "url_type", "datastore_active",
    )),
    "view": frozenset(("id", "package_id", "resource_id", "view_type")),
}  # fmt: skip
#: Of a file, columns of core's that are there whether or not anybody filled them in.
_COLUMNS = ("cache_url", "mimetype_inner", "resource_type")
#: Titles of the views that the portal makes itself, in the language of whoever uploaded.
_TITLES = {"datatables_view": ("Table", "Tabel"), "text_view": ("Text", "Teks")}
#: Sections whose unchanged items fold away from the second round on; the first is read whole.
FOLDED = ("metadata", "interoperabilitas", "kode_referensi")


def marked(before: str, after: str) -> Markup:
    """A text with what changed in it: struck out and underlined, and said to who hears the page."""
    tags = {
        "=": Markup("{}"),
        "-": Markup('<del><span class="visually-hidden">{} </span>{{}}</del>').format(
            tk._("Dihapus:")
        ),
        "+": Markup('<ins><span class="visually-hidden">{} </span>{{}}</ins>').format(
            tk._("Ditambahkan:")
        ),
    }
    parts = [tags[kind].format(text) for kind, text in diff.words(before, after)]
    return Markup('<span class="sd-diff sd-lines">{}</span>').format(Markup("").join(parts))


def _usual(view_type: str) -> dict[str, Any]:
    """What a view of a kind is while nobody has said anything else."""
    plugin = datapreview.get_view_plugin(view_type)
    schema_ = plugin.info().get("schema") if plugin else None
    defaults, _errors = tk.navl_validate({}, schema_, {}) if schema_ else ({}, {})
    return defaults


def anchor(path: str) -> str:
    """Id on the page of the field of a path."""
    return path.replace("/", "-")


@dataclass
class Item:
    """A field, or a cell of a row, as the page shows it.

    Attributes:
        path: as the API has it.
        code: official item number.
        value: text, or HTML where something in it changed.
        quiet: neither changed nor commented on.
        kind: rule of the value (schema: jenis); tells the template of a kegiatan.
    """

    path: str
    code: str
    label: str
    value: str | Markup
    changed: bool = False
    threads: list[dict[str, Any]] = field(default_factory=list)
    name: str = ""
    kind: str = ""

    @property
    def quiet(self) -> bool:
        return not self.changed and not self.threads

    @property
    def id(self) -> str:
        return anchor(self.path)


@dataclass
class Row:
    """A row of a repeating block.

    Attributes:
        added: not there before.
        threads: of the row and of all its cells.
    """

    path: str
    number: int
    title: str
    cells: dict[str, Item]
    added: bool
    threads: list[dict[str, Any]]

    @property
    def changed(self) -> bool:
        return self.added or any(cell.changed for cell in self.cells.values())

    @property
    def quiet(self) -> bool:
        return not self.changed and not self.threads

    @property
    def id(self) -> str:
        return anchor(self.path)


@dataclass
class Block:
    """A repeating block with its rows, those shown and those that fold away.

    Attributes:
        gone: titles and values of the rows that were removed.
        threads: of the block itself.
    """

    path: str
    name: str
    code: str
    label: str
    rows: list[Row]
    quiet: list[Row]
    gone: list[tuple[str, str]]
    moved: bool
    changed: bool
    threads: list[dict[str, Any]]

    @property
    def count(self) -> int:
        return len(self.rows) + len(self.quiet)

    @property
    def id(self) -> str:
        return anchor(self.path)


class Sheet:
    """A dataset as its checker reads it.

    Args:
        status: satudata_status_show.
        dataset: package_show.
        difference: satudata_diff_show.
        threads: results and drafts of satudata_comment_list, each with its replies.
        view: one of VIEWS.
        shows: id of a file -> its resource_view_list.
    """

    def __init__(
        self,
        status: Mapping[str, Any],
        dataset: Mapping[str, Any],
        difference: Mapping[str, Any],
        threads: Sequence[dict[str, Any]],
        view: str = "semua",
        shows: Mapping[str, Sequence[Mapping[str, Any]]] | None = None,
    ):
        self.shows = shows or {}
        self.status, self.dataset, self.difference, self.view = status, dataset, difference, view
        self.type = comments.schema_type(dataset)
        self.compares = bool(difference["base"])
        self.threads: dict[str, list[dict[str, Any]]] = {}
        #: Comments on what is no longer there.
        self.orphans = [thread for thread in threads if thread["current_field"] is None]
        for thread in threads:
            if thread["current_field"]:
                self.threads.setdefault(thread["current_field"], []).append(thread)
        self.count = len(threads)
        self.changes = difference["count"]
        self._added = set(difference["added"])

    # Values --------------------------------------------------------------------------------------
    def _text(self, known: Mapping[str, Any], value: Any) -> str:
        name, kind = known["field_name"], known.get("jenis")
        if not value:
            return ""
        if name == "owner_org":
            return self.status["organization_title"] or ""
        if kind == "tanggal" and isinstance(value, str):
            try:
                return h.satudata_tanggal(value)
            except ValueError:
                return value
        return forms.satudata_isi(known, value)

    def item(self, path: str, known: Mapping[str, Any], value: Any, added: bool = False) -> Item:
        """A field or cell.

        Args:
            path: of the field.
            known: the field of the schema.
            value: as stored.
            added: whether its whole row is new, which then says so for all its cells.
        """
        change = self.difference["changed"].get(path) if self.compares else None
        text = self._text(known, value)
        if change and not added:
            text = marked(self._text(known, change["before"]), self._text(known, change["after"]))
        return Item(
            path,
            satudata_kata(known.get("bps_item")),
            schema.text(known["label"]),
            text,
            bool(change),
            self.threads.get(path, []),
            known["field_name"],
            str(known.get("jenis") or ""),
        )

    def block(self, prefix: str, known: Mapping[str, Any], item: Mapping[str, Any]) -> Block:
        """A repeating block.

        Args:
            prefix: "" or `resources/<id>/`.
            known: the field of the schema.
            item: the dataset or the file.
        """
        name = known["field_name"]
        path = prefix + name
        key = comments.keys(self.type)[name]
        subs = [(sub, schema.text(sub["label"])) for sub in known["butir"]]
        changed, threads = self.difference["changed"] if self.compares else {}, self.threads
        rows: list[Row] = []
        for number, stored in enumerate(schema.rows(dict(known), item.get(name))):
            at = f"{path}/{number}"
            added = at in self._added
            cells: dict[str, Item] = {}
            said = list(threads.get(at, ()))
            for sub, label in subs:
                cell, value = f"{at}/{sub['field_name']}", stored.get(sub["field_name"])
                if cell in changed or cell in threads:
                    cells[sub["field_name"]] = self.item(cell, sub, value, added)
                    said += threads.get(cell, ())
                elif value or schema.needed(sub, stored):
                    cells[sub["field_name"]] = Item(
                        cell,
                        str(sub.get("bps_item") or ""),
                        label,
                        forms.satudata_isi(sub, value) if value else "",
                        name=sub["field_name"],
                    )
            title = str(stored.get(key) or number + 1)
            rows.append(Row(at, number, title, cells, added, said))
        gone = [
            (str(entry["row"].get(key) or entry["place"] + 1), self._summary(known, entry["row"]))
            for entry in self.difference["removed"].get(path, ())
        ]
        moved = path in self.difference["moved"]
        differs = bool(gone) or moved or any(row.changed for row in rows) or path in changed
        kept = [row for row in rows if self._wanted(row)]
        quiet = []
        if self.compares and self.view == "semua":
            quiet = [row for row in kept if row.quiet]
            kept = [row for row in kept if not row.quiet]
        return Block(
            path,
            name,
            satudata_kata(known.get("bps_item")),
            schema.text(known["label"]),
            kept,
            quiet,
            gone,
            moved,
            differs,
            threads.get(path, []),
        )

    @staticmethod
    def _summary(known: Mapping[str, Any], row: Mapping[str, Any]) -> str:
        values = (
            forms.satudata_isi(sub, row.get(sub["field_name"]))
            for sub in known["butir"]
            if row.get(sub["field_name"])
        )
        return "; ".join(values)

    def _wanted(self, thing: Item | Row) -> bool:
        if self.view == "berubah":
            return thing.changed
        if self.view == "komentar":
            return bool(thing.threads)
        return True

    # Parts ---------------------------------------------------------------------------------------
    def sections(self) -> Iterator[dict[str, Any]]:
        """The four principles: name, items, quiet (items that fold away), blocks."""
        for principle, known in schema.principles(self.type).items():
            items = [
                self.item(f["field_name"], f, self._value(f))
                for f in known
                if f.get("jenis") != "berulang"
                and (
                    forms.satudata_berlaku(f, self.dataset)
                    or f["field_name"] in self.difference["changed"]
                    or f["field_name"] in self.threads
                )
            ]
            blocks = [
                self.block("", f, self.dataset) for f in known if f.get("jenis") == "berulang"
            ]
            items = [item for item in items if self._wanted(item)]
            quiet: list[Item] = []
            if self.compares and self.view == "semua" and principle in FOLDED:
                quiet = [item for item in items if item.quiet]
                items = [item for item in items if not item.quiet]
            yield {
                "name": principle,
                "items": items,
                "quiet": quiet,
                "blocks": [b for b in blocks if self._block_wanted(b)],
            }

    def _block_wanted(self, block: Block) -> bool:
        if self.view == "semua":
            return True
        said = bool(block.threads) or any(row.threads for row in block.rows)
        return block.changed if self.view == "berubah" else said

    def _value(self, known: Mapping[str, Any]) -> Any:
        if known["field_name"] == "tag_string":
            return [tag.get("display_name") or tag["name"] for tag in self.dataset["tags"]]
        return self.dataset.get(known["field_name"])

    def file(self, resource: Mapping[str, Any]) -> dict[str, Any]:
        """What changed in a file and what is said of it.

        Returns:
            path, id, added, replaced (before and after: SHA-256, size, rows, columns), items (its
            own fields that changed or are commented on), threads, variables (a Block).
        """
        path = f"resources/{resource['id']}"
        changed = self.difference["changed"] if self.compares else {}
        own = [
            self.item(f"{path}/{f['field_name']}", f, resource.get(f["field_name"]))
            for f in schema.fields(self.type, "resource_fields")
            if f.get("jenis") != "berulang"
        ]
        variables = schema.by_name(self.type, "resource_fields").get("variabel")
        file = changed.get(f"{path}/file")
        return {
            "path": path,
            "id": anchor(path),
            "added": path in self._added,
            "replaced": file,
            "sizes": self.difference["tables"].get(resource["id"]) or {},
            "items": [item for item in own if not item.quiet],
            "threads": self.threads.get(path, []),
            "variables": self.block(f"{path}/", variables, resource) if variables else None,
        }

    def others(self) -> list[tuple[str, str]]:
        """What the public is shown and no field of the schema: where it stands, and the words."""
        found = list(self._others("", self.dataset, "dataset", "dataset_fields"))
        for extra in self.dataset.get("extras") or ():
            found.append((extra["key"], str(extra["value"])))
        if "tag_string" not in schema.by_name(self.type, "dataset_fields"):
            found += [("tags", tag["name"]) for tag in self.dataset.get("tags") or ()]
        topic = self.dataset.get("kategori")
        for group in self.dataset.get("groups") or ():
            if group["name"] != topic:
                found.append(("groups", group.get("title") or group["name"]))
        for resource in self.dataset["resources"]:
            name = f"{resource.get('name') or resource.get('url')}: "
            found += self._others(name, resource, "file", "resource_fields")
            for shown in self.shows.get(resource["id"], ()):
                kind, usual = shown["view_type"], _usual(shown["view_type"])
                if shown["title"] in _TITLES.get(kind, ()):
                    usual["title"] = shown["title"]
                told = {k: v for k, v in shown.items() if k not in usual or usual[k] != v}
                found += self._others(f"{name}{kind} ", told, "view", "")
        return found

    def _others(
        self, prefix: str, item: Mapping[str, Any], kind: str, group: str
    ) -> Iterator[tuple[str, str]]:
        fields = schema.by_name(self.type, group) if group else {}
        for key, value in item.items():
            ours = kind == "dataset" and key.startswith("satudata_")  # made at reading
            if ours or key in _SAID[kind] or key in fields:
                continue
            # Else the key itself is words of somebody's.
            if value in (None, "", [], {}) and (kind != "file" or key in _COLUMNS):
                continue
            text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
            yield prefix + key, text

    def gone_files(self) -> list[str]:
        """Names of the files that were removed."""
        return [
            str(entry["row"].get("name") or entry["row"].get("url") or entry["place"] + 1)
            for entry in self.difference["removed"].get("resources", ())
        ]

    def changes_list(self, limit: int = 20) -> list[dict[str, Any]]:
        """What changed, a line each, for the notice of a stale page: id, label, html.

        Args:
            limit: at most so many.
        """
        found = []
        for path, change in self.difference["changed"].items():
            parts = path.split("/")
            if parts[-1] == "file":
                before, after = (
                    (change[side] or {}).get("sha256", "")[:12] for side in ("before", "after")
                )
                label, html = tk._("Berkas"), marked(before, after)
            else:
                known = self._known(path)
                if known is None or known.get("jenis") == "berulang":
                    continue
                label = comments.label(self.type, path)
                html = marked(*(self._text(known, change[side]) for side in ("before", "after")))
            found.append({"id": anchor(path), "label": label, "html": html})
        for path in self.difference["added"]:
            spot = comments.find(self.dataset, path) or {}
            title = str(spot.get("row") or spot.get("file") or "")
            found.append(
                {
                    "id": anchor(path),
                    "label": comments.label(self.type, path),
                    "html": marked("", title),
                }
            )
        for path, rows in self.difference["removed"].items():
            for entry in rows:
                title = str(entry["row"].get("nama") or entry["row"].get("name") or "")
                found.append(
                    {
                        "id": anchor(path),
                        "label": comments.label(self.type, path),
                        "html": marked(title or str(entry["place"] + 1), ""),
                    }
                )
        return found[:limit]

    def _known(self, path: str) -> Mapping[str, Any] | None:
        parts = path.split("/")
        group = "dataset_fields"
        if parts[0] == "resources" and len(parts) > 2:
            group, parts = "resource_fields", parts[2:]
        known = schema.by_name(self.type, group).get(parts[0])
        if known and len(parts) == 3:
            return next((f for f in known["butir"] if f["field_name"] == parts[2]), None)
        return known
