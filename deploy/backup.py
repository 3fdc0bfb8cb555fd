"""A backup of a whole installation in one file, and the way back.

The file is a gzipped tar: `satudata.json` says what it is, then come both databases, secrets,
settings, accounts, the anchors of the record and all files of the storage; `manifest.json` at its
end holds size and SHA-256 of each. People go on working meanwhile: the databases are copied as they
are at one moment, the files after that, as bytes are only ever added, and the job that removes
bytes that nothing points to waits until the backup has ended.
"""

from __future__ import annotations

import configparser
import contextlib
import datetime as dt
import errno
import gzip
import hashlib
import io
import json
import os
import re
import shutil
import stat
import subprocess
import tarfile
import tempfile
import time
import urllib.request
import zlib
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import IO, Any

import psycopg2
from home import BIN
from processes import Problem, gist, say
from services import CODE, OWNERS, ROLES, Installation, postgresql_bin

FORMAT = {"format": "satudata-backup", "version": 1}
HEAD, MANIFEST = "satudata.json", "manifest.json"
#: Database -> member of the archive.
DUMPS = {"ckan": "ckan.dump", "datastore": "datastore.dump"}
#: Keys of advisory locks: `BACKUP` of ckanext/satudata_trenggalek/files.py, `LOCK` of its audit.py.
COLLECTING, ANCHORING = 0x5D22, 0x5D21
#: Folders of the storage that CKAN makes anew, and the one of uploads that are under way.
TRANSIENT = ("webassets", "webassets-server", "resources/tmp")
#: Members that lie under their own SHA-256: `location` of ckanext/satudata_trenggalek/files.py.
CONTENT = re.compile(r"storage/resources/([0-9a-f]{2})/([0-9a-f]{2})/\1\2[0-9a-f]{60}")
MIGRATIONS = "ckanext/satudata_trenggalek/migration/satudata_trenggalek/versions"


def size(amount: float) -> str:
    """A size in bytes for people, in decimal units."""
    for unit in ("B", "kB", "MB"):
        if amount < 1000:
            return f"{amount:.0f} {unit}" if unit == "B" else f"{amount:.1f} {unit}"
        amount /= 1000
    return f"{amount:.1f} GB"


# The archive


class _Hashing:
    """Reads a stream and knows the SHA-256 of what was read."""

    def __init__(self, stream: IO[bytes]) -> None:
        self.stream, self.digest = stream, hashlib.sha256()

    def read(self, amount: int = -1) -> bytes:
        block = self.stream.read(amount)
        self.digest.update(block)
        return block


class Archive:
    """An archive that is being written."""

    def __init__(self, stream: IO[bytes]) -> None:
        # Dumps are compressed, tables as text shrink at any level: the fastest.
        self.tar = tarfile.open(fileobj=stream, mode="w:gz", compresslevel=1)  # noqa: SIM115
        self.members: dict[str, dict[str, Any]] = {}

    def add(self, name: str, stream: IO[bytes]) -> str:
        """Adds what a seekable stream holds.

        Returns:
            its SHA-256.
        """
        info = tarfile.TarInfo(name)
        info.size, info.mtime, info.mode = stream.seek(0, os.SEEK_END), int(time.time()), 0o600
        stream.seek(0)
        reader = _Hashing(stream)
        self.tar.addfile(info, reader)  # pyright: ignore[reportArgumentType]
        sha256 = reader.digest.hexdigest()
        self.members[name] = {"size": info.size, "sha256": sha256}
        return sha256

    def add_text(self, name: str, text: str) -> None:
        self.add(name, io.BytesIO(text.encode()))

    def close(self) -> None:
        members = dict(self.members)
        self.add_text(MANIFEST, json.dumps({"members": members}))
        self.tar.close()


