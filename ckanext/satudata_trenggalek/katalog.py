"""Import of a catalogue of datasets as drafts: title and variables now, the rest by the OPD.

The file has one JSON object a line (JSON Lines), as the portal before this one describes its
datasets: ``{"id": 127, "judul": "TANAMAN PADI", "kolom": [{"nama": "luas_panen_ha",
"judul": "LUAS PANEN (Ha)", "tipe": "Angka/Numerik", "panjang": "…"}]}``. Entries without columns
are headings of other tables and make no dataset.
"""

from __future__ import annotations

import csv
import itertools
import json
import re
import uuid
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import ckan.model as core
import ckan.plugins.toolkit as tk
from ckan.lib.munge import munge_title_to_name
from ckan.lib.search.common import make_connection

from ckanext.satudata_trenggalek import gate, guess, schema, tables
from ckanext.satudata_trenggalek.personal import is_personal_name

Row = dict[str, Any]

#: Of the ids of imported datasets, so that a second import finds what the first one made.
NAMESPACE = uuid.UUID("6d0f9d0e-4f0e-5b8e-9f3c-3503a7c1e5d1")
#: Where a blocker lies (its field, as a regular expression) -> column of the report, first match.
KINDS = {
    "kegiatan": r"id_kegiatan",
    "indikator": r"indikator(/.*)?",
    "variabel": r"resources/[^/]+/variabel(/.*)?",
    "berkas": r"resources(/.*)?",
    "isian": r".*",
}
#: The former portal's keys of its own tables, and what they pointed to.
_RENAMED = {"ID Data Kecamatan": "kecamatan", "ID Data Bulan": "bulan"}


@dataclass(frozen=True)
class Entry:
    """A dataset of the catalogue."""

    line: int
    id: str
    judul: str
    kolom: list[dict[str, str]]


@dataclass
class Result:
    """What became of an entry."""

    entry: Entry
    title: str
    #: "baru", "sudah ada" or "dihapus" (an import brings nothing back)
    state: str
    name: str
    #: Columns that hold personal data by their name.
    personal: list[str]
    notes: list[str]
    blockers: list[dict[str, str]] = field(default_factory=list)

    @property
    def lacks(self) -> Counter[str]:
        """Number of blockers by kind (`KINDS`)."""
        return Counter(kind_of(blocker["field"]) for blocker in self.blockers)


def kind_of(blocked: str) -> str:
    """The kind of a blocker, by its field."""
    return next(kind for kind, pattern in KINDS.items() if re.fullmatch(pattern, blocked))


# --- Reading -------------------------------------------------------------------------------------


def read(path: Path) -> tuple[list[Entry], list[str], int]:
    """Entries of a catalogue.

    Returns:
        entries with columns, what is wrong (each with its line number), number of entries without
        columns.
    """
    entries: list[Entry] = []
    problems: list[str] = []
    empty, seen = 0, dict[str, int]()
    with path.open("rb") as stream:
        for number, line in enumerate(stream, 1):
            if not line.strip():
                continue
            try:
                entry = _entry(number, line)
                if entry.id in seen:
                    raise ValueError(f"id {entry.id} sudah ada pada baris {seen[entry.id]}")
            except ValueError as error:
                problems.append(f"Baris {number}: {error}. Baris ini dilewati.")
                continue
            seen[entry.id] = number
            if entry.kolom:
                entries.append(entry)
            else:
                empty += 1
    return entries, problems, empty


