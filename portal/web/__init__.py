"""The pages: one blueprint a family, in one frame, behind one access check."""

from flask import Blueprint, Flask

from portal.web import (
    access,
    account,
    actions,
    alert_settings,
    alerts,
    asset_parts,
    assets,
    audit,
    auth,
    banners,
    batches,
    bulk,
    categories,
    deliveries,
    delivery_help,
    exporting,
    frame,
    help,
    help_status,
    home,
    importing,
    inbox,
    invitations,
    joining,
    locations,
    new_passwords,
    operations,
    people,
    planning,
    staff,
    stock,
    system,
    tasks,
    traffic,
    webhook_drafts,
    webhook_forms,
    webhook_held,
    webhook_switches,
    webhooks,
)


def init_app(app: Flask) -> None:
    """Give the application its frame, its access check and its pages."""
    traffic.init_app(app)
    frame.init_app(app)
    access.init_app(app)
    for blueprint in BLUEPRINTS:
        app.register_blueprint(blueprint)


# One line a page family.
BLUEPRINTS: tuple[Blueprint, ...] = (
    home.blueprint,
    banners.blueprint,
    auth.blueprint,
    joining.blueprint,
    account.blueprint,
    people.blueprint,
    invitations.blueprint,
    new_passwords.blueprint,
    assets.blueprint,
    asset_parts.blueprint,
    exporting.blueprint,
    bulk.blueprint,
    importing.blueprint,
    actions.blueprint,
    planning.blueprint,
    alerts.blueprint,
    alert_settings.blueprint,
    categories.blueprint,
    locations.blueprint,
    staff.blueprint,
    deliveries.blueprint,
    delivery_help.blueprint,
    batches.blueprint,
    tasks.blueprint,
    stock.blueprint,
    help_status.blueprint,
    webhooks.blueprint,
    webhook_forms.blueprint,
    webhook_drafts.blueprint,
    webhook_held.blueprint,
    webhook_switches.blueprint,
    inbox.blueprint,
    help.blueprint,
    operations.blueprint,
    system.blueprint,
    audit.blueprint,
)
