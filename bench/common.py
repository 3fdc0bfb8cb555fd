"""What measurements share: a CKAN, a clock, and ratios that say how sure they are."""

from __future__ import annotations

import argparse
import os
import random
import statistics
import sys
import time
from collections.abc import Callable
from typing import Any


def ckan() -> Any:
    """The CKAN of this run (`./portal bench` names its settings in CKAN_INI), ready for actions."""
    from ckan.cli import load_config
    from ckan.config.middleware import make_app

    return make_app(load_config(os.environ["CKAN_INI"]))


def arguments(text: str | None, **defaults: int) -> argparse.Namespace:
    """Whole numbers of the command line (`--rows 1000`), each with its default."""
    parser = argparse.ArgumentParser(description=text)
    for name, default in defaults.items():
        parser.add_argument(f"--{name}", type=int, default=default, help=f"{default} by default")
    return parser.parse_args()


def seconds(run: Callable[[], object]) -> float:
    """How long a call takes, in seconds."""
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


def interval(pairs: list[tuple[float, float]], draws: int = 5000) -> tuple[float, float, float]:
    """Median of the ratios of (ours, theirs), and its 95 % bootstrap interval.

    Args:
        pairs: times measured one after the other, so that both met the same machine: its speed
            may change by a third from one second to the next.
        draws: how often the pairs are drawn again, with replacement.
    """
    dice, ratios = random.Random(1), [ours / theirs for ours, theirs in pairs]
    drawn = sorted(statistics.median(dice.choices(ratios, k=len(ratios))) for _ in range(draws))
    return statistics.median(ratios), drawn[int(draws * 0.025)], drawn[int(draws * 0.975)]


def compare(
    name: str,
    ours: Callable[[], object],
    theirs: Callable[[], object],
    limit: float,
    runs: int,
    clock: Callable[[Callable[[], Any]], float] = seconds,
) -> bool:
    """Measure two ways in turn and print their ratio with the figures behind it.

    Args:
        name: of what is measured.
        ours: the portal's way.
        theirs: what it is held against.
        limit: the ratio that is allowed.
        runs: pairs of measurements, after one that does not count.
        clock: how long a call took, in seconds, where that is not the time until it returned.

    Returns:
        whether the ratio keeps the limit.
    """
    pairs = []
    for number in range(runs + 1):
        # Each goes first in turn: what slows a machine down more and more slows both.
        if number % 2:
            theirs_first = clock(theirs)
            pairs.append((clock(ours), theirs_first))
        else:
            pairs.append((clock(ours), clock(theirs)))
    del pairs[0]
    ratio, low, high = interval(pairs)
    kept = ratio <= limit
    print(
        f"{name}: {ratio:.3f} x (95 %: {low:.3f} to {high:.3f}), limit {limit:g}:"
        f" {'kept' if kept else 'EXCEEDED'}"
    )
    for who, times in zip(("ours", "theirs"), zip(*pairs, strict=True), strict=True):
        middle = statistics.median(times)
        print(f"  {who:<6} median {middle:.3f} s of {', '.join(f'{t:.3f}' for t in times)}")
    return kept


def finish(*kept: bool) -> None:
    """End the program: with 0 when all limits are kept."""
    sys.exit(0 if all(kept) else 1)
