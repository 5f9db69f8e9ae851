"""Suggest next steps: a link for readers with the permission, else a contact and a message."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final
from uuid import UUID

from flask import g, url_for

from portal.engine.formats.answers import Meaning
from portal.engine.next_steps import ASK, EDIT, SWITCH, SYSTEM, ReasonStep, step_after
from portal.engine.reasons import KEY_OR_HEADERS, Explanation, Reason
from portal.engine.redirects import Redirect
from portal.extensions import settings
from portal.models.people import Role
from portal.services.core.permissions import ADMIN, EVERYONE, MANAGERS, PERMISSIONS
from portal.services.people.accounts import who_may
from portal.web.frame.access import can
from portal.web.frame.wording import counted, moment

# Words for the people with a permission, and for another one of them.
WHO: Final[Mapping[frozenset[Role], tuple[str, str]]] = {
    ADMIN: ("an administrator", "another administrator"),
    MANAGERS: ("a manager or an administrator", "someone else"),
    frozenset({Role.ADMIN, Role.SUPPORT}): ("support or an administrator", "someone else"),
    EVERYONE: ("a colleague", "someone else"),
}
Link = tuple[str, str]  # words, address
# Failures that headers cause, not the URL.
OF_HEADERS: Final = (Reason.AUTH, Reason.BAD_HEADERS)
# For a URL that its receiver closed.
NO_NEW_URL: Final = "If there’s no new URL, delete the webhook."
# Failures after which no one has to act.
NO_ACTION: Final = frozenset({Reason.RATE, Reason.CONFLICT, Reason.INTERRUPTED})


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """The facts for a message to someone else. `path`: the page that shows it, from the root."""

    webhook: UUID | None = None
    name: str = ""
    happened: str = ""
    held: str = ""
    since: datetime | None = None
    path: str = ""


@dataclass(frozen=True, slots=True)
class Advice:
    """One next step. If the reader has to ask someone, `needed` asks the `recipient` for it."""

    sentence: str
    links: Sequence[Link] = ()
    needed: str = ""
    recipient: str = ""
    context: Context = Context()

    @property
    def message(self) -> str:
        """Return plain text to copy for the recipient, or "" without one."""
        return message_of(self.context, self.needed) if self.recipient else ""


def advise(
    permission: str,
    own: str,
    others: str,
    *,
    context: Context,
    links: Sequence[Link] = (),
    needed: str = "",
) -> Advice:
    """Put the step into words for this reader.

    `own` and `links`: for readers with `permission`. `others`: for everyone else, with `ASK` in it.
    `needed`: the request in their message, by default `own`.
    """
    if can(permission):
        return Advice(own, links)
    asked = asking(others, permission, context.webhook)
    return Advice(asked, (), needed or own, contact_kind(permission), context)


def with_one_note(steps: Iterable[Advice]) -> list[Advice]:
    """Join the notes for one recipient in their first step, so that a page has one for each."""
    joined: list[Advice] = []
    places: dict[str, int] = {}
    for step in steps:
        at = places.get(step.recipient)
        if not step.recipient or at is None:
            places[step.recipient] = len(joined)
            joined.append(step)
            continue
        first = joined[at]
        happened = dict.fromkeys((first.context.happened, step.context.happened))
        context = replace(first.context, happened=" ".join(happened))
        joined[at] = replace(first, needed=f"{first.needed} {step.needed}", context=context)
        joined.append(Advice(step.sentence, step.links))
    return joined


def asking(text: str, permission: str, webhook: UUID | None = None) -> str:
    """Replace `ASK` in the text with the contact: "Ask an administrator (Ada Admin) to …"."""
    words = text.replace(ASK, f"ask {contact(permission, webhook)}")
    return words[:1].upper() + words[1:] if text.startswith(ASK) else words


def for_reader(permission: str, own: str, others: str, webhook: UUID | None = None) -> str:
    """Return `own` for readers with the permission, else `others` with the contact."""
    return own if can(permission) else asking(others, permission, webhook)


def contact(permission: str, webhook: UUID | None = None) -> str:
    """Name the contact: "an administrator (Ada Admin, Bo Boss or another administrator)"."""
    known: dict[tuple[str, UUID | None], str] = g.setdefault("contacts", {})
    if (permission, webhook) not in known:
        found, another = who_may(permission, webhook), WHO[PERMISSIONS[permission]][1]
        *first, last = [*found.names, *([another] if found.has_more else [])] or [""]
        names = f"{', '.join(first)} or {last}" if first else last
        kind = contact_kind(permission)
        known[permission, webhook] = f"{kind} ({names})" if found.names else kind
    return known[permission, webhook]


def contact_kind(permission: str) -> str:
    """Name the contact without people's names: "an administrator"."""
    return WHO[PERMISSIONS[permission]][0]


