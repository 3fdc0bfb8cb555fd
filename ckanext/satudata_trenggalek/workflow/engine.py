"""May I? What next? Pure functions over the table; no CKAN, no database."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ckanext.satudata_trenggalek.workflow.table import (
    LABEL_TERTUTUP,
    N_,
    PRINSIP,
    STATUSES,
    TRANSITIONS,
    Peran,
    Transition,
)

#: Longest note or public note, in characters.
MAX_NOTE = 10_000


@dataclass(frozen=True)
class Facts:
    """What the engine must know of a dataset.

    Attributes:
        status: name of the present status.
        state: CKAN's own state (active, draft, deleted).
        klasifikasi: terbuka, terbatas or tertutup.
        data_prioritas: whether the Pembina checks again (Perpres 39/2019 Ps 35).
        makers: ids of the users who made what is to be verified.
        reviewer: name of the user who claimed it.
        claim_stale: whether others may take that claim over.
        content_hash: hash of the rows as they are now; None when the content was not read.
        approved_hash: hash that was approved, if any.
        forwarded_hash: hash that Walidata forwarded to the Pembina, while these check.
        blockers: what stands between the draft and `ajukan`.
        tables: what is wrong with its tables: not the file's, or findings that block.
        waits_for_kegiatan: title of the kegiatan it points to, when that is not published.
    """

    status: str
    state: str = "active"
    klasifikasi: str = "terbuka"
    data_prioritas: bool = False
    makers: frozenset[str] = frozenset()
    reviewer: str | None = None
    claim_stale: bool = False
    content_hash: str | None = None
    approved_hash: str | None = None
    forwarded_hash: str | None = None
    blockers: tuple[Mapping[str, str], ...] = ()
    tables: tuple[Mapping[str, str], ...] = ()
    waits_for_kegiatan: str = ""


@dataclass(frozen=True)
class Actor:
    """Who asks: a user with the peran held towards this dataset, or the schedule."""

    id: str
    name: str
    peran: frozenset[Peran] = frozenset()
    system: bool = False


@dataclass(frozen=True)
class Request:
    """What is asked for, as the API takes it."""

    note: str = ""
    public_note: str = ""
    content_hash: str = ""
    checklist: Mapping[str, Any] = field(default_factory=dict)


class Refused(Exception):
    """A move that is not made.

    Attributes:
        forbidden: True when the asker may not (403); False when the request or the moment is
            wrong (409).
        field: the parameter that must change.
        message: gettext msgid; `values` fill it in.
        errors: (field, translated message) pairs instead, where there are several.
    """

    def __init__(
        self,
        field: str,
        message: str,
        forbidden: bool = False,
        errors: tuple[tuple[str, str], ...] = (),
        **values: object,
    ):
        super().__init__(message)
        self.field, self.message, self.forbidden, self.values = field, message, forbidden, values
        self.errors = errors


def label(facts: Facts) -> str:
    """Label of the present status (gettext msgid)."""
    if facts.status == "terverifikasi" and facts.klasifikasi != "terbuka":
        return LABEL_TERTUTUP
    return STATUSES[facts.status].label


def clock_runs(facts: Facts) -> bool:
    """Whether a deadline counts: what is verified but not open waits for nobody."""
    status = STATUSES[facts.status]
    return status.days is not None and not (
        facts.status == "terverifikasi" and facts.klasifikasi != "terbuka"
    )


def may_edit(status: str, peran: frozenset[Peran]) -> bool:
    """Whether the peran may change a dataset in this status."""
    return STATUSES[status].edits in peran


def acting_peran(transition: Transition, actor: Actor) -> Peran | None:
    """The peran in which the actor would make the transition; None when none fits."""
    return next((peran for peran in transition.peran if peran in actor.peran), None)


HELD = N_("Sedang diperiksa oleh {reviewer}. Minta {reviewer} melepasnya dahulu.")
HELD_STALE = N_(
    "Masih dipegang oleh {reviewer}, tetapi sudah boleh diambil alih. Ambil alih dahulu dengan"
    " menyebut alasannya."
)


# --- guards: each raises Refused or returns -------------------------------------------------


#: What is said to who would check their own work.
PEMBUAT = N_(
    "Anda ikut membuat dataset ini. Pemeriksaan dilakukan oleh petugas lain yang tidak ikut"
    " membuatnya."
)


def _bukan_pembuat(facts: Facts, actor: Actor, _request: Request) -> None:
    if actor.id in facts.makers:
        raise Refused("transition", PEMBUAT, forbidden=True)


def _aktif(facts: Facts, _actor: Actor, _request: Request) -> None:
    if facts.state != "active":
        raise Refused(
            "state",
            N_("Dataset belum selesai disimpan. Buka berkasnya lalu pilih Simpan dan selesai."),
        )


def _lengkap(facts: Facts, _actor: Actor, _request: Request) -> None:
    if facts.blockers:
        errors = tuple((b["field"], b["message"]) for b in facts.blockers)
        raise Refused("blockers", "incomplete", errors=errors)


def _belum_diambil(facts: Facts, _actor: Actor, _request: Request) -> None:
    if facts.reviewer and not facts.claim_stale:
        raise Refused(
            "transition",
            N_("Sedang diperiksa oleh {reviewer}. Minta pemeriksa mengembalikannya."),
            reviewer=facts.reviewer,
        )


def _pemegang(facts: Facts, actor: Actor, _request: Request) -> None:
    if facts.reviewer in (None, actor.name):
        return
    raise Refused("transition", HELD_STALE if facts.claim_stale else HELD, reviewer=facts.reviewer)


def _prioritas(facts: Facts, _actor: Actor, _request: Request) -> None:
    if not facts.data_prioritas:
        raise Refused(
            "transition",
            N_("Bukan Data Prioritas, jadi tidak diteruskan ke Pembina Data. Setujui."),
        )


def _bukan_prioritas(facts: Facts, _actor: Actor, _request: Request) -> None:
    if facts.data_prioritas:
        raise Refused(
            "transition",
            N_("Data Prioritas diperiksa lagi oleh Pembina Data. Teruskan ke Pembina."),
        )


def _content_hash(facts: Facts, actor: Actor, request: Request) -> None:
    if actor.system:
        return
    if not request.content_hash:
        raise Refused(
            "content_hash",
            N_("Sertakan content_hash dari isi yang Anda baca (satudata_status_show)."),
        )
    if request.content_hash != facts.content_hash:
        raise Refused(
            "content_hash",
            N_("Isi dataset sudah berubah sejak Anda membacanya. Muat ulang dan periksa lagi."),
        )


def _terverifikasi_sama(facts: Facts, _actor: Actor, _request: Request) -> None:
    if facts.approved_hash != facts.content_hash:
        raise Refused(
            "content_hash",
            N_("Isi dataset bukan isi yang disetujui. Kembalikan untuk diperiksa lagi."),
        )


def _diteruskan_sama(facts: Facts, _actor: Actor, _request: Request) -> None:
    # A new version of its kegiatan makes another content of it.
    if facts.forwarded_hash != facts.content_hash:
        raise Refused(
            "content_hash",
            N_(
                "Isi dataset bukan isi yang diperiksa Walidata. Walidata menariknya dahulu dari"
                " Pembina Data."
            ),
        )


def _terbuka(facts: Facts, _actor: Actor, _request: Request) -> None:
    if facts.klasifikasi != "terbuka":
        raise Refused(
            "klasifikasi",
            N_("Hanya data berklasifikasi Terbuka yang diterbitkan. Dataset ini tetap tersimpan."),
        )


def _tabel(facts: Facts, _actor: Actor, _request: Request) -> None:
    # A load after the submission may find what the one before it did not.
    if facts.tables:
        errors = tuple((b["field"], b["message"]) for b in facts.tables)
        raise Refused("resources", "tables", errors=errors)


def _kegiatan_terbit(facts: Facts, _actor: Actor, _request: Request) -> None:
    if facts.waits_for_kegiatan:
        raise Refused(
            "id_kegiatan",
            N_(
                "Kegiatan “{kegiatan}” belum terbit. Terbitkan dahulu kegiatan itu, lalu lanjutkan"
                " dataset ini."
            ),
            kegiatan=facts.waits_for_kegiatan,
        )


def _checklist(_facts: Facts, _actor: Actor, request: Request) -> None:
    parse_checklist(request.checklist, complete=True)


GUARDS = {
    "aktif": _aktif,
    "belum_diambil": _belum_diambil,
    "bukan_pembuat": _bukan_pembuat,
    "bukan_prioritas": _bukan_prioritas,
    "checklist": _checklist,
    "content_hash": _content_hash,
    "diteruskan_sama": _diteruskan_sama,
    "kegiatan_terbit": _kegiatan_terbit,
    "lengkap": _lengkap,
    "pemegang": _pemegang,
    "prioritas": _prioritas,
    "tabel": _tabel,
    "terbuka": _terbuka,
    "terverifikasi_sama": _terverifikasi_sama,
}

#: Guards that depend on what is sent, not on how things stand; buttons do not wait for them.
_OF_REQUEST = frozenset({"checklist", "content_hash"})


def storable(text: str) -> bool:
    """Whether PostgreSQL can keep the text: no NUL, no lone surrogate."""
    return "\x00" not in text and not any("\ud800" <= c <= "\udfff" for c in text)


def parse_checklist(checklist: Any, complete: bool = False) -> dict[str, dict[str, Any]]:
    """Read a checklist: principle -> {"sesuai": true | false | null, "note": text}.

    Args:
        checklist: what the client sent.
        complete: also ask that every principle is judged and none is False (Perpres 39/2019 Ps 34).

    Returns:
        the judged principles, with notes stripped.

    Raises:
        Refused: naming the field `checklist` and the principle.
    """
    if not isinstance(checklist, Mapping):
        raise Refused(
            "checklist", N_("Daftar periksa harus berupa objek dengan keempat prinsip: {names}."),
            names=", ".join(PRINSIP),
        )  # fmt: skip
    for name in checklist:
        if name not in PRINSIP:
            raise Refused(
                "checklist", N_("Prinsip “{name}” tidak dikenal. Yang dikenal: {names}."),
                name=name, names=", ".join(PRINSIP),
            )  # fmt: skip
    result: dict[str, dict[str, Any]] = {}
    for name in PRINSIP:
        entry = checklist.get(name)
        if entry is None:
            if complete:
                raise Refused("checklist", N_("Nilai dahulu prinsip {name}."), name=name)
            continue
        if (
            not isinstance(entry, Mapping)
            or "sesuai" not in entry
            or set(entry) - {"sesuai", "note"}
        ):
            raise Refused(
                "checklist",
                N_('Isi prinsip {name} sebagai {{"sesuai": true | false | null, "note": …}}.'),
                name=name,
            )
        sesuai, note = entry["sesuai"], entry.get("note") or ""
        if not (sesuai is None or isinstance(sesuai, bool)) or not isinstance(note, str):
            raise Refused(
                "checklist",
                N_('Isi prinsip {name} sebagai {{"sesuai": true | false | null, "note": …}}.'),
                name=name,
            )
        note = note.strip()
        if not storable(note):
            raise Refused(
                "checklist", N_("Catatan prinsip {name} tidak dapat disimpan."), name=name
            )
        if len(note) > MAX_NOTE:
            raise Refused("checklist", N_("Catatan prinsip {name} terlalu panjang."), name=name)
        if sesuai is None and not note:
            raise Refused(
                "checklist", N_("Prinsip {name} tidak berlaku: tulis alasannya."), name=name
            )
        if sesuai is False and complete:
            raise Refused(
                "checklist",
                N_("Prinsip {name} tidak sesuai, jadi tidak dapat disetujui. Kembalikan."),
                name=name,
            )
        result[name] = {"sesuai": sesuai, "note": note}
    return result


def permitted(facts: Facts, actor: Actor, transition: Transition) -> Peran | None:
    """The peran in which the actor may make the transition at all (the question of 403).

    Raises:
        Refused: forbidden, when no peran of the actor fits or the actor is a maker.
    """
    if actor.system and transition.by_system:
        return None
    peran = acting_peran(transition, actor)
    if peran is None:
        raise Refused("transition", N_("Peran Anda tidak dapat melakukan tindakan ini."), True)
    for name in transition.guards:
        if name == "bukan_pembuat":
            GUARDS[name](facts, actor, Request())
    return peran


def check(
    facts: Facts, actor: Actor, name: str, request: Request
) -> tuple[Transition, Peran | None]:
    """Decide whether this move is made, in the order 403, then 409.

    Returns:
        the transition and the peran in which the actor makes it.

    Raises:
        Refused: with the field and the remedy.
    """
    transition = TRANSITIONS.get(name)
    if transition is None:
        raise Refused(
            "transition", N_("Tindakan “{name}” tidak dikenal. Yang dikenal: {names}."),
            name=name, names=", ".join(TRANSITIONS),
        )  # fmt: skip
    peran = permitted(facts, actor, transition)
    if facts.status not in transition.sources:
        raise Refused(
            "transition",
            N_("“{label}” tidak dapat dilakukan pada dataset berstatus “{status}”."),
            label=transition.label,
            status=label(facts),
        )
    # Wrong also where none is asked for: what is recorded is well-formed.
    parse_checklist(request.checklist)
    if transition.note_required and not request.note:
        raise Refused("note", N_("Tulis catatan: apa alasannya dan apa yang harus diperbaiki."))
    for field_, text in (("note", request.note), ("public_note", request.public_note)):
        if len(text) > MAX_NOTE:
            raise Refused(
                field_, N_("Catatan terlalu panjang, paling banyak {n} karakter."), n=MAX_NOTE
            )
    for guard in transition.guards:
        GUARDS[guard](facts, actor, request)
    return transition, peran


def available(facts: Facts, actor: Actor) -> list[Transition]:
    """The transitions that the actor may make now, main one first."""
    result = []
    for transition in TRANSITIONS.values():
        if facts.status not in transition.sources:
            continue
        try:
            permitted(facts, actor, transition)
            for guard in transition.guards:
                if guard not in _OF_REQUEST:
                    GUARDS[guard](facts, actor, Request())
        except Refused:
            continue
        result.append(transition)
    return sorted(result, key=lambda t: not t.primary)


# --- claims: one officer at a time checks a dataset -------------------------------------------


def _may_claim(facts: Facts, actor: Actor) -> Peran:
    """The peran in which the actor checks a dataset in this status (403, then 409).

    Raises:
        Refused: forbidden for others and for makers; a status in which nothing is checked.
    """
    status = STATUSES[facts.status]
    checkers = {s.waits_for for s in STATUSES.values() if s.claimable}
    if not actor.peran & (checkers if not status.claimable else {status.waits_for}):
        raise Refused("id", N_("Peran Anda tidak memeriksa dataset pada tahap ini."), True)
    GUARDS["bukan_pembuat"](facts, actor, Request())
    if not status.claimable or status.waits_for is None:
        raise Refused(
            "id",
            N_("Tidak ada yang diperiksa pada dataset berstatus “{status}”."),
            status=label(facts),
        )
    return status.waits_for


def claim(facts: Facts, actor: Actor, note: str = "") -> tuple[str, Peran]:
    """Decide whether the actor becomes the one who checks this dataset.

    Args:
        facts: of the dataset.
        actor: who asks.
        note: reason, for taking a stale claim over.

    Returns:
        name of the event (`ambil`, `ambil_alih`; empty when the actor holds it already), and the
        peran in which it is claimed.

    Raises:
        Refused: with the holder and the remedy.
    """
    peran = _may_claim(facts, actor)
    if facts.reviewer is None:
        return "ambil", peran
    if facts.reviewer == actor.name:
        return "", peran
    if not facts.claim_stale:
        raise Refused("id", HELD, reviewer=facts.reviewer)
    if not note:
        raise Refused(
            "note",
            N_("Dipegang oleh {reviewer}. Tulis alasan mengambil alih pemeriksaannya."),
            reviewer=facts.reviewer,
        )
    return "ambil_alih", peran


def release(facts: Facts, actor: Actor) -> Peran:
    """Decide whether the actor gives the dataset back to the queue.

    Returns:
        the peran in which it is released.

    Raises:
        Refused: when it is not the actor's.
    """
    peran = _may_claim(facts, actor)
    if facts.reviewer is None:
        raise Refused("id", N_("Dataset ini tidak sedang diambil siapa pun."))
    if facts.reviewer != actor.name:
        raise Refused("id", HELD_STALE if facts.claim_stale else HELD, reviewer=facts.reviewer)
    return peran


def claim_offer(facts: Facts, actor: Actor) -> str | None:
    """What the actor may do about the claim now: claim, take_over, release or nothing."""
    try:
        _may_claim(facts, actor)
    except Refused:
        return None
    if facts.reviewer is None:
        return "claim"
    if facts.reviewer == actor.name:
        return "release"
    return "take_over" if facts.claim_stale else None
