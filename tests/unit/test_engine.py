"""The table and the engine: who may do what, when, and in which order refusals come."""

from __future__ import annotations

import itertools

import pytest

from ckanext.satudata_trenggalek.workflow import engine
from ckanext.satudata_trenggalek.workflow.engine import Actor, Facts, Refused, Request
from ckanext.satudata_trenggalek.workflow.table import (
    PRINSIP,
    PUBLIC,
    STATUSES,
    TRANSITIONS,
    Peran,
)

#: The contract's table, typed by hand: name -> (from, to, peran, note required).
CONTRACT: dict[str, tuple[set[str], str, set[str], bool]] = {
    "ajukan": ({"draf", "dikembalikan"}, "diajukan", {"produsen_data"}, False),
    "batalkan": ({"diajukan"}, "draf", {"produsen_data"}, False),
    "kembalikan": (
        {"diajukan", "ditolak_pembina", "terverifikasi"},
        "dikembalikan",
        {"walidata"},
        True,
    ),
    "setujui": ({"diajukan"}, "terverifikasi", {"walidata"}, False),
    "teruskan_ke_pembina": ({"diajukan"}, "diperiksa_pembina", {"walidata"}, False),
    "setujui_pembina": ({"diperiksa_pembina"}, "terverifikasi", {"pembina_data"}, False),
    "tolak_pembina": ({"diperiksa_pembina"}, "ditolak_pembina", {"pembina_data"}, True),
    "batalkan_pembina": ({"diperiksa_pembina"}, "diajukan", {"walidata"}, True),
    "terbitkan": ({"terverifikasi"}, "terbit", {"walidata"}, False),
    "tarik": ({"terbit"}, "ditarik", {"walidata"}, True),
    "buka_kembali": ({"ditarik"}, "draf", {"walidata", "produsen_data"}, False),
}
GOOD = {name: {"sesuai": True, "note": ""} for name in PRINSIP}
REQUEST = Request(note="Perbaiki satuan.", content_hash="h", checklist=GOOD)


def facts(status: str, name: str = "", **more: object) -> Facts:
    """A dataset for which nothing but peran and status can stand in the way of `name`."""
    defaults: dict[str, object] = {
        "content_hash": "h",
        "approved_hash": "h",
        "forwarded_hash": "h",
        "data_prioritas": name == "teruskan_ke_pembina",
        "makers": frozenset({"pembuat"}),
    }
    return Facts(status=status, **(defaults | more))  # type: ignore[arg-type]


def actor(*peran: Peran, id_: str = "pemeriksa") -> Actor:
    return Actor(id_, id_, frozenset(peran))


def test_table_is_the_contract() -> None:
    assert {
        t.name: (set(t.sources), t.target, {p.value for p in t.peran}, t.note_required)
        for t in TRANSITIONS.values()
    } == CONTRACT
    assert set(STATUSES) == {
        "draf", "diajukan", "dikembalikan", "diperiksa_pembina", "ditolak_pembina",
        "terverifikasi", "terbit", "ditarik", "digabung",
    }  # fmt: skip
    assert PUBLIC == ("terbit",)
    for transition in TRANSITIONS.values():
        assert set(transition.guards) <= set(engine.GUARDS)
        assert {*transition.sources, transition.target} <= set(STATUSES)


@pytest.mark.parametrize(
    ("name", "status", "peran"), list(itertools.product(CONTRACT, STATUSES, Peran))
)
def test_who_may_what_when(name: str, status: str, peran: Peran) -> None:
    sources, target, holders, _note = CONTRACT[name]
    known, who = facts(status, name), actor(peran)
    offered = name in {t.name for t in engine.available(known, who)}
    assert offered == (status in sources and peran.value in holders)
    if offered:
        transition, as_peran = engine.check(known, who, name, REQUEST)
        assert (transition.target, as_peran) == (target, peran)
        return
    with pytest.raises(Refused) as error:
        engine.check(known, who, name, REQUEST)
    # Rights come before circumstances: 403 never tells in which status a dataset is.
    assert error.value.forbidden == (peran.value not in holders)


