"""Archives of ./portal backup: whole, or refused in one sentence before anything is touched."""

from __future__ import annotations

import contextlib
import gzip
import io
import json
import os
import shutil
import tarfile
import tempfile
import zlib
from collections import namedtuple
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import backup
import portal
import pytest
from processes import Problem

HEAD: dict[str, Any] = {
    **backup.FORMAT,
    "made": "2026-11-27T20:00:00+00:00",
    "url": "http://127.0.0.1:5000",
    "postgresql": 15,
    "migration": "001",
    "databases": 10**6,
    "anchors": 0,
}


@pytest.fixture
def home() -> Iterator[Path]:
    """An empty home where the service user reaches it too."""
    folder = Path(tempfile.mkdtemp(dir=Path(os.environ["SATUDATA_HOME"]) / "test"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


def write(path: Path, head: Any = HEAD, **more: bytes) -> Path:
    """An archive as `make` writes it, of made-up content."""
    with path.open("wb") as stream:
        archive = backup.Archive(stream)
        archive.add_text(backup.HEAD, json.dumps(head))
        for name in backup.DUMPS.values():
            archive.add(name, io.BytesIO(b"PGDMP" * 1000))
        archive.add("storage/resources/ab/cd", io.BytesIO(os.urandom(3000)))
        for name, data in more.items():
            archive.add(name, io.BytesIO(data))
        archive.close()
    return path


def test_archive_tells_what_it_is(tmp_path: Path) -> None:
    found = backup.read(write(tmp_path / "a", lain=b"x"))
    assert found.items() >= HEAD.items()
    assert found["members"].keys() == {
        backup.HEAD, *backup.DUMPS.values(), "storage/resources/ab/cd", "lain"
    }  # fmt: skip
    assert found["members"]["lain"]["size"] == 1


@pytest.mark.parametrize("share", [0.0, 0.01, 0.3, 0.6, 0.9, 0.999])
def test_cut_archive(tmp_path: Path, share: float) -> None:
    path = write(tmp_path / "a")
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * share)])
    with pytest.raises(Problem, match=r"is damaged: take another copy|is no backup made by"):
        backup.read(path)


def test_every_changed_byte_is_seen(tmp_path: Path) -> None:
    path = write(tmp_path / "a")
    whole = path.read_bytes()
    content, told = gzip.decompress(whole), 0
    # Not the head of gzip, of which some bytes (time, system) say nothing of the content.
    for place in range(12, len(whole), len(whole) // 40):
        changed = whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :]
        with contextlib.suppress(OSError, EOFError, zlib.error):
            # Of repeated words gzip may say in another way where they stood before.
            if gzip.decompress(changed) == content:
                continue
        path.write_bytes(changed)
        with pytest.raises(Problem):
            backup.read(path)
        told += 1
    assert told > 35


def _tar(path: Path, *members: tuple[tarfile.TarInfo, bytes]) -> Path:
    with tarfile.open(path, "w:gz") as tar:
        for info, data in members:
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return path


