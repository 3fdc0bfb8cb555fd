"""Charts: what is drawn of a table, and that marks stand where their figures say."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ckanext.satudata_trenggalek import charts
from ckanext.satudata_trenggalek.charts import Columns, chart, columns, ticks, year_of


def fields(**types: str) -> list[dict[str, str]]:
    return [{"id": id_, "type": type_} for id_, type_ in types.items()]


def bars(figures: dict[str, Any], axis: str = "kecamatan") -> charts.Chart | None:
    rows = [{axis: name, "jumlah": value} for name, value in figures.items()]
    return chart(rows, Columns(None, [axis], "jumlah"))


def line(figures: dict[Any, Any]) -> charts.Chart | None:
    rows = [{"tahun": year, "jumlah": value} for year, value in figures.items()]
    return chart(rows, Columns("tahun", [], "jumlah"))


# Which columns -----------------------------------------------------------------------------------
def test_codes_and_numbers_of_rows_are_no_figures():
    found = columns(
        fields(_id="int4", no="int8", kode_desa="int8", desa="text", tahun="int8", hidup="int8",
               jumlah="numeric")
    )  # fmt: skip
    assert found == Columns("tahun", ["desa"], "jumlah")
    assert found and found.ids == ["tahun", "desa", "jumlah"]


def test_the_metadata_say_which_columns_are_figures():
    types = fields(kecamatan="text", luas="numeric", balita="int8")
    assert columns(types) == Columns(None, ["kecamatan"], "luas")
    told = [{"nama": "balita", "satuan": "orang"}]
    assert columns(types, told) == Columns(None, ["kecamatan"], "balita")
    # Metadata that speak of no column of this table say nothing.
    assert columns(types, [{"nama": "lain", "satuan": "orang"}]) == columns(types)


@pytest.mark.parametrize("types", [{}, {"kecamatan": "text"}, {"jumlah": "int8"}, {"kode": "int8"}])
def test_without_a_figure_and_a_name_there_is_no_chart(types: dict[str, str]):
    assert columns(fields(**types)) is None


# Bars --------------------------------------------------------------------------------------------
def test_bars_are_sorted_and_measured_from_zero():
    found = bars({"Panggul": 50, "Suruh": 100, "Pule": 0})
    assert found and found.kind == "bars" and found.zero == 0
    assert [(p.label, p.start, p.size) for p in found.points] == [
        ("Suruh", 0, 100),
        ("Panggul", 0, 50),
        ("Pule", 0, 0),
    ]


def test_negative_figures_lie_left_of_zero():
    found = bars({"Panggul": 30, "Suruh": -10})
    assert found and found.zero == 25
    assert [(p.start, p.size) for p in found.points] == [(25, 75), (0, 25)]
    below = bars({"Panggul": -30, "Suruh": -10})
    assert below and below.zero == 100
    assert [(p.label, p.start, p.size) for p in below.points] == [
        ("Suruh", 66.67, 33.33),
        ("Panggul", 0, 100),
    ]


def test_missing_figures_are_told_not_drawn_as_zero():
    found = bars({"Panggul": 3, "Suruh": None, "Pule": "-", "Tugu": math.nan, "Dongko": 1})
    assert found and found.missing == 3
    assert [p.value for p in found.points] == [3, 1, None, None, None]
    assert bars({"Panggul": 3, "Suruh": None}) is None


def test_many_categories_are_cut_after_the_largest():
    found = bars({f"Desa {n}": n for n in range(172)})
    assert found and len(found.points) == charts.MAX_BARS
    assert found.points[0].label == "Desa 171" and found.left_out == 152


def test_rows_that_sum_up_are_not_drawn():
    found = bars({"Panggul": 3, "Suruh": 4, "Jumlah": 7, "KABUPATEN TRENGGALEK": 7})
    assert found and found.totals == 2
    assert {p.label for p in found.points} == {"Panggul", "Suruh"}


def test_months_and_ages_keep_their_order():
    found = bars({"Januari": 1, "Februari": 9, "Maret": 4}, axis="bulan")
    assert found and [p.label for p in found.points] == ["Januari", "Februari", "Maret"]
    assert not found.sorted


def test_a_category_that_names_several_rows_is_no_axis():
    """Adding them up would show a figure that stands nowhere in the file."""
    rows = [
        {"kecamatan": "Panggul", "puskesmas": "Panggul", "jumlah": 1},
        {"kecamatan": "Panggul", "puskesmas": "Bodag", "jumlah": 2},
    ]
    assert chart(rows, Columns(None, ["kecamatan"], "jumlah")) is None
    both = chart(rows, Columns(None, ["kecamatan", "puskesmas"], "jumlah"))
    assert both and both.axis == "puskesmas"


def test_of_several_years_the_latest_is_drawn():
    rows = [
        {"tahun": year, "kecamatan": name, "jumlah": year}
        for year in (2023, 2025, 2024)
        for name in ("Panggul", "Suruh")
    ]
    found = chart(rows, Columns("tahun", ["kecamatan"], "jumlah"))
    assert found and found.year == "2025" and {p.value for p in found.points} == {2025}


# Lines -------------------------------------------------------------------------------------------
def test_a_line_leaves_gaps_at_missing_years():
    found = line({2020: 10, 2021: 20, 2023: 40, 2024: None, 2022: None})
    assert found and found.kind == "line" and found.missing == 2
    assert [p.label for p in found.points] == ["2020", "2021", "2022", "2023", "2024"]
    assert [(a.label, b.label) for a, b in found.segments] == [("2020", "2021")]
    assert [p.start for p in found.points] == [0, 25, 50, 75, 100]
    assert found.ticks[0] == (0, 100)


def test_a_line_with_losses_shows_where_zero_is():
    found = line({2020: -10, 2021: 30})
    assert found and found.ticks[0][0] == -10 and found.ticks[-1] == (30, 0)
    assert found.zero == 75


def test_long_series_show_the_latest_years():
    found = line(dict.fromkeys(range(1950, 2026), 1))
    assert found and len(found.points) == charts.MAX_YEARS and found.points[-1].label == "2025"
    assert found.left_out == 76 - charts.MAX_YEARS


def test_school_years_are_bars_in_their_order():
    found = line({"2023/2024": 5, "2024/2025": 3})
    assert found and found.kind == "bars" and [p.value for p in found.points] == [5, 3]


@pytest.mark.parametrize(
    ("value", "year"),
    [(2025, "2025"), (2025.0, "2025"), ("2025", "2025"), (" 2024/2025 ", "2024/2025"), (None, "")],
)
def test_years_as_people_write_them(value: Any, year: str):
    assert year_of(value) == year


# Whatever comes ----------------------------------------------------------------------------------
FIGURES = st.one_of(st.none(), st.floats(), st.integers(), st.text(max_size=5))


@given(st.dictionaries(st.text(min_size=1, max_size=8), FIGURES, max_size=30))
def test_bars_never_leave_the_picture(figures: dict[str, Any]):
    found = bars(figures)
    for point in found.points if found else ():
        assert 0 <= point.size <= 100.01 and -0.02 <= point.start <= 100.01
        assert point.start + point.size <= 100.03
        if point.value:
            end = point.start + point.size if point.value < 0 else point.start
            assert found and abs(end - found.zero) < 0.02


@given(st.dictionaries(st.integers(1900, 2100), FIGURES, max_size=30))
def test_lines_never_leave_the_picture(figures: dict[int, Any]):
    found = line(figures)
    for point in found.points if found else ():
        assert 0 <= point.start <= 100 and -0.01 <= point.size <= 100.01


@given(st.floats(-1e99, 0), st.floats(0, 1e99))
def test_a_scale_holds_its_figures(low: float, high: float):
    scale = ticks(low, high)
    assert len(scale) <= 9 and scale == sorted(scale)
    slack = 1e-9 * max(1.0, high - low)
    assert scale[0] <= low + slack and scale[-1] >= high - slack
