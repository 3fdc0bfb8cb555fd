"""Uploads: stored once by content, described by the portal, pointed to in the same transaction."""

from __future__ import annotations

import errno
import hashlib
import io
import os
import time
import uuid
from collections.abc import Callable
from typing import Any

import ckan.plugins.toolkit as tk
import pytest
import sqlalchemy as sa
from ckan import model
from ckan.cli.file import storage as file_commands
from ckan.lib import files as core_files
from ckan.tests import factories
from click.testing import CliRunner
from sqlalchemy.exc import IntegrityError
from werkzeug.datastructures import FileStorage

from ckanext.satudata_trenggalek import files
from ckanext.satudata_trenggalek.model import Pointer

pytestmark = pytest.mark.usefixtures("clean_db", "empty_storage")

CSV = b"kode,nama\n001,Panggul\n"


@pytest.fixture
def empty_storage() -> None:
    store = files.storage()
    for name in list(store.scan()):
        files._remove(store, core_files.Location(name))


@pytest.fixture
def editor() -> dict[str, Any]:
    user = factories.UserWithToken()
    user["organization"] = factories.Organization(
        users=[{"name": user["name"], "capacity": "editor"}]
    )["id"]
    return user


Call = Callable[..., Any]


@pytest.fixture
def call(editor: dict[str, Any]) -> Call:
    def call(action: str, **data: Any) -> Any:
        # A request begins with a session of its own.
        model.Session.remove()
        return tk.get_action(action)({"user": editor["name"]}, data)

    return call


@pytest.fixture
def dataset(call: Call, editor: dict[str, Any]) -> str:
    return call(
        "package_create",
        name=f"data-{uuid.uuid4().hex[:8]}",
        title="Data",
        owner_org=editor["organization"],
    )["id"]


def file(data: bytes = CSV, name: str = "Data Wilayah.csv") -> FileStorage:
    return FileStorage(io.BytesIO(data), filename=name)


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def stored() -> list[str]:
    return sorted(files.storage().scan())


def refused(error: Any, *words: str) -> None:
    (message,) = error.value.error_dict["upload"]
    assert all(word in message for word in words), message


def test_upload_is_stored_under_its_hash(call: Call, dataset: str) -> None:
    resource = call(
        "resource_create",
        package_id=dataset,
        upload=file(),
        hash="palsu",
        size=1,
        mimetype="text/html",
        datastore_active=True,
    )
    digest = sha256(CSV)
    assert stored() == [f"{digest[:2]}/{digest[2:4]}/{digest}"]
    row = files.pointer(resource["id"])
    assert row and (row.sha256, row.size) == (digest, len(CSV))
    assert (resource["hash"], resource["size"]) == (digest, len(CSV))
    assert resource["mimetype"] == "text/csv"
    assert resource["url"].endswith("/data-wilayah.csv")
    assert not resource.get("datastore_active")


def test_what_the_portal_says_is_not_for_clients_to_change(call: Call, dataset: str) -> None:
    made = call("resource_create", package_id=dataset, upload=file())
    for data in (
        {"id": made["id"], "hash": "palsu", "size": 5, "mimetype": "text/html"},
        {"id": made["id"], "datastore_active": True, "description": "baru"},
    ):
        patched = call("resource_patch", **data)
        for key in ("hash", "size", "mimetype"):
            assert patched[key] == made[key]
        assert not patched.get("datastore_active")
    package = call("package_show", id=dataset)
    package["resources"][0].update(hash="palsu", size=9, mimetype="text/html")
    updated = call("package_update", **package)["resources"][0]
    assert (updated["hash"], updated["size"]) == (sha256(CSV), len(CSV))


def test_upload_without_file_says_nothing_of_one(call: Call, dataset: str) -> None:
    made = call(
        "resource_create",
        package_id=dataset,
        url="x.csv",
        url_type="upload",
        hash="palsu",
        size=4,
        mimetype="text/csv",
    )
    assert not made.get("hash") and not made.get("size") and not made.get("mimetype")


def test_package_create_can_not_describe_a_file(call: Call, editor: dict[str, Any]) -> None:
    made = call(
        "package_create",
        name=f"data-{uuid.uuid4().hex[:8]}",
        title="Data",
        owner_org=editor["organization"],
        resources=[
            {"url": "x.csv", "url_type": "upload", "hash": "palsu", "datastore_active": True}
        ],
    )["resources"][0]
    assert not made.get("hash") and not made.get("datastore_active")


def test_renaming_checks_the_content_again(call: Call, dataset: str) -> None:
    made = call("resource_create", package_id=dataset, upload=file())
    with pytest.raises(tk.ValidationError) as error:
        call("resource_patch", id=made["id"], url="data.xlsx")
    refused(error, "data.xlsx", "CSV")
    assert call("resource_patch", id=made["id"], url="lain.csv")["mimetype"] == "text/csv"
    assert call("resource_patch", id=made["id"], url="data.html")["mimetype"] == "text/html"


