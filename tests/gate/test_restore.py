"""./portal backup and restore as operators run them: while people work, elsewhere, interrupted."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.world import World

pytestmark = pytest.mark.soak

ROOT = Path(__file__).resolve().parents[2]
CHECKLIST = World.CHECKLIST


class Site:
    """A portal of its own in a home of its own."""

    def __init__(self, home: Path) -> None:
        self.home = home
        home.mkdir()
        home.chmod(0o755)
        given = Path(os.environ["SATUDATA_HOME"])
        for name in ("venv", "solr-lib"):
            (home / name).symlink_to(given / name)
        with socket.create_server(("127.0.0.1", 0)) as probe:
            self.port = str(probe.getsockname()[1])

    def start(self, *args: str) -> subprocess.Popen[str]:
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("SATUDATA_", "CKAN_"))}
        return subprocess.Popen(
            [ROOT / "portal", *args],
            env=kept | {"SATUDATA_HOME": str(self.home), "SATUDATA_PORT": self.port},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def run(self, *args: str, status: int = 0) -> str:
        process = self.start(*args)
        told = process.communicate(timeout=1800)[0]
        assert process.returncode == status, told
        assert "Traceback" not in told
        return told

    @property
    def users(self) -> dict[str, Any]:
        return json.loads((self.home / "akun.json").read_text())["users"]

    def call(self, action: str, who: str | None, files: Any = None, **data: Any) -> Any:
        headers = {"Authorization": self.users[who]["token"]} if who else {}
        sent: dict[str, Any] = {"data": data, "files": files} if files else {"json": data}
        url = f"http://127.0.0.1:{self.port}/api/3/action/{action}"
        answer = requests.post(url, headers=headers, timeout=300, **sent)
        assert answer.ok, answer.text
        return answer.json()["result"]


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    """Where the homes lie, and the archives."""
    path = Path(tempfile.mkdtemp(dir=os.environ["SATUDATA_HOME"]))
    path.chmod(0o755)
    yield path
    shutil.rmtree(path)


@pytest.fixture(scope="module")
def site(folder: Path) -> Iterator[Site]:
    """A portal with the demo."""
    made = Site(folder / "a")
    made.run("up")
    yield made
    made.run("down")


def publish(site: Site, number: int) -> str:
    """The whole way of a dataset: upload, submit, approve, publish; its id."""
    model = site.call("package_search", "walidata", q="name:*kematian*", rows=1)["results"]
    shown = site.call("package_show", "produsen_dinkes", id=model[0]["id"])
    kept = {k: v for k, v in shown.items() if not k.startswith("satudata_")}
    for key in ("id", "resources", "groups", "organization", "private", "state", "extras"):
        kept.pop(key, None)
    kept |= {"name": f"cadangan-{number}-{time.time_ns()}", "owner_org": "dinkes"}
    made = site.call("package_create", "produsen_dinkes", **kept)
    resource = {k: v for k, v in shown["resources"][0].items() if k in ("name", "format")}
    resource |= {"package_id": made["id"]}
    csv = World.CSV + f"35.03.03,Watulimo,{number}\n".encode()
    upload = {"upload": ("data.csv", csv)}
    sent = site.call("resource_create", "produsen_dinkes", upload, **resource)
    site.call("resource_patch", "produsen_dinkes", id=sent["id"], variabel=World.VARIABEL)
    end = time.monotonic() + 120
    while blockers := site.call("satudata_status_show", "produsen_dinkes", id=made["id"])[
        "blockers"
    ]:
        assert time.monotonic() < end, blockers
        time.sleep(0.5)  # the worker tells nobody when a table is loaded
    for who, name in (("produsen_dinkes", "ajukan"), ("walidata", "setujui"),
                      ("walidata", "terbitkan")):  # fmt: skip
        status = site.call("satudata_status_show", who, id=made["id"])
        site.call("satudata_transition", who, id=made["id"], transition=name,
                  content_hash=status["content_hash"], checklist=CHECKLIST)  # fmt: skip
    return made["id"]


def whole(site: Site, published: list[str]) -> None:
    """Everything that was published is there as it was approved; people and programs get in."""
    for command in (("audit", "verify"), ("reconcile",), ("doctor",)):
        site.run("ckan", "satudata", *command)
    for id_ in published:
        told = site.call("satudata_publication_show", None, id=id_)
        resources = site.call("package_show", None, id=id_)["resources"]
        for file, resource in zip(told["files"], resources, strict=True):
            url = f"http://127.0.0.1:{site.port}/dataset/{id_}/resource/{file['id']}/download/x"
            data = requests.get(url, timeout=60).content
            assert (hashlib.sha256(data).hexdigest(), len(data)) == (file["sha256"], file["size"])
            if resource.get("datastore_active"):
                found = site.call("datastore_search", None, resource_id=resource["id"], limit=1)
                assert found["total"] == data.count(b"\n") - 1
    session = requests.Session()
    page = session.get(f"http://127.0.0.1:{site.port}/user/login", timeout=60).text
    token = page.partition('name="_csrf_token" content="')[2].partition('"')[0]
    answer = session.post(
        f"http://127.0.0.1:{site.port}/user/login",
        data={"login": "walidata", "password": site.users["walidata"]["password"],
              "_csrf_token": token},
        timeout=60,
    )  # fmt: skip
    assert answer.ok and "/user/login" not in answer.url


@pytest.fixture(scope="module")
def archive(site: Site, folder: Path) -> tuple[Path, list[str]]:
    """A backup that was taken while datasets were published, and what had been before."""
    done: list[Any] = [publish(site, 0)]
    ended = threading.Event()

    def work() -> None:
        try:
            while not ended.is_set():
                done.append(publish(site, len(done)))
        except BaseException as error:
            done.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    before = [id_ for id_ in done if isinstance(id_, str)]
    told = site.run("backup", str(folder / "a.tar.gz"))
    ended.set()
    thread.join()
    assert not [error for error in done if isinstance(error, BaseException)], done
    assert "verified" in told and (folder / "a.tar.gz").stat().st_mode & 0o777 == 0o600
    return folder / "a.tar.gz", before


def test_another_machine(site: Site, archive: tuple[Path, list[str]], folder: Path) -> None:
    """Restored beside the first, which goes on; nobody's work of before is missing."""
    path, published = archive
    other = Site(folder / "b")
    try:
        other.run("restore", str(path))
        whole(other, published)
        assert other.users["walidata"]["token"] == site.users["walidata"]["token"]
    finally:
        other.run("down")


