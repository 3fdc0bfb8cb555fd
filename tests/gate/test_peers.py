"""The holes of other approval workflows for CKAN and its kin, each tried here in our terms.

Each was seen in the workflow named by its test: DataShades/ckanext-workflow (ds),
keitaroinc/ckanext-approvalworkflow (kt), wri/wri-odp (wri), dpc-sdp/ckanext-workflow (dv),
transport-data/portal (tdc), manaakiwhenua/ckanext-datasetapproval (mw), Datopian's, okfn's for
UNHCR (un), CivityNL's, Kartoza's, and CKAN's core.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import ckan.model as model
import ckan.plugins.toolkit as tk
import pytest
import sqlalchemy as sa
from ckan.lib.search.common import make_connection
from sqlalchemy import event
from sqlalchemy.exc import DBAPIError
from werkzeug.datastructures import FileStorage

from ckanext.satudata_trenggalek import maintenance
from ckanext.satudata_trenggalek.workflow import service
from ckanext.satudata_trenggalek.workflow.table import TRANSITIONS
from tests.gate.doors import harvest, harvest_again
from tests.gate.sites import REFUSED, Portal
from tests.statements import statements
from tests.world import World

ROOT = Path(__file__).resolve().parents[2]
JOB = {"ignore_auth": True, "user": "admin"}


def events(id_: str) -> int:
    query = sa.text("SELECT count(*) FROM satudata_event WHERE package_id = :id")
    return model.Session.execute(query, {"id": id_}).scalar_one()


# DataShades/ckanext-workflow ----------------------------------------------------------------------
@pytest.mark.parametrize(
    ("status", "user", "transition"),
    [
        ("diajukan", "walidata", "kembalikan"),
        ("terverifikasi", "walidata", "kembalikan"),
        ("diperiksa_pembina", "pembina_bps", "tolak_pembina"),
    ],
)
def test_ds_rejection_publishes(portal: Portal, status: str, user: str, transition: str) -> None:
    """ds, Datopian: the reject handler patches private=False."""
    id_ = portal.world.at(status)["id"]
    portal.world.move(user, id_, transition, note="Perbaiki satuan.")
    assert portal.visible(id_) == []
    assert portal.world.call("package_show", "produsen_dinkes", id=id_)["private"] is True


@pytest.mark.parametrize(
    ("status", "user", "transition"),
    [("diajukan", "produsen_dinkes", "batalkan"), ("diperiksa_pembina", "walidata",
                                                  "batalkan_pembina")],
)  # fmt: skip
def test_ds_cancelling_publishes(portal: Portal, status: str, user: str, transition: str) -> None:
    """ds: without a workflow its label falls away, and with it what hid the dataset."""
    id_ = portal.world.at(status)["id"]
    portal.world.move(user, id_, transition, note="Dibatalkan.")
    assert portal.visible(id_) == []


def test_ds_deleting_the_definition_publishes(portal: Portal) -> None:
    """ds: here the rules are code; what can go is who holds a peran, or a row of ours."""
    id_ = portal.world.standing("diajukan")
    held = portal.world.ORGANIZATIONS["diskominfo"]
    with suppress(tk.ValidationError):
        portal.world.give_peran("diskominfo", ["produsen_data"])
    try:
        assert portal.visible(id_) == []
        with pytest.raises(DBAPIError):
            portal.sql("DELETE FROM satudata_status WHERE package_id = :id",
                       portal.target("diajukan"))  # fmt: skip
    finally:
        model.Session.rollback()
        portal.world.give_peran("diskominfo", held)
    assert portal.visible(id_) == []


@pytest.mark.parametrize("transition", ["banana", "", "Setujui", "terbit", None, ["setujui"]])
def test_ds_unknown_decision_approves(world: World, transition: Any) -> None:
    """ds: whatever is not "reject" counts as approval."""
    id_ = world.standing("diajukan")
    with pytest.raises(tk.ValidationError) as error:
        world.move("walidata", id_, transition)
    model.Session.rollback()
    assert "transition" in error.value.error_dict
    assert world.status(id_)["status"] == "diajukan"


def test_ds_return_erases_the_note(world: World) -> None:
    id_ = world.at("dikembalikan")["id"]
    world.move("produsen_dinkes", id_, "ajukan")
    world.move("walidata", id_, "kembalikan", note="Kedua kali.")
    notes = [row["note"] for row in
             world.call("satudata_history_list", "produsen_dinkes", id=id_)["results"]]  # fmt: skip
    assert {"Perbaiki satuan.", "Kedua kali."} <= set(notes)


def test_ds_notice_is_never_shown(portal: Portal) -> None:
    """ds: written under an id that no page asks for."""
    name = portal.world.at("dikembalikan")["name"]
    for path in (f"/dataset/{name}", f"/dataset/{name}/riwayat"):
        assert "Perbaiki satuan." in portal.open("produsen_dinkes", path)


@pytest.mark.parametrize("note", [None, "", "   ", "\n"])
def test_ds_empty_rejection(world: World, note: str | None) -> None:
    id_ = world.standing("diajukan")
    with pytest.raises(tk.ValidationError) as error:
        world.move_raw("walidata", id_, "kembalikan", note=note)
    model.Session.rollback()
    assert "note" in error.value.error_dict


@pytest.mark.parametrize("user", ["admin_dinkes", "produsen_dinkes", "admin"])
def test_ds_admin_approves_their_own(world: World, user: str) -> None:
    id_ = world.standing("diajukan")
    with pytest.raises(REFUSED):
        world.move(user, id_, "setujui")
    model.Session.rollback()
    assert world.status(id_)["status"] == "diajukan"


def test_ds_checker_approves_their_own(world: World) -> None:
    """Nor does a Walidata what they have changed themselves."""
    dataset = world.call("package_create", "walidata", **world.metadata(owner_org="diskominfo"))
    world.upload("walidata", dataset["id"])
    world.move("walidata", dataset["id"], "ajukan")
    with pytest.raises(REFUSED):
        world.move("walidata", dataset["id"], "setujui")
    model.Session.rollback()
    world.move("walidata_2", dataset["id"], "setujui")


def test_ds_changed_during_review(world: World) -> None:
    """ds: the creator edits and adds files while it is reviewed, and the approval passes."""
    dataset = world.at("diajukan")
    read = world.status(dataset["id"])["content_hash"]
    with pytest.raises(REFUSED):
        world.call("package_patch", "produsen_dinkes", id=dataset["id"], title="Diubah")
    with pytest.raises(REFUSED):
        world.upload("produsen_dinkes", dataset["id"], filename="tambahan.csv")
    model.Session.rollback()
    # Withdrawn, changed and submitted again: what was read is not what is approved.
    world.move("produsen_dinkes", dataset["id"], "batalkan")
    world.call("package_patch", "produsen_dinkes", id=dataset["id"], title="Diubah")
    world.move("produsen_dinkes", dataset["id"], "ajukan")
    with pytest.raises(tk.ValidationError) as error:
        world.move("walidata", dataset["id"], "setujui", content_hash=read)
    model.Session.rollback()
    assert "content_hash" in error.value.error_dict


def test_ds_list_of_tasks_asks_for_each(world: World) -> None:
    """ds: 150 that wait take 1.3 s, since each is looked at by itself."""
    asked = []
    for _ in range(2):
        with statements() as given:
            found = world.call("satudata_queue_list", "walidata", status=["diajukan"], limit=100)
        asked.append((found["count"], len(given)))
        for _ in range(2):
            world.at("diajukan")
    (few, once), (more, again) = asked
    assert more == few + 2
    assert again == once


def test_ds_migration_is_not_installed() -> None:
    """ds: its MANIFEST leaves the .ini out, so that an ordinary installation can't migrate."""
    from setuptools.config.setupcfg import read_configuration

    options = read_configuration(ROOT / "setup.cfg")["options"]
    package = ROOT / "ckanext/satudata_trenggalek"
    patterns = options["package_data"]["ckanext.satudata_trenggalek"]
    shipped = {path for pattern in patterns for path in package.glob(pattern)}
    migration = package / "migration/satudata_trenggalek"
    needed = {path for path in migration.rglob("*") if path.suffix in (".ini", ".mako", ".py")}
    packages = {ROOT / name.replace(".", "/") for name in options["packages"]}
    assert migration / "alembic.ini" in needed
    assert {path for path in needed if path not in shipped and path.parent not in packages} == set()


