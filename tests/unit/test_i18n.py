"""The translation catalogs are complete, well formed and compiled."""

from __future__ import annotations

import importlib
import re
from collections import Counter
from configparser import ConfigParser
from pathlib import Path

import ckan
import pytest
from babel.messages.catalog import Catalog, Message
from babel.messages.extract import DEFAULT_KEYWORDS, extract_from_dir
from babel.messages.frontend import parse_keywords, parse_mapping_cfg
from babel.messages.mofile import read_mo
from babel.messages.pofile import read_po
from babel.support import Translations

import ckanext.satudata_trenggalek as extension

DOMAIN = "ckanext-satudata_trenggalek"
I18N = Path(next(iter(extension.__path__))) / "i18n"
ROOT = Path(__file__).parents[2]
CKAN_I18N = Path(next(iter(ckan.__path__))) / "i18n"

# %(name)s, %s, {name}, {}; and the names of HTML tags, whose attributes may be translated.
PLACEHOLDER = re.compile(r"%\(\w+\)[a-z]|%[a-z]|\{[^{}]*\}|</?\w+")

LOCALES = pytest.mark.parametrize("locale", ["id", "en"])


def po(locale: str) -> Catalog:
    with (I18N / locale / "LC_MESSAGES" / f"{DOMAIN}.po").open("rb") as stream:
        return read_po(stream, locale=locale, abort_invalid=True)


def messages(catalog: Catalog) -> list[Message]:
    return [message for message in catalog if message.id]


def forms(value: str | list[str] | tuple[str, ...] | None) -> tuple[str, ...]:
    """The texts of a msgid or msgstr, which babel gives as a string or as its plural forms."""
    return (value,) if isinstance(value, str) else tuple(value or ())


def texts(catalog: Catalog) -> dict[tuple[str, ...], tuple[str, ...]]:
    return {forms(message.id): forms(message.string) for message in messages(catalog)}


@LOCALES
def test_every_message_is_translated_with_its_placeholders(locale: str):
    wrong = []
    for message in messages(po(locale)):
        sources, translated = forms(message.id), forms(message.string) or ("",)
        # Indonesian has one form for the singular and the plural of the source.
        pairs = zip(sources[-len(translated) :], translated, strict=True)
        for source, text in pairs:
            same = Counter(PLACEHOLDER.findall(text)) == Counter(PLACEHOLDER.findall(source))
            edges = [text[:1].isspace(), text[-1:].isspace()] == [
                source[:1].isspace(),
                source[-1:].isspace(),
            ]
            if not (text and same and edges) or message.fuzzy:
                wrong.append((source, text))
    assert wrong == []


@LOCALES
def test_mo_is_compiled_from_po(locale: str):
    with (I18N / locale / "LC_MESSAGES" / f"{DOMAIN}.mo").open("rb") as stream:
        compiled = texts(read_mo(stream))
    assert compiled == texts(po(locale))


def extracted(package: str) -> set[str]:
    """The msgids in the code and templates of a package, as `extract_messages` finds them."""
    root = Path(next(iter(importlib.import_module(package).__path__)))
    with (ROOT / "babel.cfg").open() as stream:
        methods, options = parse_mapping_cfg(stream)
    setup = ConfigParser()
    setup.read(ROOT / "setup.cfg")
    keywords = DEFAULT_KEYWORDS | parse_keywords(setup["extract_messages"]["keywords"].split())
    found = extract_from_dir(
        root,
        methods,
        options,
        keywords,
        directory_filter=lambda path: Path(path).name != "tests",
    )
    return {forms(msgid)[0] for _file, _line, msgid, _comments, _context in found}


def test_english_covers_this_extension():
    """Our msgids are Indonesian; `setup.py extract_messages update_catalog` adds new ones."""
    english = {forms(message.id)[0] for message in messages(po("en"))}
    assert extracted("ckanext.satudata_trenggalek") - english == set()


EXTENSIONS = ["activity", "datastore", "datatablesview", "harvest", "scheming"]


@pytest.mark.parametrize("package", ["ckan", *(f"ckanext.{name}" for name in EXTENSIONS)])
def test_indonesian_covers(package: str):
    """CKAN's own Indonesian is incomplete, and after an upgrade this names what is new."""
    ours = {forms(message.id)[0] for message in messages(po("id"))}
    assert extracted(package) - ours == set()


def test_indonesian_covers_the_template_of_ckan():
    """Beside the above: the JavaScript and the smaller plugins that CKAN ships."""
    with (CKAN_I18N / "ckan.pot").open("rb") as stream:
        template = {forms(message.id)[0] for message in messages(read_po(stream))}
    assert template - {forms(message.id)[0] for message in messages(po("id"))} == set()


def test_indonesian_wins_over_ckan():
    """The same merge as flask_babel does for every request: CKAN first, then the plugins."""
    merged = Translations()
    for directory, domain in [(CKAN_I18N, "ckan"), (I18N, DOMAIN)]:
        catalog = Translations.load(directory, ["id"], domain)
        assert isinstance(catalog, Translations)
        merged.merge(catalog)
        merged.plural = catalog.plural
    assert [merged.ugettext(text) for text in ("Dataset", "Organizations", "Log in")] == [
        "Dataset",
        "OPD",
        "Masuk",
    ]
    singular, plural = "{number} dataset found", "{number} datasets found"
    assert {merged.ungettext(singular, plural, n) for n in (0, 1, 2)} == {
        "{number} dataset ditemukan"
    }
