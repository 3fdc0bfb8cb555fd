"""The main job by API alone, over HTTP, with a job worker beside: a program's view."""

from __future__ import annotations

import hashlib
import itertools
import time
from collections.abc import Callable
from typing import Any

import pytest
import requests

from tests.world import World

CSV = "kode,kecamatan,jumlah\n35.03.01,Panggul,12\n35.03.02,Munjungan,7\n"


class Api:
    """CKAN's action API of one user, or of nobody."""

    def __init__(self, url: str, token: str = "") -> None:
        self.url = url
        self.session = requests.Session()
        if token:
            self.session.headers["Authorization"] = token

    def send(self, action: str, **data: Any) -> requests.Response:
        return self.session.post(f"{self.url}/api/3/action/{action}", json=data, timeout=60)

    def get(self, action: str, **data: Any) -> requests.Response:
        return self.session.get(f"{self.url}/api/3/action/{action}", params=data, timeout=60)

    def __call__(self, action: str, **data: Any) -> Any:
        response = self.send(action, **data)
        assert response.status_code == 200, response.text
        return response.json()["result"]

    def refused(self, status: int, action: str, **data: Any) -> dict[str, Any]:
        """Assert that the call is refused with this HTTP status; its error."""
        response = self.send(action, **data)
        assert response.status_code == status, response.text
        return response.json()["error"]


@pytest.fixture
def api(world: World, server: str) -> Callable[[str | None], Api]:
    def login(name: str | None = None) -> Api:
        if name is None:
            return Api(server)
        token = world.call("api_token_create", name, user=name, name="uji")["token"]
        return Api(server, token)

    return login


def loaded(person: Api, dataset: str) -> dict[str, Any]:
    """The status once the worker has loaded the tables; the worker tells through blockers."""
    deadline = time.monotonic() + 60
    while True:
        status = person("satudata_status_show", id=dataset)
        if not any(b["field"].startswith("resources/") for b in status["blockers"]):
            return status
        assert time.monotonic() < deadline, status["blockers"]
        time.sleep(0.2)


def is_invisible(visitor: Api, dataset: str, name: str, resource: str) -> None:
    unknown = visitor.get("package_show", id="tidak-ada")
    for id_ in (dataset, name):
        hidden = visitor.get("package_show", id=id_)
        assert hidden.status_code == unknown.status_code == 404
        assert hidden.json()["error"] == unknown.json()["error"]
    assert visitor.get("resource_show", id=resource).status_code == 404
    assert visitor.get("datastore_search", resource_id=resource).status_code in (403, 404)
    assert visitor.get("satudata_publication_show", id=dataset).status_code == 404
    assert visitor.get("satudata_status_show", id=dataset).status_code in (403, 404)
    assert visitor.get("package_search", fq=f"name:{name}").json()["result"]["count"] == 0
    assert name not in visitor.get("package_list").json()["result"]
    page = requests.get(f"{visitor.url}/dataset/{name}", timeout=60)
    assert page.status_code == 404
    download = f"{visitor.url}/dataset/{dataset}/resource/{resource}/download/stunting.csv"
    assert requests.get(download, timeout=60).status_code in (403, 404)


