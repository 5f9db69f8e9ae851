"""Explain, above the help topic, why a webhook got no message about an asset."""

from dataclasses import dataclass
from typing import Final
from uuid import UUID

from flask import Blueprint, render_template, request, url_for

from portal.engine.events.catalogue import event_type
from portal.engine.next_steps import ASK
from portal.lib.typed_text import tidy
from portal.services import find
from portal.services.deliveries import log as log_pages
from portal.services.deliveries import missing
from portal.services.deliveries.missing import Answer, Missing, Verdict
from portal.services.find import EverythingFound, FoundKind
from portal.web.deliveries import log_presenter
from portal.web.find.views import short
from portal.web.forms.parsing import uuid_or_none
from portal.web.frame.access import can, requires
from portal.web.frame.wording import near_time
from portal.web.help.advice import Link, for_reader
from portal.web.help.topics import TOPICS, read

TOPIC: Final = "no-message"
EDITS: Final = "webhooks.edit"

blueprint = Blueprint("missing", __name__, url_prefix="/help")


@dataclass(frozen=True, slots=True)
class Line:
    """One answer on the page. `link` leads to the fix, for users who can apply it."""

    answer: Answer
    event: str
    why: str
    link: Link | None = None


@blueprint.get(f"/{TOPIC}")
@requires("home.read")
def show() -> str:
    """Show the answer for the webhook and asset in the URL, then the topic."""
    text = tidy(request.args.get("asset") or "")
    chosen = uuid_or_none(request.args.get("webhook"))
    webhooks = log_pages.webhook_names()
    found = find.find(text, can) if text else EverythingFound()
    asset, of = _named(found)
    chosen = chosen or of or (webhooks[0][0] if len(webhooks) == 1 else None)
    answer = missing.look(chosen, asset[0]) if chosen and asset else None
    return render_template(
        "find/missing.html",
        topic=TOPICS[TOPIC],
        body=read(TOPIC, is_answered=bool(answer and answer.answers))[0],
        text=text,
        short=short(text),
        webhooks=webhooks,
        chosen=chosen,
        is_known=any(public_id == chosen for public_id, *_ in webhooks),
        asset=asset,
        assets=found.assets.rows,
        answer=answer,
        lines=[_line(answer, each) for each in answer.answers] if answer else [],
        view=log_presenter,
    )


def _named(found: EverythingFound) -> tuple[tuple[int, str] | None, UUID | None]:
    """Return the (id, tag) of the one asset found, and its webhook if a delivery was found."""
    if found.sure and found.sure[0] is FoundKind.DELIVERY:
        row = found.deliveries.rows[0]
        if row.asset_id is None and not row.is_test:  # its asset was deleted
            return _named(find.find(row.asset_tag, can))[0], row.webhook_id
        return ((row.asset_id, row.asset_tag) if row.asset_id else None), row.webhook_id
    rows = found.assets.rows
    if found.sure and found.sure[0] is FoundKind.ASSET:
        rows = [row for row in rows if row.id == found.sure[1]]
    return ((rows[0].id, rows[0].asset_tag) if len(rows) == 1 else None), None


def _line(found: Missing, answer: Answer) -> Line:
    """Return an answer in words, with a link to the fix or a person to ask."""
    event = event_type(answer.event).name if answer.event else "A change"
    edit, others = url_for("webhook_forms.edit", public_id=found.webhook), ""
    link: Link | None = None
    match answer.verdict:
        case Verdict.DELIVERY:
            why = ""
        case Verdict.BEFORE:
            why = f"It happened before {found.name} was added."
        case Verdict.DELETED:
            why = f"It happened after {found.name} was deleted."
        case Verdict.NOT_SUBSCRIBED:
            why = f"{found.name} isn’t subscribed to this event."
            link, others = ("Edit events", f"{edit}#which_events-0"), f"{ASK} to add it."
        case Verdict.UNMET:
            met = "doesn’t meet today’s" if answer.changed else "didn’t meet the"
            why = f"It {met} condition “{answer.condition}”. {answer.fact}."
            link, others = ("Edit conditions", f"{edit}#conditions"), f"{ASK} to change it."
        case Verdict.CHANGED:
            why = ""
        case Verdict.GONE:
            why = "No event is stored for this change."
        case Verdict.UNKNOWN:
            why, others = "It should have been sent.", f"{ASK} to check the system."
    if by := answer.changed:
        its = f"{found.name}’s" if answer.verdict is Verdict.CHANGED else "the"
        parts, at = " and ".join(sorted(by.what, reverse=True)), near_time(by.at)
        why = f"{why} {by.name} changed {its} {parts} at {at}, after this event.".lstrip()
        link = ("View history", url_for("webhooks.history", public_id=found.webhook))
        others = ""
    if found.deleted:  # there is nothing to edit, and no history
        link, others = None, ""
    if others:
        why = f"{why} {for_reader(EDITS, '', others, found.webhook)}".rstrip()
        link = link if can(EDITS) else None
    return Line(answer, event, why, link)
