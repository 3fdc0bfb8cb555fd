"""Content-addressed uploads (placeholder for the interfaces; being filled in)."""

from __future__ import annotations

from typing import Any

from ckan.lib.uploader import FKResourceUpload

from .model import File


class ContentUpload(FKResourceUpload):
    """Uploader of resources."""


def get_resource_uploader(resource: dict[str, Any]) -> ContentUpload:
    """For ``IUploader.get_resource_uploader``."""
    return ContentUpload(resource)


def portal_fields(resource: dict[str, Any]) -> None:
    """Set what the portal alone says of a resource (hash, size, mimetype, datastore_active).

    ``package_create`` never asks the uploader: call this for each of its resources.
    """


def pointer(resource_id: str) -> File | None:
    """The bytes of a resource, None when it has no file."""


def after_request(response: Any) -> Any:
    """For ``app.after_request`` (``IMiddleware.make_middleware``): headers of downloads."""
    return response


def collect(grace_hours: float = 24) -> int:
    """Remove bytes that nothing points to; how many objects were removed."""
    return 0
