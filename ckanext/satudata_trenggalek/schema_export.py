"""The schemas for others: JSON Schema of each type, and docs/metadata.md.

`python -m ckanext.satudata_trenggalek.schema_export > docs/metadata.md`
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import ckan.plugins.toolkit as tk
from ckan.logic.validators import email_pattern

from ckanext.satudata_trenggalek import schema
from ckanext.satudata_trenggalek.schema_files import FOLDER, TYPES, Field, fields, load, vocab

Json = dict[str, Any]

# --- JSON Schema ---------------------------------------------------------------------------------

# As written in a pattern: what schema.py refuses in a text, and what it removes from one.
_UNSEEN = (
    r"\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f-\u009f\ud800-\udfff\u202a-\u202e\u2066-\u2069"
)
_INVISIBLE = r"\u00ad\u200b\u2060\ufeff"
_TEXT = f"^[^{_UNSEEN}]*$"
_NOT_BLANK = rf"^(?=[\s\S]*[^\s{_INVISIBLE}])[^{_UNSEEN}]*$"
_YEAR = "(?:(?:19|20)[0-9]{2}|2100)"
_DATE = (
    f"^(?:{_YEAR}-(?:(?:0[13578]|1[02])-(?:0[1-9]|[12][0-9]|3[01])"
    "|(?:0[469]|11)-(?:0[1-9]|[12][0-9]|30)|02-(?:0[1-9]|1[0-9]|2[0-8]))"
    "|(?:(?:19|20)(?:0[48]|[2468][048]|[13579][26])|2000)-02-29)$"
)
# CKAN's own rules: ckan.logic.validators name_validator, tag_length_validator, tag_name_validator.
_NAME = "^(?!(?:new|edit|search)$)[a-z0-9_-]{2,100}$"
_TAGS = r"^(?:\s*(?:[\w.-][\w .-]{0,98}[\w.-])?\s*(?:,|$))*$"

_EMPTY = {"$ref": "#/$defs/kosong"}


def _years() -> str:
    """Pattern of a year, or of a range that does not run backwards (`schema.clean` of `tahun`)."""
    # The first lookahead says what a range looks like; ~ is then whatever stands between the years.
    decade = "|".join(f"[0-9]{{3}}{n}~[0-9]{{3}}[{n}-9]" for n in range(10))
    century = "|".join(f"[0-9]{{2}}{n}[0-9]~[0-9]{{2}}[{n + 1}-9][0-9]" for n in range(9))
    branches = (
        _YEAR,
        rf"(?=((?:19|20)[0-9])[0-9]~\1[0-9]$)(?:{decade})",
        rf"(?=(19|20)[0-9]{{2}}~\2[0-9]{{2}}$)(?:{century})",
        "19[0-9]{2}~(?:20[0-9]{2}|2100)",
        "20[0-9]{2}~2100",
        "2100~2100",
    )
    form = r"(?=[0-9]{4}(?: ?(?:-|\u2013|\u2014|s\.d\.|s/d) ?[0-9]{4})?$)"
    return f"^{form}(?:{'|'.join(branches)})$".replace("~", "[^0-9]+")


def _string(field: Field) -> Json:
    """What a text must look like; the empty one is said apart."""
    kind = field.get("jenis", "teks")
    limit = {"maxLength": field.get("maks", 254 if kind == "email" else 300)}
    pattern = {
        "tanggal": _DATE,
        "tahun": f"^{_YEAR}$" if "pola" in field else _years(),
        "bilangan": "^[0-9]+$",
        # The lookahead is ours: a domain has a dot.
        "email": r"^(?=[^@]*@[^@]*\.)" + email_pattern.pattern.removeprefix("^"),
        "kegiatan": f"^{schema.REFERENCE}$",
        "tautan": f"^(?!\\s)(?=[^{_UNSEEN}{_INVISIBLE}]*$)(?:{schema.ADDRESS})$",
    }.get(kind, _TEXT)
    if field["field_name"] == "tag_string":
        pattern = _TAGS
    elif kind == "teks" and "pola" in field:
        pattern = f"^(?:{field['pola']})$"
    elif field.get("required"):
        pattern = _NOT_BLANK
    return {"type": "string", **limit, "pattern": pattern}


def _number(field: Field) -> Json:
    """The numbers that stand for a text."""
    kind = field.get("jenis", "teks")
    if kind == "tahun":
        return {"type": "integer", "minimum": schema.FIRST_YEAR, "maximum": schema.LAST_YEAR}
    digits = field.get("maks", 300)
    largest = min(schema.LARGEST, 10**digits - 1)
    smallest = 0 if kind == "bilangan" else -min(schema.LARGEST, 10 ** (digits - 1) - 1)
    return {"type": "integer", "minimum": smallest, "maximum": largest}


def _coded(field: Field) -> list[Json]:
    return [{"$ref": f"#/$defs/{field['vocab']}"}]


def _several(field: Field) -> list[Json]:
    codes = [*_coded(field), {"const": ""}]
    return [{"type": "array", "items": {"anyOf": codes}}, *_coded(field)]


def _rows(field: Field) -> list[Json]:
    row = {
        "type": "object",
        "properties": {f["field_name"]: _property(f) for f in field["butir"]},
        "additionalProperties": False,
    }
    return [{"type": "array", "maxItems": field["paling_banyak"], "items": row}]


def _texts(field: Field) -> list[Json]:
    return [_string(field), *([_number(field)] if schema.numeric(field) else [])]


_KINDS: dict[str, Callable[[Field], list[Json]]] = {
    "pilihan": _coded,
    "pilihan_banyak": _several,
    "berulang": _rows,
}


def _property(field: Field) -> Json:
    """One field: what the API takes on save, and as annotations what the forms and rules say."""
    named: Json = {"title": schema.text(field["label"])}
    if "help_text" in field:
        named["description"] = schema.text(field["help_text"])
    kind = field.get("jenis", "teks")
    allowed = _KINDS.get(kind, _texts)(field)
    # Needed at once: nothing else may be left empty. What is kept when it is left out may.
    if not field.get("required"):
        allowed.append(_EMPTY)
    elif "default" in field:
        allowed.append({"enum": [None, ""]})
    if kind not in _KINDS and "contoh" in field:
        named["examples"] = [schema.text(field["contoh"])]
    if "default" in field:
        named["default"] = field["default"]
    extra = ("bps_item", "prinsip", "langkah", "tampil", "ajukan", "sesudah", "unik")
    noted = {f"x-{key.replace('_', '-')}": field[key] for key in extra if key in field}
    return {**named, "anyOf": allowed, **noted}


def _vocab(name: str) -> Json:
    """A code list; a code that is a number may be sent as one."""
    choices = []
    for item in vocab(name):
        code = item["value"]
        number = [int(code)] if code.isdecimal() and str(int(code)) == code else []
        choices.append({"title": schema.text(item["label"]), "enum": [code, *number]})
    return {
        "title": schema.text(load(FOLDER / "vocab" / f"{name}.yaml")["title"]),
        "oneOf": choices,
    }


def _all_fields(type_: str) -> Iterator[Field]:
    for group in ("dataset_fields", "resource_fields"):
        for field in fields(type_, group):
            yield field
            yield from field.get("butir", [])


def json_schema(type_: str) -> Json:
    """JSON Schema (draft 2020-12) of what package_create takes for a dataset type.

    What passes it is saved, provided that the references exist (`owner_org`, `id_kegiatan`) and the
    name is free; what it refuses is refused, except that white space at the ends of a text and
    characters that don't print are removed first. What `ajukan` needs besides are annotations:
    ``x-ajukan``, ``x-tampil``, ``x-sesudah``, ``x-unik``. Titles are in the reader's language.

    Args:
        type_: one of `schema.TYPES`.

    Raises:
        KeyError: there is no such type.
    """
    if type_ not in TYPES:
        raise KeyError(type_)
    properties: Json = {"type": {"const": type_}}
    for field in fields(type_):
        name = field["field_name"]
        properties[name] = _property(field)
        if name == "name":
            properties[name]["anyOf"] = [{"type": "string", "pattern": _NAME}]
        elif name == "owner_org":
            properties[name]["anyOf"] = [{"type": "string", "minLength": 1}]
    resource = {f["field_name"]: _property(f) for f in fields(type_, "resource_fields")}
    properties["resources"] = (
        {"type": "array", "items": {"type": "object", "properties": resource}}
        if resource
        else {"type": "array", "maxItems": 0}
    )
    names = dict.fromkeys(f["vocab"] for f in _all_fields(type_) if "vocab" in f)
    required = [f["field_name"] for f in fields(type_) if f.get("required") and "default" not in f]
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": f"urn:satudata-trenggalek:{type_}",
        "title": type_,
        "description": tk._(
            "Yang lolos dari skema ini dapat disimpan, asal owner_org dan id_kegiatan ada dan name"
            " belum dipakai. Spasi di ujung teks dibuang lebih dahulu. Syarat pengajuan tertulis"
            " pada x-ajukan, x-tampil, x-sesudah, dan x-unik."
        ),
        "type": "object",
        "properties": properties,
        # A dataset is what is meant where no type is sent.
        "required": [*required, *([] if type_ == TYPES[0] else ["type"])],
        "$defs": {"kosong": {"enum": [None, "", []]}, **{name: _vocab(name) for name in names}},
    }


# --- docs/metadata.md ----------------------------------------------------------------------------

_HEAD = """# Metadata

