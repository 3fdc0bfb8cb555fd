"""The launcher: what it says when something is in the way, whom it stops, what it writes.

That it starts everything is what every other test stands on.
"""

from __future__ import annotations

import configparser
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
