"""What needs attention, for the start page: one line each, with the way to mend it."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from flask import request, url_for

from portal.engine.next_steps import ASK
from portal.lib.clock import utcnow
from portal.services.operations.overview import Overview
from portal.services.webhooks import queries as webhook_queries
from portal.services.webhooks.notices.banners import WebhookTrouble, troubles
from portal.services.webhooks.notices.emails import News
from portal.web.frame import banner_views
from portal.web.frame.access import can
from portal.web.frame.wording import counted, plural
from portal.web.help.advice import for_reader
from portal.web.webhooks.words import state_sentence

MOST_WEBHOOKS: Final = 3


@dataclass(frozen=True, slots=True)
class Need:
    """One thing that wants a person. Tones: danger, warning or info."""

    title: str
    text: str
    label: str
    path: str
    icon: str
    tone: str


def needs(now: Overview) -> list[Need]:
    """Everything that wants a look, the most pressing first."""
    return [need for source in SOURCES for need in source(now)]


def has_banner() -> bool:
    """Whether the frame of this page says already that something is wrong."""
    return bool(banner_views.shown())


def webhooks_in_trouble(_now: Overview) -> Iterator[Need]:
    """Failing ones, and those that we turned off; not those that the page's banner names."""
    named = {each.mark for each in banner_views.shown()}
    others = [each for each in troubles() if each.mark not in named]
    yield from map(_trouble, others[:MOST_WEBHOOKS])
    more = len(others) - MOST_WEBHOOKS
    if more > 0:
        yield Need(
            f"{plural(more, 'more webhook needs', 'more webhooks need')} attention",
            "Their pages say why, and what to do.",
            "See all webhooks",
            url_for("webhooks.index"),
            "broadcast",
            "danger",
        )


def failed_deliveries(now: Overview) -> Iterator[Need]:
    """What does not arrive, and wants a person: failed for good, or failing again and again."""
    if not now.attention:
        return
    one = now.attention == 1
    yield Need(
        f"{counted(now.attention)} {'delivery needs' if one else 'deliveries need'} attention",
        _failed_words(now),
        "See it" if one else "See them",
        f"{request.script_root}/deliveries?status=attention",
        "x-octagon-fill",
        "danger",
    )


def held_deliveries(now: Overview) -> Iterator[Need]:
    """What is kept because its webhook is off."""
    if not now.held:
        return
    one = now.held == 1
    turn = (
        f"urn {'its' if one else 'their'} webhook on to send or discard {'it' if one else 'them'}."
    )
    text = for_reader("webhooks.switch", f"T{turn}", f"{ASK} to t{turn}")
    yield Need(
        f"{counted(now.held)} {'delivery is' if one else 'deliveries are'} held",
        text,
        "See what is held",
        f"{request.script_root}/deliveries?status=held",
        "pause-circle",
        "warning",
    )


def _failed_words(now: Overview) -> str:
    if not now.failed:
        keeps = "It keeps failing, and is" if now.attention == 1 else "They keep failing, and are"
        return f"{keeps} retried automatically. The reason says what to fix."
    ended = "It" if now.attention == 1 else counted(now.failed)
    verb = "is" if now.failed == 1 else "are"
    then = " Fix the reason, then Retry." if can("deliveries.retry") else ""
    return f"{ended} failed and {verb} not retried automatically.{then}"


def _trouble(trouble: WebhookTrouble) -> Need:
    """In the words that stand first on the webhook's page."""
    is_off = trouble.news is News.OFF
    webhook = webhook_queries.show(trouble.webhook)
    return Need(
        f"{trouble.name} {'was turned off' if is_off else 'needs attention'}",
        state_sentence(webhook, (), utcnow()),
        "See why, and what to do",
        url_for("webhooks.show", public_id=trouble.webhook),
        "pause-circle" if is_off else "exclamation-triangle-fill",
        "danger",
    )


# One line a kind, in the order of the page.
SOURCES: Final[tuple[Callable[[Overview], Iterator[Need]], ...]] = (
    webhooks_in_trouble,
    failed_deliveries,
    held_deliveries,
)
