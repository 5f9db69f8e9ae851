"""What is said when something was dismissed, or brought back."""

from typing import Final

from flask import url_for
from markupsafe import Markup

from portal.services.core.counting import COUNT_LIMIT
from portal.services.deliveries.problems.chosen import BroughtBack, ChosenCount
from portal.services.deliveries.problems.dismissal import ProblemCount
from portal.web.frame.wording import counted

AGAIN: Final = "what fails again is a problem again."


def dismissed(done: ProblemCount) -> str:
    """Of a whole problem. What goes out all the same is told apart: it does not stay as it is."""
    queued = done.in_bulk_retry
    stay = done.count - queued if done.count <= COUNT_LIMIT else done.count
    return _with_link(_parts(stay, queued, "a problem"))


def chosen_dismissed(done: ChosenCount) -> str:
    """Of deliveries that were selected, and what was left out of them."""
    what = "a problem" if (done.dismissed or done.in_bulk_retry) == 1 else "problems"
    parts = _parts(done.dismissed, done.in_bulk_retry, what)
    if done.others:
        were = "was not listed as a problem" if done.others == 1 else "were not listed as problems"
        parts.append(f"{done.others} {were}.")
    return _with_link(parts)


def brought_back(count: int) -> str:
    """How many are problems again."""
    if not count:
        return "Brought back. What was selected by itself stays dismissed."
    which = "1 delivery is" if count == 1 else f"{counted(count)} deliveries are"
    return f"Brought back. {which} listed as a problem again."


def chosen_brought_back(done: BroughtBack) -> str:
    """The same of those that were selected, and what was left out of them."""
    words = brought_back(done.count)
    if not done.with_others:
        return words
    were = "was dismissed with a whole problem, and is"
    if done.with_others > 1:
        were = "were dismissed with a whole problem, and are"
    return f"{words} {done.with_others} {were} still dismissed."


def _parts(stay: int, queued: int, what: str) -> list[str]:
    """How many stay as they are, and how many are sent again all the same."""
    parts = [f"{_stay(stay)} no longer listed as {what}."] if stay else []
    if queued:
        which, they = ("1", "is") if queued == 1 else (counted(queued), "are")
        if stay:
            parts.append(f"{which} more {they} being retried in a bulk retry: {AGAIN}")
        else:
            more = "delivery" if queued == 1 else "deliveries"
            still = "It is" if queued == 1 else "They are"
            parts.append(f"{which} {more} {they} no longer listed as {what}.")
            parts.append(f"{still} still being retried in a bulk retry: {AGAIN}")
    return parts


def _stay(count: int) -> str:
    if count == 1:
        return "1 delivery stays Failed, and is"
    return f"{counted(count)} deliveries stay Failed, and are"


def _with_link(parts: list[str]) -> str:
    link = Markup('<a href="{}">Show dismissed</a>').format(url_for("problems.index"))
    return Markup("{} {}").format(" ".join(["Dismissed.", *parts]), link)
