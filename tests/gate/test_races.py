"""Two people at the same moment: one of them is told, and what was decided on is what was read.

Races for an approval or a publication are run 20 times, the others 5; by `./portal soak races` all
of them 200 times.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from threading import Barrier, Event
from typing import Any, ClassVar

import ckan.logic.action.create as core_create
import ckan.logic.action.delete as core_delete
import ckan.logic.action.update as core_update
import ckan.model as core
import ckan.plugins.toolkit as tk
import pytest
import sqlalchemy as sa
from ckan.lib.search.common import make_connection
from ckan.lib.search.index import PackageSearchIndex
from werkzeug.datastructures import FileStorage

from ckanext.satudata_trenggalek import content, gate, maintenance, model, tables
from ckanext.satudata_trenggalek.workflow import engine, service
from tests.soak import Soak
from tests.world import World

REFUSED = (tk.NotAuthorized, tk.ValidationError)
#: An editor of two organizations, who may move a draft from one to the other.
MOVER = "produsen_dua_opd"


def run(act: Callable[[], Any]) -> Any:
    """What an act gave, or the refusal it met; whatever else it raises fails the test."""
    try:
        return act()
    except REFUSED as error:
        return error
    finally:
        core.Session.remove()


def at_once(*acts: Callable[[], Any]) -> list[Any]:
    """What each act gave, or the refusal it met; all start together, each on its own connection."""
    barrier = Barrier(len(acts))

    def start(act: Callable[[], Any]) -> Any:
        barrier.wait()
        return run(act)

    core.Session.remove()
    with ThreadPoolExecutor(len(acts)) as pool:
        return list(pool.map(start, acts))


@pytest.fixture
def unindexed(world: World, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Solr is told of what was raced at the end: it decides nothing, and takes half the time."""
    world.kegiatan()
    with monkeypatch.context() as patch:
        patch.setattr(PackageSearchIndex, "index_package", lambda *_: None)
        yield
    core.Session.remove()
    for id_ in Raced.raced:
        service.reindex(id_)
    Raced.raced.clear()


def given(result: Any) -> bool:
    """Whether somebody got what they asked for."""
    return not isinstance(result, REFUSED)


class Raced:
    """A dataset with a table and a note that is brought back to where the next race begins.

    Tests share one for each Produsen Data.
    """

    #: Ids of those raced in a test.
    raced: ClassVar[list[str]] = []

    #: status -> who makes which transition towards the start of a race.
    BACK = {
        "draf": ("produsen", "ajukan"),
        "dikembalikan": ("produsen", "ajukan"),
        "diajukan": ("walidata", "setujui"),
        "terverifikasi": ("walidata", "kembalikan"),
        "terbit": ("walidata", "tarik"),
        "ditarik": ("walidata", "buka_kembali"),
    }

    def __init__(self, world: World, produsen: str = "produsen_dinkes") -> None:
        self.world, self.produsen = world, produsen
        key = f"raced by {produsen}"
        if not any(map(core.Package.get, world.shared.get(key, "").split()[:1])):
            id_ = world.draft(produsen)["id"]
            note = world.upload(produsen, id_, b"Catatan 0", "catatan.txt")["id"]
            world.shared[key] = f"{id_} {note}"
        self.id, self.note = world.shared[key].split()
        self.raced.append(self.id)

    def draft(self) -> None:
        """Bring it to where its Produsen may change it."""
        self.to("terverifikasi")
        self.move("walidata", "kembalikan")

    def elsewhere(self) -> str:
        """Id of the organization to which it does not belong."""
        package = core.Package.get(self.id)
        assert package
        ids = [self.world.ids[name] for name in ("dinkes", "dukcapil")]
        return ids[package.owner_org == ids[0]]

    def row(self) -> model.Status:
        core.Session.rollback()
        row = core.Session.get(model.Status, self.id, populate_existing=True)
        assert row
        return row

    def to(self, status: str) -> str:
        """Bring it to `diajukan` or `terverifikasi`; the content hash that is read there."""
        while True:
            row = self.row()
            hash_ = service.content_hash(self.id, row)
            if row.status == status:
                core.Session.remove()
                return hash_
            who, name = self.BACK[row.status]
            self.move(self.produsen if who == "produsen" else who, name, hash_)

    def move(self, user: str, name: str, hash_: str = "") -> None:
        """Make a transition, as the API does."""
        request = engine.Request(
            note="Perbaiki.",
            content_hash=hash_,
            checklist=World.CHECKLIST if name == "setujui" else {},
        )
        service.transition(self.id, core.User.get(user), name, request)

    def stands(self, hash_: str) -> bool:
        """Whether what was read is what stands approved, to the last row."""
        row = self.row()
        return row.content_hash == hash_ == content.digest(content.canonical(self.id))

    # What somebody does meanwhile: takes it back, changes it, and submits it again.

    def nothing(self, _round: int) -> None:
        self.move(self.produsen, "batalkan")

    def edit(self, round_: int) -> None:
        self.nothing(round_)
        text = f"Definisi {round_}."
        self.world.call("package_patch", self.produsen, id=self.id, definisi=text)
        self.move(self.produsen, "ajukan")

    def upload(self, round_: int) -> None:
        self.nothing(round_)
        file = FileStorage(io.BytesIO(f"Catatan {round_}".encode()), filename="catatan.txt")
        self.world.call("resource_patch", self.produsen, id=self.note, upload=file)
        tables.load(self.note)
        self.move(self.produsen, "ajukan")

    def move_owner(self, round_: int) -> None:
        self.nothing(round_)
        owner = ("dukcapil", "dinkes")[round_ % 2]
        # package_owner_org_update, which is for sysadmins and jobs, writes the same rows.
        job = {"ignore_auth": True, "user": self.produsen}
        self.world.call(
            "package_owner_org_update", job, id=self.id, organization_id=self.world.ids[owner]
        )
        self.move(self.produsen, "ajukan")


