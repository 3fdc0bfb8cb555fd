"""The JSON Schema says what `schema.clean` takes; tests/integration/test_schema.py asks CKAN."""

from __future__ import annotations

import itertools
import json
import unicodedata
from collections.abc import Iterator
from typing import Any

import ckan.plugins.toolkit as tk
import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ckanext.satudata_trenggalek import schema, schema_export

# CKAN's own rules: asked in the integration test.
CORES = {"name", "owner_org", "tag_string"}


class Asked:
    """One field: what its JSON Schema says, and what is done with it on save."""

    def __init__(self, root: dict[str, Any], field: schema.Field, properties: dict[str, Any]):
        self.field, self.name = field, field["field_name"]
        self.shape = properties[self.name]["anyOf"]
        self.validator = jsonschema.Draft202012Validator(
            {"$defs": root["$defs"], "anyOf": self.shape}
        )

    def passes(self, value: Any) -> bool:
        return self.validator.is_valid(value)

    def saved(self, value: object) -> bool:
        if self.name == "klasifikasi" and value in (None, ""):
            return True  # satudata_keep_stored, and then terbuka
        try:
            return bool(schema.clean(self.field, value)) or not self.field.get("required")
        except tk.Invalid:
            return False


def asked() -> Iterator[Asked]:
    for type_ in schema.TYPES:
        root = schema_export.json_schema(type_)
        groups = {"dataset_fields": root["properties"]}
        if type_ == "dataset":
            groups["resource_fields"] = root["properties"]["resources"]["items"]["properties"]
        for group, properties in groups.items():
            for field in schema.fields(type_, group):
                if field["field_name"] in CORES:
                    continue
                yield Asked(root, field, properties)
                for subfield in field.get("butir", []):
                    rows = properties[field["field_name"]]["anyOf"][0]["items"]["properties"]
                    yield Asked(root, subfield, rows)


# Fields of one kind and list say the same.
ASKED = list({json.dumps(one.shape): one for one in asked()}.values())


def tidied(value: Any) -> Any:
    """Without what is removed before a text is looked at."""
    if isinstance(value, str):
        shown = "".join(c for c in value if c not in "\u00ad\u200b\u2060\ufeff")
        return unicodedata.normalize("NFC", " ".join(shown.split()))
    if isinstance(value, list):
        return [tidied(v) for v in value]
    if isinstance(value, dict):
        return {k: tidied(v) for k, v in value.items()}
    return value


def compare(asked: Asked, value: Any) -> None:
    saved = asked.saved(value)
    if asked.passes(value):
        assert saved, (asked.name, value)
    elif saved:
        assert tidied(value) != value and asked.passes(tidied(value)), (asked.name, value)


VALUES: list[Any] = [
    None, "", [], " ", "\n", "\u200b", 0, 1, 2, 26, 2026, -1, 1.0, 1.5, 2026.0, True, False, {},
    {"nama": "a"}, [1], ["1"], [""], [None], [[]], [["1"]], ["1", "16"], ["1", "3"], [True],
    10**15, 10**15 - 1, -(10**15) + 1, -(10**15), 1e14, 1e16, 999_999, 1_000_000, 1899, 2101,
    "1", "2", "16", "99", "-", "x", "x y", "satu\ndua", "satu\r\ndua", "tab\tdi dalam", "caf\u00e9",
    *("x" * n for n in (40, 41, 100, 101, 300, 301, 2000, 2001, 5000, 5001, 20000, 20001)),
    "a\x00b", "a\x1bb", "a\x85", "\ud800", "a\u202eb", "a\u00adb", " 2026 ", "\u0662",
    "2026", "1899", "2101", "26", "20266", "2021-2025", "2021 s.d. 2025", "2021s/d2025",
    "2021\u20132025", "2021  -  2025", "2025-2021", "2021-2021", "2099-2100", "2027-01-31",
    "20270131", "2027-13-01", "10000", "999999", "1000000", "007", "1.000", "+1", "a@b.id",
    "a@b", "a@b.c.id", ".a@b.id", "a.@b.id", "a..b@c.id", "a@b..id", "a@-b.id", f"a@{'b' * 250}.id",
    "10110023", "1011002", "SD1", "SDa", "1.02.000474", "0355 123456", "035", "+62 355 123456",
    "https://a.id/x.csv", "HTTP://a.id", "https://a.id:8080/x?y#z", "https://", "https:evil",
    "javascript:alert(1)", " javascript:alert(1)", "java\u00adscript:alert(1)", "//evil.example",
    "https://user@a.id/", "https://[x", "file:///etc", "a b.csv", "a:b", "1:b.csv", "a/b:c", "[x]",
    "kegiatan-2026", "a", "a b-c", "x" * 101,
    [{}], [{"nama": "a"}], [{"nama": "a"}, {"nama": "a"}], [{"nama": 5}], [{"nama": ["a"]}],
    [{"nama": "a", "lain": "b"}], [{"komposit": 1}], [{"komposit": "3"}], ["a"], [{}, None],
    [{"klasifikasi_penyajian": "32010026"}], [{"klasifikasi_penyajian": ["32010026", ""]}],
    [{"provinsi": "Jawa Timur"}], [{}] * 100, [{}] * 101, [{}] * 500, [{}] * 501, "[]",
    '[{"nama": "a"}]',
]  # fmt: skip


