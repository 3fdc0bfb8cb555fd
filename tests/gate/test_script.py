"""Script in any text that people write is shown as text, on every page that shows it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import ckan.model as core
import ckan.plugins.toolkit as tk
import lxml.html
import pytest
from ckan.tests.helpers import CKANTestApp

from ckanext.satudata_trenggalek import schema
from tests.world import World

#: Called by every script below; none of it may be more than text.
MARK = "sdxss"
PAYLOADS = (
    f"\"'><script>{MARK}()</script>",
    f"<img src=x onerror={MARK}()><svg/onload={MARK}()>",
    f"[baca](javascript:{MARK}()) <a href='javascript:{MARK}()'>x</a> ![x](x\"onerror=\"{MARK}())",
    f"<javascript:{MARK}()> [x]: data:text/html,{MARK} {{{{ {MARK} }}}} <iframe srcdoc='{MARK}'>",
)
TEXTS = ("teks", "paragraf")


def _script(field: dict[str, Any], number: int) -> str:
    """The payload of a field, within its length."""
    text = PAYLOADS[number % len(PAYLOADS)]
    most = field.get("maks", len(text))
    return text if len(text) <= most else PAYLOADS[0][:most]


#: The one that stays a draft, and so may have what the official forms skip.
DRAFT = 1


def _free(field: dict[str, Any]) -> bool:
    """Whether people write what they like into it."""
    return (
        field.get("jenis") in TEXTS
        and not {"pola", "vocab"} & field.keys()
        and field["field_name"] not in ("name", "nama")
    )


def fill(type_: str, data: dict[str, Any], number: int) -> dict[str, Any]:
    """Put a payload into the fields of free text; into all that there are in the draft."""
    filled = dict(data)
    for field in schema.fields(type_):
        name = field["field_name"]
        if _free(field) and (name in data or number == DRAFT):
            filled[name] = _script(field, number)
        elif field.get("jenis") == "berulang" and name in data:
            filled[name] = [
                row
                | {
                    sub["field_name"]: _script(sub, number)
                    for sub in field["butir"]
                    if _free(sub) and (sub["field_name"] in row or number == DRAFT)
                }
                for row in data[name]
            ]
    return filled


def dangers(page: str) -> list[str]:
    """What of a page would run, or lead to something that runs."""
    found = []
    for element in lxml.html.fromstring(page).iter():
        if not isinstance(element.tag, str):
            continue
        text = element.text or ""
        # Within a string of a script it is escaped, and so never there as it was written.
        if element.tag == "script" and (
            text.strip().startswith(MARK) or any(payload in text for payload in PAYLOADS)
        ):
            found.append(f"<script> {text[:80]}")
        for name, value in element.attrib.items():
            bare = "".join(value.split()).lower()
            if (name.startswith("on") and MARK in value) or (
                name in ("href", "src", "action", "formaction", "data", "xlink:href")
                and (bare.startswith(("javascript:", "vbscript:", "data:text")))
            ):
                found.append(f"{element.tag} {name}={value}")
            elif name == "srcdoc" and MARK in value:
                found.append(f"{element.tag} {name}")
    return found


@pytest.mark.parametrize("payload", PAYLOADS)
def test_a_page_that_shows_it_raw_is_found(payload: str) -> None:
    assert dangers(f"<html><body><p title=\"\">{payload}</p></body></html>".replace(
        "[baca](javascript:", "<a href='javascript:x'>").replace("![x]", "<b>")
    )  # fmt: skip


def _world(world: World) -> dict[str, str]:
    """Datasets, a kegiatan, an organization, a group and a user full of it; made once."""
    made = world.shared
    if "script 0" in made:
        return made
    root = {"ignore_auth": True, "user": "admin"}
    for number in range(len(PAYLOADS)):
        text = PAYLOADS[number]
        kegiatan = world.call(
            "package_create",
            "produsen_dinkes",
            **fill("kegiatan", world.kegiatan_metadata(), number),
        )
        made[f"kegiatan {number}"] = kegiatan["name"]
        dataset = world.call(
            "package_create",
            "produsen_dinkes",
            **fill("dataset", world.metadata(), number),
        )
        variabel = [{**row, "definisi": text, "konsep": text[:90]} for row in World.VARIABEL]
        resource = world.upload(
            "produsen_dinkes",
            dataset["id"],
            b"kode,kecamatan,jumlah\n35.03.01,javascript:sdxss(),12\n",
            description=text,
            variabel=variabel,
        )
        world.call(
            "resource_patch",
            "produsen_dinkes",
            id=resource["id"],
            name=text,
            format="CSV",
        )
        for view in world.call("resource_view_list", "produsen_dinkes", id=resource["id"]):
            world.call(
                "resource_view_update",
                "produsen_dinkes",
                **{**view, "title": text, "description": text},
            )
            made[f"view {number}"] = view["id"]
        made[f"resource {number}"] = resource["id"]
        if number != DRAFT:
            checklist = {n: {"sesuai": None, "note": text} for n in World.CHECKLIST}
            world.move("produsen_dinkes", dataset["id"], "ajukan", note=text)
            world.move("walidata", dataset["id"], "setujui", note=text, checklist=checklist)
            world.move("walidata", dataset["id"], "terbitkan", note=text)
        if number == 3:
            world.move("walidata", dataset["id"], "tarik", note=text, public_note=text)
        for type_ in ("organization", "group"):
            data = {"name": f"skrip-{type_}-{number}", "title": text, "description": text}
            world.call(f"{type_}_create", root, **data)
        world.call(
            "user_create", root, name=f"skrip-{number}", fullname=text[:90], about=text,
            email=f"skrip-{number}@example.id", password="rahasia-123",
        )  # fmt: skip
        made[f"script {number}"] = dataset["name"]
        made[f"returned {number}"] = _returned(world, text)
    return made


def _returned(world: World, text: str) -> str:
    """Name of a dataset that came back with comments on two fields, one of them answered."""
    dataset = world.at("diajukan")
    id_, resource = dataset["id"], dataset["resources"][0]["id"]
    fields = ("definisi", f"resources/{resource}/variabel/1/definisi")
    world.move("walidata", id_, "kembalikan", note=text,
               comments=[{"field": field, "body": text} for field in fields])  # fmt: skip
    sent = world.call("satudata_comment_list", "produsen_dinkes", id=id_)["results"]
    world.call(
        "satudata_comment_create", "produsen_dinkes", id=id_, parent=sent[0]["id"], body=text
    )
    return dataset["name"]


#: Pages, and who opens them (None: the public); `{dataset}` and the like name what is full of it.
PAGES: tuple[tuple[str, str | None], ...] = (
    ("/", None),
    ("/dataset/", None),
    ("/dataset/?q=%3Cscript%3Esdxss()%3C%2Fscript%3E&organization=%22onload%3Dsdxss()", None),
    ("/dataset/{dataset}", "walidata"),
    ("/dataset/{dataset}", "produsen_dinkes"),
    ("/dataset/edit/{dataset}", "produsen_dinkes"),
    ("/dataset/{dataset}/pemeriksaan", "walidata"),
    ("/dataset/{dataset}/riwayat", "walidata"),
    ("/dataset/{dataset}/riwayat", "produsen_dinkes"),
    ("/dataset/{dataset}/metadata", "produsen_dinkes"),
    ("/dataset/groups/{dataset}", "produsen_dinkes"),
    ("/dataset/{returned}/perbaikan", "produsen_dinkes"),
    ("/dataset/{returned}/pemeriksaan", "walidata"),
    ("/dataset/{returned}/riwayat", "produsen_dinkes"),
    ("/dataset/edit/{returned}", "produsen_dinkes"),
    ("/dataset/{dataset}/resource/{resource}", "walidata"),
    ("/dataset/{dataset}/resource/{resource}/edit", "produsen_dinkes"),
    ("/dataset/{dataset}/resource/{resource}/views", "produsen_dinkes"),
    ("/dataset/{dataset}/resource/{resource}/view/{view}", "walidata"),
    ("/kegiatan/{kegiatan}", "produsen_dinkes"),
    ("/kegiatan/edit/{kegiatan}", "produsen_dinkes"),
    ("/dataset/{kegiatan}/pemeriksaan", "walidata"),
    ("/kegiatan/", "produsen_dinkes"),
    ("/satudata/antrean", "walidata"),
    ("/satudata/antrean?status=terbit&q=%3Cscript%3Esdxss()", "walidata"),
    ("/satudata/tugas", "produsen_dinkes"),
    ("/satudata/pemberitahuan", "produsen_dinkes"),
    ("/satudata/kegiatan/pilihan", "produsen_dinkes"),
    ("/organization/", None),
    ("/organization/skrip-organization-{number}", None),
    ("/organization/about/skrip-organization-{number}", None),
    ("/organization/edit/skrip-organization-{number}", "admin"),
    ("/group/", None),
    ("/group/skrip-group-{number}", None),
    ("/group/about/skrip-group-{number}", None),
    ("/group/edit/skrip-group-{number}", "admin"),
    ("/user/skrip-{number}", "admin"),
    ("/user/edit/skrip-{number}", "admin"),
    ("/user/", "admin"),
)


@pytest.fixture
def pages(app: CKANTestApp, world: World) -> Iterator[Any]:
    """Opens a page as a user."""
    made = _world(world)
    core.Session.remove()

    def open_(path: str, who: str | None, number: int) -> Any:
        named = {
            key: made[f"{key} {number}"] for key in ("kegiatan", "resource", "view", "returned")
            if f"{key} {number}" in made
        }  # fmt: skip
        address = path.format(dataset=made[f"script {number}"], number=number, **named)
        headers = {}
        if who:
            key = f"token {who}"
            if key not in made:
                made[key] = world.call("api_token_create", who, user=who, name="skrip")["token"]
            headers["Authorization"] = made[key]
        return app.get(address, headers=headers)

    yield open_


@pytest.mark.parametrize(("path", "who"), PAGES, ids=lambda part: str(part))
def test_script_is_text(pages: Any, path: str, who: str | None) -> None:
    shown = 0
    for number in range(len(PAYLOADS) if "{" in path else 1):
        answer = pages(path, who, number)
        # What is in review is not edited, by nobody: then there is no form.
        assert answer.status_code in (200, 403), (number, answer.status_code)
        assert answer.headers["Content-Type"].startswith(("text/html", "application/json"))
        if answer.mimetype == "text/html":
            assert dangers(answer.text) == [], number
        shown += answer.status_code == 200
    assert shown or "edit" in path or "views" in path


@pytest.mark.parametrize(
    "address", ["javascript:sdxss()", "data:text/html,<script>", " JavaScript:x"]
)
@pytest.mark.parametrize(
    ("action", "field"),
    [
        ("resource_create", "url"),
        ("organization_create", "image_url"),
        ("group_create", "image_url"),
    ],
)
def test_address_that_runs_is_refused(
    world: World, app: CKANTestApp, action: str, field: str, address: str
) -> None:
    """Refused where it is typed, or no link on the page."""
    data: dict[str, Any] = {"name": f"alamat-{abs(hash((action, address)))}", "title": "Alamat"}
    if action == "resource_create":
        data = {"package_id": world.draft()["id"], "name": "tautan"}
    try:
        made = world.call(
            action, {"ignore_auth": True, "user": "admin"}, **data, **{field: address}
        )
    except tk.ValidationError as error:
        assert field in error.error_dict
        return
    path = f"/dataset/{made['package_id']}/resource/{made['id']}" if "package_id" in made else (
        f"/{made['type']}/{made['name']}"
    )  # fmt: skip
    token = world.call("api_token_create", "admin", user="admin", name="alamat")["token"]
    answer = app.get(path, headers={"Authorization": token})
    assert answer.status_code == 200 and dangers(answer.text) == []


@pytest.mark.parametrize(
    "address", ["/uploads/group/{}", "/en/uploads/group/{}", "/x/../uploads/group/{}"]
)
def test_picture_with_a_script(app: CKANTestApp, address: str) -> None:
    """What was uploaded as a picture of an organization runs nothing, whatever its type."""
    folder = Path(tk.config["ckan.storage_path"]) / "storage/uploads/group"
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("skrip.svg", "skrip.html", "skrip.png"):
        (folder / name).write_text(f"<svg xmlns='http://www.w3.org/2000/svg'>{PAYLOADS[0]}</svg>")
        try:
            answer = app.get(address.format(name))
            assert answer.status_code == 200
            assert answer.headers["Content-Security-Policy"] == "default-src 'none'; sandbox"
        finally:
            (folder / name).unlink()