def read(path: Path) -> dict[str, Any]:
    """What an archive says of itself, after every byte of it was compared with its manifest.

    Raises:
        Problem: it is no backup, or is damaged.
    """
    found: dict[str, dict[str, Any]] = {}
    head: dict[str, Any] = {}
    manifest = None
    try:
        for member, stream in _members(path):
            content = stream.read() if member.name in (HEAD, MANIFEST) else b""
            if not found:
                head = json.loads(content) if member.name == HEAD else {}
                if not isinstance(head, dict) or not FORMAT.items() <= head.items():
                    raise Problem(f"{path} is no backup made by ./portal backup.")
            if member.name == MANIFEST:
                manifest = json.loads(content)["members"]
                continue
            while stream.read(1 << 20):
                pass
            found[member.name] = {"size": member.size, "sha256": stream.digest.hexdigest()}
    except PermissionError:
        raise
    except (tarfile.TarError, EOFError, zlib.error, ValueError, KeyError, OSError) as error:
        if not found:
            raise Problem(f"{path} is no backup made by ./portal backup.") from error
        raise Problem(f"{path} is damaged: take another copy of it ({error}).") from error
    wrong = {name for name in found.keys() | (manifest or {}).keys()
             if found.get(name) != (manifest or {}).get(name)}  # fmt: skip
    if manifest is None or wrong or not found.keys() >= {HEAD, *DUMPS.values()}:
        what = ", ".join(sorted(wrong)[:3]) if manifest is not None else "its end is missing"
        raise Problem(f"{path} is damaged: take another copy of it ({what}).")
    return {**head, "members": found}


def _members(path: Path) -> Iterator[tuple[tarfile.TarInfo, Any]]:
    """The files of an archive in their order.

    Raises:
        tarfile.TarError: also for what has no business in it: links, devices, paths that lead out.
        OSError, EOFError, zlib.error: it is not the bytes that were written.
    """
    with gzip.open(path) as packed, tarfile.open(fileobj=packed, mode="r|") as tar:
        for member in tar:
            name = PurePosixPath(member.name)
            if not member.isreg() or name.is_absolute() or ".." in name.parts:
                raise tarfile.ReadError(f"{member.name} does not belong there")
            yield member, _Hashing(tar.extractfile(member))  # pyright: ignore[reportArgumentType]
        # To the check sum at the very end.
        while packed.read(1 << 20):
            pass


# Making


def make(portal: Installation, target: Path) -> list[str]:
    """Writes a backup of what runs; the file is there whole and verified, or not at all.

    Returns:
        what is wrong with the data that were backed up; the backup is none the worse for it.

    Raises:
        Problem: saying what to do.
    """
    target = target.absolute()
    if not portal.alive("postgresql"):
        raise Problem("the portal does not run: a backup is taken while it does. Run ./portal up.")
    if target.exists():
        raise Problem(f"{target} exists: name a file that does not.")
    if not target.parent.is_dir():
        raise Problem(f"there is no folder {target.parent}: make it first.")
    part = target.with_name(f".{target.name}.part")
    try:
        part.unlink(missing_ok=True)
        with os.fdopen(os.open(part, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600), "wb") as out:
            archive = Archive(out)
            problems = _collect(portal, archive, target.parent)
            archive.close()
            out.flush()
            os.fsync(out.fileno())
        say(f"Verifying {size(part.stat().st_size)}")
        read(part)
        part.replace(target)
        _sync(target.parent)
    except OSError as error:
        raise Problem(
            f"{target} could not be written: {error.strerror or error}. Nothing is left of it:"
            " make room or mend the permissions, then run again."
        ) from error
    finally:
        part.unlink(missing_ok=True)
    files = [name for name in archive.members if name.startswith("storage/")]
    print(
        f"{target}: {size(target.stat().st_size)}, both databases and {len(files)} files, verified"
    )
    return problems


