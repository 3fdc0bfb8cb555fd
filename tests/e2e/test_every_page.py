"""What is asked of every page of ours: WCAG 2.2 AA as far as axe sees it, one language, a phone."""

from __future__ import annotations

import contextlib
import importlib
import json
import re
from collections.abc import Callable, Container, Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from axe_playwright_python.base import AXE_SCRIPT
from babel.messages.mofile import read_mo
from babel.messages.pofile import read_po
from playwright.sync_api import Page, TimeoutError

import ckanext.satudata_trenggalek as extension
from tests.e2e import pages
from tests.soak import Soak
from tests.world import World

Visit = Callable[..., Page]

SCHEMAS = importlib.import_module("ckanext.satudata_trenggalek.schemas").__path__
I18N = Path(next(iter(extension.__path__))) / "i18n"
PHONE, DESK = {"width": 360, "height": 740}, {"width": 1280, "height": 900}

AXE = """async () => {
  const found = await axe.run(document, {
    resultTypes: ['violations'],
    runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'],
  });
  return found.violations.filter(v => ['serious', 'critical'].includes(v.impact))
    .map(v => v.id + ': ' + v.nodes.slice(0, 3)
      .map(n => n.target.join(' ') + ' ' + n.html.slice(0, 120)).join(' | '));
}"""
#: Whether a page fits, once it is laid out for its new size.
NARROW = "width => document.documentElement.scrollWidth <= width"
#: All that a page says, or HTML as it was sent, folded parts and names for those who hear it
#: included; and its language.
WORDS = """sent => {
  const page = sent ? new DOMParser().parseFromString(sent, 'text/html') : document;
  const skip = 'script, style, template, code, [lang]:not(html)', words = new Set();
  const walk = page.createTreeWalker(page.body, NodeFilter.SHOW_TEXT);
  while (walk.nextNode()) {
    if (!walk.currentNode.parentElement.closest(skip)) words.add(walk.currentNode.data);
  }
  for (const e of page.querySelectorAll('*')) {
    if (e.closest(skip)) continue;
    for (const name of ['aria-label', 'alt', 'title', 'placeholder', 'data-bs-title',
                        'data-module-done', 'aria-description']) {
      if (e.getAttribute(name)) words.add(e.getAttribute(name));
    }
    if (e.matches('input[type=submit], input[type=button]')) words.add(e.value);
  }
  words.add(page.title);
  return [page.documentElement.lang, ...words];
}"""


# Words of the two languages ----------------------------------------------------------------------
def _pairs(catalog: Any) -> Iterator[tuple[str, str]]:
    for message in catalog:
        ids, texts = (
            (value,) if isinstance(value, str) else tuple(value or ())
            for value in (message.id, message.string)
        )
        if message.id:
            yield from zip(ids, texts if len(texts) == len(ids) else texts * len(ids), strict=False)


def _labels(value: Any) -> Iterator[tuple[str, str]]:
    """(Indonesian, English) of every text in a schema."""
    if isinstance(value, dict):
        if isinstance(value.get("id"), str) and isinstance(value.get("en"), str):
            yield value["id"], value["en"]
        for item in value.values():
            yield from _labels(item)
    elif isinstance(value, list):
        for item in value:
            yield from _labels(item)


def _read(path: Path) -> Iterator[tuple[str, str]]:
    with path.open("rb") as stream:
        yield from _pairs(read_po(stream) if path.suffix == ".po" else read_mo(stream))


def vocabulary() -> dict[str, tuple[set[str], set[str]]]:
    """Language -> texts of ours and core's that are foreign to it, and all labels of schemas."""
    ours = list(_read(I18N / "en/LC_MESSAGES/ckanext-satudata_trenggalek.po"))
    core = list(_read(I18N / "id/LC_MESSAGES/ckanext-satudata_trenggalek.po"))
    schemas: list[tuple[str, str]] = []
    for folder in SCHEMAS:
        for path in Path(folder).rglob("*.yaml"):
            schemas += _labels(yaml.safe_load(path.read_text()))
    ours += schemas
    labels = {text for pair in schemas for text in pair}
    indonesian = {id_ for id_, _ in ours} | {text for _, text in core}
    english = {text for _, text in ours} | {id_ for id_, _ in core}
    return {
        "id": (english - indonesian, labels),
        "en": (indonesian - english, labels),
    }


PLACEHOLDER = re.compile(r"%\(\w+\)[a-z]|%[a-z]|\{[^{}]*\}")
TAGS = re.compile(r"<[^>]+>")


def _flat(text: str) -> str:
    return " ".join(TAGS.sub(" ", text).split())


class Foreign:
    """Finds the texts of a language on a page of the other.

    Args:
        texts: that are foreign.
        names: of these, what is sought as a whole text only: short labels, names of offices.
    """

    def __init__(self, texts: Iterable[str], names: Container[str] = ()) -> None:
        self.whole, self.parts, patterns = set(), [], []
        for raw in texts:
            text = _flat(raw)
            literal = re.sub(r"\W+", " ", PLACEHOLDER.sub(" ", text)).strip()
            if PLACEHOLDER.search(text):
                # With less of its own, a pattern fits the data too.
                if len(literal) >= 8 and " " in literal:
                    pieces = map(re.escape, PLACEHOLDER.split(text))
                    patterns.append("(?:" + ".{0,80}".join(pieces) + ")")
            elif len(literal) > 2:
                self.whole.add(text)
                if raw not in names and literal.count(" ") >= 2 and len(literal) >= 15:
                    self.parts.append(text)
        self.pattern = re.compile("|".join(patterns))

    def found(self, said: Iterable[str], data: Container[str]) -> list[str]:
        """The foreign texts among what a page says; what stands in the data is not ours."""
        wrong = []
        for words in map(_flat, said):
            if not words or words in data:
                continue
            if words.rstrip(".:") in self.whole or words in self.whole:
                wrong.append(words)
            elif self.pattern.fullmatch(words) or any(part in words for part in self.parts):
                wrong.append(words[:200])
        return wrong


