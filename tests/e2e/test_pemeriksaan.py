"""A returned dataset in the browser: commented on, mended, submitted again, approved."""

from __future__ import annotations

from collections.abc import Callable

from playwright.sync_api import Page, expect

from tests.e2e.test_portal import button, decide, judge, link, says
from tests.world import World

Visit = Callable[..., Page]


def comment(page: Page, label: str, text: str) -> None:
    """Write a comment beside a field and keep it; by the keyboard alone."""
    page.wait_for_load_state()
    opener = page.get_by_role("link", name=f"Komentari {label}", exact=True)
    opener.focus()
    page.keyboard.press("Enter")
    expect(page.locator("textarea:focus")).to_be_visible()
    page.keyboard.type(text)
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(page.get_by_text(text, exact=True)).to_be_visible()


def test_two_comments_are_mended_and_approved(visit: Visit, world: World) -> None:
    dataset = world.at("diajukan")
    at = f"/dataset/{dataset['name']}"
    walidata, produsen = visit("walidata"), visit("produsen_dinkes")

    walidata.goto(f"{at}/pemeriksaan")
    judge(walidata, {"Metadata": "Tidak sesuai"})
    comment(walidata, "Standar Data Konsep", "Konsep jangan diawali ukuran.")
    comment(walidata, "jumlah", "Satuannya orang atau bayi?")
    # What was judged before is still there, and the text box of the reason with it.
    metadata = walidata.get_by_role("group", name="Metadata", exact=True)
    expect(metadata.get_by_role("radio", name="Tidak sesuai")).to_be_checked()
    decide(walidata, "Kembalikan untuk perbaikan", "Dua hal kecil.")
    says(walidata, "Dataset dikembalikan ke Dinkes.")

    produsen.goto("/satudata/tugas")
    produsen.locator(f'a[href="{at}/perbaikan"]').click()
    expect(produsen.get_by_text("0 dari 2 ditanggapi")).to_be_visible()
    produsen.get_by_role("link", name="Perbaiki Standar Data Konsep").click()
    expect(produsen.get_by_text("Konsep jangan diawali ukuran.")).to_be_visible()
    expect(produsen.locator("#field-konsep")).to_be_focused()
    produsen.locator("#field-konsep").fill("Kelahiran hidup")
    button(produsen, "Simpan draf").click()
    expect(produsen.locator("#field-konsep")).to_have_value("Kelahiran hidup")
    produsen.goto(f"{at}/perbaikan")
    expect(produsen.get_by_text("1 dari 2 ditanggapi")).to_be_visible()
    point = produsen.get_by_role("listitem").filter(has_text="Satuannya orang atau bayi?")
    point.get_by_text("Balas", exact=False).first.click()
    point.get_by_role("textbox").fill("Orang, sesuai kode BPS.")
    point.get_by_role("button", name="Kirim balasan").click()
    expect(produsen.get_by_text("Semua sudah ditanggapi.")).to_be_visible()
    button(produsen, "Ajukan lagi").click()
    says(produsen, "Tanda terima")

    walidata.goto(f"{at}/pemeriksaan")
    expect(walidata.get_by_text("Sejak pengajuan sebelumnya: 1 hal berubah")).to_be_visible()
    expect(walidata.get_by_text("Orang, sesuai kode BPS.")).to_be_visible()
    button(walidata, "Tandai selesai").first.click()
    expect(walidata.get_by_text("Selesai", exact=True).first).to_be_visible()
    judge(walidata)
    decide(walidata, "Setujui dan terbitkan")
    says(walidata, "Dataset terbit sebagai versi 1.")
    assert world.status(dataset["id"])["status"] == "terbit"
    visitor = visit()
    visitor.goto(at)
    expect(visitor.get_by_role("heading", level=1)).to_be_visible()
    expect(visitor.get_by_text("Satuannya orang atau bayi?")).to_have_count(0)
    expect(link(visitor, "Riwayat")).to_have_count(0)
