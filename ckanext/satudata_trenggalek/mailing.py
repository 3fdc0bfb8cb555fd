"""Sends the mail of notices: `ckan satudata notify`, each minute.

What is promised: no mail is sent twice. A notice is marked as being sent before the mail server
hears of it, and as sent after it accepted; one run at a time holds a lock in the database. When the
portal dies in between, or the connection after the text was handed over and before the answer,
nobody can know whether the mail left: it is then marked `ragu`, not sent again and told to
operators. The notice itself is in the portal all the while.

A mail server that is down delays: everything waits with growing pauses, up to PATIENCE.
"""

from __future__ import annotations

import datetime as dt
import logging
import smtplib
import socket
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import chain
from typing import Any
from urllib.parse import urlsplit

import ckan.model as core
import ckan.plugins as p
import ckan.plugins.toolkit as tk
import sqlalchemy as sa
from ckan.lib import mailer

from ckanext.satudata_trenggalek import model, notices

log = logging.getLogger(__name__)

#: How long a mail server may take for each answer, in seconds.
TIMEOUT = 30
#: After this the mail of a notice is given up.
PATIENCE = dt.timedelta(days=3)
#: Longest pause between two tries.
PAUSE = dt.timedelta(hours=6)
#: Longest subject, in characters (RFC 5322, 2.1.1: lines of at most 78).
MAX_SUBJECT = 78
#: Notices of a digest that are told in full; the rest is counted.
MAX_BUNDLE = 50
#: More notices than this at once go into one mail.
MAX_SINGLE = 10
#: Of how many days operators are told.
TOLD = dt.timedelta(days=7)
#: Why there is no mail, where the account's owner or an operator can mend it.
NO_ADDRESS = "the account has no usable mail address"
#: Key of the lock that one run holds.
_LOCK = 0x5A70DA7A


@dataclass
class Report:
    """What a run did: numbers of mails, and why it ended early."""

    sent: int = 0
    dropped: int = 0
    delayed: int = 0
    lost: int = 0
    problems: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        return (
            f"{self.sent} mails sent, {self.dropped} not needed or not possible,"
            f" {self.delayed} delayed, {self.lost} given up."
        )


class Unready(Exception):
    """Mail can't be sent at all; says what to set."""


def ready() -> None:
    """Check that mail can be sent.

    Raises:
        Unready: with the setting that is missing. CKAN would drop mail in silence, or fail.
    """
    if list(p.PluginImplementations(p.INotifier)):
        return
    if not tk.config.get("smtp.server"):
        raise Unready("smtp.server is empty: name the mail server, as in `smtp.server = host:25`")
    if not tk.config.get("smtp.mail_from"):
        raise Unready("smtp.mail_from is empty: set the address that the portal's mail comes from")


@contextmanager
def _patience() -> Iterator[None]:
    # CKAN's mailer sets no timeout of its own.
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(TIMEOUT)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)


def send(app: Any) -> Report:
    """Send what is due.

    Args:
        app: CKAN's Flask application, for links and languages.

    Returns:
        what was done; nothing when another run is at it.

    Raises:
        Unready: when the settings lack a mail server; everything waits.
    """
    ready()
    report = Report()
    # A connection of its own: the lock ends with it, however this process ends.
    with core.ensure_engine().connect() as guard, guard.begin(), _patience():
        if not guard.scalar(sa.select(sa.func.pg_try_advisory_xact_lock(_LOCK))):
            log.info("Another run sends the mail of notices.")
            return report
        _clear(report)
        for user_id in _users():
            if not _send_to(app, user_id, report):
                break
    for problem in report.problems:
        log.error("%s", problem)
    return report


def _clear(report: Report) -> None:
    """End what a dead run left in the middle, and what waited too long. Commits."""
    notice = model.Notice
    for was, where, becomes, told in (
        ("mengirim", sa.true(), "ragu", "a run died while sending; it may have been sent"),
        ("antre", notice.queued_at < notices.now() - PATIENCE, "gagal", ""),
    ):
        values: dict[str, Any] = {"mail": becomes}
        if told:
            values["reason"] = told
        ended = core.Session.execute(
            sa.update(notice)
            .where(notice.mail == was, where)
            .values(**values)
            .returning(notice.id, notice.user_id, notice.reason)
        ).all()
        report.lost += len(ended)
        for reason in sorted({row.reason or "the schedule did not send" for row in ended}):
            report.problems.append(
                f"{len(ended)} notices have no mail ({reason}); `ckan satudata doctor` names whose"
            )
    core.Session.commit()


def _users() -> list[str]:
    """Ids of the users with mail that is due, who waits longest first."""
    notice = model.Notice
    return list(
        core.Session.scalars(
            sa.select(notice.user_id)
            .where(notice.mail == "antre", notice.next_at <= notices.now())
            .group_by(notice.user_id)
            .order_by(sa.func.min(notice.next_at))
        )
    )