# keitaroinc/ckanext-approvalworkflow --------------------------------------------------------------
@pytest.mark.parametrize("user", [None, "warga", "produsen_dukcapil"])
def test_kt_stranger_writes_a_decision(world: World, user: str | None) -> None:
    """kt: the action that records an approval asks for nobody's rights. wri: likewise."""
    id_ = world.standing("diajukan")
    before = events(id_)
    for transition in TRANSITIONS:
        with pytest.raises((tk.ObjectNotFound, tk.NotAuthorized)):
            world.move_raw(user, id_, transition, note="Disetujui.", checklist=world.CHECKLIST,
                           content_hash="sha256:" + "0" * 64)  # fmt: skip
        model.Session.rollback()
    assert events(id_) == before


@pytest.mark.parametrize("user", ["produsen_dinkes", "admin_dinkes", JOB], ids=str)
def test_kt_editor_sets_the_status(portal: Portal, user: Any) -> None:
    """kt, tdc, mw: the state of the approval is a field that the caller sends."""
    id_ = portal.world.draft()["id"]
    ours = {"satudata_status": "terbit", "satudata_version": 1, "approval_state": "approved",
            "approval_status": "approved", "currently_reviewing": False}  # fmt: skip
    with suppress(*REFUSED):
        portal.world.call("package_patch", user, id=id_, **ours)
    with suppress(*REFUSED):
        extras = [{"key": key, "value": str(value)} for key, value in ours.items()]
        portal.world.call("package_patch", user, id=id_, extras=extras)
    model.Session.rollback()
    assert portal.world.status(id_)["status"] == "draf"
    assert portal.visible(id_) == []