@pytest.mark.parametrize("name", [t.name for t in TRANSITIONS.values() if t.note_required])
def test_note(name: str) -> None:
    transition = TRANSITIONS[name]
    with pytest.raises(Refused) as error:
        engine.check(
            facts(transition.sources[0], name),
            actor(*Peran),
            name,
            Request(content_hash="h", checklist=GOOD),
        )
    assert error.value.field == "note"


@pytest.mark.parametrize(
    ("name", "status"),
    [
        ("setujui", "diajukan"),
        ("teruskan_ke_pembina", "diajukan"),
        ("setujui_pembina", "diperiksa_pembina"),
    ],
)
def test_makers_never_check(name: str, status: str) -> None:
    known, maker = facts(status, name), actor(*Peran, id_="pembuat")
    assert name not in {t.name for t in engine.available(known, maker)}
    with pytest.raises(Refused) as error:
        engine.check(known, maker, name, REQUEST)
    assert error.value.forbidden


@pytest.mark.parametrize(
    ("name", "status"),
    [
        ("setujui", "diajukan"),
        ("teruskan_ke_pembina", "diajukan"),
        ("setujui_pembina", "diperiksa_pembina"),
        ("terbitkan", "terverifikasi"),
    ],
)
def test_a_dataset_waits_for_its_kegiatan(name: str, status: str) -> None:
    known, who = facts(status, name, waits_for_kegiatan="Survei Lansia"), actor(*Peran)
    assert name not in {t.name for t in engine.available(known, who)}
    with pytest.raises(Refused) as error:
        engine.check(known, who, name, REQUEST)
    assert (error.value.field, error.value.forbidden) == ("id_kegiatan", False)
    assert error.value.values["kegiatan"] == "Survei Lansia"


def test_makers_may_publish_what_others_verified() -> None:
    engine.check(facts("terverifikasi"), actor(*Peran, id_="pembuat"), "terbitkan", REQUEST)


@pytest.mark.parametrize(
    ("name", "status"),
    [
        ("setujui", "diajukan"),
        ("teruskan_ke_pembina", "diajukan"),
        ("setujui_pembina", "diperiksa_pembina"),
        ("terbitkan", "terverifikasi"),
    ],
)
@pytest.mark.parametrize("sent", ["", "older"])
def test_what_was_read_is_what_is_decided(name: str, status: str, sent: str) -> None:
    with pytest.raises(Refused) as error:
        engine.check(
            facts(status, name), actor(*Peran), name, Request(content_hash=sent, checklist=GOOD)
        )
    assert error.value.field == "content_hash" and not error.value.forbidden


#: Something that is wrong, for guards that ask whether there is any.
LACK = ({"field": "x", "message": "y"},)


@pytest.mark.parametrize(
    ("more", "name", "field"),
    [
        ({"status": "draf", "state": "draft"}, "ajukan", "state"),
        ({"status": "draf", "blockers": LACK}, "ajukan", "blockers"),
        ({"status": "diajukan", "reviewer": "walidata"}, "batalkan", "transition"),
        ({"status": "diajukan", "data_prioritas": True}, "setujui", "transition"),
        ({"status": "diajukan"}, "teruskan_ke_pembina", "transition"),
        ({"status": "diajukan", "tables": LACK}, "setujui", "resources"),
        ({"status": "terverifikasi", "tables": LACK}, "terbitkan", "resources"),
        ({"status": "terverifikasi", "klasifikasi": "terbatas"}, "terbitkan", "klasifikasi"),
        ({"status": "terverifikasi", "klasifikasi": ""}, "terbitkan", "klasifikasi"),
        ({"status": "diperiksa_pembina", "forwarded_hash": "other"}, "setujui_pembina",
         "content_hash"),
        ({"status": "terverifikasi", "approved_hash": "other"}, "terbitkan", "content_hash"),
        ({"status": "terverifikasi", "approved_hash": None}, "terbitkan", "content_hash"),
    ],
)  # fmt: skip
def test_guards(more: dict[str, object], name: str, field: str) -> None:
    known = facts(**({"data_prioritas": False} | more))  # type: ignore[arg-type]
    assert name not in {t.name for t in engine.available(known, actor(*Peran))}
    with pytest.raises(Refused) as error:
        engine.check(known, actor(*Peran), name, REQUEST)
    assert error.value.field == field and not error.value.forbidden


