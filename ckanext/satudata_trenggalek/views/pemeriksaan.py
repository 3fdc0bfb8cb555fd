"""The review page, and the one form that moves a dataset."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from typing import Any

import ckan.plugins.toolkit as tk
from flask.typing import ResponseReturnValue as Response

from ckanext.satudata_trenggalek import helpers as h
from ckanext.satudata_trenggalek import schema
from ckanext.satudata_trenggalek.views.dasar import ask, missing, satudata
from ckanext.satudata_trenggalek.views.dasar import status as status_of
from ckanext.satudata_trenggalek.workflow import engine, table


# Review ------------------------------------------------------------------------------------------
def _review(
    id: str, form: Mapping[str, Any] | None = None, errors: list[dict[str, str]] | None = None,
    stale: bool = False,
) -> str:  # fmt: skip
    """The review page.

    Args:
        id: name or id of the dataset.
        form: what was typed; kept as it is, the hash that was read included.
        errors: anchor and message of what is wrong with it.
        stale: whether the dataset changed since it was read.
    """
    # First the hash, then the content: what is shown is then never older than what is approved.
    status = status_of(id)
    try:
        dataset = ask("package_show", id=id)
    except (tk.NotAuthorized, tk.ObjectNotFound):
        missing()
    decisions = [t for t in status["transitions"] if t["name"] not in ("ajukan", "batalkan")]
    guards = {g for t in decisions for g in table.TRANSITIONS[t["name"]].guards}
    return tk.render(
        "satudata/pemeriksaan.html",
        {
            "pkg_dict": dataset,
            "dataset_type": dataset["type"],
            "status": status,
            "principles": schema.principles(dataset["type"]),
            "decisions": decisions,
            "checklist": "checklist" in guards,
            "schedules": [t["name"] for t in decisions if t["name"] in _SCHEDULED],
            "form": form or {"content_hash": status["content_hash"]},
            "errors": errors or [],
            "stale": stale,
            "returned": h.satudata_catatan_kembali(status["id"]),
        },
    )


@satudata.route("/dataset/<id>/pemeriksaan")
def pemeriksaan(id: str) -> Response:
    """What is decided on, beside the decision."""
    return _review(id)


# Moving a dataset --------------------------------------------------------------------------------
#: Transitions that take `publish_at`.
_SCHEDULED = ("setujui", "setujui_pembina", "terbitkan")
#: Where a page may send the reader afterwards.
_NEXT = ("antrean", "tugas")
_ANSWERS = {"sesuai": True, "tidak": False, "tidak_berlaku": None}


def _done(transition: str, status: Mapping[str, Any]) -> str:
    """What happened, in a sentence."""
    thing = h.satudata_sebutan(status)
    if transition in _SCHEDULED and status["status"] == "terverifikasi" and status["publish_at"]:
        return tk._("Disimpan. {thing} terbit otomatis pada {time}.").format(
            thing=thing, time=h.satudata_waktu(status["publish_at"])
        )
    return {
        "ajukan": tk._("{thing} diajukan ke Walidata."),
        "batalkan": tk._("Pengajuan dibatalkan. {thing} menjadi draf lagi."),
        "kembalikan": tk._("{thing} dikembalikan ke {organization}."),
        "setujui": tk._("{thing} disetujui."),
        "teruskan_ke_pembina": tk._("{thing} disetujui dan diteruskan ke Pembina Data."),
        "setujui_pembina": tk._("{thing} disetujui sebagai Pembina Data."),
        "tolak_pembina": tk._("{thing} ditolak dan kembali ke Walidata."),
        "batalkan_pembina": tk._("{thing} ditarik dari Pembina Data, kembali ke antrean Walidata."),
        "terbitkan": tk._("{thing} terbit sebagai versi {version}."),
        "tarik": tk._("{thing} ditarik dari publik."),
        "buka_kembali": tk._("{thing} dibuka kembali sebagai draf."),
    }[transition].format(
        thing=thing, organization=status["organization_title"] or "", version=status["version"]
    )


def _checklist(form: Mapping[str, str]) -> dict[str, dict[str, Any]]:
    """The judged principles, as the API takes them."""
    return {
        name: {
            "sesuai": _ANSWERS[form[f"checklist_{name}"]],
            "note": form.get(f"checklist_{name}_note", ""),
        }
        for name in table.PRINSIP
        if form.get(f"checklist_{name}") in _ANSWERS
    }


def _checklist_errors(checklist: Mapping[str, Any], complete: bool) -> list[dict[str, str]]:
    """All that is wrong with a checklist at once, each with its place on the page."""
    found = []
    for name, label in h.satudata_prinsip().items():
        message = ""
        if name not in checklist:
            message = tk._("Nilai dahulu {label}.").format(label=label) if complete else ""
        elif complete and checklist[name]["sesuai"] is False:
            message = tk._(
                "{label} tidak sesuai, jadi dataset tidak dapat disetujui. Pilih Kembalikan."
            ).format(label=label)
        else:
            try:
                engine.parse_checklist({name: checklist[name]})
            except engine.Refused:
                message = tk._("{label} tidak berlaku: tulis alasannya.").format(label=label)
        if message:
            found.append({"anchor": f"check-{name}", "message": message})
    return found


def _publish_at(value: str) -> str:
    """A date and time of a form, read as WIB, in ISO 8601 with offset; as typed when it is none."""
    try:
        return dt.datetime.fromisoformat(value).replace(tzinfo=h.WIB).isoformat()
    except ValueError:
        return value


_ANCHORS = {"note": "note", "public_note": "public_note", "publish_at": "publish_at",
            "transition": "keputusan", "checklist": "check-standar_data"}  # fmt: skip


def _api_errors(status: Mapping[str, Any], error: tk.ValidationError) -> list[dict[str, str]]:
    """What the API refused: message and the place where it is mended."""
    found = []
    for field, messages in error.error_dict.items():
        if field in _ANCHORS:
            target = {"anchor": _ANCHORS[field]}
        elif field in ("content_hash", "state", "klasifikasi"):
            target = {"anchor": ""}
        else:
            target = {"anchor": "", "url": h.satudata_tautan_isian(status, field)}
        for message in messages if isinstance(messages, list) else [messages]:
            found.append({**target, "message": str(message)})
    return found


@satudata.route("/dataset/<id>/transisi", methods=["GET", "POST"])
def transisi(id: str) -> Response:
    """Move a dataset; opened with GET the page that asks for the note, or once more."""
    status = status_of(id)
    read = url = tk.url_for("dataset.read", id=status["name"])
    if tk.request.method == "GET":
        name = tk.request.args.get("transition", "")
        transition = next((t for t in status["transitions"] if t["name"] == name), None)
        if transition is None:
            tk.h.flash_error(tk._("Tindakan itu sekarang tidak tersedia untuk dataset ini."))
            return tk.redirect_to(url)
        return _confirm(status, transition, {"content_hash": status["content_hash"]})

    form = tk.request.form.to_dict()
    name, origin = form.get("transition", ""), form.get("origin")
    if "muat" in form:
        return _review(id, {**form, "content_hash": status["content_hash"]})
    known = table.TRANSITIONS.get(name)
    checklist = _checklist(form)
    errors: list[dict[str, str]] = []
    if origin == "pemeriksaan":
        if known is None:
            errors.append({"anchor": "keputusan", "message": tk._("Pilih keputusan.")})
        errors += _checklist_errors(checklist, bool(known and "checklist" in known.guards))
        if known and known.note_required and not form.get("note", "").strip():
            message = tk._("Tulis catatan: apa alasannya dan apa yang harus diperbaiki.")
            errors.append({"anchor": "note", "message": message})
        if errors:
            return _review(id, form, errors), 409
    data = {key: form[key] for key in ("note", "public_note", "content_hash") if form.get(key)}
    if checklist:
        data["checklist"] = checklist
    if form.get("publish_at") and name in _SCHEDULED:
        data["publish_at"] = _publish_at(form["publish_at"])
    try:
        status = ask("satudata_transition", id=status["id"], transition=name, **data)
    except tk.NotAuthorized as error:
        tk.h.flash_error(error.message or tk._("Anda tidak dapat melakukan tindakan ini."))
        return tk.redirect_to(url)
    except tk.ValidationError as error:
        errors = _api_errors(status, error)
        if origin == "pemeriksaan":
            stale = "content_hash" in error.error_dict
            return _review(id, form, [] if stale else errors, stale=stale), 409
        transition = next((t for t in status["transitions"] if t["name"] == name), None)
        if origin == "konfirmasi" and transition:
            return _confirm(status, transition, form, errors), 409
        for item in errors:
            tk.h.flash_error(item["message"])
        return tk.redirect_to(url)
    tk.h.flash_success(_done(name, status))
    if form.get("next") in _NEXT:
        return tk.redirect_to(f"satudata.{form['next']}")
    return tk.redirect_to(read)


def _confirm(
    status: Mapping[str, Any], transition: Mapping[str, Any], form: Mapping[str, str],
    errors: list[dict[str, str]] | None = None,
) -> str:  # fmt: skip
    return tk.render(
        "satudata/transisi.html",
        {
            "status": status,
            "transition": transition,
            "schedules": transition["name"] in _SCHEDULED,
            "form": form,
            "errors": errors or [],
        },
    )
