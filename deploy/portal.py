"""Starts, stops and tests the portal's services without Docker; called by ./portal.

The bash part has installed everything by then. This part owns the home folder (`.portal`): one
PostgreSQL cluster, one Redis, one Solr, the job worker and CKAN under gunicorn, all on 127.0.0.1.
A second home below it, `test/`, is the same thing for `./portal test`, so that the two never meet.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import pwd
import secrets
import select
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NoReturn

ROOT = Path(os.environ.get("SATUDATA_ROOT", Path(__file__).resolve().parent.parent))
CODE = Path(os.environ.get("SATUDATA_CODE", ROOT))
BIN = Path(sys.executable).parent
SERVICE_USER = "satudata"
SERVICES = ("postgresql", "redis", "solr", "ckan", "worker", "schedule")


class Problem(Exception):
    """Something the operator can mend: one sentence and what to do."""


# --- processes ------------------------------------------------------------------------------


def started_at(pid: int) -> int | None:
    """Start time of a living process in clock ticks since boot (/proc/PID/stat field 22)."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return None if fields[0] in "ZX" else int(fields[19])


def group_members(pgid: int, uid: int) -> list[int]:
    """Living processes of a user in a process group."""
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        with contextlib.suppress(FileNotFoundError, ProcessLookupError, PermissionError):
            fields = (entry / "stat").read_text().rpartition(")")[2].split()
            if int(fields[2]) == pgid and fields[0] not in "ZX" and entry.stat().st_uid == uid:
                found.append(int(entry.name))
    return found


def wait_for_exit(pid: int, seconds: float) -> bool:
    """Waits until a process is gone; False when it still lives after `seconds`."""
    try:
        handle = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        poll = select.poll()
        poll.register(handle, select.POLLIN)
        return bool(poll.poll(seconds * 1000))
    finally:
        os.close(handle)


