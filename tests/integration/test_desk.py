"""The desk on a real CKAN: claims, the queue, clocks, and what is published by the schedule."""

from __future__ import annotations

import datetime as dt
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import ckan.model as core
import ckan.plugins.toolkit as tk
import pytest
import sqlalchemy as sa

from ckanext.satudata_trenggalek import config, maintenance
from ckanext.satudata_trenggalek.workflow import service
from ckanext.satudata_trenggalek.workflow.calendar import Calendar
from tests.gate.test_races import at_once
from tests.statements import statements
from tests.world import World


def sql(statement: str, **parameters: Any) -> None:
    core.Session.execute(sa.text(statement), parameters)
    core.Session.commit()


def claim(world: World, user: str | None, id_: str, **more: Any) -> dict[str, Any]:
    return world.call("satudata_claim", user, id=id_, **more)


def events(world: World, id_: str) -> list[dict[str, Any]]:
    return world.call("satudata_history_list", "walidata", id=id_, limit=100)["results"]


@contextmanager
def refused(field: str, word: str = "") -> Iterator[None]:
    with pytest.raises(tk.ValidationError) as error:
        yield
    assert list(error.value.error_dict) == [field]
    assert word in str(error.value.error_dict)


# --- claims -----------------------------------------------------------------------------------
def test_claim_is_exclusive_and_on_the_record(world: World) -> None:
    id_ = world.at("diajukan")["id"]
    mine = claim(world, "walidata", id_)
    assert (mine["reviewer"], mine["claim"], mine["claim_stale"]) == ("walidata", "release", False)
    until = config.kalender().due(dt.datetime.fromisoformat(mine["claimed_at"]), 1)
    assert dt.datetime.fromisoformat(mine["claim_until"]) == until
    assert claim(world, "walidata", id_)["claimed_at"] == mine["claimed_at"]
    theirs = world.status(id_, "walidata_2")
    assert theirs["claim"] is None and theirs["transitions"] == []
    with refused("id", "walidata"):
        claim(world, "walidata_2", id_)
    with refused("id", "walidata"):
        claim(world, "walidata_2", id_, note="Saya saja.")
    with refused("id", "walidata"):
        world.call("satudata_release", "walidata_2", id=id_)
    for transition in ("setujui", "kembalikan"):
        with refused("transition", "walidata"):
            world.move("walidata_2", id_, transition, note="x")
    with refused("transition", "walidata"):
        world.move("produsen_dinkes", id_, "batalkan")
    assert world.call("satudata_release", "walidata", id=id_)["reviewer"] is None
    with refused("id"):
        world.call("satudata_release", "walidata", id=id_)
    assert claim(world, "walidata_2", id_)["reviewer"] == "walidata_2"
    done = world.move("walidata_2", id_, "setujui")
    assert done["reviewer"] is None and done["claimed_at"] is None
    told = [(e["event"], e["actor"], e["peran"]) for e in events(world, id_)][2:]
    assert told == [
        ("ambil", "walidata", "walidata"),
        ("lepas", "walidata", "walidata"),
        ("ambil", "walidata_2", "walidata"),
        ("setujui", "walidata_2", "walidata"),
    ]
    assert events(world, id_)[-1]["detail"]["pemeriksa"] == "walidata_2"
    assert maintenance.verify()[1] == []


def test_a_stale_claim_is_taken_over_with_a_reason(world: World) -> None:
    id_ = world.at("diajukan")["id"]
    claim(world, "walidata", id_)
    world.later(id_, "claimed_at", -dt.timedelta(days=30))
    status = world.status(id_, "walidata_2")
    assert (status["claim_stale"], status["claim"]) == (True, "take_over")
    with refused("transition", "Ambil alih"):
        world.move("walidata_2", id_, "setujui")
    with refused("note", "walidata"):
        claim(world, "walidata_2", id_)
    taken = claim(world, "walidata_2", id_, note="Sedang cuti.")
    assert (taken["reviewer"], taken["claim_stale"]) == ("walidata_2", False)
    last = events(world, id_)[-1]
    assert (last["event"], last["note"], last["detail"]) == (
        "ambil_alih",
        "Sedang cuti.",
        {"dari": "walidata"},
    )
    with refused("transition", "walidata_2"):
        world.move("walidata", id_, "setujui")


def test_the_holder_still_decides_on_a_stale_claim(world: World) -> None:
    id_ = world.at("diajukan")["id"]
    claim(world, "walidata", id_)
    world.later(id_, "claimed_at", -dt.timedelta(days=30))
    assert world.move("walidata", id_, "setujui")["status"] == "terverifikasi"