def mover(world: World) -> str:
    if core.User.get(MOVER) is None:
        root = {"ignore_auth": True, "user": "admin"}
        email, password = f"{MOVER}@example.id", "rahasia-123"
        world.call("user_create", root, name=MOVER, email=email, password=password)
        for owner in ("dinkes", "dukcapil"):
            world.call("organization_member_create", root, id=owner, username=MOVER, role="editor")
    return MOVER


@pytest.mark.usefixtures("unindexed")
@pytest.mark.parametrize("change", ["nothing", "edit", "upload", "move_owner"])
def test_approve_against(world: World, soak: Soak, change: str) -> None:
    """Against `batalkan` alone, and with an edit, an upload, another owner before `ajukan`."""
    raced = Raced(world, mover(world) if change == "move_owner" else "produsen_dinkes")
    for round_ in soak.rounds():
        read = raced.to("diajukan")
        approved, changed = at_once(
            partial(raced.move, "walidata", "setujui", read),
            partial(getattr(raced, change), round_),
        )
        if given(approved):
            assert not given(changed) and raced.stands(read)
        else:
            assert given(changed), changed
            assert raced.row().status == ("draf" if change == "nothing" else "diajukan")


@pytest.mark.usefixtures("unindexed")
def test_two_approvals(world: World, soak: Soak) -> None:
    raced = Raced(world)
    for _round in soak.rounds():
        read = raced.to("diajukan")
        both = at_once(
            *(partial(raced.move, user, "setujui", read) for user in ("walidata", "walidata_2"))
        )
        assert sorted(map(given, both)) == [False, True]
        assert raced.stands(read)


@pytest.mark.usefixtures("unindexed")
def test_approve_against_return(world: World, soak: Soak) -> None:
    raced = Raced(world)
    for _round in soak.rounds(few=True):
        read = raced.to("diajukan")
        _approved, returned = at_once(
            partial(raced.move, "walidata", "setujui", read),
            partial(raced.move, "walidata_2", "kembalikan"),
        )
        # Returning what was just approved is allowed; approving what was just returned is not.
        assert given(returned) and raced.row().status == "dikembalikan"
    assert maintenance.verify()[1] == []


