"""Notices: who is told of what, what the mail says, and what becomes of it when things go wrong.

Mail goes through SMTP to a server of the test.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import email
import os
import re
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from email import policy
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from aiosmtpd.controller import Controller
from ckan.tests.helpers import CKANTestApp

from tests.statements import statements
from tests.world import World

NASTY = '<b>Kelahiran</b> & "Anak"\r\nBcc: semua@example.id'


class Mailbox:
    """A mail server on a free port; `answer` and `answer_data` may refuse, hang up or wait."""

    def __init__(self) -> None:
        self.mails: list[EmailMessage] = []
        self.answer: Callable[[Any, str], str | None] = lambda _server, _address: None
        self.answer_data: Callable[[Any], str | None] = lambda _server: None

    async def handle_RCPT(
        self, server: Any, _session: Any, envelope: Any, address: str, _options: Any
    ) -> str:
        answer = self.answer(server, address)
        if answer is None:
            envelope.rcpt_tos.append(address)
        return answer or "250 OK"

    async def handle_DATA(self, server: Any, _session: Any, envelope: Any) -> str:
        message = email.message_from_bytes(envelope.content, policy=policy.default)
        answer = await asyncio.get_running_loop().run_in_executor(None, self.answer_data, server)
        if answer is None:
            self.mails.append(message)  # pyright: ignore[reportArgumentType]
        return answer or "250 OK"

    def to(self) -> list[str]:
        """Names of the users that mail came to."""
        return sorted(re.search(r"<(.*)@", str(mail["To"]))[1] for mail in self.mails)  # pyright: ignore


def text(mail: EmailMessage) -> str:
    return mail.get_content()


@pytest.fixture
def outbox(world: World) -> Iterator[None]:
    """Nothing is queued, everybody has the usual choice."""
    from ckan import model as core

    from ckanext.satudata_trenggalek import model

    world.kegiatan()
    core.Session.execute(sa.delete(model.Notice))
    core.Session.execute(sa.delete(model.NoticeChoice))
    core.Session.commit()
    yield
    core.Session.rollback()


@pytest.fixture
def mailbox(monkeypatch: pytest.MonkeyPatch, outbox: None) -> Iterator[Mailbox]:
    """A mail server that the portal sends to."""
    import ckan.plugins.toolkit as tk

    box = Mailbox()
    controller = Controller(box, hostname="127.0.0.1", port=free_port(), ready_timeout=30)
    controller.start()
    monkeypatch.setitem(tk.config, "smtp.server", f"127.0.0.1:{controller.port}")
    yield box
    controller.stop()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture
def send(app: CKANTestApp) -> Callable[[], Any]:
    """Send what is due."""
    from ckanext.satudata_trenggalek import mailing

    return lambda: mailing.send(app.flask_app)


def told(dataset: str, kind: str | None = None) -> list[str]:
    """Names of who is told of a dataset."""
    from ckanext.satudata_trenggalek import notices

    return sorted(
        row["user"] for row in notices.of_dataset(dataset, desk=True) if kind in (None, row["kind"])
    )


def mails(dataset: str) -> dict[str, str]:
    """Name -> what became of the mail."""
    from ckan import model as core

    from ckanext.satudata_trenggalek import notices

    core.Session.rollback()
    return {row["user"]: row["mail"] for row in notices.of_dataset(dataset, desk=True)}


def submit(world: World, **fields: Any) -> dict[str, Any]:
    """A dataset that was submitted just now: the same one each time, of which only that is told.

    Args:
        fields: what changes in it.
    """
    from ckan import model as core

    from ckanext.satudata_trenggalek import model

    id_ = world.shared.get("notices") or world.draft()["id"]
    world.shared["notices"] = id_
    world.put(id_, reviewer=None, claimed_at=None)
    if world.status(id_)["status"] == "diajukan":
        world.move("produsen_dinkes", id_, "batalkan")
    if fields:
        world.call("package_patch", "produsen_dinkes", id=id_, **fields)
    core.Session.execute(sa.delete(model.Notice).where(model.Notice.package_id == id_))
    core.Session.commit()
    world.move("produsen_dinkes", id_, "ajukan")
    return world.call("package_show", "produsen_dinkes", id=id_)


def site() -> str:
    import ckan.plugins.toolkit as tk

    return tk.config["ckan.site_url"]


def due_now() -> None:
    """What waits for a later time is due."""
    from ckan import model as core

    from ckanext.satudata_trenggalek import model

    core.Session.execute(sa.update(model.Notice).values(next_at=sa.func.now()))
    core.Session.commit()


# Who ---------------------------------------------------------------------------------------------
def test_each_step_tells_those_concerned(world: World, outbox: None) -> None:
    dataset = world.draft()["id"]
    world.move("produsen_dinkes", dataset, "ajukan")
    # The desk; not who did it, nor colleagues who had no part in the dataset.
    assert told(dataset, "ajukan") == ["walidata", "walidata_2"]
    world.move("produsen_dinkes", dataset, "batalkan")
    assert told(dataset, "batalkan") == ["walidata", "walidata_2"]
    world.call("package_patch", "produsen_dinkes_2", id=dataset, notes="Diperbaiki berdua.")
    world.call("satudata_prioritas_set", "forum", id=dataset, data_prioritas=True, kriteria="a")
    world.move("produsen_dinkes", dataset, "ajukan")
    makers = ["produsen_dinkes", "produsen_dinkes_2"]
    world.move("walidata", dataset, "kembalikan", note="Satuan.")
    assert told(dataset, "kembalikan") == makers
    world.move("produsen_dinkes_2", dataset, "ajukan")
    world.move("walidata", dataset, "teruskan_ke_pembina")
    assert told(dataset, "teruskan_ke_pembina") == ["pembina_bps", *makers]
    world.move("pembina_bps", dataset, "tolak_pembina", note="Konsep.")
    assert told(dataset, "tolak_pembina") == [*makers, "walidata", "walidata_2"]
    world.move("walidata", dataset, "kembalikan", note="Konsep.")
    world.move("produsen_dinkes", dataset, "ajukan")
    world.move("walidata_2", dataset, "teruskan_ke_pembina")
    world.move("pembina_bps", dataset, "setujui_pembina")
    assert told(dataset, "setujui_pembina") == [*makers, "walidata", "walidata_2"]
    world.move("walidata", dataset, "terbitkan")
    assert told(dataset, "terbitkan") == makers
    world.move("walidata", dataset, "tarik", note="Salah tahun.")
    assert told(dataset, "tarik") == makers
    assert not {"forum", "admin", "warga", "anggota_dinkes"} & set(told(dataset))


def test_with_its_makers_gone_the_editors_of_the_opd_are_told(world: World, outbox: None) -> None:
    dataset = world.draft(user="produsen_dinkes_2")["id"]
    world.move("produsen_dinkes_2", dataset, "ajukan")
    world.call("organization_member_delete", "admin", id="dinkes", username="produsen_dinkes_2")
    try:
        world.move("walidata", dataset, "kembalikan", note="Satuan.")
        assert told(dataset, "kembalikan") == ["admin_dinkes", "produsen_dinkes"]
    finally:
        world.call("organization_member_create", "admin", id="dinkes",
                   username="produsen_dinkes_2", role="editor")  # fmt: skip


def test_makers_are_not_asked_to_check(world: World, outbox: None) -> None:
    """Diskominfo are Walidata and Produsen: of its own datasets a colleague is told."""
    dataset = world.draft("walidata", owner_org="diskominfo")["id"]
    world.move("walidata", dataset, "ajukan")
    assert told(dataset) == ["walidata_2"]


def test_a_scheduled_publication_is_told_once(world: World, outbox: None) -> None:
    dataset = world.at("diajukan")["id"]
    later = (dt.datetime.now(dt.timezone.utc) + dt.timedelta(days=1)).isoformat()
    world.move("walidata", dataset, "setujui", publish_at=later)
    assert told(dataset, "jadwalkan") == ["produsen_dinkes"]
    assert told(dataset, "setujui") == []


def test_who_lost_a_claim_is_told(world: World, mailbox: Mailbox, send: Callable[[], Any]) -> None:

    dataset = submit(world)["id"]
    world.call("satudata_claim", "walidata", id=dataset)
    world.later(dataset, "claimed_at", -dt.timedelta(days=30))
    world.call("satudata_claim", "walidata_2", id=dataset, note="Sakit sejak Senin.")
    assert told(dataset, "ambil_alih") == ["walidata"]
    send()
    (mail,) = [mail for mail in mailbox.mails if "<walidata@" in str(mail["To"])]
    assert str(mail["Subject"]).startswith("Pemeriksaan diambil alih: ")
    assert "  Sakit sejak Senin." in text(mail)


def test_a_schedule_that_fails_is_told_to_walidata(world: World, outbox: None) -> None:
    from ckan import model as core

    from ckanext.satudata_trenggalek import model
    from ckanext.satudata_trenggalek.workflow import service

    dataset = world.at("terverifikasi")
    table, id_ = model.Table, dataset["id"]
    world.due(id_)
    # Its table is not that of its file.
    core.Session.execute(
        sa.update(table)
        .where(table.resource_id == dataset["resources"][0]["id"])
        .values(sha256="0" * 64)
    )
    core.Session.commit()
    assert service.publish_due() == []
    assert told(id_, "jadwal_gagal") == ["walidata", "walidata_2"]


def test_what_is_refused_tells_nobody(world: World, outbox: None) -> None:
    import ckan.plugins.toolkit as tk

    dataset = submit(world)["id"]
    before = told(dataset)
    with pytest.raises(tk.ValidationError):
        world.move("walidata", dataset, "kembalikan")  # without its note
    with pytest.raises(tk.ValidationError):
        world.move("walidata", dataset, "setujui", publish_at="besok")
    assert told(dataset) == before


def test_every_transition_is_told() -> None:
    from ckanext.satudata_trenggalek import notices
    from ckanext.satudata_trenggalek.workflow.table import TRANSITIONS

    assert TRANSITIONS.keys() <= notices.LABELS.keys()


# Mail --------------------------------------------------------------------------------------------
def test_mail_says_what_to_do(
    world: World, mailbox: Mailbox, send: Callable[[], Any], app: CKANTestApp
) -> None:
    dataset = submit(world, title=NASTY + " x" * 60)
    world.move("walidata", dataset["id"], "kembalikan", note="Satuan <belum> diisi & salah.\nDua.")
    report = send()
    # What waits for the desk no longer is not mailed to it.
    assert (report.sent, report.dropped, report.lost) == (1, 2, 0)
    (mail,) = mailbox.mails
    assert mailbox.to() == ["produsen_dinkes"]
    assert str(mail["Subject"]).startswith('Perlu diperbaiki: <b>Kelahiran</b> & "Anak" Bcc: semua')
    assert len(mail["Subject"]) <= 78 and mail["Bcc"] is None
    assert mail["Auto-Submitted"] == "auto-generated"
    choice = f"{site()}/satudata/pemberitahuan"
    assert mail["List-Unsubscribe"] == f"<{choice}>"
    body = text(mail)
    assert "  Satuan <belum> diisi & salah.\n  Dua." in body
    assert "Dikembalikan ke Dinkes, " in body and "Oleh walidata (Walidata)" in body
    assert f"{choice}#atur" in body
    # The link leads to the right page, and the notice is read.
    link = re.search(rf"{site()}(/satudata/pemberitahuan/\d+)\n", body)
    assert link
    opened = page(app, world, "produsen_dinkes", link[1])
    assert opened.location.endswith(f"/dataset/{dataset['name']}/perbaikan")
    assert notices_of(world, "produsen_dinkes")["unread"] == 0
    assert send().sent == 0


def test_mail_to_the_desk_names_the_deadline(
    world: World, mailbox: Mailbox, send: Callable[[], Any]
) -> None:
    world.call("satudata_notice_set", "walidata", mode="langsung", lang="en")
    dataset = submit(world)
    assert send().sent == 2
    first, second = sorted(mailbox.mails, key=lambda mail: str(mail["To"]))
    assert mailbox.to() == ["walidata", "walidata_2"]
    english, indonesian = text(first), text(second)
    assert "Submitted for checking" in str(first["Subject"])
    assert "Deadline: " in english and "16:00 WIB" in english
    assert f"{site()}/en/satudata/pemberitahuan/" in english
    assert "Tenggat: " in indonesian and "16.00 WIB" in indonesian
    assert dataset["title"] in english and dataset["title"] in indonesian


def test_digest_comes_once_a_day(world: World, mailbox: Mailbox, send: Callable[[], Any]) -> None:
    world.call("satudata_notice_set", "walidata", mode="harian")
    world.call("satudata_notice_set", "walidata_2", mode="tanpa")
    first, second = submit(world), world.at("diajukan")
    assert send().sent == 0
    due_now()
    assert send().sent == 1
    (mail,) = mailbox.mails
    assert mailbox.to() == ["walidata"] and mail["Subject"] == "2 pemberitahuan dari portal"
    assert first["title"] in text(mail) and second["title"] in text(mail)
    # The portal tells those who want no mail, too.
    assert mails(first["id"]) == {"walidata": "terkirim", "walidata_2": "tanpa"}
    assert notices_of(world, "walidata_2")["unread"] == 2


def test_approved_and_published_is_one_mail(
    world: World, mailbox: Mailbox, send: Callable[[], Any]
) -> None:
    dataset = world.at("terbit")
    send()
    (mail,) = mailbox.mails
    assert mailbox.to() == ["produsen_dinkes"] and mail["Subject"] == f"Terbit: {dataset['title']}"
    assert "Disetujui Walidata: " in text(mail)


def test_digest_hour_is_in_wib() -> None:
    from ckanext.satudata_trenggalek import notices

    def at(hour: int) -> dt.datetime:
        return dt.datetime(2026, 11, 23, hour, 30, tzinfo=dt.timezone.utc)

    assert notices.next_mail("harian", at(1)).isoformat() == "2026-11-24T07:00:00+07:00"
    assert notices.next_mail("harian", at(23)).isoformat() == "2026-11-24T07:00:00+07:00"
    assert notices.next_mail("langsung", at(1)) == at(1)


def test_a_changed_mind_counts_for_what_waits(
    world: World, mailbox: Mailbox, send: Callable[[], Any]
) -> None:
    for name in ("walidata", "walidata_2"):
        world.call("satudata_notice_set", name, mode="harian")
    submit(world)
    world.call("satudata_notice_set", "walidata", mode="langsung")
    world.call("satudata_notice_set", "walidata_2", mode="tanpa")
    due_now()
    send()
    assert mailbox.to() == ["walidata"]


# Who may not, who can't --------------------------------------------------------------------------
def test_who_may_no_longer_see_it_learns_nothing(
    world: World, mailbox: Mailbox, send: Callable[[], Any], app: CKANTestApp
) -> None:
    dataset = submit(world, title="Angka Rahasia")
    world.move("walidata", dataset["id"], "kembalikan", note="Sebab rahasia.")
    world.call("organization_member_delete", "admin", id="dinkes", username="produsen_dinkes")
    try:
        assert send().sent == 0
        assert mails(dataset["id"])["produsen_dinkes"] == "batal"
        found = notices_of(world, "produsen_dinkes")
        assert found["results"][0]["dataset"] is None and "note" not in found["results"][0]
        shown = page(app, world, "produsen_dinkes", "/satudata/pemberitahuan")
        assert "ahasia" not in shown.text and "tidak lagi dapat Anda lihat" in shown.text
        id_ = found["results"][0]["id"]
        opened = page(app, world, "produsen_dinkes", f"/satudata/pemberitahuan/{id_}")
        assert opened.status_code == 404 and dataset["name"] not in opened.text
    finally:
        world.call("organization_member_create", "admin", id="dinkes",
                   username="produsen_dinkes", role="editor")  # fmt: skip


def test_notes_are_not_told_with_what_is_public(world: World, outbox: None) -> None:
    """A published dataset is everybody's to read; why it came and went is not."""
    from ckan import model as core

    from ckanext.satudata_trenggalek import notices

    dataset = world.standing("terbit")
    for name, may in (("warga", False), ("anggota_dinkes", False), ("produsen_dinkes", True)):
        user = core.User.get(name)
        assert user
        assert bool(notices.readable(user, [dataset])) is may, name


