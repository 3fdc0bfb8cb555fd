"""People at their browsers: each in a context of their own, logged in through the form once."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.world import World

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Dialog, Page, Request

Visit = Callable[..., "Page"]

_FAILED = pytest.StashKey[bool]()
_LOGINS = pytest.StashKey[dict[str, Any]]()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[Any]:
    """Remember for the fixtures whether the test failed."""
    report = yield
    item.stash[_FAILED] = item.stash.get(_FAILED, False) or report.failed
    return report


def _login(page: Page, name: str) -> None:
    from playwright.sync_api import expect

    page.goto("/user/login")
    page.locator("#field-login").fill(name)
    page.locator("#field-password").fill("rahasia-123")
    page.get_by_role("main").get_by_role("button", name="Masuk").click()
    expect(page.get_by_role("link", name=name, exact=True)).to_be_visible()


@pytest.fixture
def visit(
    browser: Browser, server: str, world: World, request: pytest.FixtureRequest
) -> Iterator[Visit]:
    """Open a browser for a user, or for None the public; options go to the context.

    A dialog, an error of a script or an address on another host fails the test. Pages of a failed
    test are kept as pictures in .portal/test/screenshots.
    """
    from playwright.sync_api import expect

    expect.set_options(timeout=15_000)
    logins = request.config.stash.setdefault(_LOGINS, {})
    contexts = []
    wrong: list[str] = []

    def dialog_(dialog: Dialog) -> None:
        wrong.append(f"dialog: {dialog.message}")
        dialog.dismiss()

    def request_(sent: Request) -> None:
        if not sent.url.startswith((server, "data:", "blob:")):
            wrong.append(f"other host: {sent.url}")

    def open_(name: str | None = None, **options: Any) -> Page:
        key = world.ids[name] if name else ""  # a world made anew has people made anew
        context = browser.new_context(
            base_url=server, locale="id-ID", storage_state=logins.get(key), **options
        )
        contexts.append(context)
        context.set_default_timeout(30_000)
        page = context.new_page()
        page.on("pageerror", lambda error: wrong.append(f"script: {error} on {page.url}"))
        page.on("dialog", dialog_)
        page.on("request", request_)
        if name and key not in logins:
            _login(page, name)
            logins[key] = context.storage_state()
        return page

    yield open_
    if request.node.stash.get(_FAILED, False):
        folder = Path(os.environ["SATUDATA_HOME"]) / "test/screenshots"
        folder.mkdir(parents=True, exist_ok=True)
        for number, page in enumerate(page for context in contexts for page in context.pages):
            name = re.sub(r"\W+", "-", request.node.name).strip("-")
            path = folder / f"{name}-{number}.png"
            page.screenshot(path=path, full_page=True)
            print(f"{page.url}: {path}")
    for context in contexts:
        context.close()
    assert not wrong, wrong
