"""`ckan satudata …`: what operators and cron run."""

from __future__ import annotations

import logging
import sys
from pathlib import Path
from typing import Any

import ckan.model as core
import ckan.plugins.toolkit as tk
import click

from ckanext.satudata_trenggalek import audit as record
from ckanext.satudata_trenggalek import config, files, mailing, maintenance, notices, tables
from ckanext.satudata_trenggalek import demo as demo_data
from ckanext.satudata_trenggalek import doctor as examination
from ckanext.satudata_trenggalek import katalog as catalogue
from ckanext.satudata_trenggalek.workflow import service

__all__ = ["satudata"]

log = logging.getLogger(__name__)


@click.group(short_help="Satu Data Trenggalek.")
def satudata() -> None:
    """Satu Data Trenggalek: gate, workflow and upkeep."""


def _finish(problems: list[str], fine: str) -> None:
    for problem in problems:
        click.secho(problem, fg="red")
    if problems:
        sys.exit(1)
    if fine:
        click.secho(fine, fg="green")


@satudata.command()
def doctor() -> None:
    """Check triggers, peran, settings and services; non-zero when a door is open."""
    _finish(examination.problems(), "Every door is closed.")


@satudata.group()
def audit() -> None:
    """The record of what happened."""


@audit.command()
def verify() -> None:
    """Walk every hash chain and its anchors; name the first broken link of each.

    Then compare status, publications, peran and comments with their events, and what is published,
    every byte of it, with what was approved.
    """
    events, anchors, problems = record.verify()
    problems += [*record.comments(), *maintenance.altered(), *record.published()]
    _finish(problems, f"{events} events, {anchors} anchors, every chain is whole.")


@audit.command("tables")
@click.argument("resource", nargs=-1)
@click.option("--fix", is_flag=True, help="Load again what differs.")
def compare_tables(resource: tuple[str, ...], fix: bool) -> None:
    """Compare every row of the DataStore, and every finding, with the file it is from.

    As long as loading all tables anew, or those of RESOURCE (ids).
    """
    problems, queued = [], 0
    for id_, why in tables.differing(resource):
        if why:
            problems.append(f"resource {id_}: can't be compared, {why}")
        elif fix:
            queued += tables.enqueue(id_)
            click.echo(f"resource {id_}: queued again, its table was not what its file says")
        else:
            problems.append(f"resource {id_}: its table is not what its file says")
    _finish(problems, "" if queued else "Every table is what its file says.")


@satudata.command()
@click.option("--renew", is_flag=True, help="Write the file anew from the database, keep the old.")
def anchor(renew: bool) -> None:
    """Anchor the hash chains that grew, in the database and in the file beside it."""
    try:
        if renew:
            kept = record.renew()
            click.echo(f"{config.anchor_file()} is written anew{f', {kept} kept' * bool(kept)}.")
        count = record.anchor()
    except record.Broken as error:
        raise click.ClickException(
            f"the record was manipulated or restored: {error}. Nothing was anchored."
            " See `ckan satudata audit verify`."
        ) from None
    except OSError as error:
        raise click.ClickException(f"the anchors can't be written: {error}") from None
    if count:
        click.echo(f"{count} heads anchored.")


@satudata.command()
@click.option("--fix", is_flag=True, help="Repair what disagrees.")
def reconcile(fix: bool) -> None:
    """Compare the database with Solr, and tables with their files."""
    problems = maintenance.reconcile(fix)
    if fix:
        files.empty_trash()
    requeued = tables.requeue_stuck() if fix else 0
    removed = files.collect() if fix else 0
    if fix:
        for problem in problems:
            click.echo(f"repaired: {problem}")
        click.echo(f"{requeued} table loads queued again, {removed} unused files removed.")
        problems = maintenance.reconcile(fix=False)
    for id_ in tables.unloaded():
        problems.append(f"resource {id_}: published, its table can't be loaded")
    _finish(problems, "Database and index agree.")


@satudata.command("publish-due")
def publish_due() -> None:
    """Publish what is scheduled for now or earlier."""
    for name in service.publish_due():
        click.echo(name)


@satudata.command()
def remind() -> None:
    """Queue the reminders of deadlines that are near or missed; none on days without work."""
    click.echo(f"{notices.remind()} reminders queued.")


