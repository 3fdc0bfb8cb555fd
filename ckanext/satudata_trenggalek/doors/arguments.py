"""What a request brings, looked at before core takes it.

Core gives much of it to PostgreSQL, Solr and its own code as it came, and fails (500) where they
cannot take it.
"""

from __future__ import annotations

import functools
import json
import logging
import math
import re
import traceback
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import ckan.model as core
import ckan.plugins.toolkit as tk
import flask
from ckan.lib.search import SearchError, SearchQueryError
from psycopg2 import DataError as PostgresDataError
from sqlalchemy.exc import DataError, DBAPIError, ProgrammingError

from ckanext.satudata_trenggalek.doors import PREFIX, text
from ckanext.satudata_trenggalek.logic import schema

log = logging.getLogger(__name__)

#: More than any action needs, far less than Python's stack holds.
MAX_DEPTH = 32


def _invalid(name: str, message: str) -> tk.ValidationError:
    # A name that cannot be written is told in ASCII; core looks into errors of tags
    # (ValidationError in ckan/logic/__init__.py).
    told: Any = {"name": [message]} if name == "tags" else message
    return tk.ValidationError({name if text(name) is not None else ascii(name): [told]})


# Whatever it is


def _parts(value: Any, depth: int = 1) -> Iterator[Any]:
    """What stands in a value, however deep.

    Raises:
        RecursionError: when that is too deep.
    """
    if not isinstance(value, (dict, list)):
        yield value
        return
    if depth > MAX_DEPTH:
        raise RecursionError
    for item in value:
        yield from _parts(item, depth + 1)
        if isinstance(value, dict):
            yield from _parts(value[item], depth + 1)


def _too_deep() -> str:
    message = tk._("Bersarang terlalu dalam, paling banyak {n} tingkat.")
    return message.format(n=MAX_DEPTH)


def _storable(name: str, value: Any) -> None:
    """Refuse what no database takes."""
    for part in (name, *_parts(value)):
        if isinstance(part, str) and text(part) is None:
            raise _invalid(name, tk._("Berisi karakter yang tidak dapat disimpan."))


def _plain(name: str, value: Any) -> None:
    """Refuse what no answer could repeat."""
    try:
        parts = list(_parts(value))
    except RecursionError:
        raise _invalid(name, _too_deep()) from None
    if any(isinstance(part, float) and not math.isfinite(part) for part in parts):
        raise _invalid(name, tk._("Berisi bilangan tak hingga atau bukan bilangan."))


def _json(data: dict[str, Any], name: str) -> None:
    """Read what an address or a form brings as JSON."""
    with suppress(ValueError):
        try:
            data[name] = json.loads(data[name])
        except RecursionError:
            raise _invalid(name, _too_deep()) from None
    _plain(name, data[name])
    _storable(name, data[name])


# By its name


def _text(data: dict[str, Any], name: str) -> None:
    if isinstance(data[name], (dict, list)):
        raise _invalid(name, tk._("Harus berupa teks."))
    if isinstance(data[name], (int, float)):
        # As it would come in an address.
        data[name] = str(data[name])


def _words(data: dict[str, Any], name: str) -> None:
    """A text, or an object that says it for each column, in an address as JSON."""
    if isinstance(data[name], str) and data[name].lstrip()[:1] in ("{", "["):
        _json(data, name)
    if not isinstance(data[name], dict):
        _text(data, name)


def _whole(data: dict[str, Any], name: str) -> None:
    schema.number(data, name, 0)


def _truth(data: dict[str, Any], name: str) -> None:
    if isinstance(data[name], (dict, list)):
        raise _invalid(name, tk._("Isi true atau false."))
    schema.boolean(data, name)


def _texts(data: dict[str, Any], name: str) -> None:
    if isinstance(data[name], list):
        if not all(isinstance(item, str) for item in data[name]):
            raise _invalid(name, tk._("Harus berupa daftar nama."))
    else:
        _text(data, name)


def _object(data: dict[str, Any], name: str) -> None:
    if not isinstance(data[name], dict):
        raise _invalid(name, tk._("Harus berupa objek."))