def officer(world: World, organization: str, role: str = "editor") -> str:
    world.count += 1
    name = f"petugas_{world.count}"
    world.call(
        "user_create", {"user": "admin", "ignore_auth": True}, name=name,
        email=f"{name}@example.id", password="rahasia-123",
    )  # fmt: skip
    world.call("organization_member_create", "admin", id=organization, username=name, role=role)
    return name


def leaves(world: World, name: str) -> None:
    world.call("organization_member_delete", "admin", id="diskominfo", username=name)


def is_demoted(world: World, name: str) -> None:
    world.call("organization_member_create", "admin", id="diskominfo", username=name, role="member")


def is_deleted(world: World, name: str) -> None:
    world.call("user_delete", "admin", id=name)


@pytest.mark.parametrize("happens", [leaves, is_demoted, is_deleted])
def test_who_is_gone_holds_nothing(world: World, happens: Callable[[World, str], None]) -> None:
    id_, name = world.at("diajukan")["id"], officer(world, "diskominfo")
    claim(world, name, id_)
    assert world.status(id_, "walidata")["claim"] is None
    happens(world, name)
    status = world.status(id_, "walidata")
    assert (status["claim_stale"], status["claim"]) == (True, "take_over")
    row = world.call("satudata_queue_list", "walidata", reviewer=name)["results"][0]
    assert (row["id"], row["claim"], row["claim_stale"]) == (id_, "take_over", True)
    claim(world, "walidata", id_, note="Petugasnya pindah.")
    assert world.move("walidata", id_, "setujui")["status"] == "terverifikasi"
    is_deleted(world, name)


def test_pembina_claim_and_walidata_take_back(world: World) -> None:
    id_ = world.at("diperiksa_pembina")["id"]
    assert world.status(id_, "pembina_bps")["claim"] == "claim"
    with pytest.raises(tk.NotAuthorized):
        claim(world, "walidata", id_)
    claim(world, "pembina_bps", id_)
    other = officer(world, "bps-trenggalek")
    with refused("transition", "pembina_bps"):
        world.move(other, id_, "tolak_pembina", note="x")
    is_deleted(world, other)
    back = world.move("walidata", id_, "batalkan_pembina", note="Pembina tidak menjawab.")
    assert (back["status"], back["reviewer"]) == ("diajukan", None)


def test_who_claims_nothing(world: World) -> None:
    id_ = world.standing("diajukan")
    for user in ("produsen_dinkes", "admin", "admin_dinkes"):
        with pytest.raises(tk.NotAuthorized):
            claim(world, user, id_)
    for user in ("warga", "forum", None):
        with pytest.raises(tk.ObjectNotFound):
            claim(world, user, id_)
    with pytest.raises(tk.ObjectNotFound):
        claim(world, "walidata", "tidak-ada")
    own = world.draft("walidata", owner_org="diskominfo")["id"]
    world.move("walidata", own, "ajukan")
    with pytest.raises(tk.NotAuthorized, match="ikut membuat"):
        claim(world, "walidata", own)
    for status in ("draf", "dikembalikan", "terverifikasi", "terbit"):
        with refused("id"):
            claim(world, "walidata", world.standing(status))
    for bad in ({"note": []}, {"note": "x" * 10_001}):
        with refused("note"):
            claim(world, "walidata", id_, **bad)


def test_claimed_by_two_at_once(world: World) -> None:
    id_ = world.at("diajukan")["id"]
    for _round in range(5):
        both = at_once(*(
            lambda user=user: claim(world, user, id_) for user in ("walidata", "walidata_2")
        ))  # fmt: skip
        assert sorted(isinstance(one, dict) for one in both) == [False, True]
        holder = world.status(id_)["reviewer"]
        assert next(one for one in both if isinstance(one, dict))["reviewer"] == holder
        world.call("satudata_release", holder, id=id_)


# --- the queue --------------------------------------------------------------------------------
def ids(world: World, user: str, **data: Any) -> list[str]:
    return [r["id"] for r in world.call("satudata_queue_list", user, limit=100, **data)["results"]]


def test_queue_filters(world: World) -> None:
    word = f"antrean{world.count}"
    first = world.at("diajukan", title=f"{word} satu")["id"]
    second = world.at("diajukan", title=f"{word} dua", kategori="budaya-dan-agama")["id"]
    third = world.at("diperiksa_pembina", title=f"{word} tiga")["id"]
    claim(world, "walidata", first)
    world.later(second, "due_at", -dt.timedelta(days=3))

    def found(**data: Any) -> set[str]:
        return set(ids(world, "walidata", q=word, **data))

    assert found() == {first, second, third}
    assert found(kategori="budaya-dan-agama") == {second}
    assert found(data_prioritas=True) == {third}
    assert found(data_prioritas=False) == {first, second}
    assert found(reviewer="me") == found(reviewer="walidata") == {first}
    assert found(reviewer="none") == {second, third}
    assert found(overdue=True) == {second}
    assert ids(world, "walidata", q=word)[0] == second, "late first"
    facets = world.call("satudata_queue_list", "walidata", q=word)["facets"]
    assert (facets["overdue"], facets["mine"]) == (1, 1)
    assert facets["status"] == {"diajukan": 2, "diperiksa_pembina": 1}
    assert facets["organization"] == [{"name": "dinkes", "title": "Dinkes", "count": 3}]
    mine = world.call("satudata_queue_list", "walidata_2", q=word)["facets"]["mine"]
    assert mine == 0
    for bad in ({"kategori": []}, {"data_prioritas": "x"}, {"clock": "x"}):
        with refused(next(iter(bad))):
            world.call("satudata_queue_list", "walidata", **bad)


