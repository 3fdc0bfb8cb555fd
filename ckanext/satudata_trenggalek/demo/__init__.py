"""The demo: accounts, organizations, kegiatan and datasets in every status, made through actions.

Everything goes the way that people go: datasets are created, uploaded to, submitted and checked as
the demo accounts, so that history, deadlines and files look like those of a portal in use. What
exists is left alone, so a run that was interrupted is simply run again.
"""

from __future__ import annotations

import datetime as dt
import io
import json
import os
import secrets
from collections.abc import Callable
from pathlib import Path
from typing import Any

import ckan.model as core
import ckan.plugins.toolkit as tk
import sqlalchemy as sa
from ckan.lib.munge import munge_title_to_name
from ckan.model.system_info import get_system_info, set_system_info
from werkzeug.datastructures import FileStorage

from ckanext.satudata_trenggalek import notices, schema, tables
from ckanext.satudata_trenggalek.demo import figures, metadata
from ckanext.satudata_trenggalek.katalog import one_commit
from ckanext.satudata_trenggalek.workflow.calendar import WIB
from ckanext.satudata_trenggalek.workflow.table import PRINSIP, TRANSITIONS

HERE, read = metadata.HERE, metadata.read
#: Row of CKAN's table system_info that says: this portal is a demo, begun or whole.
MARK, BEGUN, WHOLE = "satudata.demo", "begun", "whole"
#: Accounts in no OPD: admin is a sysadmin, warga a citizen with a login.
OTHERS = ("admin", "warga")

Say = Callable[[str], None]


class DemoRefused(Exception):
    """The portal is in use; the message says what was found and what to do."""


def call(user: str, action: str, /, **data: Any) -> Any:
    """Run an action as a user, as the API does."""
    return tk.get_action(action)({"user": user}, data)


def _site_user() -> str:
    return tk.get_action("get_site_user")({"ignore_auth": True}, {})["name"]


def run(path: Path, say: Say) -> None:
    """Make the demo, or what is missing of it.

    Args:
        path: akun.json: accounts with passwords and tokens, read and written.
        say: told one line for each step.

    Raises:
        DemoRefused: the portal holds something that is not the demo's.
    """
    organizations = read("opd.yaml")["organisasi"]
    site_user = _site_user()
    _claim(organizations)
    accounts(organizations, path, say)
    if get_system_info(MARK) == WHOLE:
        say("The datasets are there.")  # whatever people made of them since
        return
    with one_commit(), notices.unmailed():
        _organizations(organizations, site_user, say)
        taken = datasets(organizations, read("dataset.yaml")["dataset"], say)
        rest = [entry for entry in metadata.all_kegiatan() if entry["name"] not in taken]
        kegiatan(organizations, rest, say)
    set_system_info(MARK, WHOLE)


def _claim(organizations: list[dict[str, Any]]) -> None:
    """Mark an empty portal as a demo; refuse one that is neither."""
    if get_system_info(MARK):
        return
    topics = [topic["value"] for topic in schema.vocab("kategori")]
    found = [
        name
        for table in (core.group_table, core.package_table)
        for name in core.Session.scalars(
            sa.select(table.c.name)
            .where(table.c.name.not_in(topics))
            .order_by(table.c.name)
            .limit(3)
        )
    ]
    ours = [name for names in _members(organizations).values() for name in names] + list(OTHERS)
    found += core.Session.scalars(
        sa.select(core.user_table.c.name).where(core.user_table.c.name.in_(ours))
    )
    if found:
        raise DemoRefused(
            f"This portal is in use ({', '.join(found[:5])}), so no demo is put into it."
            " Use an empty one, for example: SATUDATA_PORT=5001 SATUDATA_HOME=/srv/demo ./portal up"
        )
    set_system_info(MARK, BEGUN)


# --- accounts and organizations -----------------------------------------------------------------


def _members(organizations: list[dict[str, Any]]) -> dict[str, dict[str, str]]:
    """Organization name -> account -> capacity."""
    return {
        organization["name"]: {
            (entry if isinstance(entry, str) else entry["name"]): (
                "editor" if isinstance(entry, str) else entry["capacity"]
            )
            for entry in organization["akun"]
        }
        for organization in organizations
    }


