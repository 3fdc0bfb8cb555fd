"""A backup that is taken while people work, and the databases that come out of it."""

from __future__ import annotations

import functools
import hashlib
import io
import os
import shutil
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import backup
import ckan.model as core
import ckan.plugins.toolkit as tk
import portal
import psycopg2
import pytest
import sqlalchemy as sa

from ckanext.satudata_trenggalek import audit, files, maintenance, model
from ckanext.satudata_trenggalek.model import ddl, roles
from tests.world import World


@pytest.fixture
def installation() -> portal.TestPortal:
    """The services of this run."""
    home = portal.Portal(Path(os.environ["SATUDATA_HOME"]))
    return portal.TestPortal(home, os.environ["SATUDATA_TEST_HOME"])


@pytest.fixture
def folder(installation: portal.TestPortal) -> Iterator[Path]:
    """Where archives lie; the databases that are made of them are dropped at the end."""
    path = Path(tempfile.mkdtemp(dir=installation.home))
    yield path
    shutil.rmtree(path)
    core.Session.remove()
    for name in backup.DUMPS:
        installation.sql(f"DROP DATABASE IF EXISTS {name}_restored WITH (FORCE)")


@pytest.fixture
def at_work(world: World) -> Iterator[tuple[list[str], Callable[[], None]]]:
    """Somebody uploads, submits, approves and publishes: what was published, and how to end it."""
    world.standing("terbit")
    core.Session.remove()
    done: list[Any] = []
    ended, begun = threading.Event(), threading.Event()

    def work() -> None:
        try:
            while not ended.is_set():
                done.append(world.at("terbit")["id"])
                core.Session.remove()
                begun.set()
        except BaseException as error:
            done.append(error)
        finally:
            begun.set()
            core.Session.remove()

    def end() -> None:
        ended.set()
        thread.join(120)
        assert not [error for error in done if isinstance(error, BaseException)], done

    thread = threading.Thread(target=work)
    thread.start()
    assert begun.wait(120)
    yield done, end
    end()


