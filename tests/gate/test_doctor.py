"""Each door that configuration can open is named, with the line that closes it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import ckan.model as core
import ckan.plugins as p
import ckan.plugins.toolkit as tk
import pytest
import sqlalchemy as sa
from ckan.lib import files as core_files

from ckanext.satudata_trenggalek import audit, peran
from ckanext.satudata_trenggalek import config as options
from ckanext.satudata_trenggalek import doctor as examination
from ckanext.satudata_trenggalek.model import ddl
from tests.world import World

Doctor = Callable[[], list[str]]
NAME = examination.NAME


def _anchor() -> None:
    core.Session.remove()
    audit.anchor()


@pytest.fixture(autouse=True)
def _anchored(world: World) -> None:
    _anchor()


@pytest.fixture
def cluster() -> Any:
    """The tests' PostgreSQL, for its superuser."""
    import portal

    home = portal.Portal(Path(os.environ["SATUDATA_HOME"]))
    return portal.TestPortal(home, os.environ["SATUDATA_TEST_HOME"])


def test_every_door_is_closed(doctor: Doctor) -> None:
    assert doctor() == []


#: Setting -> a value that opens a door, what is told of it. What stands in `doctor.SETTINGS` alone
#: would test that table with itself: these lines are those of a person.
OPEN: dict[str, tuple[Any, str]] = {
    **{
        f"ckan.auth.{name}": (True, f"set `ckan.auth.{name} = false`")
        for name in (
            "anon_create_dataset", "create_user_via_api", "create_user_via_web",
            "user_create_organizations", "user_create_groups", "user_delete_organizations",
            "user_delete_groups", "create_unowned_dataset",
            "create_dataset_if_not_in_organization", "allow_dataset_collaborators",
            "public_activity_stream_detail", "reveal_private_datasets", "public_user_details",
        )
    },
    "ckan.auth.roles_that_cascade_to_sub_groups": (
        ["admin"], "set `ckan.auth.roles_that_cascade_to_sub_groups = `"
    ),
    "ckan.datastore.public_table_search": (
        ["_table_metadata"], "set `ckan.datastore.public_table_search = `"
    ),
    "ckan.datastore.sqlsearch.enabled": (True, "set `ckan.datastore.sqlsearch.enabled = false`"),
    "ckan.files.authenticated_uploads.allow": (
        True, "set `ckan.files.authenticated_uploads.allow = false`"
    ),
    "ckan.files.owner.cascade_access": (
        {"package": ["resources"]}, "set `ckan.files.owner.cascade_access = `"
    ),
    "ckan.files.inline_content_types": (
        ["image"], "set `ckan.files.inline_content_types = `"
    ),
    "ckan.locale_default": ("en", "set `ckan.locale_default = id`"),
    "ckan.locales_offered": (["en"], "set `ckan.locales_offered = id en`"),
    "debug": (True, "set `debug = false`"),
    "testing": (True, "set `testing = false`"),
    "WTF_CSRF_ENABLED": (False, "set `WTF_CSRF_ENABLED = true`"),
    "WTF_CSRF_CHECK_DEFAULT": (False, "set `WTF_CSRF_CHECK_DEFAULT = true`"),
    "WTF_CSRF_SSL_STRICT": (False, "set `WTF_CSRF_SSL_STRICT = true`"),
    "WTF_CSRF_METHODS": (["PUT"], "set `WTF_CSRF_METHODS = POST PUT PATCH DELETE`"),
    "SESSION_COOKIE_HTTPONLY": (False, "set `SESSION_COOKIE_HTTPONLY = true`"),
    "REMEMBER_COOKIE_HTTPONLY": (False, "set `REMEMBER_COOKIE_HTTPONLY = true`"),
    "SESSION_COOKIE_SAMESITE": ("None", "set `SESSION_COOKIE_SAMESITE = Lax`"),
    "REMEMBER_COOKIE_SAMESITE": (None, "set `REMEMBER_COOKIE_SAMESITE = Lax`"),
    "SECRET_KEY": ("CHANGE_ME", "SECRET_KEY can be guessed: set `SECRET_KEY = SECRET`"),
    "WTF_CSRF_SECRET_KEY": ("", "set `WTF_CSRF_SECRET_KEY = SECRET`"),
    "api_token.jwt.encode.secret": (
        "string:CHANGE_ME", "set `api_token.jwt.encode.secret = string:SECRET`"
    ),
    "api_token.jwt.decode.secret": (
        "string:", "set `api_token.jwt.decode.secret = string:SECRET`"
    ),
    **{
        f"ckan.upload.{whose}.mimetypes": (
            ["image/png", "image/svg+xml"],
            f"set `ckan.upload.{whose}.mimetypes = image/png image/gif image/jpeg image/webp`",
        )
        for whose in ("user", "group")
    },
    "ckan.valid_url_schemes": (
        ["http", "javascript"], "set `ckan.valid_url_schemes = http https ftp`"
    ),
    "SESSION_COOKIE_DOMAIN": (".trenggalekkab.go.id", "set `SESSION_COOKIE_DOMAIN = `"),
    "REMEMBER_COOKIE_DOMAIN": (".trenggalekkab.go.id", "set `REMEMBER_COOKIE_DOMAIN = `"),
    "email_to": ("admin@example.go.id", "set `email_to = `"),
    "ckan.search.solr_commit": (False, "set `ckan.search.solr_commit = true`"),
    "apitoken_header_name": ("Cookie", "set `apitoken_header_name = Authorization`"),
    "api_token.jwt.algorithm": ("none", "set `api_token.jwt.algorithm = HS256`"),
    "ckanext.satudata_trenggalek.calls_per_minute": (
        0, "set `ckanext.satudata_trenggalek.calls_per_minute = 600`"
    ),
    "scheming.dataset_fallback": (True, "set `scheming.dataset_fallback = false`"),
    "ckan.site_url": (
        "http://data.example.go.id", "set `ckan.site_url = https://data.example.go.id`"
    ),
    "ckan.plugins": (
        ["scheming_datasets", NAME], "put it first in `ckan.plugins`"
    ),
    "scheming.dataset_schemas": (
        ["ckanext.scheming:ckan_dataset.yaml"],
        "set `scheming.dataset_schemas = ckanext.satudata_trenggalek.schemas:dataset.yaml"
        " ckanext.satudata_trenggalek.schemas:kegiatan.yaml`",
    ),
    "scheming.organization_schemas": ([], "set `scheming.organization_schemas = "),
    "scheming.group_schemas": ([], "set `scheming.group_schemas = "),
    "licenses_group_url": ("https://example.org/licences.json", "set `licenses_group_url = `"),
    "extra_template_paths": ("/srv/templat", "set `extra_template_paths = `"),
    "solr_url": ("http://127.0.0.1:9/solr/ckan", "check `solr_url`"),
    "ckan.redis.url": ("redis://127.0.0.1:9/0", "check `ckan.redis.url`"),
}  # fmt: skip


