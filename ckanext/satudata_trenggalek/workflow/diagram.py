"""docs/alur.md, drawn from the table: `python -m ckanext.satudata_trenggalek.workflow.diagram`."""

from __future__ import annotations

from ckanext.satudata_trenggalek.workflow.table import STATUSES, TRANSITIONS

_HEAD = """# Alur

Dibuat dari `workflow/table.py`; jangan diubah dengan tangan:
`python -m ckanext.satudata_trenggalek.workflow.diagram > docs/alur.md`
"""


def _peran(names: tuple[str, ...]) -> str:
    return ", ".join(name.replace("_", " ").title() for name in names)


def render() -> str:
    """The statuses and transitions as a Mermaid diagram and two tables, in Markdown."""
    lines = [_HEAD, "```mermaid", "stateDiagram-v2", "    [*] --> draf"]
    for t in TRANSITIONS.values():
        lines += [f"    {source} --> {t.target}: {t.name}" for source in t.sources]
    lines += [
        "```",
        "",
        "## Status",
        "",
        "| Status | Label | Publik | Yang mengubah isi | Langkah SOP | Hari kerja |",
        "|---|---|---|---|---|---|",
    ]
    for s in STATUSES.values():
        edits = _peran((s.edits.value,)) if s.edits else "tidak ada"
        lines.append(
            f"| `{s.name}` | {s.label} | {'ya' if s.public else 'tidak'} | {edits}"
            f" | {s.sop_step or '-'} | {s.days or '-'} |"
        )
    lines += [
        "",
        "## Tindakan",
        "",
        "| Tindakan | Tombol | Dari | Ke | Peran | Langkah SOP | Catatan | Syarat |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for t in TRANSITIONS.values():
        lines.append(
            f"| `{t.name}` | {t.label} | {', '.join(t.sources)} | {t.target}"
            f" | {_peran(tuple(p.value for p in t.peran))} | {t.sop_step or '-'}"
            f" | {'wajib' if t.note_required else '-'} | {', '.join(t.guards) or '-'} |"
        )
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    print(render(), end="")
