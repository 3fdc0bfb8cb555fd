"""What the gate costs: the portal against CKAN with the same schema, without this extension.

Two CKANs, each in a process and a database of its own, on the same PostgreSQL, Solr and Redis; each
is asked over its API, without a network. Both have the same datasets: one is made by the API (in
the portal it goes the whole way to publication), and copied by SQL and into the index; the national
names, which the portal adds for harvesters, are stored in the plain one: both answer alike.
`./portal bench gate --datasets 200 --calls 5 --runs 3` is quick; without, 1,000 and then 20,000.
"""

from __future__ import annotations

import atexit
import gc
import io
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import common

ROOT = Path(__file__).resolve().parents[1]
ACTION = "/api/3/action"
PLAIN = "polos"
#: What is measured -> the ratio that is allowed, and calls in one measurement.
LIMITS = {
    "package_show": (1.05, 20),
    "package_search of 100 rows": (1.05, 3),
    "package_create": (1.05, 3),
    "package_patch": (1.05, 3),
    "resource upload": (1.05, 3),
}
CSV = b"kode,kecamatan,jumlah\n" + b"35.03.01,Panggul,12\n35.03.02,Munjungan,7\n" * 2500


# One of the two, in a process of its own


class Child:
    """The CKAN of CKAN_INI: makes its datasets and measures its own calls."""

    def __init__(self) -> None:
        sys.path.insert(0, str(ROOT / "tests"))  # an installed package is called tests, too
        self.app = common.ckan()
        self.gated = "satudata_trenggalek" in os.environ["SATUDATA_BENCH"]
        self.client = self.app._wsgi_app.test_client()
        self.made = self.count = 0
        # As deploy/wsgi.py does: how often and how long Python looks for garbage is not compared.
        gc.collect()
        gc.freeze()
        gc.set_threshold(20_000, 10, 10)
        atexit.register(gc.unfreeze)

    def prepare(self) -> None:
        """People, one public dataset with a file, and a draft."""
        import ckan.plugins.toolkit as tk
        from world import World

        class Without(World):
            def __init__(self) -> None:
                from ckan.tests import factories

                self.count = 0
                name = factories.User(name="produsen_dinkes")["name"]
                factories.Organization(name="dinkes", users=[{"name": name, "capacity": "editor"}])
                # The portal puts a dataset into the group of its kategori.
                self.topic = World.metadata(self)["kategori"]
                factories.Group(name=self.topic, users=[{"name": name, "capacity": "admin"}])

            def metadata(self, **fields: Any) -> dict[str, Any]:
                return super().metadata(groups=[{"name": self.topic}], **fields)

            def kegiatan(self) -> str:
                return "kegiatan"

        with self.app._wsgi_app.test_request_context():
            self.world = World() if self.gated else Without()
            if self.gated:
                self.public = self.world.at("terbit")
            else:
                made = self.world.call(
                    "package_create", "produsen_dinkes", **self.world.metadata(private=False)
                )
                self.world.call(
                    "resource_create", "produsen_dinkes", **self.resource(made["id"], World.CSV)
                )
                self.public = self.world.call("package_show", None, id=made["id"])
            self.draft = self.world.call(
                "package_create", "produsen_dinkes", **self.world.metadata(private=True)
            )
            made = tk.get_action("api_token_create")(
                {"user": "produsen_dinkes"}, {"user": "produsen_dinkes", "name": "bench"}
            )
            self.headers = {"Authorization": made["token"]}

    def resource(self, package_id: str, data: bytes) -> dict[str, Any]:
        from werkzeug.datastructures import FileStorage
        from world import World

        return {
            "package_id": package_id,
            "name": "kelahiran.csv",
            "format": "CSV",
            "variabel": list(World.VARIABEL),
            "upload": FileStorage(io.BytesIO(data), filename="kelahiran.csv"),
        }

    def national(self) -> list[dict[str, str]]:
        """What the portal adds to the public dataset for harvesters."""
        return self.get(f"package_show?id={self.public['id']}")["extras"]

    def fill(self, count: int, extras: list[dict[str, str]]) -> None:
        """Copy the public dataset until there are `count`, in the database and in the index.

        Args:
            count: of datasets.
            extras: what `national` gave; the plain CKAN has them stored, so that both answer alike.
        """
        import ckan.model as core
        import pysolr
        import sqlalchemy as sa
        from ckan.lib.search import make_connection
        from ckan.logic import index_update_package

        new, name = range(self.made + 1, count + 1), self.public["name"]
        ids = [self.public["id"], *(row["id"] for row in self.public["resources"])]
        tables = {
            "package": ("id", "id = :id"),
            "resource": ("package_id", "package_id = :id"),
            "package_tag": ("package_id", "package_id = :id"),
            "member": ("table_id", "table_id = :id"),
        }
        if self.gated:
            tables |= {
                "satudata_status": ("package_id", "package_id = :id"),
                "satudata_publication": ("package_id", "package_id = :id"),
                "satudata_file": ("resource_id", f"resource_id IN ('{ids[1]}')"),
            }
        engine = sa.create_engine(os.environ["SATUDATA_BENCH_OWNER"])
        with engine.begin() as connection:
            for table, (_, which) in tables.items():
                columns = [c["name"] for c in sa.inspect(engine).get_columns(table)]
                copied = {"id", "name", "package_id", "resource_id", "table_id"} & set(columns)
                if table in ("resource", "package_tag", "member"):
                    copied -= {"name"}
                values = ", ".join(f'"{c}" || \'-\' || n' if c in copied else f'"{c}"'
                                   for c in columns)  # fmt: skip
                names = ", ".join(f'"{c}"' for c in columns)
                connection.execute(sa.text(f"ALTER TABLE {table} DISABLE TRIGGER USER"))
                connection.execute(
                    sa.text(
                        f"INSERT INTO {table} ({names}) SELECT {values} FROM {table},"
                        f" generate_series(:first, :last) n WHERE {which}"
                    ),
                    {"id": ids[0], "first": new.start, "last": count},
                )
            if self.gated:
                from ckanext.satudata_trenggalek.model import ddl

                ddl.install(connection)

        documents: list[dict[str, Any]] = []
        add, pysolr.Solr.add = pysolr.Solr.add, lambda _, docs, **__: documents.extend(docs)
        try:
            index_update_package({"ignore_auth": True, "user": ""}, ids[0])
        finally:
            pysolr.Solr.add = add
        core.Session.remove()
        assert len(documents) == 1
        if not self.gated:
            answer = json.loads(documents[0]["validated_data_dict"]) | {"extras": extras}
            documents[0]["validated_data_dict"] = json.dumps(answer)
        text, solr = json.dumps(documents[0], default=str), make_connection()
        batch: list[dict[str, Any]] = []
        for n in new:
            copy = text.replace(name, f"{name}-{n}")
            for id_ in ids:
                copy = copy.replace(id_, f"{id_}-{n}")
            batch.append(json.loads(copy) | {"index_id": f"{PLAIN * (not self.gated)}{ids[0]}-{n}"})
            if len(batch) == 500 or n == count:
                solr.add(batch, commit=n == count)
                batch = []
        self.made = count
        # As the owner: of the tables of others PostgreSQL gathers nothing, and says so to nobody.
        with engine.connect() as connection:
            connection.execution_options(isolation_level="AUTOCOMMIT").execute(sa.text("ANALYZE"))
        engine.dispose()

    def get(self, path: str) -> Any:
        answer = self.client.get(f"{ACTION}/{path}")
        return self.checked(answer)

    def post(self, action: str, data: Any, **more: Any) -> Any:
        answer = self.client.post(f"{ACTION}/{action}", headers=self.headers, **data, **more)
        return self.checked(answer)

    def checked(self, answer: Any) -> Any:
        if answer.status_code != 200:
            raise SystemExit(f"gate: {answer.status_code}: {answer.text[:500]}")
        return answer.json["result"]

    def call(self, what: str, number: int) -> None:
        """One call of what is measured."""
        match what:
            case "package_show":
                found = self.get(f"package_show?id={self.public['name']}-{number % self.made + 1}")
                assert found["resources"]
            case "package_search of 100 rows":
                start = number * 37 % max(1, self.made - 100)
                found = self.get(f"package_search?rows=100&start={start}")
                assert len(found["results"]) == 100 and found["count"] >= self.made
            case "package_create":
                data = self.world.metadata(private=True)
                if self.gated:
                    data["id_kegiatan"] = self.world.shared["kegiatan"]
                self.post("package_create", {"json": data})
            case "package_patch":
                notes = f"Kelahiran hidup tiap kecamatan, uraian ke-{number}. Data contoh."
                self.post("package_patch", {"json": {"id": self.draft["id"], "notes": notes}})
            case "resource upload":
                sent = self.resource(self.target, CSV + f"35.03.03,Watulimo,{number}\n".encode())
                del sent["variabel"]  # a form has no lists of rows
                self.post("resource_create", {"data": sent})

    def run(self, what: str, calls: int) -> float:
        """Seconds that a number of calls take."""
        if what == "resource upload":  # into a new draft, as each file makes the next slower
            made = self.post("package_create", {"json": self.world.metadata(private=True)})
            self.target = made["id"]
        start = time.perf_counter()
        for _ in range(calls):
            self.count += 1
            self.call(what, self.count)
        return time.perf_counter() - start


