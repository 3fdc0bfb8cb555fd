"""What core's actions and pages cannot take is refused in words, never with a 500."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import ckan.plugins.toolkit as tk
import psycopg2
import pytest
from sqlalchemy.exc import DataError, OperationalError, ProgrammingError

from ckanext.satudata_trenggalek.doors import arguments
from tests.gate.sites import Portal

SURROGATE, NUL, HUGE = "\ud800", "a\x00b", 10**30
DEEP = "[" * 3000 + "]" * 3000


def ask(portal: Portal, user: str | None, action: str, data: Any) -> tuple[int, dict[str, Any]]:
    """The status of a refused call of the API, and the error that it tells."""
    answer = portal.request(user, f"/api/3/action/{action}", "POST", json=data)
    told = answer.get_json()
    assert answer.status_code in (400, 404, 409), (action, data, told)
    assert told["success"] is False
    return answer.status_code, told["error"]


#: Action -> the parameter that names something, and what is asked besides.
NAMES: dict[str, tuple[str, dict[str, Any]]] = {
    "am_following_group": ("id", {}),
    "api_token_revoke": ("jti", {}),
    "config_option_show": ("key", {}),
    "file_show": ("id", {}),
    "follow_user": ("id", {}),
    "format_autocomplete": ("q", {}),
    "group_autocomplete": ("q", {}),
    "group_create": ("id", {"name": "baru"}),
    "group_list": ("q", {}),
    "group_member_create": ("username", {"id": "ekonomi", "role": "editor"}),
    "group_package_show": ("id", {}),
    "group_purge": ("id", {}),
    "group_show": ("id", {}),
    "help_show": ("name", {}),
    "job_show": ("id", {}),
    "member_list": ("id", {}),
    "organization_list": ("sort", {}),
    "organization_list_for_user": ("id", {}),
    "organization_show": ("id", {}),
    "scheming_dataset_schema_show": ("type", {}),
    "tag_show": ("id", {}),
    "user_list": ("email", {}),
    "user_show": ("id", {}),
    "vocabulary_show": ("id", {}),
}


@pytest.mark.parametrize("action", NAMES)
def test_names(portal: Portal, action: str) -> None:
    """Each was a 500 for at least one of these."""
    name, more = NAMES[action]
    for bad in ([["x"]], {"a": {"b": 1}}, NUL, SURROGATE, ["\x00"]):
        _status, error = ask(portal, "admin", action, {**more, name: bad})
        assert error["__type"] == "Not Found Error" or error[name], bad


@pytest.mark.parametrize(
    ("action", "name"),
    [
        ("format_autocomplete", "limit"),
        ("group_autocomplete", "limit"),
        ("group_list", "offset"),
        ("group_package_show", "limit"),
        ("organization_list", "offset"),
        ("package_list", "limit"),
        ("package_search", "rows"),
        ("package_search", "start"),
        ("package_search", "facet.mincount"),
        ("tag_list", "limit"),
        ("user_autocomplete", "limit"),
        ("datastore_search", "limit"),
        ("datastore_search", "offset"),
    ],
)
def test_numbers(portal: Portal, action: str, name: str) -> None:
    t = portal.target("terbit")
    more = {"datastore_search": {"id": t.resource}, "group_package_show": {"id": t.group}}.get(
        action, {"q": "a"}
    )
    for bad in ("x", -1, HUGE, str(HUGE), [1], ["1", "2"], {"a": 1}, "a\x00"):
        _status, error = ask(portal, "warga", action, {**more, name: bad})
        assert error[name], bad
    answer = portal.request("warga", f"/api/3/action/{action}", "POST", json={**more, name: ""})
    assert answer.status_code == 200, "what is empty is not sent"


@pytest.mark.parametrize(
    ("action", "data"),
    [
        ("package_search", {"include_private": "maybe"}),
        ("package_search", {"extras": "x", "ext_a": "1"}),
        ("tag_list", {"query": {"a": 1}}),
        ("tag_search", {"query": [["a"]]}),
        ("tag_autocomplete", {"query": [1]}),
        ("package_search", {"include_drafts": "\x00"}),
        ("package_show", {"include_plugin_data": "x", "id": "x"}),
        ("group_list", {"all_fields": "x"}),
        ("organization_show", {"include_datasets": "x", "id": "dinkes"}),
        ("user_list", {"order_by": ["name"]}),
        ("datastore_search", {"filters": {"kecamatan": SURROGATE}}),
        ("datastore_search", {"filters": {"kecamatan": NUL}}),
        ("datastore_search", {"filters": '{"kecamatan": "\\ud800"}'}),
        ("datastore_search", {"filters": DEEP}),
        ("datastore_search", {"filters": '{"a":' * 50 + "1" + "}" * 50}),
        ("datastore_search", {"q": SURROGATE}),
        ("datastore_search", {"q": {"kecamatan": NUL}}),
        ("datastore_search", {"q": '{"a":' * 3000}),
        ("package_create", {"extras": [float("inf")]}),
        ("member_create", {"object_type": ["x"], "id": "dinkes", "object": "x", "capacity": "x"}),
        ("package_relationships_list", {"rel": "x"}),
        ("user_create", {"email": ["x"], "name": "baru", "password": "rahasia-123"}),
    ],
    ids=lambda value: str(value)[:60],
)
def test_named(portal: Portal, action: str, data: dict[str, Any]) -> None:
    t = portal.target("terbit")
    more = {"resource_id": t.resource} if action == "datastore_search" else {}
    if action == "package_relationships_list":
        more = {"id": t.id}
    status, error = ask(portal, "admin", action, {**more, **data})
    assert status in (400, 409)
    name = next(iter(data))
    assert name in error or name in error["message"]


@pytest.mark.parametrize(
    ("action", "data", "field"),
    [
        ("resource_create", {"url": ["x"]}, "url"),
        ("resource_create", {"url": 5}, "url"),
        ("resource_create", {"id": ["x"]}, "id"),
        ("package_patch", {"resources": None}, "resources"),
        ("package_patch", {"resources": ["x"]}, "resources"),
        ("package_patch", {"resources": [{"url": {"a": 1}}]}, "resources"),
    ],
    ids=str,
)
def test_resources(portal: Portal, action: str, data: dict[str, Any], field: str) -> None:
    t = portal.target("draf")
    own = {"package_id": t.id} if action == "resource_create" else {"id": t.id}
    assert ask(portal, "produsen_dinkes", action, {**own, **data})[1][field]


def test_two_resources_of_one_id(portal: Portal) -> None:
    """Core would take nothing more into the dataset (IndexError in package_update)."""
    id_ = portal.world.draft()["id"]
    resource = {"package_id": id_, "url": "https://example.id/a.csv"}
    made = portal.world.call("resource_create", "produsen_dinkes", **resource)
    again = {**resource, "id": made["id"]}
    assert ask(portal, "produsen_dinkes", "resource_create", again)[1]["id"]
    portal.world.call("resource_create", "produsen_dinkes", **resource)


def test_unknown_group(portal: Portal) -> None:
    for kind in ("group", "organization"):
        data = {"id": "tidak-ada", "username": "warga"}
        assert ask(portal, "admin", f"{kind}_member_delete", data)[0] == 404


def test_an_own_comment(portal: Portal) -> None:
    for id_ in (NUL, SURROGATE):
        assert ask(portal, "walidata", "satudata_comment_delete", {"id": id_})[0] == 404


@pytest.mark.parametrize("action", ["package_show", "package_create", "satudata_status_show"])
def test_nested(portal: Portal, action: str) -> None:
    value: Any = "x"
    for _ in range(arguments.MAX_DEPTH + 1):
        value = [value]
    assert ask(portal, "walidata", action, {"catatan": value})[1]["catatan"]


@pytest.mark.parametrize("body", [DEEP, f'{{"id": {DEEP}}}'], ids=["list", "object"])
@pytest.mark.parametrize("kind", ["application/json", "application/x-www-form-urlencoded"])
def test_bodies(portal: Portal, body: str, kind: str) -> None:
    """Core's JSON ends where Python's stack does."""
    path = "/api/3/action/package_show"
    answer = portal.request(None, path, "POST", data=body, content_type=kind)
    assert answer.status_code == 400
    assert answer.is_json


@pytest.mark.parametrize(
    "query",
    [
        "package_search?rows=1&rows=2",
        "package_search?q=%00",
        "user_show?id=%00",
    ],
)
def test_addresses_of_the_api(portal: Portal, query: str) -> None:
    answer = portal.request(None, f"/api/3/action/{query}")
    assert answer.status_code in (400, 403, 404, 409)
    assert answer.get_json()["success"] is False


@pytest.mark.parametrize("what", ["dataset", "tag", "group", "organization", "user", "resource"])
def test_lists_for_forms(portal: Portal, what: str) -> None:
    kind = "format_autocomplete" if what == "resource" else "autocomplete"
    for query in ("limit=x", "limit=-1", f"limit={HUGE}", "limit=1&q=%00&incomplete=%00"):
        path = f"/api/2/util/{what}/{kind}?q=a&incomplete=a&{query}"
        if "%00" in query:
            path = path.replace("q=a&incomplete=a&", "")
        answer = portal.request("warga", path)
        assert answer.status_code in (400, 409), query
        assert answer.get_json()["success"] is False
    assert portal.request(None, "/api/2/util/user/autocomplete?q=a").status_code == 403


PAGES = [
    "/dataset/?q=%00",
    "/dataset/?page={huge}",
    "/dataset/?x=%00",
    "/dataset/?sort=,",
    "/dataset/?sort=%20",
    "/dataset/{name}/resource/%00/download",
    "/organization/?q=%00",
    "/organization/?page={huge}",
    "/organization/dinkes?page={huge}",
    "/organization/%00",
    "/group/?page={huge}",
    "/group/ekonomi?page={huge}",
    "/user/%00",
    "/user/?limit=x",
    "/feeds/dataset.atom?page={huge}",
    "/feeds/custom.atom?q=a:b:c",
    "/feeds/tag/%27%22.atom",
    "/feeds/organization/dinkes.atom?page={huge}",
    "/datastore/dump/{resource}?offset=-1",
    "/datastore/dump/{resource}?offset={huge}",
    "/datastore/dump/{resource}?format=zz",
    "/datastore/dump/{resource}?filters={deep}",
    "/datastore/dump/{resource}?filters={{%22kecamatan%22:%22%5Cu0000%22}}",
    "/datastore/dump/{resource}?q=%00",
    "/datastore/dump/%00",
]


@pytest.mark.parametrize("path", PAGES)
def test_pages(portal: Portal, path: str) -> None:
    t = portal.target("terbit")
    values = {"huge": "9" * 20, "deep": quote(DEEP), "name": t.name, "resource": t.resource}
    answer = portal.request("admin", path.format(**values))
    assert answer.status_code in (400, 404)


@pytest.mark.parametrize("query", ["q=a:b:c", "q=title:[*", "sort=x", "x=%27%22"])
def test_a_search_in_a_group_that_solr_cannot_read(portal: Portal, query: str) -> None:
    """Core's page has words for it, but failed (ckan/views/group.py)."""
    for path in ("/organization/dinkes", "/group/ekonomi"):
        assert portal.request(None, f"{path}?{query}").status_code in (200, 400)


