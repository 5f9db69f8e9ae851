"""What was dismissed or restored, in words."""

from collections.abc import Iterator, Sequence
from typing import Final
from uuid import UUID

from flask import render_template, url_for
from markupsafe import Markup

from portal.models.deliveries import DeliveryStatus
from portal.services.deliveries.dismissals import Done, Outcome
from portal.web.deliveries.wording import by_status, event_name
from portal.web.frame.wording import number, plural

# How "1" and "3" of those that were left go on.
LEFT: Final = {
    Outcome.DELIVERED: ("was already delivered", "were already delivered"),
    Outcome.ALREADY: ("was already dismissed", "were already dismissed"),
    Outcome.NOT_DISMISSED: ("wasn’t dismissed", "weren’t dismissed"),
    Outcome.DELETED: (
        "can’t be restored because its webhook was deleted",
        "can’t be restored because their webhook was deleted",
    ),
    Outcome.GONE: ("is no longer kept", "are no longer kept"),
}
MOST_NAMED: Final = 5


def deliveries(count: int) -> str:
    """Say "1 delivery", "1,234 deliveries"."""
    return plural(count, "delivery", "deliveries")


def dismissed_words(done: Done, back: str) -> Markup:
    """Say what was dismissed and what not, with a button that undoes it and comes back."""
    words = _words(f"Dismissed {deliveries(done.changed)}.", "Nothing was dismissed.", done)
    if not done.changed or done.act is None:
        return Markup("{}").format(words)
    return Markup("{} {}").format(words, _undo(done.act, back))


def restored_words(done: Done) -> str:
    """Say what was restored, whether it goes, and what was not restored."""
    statuses = done.statuses
    status = by_status(statuses) if statuses.total() > 1 else "".join(statuses).replace("_", " ")
    some = f"Restored {deliveries(done.changed)}{f' ({status})' if status else ''}."
    if statuses[DeliveryStatus.FAILED]:
        some += " We don’t retry failed deliveries automatically."
    return _words(some, "Nothing was restored.", done)


def tone_of(done: Done) -> str:
    """Return the tone of the message about an act."""
    return "success" if done.changed else "warning"


def _words(some: str, none: str, done: Done) -> str:
    return " ".join([some if done.changed else none, *_left(done)])


def _left(done: Done) -> Iterator[str]:
    for outcome, (one, many) in LEFT.items():
        if count := done.counts[outcome]:
            names = _names(done.names.get(outcome, ()))
            yield f"{number(count)} {one if count == 1 else many}{names}."


def _names(named: Sequence[tuple[str, str]]) -> str:
    if not 0 < len(named) <= MOST_NAMED:
        return ""
    return f": {', '.join(f'{event_name(event)} {tag}'.strip() for event, tag in named)}"


def _undo(act: UUID, back: str) -> Markup:
    address = url_for("dismissals.restore", dismissal=act, back=back)
    return Markup(render_template("deliveries/_undo.html", address=address))  # noqa: S704 - ours
