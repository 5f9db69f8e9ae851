"""The JSON API: the same services, permissions, and sentences as the pages, for programs."""

from flask import Blueprint, Flask

from portal.api import (
    actions,
    alerts,
    assets,
    deliveries,
    events,
    me,
    named_lists,
    planning,
    reference,
    spec,
    staff,
    views,
    webhooks,
    work,
)
from portal.api.operations import Operation
from portal.extensions import csrf

OPERATIONS: tuple[Operation, ...] = (
    *me.OPERATIONS,
    *assets.OPERATIONS,
    *actions.OPERATIONS,
    *planning.OPERATIONS,
    *staff.OPERATIONS,
    *named_lists.OPERATIONS,
    *webhooks.OPERATIONS,
    *deliveries.OPERATIONS,
    *work.OPERATIONS,
    *alerts.OPERATIONS,
    *events.OPERATIONS,
)


def init_app(app: Flask) -> None:
    """Register every operation. Tokens replace cookies and CSRF tokens."""
    blueprint = Blueprint("api", __name__, url_prefix="/api/v1")
    for each in OPERATIONS:
        view = views.view_of(each)
        blueprint.add_url_rule(each.path, each.name, view, methods=[each.method])
    blueprint.add_url_rule("/openapi.json", "openapi", spec.view_of(OPERATIONS))
    csrf.exempt(blueprint)
    app.register_blueprint(blueprint)
    app.add_url_rule("/help/api", "api_reference", reference.page_of(OPERATIONS))