def test_restored_over_later_work(site: Site, archive: tuple[Path, list[str]]) -> None:
    """What came after the backup is gone, and only with `--yes`; what was withdrawn is told."""
    path, published = archive
    later = publish(site, 99)
    withdrawn = site.call("package_show", None, id=published[0])["name"]
    site.call("satudata_transition", "walidata", id=published[0], transition="tarik",
              note="Salah satuan.")  # fmt: skip
    assert "--yes" in site.run("restore", str(path), status=1)
    assert site.call("package_show", None, id=later)
    told = site.run("restore", str(path), "--yes", status=1)
    assert told.count("withdraw it (tarik) once more") == 1
    assert f"the dataset {withdrawn} is public again" in told
    assert "kept as ckan_before" in told
    whole(site, published)
    with pytest.raises(AssertionError, match="Not Found"):
        site.call("package_show", None, id=later)
    publish(site, 100)
    site.run("ckan", "satudata", "anchor")
    site.run("ckan", "satudata", "audit", "verify")


@pytest.mark.parametrize("word", ["Filling the databases", "Setting up CKAN"])
def test_interrupted(site: Site, archive: tuple[Path, list[str]], word: str) -> None:
    """Killed on the way: the portal is as before, or says what to run again."""
    path, published = archive
    process = site.start("restore", str(path), "--yes")
    assert process.stdout
    for line in process.stdout:
        if line.startswith(word):
            break
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    if word == "Setting up CKAN":
        assert f"say ./portal restore {path} --yes again" in site.run("up", status=1)
        site.run("restore", str(path), "--yes")
    site.run("up")
    whole(site, published)
