"""The demo on a real portal: whoever makes it twice, or half of it, gets it once."""

from __future__ import annotations

import json
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import ckan.model as core
import ckan.plugins.toolkit as tk
import pytest
import sqlalchemy as sa
from ckan.tests import factories

from ckanext.satudata_trenggalek import demo, maintenance, model

pytestmark = pytest.mark.usefixtures("clean_db", "with_request_context")


class Interrupted(Exception):
    """Ctrl-C."""


def until(beginning: str) -> Any:
    """What stops a run when it says a line that begins so."""

    def say(line: str) -> None:
        if line.strip().startswith(beginning):
            raise Interrupted

    return say


def show(account: str, name: str) -> dict[str, Any]:
    return tk.get_action("satudata_status_show")({"user": account}, {"id": name})


def events(name: str = "") -> list[tuple[str, str]]:
    """Actor and event of what happened, to one dataset or to all."""
    query = sa.select(model.Event.actor, model.Event.event).order_by(
        model.Event.at, model.Event.seq
    )
    if package := core.Package.get(name):
        query = query.where(model.Event.package_id == package.id)
    return [tuple(row) for row in core.Session.execute(query)]


def test_interrupted_and_run_again(tmp_path: Path, doctor: Callable[[], list[str]]) -> None:
    path = tmp_path / "akun.json"
    with pytest.raises(Interrupted):
        demo.run(path, until("2/"))
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    first = path.read_text()
    users = json.loads(first)["users"]
    assert next(iter(users)) == "admin" and users["admin"]["organization"] is None
    assert users["walidata"]["peran"] == ["walidata", "produsen_data"]
    for name in ("admin", "walidata", "warga"):
        user = core.User.get(name)
        assert user and user.validate_password(users[name]["password"])
    assert not doctor()
    assert not maintenance.reconcile(fix=False)
    assert show("walidata", "jumlah-kematian-ibu-menurut-kecamatan")["status"] == "terbit"
    found = tk.get_action("package_search")({"user": ""}, {})
    # Searches leave the kegiatan out, which came before the datasets and are published too.
    assert found["count"] == 2 and {row["satudata_status"] for row in found["results"]} == {
        "terbit"
    }

    dataset = tk.get_action("package_show")({"user": ""}, {"id": found["results"][0]["id"]})
    kegiatan = tk.get_action("package_show")({"user": ""}, {"id": dataset["id_kegiatan"]})
    assert kegiatan["name"] == "kompilasi-profil-kesehatan-kabupaten-2025"
    assert kegiatan["satudata_status"] == "terbit"
    assert dataset["indikator"][0]["interpretasi"].startswith("Semakin")
    assert dataset["resources"][0]["variabel"][1]["kode_referensi"] == "nama_kecamatan"

    before = events()
    with pytest.raises(Interrupted):
        demo.run(path, until("2/"))
    assert path.read_text() == first
    assert events() == before
    # Nobody gets the mail of years at once; what waits for an officer is unread.
    told = core.Session.execute(sa.select(model.Notice.mail, model.Notice.read_at)).all()
    assert {row.mail for row in told} == {"tanpa"}
    assert {row.read_at is None for row in told} == {True, False}


def test_a_dataset_goes_on_where_it_stood(tmp_path: Path) -> None:
    with pytest.raises(Interrupted):
        demo.run(tmp_path / "akun.json", until("Organizations"))
    organizations = demo.read("opd.yaml")["organisasi"]
    entry = next(e for e in demo.read("dataset.yaml")["dataset"] if "unggah" in e["jalan"])
    half = entry | {"jalan": [*entry["jalan"][:2], "unggah"]}
    demo.datasets(organizations, [half], print)
    name = "jumlah-penduduk-wajib-ktp-menurut-perekaman-dan-kecamatan"
    assert show("walidata", name)["status"] == "dikembalikan"
    demo.datasets(organizations, [entry], print)
    assert [event for _, event in events(name)] == [
        "dibuat", "ajukan", "kembalikan", "ajukan", "setujui", "terbitkan",
    ]  # fmt: skip
    assert maintenance.verify()[1] == []


def test_refused_where_people_work(tmp_path: Path) -> None:
    factories.Organization(name="dinas-sungguhan")
    with pytest.raises(demo.DemoRefused, match="dinas-sungguhan"):
        demo.run(tmp_path / "akun.json", print)
    assert not (tmp_path / "akun.json").exists()
    assert core.User.get("walidata") is None


def test_foreign_accounts_keep_their_passwords(tmp_path: Path) -> None:
    factories.User(name="walidata")
    with pytest.raises(demo.DemoRefused, match="walidata"):
        demo.run(tmp_path / "akun.json", print)