Rule = Callable[[dict[str, Any], str], None]

#: What core's actions mean by a parameter of this name.
_RULES: tuple[tuple[re.Pattern[str], Rule], ...] = (
    (
        re.compile(
            r"(\w+_)?id2?|name|name_or_id|username|key|jti|email|object|object_type|subject|rel|type"
            r"|q|sort|order_by"
        ),
        _text,
    ),
    (re.compile(r"limit|offset|page|rows|start|facet\.mincount"), _whole),
    (re.compile(r"(include|use)_\w+|all_fields"), _truth),
    (re.compile(r"query"), _texts),
)

#: Beginning of actions -> what they mean by a name instead.
_OTHERWISE: dict[str, dict[str, Rule | None]] = {
    # `sort` may be a list, too.
    "datastore_": {"q": _words, "filters": _words, "sort": None},
    "package_search": {"extras": _object},
}

#: Ours, and those that our schemas validate, tell field by field what is wrong.
_VALIDATED = re.compile(rf"{PREFIX}|(package|resource)_(create|update|patch|revise)$")


def check(action: str, data: dict[str, Any], reads: bool) -> None:
    """Refuse arguments that no action can take.

    Args:
        action: its name.
        data: what is sent; numbers become the texts that they are taken for.
        reads: whether it changes nothing.

    Raises:
        tk.ValidationError: naming the parameter.
    """
    otherwise = next((own for start, own in _OTHERWISE.items() if action.startswith(start)), {})
    for name, value in list(data.items()):
        _plain(name, value)
        if _VALIDATED.match(action):
            continue
        _storable(name, value)
        rule = next((rule for names, rule in _RULES if names.fullmatch(name)), None)
        rule = otherwise.get(name, rule)
        if rule in (_whole, _truth):
            if not reads:
                continue
            if value in (None, ""):
                # As if it were not sent.
                del data[name]
                continue
        if rule and value is not None:
            rule(data, name)


# What nobody foresaw


_TOLD = re.compile(r"NUL \(0x00\)|String is not true/false")


def _of_arguments(error: Exception) -> bool:
    """Whether PostgreSQL or Python could not take a value: no fault of the portal's."""
    if isinstance(error, ProgrammingError):
        # psycopg2's own refusal; "operator does not exist: text = integer" (undefined_function).
        cause: Any = error.orig
        return "can't adapt" in str(cause) or cause.pgcode == "42883"
    if isinstance(error, ValueError) and flask.has_request_context():
        # Core's pages count by `int` (ckan/views/user.py).
        sent = flask.request.values.values()
        if any(str(error).endswith(f"base 10: {value!r}") for value in sent):
            return True
    # psycopg2 on NULs and core on truths (ckan/common.py) are known by their words alone.
    return isinstance(error, (DataError, PostgresDataError, OverflowError, UnicodeEncodeError)) or (
        isinstance(error, ValueError) and bool(_TOLD.search(str(error)))
    )


def _untold(error: Exception) -> str:
    # Without the message: databases quote the value that they refuse.
    where = "".join(traceback.format_tb(error.__traceback__))
    log.warning("An argument was refused by what it was given to: %s\n%s", type(error), where)
    return tk._("Salah satu nilai yang dikirim tidak dapat dipakai. Periksa jenis dan besarnya.")


def _asked(action: str) -> Any:
    """The action as the API calls it."""
    function = tk.get_action(action)
    reads = getattr(function, "side_effect_free", False)

    @functools.wraps(function)
    def run(context: Any, data: dict[str, Any]) -> Any:
        check(action, data, reads)
        try:
            return function(context, data)
        except (DBAPIError, OverflowError, ValueError) as error:
            if not _of_arguments(error):
                raise
            raise _invalid("data", _untold(error)) from error

    return run


def _read(read: Callable[..., Any]) -> Callable[..., Any]:
    """Core's reading of a body, which stops where Python's stack ends."""

    def run(*args: Any, **kwargs: Any) -> Any:
        try:
            return read(*args, **kwargs)
        except RecursionError:
            raise ValueError(_too_deep()) from None

    return run