def _send_to(app: Any, user_id: str, report: Report) -> bool:
    """Send one user what is due.

    Returns:
        False when the mail server takes nothing more.
    """
    notice = model.Notice
    rows = core.Session.scalars(
        sa.select(notice)
        .where(notice.user_id == user_id, notice.mail == "antre", notice.next_at <= notices.now())
        .order_by(notice.id)
        .with_for_update(skip_locked=True)
    ).all()
    user = core.User.get(user_id)
    if user is None or user.state != "active":
        _drop(rows, "the account is gone", report)
        core.Session.commit()
        return True
    if not (address := notices.address(user)):
        _drop(rows, NO_ADDRESS, report)
        core.Session.commit()
        return True
    mode, lang = notices.choices([user_id])[user_id]
    if mode == notices.TANPA:
        _drop(rows, "not wanted", report)
        core.Session.commit()
        return True
    default = tk.config["ckan.locale_default"]
    place = {"CKAN_LANG": lang, "CKAN_LANG_IS_DEFAULT": lang == default}
    with app.test_request_context(environ_overrides=place):
        told = {item["id"]: item for item in notices.described(user, rows)}
        rest = []
        for row in rows:
            item = told[row.id]
            if item["dataset"] is None:
                _drop([row], "the reader may not see the dataset any more", report)
            elif item["read"]:
                _drop([row], "read in the portal", report)
            elif item["stale"]:
                _drop([row], "it waits for the reader no longer", report)
            else:
                rest.append(row)
        bundles = _bundles(rest, mode)
        core.Session.commit()
        for bundle in bundles:
            if not _deliver(user, address, [told[id_] for id_ in bundle], report):
                return False
    return True


def _bundles(rows: Sequence[model.Notice], mode: str) -> list[list[int]]:
    """What goes into one mail: a digest all, reminders of deadlines together, else each dataset.

    What piled up while no mail was sent goes together, too.

    Returns:
        ids of the notices of each mail.
    """
    if mode == notices.HARIAN or len(rows) > MAX_SINGLE:
        return [[row.id for row in rows]] if rows else []
    bundles: dict[str, list[int]] = {}
    for row in rows:
        about = "" if row.kind in notices.REMINDERS else row.package_id
        bundles.setdefault(about, []).append(row.id)
    return list(bundles.values())


def _drop(rows: Sequence[model.Notice], reason: str, report: Report) -> None:
    for row in rows:
        row.mail, row.reason = "batal", reason
    report.dropped += len(rows)


def one_line(text: str, most: int | None = None) -> str:
    """A text as a header takes it: no line breaks or control characters, shortened with "…"."""
    line = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return line if most is None or len(line) <= most else line[: most - 1].rstrip() + "…"


def subject(shown: Sequence[dict[str, Any]]) -> str:
    """Subject of a mail of these notices, at most MAX_SUBJECT characters."""
    if len({item["dataset"]["id"] for item in shown}) == 1:
        line = f"{shown[-1]['label']}: {shown[-1]['dataset']['title']}"
    elif all(item["kind"] in notices.REMINDERS for item in shown):
        line = tk._("{n} dataset mendekati atau melewati tenggat").format(n=len(shown))
    else:
        line = tk._("{n} pemberitahuan dari portal").format(n=len(shown))
    return one_line(line, MAX_SUBJECT)


def compose(user: core.User, shown: Sequence[dict[str, Any]]) -> tuple[str, str, dict[str, str]]:
    """Subject, text and headers of a mail, in the language of the request."""
    choice = tk.url_for("satudata_pemberitahuan.daftar", _external=True)
    text = tk.render(
        "emails/satudata_pemberitahuan.txt",
        {
            "name": one_line(user.display_name),
            "items": [
                {**item, "url": tk.url_for("satudata_pemberitahuan.buka", id=item["id"],
                                           _external=True)}
                for item in shown[:MAX_BUNDLE]
            ],
            "more": len(shown) - len(shown[:MAX_BUNDLE]),
            "choice": f"{choice}#atur",
            "site": tk.config["ckan.site_title"],
        },
    )  # fmt: skip
    host = urlsplit(tk.config["ckan.site_url"]).hostname or "localhost"
    return subject(shown), text, {
        # The same for each try of the same notices.
        "Message-ID": f"<satudata.{shown[0]['id']}-{shown[-1]['id']}@{host}>",
        "Auto-Submitted": "auto-generated",
        "List-Unsubscribe": f"<{choice}>",
        "Precedence": "bulk",
    }  # fmt: skip


