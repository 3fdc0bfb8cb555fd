"""The review page, and the one form that moves a dataset."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from contextlib import suppress
from itertools import zip_longest
from typing import Any

import ckan.plugins.toolkit as tk
from flask.typing import ResponseReturnValue as Response
from werkzeug.datastructures import MultiDict

from ckanext.satudata_trenggalek import comments, review
from ckanext.satudata_trenggalek import forms as h_forms
from ckanext.satudata_trenggalek import helpers as h
from ckanext.satudata_trenggalek.views.dasar import ask, missing, satudata
from ckanext.satudata_trenggalek.views.dasar import status as status_of
from ckanext.satudata_trenggalek.workflow import engine, table

# Review ------------------------------------------------------------------------------------------
#: Decisions that are not made on this page.
_ELSEWHERE = ("ajukan", "batalkan", "buka_kembali")
#: Approvals that can also publish, by the part of the choice after the colon.
NOW, LATER = "terbitkan", "jadwal"


def _choices(status: Mapping[str, Any], decisions: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """What the reader can decide: value (transition, or transition:what then), label, hint."""
    found = []
    opens = status["klasifikasi"] == "terbuka"
    for move in decisions:
        hint = tk._("Menjadi: {status}").format(status=h.satudata_label_status(move["to"]))
        if move["note_required"]:
            hint += ". " + tk._("Catatan wajib diisi.")
        plain = {**move, "value": move["name"], "hint": hint, "schedules": False}
        dated = {
            **plain,
            "value": f"{move['name']}:{LATER}",
            "label": tk._("Setujui, terbitkan pada tanggal …"),
            "hint": tk._("Terbit otomatis pada waktu yang Anda isi di bawah."),
            "schedules": True,
        }
        if move["name"] == "setujui" and opens:
            today = tk._("Versi {n} tampil untuk umum hari ini.").format(n=status["version"] + 1)
            now = {**plain, "value": f"setujui:{NOW}", "label": tk._("Setujui dan terbitkan")}
            plain["label"] = tk._("Setujui, terbitkan nanti")
            found += [{**now, "hint": today}, dated, plain]
        elif move["name"] == "setujui_pembina" and opens:
            found += [plain, dated]
        elif move["name"] == "terbitkan":
            dated["label"] = tk._("Terbitkan pada tanggal …")
            found += [plain, dated]
        else:
            found.append(plain)
    return found


def _threads(id: str) -> tuple[list[dict[str, Any]], int]:
    """All comments, with the reader's drafts in their places, and how many drafts there are."""
    threads: list[dict[str, Any]] = []
    while True:
        found = ask("satudata_comment_list", id=id, limit=100, offset=len(threads))
        threads += found["results"]
        if not found["results"] or len(threads) >= found["count"]:
            break
    by_id = {thread["id"]: thread for thread in threads}
    for draft in found["drafts"]:
        if draft["parent"] in by_id:
            by_id[draft["parent"]]["replies"].append(draft)
        else:
            threads.append(draft)
    return threads, len(found["drafts"])


def _typed(status: Mapping[str, Any]) -> dict[str, str]:
    """What the reader typed here before and has not sent, as the form has it."""
    try:
        kept = ask("satudata_draft_show", id=status["id"])
    except tk.NotAuthorized:
        return {}
    words = {value: name for name, value in _ANSWERS.items()}
    form = {name: value for name, value in kept.items() if isinstance(value, str) and value}
    for name, entry in (kept.get("checklist") or {}).items():
        form[f"checklist_{name}"] = words[entry["sesuai"]]
        form[f"checklist_{name}_note"] = entry["note"]
    return form


def _why_not(status: Mapping[str, Any], turn: bool, decisions: list[dict[str, Any]]) -> str:
    """Why the reader, whose turn it is, can't approve."""
    if not turn or any(table.TRANSITIONS[move["name"]].primary for move in decisions):
        return ""
    if status["reviewer"] and status["reviewer"] != tk.current_user.name:
        return tk._(engine.HELD).format(reviewer=status["reviewer"])
    if status["maker"]:
        return tk._(
            "Anda ikut membuat dataset ini, jadi persetujuannya oleh petugas lain. Mengembalikan"
            " tetap dapat Anda lakukan."
        )
    if status["kegiatan"] and status["kegiatan"]["status"] not in table.PUBLIC:
        return tk._("Belum dapat disetujui: kegiatannya belum terbit.")
    return tk._("Belum dapat disetujui: lihat temuan pada tabelnya.")


def _since(status: Mapping[str, Any], content_hash: str) -> list[dict[str, Any]]:
    """What happened since the content with this hash was submitted, oldest first."""
    _count, events = h.satudata_peristiwa(status["id"])
    later = []
    for event in events:  # newest first
        if event["event"] == "ajukan" and event["content_hash"] == content_hash:
            return later[::-1][-5:]
        later.append(event)
    return []


