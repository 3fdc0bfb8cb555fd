"""Loading a table against the least that gives the DataStore its table.

The portal's job: look at every value (types, personal data, kode wilayah), load, index, swap.
The bare way: DuckDB -> COPY -> the full-text column and its index, everything text.
First, in processes of their own: how much more memory the job needs for ten times the rows.
"""

from __future__ import annotations

import csv
import os
import random
import resource
import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from typing import Any

import common
import duckdb

#: What this file is called with to do the job alone.
JOB = "--job"
#: So much more memory may ten times the rows need: what an allocator keeps differs a little.
FLAT = 1.15
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
    """A panel of all desa: kode, kecamatan, desa, tahun, a count and a mean.

    About 50 bytes a row, so that 10 million rows are below the upload limit of 500 MB.
    """
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
            (*desa[i % len(desa)], 2000 + i % 25, dice.randrange(10**5), round(dice.random(), 4))
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
        {"user": user["name"]},
        {"name": f"bench-{user['id']}", "title": "Bench", "owner_org": organization["id"]},
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


def job(id_: str, rows: int) -> None:
    """The portal's job, from the beginning."""
    from ckanext.satudata_trenggalek import tables

    tables._mark(id_, "antre")
    tables.load(id_)
    row = tables.state(id_)
    if row is None or row.state != "termuat" or row.rows != rows:
        raise SystemExit(f"load: not loaded: {row and (row.state, row.message)}")


def peak(id_: str, rows: int) -> float:
    """Highest memory of a new process that does the job, in MiB."""
    done = subprocess.run(
        [sys.executable, __file__, JOB, id_, str(rows)], stdout=subprocess.PIPE, check=True
    )
    return float(done.stdout.split()[-1])


def flat(folder: str, rows: int) -> bool:
    """Whether the job needs no more memory for ten times the rows."""
    peaks = []
    for count in (rows, 10 * rows):
        path = f"{folder}/memory.csv"
        write(path, count)
        peaks.append(peak(upload(path), count))
    kept = peaks[1] <= FLAT * peaks[0]
    print(
        f"memory: {peaks[0]:.0f} MiB for {rows} rows, {peaks[1]:.0f} MiB for {10 * rows}, limit"
        f" {FLAT:g} x: {'kept' if kept else 'EXCEEDED'}"
    )
    return kept


def main() -> None:
    asked = common.arguments(__doc__, rows=1_000_000, runs=3, memory=1_000_000)
    common.ckan()
    with tempfile.TemporaryDirectory() as folder:
        kept = [flat(folder, asked.memory)] if asked.memory else []
        path = f"{folder}/bench.csv"
        write(path, asked.rows)
        id_ = upload(path)
        size = os.path.getsize(path) / 1e6
        print(f"load: {asked.rows} rows x {len(COLUMNS)} columns, {size:.0f} MB")
        kept.append(
            common.compare(
                "load", lambda: job(id_, asked.rows), lambda: bare(path), 1.5, asked.runs
            )
        )
    common.finish(*kept)


if __name__ == "__main__":
    if sys.argv[1:2] == [JOB]:
        common.ckan()
        job(sys.argv[2], int(sys.argv[3]))
        print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
    else:
        main()
