"""The forms: rows of repeating blocks, what applies, drafts, copies, and where a save leads."""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from html import unescape
from typing import Any

import pytest
from ckan.tests.helpers import CKANTestApp

from ckanext.satudata_trenggalek import schema
from tests.world import World

Page = Callable[..., Any]
NASTY = '<script>alert("1")</script> & Anak'
INDICATOR = "indikator-{}-{}".format


@pytest.fixture
def get(app: CKANTestApp, world: World) -> Page:
    """Open a page as a user, or as None anonymously."""
    tokens: dict[str, str] = {}

    def request(user: str | None, path: str, method: str = "GET", **more: Any) -> Any:
        headers = {}
        if user:
            if user not in tokens:
                tokens[user] = world.call("api_token_create", user, user=user, name="uji")["token"]
            headers["Authorization"] = tokens[user]
        more.setdefault("follow_redirects", False)
        return app.test_client().open(path, method=method, headers=headers, **more)

    return request


@pytest.fixture
def post(get: Page) -> Page:
    def request(user: str, path: str, **form: Any) -> Any:
        # As a browser: `class_` and the like can't be keywords, so a dict may be given.
        return get(user, path, method="POST", data=form.pop("data", {}) | form)

    return request


def body(response: Any) -> str:
    return response.get_data(as_text=True)