# Pages


#: Where core takes any number of digits for a number.
_COUNTS = ("page", "limit", "offset", "start", "rows")


def _words_of(errors: Any) -> str:
    """Errors as a page shows them."""
    return "; ".join(
        said if isinstance(said, str) else f"{name}: {' '.join(map(str, said))}"
        for name, said in errors.items()
    )


def pages() -> None:
    """Refuse addresses that nothing takes (404, 400); our own pages read what they can."""
    request = flask.request
    if any(isinstance(v, str) and text(v) is None for v in (request.view_args or {}).values()):
        tk.abort(404)
    if request.path.startswith("/api/") or (request.blueprint or "").startswith("satudata"):
        return
    for name, value in request.args.items(multi=True):
        try:
            _storable(name, value)
            if name in _COUNTS and re.fullmatch(r"\d{10,}", value):
                schema.number({name: value}, name, 0)
            if name == "sort" and value and not all(map(str.strip, value.split(","))):
                # Core takes the first word of each (ckan/views/dataset.py).
                raise _invalid(name, tk._("Harus berupa daftar nama."))
            if value[:1] in ("{", "["):
                _json({name: value}, name)
        except tk.ValidationError as error:
            tk.abort(400, _words_of(error.error_dict))


def _search(error: SearchError) -> str | None:
    """What to say of a search that Solr or core cannot read; None for a fault of theirs."""
    if isinstance(error, SearchQueryError):
        return str(error)
    # It stands for all that Solr answers, too (ckan/lib/search/query.py).
    if type(error) is SearchError and "HTTP 400" in str(error.__context__ or "HTTP 400"):
        return tk._("Pencarian ini tidak dapat dibaca. Periksa tanda baca dan nomor halamannya.")
    return None


def _refused(error: Exception) -> Any:
    """Answer what core's views let through, and the API's lists for forms in its own form."""
    told: Any
    if isinstance(error, tk.NotAuthorized):
        kind, status, told = "Authorization Error", 403, {"message": tk._("Anda tidak berwenang.")}
    elif isinstance(error, tk.ObjectNotFound):
        kind, status, told = "Not Found Error", 404, {"message": tk._("Tidak ditemukan.")}
    elif isinstance(error, SearchError) and (message := _search(error)):
        kind, status, told = "Search Query Error", 400, {"message": message}
    elif isinstance(error, tk.ValidationError):
        kind, status, told = "Validation Error", 409, error.error_dict
    elif _of_arguments(error):
        kind, status, told = "Validation Error", 409, {"data": [_untold(error)]}
    else:
        raise error
    if flask.request.path.startswith("/api/"):
        return {"success": False, "error": {**told, "__type": kind}}, status
    # Of a transaction that failed nothing can be read for the page.
    core.Session.rollback()
    status = 400 if status == 409 else status
    shown = {"code": status, "content": _words_of(told)}
    return tk.render("error_document_template.html", shown), status


def middleware(app: Any) -> None:
    """Put this before core's API and pages.

    The view of the API answers every fault by itself (ckan/views/api.py), so that no hook around
    it can tell one of an argument.
    """
    view = app.view_functions["api.action"].__globals__
    view.update(get_action=_asked, _get_request_data=_read(view["_get_request_data"]))
    app.before_request(pages)
    refused = (tk.NotAuthorized, tk.ObjectNotFound, tk.ValidationError, SearchError)
    faults = (DataError, PostgresDataError, ProgrammingError, OverflowError, ValueError)
    for kind in refused + faults:
        app.register_error_handler(kind, _refused)
    # Pages of groups leave it out where the search fails (ckan/views/group.py).
    app.jinja_env.globals.setdefault("search_facets", {})
    if "datastore.dump" in app.view_functions:
        # Its `"…%s" % formats` takes a tuple for several values (ckan/logic/validators.py, one_of).
        dump = app.view_functions["datastore.dump"].__globals__
        dump["DUMP_FORMATS"] = list(dump["DUMP_FORMATS"])
