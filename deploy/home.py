"""The home folder of an installation: its files, ports, secrets and running services."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import pwd
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from processes import (
    Problem,
    Service,
    boot_id,
    gist,
    group_members,
    owner_of,
    port_is_free,
    say,
    started_at,
    wait_for_exit,
)

BIN = Path(sys.executable).parent
SERVICE_USER = "satudata"
SERVICES = ("postgresql", "redis", "solr", "mail", "ckan", "worker", "schedule")
#: What `save` writes, beside the pid files.
STATE = ("secrets.json", "ports.json", "state.json")


class Home:
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
        self.anchors = self.data / "anchor.jsonl"
        self.mails = home / "mail"
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
        # Errors that a server logs quote what is not published.
        self.logs.chmod(0o700)
        for path in self.logs.iterdir():
            path.chmod(0o600)
        for path in (*(self.home / name for name in STATE), *self.run.glob("*.pid")):
            if path.exists():
                os.chown(path, os.getuid(), os.getgid())
        for folder in (self.data, self.tmp, self.mails, self.data / "storage", self.data / "redis"):
            self.give(folder)
        for folder in ("resources", "storage", "webassets"):
            self.give(self.data / "storage" / folder)

    @contextlib.contextmanager
    def opened(self, folder: Path) -> Iterator[int]:
        """Opens a folder of the home to work in; no link of a service is followed on the way.

        What lies in the home itself is the caller's, all below may be the service user's, who
        must not choose where root writes.

        Raises:
            Problem: a link is in the way.
        """
        first, *below = folder.relative_to(self.home).parts or (".",)
        flags = os.O_RDONLY | os.O_DIRECTORY
        with contextlib.ExitStack() as stack:
            handle = os.open(self.home / first, flags)
            stack.callback(os.close, handle)
            for name in below:
                try:
                    handle = os.open(name, flags | os.O_NOFOLLOW, dir_fd=handle)
                except NotADirectoryError as error:
                    raise Problem(
                        f"{folder} is no folder of its own, {name} may be a link: remove that,"
                        " then run again."
                    ) from error
                stack.callback(os.close, handle)
            yield handle

    def give(self, path: Path) -> None:
        """Makes a folder of the service user that nobody else reads.

        Tests write into the same folders as the services, under another user when root runs
        them: the group is inherited and may write.
        """
        with self.opened(path.parent) as above, contextlib.suppress(FileExistsError):
            os.mkdir(path.name, dir_fd=above)
        with self.opened(path) as folder:
            os.fchown(folder, self.user.pw_uid, self.user.pw_gid)
            os.fchmod(folder, 0o2770)

    def write(self, path: Path, text: str, uid: int | None = None, gid: int | None = None) -> None:
        """Writes a file that only its owner reads (mode 600), whole or not at all.

        Args:
            path: in the home, or below a folder that was given to the service user.
            text: its content.
            uid: its owner, else the service user.
            gid: its group, else that of the service user.
        """
        part = path.name + ".part"
        with self.opened(path.parent) as folder:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(part, dir_fd=folder)
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL
            with os.fdopen(os.open(part, flags, 0o600, dir_fd=folder), "w") as file:
                file.write(text)
                os.fchown(
                    file.fileno(),
                    self.user.pw_uid if uid is None else uid,
                    self.user.pw_gid if gid is None else gid,
                )
            os.replace(part, path.name, src_dir_fd=folder, dst_dir_fd=folder)

    def taken(self, path: Path) -> str:
        """The content of a file that the service user made, read with the rights of that user.

        Raises:
            Problem: it can't be read.
        """
        return self.call("/bin/cat", path)

    def load(self, name: str) -> dict[str, Any]:
        try:
            return json.loads((self.home / name).read_text())
        except FileNotFoundError:
            return {}

    def save(self, name: str, content: dict[str, Any]) -> None:
        """Writes what only the caller reads and changes: it says what is started and ended."""
        text = json.dumps(content, indent=1) + "\n"
        self.write(self.home / name, text, os.getuid(), os.getgid())

    @property
    def secrets(self) -> dict[str, str]:
        """Random passwords and keys, made once; the services are not to read them."""
        known = self.load("secrets.json")
        for name in ("postgres", "owner", "ckan", "datastore", "redis", "key"):
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
        for name in ("postgresql", "redis", "solr", "mail", *(("ckan",) if self.test else ())):
            if name in ports and (self.alive(name) or port_is_free(ports[name])):
                continue
            taken = set(ports.values())
            ports[name] = next(
                port for port in range(start, 32000) if port not in taken and port_is_free(port)
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
            said = f"$ {' '.join(map(str, argv[:4]))}\n{done.stdout}{done.stderr}\n"
            with self.log("setup") as log:
                log.write(said.encode())
            words = [str(part) for part in argv[1:] if part not in ("-c", self.ini)]
            what = " ".join([Path(str(argv[0])).name, *words[:2]])
            raise Problem(
                f"{what} failed: {gist(done.stderr or done.stdout)}"
                f" The whole output: {self.logs / 'setup.log'}"
            )
        return done.stdout

    def ckan(self, *args: object) -> str:
        return self.call(BIN / "ckan", "-c", self.ini, *args)

    def alive(self, name: str) -> int | None:
        """The pid of a service of ours that lives, known by pid file, start time and user."""
        record = self.load(f"run/{name}.pid")
        if not record or record["boot"] != boot_id():
            return None
        # The tests themselves are the caller's.
        uid = self.user.pw_uid if name in SERVICES else os.getuid()
        ours = started_at(record["pid"]) == record["started"] and owner_of(record["pid"]) == uid
        return record["pid"] if ours else None

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
        started: list[tuple[Service, subprocess.Popen[Any]]] = []
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

    def log(self, name: str) -> IO[bytes]:
        """Opens a log to add to."""
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT
        return os.fdopen(os.open(self.logs / f"{name}.log", flags, 0o600), "ab")

    def spawn(self, service: Service) -> subprocess.Popen[Any]:
        path = self.logs / f"{service.name}.log"
        if path.exists() and path.stat().st_size > 20_000_000:
            path.replace(path.with_suffix(".log.1"))
        with self.log(service.name) as log:
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
        self.remember(service.name, process.pid)
        return process

    def remember(self, name: str, pid: int) -> None:
        """Writes the pid file by which a later run knows the process as ours."""
        record = {"pid": pid, "started": started_at(pid), "boot": boot_id()}
        self.save(f"run/{name}.pid", record)

    def last_words(self, name: str) -> str:
        """The gist of the end of a log: its last line that names an error, or else its last."""
        with contextlib.suppress(FileNotFoundError):
            lines = (self.logs / f"{name}.log").read_text(errors="replace").splitlines()
            return gist("\n".join(lines[-30:]))
        return "it wrote nothing."
