"""Fail closed."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from pathlib import Path

import ckan.model as model
import ckan.plugins.toolkit as tk
import pytest
import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError

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


@pytest.mark.parametrize("status", ["draf", "diajukan"])
def test_guards_find_a_dataset_by_its_key(portal: Portal, status: str) -> None:
    """However many there are: what a guard asks is answered by an index."""
    dataset = portal.world.at(status)
    writes = (
        "UPDATE package SET notes = 'x' WHERE id = :id",
        "UPDATE package_tag SET state = 'deleted' WHERE package_id = :id",
        "UPDATE member SET state = 'deleted' WHERE table_id = :id",
        "UPDATE resource SET description = 'x' WHERE package_id = :id",
        "UPDATE satudata_file SET size = 1 WHERE resource_id = :resource",
    )
    names = {"id": dataset["id"], "resource": dataset["resources"][0]["id"]}
    # Plans are kept with a connection: a new one makes them without reading all, where it can.
    engine = sa.create_engine(model.ensure_engine().url, poolclass=sa.NullPool)
    with engine.connect() as connection:
        connection.execute(sa.text("SET enable_seqscan = off"))
        for write in writes:
            with contextlib.suppress(DBAPIError), connection.begin_nested():
                assert connection.execute(sa.text(write), names).rowcount, write
        read = connection.execute(
            sa.text("SELECT relname, seq_scan, idx_scan FROM pg_stat_xact_user_tables")
        )
        scans = {row.relname: row for row in read}
        for table in ("package", "satudata_status", "satudata_event"):
            assert scans[table].seq_scan == 0, table
        assert scans["package"].idx_scan >= len(writes)
