"""What changed between two contents, told by content and not by place."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from ckanext.satudata_trenggalek import diff


def doc(**values: Any) -> diff.Document:
    return diff.document({"extras": values}, ("indikator", "variabel", "kode"))


def rows(*names: str, **more: Any) -> list[dict[str, Any]]:
    return [{"nama": name, "konsep": "Kelahiran", "satuan": "orang", **more} for name in names]


def with_files(*files: dict[str, Any]) -> diff.Document:
    return diff.document(
        {
            "resources": [
                {
                    "fields": {"name": file["name"]},
                    "extras": {"variabel": json.dumps(file.get("variabel", []))},
                    "file": {"sha256": file["sha"], "size": 1},
                }
                for file in files
            ]
        },
        ("variabel",),
    )


def test_fields() -> None:
    found = diff.compare(
        doc(konsep="Data", satuan="orang"), doc(konsep="Kelahiran", ukuran="total")
    )
    assert found.changed == {
        "konsep": ("Data", "Kelahiran"),
        "ukuran": (None, "total"),
        "satuan": ("orang", None),
    }
    assert len(found) == 3


def test_a_row_put_in_front_changes_no_other() -> None:
    found = diff.compare(doc(indikator=rows("B", "C")), doc(indikator=rows("A", "B", "C")))
    assert found.added == {"indikator/0"}
    assert not found.changed and not found.removed and not found.moved


def test_a_row_is_known_by_its_name_and_by_what_else_it_says() -> None:
    old = doc(indikator=json.dumps(rows("A", "B")))
    named = diff.compare(old, doc(indikator=[{"nama": "b", "konsep": "Lain"}, rows("A")[0]]))
    assert named.moved == {"indikator"} and not named.added and not named.removed
    assert named.changed["indikator/0/konsep"] == ("Kelahiran", "Lain")
    renamed = diff.compare(old, doc(indikator=rows("A", "Z")))
    assert renamed.changed == {"indikator/1/nama": ("B", "Z")}
    other = diff.compare(old, doc(indikator=[rows("A")[0], {"nama": "Z", "konsep": "X"}]))
    assert other.added == {"indikator/1"}
    assert other.removed == {"indikator": [(1, rows("B")[0])]}


def test_files_and_their_variables() -> None:
    old = with_files({"name": "a.csv", "sha": "1", "variabel": rows("kode", "jumlah")})
    new = with_files(
        {"name": "baru.csv", "sha": "3"},
        {"name": "a.csv", "sha": "2", "variabel": rows("jumlah", "kode", "tahun")},
    )
    found = diff.compare(old, new)
    assert found.added == {"resources/0", "resources/1/variabel/2"}
    assert found.changed == {
        "resources/1/file": ({"sha256": "1", "size": 1}, {"sha256": "2", "size": 1})
    }
    assert found.moved == {"resources/1/variabel"}
    gone = diff.compare(new, old)
    assert [place for place, _file in gone.removed["resources"]] == [0]
    # The only file under another name with other bytes is the same file, replaced.
    replaced = diff.compare(old, with_files({"name": "b.csv", "sha": "9"}))
    assert "resources/0/name" in replaced.changed and "resources/0/file" in replaced.changed


def test_text_that_looks_like_a_list_stays_text() -> None:
    found = diff.compare(doc(konsep='["a"]'), doc(konsep='["a"] '))
    assert found.changed == {"konsep": ('["a"]', '["a"] ')}
    assert diff.compare(doc(kode='["a"'), doc(kode='["a"]')).changed


def test_phrases_are_marked_as_phrases() -> None:
    before = "Banyaknya bayi yang lahir di puskesmas dalam satu tahun."
    after = "Banyaknya bayi yang lahir dari semua ibu dalam satu tahun."
    assert list(diff.words(before, after)) == [
        ("=", "Banyaknya bayi yang lahir "),
        ("-", "di puskesmas"),
        ("+", "dari semua ibu"),
        ("=", " dalam satu tahun."),
    ]
    assert list(diff.words("", "orang")) == [("+", "orang")]
    long = "kata " * diff.MAX_WORDS
    assert list(diff.words(long, "kata")) == [("-", long), ("+", "kata")]


texts = st.text(st.sampled_from("ab \n"), max_size=20)
row = st.dictionaries(st.sampled_from(["nama", "konsep", "satuan"]), texts.filter(bool))
content = st.fixed_dictionaries(
    {
        "extras": st.dictionaries(
            st.sampled_from(["konsep", "indikator", "kode"]),
            st.one_of(texts, st.lists(row, max_size=4), st.lists(texts, max_size=3)),
        ),
        "resources": st.lists(
            st.fixed_dictionaries(
                {
                    "fields": st.dictionaries(st.just("name"), texts),
                    "extras": st.dictionaries(st.just("variabel"), st.lists(row, max_size=3)),
                    "file": st.none() | st.fixed_dictionaries({"sha256": st.sampled_from("xyz")}),
                }
            ),
            max_size=3,
        ),
    }
)


@given(content, content)
@settings(max_examples=200, deadline=None)
def test_nothing_changed_exactly_when_both_are_equal(a: dict[str, Any], b: dict[str, Any]) -> None:
    old, new = diff.document(a), diff.document(b)
    assert len(diff.compare(old, old)) == 0
    found = diff.compare(old, new)
    assert (len(found) == 0) == (old == new)
    # What is told is what is there.
    for path, (_before, after) in found.changed.items():
        assert _at(new, path) == after
    for path in found.added:
        assert _at(new, path) is not None


def _at(document: diff.Document, path: str) -> Any:
    here: Any = document.values
    parts = path.split("/")
    if parts[0] == "resources":
        here = document.files[int(parts[1])]
        if parts[2:] in (["file"], ["views"]) or len(parts) == 2:
            return here[parts[2]] if parts[2:] else here
        here, parts = here["values"], parts[2:]
    for part in parts:
        here = here[int(part)] if isinstance(here, list) else here.get(part)
    return here


@given(texts, texts)
def test_words_give_both_texts(before: str, after: str) -> None:
    parts = list(diff.words(before, after))
    assert "".join(text for kind, text in parts if kind != "+") == before
    assert "".join(text for kind, text in parts if kind != "-") == after
    assert all(text for _kind, text in parts)


@given(st.lists(row, max_size=5), st.lists(row, max_size=5))
def test_each_row_has_at_most_one_other_half(a: list[Any], b: list[Any]) -> None:
    pairs = diff.match_rows(a, b, "nama")
    assert len(set(pairs.values())) == len(pairs)
    assert all(place < len(b) and was < len(a) for place, was in pairs.items())
    # Equal rows are pairs of one another, as often as they come.
    plain = [json.dumps(r, sort_keys=True) for r in a]
    assert sum(json.dumps(b[p], sort_keys=True) == plain[w] for p, w in pairs.items()) == sum(
        min(plain.count(r), [json.dumps(x, sort_keys=True) for x in b].count(r)) for r in set(plain)
    )
