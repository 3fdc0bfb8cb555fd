"""The loader on a real DataStore: whole tables, exactly as datastore_create makes them."""

from __future__ import annotations

import gzip
import io
import threading
import uuid
from collections.abc import Callable
from typing import Any

import ckan.plugins.toolkit as tk
import pytest
import redis.exceptions
import sqlalchemy as sa
from ckan import model
from ckan.lib import jobs
from ckan.tests import factories
from ckanext.datastore.backend import postgres
from werkzeug.datastructures import FileStorage

from ckanext.satudata_trenggalek import files, findings, tables

pytestmark = pytest.mark.usefixtures("clean_db", "clean_queues")

CSV = b"kode,kecamatan,jumlah\n001,Panggul,12\n002,Munjungan,\n"
Call = Callable[..., Any]


@pytest.fixture
def call() -> Call:
    user = factories.User()
    organization = factories.Organization(users=[{"name": user["name"], "capacity": "editor"}])

    def call(action: str, **data: Any) -> Any:
        model.Session.remove()
        if action == "package_create":
            data = {"title": "Data", "owner_org": organization["id"], **data}
            data.setdefault("name", f"data-{uuid.uuid4().hex[:8]}")
        return tk.get_action(action)({"user": user["name"]}, data)

    return call


@pytest.fixture
def upload(call: Call) -> Callable[..., str]:
    """Upload a file into a new dataset, or anew into a resource; the resource's id."""

    def upload(data: bytes = CSV, name: str = "data.csv", id: str | None = None) -> str:
        file = FileStorage(io.BytesIO(data), filename=name)
        if id:
            return call("resource_update", id=id, name="data", upload=file)["id"]
        package = call("package_create")["id"]
        return call("resource_create", package_id=package, name="data", upload=file)["id"]

    return upload


def work() -> None:
    """What the worker would do now."""
    queue = jobs.get_queue()
    for job in list(queue.jobs):
        job.delete()
        if job.func is tables.load:
            tables.load(*job.args)


def datastore(query: str) -> list[Any]:
    with postgres.get_write_engine().begin() as connection:
        return list(connection.execute(sa.text(query)))


def structure(table: str) -> list[Any]:
    """Columns, indexes, triggers, owner and privileges of a table, without its name."""
    rows = datastore(f"""
        SELECT 'c', attname, format_type(atttypid, atttypmod), attnotnull::text FROM pg_attribute
          WHERE attrelid = '"{table}"'::regclass AND attnum > 0 AND NOT attisdropped
        UNION ALL SELECT 'i', indexname, indexdef, '' FROM pg_indexes WHERE tablename = '{table}'
        UNION ALL SELECT 't', tgname, pg_get_triggerdef(oid), tgenabled::text FROM pg_trigger
          WHERE tgrelid = '"{table}"'::regclass
        UNION ALL SELECT 'o', relowner::regrole::text, relacl::text, '' FROM pg_class
          WHERE oid = '"{table}"'::regclass
        UNION ALL SELECT 's', pg_get_serial_sequence('"{table}"', '_id'), '', ''""")
    index = postgres._generate_index_name(table, '"_full_text"')
    return sorted(
        tuple(
            str(cell).replace(table, "TABLE").replace(index, "INDEX").replace('"', "")
            for cell in row
        )
        for row in rows
    )


def test_upload_is_loaded_by_the_job(call: Call, upload: Callable[..., str]) -> None:
    resource = upload()
    package = call("resource_show", id=resource)["package_id"]
    row = tables.state(resource)
    assert row and row.state == "antre" and tables.pending(package) == [resource]
    before = call("package_show", id=package)["metadata_modified"]
    work()
    row, file = tables.state(resource), files.pointer(resource)
    assert row and file
    assert (row.state, row.sha256, row.rows, row.columns) == ("termuat", file.sha256, 2, 3)
    assert tables.loaded_sha(resource) == file.sha256 and tables.pending(package) == []
    shown = call("package_show", id=package)
    assert shown["resources"][0]["datastore_active"] is True
    assert shown["metadata_modified"] == before
    assert call("package_search", fq=f"id:{package}", include_private=True)["results"][0][
        "resources"
    ][0]["datastore_active"]
    views = call("resource_view_list", id=resource)
    assert [view["view_type"] for view in views] == ["datatables_view"]


