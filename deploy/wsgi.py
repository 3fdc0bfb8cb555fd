"""The WSGI application for gunicorn or uwsgi; the settings file is named by CKAN_INI."""

from __future__ import annotations

import atexit
import gc
import os

from ckan.cli import CKANConfigLoader
from ckan.config.middleware import make_app

application = make_app(CKANConfigLoader(os.environ["CKAN_INI"]).get_config())

# What is loaded by now stays: looking through it for garbage, again and again, takes a quarter of
# the time of a search.
gc.collect()
gc.freeze()
# A search makes more objects than Python by default lets pass between two looks (700).
gc.set_threshold(20_000, 10, 10)
atexit.register(gc.unfreeze)  # else modules in C complain at the end
