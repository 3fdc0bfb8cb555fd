"""The one table: statuses, transitions and who may make them. Data only, no CKAN.

From it come the authorization, the buttons, the queue, the deadlines, the database triggers and
the diagram in docs/alur.md. Sources: SOP Pengumpulan Data 000.8.3.3/139/406.020/2025 (steps) and
Perpres 39/2019 (articles).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum


def N_(message: str) -> str:
    """Mark a message for translation; it is translated where it is shown."""
    return message


class Peran(str, Enum):
    """The four roles of the SOP; an organization holds them (Perpres 39/2019 Ps 20-23)."""

    PRODUSEN_DATA = "produsen_data"
    WALIDATA = "walidata"
    PEMBINA_DATA = "pembina_data"
    FORUM_SATU_DATA = "forum_satu_data"


#: Who makes a transition when nobody does: the schedule (publish_at) or the portal itself.
SISTEM = "sistem"

#: Perpres 39/2019 Ps 3: what Walidata check (SOP 6); the names are those of the checklist.
PRINSIP = ("standar_data", "metadata", "interoperabilitas", "kode_referensi")

#: Perpres 39/2019 Ps 28: a national priority, b SDGs, c urgent need.
KRITERIA_PRIORITAS = ("a", "b", "c")

#: Dataset types that are no data: the gate lets them be public (ckanext-harvest sources).
UNGATED_TYPES = ("harvest",)

#: The dataset type that holds MS-Kegiatan; datasets point to one of it.
KEGIATAN = "kegiatan"

#: Dataset types that describe data and are none: searches and lists leave them out unless asked.
ASIDE_TYPES = (KEGIATAN,)


@dataclass(frozen=True)
class Status:
    """Where a dataset stands.

    Attributes:
        name: machine name, as stored.
        label: Indonesian label (gettext msgid).
        tone: colour family on screen, see desk.css: idle, wait, back, late or ok.
        public: whether the public sees the dataset.
        edits: the peran that may change it; None means nobody, and the database refuses.
        sop_step: SOP step whose clock runs while a dataset waits here, if any.
        days: working days that the step may take (SOP column Waktu).
        setting: function of config.py that says the days instead, where the SOP does not.
        waits_for: the peran whose turn it is.
        stage: 1 draft, 2 checking, 3 verified, 4 published; 0 outside the line.
    """

    name: str
    label: str
    tone: str
    stage: int
    public: bool = False
    edits: Peran | None = None
    sop_step: int | None = None
    days: int | None = None
    setting: str | None = None
    waits_for: Peran | None = None

    @property
    def claimable(self) -> bool:
        """Whether a dataset waits here for a check, which one officer makes at a time."""
        return self.stage == 2


_P, _W, _B, _F = Peran.PRODUSEN_DATA, Peran.WALIDATA, Peran.PEMBINA_DATA, Peran.FORUM_SATU_DATA

STATUSES: Mapping[str, Status] = {
    s.name: s
    for s in (
        Status("draf", "Draf", "idle", 1, edits=_P, waits_for=_P),
        Status(
            "diajukan",
            "Menunggu pemeriksaan Walidata",
            "wait",
            2,
            sop_step=6,
            days=1,
            waits_for=_W,
        ),
        Status("dikembalikan", "Dikembalikan untuk perbaikan", "back", 1, edits=_P, waits_for=_P),
        # The SOP gives the Pembina's second check (Perpres 39/2019 Ps 35) no time of its own.
        Status(
            "diperiksa_pembina",
            "Menunggu pemeriksaan Pembina Data",
            "wait",
            2,
            days=1,
            setting="hari_pembina",
            waits_for=_B,
        ),
        Status(
            "ditolak_pembina",
            "Ditolak Pembina, kembali ke Walidata",
            "back",
            2,
            sop_step=6,
            days=1,
            waits_for=_W,
        ),
        Status(
            "terverifikasi",
            "Terverifikasi, menunggu diseminasi",
            "ok",
            3,
            sop_step=7,
            days=1,
            waits_for=_W,
        ),
        Status("terbit", "Terbit", "ok", 4, public=True),
        Status("ditarik", "Ditarik", "late", 0),
        Status("digabung", "Digabung ke versi terbit", "idle", 4),
    )
}

#: What is verified but not open ends here, without clock (Perpres 39/2019 Ps 37).
LABEL_TERTUTUP = N_("Terverifikasi, tidak dipublikasikan")

CLAIMABLE = tuple(s.name for s in STATUSES.values() if s.claimable)
EDITABLE = tuple(s.name for s in STATUSES.values() if s.edits)
PUBLIC = tuple(s.name for s in STATUSES.values() if s.public)


@dataclass(frozen=True)
class Transition:
    """A move from one status to another.

    Attributes:
        name: machine name, as in the API.
        label: Indonesian label of its button (gettext msgid).
        sources: statuses it starts from.
        target: status it ends in.
        peran: the peran that may make it.
        sop_step: SOP step that the actor carries out.
        note_required: whether the reason must be given (SOP 6: returned with what to repair).
        guards: names of conditions in engine.GUARDS, checked in this order.
        effects: names of what happens with it, in service.EFFECTS.
        primary: shown as the main button.
        by_system: the schedule may make it.
    """

    name: str
    label: str
    sources: tuple[str, ...]
    target: str
    peran: tuple[Peran, ...]
    sop_step: int | None = None
    note_required: bool = False
    guards: tuple[str, ...] = ()
    effects: tuple[str, ...] = ()
    primary: bool = False
    by_system: bool = False


#: What a check has in common, by Walidata or Pembina.
_CHECK = ("bukan_pembuat", "pemegang", "content_hash")

TRANSITIONS: Mapping[str, Transition] = {
    t.name: t
    for t in (
        Transition(
            "ajukan",
            "Ajukan",
            ("draf", "dikembalikan"),
            "diajukan",
            (_P,),
            sop_step=5,
            guards=("aktif", "lengkap"),
            effects=("submit",),
            primary=True,
        ),
        Transition(
            "batalkan",
            "Batalkan pengajuan",
            ("diajukan",),
            "draf",
            (_P,),
            sop_step=5,
            guards=("belum_diambil",),
        ),
        Transition(
            "setujui",
            "Setujui",
            ("diajukan",),
            "terverifikasi",
            (_W,),
            sop_step=6,
            guards=("bukan_prioritas", *_CHECK, "checklist", "tabel", "kegiatan_terbit"),
            effects=("verify",),
            primary=True,
        ),
        Transition(
            "teruskan_ke_pembina",
            "Setujui dan teruskan ke Pembina",
            ("diajukan",),
            "diperiksa_pembina",
            (_W,),
            sop_step=6,
            guards=("prioritas", *_CHECK, "checklist", "tabel", "kegiatan_terbit"),
            primary=True,
        ),
        Transition(
            "kembalikan",
            "Kembalikan untuk perbaikan",
            ("diajukan", "ditolak_pembina", "terverifikasi"),
            "dikembalikan",
            (_W,),
            sop_step=6,
            note_required=True,
            guards=("pemegang",),
            effects=("unverify",),
        ),
        Transition(
            "setujui_pembina",
            "Setujui sebagai Pembina",
            ("diperiksa_pembina",),
            "terverifikasi",
            (_B,),
            sop_step=6,
            guards=(*_CHECK, "diteruskan_sama", "tabel", "kegiatan_terbit"),
            effects=("verify",),
            primary=True,
        ),
        Transition(
            "tolak_pembina",
            "Tolak",
            ("diperiksa_pembina",),
            "ditolak_pembina",
            (_B,),
            sop_step=6,
            note_required=True,
            guards=("pemegang",),
        ),
        # Pembina who claimed it and are silent don't keep Walidata from taking it back.
        Transition(
            "batalkan_pembina",
            "Tarik dari Pembina",
            ("diperiksa_pembina",),
            "diajukan",
            (_W,),
            sop_step=6,
            note_required=True,
        ),
        Transition(
            "terbitkan",
            "Terbitkan",
            ("terverifikasi",),
            "terbit",
            (_W,),
            sop_step=7,
            guards=("terbuka", "content_hash", "terverifikasi_sama", "tabel", "kegiatan_terbit"),
            effects=("publish",),
            primary=True,
            by_system=True,
        ),
        Transition(
            "tarik",
            "Tarik dari publik",
            ("terbit",),
            "ditarik",
            (_W,),
            sop_step=7,
            note_required=True,
            effects=("withdraw",),
        ),
        Transition(
            "buka_kembali",
            "Buka kembali sebagai draf",
            ("ditarik",),
            "draf",
            (_W, _P),
            sop_step=5,
            effects=("unverify",),
        ),
    )
}
