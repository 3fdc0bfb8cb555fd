"""Is every door closed? Each problem is told with the one line that closes it."""

from __future__ import annotations

import ipaddress
import os
import re
import stat
from collections.abc import Iterator
from configparser import RawConfigParser
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import ckan.model as core
import ckan.plugins as p
import ckan.plugins.toolkit as tk
import pysolr
import sqlalchemy as sa
from ckan.lib import files as core_files
from ckan.lib.plugins import get_permission_labels
from ckan.lib.redis import is_redis_available
from ckan.lib.search.common import make_connection
from ckan.lib.webassets_tools import get_webassets_path
from ckanext.datastore.backend.postgres import get_read_engine, get_write_engine
from sqlalchemy.exc import SQLAlchemyError

from ckanext.satudata_trenggalek import audit, config, mailing, maintenance, peran, reading
from ckanext.satudata_trenggalek.model import ddl, roles

NAME = "satudata_trenggalek"

#: Settings that close a door by themselves; the value is what must stand there.
SETTINGS: dict[str, object] = {
    "ckan.auth.anon_create_dataset": False,
    "ckan.auth.create_user_via_api": False,
    "ckan.auth.create_user_via_web": False,
    "ckan.auth.user_create_organizations": False,
    "ckan.auth.user_create_groups": False,
    "ckan.auth.user_delete_organizations": False,
    "ckan.auth.user_delete_groups": False,
    "ckan.auth.create_unowned_dataset": False,
    "ckan.auth.create_dataset_if_not_in_organization": False,
    "ckan.auth.allow_dataset_collaborators": False,
    "ckan.auth.public_activity_stream_detail": False,
    "ckan.auth.reveal_private_datasets": False,
    "ckan.auth.public_user_details": False,
    "ckan.auth.roles_that_cascade_to_sub_groups": [],
    "ckan.datastore.public_table_search": [],
    "ckan.datastore.sqlsearch.enabled": False,
    "ckan.files.authenticated_uploads.allow": False,
    "ckan.files.owner.cascade_access": [],
    "ckan.files.inline_content_types": [],
    "ckan.locale_default": "id",
    # Else facets go on counting what was withdrawn.
    "ckan.search.solr_commit": True,
    "scheming.dataset_fallback": False,
    # A header that the browser sends by itself is no token.
    "apitoken_header_name": "Authorization",
    "api_token.jwt.algorithm": "HS256",
    # Core mails each error with the token and the session of who met it.
    "email_to": "",
    "debug": False,
    "testing": False,
    "WTF_CSRF_ENABLED": True,
    "WTF_CSRF_CHECK_DEFAULT": True,
    "WTF_CSRF_SSL_STRICT": True,
    "WTF_CSRF_METHODS": ["POST", "PUT", "PATCH", "DELETE"],
    "SESSION_COOKIE_HTTPONLY": True,
    "REMEMBER_COOKIE_HTTPONLY": True,
}
_PICTURES = ("image/png", "image/gif", "image/jpeg", "image/webp")
#: Settings that name some of these, and nothing else: what runs no script in a browser.
ALLOWED: dict[str, tuple[str, ...]] = {
    "ckan.upload.user.mimetypes": _PICTURES,
    "ckan.upload.group.mimetypes": _PICTURES,
    "ckan.valid_url_schemes": ("http", "https", "ftp"),
}
#: Where cookies go: to the portal alone, not to each site of the regency.
DOMAINS = ("SESSION_COOKIE_DOMAIN", "REMEMBER_COOKIE_DOMAIN")
#: Cookies that browsers may send with what another site asks for.
SAMESITE = ("SESSION_COOKIE_SAMESITE", "REMEMBER_COOKIE_SAMESITE")
#: Cookies that may travel unencrypted.
SECURE = ("SESSION_COOKIE_SECURE", "REMEMBER_COOKIE_SECURE")
#: Whoever knows one signs sessions, forms or tokens of anybody.
SECRETS = (
    "SECRET_KEY",
    "WTF_CSRF_SECRET_KEY",
    "api_token.jwt.encode.secret",
    "api_token.jwt.decode.secret",
)
#: Settings that hold a password.
_PASSWORDS = (
    "sqlalchemy.url",
    "ckan.datastore.write_url",
    "ckan.datastore.read_url",
    "ckan.redis.url",
    "solr_password",
    "smtp.password",
)
#: In characters; `openssl rand -hex 24` gives 48.
MIN_SECRET = 24

