"""Whoever changes who may act is seen: membership, peran, e-mail, password, sysadmin, names."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import ckan.model as model
import ckan.plugins.toolkit as tk
import pytest
import sqlalchemy as sa
from ckan.cli import sysadmin as cli_sysadmin
from ckan.cli import user as cli_user
from ckan.lib import mailer
from click.testing import CliRunner
from sqlalchemy.exc import IntegrityError

from ckanext.satudata_trenggalek import maintenance, peran
from ckanext.satudata_trenggalek.model import Event
from ckanext.satudata_trenggalek.workflow import service
from tests.gate.sites import Portal
from tests.world import World


@pytest.fixture
def person(world: World) -> Iterator[str]:
    """An editor of dukcapil, who stays no sysadmin: other tests ask `doctor`."""
    name = f"pegawai-{uuid.uuid4().hex[:8]}"
    root = {"ignore_auth": True, "user": "admin"}
    data = {"name": name, "email": f"{name}@example.id", "password": "rahasia-123"}
    world.ids[name] = world.call("user_create", root, **data)["id"]
    member(world, "admin", name, "editor")
    yield name
    model.Session.rollback()
    user = model.User.get(name)
    if user and user.sysadmin:
        user.sysadmin = False
        model.Session.commit()


def member(world: World, who: str, name: str, role: str) -> None:
    world.call("organization_member_create", who, id="dukcapil", username=name, role=role)


def events(chain: str, name: str) -> list[tuple[str, str, dict[str, Any]]]:
    """Who did what to a user, by the record of an organization (or of the user)."""
    model.Session.rollback()
    query = sa.select(Event.actor, Event.event, Event.detail).where(
        Event.package_id == chain, Event.detail["pengguna"].astext == name
    )
    rows = model.Session.execute(query.order_by(Event.seq)).tuples()
    return [(actor, event, {k: v for k, v in (detail or {}).items() if k != "pengguna"})
            for actor, event, detail in rows]  # fmt: skip


def test_membership(world: World, person: str) -> None:
    member(world, "admin", person, "admin")
    world.call("organization_member_delete", "admin", id="dukcapil", username=person)
    change = "keanggotaan"
    assert events(world.ids["dukcapil"], person) == [
        ("admin", change, {"sebelum": None, "sesudah": "editor"}),
        ("admin", change, {"sebelum": "editor", "sesudah": "admin"}),
        ("admin", change, {"sebelum": "admin", "sesudah": None}),
    ]
    assert maintenance.verify()[1] == []


def test_membership_by_the_organization(world: World, person: str) -> None:
    """organization_patch takes a list of users, and asks no member_create."""
    users = [
        {"name": name, "capacity": "editor"} for name in ("produsen_dukcapil", "produsen_ganda")
        if model.User.get(name)
    ]  # fmt: skip
    world.call("organization_patch", "admin", id="dukcapil", users=users)
    assert events(world.ids["dukcapil"], person)[-1] == (
        "admin", "keanggotaan", {"sebelum": "editor", "sesudah": None},
    )  # fmt: skip


def test_password_and_address_set_by_a_sysadmin(world: World, person: str) -> None:
    """CKAN lets them, to help who forgot theirs; whoever then acts, it can be seen why."""
    world.call("user_patch", "admin", id=person, password="dikuasai-123")
    world.call("user_patch", person, id=person, email="baru@example.id", fullname="Baru")
    found = events(world.ids["dukcapil"], person)[1:]
    assert found == [
        ("admin", "akun", {"ubah": ["kata_sandi"]}),
        (person, "akun", {"ubah": ["email"]}),
    ]
    assert "dikuasai" not in str(found) and "baru@" not in str(found)


def test_what_is_no_change_is_no_event(world: World, person: str) -> None:
    world.call("user_patch", person, id=person, fullname="Nama Lengkap")
    member(world, "admin", person, "editor")
    assert len(events(world.ids["dukcapil"], person)) == 1


def test_a_new_sysadmin(world: World, person: str) -> None:
    world.call("user_patch", "admin", id=person, sysadmin=True)
    for chain in (world.ids["dukcapil"], world.ids[person]):
        assert events(chain, person)[-1] == ("admin", "akun", {"ubah": ["admin_sistem"]})
    world.call("user_patch", "admin", id=person, sysadmin=False)


def test_a_sysadmin_from_the_beginning(world: World) -> None:
    name = f"admin_{uuid.uuid4().hex[:8]}"
    account = {"name": name, "email": f"{name}@example.id", "password": "rahasia-123"}
    made = world.call("user_create", "admin", **account, sysadmin=True)
    assert made["sysadmin"]
    assert events(made["id"], name) == [("admin", "akun", {"ubah": ["admin_sistem"]})]
    world.call("user_patch", "admin", id=name, sysadmin=False)
    assert maintenance.verify()[1] == []


@pytest.mark.parametrize("kind", ["published", "draft", "purged", "other"])
@pytest.mark.parametrize("action", ["user_create", "organization_create", "group_create"])
def test_an_id_is_of_one_thing(world: World, action: str, kind: str) -> None:
    """Else its chain of events would go on with those of another."""
    name = f"baru-{uuid.uuid4().hex[:8]}"
    if kind == "other":
        taken = world.ids["dinkes" if action == "user_create" else "walidata"]
    elif kind == "purged":
        taken = world.draft()["id"]
        world.call("dataset_purge", "admin", id=taken)
    else:
        taken = world.standing("terbit") if kind == "published" else world.draft()["id"]
    sent = {"id": taken, "name": name, "title": name}
    if action == "user_create":
        sent |= {"email": f"{name}@example.id", "password": "rahasia-123"}
    with pytest.raises(tk.ValidationError):
        world.call(action, "admin", **sent)
    assert model.User.get(name) is None and model.Group.get(name) is None


def last(world: World, person: str) -> tuple[str, str, dict[str, Any]]:
    return events(world.ids["dukcapil"], person)[-1]


def test_by_the_pages_of_the_organization(world: World, portal: Portal, person: str) -> None:
    form = {"username": person, "role": "admin"}
    portal.request("admin", "/organization/member_new/dukcapil", "POST", data=form)
    assert last(world, person) == (
        "admin", "keanggotaan", {"sebelum": "editor", "sesudah": "admin"},
    )  # fmt: skip
    query = f"/organization/member_delete/dukcapil?user={world.ids[person]}"
    portal.request("admin", query, "POST")
    assert last(world, person)[2] == {"sebelum": "admin", "sesudah": None}


def test_by_the_page_of_a_forgotten_password(world: World, portal: Portal, person: str) -> None:
    user = model.User.get(person)
    assert user
    mailer.create_reset_key(user)
    path = f"/user/reset/{user.id}?key={user.reset_key}"
    form = {"password1": "baru-rahasia-123", "password2": "baru-rahasia-123"}
    assert portal.request(None, path, "POST", data=form).status_code == 302
    assert last(world, person) == (person, "akun", {"ubah": ["kata_sandi"]})


@pytest.mark.parametrize(
    ("command", "word"),
    [
        (["user", "setpass", "{}", "-p", "dari-server-123"], "kata_sandi"),
        (["sysadmin", "add", "{}"], "admin_sistem"),
        (["user", "token", "add", "{}", "cadangan"], "token_api"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_by_the_command_line(world: World, person: str, command: list[str], word: str) -> None:
    commands = {"user": cli_user.user, "sysadmin": cli_sysadmin.sysadmin}
    name, *rest = (part.format(person) for part in command)
    answer = CliRunner().invoke(commands[name], rest, catch_exceptions=False)
    assert answer.exit_code == 0, answer.output
    assert last(world, person)[1:] == ("akun", {"ubah": [word]})


def test_a_token_is_made_by_its_owner(world: World, portal: Portal, person: str) -> None:
    """By action and by page; of one's own it is no event."""
    for user in ("admin", "admin_dinkes", "walidata"):
        with pytest.raises(tk.NotAuthorized):
            world.call("api_token_create", user, user=person, name="pinjam")
        form = {"name": "pinjam"}
        answer = portal.request(user, f"/user/{person}/api-tokens", "POST", data=form)
        assert answer.status_code in (403, 404)
    assert world.call("api_token_list", person, user_id=person) == []
    assert world.call("api_token_create", person, user=person, name="sendiri")["token"]
    assert len(events(world.ids["dukcapil"], person)) == 1


