"""Verifying the record: every event hashed anew, held against its chain, its anchor and the file.

20 events a dataset, as a dataset has after two years of monthly versions, with the notes and
checklists of a real review. `./portal bench record --events 1000000` shows that it grows evenly.
"""

from __future__ import annotations

import datetime as dt
import random
import statistics
import time
from collections.abc import Iterator
from typing import Any

import common

LIMIT = 10.0
CHAIN = 20
NOTE = "Satuan kolom jumlah belum diisi, dan kode kecamatan 35.03.09 tertulis dua kali. "


def events(count: int) -> Iterator[list[Any]]:
    """Rows of satudata_event, hashed as the portal hashes them; in groups of 10,000."""
    from ckanext.satudata_trenggalek import model
    from ckanext.satudata_trenggalek.workflow import service

    dice, rows = random.Random(1), []
    start = dt.datetime(2026, 1, 5, 1, tzinfo=dt.timezone.utc)
    aspects = ("standar_data", "metadata", "interoperabilitas", "kode_referensi")
    for number in range(count):
        chain, step = divmod(number, CHAIN)
        if step == 0:
            previous = service.GENESIS
        event = model.Event(
            package_id=f"bench-{chain:08}",
            seq=step + 1,
            at=start + dt.timedelta(minutes=number),
            actor="walidata",
            peran="walidata",
            event="setujui",
            from_status="diajukan",
            to_status="terverifikasi",
            sop_step=6,
            note=NOTE * dice.randrange(4),
            content_hash=f"sha256:{dice.getrandbits(256):064x}",
            checklist={name: {"sesuai": True, "note": NOTE} for name in aspects},
            detail={"putaran": 1},
            prev_hash=previous,
        )
        event.hash = previous = service.event_hash(event)
        columns = model.Event.__table__.columns.keys()
        rows.append({name: getattr(event, name) for name in columns if name != "xid"})
        if len(rows) == 10_000 or number == count - 1:
            yield rows
            rows = []


def main() -> None:
    asked = common.arguments(__doc__, events=100_000, runs=3)
    common.ckan()
    import ckan.model as core
    import sqlalchemy as sa

    from ckanext.satudata_trenggalek import audit, model

    for rows in events(asked.events):
        core.Session.execute(sa.insert(model.Event), rows)
    core.Session.commit()
    audit.anchor()
    times = []
    for _ in range(asked.runs):
        found: list[Any] = []
        worked = time.process_time()
        times.append(common.seconds(lambda found=found: found.extend(audit.verify())))
        worked = time.process_time() - worked
        core.Session.remove()
        if found[0] != asked.events or found[2]:
            raise SystemExit(f"record: {found[0]} events, {found[2][:3]}")
    middle = statistics.median(times)
    kept = middle <= LIMIT * asked.events / 100_000
    print(
        f"record: {asked.events} events and {found[1]} anchors verified in {middle:.1f} s"
        f" (of {', '.join(f'{t:.1f}' for t in times)}), limit {LIMIT:g} s for 100,000:"
        f" {'kept' if kept else 'EXCEEDED'}"
    )
    print(f"  of the last run {worked:.1f} s were this process's own, the rest waiting")
    common.finish(kept)


if __name__ == "__main__":
    main()