def test_tdc_caller_says_who_decides(world: World) -> None:
    """tdc, mw: what the caller says of the state, of the actor or their peran is believed."""
    id_ = world.standing("diajukan")
    said = {"status": "terverifikasi", "from_status": "terverifikasi", "to": "terbit",
            "actor": "walidata", "peran": "walidata"}  # fmt: skip
    for transition in ("setujui", "terbitkan"):
        with pytest.raises(REFUSED):
            world.move("produsen_dinkes", id_, transition, **said)
        model.Session.rollback()
    with pytest.raises(tk.ValidationError):
        world.move("walidata", id_, "terbitkan", **said)
    model.Session.rollback()
    assert world.status(id_)["status"] == "diajukan"


def test_kt_decision_by_get(portal: Portal) -> None:
    """kt: a link in a mail, or an image on a page, asks for a review."""
    world = portal.world
    id_, name = world.standing("diajukan"), portal.target("diajukan").name
    before = events(id_)
    query = "?transition=kembalikan&note=Perbaiki&transisi=kembalikan"
    with pytest.raises(REFUSED):
        portal.open("walidata", f"/api/action/satudata_transition{query}&id={id_}")
    with suppress(*REFUSED):
        portal.open("walidata", f"/dataset/{name}/transisi{query}")
    assert events(id_) == before
    assert world.status(name)["status"] == "diajukan"


