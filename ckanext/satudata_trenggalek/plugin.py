"""The plugin: CKAN's interfaces, one line each."""

from __future__ import annotations

from typing import Any

import ckan.plugins as p
import ckan.plugins.toolkit as tk
from ckan.authz import get_local_functions
from ckan.lib.plugins import DefaultTranslation

from ckanext.satudata_trenggalek import config as own_config
from ckanext.satudata_trenggalek import (
    files,
    forms,
    helpers,
    publik,
    reading,
    schema,
    schema_check,
)
from ckanext.satudata_trenggalek.doors import accounts as accounts  # it listens
from ckanext.satudata_trenggalek.doors import arguments, hiding, requests, writing
from ckanext.satudata_trenggalek.doors import auth as door_auth
from ckanext.satudata_trenggalek.logic import (
    action,
    auth,
    data,
    data_auth,
    notice,
    queue,
    review,
    review_auth,
)
from ckanext.satudata_trenggalek.views import data_pribadi
from ckanext.satudata_trenggalek.views import forms as form_views


@tk.blanket.actions(
    dict(get_local_functions(action))
    | dict(get_local_functions(data))
    | dict(get_local_functions(queue))
    | dict(get_local_functions(review))
    | dict(get_local_functions(notice))
    | writing.ACTIONS
    | hiding.ACTIONS
)
@tk.blanket.auth_functions(
    dict(get_local_functions(auth))
    | dict(get_local_functions(data_auth))
    | dict(get_local_functions(review_auth))
    | notice.AUTH
    | door_auth.AUTH
)
@tk.blanket.blueprints
@tk.blanket.cli
@tk.blanket.config_declarations
@tk.blanket.helpers(
    dict(get_local_functions(helpers))
    | {
        name: f
        for module in (forms, publik)
        for name, f in get_local_functions(module)
        if name.startswith("satudata_")
    }
    | {"satudata_vocab_choices": schema.satudata_vocab_choices}
    | {"satudata_temuan": data_pribadi.satudata_temuan}
)
@tk.blanket.validators
class SatudataTrenggalekPlugin(reading.Labels, DefaultTranslation, p.SingletonPlugin):
    """Satu Data Trenggalek."""

    p.implements(p.IConfigurable)
    p.implements(p.IConfigurer)
    p.implements(p.IMiddleware, inherit=True)
    p.implements(p.IPackageController, inherit=True)
    p.implements(p.IPermissionLabels)
    p.implements(p.ITranslation)
    p.implements(p.IUploader, inherit=True)

    def __init__(self, **kwargs: Any) -> None:
        """Check the schemas before scheming reads them, so that an error is told in our words."""
        schema_check.check()
        super().__init__(**kwargs)

    def update_config(self, config: Any) -> None:
        """Templates, public files and assets."""
        tk.add_template_directory(config, "templates")
        tk.add_public_directory(config, "public")
        tk.add_resource("assets", "satudata_trenggalek")

    def configure(self, config: Any) -> None:
        """Read the calendar at the start, so that a broken file is told then and not by a page."""
        own_config.kalender()

    def make_middleware(self, app: Any, config: Any) -> Any:
        """Limits of uploads, headers of downloads, forms, where requests come from, caches."""
        files.middleware(app)
        publik.middleware(app)
        form_views.middleware(app)
        requests.middleware(app)
        arguments.middleware(app)
        return app

    def get_resource_uploader(self, data_dict: dict[str, Any]) -> Any:
        """Content-addressed uploads."""
        return files.get_resource_uploader(data_dict)

    def after_dataset_create(self, context: Any, pkg_dict: dict[str, Any]) -> None:
        """Inside core's transaction, before its commit."""
        writing.after_dataset_create(context, pkg_dict)

    def after_dataset_update(self, context: Any, pkg_dict: dict[str, Any]) -> None:
        """Likewise."""
        writing.after_dataset_update(context, pkg_dict)

    def after_dataset_show(self, context: Any, pkg_dict: dict[str, Any]) -> None:
        """Public fields."""
        reading.after_dataset_show(context, pkg_dict)

    def after_dataset_search(
        self, search_results: dict[str, Any], search_params: dict[str, Any]
    ) -> dict[str, Any]:
        """Public fields; nothing stale."""
        return reading.after_dataset_search(search_results, search_params)

    def before_dataset_search(self, search_params: dict[str, Any]) -> dict[str, Any]:
        """What the check above needs."""
        return reading.before_dataset_search(search_params)

    def before_dataset_index(self, pkg_dict: dict[str, Any]) -> dict[str, Any]:
        """Second lock."""
        return reading.before_dataset_index(pkg_dict)
