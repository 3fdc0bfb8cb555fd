"""Template helpers: how dates, numbers, statuses and the work of a user are shown.

Every public function is a helper of the same name in the templates. Text is Indonesian first
(gettext msgids); dates and numbers follow the locale of the request.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Callable, Mapping, Sequence
from functools import wraps
from typing import Any, TypeVar, cast

import ckan.model as core
import ckan.plugins.toolkit as tk
from babel.dates import format_date
from babel.numbers import format_decimal
from ckan.lib.files import Settings
from markupsafe import Markup, escape

from ckanext.satudata_trenggalek import (
    config,
    files,
    findings,
    notices,
    peran,
    schema,
    tables,
)
from ckanext.satudata_trenggalek.forms import satudata_field, satudata_jenis
from ckanext.satudata_trenggalek.model import Status
from ckanext.satudata_trenggalek.workflow import engine, table
from ckanext.satudata_trenggalek.workflow.calendar import WIB
from ckanext.satudata_trenggalek.workflow.table import Peran

T = TypeVar("T")

#: Icon of each tone (workflow.table.Status.tone); a status is never told by colour alone.
_ICONS = {
    "idle": "fa-pen",
    "wait": "fa-hourglass-half",
    "back": "fa-rotate-left",
    "late": "fa-ban",
    "ok": "fa-circle-check",
}
_ICON_OF_EVENT = {
    "ajukan": "fa-paper-plane",
    "batalkan": "fa-rotate-left",
    "kembalikan": "fa-rotate-left",
    "setujui": "fa-circle-check",
    "setujui_pembina": "fa-circle-check",
    "teruskan_ke_pembina": "fa-share",
    "tolak_pembina": "fa-rotate-left",
    "batalkan_pembina": "fa-rotate-left",
    "terbitkan": "fa-check",
    "tarik": "fa-ban",
    "buka_kembali": "fa-folder-open",
    "dibuat": "fa-plus",
    "dipulihkan": "fa-rotate-left",
    "dipindahkan": "fa-share",
    "jadwalkan": "fa-calendar-day",
    "jadwal_gagal": "fa-triangle-exclamation",
    "ambil": "fa-hand",
    "ambil_alih": "fa-hand",
    "lepas": "fa-hand-point-up",
    "prioritas": "fa-star",
    "data_pribadi": "fa-user-shield",
    "komentar_dibalas": "fa-comment",
    "komentar_selesai": "fa-comment",
    "komentar_dibuka": "fa-comment",
}
#: Counts above it are not told exactly (logic/queue.py).
MOST = 1000
#: What is decided on the review page, beside the content.
DECIDED = ("setujui", "teruskan_ke_pembina", "kembalikan", "setujui_pembina", "tolak_pembina")
#: What cannot be taken back by its maker is asked for once more, on a page of its own.
CONFIRMED = ("terbitkan", "tarik", "buka_kembali", "batalkan_pembina")


# Dates, numbers ----------------------------------------------------------------------------------
def _locale() -> str:
    return "en" if tk.h.lang().startswith("en") else "id"


def _wib(value: str | dt.datetime | dt.date | None) -> dt.datetime | None:
    """The moment in WIB. Without an offset it is UTC, as CKAN stores it."""
    if not value:
        return None
    if isinstance(value, str):
        value = dt.datetime.fromisoformat(value)
    if not isinstance(value, dt.datetime):
        return dt.datetime.combine(value, dt.time(), WIB)
    return (value if value.tzinfo else value.replace(tzinfo=dt.timezone.utc)).astimezone(WIB)


def satudata_sekarang() -> dt.datetime:
    """Now, in WIB."""
    return dt.datetime.now(WIB)


def satudata_tanggal(value: str | dt.datetime | dt.date | None, hari: bool = False) -> str:
    """A date in WIB: "22 November 2026", with `hari` "Minggu, 22 November 2026"."""
    moment = _wib(value)
    if moment is None:
        return ""
    return format_date(moment, ("EEEE, " if hari else "") + "d MMMM y", locale=_locale())


def satudata_jam(value: str | dt.datetime | None) -> str:
    """A time of day: "14.05 WIB" ("14:05 WIB" in English)."""
    moment = _wib(value)
    return moment.strftime("%H:%M WIB" if _locale() == "en" else "%H.%M WIB") if moment else ""


def satudata_waktu(value: str | dt.datetime | None) -> str:
    """Date and time: "22 November 2026, 14.05 WIB"."""
    return f"{satudata_tanggal(value)}, {satudata_jam(value)}" if value else ""


def satudata_hari(value: str | dt.datetime | None) -> str:
    """The date, or "Hari ini", "Besok", "Kemarin" when it is one of these."""
    moment = _wib(value)
    if moment is None:
        return ""
    days = (moment.date() - satudata_sekarang().date()).days
    near = {0: tk._("Hari ini"), 1: tk._("Besok"), -1: tk._("Kemarin")}
    return near.get(days) or satudata_tanggal(moment)


def satudata_angka(value: float | int | str | None, digits: int = 1) -> str:
    """A number the Indonesian way: 1234.5 → "1.234,5" (at most `digits` decimals)."""
    if value in (None, ""):
        return ""
    pattern = "#,##0." + "#" * digits if digits else "#,##0"
    return format_decimal(value, pattern, locale=_locale())  # pyright: ignore[reportArgumentType]


def satudata_jumlah(count: int) -> str:
    """A count of the queue, which ends at 1.001: then "1.000+"."""
    return f"{satudata_angka(MOST)}+" if count > MOST else satudata_angka(count)


def satudata_ukuran(size: float | int | str | None) -> str:
    """A file size in bytes, in decimal units: 5300 → "5,3 kB"."""
    if not re.fullmatch(r"\d+(\.\d+)?", str(size)):
        return ""  # None, what a template doesn't know, or what a link fills into a form
    amount = float(size)  # pyright: ignore[reportArgumentType]
    for unit in ("B", "kB", "MB"):
        if amount < 1000:
            return f"{satudata_angka(amount)} {unit}"
        amount /= 1000
    return f"{satudata_angka(amount)} GB"


def satudata_sidik(value: str | None, length: int = 8) -> str:
    """The first characters of a hash, without its "sha256:"."""
    return (value or "").removeprefix("sha256:")[:length]


# Statuses ----------------------------------------------------------------------------------------
def satudata_pil(status: str, label: str | None = None) -> Markup:
    """The pill of a status: icon, word and colour.

    Args:
        status: name of the status.
        label: what to write in it, already translated; by default the label of the status.
    """
    known = table.STATUSES[status]
    tone = "live" if known.public else known.tone
    return Markup(
        '<span class="sd-pill is-{}"><i class="fa {}" aria-hidden="true"></i> {}</span>'
    ).format(tone, _ICONS[known.tone], label or tk._(known.label))


def satudata_ikon(event: str) -> str:
    """Font Awesome class of an event of the history."""
    return _ICON_OF_EVENT.get(event, "fa-circle-dot")


def satudata_pil_baris(dataset: Mapping[str, Any]) -> Markup | str:
    """The pill of a dataset in a list of CKAN, of which the reader sees only what they may.

    Read from the row: asking satudata_status_show for each would compute as many content hashes.
    """
    row = core.Session.get(Status, dataset["id"])
    if row is None:
        return ""
    facts = engine.Facts(row.status, klasifikasi=dataset.get("klasifikasi") or "terbuka")
    return satudata_pil(row.status, tk._(engine.label(facts)))


def satudata_kalimat(event: Mapping[str, Any], status: Mapping[str, Any]) -> str:
    """What happened, in words.

    Args:
        event: of satudata_history_list.
        status: satudata_status_show of its dataset.
    """
    said: str = {
        "dibuat": tk._("{thing} dibuat"),
        "adopsi": tk._("Diambil alih dari portal sebelum alur ini ada"),
        "ajukan": tk._("Diajukan ke Walidata"),
        "batalkan": tk._("Pengajuan dibatalkan"),
        "kembalikan": tk._("Dikembalikan ke {organization}"),
        "setujui": tk._("Disetujui Walidata"),
        "teruskan_ke_pembina": tk._("Disetujui Walidata, diteruskan ke Pembina Data"),
        "setujui_pembina": tk._("Disetujui Pembina Data"),
        "tolak_pembina": tk._("Ditolak Pembina Data, kembali ke Walidata"),
        "batalkan_pembina": tk._("Ditarik dari Pembina Data, kembali ke Walidata"),
        "jadwalkan": tk._("Dijadwalkan terbit {time}"),
        "jadwal_gagal": tk._("Belum terbit menurut jadwal: {why}"),
        "ambil": tk._("Diambil untuk diperiksa"),
        "ambil_alih": tk._("Pemeriksaan diambil alih dari {holder}"),
        "lepas": tk._("Dilepas, menunggu pemeriksa"),
        "terbitkan": tk._("Terbit"),
        "tarik": tk._("Ditarik dari publik"),
        "buka_kembali": tk._("Dibuka kembali sebagai draf"),
        "prioritas": tk._("Ditandai Data Prioritas"),
        "data_pribadi": tk._("Alasan hukum data pribadi dicatat"),
        "komentar_dibalas": tk._("Komentar dibalas"),
        "komentar_selesai": tk._("Komentar dinyatakan selesai"),
        "komentar_dibuka": tk._("Komentar dibuka lagi"),
        "dihapus": tk._("{thing} dihapus"),
        "dipulihkan": tk._("{thing} dipulihkan"),
        "dipindahkan": tk._("{thing} dipindahkan ke organisasi lain"),
        "dihapus_permanen": tk._("{thing} dihapus permanen"),
    }.get(event["event"]) or event["event"]
    detail = event.get("detail") or {}
    if event["event"] == "prioritas" and not detail.get("data_prioritas"):
        said = tk._("Tanda Data Prioritas dilepas")
    return said.format(
        thing=satudata_sebutan(status),
        organization=status.get("organization_title") or "",
        time=satudata_waktu(detail.get("publish_at")),
        holder=detail.get("dari") or "",
        why=satudata_gagal_terbit(detail.get("sebab")) if "sebab" in detail else "",
    )


def satudata_gagal_terbit(reason: str | None) -> str:
    """Why the schedule did not publish, in words.

    Args:
        reason: what was refused (model.Status.publish_error).
    """
    return {
        "content_hash": tk._("isinya bukan isi yang disetujui, kembalikan untuk diperiksa lagi"),
        "id_kegiatan": tk._("kegiatannya belum terbit"),
        "klasifikasi": tk._("klasifikasinya bukan Terbuka"),
        "resources": tk._("tabelnya belum termuat atau ada temuan yang menghalangi"),
    }.get(reason or "") or tk._("gangguan pada portal, hubungi admin")


def satudata_surat(told: Mapping[str, Any]) -> str:
    """What became of the mail of a notice (satudata_history_list, `told`), in words."""
    said: str = {
        "antre": tk._("surat antre"),
        "mengirim": tk._("surat sedang dikirim"),
        "terkirim": tk._("surat terkirim {time}"),
        "tanpa": tk._("tanpa surat"),
        "batal": tk._("surat tidak dikirim"),
        "gagal": tk._("surat gagal"),
        "ragu": tk._("surat mungkin tidak sampai"),
    }[told["mail"]]
    return said.format(time=satudata_waktu(told["mailed_at"]))


def satudata_nada(status: str | None) -> str:
    """Tone (colour family, see desk.css) of a status; empty for none."""
    return table.STATUSES[status].tone if status else ""


def satudata_label_status(status: str | None) -> str:
    """Translated label of a status."""
    return tk._(table.STATUSES[status].label) if status else ""


def satudata_tindakan(name: str) -> table.Transition | None:
    """The transition of that name, for its label and whether it is the main one."""
    return table.TRANSITIONS.get(name)


def satudata_perlu_konfirmasi(transition: Mapping[str, Any]) -> bool:
    """Whether a transition has a page of its own, for its note or a second thought."""
    return bool(transition["note_required"]) or transition["name"] in CONFIRMED


def satudata_diputuskan(transition: Mapping[str, Any], status: Mapping[str, Any]) -> bool:
    """Whether a transition is decided on the review page, where its content is read."""
    return transition["name"] in DECIDED and status["status"] != "terverifikasi"


def satudata_label_peran(peran: str | None) -> str:
    """The peran as people write it."""
    return {
        "produsen_data": tk._("Produsen Data"),
        "walidata": tk._("Walidata"),
        "pembina_data": tk._("Pembina Data"),
        "forum_satu_data": tk._("Forum Satu Data"),
        table.SISTEM: tk._("jadwal portal"),
    }.get(peran or "", peran or "")


def satudata_prinsip() -> dict[str, str]:
    """The four principles of Perpres 39/2019 Ps 3, by the names of the checklist."""
    labels = (
        tk._("Standar Data"),
        tk._("Metadata"),
        tk._("Interoperabilitas"),
        tk._("Kode Referensi dan Data Induk"),
    )
    return dict(zip(table.PRINSIP, labels, strict=True))


def satudata_lewat(due_at: str | dt.datetime | None) -> str:
    """How late: "Lewat 2 hari kerja"; on the day itself "Lewat tenggat"."""
    due = _wib(due_at)
    if due is None:
        return ""
    kalender = config.kalender()
    days = kalender.days_late(due, satudata_sekarang())
    if not days:
        return tk._("Lewat tenggat")
    told = tk._("Lewat {n} hari") if kalender.every_day else tk._("Lewat {n} hari kerja")
    return told.format(n=days)


def satudata_tenggat(due_at: str | dt.datetime | None) -> str:
    """A deadline in words: "tenggat hari ini, 16.00 WIB"."""
    if not due_at:
        return ""
    day = satudata_hari(due_at)
    if day != satudata_tanggal(due_at):
        day = day.lower()
    return tk._("tenggat {day}, {time}").format(day=day, time=satudata_jam(due_at))


def satudata_jalur(status: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Draf → Diperiksa → Terverifikasi → Terbit, with what happened and what comes.

    Args:
        status: what satudata_status_show gives.

    Returns:
        four steps: label, state (done, now, back or empty), icon or None, lines of text. Empty for
        a dataset that left the line (ditarik).
    """
    known = table.STATUSES[status["status"]]
    if not known.stage:
        return []
    # A returned dataset stays at the check that it did not pass.
    stage = 2 if known.tone == "back" else known.stage
    steps: list[dict[str, Any]] = [
        {"label": label, "state": "", "icon": None, "lines": []}
        for label in (tk._("Draf"), tk._("Diperiksa"), tk._("Terverifikasi"), tk._("Terbit"))
    ]
    for step in steps[: stage - 1]:
        step.update(state="done", icon="fa-check")
    now = steps[stage - 1]
    since = status.get("since")
    if known.public or status["status"] == "digabung":
        now.update(state="done", icon="fa-check")
        now["lines"].append(satudata_tanggal(status.get("published_at") or since))
    elif known.tone == "back":
        now.update(state="back", icon=_ICONS["back"], label=satudata_label_status(known.name))
    else:
        now["state"] = "now"
    if since and not known.public:
        now["lines"].append(tk._("Sejak {time}").format(time=satudata_waktu(since)))
    if now["state"] in ("now", "back"):
        now["lines"] += _waiting(status, known)
    if stage > 1 and status.get("submitted_at"):
        steps[0]["lines"] += [
            tk._("Diajukan {date}").format(date=satudata_tanggal(status["submitted_at"])),
            status.get("submitted_by") or "",
        ]
    if status.get("klasifikasi", "terbuka") != "terbuka":
        steps[3]["lines"].append(tk._("Tidak dipublikasikan"))
    elif status.get("publish_at"):
        steps[3]["lines"].append(
            tk._("Dijadwalkan {time}").format(time=satudata_waktu(status["publish_at"]))
        )
    return steps


