"""The queue in a browser: several taken at once by keyboard, one released, one taken over."""

from __future__ import annotations

import datetime as dt
import re
import uuid
from collections.abc import Callable

from playwright.sync_api import Page, expect

from tests.world import World

Visit = Callable[..., Page]


def test_take_release_take_over(visit: Visit, world: World) -> None:
    key = f"antre{uuid.uuid4().hex[:8]}"
    ids = [world.at("diajukan", title=f"{key} {n}")["id"] for n in range(3)]
    page = visit("walidata")
    page.goto(f"/satudata/antrean?q={key}")
    take = page.get_by_role("button", name="Ambil untuk saya")
    expect(take).to_be_hidden()
    page.get_by_label("Pilih semua").focus()
    page.keyboard.press("Space")
    expect(page.get_by_text("3 dataset dipilih")).to_be_visible()
    page.get_by_label(f"Pilih {key} 2").focus()
    page.keyboard.press("Space")
    expect(page.get_by_text("2 dataset dipilih")).to_be_visible()
    take.focus()
    page.keyboard.press("Enter")
    expect(page.get_by_text("2 dataset Anda ambil")).to_be_visible()
    assert f"q={key}" in page.url
    assert [world.status(id_)["reviewer"] for id_ in ids] == ["walidata", "walidata", None]

    page.goto(f"/satudata/antrean?tab=saya&q={key}")
    page.get_by_role("button", name=re.compile(rf"^Lepas\W+{key} 0")).focus()
    page.keyboard.press("Enter")
    expect(page.get_by_text(f"{key} 0 dilepas")).to_be_visible()

    world.later(ids[1], "claimed_at", -dt.timedelta(days=30))
    # Without JavaScript: the bar is there, and one button a row.
    other = visit("walidata_2", java_script_enabled=False)
    other.goto(f"/satudata/antrean?q={key}")
    expect(other.get_by_role("button", name="Ambil untuk saya")).to_be_visible()
    other.get_by_role("button", name=re.compile(rf"^Ambil\W+{key} 2")).click()
    expect(other.get_by_text("Anda sekarang memeriksa")).to_be_visible()
    other.get_by_role("link", name=re.compile(rf"^Ambil alih\W+{key} 1")).click()
    other.get_by_role("button", name="Ambil alih").click()
    expect(other.get_by_role("alert")).to_contain_text("Tulis alasan")
    other.get_by_label("Alasan mengambil alih").fill("Sedang cuti.")
    other.get_by_role("button", name="Ambil alih").click()
    expect(other).to_have_url(re.compile("/pemeriksaan$"))
    assert [world.status(id_)["reviewer"] for id_ in ids] == [None, "walidata_2", "walidata_2"]
