"""Documents that are drawn from the code say what the code says."""

from __future__ import annotations

from pathlib import Path

from ckanext.satudata_trenggalek.workflow import diagram
from ckanext.satudata_trenggalek.workflow.table import Peran
from tests.gate import doors

DOCS = Path(__file__).resolve().parents[2] / "docs"


def test_alur() -> None:
    assert (DOCS / "alur.md").read_text() == diagram.render()


def test_glosarium_has_every_peran() -> None:
    glosarium = (DOCS / "glosarium.md").read_text().lower()
    for peran in Peran:
        assert peran.value.replace("_", " ") in glosarium


def test_gate_has_every_door() -> None:
    text = (DOCS / "gate.md").read_text()
    assert text == doors.render(text)
    assert all(door.row.replace("|", "\\|") in text for door in doors.ALL)
