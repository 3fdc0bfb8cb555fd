"""Uploads, stored once under their SHA-256, and the row that says which bytes a resource has.

CKAN overwrites ``resources/<id>`` in place. Here the bytes lie at ``ab/cd/<sha256>`` of the storage
that ``ckan.files.default_storages.resource`` names, nothing is ever overwritten, and `Pointer`
leads from the resource to them: written in the transaction of the dataset, under its trigger.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import errno
import hashlib
import logging
import mimetypes
import os
import tempfile
import time
import uuid
import zipfile
from collections.abc import Iterator
from typing import IO, Any, cast

import ckan.plugins.toolkit as tk
import file_keeper as fk
import flask
import magic
import sqlalchemy as sa
from ckan import model
from ckan.lib import files
from ckan.lib.munge import munge_filename
from ckan.lib.uploader import FKResourceUpload
from ckan.types import Response
from file_keeper.default.adapters.fs import FsStorage

from .doors import text
from .model import Pointer
from .statement import Statement
from .workflow.table import UNGATED_TYPES

log = logging.getLogger(__name__)

CHUNK = 1 << 20
#: How much of a file is looked at to tell what it is, in bytes.
SAMPLE = 1 << 16
#: Where an upload lies until it is complete.
PARTS = "tmp"
#: First key of our PostgreSQL advisory locks on content; the second is made from the hash.
LOCK = 0x5D1F
#: Key of the lock that a backup holds (deploy/backup.py) while it copies what is to be kept.
BACKUP = 0x5D22

#: Shown in the browser from the portal's own address; all else is downloaded. No type that can
#: hold script (HTML, SVG, XML) belongs here.
INLINE = frozenset(
    {
        "application/json",
        "application/pdf",
        "image/gif",
        "image/jpeg",
        "image/png",
        "image/webp",
        "text/csv",
        "text/plain",
        "text/tab-separated-values",
    }
)
#: Content-Security-Policy of all else: opened by itself, no script of it runs.
SANDBOX = "default-src 'none'; sandbox"

_OOXML = "application/vnd.openxmlformats-officedocument."
#: extension -> (what the content may be, media type). Other extensions hold what they like.
EXTENSIONS: dict[str, tuple[frozenset[str], str]] = {
    "csv": (frozenset({"teks"}), "text/csv"),
    "tsv": (frozenset({"teks"}), "text/tab-separated-values"),
    "txt": (frozenset({"teks", "json", "xml"}), "text/plain"),
    "json": (frozenset({"teks", "json"}), "application/json"),
    "geojson": (frozenset({"teks", "json"}), "application/geo+json"),
    "xlsx": (frozenset({"xlsx"}), _OOXML + "spreadsheetml.sheet"),
    "xls": (frozenset({"xls"}), "application/vnd.ms-excel"),
    "ods": (frozenset({"ods"}), "application/vnd.oasis.opendocument.spreadsheet"),
    "docx": (frozenset({"docx"}), _OOXML + "wordprocessingml.document"),
    "pptx": (frozenset({"pptx"}), _OOXML + "presentationml.presentation"),
    "pdf": (frozenset({"pdf"}), "application/pdf"),
    "zip": (frozenset({"zip"}), "application/zip"),
}
#: libmagic's answer -> our name of the kind.
_MAGIC = {
    "application/pdf": "pdf",
    "application/json": "json",
    "application/x-ndjson": "json",
    "application/gzip": "zip",
    "application/x-rar": "zip",
    "application/x-7z-compressed": "zip",
    "application/x-dosexec": "program",
    "application/vnd.microsoft.portable-executable": "program",
    "application/x-executable": "program",
    "application/x-pie-executable": "program",
    "application/x-sharedlib": "program",
    "text/html": "html",
    "text/xml": "xml",
    "application/xml": "xml",
    "image/svg+xml": "xml",
}


def _label(kind: str) -> str:
    """Name of a kind of content as people say it."""
    return {
        "teks": tk._("berkas teks atau CSV"),
        "json": tk._("berkas JSON"),
        "xml": tk._("berkas XML"),
        "html": tk._("halaman web (HTML)"),
        "xlsx": tk._("buku kerja Excel (.xlsx)"),
        "xls": tk._("buku kerja Excel lama (.xls)"),
        "ods": tk._("lembar kerja OpenDocument (.ods)"),
        "docx": tk._("dokumen Word (.docx)"),
        "pptx": tk._("presentasi PowerPoint (.pptx)"),
        "ole": tk._("dokumen Office lama"),
        "pdf": tk._("dokumen PDF"),
        "zip": tk._("berkas terkompresi (ZIP, RAR, 7z, gzip)"),
        "gambar": tk._("gambar"),
        "program": tk._("program komputer"),
    }.get(kind, tk._("data biner yang tidak dikenal"))


def human_size(size: float) -> str:
    """A size in bytes as Indonesian text, decimal units: 1536000 -> "1,5 MB"."""
    units = ["B", "kB", "MB", "GB"]
    unit = units.pop(0)
    while size >= 1000 and units:
        size, unit = size / 1000, units.pop(0)
    text = f"{size:.0f}" if unit == "B" or size == int(size) else f"{size:.1f}"
    return f"{text.replace('.', ',')} {unit}"


def _zip_kind(stream: IO[bytes]) -> str:
    try:
        with zipfile.ZipFile(stream) as archive:
            names = set(archive.namelist())
            if "mimetype" in names:
                with archive.open("mimetype") as declared:
                    if b"opendocument.spreadsheet" in declared.read(200):
                        return "ods"
            elif "[Content_Types].xml" in names:
                for folder, kind in (("xl/", "xlsx"), ("word/", "docx"), ("ppt/", "pptx")):
                    if any(name.startswith(folder) for name in names):
                        return kind
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, OSError, ValueError):
        pass  # torn or encrypted: it is a ZIP all the same
    return "zip"


def _ole_kind(stream: IO[bytes], head: bytes) -> str:
    """Which Office file of the OLE format: read from its directory ([MS-CFB] 2.2, 2.6)."""
    sector = 1 << int.from_bytes(head[30:32], "little")
    if sector not in (512, 4096):
        return "ole"
    stream.seek((int.from_bytes(head[48:52], "little") + 1) * sector)
    directory = stream.read(8 * sector)

    def has(name: str) -> bool:
        return name.encode("utf-16-le") + b"\0\0" in directory

    if has("EncryptedPackage"):
        return "terkunci"
    return "xls" if has("Workbook") or has("Book") else "ole"


def sniff(stream: IO[bytes]) -> str:
    """What a file is by its content.

    Args:
        stream: seekable; left at its beginning.

    Returns:
        a kind: "teks", "xlsx", "xls", "ods", "docx", "pptx", "pdf", "zip", "html", "xml", "json",
        "gambar", "program", "ole", "terkunci" (Office with a password), "kosong" or "biner".
    """
    stream.seek(0)
    head = stream.read(SAMPLE)
    try:
        if not head.strip(b" \t\r\n\0\xef\xbb\xbf"):
            # Blank beginnings are rare: only then is the rest worth a look.
            rest = iter(lambda: stream.read(CHUNK), b"")
            if not any(block.strip(b" \t\r\n\0") for block in rest):
                return "kosong"
        if head[:4] in (b"PK\x03\x04", b"PK\x05\x06"):
            return _zip_kind(stream)
        if head[:8] == b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1":
            return _ole_kind(stream, head)
        text = head.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
        if text.startswith((b"<!doctype html", b"<html", b"<head", b"<table", b"<script")):
            return "html"
        guess = magic.from_buffer(head, mime=True)
        if guess in _MAGIC:
            return _MAGIC[guess]
        if guess.startswith("image/"):
            return "gambar"
        # UTF-16 is the only text that holds NUL bytes, and Excel marks it.
        utf16 = head[:2] in (b"\xff\xfe", b"\xfe\xff")
        if utf16 or (b"\0" not in head and not guess.startswith(("audio/", "video/"))):
            return "teks"
        return "biner"
    finally:
        stream.seek(0)


def extension(filename: str) -> str:
    """Lower-case extension of a file name or URL, without the dot."""
    return os.path.splitext(filename)[1][1:].lower()


def examine(stream: IO[bytes], filename: str) -> str:
    """Check that a file is what its name says.

    Args:
        stream: seekable content.
        filename: with the extension to hold it against.

    Returns:
        its media type.

    Raises:
        ValidationError: on ``upload``, saying what the file is and what to do.
    """
    ext, kind = extension(filename), sniff(stream)
    if kind == "kosong":
        _refuse(
            tk._(
                "Berkas {name} kosong (tidak berisi data). Periksa berkasnya, lalu unggah kembali."
            ).format(name=filename)
        )
    if kind == "terkunci":
        _refuse(
            tk._(
                "Berkas {name} dilindungi kata sandi sehingga tidak dapat dibaca. Hapus kata "
                "sandinya di Excel (Berkas → Info → Proteksi), simpan, lalu unggah kembali."
            ).format(name=filename)
        )
    allowed, mimetype = EXTENSIONS.get(ext, (frozenset({kind}), ""))
    if kind not in allowed:
        if kind in ("xlsx", "xls", "ods", "docx", "pptx", "pdf", "zip"):
            remedy = tk._(
                "Ganti akhiran namanya sesuai isinya, atau simpan ulang datanya sebagai .{ext}, "
                "lalu unggah kembali."
            )
        elif kind == "teks":
            remedy = tk._(
                "Ganti akhiran namanya menjadi .csv, atau simpan ulang sebagai .{ext} dari "
                "aplikasinya, lalu unggah kembali."
            )
        else:
            remedy = tk._(
                "Buka sumber datanya, simpan atau ekspor sebagai .{ext}, lalu unggah hasilnya."
            )
        _refuse(
            tk._("Berkas {name} berakhiran .{ext}, tetapi isinya {kind}.").format(
                name=filename, ext=ext, kind=_label(kind)
            )
            + " "
            + remedy.format(ext=ext)
        )
    if kind == "program":
        _refuse(
            tk._(
                "Berkas {name} adalah program komputer, bukan data. Unggah berkas datanya."
            ).format(name=filename)
        )
    if mimetype:
        return mimetype
    guess = magic.from_buffer(stream.read(SAMPLE), mime=True)
    stream.seek(0)
    if guess in ("application/octet-stream", "text/plain", "application/zip", "text/xml"):
        guess = mimetypes.guess_type("x." + ext)[0] or guess
    return guess


def _refuse(message: str) -> None:
    raise tk.ValidationError({"upload": [message]})


def too_large(size: int, limit: int) -> str:
    """The sentence for an upload over the limit (both in bytes)."""
    return tk._(
        "Ukuran berkas {size} melebihi batas unggahan {limit}. Pecah datanya menjadi beberapa "
        "berkas (misalnya per tahun), lalu unggah satu per satu."
    ).format(size=human_size(size), limit=human_size(limit))


#: A full disk, a used-up quota, a limit on the size of files.
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def full() -> str:
    """The sentence for an upload that the disk has no room for."""
    return tk._(
        "Ruang penyimpanan portal penuh; berkas tidak disimpan dan tidak ada yang berubah. Hubungi "
        "pengelola portal, lalu unggah kembali."
    )


# The pointer


def pointer(resource_id: str) -> Pointer | None:
    """Which bytes a resource has; None when it has no file."""
    # The row may have been moved by SQL since the session last saw it.
    return model.Session.get(Pointer, resource_id, populate_existing=True)


def location(sha256: str) -> files.Location:
    """Where content lies in the storage."""
    return files.Location(f"{sha256[:2]}/{sha256[2:4]}/{sha256}")


def storage() -> fk.Storage:
    """The storage of resources (``ckan.files.default_storages.resource``)."""
    return files.get_storage(tk.config["ckan.files.default_storages.resource"])


@contextlib.contextmanager
def local_copy(sha256: str) -> Iterator[str]:
    """Path of a local file with the content: its own, or a copy when the storage is remote.

    Raises:
        file_keeper.exc.MissingFileError: the storage has no such content.
    """
    store, where = storage(), location(sha256)
    if isinstance(store, FsStorage):
        if not store.exists(files.FileData(where)):
            raise fk.exc.MissingFileError(store, where)
        yield store.full_path(where)
        return
    with tempfile.NamedTemporaryFile() as copy:
        for block in store.stream(files.FileData(where)):
            copy.write(block)
        copy.flush()
        yield copy.name


_POINT = Statement(
    """INSERT INTO satudata_file AS known (resource_id, sha256, size)
    SELECT $3, $4, $5 FROM pg_advisory_xact_lock_shared($1, $2)
    ON CONFLICT (resource_id) DO UPDATE SET sha256 = excluded.sha256, size = excluded.size
    WHERE known.sha256 <> excluded.sha256""",
    "lock",
    "key",
    "resource",
    "sha256",
    "size",
)


def _lock_key(sha256: str) -> int:
    return int.from_bytes(bytes.fromhex(sha256[:8]), "big", signed=True)


def point(resource_id: str, sha256: str, size: int) -> None:
    """Point a resource to content of a size in bytes, which then is to be stored.

    Keeps `collect` away from the content until the session's transaction ends.

    Raises:
        IntegrityError: the dataset is frozen.
    """
    _POINT(lock=LOCK, key=_lock_key(sha256), resource=resource_id, sha256=sha256, size=size)


def portal_fields(resource: dict[str, Any]) -> None:
    """Set in a client's resource what only the portal says of it.

    These are `hash`, `size` and `mimetype` of an upload, `datastore_active` and the times.
    ``package_create`` never asks the uploader, so it calls this for each of its resources.
    """
    stored = _stored(resource, "last_modified")
    if resource.get("url_type") is None and stored:
        resource["url_type"] = stored.url_type  # as core does, but after this
    if resource.get("url_type") != "upload":
        return
    row = pointer(stored.id) if stored else None
    if not row or not stored:
        resource.update(hash="", size=None, mimetype=None)
        return
    resource.update(hash=row.sha256, size=row.size, mimetype=stored.mimetype)
    # As of what is uploaded: the name that is read is the one that is downloaded.
    name = resource["url"] = munge_filename(str(resource.get("url") or "").rsplit("/")[-1])
    if extension(name) != extension(stored.url) or stored.hash != row.sha256:
        with local_copy(row.sha256) as path, open(path, "rb") as stream:
            resource["mimetype"] = examine(stream, name)


def _stored(resource: dict[str, Any], *times: str) -> model.Resource | None:
    """The resource as it is stored; its times and `datastore_active` become what they are there."""
    stored = model.Session.get(model.Resource, resource["id"]) if resource.get("id") else None
    resource.pop("datastore_active", None)
    for name in ("created", "cache_last_updated", *times):
        resource.pop(name, None)
        if stored and (known := getattr(stored, name)):
            resource[name] = known.isoformat()
    if stored and "datastore_active" in stored.extras:
        resource["datastore_active"] = stored.extras["datastore_active"]
    return stored


class ContentUpload(FKResourceUpload):
    """CKAN's resource uploader on content addresses.

    Made for every changed resource before it is validated, and again to serve a download; `upload`
    is called after the flush and before Solr and the commit.
    """

    sha256: str | None = None

    def __init__(self, resource: dict[str, Any]) -> None:
        super().__init__(resource)
        self._shown = resource.get("hash")
        if not self.filename:
            portal_fields(resource)
            return
        limit = cast(files.Settings, storage().settings).max_size
        if 0 <= limit < self.filesize:
            _refuse(too_large(self.filesize, limit))
        stream = cast(IO[bytes], self.upload_file.stream)
        self.mimetype = examine(stream, self.filename)
        digest = hashlib.sha256()
        while block := stream.read(CHUNK):
            digest.update(block)
        stream.seek(0)
        self.sha256 = digest.hexdigest()
        _stored(resource)
        resource.update(hash=self.sha256, size=self.filesize, mimetype=self.mimetype)

    def get_path(self, id: str) -> files.Location:
        """Where the bytes of a resource lie; a place without a file when it has none."""
        row = pointer(id)
        # What was shown to the reader; it may have been withdrawn and changed since.
        if row is None or (self._shown and row.sha256 != self._shown):
            return files.Location(f"{PARTS}/tidak-ada")
        where = location(row.sha256)
        if not storage().exists(files.FileData(where)):
            # Core says that there is no download.
            log.error("Content %s of resource %s is not in the storage", row.sha256, id)
        return where

    def upload(self, id: str, max_size: int = 10) -> None:
        """Point the resource to its bytes, then store them.

        In this order, since the trigger may refuse the row: nothing is stored then. When storing
        fails the row is rolled back; when the commit fails `collect` removes the bytes.

        Raises:
            ValidationError: the storage is full or can't be written.
            IntegrityError: the dataset is frozen.
        """
        if self.sha256 is None:
            row, resource = pointer(id), model.Session.get(model.Resource, id)
            if row and resource and resource.url_type != "upload":
                model.Session.delete(row)  # became a link
                model.Session.flush()
            return
        point(id, self.sha256, self.filesize)
        try:
            _store(self.sha256, self.filesize, cast(IO[bytes], self.upload_file.stream))
        except (OSError, fk.exc.StorageError) as error:
            model.Session.rollback()
            log.exception("Storing the upload of resource %s failed", id)
            if getattr(error, "errno", None) in _FULL:
                _refuse(full())
            _refuse(
                tk._(
                    "Berkas gagal disimpan dan tidak ada yang berubah. Coba unggah kembali; bila "
                    "tetap gagal, hubungi pengelola portal."
                )
            )


def get_resource_uploader(resource: dict[str, Any]) -> ContentUpload:
    """For ``IUploader.get_resource_uploader``."""
    return ContentUpload(resource)


def _store(sha256: str, size: int, stream: IO[bytes]) -> None:
    """Store content unless it is there; it is on the disk then.

    What lies under a hash is whole at any moment.
    """
    store, target = storage(), location(sha256)
    goal = store.full_path(target) if isinstance(store, FsStorage) else None
    with contextlib.suppress(fk.exc.MissingFileError, FileNotFoundError):
        known = os.path.getsize(goal) if goal else store.size(target)
        if known == size:
            if goal:
                # Another upload may have put it there just now, and not have come as far as this.
                _keep_name(goal)
            return
        log.error("Content %s is damaged in the storage: stored again", sha256)
    stream.seek(0)
    if not goal:
        # An object store shows an object when it is complete.
        store.upload(target, fk.Upload(cast(Any, stream), sha256, size, "application/octet-stream"))
        return
    part = store.full_path(files.Location(f"{PARTS}/{uuid.uuid4().hex}"))
    try:
        for path in (part, goal):
            os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(part, "xb") as written:
            digest = hashlib.sha256()
            while block := stream.read(CHUNK):
                digest.update(block)
                written.write(block)
            if digest.hexdigest() != sha256:
                raise OSError(errno.EIO, "upload changed while it was stored")
            written.flush()
            os.fsync(written.fileno())
        os.replace(part, goal)
        _keep_name(goal)
    finally:
        with contextlib.suppress(FileNotFoundError):
            os.remove(part)


def _keep_name(path: str) -> None:
    """Have the names that lead to content on the disk."""
    for _ in range(3):  # as deep as `location` is
        path = os.path.dirname(path)
        keep_names(path)


def keep_names(folder: str | os.PathLike[str]) -> None:
    """Have the names in a folder on the disk; a file's own fsync is for its bytes only."""
    opened = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)


