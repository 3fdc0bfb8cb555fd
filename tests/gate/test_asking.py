"""Questions that a search answers from what is not public, and core's other oracles."""

from __future__ import annotations

import random
import string
from typing import Any

import ckan.plugins.toolkit as tk
import pysolr
import pytest
from ckan.lib.search import SearchQueryError, make_connection

from ckanext.satudata_trenggalek import gate
from ckanext.satudata_trenggalek.doors import asking
from tests.gate.sites import Portal

READERS = (None, "warga", "produsen_dukcapil")
#: All documents of the site, if any has this name.
JOIN = "{!join from=site_id to=site_id v='+name:%s'}"


def nested(word: str) -> dict[str, list[dict[str, Any]]]:
    """Way around core's check -> searches that find something only if a dataset has this name."""
    inner = (JOIN % word).replace("{!", "{\\!")
    magic = [f'{name}:"{inner}"' for name in ("\\u005fquery_", "_q\\u0075ery_", "_query\\u005f")]
    # Solr replaces ${name:default} before it reads a query.
    bare = JOIN % word
    magic += [
        bare.replace("{!", "{${x:}!"),
        f'title:* AND _query${{z:}}_:"{bare}"'.replace("{!", "{${z:}!"),
    ]
    return {
        "q": [{"q": text} for text in magic],
        "fq": [{"fq": text} for text in magic],
        "fq_list": [{"fq_list": [text]} for text in magic],
        "score": [{"q": "*:*", "bf": f"docfreq(name,'{word}')", "fl": ["name", "score"]}],
        "order": [{"sort": f"product(sub(docfreq(name,'{word}'),0.5),ord(name)) asc"}],
    }


@pytest.mark.parametrize("way", nested("x"))
def test_nobody_asks_the_whole_index(portal: Portal, way: str) -> None:
    t = portal.target("diajukan")
    for user in READERS:
        for asked in nested(t.name)[way]:
            with pytest.raises(SearchQueryError):
                portal.world.call("package_search", user, rows=100, **asked)