def _info(name: str, kind: bytes = tarfile.REGTYPE, link: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, link
    return info


def _foreign(what: str, path: Path) -> Path:
    head = _info(backup.HEAD), json.dumps(HEAD).encode()
    match what:
        case "text":
            path.write_text("bukan cadangan")
        case "gzip":
            path.write_bytes(gzip.compress(b"bukan cadangan"))
        case "tar":
            _tar(path, (_info("README"), b"x"))
        case "list":
            _tar(path, (_info(backup.HEAD), b"[1]"))
        case "version":
            write(path, HEAD | {"version": 2})
        case "no manifest":
            _tar(path, head)
        case "path out":
            _tar(path, head, (_info("storage/../../etc/cron.d/x"), b"x"))
        case "absolute path":
            _tar(path, head, (_info("/etc/cron.d/x"), b"x"))
        case "link":
            _tar(path, head, (_info("storage/x", tarfile.SYMTYPE, "/etc/shadow"), b""))
        case "device":
            _tar(path, head, (_info("storage/x", tarfile.CHRTYPE), b""))
    return path


@pytest.mark.parametrize(
    "what",
    ["text", "gzip", "tar", "list", "version", "no manifest", "path out", "absolute path", "link",
     "device"],
)  # fmt: skip
def test_foreign_archive(tmp_path: Path, what: str) -> None:
    with pytest.raises(Problem, match=r"is no backup made by|is damaged: take another copy"):
        backup.read(_foreign(what, tmp_path / "a"))


# --- links in the storage --------------------------------------------------------------------


def test_no_link_of_the_storage_is_followed(tmp_path: Path) -> None:
    """The service user makes them, and root reads and writes."""
    storage, secret = tmp_path / "storage", tmp_path / "rahasia"
    (storage / "uploads").mkdir(parents=True)
    (storage / "uploads/logo.png").write_bytes(b"logo")
    (storage / "webassets").symlink_to(tmp_path)
    secret.mkdir()
    (secret / "kunci").write_bytes(b"kunci")
    (storage / "uploads/kunci").symlink_to(secret / "kunci")
    (storage / "uploads/semua").symlink_to(secret)
    os.mkfifo(storage / "uploads/pipa")
    archive = backup.Archive(io.BytesIO())
    problems = backup._add_storage(storage, archive, set())
    assert list(archive.members) == ["storage/uploads/logo.png"]
    assert problems == [
        f"{name} in the storage is a link or no file: left out"
        for name in ("webassets", "uploads/kunci", "uploads/pipa", "uploads/semua")
    ]


def test_anchors_are_read_through_no_link(home: Path) -> None:
    installation = portal.Portal(home)
    installation.prepare()
    assert backup._anchors(installation) == ""
    installation.anchors.write_text("{}\n")
    assert backup._anchors(installation) == "{}\n"
    installation.anchors.unlink()
    installation.anchors.symlink_to("/etc/passwd")
    with pytest.raises(Problem, match="is a link or no file"):
        backup._anchors(installation)


def test_nothing_is_restored_through_a_link(home: Path) -> None:
    installation = portal.Portal(home)
    installation.prepare()
    away = home / "milik-root"
    away.mkdir()
    (installation.data / "storage/uploads").symlink_to(away)
    (home / "restore/uploads").mkdir(parents=True)
    (home / "restore/uploads/profile.sh").write_bytes(b"id")
    with pytest.raises(Problem, match="uploads may be a link: remove that"):
        backup._place(installation, home / "restore", content=False)
    assert not list(away.iterdir())


# --- in front of both commands ---------------------------------------------------------------


def test_backup_of_what_does_not_run(home: Path) -> None:
    installation = portal.Portal(home)
    installation.prepare()
    with pytest.raises(Problem, match=r"does not run.*Run ./portal up"):
        backup.make(installation, home / "a.tar.gz")
    assert not (home / "a.tar.gz").exists()


@pytest.mark.parametrize("where", ["exists", "no folder"])
def test_backup_into_the_wrong_place(
    home: Path, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    installation = portal.Portal(home)
    monkeypatch.setattr(installation, "alive", lambda _: 1)
    (home / "ada").touch()
    target = home / ("ada" if where == "exists" else "tidak-ada/a")
    with pytest.raises(Problem, match=r"name a file that does not|make it first"):
        backup.make(installation, target)
    assert (home / "ada").read_bytes() == b""


def test_backup_on_a_full_disk(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is left of it, not even its beginning."""
    installation = portal.Portal(home)
    monkeypatch.setattr(installation, "alive", lambda _: 1)

    def full(_portal: Any, archive: backup.Archive, _scratch: Path) -> list[str]:
        archive.add("awal", io.BytesIO(os.urandom(100_000)))
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(backup, "_collect", full)
    with pytest.raises(Problem, match=r"No space left on device\. Nothing is left of it"):
        backup.make(installation, home / "a")
    assert [path.name for path in home.iterdir()] == []


Usage = namedtuple("Usage", "total used free")


@pytest.mark.parametrize(
    ("case", "told"),
    [
        ("missing", "there is no file"),
        ("newer", "newer version of the portal: update this one"),
        ("no yes", r"this replaces all data in .*: say ./portal restore .* --yes\."),
        ("no room", r"MB are needed below .* and 1\.0 kB are free: make room\."),
    ],
)
def test_restore_is_refused(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, case: str, told: str
) -> None:
    """Before anything is stopped, made or replaced."""
    installation = portal.Portal(home)
    path = write(tmp_path / "a", HEAD | ({"migration": "999"} if case == "newer" else {}))
    if case == "missing":
        path.unlink()
    if case == "no yes":
        (home / "data/postgresql").mkdir(parents=True)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(10**9, 0, 1000))
    monkeypatch.setattr(backup, "_migrations", lambda: {"001"})
    monkeypatch.setattr(installation, "stop", lambda *_: pytest.fail("stopped"))
    with pytest.raises(Problem, match=told):
        backup.restore(installation, path, yes=case != "no yes")
    assert not (home / "ports.json").exists() and not (home / "secrets.json").exists()


def test_up_after_an_interrupted_restore(home: Path) -> None:
    installation = portal.Portal(home)
    installation.prepare()
    installation.save("state.json", {"restoring": "/cadangan/malam.tar.gz"})
    with pytest.raises(Problem, match=r"interrupted: say ./portal restore /cadangan/malam.tar.gz"):
        installation.up(empty=True)


def test_other_settings_are_named_without_their_values(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    installation = portal.Portal(home)
    installation.ini.write_text("[app:main]\nckan.site_title = A\nSECRET_KEY = sekarang\n")
    monkeypatch.setattr(installation, "local_settings", lambda: {"SECRET_KEY": ""})
    before = "[app:main]\nckan.site_title = A\nsmtp.password = rahasia\nSECRET_KEY = dahulu\n"
    assert backup._other_settings(before, installation) == ["smtp.password"]


@pytest.mark.parametrize(
    ("amount", "told"), [(0, "0 B"), (999, "999 B"), (1000, "1.0 kB"), (2.5e9, "2.5 GB")]
)
def test_size(amount: float, told: str) -> None:
    assert backup.size(amount) == told
