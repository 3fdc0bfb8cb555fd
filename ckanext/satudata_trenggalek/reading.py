"""Who reads what: permission labels, the index, and the public fields added at reading."""

from __future__ import annotations

import hmac
import json
import re
from collections.abc import Callable, Collection, Iterable
from contextvars import ContextVar
from typing import Any

import ckan.model as core
import ckan.plugins.toolkit as tk
import sqlalchemy as sa
from ckan.lib.plugins import DefaultPermissionLabels
from flask import g, has_request_context
from sqlalchemy.dialects.postgresql import ARRAY

from ckanext.satudata_trenggalek import kegiatan, model, schema, sdi
from ckanext.satudata_trenggalek.doors import anonymous, asking, hidden, membership
from ckanext.satudata_trenggalek.statement import Statement, remembered
from ckanext.satudata_trenggalek.workflow.table import (
    ASIDE_TYPES,
    KEGIATAN,
    PUBLIC,
    UNGATED_TYPES,
    Peran,
)

#: Labels of the checkers; members of the owner keep core's `member-<organization>`.
WALIDATA, PEMBINA = "satudata-walidata", "satudata-pembina"


_kegiatan = core.package_table.alias()
_row: Any = model.Status.__table__
_of_kegiatan: Any = _row.alias()

#: All that a reader is told of a published dataset beside the dataset itself and its kegiatan.
_TOLD = (
    "status", "version", "verified_at", "published_at", "data_prioritas", "prioritas_kriteria",
    "submitted_at",
)  # fmt: skip


def _stamp(row: Any) -> sa.ColumnElement[int]:
    """The same as one number of 64 bits."""
    told = sa.func.row(*(row.c[name] for name in _TOLD))
    return sa.func.hash_record_extended(told, 0, type_=sa.BigInteger)


_ids = (
    sa.func.unnest(sa.bindparam("ids", type_=ARRAY(sa.Text)))
    .table_valued(sa.column("id", sa.Text))
    .render_derived(name="asked")
)
_of_asked = (
    sa.select(
        _row.c.package_id,
        *(_row.c[name] for name in _TOLD),
        core.package_table.c.metadata_modified,
        _stamp(_row).label("stamp"),
        sa.case((_of_kegiatan.c.package_id.is_not(None), _stamp(_of_kegiatan))).label(
            "stamp_kegiatan"
        ),
    )
    .join(core.package_table, core.package_table.c.id == _row.c.package_id)
    .outerjoin(
        _kegiatan,
        sa.and_(
            _kegiatan.c.id == core.package_table.c.extras[kegiatan.FIELD].astext,
            _kegiatan.c.type == KEGIATAN,
            _kegiatan.c.private.is_(False),
            _kegiatan.c.state == "active",
        ),
    )
    .outerjoin(
        _of_kegiatan,
        sa.and_(
            _of_kegiatan.c.package_id == _kegiatan.c.id,
            _of_kegiatan.c.status.in_(PUBLIC),
        ),
    )
    .where(_row.c.package_id == _ids.c.id, kegiatan.published())
    # One by one, by their keys: for a hundred at once PostgreSQL may read all that there are.
    .offset(0)
    .lateral()
)
_ROWS = Statement(sa.select(_of_asked).select_from(_ids).join(_of_asked, sa.true()), "ids")
_STAMPS = Statement(
    sa.select(_row.c.package_id, _stamp(_row))
    .join(core.package_table, core.package_table.c.id == _row.c.package_id)
    .where(
        _row.c.package_id == sa.any_(sa.bindparam("ids", type_=ARRAY(sa.Text))),
        kegiatan.published(),
    ),
    "ids",
)


def rows(ids: Iterable[str]) -> dict[str, sa.Row[Any]]:
    """Those of these datasets that the database says are published, by id.

    Returns:
        rows of status, version, its times, data_prioritas, prioritas_kriteria, submitted_at,
        metadata_modified, and the stamps of its own row and of that of its kegiatan, if that is
        published.
    """
    asked = list(ids)
    return {row.package_id: row for row in _ROWS(ids=asked)} if asked else {}


def _stamps(ids: Iterable[str]) -> Callable[[], dict[str, int]]:
    """Those of these datasets and kegiatan that are published, by id: the stamps of their rows.

    Returns:
        what gives them; PostgreSQL looks meanwhile.
    """
    asked = list(ids)
    if not asked:
        return dict
    if core.Session().in_transaction():
        found = _STAMPS(ids=asked)
        return lambda: dict(map(tuple, found))
    # A search that begins no transaction for it is 1 ms faster.
    answer = _STAMPS.asked(ids=asked)
    return lambda: dict(answer())


