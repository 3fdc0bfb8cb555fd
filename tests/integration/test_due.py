"""What the schedule runs each minute."""

from __future__ import annotations

import datetime as dt
from typing import Any

import ckan.model as core
import pytest
import sqlalchemy as sa
from ckan.tests.helpers import CKANTestApp
from click import Context
from click.testing import CliRunner

from ckanext.satudata_trenggalek import cli, mailing, model
from ckanext.satudata_trenggalek.workflow import service
from tests.world import World


def test_each_part_runs_though_another_fails(
    world: World, app: CKANTestApp, monkeypatch: pytest.MonkeyPatch
) -> None:
    id_ = world.at("terverifikasi")["id"]
    later = (dt.datetime.now(dt.timezone.utc) + dt.timedelta(days=1)).isoformat()
    world.move("walidata", id_, "terbitkan", publish_at=later)
    world.due(id_)

    def broken(_app: Any) -> None:
        raise OSError("no mail today")

    monkeypatch.setattr(mailing, "send", broken)
    parent = Context(cli.satudata)
    parent.meta["flask_app"] = app.flask_app
    done = CliRunner().invoke(cli.satudata, ["due"], parent=parent)
    assert done.exit_code == 1 and "notify: no mail today" in done.output
    assert world.status(id_)["status"] == "terbit"
    head = core.Session.execute(
        sa.select(sa.func.max(model.Anchor.event_seq)).where(model.Anchor.package_id == id_)
    ).scalar()
    assert (
        head
        == core.Session.execute(
            sa.select(sa.func.max(model.Event.seq)).where(model.Event.package_id == id_)
        ).scalar()
    )
    monkeypatch.undo()
    assert service.publish_due() == []
    again = CliRunner().invoke(cli.satudata, ["due"], parent=parent)
    assert again.exit_code == 0, again.output
