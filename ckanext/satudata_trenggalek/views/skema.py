"""JSON Schema of the dataset types, for programs that make datasets."""

from __future__ import annotations

import functools
import json

import ckan.plugins.toolkit as tk
import flask
from flask import Blueprint
from flask.typing import ResponseReturnValue as Response

from ckanext.satudata_trenggalek import schema, schema_export

satudata_skema = Blueprint("satudata_skema", __name__)


@functools.cache
def _body(type_: str, _language: str) -> bytes:
    """The schema as JSON; its titles are in the reader's language."""
    return json.dumps(schema_export.json_schema(type_), ensure_ascii=False, indent=1).encode()


@satudata_skema.route("/satudata/skema/<type_>.json")
def skema(type_: str) -> Response:
    """What package_create takes for a dataset type; caches ask by its ETag whether it changed."""
    if type_ not in schema.TYPES:
        known = ", ".join(schema.TYPES)
        tk.abort(
            404, tk._("Tidak ada skema untuk jenis ini. Yang ada: {types}.").format(types=known)
        )
    response = flask.Response(_body(type_, tk.h.lang()), mimetype="application/schema+json")
    response.add_etag()
    return response.make_conditional(flask.request)
