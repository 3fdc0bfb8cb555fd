"""A reader who stands still between the check of access and the reading, while the dataset is
withdrawn, reopened and changed."""

from __future__ import annotations

import io
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import ckan.lib.search as search
import ckan.model as model
import ckan.plugins.toolkit as tk
import pytest
from ckan.tests.helpers import CKANTestApp
from ckanext.datastore.backend import postgres
from werkzeug.datastructures import FileStorage

from ckanext.satudata_trenggalek import files, reading, tables
from ckanext.satudata_trenggalek.workflow import service
from tests.world import World

WORD = "kata4712liar"


@pytest.fixture
def public(world: World) -> dict[str, Any]:
    """A published dataset with a view, a table and a tag of its own."""
    made = world.at("terbit", tag_string=f"label-{uuid.uuid4().hex[:8]}")
    return world.call("package_show", None, id=made["id"])


def reopened(world: World, dataset: dict[str, Any]) -> None:
    """What happens meanwhile, in a thread with a session of its own."""

    def act() -> None:
        id_, [resource] = dataset["id"], dataset["resources"]
        try:
            world.move("walidata", id_, "tarik", note="Keliru.")
            world.move("produsen_dinkes", id_, "buka_kembali")
            data = f"kode,kecamatan,jumlah\n35.03.01,{WORD},12\n".encode()
            upload = FileStorage(io.BytesIO(data), filename="kelahiran.csv")
            world.call("resource_patch", "produsen_dinkes", id=resource["id"], upload=upload,
                       description=WORD)  # fmt: skip
            world.call("package_patch", "produsen_dinkes", id=id_, tag_string=WORD, notes=WORD)
            tables.load(resource["id"])
        finally:
            model.Session.remove()

    with ThreadPoolExecutor(1) as pool:
        pool.submit(act).result()


#: What a reader stands still before, by its name in a module.
Stall = Callable[[Any, str], None]


@pytest.fixture
def stall(world: World, public: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> Stall:
    """Let the first call of a function wait until the dataset is another."""

    def before(module: Any, name: str, number: int = 1) -> None:
        function, calls = getattr(module, name), iter(range(1, 100))

        def slow(*args: Any, **named: Any) -> Any:
            if next(calls) == number:
                reopened(world, public)
            return function(*args, **named)

        monkeypatch.setattr(module, name, slow)

    return before


@pytest.mark.parametrize("reader", [None, "warga"])
@pytest.mark.parametrize("number", [1, 2])
@pytest.mark.parametrize("door", ["package_show", "resource_show", "download", "page", "file page"])
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


@pytest.mark.parametrize("reader", [None, "warga"])
def test_table(world: World, public: dict[str, Any], stall: Any, reader: str | None) -> None:
    [resource] = public["resources"]
    assert world.call("datastore_search", reader, resource_id=resource["id"])["total"] == 2
    stall(postgres, "search")
    with pytest.raises(tk.ObjectNotFound):
        world.call("datastore_search", reader, resource_id=resource["id"])
    assert files.pointer(resource["id"]) is not None