#: How long a deleted dataset keeps its files, so that it can be restored with them.
TRASH_DAYS = 7
#: Ids of the datasets deleted longer ago. Only drafts are ever deleted; the event says when, and
#: what has none (by SQL) keeps its files.
_TRASH = f"""
    SELECT p.id FROM package p WHERE p.state = 'deleted' AND p.type <> ALL (:ungated)
      AND (SELECT max(e.at) FROM satudata_event e WHERE e.package_id = p.id
        AND e.event = 'dihapus') < now() - interval '{TRASH_DAYS} days'
"""

_REFERENCED = """
    SELECT sha256 FROM satudata_file
    UNION SELECT f->>'sha256' FROM satudata_publication p
      JOIN package ON package.id = p.package_id, jsonb_array_elements(p.files) f
"""


def empty_trash() -> int:
    """Take the files from datasets that were deleted more than `TRASH_DAYS` ago.

    One that is restored later asks for its files again. `collect` removes the bytes, the next
    `reconcile` the tables.

    Returns:
        how many resources had one.
    """
    assert model.meta.engine
    with model.meta.engine.begin() as connection:
        return connection.execute(
            sa.text(
                "DELETE FROM satudata_file f USING resource r WHERE r.id = f.resource_id"
                f" AND r.package_id IN ({_TRASH})"
            ),
            {"ungated": list(UNGATED_TYPES)},
        ).rowcount


