"""Register the portal's pages: one blueprint per page family, one layout, and one access check."""

from flask import Blueprint, Flask

from portal.web.alerts import settings_views
from portal.web.alerts import views as alert_views
from portal.web.assets import (
    action_views,
    bulk_views,
    merge_views,
    named_list_views,
    staff_views,
)
from portal.web.assets import views as asset_views
from portal.web.csv import views as csv_views
from portal.web.deliveries import bulk_retry_views, dismissal_views
from portal.web.deliveries import help_views as delivery_help_views
from portal.web.deliveries import views as delivery_views
from portal.web.find import missing_views
from portal.web.find import views as find_views
from portal.web.forms import filter_form
from portal.web.frame import access, layout, request_log, site_state
from portal.web.help import views as help_views
from portal.web.home import views as home_views
from portal.web.operations import (
    audit_views,
    backup_views,
    email_views,
    organization_views,
    probe_views,
    system_views,
)
from portal.web.people import (
    account_views,
    invitation_views,
    link_views,
    sign_in_views,
    token_views,
)
from portal.web.people import erasure_views as people_erasure_views
from portal.web.people import views as people_views
from portal.web.planning import views as planning_views
from portal.web.tasks import views as task_views
from portal.web.webhooks import (
    draft_views,
    edit_views,
    note_views,
    switch_views,
    take_views,
    watch_views,
)
from portal.web.webhooks import inbox_views as webhook_inbox_views
from portal.web.webhooks import views as webhook_views


def init_app(app: Flask) -> None:
    """Register the layout, the access check, and all page blueprints."""
    request_log.init_app(app)
    probe_views.init_app(app)
    layout.init_app(app)
    access.init_app(app)
    access.init_sessions(app)
    site_state.init_app(app)
    filter_form.init_app(app)
    for blueprint in BLUEPRINTS:
        app.register_blueprint(blueprint)


# One line per page family.
BLUEPRINTS: tuple[Blueprint, ...] = (
    home_views.blueprint,
    find_views.blueprint,
    account_views.theme_blueprint,
    sign_in_views.blueprint,
    link_views.blueprint,
    account_views.blueprint,
    sign_in_views.confirmations_blueprint,
    people_views.blueprint,
    invitation_views.blueprint,
    link_views.new_passwords_blueprint,
    people_erasure_views.blueprint,
    token_views.blueprint,
    asset_views.blueprint,
    asset_views.tabs_blueprint,
    csv_views.export_blueprint,
    bulk_views.blueprint,
    csv_views.blueprint,
    csv_views.match_blueprint,
    action_views.blueprint,
    planning_views.blueprint,
    alert_views.blueprint,
    settings_views.blueprint,
    merge_views.blueprint,
    named_list_views.categories,
    named_list_views.locations,
    staff_views.blueprint,
    delivery_views.blueprint,
    delivery_help_views.blueprint,
    dismissal_views.blueprint,
    bulk_retry_views.blueprint,
    task_views.blueprint,
    asset_views.stock_blueprint,
    webhook_views.blueprint,
    edit_views.blueprint,
    edit_views.secrets_blueprint,
    draft_views.blueprint,
    switch_views.held_blueprint,
    switch_views.blueprint,
    take_views.blueprint,
    note_views.blueprint,
    watch_views.blueprint,
    watch_views.account_blueprint,
    watch_views.links_blueprint,
    webhook_inbox_views.blueprint,
    help_views.blueprint,
    missing_views.blueprint,
    probe_views.blueprint,
    probe_views.security_txt_blueprint,
    organization_views.blueprint,
    system_views.blueprint,
    backup_views.blueprint,
    email_views.blueprint,
    audit_views.blueprint,
)