def _deliver(
    user: core.User, address: str, shown: Sequence[dict[str, Any]], report: Report
) -> bool:
    """Send one mail of these notices; see the head of this module for what is promised.

    Returns:
        False when the mail server takes nothing more.
    """
    notice = model.Notice
    # Those that the user did not call off meanwhile.
    mine = {item["id"] for item in shown}
    taken = {
        row.id: row.tries
        for row in core.Session.execute(
            sa.update(notice)
            .where(notice.id.in_(mine), notice.mail == "antre")
            .values(mail="mengirim", tries=notice.tries + 1)
            .returning(notice.id, notice.tries)
        )
    }
    core.Session.commit()
    shown = [item for item in shown if item["id"] in taken]
    if not shown:
        return True
    try:
        line, text, headers = compose(user, shown)
        name = one_line(user.display_name)
        mailer.mail_recipient(name, address, line, text, headers=headers)
        end, goes_on, said = "terkirim", True, ""
    except Exception as error:
        # Whatever a mail server or another notifier does, the other notices are sent.
        core.Session.rollback()
        end, goes_on, said = verdict(error)
    at, values = notices.now(), {"mail": end, "reason": one_line(said, 500) or None}
    if end == "terkirim":
        values["mailed_at"] = at
    pause = min(dt.timedelta(minutes=2 ** min(max(taken.values()), 12)), PAUSE)
    core.Session.execute(
        sa.update(notice).where(notice.id.in_(taken)).values(**values, next_at=at + pause)
    )
    core.Session.commit()
    told = f"mail of notice {shown[0]['id']} to {user.name}: {said}"
    if end == "terkirim":
        report.sent += 1
    elif end == "antre":
        report.delayed += 1
        log.warning("%s; it is tried again", told)
    else:
        report.lost += 1
        report.problems.append(told)
    return goes_on


def verdict(error: BaseException) -> tuple[str, bool, str]:
    """What an error of sending means.

    CKAN's mailer wraps what smtplib raises, and may fail once more while saying goodbye, so the
    whole chain is looked at.

    Returns:
        what becomes of the mail (terkirim, antre, gagal or ragu), whether the server goes on to
        take mail, and what it said.
    """
    errors: list[BaseException] = []
    while error:
        errors.append(error)
        error = error.__context__  # pyright: ignore[reportAssignmentType]
    said = one_line(str(errors[-1]))
    for item in errors:
        if isinstance(item, smtplib.SMTPRecipientsRefused):
            code, answer = next(iter(item.recipients.values()))
            said = f"{code} {one_line(answer.decode(errors='replace'))}"
            return ("gagal" if code >= 500 else "antre"), code != 421, said
        if isinstance(item, smtplib.SMTPDataError):
            code, answer = item.smtp_code, item.smtp_error
            text = answer.decode(errors="replace") if isinstance(answer, bytes) else answer
            said = f"{code} {one_line(text)}"
            return ("gagal" if code >= 500 else "antre"), code != 421, said
    passed = [_functions(item) for item in errors]
    wrapped = any(isinstance(item, mailer.MailerException) for item in errors)
    if any("data" in names for names in passed):
        return "ragu", False, f"{said} (after the text was handed over; it may have been sent)"
    if not wrapped and "quit" in passed[0] and not {"starttls", "login"} & set(chain(*passed)):
        return "terkirim", True, ""  # accepted; only the goodbye went wrong
    if wrapped or isinstance(errors[-1], OSError):
        return "antre", False, said
    # What can't be made into a mail won't be tomorrow.
    log.error("a notice can't be mailed", exc_info=errors[0])
    return "gagal", True, f"{type(errors[-1]).__name__}: {said}"


def _functions(error: BaseException) -> set[str]:
    """Functions of smtplib through which an error came."""
    return {
        frame.f_code.co_name
        for frame, _line in traceback.walk_tb(error.__traceback__)
        if frame.f_code.co_filename == smtplib.__file__
    }


def problems() -> list[str]:
    """What operators should know of mail, each with what to do (`ckan satudata doctor`)."""
    try:
        ready()
    except Unready as error:
        return [str(error)]
    notice, user = model.Notice, core.user_table.c
    waiting, said = core.Session.execute(
        sa.select(sa.func.count(), sa.func.max(notice.reason)).where(
            notice.mail == "antre", notice.queued_at < notices.now() - dt.timedelta(hours=1),
            sa.or_(notice.next_at < notices.now() - dt.timedelta(hours=1), notice.tries > 2),
        )
    ).one()  # fmt: skip
    found = []
    if waiting and said:
        found.append(
            f"the mail of {waiting} notices is delayed (the mail server said: {said}):"
            " check smtp.* and the mail server"
        )
    elif waiting:
        found.append(
            f"{waiting} notices wait for their mail since more than an hour: let the schedule run"
            " `ckan satudata notify` each minute"
        )
    # Of each user the last mail counts: one that arrived says that all is well again.
    last = (
        sa.select(notice.user_id, notice.mail, notice.reason)
        .where(
            notice.mail.in_(("terkirim", "gagal", "ragu"))
            | ((notice.mail == "batal") & (notice.reason == NO_ADDRESS)),
            notice.queued_at > notices.now() - TOLD,
        )
        .distinct(notice.user_id)
        .order_by(notice.user_id, notice.id.desc())
        .subquery()
    )
    for row in core.Session.execute(
        sa.select(user.name, last.c.mail, last.c.reason)
        .join(core.user_table, user.id == last.c.user_id)
        .where(last.c.mail != "terkirim", user.state == "active")
        .order_by(user.name)
    ):
        found.append(f"mail to {row.name} does not arrive ({row.reason}): mend the address")
    return found
