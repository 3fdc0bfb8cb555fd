"""What the forms show: columns and rows of a repeating block, progress, what can be copied.

Every public function is a template helper. A row has some fifteen cells and a table up to 500 rows,
so that all that is the same for every row (labels, hints, options) is made once per language here,
and the template (scheming/form_snippets/satudata_berulang.html) only puts it together.
"""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import ckan.model as core
import ckan.plugins.toolkit as tk
import sqlalchemy as sa
from ckan.lib.munge import munge_title_to_name
from ckan.lib.pagination import Page
from markupsafe import Markup, escape

from ckanext.satudata_trenggalek import kegiatan, peran, schema, tables
from ckanext.satudata_trenggalek.workflow.table import Peran

Field = dict[str, Any]
Row = dict[str, Any]

GROUPS = ("dataset_fields", "resource_fields")
#: Item of the components of Peraturan BPS 4/2020, from which an indicator can be filled.
STANDARD = "Standar Data"
#: Blank rows offered where no script can add one.
BLANKS = 3


def satudata_jenis(thing: Mapping[str, Any] | str) -> str:
    """The dataset type of a dataset (or of its status); one of schema.TYPES."""
    named = thing if isinstance(thing, str) else thing.get("type")
    return named if named in schema.TYPES else schema.TYPES[0]


def satudata_field(type_: str, name: str) -> Field | None:
    """A field of a type, of the dataset or of its files, presets expanded; None for no such."""
    for group in GROUPS:
        for known in schema.fields(satudata_jenis(type_), group):
            if known["field_name"] == name:
                return known
    return None


# Columns -----------------------------------------------------------------------------------------
@dataclass(frozen=True)
class Column:
    """A subfield of a block as every row shows it.

    Attributes:
        code: item number of the official form, "8" of "MS-Var 8".
        kind: rule of the value (schema: jenis).
        show, need: condition as JSON for the form's script: when the item applies, when it must be
            filled ("true": always); empty for always and never.
        choices: (code, label) of a code list.
    """

    name: str
    code: str
    item: str
    label: str
    hint: str
    example: str
    kind: str
    show: str
    note: str
    need: str
    limit: int | None
    default: str
    choices: tuple[tuple[str, str], ...] = ()
    html: Markup = field(default=Markup(""), repr=False)

    @property
    def wide(self) -> bool:
        """Whether it takes the whole width of an open row."""
        return self.kind in ("paragraf", "pilihan_banyak")

    def options(self, value: Any) -> Markup:
        """The options of its select; a code that is not in the list stays as typed."""
        if not value:
            return self.html
        known = f'value="{escape(value)}">'
        html = str(self.html)  # replace() of Markup would escape the tags
        if known in html:
            return Markup(html.replace(known, known[:-1] + " selected>", 1))  # noqa: S704 - was Markup
        return self.html + Markup('<option value="{0}" selected>{0}</option>').format(value)


def satudata_syarat(known: Mapping[str, Any]) -> str:
    """When a field applies, as JSON for the form's script; empty for always."""
    rules = schema.conditions(dict(known))
    return json.dumps(rules) if rules else ""


def satudata_wajib(known: Mapping[str, Any]) -> str:
    """When a field must be filled before `ajukan`, as `satudata_syarat`; "true" for always."""
    rule = known.get("ajukan", False)
    if isinstance(rule, bool):
        return "true" if rule else ""
    return json.dumps([rule["if"]])


def satudata_bila(known: Mapping[str, Any], siblings: Sequence[Mapping[str, Any]]) -> str:
    """When a field applies, in words: "Hanya bila Cara Pengumpulan Data: Survei."

    Args:
        known: the field.
        siblings: the fields that its condition may name.
    """
    said = []
    for rule in schema.conditions(dict(known)):
        other = next((f for f in siblings if f["field_name"] == rule["field"]), None)
        if other:
            choices = [schema.choice_label(dict(other), code) for code in rule["in"]]
            said.append(f"{schema.text(other['label'])}: {', '.join(choices)}")
    return tk._("Hanya bila {condition}.").format(condition="; ".join(said)) if said else ""