def _waiting(status: Mapping[str, Any], known: table.Status) -> list[str]:
    """Whose turn it is and until when."""
    lines = []
    if status.get("reviewer") and known.stage == 2:
        lines.append(tk._("Diperiksa {name}").format(name=status["reviewer"]))
    elif known.waits_for and (status.get("due_at") or known.edits):
        lines.append(
            tk._("Menunggu {peran}").format(peran=satudata_label_peran(known.waits_for.value))
        )
    if status.get("overdue"):
        lines.append(satudata_lewat(status["due_at"]))
    elif status.get("due_at"):
        due = satudata_tenggat(status["due_at"])
        lines.append(due[:1].upper() + due[1:])
    return lines


# What the page asks of the API, once per request -----------------------------------------------
def _once(function: Callable[..., T]) -> Callable[..., T]:
    """Remember the answer of a helper for the rest of the request."""

    @wraps(function)
    def remembered(*args: Any) -> T:
        memory = tk.g.setdefault("_satudata", {})
        key = (function.__name__, *args)
        if key not in memory:
            memory[key] = function(*args)
        return memory[key]

    return remembered


def _ask(action: str, **data: Any) -> Any:
    """The answer of an action, None when the reader may not have it."""
    try:
        return tk.get_action(action)({}, data)
    except (tk.NotAuthorized, tk.ObjectNotFound):
        return None


