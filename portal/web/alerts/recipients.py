"""Who gets which alerts, in words. Only those who settle alerts read others' addresses."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from flask import url_for
from flask_login import current_user
from markupsafe import Markup

from portal.services.alerts.recipients import Recipients, Subscriber
from portal.services.mail import mails
from portal.web.frame.access import can
from portal.web.frame.wording import plural


@dataclass(frozen=True, slots=True)
class Told:
    """Who gets one kind of alert: "ERP", "Slack (if its conditions are met)". `rest`: sentences
    about who gets no email, and why, and about the built-in inbox."""

    parts: Sequence[Markup]
    is_no_one: bool
    rest: str

    @property
    def words(self) -> Markup:
        """All of them, in one line."""
        return Markup(", ").join(self.parts)


def told(found: Recipients) -> Told:
    """Return who gets one kind, for this reader."""
    parts = [*map(_webhook, found.webhooks), *_addresses(found.addresses)]
    if found.has_holder:
        parts.append(Markup("the holder"))
    only = "Only the built-in inbox gets these alerts." if found.has_inbox and not parts else ""
    rest = " ".join(filter(None, (only, _unreached(found.unreached))))
    return Told(parts, found.is_no_one, rest)


def _webhook(webhook: Subscriber) -> Markup:
    url = url_for("webhooks.show", public_id=webhook.public_id)
    notes = [
        *(["on hold because it’s off"] if webhook.is_off else []),
        *(["if its conditions are met"] if webhook.has_conditions else []),
    ]
    note = f" ({', '.join(notes)})" if notes else ""
    return Markup('<a href="{}">{}</a>{}').format(url, webhook.name, note)


def _addresses(addresses: Sequence[str]) -> Iterator[Markup]:
    if can("alerts.settings"):
        yield from (Markup("{}").format(each) for each in addresses)
        return
    others = [each for each in addresses if each != current_user.email.lower()]
    if len(others) < len(addresses):
        yield Markup("{}").format(current_user.email)
    if others:
        yield Markup("{}").format(_many(others))


def _unreached(addresses: Sequence[str]) -> str:
    """ "No email is sent to ana@example.com because this user is disabled"."""
    if not addresses:
        return ""
    is_one, is_on = len(addresses) == 1, mails.is_on()
    who = addresses[0] if is_one and can("alerts.settings") else _many(addresses)
    users = "this user is" if is_one else "these users are"
    why = f"{users} disabled" if is_on else "no mail server is set up"
    return f"No email is sent to {who} because {why}."


def _many(addresses: Sequence[str]) -> str:
    return plural(len(addresses), "email address", "email addresses")