def _remove(store: fk.Storage, where: files.Location) -> bool:
    """Remove an object, which the settings let nobody else do (`disabled_capabilities`)."""
    return store.manager.remove(files.FileData(where), {})


def collect(grace_hours: float = 24) -> int:
    """Remove content that no resource and no publication of an existing dataset points to.

    Nothing is removed while a backup is made.

    Args:
        grace_hours: how long content (or the part of a broken upload) is left alone.

    Returns:
        how many objects were removed.
    """
    store, removed = storage(), 0
    assert model.meta.engine
    with model.meta.engine.connect() as connection:
        referenced = set(connection.scalars(sa.text(_REFERENCED)))
    newest = time.time() - grace_hours * 3600
    for name in list(store.scan()):
        where, sha256 = files.Location(name), os.path.basename(name)
        is_part = name.startswith(PARTS + "/")
        if sha256 in referenced or not (is_part or name == location(sha256)):
            continue
        if isinstance(store, FsStorage):
            try:
                if os.stat(store.full_path(where)).st_mtime > newest:
                    continue
            except FileNotFoundError:
                continue
        if is_part:
            removed += _remove(store, where)
            continue
        with model.meta.engine.begin() as connection:
            # An upload of the same bytes holds the lock until its pointer is committed.
            free = connection.scalar(
                sa.text(
                    "SELECT pg_try_advisory_xact_lock_shared(:backup)"
                    " AND pg_try_advisory_xact_lock(:lock, :key)"
                ),
                {"backup": BACKUP, "lock": LOCK, "key": _lock_key(sha256)},
            )
            used = free and connection.scalar(
                sa.text(f"SELECT :sha256 IN ({_REFERENCED})"), {"sha256": sha256}
            )
            if free and not used:
                removed += _remove(store, where)
    return removed