def test_backup_while_people_work(
    installation: portal.TestPortal,
    folder: Path,
    at_work: tuple[list[str], Callable[[], None]],
    world: World,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    audit.anchor()
    done, end = at_work
    before = list(done)
    assert backup.make(installation, folder / "a.tar.gz") == []
    assert (folder / "a.tar.gz").stat().st_mode & 0o777 == 0o600
    assert [path.name for path in folder.iterdir()] == ["a.tar.gz"]

    # All sessions are about to look at what comes back.
    end()
    backup.read(folder / "a.tar.gz")
    storage: dict[str, bytes] = {}
    for member, stream in backup._members(folder / "a.tar.gz"):
        if member.name.startswith("storage/"):
            storage[member.name.rpartition("/")[2]] = stream.read()
        else:
            (folder / member.name).write_bytes(stream.read())
    backup.fill(installation, {name: folder / member for name, member in backup.DUMPS.items()})

    url = core.ensure_engine().url
    engine = sa.create_engine(url.set(database="ckan_restored"))
    core.Session.remove()
    monkeypatch.setattr(audit.config, "anchor_file", lambda: folder / "anchor.jsonl")
    with engine.connect() as connection:
        core.Session.configure(bind=connection)
        try:
            assert ddl.missing(connection) == []
            assert roles.excess(connection) == []
            events, anchors, problems = audit.verify()
            assert events > anchors > 0 and problems == []
            assert maintenance.altered() == [] and audit.published() == []
            published = connection.execute(
                sa.select(model.Publication.package_id, model.Publication.files)
            ).all()
            assert {row.package_id for row in published} >= set(before)
            for row in published:
                for file in row.files:
                    assert len(storage[file["sha256"]]) == file["size"]
            loaded = connection.execute(
                sa.select(model.Table.resource_id, model.Table.rows).where(
                    model.Table.state == "termuat"
                )
            ).all()
            # No event of before passes for one of a transaction of now.
            assert connection.scalar(sa.text("SELECT max(xid) FROM satudata_event")) < 0
        finally:
            core.Session.remove()
            core.Session.configure(bind=core.meta.engine)
    engine.dispose()
    assert len(loaded) >= len(before)
    store = sa.create_engine(url.set(database="datastore_restored"))
    with store.connect() as connection:
        for row in loaded:
            count = sa.text(f'SELECT count(*) FROM "{row.resource_id}"')
            assert connection.scalar(count) == row.rows > 0
    store.dispose()


#: What the role that serves leaves in its own database: who calls it makes it the owner of CKAN's.
TRAPS = """
CREATE FUNCTION public.satudata_jebakan() RETURNS void LANGUAGE plpgsql AS $$
BEGIN GRANT ckan_owner TO ckan; EXCEPTION WHEN OTHERS THEN NULL; END $$;
CREATE FUNCTION public.quote_ident(name) RETURNS text LANGUAGE plpgsql AS $$
BEGIN PERFORM public.satudata_jebakan(); RETURN pg_catalog.quote_ident($1::text); END $$;
CREATE FUNCTION public.quote_literal(name) RETURNS text LANGUAGE plpgsql AS $$
BEGIN PERFORM public.satudata_jebakan(); RETURN pg_catalog.quote_literal($1::text); END $$;
CREATE FUNCTION public.cek(int) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN PERFORM public.satudata_jebakan(); RETURN true; END $$;
CREATE TABLE public.umpan (a int CHECK (public.cek(a)), _full_text tsvector);
INSERT INTO public.umpan VALUES (1);
"""
NO_TRAPS = """
DROP TABLE public.umpan;
DROP FUNCTION public.cek, public.quote_ident, public.quote_literal, public.satudata_jebakan;
"""


@pytest.fixture
def traps(installation: portal.TestPortal) -> Iterator[Callable[[], None]]:
    """Functions that wait for a superuser in the DataStore; says that none has come."""
    store = sa.create_engine(tk.config["ckan.datastore.write_url"])

    def run(statements: str) -> None:
        with store.begin() as connection:
            connection.exec_driver_sql(statements)

    def unsprung() -> None:
        assert not installation.sql(
            "SELECT 1 FROM pg_auth_members WHERE roleid = 'ckan_owner'::regrole"
        )

    run(TRAPS)
    yield unsprung
    run(NO_TRAPS)
    store.dispose()
    installation.sql("REVOKE ckan_owner FROM ckan")


def test_migration_runs_nothing_of_the_role_that_serves(
    installation: portal.TestPortal, traps: Callable[[], None]
) -> None:
    core.Session.remove()
    installation.migrate()
    traps()
    # What only a superuser may: the DataStore's reader has no business in CKAN's database.
    assert (
        installation.sql(
            "SELECT has_database_privilege('datastore', 'ckan', 'CONNECT'),"
            " has_database_privilege('ckan', 'ckan', 'CONNECT')"
        ).strip()
        == "f|t"
    )


def backed_up_and_filled(installation: portal.TestPortal, folder: Path) -> None:
    """A backup, and the databases beside the present ones that a restore makes of it."""
    core.Session.remove()
    backup.make(installation, folder / "a.tar.gz")
    for member, stream in backup._members(folder / "a.tar.gz"):
        if member.name in backup.DUMPS.values():
            (folder / member.name).write_bytes(stream.read())
    backup.fill(installation, {name: folder / member for name, member in backup.DUMPS.items()})


def test_restore_runs_nothing_of_the_role_that_serves(
    installation: portal.TestPortal, folder: Path, world: World, traps: Callable[[], None]
) -> None:
    backed_up_and_filled(installation, folder)
    traps()


def test_nothing_is_collected_meanwhile(
    installation: portal.TestPortal, world: World, owner: sa.Engine
) -> None:
    """The job that removes unused content waits for the next time."""
    sha256 = "0" * 64
    store = files.storage()
    path = Path(store.full_path(files.location(sha256)))  # pyright: ignore
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"tidak dipakai")
    core.Session.remove()
    with owner.connect() as connection:
        connection.execute(sa.select(sa.func.pg_advisory_xact_lock(backup.COLLECTING)))
        files.collect(grace_hours=0)
        assert path.exists()
    files.collect(grace_hours=0)
    assert not path.exists()


def test_damaged_content_is_told(
    installation: portal.TestPortal, folder: Path, world: World
) -> None:
    """The backup is made all the same, and says what it lacks."""
    row = core.Session.get(model.Publication, (world.standing("terbit"), 1))
    assert row
    sha256 = row.files[0]["sha256"]
    path = Path(files.storage().full_path(files.location(sha256)))  # pyright: ignore
    core.Session.remove()
    kept = path.read_bytes()
    path.unlink()
    try:
        told = backup.make(installation, folder / "a.tar.gz")
        assert told == [f"the content {sha256} is missing in the storage"]
        path.write_bytes(b"lain")
        told = backup.make(installation, folder / "b.tar.gz")
        assert told == [f"the content {sha256} is damaged in the storage"]
    finally:
        path.write_bytes(kept)