def _moment(status: Mapping[str, Any]) -> tuple[Any, ...]:
    return tuple(status[name] for name in ("status", "content_hash", "round", "since"))


def _review(
    id: str, form: Mapping[str, Any] | None = None, errors: list[dict[str, str]] | None = None,
    stale: bool = False, unsent: list[str] | None = None, reads: int = 3,
) -> str:  # fmt: skip
    """The review page.

    Args:
        id: name or id of the dataset.
        form: what was typed; kept as it is, the hash that was read included.
        errors: anchor and message of what is wrong with it.
        stale: whether the dataset changed since it was read.
        unsent: texts that can't be sent any more, to copy.
        reads: how often it is made anew when the dataset changes while it is read.
    """
    status = status_of(id)
    try:
        dataset = ask("package_show", id=id)
    except (tk.NotAuthorized, tk.ObjectNotFound):
        missing()
    args = tk.request.args
    view = args.get("tampil") if args.get("tampil") in review.VIEWS else "semua"
    base = "terbit" if args.get("banding") == "terbit" and status["version"] else "putaran"
    threads, drafts = _threads(status["id"])
    difference = ask("satudata_diff_show", id=status["id"], base=base)
    shows = {r["id"]: ask("resource_view_list", id=r["id"]) for r in dataset["resources"]}
    sheet = review.Sheet(status, dataset, difference, threads, view, shows)

    if _moment(status) != _moment(status_of(id)):
        # The hash of one submission beside the content of another.
        if reads > 1:
            return _review(id, form, errors, stale, unsent, reads - 1)
        stale = True

    decisions = [t for t in status["transitions"] if t["name"] not in _ELSEWHERE]
    guards = {g for t in decisions for g in table.TRANSITIONS[t["name"]].guards}
    known = table.STATUSES[status["status"]]
    waits = known.waits_for.value if known.waits_for and not known.edits else ""
    turn = h.satudata_berperan(waits)
    typed: Mapping[str, Any] = form or (_typed(status) if decisions else {})
    if not typed.get("content_hash"):
        typed = {**typed, "content_hash": status["content_hash"]}
    elif form is None:
        stale = stale or typed["content_hash"] != status["content_hash"]
    changes = []
    if stale:
        since = ask("satudata_diff_show", id=status["id"], base=typed["content_hash"])
        changes = review.Sheet(status, dataset, since, []).changes_list()

    def here(**changed: str) -> str:
        kept = {"tampil": view if view != "semua" else "", "banding": base, **changed}
        kept["banding"] = kept["banding"] if kept["banding"] != "putaran" else ""
        kept = {name: value for name, value in kept.items() if value and value != "semua"}
        return tk.url_for("satudata.pemeriksaan", id=status["name"], **kept)

    def cells_of(block: str) -> list[tuple[str, str]]:
        return [(c.name, f"{c.item} {c.label}") for c in h_forms.satudata_kolom(sheet.type, block)]

    blocks = comments.keys(sheet.type)
    return tk.render(
        "satudata/pemeriksaan.html",
        {
            "pkg_dict": dataset,
            "dataset_type": dataset["type"],
            "status": status,
            "sheet": sheet,
            "files": {r["id"]: sheet.file(r) for r in dataset["resources"]},
            "columns": {c.name: c for c in h_forms.satudata_kolom("dataset", "variabel")},
            "base": base,
            "here": here,
            "cells_of": cells_of,
            "block_parts": {name: cells_of(name) for name in blocks},
            "open_at": args.get("komentar", "")[:300],
            "editing": args.get("ubah", ""),
            "may_comment": turn,
            "may_reply": turn or bool(known.edits),
            "sends_now": bool(known.edits),
            # Pembina settle what they said themselves.
            "may_settle": "" if status["maker"] or known.public
            else "all" if h.satudata_berperan("walidata")
            else "own" if h.satudata_berperan("pembina_data") else "",
            "may_mark": not status["data_prioritas"] and status["status"] == "diajukan"
            and h.satudata_berperan("walidata"),
            "decisions": decisions,
            "choices": _choices(status, decisions),
            "why_not": _why_not(status, turn, decisions),
            "checklist": "checklist" in guards,
            "drafts": drafts,
            "form": typed,
            "errors": errors or [],
            "stale": stale and bool(decisions),
            "stale_changes": changes,
            "since": _since(status, typed["content_hash"]) if stale else [],
            "unsent": unsent or [],
            "returned": h.satudata_catatan_kembali(status["id"]),
        },
    )  # fmt: skip


