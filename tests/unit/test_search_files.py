"""NIK and NKK in uploads that are no table, whatever they are called and wherever they stand."""

from __future__ import annotations

import gzip
import io
import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import xlsxwriter

from ckanext.satudata_trenggalek import findings, search_files

#: Made up: Trenggalek, kecamatan 01, born 12 March 1990.
NIK = "3503011203900001"


def archive(**members: bytes) -> bytes:
    """A ZIP; "__" in a name stands for "/", "_" at its end for nothing."""
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w", zipfile.ZIP_DEFLATED) as out:
        for name, content in members.items():
            out.writestr(name.replace("__", "/").replace("DOT", "."), content)
    return data.getvalue()


def workbook(hidden: bool = False) -> bytes:
    data = io.BytesIO()
    with xlsxwriter.Workbook(data, {"in_memory": True}) as book:
        book.add_worksheet("Data").write_row(0, 0, ["nama", "jumlah"])
        sheet = book.add_worksheet("Sumber")
        sheet.write_row(0, 0, ["A", float(NIK)])
        if hidden:
            sheet.hide()
    return data.getvalue()


def document(*runs: str, **more: bytes) -> bytes:
    """A Word file of one paragraph."""
    text = "".join(f"<w:r><w:rPr><w:b/></w:rPr><w:t>{run}</w:t></w:r>" for run in runs)
    body = f"<w:document><w:body><w:p>{text}</w:p></w:body></w:document>".encode()
    types = {"[Content_Types]DOTxml": b"<Types/>", "word__documentDOTxml": body}
    return archive(**types, **more)


def sheet_of_libreoffice() -> bytes:
    """An ODS with one cell; the number is its value and its text."""
    office = "urn:oasis:names:tc:opendocument:xmlns:"
    content = (
        f'<office:document-content xmlns:office="{office}office:1.0"'
        f' xmlns:table="{office}table:1.0" xmlns:text="{office}text:1.0">'
        '<office:body><office:spreadsheet><table:table table:name="A"><table:table-row>'
        f'<table:table-cell office:value-type="string"><text:p>{NIK}</text:p></table:table-cell>'
        "</table:table-row></table:table></office:spreadsheet></office:body>"
        "</office:document-content>"
    )
    manifest = b'<manifest xmlns="urn:oasis:names:tc:opendocument:xmlns:manifest:1.0"/>'
    return archive(
        mimetype=b"application/vnd.oasis.opendocument.spreadsheet",
        contentDOTxml=content.encode(),
        **{"META-INF__manifestDOTxml": manifest},
    )


LIST = f"nama;nik\nSiti;{NIK}\n".encode()
GEOJSON = json.dumps({"features": [{"x": [111.7, -8.05]}] * 90_000 + [{"nik": int(NIK)}]}).encode()


@pytest.mark.parametrize(
    "content",
    [
        LIST,
        LIST.decode().encode("utf-16"),
        b"\0\1\2" + LIST,  # as in a dBase table
        GEOJSON,  # one line of 2 MB
        f"<html><table><td>{NIK}</td></table>".encode(),
        gzip.compress(LIST),
        archive(daftarDOTcsv=LIST),
        archive(aDOTzip=archive(bDOTgz=gzip.compress(workbook()))),
        workbook(hidden=True),
        sheet_of_libreoffice(),
        document("NIK: ", NIK),
        document(NIK[:5], NIK[5:]),  # in two runs, as when half of it is bold
        document("grafik", word__embeddings__sheetDOTxlsx=workbook()),
        document("x", word__commentsDOTxml=f"<w:comment><w:p>{NIK}</w:p></w:comment>".encode()),
    ],
    ids=[
        "text", "utf-16", "binary", "geojson", "html", "gzip", "zip", "nested", "hidden sheet",
        "libreoffice", "document", "two runs", "embedded sheet", "comment",
    ],
)  # fmt: skip
def test_found_wherever_it_stands(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "berkas"
    file.write_bytes(content)
    found = search_files.anywhere(str(file))
    assert found and {f["kind"] for f in found} == {"data_pribadi"}
    assert all(f["blocking"] for f in found) and NIK not in json.dumps(found)
    assert all("NIK" in findings.message(f) and NIK not in findings.message(f) for f in found)


def test_the_file_inside_is_named_but_not_by_personal_data(tmp_path: Path) -> None:
    file = tmp_path / "a.zip"
    file.write_bytes(archive(**{f"dusun__daftar {NIK}DOTcsv": LIST, "rtDOTcsv": LIST}))
    words = [findings.message(f) for f in search_files.anywhere(str(file))]
    assert any("Di dalamnya, “rt.csv”" in text for text in words) and NIK not in " ".join(words)


@pytest.mark.parametrize(
    "content",
    [
        b"kecamatan,jumlah\nPanggul,12\n",
        f"nomor\n1{NIK}\n".encode(),
        document("Jumlah ", "12"),
        document(NIK[:9], *["</w:t></w:r></w:p><w:p><w:r><w:t>"], NIK[9:]),  # two paragraphs
        archive(aDOTcsv=b"a,b\n1,2\n"),
    ],
    ids=["csv", "longer number", "document", "two paragraphs", "zip"],
)
def test_others_are_clean(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "berkas"
    file.write_bytes(content)
    assert search_files.anywhere(str(file)) == []


def _locked() -> bytes:
    """A ZIP whose directory says that its file has a password."""
    data = bytearray(archive(aDOTcsv=LIST))
    for mark, at in ((b"PK\3\4", 6), (b"PK\1\2", 8)):
        data[data.index(mark) + at] |= 1
    return bytes(data)


def _deep() -> bytes:
    content = LIST
    for _ in range(search_files.MAX_DEPTH + 1):
        content = archive(aDOTzip=content)
    return content


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (_locked, "arsip"),
        (_deep, "arsip"),
        (lambda: gzip.compress(LIST)[:-12], "arsip"),
        (lambda: b"Rar!\x1a\x07\x01\x00" + bytes(99), "arsip"),
        (lambda: b"7z\xbc\xaf\x27\x1c" + bytes(99), "arsip"),
        (lambda: bytes(257) + b"ustar\x0000" + bytes(248) + workbook(), "arsip"),
        (lambda: b"%PDF-1.7\n\x80\x81" + bytes(99), "isi"),
        (lambda: b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + bytes(40), "isi"),
        (lambda: archive(fotoDOTpng=b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + bytes(40)), "isi"),
    ],
)
def test_what_cannot_be_searched_is_told(
    tmp_path: Path, make: Callable[[], bytes], reason: str
) -> None:
    file = tmp_path / "berkas"
    file.write_bytes(make())
    (finding,) = search_files.anywhere(str(file))
    assert (finding["kind"], finding["reason"]) == ("tidak_tercari", reason)
    # An archive that nobody opens may hold the very table; a PDF is for people to read.
    assert finding["blocking"] == (reason == "arsip") and findings.message(finding)


@pytest.mark.parametrize("limit", [{"MAX_BYTES": 10_000}, {"MAX_MEMBERS": 2}])
def test_archives_are_bounded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: dict[str, Any]
) -> None:
    for name, value in limit.items():
        monkeypatch.setattr(search_files, name, value)
    file = tmp_path / "a.zip"
    file.write_bytes(archive(**{f"{n}DOTtxt": b"0" * 6_000 for n in range(3)}))
    (finding,) = search_files.anywhere(str(file))
    assert finding["reason"] == "arsip" and finding["blocking"]
