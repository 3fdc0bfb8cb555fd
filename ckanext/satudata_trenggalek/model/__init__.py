"""Our tables (architecture: ckan's own stay as they are). SQLAlchemy 2.0 style."""

from __future__ import annotations

import datetime as dt
from typing import Any

import ckan.plugins.toolkit as tk
import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlalchemy.ext.hybrid import hybrid_property
from sqlalchemy.orm import Mapped, mapped_column

Timestamp = sa.DateTime(timezone=True)


class Status(tk.BaseModel):
    """Where a dataset stands; one row per package, made by the database (see ddl.py)."""

    __tablename__ = "satudata_status"
    #: The orders of the queue: its first page reads the index from the front (bench/antrean.py).
    __table_args__ = (
        sa.Index("satudata_antrean_tenggat", "status", "due_at", "since", "package_id"),
        sa.Index("satudata_antrean_diajukan", "status", "submitted_at", "since", "package_id"),
        sa.Index(
            "satudata_antrean_prioritas",
            "status",
            "due_at",
            "since",
            "package_id",
            postgresql_where=sa.text("data_prioritas"),
        ),
        sa.Index(
            "satudata_antrean_terlambat",
            "due_at",
            "since",
            "package_id",
            postgresql_where=sa.text("publish_at IS NULL OR publish_error IS NOT NULL"),
        ),
        sa.Index(
            "satudata_antrean_pemeriksa",
            "reviewer",
            "due_at",
            postgresql_where=sa.text("reviewer IS NOT NULL"),
        ),
    )

    package_id: Mapped[str] = mapped_column(sa.Text, primary_key=True)
    status: Mapped[str] = mapped_column(sa.Text, server_default="draf")
    #: Number of the last published version; 0 means never published.
    version: Mapped[int] = mapped_column(sa.Integer, server_default="0")
    revision_of: Mapped[str | None] = mapped_column(sa.Text, index=True)
    #: How often it was submitted towards the next version (putaran).
    round: Mapped[int] = mapped_column(sa.Integer, server_default="0")
    data_prioritas: Mapped[bool] = mapped_column(sa.Boolean, server_default="false")
    #: a, b or c of Perpres 39/2019 Ps 28.
    prioritas_kriteria: Mapped[str | None] = mapped_column(sa.Text)
    #: User ids of all who made it, through every version; kept by the triggers.
    makers: Mapped[list[str]] = mapped_column(ARRAY(sa.Text), server_default="{}")
    #: What was approved: "sha256:" + hex, see content.py.
    content_hash: Mapped[str | None] = mapped_column(sa.Text)
    submitted_by: Mapped[str | None] = mapped_column(sa.Text)
    submitted_at: Mapped[dt.datetime | None] = mapped_column(Timestamp)
    #: Name of the user who claimed the check; ends with the status.
    reviewer: Mapped[str | None] = mapped_column(sa.Text)
    claimed_at: Mapped[dt.datetime | None] = mapped_column(Timestamp)
    #: When the present status began.
    since: Mapped[dt.datetime] = mapped_column(Timestamp, server_default=sa.func.now())
    due_at: Mapped[dt.datetime | None] = mapped_column(Timestamp)
    publish_at: Mapped[dt.datetime | None] = mapped_column(Timestamp, index=True)
    #: What the schedule last met instead of publishing: the parameter that was refused.
    publish_error: Mapped[str | None] = mapped_column(sa.Text)
    publish_tried_at: Mapped[dt.datetime | None] = mapped_column(Timestamp)
    verified_by: Mapped[str | None] = mapped_column(sa.Text)
    verified_at: Mapped[dt.datetime | None] = mapped_column(Timestamp)
    published_at: Mapped[dt.datetime | None] = mapped_column(Timestamp)

    @hybrid_property
    def of_pembina(self) -> bool:
        """Whether Pembina Data read it before it is public."""
        return self.data_prioritas and self.status != "draf"

    @of_pembina.inplace.expression
    @classmethod
    def _of_pembina(cls) -> sa.ColumnElement[bool]:
        return sa.and_(cls.data_prioritas, cls.status != "draf")


class Event(tk.BaseModel):
    """What happened, append-only, one hash chain per dataset. Outlives the dataset."""

    __tablename__ = "satudata_event"

    package_id: Mapped[str] = mapped_column(sa.Text, primary_key=True)
    seq: Mapped[int] = mapped_column(sa.Integer, primary_key=True)
    at: Mapped[dt.datetime] = mapped_column(Timestamp)
    #: User name, or `sistem`; a name that stands here stays its user's.
    actor: Mapped[str] = mapped_column(sa.Text, index=True)
    peran: Mapped[str | None] = mapped_column(sa.Text)
    event: Mapped[str] = mapped_column(sa.Text)
    from_status: Mapped[str | None] = mapped_column(sa.Text)
    to_status: Mapped[str | None] = mapped_column(sa.Text)
    sop_step: Mapped[int | None] = mapped_column(sa.Integer)
    note: Mapped[str | None] = mapped_column(sa.Text)
    public_note: Mapped[str | None] = mapped_column(sa.Text)
    content_hash: Mapped[str | None] = mapped_column(sa.Text)
    checklist: Mapped[dict[str, Any] | None] = mapped_column(JSONB(none_as_null=True))
    detail: Mapped[dict[str, Any] | None] = mapped_column(JSONB(none_as_null=True))
    prev_hash: Mapped[str] = mapped_column(sa.Text)
    hash: Mapped[str] = mapped_column(sa.Text)
    #: The database transaction that wrote it; the triggers ask for it.
    xid: Mapped[int] = mapped_column(
        sa.BigInteger, server_default=sa.text("(pg_current_xact_id()::text)::bigint")
    )