@pytest.mark.parametrize("way", ["q", "fq", "fq_list"])
def test_what_it_would_tell(
    portal: Portal, plain_solr: str, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    """Without the check, and with a Solr that reads all it can, an anonymous reader learns the name
    of what is being reviewed."""
    t, public = portal.target("diajukan"), portal.target("terbit")
    monkeypatch.setattr(asking, "check", lambda _params: None)
    monkeypatch.setitem(tk.config, "solr_url", plain_solr)
    for target in (t, public):
        gate.index(target.id)

    def told(word: str) -> list[int]:
        return [
            portal.world.call("package_search", None, rows=0, **asked)["count"]
            for asked in nested(word)[way]
        ]

    for number, count in enumerate(told(t.name)):
        assert count, f"{way} {number} tells nothing, so its refusal shows nothing"
    assert not any(told(t.name + "-tidak-ada"))


def test_order_tells_nothing(portal: Portal) -> None:
    """How rare a word is in what is not public does not count.

    With CKAN's own schema of Solr the second of the two comes first in the end.
    """
    world = portal.world
    # Of letters alone: Solr takes digits for words of their own.
    both, *words = ("".join(random.choices(string.ascii_lowercase, k=12)) for _ in range(3))
    names = [world.at("terbit", title=f"Data {word} {both}")["name"] for word in words]

    def order() -> list[str]:
        asked = {"q": f"{words[0]} {words[1]} {both}"}
        return [row["name"] for row in world.call("package_search", None, **asked)["results"]]

    before = order()
    assert set(before) == set(names)
    first = words[names.index(before[0])]
    for _ in range(3):
        world.draft(title=f"Data {first}")
    assert order() == before


@pytest.mark.parametrize(
    "asked",
    [
        {"q": "_val_ /**/ :\"docfreq(name,'x')\""},
        {"q": "{!func}docfreq(name,'x')"},
        {"q": "\ud800"},
        {"fq": "\ud800"},
        {"fq_list": [5]},
        {"sort": "query($q) desc"},
        {"sort": "random_5"},
        {"sort": "_docid_ asc"},
        {"mm": "${x:1}"},
        {"facet.field": ["${x:title}"]},
        {"qf": "title^4 {!x}"},
        {"defType": "func", "q": "docfreq(name,'x')"},
        {"boost": "docfreq(name,'x')"},
        {"wt": "xml"},
        {"facet.field": ["{!key=x}title"]},
        {"fl": ["score"]},
        {"fl": [5]},
        {"fl": ["[child]"]},
    ],
    ids=str,
)
def test_refused_in_words(portal: Portal, asked: dict[str, Any]) -> None:
    with pytest.raises((SearchQueryError, tk.ValidationError)):
        portal.world.call("package_search", None, **asked)


@pytest.mark.parametrize(
    "asked",
    [
        {"q": "air bersih {desa} (RT 1)"},
        {"q": 'title:"kelahiran" AND name:*'},
        {"q": "a\\:b\\!c"},
        {"fq": "tags:(a OR b) -organization:x", "fq_list": ["+state:active"]},
        {"sort": "title_string asc, metadata_modified desc"},
        {"sort": "Score DESC"},
        {"q": "air", "qf": "title^4 text", "defType": "edismax"},
        {"facet.field": ["organization", "res_format", "vocab_x"]},
        {"fl": "id,name title"},
        {"fl": ["*"]},
    ],
    ids=str,
)
def test_usual_questions(portal: Portal, asked: dict[str, Any]) -> None:
    portal.world.call("package_search", None, **asked)


PACKAGE_AUTOCOMPLETE = "/api/2/util/dataset/autocomplete"


def test_suggestions_ask_for_words(portal: Portal) -> None:
    """Core asks Solr for them past package_search, and a backslash took its second quote away."""
    hidden = portal.target("diajukan").name

    def told(name: str) -> list[tuple[int, Any]]:
        join = "from=site_id\\ to=site_id\\ v=\\'name\\:" + name + "\\'\\}"
        found = []
        for asked in (
            f" OR (+\\_query_:\\{{\\!join\\ {join}) OR zqzq\\",
            f" OR title:{name[:4]}* OR zqzq\\",
        ):
            answer = portal.request(None, PACKAGE_AUTOCOMPLETE, query_string={"incomplete": asked})
            found.append((answer.status_code, answer.get_json()))
        return found

    assert told(hidden) == told(hidden + "x")


@pytest.mark.parametrize(
    "asked",
    [
        {"q": "notes:{}~2"},
        {"q": "{}~2", "qf": "notes", "defType": "edismax"},
        {"fq": "notes:({} ~)"},
    ],
    ids=str,
)
def test_the_nearest_of_all_words(portal: Portal, asked: dict[str, str]) -> None:
    """Solr puts the fifty nearest of all documents in place of a fuzzy word."""
    asked = {name: value.format("bayi") for name, value in asked.items()}
    for user in READERS:
        with pytest.raises(SearchQueryError):
            portal.world.call("package_search", user, **asked)


def test_solr_reads_no_joins(portal: Portal) -> None:
    """Whatever gets past the check: neither joins and functions nor macros."""
    solr = make_connection()
    hidden = portal.target("diajukan").name
    assert solr.search(f"name:{hidden}", rows=0).hits == 1
    for asked in (
        JOIN % hidden, "{!graph from=site_id to=site_id}*:*", "{!frange l=1}docfreq(name,'x')",
        f'_query_:"{JOIN % hidden}"', "_val_:1", f"name:${{x:{hidden}}}", "{!func}1",
    ):  # fmt: skip
        with pytest.raises(pysolr.SolrError):
            solr.search(asked, rows=0)


def test_pages_say_so(portal: Portal) -> None:
    """In place of core's failure."""
    text = '\\u005fquery_:"{\\!join from=site_id to=site_id v=*:*}"'
    for path in ("/dataset/", "/feeds/custom.atom"):
        assert portal.request(None, path, query_string={"q": text}).status_code == 400
    answer = portal.request(None, "/api/3/action/package_search", query_string={"q": text})
    assert answer.status_code == 400
    page = portal.request(None, "/dataset/", query_string={"q": "bayi~"})
    assert page.status_code == 400
    text = page.get_data(as_text=True)
    assert "Tanda ~ tidak dapat dipakai dalam pencarian (q)" in text and "Bad Request" not in text


def test_tags_are_counted_after_they_were_sifted(portal: Portal) -> None:
    t = portal.target("diajukan")
    found = portal.world.call("tag_search", "warga", query=t.tag, limit=1, offset=5)
    assert (found["count"], found["results"]) == (0, [])
    public = portal.target("terbit").tag
    for page in ({}, {"limit": 1}, {"offset": 9}):
        assert portal.world.call("tag_search", "warga", query=public, **page)["count"] == 1


def test_formats_are_ordered_by_what_is_public(portal: Portal) -> None:
    """And cut: drafts neither move nor push out what the public sees."""
    world = portal.world
    start = "".join(random.choices(string.ascii_uppercase, k=6))

    def draft(kind: str) -> str:
        made = world.draft()
        (resource,) = made["resources"]
        world.call("resource_patch", "produsen_dinkes", id=resource["id"], format=f"{start}{kind}")
        return made["id"]

    for kind in ("A", "B"):
        world.bring(draft(kind), "terbit")

    def told(**more: Any) -> list[str]:
        return world.call("format_autocomplete", None, q=start.lower(), **more)

    before = told()
    assert before == [f"{start}{kind}".lower() for kind in ("A", "B")]
    for kind in ("B", "B", "X", "X", "X"):
        draft(kind)
    assert told() == before and told(limit=1) == before[:1]
    assert world.call("format_autocomplete", None, q="%_") == []


def test_a_tag_of_what_was_withdrawn(portal: Portal, monkeypatch: pytest.MonkeyPatch) -> None:
    """Core takes its datasets from an index, which may have missed that."""
    tag = "label-" + "".join(random.choices(string.ascii_lowercase, k=8))
    old, new = (portal.world.at("terbit", tags=[{"name": tag}])["id"] for _ in range(2))

    def of_tag() -> set[str]:
        shown = portal.world.call("tag_show", None, id=tag, include_datasets=True)
        return {row["id"] for row in shown["packages"]}

    assert of_tag() == {old, new}
    with monkeypatch.context() as patch:
        patch.setattr(gate, "index", lambda _id: None)
        portal.world.move("walidata", old, "tarik", note="Salah.")
    try:
        assert of_tag() == {new}
    finally:
        gate.index(old)


UNKNOWN = "00000000-0000-4000-8000-000000000000"


def answer(portal: Portal, user: str | None, action: str, data: dict[str, Any]) -> str:
    """What an action says, as far as it tells apart."""
    try:
        return str(portal.world.call(action, user, **data))
    except (tk.NotAuthorized, tk.ObjectNotFound, tk.ValidationError) as error:
        return f"{type(error).__name__}: {error}"


@pytest.mark.parametrize("user", [*READERS, "pembina_bps"])
def test_other_names_of_an_id(portal: Portal, user: str | None) -> None:
    """What exists and what doesn't read alike, under each key that core takes for an id."""
    t, public = portal.target("diajukan"), portal.target("terbit")
    for action, data in (
        ("datastore_search", {"id": "{resource}"}),
        ("datastore_info", {"resource_id": "{resource}"}),
        ("resource_view_list", {"id": "{resource}"}),
        ("package_relationships_list", {"id": public.id, "id2": "{id}"}),
        ("resource_create_default_resource_views", {"resource": {"id": "{resource}"}}),
        ("package_create_default_resource_views", {"package": {"id": "{id}"}}),
        ("package_collaborator_create", {"id": "{id}", "user_id": "warga", "capacity": "editor"}),
        *(
            (action, {**more, "package_id": "{id}"})
            for action in ("package_patch", "package_owner_org_update")
            for more in ({}, {"id": ""}, {"id": None}, {"id": []})
        ),
        ("package_revise", {"match": {"id": public.id}, "update": {"id": "{id}"}}),
        *(
            (action, {"id": "dinkes", "object": thing, "object_type": kind, "capacity": "public"})
            for action in ("member_create", "member_delete")
            for kind, thing in (
                ("Package", "{id}"),
                ("Package", "{name}"),
                ("resource", "{resource}"),
                ("tag", "{tag}"),
                ("Tag", "{tag}"),
                ("session", "x"),
            )
        ),
        ("tag_delete", {"id": "{tag}"}),
        *(
            ("package_relationship_delete", {"subject": one, "object": two, "type": "depends_on"})
            for one, two in ((public.id, "{id}"), ("{id}", public.id))
        ),
        ("resource_view_update", {"id": public.view, "resource_id": "{resource}"}),
        ("resource_view_create", {"id": "{view}", "resource_id": public.resource}),
        ("resource_view_create", {"id": public.view, "resource_id": "{resource}"}),
    ):

        def named(value: Any, id_: str, resource: str) -> Any:
            if isinstance(value, dict):
                return {key: named(item, id_, resource) for key, item in value.items()}
            if not isinstance(value, str):
                return value
            view = t.view if id_ == t.id else UNKNOWN
            tag, name = (t.tag, t.name) if id_ == t.id else ("tidak-ada", "tidak-ada")
            names = {"{id}": id_, "{resource}": resource, "{view}": view, "{tag}": tag,
                     "{name}": name}  # fmt: skip
            return names.get(value, value)

        hidden = answer(portal, user, action, named(data, t.id, t.resource))
        unknown = answer(portal, user, action, named(data, UNKNOWN, UNKNOWN))
        assert hidden.replace(t.id, UNKNOWN).replace(t.resource, UNKNOWN) == unknown, action
        assert t.id not in hidden and t.name not in hidden, action