@_once
def satudata_status(id: str) -> dict[str, Any] | None:
    """satudata_status_show for those who may read it, None for the public."""
    return _ask("satudata_status_show", id=id) if tk.current_user.is_authenticated else None


@_once
def satudata_terbitan(id: str) -> dict[str, Any] | None:
    """satudata_publication_show; None when the dataset is not published."""
    return _ask("satudata_publication_show", id=id)


def satudata_peristiwa(id: str, page: int = 1, size: int = 100) -> tuple[int, list[dict[str, Any]]]:
    """How many events a dataset has, and a page of them, newest first."""
    found = _ask("satudata_history_list", id=id, limit=size)
    if found is None:
        return 0, []
    count, end = found["count"], found["count"] - (page - 1) * size
    if end != min(count, size):
        start = max(end - size, 0)
        found = _ask("satudata_history_list", id=id, limit=max(end, 0) - start, offset=start)
    return count, found["results"][::-1] if found else []


@_once
def satudata_catatan_kembali(id: str) -> dict[str, Any] | None:
    """The last event that sent the dataset back with a note, None when there is none."""
    sent_back = ("kembalikan", "tolak_pembina", "tarik")
    events = satudata_peristiwa(id)[1]
    return next((e for e in events if e["event"] in sent_back and e["note"]), None)