def _sync(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _collect(portal: Installation, archive: Archive, scratch: Path) -> list[str]:
    with contextlib.ExitStack() as stack:

        def connect(database: str, **session: Any) -> Any:
            connection = _connect(portal, database)
            stack.callback(connection.close)
            connection.set_session(**session)
            return connection.cursor()

        main, store = (connect(name, isolation_level="REPEATABLE READ") for name in DUMPS)
        now = connect("ckan", autocommit=True)
        now.execute("SELECT pg_advisory_lock(%s)", (COLLECTING,))
        attempts = 5
        while True:
            snapshots = _snapshots(main, store, now)
            try:
                # First, since a table that is replaced right now stops it; CKAN's are never.
                datastore = _dump(portal, "datastore", snapshots["datastore"], scratch)
                break
            except Problem:
                attempts -= 1
                if not attempts:
                    raise
        say("Copying the databases")
        ckan = _dump(portal, "ckan", snapshots["ckan"], scratch)
        main.execute("SELECT coalesce(max(seq), 0) FROM public.satudata_anchor")
        anchors = main.fetchone()[0]
        main.execute("SELECT version_num FROM public.satudata_trenggalek_alembic_version")
        migration = main.fetchone()[0]
        databases = 0
        for cursor in (main, store):
            cursor.execute("SELECT pg_database_size(current_database())")
            databases += cursor.fetchone()[0]
        main.execute(
            "SELECT sha256 FROM public.satudata_file UNION"
            " SELECT f->>'sha256' FROM public.satudata_publication p"
            " JOIN public.package ON package.id = p.package_id, jsonb_array_elements(p.files) f"
        )
        wanted = {row[0].strip() for row in main.fetchall()}
        archive.add_text(
            HEAD,
            json.dumps(
                {
                    **FORMAT,
                    "made": dt.datetime.now(dt.timezone.utc).isoformat(timespec="seconds"),
                    "url": portal.url,
                    "postgresql": main.connection.server_version // 10000,
                    "migration": migration,
                    "databases": databases,
                    "anchors": anchors,
                }
            ),
        )
        with ckan, datastore:
            archive.add(DUMPS["ckan"], ckan)
            archive.add(DUMPS["datastore"], datastore)
        # The file has all anchors of the snapshot when no run is between database and file.
        now.execute("SELECT pg_advisory_lock(%s)", (ANCHORING,))
        text = _anchors(portal)
        now.execute("SELECT pg_advisory_unlock(%s)", (ANCHORING,))
        archive.add_text("anchor.jsonl", "".join(text.splitlines(keepends=True)[:anchors]))
        # What signs tokens and sessions; the other secrets are passwords of the servers here.
        archive.add_text("secrets.json", json.dumps({"key": portal.secrets["key"]}))
        for path in (portal.ini, portal.akun):
            if path.exists():
                archive.add_text(path.name, path.read_text())
        say("Copying the files")
        return _add_storage(portal.data / "storage", archive, wanted)


def _anchors(portal: Installation) -> str:
    """The file of anchors, which an installation has none of until the first."""
    with contextlib.suppress(FileNotFoundError), portal.opened(portal.data) as folder:
        stream = _own_file(portal.anchors.name, folder)
        if stream is None:
            raise Problem(f"{portal.anchors} is a link or no file: put the file back, run again.")
        with stream:
            return stream.read().decode()
    return ""


def _login(portal: Installation, database: str) -> tuple[str, str]:
    """The role that owns a database or its copy, and its password.

    No superuser: what a dump holds (functions, checks of columns) is run as whoever reads it.
    """
    owner = OWNERS[database.partition("_")[0]]
    return owner, portal.secrets[ROLES[owner]]


def _connect(portal: Installation, database: str) -> Any:
    user, password = _login(portal, database)
    return psycopg2.connect(
        host="127.0.0.1",
        port=portal.ports["postgresql"],
        user=user,
        password=password,
        dbname=database,
        options="-c search_path=pg_catalog",
    )


def _snapshots(main: Any, store: Any, now: Any) -> dict[str, str]:
    """Names of snapshots of both databases between which no table was loaded.

    The loader writes the state of a load into the one database before and after it replaces the
    table in the other: when no state changed meanwhile, every state tells the truth of its table,
    or says that a load is under way, which is then done again.
    """
    states = (
        "SELECT md5(string_agg(t::text, ',' ORDER BY resource_id)) FROM public.satudata_table t"
    )
    while True:
        names = {}
        for name, cursor in (("ckan", main), ("datastore", store)):
            cursor.connection.rollback()
            cursor.execute("SELECT pg_export_snapshot()")
            names[name] = cursor.fetchone()[0]
        main.execute(states)
        now.execute(states)
        if main.fetchone() == now.fetchone():
            return names
        time.sleep(0.1)


def _dump(portal: Installation, database: str, snapshot: str, scratch: Path) -> IO[bytes]:
    """pg_dump of a database as a snapshot sees it, in a file without a name."""
    out = tempfile.TemporaryFile(dir=scratch)  # noqa: SIM115
    command = ["pg_dump", "--format=custom", "--compress=1", f"--snapshot={snapshot}"]
    _postgresql(portal, command, database, stdout=out)
    return out


def _postgresql(
    portal: Installation, command: list[str], database: str, **streams: IO[bytes]
) -> None:
    """Runs a program of PostgreSQL on a database, as the owner of it."""
    program, *options = command
    user, password = _login(portal, database)
    done = subprocess.run(
        [postgresql_bin() / program, "-h", "127.0.0.1", "-p", str(portal.ports["postgresql"]),
         "-U", user, "-d", database, *options],
        **{"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, **streams},
        stderr=subprocess.PIPE,
        cwd=portal.tmp,
        env=portal.environment(PGPASSWORD=password),
        **portal.identity,
    )  # fmt: skip
    if done.returncode:
        told = gist(done.stderr.decode(errors="replace"))
        raise Problem(f"{program} of the database {database} failed: {told}")


def _add_storage(storage: Path, archive: Archive, wanted: set[str]) -> list[str]:
    """Adds every file of the storage.

    Args:
        storage: the folder.
        archive: to add to.
        wanted: SHA-256 of the content that datasets have.

    Returns:
        what of it is missing, damaged or left out: links, and what else is no file of its own.
    """
    problems, missing = [], set(wanted)
    for top, folders, names, handle in os.fwalk(storage):
        links = [name for name in folders if os.path.islink(os.path.join(top, name))]
        for name in sorted([*names, *links]):
            path = (Path(top) / name).relative_to(storage).as_posix()
            if path.startswith(tuple(f"{folder}/" for folder in TRANSIENT)):
                continue
            with contextlib.suppress(FileNotFoundError), contextlib.ExitStack() as stack:
                stream = _own_file(name, handle)
                if stream is None:
                    problems.append(f"{path} in the storage is a link or no file: left out")
                    continue
                sha256 = archive.add(f"storage/{path}", stack.enter_context(stream))
                if name in missing:
                    missing.discard(name)
                    if sha256 != name:
                        problems.append(f"the content {name} is damaged in the storage")
    problems += [f"the content {sha256} is missing in the storage" for sha256 in sorted(missing)]
    return problems


def _own_file(name: str, folder: int) -> IO[bytes] | None:
    """Opens a file to read; None for what the service user may have put in place of one."""
    try:
        handle = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=folder)
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.ENXIO):  # a link, a socket
            return None
        raise
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        return None
    return os.fdopen(handle, "rb")


