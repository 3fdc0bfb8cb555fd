"""API actions on uploaded tables: what was found in them, what can be read off them."""

from __future__ import annotations

from typing import Any

import ckan.model as core
import ckan.plugins.toolkit as tk

from ckanext.satudata_trenggalek import files, findings, gate, guess, tables, tabular
from ckanext.satudata_trenggalek.doors import may_see, package_of_resource, user_of
from ckanext.satudata_trenggalek.doors.hiding import watched
from ckanext.satudata_trenggalek.logic import schema
from ckanext.satudata_trenggalek.workflow import service
from ckanext.satudata_trenggalek.workflow.table import STATUSES, Peran


def _found(context: Any, data_dict: dict[str, Any]) -> tuple[core.Package, dict[str, Any]]:
    """The dataset of the resource `id`, and the resource, if the caller may see them.

    Raises:
        tk.ObjectNotFound: unknown and forbidden alike.
    """
    id_ = tk.get_or_bust(data_dict, "id")
    package = package_of_resource(id_)
    if package is None or not may_see(context, package):
        raise tk.ObjectNotFound()
    resource = core.Resource.get(id_)
    if resource is None or resource.state != "active":
        raise tk.ObjectNotFound()
    return package, {"id": resource.id, "url": resource.url, "url_type": resource.url_type}


@tk.side_effect_free
@watched
def satudata_temuan_list(context: Any, data_dict: dict[str, Any]) -> list[dict[str, Any]]:
    """What was found in the table of a file: for those who work on the dataset, never the public.

    :param id: id of the resource
    :returns: kind, message, blocking, count, rows (the first few), sha256 of the file that was
        searched, and what else belongs to it; reason (note, actor, at) where Walidata recorded one
        for personal data in these bytes
    """
    package, resource = _found(context, data_dict)
    tk.check_access("satudata_temuan_list", context, {"id": package.id})
    return [
        {**finding, "reason": _told(finding["reason"])} for finding in tables.found_in(resource)
    ]


def _told(reason: dict[str, Any] | None) -> dict[str, Any] | None:
    return {**reason, "at": reason["at"].isoformat()} if reason else None


def satudata_data_pribadi_set(context: Any, data_dict: dict[str, Any]) -> list[dict[str, Any]]:
    """Record why the law allows personal data in a file; it then no longer stops the submission.

    It counts for exactly the bytes that the resource has now (UU 27/2022 Ps 20).

    :param id: id of the resource
    :param sha256: of the file that was read, as satudata_temuan_list gave it
    :param note: the legal reason
    :returns: as satudata_temuan_list
    """
    package, resource = _found(context, data_dict)
    tk.check_access("satudata_data_pribadi_set", context, {"id": package.id})
    note = schema.text(data_dict, "note")
    if not note:
        raise tk.ValidationError(
            {"note": [tk._("Tulis dasar hukum dan alasan data pribadi ini boleh dimuat.")]}
        )
    user = user_of(context)
    assert user  # the auth function wants one
    with gate.explained():
        package, row = service.lock(package.id)
        if not STATUSES[row.status].waits_for:
            raise tk.ValidationError(
                {"status": [tk._("Alasan dicatat sebelum dataset terbit atau ditarik.")]}
            )
        pointer = files.pointer(resource["id"])
        found = [f for f in tables.found_in(resource) if f["kind"] == tables.PERSONAL]
        if pointer is None or not found:
            raise tk.ValidationError(
                {"id": [tk._("Tidak ada data pribadi yang ditemukan dalam berkas ini.")]}
            )
        if data_dict.get("sha256") != pointer.sha256:
            message = tk._("Berkas ini diganti sejak Anda membacanya. Periksa berkas barunya.")
            raise tk.ValidationError({"sha256": [message]})
        service.record(
            package.id,
            user.name,
            tables.PERSONAL,
            peran=Peran.WALIDATA.value,
            note=note,
            detail={"resource_id": resource["id"], "sha256": pointer.sha256},
        )
        core.Session.commit()
    return satudata_temuan_list(context, {"id": resource["id"]})


@tk.side_effect_free
@watched
def satudata_variabel_guess(context: Any, data_dict: dict[str, Any]) -> dict[str, Any]:
    """Offer MS-Variabel for an uploaded table, from its header and its first rows.

    :param id: id of the resource
    :returns: variabel (rows with their filled fields), tanda_desimal, notes (sentences)
    """
    package, resource = _found(context, data_dict)
    tk.check_access("satudata_variabel_guess", context, {"id": package.id})
    pointer = files.pointer(resource["id"])
    if pointer is None or not tables.is_table(resource):
        return {"variabel": [], "tanda_desimal": "titik", "notes": []}
    year = str((package.extras or {}).get("tahun_data") or "")
    try:
        with files.local_copy(pointer.sha256) as path:
            return guess.table(path, files.extension(resource["url"]), year)
    except tabular.Rejected as error:
        notes = [findings.tell(findings.keep(error.told))]
        return {"variabel": [], "tanda_desimal": "titik", "notes": notes}