@pytest.mark.parametrize("key", OPEN)
def test_setting(doctor: Doctor, monkeypatch: pytest.MonkeyPatch, key: str) -> None:
    value, told = OPEN[key]
    monkeypatch.setitem(tk.config, key, value)
    if key == "ckan.redis.url":
        from ckan.lib import redis

        monkeypatch.setattr(redis, "_connection_pool", None)
    problems = doctor()
    assert [told in problem for problem in problems] == [True], problems


def test_every_setting_is_tried() -> None:
    tried = {*OPEN, *examination.SECURE}
    known = {
        *examination.SETTINGS, *examination.SAMESITE, *examination.SECRETS, *examination.ALLOWED,
        *examination.DOMAINS,
    }  # fmt: skip
    assert known <= tried


@pytest.mark.parametrize(
    ("key", "value"),
    [
        *((f"ckan.upload.{whose}.mimetypes", value)
          for whose in ("user", "group") for value in (["*"], [])),
        ("SESSION_COOKIE_DOMAIN", ".127.0.0.1"),
        ("SECRET_KEY", "file:/etc/ckan/kunci-yang-cukup-panjang"),
        ("WTF_CSRF_SECRET_KEY", "file:/etc/ckan/kunci-yang-cukup-panjang"),
        ("api_token.jwt.decode.secret", "file:/tidak/ada/kunci-yang-cukup-panjang"),
        ("scheming.dataset_schemas",
         ["ckanext.satudata_trenggalek.schemas:dataset.yaml",
          "ckanext.satudata_trenggalek.schemas:kegiatan.yaml",
          "ckanext.scheming:ckan_dataset.yaml"]),
        ("ckan.plugins", [NAME, *examination.NEEDED, "oauth2"]),
    ],
)  # fmt: skip
def test_other_value(doctor: Doctor, monkeypatch: pytest.MonkeyPatch, key: str, value: Any) -> None:
    monkeypatch.setitem(tk.config, key, value)
    assert [f"`{key}" in problem for problem in doctor()] == [True]