def test_forms(portal: Portal) -> None:
    form = {"name": "a", "title": "a\x00b", "save": ""}
    answer = portal.request("admin", "/group/new", "POST", data=form)
    assert answer.status_code in (200, 400)
    answer = portal.request(None, "/user/login", "POST", data={"login": NUL, "password": "x"})
    assert answer.status_code in (200, 400)


def test_faults_stay_faults() -> None:
    """Only what a value brought about is its sender's."""

    def told(kind: Any, cause: Exception) -> bool:
        return arguments._of_arguments(kind("SELECT", {}, cause))

    assert told(DataError, psycopg2.DataError("bigint out of range"))
    assert told(ProgrammingError, psycopg2.ProgrammingError("can't adapt type 'dict'"))
    assert not told(ProgrammingError, psycopg2.ProgrammingError('relation "x" does not exist'))
    assert not told(OperationalError, psycopg2.OperationalError("server closed the connection"))
    assert not arguments._of_arguments(ValueError("a fault"))


def test_numbers_for_texts(portal: Portal) -> None:
    """As in an address: JSON's 5 is "5"."""
    assert (
        portal.request(None, "/api/3/action/group_list", "POST", json={"q": 5}).json["result"] == []
    )
    assert ask(portal, None, "group_show", {"id": 5})[0] == 404
    with pytest.raises(tk.ValidationError):
        arguments.check("group_show", {"id": ["x"]}, True)