@pytest.mark.parametrize("address", ["", "bukan alamat", "a@b\nBcc: c@d.id"])
def test_without_a_usable_address_operators_hear_of_it(
    world: World, mailbox: Mailbox, send: Callable[[], Any], address: str
) -> None:
    from ckan import model as core

    from ckanext.satudata_trenggalek import mailing

    user = core.User.get("walidata_2")
    assert user
    user.email = address
    core.Session.commit()
    try:
        dataset = submit(world)["id"]
        send()
        assert mailbox.to() == ["walidata"] and mails(dataset)["walidata_2"] == "batal"
        assert world.call("satudata_notice_show", "walidata_2")["address"] is None
        assert mailing.problems() == [
            "mail to walidata_2 does not arrive (the account has no usable mail address):"
            " mend the address"
        ]
    finally:
        user.email = "walidata_2@example.id"
        core.Session.commit()


def test_nothing_is_mailed_to_who_left(
    world: World, mailbox: Mailbox, send: Callable[[], Any]
) -> None:
    from ckan import model as core

    dataset = submit(world)["id"]
    user = core.User.get("walidata_2")
    assert user
    user.state = "deleted"
    core.Session.commit()
    try:
        send()
        assert mailbox.to() == ["walidata"] and mails(dataset)["walidata_2"] == "batal"
    finally:
        user.state = "active"
        core.Session.commit()


