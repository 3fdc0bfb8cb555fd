"""The portal that the doors are tried on."""

from __future__ import annotations

import pytest
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