# The way back


def restore(portal: Installation, path: Path, yes: bool) -> list[str]:
    """Puts an installation back to where a backup was taken.

    The archive is read to its end before anything is touched, the databases are filled beside the
    present ones, and take their place when both are complete.

    Args:
        portal: a running one, or one that was never set up.
        path: of the archive.
        yes: the operator has said that present data may go.

    Returns:
        what is wrong with what was restored: content that is not what its name says, datasets that
        are public again, what the audit found.

    Raises:
        Problem: saying what to do.
    """
    if not path.is_file():
        raise Problem(f"there is no file {path}.")
    say(f"Reading {path}")
    backup = read(path)
    files = {name: member for name, member in backup["members"].items() if "/" in name}
    print(f"Backup of {backup['url']} of {backup['made']}: {len(files)} files")
    if backup["migration"] not in _migrations():
        raise Problem(
            f"{path} was made by a newer version of the portal: update this one (git pull) first."
        )
    if not yes and (portal.data / "postgresql").exists():
        raise Problem(
            f"this replaces all data in {portal.home}: say ./portal restore {path} --yes."
        )
    portal.prepare()
    for left in portal.home.glob("restore.*"):
        shutil.rmtree(left)
    need = backup["databases"] + sum(member["size"] for member in backup["members"].values())
    free = shutil.disk_usage(portal.home).free
    if free < need:
        raise Problem(
            f"{size(need)} are needed below {portal.home} and {size(free)} are free: make room."
        )
    portal.clean()
    portal.stop("ckan", "worker", "schedule")
    portal.choose_ports()
    portal.start(portal.postgresql(), portal.redis(), portal.solr(), portal.mail())
    version = int(portal.sql("SHOW server_version_num")) // 10000
    if version < backup["postgresql"]:
        raise Problem(
            f"{path} is of PostgreSQL {backup['postgresql']} and this is {version}: install"
            f" postgresql-{backup['postgresql']}, and restore into a new SATUDATA_HOME."
        )
    portal.databases()
    with tempfile.TemporaryDirectory(dir=portal.home, prefix="restore.") as name:
        folder = Path(name)
        kept, problems = _unpack(portal, path, folder)
        say("Filling the databases")
        fill(portal, {name: folder / member for name, member in DUMPS.items()})
        withdrawn, told = _withdrawn(portal)
        _place(portal, folder / "storage", content=True)
        # From here on to the end `up` sends back to here: what is restored belongs together.
        portal.save(
            "state.json", {"restoring": str(path.absolute()), "withdrawn": sorted(withdrawn)}
        )
        _swap(portal)
        _place(portal, folder / "storage", content=False)
    problems += told
    _settle(portal, kept)
    say("Setting up CKAN")
    portal.settings()
    portal.migrate()
    # What waited to be mailed when the copy was made may have been mailed since.
    portal.sql(
        "UPDATE public.satudata_outbox SET mail = 'batal', reason = 'restored from a backup'"
        " WHERE mail IN ('antre', 'mengirim')",
        "ckan",
        OWNERS["ckan"],
    )
    if others := _other_settings(kept["ckan.ini"], portal):
        print(f"Settings that were others than those of deploy/options.ini: {', '.join(others)}")
    problems += _index_and_verify(portal)
    portal.save("state.json", {"fingerprint": portal.fingerprint()})
    portal.start(portal.web(), portal.worker(), portal.schedule())
    if problems:
        print("The databases from before are kept as ckan_before and datastore_before.")
    else:
        for name in DUMPS:
            portal.sql(f"DROP DATABASE {name}_before WITH (FORCE)")
        print(f"{portal.home} is where {backup['url']} was at {backup['made']}.")
    print(f"Satu Data Trenggalek: {portal.url}")
    return problems


