"""Alembic environment of the plugin, as CKAN's own plugins have it."""

from __future__ import annotations

from alembic import context
from ckan.model.meta import metadata
from sqlalchemy import engine_from_config, pool

from ckanext.satudata_trenggalek.doors.writing import make_topics
from ckanext.satudata_trenggalek.model import ddl

VERSION_TABLE = "satudata_trenggalek_alembic_version"

engine = engine_from_config(
    context.config.get_section(context.config.config_ini_section) or {},
    prefix="sqlalchemy.",
    poolclass=pool.NullPool,
)


def upgrades() -> bool:
    """Whether this is an upgrade; other commands of Alembic go nowhere, or to no revision."""
    try:
        return context.get_revision_argument() is not None
    except KeyError:
        return False


with engine.connect() as connection:
    context.configure(
        connection=connection,
        target_metadata=metadata,
        version_table=VERSION_TABLE,
        include_object=lambda _object, name, type_, _reflected, _compare_to: (
            type_ != "table" or (name or "").startswith("satudata_")
        ),
    )
    with context.begin_transaction():
        context.run_migrations()
        # Functions follow the code, and what was altered is put back, as `doctor` promises.
        if upgrades():
            ddl.install(connection)
            make_topics(connection)