def accounts(organizations: list[dict[str, Any]], path: Path, say: Say) -> None:
    """Make the users, each with a random password and a token, and write them to `path`.

    An account of ours that the file does not know gets a new password: its old one is lost.
    """
    known: dict[str, Any] = json.loads(path.read_text())["users"] if path.exists() else {}
    site_user = _site_user()
    homes = {
        account: organization
        for organization in organizations
        for account in _members([organization])[organization["name"]]
    }
    names = ["admin", *homes, "warga"]
    new = 0
    for name in names:
        home = homes.get(name)
        entry = known.get(name) or {"password": secrets.token_urlsafe(12), "token": ""}
        user = core.User.get(name)
        if user is None:
            call(
                site_user,
                "user_create",
                name=name,
                email=f"{name}@demo.trenggalekkab.go.id",
                password=entry["password"],
                fullname=_fullname(name, home),
                sysadmin=name == "admin",
            )
            entry["token"] = ""
        elif name not in known:
            call(site_user, "user_patch", id=name, password=entry["password"])
        if not entry["token"]:
            token = call(name, "api_token_create", user=name, name="demo")
            known[name] = entry | {
                "token": token["token"],
                "peran": home.get("peran", ["produsen_data"]) if home else [],
                "organization": home["name"] if home else None,
            }
            new += 1
            _write(path, {"users": known, "url": tk.config["ckan.site_url"]})
    say(f"Accounts: {len(names)}, {new} new")


def _fullname(name: str, home: dict[str, Any] | None) -> str:
    if home is None:
        return "Admin Sistem" if name == "admin" else "Warga Trenggalek"
    return f"{name.replace('_', ' ').title()} (contoh)"


def _write(path: Path, content: dict[str, Any]) -> None:
    """Whole or not at all, and for its owner only."""
    part = path.with_name(path.name + ".part")
    part.unlink(missing_ok=True)
    with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        json.dump(content, file, indent=1)
        file.write("\n")
    part.replace(path)


def _organizations(organizations: list[dict[str, Any]], site_user: str, say: Say) -> None:
    held = {row["organization"]: row["peran"] for row in call(site_user, "satudata_peran_list")}
    for organization in organizations:
        name = organization["name"]
        if name not in held:
            call(
                site_user,
                "organization_create",
                name=name,
                title=organization["title"],
                description="Organisasi contoh.",
                email=_email(organization),
                users=[
                    {"name": account, "capacity": capacity}
                    for account, capacity in _members([organization])[name].items()
                ],
            )
        peran = sorted(organization.get("peran", ["produsen_data"]))
        if held.get(name, ["produsen_data"]) != peran:
            call(site_user, "satudata_peran_set", organization=name, peran=peran)
    _leave(site_user)
    say(f"Organizations: {len(organizations)}")


def _email(organization: dict[str, Any]) -> str:
    return organization.get("email", f"{organization['name']}@trenggalekkab.go.id")


def _leave(site_user: str) -> None:
    """CKAN makes whoever creates an organization or group its admin; a sysadmin holds no peran."""
    user = core.User.get(site_user)
    assert user
    joined = core.Session.execute(
        sa.select(core.Group.name)
        .join(core.Member, core.Member.group_id == core.Group.id)
        .where(core.Member.table_id == user.id, core.Member.state == "active")
    ).scalars()
    for name in list(joined):
        call(site_user, "member_delete", id=name, object=user.id, object_type="user")


# --- datasets -------------------------------------------------------------------------------------


def datasets(
    organizations: list[dict[str, Any]], entries: list[dict[str, Any]], say: Say
) -> set[str]:
    """Make datasets and take them along their way; who is on the way already goes on.

    The kegiatan of a dataset comes before it: what is not published can't be pointed to by what is.

    Args:
        organizations: of opd.yaml.
        entries: of dataset.yaml.
        say: told one line for each dataset and each kegiatan.

    Returns:
        names of the kegiatan.
    """
    homes = {organization["name"]: organization for organization in organizations}
    catalogue = figures.catalogue((HERE / "katalog.jsonl").read_text(encoding="utf-8"))
    taken: set[str] = set()
    for number, entry in enumerate(entries, 1):
        home = homes[entry["opd"]]
        source = metadata.kegiatan_of(entry)
        if source["name"] not in taken:
            taken.add(source["name"])
            kegiatan([home], [source], say)
        name = entry.get("name") or munge_title_to_name(entry["title"])
        status = _take(entry, home, name, number, _metadata(entry, home, name), catalogue)
        say(f"{number:3}/{len(entries)} {entry['title']}: {status}")
    return taken


