"""What the public takes away from a dataset's page: its citation as a file."""

from __future__ import annotations

import ckan.plugins.toolkit as tk
import flask
from flask import Blueprint
from flask.typing import ResponseReturnValue as Response

from ckanext.satudata_trenggalek import publik

satudata_publik = Blueprint("satudata_publik", __name__)


@satudata_publik.route("/dataset/<id>/sitasi.<any(bib, ris):format_>")
def sitasi(id: str, format_: str) -> Response:
    """The citation of a published dataset as BibTeX or RIS, for reference managers."""
    try:
        dataset = tk.get_action("package_show")({}, {"id": id})
    except (tk.NotAuthorized, tk.ObjectNotFound):
        dataset = {}
    cite = publik.satudata_sitasi(dataset) if dataset else None
    if cite is None:
        tk.abort(404, tk._("Dataset not found or you have no permission to view it"))
    name = f"{dataset['name']}-v{cite['version']}"
    if format_ == "bib":
        body, mimetype = publik.bibtex(cite, name), "application/x-bibtex"
    else:
        body, mimetype = publik.ris(cite), "application/x-research-info-systems"
    response = flask.Response(body, content_type=f"{mimetype}; charset=utf-8")
    response.headers["Content-Disposition"] = f'attachment; filename="{name}.{format_}"'
    return response
