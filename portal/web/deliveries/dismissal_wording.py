"""Word the results of dismissing and restoring deliveries."""

from collections.abc import Iterator, Sequence
from typing import Final
from uuid import UUID

from flask import render_template, url_for
from markupsafe import Markup

from portal.models.deliveries import DeliveryStatus
from portal.services.deliveries.dismissals import Done, Outcome
from portal.web.deliveries.wording import by_status, deliveries, event_name
from portal.web.frame.wording import number

# Sentence endings after "1" and after "3" for deliveries that were left out.
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


def dismissed_words(done: Done, back: str) -> Markup:
    """Return the result of a dismissal, with an Undo button that returns to `back`."""
    words = _words(f"Dismissed {deliveries(done.changed)}.", "Nothing was dismissed.", done)
    if not done.changed or done.act is None:
        return Markup("{}").format(words)
    return Markup("{} {}").format(words, _undo(done.act, back))


def restored_words(done: Done) -> str:
    """Return the result of a restore, with the new statuses and the deliveries left out."""
    statuses = done.statuses
    status = by_status(statuses) if statuses.total() > 1 else "".join(statuses).replace("_", " ")
    restored = f"Restored {deliveries(done.changed)}{f' ({status})' if status else ''}."
    if statuses[DeliveryStatus.FAILED]:
        restored += " We don’t retry failed deliveries automatically."
    return _words(restored, "Nothing was restored.", done)


def tone_of(done: Done) -> str:
    """Return the flash category of the result."""
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
