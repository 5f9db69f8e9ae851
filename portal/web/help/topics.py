"""The help texts: topics of a few short passages, each with the places that it leads to."""

from dataclasses import dataclass
from typing import Final

from portal.engine.reasons import Reason
from portal.web.help.delivery_texts import DELIVERY_TOPICS
from portal.web.help.register_texts import REGISTER_TOPICS
from portal.web.help.texts import Link, Topic

TOPICS: Final[dict[str, Topic]] = {each.name: each for each in (*DELIVERY_TOPICS, *REGISTER_TOPICS)}


@dataclass(frozen=True, slots=True)
class Subject:
    """One heading of the index. `lines`: words, and the path that they lead to."""

    title: str
    lines: tuple[Link, ...]


# What people look up most often.
CODES: Final = (401, 403, 404, 409, 410, 413, 422, 429, 500, 503)
REASONS: Final = (
    Reason.CONNECT_TIMEOUT,
    Reason.READ_TIMEOUT,
    Reason.RESET,
    Reason.REDIRECT,
    Reason.TLS_UNTRUSTED,
)
SUBJECTS: Final = (
    Subject(
        "Start here",
        (
            ("What a webhook is", "/help/webhooks"),
            ("Connect a system", "/help/webhooks#connect"),
            ("Try it without a receiver", "/inbox"),
            ("All events, with an example of each", "/settings/webhooks/events"),
            ("The words we use", "/help/webhooks#words"),
        ),
    ),
    Subject(
        "Something did not arrive",
        (
            ("Why did I not get it?", "/help/no-message"),
            ("What each status means", "/help/delivery-status#statuses"),
            ("What each reason and code means", "/help/delivery-status#reasons"),
            ("Retry one, and see what came of it", "/help/retry"),
            ("Retry many at once", "/help/retry#many"),
            ("Held deliveries and their end", "/help/held"),
        ),
    ),
    Subject(
        "For the receiver's developer",
        (
            ("Check a signature", "/help/receiver#signature"),
            ("Which answer counts as what", "/help/receiver#answers"),
            ("The same delivery twice", "/help/receiver#repeats"),
            ("Find out why we say no", "/help/receiver#checks"),
        ),
    ),
    Subject(
        "The register",
        (
            ("Lend and take back", "/help/register#lend"),
            ("Give permanently", "/help/register#give"),
            ("Reserve", "/help/register#reserve"),
            ("Maintenance, faults and losses", "/help/register#trouble"),
            ("Stock", "/help/register#stock"),
            ("Import a file", "/help/register#import"),
        ),
    ),
    Subject(
        "Alerts",
        (
            ("What there is an alert for", "/help/alerts"),
            ("When alerts are checked, and who gets them", "/help/alerts#when"),
            ("Acknowledge an alert", "/help/alerts#acknowledge"),
        ),
    ),
    Subject(
        "Running it",
        (
            ("Users and roles", "/help/running#roles"),
            ("Replace a secret key, or one that leaked", "/help/running#keys"),
            ("Who changed what", "/help/running#audit"),
            ("Is everything running?", "/help/running#system"),
            ("Stop all sending", "/help/running#stop"),
            ("Time zones", "/help/running#zones"),
            ("This is a local trial", "/help/running#trial"),
        ),
    ),
)
