"""Next steps for the reader; for those that they may not do, a contact and a message to copy.

A step declares the permission that it takes (`services/core/permissions.py`). Here it becomes a
link for those who have it, and the names of those who have it for everybody else.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

from flask import g, url_for

from portal.engine.next_steps import ASK, EDIT, RETRY, SWITCH, SYSTEM, step_after
from portal.engine.reasons import Explanation, Reason
from portal.extensions import settings
from portal.models.people import Role
from portal.services.core.permissions import ADMIN, EVERYONE, MANAGERS, PERMISSIONS
from portal.services.people.accounts import who_may
from portal.web.frame.access import can
from portal.web.frame.wording import moment

# Who has a permission, and what another one of them is called.
WHO: Final[Mapping[frozenset[Role], tuple[str, str]]] = {
    ADMIN: ("an administrator", "another administrator"),
    MANAGERS: ("a manager or an administrator", "somebody else"),
    frozenset({Role.ADMIN, Role.SUPPORT}): ("support or an administrator", "somebody else"),
    EVERYONE: ("a colleague", "somebody else"),
}

Link = tuple[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """The facts for a message to somebody else. `held`: what waits for it, and until when. `path`:
    the page that shows it, from the root."""

    webhook: UUID | None = None
    name: str = ""
    happened: str = ""
    held: str = ""
    since: datetime | None = None
    path: str = ""


@dataclass(frozen=True, slots=True)
class Advice:
    """One next step. `message`: plain text for whom the reader has to ask; blank for one who may.
    `recipient`: who that is, "an administrator".

    `links`: (words, address), which the reader may all open.
    """

    sentence: str
    links: Sequence[Link] = ()
    message: str = ""
    recipient: str = ""


def advise(
    permission: str,
    own: str,
    others: str,
    *,
    context: Context,
    link: Link | None = None,
    needed: str = "",
) -> Advice:
    """The step in the words for this reader.

    `own` and `link` are for those who have `permission`; `others`, in which `ASK` stands, for
    everybody else, with a message that asks for what is `needed`, `own` if nothing else is said.
    """
    if can(permission):
        return Advice(own, [link] if link else [])
    sentence = asking(others, permission, context.webhook)
    message = message_of(context, needed or own)
    return Advice(sentence, message=message, recipient=contact_kind(permission))


def asking(text: str, permission: str, webhook: UUID | None = None) -> str:
    """The text with whom to ask in the place of `ASK`: "Ask an administrator (Ada Admin) to …"."""
    words = text.replace(ASK, f"ask {contact(permission, webhook)}")
    return words[:1].upper() + words[1:] if text.startswith(ASK) else words


def for_reader(permission: str, own: str, others: str, webhook: UUID | None = None) -> str:
    """The one text for those who have the permission, the other, in which `ASK` stands, for
    everybody else."""
    return own if can(permission) else asking(others, permission, webhook)


def contact(permission: str, webhook: UUID | None = None) -> str:
    """Name those who may: "an administrator (Ada Admin, Bo Boss or another administrator)"."""
    known: dict[tuple[str, UUID | None], str] = g.setdefault("contacts", {})
    if (permission, webhook) not in known:
        known[permission, webhook] = _named(permission, webhook)
    return known[permission, webhook]


def contact_kind(permission: str) -> str:
    """Say who may, without names: "an administrator"."""
    return WHO[PERMISSIONS[permission]][0]


def message_of(context: Context, needed: str) -> str:
    """Plain text to copy: which webhook, what happened, since when, what is needed, and where."""
    since = moment(context.since).exact if context.since else ""
    link = f"{settings().base_url}{context.path}" if context.path else ""
    lines = (
        ("Webhook", context.name),
        ("What happened", context.happened),
        ("Since", since),
        ("What is held", context.held),
        ("What is needed", needed),
        ("Link", link),
    )
    return "\n".join(f"{label}: {' '.join(text.split())}" for label, text in lines if text)


def _named(permission: str, webhook: UUID | None) -> str:
    kind, another = WHO[PERMISSIONS[permission]]
    found = who_may(permission, webhook)
    if not found.names:
        return kind
    named = [*found.names, *([another] if found.has_more else [])]
    *first, last = named
    return f"{kind} ({', '.join(first)} or {last})" if first else f"{kind} ({last})"


TEST: Final = "webhooks.test"


def advice_after(
    reason: Reason,
    explained: Callable[[str], Explanation],
    context: Context,
    links: Mapping[str, Link],
    *,
    reference: str = "",
    is_test: bool = False,
) -> Advice:
    """Advise what the reader may do about it, or whom to ask.

    `explained`: the reason in words, given what stands in the place of Retry. `links`: where it is
    done, by permission. `reference` and `is_test` as in `explain`.
    """
    own = explained("").next_step
    step = step_after(reason, reference=reference, is_test=is_test)
    if step is None:
        return Advice(own)
    if step.permission != RETRY:
        return advise(
            step.permission,
            step.own or own,
            step.others,
            context=context,
            link=links.get(step.permission),
            needed=step.needed,
        )
    permission, verb = (TEST, "test again") if is_test else (RETRY, "retry")
    if can(permission):
        return Advice(own)
    asked = f"ask {contact(permission, context.webhook)} to {verb}"
    others = explained(asked).next_step
    message = message_of(context, own) if asked in others else ""
    return Advice(others, message=message, recipient=contact_kind(permission))


def webhook_links(webhook: UUID) -> dict[str, Link]:
    """Return where the steps about a webhook are done, by permission."""
    return {
        EDIT: ("Edit the webhook", url_for("webhook_forms.edit", public_id=webhook)),
        SWITCH: ("Turn it on", url_for("webhook_switches.on", public_id=webhook)),
        SYSTEM: ("See under System what is running", url_for("system.index")),
    }
