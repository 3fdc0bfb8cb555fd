"""What a search may ask: words, filters and the names of fields.

Filters keep out of the results what a reader may not see, but Solr's joins and functions look at
the whole index (`{!join …}`, `docfreq(name,'x')`), and what they find shows in a count, a score or
an order. Core refuses some of it, not what is written with escapes (ckan/lib/search/query.py).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, NoReturn

import ckan.plugins.toolkit as tk
from ckan.lib.search import SearchQueryError

#: A query inside a query, or a function in it, or a fuzzy word, in whose place come the nearest of
#: all documents; sought where backslashes are taken away.
_NESTED = re.compile(r"\{!|_query_|_val_|~")
#: Solr replaces `${name:default}` in any parameter before it reads it.
_MACRO = "${"
_NAME = r"[A-Za-z0-9_]+"
#: Parameter -> what it may be as a whole.
_FORMS = {
    # `_docid_` is the order of writing, of what is not public too.
    "sort": re.compile(
        rf"(?!.*_docid_)\s*(rank|{_NAME}\s+(asc|desc)(\s*,\s*{_NAME}\s+(asc|desc))*)?\s*", re.I
    ),
    "qf": re.compile(rf"\s*({_NAME}(\^[0-9.]+)?\s*)*"),
    "facet.field": re.compile(_NAME),
    "defType": re.compile("lucene|dismax|edismax"),
    "wt": re.compile("json"),
    # Functions and nothing else.
    "bf": re.compile(""),
    "boost": re.compile(""),
}
#: An item of `fl`. Solr also takes other names for fields and what makes values up
#: (`id:[value v=x]`), and the check of the results would believe that.
_FIELD = re.compile(r"[A-Za-z0-9_*]+")
#: How rare a word is in all that there is.
_SCORE = "score"


def _refuse(name: str, sign: str = "") -> NoReturn:
    """Refuse a parameter, for a sign in it if that is what is wrong."""
    message = tk._("Parameter {name} berisi yang tidak dapat ditanyakan di portal ini.")
    if sign:
        message = tk._(
            "Tanda {sign} tidak dapat dipakai dalam pencarian ({name}). Hapus tanda itu."
        )
    raise SearchQueryError(message.format(name=name, sign=sign))


def _texts(name: str, value: Any) -> Iterator[str]:
    """The strings in a parameter, which may be a list."""
    for item in value if isinstance(value, (list, tuple)) else (value,):
        if not isinstance(item, str):
            _refuse(name)
        try:
            item.encode()
        except UnicodeEncodeError:
            _refuse(name)
        yield item


def check(params: dict[str, Any]) -> None:
    """Refuse a search that asks for more than words, filters and fields.

    Args:
        params: of package_search; `fl` becomes a list of names.

    Raises:
        SearchQueryError: naming the parameter (400).
    """
    for name, value in params.items():
        for item in value if isinstance(value, (list, tuple)) else (value,):
            if isinstance(item, str) and _MACRO in item:
                _refuse(name, _MACRO)
    for name in ("q", "fq", "fq_list"):
        for text in _texts(name, params.get(name) or ()):
            # Lucene reads `\u005f` as `_`, and `\_` too.
            sign = "\\u" in text or _NESTED.search(text.replace("\\", ""))
            if sign:
                _refuse(name, "\\u" if sign is True else sign.group())
    for name, form in _FORMS.items():
        for text in _texts(name, params.get(name) or ()):
            if not form.fullmatch(text):
                _refuse(name)
    if params.get("fl"):
        names = [n for text in _texts("fl", params["fl"]) for n in re.split(r"[\s,]+", text) if n]
        if not all(_FIELD.fullmatch(name) and name != _SCORE for name in names):
            _refuse("fl")
        params["fl"] = names
