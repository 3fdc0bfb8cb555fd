"""Starts, stops and tests the portal's services without Docker; called by ./portal.

The bash part has installed everything by then. All servers listen on 127.0.0.1 and live in the home
folder (`.portal`). A second home below it, `test/`, is the same thing for `./portal test`, so that
the two never meet.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import NoReturn

import backup
from home import BIN, SERVICES
from processes import Problem, gist, say
from services import CODE, ROOT, Installation


class Portal(Installation):
    """What `./portal up` starts."""

    def up(self, empty: bool) -> None:
        self.prepare()
        with self.locked():
            if archive := self.load("state.json").get("restoring"):
                raise Problem(
                    f"a restore was interrupted: say ./portal restore {archive} --yes again."
                )
            self.clean()
            self.choose_ports()
            fingerprint = self.fingerprint()
            if self.load("state.json").get("fingerprint") != fingerprint:
                self.stop("ckan", "worker", "schedule", "postgresql")
            if not all(self.alive(name) for name in SERVICES):
                self.start(self.postgresql(), self.redis(), self.solr(), self.mail())
            if self.load("state.json").get("fingerprint") != fingerprint:
                say("Setting up CKAN")
                self.databases()
                self.settings()
                self.migrate()
                self.save("state.json", {"fingerprint": fingerprint})
            self.start(self.web(), self.worker(), self.schedule())
            if not empty and not self.akun.exists():
                self.demo()
        self.report()

    def demo(self) -> None:
        """Seeds the demo; its accounts file is made where the service may write, then moved."""
        say("Seeding the demo")
        part = self.tmp / "akun.json"
        self.ckan("satudata", "demo", "--akun", part)
        self.write(self.akun, self.taken(part))
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
                cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
                print(f"  {'  '.join(cells)}".rstrip())
            print(f"Tokens for the API: {self.akun}")
        else:
            print("No accounts yet: ./portal ckan sysadmin add NAME email=you@example.org")

    def down(self) -> None:
        # CKAN and the worker first: they write to the others until they are gone.
        self.stop("ckan", "worker", "schedule", "solr")
        self.stop("redis", "postgresql", "mail")

    def reset(self) -> None:
        """Deletes data, accounts and settings; what was installed stays."""
        self.down()
        for name in ("data", "logs", "run", "tmp", "mail", "test", "test-2"):
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
        print(f"mail        {self.mails}: {len(list(self.mails.glob('*.eml')))} caught")
        if not missing:
            print(f"address     {self.url}")
        return 3 if missing else 0


def aslist(value: str | list[str] | None) -> list[str]:
    return [value] if isinstance(value, str) else value or ["-"]


#: Tests that `./portal test` runs a sample of: tests/gate/test_NAME.py.
SOAKED = ("races", "faults", "walk", "restore")


class TestPortal(Portal):
    """The services of the tests: a home below the portal's, made anew for each run."""

    #: The settings that the tests begin with.
    base = "test.ini"

    def __init__(self, portal: Portal, name: str = "test") -> None:
        super().__init__(portal.home / name, lib=portal.lib)
        self.server_ini = self.home / "server.ini"

    def settings(self) -> None:
        """Two files on top of test.ini: for pytest, and for the server that a browser meets.

        The server has its own Redis number, so that its worker takes no job from a test that
        looks into the queue, and checks CSRF tokens as in production.
        """
        local = self.local_settings()
        lines = [f"{key} = {value}" for key, value in local.items()]
        self.write(
            self.ini, "\n".join(["[app:main]", f"use = config:{CODE}/{self.base}", *lines, ""])
        )
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
        for path in (self.data / "storage", self.data / "solr", self.index):
            if path:
                shutil.rmtree(path, ignore_errors=True)
        self.anchors.unlink(missing_ok=True)
        self.prepare()
        self.start(self.postgresql(), self.redis(), self.solr())
        for name in ("ckan", "datastore"):
            self.sql(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
        tables = {"tables": self.tables()}
        if self.load("state.json") == tables:
            self.settings()
            self.sql("CREATE DATABASE ckan OWNER ckan_owner TEMPLATE ckan_new")
            self.sql("CREATE DATABASE datastore OWNER ckan TEMPLATE datastore_new")
            # What is granted on a database itself is not copied with it.
            self.sql((CODE / "deploy/roles.sql").read_text(), "ckan")
            return
        self.databases()
        self.settings()
        self.migrate()
        for name in ("ckan", "datastore"):
            self.sql(f"DROP DATABASE IF EXISTS {name}_new")
            self.sql(f"CREATE DATABASE {name}_new TEMPLATE {name}")
        self.save("state.json", tables)

    def tables(self) -> str:
        """Changes with what the migrations make: then they are run anew, not copied."""
        digest = hashlib.sha256(self.base.encode())
        package = CODE / "ckanext/satudata_trenggalek"
        for path in (
            *sorted((package / "migration").rglob("*.py")),
            *sorted((package / "model").rglob("*.py")),
            package / "workflow/table.py",
            *(CODE / "deploy" / name for name in ("constraints.txt", "options.ini", "roles.sql")),
            CODE / self.base,
        ):
            digest.update(path.read_bytes())
        return digest.hexdigest()

    def down(self) -> None:
        self.stop("pytest")
        super().down()
        if self.index:
            shutil.rmtree(self.index, ignore_errors=True)

    def serve(self) -> None:
        """Starts CKAN and the worker for browser tests (called by the fixture `server`)."""
        self.start(
            *(
                replace(service, env=service.env | {"CKAN_INI": str(self.server_ini)})
                for service in (self.web(), self.worker())
            )
        )

    def pytest(self, args: list[str], other: TestPortal) -> int:
        """Runs pytest on fresh services; with --baseline on CKAN without the portal's plugin.

        All tests at once are shared by two processes, the second one on services of `other`.
        """
        if "--baseline" in args:
            self.base = "deploy/baseline.ini"
        chosen = any(Path(arg.partition("::")[0]).exists() for arg in args)
        command = [BIN / "pytest", "-o", f"cache_dir={self.tmp}/pytest"]
        if chosen or "--baseline" in args or (os.cpu_count() or 1) < 2:
            return self.measured([*command, *args])
        return self.measured(
            [*command, "-n2", "--dist=loadfile", "--no-loadscope-reorder", *args], other
        )

    def soak(self, args: list[str]) -> int:
        """Runs races, faults and the random walk at full length, or the one named.

        Further arguments go to pytest, such as `--walk-seed` of an earlier run.
        """
        name, *options = args if args and not args[0].startswith("-") else ["", *args]
        if name and name not in SOAKED:
            raise Problem(f"there is nothing called {name} to soak: choose {', '.join(SOAKED)}.")
        files = [ROOT / f"tests/gate/test_{each}.py" for each in ([name] if name else SOAKED)]
        cache = f"cache_dir={self.tmp}/pytest"
        return self.measured([BIN / "pytest", "-o", cache, "--soak", *files, *options])

    def bench(self, args: list[str]) -> int:
        """Runs the measurements of bench/, or the one named, each on fresh services.

        Returns:
            0 when all keep their limits.
        """
        known = {path.stem: path for path in sorted((ROOT / "bench").glob("*.py"))}
        del known["common"]
        name, *options = args or [""]
        if name and name not in known:
            raise Problem(f"there is no measurement {name}: choose {', '.join(known)}.")
        return max(
            self.measured([sys.executable, known[each], *options])
            for each in ([name] if name else known)
        )

    def told(self) -> dict[str, str]:
        """What tells a test process which services are its own."""
        return {
            "CKAN_INI": str(self.ini),
            "SATUDATA_OWNER_URL": self.owner_url(),
            "SATUDATA_TEST_HOME": self.home.name,
            "SATUDATA_TEST_URL": self.url,
        }

    def measured(self, command: list[str | Path], *others: TestPortal) -> int:
        """Runs a program on fresh services; everything is stopped again however it ends.

        Args:
            command: the program.
            others: further services, for a second process that the program starts.
        """
        portals = (self, *others)
        with contextlib.ExitStack() as stack:
            for portal in portals:
                stack.enter_context(portal.locked())
                stack.enter_context(stopping(portal))
                portal.prepare()
                portal.down()
            self.fetch()  # once, for all of them
            with ThreadPoolExecutor(len(portals)) as pool:
                list(pool.map(TestPortal.boot, portals))
            env = self.environment(
                # It is the caller's own process; Chromium crashes with some other TMPDIRs.
                HOME=os.environ.get("HOME", "/"),
                TMPDIR=os.environ.get("TMPDIR", tempfile.gettempdir()),
                HYPOTHESIS_STORAGE_DIRECTORY=f"{self.tmp}/hypothesis",
                SATUDATA_HOME=str(self.home.parent),
                SATUDATA_ROOT=str(ROOT),
                SATUDATA_CODE=str(CODE),
                SATUDATA_BESIDE=json.dumps([portal.told() for portal in others]),
                **self.told(),
            )
            process = subprocess.Popen(
                command,
                cwd=ROOT,
                env=env,
                umask=0o007,
                # A shell's background jobs ignore it, and pytest could not be interrupted.
                preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
            )
            try:
                self.remember("pytest", process.pid)
                return process.wait()
            except BaseException:
                process.send_signal(signal.SIGINT)
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(30)
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
    commands = (
        ["ruff", "check", "."],
        ["pyright", "--pythonpath", sys.executable],
        ["lint-imports", "--no-logo"],
    )
    return max(subprocess.run([BIN / name, *args], cwd=ROOT).returncode for name, *args in commands)


#: Runs in an environment of its own, so that it pins nothing of the portal's.
PIP_AUDIT = "pip-audit==2.10.1"


def audit() -> int:
    """Asks PyPI for known vulnerabilities of every package of deploy/constraints.txt.

    Returns:
        0 when every package was asked for and none is known to be vulnerable, else 1.

    Raises:
        Problem: nobody could be asked.
    """
    index = os.environ.get("PIP_INDEX_URL", "")
    done = subprocess.run(
        [BIN / "uv", "tool", "run", "--from", PIP_AUDIT, "pip-audit", "--progress-spinner", "off",
         "--no-deps", "--disable-pip", "-f", "json", "-r", CODE / "deploy/constraints.txt"],
        env=({"UV_DEFAULT_INDEX": index} if index else {}) | os.environ | {"UV_SYSTEM_CERTS": "1"},
        capture_output=True,
        text=True,
    )  # fmt: skip
    try:
        packages = json.loads(done.stdout)["dependencies"]
    except ValueError:
        packages = []
    asked = [package for package in packages if "vulns" in package]
    if not asked:
        told = "it knows none of the packages" if packages else gist(done.stderr)
        raise Problem(f"nothing was audited, pypi.org is needed and was not reached: {told}.")
    for package in packages:
        name = f"{package['name']} {package.get('version', '')}".strip()
        if "skip_reason" in package:
            print(f"{name}: not audited: {package['skip_reason']}")
        for known in package.get("vulns", ()):
            remedy = ", ".join(known["fix_versions"]) or "none yet"
            print(f"{name}: {known['id']}, mended in {remedy}")
    bad = sum(bool(package["vulns"]) for package in asked)
    print(f"{len(asked)} of {len(packages)} packages audited, {bad} with known vulnerabilities.")
    return int(bool(bad) or len(asked) < len(packages))


def wrong(problems: list[str]) -> int:
    """Says what is wrong with the data; the exit status is for who runs it at night."""
    for problem in problems:
        say(f"portal: {problem}")
    return 1 if problems else 0


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
            log = portal.logs / f"{name}.log"
            return subprocess.run(["/usr/bin/tail", "-n", "100", log]).returncode
        case "reset", ["--yes"]:
            with portal.locked(), TestPortal(portal).locked():
                portal.reset()
        case "reset", []:
            raise Problem(f"this deletes all data in {portal.home}: say ./portal reset --yes.")
        case "ckan", _:
            if not portal.ini.exists():
                raise Problem("nothing was set up here yet: run ./portal up first.")
            # The tables belong to a role that no server runs as.
            owner = {"CKAN_SQLALCHEMY_URL": portal.owner_url()} if args[:1] == ["db"] else {}
            return subprocess.run(
                [BIN / "ckan", "-c", portal.ini, *args],
                env=portal.environment(**owner),
                umask=0o007,
                **portal.identity,
            ).returncode
        case "test", _:
            return TestPortal(portal).pytest(args, TestPortal(portal, "test-2"))
        case "soak", _:
            return TestPortal(portal).soak(args)
        case "bench", _:
            return TestPortal(portal).bench(args)
        case "test-server", []:
            TestPortal(portal, os.environ["SATUDATA_TEST_HOME"]).serve()
        case "run-schedule", []:
            portal.run_schedule()
        case "backup", [file]:
            with portal.locked():
                return wrong(backup.make(portal, Path(file)))
        case "restore", [file] | [file, "--yes"]:
            with portal.locked():
                return wrong(backup.restore(portal, Path(file), yes=len(args) == 2))
        case "lint", []:
            return lint()
        case "audit", []:
            return audit()
        case _:
            raise Problem(f"{' '.join(argv)} is not understood: see ./portal help.")
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except Problem as problem:
        say(f"portal: {problem}")
        sys.exit(1)
    except BrokenPipeError:  # the reader of our output, such as `head`, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except OSError as error:
        say(f"portal: {error}: make room or mend the permissions, then run again.")
        sys.exit(1)
    except KeyboardInterrupt:
        say("\nInterrupted: run the same command again to go on.")
        sys.exit(130)
