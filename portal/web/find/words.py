"""What stands around the results of a search: its text cut short, and where there is more."""

from dataclasses import dataclass
from typing import Any, Final

from flask import url_for

from portal.services.assets.queries import COUNTED_BESIDE
from portal.services.deliveries.log.plan import MOST_BEGUN
from portal.services.find.queries import EverythingFound, Hits
from portal.web.forms.filter_form import LONGEST_SEARCH
from portal.web.frame.wording import counted

SHORT: Final = 60  # characters of a text that stand in a heading


@dataclass(frozen=True, slots=True)
class WholeList:
    """A link to all of one kind that were found."""

    words: str
    url: str


def short(text: str) -> str:
    """The text on one line, cut off where it is long."""
    line = " ".join(text.split())
    return line if len(line) <= SHORT else f"{line[:SHORT].rstrip()}…"


def answers_url(text: str) -> str:
    """The log's filter that finds the words in what receivers answered; blank where the text is
    too long for it."""
    is_line = text and len(text) <= LONGEST_SEARCH
    return url_for("deliveries.index", answer=text) if is_line else ""


def lists(text: str, found: EverythingFound) -> dict[str, WholeList]:
    """For each group of which there is more than its few rows, the list that shows all of it."""
    more: dict[str, tuple[Hits[Any], str, int | None]] = {
        "assets": (found.assets, "assets.index", COUNTED_BESIDE),
        "people": (found.people, "staff.index", None),
        "webhooks": (found.webhooks, "webhooks.index", None),
        "deliveries": (found.deliveries, "deliveries.index", MOST_BEGUN - 1),
    }
    return {
        name: WholeList(
            f"All {counted(group.total, limit)} {name} with “{short(text)}”",
            url_for(endpoint, q=text),
        )
        for name, (group, endpoint, limit) in more.items()
        if group.total is not None and group.total > len(group.rows)
    }
