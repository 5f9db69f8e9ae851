"""What every page tells of the portal: what needs attention, and what is not sent at all now."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from flask import Flask, g

from portal.engine.circuit_breaker import PATIENCE_IN_WORDS
from portal.services.outbox.claimable import SendingStop, find_stop
from portal.services.outbox.connectivity import OfflineSender, find_offline
from portal.services.webhooks import backlog
from portal.services.webhooks.backlog import Backlog, Taken, Totals
from portal.web.frame.access import actor, can
from portal.web.frame.wording import counted

NOUNS: Final = {"Deliveries": "undelivered", "Webhooks": "with problems"}


@dataclass(frozen=True, slots=True)
class Count:
    """A number in the navigation; `noun` tells it to whoever does not see where it stands."""

    number: str
    noun: str


def init_app(app: Flask) -> None:
    """Give templates what the frame of all pages calls."""
    app.jinja_env.globals["attention"] = attention
    app.jinja_env.globals["patience"] = PATIENCE_IN_WORDS
    app.jinja_env.globals["sending_stop"] = sending_stop
    app.jinja_env.globals["may_send"] = may_send
    app.jinja_env.globals["is_own"] = is_own
    app.jinja_env.globals["offline_senders"] = offline_senders


def sending_stop() -> SendingStop | None:
    """Return the stop of all sending, asked once a page."""
    if "sending_stop" not in g:
        g.sending_stop = find_stop()
    stop: SendingStop | None = g.sending_stop
    return stop


def offline_senders() -> Sequence[OfflineSender]:
    """Return the machines that cannot connect to receivers, asked once a page."""
    if "offline_senders" not in g:
        g.offline_senders = find_offline()
    found: Sequence[OfflineSender] = g.offline_senders
    return found


def may_send(permission: str) -> bool:
    """Tell whether the reader has a permission to send, and sending is not stopped."""
    return can(permission) and not sending_stop()


def is_own(taken: Taken | None) -> bool:
    """Tell whether it is the reader who took a webhook."""
    return taken is not None and taken.by_id == actor().user_id


def attention() -> Mapping[str, Count]:
    """Return by the labels of the navigation how many need attention, where any do, as the lists
    that they lead to count them.
    """
    numbers = {}
    if can("deliveries.read") or can("webhooks.read"):
        totals = trouble_totals()
        numbers["Deliveries"] = totals.undelivered if can("deliveries.read") else 0
        numbers["Webhooks"] = totals.webhooks if can("webhooks.read") else 0
    return {label: Count(counted(many), NOUNS[label]) for label, many in numbers.items() if many}


def trouble_totals() -> Totals:
    """Return what the webhooks in trouble come to, asked once a page."""
    if "trouble_totals" not in g:
        known = "in_trouble" in g
        g.trouble_totals = backlog.count_of(g.in_trouble) if known else backlog.count()
    totals: Totals = g.trouble_totals
    return totals


def in_trouble() -> Sequence[Backlog]:
    """Return the webhooks in trouble, asked once a page."""
    if "in_trouble" not in g:
        g.in_trouble = backlog.find()
    known: Sequence[Backlog] = g.in_trouble
    return known