def _made_of(stamp: int, of_kegiatan: int | str | None) -> str:
    """What was prepared for the index holds while this is equal."""
    return f"{sdi.EDITION} {stamp} {of_kegiatan}"


#: What readers see of it.
_FIELDS = (
    "satudata_status", "satudata_version", "satudata_verified_at", "satudata_published_at",
)  # fmt: skip


def _fields(row: sa.Row[Any]) -> dict[str, Any]:
    verified, published = row.verified_at, row.published_at
    times = (verified and verified.isoformat(), published and published.isoformat())
    return dict(zip(_FIELDS, (row.status, row.version, *times), strict=True))


def published(ids: Iterable[str]) -> dict[str, dict[str, Any]]:
    """The four public fields of those datasets that the database says are published.

    Args:
        ids: dataset ids.

    Returns:
        id -> satudata_status, satudata_version, satudata_verified_at, satudata_published_at; what
        is not published is absent.
    """
    return {id_: _fields(row) for id_, row in rows(ids).items()}


def _asked() -> dict[str, sa.Row[Any] | None] | None:
    """What was asked for while access was checked, in a request of the public: it changes nothing.

    Core checks the access to a dataset right before it is shown.
    """
    if not has_request_context() or tk.current_user.is_authenticated:
        return None
    return g.setdefault("satudata_asked", {})


def _public(ids: Collection[str]) -> set[str]:
    found, asked = rows(ids), _asked()
    if asked is not None:
        asked.update({id_: found.get(id_) for id_ in ids})
    return set(found)


#: Key under which the index keeps what readers are told of a dataset, made ready: what it was made
#: of, the public fields and the national names. They never see it.
PREPARED = "satudata_sdi"


def _extras(known: dict[str, Any]) -> list[dict[str, str]]:
    return sdi.unpacked(known.get("packed") or "")


def _replace_ours(dataset: dict[str, Any], fields: dict[str, Any] | None) -> None:
    # The copy in Solr may hold those of another day.
    for name in (*_FIELDS, PREPARED):
        dataset.pop(name, None)
    if fields:
        dataset.update(fields)


def after_dataset_show(context: Any, dataset: dict[str, Any]) -> None:
    """Add the public fields to a published dataset, and for anonymous callers the SDI extras."""
    # Not used here; core fails over one that was written halfway (ckan/lib/search/index.py).
    dataset["relationships_as_subject"] = dataset["relationships_as_object"] = []
    id_, asked, row = dataset["id"], _asked() or {}, None
    known: dict[str, Any] = dataset.get(PREPARED) or {}
    private, holds = dataset.get("private") is True, False
    if not private:
        row = asked.pop(id_) if id_ in asked else rows([id_]).get(id_)
        holds = row is not None and known.get("made_of") == _made_of(row.stamp, row.stamp_kegiatan)
    if not (holds or context.get("ignore_auth") or context.get("for_update")):
        row = None if private else rows([id_]).get(id_)
        now = _NOW(ids=[id_]).first()
        # Public by its row, it is so for whoever is told; else by what the caller may see anyway.
        same = "metadata_modified" not in dataset or (now is not None and _is_of(dataset, now))
        if now is None or now.private is not private or not same:
            raise Changed
    _replace_ours(dataset, _fields(row) if row else None)
    if row and anonymous(context):
        if holds:
            dataset["extras"] = _extras(known)
        else:
            sdi.add([(dataset, row)])


class Changed(Exception):
    """A dataset is not what access was checked to any more: it is checked and read again."""


#: How a dataset stands: who may see it follows from that, and what is read of it.
_NOW = Statement(
    sa.select(
        core.package_table.c.id,
        core.package_table.c.private,
        core.package_table.c.state,
        core.package_table.c.owner_org,
        core.package_table.c.metadata_modified,
        _row.c.status,
        _row.c.round,
        _row.c.version,
    )
    .outerjoin(_row, _row.c.package_id == core.package_table.c.id)
    .where(core.package_table.c.id == sa.any_(sa.bindparam("ids", type_=ARRAY(sa.Text))))
    .order_by(core.package_table.c.id),
    "ids",
)


def stand(ids: Collection[str]) -> list[Any]:
    """How these datasets stand now: what changes who may see them, or their words, changes it."""
    return list(_NOW(ids=list(ids))) if ids else []


