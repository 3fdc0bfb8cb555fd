"""`ckan satudata …`: what operators and cron run."""

from __future__ import annotations

import click


@click.group()
def satudata() -> None:
    """Satu Data Trenggalek."""


def get_commands() -> list[click.Command]:
    """For IClick."""
    return [satudata]
