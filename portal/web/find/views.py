"""One search for everything, above every page. `/find`."""

import re
from collections.abc import Mapping
from typing import Any, Final
from uuid import UUID

from flask import Blueprint, redirect, render_template, request, url_for
from werkzeug.wrappers import Response

from portal.lib.clock import utcnow
from portal.lib.typed_text import tidy
from portal.services.assets.queries import holders
from portal.services.find import queries
from portal.services.find.queries import EverythingFound, FoundKind
from portal.web.assets.state import urgent_badges
from portal.web.deliveries import log_presenter
from portal.web.find.words import answers_url, lists, short
from portal.web.frame.access import can, requires
from portal.web.help.views import open_entries

MOST_OF_HELP: Final = 3
# Plain words, or a code: what was pasted is no question.
QUESTION: Final = re.compile(r"[\w' ?-]{1,60}")
# Each kind's page, and what its address calls the thing.
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
    """What the text names or describes; at once its page, if that is one thing beyond doubt."""
    text = tidy(request.args.get("q") or "")
    found = queries.find(text, can) if text else EverythingFound()
    if found.sure:
        return redirect(_address(*found.sure))
    return render_template(
        "find/index.html",
        text=text,
        short=short(text),
        help_found=open_entries(text)[:MOST_OF_HELP] if QUESTION.fullmatch(text) else [],
        found=found,
        lists=lists(text, found),
        answers_url=answers_url(text) if can("deliveries.read") and found.is_empty else "",
        holders=holders([asset.id for asset in found.assets.rows]),
        urgent_badges=urgent_badges,
        now=utcnow(),
        view=log_presenter,
    )


def _address(kind: FoundKind, id_: int | UUID) -> str:
    endpoint, name = PAGES[kind]
    values: dict[str, Any] = {name: id_}
    return url_for(endpoint, **values)