def test_data_prioritas_by_api(world: World, api: Callable[[str | None], Api]) -> None:
    produsen, walidata, pembina = api("produsen_dinkes"), api("walidata"), api("pembina_bps")
    forum, warga, visitor = api("forum"), api("warga"), api(None)

    dataset = produsen("package_create", **world.metadata(title="Prevalensi Stunting"))
    id_, name = dataset["id"], dataset["name"]
    assert dataset["private"] is True
    upload = produsen.session.post(
        f"{produsen.url}/api/3/action/resource_create",
        data={"package_id": id_, "name": "Stunting 2025", "format": "CSV"},
        files={"upload": ("stunting.csv", CSV.encode(), "text/csv")},
        timeout=60,
    )
    assert upload.status_code == 200, upload.text
    resource = upload.json()["result"]["id"]
    # What the portal reads off the file is offered; the program completes and saves it.
    offered = produsen("satudata_variabel_guess", id=resource)["variabel"]
    assert [row["tipe_data"] for row in offered] == ["character", "character", "integer"]
    rows = [{**ours, **row} for ours, row in zip(World.VARIABEL, offered, strict=True)]
    produsen("resource_patch", id=resource, variabel=rows)
    status = loaded(produsen, id_)
    assert status["status"] == "draf" and status["blockers"] == []
    assert [t["name"] for t in status["transitions"]] == ["ajukan"]
    is_invisible(visitor, id_, name, resource)

    # Who may not see it learns nothing, not even which transitions there are.
    for stranger in (visitor, warga, api("produsen_dukcapil"), pembina, forum):
        error = stranger.refused(404, "satudata_transition", id=id_, transition="ajukan")
        assert error == stranger.refused(404, "satudata_transition", id="x", transition="ajukan")

    forum("satudata_prioritas_set", id=id_, data_prioritas=True, kriteria="a")
    walidata.refused(403, "satudata_prioritas_set", id=id_, data_prioritas=False)
    walidata.refused(403, "satudata_transition", id=id_, transition="ajukan")
    status = produsen("satudata_transition", id=id_, transition="ajukan")
    assert status["status"] == "diajukan" and status["due_at"] and status["round"] == 1
    is_invisible(visitor, id_, name, resource)

    # Frozen: no change by anyone while it is being checked.
    for person in (produsen, walidata, api("admin_dinkes"), api("admin")):
        person.refused(403, "package_patch", id=id_, title="Diubah")
        person.refused(403, "resource_patch", id=resource, name="Diubah")
        person.refused(403, "datastore_upsert", resource_id=resource, records=[], force=True)

    content_hash = walidata("satudata_status_show", id=id_)["content_hash"]
    read = {"content_hash": content_hash, "checklist": World.CHECKLIST}
    assert "transition" in walidata.refused(409, "satudata_transition", id=id_, transition="banana")
    assert "transition" in walidata.refused(
        409, "satudata_transition", id=id_, transition="setujui", **read
    )
    stale = read | {"content_hash": "sha256:" + "0" * 64}
    assert "content_hash" in walidata.refused(
        409, "satudata_transition", id=id_, transition="teruskan_ke_pembina", **stale
    )
    assert "checklist" in walidata.refused(
        409, "satudata_transition", id=id_, transition="teruskan_ke_pembina",
        content_hash=content_hash,
    )  # fmt: skip
    pembina.refused(403, "satudata_transition", id=id_, transition="teruskan_ke_pembina", **read)

    # Pembina -> Walidata -> Produsen (Perpres 39/2019 Ps 35).
    walidata("satudata_transition", id=id_, transition="teruskan_ke_pembina", **read)
    is_invisible(visitor, id_, name, resource)
    queue = pembina("satudata_queue_list", status=["diperiksa_pembina"], q="Stunting")
    assert [row["id"] for row in queue["results"]] == [id_]
    assert "note" in pembina.refused(409, "satudata_transition", id=id_, transition="tolak_pembina")
    pembina("satudata_transition", id=id_, transition="tolak_pembina", note="Definisi kurang.")
    walidata("satudata_transition", id=id_, transition="kembalikan", note="Lengkapi definisi.")
    returned = produsen("satudata_status_show", id=id_)
    assert returned["status"] == "dikembalikan" and returned["clock_paused"] is True
    produsen("package_patch", id=id_, definisi="Bayi dengan tinggi menurut umur di bawah -2 SD.")
    status = produsen("satudata_transition", id=id_, transition="ajukan")
    assert status["round"] == 2 and status["content_hash"] != content_hash
    # What was read in the first round can no longer be approved.
    assert "content_hash" in walidata.refused(
        409, "satudata_transition", id=id_, transition="teruskan_ke_pembina", **read
    )
    read["content_hash"] = status["content_hash"]
    walidata("satudata_transition", id=id_, transition="teruskan_ke_pembina", **read)
    verified = pembina(
        "satudata_transition",
        id=id_,
        transition="setujui_pembina",
        content_hash=read["content_hash"],
    )
    assert verified["status"] == "terverifikasi"
    is_invisible(visitor, id_, name, resource)
    published = walidata(
        "satudata_transition",
        id=id_,
        transition="terbitkan",
        content_hash=read["content_hash"],
    )
    assert published["status"] == "terbit" and published["version"] == 1

    shown = visitor.get("package_show", id=name).json()["result"]
    assert shown["satudata_status"] == "terbit" and shown["satudata_version"] == 1
    assert shown["satudata_verified_at"] and shown["satudata_published_at"]
    found = visitor.get("package_search", fq=f"name:{name}").json()["result"]
    assert found["count"] == 1
    assert found["results"][0]["satudata_status"] == "terbit"
    rows = visitor.get("datastore_search", resource_id=resource).json()["result"]["records"]
    assert [row["kecamatan"] for row in rows] == ["Panggul", "Munjungan"]
    publication = visitor.get("satudata_publication_show", id=id_).json()["result"]
    assert publication["version"] == 1 and publication["content_hash"] == read["content_hash"]
    download = requests.get(shown["resources"][0]["url"], timeout=60)
    assert download.text == CSV
    assert publication["files"] == [
        {"id": resource, "sha256": hashlib.sha256(CSV.encode()).hexdigest(), "size": len(CSV)}
    ]
    # Who reviewed what stays inside.
    for stranger in (visitor, warga, api("produsen_dukcapil")):
        assert stranger.get("satudata_history_list", id=id_).status_code == 403
        assert stranger.get("satudata_status_show", id=id_).status_code == 403
    events = produsen("satudata_history_list", id=id_, limit=100)["results"]
    assert [e["event"] for e in events] == [
        "dibuat", "prioritas", "ajukan", "teruskan_ke_pembina", "tolak_pembina", "kembalikan",
        "ajukan", "teruskan_ke_pembina", "setujui_pembina", "terbitkan",
    ]  # fmt: skip
    assert all(b["prev_hash"] == a["hash"] for a, b in itertools.pairwise(events))

    walidata("satudata_transition", id=id_, transition="tarik", note="Salah hitung.")
    is_invisible(visitor, id_, name, resource)