def kegiatan(organizations: list[dict[str, Any]], entries: list[dict[str, Any]], say: Say) -> None:
    """Make kegiatan and take them along their way.

    Args:
        organizations: of opd.yaml, those of the entries at least.
        entries: of `metadata.all_kegiatan`.
        say: told one line for each kegiatan.
    """
    homes = {organization["name"]: organization for organization in organizations}
    for entry in entries:
        home = homes[entry["opd"]]
        fields = metadata.kegiatan(entry, home, _email(home))
        status = _take(entry, home, entry["name"], len(entry["name"]), fields, {})
        say(f"    Kegiatan {entry['title']} {entry['tahun_kegiatan']}: {status}")


def _take(
    entry: dict[str, Any],
    home: dict[str, Any],
    name: str,
    number: int,
    fields: dict[str, Any],
    catalogue: dict[int, Any],
) -> str:
    """Make what an entry describes and take it along its way.

    Args:
        entry: of dataset.yaml or kegiatan.yaml.
        home: its organization.
        name: of the dataset.
        number: shares the work between the two Walidata.
        fields: what package_create takes.
        catalogue: the columns.

    Returns:
        the status where it ends.
    """
    producer = entry.get("oleh") or next(iter(_members([home])[home["name"]]))
    # Nobody checks what they made.
    checkers = [name for name in ("walidata", "walidata_2") if name != producer]
    checker = checkers[number % len(checkers)]
    package, done = core.Package.get(name), 0
    if package is None:
        call(producer, "package_create", **fields)
    elif package.state == "deleted":
        return "dihapus"
    else:
        history = call("walidata", "satudata_history_list", id=name, limit=100)["results"]
        done = sum(event["event"] in TRANSITIONS for event in history)
    return _go(entry, name, home, producer, checker, catalogue, done)


def _metadata(entry: dict[str, Any], home: dict[str, Any], name: str) -> dict[str, Any]:
    real = entry.get("berkas") == "wilayah"
    frequency = entry.get("frekuensi", "tahunan")
    klasifikasi = entry.get("klasifikasi", "terbuka")
    is_open = klasifikasi == "terbuka"
    fields = {
        "name": name,
        "owner_org": home["name"],
        "notes": entry["deskripsi"] + ("" if real else " Data contoh, bukan angka resmi."),
        "tahun_data": str(entry["tahun"]),
        "tag_string": ",".join(entry.get("kata", [])),
        "klasifikasi_penyajian": entry["menurut"],
        "ukuran": entry.get("ukuran", "total"),
        "cakupan": "Kabupaten Trenggalek",
        "tingkat_penyajian": entry.get("tingkat", "kecamatan"),
        "frekuensi": frequency,
        "jadwal_pemutakhiran": _next_release(frequency),
        "klasifikasi": klasifikasi,
        "license_id": "cc-by" if is_open else "other-closed",
        "dasar_hukum_klasifikasi": "" if is_open else "UU 14/2008 Pasal 17 huruf h",
        "penanggung_jawab": home["unit"],
        "penanggung_jawab_email": _email(home),
        "jenis_data": "statistik",
        "id_kegiatan": metadata.kegiatan_of(entry)["name"],
        "indikator": metadata.indikator(entry),
    }
    for key in ("title", "kategori", "urusan", "konsep", "definisi", "satuan"):
        fields[key] = entry.get(key, "")
    lacking = metadata.lacking(entry)
    return {key: value for key, value in fields.items() if value and key not in lacking}


def _next_release(frequency: str) -> str:
    """The day on which such data are due next, counted from today."""
    months = {"bulanan": 1, "triwulanan": 3, "semesteran": 6, "tahunan": 12}.get(frequency)
    if months is None:
        return ""
    today = dt.datetime.now(WIB).date()
    ahead = today.month - 1 + months - (today.month - 1) % months
    return f"{today.year + ahead // 12}-{ahead % 12 + 1:02}-20"


def _files(
    entry: dict[str, Any], home: dict[str, Any], catalogue: dict[int, Any], whole: bool
) -> list[dict[str, Any]]:
    """Resources with their uploads and variables; not `whole`: without the last year."""
    kind = entry.get("berkas", "csv")
    if kind == "tidak_ada":
        return []
    slug = munge_title_to_name(entry["title"])[:50].rstrip("-_")
    if kind == "wilayah":
        content = (schema.FOLDER / "vocab/wilayah.csv").read_bytes()
        variabel = metadata.variabel(entry, home, *metadata.table_of(content))
        title = "Kode wilayah Kabupaten Trenggalek"
        return [_file(title, "kode_wilayah_trenggalek.csv", content, variabel)]
    titles = figures.columns(catalogue[entry["katalog"]])
    names = list(titles)
    rows = list(figures.rows(entry, names))
    variabel = metadata.variabel(entry, home, titles, rows)
    years = figures.years(entry)
    if not whole:
        rows = [row for row in rows if row["tahun"] != years[-1]]
    if kind == "per_tahun":
        return [
            _file(
                f"{entry['title']}, {year}",
                f"{slug}-{year}.csv",
                figures.as_csv(names, [row for row in rows if row["tahun"] == year]),
                variabel,
            )
            for year in years
        ]
    make = figures.as_xlsx if kind == "xlsx" else figures.as_csv
    title = f"{entry['title']}, {entry['tahun']}"
    return [_file(title, f"{slug}-{entry['tahun']}.{kind}", make(names, rows), variabel)]