@_once
def satudata_komentar(id: str) -> list[dict[str, Any]]:
    """Comments of a dataset that are not settled, oldest first, at most 100."""
    threads = _ask("satudata_comment_list", id=id, limit=100) or {"results": []}
    return [thread for thread in threads["results"] if thread["state"] != "done"]


def satudata_komentar_isian(data: Mapping[str, Any], name: str) -> list[dict[str, Any]]:
    """Comments to show beside a field of a form.

    Args:
        data: of the form: a dataset, or a file with its `package_id`.
        name: field name.
    """
    package = data.get("package_id") or data.get("id")
    if not isinstance(package, str) or not tk.current_user.is_authenticated:
        return []
    path = f"resources/{data.get('id')}/{name}" if data.get("package_id") else name
    return [
        thread
        for thread in satudata_komentar(package)
        if (thread["current_field"] or "").split("/")[: path.count("/") + 1] == path.split("/")
    ]


def satudata_tabel(resource: Mapping[str, Any]) -> dict[str, Any] | None:
    """State of a file's table (state, message, rows, columns); None for no table."""
    if not tables.is_table(dict(resource)):
        return None
    row = tables.state(resource["id"])
    if row is None:
        return None
    message = findings.tell(row.message)
    return {"state": row.state, "message": message, "rows": row.rows, "columns": row.columns}