def test_another_site_cannot_use_a_session(world: World, server: str) -> None:
    """Core's API takes form posts with a session cookie, and soon asks for no CSRF token.

    It asks until somebody without a session has called the API (400); ours asks at all times.
    """
    id_ = world.draft()["id"]
    session = requests.Session()
    page = session.get(f"{server}/user/login", timeout=60).text
    token = page.split('name="_csrf_token" value="')[1].split('"')[0]
    login = {"login": "produsen_dinkes", "password": "rahasia-123", "_csrf_token": token}
    session.post(f"{server}/user/login", data=login, timeout=60)
    page = session.get(f"{server}/satudata/tugas", timeout=60).text
    token = page.split('name="_csrf_token" content="')[1].split('"')[0]

    def patch(**headers: str) -> int:
        return session.post(
            f"{server}/api/3/action/package_patch",
            data={"id": id_, "notes": "Dari situs lain."},
            headers={"X-CSRFToken": token, **headers},
            timeout=60,
        ).status_code

    assert patch() == 403
    assert patch(Origin="https://lain.trenggalekkab.go.id") == 403
    assert patch(**{"Sec-Fetch-Site": "same-site"}) == 403
    assert patch(Origin=server) == 200
    assert patch(**{"Sec-Fetch-Site": "same-origin"}) == 200
    answer = session.get(f"{server}/api/3/action/package_show", params={"id": id_}, timeout=60)
    assert answer.status_code == 200
    assert answer.headers["Cache-Control"] == "private, no-store"
    policy = session.get(server, timeout=60).headers["Content-Security-Policy"]
    assert "img-src 'self' data:" in policy and "frame-ancestors 'self'" in policy
