"""The import of a catalogue on a real portal: drafts, once, with a report."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path

import ckan.model as core
import ckan.plugins.toolkit as tk
import click
import pytest
import sqlalchemy as sa
from ckan.tests.helpers import CKANTestApp
from click.testing import CliRunner, Result

from ckanext.satudata_trenggalek import cli, demo, katalog, model
from tests.world import World

LINES = (demo.HERE / "katalog.jsonl").read_text(encoding="utf-8").splitlines()
#: Ten entries with columns; one declares NIK, one names columns twice.
IDS = ("3", "6", "7", "61", "104", "127", "243", "289", "423", "624")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """The ten, two without columns and a broken line."""
    chosen = [line for line in LINES if line.split(",")[0].removeprefix('{"id": ') in IDS]
    assert len(chosen) == len(IDS)
    path = tmp_path / "katalog.jsonl"
    path.write_text("\n".join([*LINES[:2], '{"id": 5, "judul"', *chosen]), encoding="utf-8")
    return path


def drafts(organization_id: str) -> dict[str, core.Package]:
    """What was made of the ten, by their id in the catalogue."""
    ids = {katalog.id_of(organization_id, katalog.Entry(0, id_, "", [])): id_ for id_ in IDS}
    found = core.Session.scalars(sa.select(core.Package).where(core.Package.id.in_(ids)))
    return {ids[package.id]: package for package in found}


@pytest.fixture
def run(app: CKANTestApp) -> Callable[..., Result]:
    """`ckan satudata katalog …` in this process, as CKAN's command line would call it."""
    parent = click.Context(cli.satudata)
    parent.meta["flask_app"] = app.flask_app

    def katalog_(*arguments: object) -> Result:
        return CliRunner().invoke(cli.satudata, ["katalog", *map(str, arguments)], parent=parent)

    return katalog_


def test_ten_entries(world: World, run: Callable[..., Result], file: Path, tmp_path: Path) -> None:
    report = tmp_path / "laporan.csv"
    options = ("--organization", "dukcapil", "--user", "produsen_dukcapil", "--report", report)
    first = run(file, *options)
    assert first.exit_code == 1  # the broken line
    assert "Baris 3: bukan JSON" in first.output
    assert "10 draf baru, 0 sudah ada, 0 sudah dihapus, 2 entri tanpa kolom" in first.output
    for package in drafts(world.ids["dukcapil"]).values():
        # Who imports has made it, and does not check it later.
        row = core.Session.get(model.Status, package.id)
        assert row and row.makers == [world.ids["produsen_dukcapil"]]
        [event] = core.Session.scalars(
            sa.select(model.Event.actor).where(model.Event.package_id == package.id)
        )
        assert event == "produsen_dukcapil"
    assert "1 entri menyebut kolom data pribadi: Ustadz dan Ustadzah Madrasah Diniyah (nik)" in (
        first.output
    )
    made = drafts(world.ids["dukcapil"])
    assert sorted(made) == sorted(IDS)
    assert all(package.private and package.type == "dataset" for package in made.values())
    dataset = world.call("package_show", "produsen_dukcapil", id=made["127"].id)
    assert dataset["title"] == "Tanaman Padi"
    (resource,) = dataset["resources"]
    assert not resource.get("url_type")
    rows = {row["nama"]: row for row in resource["variabel"]}
    assert rows["luas_panen_ha"]["alias"] == "Luas panen (ha)"
    assert rows["luas_panen_ha"]["tipe_data"] in ("integer", "float")
    assert rows["tahun"]["tipe_data"] == "integer"
    with report.open(encoding="utf-8-sig", newline="") as stream:
        told = {row["id"]: row for row in csv.DictReader(stream)}
    assert sorted(told) == sorted(IDS)
    status = world.status(made["127"].id)
    assert status["status"] == "draf"
    assert int(told["127"]["kurang"]) == len(status["blockers"]) > 5
    assert told["127"]["kurang_pertama"].startswith(status["blockers"][0]["message"])
    assert told["127"]["berkas"] != "0" and told["127"]["kegiatan"] == "1"
    assert told["61"]["data_pribadi"] == "nik"

    # Renamed, edited and deleted meanwhile: known all the same, and left alone.
    world.call("package_patch", "produsen_dukcapil", id=made["6"].id, name="wisata", title="Wisata")
    world.call("package_delete", "produsen_dukcapil", id=made["7"].id)
    before = core.Session.scalar(sa.select(sa.func.count()).select_from(core.Package))
    second = run(file, *options)
    assert "0 draf baru, 9 sudah ada, 1 sudah dihapus" in second.output
    assert "Tidak ada yang baru" in second.output
    assert core.Session.scalar(sa.select(sa.func.count()).select_from(core.Package)) == before
    core.Session.expire_all()
    assert drafts(world.ids["dukcapil"])["6"].title == "Wisata"
    assert drafts(world.ids["dukcapil"])["7"].state == "deleted"
    # Another OPD imports the same catalogue.
    assert "10 draf baru" in run(file, "--organization", "dinkes").output

    # Solr heard of it, though it commits once only.
    found = world.call(
        "package_search", "produsen_dukcapil", q="tanaman padi", include_private=True
    )
    assert made["127"].id in {row["id"] for row in found["results"]}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--organization", "tidak-ada"), "tidak ada"),
        (("--organization", "bps-trenggalek"), "bukan Produsen Data"),
        (("--organization", "dinkes", "--user", "warga"), ""),
        (("--organization", "dinkes", "--user", "tidak_ada"), ""),
        (("--organization", "dinkes", "--report", "/tidak/ada/x.csv"), "tidak dapat ditulis"),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, tuple) else "",
)
@pytest.mark.usefixtures("world")
def test_refused(
    run: Callable[..., Result], file: Path, options: tuple[str, ...], message: str
) -> None:
    before = core.Session.scalar(sa.select(sa.func.count()).select_from(core.Package))
    result = run(file, *options)
    assert result.exit_code == 1 and "Traceback" not in result.output
    assert message in result.output
    assert core.Session.scalar(sa.select(sa.func.count()).select_from(core.Package)) == before


def test_one_entry_that_cannot_be_saved(world: World) -> None:
    entries = [
        katalog.Entry(
            line, f"x{line}", judul, [{"nama": "tahun", "judul": "Tahun", "tipe": "Year"}]
        )
        for line, judul in enumerate(("Baik", "Panjang " * 60, "Juga baik"), 1)
    ]
    told: list[katalog.Result] = []
    problems = katalog.run(entries, "dinkes", "produsen_dinkes", told.append)
    assert [result.title for result in told] == ["Baik", "Juga baik"]
    assert len(problems) == 1 and problems[0].startswith("Baris 2 (id x2): ")
    with pytest.raises(tk.ObjectNotFound):
        world.call("package_show", "admin", id=katalog.id_of(world.ids["dinkes"], entries[1]))