def _migrations() -> set[str]:
    return {path.name.split("_")[0] for path in (CODE / MIGRATIONS).glob("*.py")}


def _unpack(
    portal: Installation, path: Path, folder: Path
) -> tuple[dict[str, str], list[str]]:
    """Puts dumps and files of the storage into a folder.

    Returns:
        the other members as text, and what content is left out since it is not what its name says.
    """
    kept: dict[str, str] = {}
    problems = []
    for member, stream in _members(path):
        if member.name in DUMPS.values() or member.name.startswith("storage/"):
            goal = folder / member.name
            goal.parent.mkdir(parents=True, exist_ok=True)
            with goal.open("wb") as out:
                shutil.copyfileobj(stream, out, 1 << 20)
            os.chown(goal, portal.user.pw_uid, portal.user.pw_gid)
            goal.chmod(0o660)
            if CONTENT.fullmatch(member.name) and stream.digest.hexdigest() != goal.name:
                goal.unlink()
                problems.append(f"the content {goal.name} is damaged in the backup and left out")
        else:
            kept[member.name] = stream.read().decode()
    return kept, problems


def _place(portal: Installation, unpacked: Path, content: bool) -> None:
    """Moves files to where they belong in the storage: content by its hash, or all others.

    Content is only added, and takes the place of none but damaged one.
    """
    storage = portal.data / "storage"
    for path in sorted(unpacked.rglob("*")):
        name = path.relative_to(unpacked)
        addressed = CONTENT.fullmatch(f"storage/{name.as_posix()}") is not None
        goal = storage / name
        if path.is_dir() or addressed != content or (content and _whole(goal)):
            continue
        for above in reversed(name.parents):
            if not (storage / above).is_dir():
                portal.give(storage / above)
        with portal.opened(goal.parent) as folder:
            os.replace(path, goal.name, dst_dir_fd=folder)


