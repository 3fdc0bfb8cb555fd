"""Bounds of what is sent, whose session may send it, and what browsers are told of the answers."""

from __future__ import annotations

import io
import json
import re
from typing import Any

import ckan.model as core
import ckan.plugins.toolkit as tk
import pytest
import requests as http
from ckan.tests.helpers import CKANTestApp
from werkzeug.datastructures import FileStorage

from ckanext.satudata_trenggalek.doors import requests
from ckanext.satudata_trenggalek.workflow import engine
from tests.world import World

ACTION = "/api/3/action"


# --- sizes -----------------------------------------------------------------------------------


@pytest.mark.parametrize("field", ["note", "public_note"])
def test_long_note(world: World, field: str) -> None:
    id_ = world.standing("terbit")
    sent = {"note": "Salah.", field: "x" * (engine.MAX_NOTE + 1)}
    with pytest.raises(tk.ValidationError) as error:
        world.move("walidata", id_, "tarik", **sent)
    assert list(error.value.error_dict) == [field] and "10000" in str(error.value.error_dict)


def test_long_note_of_a_purge(world: World) -> None:
    id_ = world.standing("ditarik")
    with pytest.raises(tk.ValidationError) as error:
        world.call("dataset_purge", "admin", id=id_, note="x" * (engine.MAX_NOTE + 1))
    assert list(error.value.error_dict) == ["note"]
    assert core.Package.get(id_)


@pytest.mark.parametrize(
    "checklist",
    [
        {**World.CHECKLIST, "metadata": {"sesuai": True, "note": "x" * (engine.MAX_NOTE + 1)}},
        {**World.CHECKLIST, "lain": {"sesuai": True, "note": ""}},
        {**World.CHECKLIST, "metadata": {"sesuai": True, "note": "", "lain": "x" * 10**6}},
        [{"sesuai": True}] * 10_000,
    ],
    ids=["long note", "unknown aspect", "unknown key", "list"],
)
def test_large_checklist(world: World, checklist: Any) -> None:
    id_ = world.standing("diajukan")
    with pytest.raises(tk.ValidationError) as error:
        world.move("walidata", id_, "setujui", checklist=checklist)
    assert all(name.split("/")[0] == "checklist" for name in error.value.error_dict)


@pytest.mark.parametrize(
    ("action", "most"),
    [("satudata_transition", requests.MAX_CALL), ("package_create", requests.MAX_METADATA)],
)
def test_large_call(app: CKANTestApp, tokens: Any, action: str, most: int) -> None:
    """Refused before it is read, whether it tells its length or not."""
    body = json.dumps({"id": "x", "note": "x" * most})
    headers = {**tokens("walidata"), "Content-Type": "application/json"}
    answer = app.post(f"{ACTION}/{action}", data=body, headers=headers)
    assert answer.status_code == 413
    assert "paling banyak" in answer.text
    stream = io.BytesIO(body.encode())
    environ = {"wsgi.input_terminated": True, "CONTENT_LENGTH": ""}
    answer = app.post(
        f"{ACTION}/{action}", input_stream=stream, headers=headers, environ_overrides=environ
    )
    # Core says so of every body that it can't read.
    assert answer.status_code == 400 and "JSON" in answer.text


# --- rate ------------------------------------------------------------------------------------


