"""Personal data in files: they stop a submission until Walidata records why they may stay."""

from __future__ import annotations

import io
import re
import uuid
from typing import Any

import ckan.plugins.toolkit as tk
import pytest
import sqlalchemy as sa
from ckan import model
from werkzeug.datastructures import FileStorage

from ckanext.satudata_trenggalek import files, tables
from tests.world import World

#: Made up: Trenggalek, kecamatan 01, born 12 March 1990.
NIK = "3503011203900001"
PERSONAL = f"kode,kecamatan,jumlah\n35.03.01,Panggul,1\n,NIK {NIK},2\n".encode()


@pytest.fixture
def risky(world: World) -> tuple[str, str]:
    """Ids of a draft with personal data in its file, and of the file."""
    dataset = world.call("package_create", "produsen_dinkes", **world.metadata())
    resource = world.upload("produsen_dinkes", dataset["id"], PERSONAL)
    return dataset["id"], resource["id"]


def record(world: World, user: str, resource: str, note: str = "Alasan.") -> Any:
    """Record a reason for the bytes that the file has now."""
    pointer = files.pointer(resource)
    sha256 = pointer.sha256 if pointer else ""
    return world.call("satudata_data_pribadi_set", user, id=resource, sha256=sha256, note=note)


def personal_blockers(world: World, dataset: str) -> list[str]:
    return [b["message"] for b in world.status(dataset)["blockers"] if "NIK" in b["message"]]


def test_personal_data_stop_the_submission_until_a_reason_is_recorded(
    world: World, risky: tuple[str, str]
) -> None:
    dataset, resource = risky
    assert len(personal_blockers(world, dataset)) == 1
    with pytest.raises(tk.ValidationError) as refused:
        world.move("produsen_dinkes", dataset, "ajukan")
    assert "NIK" in str(refused.value.error_dict[f"resources/{resource}/url"])
    for user in ("produsen_dinkes", "produsen_dinkes_2", "admin", "forum", "pembina_bps"):
        with pytest.raises((tk.NotAuthorized, tk.ObjectNotFound)):
            record(world, user, resource)
    with pytest.raises(tk.ValidationError) as refused:
        record(world, "walidata", resource, "  ")
    assert "note" in refused.value.error_dict
    told = record(world, "walidata", resource, "UU 23/2006 Ps 58")
    (finding,) = (f for f in told if f["kind"] == "data_pribadi")
    assert not finding["blocking"] and finding["reason"]["note"] == "UU 23/2006 Ps 58"
    assert personal_blockers(world, dataset) == []
    events = world.call("satudata_history_list", "walidata", id=dataset)["results"]
    (event,) = (e for e in events if e["event"] == "data_pribadi")
    assert event["peran"] == "walidata" and event["note"] == "UU 23/2006 Ps 58"
    assert event["detail"]["sha256"] == files.pointer(resource).sha256  # type: ignore[union-attr]
    assert "walidata" not in world.status(dataset)  # recording makes nobody a maker
    world.move("produsen_dinkes", dataset, "ajukan")
    world.move("walidata", dataset, "setujui")


def test_reason_is_for_these_bytes_only(world: World, risky: tuple[str, str]) -> None:
    dataset, resource = risky
    record(world, "walidata", resource)
    for data, blocked in ((PERSONAL + b"35.03.02,x,3\n", 1), (PERSONAL, 0)):
        file = FileStorage(io.BytesIO(data), filename="kelahiran.csv")
        world.call("resource_patch", "produsen_dinkes", id=resource, upload=file)
        tables.load(resource)
        assert len(personal_blockers(world, dataset)) == blocked


def test_a_reason_is_for_the_file_that_was_read(
    world: World, risky: tuple[str, str], app: Any
) -> None:
    dataset, resource = risky
    name = world.status(dataset)["name"]
    made = world.call("api_token_create", "walidata", user="walidata", name=uuid.uuid4().hex)
    path, headers = f"/dataset/{name}/data-pribadi", {"Authorization": made["token"]}
    page = app.get(path, headers=headers).text
    [read] = re.findall(r'name="sha256" value="(\w+)"', page)
    file = FileStorage(io.BytesIO(PERSONAL + b"35.03.02,x,3\n"), filename="kelahiran.csv")
    world.call("resource_patch", "produsen_dinkes", id=resource, upload=file)
    tables.load(resource)
    sent = {"resource_id": resource, "sha256": read, "note": "UU 23/2006", "setuju": "1"}
    page = app.post(path, data=sent, headers=headers)
    assert page.status_code == 409 and "diganti sejak Anda membacanya" in page.text
    [now] = re.findall(r'name="sha256" value="(\w+)"', page.text)
    assert now != read and len(personal_blockers(world, dataset)) == 1
    # The page of one dataset records nothing for a file of another.
    other = world.status(world.draft()["id"])["name"]
    page = app.post(f"/dataset/{other}/data-pribadi", data={**sent, "sha256": now}, headers=headers)
    assert page.status_code == 409 and len(personal_blockers(world, dataset)) == 1
    app.post(path, data={**sent, "sha256": now}, headers=headers)
    assert personal_blockers(world, dataset) == []


def test_makers_record_no_reason(world: World) -> None:
    dataset = world.call(
        "package_create", "walidata", **world.metadata(owner_org="diskominfo", id_kegiatan="")
    )
    resource = world.upload("walidata", dataset["id"], PERSONAL)["id"]
    with pytest.raises(tk.NotAuthorized, match="ikut membuat"):
        record(world, "walidata", resource)
    record(world, "walidata_2", resource)