def satudata_nomor(known: Mapping[str, Any]) -> str:
    """The bare item number: "8" of "MS-Var 8", empty where the item has none."""
    return str(known.get("bps_item", "")).partition(" ")[2].strip()


@functools.lru_cache(maxsize=64)
def _columns(type_: str, name: str, _language: str) -> tuple[Column, ...]:
    block = satudata_field(type_, name)
    assert block, name
    found = []
    for known in block["butir"]:
        choices = (
            tuple((c["value"], schema.text(c["label"])) for c in schema.vocab(known["vocab"]))
            if "vocab" in known
            else ()
        )
        html = Markup('<option value=""></option>') + Markup("").join(
            Markup('<option value="{}">{}</option>').format(*choice) for choice in choices
        )
        found.append(
            Column(
                name=known["field_name"],
                code=satudata_nomor(known),
                item=str(known.get("bps_item", "")),
                label=schema.text(known["label"]),
                hint=schema.text(known["help_text"]) if "help_text" in known else "",
                example=schema.text(known["contoh"]) if "contoh" in known else "",
                kind=known.get("jenis", "teks"),
                show=satudata_syarat(known),
                note=satudata_bila(known, block["butir"]),
                need=satudata_wajib(known),
                limit=known.get("maks"),
                default=str(known.get("default", "")),
                choices=choices,
                html=html,
            )
        )
    return tuple(found)


def satudata_kolom(type_: str, name: str) -> tuple[Column, ...]:
    """The subfields of a block, in form order."""
    return _columns(satudata_jenis(type_), name, tk.h.lang())


