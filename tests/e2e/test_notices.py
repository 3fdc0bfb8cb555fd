"""Notices in a browser: the counter, the list, the choice."""

from __future__ import annotations

from collections.abc import Callable

from playwright.sync_api import Page, expect

from tests.world import World

Visit = Callable[..., Page]


def test_an_officer_is_told_and_chooses_how(visit: Visit, world: World) -> None:
    world.call("satudata_notice_read", "walidata_2")
    dataset = world.at("diajukan")
    page = visit("walidata_2")
    page.goto("/")
    page.get_by_role("link", name="Pemberitahuan 1 belum dibaca").click()
    page.get_by_role("radio", name="Ringkasan harian").check()
    page.get_by_role("button", name="Simpan pilihan").click()
    expect(page.get_by_text("Pilihan pemberitahuan disimpan.")).to_be_visible()
    expect(page.get_by_role("radio", name="Ringkasan harian")).to_be_checked()
    page.get_by_role("link", name=f"Diajukan untuk diperiksa: {dataset['title']}").click()
    expect(page.get_by_role("heading", level=1, name=dataset["title"])).to_be_visible()
    assert page.url.endswith(f"/dataset/{dataset['name']}/pemeriksaan")
    expect(page.get_by_role("link", name="Pemberitahuan", exact=True)).to_be_visible()
    world.call("satudata_notice_set", "walidata_2", mode="langsung")
