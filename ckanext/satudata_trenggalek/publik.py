"""What the public pages tell: charts, all rows, citation, addresses for search engines.

Functions that begin with `satudata_` are template helpers of the same name. Everything is asked
with the reader's own rights, and is bounded: a page costs the same however large the data are.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Mapping
from typing import Any

import ckan.plugins.toolkit as tk
import flask
from babel.numbers import format_compact_decimal
from ckan.lib.pagination import Page

from ckanext.satudata_trenggalek import charts, schema
from ckanext.satudata_trenggalek import helpers as h
from ckanext.satudata_trenggalek.forms import satudata_field, satudata_isi
from ckanext.satudata_trenggalek.workflow.calendar import WIB


# Chart -------------------------------------------------------------------------------------------
def satudata_grafik(
    resource: Mapping[str, Any], table: Mapping[str, Any] | None
) -> dict[str, Any] | None:
    """The chart of a file's table, in words and marks.

    Args:
        resource: the file, with its MS-Variabel.
        table: its satudata_pratinjau, None for no table.

    Returns:
        title, unit, axis and measure (labels), chart (charts.Chart), text (figures of its points as
        text), ticks (figures of its scale as text), note (what it leaves out); None where the table
        has nothing that can be drawn as it stands.
    """
    if not table or not 0 < table["total"] <= charts.MAX_ROWS:
        return None
    block = satudata_field(str(resource.get("package_type") or "dataset"), "variabel")
    variables = schema.rows(block, resource.get("variabel")) if block else []
    wanted = charts.columns(table["fields"], variables)
    if wanted is None:
        return None
    found = h._ask(
        "datastore_search",
        resource_id=resource["id"],
        fields=wanted.ids,
        limit=charts.MAX_ROWS,
        sort="_id",
        include_total=False,
    )
    chart = charts.chart(found["records"], wanted) if found else None
    if chart is None:
        return None
    labels = {field["id"]: _label(field["label"]) for field in table["fields"]}
    measure, axis = labels[chart.measure], labels[chart.axis]
    title = tk._("{measure} menurut {axis}").format(
        measure=measure[:1].upper() + measure[1:],
        axis=" ".join(w.lower() if w.istitle() else w for w in axis.split()),
    )
    satuan = next((f for f in (block or {}).get("butir", ()) if f["field_name"] == "satuan"), None)
    unit = next((row.get("satuan") for row in variables if row.get("nama") == chart.measure), None)
    return {
        "title": f"{title}, {chart.year}" if chart.year else title,
        "measure": measure,
        "axis": axis,
        "unit": satudata_isi(satuan, unit) if satuan and unit != "tanpa_satuan" else "",
        "chart": chart,
        "text": [h.satudata_angka(point.value, digits=6) for point in chart.points],
        "ticks": _scale([value for value, _place in chart.ticks]),
        "note": _note(chart),
    }


def _scale(values: list[float]) -> list[str]:
    """Values of a scale as text; the large ones short, as "20 jt"."""
    if max(map(abs, values), default=0) < 1e7:
        return [h.satudata_angka(value, digits=12) for value in values]
    return [format_compact_decimal(v, locale=h._locale(), fraction_digits=1) for v in values]


def _label(label: str) -> str:
    """A column as people read it; headers in capitals and names of variables included."""
    words = label.replace("_", " ").strip()
    return words.lower() if words.isupper() and len(words) > 4 else words


def _note(chart: charts.Chart) -> str:
    """What a chart leaves out."""
    parts = []
    if chart.left_out and chart.kind == "line":
        parts.append(tk._("{n} tahun sebelumnya ada di tabel.").format(n=chart.left_out))
    elif chart.left_out:
        text = (
            tk._("{n} terbesar; {more} lainnya ada di tabel.")
            if chart.sorted
            else tk._("{n} yang pertama; {more} lainnya ada di tabel.")
        )
        parts.append(text.format(n=len(chart.points), more=h.satudata_angka(chart.left_out, 0)))
    if chart.missing:
        parts.append(tk._("{n} tanpa angka.").format(n=chart.missing))
    if chart.totals:
        parts.append(tk._("Baris jumlah tidak digambar."))
    return " ".join(parts)


# All rows ----------------------------------------------------------------------------------------
#: Rows of a page of a file's table.
ROWS = 50
#: Further than any table goes that is loaded.
MAX_PAGE = 1_000_000


def satudata_semua_baris(resource: Mapping[str, Any]) -> dict[str, Any] | None:
    """A page of all rows of a file's table, by `page` and `q` of the address.

    Args:
        resource: the file.

    Returns:
        as satudata_pratinjau, with q (what was searched) and page (pagination.Page); None for no
        table.
    """
    q = tk.request.args.get("q", "").replace("\x00", " ").strip()[:200]
    number = min(tk.h.get_page_number(tk.request.args), MAX_PAGE)
    table = h.satudata_pratinjau(resource, ROWS, offset=(number - 1) * ROWS, q=q, sort="_id")
    if table is None:
        return None
    args = {"id": resource["package_id"], "resource_id": resource["id"]} | ({"q": q} if q else {})
    page = Page(
        table["rows"],
        number,
        item_count=table["total"],
        items_per_page=ROWS,
        presliced_list=True,
        url=lambda page: tk.url_for("dataset_resource.read", **args, page=page),
    )
    return {**table, "q": q, "page": page}


# Citation ----------------------------------------------------------------------------------------
def satudata_sitasi(dataset: Mapping[str, Any]) -> dict[str, str] | None:
    """The parts of a citation: author, year, title, version, site, date, licence, url.

    Args:
        dataset: as package_show gives it.

    Returns:
        None for what is not published.
    """
    publication = h.satudata_terbitan(dataset["id"])
    if publication is None:
        return None
    published = dt.datetime.fromisoformat(publication["published_at"]).astimezone(WIB)
    date = h.satudata_tanggal(published)
    endpoint = f"{h.satudata_jenis(dataset)}.read"
    field = satudata_field(h.satudata_jenis(dataset), "license_id")
    office = (dataset.get("organization") or {}).get("title") or ""
    return {
        "author": office if "trenggalek" in office.lower() else f"{office} Kabupaten Trenggalek",
        "year": str(published.year),
        "title": tk.h.dataset_display_name(dataset),
        "version": str(publication["version"]),
        "site": tk.config["ckan.site_title"],
        "date": date,
        "iso": published.date().isoformat(),
        "licence": satudata_isi(field, dataset.get("license_id")) if field else "",
        "url": tk.url_for(endpoint, id=dataset["name"], locale="default", _external=True),
    }


def bibtex(cite: Mapping[str, str], key: str) -> str:
    """A citation as a BibTeX entry."""

    def escaped(value: str) -> str:
        return re.sub(r"([&%$#_{}])", r"\\\1", value.replace("\\", " "))

    fields = {
        "author": "{" + escaped(cite["author"]) + "}",
        "title": "{" + escaped(cite["title"]) + "}",
        "year": cite["year"],
        "version": cite["version"],
        "publisher": escaped(cite["site"]),
        "date": cite["iso"],
        "url": cite["url"],
        "note": escaped(cite["licence"]),
    }
    lines = [f"  {name} = {{{value}}}," for name, value in fields.items() if value]
    return "\n".join([f"@misc{{{key},", *lines, "}", ""])


def ris(cite: Mapping[str, str]) -> str:
    """A citation in the RIS format (one tag a line, ended by ER)."""
    fields = (
        ("TY", "DATA"),
        ("AU", cite["author"] + ","),  # the comma: the name of an office has no first name
        ("TI", cite["title"]),
        ("PY", cite["year"]),
        ("DA", cite["iso"].replace("-", "/")),
        ("ET", cite["version"]),
        ("PB", cite["site"]),
        ("UR", cite["url"]),
        ("N1", cite["licence"]),
        ("ER", ""),
    )
    flat = ((tag, " ".join(value.split())) for tag, value in fields)
    return "".join(f"{tag}  - {value}\r\n" for tag, value in flat if value or tag == "ER")


# Words that come as data -------------------------------------------------------------------------
def satudata_kata(text: Any) -> str:
    """A text of core's or of a schema in the reader's language, where a catalog has it."""
    return tk._(str(text)) if text else ""


def satudata_topik(group: Mapping[str, Any]) -> str:
    """The title of a group: that of the code list in the reader's language for the ten topics.

    Args:
        group: name, and display_name or title.
    """
    title = group.get("display_name") or group.get("title") or group["name"]
    field = satudata_field("dataset", "kategori")
    known = satudata_isi(field, group["name"]) if field else ""
    # A code that the list does not have comes back as it is.
    return title if known in ("", group["name"]) else known


# Addresses, caches -------------------------------------------------------------------------------
#: Pages that everybody reads, by endpoint, and that post nothing: no form token, so no session.
_OPEN_PAGES = (
    "home.index", "home.about", "dataset.search", "dataset.read", "kegiatan.search",
    "kegiatan.read", "organization.index", "organization.read", "organization.about",
    "group.index", "group.read", "group.about",
)  # fmt: skip


def satudata_tanpa_token() -> bool:
    """Whether a page needs no form token: it is open to all and its reader is not logged in."""
    return tk.current_user.is_anonymous and tk.request.endpoint in _OPEN_PAGES


def satudata_kanonik(locale: str | None = None) -> str:
    """The one address of an open page: without filters but what is searched and the page number.

    Args:
        locale: of the page, by default that of the reader.
    """
    args = {k: v for k, v in tk.request.args.items() if k in ("q", "page") and v}
    if args.get("page") == "1":
        del args["page"]
    view_args = tk.request.view_args or {}
    if locale:
        # The language that the portal speaks by itself has the address without a prefix.
        args["locale"] = "default" if locale == tk.config["ckan.locale_default"] else locale
    return tk.url_for(str(tk.request.endpoint), **{**args, **view_args}, _external=True)


def middleware(app: flask.Flask) -> None:
    """Let caches between the portal and its readers keep the home page of anonymous readers."""

    @app.after_request
    def cached(response: flask.Response) -> flask.Response:
        # Runs before core's, which writes Cache-Control by this flag (ckan/views/__init__.py).
        if (
            tk.request.endpoint in ("home.index", "home.about")
            and response.status_code == 200
            and tk.current_user.is_anonymous
            and not flask.session.modified
        ):
            tk.request.environ.pop("__no_cache__", None)
            response.cache_control.s_maxage = HOME_SECONDS
        return response


#: How long a cache may show the home page after it changed.
HOME_SECONDS = 60