@pytest.mark.usefixtures("unindexed")
@pytest.mark.parametrize("against", ["publish", "edit", "schedule"])
def test_publish_against(world: World, soak: Soak, against: str) -> None:
    """Against a second publication, a return with an edit, the schedule."""
    raced = Raced(world)

    def edit(round_: int) -> None:
        raced.move("walidata_2", "kembalikan")
        text = f"Definisi {round_}."
        world.call("package_patch", raced.produsen, id=raced.id, definisi=text)

    for round_ in soak.rounds(few=against != "publish"):
        read, version = raced.to("terverifikasi"), raced.row().version
        other: dict[str, Callable[[], Any]] = {
            "publish": partial(raced.move, "walidata_2", "terbitkan", read),
            "edit": partial(edit, round_),
            "schedule": lambda: _published(service.publish_due()),
        }
        if against == "schedule":
            world.due(raced.id)
        published, result = at_once(
            partial(raced.move, "walidata", "terbitkan", read), other[against]
        )
        done = raced.id in result if against == "schedule" else given(result)
        assert given(published) != done, (published, result)
        row = raced.row()
        assert row.version == version + (row.status == "terbit")
        assert row.status == ("dikembalikan" if done and against == "edit" else "terbit")
        assert row.status != "terbit" or raced.stands(read)


def test_publish_against_withdrawal(world: World, soak: Soak) -> None:
    """Solr too says what the database says: who read first does not write last."""
    raced = Raced(world)
    for _round in soak.rounds(few=True):
        read = raced.to("terverifikasi")
        published, withdrawn = at_once(
            partial(raced.move, "walidata", "terbitkan", read),
            partial(raced.move, "walidata_2", "tarik"),
        )
        assert given(published)
        assert raced.row().status == ("ditarik" if given(withdrawn) else "terbit")
        doors = [] if given(withdrawn) else ["package_show", "package_search", "package_list"]
        assert world.visible(raced.id) == doors
        (document,) = make_connection().search(f"id:{raced.id}", fl="capacity")
        assert document["capacity"] == ("private" if given(withdrawn) else "public")


def _published(names: Any) -> list[str]:
    return [package.id for name in names if (package := core.Package.get(name))]


@pytest.mark.usefixtures("unindexed")
def test_edit_against_submission(world: World, soak: Soak) -> None:
    id_ = world.draft()["id"]
    Raced.raced.append(id_)
    for round_ in soak.rounds(few=True):
        edited, submitted = at_once(
            lambda: world.call(
                "package_patch",
                "produsen_dinkes_2",
                id=id_,
                definisi=f"Definisi {round_}.",  # noqa: B023
            ),
            lambda: world.move_raw("produsen_dinkes", id_, "ajukan"),
        )
        assert isinstance(submitted, dict), submitted
        kept = core.Session.get(model.Content, submitted["content_hash"])
        assert kept is not None
        # What stands there is what was submitted, whether the edit came before or was refused.
        assert content.canonical(id_) == kept.content
        assert isinstance(edited, dict) == (
            kept.content["extras"]["definisi"] == f"Definisi {round_}."
        )
        world.move("produsen_dinkes", id_, "batalkan")


BEGUN: dict[str, Callable[[Raced], dict[str, Any]]] = {
    "package_owner_org_update": lambda raced: {
        "id": raced.id,
        "organization_id": raced.elsewhere(),
    },
    "resource_delete": lambda raced: {"id": raced.note},
    "resource_view_create": lambda raced: {
        "resource_id": raced.note,
        "view_type": "text_view",
        "title": "Tampilan lain",
    },
}


@pytest.mark.usefixtures("unindexed")
@pytest.mark.parametrize("action", BEGUN)
def test_change_that_began_in_the_draft(
    world: World, monkeypatch: pytest.MonkeyPatch, action: str
) -> None:
    """Its access was checked while the dataset was a draft; it goes on when that is approved.

    package_update and resource_update lock it before they check (ckan/logic/action/update.py).
    """
    raced = Raced(world, mover(world))
    raced.draft()
    data = BEGUN[action](raced)
    inside, go_on = Event(), Event()

    def paused(name: str, context: Any, data_dict: Any = None) -> Any:
        allowed = tk.check_access(name, context, data_dict)
        if not inside.is_set():
            inside.set()
            assert go_on.wait(60)
        return allowed

    for module in (core_create, core_update, core_delete):
        monkeypatch.setattr(module, "_check_access", paused)
    core.Session.remove()
    with ThreadPoolExecutor(1) as pool:
        # A job: packages are given to another organization by nobody else.
        user: Any = raced.produsen
        if action == "package_owner_org_update":
            user = {"ignore_auth": True, "user": user}
        late = pool.submit(run, lambda: world.call(action, user, **data))
        try:
            assert inside.wait(60)
            read = raced.to("terverifikasi")
        finally:
            go_on.set()
        assert not given(late.result())
    assert raced.stands(read)
    assert world.visible(raced.id) == []


