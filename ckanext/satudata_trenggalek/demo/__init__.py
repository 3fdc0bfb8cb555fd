"""The demo: accounts, organizations and datasets in every status, made through the API's actions.

Everything goes the way that people go: datasets are created, uploaded to, submitted and checked as
the demo accounts, so that history, deadlines and files look like those of a portal in use. What
exists is left alone, so a run that was interrupted is simply run again.
"""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Callable
from pathlib import Path
from typing import Any

import ckan.model as core
import ckan.plugins.toolkit as tk
import sqlalchemy as sa
import yaml
from ckan.model.system_info import get_system_info, set_system_info

from ckanext.satudata_trenggalek import schema

HERE = Path(__file__).parent
#: Row of CKAN's table system_info that says: this portal is a demo.
MARK = "satudata.demo"
#: Accounts in no OPD: admin is a sysadmin, warga a citizen with a login.
OTHERS = ("admin", "warga")

Say = Callable[[str], None]


class DemoRefused(Exception):
    """The portal is in use; the message says what was found and what to do."""


def call(user: str, action: str, /, **data: Any) -> Any:
    """Run an action as a user, as the API does."""
    return tk.get_action(action)({"user": user}, data)


def _read(name: str) -> dict[str, Any]:
    return yaml.safe_load((HERE / name).read_text(encoding="utf-8"))


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
    organizations = _read("opd.yaml")["organisasi"]
    site_user = _site_user()
    _claim(organizations)
    accounts(organizations, path, say)
    _organizations(organizations, site_user, say)
    _groups(site_user, say)


def _claim(organizations: list[dict[str, Any]]) -> None:
    """Mark an empty portal as a demo; refuse one that is neither."""
    if get_system_info(MARK):
        return
    found = [
        name
        for table in (core.group_table, core.package_table)
        for name in core.Session.scalars(sa.select(table.c.name).order_by(table.c.name).limit(3))
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
    set_system_info(MARK, "1")


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
    held = {
        row["organization"]: row["peran"] for row in call(site_user, "satudata_peran_list")
    }
    for organization in organizations:
        name = organization["name"]
        if name not in held:
            call(
                site_user,
                "organization_create",
                name=name,
                title=organization["title"],
                description="Organisasi contoh.",
                email=organization.get("email", f"{name}@trenggalekkab.go.id"),
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


def _groups(site_user: str, say: Say) -> None:
    """The ten topics, as groups with the codes of the vocabulary."""
    topics = schema.vocab("kategori")
    present = set(call(site_user, "group_list"))
    for topic in topics:
        if topic["value"] not in present:
            call(site_user, "group_create", name=topic["value"], title=topic["label"]["id"])
    _leave(site_user)
    say(f"Groups: {len(topics)}")


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
