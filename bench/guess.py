"""Prefill of MS-Variabel from a file of 100 MB: a sample is read, not the file. Limit 1 s.

Beside it, for comparison: reading the whole file once.
"""

from __future__ import annotations

import statistics
import tempfile

import common
import load


def main() -> None:
    asked = common.arguments(__doc__, megabytes=100, runs=5)
    common.ckan()
    from ckanext.satudata_trenggalek import guess

    with tempfile.TemporaryDirectory() as folder:
        path = f"{folder}/bench.csv"
        # About 50 bytes a row.
        load.write(path, asked.megabytes * 20_200)

        def ours() -> None:
            guess.table(path, "csv", "2025")

        times = [common.seconds(ours) for _ in range(asked.runs)]
        with open(path, "rb") as stream:
            whole = common.seconds(lambda: sum(map(len, iter(lambda: stream.read(1 << 20), b""))))
            size = stream.tell() / 1e6
    middle = statistics.median(times)
    kept = max(times) < 1
    print(
        f"guess: {middle:.2f} s (slowest of {asked.runs}: {max(times):.2f} s) for {size:.0f} MB,"
        f" limit 1 s: {'kept' if kept else 'EXCEEDED'}"
    )
    print(f"  reading the whole file once, without looking into it, takes {whole:.2f} s")
    common.finish(kept)


if __name__ == "__main__":
    main()