class Anchor(tk.BaseModel):
    """The head that a dataset's chain of events had at a minute; one chain over all datasets.

    Append-only; audit.py writes it, and each row also into a file outside the database.
    """

    __tablename__ = "satudata_anchor"
    __table_args__ = (sa.UniqueConstraint("package_id", "event_seq"),)

    seq: Mapped[int] = mapped_column(sa.BigInteger, primary_key=True, autoincrement=False)
    #: The same for all anchors of one run.
    at: Mapped[dt.datetime] = mapped_column(Timestamp)
    package_id: Mapped[str] = mapped_column(sa.Text)
    event_seq: Mapped[int] = mapped_column(sa.Integer)
    event_hash: Mapped[str] = mapped_column(sa.Text)
    prev_hash: Mapped[str] = mapped_column(sa.Text)
    hash: Mapped[str] = mapped_column(sa.Text)


class Publication(tk.BaseModel):
    """A published version: what the public may rely on. Keeps a name for its dataset for ever."""

    __tablename__ = "satudata_publication"

    package_id: Mapped[str] = mapped_column(sa.Text, primary_key=True)
    version: Mapped[int] = mapped_column(sa.Integer, primary_key=True)
    name: Mapped[str] = mapped_column(sa.Text, index=True)
    content_hash: Mapped[str] = mapped_column(sa.Text)
    verified_at: Mapped[dt.datetime] = mapped_column(Timestamp)
    published_at: Mapped[dt.datetime] = mapped_column(Timestamp)
    #: [{id, sha256, size}], size in bytes.
    files: Mapped[list[dict[str, Any]]] = mapped_column(JSONB)
    withdrawn_at: Mapped[dt.datetime | None] = mapped_column(Timestamp)
    public_note: Mapped[str | None] = mapped_column(sa.Text)


class Content(tk.BaseModel):
    """What stood behind a content hash when it was submitted, for comparing rounds."""

    __tablename__ = "satudata_content"

    content_hash: Mapped[str] = mapped_column(sa.Text, primary_key=True)
    content: Mapped[dict[str, Any]] = mapped_column(JSONB)


class Comment(tk.BaseModel):
    """What a checker says of a field, and the replies to it. Sent, so its words stay as they are.

    Comments that nobody but their author has seen yet are in Draft.
    """

    __tablename__ = "satudata_comment"

    id: Mapped[str] = mapped_column(sa.Text, primary_key=True)
    #: The order of writing; those of one decision have one time.
    number: Mapped[int] = mapped_column(sa.BigInteger, sa.Identity(), unique=True)
    package_id: Mapped[str] = mapped_column(sa.Text, index=True)
    #: The comment that this replies to.
    parent_id: Mapped[str | None] = mapped_column(sa.Text)
    #: As the API takes it: `title`, `indikator/<row>/konsep`, `resources/<id>/variabel/<row>/nama`.
    field: Mapped[str] = mapped_column(sa.Text)
    #: What stood there, see comments.Spot: rows move and go, the comment must still be understood.
    spot: Mapped[dict[str, Any]] = mapped_column(JSONB)
    body: Mapped[str] = mapped_column(sa.Text)
    author: Mapped[str] = mapped_column(sa.Text)
    peran: Mapped[str] = mapped_column(sa.Text)
    version: Mapped[int] = mapped_column(sa.Integer)
    round: Mapped[int] = mapped_column(sa.Integer)
    at: Mapped[dt.datetime] = mapped_column(Timestamp)
    #: open, answered or done; of a reply always open, the first comment says it for all.
    state: Mapped[str] = mapped_column(sa.Text, server_default="open")
    state_by: Mapped[str | None] = mapped_column(sa.Text)
    state_at: Mapped[dt.datetime | None] = mapped_column(Timestamp)


class Draft(tk.BaseModel):
    """What one checker has typed on a review page and not sent; nobody else sees it."""

    __tablename__ = "satudata_draft"

    package_id: Mapped[str] = mapped_column(sa.Text, primary_key=True)
    #: User id.
    author_id: Mapped[str] = mapped_column(sa.Text, primary_key=True)
    #: Note, checklist and choices, as typed.
    form: Mapped[dict[str, Any]] = mapped_column(JSONB, server_default="{}")
    #: [{id, parent_id, field, spot, body, at}], in the order of writing.
    comments: Mapped[list[dict[str, Any]]] = mapped_column(JSONB, server_default="[]")