def port_is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def accepts(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0


def answers(url: str) -> bool:
    """Whether a page answers 200; a server that is still starting does not."""
    # Without the machine's proxy, which would not find 127.0.0.1.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(url, timeout=60) as reply:
            return reply.status == 200
    except (urllib.error.URLError, OSError):
        return False


@dataclass(frozen=True)
class Service:
    """How one server is started, known to be ready, and stopped."""

    name: str
    argv: list[str]
    ready: Callable[[], bool]
    stop: signal.Signals = signal.SIGTERM
    env: dict[str, str] = field(default_factory=dict)
    seconds: int = 90


class Portal:
    """One home folder and the services that live in it."""

    def __init__(self, home: Path, lib: Path | None = None) -> None:
        self.home = home
        self.test = lib is not None
        self.lib = lib or home / "solr-lib"
        self.data, self.logs, self.run, self.tmp = (
            home / name for name in ("data", "logs", "run", "tmp")
        )
        self.ini = home / "ckan.ini"
        self.akun = home / "akun.json"
        self.user = pwd.getpwuid(os.getuid())
        self.identity: dict[str, Any] = {}
        if os.getuid() == 0:
            self.user = pwd.getpwnam(SERVICE_USER)
            self.identity = {
                "user": self.user.pw_uid,
                "group": self.user.pw_gid,
                "extra_groups": [],
            }

    # --- files ---

    def prepare(self) -> None:
        """Makes the folders. The home stays the caller's, what services write is theirs."""
        self.home.mkdir(exist_ok=True)
        for folder in (self.data, self.logs, self.run, self.tmp):
            folder.mkdir(exist_ok=True)
        for folder in (self.data, self.tmp, self.data / "storage", self.data / "redis"):
            self.give(folder)
        for folder in ("resources", "storage", "webassets"):
            self.give(self.data / "storage" / folder)

    def give(self, path: Path) -> None:
        """Makes a folder of the service user that nobody else reads.

        Tests write into the same folders as the services, under another user when root runs
        them: the group is inherited and may write.
        """
        path.mkdir(exist_ok=True)
        os.chown(path, self.user.pw_uid, self.user.pw_gid)
        path.chmod(0o2770)

    def write(self, path: Path, text: str) -> None:
        """Writes a file that only the service user reads (mode 600), whole or not at all."""
        part = path.with_name(path.name + ".part")
        part.unlink(missing_ok=True)
        with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(text)
        os.chown(part, self.user.pw_uid, self.user.pw_gid)
        part.replace(path)

    def load(self, name: str) -> dict[str, Any]:
        try:
            return json.loads((self.home / name).read_text())
        except FileNotFoundError:
            return {}

    def save(self, name: str, content: dict[str, Any]) -> None:
        self.write(self.home / name, json.dumps(content, indent=1) + "\n")

    @property
    def secrets(self) -> dict[str, str]:
        """Random passwords and keys, made once."""
        known = self.load("secrets.json")
        for name in ("postgres", "ckan", "datastore", "redis", "key"):
            if name not in known:
                known[name] = secrets.token_hex(24)
                self.save("secrets.json", known)
        return known

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Holds the home against a second ./portal that would change it too."""
        self.home.mkdir(exist_ok=True)
        with (self.home / "lock").open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                say(f"Waiting for another ./portal that works in {self.home}")
                fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    # --- ports ---

    @property
    def ports(self) -> dict[str, int]:
        return self.load("ports.json")

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.ports['ckan']}"

    def choose_ports(self) -> None:
        """Gives every server a port, once; a port that a stranger took meanwhile is replaced.

        CKAN's own is the operator's choice and never replaced in silence.
        """
        ports = dict(self.ports)
        # Below the ports the kernel hands out to outgoing connections (32768 and up); where the
        # search begins depends on the home, so that checkouts that are down don't collide.
        start = 20000 + int(hashlib.sha256(bytes(self.home)).hexdigest(), 16) % 9000
        for name in ("postgresql", "redis", "solr", *(("ckan",) if self.test else ())):
            if name in ports and (self.alive(name) or port_is_free(ports[name])):
                continue
            taken = set(ports.values())
            ports[name] = next(
                port
                for port in range(start, 32000)
                if port not in taken and port_is_free(port)
            )
        if not self.test:
            wanted = os.environ.get("SATUDATA_PORT") or str(ports.get("ckan", 5000))
            if not wanted.isdigit() or not 1024 <= int(wanted) < 65536:
                raise Problem(
                    f"SATUDATA_PORT={wanted} is no usable port: set a number from 1024 to 65535."
                )
            ports["ckan"] = int(wanted)
        running = self.alive("ckan") and self.ports.get("ckan") == ports["ckan"]
        if not self.test and not running and not port_is_free(ports["ckan"]):
            raise Problem(
                f"port {ports['ckan']} is taken by another program: stop that one, or choose"
                f" another port with SATUDATA_PORT={ports['ckan'] + 1} ./portal up."
            )
        if ports != self.ports:
            self.save("ports.json", ports)

    # --- running ---

    def environment(self, **more: str) -> dict[str, str]:
        """The caller's environment without what would change our servers' meaning."""
        kept = {
            key: value
            for key, value in os.environ.items()
            if not key.startswith(("CKAN_", "PG", "PYTHON", "SATUDATA_", "GUNICORN"))
        }
        return kept | {
            "HOME": str(self.tmp),
            "TMPDIR": str(self.tmp),
            "LANG": "C.UTF-8",
            "LC_ALL": "C.UTF-8",
            "CKAN_INI": str(self.ini),
            "NO_PROXY": f"127.0.0.1,{os.environ.get('NO_PROXY', '')}",
            "no_proxy": f"127.0.0.1,{os.environ.get('no_proxy', '')}",
            "PYTHONDONTWRITEBYTECODE": "1",
            **more,
        }

    def call(self, *argv: object, stdin: str = "", **env: str) -> str:
        """Runs a command as the service user.

        Returns:
            What it printed.

        Raises:
            Problem: it failed; its last line is quoted, the rest goes to the log `setup`.
        """
        done = subprocess.run(
            [str(part) for part in argv],
            input=stdin,
            text=True,
            capture_output=True,
            cwd=self.tmp,
            env=self.environment(**env),
            umask=0o007,
            **self.identity,
        )
        if done.returncode:
            with (self.logs / "setup.log").open("a") as log:
                log.write(f"$ {' '.join(map(str, argv[:4]))}\n{done.stdout}{done.stderr}\n")
            raise Problem(
                f"{Path(str(argv[0])).name} {argv[1]} failed: {gist(done.stderr or done.stdout)}"
                f" The whole output: {self.logs / 'setup.log'}"
            )
        return done.stdout

    def ckan(self, *args: object) -> str:
        return self.call(BIN / "ckan", "-c", self.ini, *args)

    def alive(self, name: str) -> int | None:
        """The pid of a service of ours that lives, known by pid file and start time."""
        record = self.load(f"run/{name}.pid")
        if record and record["boot"] == boot_id() and started_at(record["pid"]) == record["started"]:
            return record["pid"]
        return None

    def stop(self, *names: str) -> None:
        """Stops services and what they left behind; a service that is not there is no error."""
        asked: dict[str, int] = {}
        for name in names:
            pid = self.alive(name)
            if pid is not None:
                os.kill(pid, signal.SIGINT if name == "postgresql" else signal.SIGTERM)
                asked[name] = pid
        for name in names:
            if name in asked and not wait_for_exit(asked[name], 30):
                say(f"{name} does not stop by itself: killed")
            record = self.load(f"run/{name}.pid")
            # A killed leader leaves its group behind. As long as the group has a member, the
            # kernel gives its number to nobody else; after a reboot it means nothing.
            if record and record["boot"] == boot_id():
                leader = started_at(record["pid"])
                if leader is None or leader == record["started"]:
                    for pid in group_members(record["pid"], self.user.pw_uid):
                        with contextlib.suppress(ProcessLookupError):
                            os.kill(pid, signal.SIGKILL)
                        wait_for_exit(pid, 10)
            (self.run / f"{name}.pid").unlink(missing_ok=True)

    def clean(self) -> None:
        """Ends what a killed service left running, which may still hold its port."""
        self.stop(*(name for name in SERVICES if not self.alive(name)))

    def start(self, *services: Service) -> None:
        """Starts those that don't run yet, together, and waits until they answer."""
        started: list[tuple[Service, subprocess.Popen[bytes]]] = []
        missing = [service for service in services if not self.alive(service.name)]
        if missing:
            say(f"Starting {', '.join(service.name for service in missing)}")
        for service in missing:
            self.stop(service.name)
            started.append((service, self.spawn(service)))
        for service, process in started:
            end = time.monotonic() + service.seconds
            while True:
                if process.poll() is not None:
                    (self.run / f"{service.name}.pid").unlink(missing_ok=True)
                    raise Problem(
                        f"{service.name} ended while starting: {self.last_words(service.name)}"
                        f" See ./portal logs {service.name}, then run again."
                    )
                if service.ready():
                    break
                if time.monotonic() > end:
                    raise Problem(
                        f"{service.name} does not answer after {service.seconds} s:"
                        f" see ./portal logs {service.name}, then run again."
                    )
                time.sleep(0.1)  # no server tells when it is ready

    def spawn(self, service: Service) -> subprocess.Popen[bytes]:
        path = self.logs / f"{service.name}.log"
        if path.exists() and path.stat().st_size > 20_000_000:
            path.replace(path.with_suffix(".log.1"))
        with path.open("ab") as log:
            process = subprocess.Popen(
                service.argv,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=self.tmp,
                env=self.environment(**service.env),
                start_new_session=True,
                umask=0o007,
                **self.identity,
            )
        self.save(
            f"run/{service.name}.pid",
            {"pid": process.pid, "started": started_at(process.pid), "boot": boot_id()},
        )
        return process

    def last_words(self, name: str) -> str:
        """The gist of the end of a log: its last line that names an error, or else its last."""
        with contextlib.suppress(FileNotFoundError):
            return gist("\n".join((self.logs / f"{name}.log").read_text(errors="replace").splitlines()[-30:]))
        return "it wrote nothing."

    # --- the five services ---

    def postgresql(self) -> Service:
        folder = self.data / "postgresql"
        version = (folder / "PG_VERSION").read_text().strip() if folder.exists() else None
        binaries = postgresql_bin(version)
        if version is None:
            # Into another name first: an interrupted initdb must not look like a cluster.
            part = self.data / "postgresql.part"
            shutil.rmtree(part, ignore_errors=True)
            self.write(self.home / "initdb.password", self.secrets["postgres"])
            self.call(
                binaries / "initdb", "-D", part, "--username=postgres", "--encoding=UTF8",
                "--locale=C.UTF-8", "--auth=scram-sha-256", "--no-sync",
                f"--pwfile={self.home / 'initdb.password'}",
            )  # fmt: skip
            (self.home / "initdb.password").unlink()
            part.replace(folder)
            # A new cluster knows no database: everything is set up again.
            (self.home / "state.json").unlink(missing_ok=True)
        settings = {
            "port": self.ports["postgresql"],
            "listen_addresses": "127.0.0.1",
            "unix_socket_directories": "",
            "max_connections": 100,
            "timezone": "UTC",
        }
        if self.test:
            settings |= {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}
        return Service(
            "postgresql",
            [str(binaries / "postgres"), "-D", str(folder)]
            + [part for key, value in settings.items() for part in ("-c", f"{key}={value}")],
            ready=lambda: subprocess.run(
                [binaries / "pg_isready", "-q", "-h", "127.0.0.1", "-p", str(self.ports["postgresql"])]
            ).returncode
            == 0,
        )

    def sql(self, statements: str) -> str:
        """Runs SQL as the cluster's superuser."""
        return self.call(
            postgresql_bin() / "psql", "-h", "127.0.0.1", "-p", self.ports["postgresql"],
            "-U", "postgres", "-qtAX", "-v", "ON_ERROR_STOP=1", "postgres",
            stdin=statements, PGPASSWORD=self.secrets["postgres"],
        )  # fmt: skip

    def databases(self) -> None:
        """Makes roles and databases where they are missing, and sets the roles' passwords."""
        for role in ("ckan", "datastore"):
            if not self.sql(f"SELECT 1 FROM pg_roles WHERE rolname = '{role}'"):
                self.sql(f"CREATE ROLE {role} LOGIN")
            self.sql(f"ALTER ROLE {role} PASSWORD '{self.secrets[role]}'")
        for name in ("ckan", "datastore"):
            if not self.sql(f"SELECT 1 FROM pg_database WHERE datname = '{name}'"):
                self.sql(f"CREATE DATABASE {name} OWNER ckan")

    def redis(self) -> Service:
        port, password = self.ports["redis"], self.secrets["redis"]
        conf = self.home / "redis.conf"
        self.write(
            conf,
            f"bind 127.0.0.1\nport {port}\nrequirepass {password}\ndir {self.data / 'redis'}\n"
            + ("save ''\n" if self.test else "save 60 1\n"),
        )
        return Service("redis", ["redis-server", str(conf)], ready=lambda: accepts(port))

    def solr(self) -> Service:
        port, home = self.ports["solr"], self.data / "solr"
        if not (self.lib / ".complete").exists():
            say("Fetching Solr")
            shutil.rmtree(self.lib, ignore_errors=True)
            done = subprocess.run(
                ["mvn", "-q", "-B", "-f", CODE / "deploy/solr/pom.xml", "dependency:copy-dependencies",
                 f"-DoutputDirectory={self.lib}"],
                capture_output=True, text=True,
            )  # fmt: skip
            if done.returncode:
                raise Problem(
                    f"Solr could not be fetched: {gist(done.stdout)} Check the network, then run again."
                )
            (self.lib / ".complete").touch()
        import ckan.config

        conf = home / "ckan/conf"
        self.give(home)
        for folder in (home / "ckan", conf):
            self.give(folder)
        schema = Path(ckan.config.__path__[0]) / "solr/schema.xml"
        for path, text in {
            home / "solr.xml": "<solr/>\n",
            home / "ckan/core.properties": "name=ckan\n",
            conf / "managed-schema.xml": schema.read_text(),
            conf / "solrconfig.xml": (CODE / "deploy/solr/solrconfig.xml").read_text(),
            conf / "protwords.txt": "",
            conf / "synonyms.txt": "",
        }.items():
            self.write(path, text)
        java = shutil.which("java")
        if java is None:
            raise Problem("Java is missing: install openjdk-17-jre-headless, then run again.")
        return Service(
            "solr",
            [java, "-Xmx512m", f"-Dsolr.solr.home={home}", f"-Dsolr.log.dir={self.tmp}",
             "-cp", f"{self.lib}/*", str(CODE / "deploy/solr/SolrServer.java"), str(port)],
            ready=lambda: accepts(port)
            and answers(f"http://127.0.0.1:{port}/solr/ckan/select?q=*:*&rows=0"),
        )  # fmt: skip

    def worker(self) -> Service:
        return Service(
            "worker",
            [str(BIN / "ckan"), "-c", str(self.ini), "jobs", "worker"],
            ready=lambda: True,
        )

    def schedule(self) -> Service:
        return Service(
            "schedule",
            [sys.executable, str(CODE / "deploy/portal.py"), "run-schedule"],
            ready=lambda: True,
            env={"SATUDATA_HOME": str(self.home), "SATUDATA_CODE": str(CODE), "TZ": "WIB-7"},
        )

    def run_schedule(self) -> NoReturn:
        """Runs the commands of deploy/crontab at their times, one after the other."""
        from croniter import croniter

        entries = [
            (" ".join(fields[:5]), fields[7:])
            for fields in map(str.split, (CODE / "deploy/crontab").read_text().splitlines())
            if len(fields) > 8 and fields[6] == "ckan"
        ]
        while True:
            now = time.time()
            times = [croniter(when, now).get_next(float) for when, _ in entries]
            time.sleep(min(times) - now)
            for due, (_, command) in zip(times, entries, strict=True):
                if due == min(times):
                    words = [str(self.ini) if word == "$CKAN_INI" else word for word in command]
                    subprocess.run([BIN / "ckan", *words])

    def web(self) -> Service:
        port = self.ports["ckan"]
        # Threads, not plain workers: a slow upload of 500 MB then neither blocks a worker nor is
        # it killed by the timeout. No preload: connections must not be shared over the fork.
        return Service(
            "ckan",
            [str(BIN / "gunicorn"), "--bind", f"127.0.0.1:{port}", "--workers", "2",
             "--threads", "4", "--timeout", "120", "--graceful-timeout", "10",
             "--worker-tmp-dir", str(self.tmp), "--no-control-socket", "--chdir", str(CODE / "deploy"), "wsgi:application"],
            ready=lambda: accepts(port) and answers(f"{self.url}/api/3/action/status_show"),
            env={"PYTHONUNBUFFERED": "1"},
        )  # fmt: skip

    # --- settings ---

    def local_settings(self) -> dict[str, str]:
        ports, secret, storage = self.ports, self.secrets, self.data / "storage"
        postgres = f"127.0.0.1:{ports['postgresql']}"
        return {
            "ckan.site_url": self.url,
            "SECRET_KEY": secret["key"],
            "WTF_CSRF_SECRET_KEY": hashlib.sha256(f"csrf{secret['key']}".encode()).hexdigest(),
            "api_token.jwt.encode.secret": f"string:{secret['key']}",
            "api_token.jwt.decode.secret": f"string:{secret['key']}",
            "sqlalchemy.url": f"postgresql://ckan:{secret['ckan']}@{postgres}/ckan",
            "ckan.datastore.write_url": f"postgresql://ckan:{secret['ckan']}@{postgres}/datastore",
            "ckan.datastore.read_url": f"postgresql://datastore:{secret['datastore']}@{postgres}/datastore",
            "solr_url": f"http://127.0.0.1:{ports['solr']}/solr/ckan",
            # redis-py 8 ends an idle reader after a few seconds, and with it a waiting worker.
            "ckan.redis.url": f"redis://:{secret['redis']}@127.0.0.1:{ports['redis']}/0"
            "?socket_timeout=1000000000",
            "ckan.storage_path": str(storage),
            "ckan.files.storage.resources.path": str(storage / "resources"),
            "ckan.webassets.path": str(storage / "webassets"),
        }

    def settings(self) -> None:
        """Writes ckan.ini the way a production install does: generate, then config-tool."""
        from ckan.lib import config_tool

        part = self.tmp / "ckan.ini"
        part.unlink(missing_ok=True)
        self.call(BIN / "ckan", "generate", "config", part)
        config_tool.config_edit_using_merge_file(str(part), str(CODE / "deploy/options.ini"))
        local = [f"{key} = {value}" for key, value in self.local_settings().items()]
        config_tool.config_edit_using_option_strings(str(part), local, "app:main")
        self.write(self.ini, part.read_text())
        part.unlink()

    def fingerprint(self) -> str:
        """Changes with code, settings or addresses: then CKAN is set up and started anew."""
        digest = hashlib.sha256(json.dumps([self.ports, str(CODE)]).encode())
        for folder in ("ckanext", "schemas", "deploy", "setup.cfg"):
            for path in sorted((CODE / folder).rglob("*")) or [CODE / folder]:
                if path.is_file() and path.suffix != ".pyc":
                    stat = path.stat()
                    digest.update(f"{path} {stat.st_size} {stat.st_mtime_ns}\n".encode())
        return digest.hexdigest()

    # --- commands ---

    def up(self, empty: bool) -> None:
        self.prepare()
        with self.locked():
            self.clean()
            self.choose_ports()
            fingerprint = self.fingerprint()
            if self.load("state.json").get("fingerprint") != fingerprint:
                self.stop("ckan", "worker", "schedule")
            if not all(self.alive(name) for name in SERVICES):
                self.start(self.postgresql(), self.redis(), self.solr())
            if self.load("state.json").get("fingerprint") != fingerprint:
                say("Setting up CKAN")
                self.databases()
                self.settings()
                self.ckan("db", "init")
                self.set_permissions()
                self.save("state.json", {"fingerprint": fingerprint})
            self.start(self.web(), self.worker(), self.schedule())
            if not empty and not self.akun.exists():
                self.demo()
        self.report()

    def set_permissions(self) -> None:
        self.sql(self.ckan("datastore", "set-permissions"))

    def demo(self) -> None:
        """Seeds the demo; its accounts file is made where the service may write, then moved."""
        if " demo " not in f"{self.ckan('satudata', '--help')} ":
            say("Notice: this version has no demo data yet")
            return
        say("Seeding the demo")
        part = self.tmp / "akun.json"
        self.ckan("satudata", "demo", "--akun", part)
        self.write(self.akun, part.read_text())
        part.unlink()

    def report(self) -> None:
        print(f"\nSatu Data Trenggalek: {self.url}")
        users = self.load("akun.json").get("users", {})
        rows = [("account", "password", "peran", "organization")] + [
            (name, user["password"], ", ".join(aslist(user["peran"])), user["organization"] or "-")
            for name, user in users.items()
        ]
        if users:
            widths = [max(len(row[column]) for row in rows) for column in range(4)]
            for row in rows:
                print("  " + "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
            print(f"Tokens for the API: {self.akun}")
        else:
            print("No accounts yet: ./portal ckan sysadmin add NAME email=you@example.org")

    def down(self) -> None:
        # CKAN and the worker first: they write to the others until they are gone.
        self.stop("ckan", "worker", "schedule", "solr")
        self.stop("redis", "postgresql")

    def reset(self) -> None:
        """Deletes data, accounts and settings; what was installed stays."""
        self.down()
        for name in ("data", "logs", "run", "tmp", "test"):
            shutil.rmtree(self.home / name, ignore_errors=True)
        for name in ("ckan.ini", "akun.json", "secrets.json", "ports.json", "state.json"):
            (self.home / name).unlink(missing_ok=True)

    def status(self) -> int:
        """Prints what runs; 0 when everything does, 3 otherwise (as init scripts say it)."""
        ports = self.ports
        missing = 0
        for name in SERVICES:
            pid = self.alive(name)
            missing += pid is None
            where = f"127.0.0.1:{ports[name]}" if pid and name in ports else ""
            print(f"{name:<11} {'running' if pid else 'stopped'} {pid or '':>8} {where}".rstrip())
        print(f"home        {self.home}")
        if not missing:
            print(f"address     {self.url}")
        return 3 if missing else 0


def aslist(value: str | list[str] | None) -> list[str]:
    return [value] if isinstance(value, str) else value or ["-"]


def gist(output: str) -> str:
    """The one line of an output that says most: the last that names an error, or the last."""
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    telling = [line for line in lines if "rror" in line or "FATAL" in line or "ERROR" in line]
    return ((telling or lines or ["it wrote nothing."])[-1])[:300]


def boot_id() -> str:
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def postgresql_bin(version: str | None = None) -> Path:
    """Debian keeps several PostgreSQL versions side by side; a cluster needs its own one."""
    found = sorted(Path("/usr/lib/postgresql").glob(f"{version or '*'}/bin/postgres"), key=lambda path: int(path.parts[-3]))
    if not found:
        raise Problem(f"PostgreSQL {version or ''} is missing: install postgresql-{version or '15'}, then run again.")
    return found[-1].parent


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


class TestPortal(Portal):
    """The services of the tests: a home below the portal's, made anew for each run."""

    def __init__(self, portal: Portal) -> None:
        super().__init__(portal.home / "test", lib=portal.lib)
        self.server_ini = self.home / "server.ini"

    def settings(self) -> None:
        """Two files on top of test.ini: for pytest, and for the server that a browser meets.

        The server has its own Redis number, so that its worker takes no job from a test that
        looks into the queue, and checks CSRF tokens as in production.
        """
        local = self.local_settings()
        lines = [f"{key} = {value}" for key, value in local.items()]
        self.write(self.ini, "\n".join(["[app:main]", f"use = config:{CODE}/test.ini", *lines, ""]))
        redis = local["ckan.redis.url"].replace("/0?", "/1?")
        self.write(
            self.server_ini,
            f"[app:main]\nuse = config:{self.ini}\nckan.redis.url = {redis}\n"
            "testing = false\nWTF_CSRF_ENABLED = true\n"
            # webassets keeps files that only their maker may read, here root or the service user.
            f"ckan.webassets.path = {self.data / 'storage/webassets-server'}\n",
        )

    def boot(self) -> None:
        self.choose_ports()
        for name in ("storage", "solr"):
            shutil.rmtree(self.data / name, ignore_errors=True)
        self.prepare()
        self.start(self.postgresql(), self.redis(), self.solr())
        self.sql("DROP DATABASE IF EXISTS ckan WITH (FORCE)")
        self.sql("DROP DATABASE IF EXISTS datastore WITH (FORCE)")
        self.databases()
        self.settings()
        self.ckan("db", "init")
        self.set_permissions()

    def serve(self) -> None:
        """Starts CKAN and the worker for browser tests (called by the fixture `server`)."""
        self.start(
            *(
                replace(service, env=service.env | {"CKAN_INI": str(self.server_ini)})
                for service in (self.web(), self.worker())
            )
        )

    def pytest(self, args: list[str]) -> int:
        """Runs pytest on fresh services; everything is stopped again however it ends."""
        with self.locked(), stopping(self):
            self.prepare()
            self.down()
            self.boot()
            command = [
                BIN / "pytest", f"--ckan-ini={self.ini}", "-o", f"cache_dir={self.tmp}/pytest",
                *args,
            ]  # fmt: skip
            env = self.environment(
                # pytest is the caller's own process; Chromium crashes with some other TMPDIRs.
                HOME=os.environ.get("HOME", "/"),
                TMPDIR=os.environ.get("TMPDIR", "/tmp"),
                HYPOTHESIS_STORAGE_DIRECTORY=f"{self.tmp}/hypothesis",
                SATUDATA_HOME=str(self.home.parent),
                SATUDATA_ROOT=str(ROOT),
                SATUDATA_CODE=str(CODE),
                SATUDATA_TEST_URL=self.url,
            )
            process = subprocess.Popen(command, cwd=ROOT, env=env, umask=0o007)
            try:
                return process.wait()
            except BaseException:
                process.send_signal(signal.SIGINT)
                process.wait()
                raise


@contextlib.contextmanager
def stopping(portal: Portal) -> Iterator[None]:
    """Ends what runs inside like Ctrl-C when the terminal or the CI goes away, then stops all."""

    def interrupt(*_: object) -> NoReturn:
        raise KeyboardInterrupt

    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, interrupt)
    try:
        yield
    finally:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)
        portal.down()


