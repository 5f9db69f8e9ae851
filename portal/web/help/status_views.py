"""The help page that explains every status, reason and code, from the tables that pages use."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from flask import Blueprint, render_template

from portal.engine.reasons import Explanation, Reason, ReasonGroup, explain, reasons_in
from portal.services.outbox.due import ShownStatus
from portal.services.webhooks.queries import WebhookStatus
from portal.web.frame.access import requires
from portal.web.frame.status_tags import DELIVERY, Tag, webhook_tag
from portal.web.help.anchors import codes_by_reason, in_words
from portal.web.help.texts import figures

blueprint = Blueprint("help_status", __name__, url_prefix="/help")

MEANINGS: Final = {
    ShownStatus.WAITING: (
        "It is stored and about to be sent, for the first time or because somebody pressed Retry. "
        "Normally this takes less than a second.",
        "Nothing. If it takes longer than 15 seconds, its page says what holds it up.",
    ),
    ShownStatus.PAUSED: (
        "It is kept and not attempted for now: its receiver isn't responding and is left alone for "
        "a while, or its webhook gets one at a time and an older delivery goes first.",
        "Look at its webhook. The pause ends automatically; then one delivery goes out. Once it "
        "arrives all others follow. A test or a Retry that arrives ends it at once.",
    ),
    ShownStatus.SENDING: (
        "It is on its way to the receiver at this moment.",
        "Nothing. The result comes within {timeout}.",
    ),
    ShownStatus.DELIVERED: (
        "The receiver answered with a code from 200 to 299: it has it.",
        "Nothing. Send again only if the receiver lost it; it may act twice.",
    ),
    ShownStatus.RETRYING: (
        "It did not arrive, and is retried automatically, up to {tries} times over {lasting}.",
        "Look at the reason. Retry sends it at once, beside the planned attempts.",
    ),
    ShownStatus.FAILED: (
        "It did not arrive, and is not retried automatically: the last planned attempt failed, "
        "the receiver said that the address is closed for good, or it may not be sent at all.",
        "Fix the cause that its reason names, then Retry.",
    ),
    ShownStatus.STOPPED: (
        "It is not retried automatically: a person stopped or discarded it, its webhook was "
        "deleted, or it was held for {days} while its webhook was off. Its page says which.",
        "Nothing, or Retry if it should go out after all. That needs its webhook to be on.",
    ),
    ShownStatus.HELD: (
        "Its webhook is off. It is kept for {days}, counted from the day on which the webhook was "
        "turned off, or from its own if that came later; then it is stopped.",
        "Ask an administrator to turn the webhook on and to choose whether to send it.",
    ),
}
STANDINGS: Final = {
    WebhookStatus.ACTIVE: (
        "It is on, and its last delivery, if there was one, arrived.",
        "Nothing.",
    ),
    WebhookStatus.FAILING: (
        "It is on, and what was sent to it last did not arrive. New deliveries still go out.",
        "Look at the reason on its page.",
    ),
    WebhookStatus.PAUSED: (
        "It is on, but its receiver isn't responding. We leave it alone, for 5 seconds at first "
        "and 5 minutes at most, or for as long as it asks, and then attempt one delivery at a "
        "time.",
        "Ask the receiver's owner. Once it works again, press Test webhook: when the test arrives, "
        "everything that waits goes out.",
    ),
    WebhookStatus.OFF: (
        "Nothing is sent to it; its deliveries are held. A person turned it off, or we did: "
        "because the receiver closed the address for good (410), or because nothing arrived for 5 "
        "days.",
        "An administrator turns it on, and chooses what becomes of what was held.",
    ),
}


@dataclass(frozen=True, slots=True)
class StatusHelp:
    """One status in words. `codes`: which answers lead to it."""

    anchor: str
    tag: Tag
    meaning: str
    to_do: str
    codes: Sequence[int] = ()


@dataclass(frozen=True, slots=True)
class ReasonHelp:
    """One reason in words. Causes that read the same share it: their keys are its `anchors`."""

    anchors: Sequence[str]
    words: Explanation
    codes: Sequence[int]

    @property
    def codes_in_words(self) -> str:
        """The codes that it is read from; empty where it is none."""
        return in_words(self.codes)


@blueprint.get("/delivery-status")
@requires("deliveries.read")
def delivery_status() -> str:
    """Every status, then every reason by group, each with what to do."""
    return render_template(
        "help/delivery_status.html",
        statuses=statuses(),
        standings=standings(),
        groups=[(group, reasons_of(group)) for group in ReasonGroup],
    )


def statuses() -> list[StatusHelp]:
    """Every status of a delivery."""
    known, codes = figures(), {ShownStatus.DELIVERED: codes_by_reason()[None]}
    return [
        StatusHelp(
            status,
            DELIVERY[status],
            meaning.format_map(known),
            to_do.format_map(known),
            codes.get(status, ()),
        )
        for status, (meaning, to_do) in MEANINGS.items()
    ]


def standings() -> list[StatusHelp]:
    """Every status of a webhook."""
    return [
        StatusHelp(f"webhook-{standing}", webhook_tag(standing), *words)
        for standing, words in STANDINGS.items()
    ]


def reasons_of(group: ReasonGroup) -> list[ReasonHelp]:
    """Every reason of a group; two causes with the same words are one."""
    found: dict[str, list[Reason]] = {}
    for reason in reasons_in(group):
        found.setdefault(explain(reason, host="").what_happened, []).append(reason)
    return [_reason_help(same) for same in found.values()]


def _reason_help(same: Sequence[Reason]) -> ReasonHelp:
    codes = [code for each in same for code in codes_by_reason().get(each, ())]
    return ReasonHelp([str(each) for each in same], explain(same[0], host=""), sorted(codes))