#: Plugins that the portal can't do without.
NEEDED = ("scheming_datasets", "scheming_organizations", "scheming_groups", "datastore")
#: Plugins that only show what is there.
HARMLESS = ("datatables_view", "text_view", "image_view", "audio_view", "video_view")
#: Plugins that open a door, and which.
HARMFUL = {
    "activity": "keeps copies of datasets that stay readable after a withdrawal",
    "datapusher": "loads tables from addresses, with a token of a sysadmin",
    "harvest": "shows what was harvested before it is verified",
    "resource_proxy": "fetches any address for anybody",
    "tabledesigner": "changes tables without their file",
    "webpage_view": "shows pages of other sites as verified data",
    "xloader": "loads tables from addresses, whatever was verified",
}


def problems() -> list[str]:
    """What is wrong, each with the line that puts it right; empty when every door is closed."""
    checks = (
        _database,
        _settings,
        _datastore,
        _secrets,
        _addresses,
        _plugins,
        _schemas,
        _storage,
        _people,
        _datasets,
        _services,
    )
    return [*(problem for check in checks for problem in check()), *mailing.problems()]


def _database() -> Iterator[str]:
    connection = core.Session.connection()
    for thing, cure in ddl.faults(connection).items():
        what = "does not belong there" if cure else "is missing or altered"
        cure = cure or "ckan db upgrade -p satudata_trenggalek"
        yield f"{thing} {what}: run `{cure}` as owner of the tables"
    yield from roles.excess(connection)
    if audit.late():
        yield (
            "events of more than an hour ago have no anchor: let the schedule run"
            " `ckan satudata anchor` every minute"
        )


def _line(key: str, wanted: object) -> str:
    if isinstance(wanted, bool):
        return f"`{key} = {str(wanted).lower()}`"
    return f"`{key} = {' '.join(wanted) if isinstance(wanted, list) else wanted}`"


def _settings() -> Iterator[str]:
    for key, wanted in SETTINGS.items():
        value = tk.config.get(key)
        if isinstance(wanted, list):
            kept = set(wanted) <= set(tk.aslist(value)) if wanted else not value
        else:
            kept = (tk.asbool(value) if isinstance(wanted, bool) else value or "") == wanted
        if not kept:
            yield f"{key} is {value!r}: set {_line(key, wanted)}"
    for key, allowed in ALLOWED.items():
        value = tk.aslist(tk.config.get(key))
        if not value or not set(value) <= set(allowed):
            yield f"{key} is {value!r}: set {_line(key, list(allowed))}"
    for key in SAMESITE:
        if (value := tk.config.get(key)) not in ("Lax", "Strict"):
            yield f"{key} is {value!r}: set {_line(key, 'Lax')}"
    if not config.calls_per_minute():
        key = "ckanext.satudata_trenggalek.calls_per_minute"
        yield f"calls are not bounded: set {_line(key, 600)}"
    if "id" not in tk.aslist(tk.config.get("ckan.locales_offered")):
        yield "Indonesian is not offered: set `ckan.locales_offered = id en`"
    if (licences := tk.config.get("licenses_group_url")) and not _local(licences):
        yield (
            f"the licences that the public reads come from {licences}: set"
            " `licenses_group_url = ` or a file (`file:///...`)"
        )
    if paths := tk.config.get("extra_template_paths"):
        yield f"pages are made by the templates in {paths}: set `extra_template_paths = `"


def _local(address: str) -> bool:
    """Whether an address is that of a file on this machine."""
    parts = urlsplit(address)
    return parts.scheme == "file" and parts.netloc in ("", "localhost")


#: Run as the role that reads the DataStore: what it may write, and whether it is who writes.
_READER_WRITES = """
SELECT pg_has_role(:writer, 'MEMBER')
    OR has_database_privilege(current_database(), 'CREATE')
    OR EXISTS (SELECT 1 FROM pg_namespace
               WHERE nspname !~ '^pg_' AND has_schema_privilege(oid, 'CREATE'))
    OR EXISTS (SELECT 1 FROM pg_class
               WHERE relkind IN ('r', 'p', 'v') AND relnamespace = 'public'::regnamespace
                 AND has_table_privilege(oid, 'INSERT, UPDATE, DELETE, TRUNCATE'))
"""


def _datastore() -> Iterator[str]:
    """Who reads tables can't change them; neither they nor the writer may change CKAN's own."""
    key = "ckan.datastore.write_url"
    owners = roles.owners(core.Session.connection())
    try:
        with get_write_engine().connect() as connection:
            above = roles.above(connection, owners)
    except SQLAlchemyError as error:
        yield f"the DataStore is not written ({type(error).__name__}): check `{key}`"
        return
    if above:
        yield (
            f"the role of {key} has rights over the whole server or the tables of CKAN (as"
            f" {above[0]}): set `{key}` to the role that serves CKAN"
        )
    key = "ckan.datastore.read_url"
    writer = sa.make_url(tk.config["ckan.datastore.write_url"]).username
    try:
        with get_read_engine().connect() as connection:
            writes = connection.scalar(sa.text(_READER_WRITES), {"writer": writer})
            writes = writes or roles.above(connection, owners)
    except SQLAlchemyError as error:
        yield f"the DataStore is not read ({type(error).__name__}): check `{key}`"
        return
    if writes:
        yield (
            f"the role of {key} may write: set `{key}` to a role of its own, and its rights as"
            " docs/operations.md says (`ckan datastore set-permissions`)"
        )


