"""Fixtures shared by all tests. ./portal test has started PostgreSQL, Redis and Solr by then.

Everything outside tests/unit runs with the portal's plugins loaded.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import sqlalchemy as sa

from tests.soak import Soak
from tests.world import World

if TYPE_CHECKING:
    from ckan.tests.helpers import CKANTestApp
    from playwright.sync_api import Browser


ROOT = Path(__file__).resolve().parent.parent
UNIT = ROOT / "tests/unit"
_SOAK = pytest.StashKey[Soak]()

#: Of two processes that share the tests, the second one has services of its own.
if os.environ.get("PYTEST_XDIST_WORKER") == "gw1":
    os.environ.update(json.loads(os.environ["SATUDATA_BESIDE"])[0])


def pytest_configure(config: pytest.Config) -> None:
    """The settings that ./portal test has made for this process."""
    config.stash[_SOAK] = Soak(config)
    config.option.ckan_ini = config.option.ckan_ini or os.environ.get("CKAN_INI")


def pytest_addoption(parser: pytest.Parser) -> None:
    """What is tested otherwise: plain CKAN, or at full length."""
    parser.addoption(
        "--baseline",
        action="store_true",
        help="try the doors of tests/gate on plain CKAN, without the portal's plugin",
    )
    parser.addoption(
        "--soak", action="store_true", help="run what is sampled otherwise at full length"
    )
    parser.addoption("--walk-seed", type=int, help="walk the ways of an earlier run again")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """The tests of the portal, or those of plain CKAN; the longest first."""
    baseline = config.getoption("--baseline")
    soak = config.getoption("--soak", False)
    left_out = [
        item
        for item in items
        if (item.get_closest_marker("baseline") is not None) != baseline
        or (item.get_closest_marker("soak") and not soak)
    ]
    config.hook.pytest_deselected(items=left_out)
    order = ("e2e", "gate", "integration", "unit")
    kept = [item for item in items if item not in left_out]
    items[:] = sorted(
        kept, key=lambda item: order.index(item.path.relative_to(ROOT / "tests").parts[0])
    )


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    """What soaked, in one line."""
    if config.stash[_SOAK].on:
        terminalreporter.write_line(f"soak: {config.stash[_SOAK]}")


@pytest.fixture(scope="session")
def soak(request: pytest.FixtureRequest) -> Soak:
    """How long a long test runs."""
    return request.config.stash[_SOAK]


@pytest.fixture(scope="session")
def plugins() -> Iterator[None]:
    """The plugins that the settings name, loaded once: CKAN's with_plugins takes 0.5 s a test."""
    import ckan.plugins as p

    p.load_all(force_update=True)
    yield
    p.unload_all()


@pytest.fixture(autouse=True)
def _plugins(request: pytest.FixtureRequest) -> None:
    """Loads the plugins, except for tests that need no CKAN."""
    if not request.path.is_relative_to(UNIT):
        request.getfixturevalue("plugins")


@pytest.fixture(scope="session")
def app(plugins: None) -> CKANTestApp:
    """The application, made once: CKAN's fixture of this name takes a second a test."""
    from ckan.tests import helpers

    return helpers._get_test_app()


@pytest.fixture(scope="session")
def owner() -> Iterator[sa.Engine]:
    """The database for the owner of its tables; all else is connected as the role that serves."""
    from ckan import model

    engine = sa.create_engine(
        # Elsewhere than in ./portal test one role may be both.
        os.environ.get("SATUDATA_OWNER_URL") or model.ensure_engine().url,
        # A test that forgot to end its transaction fails instead of waiting for ever.
        connect_args={"options": "-c lock_timeout=20s"},
        # Tests of faults take PostgreSQL away.
        pool_pre_ping=True,
    )
    yield engine
    engine.dispose()


@pytest.fixture(scope="session")
def reset_db(owner: sa.Engine) -> Callable[[], None]:
    """Empties every table; overrides CKAN's fixture, so that clean_db and its kind use it.

    CKAN deletes row by row, which the row triggers on verified data refuse; TRUNCATE fires none of
    them. Tables and triggers stay, as do the rows that say which migrations have run. A table whose
    rows come from a migration (not from a test) belongs on this list of what stays, too. The role
    that serves may not TRUNCATE: it is done as the owner.
    """
    from ckan import model
    from ckan.tests import factories

    from ckanext.satudata_trenggalek import config

    factories.fake.unique.clear()

    def truncate() -> None:
        model.Session.rollback()
        model.Session.remove()
        names = [
            name for name in sa.inspect(owner).get_table_names() if "alembic_version" not in name
        ]
        quote = owner.dialect.identifier_preparer.quote
        config.anchor_file().unlink(missing_ok=True)
        with owner.begin() as connection:
            connection.execute(
                sa.text(f"TRUNCATE {', '.join(map(quote, names))} RESTART IDENTITY CASCADE")
            )

    return truncate


@pytest.fixture
def clean_db(reset_db: Callable[[], None], reset_index: Callable[[], None]) -> None:
    """An empty database and an empty index."""
    reset_db()
    reset_index()


@pytest.fixture
def doctor(monkeypatch: pytest.MonkeyPatch) -> Callable[[], list[str]]:
    """What `ckan satudata doctor` says, but for what test.ini needs to differ in."""
    from ckan.plugins.toolkit import config

    from ckanext.satudata_trenggalek.doctor import problems

    monkeypatch.setitem(config, "testing", False)
    monkeypatch.setitem(config, "WTF_CSRF_ENABLED", True)
    monkeypatch.setitem(config, "ckanext.satudata_trenggalek.calls_per_minute", 600)
    return problems


@pytest.fixture(scope="session")
def server() -> str:
    """Address of a CKAN with a job worker on the tests' database, started at first use."""
    subprocess.run([sys.executable, ROOT / "deploy/portal.py", "test-server"], check=True)
    return os.environ["SATUDATA_TEST_URL"]


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """Chromium: the system's, or where a system has none (Ubuntu) the one Playwright brings."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium-headless-shell") or shutil.which("chromium"),
            # Neither root nor a container has what the sandbox and /dev/shm need.
            args=["--no-sandbox", "--disable-dev-shm-usage"],
        )
        yield browser
        browser.close()


_WORLD = pytest.StashKey[tuple[Path, World]]()


@pytest.fixture
def world(request: pytest.FixtureRequest) -> World:
    """The people of a regency on a CKAN: made once for a folder of tests, since some leave much
    behind, and again where a test emptied the database."""
    from ckan import model

    folder, made = request.config.stash.get(_WORLD, (None, None))
    # By id: other tests make people of the same names.
    if folder != request.path.parent or not made or model.User.get(made.ids["walidata"]) is None:
        request.getfixturevalue("clean_db")
        made = World()
        request.config.stash[_WORLD] = (request.path.parent, made)
    return made
