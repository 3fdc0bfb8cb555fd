"""One typed reader per option; declared in config_declaration.yaml."""

from __future__ import annotations

from pathlib import Path

import ckan.plugins.toolkit as tk


def hari_pembina() -> int:
    """Working days that the Pembina Data has for the second check (Perpres 39/2019 Ps 35)."""
    return tk.config["ckanext.satudata_trenggalek.hari_pembina"]


def anchor_file() -> Path:
    """The file outside the database that repeats the anchors of the record."""
    told = tk.config["ckanext.satudata_trenggalek.anchor_file"]
    return Path(told or f"{tk.config['ckan.storage_path']}/anchor.jsonl")