@pytest.fixture(scope="session")
def foreign() -> dict[str, Foreign]:
    return {language: Foreign(*texts) for language, texts in vocabulary().items()}


def test_foreign_words_are_found(foreign: dict[str, Foreign]) -> None:
    """The search itself: both languages, whole, with figures in it, and within a longer text."""
    assert foreign["en"].found(["Cara mengutip", "How to cite"], ()) == ["Cara mengutip"]
    assert foreign["en"].found([" Buat dataset\n"], ()) == ["Buat dataset"]
    assert foreign["en"].found(["Versi 2, 12 November 2026"], ()) == []
    assert foreign["en"].found(["Lewat 3 hari kerja"], ()) == ["Lewat 3 hari kerja"]
    long = "Yes. Tidak ada tindakan untuk Anda saat ini. No."
    assert foreign["en"].found([long], ()) == [long]
    assert foreign["id"].found(["How to cite", "Additional Information", "Dataset"], ()) == [
        "How to cite",
        "Additional Information",
    ]
    assert foreign["en"].found(["Cara mengutip"], {"Cara mengutip"}) == []


# Every page --------------------------------------------------------------------------------------
@pytest.fixture(scope="module")
def made() -> dict[str, Any]:
    return {}


def _made(world: World, made: dict[str, Any]) -> tuple[dict[str, str], set[str]]:
    """What the addresses name, and all that people wrote: visits change neither."""
    if made.get("world") is not world:
        made |= {"world": world, "names": pages.names(world), "data": _data(world)}
    return made["names"], made["data"]


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield _flat(value)
        # Rows of repeating blocks are stored as JSON.
        if value[:1] in "[{":
            with contextlib.suppress(ValueError):
                yield from _strings(json.loads(value))
    elif isinstance(value, dict | list):
        for item in value.values() if isinstance(value, dict) else value:
            yield from _strings(item)


def _data(world: World) -> set[str]:
    """All that people wrote: datasets, organizations, users, notes."""
    import ckan.plugins.toolkit as tk

    context: Any = {"ignore_auth": True, "user": ""}
    found = tk.get_action("package_search")(
        context,
        {"rows": 1000, "include_private": True, "include_drafts": True,
         "fq": "dataset_type:(dataset OR kegiatan)"},
    )["results"]  # fmt: skip
    tables = pages.SERIES.decode() + World.CSV.decode()
    return {
        *_strings([found, tk.get_action("organization_list")(context, {"all_fields": True})]),
        *world.ids,
        *tables.replace(",", "\n").split(),
        "Perbaiki satuan.",
    }


def test_every_route_of_ours_is_on_a_list(world: World, made: dict[str, Any], app: Any) -> None:
    routes = app.flask_app.url_map.bind("localhost")
    names, _ = _made(world, made)
    seen = {
        routes.match(path.format(**names).partition("?")[0])[0]
        for paths in pages.PAGES.values()
        for path in paths
        if path != "/tidak-ada"
    }
    ours = {
        rule.endpoint
        for rule in app.flask_app.url_map.iter_rules()
        if rule.endpoint.startswith("satudata") and "GET" in (rule.methods or ())
    }
    assert ours - seen == pages.FILES


@pytest.mark.parametrize("who", pages.PAGES, ids=lambda who: who or "umum")
def test_pages(
    visit: Visit, world: World, made: dict[str, Any], foreign: dict[str, Foreign], soak: Soak,
    who: str | None,
) -> None:  # fmt: skip
    names, data = _made(world, made)
    page = visit(who, viewport=DESK, reduced_motion="reduce")
    wrong: list[str] = []
    for path in pages.PAGES[who]:
        path = path.format(**names)
        for language, prefix in (("id", ""), ("en", "/en")):
            at, sent = f"{language} {path}", None
            # Both languages have the same pages: in the sample one is laid out, on a phone.
            if language == "id" or soak.on:
                answer = page.goto(prefix + path)
            else:
                answer = page.request.get(prefix + path)
                sent = answer.text()
            assert answer and answer.status < 500, path
            lang, *said = page.evaluate(WORDS, sent)
            if lang != language:
                wrong.append(f"{at}: lang={lang}")
            wrong += [f"{at}: {text!r}" for text in foreign[language].found(said, data)]
            if sent:
                continue
            page.evaluate(AXE_SCRIPT)
            for size in soak([PHONE], [DESK, PHONE]):
                page.set_viewport_size(size)  # pyright: ignore[reportArgumentType]
                wrong += [f"{at} {size['width']}: {found}" for found in page.evaluate(AXE)]
            page.set_viewport_size(PHONE)  # pyright: ignore[reportArgumentType]
            try:
                page.wait_for_function(NARROW, arg=PHONE["width"], timeout=5_000)
            except TimeoutError:
                wide = page.evaluate("document.documentElement.scrollWidth")
                wrong.append(f"{at}: {wide} px wide on a phone")
    assert not wrong, "\n".join(wrong)
