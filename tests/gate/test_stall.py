"""A reader who stands still between the check of access and the reading, while the dataset is
withdrawn, taken back or moved, and changed."""

from __future__ import annotations

import io
import itertools
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import ckan.lib.search as search
import ckan.logic.action.patch as core_patch
import ckan.model as model
import ckan.plugins.toolkit as tk
import pytest
import sqlalchemy as sa
from ckan.lib.dictization import model_dictize
from ckan.tests.helpers import CKANTestApp
from ckanext.datastore.backend import postgres
from werkzeug.datastructures import FileStorage

from ckanext.satudata_trenggalek import content, files, reading, tables
from ckanext.satudata_trenggalek.model import Event
from ckanext.satudata_trenggalek.views import pemeriksaan
from ckanext.satudata_trenggalek.workflow import service
from tests.world import World

WORD = "kata4712liar"


@pytest.fixture
def public(world: World) -> dict[str, Any]:
    """A published dataset with a view, a table and a tag of its own."""
    made = world.at("terbit", tag_string=f"label-{uuid.uuid4().hex[:8]}")
    return world.call("package_show", None, id=made["id"])


def beside(act: Callable[[], Any]) -> None:
    """Act in a thread, with a session of its own."""

    def run() -> None:
        try:
            act()
        finally:
            model.Session.remove()

    with ThreadPoolExecutor(1) as pool:
        pool.submit(run).result()


def once(
    patch: pytest.MonkeyPatch, module: Any, name: str, act: Callable[[], Any], number: int = 1
) -> None:
    """Let one call of a function, the first, wait until others have acted."""
    function, calls = getattr(module, name), itertools.count(1)

    def slow(*args: Any, **named: Any) -> Any:
        if next(calls) == number:
            beside(act)
        return function(*args, **named)

    patch.setattr(module, name, slow)


def rewritten(world: World, id_: str, resource: str) -> None:
    """A draft with other words, another tag and another file."""
    data = f"kode,kecamatan,jumlah\n35.03.01,{WORD},12\n".encode()
    upload = FileStorage(io.BytesIO(data), filename="kelahiran.csv")
    world.call("resource_patch", "produsen_dinkes", id=resource, upload=upload, description=WORD)
    world.call("package_patch", "produsen_dinkes", id=id_, tag_string=WORD, notes=WORD)


def reopened(world: World, dataset: dict[str, Any]) -> None:
    """Withdrawn, reopened and changed in everything."""
    id_, [resource] = dataset["id"], dataset["resources"]
    world.move("walidata", id_, "tarik", note="Keliru.")
    world.move("produsen_dinkes", id_, "buka_kembali")
    rewritten(world, id_, resource["id"])
    tables.load(resource["id"])


#: What a reader stands still before, by its name in a module.
Stall = Callable[[Any, str], None]