def test_what_clients_send(portal: Portal) -> None:
    """In an address and as JSON, in the ways that CKAN's documentation and its clients write it."""
    t = portal.target("terbit")
    for action, data in (
        ("package_search", {"rows": "10", "start": 0, "include_private": "True"}),
        ("package_search", {"sort": "name asc, metadata_modified desc"}),
        ("package_search", {"facet.field": '["tags"]', "facet.limit": "-1", "facet.mincount": "2"}),
        ("package_search", {"fq": f"name:{t.name}", "facet": "false", "use_default_schema": True}),
        ("package_list", {"limit": "5", "offset": "0"}),
        ("package_show", {"id": t.name, "include_tracking": "false"}),
        ("group_list", {"all_fields": "true", "include_extras": 1, "order_by": "name"}),
        ("organization_show", {"id": "dinkes", "include_datasets": "0", "include_users": "False"}),
        ("tag_list", {"query": "a", "all_fields": False}),
        ("user_autocomplete", {"q": "war", "limit": 3}),
        ("datastore_search", {"resource_id": t.resource, "limit": "5", "include_total": "False"}),
        ("datastore_search", {"resource_id": t.resource, "filters": '{"kecamatan": "Panggul"}'}),
        ("datastore_search", {"resource_id": t.resource, "q": '{"kecamatan": "pang:*"}',
                              "plain": "false"}),
        ("datastore_search", {"resource_id": t.resource, "q": "35.03", "sort": "kecamatan desc"}),
    ):  # fmt: skip
        for method, sent in (("GET", {"query_string": data}), ("POST", {"json": data})):
            answer = portal.request("warga", f"/api/3/action/{action}", method, **sent)
            assert answer.status_code == 200, (method, action, data, answer.text)
    data = {"resource_id": t.resource, "filters": {"kecamatan": ["Panggul"]}, "q": {"kode": "35"},
            "sort": ["kecamatan desc", "kode"]}  # fmt: skip
    answer = portal.request("warga", "/api/3/action/datastore_search", "POST", json=data)
    assert answer.status_code == 200, answer.text