# Faults ------------------------------------------------------------------------------------------
def test_a_dead_mail_server_delays(
    world: World, mailbox: Mailbox, send: Callable[[], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    import ckan.plugins.toolkit as tk

    alive = tk.config["smtp.server"]
    monkeypatch.setitem(tk.config, "smtp.server", f"127.0.0.1:{free_port()}")
    dataset = submit(world)["id"]
    assert world.status(dataset)["status"] == "diajukan"
    report = send()
    # The first failure says it for all: the others are not tried.
    assert (report.sent, report.delayed, report.lost) == (0, 1, 0)
    assert set(mails(dataset).values()) == {"antre"}
    monkeypatch.setitem(tk.config, "smtp.server", alive)
    due_now()
    assert send().sent == 2
    due_now()
    assert send().sent == 0
    assert mailbox.to() == ["walidata", "walidata_2"]


def test_mail_is_given_up_in_the_end(
    world: World, outbox: None, send: Callable[[], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    import ckan.plugins.toolkit as tk

    from ckanext.satudata_trenggalek import mailing, notices

    monkeypatch.setitem(tk.config, "smtp.server", f"127.0.0.1:{free_port()}")
    dataset = submit(world)["id"]
    real = notices.now
    for _ in range(3):
        due_now()
        send()
    monkeypatch.setattr(notices, "now", lambda: real() + dt.timedelta(hours=30))
    assert "is delayed (the mail server said: " in mailing.problems()[0]
    monkeypatch.setattr(notices, "now", lambda: real() + mailing.PATIENCE)
    report = send()
    assert report.lost == 2 and report.problems[0].startswith("2 notices have no mail (")
    assert set(mails(dataset).values()) == {"gagal"}
    assert [line.split(" does")[0] for line in mailing.problems()] == [
        "mail to walidata", "mail to walidata_2",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("rcpt", "data", "end"),
    [
        ("550 no such user", None, "gagal"),
        ("451 greylisted", None, "antre"),
        (None, "554 looks like spam", "gagal"),
        (None, "452 disk full", "antre"),
    ],
)
def test_refusals(
    world: World, mailbox: Mailbox, send: Callable[[], Any], rcpt: str | None, data: str | None,
    end: str,
) -> None:  # fmt: skip
    world.call("satudata_notice_set", "walidata_2", mode="tanpa")
    dataset = submit(world)["id"]
    mailbox.answer = lambda _server, _address: rcpt
    mailbox.answer_data = lambda _server: data
    send()
    assert mails(dataset)["walidata"] == end
    mailbox.answer, mailbox.answer_data = lambda _server, _address: None, lambda _server: None
    due_now()
    send()
    assert mails(dataset)["walidata"] == ("terkirim" if end == "antre" else end)
    assert len(mailbox.mails) == (end == "antre")


def test_one_bad_address_does_not_hold_the_others(
    world: World, mailbox: Mailbox, send: Callable[[], Any]
) -> None:
    dataset = submit(world)["id"]
    mailbox.answer = lambda _server, to: None if to.startswith("walidata_2@") else "550 unknown"
    report = send()
    assert (report.sent, report.lost) == (1, 1)
    assert mails(dataset) == {"walidata": "gagal", "walidata_2": "terkirim"}


def hang_up(server: Any) -> str:
    server.transport.get_extra_info("socket").shutdown(socket.SHUT_RDWR)
    return "250 OK"


def test_lost_connection_after_the_text_is_not_tried_again(
    world: World, mailbox: Mailbox, send: Callable[[], Any]
) -> None:
    world.call("satudata_notice_set", "walidata_2", mode="tanpa")
    dataset = submit(world)["id"]
    mailbox.answer_data = hang_up
    report = send()
    assert (report.sent, report.lost) == (0, 1) and "may have been sent" in report.problems[0]
    mailbox.answer_data = lambda _server: None
    due_now()
    assert send().sent == 0
    assert mails(dataset)["walidata"] == "ragu" and not mailbox.mails


class Silent:
    """A server on a free port that takes connections and says nothing, or hangs up at once."""

    def __init__(self, hangs: bool) -> None:
        self.socket, self.hangs = socket.create_server(("127.0.0.1", 0)), hangs
        self.port, self.kept = self.socket.getsockname()[1], []
        self.thread = threading.Thread(target=self.serve, daemon=True)
        self.thread.start()

    def serve(self) -> None:
        while True:
            try:
                connection, _ = self.socket.accept()
            except OSError:
                return
            if self.hangs:
                self.kept.append(connection)
            else:
                connection.close()

    def close(self) -> None:
        self.socket.shutdown(socket.SHUT_RDWR)
        self.socket.close()
        for connection in self.kept:
            connection.close()


@pytest.mark.parametrize("hangs", [True, False])
def test_a_server_that_says_nothing(
    world: World, outbox: None, send: Callable[[], Any], monkeypatch: pytest.MonkeyPatch,
    hangs: bool,
) -> None:  # fmt: skip
    import ckan.plugins.toolkit as tk

    from ckanext.satudata_trenggalek import mailing

    server = Silent(hangs)
    monkeypatch.setitem(tk.config, "smtp.server", f"127.0.0.1:{server.port}")
    monkeypatch.setattr(mailing, "TIMEOUT", 0.2)
    dataset = submit(world)["id"]
    assert send().delayed == 1
    assert set(mails(dataset).values()) == {"antre"}
    assert socket.getdefaulttimeout() is None
    server.close()


def test_a_goodbye_that_fails_is_no_failure(world: World, outbox: None) -> None:
    import smtplib

    from ckanext.satudata_trenggalek import mailing

    async def close(server: Any) -> None:
        server.transport.close()

    class Rude:
        async def handle_QUIT(self, server: Any, *_: Any) -> str:
            await close(server)
            return "221 Bye"

    controller = Controller(Rude(), hostname="127.0.0.1", port=free_port(), ready_timeout=30)
    controller.start()
    try:
        client = smtplib.SMTP("127.0.0.1", controller.port)
        client.ehlo()
        with pytest.raises(smtplib.SMTPServerDisconnected) as error:
            client.quit()
    finally:
        controller.stop()
    assert mailing.verdict(error.value)[:2] == ("terkirim", True)


def test_death_between_sending_and_remembering_sends_no_second_mail(
    world: World, mailbox: Mailbox, send: Callable[[], Any]
) -> None:
    """A run is killed at the moment when the mail server has taken the mail."""
    import ckan.plugins.toolkit as tk

    world.call("satudata_notice_set", "walidata_2", mode="tanpa")
    dataset = submit(world)["id"]
    taken: list[int] = []

    def kill(_server: Any) -> None:
        os.kill(run.pid, signal.SIGKILL)
        taken.append(run.pid)

    mailbox.answer_data = kill
    run = subprocess.Popen(
        [Path(sys.executable).with_name("ckan"), "satudata", "notify"],
        env=os.environ | {"CKAN_SMTP_SERVER": tk.config["smtp.server"]},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    assert run.wait(120) == -signal.SIGKILL, run.communicate()[0].decode()
    assert mails(dataset)["walidata"] == "mengirim" and taken
    mailbox.answer_data = lambda _server: None
    report = send()
    assert (report.sent, report.lost) == (0, 1) and "may have been sent" in report.problems[0]
    assert mails(dataset)["walidata"] == "ragu" and len(mailbox.mails) == 1


def test_two_runs_at_once_send_once(
    world: World, mailbox: Mailbox, send: Callable[[], Any]
) -> None:
    from ckan import model as core

    submit(world)
    entered, go = threading.Event(), threading.Event()

    def wait(_server: Any) -> None:
        entered.set()
        assert go.wait(30)

    mailbox.answer_data = wait
    first: list[Any] = []

    def run() -> None:
        first.append(send())
        core.Session.remove()

    thread = threading.Thread(target=run)
    thread.start()
    assert entered.wait(30)
    second = send()
    go.set()
    thread.join(30)
    assert (first[0].sent, second.sent) == (2, 0)
    assert mailbox.to() == ["walidata", "walidata_2"]


@pytest.mark.parametrize("setting", ["smtp.server", "smtp.mail_from"])
def test_without_a_mail_server_everything_waits(
    world: World, outbox: None, send: Callable[[], Any], monkeypatch: pytest.MonkeyPatch,
    setting: str,
) -> None:  # fmt: skip
    import ckan.plugins.toolkit as tk

    from ckanext.satudata_trenggalek import mailing

    dataset = submit(world)["id"]
    monkeypatch.setitem(tk.config, setting, "")
    with pytest.raises(mailing.Unready, match=setting):
        send()
    assert set(mails(dataset).values()) == {"antre"}
    assert any(setting in problem for problem in mailing.problems())


# Reminders ---------------------------------------------------------------------------------------
@pytest.fixture
def today(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Set the moment, in WIB."""
    from ckanext.satudata_trenggalek import notices
    from ckanext.satudata_trenggalek.workflow.calendar import WIB

    def set_(moment: str) -> None:
        at = dt.datetime.fromisoformat(moment).replace(tzinfo=WIB)
        monkeypatch.setattr(notices, "now", lambda: at)

    return set_


def waiting(world: World, status: str, due: str, reviewer: str | None = None) -> str:
    """A dataset alone in the queue, due at that moment (WIB)."""
    from ckan import model as core

    from ckanext.satudata_trenggalek import model
    from ckanext.satudata_trenggalek.workflow.calendar import WIB

    dataset = submit(world)["id"] if status == "diajukan" else world.at(status)["id"]
    row = model.Status
    others = sa.select(row.package_id).where(row.due_at.is_not(None), row.package_id != dataset)
    for id_ in core.Session.scalars(others).all():
        world.put(id_, due_at=None)
    due_at = dt.datetime.fromisoformat(due).replace(tzinfo=WIB)
    claimed_at = due_at if reviewer else None
    world.put(dataset, due_at=due_at, reviewer=reviewer, claimed_at=claimed_at)
    return dataset


def test_reminders_before_and_after_the_deadline(
    world: World, outbox: None, today: Callable[[str], None]
) -> None:
    from ckanext.satudata_trenggalek import notices

    # Tuesday; what follows until Monday are Wednesday to Friday.
    dataset = waiting(world, "diajukan", "2026-11-24T16:00", reviewer="walidata")
    for moment, queued, people in (
        ("2026-11-23T08:00", 0, []),
        ("2026-11-24T08:00", 1, ["walidata"]),  # the holder of the claim
        ("2026-11-24T09:00", 0, ["walidata"]),  # not twice
        ("2026-11-24T17:00", 0, ["walidata"]),
        ("2026-11-25T08:00", 1, ["walidata", "walidata"]),
        ("2026-11-26T08:00", 2, ["walidata"] * 3 + ["walidata_2"]),  # and then the colleagues
        ("2026-11-28T08:00", 0, ["walidata"] * 3 + ["walidata_2"]),  # Saturday
        ("2026-11-30T08:00", 0, ["walidata"] * 3 + ["walidata_2"]),  # the fourth: too many
    ):
        today(moment)
        assert notices.remind() == queued, moment
        found = notices.of_dataset(dataset, desk=True)
        reminders = [row["user"] for row in found if row["kind"] in notices.REMINDERS]
        assert sorted(reminders) == people, moment


def test_interval_and_maximum_are_settings(
    world: World, outbox: None, today: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    import ckan.plugins.toolkit as tk

    from ckanext.satudata_trenggalek import notices

    for name, value in (("sebelum", 1), ("selang", 2), ("maks", 2)):
        monkeypatch.setitem(tk.config, f"ckanext.satudata_trenggalek.ingatkan_{name}", value)
    waiting(world, "diajukan", "2026-11-20T16:00")  # Friday
    queued = []
    for day in (18, 19, 20, 23, 24, 25, 26, 27):
        today(f"2026-11-{day}T08:00")
        queued.append(notices.remind())
    assert queued == [0, 2, 0, 2, 0, 2, 0, 0]


def test_late_pembina_are_told_to_walidata_but_not_to_produsen(
    world: World, mailbox: Mailbox, send: Callable[[], Any], today: Callable[[str], None],
    app: CKANTestApp,
) -> None:  # fmt: skip
    from ckanext.satudata_trenggalek import notices

    dataset = waiting(world, "diperiksa_pembina", "2026-11-24T16:00")
    today("2026-11-24T08:00")
    notices.remind()
    today("2026-11-25T08:00")
    notices.remind()
    assert told(dataset, "segera") == ["pembina_bps"]
    assert told(dataset, "lewat") == ["pembina_bps", "walidata", "walidata_2"]
    for name, count in (("produsen_dinkes", 0), ("walidata", 4)):
        history = world.call("satudata_history_list", name, id=dataset)
        assert len(history["reminders"]) == count
        # The last event is that of the deadline, above.
        assert {item["user"] for item in history["results"][-2]["told"]} == {
            "pembina_bps", "produsen_dinkes",
        }  # fmt: skip
        shown = page(app, world, name, f"/dataset/{dataset}/riwayat").text
        assert "produsen_dinkes (surat antre)" in shown
        assert ("Pengingat tenggat" in shown) is bool(count)
    today("2026-11-25T08:01")
    send()
    # What was near is late by now, and said once.
    late = [mail for mail in mailbox.mails if str(mail["Subject"]).startswith("Lewat tenggat: ")]
    assert len(late) == 3


def test_a_reminder_of_what_was_decided_is_not_sent(
    world: World, mailbox: Mailbox, send: Callable[[], Any], today: Callable[[str], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    from ckanext.satudata_trenggalek import notices

    dataset = waiting(world, "diajukan", "2026-11-24T16:00")
    today("2026-11-25T08:00")
    assert notices.remind() == 2
    monkeypatch.undo()
    world.move("walidata", dataset, "kembalikan", note="Satuan.")
    found = notices_of(world, "walidata")["results"]
    assert [item["stale"] for item in found if item["kind"] == "lewat"] == [True]


# Pages and actions -------------------------------------------------------------------------------
def notices_of(world: World, user: str, **asked: Any) -> dict[str, Any]:
    return world.call("satudata_notice_list", user, **asked)


def page(app: CKANTestApp, world: World, user: str | None, path: str, **form: str) -> Any:
    """Open a page, or send a form to it."""
    headers = {}
    if user:
        made = world.call("api_token_create", user, user=user, name=os.urandom(8).hex())
        headers["Authorization"] = made["token"]
    method = "POST" if form else "GET"
    return app.test_client().open(
        path, method=method, headers=headers, data=form, follow_redirects=False
    )


def test_page_lists_and_marks_as_read(world: World, outbox: None, app: CKANTestApp) -> None:
    empty = page(app, world, "walidata", "/satudata/pemberitahuan")
    assert "Belum ada pemberitahuan" in empty.text and "sd-count" not in empty.text.split("main")[0]
    title = "Kelahiran <b>tebal</b>"
    dataset = submit(world, title=title)
    shown = page(app, world, "walidata", "/satudata/pemberitahuan?tab=belum")
    assert title not in shown.text and "Kelahiran &lt;b&gt;tebal" in shown.text
    assert "1 belum dibaca" in shown.text
    id_ = notices_of(world, "walidata")["results"][0]["id"]
    # A colleague who was sent the link gets to the page, and reads it for nobody else.
    opened = page(app, world, "walidata_2", f"/satudata/pemberitahuan/{id_}")
    assert opened.location.endswith(f"/dataset/{dataset['name']}/pemeriksaan")
    assert notices_of(world, "walidata")["unread"] == 1
    unknown = [("walidata", path) for path in (2**62, 2**70, "١", "semua")]
    for user, path in (("warga", id_), ("forum", id_), *unknown):
        assert page(app, world, user, f"/satudata/pemberitahuan/{path}").status_code == 404
    read = page(app, world, "walidata", "/satudata/pemberitahuan/dibaca", semua="1")
    assert read.status_code == 302 and notices_of(world, "walidata")["unread"] == 0
    assert "Tidak ada yang belum dibaca" in page(
        app, world, "walidata", "/satudata/pemberitahuan?tab=belum"
    ).text  # fmt: skip


def test_page_keeps_the_choice(world: World, outbox: None, app: CKANTestApp) -> None:
    anonymous = page(app, world, None, "/satudata/pemberitahuan")
    assert anonymous.status_code == 302 and "/user/login" in anonymous.location
    path = "/satudata/pemberitahuan/atur"
    wrong = page(app, world, "warga", path, mode="kadang", lang="id")
    assert wrong.status_code == 409 and "Tidak dikenal" in wrong.text
    assert page(app, world, "warga", path, mode="harian", lang="en").status_code == 302
    assert world.call("satudata_notice_show", "warga") == {
        "mode": "harian", "lang": "en", "address": "warga@example.id",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("action", "data", "field"),
    [
        ("satudata_notice_set", {"mode": "kadang"}, "mode"),
        ("satudata_notice_set", {}, "mode"),
        ("satudata_notice_set", {"mode": "harian", "lang": "xx"}, "lang"),
        ("satudata_notice_set", {"mode": ["harian"]}, "mode"),
        ("satudata_notice_list", {"limit": "banyak"}, "limit"),
        ("satudata_notice_list", {"unread": "mungkin"}, "unread"),
        ("satudata_notice_read", {"ids": ["satu"]}, "ids"),
        ("satudata_notice_read", {"ids": list(range(101))}, "ids"),
    ],
)
def test_bad_parameters_are_named(
    world: World, action: str, data: dict[str, Any], field: str
) -> None:
    import ckan.plugins.toolkit as tk

    with pytest.raises(tk.ValidationError) as error:
        world.call(action, "walidata", **data)
    assert list(error.value.error_dict) == [field]


@pytest.mark.parametrize("action", ["list", "read", "show", "set"])
def test_actions_are_for_who_is_logged_in(world: World, action: str) -> None:
    import ckan.plugins.toolkit as tk

    with pytest.raises(tk.NotAuthorized):
        world.call(f"satudata_notice_{action}", None, mode="tanpa")


def test_nobody_reads_or_marks_the_notices_of_others(world: World, outbox: None) -> None:
    submit(world)
    id_ = notices_of(world, "walidata")["results"][0]["id"]
    world.call("satudata_notice_read", "walidata_2", ids=[id_])
    assert notices_of(world, "walidata")["unread"] == 1
    assert notices_of(world, "admin") == {"count": 0, "unread": 0, "results": []}


def test_list_asks_the_database_as_often_for_many_as_for_few(world: World, outbox: None) -> None:
    from ckan import model as core

    from ckanext.satudata_trenggalek import model, notices

    user = core.User.get("walidata")
    assert user
    datasets = [submit(world)["id"], *map(world.standing, ("diajukan", "dikembalikan", "terbit"))]
    at = notices.now()
    # Each of them twice: what is new in one status is asked for once.
    for number, dataset in enumerate(datasets * 2):
        core.Session.add(
            model.Notice(user_id=user.id, package_id=dataset, kind="ajukan", key=str(number),
                         event_seq=1, queued_at=at, next_at=at, mail="tanpa")
        )  # fmt: skip
    core.Session.commit()
    counts = []
    with statements() as sent:
        for limit in (4, 8):
            core.Session.rollback()
            _ = user.name, sent.clear()
            _count, rows = notices.find(user.id, limit, 0, True)
            assert len(notices.described(user, rows)) == limit
            counts.append(len(sent))
    assert counts[0] == counts[1]
