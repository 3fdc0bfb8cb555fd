"""Opening the edit forms of a large dataset against scheming's own form with as many plain fields.

Ours: a dataset with 20 indicators, and one of its 5 files with 60 variables. Theirs: CKAN with
scheming and without this extension, in a process of its own, and a dataset whose type has one plain
text field for each field that ours shows, filled with the same texts.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import common

LIMIT = 1.5
INDICATORS, RESOURCES, VARIABLES = 20, 5, 60
PLAIN = "polos"
TEXT = "Banyaknya bayi lahir hidup dari ibu yang bertempat tinggal di kecamatan, dalam setahun."

Row = dict[str, Any]


def value(field: Row, number: int) -> str | list[str]:
    """What an officer might have written into a field."""
    from ckanext.satudata_trenggalek import schema

    if "vocab" in field:
        code = schema.vocab(field["vocab"])[0]["value"]
        return [code] if field["jenis"] == "pilihan_banyak" else code
    if field["field_name"] == "nama":
        return f"kolom_{number}"
    if field.get("jenis") not in ("paragraf", "teks") or "pola" in field:
        return ""
    return TEXT[: field.get("maks", len(TEXT))].strip()


def rows(block: Row, count: int) -> list[Row]:
    """`count` rows of a repeating block, every item filled."""
    return [{f["field_name"]: value(f, n) for f in block["butir"]} for n in range(count)]


def plain(group: str, blocks: dict[str, int]) -> list[str]:
    """The texts of the plain fields that stand for a group: its own, and one for each cell."""
    from ckanext.satudata_trenggalek import schema

    texts: list[str] = []
    for field in schema.fields("dataset", group):
        cells: list[Any] = [value(field, 0)]
        if field["field_name"] in blocks:
            cells = [
                cell for row in rows(field, blocks[field["field_name"]]) for cell in row.values()
            ]
        texts += [", ".join(cell) if isinstance(cell, list) else cell for cell in cells]
    return texts


def settings(folder: Path, dataset: list[str], resource: list[str]) -> None:
    """Settings on top of those of this run: ours with the plain type, and those of plain CKAN."""

    def fields(texts: list[str]) -> list[Row]:
        return [
            {"field_name": f"isian_{n}", "label": f"Isian {n}", "form_snippet": "text.html"}
            for n, _ in enumerate(texts)
        ]

    named = [
        {"field_name": "title", "label": "Judul", "preset": "title"},
        {"field_name": "name", "label": "Nama", "preset": "dataset_slug"},
        {"field_name": "owner_org", "label": "OPD", "preset": "dataset_organization"},
    ]
    file = folder / "polos.json"
    file.write_text(
        json.dumps(
            {
                "scheming_version": 2,
                "dataset_type": PLAIN,
                "about": PLAIN,
                "dataset_fields": [*named, *fields(dataset)],
                "resource_fields": [
                    {"field_name": "url", "label": "Berkas", "preset": "resource_url_upload"},
                    *fields(resource),
                ],
            }
        )
    )
    ours = "ckanext.satudata_trenggalek.schemas:{}.yaml"
    schemas = [*(ours.format(type_) for type_ in ("dataset", "kegiatan")), file.as_uri()]
    base = f"[app:main]\nuse = config:{os.environ['CKAN_INI']}\nscheming.dataset_schemas = "
    ours_ini = folder / "ours.ini"
    ours_ini.write_text(f"{base}{' '.join(schemas)}\n")
    (folder / "plain.ini").write_text(
        f"{base}{file.as_uri()}\nscheming.presets = ckanext.scheming:presets.json\n"
        "ckan.plugins = scheming_datasets\nckan.auth.route_after_login = dashboard.datasets\n"
    )
    os.environ["CKAN_INI"] = str(ours_ini)


def datasets(dataset: list[str], resource: list[str]) -> Iterator[Row]:
    """Ours and theirs, as package_create takes them."""
    from ckanext.satudata_trenggalek import schema

    indikator = schema.find("dataset", "indikator")
    variabel = schema.find("dataset", "variabel", "resource_fields")
    yield {
        "name": "bench-kita",
        "title": "Bench",
        "indikator": rows(indikator, INDICATORS),
        "resources": [
            {"name": f"Berkas {n}", "variabel": rows(variabel, VARIABLES)} for n in range(RESOURCES)
        ],
    }

    def texts(values: list[str]) -> Row:
        return {f"isian_{n}": text for n, text in enumerate(values)}

    yield {
        "type": PLAIN,
        "name": "bench-polos",
        "title": "Bench",
        **texts(dataset),
        "resources": [{"url": "https://contoh.id/a", **texts(resource)} for _ in range(RESOURCES)],
    }


Open = Callable[[str, str], None]


def opener(app: Any, token: str) -> Open:
    """What opens a page and looks for a text that is at its end."""
    client = app._wsgi_app.test_client()

    def run(path: str, last: str) -> None:
        answer = client.get(path, headers={"Authorization": token})
        if answer.status_code != 200 or last not in answer.text:
            raise SystemExit(f"{path}: {answer.status}, or no {last} in it")

    return run


#: What the plain CKAN says when a page is there.
DONE = "polos: selesai"


def serve(token: str) -> None:
    """The plain CKAN: opens the pages that its standard input names."""
    opening = opener(common.ckan(), token)
    for line in sys.stdin:
        opening(*json.loads(line))
        print(DONE, flush=True)


def plain_opener(folder: Path, token: str) -> Open:
    """The same as `opener` in a process without this extension, which ends with its input."""
    child = subprocess.Popen(
        [sys.executable, __file__, "--polos", token],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "CKAN_INI": str(folder / "plain.ini")},
    )

    def run(path: str, last: str) -> None:
        assert child.stdin and child.stdout
        print(json.dumps([path, last]), file=child.stdin, flush=True)
        for line in child.stdout:
            if line.strip() == DONE:
                return
        raise SystemExit("form: the plain CKAN ended")

    return run


def main() -> None:
    options = common.arguments(__doc__, runs=15)
    dataset = plain("dataset_fields", {"indikator": INDICATORS})
    resource = plain("resource_fields", {"variabel": VARIABLES})
    with tempfile.TemporaryDirectory() as folder:
        settings(Path(folder), dataset, resource)
        app = common.ckan()

        import ckan.plugins.toolkit as tk
        from ckan.tests import factories

        with app._wsgi_app.test_request_context():
            name = factories.User()["name"]
            organization = factories.Organization(users=[{"name": name, "capacity": "editor"}])

            def call(action: str, data: Row) -> Row:
                return tk.get_action(action)({"user": name}, data)

            made = [
                call("package_create", {**content, "owner_org": organization["id"]})
                for content in datasets(dataset, resource)
            ]
            token = call("api_token_create", {"user": name, "name": "bench"})["token"]
        ours, theirs = opener(app, token), plain_opener(Path(folder), token)

        def forms(name: str, fields: list[str], last: str, path: str) -> bool:
            paths = [
                f"/{type_}{path}".format(package["id"], package["resources"][0]["id"])
                for type_, package in zip(("dataset", PLAIN), made, strict=True)
            ]
            return common.compare(
                f"{name} ({len(fields)} fields)",
                lambda: ours(paths[0], f'name="{last}"'),
                lambda: theirs(paths[1], f'name="isian_{len(fields) - 1}"'),
                LIMIT,
                options.runs,
            )

        kept = [
            forms("form of the dataset", dataset, f"indikator-{INDICATORS - 1}-nama", "/edit/{}"),
            forms(
                "form of a file",
                resource,
                f"variabel-{VARIABLES - 1}-nama",
                "/{}/resource/{}/edit",
            ),
        ]
    common.finish(*kept)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--polos"]:
        serve(sys.argv[2])
    else:
        main()