def test_by_the_models(world: World, person: str) -> None:
    """As the command line does."""
    user = model.User.get(person)
    assert user
    user.password = "dari-server-123"
    model.Session.commit()
    assert events(world.ids["dukcapil"], person)[-1] == ("sistem", "akun", {"ubah": ["kata_sandi"]})


def test_nothing_is_left_of_a_change_that_failed(world: World, person: str) -> None:
    user = model.User.get(person)
    assert user
    user.email = "batal@example.id"
    model.Session.flush()
    model.Session.rollback()
    assert len(events(world.ids["dukcapil"], person)) == 1


def test_of_nobody_in_particular(world: World) -> None:
    """Whoever holds no peran may change their address in peace."""
    world.call("user_patch", "warga", id="warga", email="warga-baru@example.id")
    assert events(world.ids["warga"], "warga") == []


# --- names -----------------------------------------------------------------------------------


def acted(world: World, person: str) -> None:
    """Let a person act once, under a name that the record then has."""
    data = world.metadata(owner_org="dukcapil")
    del data["id_kegiatan"]
    world.call("package_create", person, **data)


def test_a_name_that_acted_is_kept(world: World, person: str) -> None:
    """Else another could take it, and with it a claim, and both would be one in the history."""
    other = f"{person}-lain"
    world.call("user_patch", "admin", id=world.ids[person], name=other)
    world.call("user_patch", "admin", id=world.ids[person], name=person)
    acted(world, person)
    for action in ("user_patch", "user_update"):
        data = {"id": world.ids[person], "name": other, "email": f"{person}@example.id"}
        with pytest.raises(tk.ValidationError) as refused:
            world.call(action, "admin", **data)
        assert list(refused.value.error_dict) == ["name"]
    model.Session.execute(sa.update(model.User).where(model.User.id == world.ids[person])
                          .values(fullname="Nama"))  # fmt: skip
    with pytest.raises(IntegrityError):
        model.Session.execute(
            sa.update(model.User).where(model.User.id == world.ids[person]).values(name=other)
        )
    model.Session.rollback()
    user = model.User.get(person)
    assert user and user.id == world.ids[person]