class Pointer(tk.BaseModel):
    """Which bytes a resource has. Under the trigger; a resource without a row has no file."""

    __tablename__ = "satudata_file"

    resource_id: Mapped[str] = mapped_column(sa.Text, primary_key=True)
    sha256: Mapped[str] = mapped_column(sa.CHAR(64), index=True)
    #: In bytes.
    size: Mapped[int] = mapped_column(sa.BigInteger)
    created: Mapped[dt.datetime] = mapped_column(Timestamp, server_default=sa.func.now())


class Table(tk.BaseModel):
    """State of an upload: of its table in the DataStore, what it was read from, what was found."""

    __tablename__ = "satudata_table"

    resource_id: Mapped[str] = mapped_column(sa.Text, primary_key=True)
    sha256: Mapped[str] = mapped_column(sa.CHAR(64))
    #: antre, memuat, termuat, gagal; diperiksa: searched, and no table.
    state: Mapped[str] = mapped_column(sa.Text)
    message: Mapped[str | None] = mapped_column(sa.Text)
    rows: Mapped[int | None] = mapped_column(sa.BigInteger)
    columns: Mapped[int | None] = mapped_column(sa.Integer)
    #: Digest of MS-Variabel and tanda_desimal that it was loaded by; see tables.py.
    metadata_digest: Mapped[str | None] = mapped_column("metadata", sa.CHAR(32))
    #: See findings.py. No values of the table, and never for the public.
    findings: Mapped[list[dict[str, Any]]] = mapped_column(JSONB, server_default="[]")
    updated: Mapped[dt.datetime] = mapped_column(Timestamp, server_default=sa.func.now())


class OrganizationPeran(tk.BaseModel):
    """Peran of an organization. No row means Produsen Data, an empty list none."""

    __tablename__ = "satudata_peran"
    #: Exactly one Walidata (Perpres 39/2019 Ps 21) and one Forum: at most one row can claim each.
    __table_args__ = (
        sa.Index(
            "satudata_satu_walidata",
            sa.text("(true)"),
            unique=True,
            postgresql_where=sa.text("'walidata' = ANY (peran)"),
        ),
        sa.Index(
            "satudata_satu_forum",
            sa.text("(true)"),
            unique=True,
            postgresql_where=sa.text("'forum_satu_data' = ANY (peran)"),
        ),
    )

    organization_id: Mapped[str] = mapped_column(sa.Text, primary_key=True)
    peran: Mapped[list[str]] = mapped_column(ARRAY(sa.Text), server_default="{}")


class Notice(tk.BaseModel):
    """What one person is told of one thing that happened: in the portal, and perhaps by mail.

    Written in the transaction of what it tells. Holds no text: that is made when it is shown or
    sent, for who may read it then. See notices.py.
    """

    __tablename__ = "satudata_outbox"
    __table_args__ = (
        # Nobody is told the same thing twice.
        sa.UniqueConstraint("user_id", "key", name="satudata_outbox_once"),
        sa.Index("satudata_outbox_unread", "user_id", postgresql_where=sa.text("read_at IS NULL")),
        sa.Index("satudata_outbox_due", "next_at", postgresql_where=sa.text("mail = 'antre'")),
        sa.Index("satudata_outbox_of_user", "user_id", sa.text("id DESC")),
    )

    id: Mapped[int] = mapped_column(sa.BigInteger, sa.Identity(), primary_key=True)
    user_id: Mapped[str] = mapped_column(sa.Text)
    package_id: Mapped[str] = mapped_column(sa.Text, index=True)
    #: One of notices.SUBJECTS.
    kind: Mapped[str] = mapped_column(sa.Text)
    #: Names what happened, so that telling it again changes nothing.
    key: Mapped[str] = mapped_column(sa.Text)
    #: The event it tells; None for a reminder.
    event_seq: Mapped[int | None] = mapped_column(sa.Integer)
    #: When the status began in which the reader, who is to decide, finds the dataset: the notice
    #: is stale once that status is over. None for news.
    waits_since: Mapped[dt.datetime | None] = mapped_column(Timestamp)
    queued_at: Mapped[dt.datetime] = mapped_column(Timestamp)
    read_at: Mapped[dt.datetime | None] = mapped_column(Timestamp)
    #: antre, mengirim, terkirim, tanpa (not wanted), batal (reason), gagal (given up) or ragu (the
    #: portal died while sending).
    mail: Mapped[str] = mapped_column(sa.Text)
    tries: Mapped[int] = mapped_column(sa.Integer, server_default="0")
    #: Not to be sent before.
    next_at: Mapped[dt.datetime] = mapped_column(Timestamp)
    mailed_at: Mapped[dt.datetime | None] = mapped_column(Timestamp)
    #: Why there was no mail, or what the mail server said last.
    reason: Mapped[str | None] = mapped_column(sa.Text)


class NoticeChoice(tk.BaseModel):
    """How a user wants to be told; no row means at once, in the portal's language."""

    __tablename__ = "satudata_notice_choice"

    user_id: Mapped[str] = mapped_column(sa.Text, primary_key=True)
    #: langsung, harian or tanpa.
    mode: Mapped[str] = mapped_column(sa.Text)
    lang: Mapped[str] = mapped_column(sa.Text)