# Rows --------------------------------------------------------------------------------------------
def satudata_blok(
    type_: str,
    name: str,
    data: Mapping[str, Any],
    errors: Mapping[str, Any] | None = None,
    guess: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """A repeating block as its form shows it.

    Args:
        type_: dataset type.
        name: field name of the block.
        data: of the dataset or file: as stored, or as typed in a form that failed.
        errors: of the form.
        guess: what satudata_variabel_guess says, offered for a block without rows.

    Returns:
        columns, compact (those in the row itself), rest (those that unfold), shared (those that can
        be filled for all rows at once), unique (name of the column that no two rows share),
        standard (whether Standar Data of the dataset can fill a row), defaults (values of a new
        row), most, blanks; rows: values (name -> value), errors (name -> message), guessed, open;
        offered: rows for columns of the file that have none yet.
    """
    block = satudata_field(type_, name)
    assert block, name
    columns = satudata_kolom(type_, name)
    names = [column.name for column in columns]
    compact = block.get("ringkas") or names
    rows = schema.rows(block, data.get(name))
    # What one ticked box sends is no list yet.
    several = [column.name for column in columns if column.kind == "pilihan_banyak"]
    for row in rows:
        row |= {sub: [row[sub]] for sub in several if isinstance(row.get(sub), str) and row[sub]}
    wrong = schema.cell_errors(block, rows) if errors and errors.get(name) else {}
    guesses: list[Row] = list((guess or {}).get("variabel") or ())
    guessed = not rows and bool(guesses)
    shown = guesses if guessed else rows
    made = [
        {
            "values": row,
            "errors": {sub: wrong[number, sub] for sub in names if (number, sub) in wrong},
            "guessed": guessed,
        }
        for number, row in enumerate(shown)
    ]
    for row in made:
        row["open"] = len(made) == 1 or any(sub not in compact for sub in row["errors"])
    have = {str(row.get("nama", "")).casefold() for row in shown}
    return {
        "name": name,
        "label": schema.text(block["label"]),
        "item": block.get("bps_item", ""),
        "columns": columns,
        "compact": [column for column in columns if column.name in compact],
        "rest": [column for column in columns if column.name not in compact],
        "shared": [column for column in columns if column.name in block.get("massal", ())],
        "unique": block.get("unik", ""),
        "standard": any(
            known["field_name"] in names and known.get("bps_item") == STANDARD
            for known in schema.fields(satudata_jenis(type_), "dataset_fields")
        )
        and block in schema.fields(satudata_jenis(type_), "dataset_fields"),
        "defaults": {
            column.name: [column.default] if column.kind == "pilihan_banyak" else column.default
            for column in columns
            if column.default
        },
        "most": block.get("paling_banyak", 0),
        "blanks": min(BLANKS, max(0, block.get("paling_banyak", 0) - len(made))),
        "rows": made,
        "guessed": guessed,
        "offered": [row for row in guesses if str(row.get("nama", "")).casefold() not in have],
    }


def satudata_dugaan(resource: Mapping[str, Any]) -> dict[str, Any] | None:
    """The variables that the portal reads off an uploaded table, None when there is nothing.

    Args:
        resource: as stored.
    """
    if not resource.get("id") or not tables.is_table(dict(resource)):
        return None
    try:
        return tk.get_action("satudata_variabel_guess")({}, {"id": resource["id"]})
    except (tk.NotAuthorized, tk.ObjectNotFound, tk.ValidationError):
        return None  # an officer can fill the rows by hand


# Progress ----------------------------------------------------------------------------------------
def _count(fields: Iterable[Field], item: Mapping[str, Any]) -> tuple[int, int]:
    """How many of the items that must be filled are, and how many there are."""
    filled = needed = 0
    for known in fields:
        value = item.get(known["field_name"])
        if not schema.shown(known, dict(item)):
            continue
        rows = schema.rows(known, value) if known.get("jenis") == "berulang" else []
        if rows:
            for row in rows:
                part = _count(known["butir"], row)
                filled, needed = filled + part[0], needed + part[1]
        elif schema.needed(known, dict(item)):
            needed += 1
            filled += bool(value)
    return filled, needed


def satudata_kemajuan(
    type_: str, names: Iterable[str], data: Mapping[str, Any]
) -> dict[str, int | bool]:
    """How far a step of a form is: filled, needed (before `ajukan`), and whether that is all.

    Args:
        type_: dataset type.
        names: fields of the step.
        data: of the dataset or file.
    """
    fields = [known for name in names if (known := satudata_field(type_, name))]
    filled, needed = _count(fields, data)
    return {"filled": filled, "needed": needed, "done": 0 < needed == filled}


# Copying -----------------------------------------------------------------------------------------
#: Of one year or of one page alone, besides dates and years: never copied.
_OWN = frozenset({"name", "tahun_kegiatan", "kode_kegiatan", "identitas_rekomendasi"})
_OWN_KINDS = frozenset({"tanggal", "tahun"})
_YEAR = re.compile(
    r"[\s,]*\(?\b(?:tahun\s+)?(?:19|20)[0-9]{2}(?:\s*[-\u2013]\s*(?:19|20)[0-9]{2})?\)?", re.I
)
#: Sources offered in a list.
SOURCES = 300


def _organizations() -> list[str]:
    """Ids of the organizations for which the reader makes data."""
    user = tk.current_user
    held = peran.of_user(user.id) if user.is_authenticated else {}
    return [id_ for id_, names in held.items() if Peran.PRODUSEN_DATA in names]


def free_name(title: str) -> str:
    """An address for a page of this title that nobody has."""
    stem = munge_title_to_name(title)[:90].strip("-") or "dataset"
    taken = set(
        core.Session.scalars(
            sa.select(core.Package.name).where(core.Package.name.startswith(stem, autoescape=True))
        )
    )
    numbered = (f"{stem}-{n}" for n in range(2, len(taken) + 3))
    return stem if stem not in taken else next(name for name in numbered if name not in taken)


def copied(source: Mapping[str, Any]) -> dict[str, Any]:
    """What a new form takes from a dataset: all but its name, files, years, dates and numbers.

    Args:
        source: as package_show gives it.
    """
    data = {
        name: source[name]
        for known in schema.fields(satudata_jenis(source))
        if (name := known["field_name"]) in source
        and name not in _OWN
        and known.get("jenis") not in _OWN_KINDS
    }
    data["title"] = " ".join(_YEAR.sub("", str(source.get("title", ""))).split())
    data["tag_string"] = ", ".join(tag["name"] for tag in source.get("tags") or ())
    data["name"] = free_name(data["title"])
    return data


def copied_variables(
    rows: Sequence[Row], guesses: Sequence[Row], source: Sequence[Row]
) -> list[Row]:
    """The variables of a file with what another file says of columns of the same name.

    Args:
        rows: as stored; what is filled stays.
        guesses: what the portal reads off the file, where there are no rows yet.
        source: variables of the other file; those without a column here are left.
    """
    known = {str(row.get("nama", "")).casefold(): row for row in source}

    def other(row: Row) -> Row:
        return known.get(str(row.get("nama", "")).casefold(), {})

    if rows:
        return [other(row) | row for row in rows]
    # What an officer wrote says more than a guess, but the column keeps its name.
    return [row | other(row) | {"nama": row.get("nama", "")} for row in guesses] or list(source)


def satudata_sumber(type_: str) -> list[dict[str, str]]:
    """Datasets of the reader's own organizations that a new form can copy: name, title, year."""
    package = core.package_table.c
    year = sa.func.coalesce(
        package.extras["tahun_data"].astext, package.extras["tahun_kegiatan"].astext, ""
    )
    found = core.Session.execute(
        sa.select(package.name, package.title, year.label("year"))
        .where(
            package.type == satudata_jenis(type_),
            package.state != "deleted",
            package.owner_org.in_(_organizations()),
        )
        .order_by(sa.func.lower(package.title), year.desc(), package.name)
        .limit(SOURCES)
    )
    return [dict(row._mapping) for row in found]


def satudata_sumber_variabel(resource_id: str, package_id: str) -> list[dict[str, str]]:
    """Files with variables in the reader's own organizations: id, name, title of the dataset.

    Args:
        resource_id: the file to fill, which is left out.
        package_id: its dataset, whose other files come first.
    """
    package, resource = core.package_table.c, core.resource_table.c
    found = core.Session.execute(
        sa.select(resource.id, resource.name, package.title)
        .join_from(core.resource_table, core.package_table, package.id == resource.package_id)
        .where(
            resource.state == "active",
            resource.id != resource_id,
            sa.cast(resource.extras, sa.Text).contains('"variabel"', autoescape=True),
            package.state != "deleted",
            package.owner_org.in_(_organizations()),
        )
        .order_by(package.id != package_id, sa.func.lower(package.title), resource.position)
        .limit(SOURCES)
    )
    return [dict(row._mapping) for row in found]


# Kegiatan ----------------------------------------------------------------------------------------
#: Kegiatan in the list of the picker.
OFFERED = 20


def satudata_kegiatan(chosen: str | None, q: str = "") -> dict[str, Any]:
    """What the picker of a kegiatan offers: results (with the chosen one first) and count.

    Args:
        chosen: id or name of the kegiatan that the form has.
        q: words of title, name or year.
    """
    try:
        found = tk.get_action("satudata_kegiatan_list")({}, {"q": q, "limit": OFFERED})
    except tk.NotAuthorized:
        found = {"count": 0, "results": []}
    results = list(found["results"])
    if chosen and all(chosen not in (row["id"], row["name"]) for row in results):
        # Of what the reader may not see the address alone is told, which they sent themselves.
        results.insert(0, _kegiatan(chosen) or {"id": chosen, "title": chosen})
    return {"results": results, "count": found["count"]}


def _kegiatan(named: str) -> dict[str, Any] | None:
    """A kegiatan that the reader may see, as satudata_kegiatan_list has it; None for any other."""
    try:
        shown = tk.get_action("package_show")({}, {"id": named})
    except (tk.NotAuthorized, tk.ObjectNotFound):
        return None
    row = kegiatan.standing(shown["id"])
    if row is None:
        return None
    organization = (shown.get("organization") or {}).get("title")
    return {**row._mapping, "type": shown["type"], "organization_title": organization,
            "tahun_kegiatan": shown.get("tahun_kegiatan")}  # fmt: skip


def satudata_kegiatan_dari(dataset: Mapping[str, Any], member: bool) -> dict[str, Any] | None:
    """The kegiatan of a dataset: id, title, tahun_kegiatan, status, and name where it can be read.

    Args:
        dataset: as package_show gives it.
        member: whether the reader works on the dataset, and so is told what it points to.
    """
    chosen = dataset.get(kegiatan.FIELD)
    found = _kegiatan(chosen) if chosen else None
    if found is None and member and kegiatan.standing(chosen):
        return {"id": chosen, "name": "", "title": kegiatan.unseen(), "status": ""}
    return found


#: Datasets that the page of a kegiatan lists at once.
USERS = 50
#: Pages of it that can be turned; Solr reads all that comes before.
MOST_PAGES = 1000


def satudata_pemakai(kegiatan_id: str) -> Page:
    """The datasets of a kegiatan that the reader may see, by `hal` of the address."""
    number = tk.h.get_page_number(tk.request.args, "hal")
    found = tk.get_action("package_search")(
        {},
        {
            "fq": f'dataset_type:dataset {kegiatan.FIELD}:"{kegiatan_id}"',
            "include_private": True,
            "rows": USERS,
            "start": (min(number, MOST_PAGES) - 1) * USERS,
            "sort": "title_string asc, id asc",
        },
    )
    return Page(
        found["results"],
        number,
        item_count=found["count"],
        items_per_page=USERS,
        presliced_list=True,
        url=lambda page: tk.url_for("kegiatan.read", id=kegiatan_id, hal=page) + "#sd-pemakai",
    )


# Reading -----------------------------------------------------------------------------------------
def satudata_berlaku(known: Mapping[str, Any], data: Mapping[str, Any]) -> bool:
    """Whether a page tells of a field: it applies, or it is filled although it does not."""
    return bool(data.get(known["field_name"])) or schema.shown(dict(known), dict(data))


def satudata_isi(known: Mapping[str, Any], value: Any) -> str:
    """The value of a field or subfield as people read it: labels of codes, one text.

    Args:
        known: the field.
        value: as stored.
    """
    values = value if isinstance(value, list) else [value] if value else []
    if "vocab" in known:
        values = [schema.choice_label(dict(known), code) for code in values]
    return ", ".join(map(str, values))


def satudata_baris(type_: str, name: str, data: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The rows of a block for reading.

    Args:
        type_: dataset type.
        name: field name of the block.
        data: of the dataset or file.

    Returns:
        for each row its title and items: name, item (official number), label, value (text), need
        (whether it must be filled) for each subfield that applies or is filled.
    """
    block = satudata_field(type_, name)
    assert block, name
    labels = [(known, schema.text(known["label"])) for known in block["butir"]]
    return [
        {
            "title": str(row.get(block["butir"][0]["field_name"]) or number),
            "items": {
                known["field_name"]: {
                    "name": known["field_name"],
                    "item": known.get("bps_item", ""),
                    "label": label,
                    "jenis": known.get("jenis"),
                    "value": satudata_isi(known, row.get(known["field_name"])),
                    "need": schema.needed(known, row),
                }
                for known, label in labels
                if row.get(known["field_name"]) or schema.shown(known, row)
            },
        }
        for number, row in enumerate(schema.rows(block, data.get(name)), 1)
    ]
