"""The review page of a dataset with 300 variables against a page of plain CKAN that says as much.

Theirs: CKAN with scheming and without this extension, in a process of its own, and a dataset with
one plain text field for each field and each cell that ours shows.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import Any

import common
import form

LIMIT = 2.0
VARIABLES = 300


def main() -> None:
    options = common.arguments(__doc__, runs=15)
    texts = form.plain("dataset_fields", {"indikator": 1})
    texts += form.plain("resource_fields", {"variabel": VARIABLES})
    with tempfile.TemporaryDirectory() as folder:
        form.settings(Path(folder), texts, [])
        app = common.ckan()
        # By its file: other packages bring a `tests` of theirs.
        sys.path.append(str(Path(__file__).parent.parent / "tests"))

        import ckan.plugins.toolkit as tk
        from world import World

        with app._wsgi_app.test_request_context():
            world = World()
            header = ["kode", *(f"kolom_{n}" for n in range(1, VARIABLES))]
            cells = ["35.03.01", *(str(n) for n in range(1, VARIABLES))]
            table = f"{','.join(header)}\n{','.join(cells)}\n".encode()
            ours = world.call("package_create", "produsen_dinkes", **world.metadata())
            world.upload("produsen_dinkes", ours["id"], table)
            world.move("produsen_dinkes", ours["id"], "ajukan")
            # A second round, so that there is something to compare with and to answer.
            world.move("walidata", ours["id"], "kembalikan", note="Perbaiki.",
                       comments=[{"field": "definisi", "body": "Perjelas."}])  # fmt: skip
            world.call("package_patch", "produsen_dinkes", id=ours["id"], definisi="Yang baru.")
            world.move("produsen_dinkes", ours["id"], "ajukan")
            site: dict[str, Any] = {"ignore_auth": True, "user": "admin"}
            tk.get_action("package_create")(site, {
                "type": form.PLAIN, "name": "bench-polos", "title": "Bench", "owner_org": "dinkes",
                **{f"isian_{n}": text for n, text in enumerate(texts)}})  # fmt: skip
            token = {
                name: world.call("api_token_create", name, user=name, name="bench")["token"]
                for name in ("walidata", "produsen_dinkes")
            }
        review = form.opener(app, token["walidata"])
        page = form.plain_opener(Path(folder), token["produsen_dinkes"])
        kept = common.compare(
            f"review page ({VARIABLES} variables)",
            lambda: review(f"/dataset/{ours['name']}/pemeriksaan", f"kolom_{VARIABLES - 1}"),
            lambda: page(f"/{form.PLAIN}/bench-polos", f"Isian {len(texts) - 1}"),
            LIMIT,
            options.runs,
        )
    common.finish(kept)


if __name__ == "__main__":
    main()
