"""Loading a table against the least that gives the DataStore its table.

The portal's job: look at every value (types, personal data, kode wilayah), load, index, swap.
The bare way: DuckDB -> COPY -> the full-text column and its index, everything text.
`./portal bench load --rows 10000000 --runs 1` also shows that memory does not grow with the file.
"""

from __future__ import annotations

import csv
import os
import random
import resource
import tempfile
import threading
from pathlib import Path
from typing import Any

import common
import duckdb

ROOT = Path(__file__).resolve().parents[1]
COLUMNS = {
    "kode": ("character", "kemendagri"),
    "kecamatan": ("character", "nama_kecamatan"),
    "desa": ("character", "nama_desa"),
    "tahun": ("integer", ""),
    "jumlah": ("integer", ""),
    "rata_rata": ("float", ""),
}


def write(path: str, rows: int) -> None:
    """A panel of all desa: kode, kecamatan, desa, tahun, a count and a mean."""
    dice = random.Random(1)
    with open(ROOT / "schemas/vocab/wilayah.csv", encoding="utf-8") as text:
        areas = list(csv.DictReader(text))
    names = {area["kode_kemendagri"]: area["nama"] for area in areas}
    desa = [
        (a["kode_kemendagri"], names[a["kode_induk_kemendagri"]], a["nama"])
        for a in areas
        if a["jenis"] not in ("kabupaten", "kecamatan")
    ]
    with open(path, "w", encoding="utf-8", newline="") as text:
        writer = csv.writer(text)
        writer.writerow(COLUMNS)
        writer.writerows(
            (*desa[i % len(desa)], 2000 + i % 25, dice.randrange(10**6), round(dice.random(), 4))
            for i in range(rows)
        )


def upload(path: str) -> str:
    """The file as a resource with its variables; the resource's id."""
    import ckan.plugins.toolkit as tk
    from ckan.tests import factories
    from werkzeug.datastructures import FileStorage

    user = factories.User()
    organization = factories.Organization(users=[{"name": user["name"], "capacity": "editor"}])
    package = tk.get_action("package_create")(
        {"user": user["name"]}, {"name": "bench", "title": "Bench", "owner_org": organization["id"]}
    )
    variabel = [
        {"nama": name, "tipe_data": tipe, "kode_referensi": kode}
        for name, (tipe, kode) in COLUMNS.items()
    ]
    with open(path, "rb") as stream:
        return tk.get_action("resource_create")(
            {"user": user["name"]},
            {
                "package_id": package["id"],
                "name": "bench",
                "variabel": variabel,
                "upload": FileStorage(stream, filename="bench.csv"),
            },
        )["id"]


def bare(path: str) -> None:
    """DuckDB -> COPY into a staging table -> full text, as few statements as do it."""
    from ckanext.datastore.backend import postgres

    connection: Any = postgres.get_write_engine().raw_connection()
    names = ", ".join(COLUMNS)
    reader, writer = os.pipe()

    def produce() -> None:
        with duckdb.connect(config={"threads": 2}) as duck:
            duck.execute(
                f"COPY (SELECT * FROM read_csv('{path}', all_varchar=true, header=true))"
                f" TO '/dev/fd/{writer}' (FORMAT csv, HEADER false, USE_TMP_FILE false)"
            )
        os.close(writer)

    with connection.cursor() as cursor, open(reader, "rb", buffering=1 << 20) as rows:
        columns = ", ".join(f"{name} text" for name in COLUMNS)
        cursor.execute(
            f"DROP TABLE IF EXISTS bare; CREATE TEMP TABLE muat ({columns}) ON COMMIT DROP;"
            "SET LOCAL synchronize_seqscans = off; SET LOCAL maintenance_work_mem = '128MB'"
        )
        thread = threading.Thread(target=produce)
        thread.start()
        cursor.copy_expert("COPY muat FROM STDIN (FORMAT csv)", rows, size=1 << 20)
        thread.join()
        cursor.execute(
            f"CREATE TABLE bare (_id serial PRIMARY KEY, _full_text tsvector, {columns});"
            f"INSERT INTO bare (_full_text, {names}) SELECT to_tsvector('simple',"
            f" concat_ws(' ', {names})), {names} FROM muat;"
            "CREATE INDEX ON bare USING gist (_full_text)"
        )
    connection.commit()
    connection.close()


def main() -> None:
    asked = common.arguments(__doc__, rows=1_000_000, runs=3)
    common.ckan()
    from ckanext.satudata_trenggalek import tables

    with tempfile.TemporaryDirectory() as folder:
        path = f"{folder}/bench.csv"
        write(path, asked.rows)
        id_ = upload(path)
        size = os.path.getsize(path) / 1e6
        print(f"load: {asked.rows} rows x {len(COLUMNS)} columns, {size:.0f} MB")

        def ours() -> None:
            tables._mark(id_, "antre")
            tables.load(id_)
            row = tables.state(id_)
            if row is None or row.state != "termuat" or row.rows != asked.rows:
                raise SystemExit(f"load: not loaded: {row and (row.state, row.message)}")

        kept = common.compare("load", ours, lambda: bare(path), 1.5, asked.runs)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(f"  memory of the job and the bare way together: at most {peak:.0f} MiB")
    common.finish(kept)


if __name__ == "__main__":
    main()