def _secrets() -> Iterator[str]:
    for key in SECRETS:
        value, kind = str(tk.config.get(key) or ""), "string:" * key.startswith("api_")
        if path := _key_file(key):
            value = ""
            with suppress(OSError):
                value = path.read_text(errors="replace")
        elif value.startswith("file:"):
            value = ""  # core takes it for the secret itself
        if len(value.removeprefix(kind).strip()) < MIN_SECRET:
            yield (
                f"{key} can be guessed: set `{key} = {kind}SECRET` with a SECRET from"
                " `openssl rand -hex 24`"
            )
    for path in _secret_files():
        if path.is_file() and path.stat().st_mode & stat.S_IROTH:
            yield f"everybody on this machine reads the secrets in {path}: run `chmod o-r {path}`"


def _key_file(key: str) -> Path | None:
    """The file in which a secret lies; core knows such for those of tokens only."""
    kind, _, name = str(tk.config.get(key) or "").partition(":")
    return Path(name).absolute() if kind == "file" and key.startswith("api_") else None


def _secret_files() -> list[Path]:
    """Where secrets lie: files of settings, so far as they name one in force, and those of keys."""
    found = {path for path in map(_key_file, SECRETS) if path}
    path, known = Path(tk.config.get("__file__") or ""), set[str]()
    while path.is_file():
        parser = RawConfigParser(strict=False)
        parser.read(path)
        section = dict(parser["app:main"]) if parser.has_section("app:main") else {}
        named = {key for key in (*SECRETS, *_PASSWORDS) if section.get(key.lower())} - known
        if named:
            found.add(path)
        known |= named
        kind, _, name = section.get("use", "").partition(":")
        path = path.parent / (name if kind == "config" else "")
    return sorted(found)


def _near(host: str) -> bool:
    """Whether requests to a host stay on the machine or in its network."""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_private
    except ValueError:
        return False


def _addresses() -> Iterator[str]:
    address = urlsplit(tk.config["ckan.site_url"])
    for key in DOMAINS:
        if (value := tk.config.get(key) or "") not in ("", address.hostname):
            yield f"other sites are sent the session ({key} is {value!r}): set `{key} = `"
    if address.scheme == "https":
        for key in SECURE:
            if not tk.asbool(tk.config.get(key)):
                yield f"{key} is off behind https: set {_line(key, True)}"
    elif not _near(address.hostname or ""):
        yield (
            "passwords travel unencrypted: serve the portal by https and set"
            f" `ckan.site_url = https://{address.netloc}`"
        )


def _plugins() -> Iterator[str]:
    named = tk.aslist(tk.config.get("ckan.plugins"))
    if named[:1] != [NAME]:
        yield f"other plugins come before {NAME}: put it first in `ckan.plugins`"
    for name in NEEDED:
        if not p.plugin_loaded(name):
            yield f"the plugin {name} is off: add it to `ckan.plugins`"
    for name in named:
        if name not in (NAME, *NEEDED, *HARMLESS, *HARMFUL):
            yield f"the plugin {name} is not known to the gate: take it out of `ckan.plugins`"
    for name, door in HARMFUL.items():
        if p.plugin_loaded(name):
            yield f"the plugin {name} {door}: take it out of `ckan.plugins`"
    writers: list[Any] = list(p.PluginImplementations(p.IPermissionLabels))
    for plugin in writers:
        if not isinstance(plugin, reading.Labels):
            yield (
                f"the plugin {plugin.name} writes permission labels too:"
                " take it out of `ckan.plugins`"
            )
    if not writers and not isinstance(get_permission_labels(), reading.Labels):
        yield f"nobody writes permission labels: add {NAME} to `ckan.plugins`"


def _schemas() -> Iterator[str]:
    for name, file in (
        ("dataset", "dataset.yaml ckanext.satudata_trenggalek.schemas:kegiatan.yaml"),
        ("organization", "organization.yaml"),
        ("group", "group.yaml"),
    ):
        key, value = f"scheming.{name}_schemas", f"ckanext.satudata_trenggalek.schemas:{file}"
        # The later of two schemas takes the place of the first.
        if tk.aslist(tk.config.get(key)) != value.split():
            yield f"datasets are not checked by the schema of {name}: set `{key} = {value}`"