def lint() -> int:
    """The checks without services: ruff, pyright, and that the engine imports no CKAN."""
    commands = (["ruff", "check", "."], ["pyright", "--pythonpath", sys.executable], ["lint-imports"])
    return max(
        subprocess.run([BIN / name, *args], cwd=ROOT).returncode for name, *args in commands
    )


def main(argv: list[str]) -> int:
    command, args = argv[0], argv[1:]
    portal = Portal(Path(os.environ["SATUDATA_HOME"]))
    match command, args:
        case "up", [] | ["--empty"]:
            portal.up(empty=bool(args))
        case "down", []:
            with portal.locked():
                portal.down()
        case "status", []:
            return portal.status()
        case "logs", [name] if name in (*SERVICES, "setup"):
            return subprocess.run(["tail", "-n", "100", portal.logs / f"{name}.log"]).returncode
        case "reset", ["--yes"]:
            with portal.locked(), TestPortal(portal).locked():
                portal.reset()
        case "reset", []:
            raise Problem(f"this deletes all data in {portal.home}: say ./portal reset --yes.")
        case "ckan", _:
            return subprocess.run(
                [BIN / "ckan", "-c", portal.ini, *args],
                env=portal.environment(),
                umask=0o007,
                **portal.identity,
            ).returncode
        case "test", _:
            return TestPortal(portal).pytest(args)
        case "test-server", []:
            TestPortal(portal).serve()
        case "run-schedule", []:
            portal.run_schedule()
        case "lint", []:
            return lint()
        case _:
            raise Problem(f"{' '.join(argv)} is not understood: see ./portal help.")
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except Problem as problem:
        say(f"portal: {problem}")
        sys.exit(1)
    except OSError as error:
        say(f"portal: {error}: make room or mend the permissions, then run again.")
        sys.exit(1)
    except KeyboardInterrupt:
        say("\nInterrupted: run the same command again to go on.")
        sys.exit(130)