# Requests and downloads


def middleware(app: Any) -> None:
    """Hooks on requests, for ``IMiddleware``: `after_request`, and limits on what is sent.

    A body over the upload limit is refused before it is read. Flask's limits on forms (1,000 parts,
    500 kB of text) are lifted, for metadata of wide tables.
    """
    limit = cast(files.Settings, storage().settings).max_size
    if limit >= 0:
        # The file, and room for the metadata sent with it.
        app.config["MAX_CONTENT_LENGTH"] = limit + 16 * CHUNK
    app.config["MAX_FORM_PARTS"] = 20_000
    app.config["MAX_FORM_MEMORY_SIZE"] = 16 * CHUNK

    def refuse() -> Any:
        size, most = flask.request.content_length, app.config.get("MAX_CONTENT_LENGTH")
        if most is None or size is None or size <= most:
            return None
        return _answer(413, too_large(size, limit))

    def no_room(error: OSError) -> Any:
        # What is sent is kept on the disk while the form is read, before any action sees it.
        if error.errno not in _FULL:
            raise error
        log.error("An upload was refused: %s", error)
        return _answer(507, full())

    # After CKAN's own function, which knows the language, before the CSRF check reads the form.
    app.before_request_funcs[None].insert(1, refuse)
    app.register_error_handler(OSError, no_room)
    app.before_request(_before_download)
    app.after_request(after_request)