def test_schedule_only_publishes() -> None:
    system = Actor("sistem", "sistem", system=True)
    engine.check(facts("terverifikasi"), system, "terbitkan", Request())
    with pytest.raises(Refused):
        engine.check(facts("terverifikasi", approved_hash="other"), system, "terbitkan", Request())
    for name in set(CONTRACT) - {"terbitkan"}:
        with pytest.raises(Refused) as error:
            engine.check(facts(TRANSITIONS[name].sources[0], name), system, name, REQUEST)
        assert error.value.forbidden


@pytest.mark.parametrize(
    "checklist",
    [
        [],
        "sesuai",
        {"lainnya": {"sesuai": True}},
        {**GOOD, "metadata": True},
        {**GOOD, "metadata": {"note": "tanpa penilaian"}},
        {**GOOD, "metadata": {"sesuai": "ya"}},
        {**GOOD, "metadata": {"sesuai": 1}},
        {**GOOD, "metadata": {"sesuai": True, "note": 5}},
        {**GOOD, "metadata": {"sesuai": True, "lain": ""}},
        {**GOOD, "metadata": {"sesuai": None, "note": "  "}},
        {**GOOD, "metadata": {"sesuai": True, "note": "x" * (engine.MAX_NOTE + 1)}},
    ],
)
def test_malformed_checklist(checklist: object) -> None:
    with pytest.raises(Refused) as error:
        engine.parse_checklist(checklist)
    assert error.value.field == "checklist"
    error.value.message.format(**error.value.values)


def test_checklist_must_be_whole_and_conform() -> None:
    known, who = facts("diajukan"), actor(Peran.WALIDATA)
    for checklist in (
        {},
        {k: v for k, v in GOOD.items() if k != "metadata"},
        {**GOOD, "metadata": {"sesuai": False, "note": "kurang"}},
    ):
        with pytest.raises(Refused) as error:
            engine.check(known, who, "setujui", Request(content_hash="h", checklist=checklist))
        assert error.value.field == "checklist"
    not_applicable = {**GOOD, "kode_referensi": {"sesuai": None, "note": "tanpa kolom kode"}}
    engine.check(known, who, "setujui", Request(content_hash="h", checklist=not_applicable))


def test_unknown_transition() -> None:
    with pytest.raises(Refused) as error:
        engine.check(facts("draf"), actor(*Peran), "banana", REQUEST)
    assert error.value.field == "transition" and not error.value.forbidden


def test_label_and_clock_of_what_is_not_open() -> None:
    closed = facts("terverifikasi", klasifikasi="tertutup")
    assert engine.label(closed) == "Terverifikasi, tidak dipublikasikan"
    assert not engine.clock_runs(closed)
    assert engine.clock_runs(facts("terverifikasi"))
    assert not engine.clock_runs(facts("dikembalikan"))


# --- claims ---------------------------------------------------------------------------------

CHECKER = {
    "diajukan": Peran.WALIDATA,
    "ditolak_pembina": Peran.WALIDATA,
    "diperiksa_pembina": Peran.PEMBINA_DATA,
}
#: Who decides what, by claim or without: not what takes a dataset out of a silent checker's hands.
DECISIONS = {
    "diajukan": {"setujui", "kembalikan"},
    "ditolak_pembina": {"kembalikan"},
    "diperiksa_pembina": {"setujui_pembina", "tolak_pembina"},
}