def test_codes_stay_what_they_are_and_are_found(call: Call, upload: Callable[..., str]) -> None:
    resource = upload()
    work()
    found = call("datastore_search", resource_id=resource)
    assert found["records"] == [
        {"_id": 1, "kode": "001", "kecamatan": "Panggul", "jumlah": "12"},
        {"_id": 2, "kode": "002", "kecamatan": "Munjungan", "jumlah": None},
    ]
    assert found["total"] == 2
    assert call("datastore_search", resource_id=resource, q="munjungan")["total"] == 1
    assert call("datastore_search", resource_id=resource, filters={"kode": "001"})["total"] == 1


def test_table_is_as_datastore_create_makes_it(call: Call, upload: Callable[..., str]) -> None:
    resource, twin = upload(), upload()
    for _ in range(2):  # also when it replaced another
        tables.enqueue(resource)
        work()
    postgres.DatastorePostgresqlBackend.get_active_backend().delete({}, {"resource_id": twin})
    names = ("kode", "kecamatan", "jumlah")
    postgres.DatastorePostgresqlBackend.get_active_backend().create(
        {}, {"resource_id": twin, "fields": [{"id": n, "type": "text"} for n in names]}, {}
    )
    assert structure(resource) == structure(twin)
    with postgres.get_read_engine().connect() as reader:
        assert reader.execute(sa.text(f'SELECT count(*) FROM "{resource}"')).scalar() == 2


def test_headers_that_had_to_change_are_told(call: Call, upload: Callable[..., str]) -> None:
    resource = upload(b"Persentase (%),,Persentase (%),jam :mulai\n1,2,3,4\n")
    work()
    row = tables.state(resource)
    assert row and row.message and row.state == "termuat"
    assert "“Persentase (%)” → “Persentase (%)_2”" in findings.tell(row.message)
    found = call("datastore_search", resource_id=resource, q="3", sort="jam mulai desc")
    assert found["records"][0]["Persentase (%)_2"] == "3"
    (field,) = (f for f in found["fields"] if f["id"] == "Persentase (%)_2")
    assert field["info"]["label"] == "Persentase (%)"


def test_load_is_idempotent_and_sync_cheap(call: Call, upload: Callable[..., str]) -> None:
    resource = upload()
    package = call("resource_show", id=resource)["package_id"]
    assert tables.sync(package) == []
    work()
    oid = datastore(f"SELECT '\"{resource}\"'::regclass::oid")
    tables.load(resource)
    assert tables.sync(package) == [] and jobs.get_queue().count == 0
    assert datastore(f"SELECT '\"{resource}\"'::regclass::oid") == oid
    call("resource_patch", id=resource, description="lain")
    assert call("resource_show", id=resource)["datastore_active"] and jobs.get_queue().count == 0


def test_queued_with_the_commit(call: Call, upload: Callable[..., str]) -> None:
    """Not before it, not of what is rolled back; a savepoint is no commit."""
    resource = upload()
    package = call("resource_show", id=resource)["package_id"]
    work()
    changed = sa.text('UPDATE resource SET extras = \'{"tanda_desimal": "koma"}\' WHERE id = :id')
    for end, jobs_then in ((model.Session.rollback, 0), (model.Session.commit, 1)):
        with model.Session.begin_nested():
            model.Session.execute(changed, {"id": resource})
            assert tables.sync(package) == [resource]
        assert jobs.get_queue().count == 0
        row = tables.state(resource)
        assert row and row.state == "antre"
        end()
        assert jobs.get_queue().count == jobs_then
        row = tables.state(resource)
        assert row and row.state == ("antre" if jobs_then else "termuat")
    work()
    assert tables.loaded_sha(resource) and tables.pending(package) == []


def test_new_file_replaces_the_table(call: Call, upload: Callable[..., str]) -> None:
    resource = upload()
    work()
    upload(b"lain;isi\na;b\n", id=resource)
    assert tables.loaded_sha(resource) is None
    work()
    found = call("datastore_search", resource_id=resource)
    assert found["records"] == [{"_id": 1, "lain": "a", "isi": "b"}] and found["total"] == 1
    assert datastore("SELECT 1 FROM pg_class WHERE relname LIKE '\\_muat%'") == []


def test_file_that_is_no_table_takes_the_old_one_away(
    call: Call, upload: Callable[..., str]
) -> None:
    resource = upload()
    work()
    upload(b"%PDF-1.4 laporan", "laporan.pdf", id=resource)
    work()
    row = tables.state(resource)
    assert row and row.state == "diperiksa" and tables.loaded_sha(resource) is None
    assert call("resource_show", id=resource)["datastore_active"] is False
    assert datastore(f"SELECT 1 FROM pg_class WHERE relname = '{resource}'") == []