@pytest.fixture
def stall(world: World, public: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> Stall:
    """Let a call of a function wait until the dataset is another."""

    def before(module: Any, name: str, number: int = 1) -> None:
        once(monkeypatch, module, name, lambda: reopened(world, public), number)

    return before


@pytest.mark.parametrize("reader", [None, "warga"])
@pytest.mark.parametrize(
    ("door", "number"),
    [("package_show", 1), ("resource_show", 1), ("download", 1), ("download", 2), ("page", 1),
     ("file page", 1)],
)  # fmt: skip
def test_shown(
    world: World, app: CKANTestApp, public: dict[str, Any], stall: Any, door: str, number: int,
    reader: str | None,
) -> None:  # fmt: skip
    """Before the index is asked, once or again."""
    headers = {}
    if reader:
        made = world.call("api_token_create", reader, user=reader, name=uuid.uuid4().hex)
        headers["Authorization"] = made["token"]
    name, [resource] = public["name"], public["resources"]
    path = {
        "package_show": f"/api/3/action/package_show?id={name}",
        "resource_show": f"/api/3/action/resource_show?id={resource['id']}",
        "download": f"/dataset/{name}/resource/{resource['id']}/download/kelahiran.csv",
        "page": f"/dataset/{name}",
        "file page": f"/dataset/{name}/resource/{resource['id']}",
    }[door]
    assert app.get(path, headers=headers).status_code == 200
    stall(search, "show", number)
    answer = app.get(path, headers=headers)
    assert WORD not in answer.text
    assert app.get(path, headers=headers).status_code == 404


def test_found(world: World, public: dict[str, Any], stall: Any, monkeypatch: Any) -> None:
    """By an index that missed a round."""
    id_ = public["id"]
    with monkeypatch.context() as patch:
        patch.setattr(service, "reindex", lambda _id: None)
        world.move("walidata", id_, "tarik", note="Keliru.")
        world.move("produsen_dinkes", id_, "buka_kembali")
        world.bring(id_, "terbit")
    stall(reading, "_of_today")
    found = world.call("package_search", None, fq=f"id:{id_}")
    assert WORD not in str(found) and found["count"] == len(found["results"]) == 0


def test_submitted(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Pembina read what is submitted: not what is typed once it was taken back."""
    id_ = world.at("diperiksa_pembina")["id"]
    [resource] = world.call("package_show", "walidata", id=id_)["resources"]

    def taken_back() -> None:
        world.move("walidata", id_, "batalkan_pembina", note="Tunggu.")
        world.move("produsen_dinkes", id_, "batalkan")
        rewritten(world, id_, resource["id"])

    for module, name, action, asked in (
        (model_dictize, "package_dictize", "package_show", {"id": id_}),
        (model_dictize, "package_dictize", "resource_show", {"id": resource["id"]}),
        (postgres, "search", "datastore_search", {"resource_id": resource["id"]}),
        (content, "canonical", "satudata_diff_show", {"id": id_}),
        (tables, "found_in", "satudata_temuan_list", {"id": resource["id"]}),
    ):
        assert world.call(action, "pembina_bps", **asked) is not None
        with monkeypatch.context() as patch:
            once(patch, module, name, taken_back)
            with pytest.raises((tk.ObjectNotFound, tk.NotAuthorized)):
                world.call(action, "pembina_bps", **asked)
        for user, transition in (
            ("produsen_dinkes", "ajukan"),
            ("walidata", "teruskan_ke_pembina"),
        ):
            tables.load(resource["id"])
            world.move(user, id_, transition)


def test_moved_away(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """To an office whose drafts the reader does not read."""
    for name in ("dinkes", "dukcapil"):
        world.call("organization_member_create", "admin", id=name, username="warga", role="editor")
    try:
        draft = world.draft()
        [resource] = draft["resources"]

        def moved() -> None:
            world.call("package_patch", "warga", id=draft["id"], owner_org="dukcapil",
                       id_kegiatan="")  # fmt: skip

        with monkeypatch.context() as patch:
            once(patch, postgres, "search", moved)
            with pytest.raises(tk.ObjectNotFound):
                world.call("datastore_search", "produsen_dinkes", resource_id=resource["id"])
    finally:
        for name in ("dinkes", "dukcapil"):
            world.call("organization_member_delete", "admin", id=name, username="warga")


def test_two_names_at_once(
    world: World, public: dict[str, Any], stall: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Core takes one of them."""
    other = world.at("terbit")["resources"][0]["id"]
    stall(postgres, "search")
    [resource] = public["resources"]
    with pytest.raises(tk.ObjectNotFound):
        world.call("datastore_search", None, id=resource["id"], resource_id=other)


def test_who_may_read_both_is_answered(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Published, or changed by oneself, while it is read: read once more."""
    id_ = world.at("terverifikasi")["id"]
    [resource] = world.call("package_show", "walidata", id=id_)["resources"]
    with monkeypatch.context() as patch:
        once(patch, postgres, "search", lambda: world.move("walidata", id_, "terbitkan"))
        found = world.call("datastore_search", "walidata", resource_id=resource["id"])
    assert found["total"] == 2
    draft = world.draft()["id"]
    with monkeypatch.context() as patch:
        once(patch, model_dictize, "package_dictize", lambda: world.call(
            "package_patch", "produsen_dinkes", id=draft, notes="Lain."))  # fmt: skip
        reader = {"user": "produsen_dinkes", "use_cache": False}
        shown = world.call("package_show", reader, id=draft)
    assert shown["notes"] == "Lain."


def test_two_edits_at_once(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who waits for the other goes on from what that one left; a deletion is no restoration."""
    for act, told in (
        ({"title": "Lain"}, ["dibuat"]),
        ({"state": "deleted"}, ["dibuat", "dihapus"]),
    ):
        id_ = world.draft()["id"]

        def meanwhile(id_: str = id_, act: dict[str, str] = act) -> None:
            world.call("package_patch", "produsen_dinkes_2", id=id_, **act)

        with monkeypatch.context() as patch:
            once(patch, core_patch, "_check_access", meanwhile)
            world.call("package_patch", "produsen_dinkes", id=id_, notes="Catatan.")
        rows = sa.select(model.Package.notes, model.Package.title, model.Package.state)
        row = model.Session.execute(rows.where(model.Package.id == id_)).one()._mapping
        assert {**row, "notes": "Catatan.", **act} == dict(row)
        events = sa.select(Event.event).where(Event.package_id == id_).order_by(Event.seq)
        assert list(model.Session.scalars(events)) == told


def test_the_review_page_is_of_one_submission(
    world: World, app: CKANTestApp, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not the hash of one beside the words of another, which then goes back to the first."""
    draft = world.draft(notes=f"Buruk {WORD}.")
    id_ = draft["id"]
    world.move("produsen_dinkes", id_, "ajukan")
    first = world.status(id_)["content_hash"]
    made = world.call("api_token_create", "walidata", user="walidata", name=uuid.uuid4().hex)
    asked = pemeriksaan.ask

    def flipped() -> None:
        for _ in range(2):
            world.move("produsen_dinkes", id_, "batalkan")
            world.call("package_patch", "produsen_dinkes", id=id_, notes="Baik.")
            world.move("produsen_dinkes", id_, "ajukan")

    def slow(action: str, **data: Any) -> Any:
        if action == "package_show":
            monkeypatch.setattr(pemeriksaan, "ask", asked)
            beside(flipped)
        return asked(action, **data)

    monkeypatch.setattr(pemeriksaan, "ask", slow)
    page = app.get(
        f"/dataset/{draft['name']}/pemeriksaan", headers={"Authorization": made["token"]}
    )
    assert "Baik." in page.text and first not in page.text
    assert world.status(id_)["content_hash"] in page.text


@pytest.mark.parametrize("reader", [None, "warga"])
def test_table(world: World, public: dict[str, Any], stall: Any, reader: str | None) -> None:
    [resource] = public["resources"]
    assert world.call("datastore_search", reader, resource_id=resource["id"])["total"] == 2
    stall(postgres, "search")
    with pytest.raises(tk.ObjectNotFound):
        world.call("datastore_search", reader, resource_id=resource["id"])
    assert files.pointer(resource["id"]) is not None