def _answer(status: int, message: str) -> Any:
    """A refused upload, told to programs as JSON and to people as a page."""
    if flask.request.path.startswith("/api/"):
        error = {"__type": "Validation Error", "upload": [message]}
        return {"success": False, "error": error}, status
    return tk.render("error_document_template.html", {"code": status, "content": message}), status


#: What a client has of a file already: compared by us, with what we say of it.
_CONDITIONS = (
    "HTTP_IF_MATCH", "HTTP_IF_NONE_MATCH", "HTTP_IF_MODIFIED_SINCE", "HTTP_IF_UNMODIFIED_SINCE",
    "HTTP_IF_RANGE",
)  # fmt: skip


def _before_download() -> None:
    """Take the conditions from a request for bytes, which Flask would compare with the file's time.

    That is when anybody first uploaded the same bytes, perhaps to a dataset that is not public.
    """
    environ = flask.request.environ
    if not (flask.request.endpoint or "").endswith("resource.download"):
        return
    asked = flask.g.satudata_conditions = {
        name: environ.pop(name) for name in _CONDITIONS if name in environ
    }
    if "HTTP_IF_RANGE" in asked:
        row = pointer(text((flask.request.view_args or {}).get("resource_id")) or "")
        if not row or asked["HTTP_IF_RANGE"] != f'"{row.sha256}"':
            environ.pop("HTTP_RANGE", None)  # the whole, as of something else


