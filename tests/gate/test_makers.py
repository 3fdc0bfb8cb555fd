"""Who made part of a dataset is remembered, and never checks it."""

from __future__ import annotations

import ckan.model as model
import ckan.plugins.toolkit as tk
import pytest
import sqlalchemy as sa

from tests.world import World


def makers(id_: str) -> list[str]:
    query = sa.text("SELECT makers FROM satudata_status WHERE package_id = :id")
    return model.Session.execute(query, {"id": id_}).scalar_one()


def test_maker_of_a_view_checks(world: World) -> None:
    """Whoever adds a view, a group or a relation made part of it."""
    dataset = world.draft()
    world.call(
        "resource_view_create",
        "produsen_dinkes_2",
        resource_id=dataset["resources"][0]["id"],
        view_type="text_view",
        title="Pratinjau",
    )
    assert world.ids["produsen_dinkes_2"] in makers(dataset["id"])


def test_makers_after_an_error_in_the_same_session(world: World) -> None:
    """After a refusal the next editor is recorded, and nobody of before."""
    dataset = world.draft()
    with pytest.raises(tk.ValidationError):
        world.call("package_patch", "admin_dinkes", id=dataset["id"], title="")
    world.call("package_patch", "produsen_dinkes_2", id=dataset["id"], notes="Lain.")
    assert world.ids["produsen_dinkes_2"] in makers(dataset["id"])
    assert world.ids["admin_dinkes"] not in makers(dataset["id"])
    assert not model.Session.scalar(sa.text("SELECT current_setting('satudata.actor', true)"))
