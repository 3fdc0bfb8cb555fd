"""What the public reads: charts, all rows, versions, withdrawal, citation; what caches may keep."""

from __future__ import annotations

import re
from collections.abc import Callable
from html import unescape
from typing import Any
from urllib.parse import urlsplit

import ckan.plugins.toolkit as tk
import pytest
from ckan.tests.helpers import CKANTestApp

from ckanext.satudata_trenggalek import publik
from tests.statements import statements
from tests.world import World

Page = Callable[..., Any]


@pytest.fixture
def get(app: CKANTestApp, world: World) -> Page:
    """Open a page anonymously."""
    return lambda path: app.test_client().get(path, follow_redirects=False)


def text(response: Any) -> str:
    """What a reader reads, on one line."""
    return unescape(re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", response.get_data(as_text=True))))


# Home --------------------------------------------------------------------------------------------
def test_caches_may_keep_the_home_page_of_the_public(get: Page, app: Any, world: World) -> None:
    page = get("/")
    assert page.status_code == 200 and "Set-Cookie" not in page.headers
    assert page.cache_control.public and page.cache_control.s_maxage == publik.HOME_SECONDS
    assert "Cookie" in page.vary
    token = world.call("api_token_create", "walidata", user="walidata", name="uji")["token"]
    mine = app.test_client().get("/", headers={"Authorization": token})
    assert mine.cache_control.private and mine.cache_control.s_maxage is None
    other = get(f"/dataset/{world.standing('terbit')}")
    assert other.cache_control.s_maxage is None


def test_home_asks_the_same_however_much_there_is(get: Page, world: World) -> None:

    def queries() -> int:
        with statements() as sent:
            assert get("/").status_code == 200
        return len(sent)

    for _ in range(4):
        world.at("terbit")
    get("/")
    before = queries()
    for _ in range(2):
        world.at("terbit")
    assert queries() == before


def test_one_address_for_search_engines(get: Page, world: World) -> None:
    name = world.at("terbit")["name"]
    page = get(f"/en/dataset/{name}?lain=1").get_data(as_text=True)
    assert re.search(rf'rel="canonical" href="http://[^/]+/en/dataset/{name}"', page)
    assert re.search(rf'hreflang="id" href="http://[^/]+/dataset/{name}"', page)
    assert '<meta name="description" content="Kelahiran hidup tiap kecamatan.' in page
    host = urlsplit(tk.config["ckan.site_url"]).netloc
    assert set(re.findall(r'(?:src|href)="\w+://([^/"]+)', page)) == {host}


# Dataset -----------------------------------------------------------------------------------------
def test_chart_of_the_figures(get: Page, world: World) -> None:
    page = get(f"/dataset/{world.standing('terbit')}")
    page = get(page.location) if page.status_code in (301, 302) else page
    words = text(page)
    assert "Jumlah menurut kecamatan" in words and "Jumlah, orang." in words
    assert re.search(r"Panggul 12 Munjungan 7", words)
    assert page.get_data(as_text=True).count("<rect") == 2


def test_line_over_years_keeps_gaps_and_losses(get: Page, world: World) -> None:
    dataset = world.call("package_create", "produsen_dinkes", **world.metadata())
    table = b"tahun,jumlah\n2019,1200\n2020,-3\n2022,40\n2023,\n2024,61\n"
    world.upload("produsen_dinkes", dataset["id"], table, filename="deret.csv")
    world.bring(dataset["id"], "terbit")
    page = get(f"/dataset/{dataset['name']}")
    html, words = page.get_data(as_text=True), text(page)
    assert html.count('<line class="line"') == 1 and html.count("<circle") == 4
    assert "Garis dari 2019 (1.200) sampai 2024 (61)." in words
    assert "2 tanpa angka." in words
    assert "1,200" in text(get(f"/en/dataset/{dataset['name']}"))


def test_all_rows_page_by_page(get: Page, world: World) -> None:
    dataset = world.draft()
    rows = "".join(f"k{n},Desa {n},{n}\n" for n in range(120))
    file = world.upload(
        "produsen_dinkes", dataset["id"], f"kode,desa,jumlah\n{rows}".encode(), filename="desa.csv"
    )
    world.bring(dataset["id"], "terbit")
    at = f"/dataset/{dataset['name']}/resource/{file['id']}"
    assert "Desa 49 " in text(get(at)) and "Desa 50 " not in text(get(at))
    assert "Desa 119 " in text(get(f"{at}?page=3"))
    found = text(get(f"{at}?q=117"))
    assert "1 baris untuk “117”" in found and "Desa 117 " in found and "Desa 1 " not in found
    assert "Tidak ada baris yang cocok." in text(get(f"{at}?q=tidakada"))
    for odd in ("page=99999999999999999999", "page=-1", "page=x", "q=%00", "q=%27%22%3Cb%3E"):
        assert get(f"{at}?{odd}").status_code in (200, 400), odd


# Versions ----------------------------------------------------------------------------------------
def test_a_withdrawn_dataset_says_when_and_why(get: Page, world: World) -> None:
    dataset = world.at("terbit")
    world.move("walidata", dataset["id"], "tarik", note="Rahasia.", public_note="Satuan keliru.")
    for address in (dataset["name"], dataset["id"]):
        page = get(f"/dataset/{address}")
        words = text(page)
        assert page.status_code == 410
        assert "Data ini ditarik dari publik" in words and "Satuan keliru." in words
        assert re.search(r"ditarik dari publik pada \d+ \w+ \d{4}\.", words)
        assert "Rahasia." not in words and dataset["title"] not in words
    world.move("produsen_dinkes", dataset["id"], "buka_kembali")
    world.bring(dataset["id"], "terbit")
    words = text(get(f"/dataset/{dataset['name']}"))
    assert re.search(r"Versi 2 , \d+ \w+ \d{4} Terbaru", words)
    assert re.search(r"Versi 1 , .{9,30} Ditarik Ditarik .{9,30}\. Satuan keliru\.", words)
    shown = world.call("satudata_publication_show", None, id=dataset["id"])["versions"]
    assert [(v["version"], bool(v["withdrawn_at"]), v["public_note"]) for v in shown] == [
        (2, False, None),
        (1, True, "Satuan keliru."),
    ]


@pytest.mark.parametrize("status", ["diajukan", "ditarik"])
def test_without_a_reason_for_the_public_nothing_is_told(
    get: Page, world: World, status: str
) -> None:
    unknown = text(get("/dataset/tidak-ada"))
    assert text(get(f"/dataset/{world.standing(status)}")) == unknown


# Citation ----------------------------------------------------------------------------------------
def test_citation_for_reference_managers(get: Page, world: World) -> None:
    dataset = world.at("terbit", title="Kelahiran & {Kematian}\r\nER  - ")
    at = f"/dataset/{dataset['name']}/sitasi"
    bib, ris = get(f"{at}.bib"), get(f"{at}.ris").get_data(as_text=True)
    assert f'filename="{dataset["name"]}-v1.bib"' in bib.headers["Content-Disposition"]
    entry = bib.get_data(as_text=True)
    assert entry.startswith(f"@misc{{{dataset['name']}-v1,") and "Kelahiran \\& \\{Kem" in entry
    assert "author = {{Dinkes Kabupaten Trenggalek}}," in entry
    assert ris.startswith("TY  - DATA\r\nAU  - Dinkes Kabupaten Trenggalek,\r\n")
    assert re.findall(r"^ER  - ", ris, re.MULTILINE) == ["ER  - "]
    assert f"UR  - {tk.config['ckan.site_url']}/dataset/{dataset['name']}\r\n" in ris


@pytest.mark.parametrize("status", ["draf", "diajukan", "ditarik"])
def test_what_is_not_published_is_not_cited(get: Page, world: World, status: str) -> None:
    assert get(f"/dataset/{world.standing(status)}/sitasi.bib").status_code == 404
