"""Findings about machines that could not connect to receivers which others have reached. Pure."""

from collections.abc import Iterator
from datetime import datetime

from portal.services.core.time_zones import moment_words
from portal.services.operations.finding import Finding, Level
from portal.services.operations.health import Facts

WHERE_TO_LOOK = (
    "Check its way out: name servers, firewall, routes, and its limit of open files. It keeps "
    "trying, and sends again automatically."
)


def senders_reach(facts: Facts, now: datetime) -> Iterator[Finding]:
    """A machine that sends nothing for it, and one that others only send a part for."""
    benched = {each.host for each in facts.lives if each.is_alive and each.benched_at}
    zone = facts.settings.timezone
    for each in facts.refuted:
        since = f"{moment_words(each.since, zone, now)} ({zone.key})"
        if each.machine in benched:
            yield Finding(
                "sender_benched",
                Level.WARNING,
                f"{each.machine} has not been able to reach receivers since {since}. It sends "
                "nothing until it can; other machines send for it.",
                WHERE_TO_LOOK,
            )
        else:
            one = each.webhooks == 1
            which = "one receiver" if one else f"{each.webhooks} receivers"
            yield Finding(
                "sender_unreached",
                Level.WARNING,
                f"{each.machine} has not been able to reach {which} since {since}. Other machines "
                f"reach {'it' if one else 'them'}, and send for it.",
                WHERE_TO_LOOK,
            )