def test_a_name_that_acted_is_given_to_nobody_else(world: World) -> None:
    name = f"dahulu-{uuid.uuid4().hex[:8]}"
    chain = f"percobaan-{uuid.uuid4()}"
    service.record(chain, name, "percobaan")
    model.Session.commit()
    root = {"ignore_auth": True, "user": "admin"}
    for taken in (name, "sistem"):
        data = {"name": taken, "email": f"{name}@example.id", "password": "rahasia-123"}
        with pytest.raises(tk.ValidationError) as refused:
            world.call("user_create", root, **data)
        assert list(refused.value.error_dict) == ["name"]
        model.Session.add(model.User(name=taken, email=f"{name}@example.id"))
        with pytest.raises(IntegrityError):
            model.Session.flush()
        model.Session.rollback()


# --- peran -----------------------------------------------------------------------------------


@pytest.fixture
def office(world: World) -> Iterator[str]:
    """Name of an organization with an editor, which leaves no peran behind."""
    name = f"kantor-{uuid.uuid4().hex[:8]}"
    world.ids[name] = world.call("organization_create", "admin", name=name, title="Kantor")["id"]
    world.call("organization_member_delete", "admin", id=name, username="admin")
    world.call("organization_member_create", "admin", id=name, username="warga", role="editor")
    yield name
    model.Session.rollback()
    if model.Group.get(name):
        world.call("organization_purge", "admin", id=name)
    for organization in ("diskominfo", "bappeda"):
        if sorted(peran.find(organization) or ()) != sorted(World.ORGANIZATIONS[organization]):
            world.give_peran(organization, World.ORGANIZATIONS[organization])
    assert maintenance.verify()[1] == []


def chain(id_: str) -> list[tuple[str, dict[str, Any] | None]]:
    """What happened to an organization."""
    model.Session.rollback()
    rows = sa.select(Event.event, Event.detail).where(Event.package_id == id_).order_by(Event.seq)
    return list(model.Session.execute(rows).tuples())


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE satudata_peran SET peran = '{pembina_data}' WHERE organization_id = :id",
        "DELETE FROM satudata_peran WHERE organization_id = :id",
        "UPDATE satudata_peran SET organization_id = 'lain' WHERE organization_id = :id",
        "INSERT INTO satudata_peran VALUES ('lain', '{pembina_data}')",
    ],
    ids=lambda text: " ".join(text.split()[:4]),
)
def test_peran_by_sql(world: World, statement: str) -> None:
    model.Session.execute(sa.text(statement), {"id": world.ids["dukcapil"]})
    with pytest.raises(IntegrityError):
        model.Session.commit()
    model.Session.rollback()
    assert peran.find("dukcapil") == {peran.Peran.PRODUSEN_DATA}