@satudata.route("/dataset/<id>/pemeriksaan")
def pemeriksaan(id: str) -> Response:
    """What is decided on, beside the decision."""
    return _review(id)


def _written(form: MultiDict[str, str]) -> list[dict[str, str]]:
    """Comments typed on the page and not saved yet: field or parent, and body."""
    lists = (form.getlist(f"komentar_{part}") for part in ("field", "sub", "parent", "body"))
    found = []
    for field, sub, parent, body in zip_longest(*lists, fillvalue=""):
        if body.strip():
            path = f"{field}/{sub}" if field and sub else field
            found.append({"field": path, "parent": parent, "body": body})
    return found


def _save_comments(id: str, written: list[dict[str, str]]) -> tuple[list[str], list[str]]:
    """Keep what was written. Returns the messages of what went wrong, and the words concerned."""
    wrong, unsent = [], []
    for comment in written:
        try:
            ask("satudata_comment_create", id=id, **comment)
        except (tk.ValidationError, tk.NotAuthorized) as error:
            told = getattr(error, "error_summary", None) or {}
            wrong += [str(text) for text in told.values()] or [str(getattr(error, "message", ""))]
            unsent.append(comment["body"])
    return wrong, unsent


def _save_decision(id: str, form: Mapping[str, str]) -> None:
    """Keep what is typed for the decision, where the reader may decide at all."""
    data = {name: form.get(name, "") for name in _KEPT}
    with suppress(tk.NotAuthorized, tk.ValidationError):
        ask("satudata_draft_save", id=id, checklist=_checklist(form), **data)


_KEPT = ("transition", "note", "public_note", "publish_at", "content_hash")