def satudata_pratinjau(
    resource: Mapping[str, Any], limit: int = 8, **search: Any
) -> dict[str, Any] | None:
    """The first rows of a file's table: fields (id, type, label, num), rows of text, total, limit.

    Args:
        resource: the file.
        limit: how many rows.
        search: more for datastore_search, such as q and offset.
    """
    if not resource.get("datastore_active"):
        return None
    found = _ask("datastore_search", resource_id=resource["id"], limit=limit, **search)
    if found is None:
        return None
    records = found["records"]
    # How well a row fits what is searched is a column of core's.
    hidden = {"_id", "rank"} if search.get("q") else {"_id"}
    fields = [
        {
            "id": field["id"],
            "label": (field.get("info") or {}).get("label") or field["id"],
            "type": field["type"],
            "amount": field["type"].startswith(("int", "num", "float", "double", "big", "small"))
            # A year is a name, not an amount.
            and "tahun" not in field["id"].lower(),
            "num": "kode" not in field["id"].lower()
            and all(_NUMBER.fullmatch(str(r[field["id"]] or "0")) for r in records),
        }
        for field in found["fields"]
        if field["id"] not in hidden
    ]
    rows = [[_cell(record[field["id"]], field["amount"]) for field in fields] for record in records]
    return {
        "fields": fields,
        "rows": rows,
        "numbers": [record["_id"] for record in records],
        "total": found.get("total") or 0,
        "limit": limit,
    }


