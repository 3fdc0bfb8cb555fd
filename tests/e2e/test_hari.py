"""A day at the desk in the browser: ten datasets checked, each on the way that it needs."""

from __future__ import annotations

import datetime as dt
import re
import uuid
from collections.abc import Callable
from zoneinfo import ZoneInfo

from playwright.sync_api import Page, expect

from ckanext.satudata_trenggalek.workflow import service
from tests.e2e.test_pemeriksaan import comment
from tests.e2e.test_portal import button, decide, judge, link, says
from tests.world import World

Visit = Callable[..., Page]


def test_ten_datasets(visit: Visit, world: World) -> None:
    key = f"hari{uuid.uuid4().hex[:8]}"
    made = [world.at("diajukan", title=f"{key} {n}") for n in range(10)]
    returned, priority, scheduled, rest = made[:2], made[2], made[3], made[4:]
    walidata, produsen, pembina, visitor = (
        visit("walidata"), visit("produsen_dinkes"), visit("pembina_bps"), visit(),
    )  # fmt: skip

    def review(page: Page, dataset: dict[str, str]) -> None:
        page.goto(f"/dataset/{dataset['name']}/pemeriksaan")
        expect(page.get_by_role("heading", level=1, name=dataset["title"])).to_be_visible()

    # All ten are taken at once, and decided one by one.
    walidata.goto(f"/satudata/antrean?q={key}")
    walidata.get_by_label("Pilih semua").check()
    walidata.get_by_role("button", name="Ambil untuk saya").click()
    expect(walidata.get_by_text("10 dataset Anda ambil")).to_be_visible()
    for dataset in returned:
        review(walidata, dataset)
        comment(walidata, "Standar Data Konsep", "Sebutkan kelahiran hidup.")
        decide(walidata, "Kembalikan untuk perbaikan", "Satu hal kecil.")
        says(walidata, "Dataset dikembalikan ke Dinkes.")
    review(walidata, priority)
    walidata.get_by_role("group").filter(has_text="Tandai Data Prioritas").first.locator(
        "summary"
    ).click()
    walidata.get_by_role("radio", name=re.compile("^b. ")).check()
    button(walidata, "Tandai Data Prioritas").click()
    judge(walidata)
    decide(walidata, "Setujui dan teruskan ke Pembina")
    says(walidata, "diteruskan ke Pembina Data")
    review(walidata, scheduled)
    judge(walidata)
    walidata.get_by_role("radio", name="Setujui, terbitkan pada tanggal").check()
    tomorrow = dt.datetime.now(ZoneInfo("Asia/Jakarta")) + dt.timedelta(days=1)
    walidata.get_by_label("Terbit pada").fill(f"{tomorrow:%Y-%m-%dT%H:%M}")
    walidata.get_by_role("button", name="Kirim keputusan").click()
    says(walidata, "terbit otomatis pada")
    for dataset in rest:
        review(walidata, dataset)
        judge(walidata)
        decide(walidata, "Setujui dan terbitkan")
        says(walidata, "Dataset terbit sebagai versi 1.")

    # The office mends what came back.
    for dataset in returned:
        produsen.goto("/satudata/tugas")
        produsen.locator(f'a[href="/dataset/{dataset["name"]}/perbaikan"]').click()
        produsen.get_by_role("link", name="Perbaiki Standar Data Konsep").click()
        produsen.locator("#field-konsep").fill("Kelahiran hidup")
        button(produsen, "Simpan draf").click()
        produsen.goto(f"/dataset/{dataset['name']}/perbaikan")
        button(produsen, "Ajukan lagi").click()
        says(produsen, "Tanda terima")
        review(walidata, dataset)
        judge(walidata)
        decide(walidata, "Setujui dan terbitkan")
        says(walidata, "Dataset terbit sebagai versi 1.")

    # The Pembina checks Data Prioritas again, Walidata publish it.
    pembina.goto(f"/satudata/antrean?q={key}")
    link(pembina, priority["title"]).click()
    decide(pembina, "Setujui sebagai Pembina")
    says(pembina, "Dataset disetujui sebagai Pembina Data.")
    walidata.goto(f"/satudata/antrean?tab=terbit&q={key}")
    link(walidata, priority["title"]).click()
    walidata.get_by_role("radio", name="Terbitkan", exact=True).check()
    button(walidata, "Kirim keputusan").click()
    says(walidata, "Dataset terbit sebagai versi 1.")

    # Nine are public; the tenth when its day has come.
    visitor.goto(f"/dataset/?q={key}")
    expect(visitor.get_by_role("heading", name=re.compile("^9 dataset"))).to_be_visible()
    world.due(scheduled["id"])
    assert service.publish_due() == [scheduled["name"]]
    assert {world.status(dataset["id"])["status"] for dataset in made} == {"terbit"}
    visitor.reload()
    expect(visitor.get_by_role("heading", name=re.compile("^10 dataset"))).to_be_visible()
