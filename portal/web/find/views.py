"""Serve the search above every page, at `/find`."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final
from uuid import UUID

from flask import Blueprint, redirect, render_template, request, url_for
from werkzeug.wrappers import Response

from portal.lib.clock import utcnow
from portal.lib.typed_text import tidy
from portal.services import find
from portal.services.assets.queries import holders
from portal.services.core.permissions import CONTENT
from portal.services.deliveries.statuses import LogFilter
from portal.services.find import EverythingFound, FoundKind, Hits
from portal.web.assets.presenter import urgent_badges
from portal.web.deliveries import log_presenter
from portal.web.forms.filter_form import LONGEST_SEARCH
from portal.web.frame.access import can, requires
from portal.web.frame.wording import number
from portal.web.help import search

MOST_OF_HELP: Final = 3
# Plain words or a code. Other pasted text isn't a question for the help.
QUESTION: Final = re.compile(r"[\w' ?-]{1,60}")
# Each kind's page and its URL parameter.
PAGES: Final[Mapping[FoundKind, tuple[str, str]]] = {
    FoundKind.ASSET: ("assets.show", "asset_id"),
    FoundKind.PERSON: ("staff.show", "public_id"),
    FoundKind.WEBHOOK: ("webhooks.show", "public_id"),
    FoundKind.DELIVERY: ("deliveries.show", "public_id"),
}

blueprint = Blueprint("find", __name__, url_prefix="/find")


@blueprint.get("")
@requires("home.read")
def index() -> Response | str:
    """Show the search results, or redirect to the page of a single sure one."""
    text = tidy(request.args.get("q") or "")
    found = find.find(text, can) if text else EverythingFound()
    if found.sure:
        return redirect(_address(*found.sure))
    return render_template(
        "find/index.html",
        text=text,
        short=short(text),
        help_found=search.find(text)[:MOST_OF_HELP] if QUESTION.fullmatch(text) else [],
        found=found,
        lists=lists(text, found),
        names=deleted(found),
        answers_url=answers_url(text) if can(CONTENT) and found.is_empty else "",
        holders=holders([asset.id for asset in found.assets.rows]),
        urgent_badges=urgent_badges,
        now=utcnow(),
        view=log_presenter,
    )


def _address(kind: FoundKind, id_: int | UUID) -> str:
    endpoint, name = PAGES[kind]
    values: dict[str, Any] = {name: id_}
    return url_for(endpoint, **values)


SHORT: Final = 60  # characters of a text in a heading


@dataclass(frozen=True, slots=True)
class WholeList:
    """A link to all results of one kind, blank if all are shown.

    `count` has the number of results shown and the total.
    """

    words: str
    url: str
    count: str = ""


def deleted(found: EverythingFound) -> list[WholeList]:
    """Return the deleted webhooks found, each with the log URL of its deliveries."""
    return [
        WholeList(name, url_for("deliveries.index", webhook=public_id))
        for name, public_id in found.deleted
    ]


def short(text: str) -> str:
    """Return the text on one line, cut off if it is long."""
    line = " ".join(text.split())
    return line if len(line) <= SHORT else f"{line[:SHORT].rstrip()}…"


def answers_url(text: str) -> str:
    """Return the URL that searches responses for the text, or "" if the text is too long."""
    is_line = text and len(text) <= LONGEST_SEARCH
    return url_for("deliveries.index", answer=text) if is_line else ""


def lists(text: str, found: EverythingFound) -> dict[str, WholeList]:
    """Return each group's count, with a link to the whole list if not all rows are shown.

    For deliveries found by a failure, the link leads to all that failed alike.
    """
    groups: dict[str, tuple[Hits[Any], str]] = {
        "assets": (found.assets, "assets.index"),
        "people": (found.people, "staff.index"),
        "webhooks": (found.webhooks, "webhooks.index"),
        "deliveries": (found.deliveries, "deliveries.index"),
    }
    whole = {}
    for name, (group, endpoint) in groups.items():
        if group.total is not None and group.total > len(group.rows):
            count = f"{len(group.rows)} of {number(group.total)}{'+' if group.is_more else ''}"
            whole[name] = WholeList(f"View all {name}", url_for(endpoint, q=text), count)
        elif group.rows:
            whole[name] = WholeList("", "", f"{len(group.rows)}{'+' if group.is_more else ''}")
    if found.listed_by:
        count = whole["deliveries"].count
        whole["deliveries"] = replace(_listed_by(found.listed_by), count=count)
    return whole


def _listed_by(like: LogFilter) -> WholeList:
    if like.answer:
        url = url_for("deliveries.index", answer=like.answer)
        return WholeList("View all with this response", url)
    code = like.codes[0] if like.codes else None
    url = url_for("deliveries.index", reason=str(like.reasons[0]), code=code, webhook=like.webhook)
    return WholeList("View all with this result", url)
