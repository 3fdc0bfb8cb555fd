"""Opening the edit forms of a large dataset against scheming's own form with as many plain fields.

Ours: a dataset with 20 indicators, and one of its 5 files with 60 variables. Theirs: a dataset type
that lives for this run only, whose dataset and files have one plain text field for each field that
ours shows, filled with the same texts.
"""

from __future__ import annotations

import json
import os
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
    return TEXT if field.get("jenis") in ("paragraf", "teks") and "pola" not in field else ""


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
    """Settings on top of those of this run, with the plain type among the schemas."""

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
                "resource_fields": [{"field_name": "name", "label": "Nama"}, *fields(resource)],
            }
        )
    )
    ours = "ckanext.satudata_trenggalek.schemas:{}.yaml"
    schemas = [*(ours.format(type_) for type_ in ("dataset", "kegiatan")), file.as_uri()]
    ini = folder / "bench.ini"
    ini.write_text(
        f"[app:main]\nuse = config:{os.environ['CKAN_INI']}\n"
        f"scheming.dataset_schemas = {' '.join(schemas)}\n"
    )
    os.environ["CKAN_INI"] = str(ini)


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
        "resources": [{"name": f"Berkas {n}", **texts(resource)} for n in range(RESOURCES)],
    }


def main() -> None:
    options = common.arguments(__doc__, runs=15)
    dataset = plain("dataset_fields", {"indikator": INDICATORS})
    resource = plain("resource_fields", {"variabel": VARIABLES})
    with tempfile.TemporaryDirectory() as folder:
        settings(Path(folder), dataset, resource)
        app = common.ckan()

        import ckan.plugins.toolkit as tk
        from ckan.tests import factories

        client = app._wsgi_app.test_client()
        with app._wsgi_app.test_request_context():
            user = factories.User()
            organization = factories.Organization(
                users=[{"name": user["name"], "capacity": "editor"}]
            )
            made = [
                tk.get_action("package_create")(
                    {"user": user["name"]}, {**content, "owner_org": organization["id"]}
                )
                for content in datasets(dataset, resource)
            ]
            token = tk.get_action("api_token_create")(
                {"user": user["name"]}, {"user": user["name"], "name": "bench"}
            )["token"]

        def opening(path: str, last: str) -> Callable[[], None]:
            def run() -> None:
                answer = client.get(path, headers={"Authorization": token})
                assert answer.status_code == 200, f"{path}: {answer.status}"
                assert f'name="{last}"' in answer.text, f"{path} shows no {last}"

            return run

        def forms(name: str, fields: list[str], last: str, path: str) -> bool:
            paths = [
                f"/{type_}/{package['id']}" + path.format(package["resources"][0]["id"])
                for type_, package in zip(("dataset", PLAIN), made, strict=True)
            ]
            return common.compare(
                f"{name} ({len(fields)} fields)",
                opening(paths[0], last),
                opening(paths[1], f"isian_{len(fields) - 1}"),
                LIMIT,
                options.runs,
            )

        kept = [
            forms("form of the dataset", dataset, f"indikator-{INDICATORS - 1}-nama", "/edit"),
            forms(
                "form of a file", resource, f"variabel-{VARIABLES - 1}-nama", "/resource/{}/edit"
            ),
        ]
    common.finish(*kept)


if __name__ == "__main__":
    main()