def test_equal_bytes_are_stored_once_and_replacing_keeps_the_old(call: Call, dataset: str) -> None:
    first = call("resource_create", package_id=dataset, upload=file())
    second = call("resource_create", package_id=dataset, upload=file(name="b.csv"))
    assert first["hash"] == second["hash"] and len(stored()) == 1
    before = os.stat(files.storage().full_path(files.location(first["hash"]))).st_mtime_ns
    call("resource_update", id=second["id"], name="x", upload=file(CSV + b"002,Dongko\n"))
    assert len(stored()) == 2
    call("resource_update", id=second["id"], name="x", upload=file())
    after = os.stat(files.storage().full_path(files.location(first["hash"]))).st_mtime_ns
    assert before == after and len(stored()) == 2


def test_damaged_content_is_mended_by_the_next_upload(call: Call, dataset: str) -> None:
    made = call("resource_create", package_id=dataset, upload=file())
    path = files.storage().full_path(files.location(made["hash"]))
    with open(path, "wb") as damaged:
        damaged.write(CSV[:5])
    call("resource_create", package_id=dataset, upload=file())
    with open(path, "rb") as mended:
        assert mended.read() == CSV


@pytest.mark.parametrize(
    ("data", "name", "words"),
    [
        (b"", "kosong.csv", ["kosong"]),
        (b"<html><body>Masuk</body></html>", "data.csv", ["HTML"]),
        (CSV, "data.xlsx", ["CSV", ".xlsx"]),
    ],
)
def test_refused_upload_leaves_nothing(
    call: Call, dataset: str, data: bytes, name: str, words: list[str]
) -> None:
    with pytest.raises(tk.ValidationError) as error:
        call("resource_create", package_id=dataset, upload=file(data, name))
    refused(error, name, *words)
    assert stored() == [] and call("package_show", id=dataset)["resources"] == []


def test_over_the_limit(
    call: Call, dataset: str, app: Any, editor: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files.storage().settings, "max_size", 20)
    with pytest.raises(tk.ValidationError) as error:
        call("resource_create", package_id=dataset, upload=file())
    refused(error, f"{len(CSV)} B", "20 B", "Pecah")
    assert stored() == []