def test_content_is_only_added(installation: portal.TestPortal, folder: Path) -> None:
    """Nothing is touched before both databases are filled, and good content never."""
    good, new, logo = (os.urandom(8) for _ in range(3))
    storage = installation.data / "storage"

    def place(sha256: str) -> str:
        return f"resources/{sha256[:2]}/{sha256[2:4]}/{sha256}"

    there, bad, added = (
        place(hashlib.sha256(data).hexdigest()) for data in (good, good + new, new)
    )
    picture = f"storage/uploads/group/{added[-8:]}.png"
    for name in (there, picture):
        (storage / name).parent.mkdir(parents=True, exist_ok=True)
    (storage / there).write_bytes(good)
    (storage / picture).write_bytes(b"sekarang")
    with (folder / "a.tar.gz").open("wb") as out:
        archive = backup.Archive(out)
        for name, data in ((there, b"lain"), (bad, b"lain"), (added, new), (picture, logo)):
            archive.add(f"storage/{name}", io.BytesIO(data))
        archive.close()

    def standing() -> list[bytes | None]:
        paths = (storage / name for name in (there, bad, added, picture))
        return [path.read_bytes() if path.exists() else None for path in paths]

    _kept, problems = backup._unpack(installation, folder / "a.tar.gz", folder)
    assert standing() == [good, None, None, b"sekarang"]
    assert problems == [
        f"the content {name[-64:]} is damaged in the backup and left out" for name in (there, bad)
    ]
    backup._place(installation, folder / "storage", content=True)
    assert standing() == [good, None, new, b"sekarang"]
    backup._place(installation, folder / "storage", content=False)
    assert standing() == [good, None, new, logo]

    # What is damaged here is mended, what is whole stays the same file.
    (storage / added).write_bytes(b"rusak")
    before = (storage / there).stat().st_ino
    (folder / "storage" / there).write_bytes(good)
    (folder / "storage" / added).write_bytes(new)
    backup._place(installation, folder / "storage", content=True)
    assert standing() == [good, None, new, logo]
    assert (storage / there).stat().st_ino == before
    for name in (there, added, picture):
        (storage / name).unlink()


def test_what_was_withdrawn_since_is_told(
    installation: portal.TestPortal, folder: Path, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A restore makes it public again: Walidata withdraw it once more."""
    kept, gone, renewed = (world.at("terbit") for _ in range(3))
    backed_up_and_filled(installation, folder)
    assert backup._withdrawn(installation) == (set(), [])

    for dataset in (gone, renewed):
        world.move("walidata", dataset["id"], "tarik", note="Salah satuan.")
    # What is public of it now is another version.
    world.move("produsen_dinkes", renewed["id"], "buka_kembali")
    world.bring(renewed["id"], "terbit")
    world.at("terbit")
    core.Session.remove()
    found, told = backup._withdrawn(installation)
    assert found == {(gone["id"], 1), (renewed["id"], 1)}
    assert [kept["name"] in text for text in told] == [False, False]
    assert all(any(d["name"] in text for text in told) for d in (gone, renewed))
    assert all("withdraw it (tarik) once more" in text for text in told)

    rows, load = backup._rows, installation.load
    restored = functools.partial(rows, installation, "ckan_restored")
    # After an interruption the present is what was restored: what was found is not forgotten.
    monkeypatch.setattr(backup, "_rows", lambda *args: restored(args[2]))
    state = {"withdrawn": sorted(found)}
    monkeypatch.setattr(
        installation, "load", lambda name: state if name == "state.json" else load(name)
    )
    assert backup._withdrawn(installation) == (found, told)
    monkeypatch.undo()

    # A present that can't be read keeps nobody from restoring, and is no silence either.
    def damaged(_portal: Any, database: str, query: str) -> Any:
        if database == "ckan":
            raise psycopg2.OperationalError("invalid page in block 0")
        return restored(query)

    monkeypatch.setattr(backup, "_rows", damaged)
    assert backup._withdrawn(installation) == (
        set(),
        ["datasets withdrawn after the backup may be public again: invalid page in block 0"],
    )
