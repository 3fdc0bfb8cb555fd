"""The publication gate: the only place that writes `private = False`.

The database refuses everybody else (model/ddl.py); doors/ closes core's other ways in with
messages that people understand.
"""

from __future__ import annotations

import datetime as dt
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

import ckan.model as core
import ckan.plugins.toolkit as tk
import sqlalchemy as sa
from ckan.logic import index_update_package
from sqlalchemy import event
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import SessionTransaction

from ckanext.satudata_trenggalek.model import ddl

log = logging.getLogger(__name__)

#: First key of the PostgreSQL advisory locks on datasets whose index entry is written.
INDEXING = 0x5D24

#: Id of the user on whose behalf rows change; None for jobs, which are never makers.
_actor: ContextVar[str | None] = ContextVar("satudata_actor", default=None)


def _tell_actor(connection: sa.Connection) -> None:
    connection.exec_driver_sql(
        "SELECT set_config('satudata.actor', %(actor)s, true)", {"actor": _actor.get() or ""}
    )


@event.listens_for(core.Session, "after_begin")
def _after_begin(
    _session: object, transaction: SessionTransaction, connection: sa.Connection
) -> None:
    """Tell the triggers who acts, also in the transactions that follow a commit in between."""
    if _actor.get() and not transaction.nested:
        _tell_actor(connection)


def actor() -> str | None:
    """Id of the user on whose behalf rows change now."""
    return _actor.get()


@contextmanager
def acting(user_id: str | None) -> Iterator[None]:
    """Within it, the triggers remember user_id as the maker of what changes.

    Nested calls keep the outer user: core calls its own actions without one.
    """
    if _actor.get() or not user_id:
        yield
        return
    token = _actor.set(user_id)
    try:
        # One that begins within tells them by itself.
        if core.Session().in_transaction():
            _tell_actor(core.Session.connection())
        yield
    finally:
        _actor.reset(token)
        if core.Session().in_transaction() and core.Session.is_active:
            _tell_actor(core.Session.connection())


def messages() -> dict[str, tuple[str, str]]:
    """Constraint name of a trigger -> field and message for people."""
    return {
        ddl.FROZEN: (
            "status",
            tk._("Dataset tidak dapat diubah pada status ini. Lihat tindakan yang tersedia."),
        ),
        ddl.UNVERIFIED: (
            "private",
            tk._("Dataset hanya terbit melalui pemeriksaan Walidata. Ajukan dataset ini."),
        ),
        ddl.UNADOPTED: (
            "status",
            tk._("Dataset lama ini belum diadopsi. Admin menjalankan `ckan satudata adopt`."),
        ),
        ddl.NAME_TAKEN: (
            "name",
            tk._(
                "Nama ini berbentuk id, memuat spasi, atau milik dataset yang pernah terbit. Pilih"
                " nama lain."
            ),
        ),
        ddl.ID_TAKEN: ("id", tk._("Id ini milik dataset yang pernah ada. Kosongkan id.")),
        ddl.ACTED: (
            "name",
            tk._(
                "Nama akun ini tercatat dalam riwayat: pemiliknya tidak menggantinya, akun lain"
                " tidak memakainya."
            ),
        ),
        ddl.IN_USE: (
            "state",
            tk._(
                "Dipakai dataset yang sedang diperiksa atau sudah terbit, jadi nama dan statusnya"
                " tetap."
            ),
        ),
        ddl.APPEND_ONLY: ("status", tk._("Catatan riwayat tidak dapat diubah atau dihapus.")),
    }


def _told(error: DBAPIError) -> tuple[str, str] | None:
    """Field and message of what the database refuses for a reason that people can act on."""
    name = getattr(getattr(error.orig, "diag", None), "constraint_name", None)
    if name in messages():
        return messages()[name]
    code = getattr(error.orig, "pgcode", None)
    # A lost race: for a lock (PostgreSQL, Appendix A), or for the next place in a chain of events.
    if code in ("40001", "40P01", "55P03") or name == "satudata_event_pkey":
        return "id", tk._("Dataset ini sedang diubah orang lain. Coba sekali lagi.")
    if name and name.startswith("satudata_satu_"):
        return "peran", tk._("Peran ini baru saja diberikan kepada organisasi lain.")
    if code == "53100":
        message = tk._(
            "Ruang penyimpanan basis data penuh dan tidak ada yang berubah. Hubungi pengelola"
            " portal, lalu coba lagi."
        )
        return "id", message
    return None


@contextmanager
def explained() -> Iterator[None]:
    """Roll back on any error, and say in words what the database refuses.

    Raises:
        tk.ValidationError: in place of the database's error, naming the field.
    """
    try:
        yield
    except DBAPIError as error:
        core.Session.rollback()
        told = _told(error)
        if told is None:
            raise
        field, message = told
        log.info("refused by the database: %s", error.orig)
        raise tk.ValidationError({field: [message]}) from None
    except BaseException:
        core.Session.rollback()
        raise


def require_triggers() -> None:
    """Refuse to publish where the database would not refuse others.

    Raises:
        tk.ValidationError: naming what is missing.
    """
    if gone := ddl.missing(core.Session.connection()):
        log.error("publication refused, gate incomplete: %s", ", ".join(gone))
        raise tk.ValidationError(
            {
                "transition": [
                    tk._(
                        "Gerbang publikasi di basis data tidak lengkap, jadi penerbitan ditolak."
                        " Admin menjalankan `ckan satudata doctor`."
                    )
                ]
            }
        )


def _set_private(package: core.Package, private: bool) -> None:
    session = core.Session
    session.flush()
    session.execute(sa.text("SELECT set_config('satudata.gate', :id, true)"), {"id": package.id})
    package.private = private
    # package_show trusts Solr's copy only while this agrees (ckan/logic/action/get.py).
    package.metadata_modified = dt.datetime.now(dt.timezone.utc).replace(tzinfo=None)
    session.flush()
    session.execute(sa.text("SELECT set_config('satudata.gate', '', true)"))


def publish(package: core.Package) -> None:
    """Make a dataset public; its `terbitkan` event is written and its status says so.

    Through the ORM and not package_update, which would validate again, and could alter or block
    what was verified, and which writes Solr before it commits. Flushes, does not commit.
    """
    _set_private(package, False)


def withdraw(package: core.Package) -> None:
    """Take a dataset from the public. Flushes, does not commit."""
    _set_private(package, True)


def index(package_id: str) -> None:
    """Write the committed dataset to Solr, and end the session's transaction.

    One writer of a dataset at a time: else who read the rows first could write last, and what was
    withdrawn meanwhile would stand in Solr as public.

    Raises:
        Exception: whatever Solr or the database say.
    """
    try:
        core.Session.execute(
            sa.text("SELECT pg_advisory_xact_lock(:lock, hashtext(:id))"),
            {"lock": INDEXING, "id": package_id},
        )
        index_update_package({"ignore_auth": True, "user": ""}, package_id)
    finally:
        core.Session.rollback()
