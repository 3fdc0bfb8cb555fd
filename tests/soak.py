"""How long the long tests run: a sample in `./portal test`, all of it in `./portal soak`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any, TypeVar

import pytest

T = TypeVar("T")


class Soak:
    """Counts what was done, and says so now and then while soaking."""

    def __init__(self, config: pytest.Config) -> None:
        self.on = bool(config.getoption("--soak"))
        self.plugins = config.pluginmanager
        self.done: Counter[str] = Counter()

    def __call__(self, sample: T, whole: T) -> T:
        """The one or the other."""
        return whole if self.on else sample

    def say(self, text: str) -> None:
        """Print a line beside pytest's own."""
        reporter: Any = self.plugins.get_plugin("terminalreporter")
        capture: Any = self.plugins.get_plugin("capturemanager")
        with capture.global_and_fixture_disabled():
            reporter.write_line(text)

    def count(self, what: str, each: int = 100) -> None:
        """Count one more of something."""
        self.done[what] += 1
        if self.on and self.done[what] % each == 0:
            self.say(f"  {self}")

    def rounds(self, few: bool = False) -> Iterator[int]:
        """Numbers of the rounds of a race: 20, or 5, and 200 while soaking."""
        for round_ in range(self(5 if few else 20, 200)):
            yield round_
            self.count("rounds of races")

    def __str__(self) -> str:
        return ", ".join(f"{count:,} {what}" for what, count in self.done.items())