@satudata.route("/dataset/<id>/pemeriksaan", methods=["POST"])
def pemeriksaan_simpan(id: str) -> Response:
    """Every button of the page but the decision; what else is typed on it is kept with it."""
    status = status_of(id)
    form = tk.request.form
    if "muat" in form:
        form = MultiDict([*form.items(multi=True)])
        form["content_hash"] = status["content_hash"] or ""
    if "content_hash" in form:
        _save_decision(status["id"], form)
    wrong, unsent = _save_comments(status["id"], _written(form))
    anchor = ""
    try:
        if form.get("aksi") == "prioritas":
            ask("satudata_prioritas_set", id=status["id"], data_prioritas=True,
                kriteria=form.get("kriteria", ""), note=form.get("note", ""))  # fmt: skip
            tk.h.flash_success(tk._("Ditandai Data Prioritas: Pembina Data memeriksanya juga."))
        elif "selesai" in form or "buka" in form:
            name = "selesai" if "selesai" in form else "buka"
            anchor = f"komentar-{form[name]}"
            ask("satudata_comment_resolve", id=form[name],
                state="done" if name == "selesai" else "open")  # fmt: skip
        elif "hapus" in form:
            ask("satudata_comment_delete", id=form["hapus"])
        elif "ubah" in form:
            anchor = f"komentar-{form['ubah']}"
            unsent = [form.get("ubah_body", "")]
            ask("satudata_comment_update", id=form["ubah"], body=unsent[0])
            unsent = []
        elif form.get("komentar_field") or form.get("komentar_parent"):
            anchor = review.anchor(form["komentar_field"]) or f"komentar-{form['komentar_parent']}"
    except tk.ValidationError as error:
        wrong += [str(text) for text in error.error_summary.values()]
    except tk.NotAuthorized as error:
        wrong.append(error.message or tk._("Anda tidak dapat melakukan tindakan ini."))
    except tk.ObjectNotFound:
        wrong.append(tk._("Komentar itu tidak ada, atau sudah dikirim."))
    if wrong:
        if tk.request.headers.get("X-Requested-With"):
            return {"errors": wrong}, 409
        errors = [{"anchor": "", "message": message} for message in wrong]
        return _review(id, None, errors, unsent=unsent), 409
    if tk.request.headers.get("X-Requested-With"):
        return {"saved": True}
    query = {
        name: tk.request.args[name] for name in ("tampil", "banding") if tk.request.args.get(name)
    }
    return tk.redirect_to(
        tk.url_for("satudata.pemeriksaan", id=status["name"], **query)
        + (f"#{anchor}" if anchor else "")
    )


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
    if transition == "ajukan":
        return tk._(
            "{thing} diajukan ke Walidata. Tanda terima: isi {hash}, {time}. Berikutnya:"
            " pemeriksaan Walidata, {due}. Hasilnya ada di halaman Tugas."
        ).format(
            thing=thing,
            hash=h.satudata_sidik(status["content_hash"]),
            time=h.satudata_waktu(status["submitted_at"]),
            due=h.satudata_tenggat(status["due_at"]) or tk._("tanpa tenggat"),
        )
    return {
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
        if h.satudata_diputuskan(transition, status):
            return tk.redirect_to("satudata.pemeriksaan", id=status["name"])
        return _confirm(status, transition, {"content_hash": status["content_hash"]})

    sent, form = tk.request.form, tk.request.form.to_dict()
    name, _colon, then = form.get("transition", "").partition(":")
    origin = form.get("origin")
    written = _written(sent)
    if origin == "pemeriksaan" and (refused := _too_late(status, name, form, written)):
        return refused
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
        if then == LATER and not form.get("publish_at"):
            message = tk._("Isi tanggal dan jam terbitnya.")
            errors.append({"anchor": "publish_at", "message": message})
        if errors:
            return _refused(id, status, form, errors, written)
        if then != LATER:
            form.pop("publish_at", None)
    data = {key: form[key] for key in ("note", "public_note", "content_hash") if form.get(key)}
    if checklist:
        data["checklist"] = checklist
    if form.get("publish_at") and name in _SCHEDULED:
        data["publish_at"] = _publish_at(form["publish_at"])
    if written:
        data["comments"] = written
    try:
        status = ask("satudata_transition", id=status["id"], transition=name, **data)
    except tk.NotAuthorized as error:
        tk.h.flash_error(error.message or tk._("Anda tidak dapat melakukan tindakan ini."))
        return tk.redirect_to(url)
    except tk.ValidationError as error:
        errors = _api_errors(status, error)
        if origin == "pemeriksaan":
            stale = "content_hash" in error.error_dict
            return _refused(id, status, form, [] if stale else errors, written, stale=stale)
        transition = next((t for t in status["transitions"] if t["name"] == name), None)
        if origin == "konfirmasi" and transition:
            return _confirm(status, transition, form, errors), 409
        for item in errors:
            tk.h.flash_error(item["message"])
        return tk.redirect_to(url)
    tk.h.flash_success(_done(name, status))
    if then == NOW:
        status = _publish_too(status)
    if form.get("next") in _NEXT:
        return tk.redirect_to(f"satudata.{form['next']}")
    return tk.redirect_to(read)


def _refused(
    id: str, status: Mapping[str, Any], form: Mapping[str, str], errors: list[dict[str, str]],
    written: list[dict[str, str]], stale: bool = False,
) -> Response:  # fmt: skip
    """The page again, with everything that was typed: kept, so that it also survives the tab."""
    _save_decision(status["id"], form)
    wrong, unsent = _save_comments(status["id"], written)
    errors = [*errors, *({"anchor": "", "message": message} for message in wrong)]
    return _review(id, form, errors, stale=stale, unsent=unsent), 409


def _too_late(
    status: Mapping[str, Any], name: str, form: Mapping[str, str], written: list[dict[str, str]]
) -> Response | None:
    """For a page that was sent when the dataset no longer waits: from another tab, or Back.

    Returns:
        None where the reader could still decide it, or never could; then the API says why not.
    """
    move = table.TRANSITIONS.get(name)
    if move is None or status["status"] in move.sources:
        return None
    _count, events = h.satudata_peristiwa(status["id"])
    last = next((e for e in events if e["to"] == status["status"] and e["from"] != e["to"]), None)
    message = tk._("Keputusan tidak dikirim: dataset ini sekarang “{status}”.").format(
        status=status["status_label"]
    )
    if last:
        message += " " + tk._("{what} oleh {name}, {time}.").format(
            what=h.satudata_kalimat(last, status), name=last["actor"],
            time=h.satudata_waktu(last["at"]),
        )  # fmt: skip
    texts = [form.get("note", ""), *(form.get(f"checklist_{p}_note", "") for p in table.PRINSIP)]
    unsent = [text for text in (*texts, *(c["body"] for c in written)) if text.strip()]
    errors = [{"anchor": "", "message": message}]
    return _review(status["id"], None, errors, unsent=unsent), 409


def _publish_too(status: dict[str, Any]) -> dict[str, Any]:
    """The second half of "Setujui dan terbitkan": SOP 7 follows SOP 6, each with its own event."""
    try:
        done = ask("satudata_transition", id=status["id"], transition="terbitkan",
                   content_hash=status["content_hash"])  # fmt: skip
    except (tk.ValidationError, tk.NotAuthorized) as error:
        told = getattr(error, "error_summary", None) or {"": getattr(error, "message", "")}
        message = tk._("Sudah disetujui, tetapi belum terbit: {reason}")
        tk.h.flash_error(message.format(reason=" ".join(map(str, told.values()))))
        return status
    tk.h.flash_success(_done("terbitkan", done))
    return done


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