def _whole(path: Path) -> bool:
    """Whether content is there and is what its name says."""
    if not path.is_file():
        return False
    with path.open("rb") as stream:
        reader = _Hashing(stream)
        while reader.read(1 << 20):
            pass
    return reader.digest.hexdigest() == path.name


#: The versions that the public sees, with the names of their datasets.
_PUBLIC = (
    "SELECT p.id, u.version, p.name FROM public.package p"
    " JOIN public.satudata_publication u ON u.package_id = p.id"
    " WHERE NOT p.private AND u.withdrawn_at IS NULL ORDER BY p.name"
)


def _withdrawn(portal: Installation) -> tuple[set[tuple[str, int]], list[str]]:
    """What the restored database shows to the public and the present one no longer does.

    Returns:
        id and version of each, also of those that an interrupted restore found, whose present is
        that restore; and what is to be done about them.
    """
    restored = _rows(portal, "ckan_restored", _PUBLIC)
    known = {(id_, version) for id_, version in portal.load("state.json").get("withdrawn", [])}
    # Of a new installation nothing was withdrawn.
    present, problems = restored, []
    try:
        if _rows(portal, "ckan", "SELECT to_regclass('public.satudata_publication')")[0][0]:
            present = _rows(portal, "ckan", _PUBLIC)
    except psycopg2.Error as error:
        problems = [f"datasets withdrawn after the backup may be public again: {gist(str(error))}"]
    shown = {row[:2] for row in present} - known
    again = [row for row in restored if row[:2] not in shown]
    problems += [
        f"the dataset {name} is public again, which was withdrawn after the backup: withdraw it"
        " (tarik) once more"
        for _id, _version, name in again
    ]
    return known | {row[:2] for row in again}, problems


def fill(portal: Installation, dumps: dict[str, Path]) -> None:
    """Makes `<database>_restored` of each dump, beside the databases that are in use."""
    for name, owner in OWNERS.items():
        portal.sql(f"DROP DATABASE IF EXISTS {name}_restored WITH (FORCE)")
        portal.sql(f"CREATE DATABASE {name}_restored OWNER {owner}")

    def run(name: str, *sections: str) -> None:
        with dumps[name].open("rb") as stream:
            options = [f"--section={section}" for section in sections]
            command = ["pg_restore", "--exit-on-error", "--no-owner", *options]
            _postgresql(portal, command, f"{name}_restored", stdin=stream)

    run("datastore", "pre-data", "data", "post-data")
    run("ckan", "pre-data", "data")
    there = _rows(
        portal,
        "datastore_restored",
        "SELECT relname::text FROM pg_class"
        " WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace",
    )
    with contextlib.closing(_connect(portal, "ckan_restored")) as main, main, main.cursor() as now:
        # Numbers of transactions mean something in the cluster that gave them; a later transaction
        # of this one must not pass for the one that wrote an old event. And what was being loaded
        # isn't.
        now.execute(
            "UPDATE public.satudata_event SET xid = -abs(xid);"
            "UPDATE public.satudata_table SET state = 'antre', updated = 'epoch'"
            " WHERE state IN ('antre', 'memuat')"
            " OR state = 'termuat' AND resource_id <> ALL (%s::text[])",
            ([name for (name,) in there],),
        )
    # Here come the triggers, which let nobody do that.
    run("ckan", "post-data")
    portal.sql((CODE / "deploy/roles.sql").read_text(), "ckan_restored")