def test_kt_failure_after_the_commit(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """kt: its mail fails, the caller reads an error, and the dataset is submitted all the same."""
    id_ = world.draft()["id"]

    def fail(*_: Any, **__: Any) -> None:
        raise RuntimeError("unreachable")

    # What follows a decision is the index; and whatever is told to people.
    monkeypatch.setattr(service, "index_update_package", fail, raising=False)
    monkeypatch.setattr("ckan.lib.search.rebuild", fail)
    monkeypatch.setattr("ckan.lib.mailer.mail_recipient", fail)
    answer = world.move("produsen_dinkes", id_, "ajukan")
    monkeypatch.undo()
    assert answer["status"] == world.status(id_)["status"] == "diajukan"
    maintenance.reconcile(fix=True)


@pytest.mark.parametrize("user", ["admin_dinkes", "admin"])
def test_kt_bulk_publication(portal: Portal, user: str) -> None:
    """kt, core: 2.11 writes SQL and Solr past every hook, 2.12 calls package_patch."""
    t = portal.target("diajukan")
    with pytest.raises(REFUSED):
        portal.call("bulk_update_public", user, datasets=[t.id], org_id=t.owner)
    portal.stands(t)


def test_kt_gate_outside_the_application(portal: Portal) -> None:
    """kt: its hook asks for an application context, and without one lets everything pass."""
    t = portal.target("diajukan")

    def publish() -> None:
        try:
            package = model.Session.get(model.Package, t.id)
            assert package
            package.private = False
            model.Session.commit()
        finally:
            model.Session.remove()

    # A thread of its own has neither an application nor a request.
    with ThreadPoolExecutor(1) as pool, pytest.raises(DBAPIError):
        pool.submit(publish).result()
    portal.stands(t)


# wri/wri-odp, dpc-sdp/ckanext-workflow ------------------------------------------------------------
def test_wri_visibility_of_the_caller(portal: Portal) -> None:
    """wri: a copy is made with ignore_auth and the visibility that the client chose."""
    data = {"visibility_type": "public", "private": False, "state": "active"}
    made = portal.world.call("package_create", JOB, **portal.dataset(owner_org="dinkes", **data))
    assert portal.visible(made["id"]) == []


def test_wri_difference_shows_what_is_not_approved(portal: Portal) -> None:
    """wri: who may read the public version reads the edits that wait."""
    t = portal.target("terbit")
    for user in (None, "warga", "produsen_dukcapil"):
        for action in ("satudata_history_list", "satudata_status_show"):
            with pytest.raises((tk.ObjectNotFound, tk.NotAuthorized)):
                portal.call(action, user, id=t.id)
            model.Session.rollback()
    # Opened again after a withdrawal: neither the edits nor what was public.
    id_ = portal.world.at("ditarik")["id"]
    portal.world.move("produsen_dinkes", id_, "buka_kembali")
    portal.world.call("package_patch", "produsen_dinkes", id=id_, notes="Belum disetujui.")
    assert portal.visible(id_) == []


@pytest.mark.parametrize("user", ["produsen_dinkes", "admin_dinkes", "admin", JOB], ids=str)
def test_dv_only_the_pages_ask(portal: Portal, user: Any) -> None:
    """dv: the form asks, the API does not."""
    t = portal.target("terverifikasi")
    for private in (False, "", "false", 0, None):
        with suppress(*REFUSED):
            portal.call("package_patch", user, id=t.id, private=private, notes="Lewat API")
        model.Session.rollback()
    portal.stands(t)


# UNHCR, CivityNL, Kartoza -------------------------------------------------------------------------
def test_un_membership_is_enough(world: World) -> None:
    """un: a validator asks whether somebody is a member, not as what, and of what."""
    id_ = world.standing("diajukan")
    root = {"ignore_auth": True, "user": "admin"}
    member = {"id": "diskominfo", "username": "warga"}
    world.call("organization_member_create", root, **member, role="member")
    try:
        with pytest.raises(REFUSED):
            world.move("warga", id_, "setujui")
        model.Session.rollback()
    finally:
        world.call("organization_member_delete", root, **member)
    assert world.status(id_)["status"] == "diajukan"


def test_civity_public_for_a_moment(portal: Portal, monkeypatch: pytest.MonkeyPatch) -> None:
    """CivityNL: it is saved as public, and hidden in a hook afterwards."""
    commits: list[bool] = []
    documents: list[str] = []
    other = sa.create_engine(model.ensure_engine().url)

    def look(_session: Any) -> None:
        with other.connect() as connection:
            query = sa.text(
                "SELECT count(*) FROM package WHERE NOT private AND name LIKE 'sesaat%'"
            )
            commits.append(bool(connection.execute(query).scalar_one()))

    solr = type(make_connection())
    add = solr.add

    def note(self: Any, docs: Any, *args: Any, **more: Any) -> Any:
        documents.extend(str(doc["capacity"]) for doc in docs)
        return add(self, docs, *args, **more)

    monkeypatch.setattr(solr, "add", note)
    event.listen(model.Session, "after_commit", look)
    try:
        for n, user in enumerate(("produsen_dinkes", "admin", JOB)):
            fields = {"name": f"sesaat-{n}", "private": False, "owner_org": "dinkes"}
            portal.world.call("package_create", user, **portal.dataset(**fields))
    finally:
        event.remove(model.Session, "after_commit", look)
        other.dispose()
    assert commits and not any(commits)
    assert documents and set(documents) == {"private"}


@pytest.mark.parametrize("status", ["draf", "diajukan", "terbit"])
def test_kartoza_owner_of_the_caller(portal: Portal, status: str) -> None:
    """Kartoza: rights are asked for the organization that the caller names."""
    t = portal.target(status)
    for data in ({"owner_org": "dukcapil"}, {"owner_org": portal.ids["dukcapil"], "title": "x"}):
        for user in ("produsen_dukcapil", "walidata"):
            with pytest.raises(REFUSED):
                portal.call("package_patch", user, id=t.id, **data)
            model.Session.rollback()
    portal.stands(t)


# CKAN's core --------------------------------------------------------------------------------------
def test_core_harvest(portal: Portal) -> None:
    """Harvesters run with ignore_auth, and find their target by a foreign id."""
    t = portal.target("terbit")
    assert portal.visible(harvest(portal, JOB, t)) == []
    with suppress(*REFUSED):
        harvest_again(portal, JOB, t)
    portal.stands(t)


def test_core_replaced_in_place(portal: Portal) -> None:
    """An approved file, its table, and the whole by package_revise."""
    t = portal.target("terverifikasi")
    ways: tuple[tuple[str, dict[str, Any]], ...] = (
        ("resource_update", {"id": t.resource, "name": "x", "upload": True}),
        ("datastore_upsert", {"resource_id": t.resource, "records": [{"jumlah": "0"}],
                              "method": "insert", "force": True}),
        ("package_revise", {"match": {"id": t.id}, "update": {"notes": "Diubah"}}),
        ("package_owner_org_update", {"id": t.id, "organization_id": "dukcapil"}),
    )  # fmt: skip
    for action, data in ways:
        for user in ("produsen_dinkes", "admin", JOB):
            if "upload" in data:
                data["upload"] = FileStorage(io.BytesIO(b"kode\n1\n"), filename="x.csv")
            with pytest.raises(REFUSED):
                portal.call(action, user, **data)
            model.Session.rollback()
    portal.stands(t)


def test_core_details_of_activities(
    monkeypatch: pytest.MonkeyPatch, doctor: Callable[[], list[str]]
) -> None:
    """Old drafts in the activities of what is public: off, and `doctor` names the line."""
    monkeypatch.setitem(tk.config, "ckan.auth.public_activity_stream_detail", True)
    assert any("public_activity_stream_detail = false" in line for line in doctor())
