"""The forms of datasets, kegiatan and files: core's views, and where they lead after a save.

A draft stays in its form; a new table leads to its variables; the rest goes on to the next step.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import ckan.plugins.toolkit as tk
import flask
from ckan.config.middleware.flask_app import csrf
from ckan.views import dataset as core_dataset
from ckan.views import resource as core_resource
from flask import Blueprint
from flask.typing import ResponseReturnValue as Response
from werkzeug.datastructures import ImmutableMultiDict

from ckanext.satudata_trenggalek import forms, schema, tables
from ckanext.satudata_trenggalek import helpers as h

satudata_formulir = Blueprint("satudata_formulir", __name__)


def _get(action: str, **data: Any) -> Any:
    return tk.get_action(action)({}, data)


def _saved(answer: Any) -> bool:
    """Whether core's view sends the reader on: it shows the form again where something is wrong."""
    return isinstance(answer, flask.wrappers.Response) and answer.status_code == 302


def _is_draft() -> bool:
    return tk.request.form.get("save") == "draf"


def _stay(url: str) -> Response:
    tk.h.flash_success(tk._("Draf tersimpan."))
    return tk.redirect_to(url)


class _Ours:
    """Checks the form token here too (see views/__init__.py)."""

    def dispatch_request(self, **kwargs: Any) -> Any:
        if tk.request.method == "POST" and flask.current_app.config["WTF_CSRF_ENABLED"]:
            csrf.protect()
        return super().dispatch_request(**kwargs)  # pyright: ignore[reportAttributeAccessIssue]


# Datasets and kegiatan ---------------------------------------------------------------------------
def _after_dataset(answer: Any) -> Any:
    """Where a saved dataset leads: its form, its first file, or its page."""
    if not _saved(answer):
        return answer
    # Core leads to an address of what it saved, whatever name that has now.
    named = re.search(rf"/(?:{'|'.join(schema.TYPES)})/([^/?#]+)", answer.location)
    if named is None:
        return answer
    dataset = _get("package_show", id=named[1])
    if _is_draft():
        return _stay(h.satudata_alamat(dataset, "edit"))
    if dataset["state"] == "draft" or (h.satudata_berberkas(dataset) and not dataset["resources"]):
        return tk.redirect_to(h.satudata_alamat(dataset, "resource.new"))
    return tk.redirect_to(h.satudata_alamat(dataset))


class NewDataset(_Ours, core_dataset.CreateView):
    """A new dataset or kegiatan; with `salin` filled from another one."""

    def get(
        self,
        package_type: str,
        data: dict[str, Any] | None = None,
        errors: dict[str, Any] | None = None,
        error_summary: dict[str, Any] | None = None,
    ) -> Any:
        """The form; a copy is offered in it and stored only when it is saved."""
        source = tk.request.args.get("salin")
        if data is None and source is not None and tk.request.method == "GET":
            data = self._copy(source, package_type)
            if data is None:
                return tk.redirect_to(f"{package_type}.new")
        return super().get(package_type, data, errors, error_summary)

    def _copy(self, source: str, package_type: str) -> dict[str, Any] | None:
        try:
            dataset = _get("package_show", id=source)
        except (tk.NotAuthorized, tk.ObjectNotFound, tk.ValidationError):
            dataset = {}
        if dataset.get("type") != package_type:
            tk.h.flash_error(tk._("Yang akan disalin tidak ditemukan. Pilih dari daftar."))
            return None
        tk.h.flash_notice(
            tk._("Disalin dari {title}. Belum tersimpan: periksa, lalu simpan.").format(
                title=dataset["title"]
            )
        )
        return forms.copied(dataset)

    def post(self, package_type: str) -> Any:
        """Save; an address that was left empty is made from the title, as the script does it."""
        form = tk.request.form
        title = " ".join(form.get(name, "") for name in ("title", "tahun_kegiatan")).strip()
        if title and not form.get("name", "").strip():
            request: Any = flask.request
            # Core reads the form from the request.
            request._get_current_object().form = ImmutableMultiDict(
                [*((key, value) for key, value in form.items(multi=True) if key != "name"),
                 ("name", forms.free_name(title))]
            )  # fmt: skip
        return _after_dataset(super().post(package_type))


class EditDataset(_Ours, core_dataset.EditView):
    """The form of a dataset or kegiatan."""

    def post(self, package_type: str, id: str) -> Any:
        """Save."""
        return _after_dataset(super().post(package_type, id))


