"""Validators named in the YAML of the package ``schemas``: thin wraps of `schema.clean`."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable
from typing import Any

import ckan.plugins.toolkit as tk
from ckan import types
from ckanext.scheming.validation import scheming_validator

from ckanext.satudata_trenggalek import kegiatan, schema, schema_files
from ckanext.satudata_trenggalek.doors import user_of

Validator = Callable[
    [types.FlattenKey, types.FlattenDataDict, types.FlattenErrorDict, types.Context], None
]


@scheming_validator
def satudata_value(field: schema.Field, _schema: dict[str, Any]) -> Validator:
    """Check and tidy one value; an empty one is not stored, unless the field is required."""
    # scheming fills in the presets of fields, not those of a block's subfields.
    field = schema_files.expanded(field, schema_files.presets(schema_files.FOLDER))

    def validator(
        key: types.FlattenKey,
        data: types.FlattenDataDict,
        errors: types.FlattenErrorDict,
        context: types.Context,
    ) -> None:
        try:
            value = schema.clean(field, data.get(key))
            if not value and field.get("required"):
                label = schema.text(field["label"])
                raise tk.Invalid(tk._("{label} wajib diisi.").format(label=label))
        except tk.Invalid as e:
            errors[key].extend(getattr(e, "messages", [e.error]))
            raise tk.StopOnError from e
        if not value:
            # So a form, which sends every field, stores the same as a program that leaves it out.
            data.pop(key, None)
            if "upload_field" in field:
                data[key] = ""  # core's views want one (ckan/lib/datapreview.py on_same_domain)
            raise tk.StopOnError
        stored = json.dumps(value, ensure_ascii=False) if isinstance(value, list) else value
        data[key] = stored

    return validator


def satudata_rows(value: Any) -> list[schema.Row]:
    """The rows of a repeating block as they were given; nothing is checked again."""
    return schema.rows({}, value)


def satudata_kegiatan(
    key: types.FlattenKey,
    data: types.FlattenDataDict,
    errors: types.FlattenErrorDict,
    context: types.Context,
) -> None:
    """Id or name of a kegiatan that this dataset may point to; stored as its id.

    What the dataset points to already passes, for `ajukan` asks again: a kegiatan that was
    withdrawn meanwhile is no reason to refuse somebody's other changes. Neither is one that only
    the portal knows from which a job harvests.
    """
    package = context.get("package")
    stored = kegiatan.of(package) if package else None
    if data[key] == stored:
        return
    known = kegiatan.standing(stored)
    if known and data[key] == known.name:
        data[key] = stored
        return
    owner = data.get(("owner_org",)) or (package.owner_org if package else None)
    found = kegiatan.find(data[key], owner)
    if found:
        data[key] = found.id
    elif user_of(context):
        errors[key].append(kegiatan.refusal())


def satudata_keep_stored(
    key: types.FlattenKey,
    data: types.FlattenDataDict,
    errors: types.FlattenErrorDict,
    context: types.Context,
) -> None:
    """A missing or empty value keeps what the dataset already has."""
    package = context.get("package")
    if package and data.get(key) in (tk.missing, None, ""):
        data[key] = package.extras.get(key[-1])


def satudata_guess_format(
    key: types.FlattenKey,
    data: types.FlattenDataDict,
    errors: types.FlattenErrorDict,
    context: types.Context,
) -> None:
    """CKAN's guess of the format, which a malformed address would crash."""
    if isinstance(data.get((*key[:-1], "url")), str):
        guess: Any = tk.get_validator("if_empty_guess_format")
        with contextlib.suppress(ValueError):
            guess(key, data, errors, context)