@pytest.mark.parametrize("key", ["SESSION_COOKIE_DOMAIN", "REMEMBER_COOKIE_DOMAIN"])
def test_cookies_of_the_portal_alone(
    doctor: Doctor, monkeypatch: pytest.MonkeyPatch, key: str
) -> None:
    monkeypatch.setitem(tk.config, key, "127.0.0.1")
    assert doctor() == []


@pytest.mark.parametrize("key", ["api_token.jwt.encode.secret", "api_token.jwt.decode.secret"])
def test_secret_in_a_file(
    doctor: Doctor, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, key: str
) -> None:
    """Its content is what must not be guessed, nor read by others."""
    path = tmp_path / "kunci"
    path.write_text("0123456789abcdef" * 3)
    path.chmod(0o600)
    monkeypatch.setitem(tk.config, key, f"file:{path}")
    assert doctor() == []
    path.chmod(0o644)
    assert doctor() == [f"everybody on this machine reads the secrets in {path}: run `chmod o-r"
                        f" {path}`"]  # fmt: skip
    path.chmod(0o600)
    path.write_text("x\n" + " " * examination.MIN_SECRET)
    assert [f"{key} can be guessed" in problem for problem in doctor()] == [True]


def test_settings_that_others_use(
    doctor: Doctor, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A file of settings that names the secrets, below the one that CKAN is started with."""
    top, below = tmp_path / "ckan.ini", tmp_path / "rahasia.ini"
    top.write_text("[app:main]\nuse = config:rahasia.ini\n")
    below.write_text("[app:main]\nuse = egg:ckan\nSECRET_KEY = %(kunci)s\n")
    below.chmod(0o644)
    monkeypatch.setitem(tk.config, "__file__", str(top))
    assert doctor() == [f"everybody on this machine reads the secrets in {below}: run `chmod o-r"
                        f" {below}`"]  # fmt: skip
    top.write_text(top.read_text() + "SECRET_KEY = ini-yang-berlaku\n")
    top.chmod(0o600)
    assert doctor() == []


@pytest.mark.parametrize("key", examination.SECURE)
def test_cookies_behind_https(doctor: Doctor, monkeypatch: pytest.MonkeyPatch, key: str) -> None:
    monkeypatch.setitem(tk.config, "ckan.site_url", "https://data.example.go.id")
    for name in examination.SECURE:
        monkeypatch.setitem(tk.config, name, name != key)
    assert doctor() == [f"{key} is off behind https: set `{key} = true`"]


class _Other:
    name = "lain"

    def get_dataset_labels(self, _dataset: Any) -> list[str]:
        return ["public"]


@pytest.mark.parametrize("name", examination.HARMFUL)
def test_plugin_that_opens_a_door(
    doctor: Doctor, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    loaded = p.plugin_loaded
    monkeypatch.setattr(p, "plugin_loaded", lambda asked: asked == name or loaded(asked))
    problems = doctor()
    assert [f"the plugin {name} " in problem for problem in problems] == [True], problems
    assert problems[0].endswith("take it out of `ckan.plugins`")


@pytest.mark.parametrize("name", examination.NEEDED)
def test_plugin_that_is_missing(doctor: Doctor, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    loaded = p.plugin_loaded
    monkeypatch.setattr(p, "plugin_loaded", lambda asked: asked != name and loaded(asked))
    assert doctor() == [f"the plugin {name} is off: add it to `ckan.plugins`"]


def test_second_plugin_writes_labels(doctor: Doctor, monkeypatch: pytest.MonkeyPatch) -> None:
    given = p.PluginImplementations

    def implementations(interface: Any) -> Any:
        found = list(given(interface))
        return [*found, _Other()] if interface is p.IPermissionLabels else found

    monkeypatch.setattr(p, "PluginImplementations", implementations)
    problems = doctor()
    assert problems == [
        "the plugin lain writes permission labels too: take it out of `ckan.plugins`"
    ]


@contextmanager
def _mode(path: Path, mode: int) -> Iterator[None]:
    before = path.stat().st_mode
    path.chmod(mode)
    try:
        yield
    finally:
        path.chmod(before)


@pytest.mark.parametrize("what", ["storage", "anchors", "settings"])
def test_readable_by_everybody(doctor: Doctor, what: str) -> None:
    path = {
        "storage": Path(tk.config["ckan.files.storage.resources.path"]),
        "anchors": options.anchor_file(),
        "settings": Path(tk.config["__file__"]),
    }[what]
    with _mode(path, path.stat().st_mode | 0o005):
        problems = doctor()
    assert ["chmod o-r" in problem and str(path) in problem for problem in problems] == [True]


@pytest.mark.parametrize("key", ["extra_public_paths", "ckan.webassets.path"])
@pytest.mark.parametrize("what", ["storage", "bytes", "anchors", "settings", "key"])
def test_served_folder(
    doctor: Doctor, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, key: str, what: str
) -> None:
    """The folder of what is not for everybody, one above it, or one in it; by another name, too."""
    secret = tmp_path / "kunci/kunci"
    secret.parent.mkdir()
    secret.write_text("0123456789abcdef" * 3)
    secret.chmod(0o600)
    monkeypatch.setitem(tk.config, "api_token.jwt.encode.secret", f"file:{secret}")
    resources = Path(tk.config["ckan.files.storage.resources.path"])
    ini = tmp_path / "ini/ckan.ini"
    ini.parent.mkdir()
    ini.write_text("[app:main]\nSECRET_KEY = 0123456789\n")
    ini.chmod(0o600)
    monkeypatch.setitem(tk.config, "__file__", str(ini))
    served = tmp_path / "lain"
    served.symlink_to({
        "storage": resources.parent, "bytes": resources / "ab", "key": secret.parent,
        "anchors": options.anchor_file().parent, "settings": ini.parent,
    }[what])  # fmt: skip
    monkeypatch.setitem(tk.config, key, str(served))
    problems = [problem for problem in doctor() if f"set `{key}` to another folder" in problem]
    kept = {"storage": resources, "bytes": resources, "key": secret, "settings": ini,
            "anchors": options.anchor_file()}[what]  # fmt: skip
    assert [str(kept) in problem for problem in problems].count(True) == 1
    assert all("served to everybody" in problem for problem in problems)
    assert problems == doctor()


@pytest.mark.parametrize("path", ["ab", ".", ".."])
def test_second_storage(doctor: Doctor, monkeypatch: pytest.MonkeyPatch, path: str) -> None:
    """One that is public, in the folder of the files, or above it."""
    other = core_files.get_storage("resources")
    second = type(other)({
        "type": "ckan:fs", "name": "arsip", "public": True, "initialize": True,
        "path": str(Path(tk.config["ckan.files.storage.resources.path"]) / path),
    })  # fmt: skip
    monkeypatch.setitem(core_files.storages.members, "arsip", second)  # pyright: ignore[reportArgumentType]
    told = "set `ckan.files.storage.arsip.path` to another folder"
    assert [told in problem for problem in doctor()] == [True]


def test_public_storage(doctor: Doctor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(core_files.get_storage("resources").settings, "public", True)
    assert ["set `ckan.files.storage.resources.public = false`" in p_ for p_ in doctor()] == [True]


@pytest.mark.parametrize(
    ("broken", "told"),
    [
        ("ALTER TABLE resource DISABLE TRIGGER satudata_guard",
         "trigger satudata_guard on resource"),
        ("ALTER TABLE package ENABLE TRIGGER satudata_guard", "trigger satudata_guard on package"),
        ("DROP TRIGGER satudata_follow ON package", "trigger satudata_follow on package"),
        ("CREATE OR REPLACE FUNCTION satudata_event_now(pkg text, names text[]) RETURNS boolean"
         " LANGUAGE plpgsql AS 'BEGIN RETURN true; END'", "function satudata_event_now"),
        ("DROP FUNCTION satudata_guard_record CASCADE", "function satudata_guard_record"),
        ("CREATE OR REPLACE TRIGGER satudata_guard BEFORE INSERT OR UPDATE OF license_id OR DELETE"
         " ON package FOR EACH ROW EXECUTE FUNCTION satudata_guard_package();"
         "ALTER TABLE package ENABLE ALWAYS TRIGGER satudata_guard",
         "trigger satudata_guard on package"),
        ("CREATE OR REPLACE TRIGGER satudata_guard BEFORE INSERT OR UPDATE OR DELETE"
         " ON resource FOR EACH ROW WHEN (false) EXECUTE FUNCTION satudata_guard_resource();"
         "ALTER TABLE resource ENABLE ALWAYS TRIGGER satudata_guard",
         "trigger satudata_guard on resource"),
        ("DROP TRIGGER satudata_agree ON satudata_status; CREATE CONSTRAINT TRIGGER satudata_agree"
         " AFTER INSERT OR UPDATE ON satudata_status DEFERRABLE FOR EACH ROW"
         " EXECUTE FUNCTION satudata_agree_status();"
         "ALTER TABLE satudata_status ENABLE ALWAYS TRIGGER satudata_agree",
         "trigger satudata_agree on satudata_status"),
        *((f"ALTER FUNCTION satudata_guard_package() {how}", "function satudata_guard_package")
          for how in ("SET search_path = evil, public", "IMMUTABLE", "STRICT", "SECURITY DEFINER")),
        ("ALTER FUNCTION satudata_event_now(text, text[]) PARALLEL SAFE",
         "function satudata_event_now"),
    ],
    ids=["disabled", "not always", "dropped", "altered", "function dropped", "columns", "when",
         "not deferred", "search_path", "immutable", "strict", "definer", "parallel"],
)  # fmt: skip
def test_trigger(doctor: Doctor, owner: sa.Engine, cluster: Any, broken: str, told: str) -> None:
    core.Session.remove()
    with owner.begin() as connection:
        connection.exec_driver_sql(broken)
    try:
        line = "run `ckan db upgrade -p satudata_trenggalek` as owner of the tables"
        assert f"{told} is missing or altered: {line}" in doctor()
        if "RETURN true" in broken:
            # As an older version's, where no migration is new.
            core.Session.remove()
            cluster.migrate()
            assert doctor() == []
    finally:
        core.Session.remove()
        with owner.begin() as connection:
            ddl.install(connection)
    assert doctor() == []


@pytest.mark.parametrize(
    ("made", "told"),
    [
        ("CREATE FUNCTION jebakan() RETURNS trigger LANGUAGE plpgsql AS"
         " 'BEGIN NEW.private := false; RETURN NEW; END';"
         "CREATE TRIGGER zz BEFORE UPDATE ON package FOR EACH ROW EXECUTE FUNCTION jebakan()",
         "trigger zz on package does not belong there: run `DROP TRIGGER zz ON package`"),
        ("CREATE RULE r AS ON DELETE TO satudata_event DO INSTEAD NOTHING",
         "rule r on satudata_event does not belong there: run `DROP RULE r ON satudata_event`"),
        ("ALTER TABLE satudata_comment ENABLE ROW LEVEL SECURITY",
         "run `ALTER TABLE satudata_comment DISABLE ROW LEVEL SECURITY,"
         " NO FORCE ROW LEVEL SECURITY`"),
        ("CREATE TABLE anak () INHERITS (package)", "run `ALTER TABLE anak NO INHERIT package`"),
        ("CREATE FUNCTION satudata_touch(pkg varchar, what text) RETURNS void LANGUAGE sql AS ''",
         "run `DROP ROUTINE satudata_touch(character varying,text)`"),
    ],
    ids=["trigger", "rule", "row security", "child", "overload"],
)  # fmt: skip
def test_what_stands_beside_the_gate(
    doctor: Doctor, owner: sa.Engine, world: World, made: str, told: str
) -> None:
    """It is told with the statement that removes it; until then nothing is published."""
    core.Session.remove()
    verified = world.standing("terverifikasi")
    core.Session.remove()
    with owner.begin() as connection:
        connection.exec_driver_sql(made)
    problems = [problem for problem in doctor() if told in problem]
    try:
        assert len(problems) == 1
        with pytest.raises(tk.ValidationError, match="Gerbang publikasi"):
            world.move("walidata", verified, "terbitkan")
    finally:
        core.Session.remove()
        with owner.begin() as connection:
            for problem in problems:
                connection.exec_driver_sql(problem.split("`")[1])
            connection.exec_driver_sql("DROP FUNCTION IF EXISTS jebakan; DROP TABLE IF EXISTS anak")
    _anchor()
    assert doctor() == []


@pytest.mark.parametrize(
    ("made", "told"),
    [
        ("CREATE FUNCTION jebakan(t text) RETURNS void LANGUAGE plpgsql SECURITY DEFINER"
         " AS 'BEGIN EXECUTE t; END'",
         "`REVOKE EXECUTE ON ROUTINE jebakan(text) FROM PUBLIC, ckan`"),
        ("GRANT SELECT ON package TO PUBLIC",
         "`REVOKE ALL ON ALL TABLES IN SCHEMA public FROM PUBLIC`"),
        ("GRANT SELECT (title) ON package TO PUBLIC",
         "`REVOKE ALL ON ALL TABLES IN SCHEMA public FROM PUBLIC`"),
    ],
    ids=["definer", "everybody", "column"],
)  # fmt: skip
def test_right_that_leads_around(doctor: Doctor, owner: sa.Engine, made: str, told: str) -> None:
    core.Session.remove()
    with owner.begin() as connection:
        connection.exec_driver_sql(made)
    try:
        problems = [problem for problem in doctor() if told in problem]
        assert len(problems) == 1
        core.Session.remove()
        with owner.begin() as connection:
            connection.exec_driver_sql(problems[0].split("`")[1])
        assert doctor() == []
    finally:
        core.Session.remove()
        with owner.begin() as connection:
            connection.exec_driver_sql("DROP FUNCTION IF EXISTS jebakan")
            connection.exec_driver_sql("REVOKE ALL ON package FROM PUBLIC")


def test_licences_in_a_file(doctor: Doctor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(tk.config, "licenses_group_url", "file:///etc/ckan/licences.json")
    assert doctor() == []
    monkeypatch.setitem(tk.config, "licenses_group_url", "file://example.org/licences.json")
    assert ["example.org" in problem for problem in doctor()] == [True]


@pytest.mark.parametrize("how", ["writer", "grant", "nobody"])
def test_reader_of_the_datastore(doctor: Doctor, monkeypatch: pytest.MonkeyPatch, how: str) -> None:
    """The role that reads tables is another than the one that writes them, and may not write."""
    read, write = (tk.config[f"ckan.datastore.{name}_url"] for name in ("read", "write"))
    store = sa.create_engine(write)
    told = "set `ckan.datastore.read_url` to a role of its own"
    if how == "writer":
        monkeypatch.setitem(tk.config, "ckan.datastore.read_url", write)
    elif how == "nobody":
        nobody = sa.make_url(read).set(password="bukan")
        monkeypatch.setitem(
            tk.config, "ckan.datastore.read_url", nobody.render_as_string(hide_password=False)
        )
        told = "check `ckan.datastore.read_url`"
    else:
        with store.begin() as connection:
            connection.exec_driver_sql("GRANT DELETE ON _table_stats TO datastore")
    try:
        assert [told in problem for problem in doctor()] == [True]
    finally:
        with store.begin() as connection:
            connection.exec_driver_sql("REVOKE DELETE ON _table_stats FROM datastore")
        store.dispose()


def test_solr(doctor: Doctor, plain_solr: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(tk.config, "solr_url", plain_solr)
    told = doctor()
    assert len(told) == 3 and '<similarity class="solr.BooleanSimilarityFactory"/>' in told[2]
    for problem, what in zip(told, ("join", "macros"), strict=False):
        assert what in problem and "deploy/solr/solrconfig.xml" in problem
    for name in ("func", "frange", "graph", "parent", "xmlparser", "surround", "mlt", "boost"):
        assert name in told[0]


def test_solr_that_closes_only_joins(
    doctor: Doctor, cut_solr: Callable[[str], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(tk.config, "solr_url", cut_solr(r'<queryParser name="(?!join").*?/>'))
    (told,) = doctor()
    assert "(boost, child, " in told and "join" not in told and "xmlparser" in told


def test_solr_without_the_settings_at_hand(doctor: Doctor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(examination, "_solrconfig", lambda: "")
    (told,) = doctor()
    assert "run this where deploy/solr/solrconfig.xml lies" in told


@pytest.mark.parametrize("url", ["write", "read"])
@pytest.mark.parametrize("how", ["superuser", "owner", "member"])
def test_role_of_the_datastore(
    doctor: Doctor,
    monkeypatch: pytest.MonkeyPatch,
    owner: sa.Engine,
    cluster: Any,
    url: str,
    how: str,
) -> None:
    """Who works there has no rights over the tables of CKAN, or over the server."""
    key = f"ckan.datastore.{url}_url"
    name, password = {
        "superuser": ("postgres", cluster.secrets["postgres"]),
        "owner": (owner.url.username, owner.url.password),
        "member": ("penulis", "penulis"),
    }[how]
    cluster.sql("CREATE ROLE penulis LOGIN PASSWORD 'penulis'")
    cluster.sql(f"GRANT {owner.url.username} TO penulis")
    other = sa.make_url(tk.config[key]).set(username=name, password=password)
    monkeypatch.setitem(tk.config, key, other.render_as_string(hide_password=False))
    try:
        assert [f"set `{key}` to" in problem for problem in doctor()].count(True) == 1
    finally:
        # CKAN keeps its connections.
        cluster.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                    " WHERE usename = 'penulis'")  # fmt: skip
        cluster.sql("DROP ROLE penulis")


def test_nobody_else_connects(cluster: Any) -> None:
    """A new database lets everybody in, until deploy/roles.sql is run there."""
    may = "SELECT has_database_privilege('{}', 'kosong', 'CONNECT')"
    cluster.sql("CREATE DATABASE kosong")
    try:
        assert cluster.sql(may.format("datastore")).strip() == "t"
        cluster.sql((Path(__file__).parents[2] / "deploy/roles.sql").read_text(), "kosong")
        told = [cluster.sql(may.format(role)).strip() for role in ("datastore", "ckan")]
        assert told == ["f", "t"]
    finally:
        cluster.sql("DROP DATABASE kosong")


@pytest.mark.parametrize(
    "right", ["UPDATE, DELETE ON satudata_event", "SELECT ON package", "UPDATE (title) ON package"]
)
def test_right_of_another_role(doctor: Doctor, owner: sa.Engine, right: str) -> None:
    """Nobody but who serves uses the tables of CKAN."""
    core.Session.remove()
    with owner.begin() as connection:
        connection.exec_driver_sql(f"GRANT {right} TO datastore")
    try:
        (problem,) = doctor()
        core.Session.remove()
        with owner.begin() as connection:
            connection.exec_driver_sql(problem.split("`")[1])
        assert doctor() == []
    finally:
        core.Session.remove()
        with owner.begin() as connection:
            connection.exec_driver_sql("REVOKE ALL ON ALL TABLES IN SCHEMA public FROM datastore")


def test_people(world: World, doctor: Doctor) -> None:
    """No Walidata, or a sysadmin who holds a peran."""
    world.give_peran("diskominfo", ["produsen_data"])
    try:
        assert "no organization is walidata: run `ckan satudata peran set ORG walidata`" in doctor()
    finally:
        world.give_peran("diskominfo", ["walidata", "produsen_data"])
    world.call("organization_member_create", "admin", id="dinkes", username="admin", role="editor")
    try:
        told = "sysadmin admin holds produsen_data: remove the membership"
        assert told in doctor()
    finally:
        world.call("organization_member_delete", "admin", id="dinkes", username="admin")
    assert peran.holders(peran.Peran.WALIDATA)
    _anchor()
    assert doctor() == []
