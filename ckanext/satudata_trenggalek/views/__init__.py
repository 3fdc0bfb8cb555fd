"""Pages. A module of the workflow's pages adds its routes to the blueprint of dasar.py."""

from __future__ import annotations

from ckanext.satudata_trenggalek.views import antrean, pemeriksaan, riwayat, tugas  # noqa: F401
from ckanext.satudata_trenggalek.views.dasar import satudata  # noqa: F401
from ckanext.satudata_trenggalek.views.data_pribadi import satudata_data_pribadi  # noqa: F401
from ckanext.satudata_trenggalek.views.forms import satudata_formulir  # noqa: F401
from ckanext.satudata_trenggalek.views.metadata import satudata_metadata  # noqa: F401
from ckanext.satudata_trenggalek.views.pemberitahuan import satudata_pemberitahuan  # noqa: F401
from ckanext.satudata_trenggalek.views.publik import satudata_publik  # noqa: F401
from ckanext.satudata_trenggalek.views.skema import satudata_skema  # noqa: F401