def satudata_pratinjau_temuan(
    resource: Mapping[str, Any], findings: list[dict[str, Any]], limit: int = 10
) -> dict[str, Any] | None:
    """satudata_pratinjau of the first rows and of those in which something was found.

    Args:
        resource: the file.
        findings: satudata_temuan of it.
        limit: how many of the first rows.

    Returns:
        with `marks`: row number (0 for the heading) and column id -> what was found there; None
        for no table.
    """
    table = satudata_pratinjau(resource, limit, sort="_id")
    if table is None:
        return None
    marks: dict[tuple[int, str], str] = {}
    columns = {field["id"] for field in table["fields"]}
    for finding in findings:
        # A file of several sheets, and text, are no table.
        if finding.get("column") in columns and not finding.get("sheet"):
            for number in (0, *finding["rows"]):
                marks.setdefault((number, finding["column"]), finding["message"])
        for name in finding.get("names") or () if finding["kind"] == "kolom_tanpa_variabel" else ():
            marks.setdefault((0, name), finding["message"])
    more = sorted({number for number, _column in marks if number > 0} - {*table["numbers"]})
    if more:
        found = satudata_pratinjau(resource, len(more), filters={"_id": more}, sort="_id")
        for key in ("rows", "numbers") if found else ():
            table[key] += found[key]  # pyright: ignore[reportOptionalSubscript]
    return {**table, "marks": marks}


#: What stands to the right in a table. A leading zero makes a code.
_NUMBER = re.compile(r"-?(0|[1-9][0-9]*)([.,][0-9]+)?")


def _cell(value: Any, amount: bool) -> str:
    if value is None:
        return ""
    return satudata_angka(value, digits=6) if amount else str(value)


# Who looks -----------------------------------------------------------------------------------
@_once
def satudata_peran_saya() -> dict[str, frozenset[Peran]]:
    """Organization id -> peran that the reader holds in it; empty for the public."""
    user = tk.current_user
    return peran.of_user(user.id) if user.is_authenticated else {}


def satudata_berperan(*names: str) -> bool:
    """Whether the reader holds one of these peran in any organization."""
    return any(held.value in names for group in satudata_peran_saya().values() for held in group)


def satudata_organisasi_produsen() -> list[str]:
    """Ids of the organizations for which the reader makes data."""
    return [id for id, held in satudata_peran_saya().items() if Peran.PRODUSEN_DATA in held]


def satudata_giliran() -> list[str]:
    """Statuses in which a dataset waits for a check by the reader."""
    return [
        status.name
        for status in table.STATUSES.values()
        if status.stage == 2 and status.waits_for and satudata_berperan(status.waits_for.value)
    ]


@_once
def satudata_menu() -> list[dict[str, Any]]:
    """Work pages of the reader for the account bar: url, label, count (None: not counted)."""
    checks, makes = satudata_giliran(), satudata_organisasi_produsen()
    if not checks and not makes:
        return []
    # One question answers the counter; who checks and makes sees what waits for a check.
    wanted = checks or [name for name, s in table.STATUSES.items() if s.edits]
    # Forum see every dataset in the list; their own work is that of their organizations.
    facets = getattr(tk.g, "satudata_facets", None) if checks else None
    if facets is None:
        scope = {} if checks else {"organization": makes}
        facets = (_ask("satudata_queue_list", limit=0, **scope) or {}).get("facets")
    count = sum(facets["status"].get(name, 0) for name in wanted) if facets else 0
    entries = [("satudata.antrean", tk._("Antrean"))] if checks else []
    entries += [("satudata.tugas", tk._("Tugas"))] if makes else []
    return [
        {"url": tk.url_for(endpoint), "label": label, "count": None if index else count}
        for index, (endpoint, label) in enumerate(entries)
    ]


@_once
def satudata_pemberitahuan() -> str:
    """How many notices the reader has not read, as the account bar shows it; empty for none."""
    count = notices.unread(tk.current_user.id)
    return "99+" if count > 99 else satudata_angka(count) if count else ""


# Addresses ---------------------------------------------------------------------------------------
def satudata_alamat(dataset: Mapping[str, Any], page: str = "read", **query: Any) -> str:
    """Address of a page of a dataset, a kegiatan or their status.

    Args:
        dataset: with `name`, and `type` where it is no dataset.
        page: "read", "edit", "delete", or "resource.new" for a page of its files.
        query: further parts of the address.
    """
    part, _, name = page.rpartition(".")
    endpoint = satudata_jenis(dataset) + (f"_{part}" if part else "")
    return tk.url_for(f"{endpoint}.{name}", id=dataset["name"], **query)


