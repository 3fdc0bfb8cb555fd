"""What runs in a home folder, and the settings by which CKAN finds it."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import NoReturn

from home import BIN, Home
from processes import Problem, Service, accepts, answers, gist, say

ROOT = Path(os.environ.get("SATUDATA_ROOT", Path(__file__).resolve().parent.parent))
CODE = Path(os.environ.get("SATUDATA_CODE", ROOT))

#: A word weighs the same however rare it is: Solr counts in what is not public, too, and the order
#: of results would tell.
SIMILARITY = '<similarity class="solr.BooleanSimilarityFactory"/>'

#: PostgreSQL logs what failed (message and SQLSTATE), not the statement: its values may be a draft
#: or a password. docker/compose.yaml sets the same.
LOGGING = {
    "log_min_error_statement": "panic",
    "log_error_verbosity": "terse",
    "log_line_prefix": "%m [%p] %e ",
}

#: Role of PostgreSQL -> its password in `secrets.json`.
ROLES = {"ckan_owner": "owner", "ckan": "ckan", "datastore": "datastore", "postgres": "postgres"}
#: Database -> the role that owns it, and that works in it.
OWNERS = {"ckan": "ckan_owner", "datastore": "ckan"}


def postgresql_bin(version: str | None = None) -> Path:
    """Debian keeps several PostgreSQL versions side by side; a cluster needs its own one."""
    found = Path("/usr/lib/postgresql").glob(f"{version or '*'}/bin/postgres")
    newest = max(found, key=lambda path: int(path.parts[-3]), default=None)
    if newest is None:
        package = f"postgresql-{version}" if version else "postgresql"
        raise Problem(f"PostgreSQL is missing: install {package}, then run again.")
    return newest.parent


def crontab() -> list[tuple[str, list[str]]]:
    """The lines of deploy/crontab: when, and the arguments of `ckan`."""
    lines = (line.split() for line in (CODE / "deploy/crontab").read_text().splitlines())
    return [(" ".join(words[:5]), words[7:]) for words in lines if words[6:7] == ["ckan"]]


class Installation(Home):
    """One PostgreSQL cluster, Redis, Solr, job worker, schedule and CKAN under gunicorn."""

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
            # A backup locks every table, and the DataStore has one for each tabular file.
            "max_locks_per_transaction": 512,
            "timezone": "UTC",
            **LOGGING,
        }
        if self.test:
            settings |= {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}
        return Service(
            "postgresql",
            [str(binaries / "postgres"), "-D", str(folder)]
            + [part for key, value in settings.items() for part in ("-c", f"{key}={value}")],
            ready=lambda: (
                not subprocess.run(
                    [binaries / "pg_isready", "-q", "-h", "127.0.0.1", "-p", str(settings["port"])],
                    **self.identity,
                ).returncode
            ),
        )

    def sql(self, statements: str, database: str = "postgres", role: str = "postgres") -> str:
        """Runs SQL, as the cluster's superuser unless told otherwise.

        In the DataStore's database nothing is run as superuser: the role that serves makes what it
        likes there, and functions run with the rights of who calls them.
        """
        # What the owner of a database leaves in it stands in for nothing that a superuser calls.
        safe = {"PGOPTIONS": "-c search_path=pg_catalog"} if role == "postgres" else {}
        return self.call(
            postgresql_bin() / "psql", "-h", "127.0.0.1", "-p", self.ports["postgresql"],
            "-U", role, "-qtAX", "-v", "ON_ERROR_STOP=1", "-v", "VERBOSITY=terse", database,
            stdin=statements, PGPASSWORD=self.secrets[ROLES[role]], **safe,
        )  # fmt: skip

    def databases(self) -> None:
        """Makes roles and databases where they are missing, and sets the roles' passwords."""
        for role, secret in ROLES.items():
            if not self.sql(f"SELECT 1 FROM pg_roles WHERE rolname = '{role}'"):
                self.sql(f"CREATE ROLE {role} LOGIN")
            self.sql(f"ALTER ROLE {role} PASSWORD '{self.secrets[secret]}'")
        for name, owner in OWNERS.items():
            if not self.sql(f"SELECT 1 FROM pg_database WHERE datname = '{name}'"):
                self.sql(f"CREATE DATABASE {name} OWNER {owner}")
        self.sql((CODE / "deploy/roles.sql").read_text(), "ckan")

    def owner_url(self, database: str = "ckan") -> str:
        """Address of CKAN's database for who may change its tables: `ckan db ...`, no server."""
        return (
            f"postgresql://ckan_owner:{self.secrets['owner']}"
            f"@127.0.0.1:{self.ports['postgresql']}/{database}"
        )

    def migrate(self) -> None:
        """Makes or migrates the tables, and sets the rights of the DataStore's reader."""
        # The second puts functions and triggers in place also where no migration is new.
        for command in (("init",), ("upgrade", "-p", "satudata_trenggalek")):
            self.call(BIN / "ckan", "-c", self.ini, "db", *command,
                      CKAN_SQLALCHEMY_URL=self.owner_url())  # fmt: skip
        self.sql(self.ckan("datastore", "set-permissions"), "datastore", OWNERS["datastore"])
        # All of it that this role may not do; a new database lets everybody connect.
        self.sql("REVOKE CONNECT ON DATABASE ckan FROM PUBLIC, datastore")

    def redis(self) -> Service:
        port, password = self.ports["redis"], self.secrets["redis"]
        conf = self.home / "redis.conf"
        self.write(
            conf,
            f"bind 127.0.0.1\nport {port}\nrequirepass {password}\ndir {self.data / 'redis'}\n"
            + ("save ''\n" if self.test else "save 60 1\n"),
        )
        return Service("redis", ["redis-server", str(conf)], ready=lambda: accepts(port))

    def fetch(self) -> None:
        """Brings Solr where it is missing."""
        if not (self.lib / ".complete").exists():
            say("Fetching Solr")
            shutil.rmtree(self.lib, ignore_errors=True)
            done = subprocess.run(
                ["/usr/bin/mvn", "-q", "-B", "-f", CODE / "deploy/solr/pom.xml",
                 "dependency:copy-dependencies", f"-DoutputDirectory={self.lib}"],
                capture_output=True, text=True,
            )  # fmt: skip
            if done.returncode:
                raise Problem(
                    f"Solr could not be fetched: {gist(done.stdout)}"
                    " Check the network, then run again."
                )
            (self.lib / ".complete").touch()

    def solr(self) -> Service:
        port, home = self.ports["solr"], self.data / "solr"
        self.fetch()
        import ckan.config

        conf = home / "ckan/conf"
        self.give(home)
        for folder in (home / "ckan", conf):
            self.give(folder)
        schema = (Path(ckan.config.__path__[0]) / "solr/schema.xml").read_text()
        for path, text in {
            home / "solr.xml": "<solr/>\n",
            home / "ckan/core.properties": "name=ckan\n",
            conf / "managed-schema.xml": schema.replace("</schema>", f"{SIMILARITY}</schema>"),
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
            # The better compiler takes half of the start of a server that soon ends again.
            [java, "-Xmx512m",
             *(("-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC") if self.test else ()),
             *((f"-Dsolr.data.home={self.index}",) if self.index else ()),
             f"-Dsolr.solr.home={home}", f"-Dsolr.log.dir={self.tmp}",
             "-cp", f"{self.lib}/*", str(CODE / "deploy/solr/SolrServer.java"), str(port)],
            ready=lambda: accepts(port)
            and answers(f"http://127.0.0.1:{port}/solr/ckan/select?q=*:*&rows=0"),
        )  # fmt: skip

    @property
    def index(self) -> Path | None:
        """Solr's index in memory, where there is room: most of a commit is waiting for the disk.

        As with PostgreSQL (`fsync = off`), tests need not survive a power cut.
        """
        memory = Path("/dev/shm")  # noqa: S108 - named after this installation, and emptied
        if (
            not self.test
            or not os.access(memory, os.W_OK)
            or shutil.disk_usage(memory).free < 1 << 28
        ):
            return None
        return memory / f"satudata-{hashlib.sha256(str(self.home).encode()).hexdigest()[:16]}"

    def mail(self) -> Service:
        port = self.ports["mail"]
        return Service(
            "mail",
            [sys.executable, str(CODE / "deploy/mail.py"), str(port), str(self.mails)],
            ready=lambda: accepts(port),
        )

    def worker(self) -> Service:
        return Service(
            "worker",
            [str(BIN / "ckan"), "jobs", "worker"],  # its settings: CKAN_INI
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
        """Runs the commands of deploy/crontab at their times, each beside the others.

        A command whose last run has not ended is left out until it has.
        """
        from croniter import croniter

        entries = crontab()
        running: dict[int, subprocess.Popen[bytes]] = {}
        while True:
            now = time.time()
            times = [croniter(when, now).get_next(float) for when, _ in entries]
            time.sleep(min(times) - now)
            for number, (due, (_, command)) in enumerate(zip(times, entries, strict=True)):
                before = running.get(number)
                if due == min(times) and (before is None or before.poll() is not None):
                    words = [str(self.ini) if word == "$CKAN_INI" else word for word in command]
                    running[number] = subprocess.Popen([BIN / "ckan", *words])

    def web(self) -> Service:
        port = self.ports["ckan"]
        # Threads, not plain workers: a slow upload of 500 MB then neither blocks a worker nor is
        # it killed by the timeout. No preload: connections must not be shared over the fork.
        return Service(
            "ckan",
            [str(BIN / "gunicorn"), "--bind", f"127.0.0.1:{port}",
             "--workers", "1" if self.test else "2", "--threads", "4",
             "--timeout", "120", "--graceful-timeout", "10",
             "--worker-tmp-dir", str(self.tmp), "--no-control-socket",
             "--chdir", str(CODE / "deploy"), "wsgi:application"],
            ready=lambda: accepts(port) and answers(f"{self.url}/api/3/action/status_show"),
            env={"PYTHONUNBUFFERED": "1"},
        )  # fmt: skip

    # --- settings ---

    def local_settings(self) -> dict[str, str]:
        ports, secret, storage = self.ports, self.secrets, self.data / "storage"
        postgres = f"127.0.0.1:{ports['postgresql']}"
        mail = {
            "smtp.server": f"127.0.0.1:{ports['mail']}",
            "smtp.mail_from": "satudata@localhost",
        }
        if "\nsmtp.server" in (CODE / "deploy/options.ini").read_text():
            mail = {}  # the operator's own mail server
        return mail | {
            "ckan.site_url": self.url,
            "SECRET_KEY": secret["key"],
            "WTF_CSRF_SECRET_KEY": hashlib.sha256(f"csrf{secret['key']}".encode()).hexdigest(),
            "api_token.jwt.encode.secret": f"string:{secret['key']}",
            "api_token.jwt.decode.secret": f"string:{secret['key']}",
            "sqlalchemy.url": f"postgresql://ckan:{secret['ckan']}@{postgres}/ckan",
            "ckan.datastore.write_url": f"postgresql://ckan:{secret['ckan']}@{postgres}/datastore",
            "ckan.datastore.read_url": f"postgresql://datastore:{secret['datastore']}@{postgres}"
            "/datastore",
            "solr_url": f"http://127.0.0.1:{ports['solr']}/solr/ckan",
            # redis-py 8 ends an idle reader after a few seconds, and with it a waiting worker.
            "ckan.redis.url": f"redis://:{secret['redis']}@127.0.0.1:{ports['redis']}/0"
            "?socket_timeout=1000000000",
            "ckan.storage_path": str(storage),
            "ckan.files.storage.resources.path": str(storage / "resources"),
            "ckan.webassets.path": str(storage / "webassets"),
            "ckanext.satudata_trenggalek.anchor_file": str(self.anchors),
        }

    def settings(self) -> None:
        """Writes ckan.ini the way a production install does: generate, then config-tool."""
        from ckan.lib import config_tool

        part, new = self.tmp / "ckan.ini", self.home / "ckan.ini.new"
        part.unlink(missing_ok=True)
        self.call(BIN / "ckan", "generate", "config", part)
        self.write(new, self.taken(part))
        part.unlink()
        config_tool.config_edit_using_merge_file(str(new), str(CODE / "deploy/options.ini"))
        local = [f"{key} = {value}" for key, value in self.local_settings().items()]
        config_tool.config_edit_using_option_strings(str(new), local, "app:main")
        new.replace(self.ini)

    def fingerprint(self) -> str:
        """Changes with code, settings or addresses: then CKAN is set up and started anew."""
        digest = hashlib.sha256(json.dumps([self.ports, str(CODE)]).encode())
        for folder in ("ckanext", "schemas", "deploy", "setup.cfg"):
            for path in sorted((CODE / folder).rglob("*")) or [CODE / folder]:
                if path.is_file() and path.suffix != ".pyc":
                    stat = path.stat()
                    digest.update(f"{path} {stat.st_size} {stat.st_mtime_ns}\n".encode())
        return digest.hexdigest()