#: What a chosen list of fields (`fl`) must hold for the check of its results.
_NEEDED = ("id", "capacity", "dataset_type", "metadata_modified")


#: In the search's own extras: the fields that were added to `fl`; None without `fl`.
_ADDED = "satudata_fl"


#: Left out of searches that do not ask for a type.
_ASIDE = f"-dataset_type:({' OR '.join(ASIDE_TYPES)})"


def _names_a_type(params: dict[str, Any]) -> bool:
    given = params.get("fq_list") or []
    texts = [params.get("q"), params.get("fq"), *([given] if isinstance(given, str) else given)]
    return any(re.search(r"\bdataset_type\s*:", text) for text in texts if isinstance(text, str))


def before_dataset_search(params: dict[str, Any]) -> dict[str, Any]:
    """Leave out what is no data; ask Solr for what `after_dataset_search` needs to check a result.

    Harvesters and DCAT take datasets, so other types come only to who names `dataset_type`. With
    `facet.mincount=0` Solr names the terms of every document, of those out of sight with a zero.
    """
    asking.check(params)
    params["facet.mincount"] = max(1, int(params.get("facet.mincount") or 1))
    if not _names_a_type(params):
        params["fq_list"] = [*(params.get("fq_list") or []), _ASIDE]
    added = None
    if asked := params.get("fl"):
        added = [name for name in _NEEDED if name not in asked]
        params["fl"] = [*asked, *added]
    # Whatever a client sends under this name.
    given = params.get("extras")
    params["extras"] = {**(given if isinstance(given, dict) else {}), _ADDED: added}
    return params


#: The context of the search that is running (doors/hiding.py sets it).
reader: ContextVar[Any] = ContextVar("satudata_reader", default=None)


def _readable(ids: Collection[str]) -> set[str]:
    """Which of these datasets, all of them unpublished, the running search may show."""
    if not ids:
        return set()
    context: Any = reader.get() or {"ignore_auth": True}
    user: Any = context.get("auth_user_obj") or core.User.get(context.get("user"))
    if context.get("ignore_auth") or getattr(user, "sysadmin", False):
        return set(ids)
    labels = set(Labels().get_user_dataset_labels(user or None))
    if WALIDATA in labels:
        return set(ids)
    found = core.Session.scalars(sa.select(core.Package).where(core.Package.id.in_(ids)))
    return {
        package.id
        for package in found
        if f"member-{package.owner_org}" in labels
        or labels.intersection(Labels().get_dataset_labels(package))
    }


def _is_of(dataset: dict[str, Any], row: sa.Row[Any]) -> bool:
    """Whether a copy from the index was made when a dataset changed last.

    Args:
        dataset: with metadata_modified as core or Solr writes it.
        row: of `rows`.
    """
    # Solr knows milliseconds, and leaves zeros out at their end.
    seconds, _, rest = str(dataset.get("metadata_modified")).rstrip("Z").partition(".")
    return f"{seconds}.{rest[:3]:0<3}" == row.metadata_modified.isoformat(timespec="milliseconds")


def _of_today(dataset: dict[str, Any], row: sa.Row[Any]) -> bool:
    """Have a copy from the index say what the dataset says, in place.

    Args:
        dataset: of another status than it was indexed with; without PREPARED in core's schema.
        row: of `rows`.

    Returns:
        whether it is public as it was read.
    """
    if _is_of(dataset, row):
        return True
    asked = {"id": dataset["id"], "use_default_schema": PREPARED not in dataset}
    context: Any = {"ignore_auth": True, "use_cache": False, "user": ""}
    try:
        now = tk.get_action("package_show")(context, asked)
    except tk.ObjectNotFound:
        return False
    dataset.clear()
    dataset.update(now)
    return _is_of(dataset, row) and rows([dataset["id"]]).get(dataset["id"]) == row