def satudata_berberkas(dataset: Mapping[str, Any] | str) -> bool:
    """Whether datasets of this type hold files."""
    return bool(schema.fields(satudata_jenis(dataset), "resource_fields"))


def satudata_sebutan(dataset: Mapping[str, Any]) -> str:
    """What people call a dataset of this type, at the beginning of a sentence."""
    return tk._("Kegiatan") if satudata_jenis(dataset) == "kegiatan" else tk._("Dataset")


# Forms -------------------------------------------------------------------------------------------
_ID_OF_FIELD = {"owner_org": "field-organizations", "url": "field-resource-upload"}


def satudata_jangkar(name: str) -> str:
    """Id of the form control of a schema field, to jump to."""
    return _ID_OF_FIELD.get(name, f"field-{name}")


def satudata_isian(field: Mapping[str, Any], errors: Mapping[str, Any] | None) -> dict[str, Any]:
    """A scheming field as the form shows it.

    The label carries the official item number (Peraturan BPS 5/2020) and says what may stay empty;
    hint and error are tied to the control for those who hear the page.
    """
    label = tk.h.scheming_language_text(field.get("label")) or field["field_name"]
    parts: list[Markup] = [escape(label)]
    if code := field.get("bps_item"):
        parts.insert(0, Markup('<span class="sd-code">{}</span> ').format(tk._(code)))
    if "langkah" in field and not field.get("ajukan") and not field.get("required"):
        parts.append(Markup(' <span class="sd-opt">{}</span>').format(tk._("(boleh kosong)")))
    anchor = satudata_jangkar(field["field_name"])
    described = [f"{anchor}-hint"] if field.get("help_text") or field.get("contoh") else []
    attrs = {**field.get("form_attrs", {}), "class": "form-control"}
    if attrs.get("data-module") == "autocomplete":
        # Select2 has no name for those who hear the page, and these fields are plain text.
        attrs = {key: value for key, value in attrs.items() if not key.startswith("data-module")}
    if errors and errors.get(field["field_name"]):
        described.append(f"{anchor}-error")
        attrs["aria-invalid"] = "true"
    if described:
        attrs["aria-describedby"] = " ".join(described)
    snippet = str(field.get("form_snippet"))
    if snippet.endswith("select.html"):
        attrs["class"] = "form-select"
    # The text may hold markup of ours, so it must not go through gettext again.
    text = Markup("").join(parts)
    return {
        # A new form has its defaults in the data; what was saved empty stays empty.
        **{key: value for key, value in field.items() if key != "default"},
        "label": {"id": text, "en": text},
        # Scheming puts these of the organization on a box around the control.
        "form_attrs": {} if snippet.endswith("organization.html") else attrs,
        "form_select_attrs": {
            **attrs,
            "class": "form-select",
            **field.get("form_select_attrs", {}),
        },
    }


def satudata_kesalahan(
    errors: Mapping[str, Any],
    fields: Sequence[Mapping[str, Any]],
    data: Mapping[str, Any] | None = None,
    type_: str = "dataset",
) -> list[dict[str, str]]:
    """Errors of a form in the order of its fields: anchor, label, message.

    Args:
        errors: field name -> messages.
        fields: fields of the schema.
        data: what was typed, to find the cells of repeating blocks that are wrong.
        type_: dataset type.
    """
    found, rest = [], dict(errors)
    for field in fields:
        name, label = field["field_name"], tk.h.scheming_language_text(field.get("label"))
        messages = rest.pop(name, None) or []
        cells = _wrong_cells(type_, name, data) if messages else {}
        for (row, subname), message in cells.items():
            known = next(f for f in satudata_field(type_, name)["butir"]  # pyright: ignore[reportOptionalSubscript]
                         if f["field_name"] == subname)  # fmt: skip
            found.append(
                {
                    "anchor": f"{satudata_jangkar(name)}-{row}-{subname}",
                    "label": "",
                    "message": schema.in_row(row, known, message),
                }
            )
        if messages and not cells:
            found.append(
                {"anchor": satudata_jangkar(name), "label": label, "message": _first(messages)}
            )
    found += [
        {"anchor": "", "label": name, "message": _first(messages)}
        for name, messages in sorted(rest.items())
        if messages
    ]
    for error in found:  # our own messages name the field, core's do not
        if error["message"].startswith(error["label"]):
            error["label"] = ""
    return found