def test_deleted_resource_loses_its_table(call: Call, upload: Callable[..., str]) -> None:
    resource = upload()
    work()
    call("resource_delete", id=resource)
    tables.requeue_stuck()
    work()
    assert tables.state(resource) is None
    assert datastore(f"SELECT 1 FROM pg_class WHERE relname = '{resource}'") == []


def test_bad_file_fails_with_row_and_remedy(
    call: Call, upload: Callable[..., str], app: Any
) -> None:
    resource = upload()
    package = call("resource_show", id=resource)["package_id"]
    work()
    upload(b'a,b\n1,2\n"3,4\n', id=resource)
    work()
    row = tables.state(resource)
    assert row and row.message and row.state == "gagal"
    told = findings.tell(row.message)
    assert "Baris 3" in told and "unggah" in told
    assert tables.failures(package) == {resource: told} and tables.pending(package) == []
    with app.flask_app.test_request_context(environ_overrides={"CKAN_LANG": "en"}):
        assert "Row 3" in tables.failures(package)[resource]
    # The old table is of other bytes.
    assert call("resource_show", id=resource)["datastore_active"] is False
    upload(CSV + b"003,Dongko,5\n", id=resource)
    work()
    assert call("datastore_search", resource_id=resource)["total"] == 3


def test_a_queue_that_fails_loses_nothing(
    call: Call, upload: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever the reason: what is committed stays, and its session goes on."""

    def broken(*args: Any, **kwargs: Any) -> None:
        raise RuntimeError("no queue")

    with monkeypatch.context() as patch:
        patch.setattr(tk, "enqueue_job", broken)
        resource = upload()
    model.Session.rollback()
    row = tables.state(resource)
    assert row and row.state == "antre" and tables.requeue_stuck(minutes=0) == 1
    work()
    assert tables.loaded_sha(resource)


def test_redis_down_loses_nothing(
    call: Call, upload: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def down(*args: Any, **kwargs: Any) -> None:
        raise redis.exceptions.ConnectionError("refused")

    with monkeypatch.context() as patch:
        patch.setattr(jobs, "enqueue", down)
        patch.setattr(tk, "enqueue_job", down)
        resource = upload()
    row = tables.state(resource)
    assert row and row.state == "antre" and findings.tell(row.message) == tables.WAITING
    assert tables.requeue_stuck() == 0, "it may be in the queue still"
    assert tables.requeue_stuck(minutes=0) == 1
    work()
    assert tables.loaded_sha(resource)


def test_datastore_down_is_tried_again(
    upload: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    resource = upload()
    with monkeypatch.context() as patch:
        nowhere = sa.create_engine("postgresql://x@127.0.0.1:1/x")
        patch.setattr(postgres, "get_write_engine", lambda: nowhere)
        tables.load(resource)
    row = tables.state(resource)
    assert row and row.state == "antre" and findings.tell(row.message) == tables.BUSY
    assert tables.requeue_stuck(minutes=0) == 1
    work()
    assert tables.loaded_sha(resource)


def test_load_of_an_older_file_never_hides_a_newer_one(
    upload: Callable[..., str], monkeypatch: pytest.MonkeyPatch, call: Call
) -> None:
    resource, fill = upload(), tables._fill

    def overtaken(*args: Any) -> int:
        monkeypatch.setattr(tables, "_fill", fill)
        upload(b"baru,isi\n1,2\n", id=resource)
        return fill(*args)

    monkeypatch.setattr(tables, "_fill", overtaken)
    tables.load(resource)
    row = tables.state(resource)
    assert row and row.state == "antre"
    work()
    assert call("datastore_search", resource_id=resource)["records"][0]["baru"] == "1"


def test_readers_see_a_whole_table_at_any_moment(upload: Callable[..., str]) -> None:
    rows = b"".join(b"%d,x\n" % i for i in range(20_000))
    resource = upload(b"n,t\n" + rows)
    work()
    counts: set[int] = set()
    stop = threading.Event()

    def look() -> None:
        with postgres.get_read_engine().connect() as reader:
            while not stop.is_set():
                counts.add(reader.scalar(sa.text(f'SELECT count(*) FROM "{resource}"')))
                reader.rollback()

    thread = threading.Thread(target=look)
    thread.start()
    try:
        for extra in (1, 2, 3):
            upload(b"n,t\n" + rows + b"1,y\n" * extra, id=resource)
            work()
    finally:
        stop.set()
        thread.join()
    assert counts <= {20_000, 20_001, 20_002, 20_003}


def test_row_with_very_long_text(call: Call, upload: Callable[..., str]) -> None:
    words = " ".join(f"kata{i}" for i in range(300_000))
    resource = upload(f"id,geom\n1,{words}\n".encode())
    work()
    row = tables.state(resource)
    assert row and row.state == "termuat"
    assert len(call("datastore_search", resource_id=resource)["records"][0]["geom"]) == len(words)


# --- tables follow the metadata, and what is found -------------------------------------------

NIK = "3503011203900001"


def rows(**types: str) -> list[dict[str, str]]:
    return [{"nama": name, "tipe_data": tipe} for name, tipe in types.items()]


def info(call: Call, resource: str) -> dict[str, Any]:
    return {field["id"]: field for field in call("datastore_info", id=resource)["fields"]}


def test_types_and_dictionary_follow_ms_variabel(call: Call, upload: Callable[..., str]) -> None:
    resource = upload(b"kode;n;luas;hari\n001;1.234;0,5;31/01/2025\n002;;;\n")
    variabel = rows(kode="character", n="integer", luas="float", hari="date")
    variabel[2] |= {"alias": "Luas panen", "definisi": "Luas yang dipanen.", "satuan": "hektare"}
    variabel[2] |= {"ukuran": "total"}
    call("resource_patch", id=resource, variabel=variabel, tanda_desimal="koma")
    work()
    found = call("datastore_search", resource_id=resource, sort="n asc")
    types = [field["type"] for field in found["fields"]]
    assert types == ["int", "text", "int8", "numeric", "date"]
    assert found["records"][0]["n"] == 1234 and found["records"][0]["kode"] == "001"
    assert float(found["records"][0]["luas"]) == 0.5
    assert str(found["records"][0]["hari"]).startswith("2025-01-31")
    fields = info(call, resource)
    assert fields["luas"]["info"] == {
        "label": "Luas panen", "notes": "Luas yang dipanen.", "unit": "Hektare (ha)",
    }  # fmt: skip
    assert call("datastore_search", resource_id=resource, filters={"n": 1234})["total"] == 1
    assert call("datastore_search", resource_id=resource, q="1234")["total"] == 1


def test_typed_table_is_as_datastore_create_makes_it(
    upload: Callable[..., str], call: Call
) -> None:
    resource, twin = upload(b"a,b,c,d\n1,2,x,2025-01-01\n"), upload()
    variabel = rows(a="integer", b="float", c="character", d="date")
    call("resource_patch", id=resource, variabel=variabel)
    work()
    types = {"a": "bigint", "b": "numeric", "c": "text", "d": "date"}
    backend = postgres.DatastorePostgresqlBackend.get_active_backend()
    backend.delete({}, {"resource_id": twin})
    fields = [{"id": name, "type": tipe} for name, tipe in types.items()]
    backend.create({}, {"resource_id": twin, "fields": fields}, {})
    assert structure(resource) == structure(twin)


def test_changed_metadata_is_loaded_again_and_nothing_else_is(
    call: Call, upload: Callable[..., str]
) -> None:
    resource = upload(b"a,b\n1,2\n")
    package = call("resource_show", id=resource)["package_id"]
    work()
    call("resource_patch", id=resource, variabel=rows(a="integer", b="integer"))
    assert tables.pending(package) == [resource]
    assert "sedang dimuat" in tables.blockers({"id": package})[0]["message"]
    work()
    assert tables.pending(package) == [] and tables.blockers({"id": package}) == []
    assert info(call, resource)["a"]["type"] == "int8"
    call("resource_patch", id=resource, variabel=rows(a="character", b="integer"))
    work()
    assert info(call, resource)["a"]["type"] == "text"
    call("resource_patch", id=resource, tanda_desimal="koma")
    assert tables.pending(package) == [resource]
    work()
    call("resource_patch", id=resource, description="lain")
    assert tables.pending(package) == [] and jobs.get_queue().count == 0


def test_tables_of_before_are_loaded_again_by_reconcile(upload: Callable[..., str]) -> None:
    resource = upload()
    work()
    assert tables.requeue_stuck() == 0
    with model.ensure_engine().begin() as connection:
        connection.execute(sa.text("UPDATE satudata_table SET metadata = NULL"))
    assert tables.requeue_stuck() == 1
    work()
    assert tables.loaded_sha(resource) and tables.requeue_stuck() == 0


def test_metadata_edited_during_a_load_are_not_lost(
    upload: Callable[..., str], monkeypatch: pytest.MonkeyPatch, call: Call
) -> None:
    resource, fill = upload(b"a,b\n1,2\n"), tables._fill
    package = call("resource_show", id=resource)["package_id"]

    def overtaken(*args: Any) -> int:
        monkeypatch.setattr(tables, "_fill", fill)
        call("resource_patch", id=resource, variabel=rows(a="integer", b="integer"))
        return fill(*args)

    monkeypatch.setattr(tables, "_fill", overtaken)
    tables.load(resource)
    assert tables.pending(package) == [resource]
    work()
    assert info(call, resource)["a"]["type"] == "int8" and tables.pending(package) == []


def test_misfits_stay_text_and_are_told(call: Call, upload: Callable[..., str]) -> None:
    resource = upload(b"a,b\n1,2\nx,3\n")
    call("resource_patch", id=resource, variabel=rows(a="integer", b="integer", c="integer"))
    work()
    assert {name: f["type"] for name, f in info(call, resource).items()} == {
        "a": "text",
        "b": "int8",
    }
    package = call("resource_show", id=resource)["package_id"]
    (blocker,) = tables.blockers({"id": package})
    assert (
        blocker["field"] == f"resources/{resource}/variabel/2/nama" and "“c”" in blocker["message"]
    )
    told = tables.found_in({"id": resource})
    assert [(f["kind"], f["blocking"]) for f in told] == [
        ("variabel_tanpa_kolom", True),
        ("tipe", False),
    ]


def test_values_are_in_no_log(
    upload: Callable[..., str], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """What fails inside the database quotes the value that it refuses."""
    resource = upload(f"a,b\n{NIK},2\n".encode())

    def broken(*args: Any) -> int:
        with postgres.get_write_engine().begin() as connection:
            connection.exec_driver_sql(f"SELECT 'x{NIK}'::bigint")
        raise AssertionError

    monkeypatch.setattr(tables, "_fill", broken)
    with caplog.at_level("DEBUG", "ckanext.satudata_trenggalek"):
        tables.load(resource)
    row = tables.state(resource)
    assert row and row.state == "gagal" and findings.tell(row.message) == tables.BROKEN
    assert "Load of resource" in caplog.text and NIK not in caplog.text


def test_refused_file_is_searched_for_personal_data(call: Call, upload: Callable[..., str]) -> None:
    resource = upload(f"nama,{NIK}\n".encode())
    work()
    package = call("resource_show", id=resource)["package_id"]
    failed, personal = tables.blockers({"id": package})
    assert "gagal dimuat" in failed["message"] and "NIK" in personal["message"]
    assert NIK not in str([failed, personal])


def test_every_upload_is_searched_whatever_it_is_called(
    call: Call, upload: Callable[..., str]
) -> None:
    """A list of people stops the submission as a document, in an archive or under another name."""
    rows = f"nama,nik\nSiti,{NIK}\n".encode()
    table = upload(rows)
    package = call("resource_show", id=table)["package_id"]
    work()

    def told() -> list[str]:
        return [blocker["message"] for blocker in tables.blockers({"id": package})]

    assert "Kolom “nik” memuat NIK" in told()[0] and call("datastore_search", resource_id=table)
    # Renamed it is no table any more, but the same bytes.
    call("resource_patch", id=table, url="data.txt")
    assert tables.pending(package) == [table] and "sedang diperiksa" in told()[0]
    work()
    row = tables.state(table)
    assert row and row.state == "diperiksa" and tables.pending(package) == []
    assert "Berkas memuat NIK atau nomor KK" in told()[0] and NIK not in str(told())
    assert not call("resource_show", id=table)["datastore_active"]
    for name, data, count in (
        ("data.csv.gz", gzip.compress(rows), 1),
        ("laporan.pdf", b"%PDF-1.4 laporan", 0),  # told, for people to look at
        ("arsip.rar", b"Rar!\x1a\x07\x01\x00" + bytes(99), 1),
    ):
        upload(data, name, id=table)
        work()
        assert len(told()) == count, name
        assert tables.found_in({"id": table}), name
    # What does not concern the search does not start it again.
    call("resource_patch", id=table, description="Diperbaiki.")
    assert tables.pending(package) == [] and tables.requeue_stuck() == 0


def test_odd_metadata_of_one_resource_stop_no_other(upload: Callable[..., str]) -> None:
    odd = upload()
    with model.ensure_engine().begin() as connection:
        connection.execute(
            sa.text("UPDATE resource SET extras = :extras WHERE id = :id"),
            {"id": odd, "extras": '{"variabel": "[1, {"}'},
        )
    other = upload()
    work()
    assert tables.loaded_sha(odd) and tables.loaded_sha(other) and tables.requeue_stuck() == 0
