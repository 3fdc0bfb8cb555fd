"""The first page of the queue with 150, 10,000 and 100,000 waiting datasets.

Each page is measured together with one that has nothing to do with the queue (/about, nobody logged
in), so that a machine that becomes slower meanwhile is not taken for growth. The datasets are
written with SQL by the owner of the tables, past the triggers.
"""

from __future__ import annotations

import os
import statistics
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import common
import sqlalchemy as sa

# Not tests.world: an installed package may bring a `tests` of its own.
sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))

SIZES, LIMIT = (150, 10_000, 100_000), 1.3

#: Waiting datasets of forty OPD, over the statuses in which they wait; every tenth is late, every
#: fifteenth claimed.
FILL = (
    """
INSERT INTO package (id, name, title, type, private, state, owner_org, metadata_created,
                     metadata_modified, extras)
SELECT 'ukur-' || n, 'ukur-' || n, 'Jumlah Kunjungan Puskesmas ' || n, 'dataset', true, 'active',
       (SELECT array_agg(id ORDER BY name) FROM "group" WHERE is_organization)
         [1 + n % (SELECT count(*) FROM "group" WHERE is_organization)],
       now(), now(),
       jsonb_build_object('klasifikasi', 'terbuka', 'kategori', CASE n % 4
         WHEN 0 THEN 'budaya-dan-agama' ELSE 'ekonomi-dan-industri' END)
FROM generate_series(:first, :last) n""",
    """
INSERT INTO satudata_status (package_id, status, round, data_prioritas, submitted_by, submitted_at,
                             since, due_at, reviewer, claimed_at)
SELECT 'ukur-' || n,
       (ARRAY['diajukan', 'diajukan', 'diajukan', 'diajukan', 'diajukan', 'diperiksa_pembina',
              'ditolak_pembina', 'terverifikasi', 'diajukan', 'diajukan'])[1 + n % 10],
       1, n % 10 IN (5, 6), 'produsen_dinkes', now() - n * interval '1 second',
       now() - n * interval '1 second',
       now() + CASE WHEN n % 10 = 0 THEN interval '-2 days' ELSE interval '1 day' END
         - n * interval '1 second',
       CASE WHEN n % 15 = 0 THEN 'walidata_2' END, CASE WHEN n % 15 = 0 THEN now() END
FROM generate_series(:first, :last) n""",
)


def fill(owner: sa.Engine, first: int, last: int) -> None:
    """Write the datasets first to last and their status."""
    tables = ("package", "satudata_status")
    with owner.begin() as connection:
        for table in tables:
            connection.execute(sa.text(f"ALTER TABLE {table} DISABLE TRIGGER USER"))
        for statement in FILL:
            connection.execute(sa.text(statement), {"first": first, "last": last})
        for table in tables:
            connection.execute(sa.text(f"ALTER TABLE {table} ENABLE ALWAYS TRIGGER satudata_guard"))
    with owner.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        for table in tables:
            connection.execute(sa.text(f"VACUUM ANALYZE {table}"))


def main() -> None:
    """Measure each size and compare the largest with the smallest."""
    runs = common.arguments(__doc__, runs=30).runs
    app = common.ckan()
    owner = sa.create_engine(os.environ["SATUDATA_OWNER_URL"])
    with app._wsgi_app.test_request_context():
        from world import World

        world = World()
        for number in range(35):
            world.call("organization_create", "admin", name=f"opd-{number}", title=f"OPD {number}")
        token = world.call("api_token_create", "walidata", user="walidata", name="ukur")["token"]
    client = app._wsgi_app.test_client()

    def page(address: str, **headers: str) -> Callable[[], Any]:
        def get() -> None:
            assert client.get(address, headers=headers).status_code == 200, address

        return get

    pages = {
        "first page": page("/satudata/antrean", Authorization=token),
        "late": page("/satudata/antrean?tab=terlambat", Authorization=token),
        "a word that all have": page("/satudata/antrean?q=puskesmas", Authorization=token),
        "a word that none has": page("/satudata/antrean?q=durian", Authorization=token),
    }
    plain, cost, before = page("/about"), {}, 0
    for size in SIZES:
        fill(owner, before + 1, size)
        before = size
        for name, queue in pages.items():
            pairs = [(common.seconds(queue), common.seconds(plain)) for _ in range(runs + 2)][2:]
            ours, theirs = (statistics.median(times) for times in zip(*pairs, strict=True))
            cost[name, size] = ours / theirs
            ms = f"{ours * 1000:.0f} ms (/about {theirs * 1000:.0f} ms)"
            print(f"{size:>7} waiting, {name}: {ms}")
    kept = True
    for name in pages:
        growth = cost[name, SIZES[-1]] / cost[name, SIZES[0]]
        counted = name == "first page"
        kept &= growth <= LIMIT or not counted
        word = ("kept" if growth <= LIMIT else "EXCEEDED") if counted else "no limit"
        print(f"{name}: {growth:.2f} x from {SIZES[0]} to {SIZES[-1]}, limit {LIMIT:g}: {word}")
    common.finish(kept)


if __name__ == "__main__":
    main()