def after_dataset_search(found: dict[str, Any], params: dict[str, Any]) -> dict[str, Any]:
    """Add the public fields, and for the public the SDI extras; drop what is not published.

    Solr is told after the commit, so an index that was missed may still show what was withdrawn.
    """
    added = (params.get("extras") or {}).get(_ADDED)
    type_of = "type" if added is None else "dataset_type"
    ids = {row["id"] for row in found["results"] if row.get(type_of) not in UNGATED_TYPES}
    whole = found["results"] if added is None else ()
    pointed = {row[kegiatan.FIELD] for row in whole if row.get(kegiatan.FIELD)}
    answer = _stamps(ids | pointed)
    context = reader.get()
    for_public = added is None and context is not None and anonymous(context)
    # Made before it is known whether they hold: PostgreSQL looks for that meanwhile.
    prepared = {row["id"]: row[PREPARED] for row in whole if row.get(PREPARED) and row["id"] in ids}
    extras = {id_: _extras(known) for id_, known in prepared.items()} if for_public else {}
    stamps = answer()
    ready = {}
    for row in whole:
        known, stamp = prepared.get(row["id"]), stamps.get(row["id"])
        if known is None or stamp is None:
            continue
        # Without one it is of an older version of the portal.
        if known.get("made_of") == _made_of(stamp, stamps.get(row.get(kegiatan.FIELD) or "")):
            ready[row["id"]] = known
    # Of another day, or asked for in core's own schema, or field by field.
    late = rows(ids & stamps.keys() - ready.keys())
    unpublished = ids - ready.keys() - late.keys()
    readable = _readable(unpublished)
    kept = []
    for row in found["results"]:
        id_ = row["id"]
        public = not row.get("private") if added is None else row.get("capacity") == "public"
        hides = id_ in unpublished and (public or id_ not in readable)
        # Of an earlier version, and with what words it was found nobody knows.
        older = id_ in late and not (_is_of if added is not None else _of_today)(row, late[id_])
        if hides or older:
            found["count"] = max(0, found["count"] - 1)
            continue
        if added is None:
            fields = ready[id_]["fields"] if id_ in ready else None
            _replace_ours(row, _fields(late[id_]) if id_ in late else fields)
            if id_ in ready and for_public:
                row["extras"] = extras[id_]
        for name in added or ():
            row.pop(name, None)
        if "validated_data_dict" in row:
            # Asked for by `fl`: what was prepared may tell of a kegiatan that was withdrawn since.
            stored = json.loads(row["validated_data_dict"])
            stored.pop(PREPARED, None)
            row["validated_data_dict"] = json.dumps(stored)
        kept.append(row)
    found["results"] = kept
    if for_public:
        sdi.add([(row, late[row["id"]]) for row in kept if row["id"] in late])
    return found


def before_dataset_index(document: dict[str, Any]) -> dict[str, Any]:
    """Second lock: what is not published is private in Solr, whatever its row says."""
    if document.get("type") in UNGATED_TYPES:
        return document
    row = hidden([document["id"]]).get(document["id"])
    # For the labels, which core asks for next (ckan/lib/search/index.py).
    remembered(_INDEXED)[document["id"]] = row
    private = document.get("capacity") == "private"
    public = None if private else rows([document["id"]]).get(document["id"])
    document["satudata_status"] = row.status if row else ""
    dataset = json.loads(document["validated_data_dict"])
    if public:
        _replace_ours(dataset, None)
        copy, made_of = dict(dataset), _made_of(public.stamp, public.stamp_kegiatan)
        sdi.add([(copy, public)])
        still = rows([document["id"]]).get(document["id"])
        # Its kegiatan may have been published or withdrawn between the two questions.
        if still and made_of == _made_of(still.stamp, still.stamp_kegiatan):
            dataset[PREPARED] = {
                "made_of": made_of,
                "fields": _fields(public),
                "packed": sdi.packed(copy.get("extras") or ()),
            }
            dataset[PREPARED]["seal"] = _seal(dataset, document["data_dict"])
        # Without spaces: a search reads a hundred of them.
        document["validated_data_dict"] = json.dumps(dataset, separators=(",", ":"))
    else:
        document["capacity"] = "private"
    _index_rows(document, dataset)
    # Core puts extras among the fields, and Solr has its own by such names.
    for name in [name for name in document if name.startswith("_")]:
        del document[name]
    return document


def _seal(dataset: dict[str, Any], data_dict: str) -> str:
    """What only the portal can make of a dataset's two copies in the index."""
    text = json.dumps([dataset, data_dict], sort_keys=True, separators=(",", ":"))
    key = str(tk.config["SECRET_KEY"]).encode()
    return hmac.new(key, text.encode(), "sha256").hexdigest()


def sound(documents: Collection[dict[str, Any]]) -> set[str]:
    """Ids of those public documents that stand as the portal wrote them since the last publication.

    Args:
        documents: of the index, with id, validated_data_dict and data_dict.
    """
    now = rows(document["id"] for document in documents)
    return {
        document["id"]
        for document in documents
        # Whatever its kegiatan, of which a reader is told what is true anyway.
        if document["id"] in now
        and _written(document).startswith(_made_of(now[document["id"]].stamp, ""))
    }


