"""Fail closed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import ckan.model as model
import ckan.plugins.toolkit as tk
import pytest
import sqlalchemy as sa

import ckanext.satudata_trenggalek
from tests.gate.sites import Portal

Doctor = Callable[[], list[str]]


def test_publication_refused_without_triggers(
    portal: Portal, owner: sa.Engine, doctor: Doctor
) -> None:
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
    finally:
        model.Session.remove()
        with owner.begin() as connection:
            connection.execute(sa.text("ALTER TABLE resource ENABLE ALWAYS TRIGGER satudata_guard"))
    assert portal.visible(id_) == []
    assert doctor() == []
    world.move("walidata", id_, "terbitkan")
    assert portal.visible(id_) == ["package_show", "package_search", "package_list"]


def test_upgrade_puts_back_what_was_altered(
    portal: Portal, owner: sa.Engine, doctor: Doctor
) -> None:
    """`ckan db upgrade -p satudata_trenggalek`, as doctor says; also where no migration waits."""
    from alembic import command
    from alembic.config import Config

    model.Session.remove()
    with owner.begin() as connection:
        connection.exec_driver_sql(
            "CREATE OR REPLACE FUNCTION satudata_event_now(pkg text, names text[])"
            " RETURNS boolean LANGUAGE sql AS 'SELECT true'"
        )
    assert any("satudata_event_now" in problem for problem in doctor())
    model.Session.remove()
    migrations = Path(ckanext.satudata_trenggalek.__path__[0]) / "migration/satudata_trenggalek"
    config = Config()
    config.set_main_option("script_location", str(migrations))
    address = owner.url.render_as_string(hide_password=False)
    config.set_main_option("sqlalchemy.url", address.replace("%", "%%"))
    command.upgrade(config, "head")
    assert doctor() == []