def _file(title: str, filename: str, content: bytes, variabel: list[Any]) -> dict[str, Any]:
    return {
        "name": title,
        "format": filename.rpartition(".")[2].upper(),
        "tanda_desimal": "titik",
        "variabel": variabel,
        "upload": FileStorage(io.BytesIO(content), filename),
    }


def _upload(
    entry: dict[str, Any],
    name: str,
    home: dict[str, Any],
    producer: str,
    catalogue: dict[int, Any],
    whole: bool,
) -> None:
    """Give the dataset its files, and their tables at once instead of by the worker."""
    if "cara_pengumpulan_data" in entry:
        return  # a kegiatan has none
    present = {
        resource["name"]: resource["id"]
        for resource in call(producer, "package_show", id=name)["resources"]
    }
    for resource in _files(entry, home, catalogue, whole):
        id_ = present.get(resource["name"])
        if id_ is None:
            id_ = call(producer, "resource_create", package_id=name, **resource)["id"]
        elif whole and "unggah" in entry["jalan"]:
            call(producer, "resource_patch", id=id_, **resource)
        tables.load(id_)


def _go(
    entry: dict[str, Any],
    name: str,
    home: dict[str, Any],
    producer: str,
    checker: str,
    catalogue: dict[int, Any],
    done: int,
) -> str:
    """Take the steps of `jalan` that are still to be taken.

    Args:
        entry: of dataset.yaml.
        name: of the dataset.
        home: its organization.
        producer: account that makes it.
        checker: account of Walidata that checks it.
        catalogue: the columns.
        done: how many transitions it has behind it, from a run that was interrupted.

    Returns:
        the status where it ends.
    """
    status = "draf"
    steps: list[dict[str, Any]] = [
        {step: ""} if isinstance(step, str) else step for step in entry["jalan"]
    ]
    if not done:
        _upload(entry, name, home, producer, catalogue, whole="unggah" not in entry["jalan"])
    for step in steps:
        what, value = next(iter(step.items()))
        if done:
            done -= what in TRANSITIONS
        elif what == "unggah":
            _upload(entry, name, home, producer, catalogue, whole=True)
        elif what == "ubah":
            call(producer, "package_patch", id=name, **value)
        elif what == "prioritas":
            call("forum", "satudata_prioritas_set", id=name, data_prioritas=True, kriteria=value)
        else:
            user = {"produsen_data": producer, "walidata": checker, "pembina_data": "pembina_bps"}
            peran = TRANSITIONS[what].peran[0].value
            _decide(user[peran], name, what, step, entry)
        if what in TRANSITIONS:
            status = TRANSITIONS[what].target
    return status


def _decide(
    user: str, name: str, transition: str, step: dict[str, Any], entry: dict[str, Any]
) -> None:
    """Make a transition as somebody who read the dataset first."""
    request: dict[str, Any] = {"note": step[transition], "public_note": step.get("umum", "")}
    guards = TRANSITIONS[transition].guards
    if "content_hash" in guards:
        request["content_hash"] = call(user, "satudata_status_show", id=name)["content_hash"]
    if "checklist" in guards:
        checklist: dict[str, Any] = {principle: {"sesuai": True} for principle in PRINSIP}
        if "menurut" not in entry:
            checklist["interoperabilitas"] = {"sesuai": None, "note": "Kegiatan tanpa berkas."}
        elif "32010026" not in entry["menurut"]:
            note = "Tidak memuat wilayah atau kode lain."
            checklist["kode_referensi"] = {"sesuai": None, "note": note}
        request["checklist"] = checklist
    if days := step.get("terbit_dalam_hari"):
        at = dt.datetime.now(WIB) + dt.timedelta(days=days)
        request["publish_at"] = at.replace(hour=9, minute=0, second=0, microsecond=0).isoformat()
    call(user, "satudata_transition", id=name, transition=transition, **request)