def after_request(response: Response) -> Response:
    """Headers of what is downloaded: no script from our address, nothing private in a cache."""
    endpoint, args = flask.request.endpoint or "", flask.request.view_args or {}
    download = endpoint.endswith("resource.download")
    # OPTIONS asks for no rights, so it is told nothing of the file.
    if (not download and endpoint != "datastore.dump") or flask.request.method == "OPTIONS":
        return response
    row = model.Session.execute(
        sa.select(
            model.Resource.url,
            model.Resource.hash,
            model.Resource.last_modified,
            model.Package.private,
        )
        .join(model.Package, model.Package.id == model.Resource.package_id)
        .where(model.Resource.id == (text(args.get("resource_id")) or ""))
    ).first()
    if row is None or row.private is not False:
        # CKAN's own after_request would mark the response as public.
        flask.request.environ["__no_cache__"] = True
        response.headers["Cache-Control"] = "private, no-store"
    if download:
        # Of the file on the disk, whatever the answer.
        response.headers.pop("ETag", None)
        response.headers.pop("Last-Modified", None)
    if download and row is not None and response.status_code in (200, 206):
        inline = response.mimetype in INLINE
        response.headers.set(
            "Content-Disposition",
            "inline" if inline else "attachment",
            filename=row.url.rsplit("/")[-1],
        )
        if not inline:
            response.headers["Content-Security-Policy"] = SANDBOX
        if row.hash:
            response.set_etag(row.hash)
        if row.last_modified:
            response.last_modified = row.last_modified.replace(tzinfo=dt.timezone.utc)
        if response.status_code == 200 and (asked := flask.g.get("satudata_conditions")):
            response.make_conditional({**flask.request.environ, **asked})
    return response