@pytest.fixture
def three_calls(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(tk.config, "ckanext.satudata_trenggalek.calls_per_minute", 3)
    # One minute that does not end within the test, and nobody's of another test.
    monkeypatch.setattr(requests.time, "time", lambda: 90_000_000_015.0)
    url = tk.config["ckan.redis.url"]
    for key in requests._counter(url).scan_iter("*:satudata:1500000000:*"):
        requests._counter(url).delete(key)


@pytest.mark.usefixtures("three_calls")
def test_calls_of_a_minute(app: CKANTestApp, tokens: Any) -> None:
    def ask(name: str) -> Any:
        return app.get(f"{ACTION}/satudata_queue_list", headers=tokens(name))

    assert [ask("walidata").status_code for _ in range(5)] == [200, 200, 200, 429, 429]
    answer = ask("walidata")
    assert answer.headers["Retry-After"] == "45"
    assert answer.json["error"]["message"] == "Terlalu banyak permintaan. Coba lagi dalam 45 detik."
    page = app.get("/satudata/antrean", headers=tokens("walidata"))
    assert page.status_code == 429 and "Coba lagi dalam 45 detik." in page.text
    # Nobody else waits for it, and CKAN's own actions go on.
    assert ask("walidata_2").status_code == 200
    answer = app.get(f"{ACTION}/package_search", headers=tokens("walidata"))
    assert answer.status_code == 200


@pytest.mark.usefixtures("three_calls")
def test_calls_of_an_address(app: CKANTestApp, world: World) -> None:
    """The address that the proxy saw, not one that the client makes up."""
    id_ = world.standing("terbit")

    def ask(seen: str, said: str) -> int:
        headers = {"X-Forwarded-For": f"{said}, {seen}"}
        return app.get(f"{ACTION}/satudata_publication_show?id={id_}", headers=headers).status_code

    assert [ask("203.0.113.7", f"10.0.0.{n}") for n in range(4)] == [200, 200, 200, 429]
    assert ask("203.0.113.8", "10.0.0.1") == 200


@pytest.mark.usefixtures("three_calls")
def test_calls_without_redis(
    app: CKANTestApp, tokens: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    headers = tokens("walidata")
    monkeypatch.setitem(tk.config, "ckan.redis.url", "redis://127.0.0.1:9/0")
    assert [
        app.get(f"{ACTION}/satudata_queue_list", headers=headers).status_code for _ in range(5)
    ] == [200] * 5


# --- sessions, on the running server ---------------------------------------------------------


def csrf(page: str) -> str:
    found = re.search(r'name="_csrf_token" (?:content|value)="([^"]+)"', page)
    assert found
    return found[1]


@pytest.fixture(scope="module")
def sessions() -> dict[str, http.Session]:
    return {}


@pytest.fixture
def login(server: str, world: World, sessions: dict[str, http.Session]) -> Any:
    """A browser's session of a user, logged in by the form."""

    def enter(name: str, session: http.Session | None = None) -> http.Session:
        key = world.ids[name]
        if session is None and key in sessions:
            return sessions[key]
        client = session or http.Session()
        page = client.get(f"{server}/user/login")
        answer = client.post(
            f"{server}/user/login",
            data={"login": name, "password": "rahasia-123", "_csrf_token": csrf(page.text)},
        )
        assert answer.ok and name in answer.text
        client.headers["X-CSRFToken"] = csrf(answer.text)
        if session is None:
            sessions[key] = client
        return client

    return enter


def test_session_changes_at_login(server: str, login: Any) -> None:
    """Whoever planted or saw the cookie of before has nothing of the login."""
    client = http.Session()
    client.get(f"{server}/user/login")
    before = client.cookies["ckan"]
    login("walidata", client)
    after = client.cookies["ckan"]
    assert after != before
    assert before and after
    for cookie, status in ((before, 403), (after, 200)):
        answer = http.get(f"{server}{ACTION}/satudata_queue_list", cookies={"ckan": cookie})
        assert answer.status_code == status, cookie


def test_flags_of_the_session_cookie(server: str, login: Any) -> None:
    client = http.Session()
    login("walidata", client)
    (cookie,) = (c for c in client.cookies if c.name == "ckan")
    assert cookie.has_nonstandard_attr("HttpOnly")
    assert cookie.get_nonstandard_attr("SameSite") == "Lax"


#: A value for each argument of an address: nothing is there, as nothing may be reached.
ARGUMENT = "tidak-ada"


def posts() -> list[tuple[str, str]]:
    """Method and address of everything that takes an unsafe method, CKAN's own and ours."""
    from ckan.config.middleware import make_app

    app: Any = make_app(tk.config)
    found = set()
    for rule in app._wsgi_app.url_map.iter_rules():
        values = dict.fromkeys(rule.arguments, ARGUMENT) | {"ver": "3"} | (rule.defaults or {})
        for method in rule.methods & {"POST", "PUT", "PATCH", "DELETE"}:
            built = rule.build(values, append_unknown=False)
            if built:
                found.add((method, built[1]))
    return sorted(found)


FOREIGN = {"Origin": "https://lain.go.id", "Sec-Fetch-Site": "same-site"}


def test_nothing_is_sent_from_another_site(server: str, login: Any) -> None:
    """Every address that takes an unsafe method, also with the CSRF token of the session."""
    client, wrong, tried = login("walidata"), [], posts()
    assert len(tried) >= 60 and ("POST", "/user/login") in tried
    for method, path in tried:
        answer = client.request(
            method, server + path, headers=FOREIGN, data={"id": "x"}, allow_redirects=False
        )
        if answer.status_code != 403 or "tidak dikirim dari portal" not in answer.text:
            wrong.append((method, path, answer.status_code))
    assert not wrong, wrong


@pytest.mark.parametrize(
    "headers",
    [{}, {"Origin": "null"}, {"Referer": "https://lain.go.id/x"}, {"Sec-Fetch-Site": "none"}],
    ids=str,
)
@pytest.mark.parametrize("path", ["/user/edit/walidata", f"{ACTION}/satudata_queue_list"])
def test_sent_from_nowhere(server: str, login: Any, path: str, headers: dict[str, str]) -> None:
    """Core's check is gone once anybody has looked at the page without a session."""
    http.get(server + path)
    sent = {**headers, "X-CSRFToken": ""}
    answer = login("walidata").post(server + path, headers=sent, data={"fullname": "Diubah"})
    assert answer.status_code in (400, 403)
    assert "Diubah" not in http.get(f"{server}/api/3/action/user_show?id=walidata").text


@pytest.mark.parametrize(
    "headers",
    [{"Sec-Fetch-Site": "same-origin"}, {"Origin": "{server}"}, {"Referer": "{server}/dataset"}],
    ids=lambda headers: "".join(headers),
)
def test_sent_from_the_portal(server: str, login: Any, headers: dict[str, str]) -> None:
    sent = {name: value.format(server=server) for name, value in headers.items()}
    url = f"{server}{ACTION}/satudata_queue_list"
    assert login("walidata").post(url, json={}, headers=sent).status_code == 200
    foreign = dict.fromkeys(sent, "https://lain.go.id")
    assert login("walidata").post(url, json={}, headers=foreign).status_code == 403


def test_session_with_a_token_that_is_none(server: str, login: Any) -> None:
    """Core falls back to the session; a header alone proves nothing."""
    headers = {"Authorization": "bukan-token", "Origin": "https://lain.go.id"}
    url = f"{server}{ACTION}/satudata_queue_list"
    assert login("walidata").post(url, json={}, headers=headers).status_code == 403


def test_login_from_another_site(server: str) -> None:
    """Nobody is logged in as somebody else by a form of another site."""
    client = http.Session()
    client.get(f"{server}/user/login")
    answer = client.post(
        f"{server}/user/login",
        data={"login": "warga", "password": "rahasia-123"},
        headers=FOREIGN,
    )
    assert answer.status_code == 403 and "tidak dikirim dari portal" in answer.text
    assert "warga" not in client.get(f"{server}/").text


# --- headers and downloads -------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/", "/dataset/", "/tidak-ada", "/api/3/action/status_show"])
def test_headers(app: CKANTestApp, path: str) -> None:
    headers = app.get(path).headers
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Referrer-Policy"] == "same-origin"
    if not path.startswith("/api"):
        assert headers["X-Frame-Options"] == "SAMEORIGIN"
        policy = headers["Content-Security-Policy"]
        for part in ("frame-ancestors 'self'", "form-action 'self'", "object-src 'none'"):
            assert part in policy


@pytest.mark.parametrize(
    "name",
    ['data"; filename="x.html', "baris\r\nSet-Cookie: a=b.csv", "kelahiran – Ñandú 2025.csv",
     "../../../etc/passwd.csv", "..\\..\\rahasia.csv", "a" * 300 + ".csv", "; rm -rf.csv",
     "<script>alert(1)</script>.csv"],
    ids=["quote", "newline", "unicode", "path", "backslash", "long", "semicolon", "tag"],
)  # fmt: skip
def test_name_of_a_download(app: CKANTestApp, world: World, tokens: Any, name: str) -> None:
    """Whatever an upload is called: an attachment, in one header, under a name without a path."""
    dataset = world.call("package_create", "produsen_dinkes", **world.metadata())
    resource = world.call(
        "resource_create",
        "produsen_dinkes",
        package_id=dataset["id"],
        name="berkas",
        format="CSV",
        upload=FileStorage(io.BytesIO(World.CSV), filename=name),
    )
    path = resource["url"].removeprefix(tk.config["ckan.site_url"])
    answer = app.get(path, headers=tokens("produsen_dinkes"))
    assert answer.status_code == 200 and answer.data == World.CSV
    assert "Set-Cookie" not in answer.headers or "a=b" not in answer.headers["Set-Cookie"]
    (told,) = answer.headers.getlist("Content-Disposition")
    assert told.startswith(("attachment", "inline"))
    from werkzeug.http import parse_options_header

    kind, values = parse_options_header(told)
    assert kind in ("attachment", "inline") and set(values) == {"filename"}
    assert not set(values["filename"]) & set('/\\"\r\n<>') and values["filename"] not in ("", "..")
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.mimetype not in ("text/html", "image/svg+xml", "application/xhtml+xml")
