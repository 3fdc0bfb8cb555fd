"""The portal that the doors are tried on."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import ckan.config
import ckan.model as core
import ckan.plugins.toolkit as tk
import pytest
import requests
from ckan.tests.helpers import CKANTestApp

from tests.gate.sites import Portal
from tests.world import World

_PORTAL = pytest.StashKey[Portal]()


@pytest.fixture
def portal(request: pytest.FixtureRequest, world: World, app: CKANTestApp) -> Portal:
    """The portal; its targets are made once, and again where a test emptied the database."""
    made = request.config.stash.get(_PORTAL, None)
    if made is None or made.world is not world:
        made = request.config.stash[_PORTAL] = Portal(world, app)
    return made


@pytest.fixture
def cut_solr() -> Iterator[Callable[[str], str]]:
    """Makes a Solr core whose settings lack what an expression matches; returns its address."""
    address = str(tk.config["solr_url"])
    admin = f"{address.rpartition('/')[0]}/admin/cores"

    def ask(**asked: str) -> Any:
        answer = requests.get(admin, params=asked, timeout=30)
        answer.raise_for_status()
        return answer.json()

    here = Path(ask(action="STATUS", core="ckan")["status"]["ckan"]["instanceDir"])
    there = here.with_name("polos")

    def make(lacks: str, schema: str | None = None) -> str:
        shutil.rmtree(there, ignore_errors=True)
        shutil.copytree(here / "conf", there / "conf")
        if schema:
            (there / "conf/managed-schema.xml").write_text(schema)
        ours = there / "conf/solrconfig.xml"
        ours.write_text(re.sub(lacks, "", ours.read_text(), flags=re.S))
        for path in (there, *there.rglob("*")):
            shutil.chown(path, here.stat().st_uid, here.stat().st_gid)
        ask(action="CREATE", name="polos", instanceDir=str(there))
        return address.replace("/ckan", "/polos")

    yield make
    ask(action="UNLOAD", core="polos", deleteInstanceDir="true", deleteDataDir="true")


@pytest.fixture
def plain_solr(cut_solr: Callable[..., str]) -> str:
    """Address of a Solr core with CKAN's own schema, which reads all that Solr can read."""
    own = (Path(ckan.config.__path__[0]) / "solr/schema.xml").read_text()
    return cut_solr(r"<queryParser .*?/>|<lst name=.invariants.>.*?</lst>", own)


@pytest.fixture
def tokens(world: World) -> Callable[[str], dict[str, str]]:
    """Header with an API token of a user."""

    def token(name: str) -> dict[str, str]:
        key = f"token {name}"
        if key not in world.shared or core.User.get(name) is None:
            made = world.call("api_token_create", name, user=name, name="limits")
            world.shared[key] = made["token"]
        return {"Authorization": world.shared[key]}

    return token
