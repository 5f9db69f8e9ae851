"""Phrase the recipients of alerts. Only readers with `alerts.settings` see others' addresses."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from flask import url_for
from flask_login import current_user
from markupsafe import Markup

from portal.models.alerts import Alert
from portal.services.alerts.recipients import Recipients, Subscriber
from portal.services.mail import mails
from portal.web.frame.access import can
from portal.web.frame.wording import plural


@dataclass(frozen=True, slots=True)
class Told:
    """The recipients of one kind of alert.

    `words`: "Webhooks: ERP, Slack (failing). Email: the holder.". `rest`: sentences about addresses
    that get no email, with the reason, and about the built-in inbox.
    """

    words: Markup
    is_no_one: bool
    has_inbox: bool
    rest: str


def told(found: Recipients) -> Told:
    """Return the recipients of one kind, as this reader can see them."""
    webhooks = [_webhook(webhook) for webhook in found.webhooks]
    emails = [*_addresses(found.addresses)]
    if found.has_holder:
        emails.append(Markup("the holder"))
    called = "Webhook" if len(webhooks) == 1 else "Webhooks"
    words = Markup(" ").join(
        Markup("{}: {}.").format(kind, Markup(", ").join(parts))
        for kind, parts in ((called, webhooks), ("Email", emails))
        if parts
    )
    inbox = "The built-in inbox also" if words else "Only the built-in inbox"
    shown = f"{inbox} gets these alerts." if found.has_inbox else ""
    rest = " ".join(filter(None, (shown, _unreached(found.unreached))))
    return Told(words, found.is_no_one, found.has_inbox, rest)


def _webhook(webhook: Subscriber) -> Markup:
    url = url_for("webhooks.show", public_id=webhook.public_id)
    notes = [
        *(["on hold because it’s off"] if webhook.is_off else []),
        *(["failing"] if webhook.is_failing else []),
        *(["if its conditions are met"] if webhook.has_conditions else []),
    ]
    note = f" ({', '.join(notes)})" if notes else ""
    return Markup('<a href="{}">{}</a>{}').format(url, webhook.name, note)


def emailed(addresses: int, holders: int) -> str:
    """Return "1 address and 5 holders", or "" if there is none."""
    counts = [
        *([plural(addresses, "address", "addresses")] if addresses else []),
        *([plural(holders, "holder")] if holders else []),
    ]
    return " and ".join(counts)


def emailed_to(alert: Alert) -> Markup:
    """Return the addresses that an alert was emailed to, as this reader can see them."""
    return Markup(", ").join(_addresses(alert.mailed_to))


def _addresses(addresses: Sequence[str]) -> Iterator[Markup]:
    if can("alerts.settings"):
        yield from (Markup("{}").format(address) for address in addresses)
        return
    others = [address for address in addresses if address != current_user.email.lower()]
    if len(others) < len(addresses):
        yield Markup("{}").format(current_user.email)
    if others:
        yield Markup("{}").format(plural(len(others), "address", "addresses"))


def _unreached(addresses: Sequence[str]) -> str:
    """Return "No email is sent to ana@example.com because this user is disabled"."""
    if not addresses:
        return ""
    is_one, is_on = len(addresses) == 1, mails.is_on()
    who = addresses[0] if is_one and can("alerts.settings") else _many(addresses)
    users = "this user is" if is_one else "these users are"
    why = f"{users} disabled" if is_on else "no mail server is set up"
    return f"No email is sent to {who} because {why}."


def _many(addresses: Sequence[str]) -> str:
    return plural(len(addresses), "email address", "email addresses")