def _rows(portal: Installation, database: str, query: str) -> list[tuple[Any, ...]]:
    with contextlib.closing(_connect(portal, database)) as connection:
        cursor = connection.cursor()
        cursor.execute(query)
        return cursor.fetchall()


def _swap(portal: Installation) -> None:
    """Lets the restored databases take the place of the present ones, both or none."""
    for name in DUMPS:
        portal.sql(f"DROP DATABASE IF EXISTS {name}_before WITH (FORCE)")
    portal.sql(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE datname IN ('ckan', 'datastore', 'ckan_restored', 'datastore_restored');"
        "BEGIN;"
        + "".join(
            f"ALTER DATABASE {name} RENAME TO {name}_before;"
            f"ALTER DATABASE {name}_restored RENAME TO {name};"
            for name in DUMPS
        )
        + "COMMIT;"
    )


def _settle(portal: Installation, kept: dict[str, str]) -> None:
    """Puts key, accounts and anchors in their place, and forgets what Redis and Solr hold."""
    portal.save("secrets.json", portal.secrets | {"key": json.loads(kept["secrets.json"])["key"]})
    if "akun.json" in kept:
        akun = json.loads(kept["akun.json"]) | {"url": portal.url}
        portal.write(portal.akun, json.dumps(akun, indent=1) + "\n")
    if portal.anchors.exists():
        # It may be ahead of what was restored: it says what was there.
        before = portal.anchors.with_name(f"anchor.jsonl.{dt.datetime.now():%Y%m%dT%H%M%S%f}")
        portal.anchors.rename(before)
        print(f"The anchors from before are kept in {before}.")
    portal.write(portal.anchors, kept["anchor.jsonl"])
    import redis

    redis.Redis(port=portal.ports["redis"], password=portal.secrets["redis"]).flushall()
    request = urllib.request.Request(
        f"http://127.0.0.1:{portal.ports['solr']}/solr/ckan/update?commit=true",
        b"<delete><query>*:*</query></delete>",
        {"Content-Type": "text/xml"},
    )
    urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=60).close()


def _other_settings(before: str, portal: Installation) -> list[str]:
    """Names of the settings of the backup that are not those of this checkout."""
    parsed = []
    for text in (before, portal.ini.read_text()):
        parser = configparser.RawConfigParser()
        parser.optionxform = str  # pyright: ignore[reportAttributeAccessIssue]
        parser.read_string(text)
        parsed.append(dict(parser["app:main"]))
    then, now = parsed
    keys = (then.keys() | now.keys()) - portal.local_settings().keys()
    return sorted(key for key in keys if then.get(key) != now.get(key))


def _index_and_verify(portal: Installation) -> list[str]:
    """Rebuilds the index, then asks CKAN whether record, index, files and tables agree."""
    say("Rebuilding the index")
    # What can't be indexed is told by `reconcile`.
    portal.ckan("search-index", "rebuild", "--quiet", "--force")
    problems = []
    for command in (("reconcile", "--fix"), ("audit", "verify")):
        done = subprocess.run(
            [BIN / "ckan", "-c", portal.ini, "satudata", *command],
            capture_output=True,
            text=True,
            cwd=portal.tmp,
            env=portal.environment(),
            umask=0o007,
            **portal.identity,
        )
        print(f"ckan satudata {' '.join(command)}: {done.stdout.strip() or gist(done.stderr)}")
        if done.returncode:
            problems += done.stdout.splitlines() or [gist(done.stderr)]
    return problems