def _wrong_cells(
    type_: str, name: str, data: Mapping[str, Any] | None
) -> dict[tuple[int, str], str]:
    field = satudata_field(type_, name)
    if not data or not field or field.get("jenis") != "berulang":
        return {}
    return schema.cell_errors(field, schema.rows(field, data.get(name)))


def _first(messages: Any) -> str:
    return str(messages[0] if isinstance(messages, list) else messages)


def satudata_batas_unggah() -> int:
    """The largest upload in bytes, -1 for none."""
    return cast(Settings, files.storage().settings).max_size


_BLOCK = re.compile(r"(?:Blok|Block) ([IVX]+):")


def satudata_per_langkah(
    form: Mapping[str, Any], fields: Sequence[Mapping[str, Any]]
) -> list[dict[str, Any]]:
    """The steps of the form with their fields: id, label, fields; steps without fields stay.

    A step with a number of its own ("Blok IV: ...") is marked with that, the others are counted.
    """
    steps = [
        {**step, "fields": [f for f in fields if f.get("langkah") == step["id"]]}
        for step in form.get("langkah", [])
    ]
    own = [_BLOCK.match(tk.h.scheming_language_text(step["label"])) for step in steps]
    for number, (step, block) in enumerate(zip(steps, own, strict=True), 1):
        step["mark"] = (block[1] if block else "·") if any(own) else str(number)
    return steps


def satudata_tautan_isian(dataset: Mapping[str, Any], field: str) -> str:
    """Where a blocker is mended: the form at the field or at the cell.

    Args:
        dataset: with `name`, and `type` where it is no dataset.
        field: field name, `<field>/<row from 0>/<subfield>`, `resources`, or one of these after
            `resources/<id>/`.
    """
    head, *cell = field.split("/")
    if head != "resources":
        return _at(satudata_alamat(dataset, "edit"), head, cell)
    if not cell:
        return satudata_alamat(dataset, "resource.new")
    url = satudata_alamat(dataset, "resource.edit", resource_id=cell[0])
    return _at(url, cell[1], cell[2:]) if cell[1:] else url


def _at(url: str, name: str, cell: Sequence[str]) -> str:
    return f"{url}#{'-'.join([satudata_jangkar(name), *cell])}"


def satudata_halaman(page: Any, **kept: Any) -> Markup:
    """The pager of a list, with words for its arrows."""
    html = str(page.pager(**kept))
    for side, word in (("left", tk._("Sebelumnya")), ("right", tk._("Berikutnya"))):
        arrow = f'<i class="fa-solid fa-chevron-{side}"></i>'
        html = html.replace(arrow, f'{arrow}<span class="visually-hidden">{escape(word)}</span>')
    return Markup(html)  # noqa: S704 - core's pager and escaped words


# Home --------------------------------------------------------------------------------------------
#: Icons of the ten topics (schemas/vocab/kategori.yaml).
_ICON_OF_TOPIC = {
    "pertahanan-dan-luar-negeri": "fa-shield-halved",
    "ekonomi-dan-industri": "fa-store",
    "pembangunan-daerah": "fa-map-location-dot",
    "perlindungan-sosial-dan-kesehatan": "fa-hand-holding-heart",
    "ketertiban-umum-dan-keselamatan": "fa-helmet-safety",
    "pendidikan-dan-tenaga-kerja": "fa-graduation-cap",
    "lingkungan-dan-sumber-daya-alam": "fa-leaf",
    "budaya-dan-agama": "fa-masks-theater",
    "pemerintahan-umum": "fa-building-columns",
}


def satudata_beranda() -> dict[str, Any]:
    """What the home page tells: count, organizations with data, counts per group, latest."""
    found = _ask(
        "package_search",
        fq="dataset_type:dataset capacity:public",
        sort="metadata_modified desc",
        rows=4,
        **{"facet.field": ["organization", "groups"], "facet.limit": -1},
    ) or {"count": 0, "facets": {}, "results": []}
    facets = found["facets"]
    counts = facets.get("groups", {})
    return {
        "count": found["count"],
        "organizations": len(facets.get("organization", {})),
        "groups": [
            {
                "name": group["name"],
                "title": group["display_name"],
                "count": counts.get(group["name"], 0),
                "icon": _ICON_OF_TOPIC.get(group["name"], "fa-layer-group"),
            }
            for group in _ask("group_list", all_fields=True, sort="title asc", limit=30) or []
        ],
        "latest": found["results"],
    }
