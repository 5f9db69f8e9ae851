"""List every page in the app's URL map, with its address for a sample record."""

from typing import Final
from uuid import UUID

from flask import Flask
from werkzeug.routing import Rule

from portal.services.core.permissions import allows
from portal.web.frame.access import PUBLIC, permission_of
from tests.browser.support.sample_register import Filled

NO_PAGE: Final = {
    "alert_settings.live": "a part of alert_settings.index, as JSON",
    "static": "files",
    "audit.export": "a download",
    "deliveries.body": "a download",
    "delivery_help.bundle": "a download",
    "batches.live": "a part of batches.show, as JSON",
    "webhook_drafts.bundle": "a download",
    "webhook_drafts.live": "a part of webhook_drafts.show, as JSON",
    "tasks.live": "a part of tasks.show, as JSON",
    "emails.live": "a part of system.index, as JSON",
    "emails.index": "only in a local trial, which the tests are not",
    "inbox.live": "a part of inbox.index, as JSON",
    "deliveries.live": "a part of deliveries.show, as JSON",
    "deliveries.row": "a part of deliveries.index, as JSON",
}
# Blueprints that only serve programs.
MACHINES: Final = {"operations", "security_txt"}
SAME: Final = {
    "actions": "assets",
    "delivery_help": "deliveries",
    "erasure.staff": "staff",
    "erasure.user": "people",
    "asset_parts": "assets",
    "import_match": "importing",
    "new_passwords": "people",
    "webhook_forms": "webhooks",
    "webhook_secrets": "webhooks",
    "webhook_held": "webhooks",
    "webhook_switches": "webhooks",
    "webhook_notes": "webhooks",
    "webhook_takes": "webhooks",
}


def rules(app: Flask) -> list[Rule]:
    """Return the rule of every page, sorted by path."""
    ordered = sorted(app.url_map.iter_rules(), key=lambda rule: rule.rule)
    return [rule for rule in ordered if "GET" in (rule.methods or ()) and is_page(rule)]


def is_page(rule: Rule) -> bool:
    """Return whether people open the rule as a page, and not as a download."""
    is_for_machines = rule.endpoint.partition(".")[0] in MACHINES
    return not (is_for_machines or rule.endpoint in NO_PAGE or rule.rule.endswith(".csv"))


def address(rule: Rule, filled: Filled) -> str:
    """Return the page's address for the record of its kind in `filled`."""
    if not rule.arguments:
        return rule.rule
    family = rule.endpoint.partition(".")[0]
    kind = SAME.get(rule.endpoint) or SAME.get(family, family)
    known: int | str | UUID | None = getattr(filled, kind, None)
    assert known, f"{rule.endpoint}: give `Filled` something that {rule.rule} can show"
    (name, *_) = rule.arguments - {"subject"}
    subject = filled.maintenance if "maintenance" in rule.endpoint else filled.reservation
    built = rule.build({name: known, "subject": subject}, append_unknown=False)
    assert built, rule.endpoint
    return str(built[1])


def readable(app: Flask, role: str) -> list[Rule]:
    """Return the pages that this role can open after signing in."""
    pages = [(rule, permission_of(rule.endpoint) or "") for rule in rules(app)]
    return [rule for rule, needed in pages if needed != PUBLIC and allows(role, needed)]