def test_no_reason_without_personal_data(world: World) -> None:
    dataset = world.draft()
    with pytest.raises(tk.ValidationError):
        record(world, "walidata", dataset["resources"][0]["id"])


def test_what_a_later_load_finds_stops_the_approval(world: World, risky: tuple[str, str]) -> None:
    """As after an upgrade that recognises more: the submitted dataset is looked at again."""
    dataset, resource = risky
    with model.ensure_engine().begin() as connection:
        connection.execute(
            sa.text("UPDATE satudata_table SET findings = '[]' WHERE resource_id = :id"),
            {"id": resource},
        )
    world.move("produsen_dinkes", dataset, "ajukan")
    assert "setujui" in {t["name"] for t in world.status(dataset, "walidata")["transitions"]}
    tables.enqueue(resource)
    tables.load(resource)
    assert "setujui" not in {t["name"] for t in world.status(dataset, "walidata")["transitions"]}
    with pytest.raises(tk.ValidationError) as refused:
        world.move("walidata", dataset, "setujui")
    assert "NIK" in str(refused.value.error_dict)
    record(world, "walidata", resource)
    world.move("walidata", dataset, "setujui")


def test_findings_are_for_members(world: World, risky: tuple[str, str]) -> None:
    dataset, resource = risky
    for user in ("produsen_dinkes", "walidata", "admin"):
        assert world.call("satudata_temuan_list", user, id=resource)
    for user in (None, "warga", "produsen_dukcapil"):
        with pytest.raises(tk.ObjectNotFound):
            world.call("satudata_temuan_list", user, id=resource)
    record(world, "walidata", resource)
    for user, transition in (
        ("produsen_dinkes", "ajukan"), ("walidata", "setujui"), ("walidata", "terbitkan"),
    ):  # fmt: skip
        world.move(user, dataset, transition)
    for user in (None, "warga", "produsen_dukcapil"):
        with pytest.raises(tk.NotAuthorized):
            world.call("satudata_temuan_list", user, id=resource)
    public = str(world.call("package_show", None, id=dataset))
    assert "temuan" not in public and "data_pribadi" not in public
    with pytest.raises(tk.ValidationError, match="terbit"):
        record(world, "walidata_2", resource)


def test_page_of_personal_data(world: World, risky: tuple[str, str], app: Any) -> None:
    dataset, resource = risky
    name = world.status(dataset)["name"]
    path = f"/dataset/{name}/data-pribadi"

    def token(user: str) -> dict[str, str]:
        made = world.call("api_token_create", user, user=user, name=uuid.uuid4().hex)
        return {"Authorization": made["token"]}

    assert app.get(path, headers=token("warga")).status_code == 404
    assert app.get(path).status_code == 404
    page = app.get(path, headers=token("produsen_dinkes"))
    assert "memuat NIK" in page.text and "<textarea" not in page.text and NIK not in page.text
    walidata = token("walidata")
    [sha256] = re.findall(r'name="sha256" value="(\w+)"', app.get(path, headers=walidata).text)
    sent = {"resource_id": resource, "sha256": sha256, "note": "UU 23/2006"}
    page = app.post(path, data=sent, headers=walidata)
    assert page.status_code == 409 and "UU 23/2006" in page.text
    page = app.post(path, data={**sent, "note": "", "setuju": "1"}, headers=walidata)
    assert page.status_code == 409 and "Tulis dasar hukum" in page.text
    page = app.post(path, data={**sent, "setuju": "1"}, headers=walidata, follow_redirects=False)
    assert page.status_code == 302
    page = app.get(path, headers=walidata)
    assert "UU 23/2006" in page.text and "<textarea" not in page.text
    page = app.get(f"/dataset/{name}", headers=walidata)
    assert "Alasan hukumnya dicatat walidata" in page.text
    assert personal_blockers(world, dataset) == []


def test_guess_is_for_who_may_edit(world: World) -> None:
    dataset = world.draft()
    resource = dataset["resources"][0]["id"]
    offered = world.call("satudata_variabel_guess", "produsen_dinkes", id=resource)
    assert [row["nama"] for row in offered["variabel"]] == ["kode", "kecamatan", "jumlah"]
    assert offered["variabel"][0]["referensi_waktu"] == "Tahun 2025"
    for user in ("walidata", "anggota_dinkes"):
        with pytest.raises(tk.NotAuthorized):
            world.call("satudata_variabel_guess", user, id=resource)
    with pytest.raises(tk.ObjectNotFound):
        world.call("satudata_variabel_guess", "warga", id=resource)
    world.move("produsen_dinkes", dataset["id"], "ajukan")
    with pytest.raises(tk.NotAuthorized):
        world.call("satudata_variabel_guess", "produsen_dinkes", id=resource)


def test_guess_of_what_is_no_table(world: World) -> None:
    dataset = world.call("package_create", "produsen_dinkes", **world.metadata())
    nothing = {"variabel": [], "tanda_desimal": "titik"}
    text = world.upload("produsen_dinkes", dataset["id"], b"catatan", "catatan.txt")
    assert world.call("satudata_variabel_guess", "produsen_dinkes", id=text["id"]) == {
        **nothing,
        "notes": [],
    }