Dibuat dari `schemas/*.yaml`; jangan diubah dengan tangan:
`python -m ckanext.satudata_trenggalek.schema_export > docs/metadata.md`

Butir menurut Peraturan BPS 4/2020 (Standar Data) dan 5/2020 (MS-Keg, MS-Ind, MS-Var). Wajib: yang
harus terisi sebelum `ajukan`, selama butirnya berlaku; draf dapat disimpan tanpa itu. Berlaku bila:
aturan lompatan formulir. Isian `a[].b` adalah butir `b` pada setiap baris `a`.
"""
_TITLES = {"dataset": "Dataset (`dataset`)", "kegiatan": "Kegiatan statistik (`kegiatan`)"}


def _cell(words: str) -> str:
    return words.replace("|", r"\|")


def _needed(field: Field) -> str:
    rule = field.get("ajukan", False)
    return f"ya, {rule['alasan']['id']}" if isinstance(rule, dict) else "ya" if rule else "-"


def _shown(field: Field, siblings: list[Field]) -> str:
    parts = []
    for condition in schema.conditions(field):
        other = next(f for f in siblings if f["field_name"] == condition["field"])
        labels = {item["value"]: item["label"]["id"] for item in vocab(other["vocab"])}
        codes = " atau ".join(f"{code} {labels[code]}" for code in condition["in"])
        parts.append(f"`{other['field_name']}`: {codes}")
    return "; ".join(parts) or "-"


def _lines(field: Field, siblings: list[Field], prefix: str = "") -> Iterator[str]:
    """The line of a field, and those of its rows."""
    name, listed = prefix + field["field_name"], field.get("vocab")
    cells = (
        field.get("bps_item", "-"),
        field["label"]["id"],
        f"`{name}`",
        f"[{listed}](#{listed})" if listed else field.get("jenis", "teks"),
        _needed(field),
        _shown(field, siblings),
    )
    yield f"| {' | '.join(_cell(c) for c in cells)} |"
    for subfield in field.get("butir", []):
        yield from _lines(subfield, field["butir"], f"{name}[].")


def render() -> str:
    """Every item of both types, and the code lists, in Markdown."""
    lines, lists = [_HEAD], {}
    for type_ in TYPES:
        lines += [f"## {_TITLES[type_]}", ""]
        groups = (("", fields(type_)), ("resources[].", fields(type_, "resource_fields")))
        lists |= dict.fromkeys(f["vocab"] for f in _all_fields(type_) if "vocab" in f)
        for step in load(FOLDER / f"{type_}.yaml")["langkah"]:
            lines += [f"### {step['label']['id']}", ""]
            lines += ["| Butir | Nama | Isian | Kosakata atau jenis | Wajib | Berlaku bila |"]
            lines += ["|---|---|---|---|---|---|"]
            for prefix, siblings in groups:
                for field in siblings:
                    if field["langkah"] == step["id"]:
                        lines += _lines(field, siblings, prefix)
            lines.append("")
    lines += ["## Kosakata", ""]
    for name in lists:
        content = load(FOLDER / "vocab" / f"{name}.yaml")
        lines += [f"### {name}", "", f"{content['title']['id']}. {content['source']}", ""]
        lines += ["| Kode | Sebutan |", "|---|---|"]
        lines += [f"| `{i['value']}` | {_cell(i['label']['id'])} |" for i in content["items"]]
        lines.append("")
    return "\n".join(lines).rstrip() + "\n"


if __name__ == "__main__":
    print(render(), end="")