@satudata.command()
@click.pass_context
def notify(context: click.Context) -> None:
    """Send the mail of notices that is due; what a mail server refuses for now waits."""
    try:
        report = mailing.send(context.meta["flask_app"])
    except mailing.Unready as error:
        raise click.ClickException(str(error)) from None
    if report.sent or report.dropped or report.delayed or report.lost:
        click.echo(report)


@satudata.command()
@click.pass_context
def due(context: click.Context) -> None:
    """What each minute brings: publication at a set time, anchors, mail; one start of CKAN for all.

    Each runs although another fails; ends with non-zero then.
    """
    failed = []
    for command in (publish_due, anchor, notify):
        try:
            context.invoke(command)
        except click.ClickException as error:
            failed.append(f"{command.name}: {error.message}")
        except Exception as error:
            log.exception("%s failed", command.name)
            failed.append(f"{command.name}: {error}")
        finally:
            core.Session.remove()
    _finish(failed, "")


@satudata.group()
def peran() -> None:
    """Peran of organizations."""


def _as_site_user() -> Any:
    return {"user": tk.get_action("get_site_user")({"ignore_auth": True}, {})["name"]}


def _show(rows: list[dict[str, Any]]) -> None:
    for row in rows:
        click.echo(f"{row['organization']}: {', '.join(row['peran']) or '-'}")


@peran.command("list")
def peran_list() -> None:
    """Which organization holds which peran."""
    _show(tk.get_action("satudata_peran_list")(_as_site_user(), {}))


@peran.command("set")
@click.argument("organization")
@click.argument("peran", nargs=-1)
def peran_set(organization: str, peran: tuple[str, ...]) -> None:
    """Give ORGANIZATION exactly these PERAN (none at all when none is named)."""
    try:
        _show(
            tk.get_action("satudata_peran_set")(
                _as_site_user(), {"organization": organization, "peran": list(peran)}
            )
        )
    except tk.ValidationError as error:
        for field, message in error.error_summary.items():
            click.secho(f"{field}: {message}", fg="red", err=True)
        sys.exit(1)


@satudata.command()
def adopt() -> None:
    """Make private drafts of datasets that are older than this extension."""
    for name in maintenance.adopt():
        click.echo(name)
    core.Session.remove()


@satudata.command()
@click.option(
    "--akun",
    type=click.Path(dir_okay=False, path_type=Path),
    required=True,
    help="Passwords and tokens are kept in this file (JSON, mode 600).",
)
@click.pass_context
def demo(context: click.Context, akun: Path) -> None:
    """Fill an empty portal with accounts, organizations and datasets to try it with."""
    try:
        # Actions that render links want a request; nobody is logged in within it.
        with context.meta["flask_app"].test_request_context():
            demo_data.run(akun, click.echo)
    except demo_data.DemoRefused as error:
        raise click.ClickException(str(error)) from None


@satudata.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--organization", required=True, help="Organization that owns the drafts.")
@click.option("--user", help="Account that makes them; the site's own when left out.")
@click.option(
    "--report",
    type=click.Path(dir_okay=False, writable=True, path_type=Path),
    help="What each draft still lacks, as CSV.",
)
@click.pass_context
def katalog(
    context: click.Context, file: Path, organization: str, user: str | None, report: Path | None
) -> None:
    """Make a draft of each entry with columns of a catalogue (JSON Lines), once."""
    if report:
        try:
            report.open("a").close()  # before the work, not after it
        except OSError as error:
            message = f"Laporan {report} tidak dapat ditulis ({error.strerror}). Pilih tempat lain."
            raise click.ClickException(message) from None
    entries, problems, empty = catalogue.read(file)
    results: list[catalogue.Result] = []

    def told(result: catalogue.Result) -> None:
        results.append(result)
        click.echo(f"{len(results):>4}/{len(entries)} {catalogue.line(result)}")

    click.echo(f"{'':>9} {catalogue.heading()}")
    try:
        with context.meta["flask_app"].test_request_context():
            account = user or _as_site_user()["user"]
            problems += catalogue.run(entries, organization, account, told)
    except (tk.ObjectNotFound, tk.NotAuthorized) as error:
        raise click.ClickException(str(error)) from None
    finally:
        if report:
            catalogue.write(report, results)
    for text in catalogue.summary(results, problems, empty):
        click.echo(text)
    _finish(problems, f"Laporan: {report}" if report else "Selesai.")