@pytest.mark.parametrize(("status", "peran"), list(itertools.product(STATUSES, Peran)))
def test_who_claims_what(status: str, peran: Peran) -> None:
    known, who = facts(status), actor(peran)
    if CHECKER.get(status) is peran:
        assert engine.claim(known, who) == ("ambil", peran)
        assert engine.claim_offer(known, who) == "claim"
        return
    assert engine.claim_offer(known, who) is None
    for act in (engine.claim, engine.release):
        with pytest.raises(Refused) as error:
            act(known, who)
        # Wrong peran is told before a wrong status.
        checks = peran in CHECKER.values()
        assert error.value.forbidden == (not checks or status in CHECKER)


@pytest.mark.parametrize(("status", "peran"), list(CHECKER.items()))
def test_a_claim_is_exclusive(status: str, peran: Peran) -> None:
    mine = facts(status, reviewer="pemeriksa")
    assert engine.claim(mine, actor(peran)) == ("", peran), "claiming twice changes nothing"
    assert engine.claim_offer(mine, actor(peran)) == "release"
    assert engine.release(mine, actor(peran)) is peran
    other, stale = (facts(status, reviewer="lain", claim_stale=old) for old in (False, True))
    assert engine.claim_offer(other, actor(peran)) is None
    assert engine.claim_offer(stale, actor(peran)) == "take_over"
    assert engine.claim(stale, actor(peran), "Cuti.") == ("ambil_alih", peran)
    for known, note, field in ((other, "", "id"), (other, "Cuti.", "id"), (stale, "", "note")):
        with pytest.raises(Refused) as error:
            engine.claim(known, actor(peran), note)
        assert (error.value.field, error.value.forbidden) == (field, False)
        assert error.value.values["reviewer"] == "lain"
    for known in (other, stale, facts(status)):
        with pytest.raises(Refused) as error:
            engine.release(known, actor(peran))
        assert (error.value.field, error.value.forbidden) == ("id", False)


@pytest.mark.parametrize(("status", "peran"), list(CHECKER.items()))
def test_makers_claim_nothing(status: str, peran: Peran) -> None:
    known, maker = facts(status), actor(peran, id_="pembuat")
    assert engine.claim_offer(known, maker) is None
    with pytest.raises(Refused) as error:
        engine.claim(known, maker)
    assert error.value.forbidden


@pytest.mark.parametrize("stale", [False, True])
@pytest.mark.parametrize(("status", "peran"), list(CHECKER.items()))
def test_only_the_holder_decides(status: str, peran: Peran, stale: bool) -> None:
    free, mine = facts(status), facts(status, reviewer="pemeriksa", claim_stale=stale)
    held = facts(status, reviewer="lain", claim_stale=stale)
    for known in (free, mine):
        assert {t.name for t in engine.available(known, actor(peran))} == DECISIONS[status]
    assert engine.available(held, actor(peran)) == []
    for name in DECISIONS[status]:
        engine.check(mine, actor(peran), name, REQUEST)
        with pytest.raises(Refused) as error:
            engine.check(held, actor(peran), name, REQUEST)
        assert (error.value.field, error.value.forbidden) == ("transition", False)
        assert error.value.values["reviewer"] == "lain"


def test_what_a_claim_does_not_stop() -> None:
    """Walidata take a dataset back from a silent Pembina; a Produsen from a holder who is gone."""
    at_pembina = facts("diperiksa_pembina", reviewer="pembina_bps")
    engine.check(at_pembina, actor(Peran.WALIDATA), "batalkan_pembina", REQUEST)
    waiting = facts("diajukan", reviewer="walidata")
    with pytest.raises(Refused):
        engine.check(waiting, actor(Peran.PRODUSEN_DATA), "batalkan", REQUEST)
    gone = facts("diajukan", reviewer="walidata", claim_stale=True)
    engine.check(gone, actor(Peran.PRODUSEN_DATA), "batalkan", REQUEST)
