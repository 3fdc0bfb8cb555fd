"""The JSON Schemas that anyone may download."""

from __future__ import annotations

import json

import pytest
from ckan.tests.helpers import CKANTestApp

from ckanext.satudata_trenggalek import schema, schema_export


@pytest.mark.parametrize("type_", schema.TYPES)
def test_download(app: CKANTestApp, type_: str) -> None:
    url = f"/satudata/skema/{type_}.json"
    answer = app.get(url)
    assert answer.content_type == "application/schema+json"
    assert json.loads(answer.text) == schema_export.json_schema(type_)
    assert answer.cache_control.public
    etag = answer.headers["ETag"]
    assert app.get(url, headers={"If-None-Match": etag}, status=304).text == ""
    english = app.get(f"/en{url}")
    assert english.headers["ETag"] != etag
    assert (
        json.loads(english.text)["properties"]["title"]["title"]
        != (json.loads(answer.text)["properties"]["title"]["title"])
    )


@pytest.mark.parametrize("type_", ["harvest", "organization", "..%2Fdataset"])
def test_no_other_type(app: CKANTestApp, type_: str) -> None:
    assert "Traceback" not in app.get(f"/satudata/skema/{type_}.json", status=404).text
