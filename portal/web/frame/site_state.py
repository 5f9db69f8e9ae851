"""Read the problems and pauses of sending that every page shows."""

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
    """A number in the navigation. `noun` explains it to people who can't see its place."""

    number: str
    noun: str


def init_app(app: Flask) -> None:
    """Register the functions that the frame of all pages calls."""
    app.jinja_env.globals["attention"] = attention
    app.jinja_env.globals["patience"] = PATIENCE_IN_WORDS
    app.jinja_env.globals["sending_stop"] = sending_stop
    app.jinja_env.globals["may_send"] = may_send
    app.jinja_env.globals["is_own"] = is_own
    app.jinja_env.globals["offline_senders"] = offline_senders


def sending_stop() -> SendingStop | None:
    """Return the pause of all sending, read once per page."""
    if "sending_stop" not in g:
        g.sending_stop = find_stop()
    stop: SendingStop | None = g.sending_stop
    return stop


def offline_senders() -> Sequence[OfflineSender]:
    """Return the machines that can't connect to receivers, read once per page."""
    if "offline_senders" not in g:
        g.offline_senders = find_offline()
    senders: Sequence[OfflineSender] = g.offline_senders
    return senders


def may_send(permission: str) -> bool:
    """Return whether the reader has a permission to send, and sending isn't paused."""
    return can(permission) and not sending_stop()


def is_own(taken: Taken | None) -> bool:
    """Return whether the reader is the person who took a webhook."""
    return taken is not None and taken.by_id == actor().user_id


def attention() -> Mapping[str, Count]:
    """Return nonzero counts of problems, by the labels of the navigation.

    They equal the counts of the lists behind those labels.
    """
    numbers = {}
    if can("deliveries.read") or can("webhooks.read"):
        totals = trouble_totals()
        numbers["Deliveries"] = totals.undelivered if can("deliveries.read") else 0
        numbers["Webhooks"] = totals.webhooks if can("webhooks.read") else 0
    return {label: Count(counted(many), NOUNS[label]) for label, many in numbers.items() if many}


def trouble_totals() -> Totals:
    """Return the totals of the webhooks in trouble, read once per page."""
    if "trouble_totals" not in g:
        known = "in_trouble" in g
        g.trouble_totals = backlog.count_of(g.in_trouble) if known else backlog.count()
    totals: Totals = g.trouble_totals
    return totals


def in_trouble() -> Sequence[Backlog]:
    """Return the webhooks in trouble, read once per page."""
    if "in_trouble" not in g:
        g.in_trouble = backlog.find()
    known: Sequence[Backlog] = g.in_trouble
    return known