def _written(document: dict[str, Any]) -> str:
    """What a document was made of; nothing where another hand was at it."""
    try:
        dataset = json.loads(document["validated_data_dict"])
        known = dataset[PREPARED]
        seal = known.pop("seal")
        mine = hmac.compare_digest(seal, _seal(dataset, document["data_dict"]))
        return known["made_of"] if mine else ""
    except (ValueError, LookupError, TypeError, AttributeError):
        return ""


#: The kind of `remembered` for the dataset that is being indexed.
_INDEXED = "indexed"
#: Text of repeating blocks that is searched, in characters.
MAX_ROWS_TEXT = 20_000
#: Subfields of repeating blocks by which people search.
_SEARCHED = ("nama", "alias")
#: Longest term of a Solr string field, in bytes (Lucene's IndexWriter.MAX_TERM_LENGTH).
_MAX_TERM = 32_766


def _searchable(fields: list[schema.Field], item: dict[str, Any]) -> dict[str, str]:
    """Repeating block -> the names in its rows."""
    found = {}
    for field in fields:
        if field.get("jenis") == "berulang":
            rows = schema.rows(field, item.get(field["field_name"]))
            words = (str(row[name]) for row in rows for name in _SEARCHED if name in row)
            found[field["field_name"]] = " ".join(words)[:MAX_ROWS_TEXT]
    return found


def _index_rows(document: dict[str, Any], dataset: dict[str, Any]) -> None:
    """Rows leave the document but for their names; nothing is too long for Solr."""
    blocks = _searchable(schema.fields(dataset["type"]), dataset)
    for name, words in blocks.items():
        document.pop(name, None)
        # Solr copies extras_* and res_extras_* into what is searched.
        document[f"extras_{name}"] = words
    columns = schema.fields(dataset["type"], "resource_fields")
    for resource in dataset["resources"]:
        for name, words in _searchable(columns, resource).items():
            document.setdefault(f"res_extras_{name}", []).append(words)
    for name in [name for name in document if f"extras_{name}" in document]:
        if len(str(document[name]).encode()) > _MAX_TERM:
            del document[name]


def labels(
    packages: Collection[core.Package], known: dict[str, Any] | None = None
) -> dict[str, list[str]]:
    """Dataset id -> permission labels of which a reader must hold one; two queries for all.

    Members read their organization's datasets, Walidata all, Pembina Data Prioritas.

    Args:
        packages: gated ones.
        known: what `hidden` says of them, if it was just asked.
    """
    ids = {package.id for package in packages}
    # Only what its row says is not private needs the question: an old row hides, it never shows.
    open_ = {package.id for package in packages if not package.private}
    public = _public(open_) if open_ else set()
    # The many readers of published data pay for one query only.
    known = hidden(list(ids - public)) if known is None else known
    found = {}
    for package in packages:
        if package.state == "active" and package.id in public:
            found[package.id] = ["public"]
            continue
        own = (
            f"member-{package.owner_org}"
            if package.owner_org
            else f"creator-{package.creator_user_id}"
        )
        row = known.get(package.id)
        found[package.id] = [own, *[PEMBINA] * bool(row and row.of_pembina), WALIDATA]
    return found


class Labels(DefaultPermissionLabels):
    """CKAN's own labels, and those of the checkers."""

    def get_dataset_labels(self, dataset_obj: core.Package) -> list[str]:
        """Labels of which a reader must hold one."""
        if dataset_obj.type in UNGATED_TYPES:
            return super().get_dataset_labels(dataset_obj)
        known = remembered(_INDEXED)
        row = {dataset_obj.id: known.pop(dataset_obj.id)} if dataset_obj.id in known else None
        return labels([dataset_obj], row)[dataset_obj.id]

    def get_user_dataset_labels(self, user_obj: Any) -> list[str]:
        """Labels that a reader holds."""
        if not user_obj or user_obj.is_anonymous or user_obj.sysadmin:
            return super().get_user_dataset_labels(user_obj)
        # Collaborators, whom core adds if they are on, read nothing here; nor do members of an
        # organization above, whom it adds where a setting says so.
        member = membership(user_obj)
        labels = ["public", f"creator-{user_obj.id}"]
        labels += [f"member-{id_}" for id_ in member.reads]
        held = {name for group in member.acts.values() for name in group}
        if Peran.WALIDATA in held:
            labels.append(WALIDATA)
        if Peran.PEMBINA_DATA in held:
            labels.append(PEMBINA)
        return labels