def test_nobody_waits_in_the_other_order(world: World) -> None:
    """A change of a dataset's children first, then of itself: a transition waits for all of it.

    `package_owner_org_update` writes in this order, when SQLAlchemy flushes members first.
    """
    id_ = world.draft()["id"]
    core.Session.remove()

    def lock() -> str:
        return service.lock(id_)[1].status

    engine_ = core.ensure_engine()
    with ThreadPoolExecutor(1) as pool, engine_.begin() as change:
        change.execute(
            sa.text("UPDATE resource SET name = 'x' WHERE package_id = :id"), {"id": id_}
        )
        locked = pool.submit(run, lock)
        _await_waiting()
        change.execute(sa.text("UPDATE package SET notes = 'x' WHERE id = :id"), {"id": id_})
        change.commit()
        assert locked.result() == "draf"


def _await_waiting() -> None:
    """Until a connection of this database waits for a lock."""
    query = sa.text(
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
        " AND wait_event_type = 'Lock'"
    )
    with core.ensure_engine().connect() as connection:
        while not connection.scalar(query):
            connection.rollback()


def test_deadlock_is_a_lost_race(world: World) -> None:
    """PostgreSQL ends one of two that wait for each other; it is told so, and may try again."""
    ids = [world.draft()["id"] for _ in range(2)]
    barrier = Barrier(2)

    def lock(one: str, other: str) -> str:
        with gate.explained():
            service.lock(one)
            barrier.wait()
            service.lock(other)
            core.Session.rollback()
        return "locked"

    core.Session.remove()
    with ThreadPoolExecutor(2) as pool:
        both = list(pool.map(lambda pair: run(lambda: lock(*pair)), (ids, ids[::-1])))
    assert "locked" in both
    (lost,) = [one for one in both if one != "locked"]
    assert isinstance(lost, tk.ValidationError) and list(lost.error_dict) == ["id"]


@pytest.mark.usefixtures("unindexed")
def test_deletion_against_submission(world: World, soak: Soak) -> None:
    """Both write the next event of one chain."""
    for _round in soak.rounds(few=True):
        id_ = world.call("package_create", "produsen_dinkes", **world.kegiatan_metadata())["id"]
        Raced.raced.append(id_)
        deleted, submitted = at_once(
            lambda: world.call("package_delete", "produsen_dinkes", id=id_),  # noqa: B023
            lambda: world.move_raw("produsen_dinkes", id_, "ajukan"),  # noqa: B023
        )
        assert isinstance(submitted, dict) != (deleted is None), (deleted, submitted)
    assert maintenance.verify()[1] == []


@pytest.mark.parametrize("first", ["publish", "withdraw"])
def test_publication_against_withdrawal_of_its_kegiatan(
    world: World, monkeypatch: pytest.MonkeyPatch, first: str
) -> None:
    """Whoever comes second waits for the first, and then sees what it did."""
    kegiatan = world.kegiatan_at("terbit")["id"]
    id_ = world.at("terverifikasi", id_kegiatan=kegiatan)["id"]
    hash_ = world.status(id_)["content_hash"]
    inside, go_on = Event(), Event()
    original = getattr(gate, first)

    def paused(package: core.Package) -> None:
        inside.set()
        assert go_on.wait(20)
        original(package)

    monkeypatch.setattr(gate, first, paused)
    acts: dict[str, Callable[[], Any]] = {
        "publish": lambda: world.move_raw("walidata", id_, "terbitkan", content_hash=hash_),
        "withdraw": lambda: world.move_raw("walidata_2", kegiatan, "tarik", note="Keliru."),
    }
    second = next(name for name in acts if name != first)

    def run(name: str) -> Any:
        try:
            return acts[name]()
        except REFUSED as error:
            return error
        finally:
            core.Session.remove()

    core.Session.remove()
    with ThreadPoolExecutor(2) as pool:
        one = pool.submit(run, first)
        assert inside.wait(20)
        other = pool.submit(run, second)
        try:
            with pytest.raises(TimeoutError):
                other.result(timeout=0.7)
        finally:
            go_on.set()
        assert one.result()["status"] in ("terbit", "ditarik")
        result = other.result()
    if first == "publish":
        assert result["status"] == "ditarik"
        assert world.status(id_)["status"] == "terbit"
    else:
        assert list(result.error_dict) == ["id_kegiatan"]
        assert world.status(id_)["status"] == "terverifikasi"