def test_over_the_limit_is_refused_before_it_is_read(
    app: Any, editor: dict[str, Any], dataset: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(app.flask_app.config, "MAX_CONTENT_LENGTH", 1000)
    body = {"package_id": dataset, "upload": (io.BytesIO(b"x" * 2000), "x.csv")}
    answer = app.post(
        "/api/action/resource_create", data=body, headers={"Authorization": editor["token"]}
    )
    assert answer.status_code == 413
    (message,) = answer.json["error"]["upload"]
    assert "melebihi batas" in message
    page = app.post(f"/dataset/{dataset}/resource/new", data={"x": "y" * 2000})
    assert page.status_code == 413 and "melebihi batas" in page.body


def test_full_disk_leaves_nothing_behind(
    call: Call, dataset: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(tk.ValidationError) as error:
            call("resource_create", package_id=dataset, upload=file())
    refused(error, "penuh")
    model.Session.commit()
    assert stored() == [] and call("package_show", id=dataset)["resources"] == []
    assert model.Session.scalar(sa.select(sa.func.count()).select_from(Pointer)) == 0


def test_on_the_disk_before_the_commit(
    call: Call, dataset: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The bytes under a name of their own, then each folder that leads to the name; also of what
    another upload put there, which may not be on the disk yet."""
    sync, synced = os.fsync, []

    def noted(descriptor: int) -> None:
        sync(descriptor)
        synced.append(os.readlink(f"/proc/self/fd/{descriptor}"))

    monkeypatch.setattr(os, "fsync", noted)
    store: Any = files.storage()
    root, where = store.full_path(core_files.Location("")), files.location(sha256(CSV))
    folders = [
        os.path.normpath(os.path.join(root, where, up)) for up in ("..", "../..", "../../..")
    ]
    for _ in range(2):
        call("resource_create", package_id=dataset, upload=file())
    assert synced[1:] == folders * 2
    assert os.path.dirname(synced[0]) == os.path.join(os.path.normpath(root), files.PARTS)


def test_bytes_that_change_meanwhile_are_not_stored(
    call: Call, dataset: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What lies under a hash is what it says."""
    known = files.point

    def meanwhile(*args: Any) -> None:
        known(*args)
        content.seek(0)
        content.write(b"lain")

    content = io.BytesIO(CSV)
    monkeypatch.setattr(files, "point", meanwhile)
    with pytest.raises(tk.ValidationError):
        sent = FileStorage(content, filename="data.csv")
        call("resource_create", package_id=dataset, upload=sent)
    assert stored() == [] and call("package_show", id=dataset)["resources"] == []


def test_becoming_a_link_drops_the_pointer(call: Call, dataset: str) -> None:
    made = call("resource_create", package_id=dataset, upload=file())
    call("resource_update", id=made["id"], url="https://example.id/x.csv", clear_upload="true")
    assert files.pointer(made["id"]) is None


def test_id_of_another_dataset_reveals_nothing(
    call: Call, dataset: str, editor: dict[str, Any]
) -> None:
    made = call("resource_create", package_id=dataset, upload=file())
    call("resource_delete", id=made["id"])
    with pytest.raises((tk.ValidationError, tk.NotAuthorized, IntegrityError)):
        call(
            "package_create",
            name="pencuri",
            title="Pencuri",
            owner_org=editor["organization"],
            resources=[{"id": made["id"], "url": "x.csv", "url_type": "upload"}],
        )
    model.Session.rollback()
    kept = model.Session.get(model.Resource, made["id"])
    assert kept and kept.package_id == dataset


def test_collect_removes_only_what_nothing_points_to(call: Call, dataset: str) -> None:
    made = call("resource_create", package_id=dataset, upload=file(CSV + b"lama,x\n"))
    call("resource_update", id=made["id"], name="x", upload=file())
    store = files.storage()
    part = core_files.Location(f"{files.PARTS}/terputus")
    store.upload(part, core_files.make_upload(b"separuh"))
    assert files.collect() == 0
    for name in stored():
        old = time.time() - 25 * 3600
        os.utime(store.full_path(core_files.Location(name)), (old, old))
    assert files.collect() == 2
    assert stored() == [files.location(sha256(CSV))]


def test_no_command_of_ckan_removes_content(call: Call, dataset: str) -> None:
    """It counts what is published among what is not registered."""
    call("resource_create", package_id=dataset, upload=file())
    name = tk.config["ckan.files.default_storages.resource"]
    for args in (
        ["remove-files", "-s", name, "--remove-not-registered"],
        ["transfer", "-r", name, name],
    ):
        CliRunner().invoke(file_commands, args)
    assert stored() == [files.location(sha256(CSV))]


def test_collect_leaves_what_an_upload_is_about_to_point_to(call: Call, dataset: str) -> None:
    made = call("resource_create", package_id=dataset, upload=file())
    call("resource_update", id=made["id"], name="x", upload=file(CSV + b"baru,x\n"))
    model.Session.remove()
    files.point(made["id"], sha256(CSV), len(CSV))
    assert files.collect(grace_hours=0) == 0
    model.Session.rollback()
    assert files.collect(grace_hours=0) == 1


def test_download(app: Any, call: Call, dataset: str, editor: dict[str, Any]) -> None:
    made = call("resource_create", package_id=dataset, upload=file())
    url = f"/dataset/{dataset}/resource/{made['id']}/download"
    me = {"Authorization": editor["token"]}
    whole = app.get(url, headers=me)
    assert whole.data == CSV and whole.mimetype == "text/csv"
    assert "data-wilayah.csv" in whole.headers["Content-Disposition"]
    assert whole.headers["X-Content-Type-Options"] == "nosniff"
    assert whole.headers["Cache-Control"] == "private, no-store"
    part = app.get(url, headers={**me, "Range": "bytes=0-3"})
    assert part.status_code == 206 and part.data == CSV[:4]
    assert part.headers["Content-Range"] == f"bytes 0-3/{len(CSV)}"
    assert app.get(url, status=404).headers["Cache-Control"] == "private, no-store"


@pytest.mark.parametrize(
    ("data", "name"),
    [
        (b"<!doctype html><script>alert(1)</script>", "a.html"),
        (b'<svg xmlns="http://www.w3.org/2000/svg"/>', "a.svg"),
        (b'<?xml version="1.0"?><a/>', "a.xml"),
    ],
)
def test_script_is_never_shown_from_our_address(
    app: Any, call: Call, dataset: str, editor: dict[str, Any], data: bytes, name: str
) -> None:
    made = call("resource_create", package_id=dataset, upload=file(data, name))
    got = app.get(
        f"/dataset/{dataset}/resource/{made['id']}/download/{name}",
        headers={"Authorization": editor["token"]},
    )
    assert got.headers["Content-Disposition"].startswith("attachment")
    assert got.headers["X-Content-Type-Options"] == "nosniff"
    assert "sandbox" in got.headers["Content-Security-Policy"]


def test_resource_without_pointer_has_no_file(
    app: Any, call: Call, dataset: str, editor: dict[str, Any]
) -> None:
    made = call("resource_create", package_id=dataset, url="x.csv", url_type="upload")
    app.get(
        f"/dataset/{dataset}/resource/{made['id']}/download/x.csv",
        headers={"Authorization": editor["token"]},
        status=404,
    )


def test_lost_bytes_are_told(
    app: Any,
    call: Call,
    dataset: str,
    editor: dict[str, Any],
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Readers are told that there is no download, and the log names what a disk lost."""
    made = call("resource_create", package_id=dataset, upload=file(CSV + b"hilang,1\n"))
    os.remove(files.storage().full_path(files.location(made["hash"])))  # pyright: ignore
    got = app.get(
        f"/dataset/{dataset}/resource/{made['id']}/download/x.csv",
        headers={"Authorization": editor["token"]},
    )
    assert got.status_code == 404
    assert made["hash"] in caplog.text