def serve() -> None:
    """Answer each line of standard input, which names a method of Child and its arguments."""
    child = Child()
    for line in sys.stdin:
        name, *arguments = json.loads(line)
        result = getattr(child, name)(*arguments)
        print(f"gate:{json.dumps(result)}", flush=True)


# The two beside each other


class Side:
    """A child process."""

    def __init__(self, ini: Path, owner: str, plugins: str, path: str = "") -> None:
        self.process = subprocess.Popen(
            [sys.executable, __file__, "--child"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ
            | {"CKAN_INI": str(ini), "SATUDATA_BENCH_OWNER": owner, "SATUDATA_BENCH": plugins}
            | ({"PYTHONPATH": path} if path else {}),
        )

    def ask(self, name: str, *arguments: object) -> Any:
        assert self.process.stdin and self.process.stdout
        print(json.dumps([name, *arguments]), file=self.process.stdin, flush=True)
        for line in self.process.stdout:
            if line.startswith("gate:"):
                return json.loads(line[5:])
        raise SystemExit(f"gate: {name}: the process ended")


#: The plugin of the plain CKAN: the validators that the schema names, and nothing else.
MODULE = """
import ckan.plugins as p
import ckan.plugins.toolkit as tk
from ckan.authz import get_local_functions

from ckanext.satudata_trenggalek import schema
from ckanext.satudata_trenggalek.logic import validators


class Polos(p.SingletonPlugin):
    p.implements(p.IValidators)
    p.implements(p.ITemplateHelpers)

    def get_validators(self):
        own = dict(get_local_functions(validators))
        # It asks the table of statuses, which is not there.
        return own | {"satudata_kegiatan": lambda value: value}

    def get_helpers(self):
        return {"satudata_vocab_choices": schema.satudata_vocab_choices}
"""


def plain(folder: Path) -> Path:
    """Settings of CKAN with the portal's schema and without its plugin, on an empty database."""
    sys.path.insert(0, str(ROOT / "deploy"))
    from services import Installation

    home = Path(os.environ["SATUDATA_HOME"])
    portal = Installation(home / os.environ["SATUDATA_TEST_HOME"], lib=home / "solr-lib")
    portal.sql(f"DROP DATABASE IF EXISTS {PLAIN} WITH (FORCE)")
    portal.sql(f"CREATE DATABASE {PLAIN} OWNER ckan_owner")
    portal.sql((ROOT / "deploy/roles.sql").read_text(), PLAIN)
    # CKAN finds plugins by the entry points of what is installed.
    info = folder / f"{PLAIN}-0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {PLAIN}\nVersion: 0\n")
    (info / "entry_points.txt").write_text(f"[ckan.plugins]\n{PLAIN} = {PLAIN}:Polos\n")
    (folder / f"{PLAIN}.py").write_text(MODULE)
    ini, storage = folder / "plain.ini", folder / "storage"
    ckan = portal.local_settings()["sqlalchemy.url"].rpartition("/")[0]
    ini.write_text(
        f"[app:main]\nuse = config:{os.environ['CKAN_INI']}\nckan.site_id = {PLAIN}\n"
        f"ckan.plugins = {PLAIN} scheming_datasets scheming_organizations scheming_groups"
        " datastore datatables_view text_view\n"
        "ckan.auth.route_after_login = dashboard.datasets\n"
        f"sqlalchemy.url = {ckan}/{PLAIN}\nckan.storage_path = {storage}\n"
        f"ckan.files.storage.resources.path = {storage}/resources\n"
    )
    subprocess.run(
        [Path(sys.executable).parent / "ckan", "-c", ini, "db", "init"],
        env=os.environ | {"PYTHONPATH": str(folder), "CKAN_SQLALCHEMY_URL": owner(PLAIN)},
        check=True,
        capture_output=True,
    )
    return ini


