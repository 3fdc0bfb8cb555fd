"""Bad input is refused in words, never with a 500, and nothing comes of it."""

from __future__ import annotations

from typing import Any

import ckan.model as model
import ckan.plugins.toolkit as tk
import pytest

from tests.world import World


@pytest.mark.parametrize(
    "checklist",
    [["x"], "x", {"lain": {"sesuai": True}}, {"metadata": {"sesuai": None}}, {"metadata": 1},
     {"metadata": {"sesuai": True, "note": "a\x00b"}},
     {"metadata": {"sesuai": True, "note": "\ud800"}}],
    ids=["list", "text", "unknown", "no note", "number", "NUL", "surrogate"],
)  # fmt: skip
@pytest.mark.parametrize("transition", ["ajukan", "kembalikan"])
def test_checklist_of_a_move_without_checklist_fails(
    world: World, transition: str, checklist: Any
) -> None:
    """A wrong checklist is refused (409) also where none is asked for; it was a 500."""
    user, status = {"ajukan": ("produsen_dinkes", "draf"), "kembalikan": ("walidata", "diajukan")}[
        transition
    ]
    dataset = world.at(status)
    with pytest.raises(tk.ValidationError):
        world.move_raw(user, dataset["id"], transition, note="Perbaiki.", checklist=checklist)
    assert world.status(dataset["id"])["status"] == status


@pytest.mark.parametrize("field", ["note", "public_note", "content_hash"])
def test_lone_surrogate_fails(world: World, field: str) -> None:
    dataset = world.at("diajukan")
    data = {"note": "Perbaiki.", field: "x\ud800"}
    if field == "content_hash":
        with pytest.raises(tk.ValidationError):
            world.move("walidata", dataset["id"], "setujui", **data)
    else:
        with pytest.raises(tk.ValidationError):
            world.move_raw("walidata", dataset["id"], "kembalikan", **data)


def test_publish_at_beyond_the_calendar_breaks_the_queue(world: World) -> None:
    """PostgreSQL keeps the year 10000, Python does not read it: every queue would fail."""
    dataset = world.at("terverifikasi")
    try:
        with pytest.raises(tk.ValidationError):
            world.move(
                "walidata", dataset["id"], "terbitkan", publish_at="9999-12-31T23:59:59-12:00"
            )
        world.call("satudata_queue_list", "walidata", limit=100)
    finally:
        model.Session.rollback()
        world.move("walidata", dataset["id"], "kembalikan", note="Perbaiki.")


@pytest.mark.parametrize("value", [float("inf"), ["x"], "\x00"])
def test_queue_limit_fails(world: World, value: Any) -> None:
    with pytest.raises(tk.ValidationError):
        world.call("satudata_queue_list", "walidata", limit=value)


@pytest.mark.parametrize("id_", [["x"], {"a": 1}, 5, "a\x00b", "\ud800"])
@pytest.mark.parametrize(
    "action",
    ["satudata_status_show", "satudata_transition", "satudata_history_list",
     "satudata_publication_show", "satudata_prioritas_set"],
)  # fmt: skip
def test_id_of_a_wrong_type_fails(world: World, action: str, id_: Any) -> None:
    try:
        with pytest.raises((tk.ObjectNotFound, tk.ValidationError)):
            world.call(action, "forum", id=id_, transition="x", data_prioritas=True, kriteria="a")
    finally:
        model.Session.rollback()