def message_of(context: Context, needed: str) -> str:
    """Write plain text to copy: the webhook, the problem, its start, and the request."""
    lines = {
        "Webhook": context.name,
        "What happened": context.happened,
        "Since": moment(context.since).exact if context.since else "",
        "On hold": context.held,
        "Needed": needed,
        "Link": f"{settings().base_url}{context.path}" if context.path else "",
    }
    return "\n".join(f"{label}: {' '.join(text.split())}" for label, text in lines.items() if text)


def advice_after(
    reason: Reason,
    explained: Explanation,
    context: Context,
    links: Mapping[str, Sequence[Link]],
    *,
    meaning: Meaning | None = None,
    redirect: Redirect | None = None,
    reference: str = "",
    secrets: str = KEY_OR_HEADERS,
) -> Advice:
    """Return the next step after a failure, for this reader.

    `explained`: the reason in words. `meaning` and `redirect`: the meaning of the response and its
    target, if known. `links`: links to act, by permission. `reference` and `secrets` are as in
    `explain`.
    """
    step = step_of(reason, meaning, reference=reference, secrets=secrets, redirect=redirect)
    if step is None:
        return Advice(explained.next_step)
    return advise(
        step.permission,
        step.own or explained.next_step,
        step.others,
        context=context,
        links=links.get(step.permission, ()),
        needed=step.needed,
    )


def step_of(
    reason: Reason,
    meaning: Meaning | None,
    *,
    reference: str = "",
    secrets: str = KEY_OR_HEADERS,
    redirect: Redirect | None = None,
) -> ReasonStep | None:
    """Return the next step by the response's meaning if known, else by the reason.

    None if the step needs no permission. Arguments are as in `advice_after`.
    """
    if meaning and meaning.is_advice:
        return meaning.step
    return step_after(reason, reference=reference, secrets=secrets, redirect=redirect)


def passes(reason: Reason | None, meaning: Meaning | None) -> bool:
    """Return whether the failure usually ends without action, as long as retries continue."""
    return reason in NO_ACTION or bool(meaning and meaning.rest)


def edit_url(webhook: UUID, reason: Reason | None = None, meaning: Meaning | None = None) -> str:
    """Return the URL of the webhook form's part that fixes the failure.

    `meaning`: of the response. If someone has to act in the other product, a new URL results, so
    the part is the URL.
    """
    is_header = reason in OF_HEADERS and not (meaning and meaning.who)
    part = "security" if is_header else "url"
    return url_for("webhook_forms.edit", public_id=webhook, _anchor=part if reason else None)


def use_url(webhook: UUID, redirect: Redirect) -> Link:
    """Return the link to the webhook’s form with the redirect’s target as its URL."""
    where = url_for(
        "webhook_forms.edit", public_id=webhook, redirected=redirect.delivery, _anchor="url"
    )
    return "Use this URL", where


def delete_link(webhook: UUID, unsent: int = 0) -> Link:
    """Return the link to delete a webhook, for readers with `EDIT`. `unsent`: as far as known."""
    label = f"Dismiss {counted(unsent)} and delete" if unsent else "Delete webhook"
    return label, url_for("webhook_forms.delete", public_id=webhook)


def webhook_links(
    webhook: UUID,
    reason: Reason | None = None,
    meaning: Meaning | None = None,
    redirect: Redirect | None = None,
) -> dict[str, Sequence[Link]]:
    """Return the links to act on a webhook, by permission.

    `reason`: of the failure. `meaning` and `redirect`: of the response.
    """
    to_use = [use_url(webhook, redirect)] if redirect and redirect.is_usable else []
    return {
        EDIT: [*to_use, ("Edit webhook", edit_url(webhook, reason, meaning))],
        SWITCH: [("Turn on webhook", url_for("webhook_switches.on", public_id=webhook))],
        SYSTEM: [("View System", url_for("system.index"))],
    }
