"""Fail closed."""

from __future__ import annotations

import ckan.model as model
import ckan.plugins.toolkit as tk
import pytest
import sqlalchemy as sa

from ckanext.satudata_trenggalek import maintenance
from tests.gate.sites import Portal


def test_publication_refused_without_triggers(portal: Portal, owner: sa.Engine) -> None:
    """A portal without its gate publishes nothing."""
    world = portal.world
    id_ = world.at("terverifikasi")["id"]
    model.Session.remove()
    with owner.begin() as connection:
        connection.execute(sa.text("ALTER TABLE resource DISABLE TRIGGER satudata_guard"))
    try:
        with pytest.raises(tk.ValidationError) as error:
            world.move("walidata", id_, "terbitkan")
        assert "transition" in error.value.error_dict
        assert any("satudata_guard on resource" in p for p in maintenance.doctor())
    finally:
        model.Session.remove()
        with owner.begin() as connection:
            connection.execute(sa.text("ALTER TABLE resource ENABLE ALWAYS TRIGGER satudata_guard"))
    assert portal.visible(id_) == []
    assert maintenance.doctor() == []
    world.move("walidata", id_, "terbitkan")
    assert portal.visible(id_) == ["package_show", "package_search", "package_list"]
