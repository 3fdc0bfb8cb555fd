"""DataStore loader (placeholder for the interfaces; being filled in)."""

from __future__ import annotations

from contextvars import ContextVar
from typing import Any

from .model import Table

#: True while the loader itself writes to the DataStore.
loading: ContextVar[bool] = ContextVar("satudata_loading", default=False)


def is_table(resource: dict[str, Any]) -> bool:
    """Whether a resource is an uploaded CSV, TSV, XLSX or XLS."""
    return False


def sync(package_id: str) -> list[str]:
    """Enqueue what is to be loaded; call after the commit of any package write."""
    return []


def enqueue(resource_id: str) -> None:
    """Queue the load of one resource."""


def load(resource_id: str) -> None:
    """Load one resource (the job). Idempotent."""


def state(resource_id: str) -> Table | None:
    """The load state of a resource."""


def loaded_sha(resource_id: str) -> str | None:
    """SHA-256 of the bytes that stand in the DataStore, None while they don't."""


def pending(package_id: str) -> list[str]:
    """Ids of the dataset's table resources that wait for their load or are in it."""
    return []


def failures(package_id: str) -> dict[str, str]:
    """Message per table resource of the dataset whose load failed."""
    return {}


def requeue_stuck(minutes: int = 10) -> int:
    """Enqueue again what was lost (Redis down, worker killed, DataStore down)."""
    return 0