def _entry(number: int, line: bytes) -> Entry:
    """One line.

    Raises:
        ValueError: with what is wrong, in words.
    """
    try:
        content = json.loads(line.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        raise ValueError(f"bukan UTF-8 (bita ke-{error.start + 1})") from None
    except (json.JSONDecodeError, RecursionError) as error:
        raise ValueError(f"bukan JSON ({getattr(error, 'msg', 'terlalu dalam')})") from None
    if not isinstance(content, dict):
        raise ValueError("bukan objek JSON {...}")
    id_, judul, kolom = (content.get(key) for key in ("id", "judul", "kolom"))
    if isinstance(id_, bool) or not isinstance(id_, (int, str)) or not str(id_).strip():
        raise ValueError("id tidak ada")
    if not isinstance(judul, str) or not judul.strip():
        raise ValueError("judul tidak ada")
    if not isinstance(kolom, list):
        raise ValueError("kolom bukan daftar")
    columns = []
    for position, column in enumerate(kolom, 1):
        nama = column.get("nama") if isinstance(column, dict) else None
        if not isinstance(nama, str) or not nama.strip():
            raise ValueError(f"kolom ke-{position} tanpa nama")
        columns.append({key: str(column.get(key) or "") for key in ("nama", "judul", "tipe")})
    most = schema.find("dataset", "variabel", "resource_fields")["paling_banyak"]
    if len(columns) > most:
        raise ValueError(f"{len(columns)} kolom, paling banyak {most}")
    return Entry(number, str(id_).strip(), judul.strip(), columns)


# --- Wording -------------------------------------------------------------------------------------

_SMALL = frozenset(
    re.findall(
        "[a-z]+",
        "bagi dan dari dalam dengan di ke oleh pada per se secara untuk yang atau",
    )
)
_ACRONYMS = frozenset(
    re.findall(
        "[A-Z]+",
        """
    APBD APBN ASN BABS BBL BBM BDN BLU BLUD BPNT BPS BUM BUMD BUMN DAK DPRD DPT DTKS HIV HP ID IKM
    IMB ISBN JDIH JKN KBLI KDH KIS KK KKN KONI KTP LKPJ LPM LPPD MPU NIB NIK NKK NPSN ODGJ ODS OPD
    OSS PAUD PBI PDI PIP PKH PKK PKL PMKS PNS POLRI PPH PPPK PTM PWNI RMU RP RSUD RT RTH RW SD SDM
    SK SKCK SKTM SKU SKUD SMA SMK SMP SMT SOP SPM SPMB TKI TNI TPA TPQ TPS UMKM I II III IV V VI VII
    VIII IX X A B C E
        """,
    )
)
#: Written small in brackets.
_UNITS = frozenset(["ha", "kg", "km", "km2", "ku", "ku/ha", "m", "m2"])
#: What a title does not say: that it is data, and whose (the publisher says it).
_BEFORE = re.compile(r"DATA (?!TERPADU)", re.IGNORECASE)
_AFTER = re.compile(
    r"[,\s]+((DI|SE[- ]?|PADA)\s*)?KAB(\.|UPATEN)\s*TRENGGALEK(?=$|\s+(TAHUN\s+)?[0-9])",
    re.IGNORECASE,
)


def _word(word: str, first: bool, sentence: bool) -> str:
    upper, lower = word.upper(), word.lower()
    if upper in _ACRONYMS:
        return upper
    if not first and (sentence or lower in _SMALL):
        return lower
    return lower[:1].upper() + lower[1:]


def tidy(text: str, sentence: bool = False) -> str:
    """Words in capitals as people write them; anything else only loses spare blanks.

    Args:
        text: of the catalogue, in capitals as a rule.
        sentence: capitals at the beginning only, for the name of a column.
    """
    text = " ".join(text.replace("_", " ").split())
    if not text.isupper() and not (sentence and re.sub(r"\([^)]*\)", "", text).isupper()):
        return text[:1].upper() + text[1:] if sentence else text
    # A unit in brackets is no word: (Ha), (Ku/Ha).
    parts = re.split(r"(\([^()]*\))", text)
    done, first = "", True
    for part in parts:
        unit = part[1:-1].strip().lower() if part.startswith("(") else ""
        if unit in _UNITS:
            done += f"({unit})"
            continue
        for piece in re.split(r"([A-Za-z0-9]+)", part):
            is_word = bool(re.fullmatch("[A-Za-z0-9]+", piece))
            done += _word(piece, first, sentence) if is_word else piece
            first = first and not is_word
    return done


def title(judul: str) -> str:
    """Title of the draft: without "DATA" before it and the regency after it."""
    text = " ".join(judul.split())
    if before := _BEFORE.match(text):
        text = text[before.end() :]
    return tidy(_AFTER.sub("", text)) or tidy(judul)


def column(of_catalogue: dict[str, str]) -> str:
    """Name of a column in the tables to come."""
    return _RENAMED.get(of_catalogue["judul"]) or of_catalogue["nama"]


def label(of_catalogue: dict[str, str]) -> str:
    """What people call a column."""
    return tidy(of_catalogue["judul"].removeprefix("ID Data "), sentence=True)


# --- Drafts --------------------------------------------------------------------------------------


def variables(entry: Entry) -> tuple[list[Row], list[str]]:
    """MS-Variabel of an entry as far as it is known, and what was changed on the way.

    Returns:
        rows with what the catalogue says and what it gives away.
    """
    names = tables.column_names(column(c) for c in entry.kolom)
    taken: set[str] = set()
    notes: list[str] = []
    for position, (name, old) in enumerate(zip(names, entry.kolom, strict=True)):
        # Names of variables are told apart without regard to capitals, as those of files are not.
        base, again = name, itertools.count(2)
        while name.casefold() in taken:
            name = f"{base}_{next(again)}"
        taken.add(name.casefold())
        names[position] = name
        if name != column(old):
            notes.append(f"kolom “{column(old)}” menjadi “{name}”")
    known = [
        {"nama": name, "judul": label(old), "tipe": old["tipe"]}
        for name, old in zip(names, entry.kolom, strict=True)
    ]
    return guess.rows(known), notes


def personal(entry: Entry) -> list[str]:
    """Names of the columns that hold personal data (UU 27/2022 Pasal 4), judged by their names."""
    return [c["nama"] for c in entry.kolom if any(map(is_personal_name, (c["nama"], c["judul"])))]


def id_of(organization_id: str, entry: Entry) -> str:
    """Id of the dataset that an import into this organization makes of an entry."""
    return str(uuid.uuid5(NAMESPACE, f"{organization_id}/{entry.id}"))


def dataset(entry: Entry, organization_id: str) -> tuple[dict[str, Any], list[str]]:
    """The draft of an entry, as package_create takes it, and what was changed on the way."""
    rows, notes = variables(entry)
    name = title(entry.judul)
    id_ = id_of(organization_id, entry)
    slug = munge_title_to_name(name)[:80].strip("-_")
    return {
        "id": id_,
        # Another OPD may have imported the same catalogue.
        "name": f"{slug}-{id_[:8]}",
        "title": name,
        "owner_org": organization_id,
        "resources": [{"name": name, "variabel": rows}],
    }, notes


@contextmanager
def one_commit() -> Iterator[None]:
    """Let Solr commit once, at the end: after each of many writes it takes half the time."""
    setting = "ckan.search.solr_commit"
    before, tk.config[setting] = tk.config[setting], False
    try:
        yield
    finally:
        tk.config[setting] = before
        make_connection().commit()


def run(
    entries: list[Entry], organization: str, user: str, told: Callable[[Result], None]
) -> list[str]:
    """Make a draft of every entry that has none yet; what exists is left alone.

    Args:
        entries: with columns.
        organization: name or id of the organization that owns the drafts.
        user: name of the account that makes them, and so does not check them later.
        told: called with what became of each entry, in order.

    Returns:
        what is wrong, each with its line number.

    Raises:
        tk.ObjectNotFound: no such organization.
        tk.NotAuthorized: the account may not make datasets of it.
    """
    found = core.Group.get(organization)
    if found is None or not found.is_organization or found.state != "active":
        raise tk.ObjectNotFound(f"Organisasi {organization} tidak ada.")
    context: Any = {"user": user}
    tk.check_access("package_create", context, {"owner_org": found.id})
    problems = []
    with one_commit():
        for entry in entries:
            try:
                result = _draft(entry, found.id, user)
            except tk.ValidationError as error:
                core.Session.rollback()
                reasons = "; ".join(f"{k}: {v}" for k, v in error.error_summary.items())
                problems.append(
                    f"Baris {entry.line} (id {entry.id}): {reasons}. Baris ini dilewati."
                )
            else:
                told(result)
    return problems


def _draft(entry: Entry, organization_id: str, user: str) -> Result:
    content, notes = dataset(entry, organization_id)
    # Who may make datasets was asked before; an id of its own is a sysadmin's to give.
    trusted: Any = {"user": user, "ignore_auth": True}
    package, state = core.Package.get(content["id"]), "baru"
    if package is None:
        maker = core.User.get(user)
        with gate.acting(maker.id if maker else None):
            tk.get_action("package_create")(trusted.copy(), content)
    else:
        state = "dihapus" if package.state == "deleted" else "sudah ada"
        content |= {"name": package.name, "title": package.title}
    result = Result(
        entry,
        content["title"],
        state,
        content["name"],
        personal(entry),
        notes,
    )
    if state != "dihapus":
        shown = tk.get_action("satudata_status_show")(trusted, {"id": content["id"]})
        result.blockers = shown["blockers"]
    return result


# --- Report --------------------------------------------------------------------------------------

#: Columns of the table on the screen: heading, width.
_WIDTHS = {"id": 5, "kolom": 5, **dict.fromkeys([*KINDS, "kurang"], 9), "keadaan": 9}
#: How many blockers a row of the report names.
FIRST = 3


def heading() -> str:
    """First line of the table on the screen."""
    return " ".join(f"{name:>{width}}" for name, width in _WIDTHS.items()) + "  judul"


def line(result: Result) -> str:
    """A row of the table on the screen."""
    lacks = result.lacks
    cells: dict[str, Any] = {
        "id": result.entry.id,
        "kolom": len(result.entry.kolom),
        "kurang": len(result.blockers),
        "keadaan": result.state,
        **{kind: lacks[kind] for kind in KINDS},
    }
    told = " ".join(f"{cells[name]:>{width}}" for name, width in _WIDTHS.items())
    told += f"  {result.title}"
    return told + (f" [data pribadi: {', '.join(result.personal)}]" if result.personal else "")


def summary(results: list[Result], problems: list[str], empty: int) -> list[str]:
    """What the whole import came to, in sentences."""
    states = Counter(result.state for result in results)
    lacks: Counter[str] = sum((result.lacks for result in results), Counter())
    lines = [
        f"{states['baru']} draf baru, {states['sudah ada']} sudah ada, {states['dihapus']} sudah "
        f"dihapus, {empty} entri tanpa kolom, {len(problems)} baris dilewati."
    ]
    if results and not states["baru"]:
        lines.append("Tidak ada yang baru: semua entri sudah diimpor sebelumnya.")
    if lacks:
        parts = ", ".join(f"{kind} {lacks[kind]}" for kind in KINDS)
        lines.append(f"Yang masih kurang: {sum(lacks.values())} ({parts}).")
    if private := [result for result in results if result.personal]:
        names = ", ".join(f"{r.title} ({', '.join(r.personal)})" for r in private)
        lines.append(f"{len(private)} entri menyebut kolom data pribadi: {names}.")
    return lines


def write(path: Path, results: Iterable[Result]) -> None:
    """The report as CSV (UTF-8 with its mark, which Excel wants)."""
    names = [
        "baris", "id", "judul_katalog", "dataset", "judul", "keadaan", "kolom", "data_pribadi",
        "kurang", *KINDS, "kurang_pertama", "catatan",
    ]  # fmt: skip
    with path.open("w", encoding="utf-8-sig", newline="") as stream:
        writer = csv.DictWriter(stream, names)
        writer.writeheader()
        for result in results:
            lacks = result.lacks
            row: dict[str, Any] = {
                "baris": result.entry.line,
                "id": result.entry.id,
                "judul_katalog": result.entry.judul,
                "dataset": result.name,
                "judul": result.title,
                "keadaan": result.state,
                "kolom": len(result.entry.kolom),
                "data_pribadi": ", ".join(result.personal),
                "kurang": len(result.blockers),
                "kurang_pertama": " | ".join(b["message"] for b in result.blockers[:FIRST]),
                "catatan": "; ".join(result.notes),
            }
            row |= {kind: lacks[kind] for kind in KINDS}
            writer.writerow({key: _cell(value) for key, value in row.items()})


def _cell(value: Any) -> Any:
    """A spreadsheet would run text that begins so as a formula."""
    return f"'{value}" if isinstance(value, str) and value[:1] in tuple("=+-@\t\r") else value