def test_verified_data_that_stays_inside_waits_for_nobody(world: World) -> None:
    legal = {"klasifikasi": "terbatas", "dasar_hukum_klasifikasi": "UU 14/2008 Pasal 17"}
    closed, open_ = world.at("terverifikasi", **legal)["id"], world.at("terverifikasi")["id"]
    ready = ids(world, "walidata", status=["terverifikasi"], clock=True)
    assert open_ in ready and closed not in ready


def test_the_queue_asks_as_often_for_many_as_for_one(world: World) -> None:
    word = f"hitung{world.count}"
    made = [world.at("diajukan", title=f"{word} {n}")["id"] for n in range(4)]
    counts = []
    for size in (1, 4):
        for id_, user in zip(made[:size], ("walidata", "walidata_2", "walidata"), strict=False):
            if world.status(id_)["reviewer"] is None:
                claim(world, user, id_)
        core.Session.remove()
        with statements() as seen:
            assert len(ids(world, "walidata", q=word)) == 4
        counts.append(len(seen))
        core.Session.remove()
        with statements() as seen:
            assert len(world.call("satudata_queue_list", "walidata", q=word, limit=1)["results"])
        counts.append(len(seen))
    assert len(set(counts)) == 1, counts


def test_an_organization_that_is_gone(world: World) -> None:
    """Its drafts stay in the lists of who sees all."""
    organization = world.call(
        "organization_create", "admin", name=f"bubar-{world.count}", title="Dinas Bubar"
    )
    world.call("organization_member_delete", "admin", id=organization["id"], username="admin")
    world.call(
        "organization_member_create", "admin", id=organization["id"],
        username="produsen_dukcapil", role="editor",
    )  # fmt: skip
    draft = world.draft("produsen_dukcapil", owner_org=organization["id"], title="Tanpa induk")
    sql("UPDATE \"group\" SET state = 'deleted' WHERE id = :id", id=organization["id"])
    found = world.call("satudata_queue_list", "walidata", q="Tanpa induk", status=["draf"])
    assert [r["id"] for r in found["results"]] == [draft["id"]]
    assert ids(world, "walidata", organization="tidak-ada") == []


# --- clocks -----------------------------------------------------------------------------------
def test_each_step_keeps_the_wait_that_it_ends(world: World) -> None:
    id_ = world.at("diajukan")["id"]
    waiting = world.status(id_)
    world.later(id_, "due_at", -dt.timedelta(hours=1))
    assert world.status(id_)["overdue"] is True
    returned = world.move("walidata", id_, "kembalikan", note="Perbaiki.")
    assert (returned["due_at"], returned["overdue"], returned["clock_paused"]) == (
        None,
        False,
        True,
    )
    world.move("produsen_dinkes", id_, "ajukan")
    told = {e["event"]: e["detail"] for e in events(world, id_)}
    detail = told["kembalikan"]
    assert (detail["sejak"], detail["terlambat"]) == (waiting["since"], True)
    assert detail["tenggat"] is not None
    assert (told["ajukan"]["tenggat"], told["ajukan"]["terlambat"]) == (None, None)
    again = world.status(id_)
    assert again["due_at"] == config.kalender().due(
        dt.datetime.fromisoformat(again["since"]), 1
    ).astimezone(dt.timezone.utc).isoformat()  # fmt: skip