def _served(resources: str) -> Iterator[tuple[str, str]]:
    """Settings and the folders that everybody reads by them, but for that of the storage told."""
    for path in filter(None, map(str.strip, tk.config.get("extra_public_paths", "").split(","))):
        yield "extra_public_paths", path
    for path in tk.config.get("plugin_public_paths", []):
        yield "ckan.plugins", path
    yield "ckan.storage_path", f"{tk.config['ckan.storage_path']}/storage"
    yield "ckan.webassets.path", get_webassets_path()
    for name in core_files.storages:
        settings: Any = core_files.get_storage(name).settings
        # Elsewhere than on this machine a path is none of ours.
        public = getattr(settings, "public", False) and os.path.isabs(settings.path or "")
        if public and name != resources:
            yield f"ckan.files.storage.{name}.path", str(settings.path)


def _in(path: str | Path, folder: str | Path) -> bool:
    """Whether a path leads into a folder."""
    return Path(os.path.realpath(path)).is_relative_to(os.path.realpath(folder))


def _storage() -> Iterator[str]:
    name = tk.config["ckan.files.default_storages.resource"]
    settings: Any = core_files.get_storage(name).settings
    if settings.public:
        key = f"ckan.files.storage.{name}.public"
        yield f"everybody reads the files of datasets: set `{key} = false`"
    folder = Path(settings.path or "")
    kept = [path for path in (folder, config.anchor_file(), *_secret_files()) if path.is_absolute()]
    for key, path in _served(name):
        for what in kept:
            if _in(what, path) or (what == folder and _in(path, folder)):
                yield (
                    f"{path} is served to everybody, and with it {what}:"
                    f" set `{key}` to another folder"
                )
    for path in (folder, config.anchor_file()):
        if path.is_absolute() and path.exists() and path.stat().st_mode & stat.S_IRWXO:
            yield f"everybody on this machine reaches {path}: run `chmod o-rwx {path}`"


def _people() -> Iterator[str]:
    for unique in peran.UNIQUE:
        if not peran.holders(unique):
            yield (
                f"no organization is {unique.value}:"
                f" run `ckan satudata peran set ORG {unique.value}`"
            )
    sysadmins = core.Session.scalars(
        sa.select(core.User).where(core.User.sysadmin, core.User.state == "active")
    )
    for user in sysadmins:
        held = {name.value for group in peran.of_user(user.id).values() for name in group}
        if held:
            yield f"sysadmin {user.name} holds {', '.join(sorted(held))}: remove the membership"


def _datasets() -> Iterator[str]:
    for name in maintenance.unadopted():
        yield f"dataset {name} is older than the gate: run `ckan satudata adopt`"
    for id_, name in maintenance.misnamed():
        yield f"dataset {id_} has for its name the id of dataset {name}: give it another name"


#: Beside the package, or in the folder where the images of docker/ run.
_SOLRCONFIG = "deploy/solr/solrconfig.xml"
_CLOSED_PARSER = re.compile(r'<queryParser name="(\w+)" class="solr.FieldQParserPlugin"/>')


def _solrconfig() -> str:
    """The settings that Solr should have."""
    for root in (Path(__file__).parents[2], Path.cwd()):
        with suppress(OSError):
            return (root / _SOLRCONFIG).read_text()
    return ""


def _queries(solr: pysolr.Solr) -> Iterator[str]:
    """What Solr reads beyond plain queries, whoever asks, and so finds what is not public."""
    closed = _CLOSED_PARSER.findall(_solrconfig())
    if not closed:
        yield f"nobody knows what Solr may read: run this where {_SOLRCONFIG} lies"
    read = []
    for name in closed:
        with suppress(pysolr.SolrError):
            told = solr.search(f"{{!{name} f=site_id v=x}}", rows=0, debug="query").debug
            if told.get("parsedquery_toString") == "site_id:x":
                continue
        read.append(name)
    if read:
        yield (
            f"Solr takes queries ({', '.join(read)}) that find what is not public:"
            f" give it the settings in {_SOLRCONFIG}"
        )
    with suppress(pysolr.SolrError):
        solr.search("*${satudata::}*", rows=0)
        yield (
            "Solr takes macros, which hide a query from the checks before it:"
            f" give it the settings in {_SOLRCONFIG}"
        )


def _services() -> Iterator[str]:
    try:
        solr = make_connection()
        solr.ping()
        # As deploy/services.py and docker/compose.yaml set them.
        yield from _queries(solr)
        if "BooleanSimilarity" not in solr._send_request("get", "schema/similarity"):
            yield (
                "the order of results tells how rare words are in what is not public: put"
                ' `<similarity class="solr.BooleanSimilarityFactory"/>` at the end of Solr\'s'
                " schema and restart it"
            )
    except Exception as error:
        yield f"Solr does not answer ({error}): check `solr_url`"
    if not is_redis_available():
        yield "Redis does not answer: check `ckan.redis.url`"