# Files -------------------------------------------------------------------------------------------
def _after_resource(dataset: str, resource: Mapping[str, Any]) -> Response:
    """Where a saved file leads: a table that has just come to its variables."""
    url = tk.url_for("dataset_resource.edit", id=dataset, resource_id=resource["id"])
    upload = tk.request.files.get("upload")
    if _is_draft():
        return _stay(url)
    if upload and upload.filename and tables.is_table(dict(resource)):
        tk.h.flash_success(tk._("Berkas tersimpan. Lengkapi variabelnya, satu baris tiap kolom."))
        return tk.redirect_to(f"{url}#langkah-variabel")
    if tk.request.form.get("save") == "again":
        return tk.redirect_to("dataset_resource.new", id=dataset)
    return tk.redirect_to("dataset.read", id=dataset)


def _with_files(package_type: str, id: str) -> None:
    """A type that holds no files has no page for them."""
    if not h.satudata_berberkas(package_type):
        tk.abort(404, tk._("Resource not found"))


class NewResource(_Ours, core_resource.CreateView):
    """A new file."""

    def get(self, package_type: str, id: str, *more: Any, **named: Any) -> Any:
        """The form."""
        _with_files(package_type, id)
        return super().get(package_type, id, *more, **named)

    def post(self, package_type: str, id: str) -> Any:
        """Save."""
        _with_files(package_type, id)
        before = {resource["id"] for resource in self._files(id)}
        if tk.request.form.get("id") and tk.request.form["id"] not in before:
            # Core would save it, whatever dataset it is of, before it looks at this one.
            tk.abort(404, tk._("Resource not found"))
        answer = super().post(package_type, id)
        if not _saved(answer):
            return answer
        edited = tk.request.form.get("id")
        found = [
            resource
            for resource in self._files(id)
            if resource["id"] not in before or resource["id"] == edited
        ]
        return _after_resource(id, found[-1]) if found else answer

    @staticmethod
    def _files(id: str) -> list[dict[str, Any]]:
        try:
            return _get("package_show", id=id)["resources"]
        except (tk.NotAuthorized, tk.ObjectNotFound):
            return []


class EditResource(_Ours, core_resource.EditView):
    """The form of a file and its variables; with `salin` filled from another file."""

    def get(
        self,
        package_type: str,
        id: str,
        resource_id: str,
        data: dict[str, Any] | None = None,
        errors: dict[str, Any] | None = None,
        error_summary: dict[str, Any] | None = None,
    ) -> Any:
        """The form; what is copied is stored only when it is saved."""
        source = tk.request.args.get("salin")
        if data is None and source and tk.request.method == "GET":
            data = self._copy(source, resource_id)
        return super().get(package_type, id, resource_id, data, errors, error_summary)

    def _copy(self, source: str, resource_id: str) -> dict[str, Any] | None:
        block = schema.find("dataset", "variabel", "resource_fields")
        try:
            resource, other = (
                _get("resource_show", id=resource_id),
                _get("resource_show", id=source),
            )
        except (tk.NotAuthorized, tk.ObjectNotFound, tk.ValidationError):
            tk.h.flash_error(tk._("Yang akan disalin tidak ditemukan. Pilih dari daftar."))
            return None
        tk.h.flash_notice(
            tk._("Variabel disalin dari {title}. Belum tersimpan: periksa, lalu simpan.").format(
                title=tk.h.resource_display_name(other)
            )
        )
        rows = forms.copied_variables(
            schema.rows(block, resource.get("variabel")),
            (forms.satudata_dugaan(resource) or {}).get("variabel") or [],
            schema.rows(block, other.get("variabel")),
        )
        return {**resource, "variabel": rows}

    def post(self, package_type: str, id: str, resource_id: str) -> Any:
        """Save."""
        answer = super().post(package_type, id, resource_id)
        if not _saved(answer):
            return answer
        return _after_resource(id, _get("resource_show", id=resource_id))


# Kegiatan ----------------------------------------------------------------------------------------
@satudata_formulir.route("/satudata/kegiatan/pilihan")
def pilihan() -> Response:
    """The list of the kegiatan picker for other words, as a part of its page."""
    args = tk.request.args
    found = forms.satudata_kegiatan(args.get("id_kegiatan"), args.get("q", "")[:200])
    return tk.render("satudata/snippets/kegiatan_pilihan.html",
                     {"found": found, "chosen": args.get("id_kegiatan", "")})  # fmt: skip


def middleware(app: Any) -> None:
    """Put these views in the place of core's, under the same names."""
    for type_ in schema.TYPES:
        for endpoint, view in (
            (f"{type_}.new", NewDataset),
            (f"{type_}.edit", EditDataset),
            (f"{type_}_resource.new", NewResource),
            (f"{type_}_resource.edit", EditResource),
        ):
            app.view_functions[endpoint] = view.as_view(f"{type_}_{view.__name__.lower()}")
