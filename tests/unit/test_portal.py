"""The launcher: what it says when something is in the way, whom it stops, what it writes.

That it starts everything is what every other test stands on.
"""

from __future__ import annotations

import configparser
import contextlib
import os
import re
import shutil
import signal
import smtplib
import socket
import stat
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from email.message import EmailMessage
from importlib import resources
from pathlib import Path

import portal
import processes
import pytest
import services
import yaml
from processes import Problem, Service

ROOT = Path(__file__).resolve().parents[2]


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.fixture
def home() -> Iterator[Path]:
    """An empty home where the service user reaches it too (pytest's tmp_path is for root only)."""
    folder = Path(tempfile.mkdtemp(dir=Path(os.environ["SATUDATA_HOME"]) / "test"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def installation(home: Path) -> Iterator[portal.Portal]:
    installation = portal.Portal(home)
    installation.prepare()
    yield installation
    installation.down()


def run(home: Path, *args: str) -> subprocess.CompletedProcess[str]:
    """Runs ./portal on a home that has the virtual environment of this run."""
    (home / "venv").symlink_to(sys.prefix)
    return subprocess.run(
        [ROOT / "portal", *args],
        env={**os.environ, "SATUDATA_HOME": str(home)},
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
    )


#: Whoever is not root can't do more than the services.
as_root = pytest.mark.skipif(os.getuid() != 0, reason="needs root")


def shell(name: str, script: str) -> Service:
    return Service(name, ["/bin/sh", "-c", script], ready=lambda: True)


# --- the command line -----------------------------------------------------------------------


@pytest.mark.parametrize("args", [[], ["help"], ["--help"], ["start"], ["up", "--bare"]])
def test_unknown_command_shows_usage(home: Path, args: list[str]) -> None:
    done = run(home, *args)
    assert done.returncode == 2
    assert done.stderr.startswith("Usage: ./portal COMMAND")


def test_reset_wants_a_yes(home: Path) -> None:
    (home / "akun.json").touch()
    done = run(home, "reset")
    assert done.returncode == 1
    assert "./portal reset --yes" in done.stderr
    assert (home / "akun.json").exists()


def test_reset_deletes_data_and_accounts_but_not_what_was_installed(home: Path) -> None:
    for name in ("akun.json", "ckan.ini", "secrets.json"):
        (home / name).write_text("{}")
    (home / "data").mkdir()
    done = run(home, "reset", "--yes")
    assert done.returncode == 0, done.stderr
    assert sorted(path.name for path in home.iterdir()) == ["lock", "venv"]


def test_status_of_what_does_not_run(home: Path) -> None:
    done = run(home, "status")
    assert done.returncode == 3
    assert done.stdout.count("stopped") == 7


# --- ports ----------------------------------------------------------------------------------


def test_taken_port_is_one_sentence_with_a_remedy(
    installation: portal.Portal, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        monkeypatch.setenv("SATUDATA_PORT", str(port))
        with pytest.raises(Problem, match=rf"port {port} is taken.*SATUDATA_PORT={port + 1}"):
            installation.choose_ports()
    assert installation.ports == {}


@pytest.mark.parametrize("port", ["80", "70000", "web"])
def test_unusable_port(
    installation: portal.Portal, monkeypatch: pytest.MonkeyPatch, port: str
) -> None:
    monkeypatch.setenv("SATUDATA_PORT", port)
    with pytest.raises(Problem, match="no usable port"):
        installation.choose_ports()


def test_ports_are_chosen_once_but_not_kept_when_taken(
    installation: portal.Portal, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        monkeypatch.setenv("SATUDATA_PORT", str(probe.getsockname()[1]))
    installation.choose_ports()
    first = installation.ports
    assert len(set(first.values())) == 5
    monkeypatch.delenv("SATUDATA_PORT")
    installation.choose_ports()
    assert installation.ports == first
    with socket.create_server(("127.0.0.1", first["redis"])):
        installation.choose_ports()
        assert installation.ports["redis"] not in first.values()


# --- processes ------------------------------------------------------------------------------


def test_pid_file_of_a_stranger_is_no_service_of_ours(installation: portal.Portal) -> None:
    """The pid was given to another process since: same number, another start time."""
    with subprocess.Popen(["sleep", "60"], start_new_session=True) as stranger:
        started = processes.started_at(stranger.pid)
        assert started is not None
        installation.save(
            "run/redis.pid",
            {"pid": stranger.pid, "started": started - 1, "boot": processes.boot_id()},
        )
        assert installation.alive("redis") is None
        installation.stop("redis")
        assert stranger.poll() is None
        assert not (installation.run / "redis.pid").exists()
        stranger.kill()


def test_pid_file_from_before_a_reboot(installation: portal.Portal) -> None:
    installation.save(
        "run/redis.pid",
        {"pid": os.getpid(), "started": processes.started_at(os.getpid()), "boot": "another"},
    )
    assert installation.alive("redis") is None
    installation.stop("redis")


def test_children_of_a_killed_service_are_stopped(installation: portal.Portal) -> None:
    pid_file = installation.tmp / "child"
    installation.start(shell("ckan", f"sleep 60 & echo $! > {pid_file}; echo up; wait"))
    leader = installation.alive("ckan")
    assert leader is not None
    while not (pid_file.exists() and pid_file.read_text().strip()):
        assert processes.started_at(leader) is not None
    child = int(pid_file.read_text())
    os.kill(leader, signal.SIGKILL)
    os.waitpid(leader, 0)
    assert processes.started_at(child) is not None
    installation.clean()
    assert processes.started_at(child) is None


def test_a_running_service_is_not_started_twice(installation: portal.Portal) -> None:
    installation.start(shell("redis", "exec sleep 60"))
    pid = installation.alive("redis")
    installation.start(shell("redis", "exit 1"))
    assert installation.alive("redis") == pid


def test_service_that_dies_at_start(installation: portal.Portal) -> None:
    service = Service(
        "solr",
        ["/bin/sh", "-c", "echo hello; echo 'FATAL: no room on device'; echo bye; exit 1"],
        ready=lambda: False,
    )
    with pytest.raises(Problem, match=r"solr ended .*FATAL: no room on device.*portal logs solr"):
        installation.start(service)
    assert not (installation.run / "solr.pid").exists()


@as_root
def test_process_of_another_user_is_no_service_of_ours(installation: portal.Portal) -> None:
    with subprocess.Popen(["sleep", "60"], start_new_session=True) as stranger:
        installation.remember("redis", stranger.pid)
        assert installation.alive("redis") is None
        installation.stop("redis")
        assert stranger.poll() is None
        stranger.kill()


def test_services_say_neither_what_is_ours_nor_where_it_listens(
    installation: portal.Portal,
) -> None:
    """Pid files, ports and state are the caller's, also where they were not."""
    names = ("run/redis.pid", "ports.json", "state.json")
    for name in names:
        installation.write(installation.home / name, "{}")
    installation.prepare()
    for name in names:
        assert (installation.home / name).stat().st_uid == os.getuid()
        installation.save(name, {})
        assert (installation.home / name).stat().st_uid == os.getuid()
        assert mode(installation.home / name) == 0o600


def test_logs_are_read_by_the_operator_alone(installation: portal.Portal) -> None:
    old = installation.logs / "postgresql.log"
    old.write_text("judul sebuah draf\n")
    old.chmod(0o644)
    installation.logs.chmod(0o755)
    installation.prepare()
    installation.start(shell("redis", "exec sleep 60"))
    with pytest.raises(Problem, match="sh exit 1 failed"):
        installation.call("/bin/sh", "-c", "exit 1")
    assert mode(installation.logs) == 0o700
    assert {path.name: mode(path) for path in installation.logs.iterdir()} == {
        "postgresql.log": 0o600, "redis.log": 0o600, "setup.log": 0o600,
    }  # fmt: skip


# --- links of the service user --------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    ["data/redis", "data/storage", "data/storage/resources", "data/solr", "data/solr/ckan/conf"],
)
def test_no_folder_is_taken_through_a_link(installation: portal.Portal, name: str) -> None:
    target, link = installation.home / "milik-root", installation.home / name
    target.mkdir(mode=0o700)
    before = target.stat()
    link.parent.mkdir(parents=True, exist_ok=True)
    shutil.rmtree(link, ignore_errors=True)
    link.symlink_to(target)
    with pytest.raises(Problem, match="is no folder of its own"):
        installation.prepare()
        installation.choose_ports()
        installation.write(link / "synonyms.txt", "")
    now = target.stat()
    assert (now.st_uid, now.st_mode) == (before.st_uid, before.st_mode)
    assert not list(target.iterdir())


def test_no_file_is_written_through_a_link(installation: portal.Portal) -> None:
    target = installation.home / "milik-root"
    target.write_text("utuh")
    for name in ("anchor.jsonl", "anchor.jsonl.part"):
        (installation.data / name).symlink_to(target)
    installation.write(installation.anchors, "{}")
    assert target.read_text() == "utuh"
    assert installation.anchors.read_text() == "{}" and not installation.anchors.is_symlink()


@as_root
@pytest.mark.parametrize("what", ["settings", "demo"])
def test_nothing_is_read_for_a_service_that_it_may_not_read(
    installation: portal.Portal, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    """It leaves a link where the file that it makes is looked for."""
    target = installation.home / "milik-root"
    target.write_text("rahasia")
    target.chmod(0o600)
    installation.choose_ports()
    part = installation.tmp / ("akun.json" if what == "demo" else "ckan.ini")
    call = installation.call

    def linked(*argv: object, **more: str) -> str:
        if part in argv and argv[0] == services.BIN / "ckan":
            part.symlink_to(target)
            return ""
        return call(*argv, **more)

    monkeypatch.setattr(installation, "call", linked)
    with pytest.raises(Problem, match="Permission denied"):
        getattr(installation, what)()
    assert target.read_text() == "rahasia"
    assert not installation.ini.exists() and not installation.akun.exists()


@as_root
def test_no_program_is_run_as_root_that_a_service_names(
    installation: portal.Portal, home: Path
) -> None:
    """The version in the cluster leads to its programs; what asks whether it is ready, too."""
    away, mark = home / "15/bin", home / "tmp/siapa"
    away.mkdir(parents=True)
    for folder in (away, away.parent):
        folder.chmod(0o755)
    for name in ("postgres", "pg_isready"):
        (away / name).write_text(f"#!/bin/sh\nid -un > {mark}\n")
        (away / name).chmod(0o755)
    (installation.data / "postgresql").mkdir()
    (installation.data / "postgresql/PG_VERSION").write_text(f"../../..{home}/15")
    installation.choose_ports()
    with contextlib.suppress(Problem):
        installation.postgresql().ready()
    assert not mark.exists() or mark.read_text() == "satudata\n"


# --- settings -------------------------------------------------------------------------------


def test_ckan_ini(installation: portal.Portal) -> None:
    """Generated by CKAN, with the shared options and this installation's values, for our eyes."""
    installation.save(
        "ports.json", {"postgresql": 1, "redis": 2, "solr": 3, "mail": 4, "ckan": 5000}
    )
    installation.settings()
    assert mode(installation.ini) == mode(installation.home / "secrets.json") == 0o600
    ini = configparser.RawConfigParser()
    ini.optionxform = str  # pyright: ignore[reportAttributeAccessIssue]
    ini.read(installation.ini)
    settings = dict(ini["app:main"])
    shared = configparser.RawConfigParser()
    shared.optionxform = str  # pyright: ignore[reportAttributeAccessIssue]
    shared.read(ROOT / "deploy/options.ini")
    assert dict(shared["app:main"]).items() <= settings.items()
    assert installation.local_settings().items() <= settings.items()
    assert len(set(installation.secrets.values())) == 6


@pytest.mark.usefixtures("with_plugins")
def test_every_shared_option_is_one_that_ckan_knows() -> None:
    from ckan.common import config_declaration

    shared = configparser.RawConfigParser()
    shared.optionxform = str  # pyright: ignore[reportAttributeAccessIssue]
    shared.read(ROOT / "deploy/options.ini")
    known = {str(key) for key in config_declaration.iter_options()}
    # ckanext-scheming declares nothing; a storage's options are declared by its type.
    free = ("use", "scheming.", "ckan.files.storage.resources.")
    assert [
        key for key in shared["app:main"] if key not in known and not key.startswith(free)
    ] == []


def test_crontab_names_commands_that_exist() -> None:
    from croniter import croniter

    from ckanext.satudata_trenggalek.cli import satudata

    entries = services.crontab()
    assert entries
    for when, arguments in entries:
        assert croniter.is_valid(when)
        assert arguments[:3] == ["-c", "$CKAN_INI", "satudata"]
        assert arguments[3] in satudata.commands


# --- packaging ------------------------------------------------------------------------------


def test_constraints_pin_everything_and_name_no_registry() -> None:
    lines = (ROOT / "deploy/constraints.txt").read_text().splitlines()
    assert all("==" in line and "://" not in line for line in lines)


def test_wheel_holds_what_the_code_reads(tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    for name in ("ckanext", "schemas"):
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("setup.cfg", "setup.py", "pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    uv = Path(sys.prefix) / "bin/uv"
    # Without isolation it takes setuptools from this environment and needs no network.
    subprocess.run(
        [uv, "build", "-q", "--wheel", "--no-build-isolation", "--python", sys.executable,
         "-o", tmp_path, source],
        check=True,
    )  # fmt: skip
    names = set(zipfile.ZipFile(next(tmp_path.glob("*.whl"))).namelist())
    package = "ckanext/satudata_trenggalek"
    wanted = {
        f"{package}/schemas/{path.relative_to(source / 'schemas')}"
        for path in (source / "schemas").rglob("*")
        if path.is_file()
    } | {
        str(path.relative_to(source))
        for path in (source / package).rglob("*")
        if path.is_file() and path.suffix != ".pot"
    }
    assert wanted - names == set()
    assert any(name.endswith(".mo") for name in names)


def test_mail_is_caught(installation: portal.Portal) -> None:
    installation.choose_ports()
    installation.start(installation.mail())
    mail = EmailMessage()
    mail["Subject"], mail["To"] = "Perlu diperbaiki", "../../budi@example.id"
    mail.set_content("Satuan.")
    with smtplib.SMTP("127.0.0.1", installation.ports["mail"]) as client:
        client.sendmail("satudata@localhost", ["../../budi@example.id"], mail.as_string())
    (caught,) = installation.mails.iterdir()
    assert caught.suffix == ".eml" and "budi@example.id" in caught.name
    assert "Subject: Perlu diperbaiki" in caught.read_text()
    assert mode(installation.mails) == 0o2770


def test_operators_mail_server_is_kept(
    installation: portal.Portal, monkeypatch: pytest.MonkeyPatch, home: Path
) -> None:
    installation.choose_ports()
    ports = installation.ports
    assert installation.local_settings()["smtp.server"] == f"127.0.0.1:{ports['mail']}"
    (home / "deploy").mkdir()
    (home / "deploy/options.ini").write_text("[app:main]\nsmtp.server = mail.example.go.id:587\n")
    monkeypatch.setattr(services, "CODE", home)
    assert "smtp.server" not in installation.local_settings()


def test_schemas_are_importable_from_the_checkout() -> None:
    schemas = resources.files("ckanext.satudata_trenggalek.schemas")
    assert (schemas / "dataset.yaml").is_file()


def test_compose_file() -> None:
    """It can't be run here: its shape, its secrets and its copies of files are looked at."""
    compose = yaml.safe_load((ROOT / "docker/compose.yaml").read_text())
    assert set(compose["services"]) == {
        "migrate", "ckan", "worker", "schedule", "postgresql", "solr", "redis",
    }  # fmt: skip
    # Who may change the tables is known where they are made, and where nothing is served.
    knows = {name for name, each in compose["services"].items() if "OWNER" in str(each)}
    assert knows == {"migrate", "postgresql"}
    for name, service in compose["services"].items():
        assert all(port.startswith("127.0.0.1:") for port in service.get("ports", []))
        assert service.get("depends_on") or service.get("healthcheck"), name
    assert set(compose["volumes"]) == {"storage", "postgresql", "solr", "redis"}
    assert compose["services"]["postgresql"]["command"] == [
        "postgres", *(f"-c{name}={value}" for name, value in services.LOGGING.items()),
    ]  # fmt: skip
    sample = (ROOT / "docker/.env.example").read_text()
    used = set(re.findall(r"\$\{(\w+):\?", (ROOT / "docker/compose.yaml").read_text()))
    assert {"SITE_URL", "SECRET_KEY", "CKAN_OWNER_PASSWORD", "CKAN_DB_PASSWORD"} <= used
    for variable in used:
        assert f"\n{variable}=" in sample
    for line in (ROOT / "docker/Dockerfile").read_text().splitlines():
        if line.startswith("COPY"):
            assert all((ROOT / name).exists() for name in line.split()[1:-1]), line


def test_measurements_hide_no_module_of_python() -> None:
    """A program's own folder is the first place where it looks for modules."""
    names = {path.stem for path in (ROOT / "bench").glob("*.py")}
    assert names and not names & sys.stdlib_module_names
