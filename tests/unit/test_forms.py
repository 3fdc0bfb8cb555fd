"""What a copy takes, when items apply, how far a form is: without CKAN's services."""

from __future__ import annotations

import json
from typing import Any

import pytest

from ckanext.satudata_trenggalek import forms, schema


def kegiatan(name: str) -> dict[str, Any]:
    return schema.find("kegiatan", name)


def test_conditions_for_the_script_and_in_words() -> None:
    sample = kegiatan("rancangan_sampel")
    assert json.loads(forms.satudata_syarat(sample)) == schema.conditions(sample)
    said = forms.satudata_bila(sample, schema.fields("kegiatan"))
    assert said == "Hanya bila Cara Pengumpulan Data: Survei."
    assert forms.satudata_syarat(kegiatan("title")) == ""
    assert forms.satudata_bila(kegiatan("title"), schema.fields("kegiatan")) == ""


def test_need_for_the_script() -> None:
    assert forms.satudata_wajib(kegiatan("title")) == "true"
    assert forms.satudata_wajib(kegiatan("faksimile")) == ""
    unit = schema.find("dataset", "satuan")
    assert json.loads(forms.satudata_wajib(unit)) == [unit["ajukan"]["if"]]


def test_progress_counts_what_applies_and_each_row() -> None:
    step = ["cara_pengumpulan_data", "rekomendasi_bps", "identitas_rekomendasi"]
    data: dict[str, Any] = {}
    assert forms.satudata_kemajuan("kegiatan", step, data) == {
        "filled": 0, "needed": 1, "done": False,
    }  # fmt: skip
    data = {"cara_pengumpulan_data": "2", "rekomendasi_bps": "1"}
    far = forms.satudata_kemajuan("kegiatan", step, data)
    assert (far["filled"], far["needed"]) == (1, 2)
    data["identitas_rekomendasi"] = "V-26"
    assert forms.satudata_kemajuan("kegiatan", step, data)["done"]
    needed = sum(field.get("ajukan") is True for field in kegiatan("variabel_kegiatan")["butir"])
    rows = [{"nama": "Kelahiran"}, {"nama": "Kematian", "konsep": "Kematian"}]
    far = forms.satudata_kemajuan("kegiatan", ["variabel_kegiatan"], {"variabel_kegiatan": rows})
    assert (far["filled"], far["needed"]) == (3, 2 * needed)
    nothing = forms.satudata_kemajuan("kegiatan", ["variabel_kegiatan"], {})
    assert nothing["needed"] == int(kegiatan("variabel_kegiatan").get("ajukan") is True)


def test_a_column_marks_its_value_and_keeps_an_unknown_one() -> None:
    html = forms.Markup('<option value=""></option><option value="x">X</option>')
    column = forms.Column(
        "a", "1", "MS-Var 1", "A", "", "", "pilihan", "", "", "", None, "", html=html
    )
    assert '<option value="x" selected>X</option>' in column.options("x")
    assert "selected" not in column.options("")
    unknown = column.options('"><script>')
    assert "<script>" not in unknown and "&lt;script&gt;" in unknown and "selected" in unknown


@pytest.mark.parametrize(
    ("rows", "guesses", "expected"),
    [
        # What is filled stays; the rest comes from the column of the same name.
        ([{"nama": "KODE", "alias": "Milik sendiri"}], [],
         [{"nama": "KODE", "alias": "Milik sendiri", "konsep": "Wilayah"}]),
        # A guess gives way, but the column keeps its name, and one without a source stays.
        ([], [{"nama": "Kode", "alias": "dugaan"}, {"nama": "baru", "tipe_data": "integer"}],
         [{"nama": "Kode", "alias": "Kode wilayah", "konsep": "Wilayah"},
          {"nama": "baru", "tipe_data": "integer"}]),
        # Without a table the other file's rows are all there is.
        ([], [], [{"nama": "kode", "alias": "Kode wilayah", "konsep": "Wilayah"}]),
    ],
)  # fmt: skip
def test_variables_are_copied_by_column(
    rows: list[Any], guesses: list[Any], expected: list[Any]
) -> None:
    source = [{"nama": "kode", "alias": "Kode wilayah", "konsep": "Wilayah"}]
    assert forms.copied_variables(rows, guesses, source) == expected


@pytest.mark.parametrize(
    ("title", "left"),
    [
        ("Jumlah Kelahiran 2025", "Jumlah Kelahiran"),
        ("Jumlah Kelahiran Tahun 2021-2025", "Jumlah Kelahiran"),
        ("Jumlah Kelahiran (2025)", "Jumlah Kelahiran"),
        ("Survei 2025 Kepuasan", "Survei Kepuasan"),
        ("Kecamatan 3503", "Kecamatan 3503"),
        ("RPJMD 12025", "RPJMD 12025"),
    ],
)
def test_the_year_leaves_a_copied_title(title: str, left: str) -> None:
    assert " ".join(forms._YEAR.sub("", title).split()) == left