def text(response: Any) -> str:
    """What a reader reads, on one line."""
    return unescape(re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", body(response))))


def sent(page: str) -> dict[str, Any]:
    """What a browser without scripts sends of the main form of a page."""
    form = page[page.index('method="post" action') :]
    form = re.sub(r"<template.*?</template>", "", form[: form.index("</form>")], flags=re.S)
    values: dict[str, Any] = {}

    def put(name: str, value: str) -> None:
        values[name] = [*values[name], value] if name in values else [value]

    for tag in re.findall(r"<input[^>]*>", form):
        found = dict(re.findall(r'([\w-]+)="([^"]*)"', tag))
        box = found.get("type") in ("checkbox", "radio")
        here = "name" in found and "form" not in found and found.get("type") != "file"
        if here and (not box or " checked" in tag):
            put(unescape(found["name"]), unescape(found.get("value", "")))
    for name, value in re.findall(
        r'<textarea[^>]*name="([^"]+)"[^>]*>(.*?)</textarea>', form, re.S
    ):
        put(name, unescape(value.removeprefix("\n")))
    for name, options in re.findall(r'<select[^>]*name="([^"]+)"[^>]*>(.*?)</select>', form, re.S):
        chosen = re.search(r'value="([^"]*)" selected', options)
        put(name, unescape(chosen[1]) if chosen else "")
    return {name: v if len(v) > 1 else v[0] for name, v in values.items()}


def multipart(form: dict[str, Any]) -> dict[str, Any]:
    """A form with a file control left empty, as browsers write it.

    Werkzeug's test client leaves out a line of empty parts, and its parser spoils such a part where
    it lies across two chunks of a large form.
    """
    boundary = "----WebKitFormBoundary7MA4YWxkTrZu0gW"
    head = f'--{boundary}\r\nContent-Disposition: form-data; name="{{}}"'.format
    parts = [f"{head(name)}\r\n\r\n{value}\r\n" for name, value in form.items()]
    parts.append(f'{head("upload")}; filename=""\r\n\r\n\r\n--{boundary}--\r\n')
    return {
        "data": "".join(parts).encode(),
        "content_type": f"multipart/form-data; boundary={boundary}",
        "method": "POST",
    }


def table(columns: int) -> bytes:
    names = ",".join(f"kolom_{n}" for n in range(columns))
    return f"{names}\n{','.join('1' * columns)}\n".encode()


def variables(count: int) -> list[dict[str, Any]]:
    base = World.VARIABEL[2]
    return [dict(base, nama=f"kolom_{n}", definisi=f"Kolom ke-{n}") for n in range(count)]


def flat(rows: list[dict[str, Any]], block: str = "variabel") -> dict[str, Any]:
    """Rows as a form sends them."""
    return {f"{block}-{n}-{key}": v for n, row in enumerate(rows) for key, v in row.items()}


def wide(world: World, count: int) -> tuple[str, str]:
    """Name of a draft and id of its file with as many variables."""
    dataset = world.call("package_create", "produsen_dinkes", **world.metadata())
    made = world.upload("produsen_dinkes", dataset["id"], table(count), variabel=variables(count))
    return dataset["name"], made["id"]


# Items that apply --------------------------------------------------------------------------------
def test_without_a_script_every_item_is_there_with_its_condition(get: Page) -> None:
    page = body(get("produsen_dinkes", "/kegiatan/new"))
    for field in schema.fields("kegiatan"):
        name = f'name="{field["field_name"]}'
        assert name in page, name
        if field.get("bps_item", "").startswith("MS-Keg "):
            assert field["bps_item"] in page
    assert page.count("Hanya bila Cara Pengumpulan Data: Survei.") == sum(
        schema.conditions(f) == [{"field": "cara_pengumpulan_data", "in": ["2"]}]
        for f in schema.fields("kegiatan")
    )
    assert 'data-tampil="[{&#34;field&#34;: &#34;pelaksanaan&#34;' in page
    for tag in re.findall(r"<(?:div|fieldset|section)[^>]*data-tampil[^>]*>", page):
        assert " hidden" not in tag and "disabled" not in tag


def test_every_cell_has_a_label_and_every_row_a_legend(get: Page, world: World) -> None:
    name, resource = wide(world, 3)
    page = body(get("produsen_dinkes", f"/dataset/{name}/resource/{resource}/edit"))
    controls = re.findall(r'<(?:input|select|textarea)[^>]*\bid="(field-variabel-\d+-\w+)"', page)
    block = schema.find("dataset", "variabel", "resource_fields")
    blank = page.count('id="baris-variabel-') - 3 - 1  # the template of the script is one more
    assert len(controls) == len(set(controls)) == (3 + blank) * len(block["butir"])
    for id_ in controls:
        assert f'for="{id_}"' in page, id_
    assert page.count("<legend") >= 3 and "Variabel 2" in page
    assert "MS-Var 8" in page


def test_the_rail_tells_how_far_each_step_is(get: Page, world: World) -> None:
    dataset = world.call(
        "package_create", "produsen_dinkes", name="rel-langkah", title="Rel", owner_org="dinkes",
        konsep="Wilayah", indikator=[{"nama": "Satu"}],
    )  # fmt: skip
    words = text(get("produsen_dinkes", f"/dataset/edit/{dataset['name']}"))
    assert re.search(r"Standar data 1 dari 3 terisi", words)
    needed = sum(
        f.get("ajukan") is True and not schema.conditions(f)
        for f in schema.find("dataset", "indikator")["butir"]
    )
    assert f"Indikator 1 dari {needed} terisi" in words


# Rows --------------------------------------------------------------------------------------------
def test_rows_are_filled_and_ordered_without_a_script(get: Page, post: Page, world: World) -> None:
    made = post("produsen_dinkes", "/dataset/new", title="Tanpa skrip", name="tanpa-skrip",
                owner_org="dinkes", save="draf", **{INDICATOR(0, "nama"): "Satu"})  # fmt: skip
    path = "/dataset/edit/tanpa-skrip"
    assert made.status_code == 302 and made.location.endswith(path)
    form = sent(body(get("produsen_dinkes", path)))
    assert form[INDICATOR(0, "nama")] == "Satu" and form[INDICATOR(1, "nama")] == ""
    form[INDICATOR(1, "nama")] = "Dua"
    form[INDICATOR(3, "nama")] = "Tiga"  # the blank one between is dropped
    form[INDICATOR(3, "klasifikasi_penyajian")] = "32010026"  # one ticked box
    form[INDICATOR(3, "urutan")] = "1"  # goes first
    saved = post("produsen_dinkes", path, data=form, save="draf")
    assert saved.status_code == 302 and saved.location.endswith(path)
    rows = world.call("package_show", "produsen_dinkes", id="tanpa-skrip")["indikator"]
    assert [row["nama"] for row in rows] == ["Tiga", "Satu", "Dua"]
    assert rows[0]["klasifikasi_penyajian"] == ["32010026"]
    form = sent(body(get("produsen_dinkes", path)))
    assert form[INDICATOR(0, "klasifikasi_penyajian")] == "32010026"
    form[INDICATOR(0, "urutan")] = "2"
    form |= {key: "" for key in form if key.startswith("indikator-2-")}  # removed
    post("produsen_dinkes", path, data=form, save="draf")
    rows = world.call("package_show", "produsen_dinkes", id="tanpa-skrip")["indikator"]
    assert [row["nama"] for row in rows] == ["Satu", "Tiga"]


def test_saving_the_form_unchanged_changes_nothing(get: Page, post: Page, world: World) -> None:
    dataset = world.draft()
    id_, name = dataset["id"], dataset["name"]
    resource = dataset["resources"][0]["id"]
    before = world.status(id_)["content_hash"]
    for path in (f"/dataset/edit/{name}", f"/dataset/{name}/resource/{resource}/edit",
                 f"/dataset/edit/{name}"):  # fmt: skip
        saved = post("produsen_dinkes", path, data=sent(body(get("produsen_dinkes", path))),
                     save="draf")  # fmt: skip
        assert saved.status_code == 302, text(saved)[:2000]
        assert world.status(id_)["content_hash"] == before, path
    kegiatan = world.call("package_create", "produsen_dinkes", **world.kegiatan_metadata())
    before = world.status(kegiatan["id"])["content_hash"]
    path = f"/kegiatan/edit/{kegiatan['name']}"
    form = sent(body(get("produsen_dinkes", path)))
    assert post("produsen_dinkes", path, data=form, save="lanjut").status_code == 302
    assert world.status(kegiatan["id"])["content_hash"] == before


def test_a_failed_edit_keeps_60_rows_in_order_and_leads_to_the_cells(
    get: Page, post: Page, world: World
) -> None:
    name, resource = wide(world, 60)
    path = f"/dataset/{name}/resource/{resource}/edit"
    rows = variables(60)[::-1]
    rows[11]["definisi"] = f"Baris\nkedua {NASTY}"
    rows[12]["tipe_data"] = "angka"
    rows[41]["satuan"] = "ekor-sapi"
    page = post("produsen_dinkes", path, name="Tabel", save="draf", data=flat(rows), id=resource)
    assert page.status_code == 200
    html, again = body(page), sent(body(page))
    assert [again[f"variabel-{n}-nama"] for n in range(60)] == [row["nama"] for row in rows]
    assert again["variabel-11-definisi"] == rows[11]["definisi"] and NASTY not in html
    for row, item in ((12, "tipe_data"), (41, "satuan")):
        assert f'href="#field-variabel-{row}-{item}"' in html
        assert re.search(rf'id="field-variabel-{row}-{item}"[^>]*aria-invalid="true"', html)
        assert f'id="field-variabel-{row}-{item}-error"' in html
        assert again[f"variabel-{row}-{item}"] == rows[row][item]  # as typed
    assert "Ada 2 hal yang perlu dibetulkan" in text(page) and "Baris 13, MS-Var 8" in text(page)
    stored = world.call("resource_show", "produsen_dinkes", id=resource)["variabel"]
    assert [row["nama"] for row in stored] == [f"kolom_{n}" for n in range(60)]
    again |= {"variabel-12-tipe_data": "integer", "variabel-41-satuan": "ekor"}
    assert post("produsen_dinkes", path, data=again, save="draf").status_code == 302
    stored = world.call("resource_show", "produsen_dinkes", id=resource)["variabel"]
    assert [row["nama"] for row in stored] == [row["nama"] for row in rows]
    assert stored[11]["definisi"] == rows[11]["definisi"]


def test_rows_that_were_removed_stay_away_from_a_failed_form(
    get: Page, post: Page, world: World
) -> None:
    dataset = world.draft()
    path = f"/dataset/edit/{dataset['name']}"
    form = sent(body(get("produsen_dinkes", path)))
    form = {key: value for key, value in form.items() if not key.startswith("indikator-")}
    failed = post("produsen_dinkes", path, data=form, id_sds="xx", save="draf")
    assert failed.status_code == 200 and 'href="#field-id_sds"' in body(failed)
    assert sent(body(failed))[INDICATOR(0, "nama")] == ""
    post("produsen_dinkes", path, data=form, save="draf")
    assert "indikator" not in world.call("package_show", "produsen_dinkes", id=dataset["id"])


def test_500_rows_post_and_the_form_is_bounded(get: Page, post: Page, world: World) -> None:
    name, resource = wide(world, 2)
    path = f"/dataset/{name}/resource/{resource}/edit"
    rows = variables(500)
    block = schema.find("dataset", "variabel", "resource_fields")
    for row in rows:
        row |= {f["field_name"]: "" for f in block["butir"] if f["field_name"] not in row}
        row["definisi"] = "Panjang " * 100  # more than Werkzeug's 500 kB in all
    assert len(flat(rows)) == 500 * len(block["butir"])
    form = sent(body(get("produsen_dinkes", path))) | flat(rows)
    saved = get("produsen_dinkes", path, **multipart(form | {"save": "draf"}))
    assert saved.status_code == 302, text(saved)[:2000]
    stored = world.call("resource_show", "produsen_dinkes", id=resource)["variabel"]
    assert [row["nama"] for row in stored] == [f"kolom_{n}" for n in range(500)]
    assert get("produsen_dinkes", path).status_code == 200
    too_many = {f"variabel-{n}-nama": "x" for n in range(20_001)}
    refused = get("produsen_dinkes", path, **multipart(too_many))
    assert refused.status_code == 413
    many = post("produsen_dinkes", path, data=flat(variables(501)), name="Lebar", save="draf")
    assert many.status_code == 200 and "paling banyak 500" in text(many)
    assert 'href="#field-variabel"' in body(many) and 'id="field-variabel"' in body(many)


def test_markup_in_rows_is_text_everywhere(get: Page, world: World) -> None:
    dataset = world.draft(indikator=[dict(World.INDIKATOR, nama=NASTY, konsep=NASTY)])
    rows = [dict(World.VARIABEL[0], nama=NASTY, alias=NASTY, klasifikasi_isian=NASTY)]
    resource = dataset["resources"][0]["id"]
    world.call("resource_patch", "produsen_dinkes", id=resource, variabel=rows)
    at = f"/dataset/{dataset['name']}"
    for path in (at, f"{at}/pemeriksaan", f"/dataset/edit/{dataset['name']}",
                 f"{at}/resource/{resource}/edit"):  # fmt: skip
        page = get("produsen_dinkes", path)
        assert page.status_code == 200 and NASTY not in body(page), path
        assert NASTY in unescape(body(page)), path


def test_a_table_offers_its_variables_and_stores_none(get: Page, post: Page, world: World) -> None:
    dataset = world.call("package_create", "produsen_dinkes", **world.metadata())
    resource = world.upload("produsen_dinkes", dataset["id"], variabel=[])["id"]
    path = f"/dataset/{dataset['name']}/resource/{resource}/edit"
    page = get("produsen_dinkes", path)
    form = sent(body(page))
    assert [form[f"variabel-{n}-nama"] for n in range(4)] == ["kode", "kecamatan", "jumlah", ""]
    assert form["variabel-2-tipe_data"] == "integer" and form["tanda_desimal"] == "titik"
    assert "dugaan" in text(page) and "Diisi otomatis dari kepala kolom" in text(page)
    assert "variabel" not in world.call("resource_show", "produsen_dinkes", id=resource)
    form |= {key: "" for key in form if key.startswith("variabel-1-")}
    assert post("produsen_dinkes", path, data=form, save="draf").status_code == 302
    page = get("produsen_dinkes", path)
    assert "Satu kolom belum punya variabel: kecamatan." in text(page)
    assert "dugaan" not in re.sub(r"<template.*?</template>", "", body(page), flags=re.S)


# Where a save leads ------------------------------------------------------------------------------
def test_new_is_saved_at_once_and_leads_to_the_first_file(post: Page, world: World) -> None:
    new = {"title": "Baru", "owner_org": "dinkes"}
    made = post("produsen_dinkes", "/dataset/new", **new, name="langsung", save="lanjut")
    assert made.status_code == 302 and made.location.endswith("/dataset/langsung/resource/new")
    dataset = world.call("package_show", "produsen_dinkes", id="langsung")
    assert (dataset["state"], dataset["private"]) == ("active", True)
    draft = post("produsen_dinkes", "/dataset/new", **new, name="langsung-2", save="draf")
    assert draft.location.endswith("/dataset/edit/langsung-2")
    made = post("produsen_dinkes", "/kegiatan/new", **new, name="kegiatan-baru", save="lanjut")
    assert made.location.endswith("/kegiatan/kegiatan-baru")
    kegiatan = world.call("package_show", "produsen_dinkes", id="kegiatan-baru")
    assert (kegiatan["type"], kegiatan["state"]) == ("kegiatan", "active")
    saved = post("produsen_dinkes", "/en/kegiatan/edit/kegiatan-baru", **new, name="kegiatan-baru",
                 save="draf")  # fmt: skip
    assert saved.location.endswith("/en/kegiatan/edit/kegiatan-baru")


def test_an_address_left_empty_is_made_from_the_title(post: Page, world: World) -> None:
    new = {"title": "Alamat Sendiri", "owner_org": "dinkes", "name": "", "save": "draf"}
    for address in ("alamat-sendiri", "alamat-sendiri-2"):
        assert post("produsen_dinkes", "/dataset/new", **new).location.endswith(address)
    made = post("produsen_dinkes", "/kegiatan/new", **new, tahun_kegiatan="2026")
    assert made.location.endswith("/kegiatan/edit/alamat-sendiri-2026")


def test_a_draft_lacks_what_it_likes(post: Page, world: World) -> None:
    form = {"title": "Kosong", "name": "serba-kosong", "owner_org": "dinkes", "save": "draf"}
    made = post("produsen_dinkes", "/dataset/new", **form, **{
        INDICATOR(0, "satuan"): "orang", INDICATOR(1, "komposit"): "1"})  # fmt: skip
    assert made.status_code == 302
    blockers = world.status("serba-kosong")["blockers"]
    assert {"indikator/0/konsep", "indikator/1/publikasi_pembangun"} <= {
        blocker["field"] for blocker in blockers
    }


def test_the_form_of_a_new_file_saves_no_other(post: Page, world: World) -> None:
    """Core saves by the id first, and then asks which dataset the address names."""
    own, other = world.draft(), world.at("terbit")
    [resource] = own["resources"]
    form = {"id": resource["id"], "name": "Lain", "url": resource["url"], "save": "x"}
    refused = post("produsen_dinkes", f"/dataset/{other['name']}/resource/new", **form)
    assert refused.status_code == 404
    [kept] = world.call("package_show", "produsen_dinkes", id=own["id"])["resources"]
    assert kept["name"] == resource["name"]


def test_a_new_table_leads_to_its_variables(post: Page, world: World) -> None:
    dataset = world.call("package_create", "produsen_dinkes", **world.metadata())
    new = f"/dataset/{dataset['name']}/resource/new"

    def upload(path: str, filename: str, save: str, **more: str) -> str:
        data = {"upload": (io.BytesIO(World.CSV), filename), "url": filename, "name": "Tabel",
                "url_type": "upload", "save": save, "id": "", **more}  # fmt: skip
        answer = post("produsen_dinkes", path, data=data)
        assert answer.status_code == 302, text(answer)
        return answer.location

    location = upload(new, "tabel.csv", "go-dataset-complete")
    id_ = world.call("package_show", "produsen_dinkes", id=dataset["id"])["resources"][0]["id"]
    edit = f"/dataset/{dataset['name']}/resource/{id_}/edit"
    assert location.endswith(f"{edit}#langkah-variabel")
    again = upload(edit, "lain.csv", "go-metadata", id=id_)
    assert again.endswith(f"{edit}#langkah-variabel")
    stay = post("produsen_dinkes", edit, id=id_, name="Tabel", url="lain.csv", save="draf")
    assert stay.location.endswith(edit)
    done = post("produsen_dinkes", edit, id=id_, name="Tabel", url="lain.csv", save="x")
    assert done.location.endswith(f"/dataset/{dataset['name']}")


def test_ckans_own_draft_can_still_be_finished(get: Page, post: Page, world: World) -> None:
    """What was begun before this form, or by core's own: state draft, files on the second page."""
    form = {"_ckan_phase": "dataset_new_1", "pkg_name": "", "save": ""}
    post("produsen_dinkes", "/dataset/new", title="Lama", name="draf-lama", owner_org="dinkes",
         **form)  # fmt: skip
    assert world.call("package_show", "produsen_dinkes", id="draf-lama")["state"] == "draft"
    edit = sent(body(get("produsen_dinkes", "/dataset/edit/draf-lama")))
    saved = post("produsen_dinkes", "/dataset/new", data=edit, save="lanjut", konsep="Wilayah")
    assert saved.location.endswith("/dataset/draf-lama/resource/new")
    page = get("produsen_dinkes", "/dataset/draf-lama/resource/new")
    assert "Simpan dan selesai" in text(page)
    dataset = world.call("package_show", "produsen_dinkes", id="draf-lama")
    assert (dataset["state"], dataset["konsep"]) == ("draft", "Wilayah")


def test_a_kegiatan_has_no_page_for_files(get: Page, post: Page, world: World) -> None:
    name = world.call("package_create", "produsen_dinkes", **world.kegiatan_metadata())["name"]
    path = f"/kegiatan/{name}/resource/new"
    assert get("produsen_dinkes", path).status_code == 404
    assert post("produsen_dinkes", path, save="", id="").status_code == 404
    words = text(get("produsen_dinkes", f"/kegiatan/{name}"))
    assert "Tambah berkas" not in words and "Status kegiatan" in words


def test_forms_want_their_token_after_a_program_used_them(
    app: CKANTestApp, get: Page, post: Page, world: World
) -> None:
    enabled = app.flask_app.config["WTF_CSRF_ENABLED"]
    app.flask_app.config["WTF_CSRF_ENABLED"] = True
    try:
        get("produsen_dinkes", "/dataset/new")
        refused = post("produsen_dinkes", "/dataset/new", title="Dari luar", name="dari-luar",
                       owner_org="dinkes", save="draf")  # fmt: skip
        assert refused.status_code == 400
    finally:
        app.flask_app.config["WTF_CSRF_ENABLED"] = enabled


# Copies ------------------------------------------------------------------------------------------
def test_a_copy_is_offered_and_stored_only_when_saved(get: Page, post: Page, world: World) -> None:
    source = world.draft(title="Jumlah Posyandu 2025")
    page = get("produsen_dinkes", f"/dataset/new?salin={source['name']}")
    form = sent(body(page))
    assert form["title"] == "Jumlah Posyandu" and form["name"] == "jumlah-posyandu"
    assert form["definisi"] == source["definisi"] and form["id_kegiatan"] == source["id_kegiatan"]
    assert form["tag_string"] == "kelahiran"
    assert form[INDICATOR(0, "interpretasi")] == World.INDIKATOR["interpretasi"]
    assert form["tahun_data"] == form["jadwal_pemutakhiran"] == ""
    assert "Disalin dari Jumlah Posyandu 2025" in text(page)
    found = world.call("package_search", "produsen_dinkes", q="title:Posyandu",
                       include_private=True)  # fmt: skip
    assert found["count"] == 1
    made = post("produsen_dinkes", "/dataset/new", data=form, save="draf")
    assert made.status_code == 302
    copy = world.call("package_show", "produsen_dinkes", id="jumlah-posyandu")
    assert copy["indikator"] == source["indikator"] and copy["resources"] == []
    again = sent(body(get("produsen_dinkes", f"/dataset/new?salin={source['name']}")))
    assert again["name"] == "jumlah-posyandu-2"


def test_only_what_is_visible_and_of_the_same_type_is_copied(get: Page, world: World) -> None:
    source = world.draft(title="Rahasia Dinkes")
    for user, name in (
        ("produsen_dukcapil", source["name"]),
        ("produsen_dinkes", "tidak-ada"),
        ("produsen_dinkes", world.kegiatan()),
    ):
        refused = get(user, f"/dataset/new?salin={name}")
        assert refused.status_code == 302 and refused.location.endswith("/dataset/new"), name
    offered = body(get("produsen_dukcapil", "/dataset/new"))
    assert "Rahasia Dinkes" not in offered
    assert f'<option value="{source["name"]}">' in body(get("produsen_dinkes", "/dataset/new"))


def test_last_years_kegiatan_is_copied(get: Page, world: World) -> None:
    source = world.call("package_create", "produsen_dinkes", **world.kegiatan_metadata())
    assert f'value="{source["name"]}"' in body(get("produsen_dinkes", "/kegiatan/new"))
    form = sent(body(get("produsen_dinkes", f"/kegiatan/new?salin={source['name']}")))
    assert form["latar_belakang"] == source["latar_belakang"]
    assert form["variabel_kegiatan-0-nama"] == "Jumlah bayi lahir hidup"
    assert form["metode_pengumpulan"] == ["8", "16"]
    for once in ("tahun_kegiatan", "kode_kegiatan", "identitas_rekomendasi", "rilis_digital",
                 "jadwal_desain_mulai"):  # fmt: skip
        assert form[once] == "", once


def test_variables_of_another_file_are_copied_by_column(get: Page, world: World) -> None:
    name, resource = wide(world, 3)
    _other, source = wide(world, 2)
    rows = [{"nama": "KOLOM_1", "alias": "Sudah diisi"}, {"nama": "lain"}]
    world.call("resource_patch", "produsen_dinkes", id=resource, variabel=rows)
    path = f"/dataset/{name}/resource/{resource}/edit"
    assert f'<option value="{source}">' in body(get("produsen_dinkes", path))
    form = sent(body(get("produsen_dinkes", f"{path}?salin={source}")))
    assert form["variabel-0-nama"] == "KOLOM_1" and form["variabel-0-alias"] == "Sudah diisi"
    assert form["variabel-0-definisi"] == "Kolom ke-1" and form["variabel-1-definisi"] == ""
    stored = world.call("resource_show", "produsen_dinkes", id=resource)["variabel"]
    assert stored == rows
    hidden = get("produsen_dinkes", f"{path}?salin=tidak-ada")
    assert "Yang akan disalin tidak ditemukan" in text(hidden)
    assert get("produsen_dukcapil", f"{path}?salin={source}").status_code in (403, 404)


# Kegiatan ----------------------------------------------------------------------------------------
def test_the_picker_searches_and_keeps_what_is_chosen(get: Page, world: World) -> None:
    id_ = world.kegiatan()
    other = world.call("package_create", "produsen_dinkes",
                       **world.kegiatan_metadata(title="Survei Kepuasan",
                                                 tahun_kegiatan="2026"))  # fmt: skip
    page = text(get("produsen_dinkes", "/dataset/new"))
    assert "Survei Kepuasan, 2026" in page and "Kompilasi Data Kesehatan Ibu dan Anak, 2025" in page
    assert "Belum dipilih" in page
    found = get("produsen_dinkes", f"/satudata/kegiatan/pilihan?q=kepuasan+2026&id_kegiatan={id_}")
    assert re.findall(r'value="([^"]*)"( checked)?', body(found)) == [
        ("", ""), (id_, " checked"), (other["id"], ""),
    ]  # fmt: skip
    assert "Draf" in text(found) and "Dinkes" in text(found) and "<html" not in body(found)
    foreign = body(get("produsen_dukcapil", "/satudata/kegiatan/pilihan?q=kepuasan"))
    assert other["id"] not in foreign and "Tidak ada kegiatan yang cocok" in foreign
    anonymous = get(None, "/satudata/kegiatan/pilihan?q=kompilasi")
    assert id_ not in body(anonymous)
    for stranger in (None, "warga", "produsen_dukcapil"):
        page = get(stranger, f"/satudata/kegiatan/pilihan?id_kegiatan={other['id']}")
        assert "Survei Kepuasan" not in text(page), stranger


def test_pages_of_kegiatan(get: Page, world: World) -> None:
    id_ = world.kegiatan_at("terbit")["id"]
    kegiatan = world.call("package_show", "produsen_dinkes", id=id_)
    dataset = world.at("terbit", title="Kelahiran dari Kegiatan", id_kegiatan=id_)
    draft = world.draft(title="Masih Draf dari Kegiatan", id_kegiatan=id_)
    listed = get(None, "/kegiatan/")
    assert kegiatan["title"] in text(listed) and "kegiatan" in text(listed)
    assert kegiatan["title"] not in text(get(None, "/dataset/"))
    assert "Buat kegiatan" in text(get("produsen_dinkes", "/kegiatan/"))
    assert "Buat kegiatan" not in text(listed) and "/kegiatan" in body(get(None, "/"))
    page = text(get(None, f"/kegiatan/{kegiatan['name']}"))
    for said in ("Blok III", "MS-Keg 3.1", kegiatan["latar_belakang"], "Kompilasi Produk",
                 "Kelahiran dari Kegiatan", "31 Maret 2026", "Terverifikasi Walidata"):  # fmt: skip
        assert said in page, said
    assert "Blok V:" not in page and draft["title"] not in page  # no sample; not public
    mine = text(get("produsen_dinkes", f"/kegiatan/{kegiatan['name']}"))
    assert draft["title"] in mine and "Status kegiatan" in mine
    public = get(None, f"/dataset/{dataset['name']}")
    assert f"/kegiatan/{kegiatan['name']}" in body(public)
    hidden = world.call("package_create", "produsen_dinkes", **world.kegiatan_metadata(title="X"))
    assert get(None, f"/kegiatan/{hidden['name']}").status_code == 404
    assert f"/kegiatan/edit/{hidden['name']}" in body(
        get("produsen_dinkes", f"/kegiatan/{hidden['name']}")
    )
    world.move("produsen_dinkes", hidden["id"], "ajukan")
    for path in (f"/dataset/{hidden['name']}/riwayat", f"/dataset/{hidden['name']}/pemeriksaan"):
        assert f'href="/kegiatan/{hidden["name"]}"' in body(get("walidata", path)), path
    assert "Kegiatan dibuat" in text(get("walidata", f"/dataset/{hidden['name']}/riwayat"))
    # On the last page of what waits, since it was handed in last.
    tasks = body(get("produsen_dinkes", "/satudata/tugas?tunggu=300"))
    assert f"/kegiatan/{hidden['name']}" in tasks and "/kegiatan/new" in tasks


# Reading -----------------------------------------------------------------------------------------
def contents(type_: str, data: dict[str, Any], group: str = "dataset_fields") -> list[str]:
    """Every text and label of a code that a dataset or file holds."""
    found = []
    for field in schema.fields(type_, group):
        value = data.get(field["field_name"])
        if field.get("jenis") == "berulang":
            found += [
                cell
                for row in schema.rows(field, value)
                for sub in field["butir"]
                for cell in _values(sub, row.get(sub["field_name"]))
            ]
        elif field.get("jenis") not in ("tanggal", "kegiatan") and field["field_name"] not in (
            "owner_org", "url", "name",
        ):  # fmt: skip
            found += _values(field, value)
    return found


def _values(field: dict[str, Any], value: Any) -> list[str]:
    values = value if isinstance(value, list) else [value] if value else []
    return [schema.choice_label(field, v) if "vocab" in field else str(v) for v in values]


def test_the_review_shows_all_that_is_approved(get: Page, world: World) -> None:
    rows = [dict(World.INDIKATOR, nama=f"Indikator {n}", ukuran="total") for n in range(5)]
    dataset = world.at("diajukan", indikator=rows)
    status = world.status(dataset["id"])
    page = text(get("walidata", f"/dataset/{dataset['name']}/pemeriksaan"))
    for said in contents("dataset", dataset):
        assert said in page, said
    for resource in dataset["resources"]:
        for said in contents("dataset", resource, "resource_fields"):
            assert said in page, said
    assert status["kegiatan"]["title"] in page and "MS-Ind 16" in page and "3 variabel" in page
    world.move("produsen_dinkes", dataset["id"], "batalkan")

    kegiatan = world.call("package_create", "produsen_dinkes", **world.kegiatan_metadata())
    world.move("produsen_dinkes", kegiatan["id"], "ajukan")
    page = text(get("walidata", f"/dataset/{kegiatan['name']}/pemeriksaan"))
    for said in contents("kegiatan", kegiatan):
        assert said in page, said
    assert "Rancangan" not in page  # the items that don't apply are not asked of anybody


def test_long_tables_of_variables_fold(get: Page, world: World) -> None:
    name, _ = wide(world, 30)
    page = get("produsen_dinkes", f"/dataset/{name}")
    assert "22 variabel lain" in text(page) and "Kolom ke-29" in text(page)
    assert "30 variabel" in text(page)


def test_blockers_lead_to_the_cell(get: Page, world: World) -> None:
    name, resource = wide(world, 2)
    rows = variables(2)
    del rows[1]["konsep"]
    world.call("resource_patch", "produsen_dinkes", id=resource, variabel=rows)
    world.call("package_patch", "produsen_dinkes", id=name,
               indikator=[World.INDIKATOR, {"nama": "Dua"}])  # fmt: skip
    page = body(get("produsen_dinkes", f"/dataset/{name}"))
    forms = {
        f"/dataset/edit/{name}": "field-indikator-1-definisi",
        f"/dataset/{name}/resource/{resource}/edit": "field-variabel-1-konsep",
    }
    for path, anchor in forms.items():
        assert f'href="{path}#{anchor}"' in page
        assert f'id="{anchor}"' in body(get("produsen_dinkes", path))
    world.call("resource_patch", "produsen_dinkes", id=resource, variabel=[])
    page = body(get("produsen_dinkes", f"/dataset/{name}"))
    assert f"/dataset/{name}/resource/{resource}/edit#field-variabel" in page
    kegiatan = world.call("package_create", "produsen_dinkes",
                          **world.kegiatan_metadata(tujuan=""))  # fmt: skip
    page = body(get("produsen_dinkes", f"/kegiatan/{kegiatan['name']}"))
    assert f"/kegiatan/edit/{kegiatan['name']}#field-tujuan" in page