@pytest.mark.parametrize("type_", schema.TYPES)
def test_it_is_a_json_schema(type_: str):
    root = schema_export.json_schema(type_)
    jsonschema.Draft202012Validator.check_schema(root)
    assert json.loads(json.dumps(root)) == root
    with pytest.raises(KeyError):
        schema_export.json_schema("harvest")


@pytest.mark.parametrize("one", ASKED, ids=lambda a: a.name)
def test_what_passes_is_saved_and_what_is_refused_is_not(one: Asked):
    codes = [c["value"] for c in schema.vocab(one.field["vocab"])] if "vocab" in one.field else []
    for value in (*VALUES, *codes, codes, [*codes, "x"], one.field["contoh"]["id"]):
        compare(one, value)
    good = (one.field["contoh"]["id"], *codes, [{}], "kompilasi-data-kia-2026")
    assert any(one.passes(v) for v in good)
    assert not one.passes({"bukan": "nilai"})


@settings(max_examples=100, deadline=None)
@given(
    st.text(max_size=400)
    | st.from_regex("[0-9 :/.@-]{0,12}")
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.lists(st.text() | st.sampled_from(["1", "2", 1, 4]), max_size=3)
    | st.lists(
        st.dictionaries(
            st.sampled_from(["nama", "satuan", "komposit", "x"]),
            st.text() | st.integers(),
            max_size=3,
        ),
        max_size=3,
    )
)
def test_any_value(value: Any):
    for one in ASKED:
        compare(one, value)


def test_every_range_of_years():
    one = next(a for a in asked() if a.name == "tahun_data")
    years = [1899, 1900, 1901, 1909, 1910, 1989, 1990, 1999, 2000, 2001, 2009, 2010, 2019, 2020,
             2021, 2025, 2026, 2029, 2030, 2098, 2099, 2100, 2101, 2110, 2200]  # fmt: skip
    for first, last in itertools.product(years, years):
        good = 1900 <= first <= last <= 2100
        assert one.passes(f"{first}-{last}") is one.saved(f"{first}-{last}") is good


def test_every_kind_of_date():
    one = next(a for a in asked() if a.name == "jadwal_pemutakhiran")
    years = (1899, 1900, 1904, 1996, 1999, 2000, 2023, 2024, 2096, 2100, 2101)
    for year, month, day in itertools.product(years, range(14), (0, 1, 9, 28, 29, 30, 31, 32)):
        compare(one, f"{year}-{month:02}-{day:02}")


@pytest.mark.parametrize("type_", schema.TYPES)
def test_rules_of_the_form_are_annotations(type_: str):
    properties = schema_export.json_schema(type_)["properties"]
    for field in schema.fields(type_):
        found = properties[field["field_name"]]
        assert found["title"] == field["label"]["id"]
        assert found["description"] == field["help_text"]["id"]
        for key in ("ajukan", "tampil"):
            assert found.get(f"x-{key}") == field.get(key)
        assert found.get("x-bps-item") == field.get("bps_item")