def test_deadlines_follow_the_settings(
    world: World, ckan_config: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(ckan_config, "ckanext.satudata_trenggalek.hari_kalender", True)
    status = world.status(world.at("diajukan")["id"])
    since = dt.datetime.fromisoformat(status["since"])
    assert dt.datetime.fromisoformat(status["due_at"]) == Calendar(every_day=True).due(since, 1)


# --- the schedule -----------------------------------------------------------------------------
LATER = "2099-01-01T09:00:00+07:00"


def scheduled(world: World, **fields: Any) -> str:
    id_ = world.at("terverifikasi", **fields)["id"]
    world.move("walidata", id_, "terbitkan", publish_at=LATER)
    world.due(id_)
    return id_


def test_two_runners_publish_once(world: World) -> None:
    made = {scheduled(world) for _ in range(3)}
    names = {core.Package.get(id_).name for id_ in made}  # type: ignore[union-attr]
    done = at_once(service.publish_due, service.publish_due)
    assert sorted(name for one in done for name in one) == sorted(names)
    for id_ in made:
        status = world.status(id_)
        assert (status["status"], status["version"], status["publish_at"]) == ("terbit", 1, None)
        told = [e for e in events(world, id_) if e["event"] in ("terbitkan", "jadwal_gagal")]
        assert [(e["event"], e["actor"], e["peran"]) for e in told] == [
            ("terbitkan", "sistem", "sistem")
        ]
        assert told[0]["detail"]["terlambat"] is False


def test_what_cannot_be_published_waits_and_says_why(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    kegiatan = world.kegiatan_at("terbit")["id"]
    orphan, stuck, fine = scheduled(world, id_kegiatan=kegiatan), scheduled(world), scheduled(world)
    world.move("walidata", kegiatan, "tarik", note="Keliru.")
    load = (
        "UPDATE satudata_table SET state = :state WHERE resource_id IN"
        " (SELECT id FROM resource WHERE package_id = :id)"
    )
    sql(load, id=stuck, state="memuat")
    with caplog.at_level(logging.WARNING):
        assert len(service.publish_due()) == 1, "the others are published"
        assert service.publish_due() == []
    assert world.status(fine)["status"] == "terbit"
    for id_, reason in ((orphan, "id_kegiatan"), (stuck, "resources")):
        status = world.status(id_)
        assert (status["status"], status["publish_error"]) == ("terverifikasi", reason)
        assert status["publish_at"] and status["overdue"] is True
    assert {orphan, stuck} <= set(ids(world, "walidata", overdue=True))
    world.due(stuck)  # an hour later
    with caplog.at_level(logging.WARNING):
        assert service.publish_due() == []
    told = [r for r in caplog.records if "scheduled, not published" in r.getMessage()]
    assert len(told) == 2, "told once for each reason"
    assert [e["event"] for e in events(world, stuck)].count("jadwal_gagal") == 1
    # What is mended is published at the next try.
    sql(load, id=stuck, state="termuat")
    world.due(stuck)
    assert len(service.publish_due()) == 1
    done = world.status(stuck)
    assert (done["status"], done["publish_error"]) == ("terbit", None)
    assert events(world, stuck)[-1]["detail"]["terlambat"] is True


def test_one_fault_does_not_stop_the_others(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    broken, fine = scheduled(world), scheduled(world)
    original = service.content_hash

    def fails(package_id: str, row: Any) -> str:
        if package_id == broken:
            raise OSError("disk")
        return original(package_id, row)

    monkeypatch.setattr(service, "content_hash", fails)
    assert len(service.publish_due()) == 1
    monkeypatch.undo()
    assert world.status(fine)["status"] == "terbit"
    assert world.status(broken)["publish_error"] == "galat"
    world.due(broken)
    assert len(service.publish_due()) == 1


def test_content_that_was_not_approved_is_not_published(world: World, owner: sa.Engine) -> None:
    id_ = scheduled(world)
    core.Session.remove()
    with owner.begin() as connection:
        connection.execute(sa.text("ALTER TABLE package DISABLE TRIGGER satudata_guard"))
        connection.execute(
            sa.text("UPDATE package SET notes = 'Lain.' WHERE id = :id"), {"id": id_}
        )
        connection.execute(sa.text("ALTER TABLE package ENABLE ALWAYS TRIGGER satudata_guard"))
    assert service.publish_due() == []
    assert world.status(id_)["publish_error"] == "content_hash"
    with refused("content_hash"):
        world.move("walidata", id_, "terbitkan")
    returned = world.move("walidata", id_, "kembalikan", note="Isinya berubah.")
    assert (returned["publish_at"], returned["publish_error"]) == (None, None)


def test_a_schedule_is_changed(world: World) -> None:
    id_ = world.at("terverifikasi")["id"]
    world.move("walidata", id_, "terbitkan", publish_at=LATER)
    changed = world.move("walidata", id_, "terbitkan", publish_at="2098-01-01T09:00:00+07:00")
    assert changed["publish_at"].startswith("2098-01-01T02:00")
    assert changed["overdue"] is False
    told = [e["detail"]["publish_at"] for e in events(world, id_) if e["event"] == "jadwalkan"]
    assert [t[:4] for t in told] == ["2099", "2098"]
    assert world.move("walidata", id_, "terbitkan")["status"] == "terbit"
    due = [row.publish_at for row in core.Session.execute(sa.text(
        "SELECT publish_at FROM satudata_status WHERE package_id = :id"), {"id": id_})]  # fmt: skip
    assert due == [None]