def owner(database: str) -> str:
    """Address of a database for the owner of its tables."""
    return f"{os.environ['SATUDATA_OWNER_URL'].rpartition('/')[0]}/{database}"


def main() -> None:
    asked = common.arguments(__doc__, datasets=0, calls=0, runs=41)
    kept = []
    with tempfile.TemporaryDirectory() as folder:
        ini = plain(Path(folder))
        ours = Side(Path(os.environ["CKAN_INI"]), owner("ckan"), "satudata_trenggalek")
        theirs = Side(ini, owner(PLAIN), PLAIN, folder)
        for side in (ours, theirs):
            side.ask("prepare")
        for count in [asked.datasets] if asked.datasets else [1_000, 20_000]:
            extras = ours.ask("national")
            for side in (ours, theirs):
                side.ask("fill", count, extras)
            for what, (limit, usual) in LIMITS.items():
                calls = asked.calls or usual

                def timed(side: Side, what: str = what, calls: int = calls) -> Callable[[], float]:
                    return lambda: side.ask("run", what, calls)

                kept.append(
                    common.compare(
                        f"{what}, {count} datasets, {calls} calls",
                        timed(ours), timed(theirs), limit, asked.runs, clock=lambda run: run(),
                    )
                )  # fmt: skip
    common.finish(*kept)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--child"]:
        serve()
    else:
        main()
