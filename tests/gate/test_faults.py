"""Everything dies at every step of a transition, and nothing unverified is visible, nothing lost.

The call runs in a process of its own, forked from this one, in which a function of the portal is
replaced by one that meets the fault; nothing of it exists in production. The process is killed, or
PostgreSQL, Solr, Redis or the worker are. Then the same call is made again.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import io
import json
import os
import resource as limits
import signal
import sys
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import ckan.model as core
import ckan.plugins.toolkit as tk
import psycopg2
import pytest
import sqlalchemy as sa
from ckan.lib import jobs
from ckan.tests.helpers import CKANTestApp
from ckanext.datastore.backend import postgres as datastore
from processes import wait_for_exit
from sqlalchemy.exc import OperationalError
from werkzeug.datastructures import FileStorage
from werkzeug.test import encode_multipart

from ckanext.satudata_trenggalek import audit, checks, files, findings, maintenance, tables
from ckanext.satudata_trenggalek.workflow import service
from tests.soak import Soak
from tests.world import World

REFUSED = (tk.NotAuthorized, tk.ObjectNotFound, tk.ValidationError)
DONE, REFUSAL, FAILURE = 0, 3, 4

# A process that meets a fault ---------------------------------------------------------------------


def forked(act: Callable[[], Any]) -> int:
    """Do something in a process of its own.

    Returns:
        DONE, REFUSAL (it was refused in words) or FAILURE; minus the signal that killed it.
    """
    core.Session.remove()
    sys.stdout.flush()
    sys.stderr.flush()
    if pid := os.fork():
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    code = FAILURE
    try:
        # The connections of before are the parent's.
        for engine_ in (core.ensure_engine(), datastore.get_write_engine()):
            engine_.dispose(close=False)
        act()
        code = DONE
    except REFUSED as error:
        print(error, file=sys.stderr)
        code = REFUSAL
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def meets(owner: Any, name: str, fault: Callable[[], Any], after: bool) -> None:
    """Let a function of owner meet the fault before or after it does its work."""
    original = getattr(owner, name)

    def faulty(*args: Any, **kwargs: Any) -> Any:
        if not after:
            fault()
        result = original(*args, **kwargs)
        if after:
            fault()
        return result

    setattr(owner, name, faulty)


def _before_commit(fault: Callable[[], Any]) -> None:
    meets(service, "_make", lambda: meets(core.Session, "commit", fault, after=False), after=True)


#: Step of a transition -> how to meet a fault there.
STEPS: dict[str, Callable[[Callable[[], Any]], None]] = {
    "before the lock": lambda fault: meets(service, "lock", fault, after=False),
    "after the lock": lambda fault: meets(service, "lock", fault, after=True),
    "after the event": lambda fault: meets(service, "record", fault, after=True),
    "after the flush": lambda fault: meets(service, "_make", fault, after=True),
    "before the commit": _before_commit,
    "before the index": lambda fault: meets(service, "reindex", fault, after=False),
    "after the index": lambda fault: meets(service, "reindex", fault, after=True),
}
#: Steps at which the decision is made for good.
DECIDED = ("before the index", "after the index")

# What dies ----------------------------------------------------------------------------------------


def suicide() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


class Services:
    """The services of this run, to be killed and started again."""

    def __init__(self) -> None:
        import portal

        home = portal.Portal(Path(os.environ["SATUDATA_HOME"]))
        self.home = portal.TestPortal(home, os.environ["SATUDATA_TEST_HOME"])
        self.worker = 0

    def kill(self, name: str, number: signal.Signals = signal.SIGKILL) -> None:
        pid = self.home.alive(name)
        assert pid, f"{name} does not run"
        os.kill(pid, number)
        if number == signal.SIGKILL:
            wait_for_exit(pid, 10)

    # In the process that dies with it.

    def disconnect(self) -> None:
        """The database ends the connection, as when it is shut down at once."""
        pid = core.Session.scalar(sa.text("SELECT pg_backend_pid()"))
        url = core.ensure_engine().url
        other = psycopg2.connect(host=url.host, port=url.port, user=url.username,
                                 password=url.password, dbname=url.database)  # fmt: skip
        with contextlib.closing(other), other.cursor() as cursor:
            cursor.execute("SELECT pg_terminate_backend(%s, 10000)", (pid,))

    def crash(self) -> None:
        """A killed backend takes all others with it; the database recovers from its log."""
        os.kill(core.Session.scalar(sa.text("SELECT pg_backend_pid()")), signal.SIGKILL)

    def freeze(self) -> None:
        tk.config["solr_timeout"] = 0.3
        self.kill("solr", signal.SIGSTOP)

    # Afterwards.

    def recover(self) -> None:
        """Wait until the database takes connections again."""
        core.Session.remove()
        for engine_ in (core.ensure_engine(), datastore.get_write_engine()):
            engine_.dispose()
            while True:
                with contextlib.suppress(OperationalError), engine_.connect():
                    break

    def thaw(self) -> None:
        self.kill("solr", signal.SIGCONT)

    def start(self, name: str) -> None:
        self.home.start(getattr(self.home, name)())

    def work(self) -> None:
        """A job worker that waits for work."""
        core.Session.remove()
        self.worker = os.fork()
        if not self.worker:
            try:
                jobs.Worker(["sepi"]).work()
            finally:
                os._exit(1)

    def bury(self) -> None:
        if self.worker:
            os.kill(self.worker, signal.SIGKILL)
            os.waitpid(self.worker, 0)
            self.worker = 0


@pytest.fixture(scope="module")
def services() -> Iterator[Services]:
    services = Services()
    # What was committed must outlive the database, as in production; ./portal test is faster.
    durable = "ALTER ROLE CURRENT_USER SET synchronous_commit = on"
    for statement in (durable, durable.replace(" SET ", " RESET ").replace(" = on", "")):
        with core.ensure_engine().begin() as connection:
            connection.exec_driver_sql(statement)
        services.recover()
        if statement == durable:
            yield services
            core.Session.remove()
            services.bury()


#: What dies -> how, how it is put right, and whether the call dies with it.
Fault = tuple[Callable[[Services], Any], Callable[[Services], Any], bool]
FAULTS: dict[str, Fault] = {
    "web": (lambda services: suicide(), lambda services: None, True),
    "connection": (Services.disconnect, Services.recover, True),
    "postgresql": (Services.crash, Services.recover, True),
    "solr hangs": (Services.freeze, Services.thaw, False),
    "solr": (
        lambda services: services.kill("solr"),
        lambda services: services.start("solr"),
        False,
    ),
    "redis": (
        lambda services: services.kill("redis"),
        lambda services: services.start("redis"),
        False,
    ),
    "worker": (
        lambda services: os.kill(services.worker, signal.SIGKILL),
        lambda services: (services.bury(), services.work()),
        False,
    ),
}
#: What a transition does not wait for, or what takes seconds to come back, dies at one step only in
#: `./portal test`; in soak at all.
ONCE = {
    "postgresql": "before the commit",
    "solr hangs": "before the index",
    "solr": "before the index",
    "redis": "before the commit",
    "worker": "before the commit",
}

CALLS = (
    ("produsen_dinkes", "ajukan", "draf", "diajukan"),
    ("walidata", "setujui", "diajukan", "terverifikasi"),
    ("walidata", "terbitkan", "terverifikasi", "terbit"),
    ("walidata", "tarik", "terbit", "ditarik"),
)


def points(soak: bool) -> list[tuple[str, str]]:
    return [
        (what, step) for what in FAULTS for step in STEPS if soak or ONCE.get(what, step) == step
    ]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if {"what", "step"} <= set(metafunc.fixturenames):
        metafunc.parametrize(("what", "step"), points(bool(metafunc.config.getoption("--soak"))))


def dataset(world: World) -> str:
    """The draft that goes through all faults, again and again."""
    id_ = world.shared.get("faults", "")
    if not id_ or core.Package.get(id_) is None:
        id_ = world.shared["faults"] = world.draft()["id"]
    # A test that failed may have left it anywhere.
    back = {
        "diajukan": ("produsen_dinkes", "batalkan"),
        "terverifikasi": ("walidata", "kembalikan"),
        "terbit": ("walidata", "tarik"),
        "ditarik": ("walidata", "buka_kembali"),
    }
    while (status := standing(id_)) in back:
        user, name = back[status]
        world.move(user, id_, name, note="Ulangi.")
    return id_


def standing(id_: str) -> str:
    core.Session.rollback()
    query = sa.text("SELECT status FROM satudata_status WHERE package_id = :id")
    return core.Session.scalar(query, {"id": id_}) or ""


def events(id_: str, name: str) -> int:
    query = "SELECT count(*) FROM satudata_event WHERE package_id = :id AND event = :name"
    return core.Session.scalar(sa.text(query), {"id": id_, "name": name}) or 0


def check_public(world: World, app: CKANTestApp, id_: str, status: str, indexed: bool) -> None:
    """Anonymous readers see the dataset by all ways, or by none."""
    resource = world.call("package_show", "admin", id=id_)["resources"][0]["id"]
    download = app.test_client().get(f"/dataset/{id_}/resource/{resource}/download/x.csv")
    try:
        rows = world.call("datastore_search", None, resource_id=resource)["total"]
    except REFUSED:
        rows = None
    doors = world.visible(id_)
    if status != "terbit":
        assert (doors, download.status_code, rows) == ([], 404, None)
        return
    assert (download.data, rows) == (World.CSV, 2)
    # Solr may lag behind what is published, until the call is repeated or the index reconciled.
    assert set(doors) | {"package_search"} == {"package_show", "package_search", "package_list"}
    assert not indexed or "package_search" in doors


def check_agreement(id_: str) -> None:
    """Database, index and files agree once they are reconciled, and the record is whole."""
    maintenance.reconcile(fix=True)
    problems = [*maintenance.reconcile(fix=False), *audit.verify()[2], *maintenance.altered(),
                *audit.published()]  # fmt: skip
    assert [problem for problem in problems if id_ in problem] == []
    core.Session.remove()


def test_fault(
    world: World, app: CKANTestApp, services: Services, soak: Soak, what: str, step: str
) -> None:
    strike, mend, fatal = FAULTS[what]
    id_ = dataset(world)
    if what == "worker" and not services.worker:
        services.work()
    for _round in range(soak(1, 3)):
        for user, name, before, after in CALLS:
            if what == "solr" and not soak.on and name != "terbitkan":
                world.move(user, id_, name, note="Keliru.")  # it takes ten seconds to start
                continue
            data = {"content_hash": world.status(id_)["content_hash"], "note": "Keliru."}
            if name == "setujui":
                data["checklist"] = World.CHECKLIST
            told = events(id_, name)

            def call() -> None:
                STEPS[step](lambda: strike(services))
                world.move_raw(user, id_, name, **data)  # noqa: B023

            try:
                code = forked(call)
            finally:
                mend(services)
            if what == "web":
                assert code == -signal.SIGKILL
            elif not fatal:
                assert code == DONE
            decided = step in DECIDED or not fatal
            assert standing(id_) == (after if decided else before)
            check_public(world, app, id_, after if decided else before, indexed=False)
            # The same call again, whether it was carried out or not.
            assert world.move_raw(user, id_, name, **data)["status"] == after
            assert events(id_, name) == told + 1
            if after == "terbit":
                check_public(world, app, id_, after, indexed=True)
            soak.count("faults")
        world.move("walidata", id_, "buka_kembali")
    check_agreement(id_)


# Tables -------------------------------------------------------------------------------------------

LOADING: dict[str, tuple[Any, str, bool]] = {
    "before it is read": (checks, "examine", False),
    "half filled": (tables, "_copy", True),
    "before the swap": (tables, "_swap", False),
    "after the swap": (tables, "_swap", True),
    "before it is told": (tables, "_show", False),
    "before the views": (tables, "_views", False),
}


@pytest.mark.parametrize("point", LOADING)
def test_worker_killed_while_it_loads(world: World, services: Services, point: str) -> None:
    """The load is queued again at once, since nobody holds its lock."""
    owner, name, after = LOADING[point]
    made = world.call("package_create", "produsen_dinkes", **world.metadata())
    resource = _upload(world, made["id"])["id"]

    def load() -> None:
        meets(owner, name, suicide, after)
        tables.load(resource)

    assert forked(load) == -signal.SIGKILL
    row = tables.state(resource)
    assert row
    if row.state != "termuat":
        assert row.state == "memuat" and tables.pending(made["id"]) == [resource]
        with pytest.raises(tk.ValidationError):
            world.move_raw("produsen_dinkes", made["id"], "ajukan")
        # Until PostgreSQL has seen that the worker is gone.
        while resource not in tables._deserted():
            pass
        assert tables.requeue_stuck() >= 1
        core.Session.remove()
        row = tables.state(resource)
        assert row and row.state == "antre"
        tables.load(resource)
    core.Session.remove()
    row = tables.state(resource)
    assert row and row.state == "termuat" and tables.pending(made["id"]) == []
    found = world.call("datastore_search", "produsen_dinkes", resource_id=resource)
    assert [record["kecamatan"] for record in found["records"]] == ["Panggul", "Munjungan"]
    with datastore.get_write_engine().connect() as connection:
        hidden = sa.text("SELECT to_regclass(:name)")
        assert connection.scalar(hidden, {"name": tables._hidden(resource)}) is None
    views = world.call("resource_view_list", "produsen_dinkes", id=resource)
    assert [view["view_type"] for view in views] == ["datatables_view"]


def test_loads_that_run_are_left_alone(world: World) -> None:
    made = world.call("package_create", "produsen_dinkes", **world.metadata())
    resource = _upload(world, made["id"])["id"]
    tables.load(resource)
    with tables._datastore(resource):
        tables._mark(resource, "memuat")
        assert resource not in tables._deserted()
    assert resource in tables._deserted()
    tables._mark(resource, "termuat")


def _upload(world: World, id_: str, data: bytes = World.CSV) -> dict[str, Any]:
    return world.call(
        "resource_create",
        "produsen_dinkes",
        package_id=id_,
        name="kelahiran.csv",
        format="CSV",
        variabel=[dict(row) for row in World.VARIABEL],
        upload=FileStorage(io.BytesIO(data), filename="kelahiran.csv"),
    )


def test_redis_down_at_upload(world: World, services: Services) -> None:
    """The upload is kept; its table is loaded once Redis is there again."""
    made = world.call("package_create", "produsen_dinkes", **world.metadata())
    services.kill("redis")
    try:
        resource = _upload(world, made["id"])["id"]
    finally:
        services.start("redis")
    row = tables.state(resource)
    assert row and (row.state, findings.tell(row.message)) == ("antre", tables.WAITING)
    jobs.get_queue().empty()
    tables.requeue_stuck(minutes=0)
    queued = [job for job in jobs.get_queue().jobs if resource in job.args]
    assert [job.func for job in queued] == [tables.load]
    tables.load(resource)
    assert tables.pending(made["id"]) == []
    jobs.get_queue().empty()


# Files --------------------------------------------------------------------------------------------


def stored() -> set[str]:
    return set(files.storage().scan())


def _small_files(size: int) -> None:
    """The disk takes files of so many bytes, and then says that it is full."""
    limits.setrlimit(limits.RLIMIT_FSIZE, (size, size))


def test_disk_full_while_the_file_is_stored(world: World) -> None:
    made = world.call("package_create", "produsen_dinkes", **world.metadata())
    before, data = stored(), World.CSV * 1000
    shown: list[Any] = []

    def upload() -> None:
        _small_files(10_000)
        with pytest.raises(tk.ValidationError) as error:
            _upload(world, made["id"], data)
        message = str(error.value.error_dict["upload"])
        assert "penuh" in message and "Hubungi pengelola portal" in message
        # In the same process, and session, the next that comes is served.
        shown.append(world.call("package_show", "produsen_dinkes", id=made["id"]))
        assert shown[0]["resources"] == []

    assert forked(upload) == DONE
    assert stored() == before
    assert _upload(world, made["id"], data)["size"] == len(data)


def test_disk_full_while_the_form_is_read(world: World, app: CKANTestApp) -> None:
    """A large upload is kept on the disk before any action sees it."""
    made = world.call("package_create", "produsen_dinkes", **world.metadata())
    token = world.call("api_token_create", "produsen_dinkes", user="produsen_dinkes", name="uji")
    before, file = stored(), FileStorage(io.BytesIO(b"x" * 2_000_000), filename="x.csv")
    boundary, body = encode_multipart({"package_id": made["id"], "upload": file})

    def upload() -> None:
        _small_files(100_000)
        answer = app.test_client().post(
            "/api/action/resource_create",
            headers={"Authorization": token["token"]},
            data=body,
            content_type=f"multipart/form-data; boundary={boundary}",
        )
        assert answer.status_code == 507, answer.data
        assert "penuh" in json.loads(answer.data)["error"]["upload"][0]

    assert forked(upload) == DONE
    assert stored() == before
    assert world.call("package_show", "produsen_dinkes", id=made["id"])["resources"] == []


@pytest.mark.parametrize(
    ("point", "left"), [((os, "fsync", False), 1), ((files, "_store", True), 1)],
    ids=["half written", "before the commit"],
)  # fmt: skip
def test_web_process_killed_at_upload(
    world: World, point: tuple[Any, str, bool], left: int
) -> None:
    """What lies there unused goes after the grace period; the resource is not there at all."""
    made = world.call("package_create", "produsen_dinkes", **world.metadata())
    data = World.CSV + f"35.03.03,{made['id']},1\n".encode()
    before = stored()

    def upload() -> None:
        meets(point[0], point[1], suicide, point[2])
        _upload(world, made["id"], data)

    assert forked(upload) == -signal.SIGKILL
    assert len(stored() - before) == left
    assert world.call("package_show", "produsen_dinkes", id=made["id"])["resources"] == []
    assert files.collect() == 0
    while stored() - before:  # until PostgreSQL has seen that the process is gone
        files.collect(grace_hours=0)
    assert _upload(world, made["id"], data)["size"] == len(data)


# The clock ----------------------------------------------------------------------------------------


def test_clock_moved_back(world: World, owner: sa.Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    """Events keep their order, deadlines follow the clock, the schedule publishes once.

    The clock of the portal is `service.now`, which is replaced: all that is decided by time asks
    it. The database's own now() only stamps what no decision rests on (`since` of a new draft, age
    of waiting loads and of the trash), so that it needs no second clock here.
    """
    real = service.now
    moved = dt.timedelta(0)
    monkeypatch.setattr(service, "now", lambda: real() + moved)
    id_ = world.at("diajukan")["id"]
    moved = -dt.timedelta(days=3)
    at = (real() + dt.timedelta(hours=1)).isoformat()
    status = world.move("walidata", id_, "setujui", publish_at=at)
    assert status["status"] == "terverifikasi"
    assert service.publish_due() == []
    moved = dt.timedelta(hours=2)
    assert world.status(id_)["name"] in service.publish_due()
    moved = -dt.timedelta(days=3)
    assert service.publish_due() == []
    moved = dt.timedelta(hours=3)
    assert service.publish_due() == []
    shown = world.call("satudata_history_list", "walidata", id=id_)["results"]
    seqs = [event["seq"] for event in shown]
    assert sorted(seqs) == list(range(1, len(seqs) + 1)) and seqs in (
        sorted(seqs),
        sorted(seqs)[::-1],
    )
    assert [event["event"] for event in shown].count("terbitkan") == 1
    assert world.status(id_)["version"] == 1
    moved = -dt.timedelta(days=3)
    # A deadline lies after the day on which its clock began, as that clock showed it.
    other = world.at("diajukan")["id"]
    status = world.status(other)
    assert dt.datetime.fromisoformat(status["since"]) < dt.datetime.fromisoformat(status["due_at"])
    assert not status["overdue"]
    audit.anchor()
    assert audit.verify()[2] == [] and maintenance.altered() == []