def test_peran_of_what_was_purged(world: World, office: str) -> None:
    """The next of the same id begins with none, and the peran may be given to others."""
    id_ = world.ids[office]
    world.give_peran("bappeda", ["produsen_data"])
    world.give_peran(office, ["forum_satu_data"])
    world.call("organization_purge", "admin", id=office)
    assert ("peran", {"sebelum": ["forum_satu_data"], "sesudah": None}) in chain(id_)
    assert maintenance.verify()[1] == []
    world.call("organization_create", "admin", id=id_, name=office, title="Kantor")
    assert peran.find(office) == {peran.Peran.PRODUSEN_DATA}
    world.give_peran("bappeda", ["forum_satu_data", "produsen_data"])


def test_an_organization_purged_by_sql(world: World, office: str) -> None:
    """Without an event for its peran it stays."""
    world.give_peran(office, ["pembina_data"])
    model.Session.execute(sa.text("DELETE FROM member WHERE group_id = :id"),
                          {"id": world.ids[office]})  # fmt: skip
    model.Session.execute(sa.text('DELETE FROM "group" WHERE id = :id'), {"id": world.ids[office]})
    with pytest.raises(IntegrityError):
        model.Session.commit()
    model.Session.rollback()
    assert model.Group.get(office)


@pytest.mark.parametrize("state", ["deleted", "draft"])
def test_peran_of_what_is_not_active(world: World, office: str, state: str) -> None:
    """It counts for nothing and blocks nobody; that it falls to another is told on both chains."""
    id_ = world.ids[office]
    world.give_peran("diskominfo", ["produsen_data"])
    world.give_peran(office, ["walidata", "produsen_data"])
    if state == "deleted":
        world.call("organization_delete", "admin", id=office)
    else:
        world.call("organization_patch", "admin", id=office, state=state)
    assert peran.holders(peran.Peran.WALIDATA) == []
    assert peran.find(office) == frozenset()
    world.give_peran("diskominfo", ["walidata", "produsen_data"])
    taken = {"sebelum": ["produsen_data", "walidata"], "sesudah": ["produsen_data"]}
    assert chain(id_)[-1] == ("peran", taken)
    assert maintenance.verify()[1] == []


def test_state_of_an_organization(world: World, office: str) -> None:
    """It changes who may act."""
    id_ = world.ids[office]
    before = len(chain(id_))
    for state in ("draft", "active"):
        world.call("organization_patch", "admin", id=office, state=state)
    world.call("organization_patch", "admin", id=office, title="Kantor Baru")
    assert chain(id_)[before:] == [
        ("keadaan", {"sebelum": "active", "sesudah": "draft"}),
        ("keadaan", {"sebelum": "draft", "sesudah": "active"}),
    ]
    world.call("organization_delete", "admin", id=office)
    assert dict(chain(id_))["keadaan"] == {"sebelum": "active", "sesudah": "deleted"}
    assert events(id_, "warga")[-1] == (
        "admin", "keanggotaan", {"sebelum": "editor", "sesudah": None},
    )  # fmt: skip


def test_an_organization_deleted_as_a_group(world: World, office: str) -> None:
    world.call("group_delete", "admin", id=office)
    assert dict(chain(world.ids[office]))["keadaan"] == {"sebelum": "active", "sesudah": "deleted"}
    assert events(world.ids[office], "warga")[-1][2] == {"sebelum": "editor", "sesudah": None}


def test_two_at_once(world: World, person: str) -> None:
    """Peran and memberships of one organization are one chain, whoever writes at the same time."""

    def peran() -> None:
        for _ in range(5):
            world.give_peran("dukcapil", ["produsen_data"])
        model.Session.remove()

    def members() -> None:
        for role in ("admin", "editor", "admin", "editor", "member"):
            member(world, "admin", person, role)
        model.Session.remove()

    before = len(events(world.ids["dukcapil"], person))
    model.Session.remove()
    with ThreadPoolExecutor(2) as pool:
        for done in [pool.submit(peran), pool.submit(members)]:
            done.result(timeout=120)
    assert len(events(world.ids["dukcapil"], person)) == before + 5
    assert maintenance.verify()[1] == []
