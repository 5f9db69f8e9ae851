"""Help: the index with its search, the topics, and two pages that are written by hand."""

from collections.abc import Iterable, Iterator
from urllib.parse import urlsplit

from flask import Blueprint, abort, current_app, render_template, request

from portal.engine.reasons import Reason, reason_for_code, title
from portal.extensions import settings
from portal.lib.durations import in_words
from portal.web.frame.access import can, permission_of, requires
from portal.web.help.anchors import code_url, help_url
from portal.web.help.search import LONGEST, Entry, find
from portal.web.help.texts import Link, figures
from portal.web.help.topics import CODES, REASONS, SUBJECTS, TOPICS

blueprint = Blueprint("help", __name__, url_prefix="/help")


@blueprint.get("")
@requires("home.read")
def index() -> str:
    """By subject; or, with a question, what answers it."""
    question = (request.args.get("q") or "").strip()
    return render_template(
        "help/index.html",
        question=question,
        longest=LONGEST,
        found=open_entries(question) if question else [],
        subjects=[(each.title, _open(each.lines)) for each in SUBJECTS],
        codes=list(_codes()),
    )


@blueprint.get("/<topic>")
@requires("home.read")
def show(topic: str) -> str:
    """One topic."""
    found = TOPICS.get(topic) or abort(404)
    known = figures()
    parts = [
        (each, [text.format_map(known) for text in each.text], _open(each.links))
        for each in found.entries
    ]
    return render_template("help/topic.html", topic=found, parts=parts)


@blueprint.get("/webhooks")
@requires("webhooks.read")
def webhooks() -> str:
    """Explain what a webhook is, what we promise, and the words we use."""
    schedule = settings().webhook_retry_schedule
    return render_template(
        "help/webhooks.html", tries=len(schedule), lasting=in_words(sum(schedule))
    )


@blueprint.get("/no-message")
@requires("deliveries.read")
def no_message() -> str:
    """Why did I not get it? What to look at, in this order."""
    return render_template("help/no_message.html", days=settings().retention_days)


def open_entries(question: str) -> list[Entry]:
    """Find what answers a question, of what the reader may open."""
    return [each for each in find(question) if _is_open(each.path)]


def _codes() -> Iterator[tuple[str, str, str]]:
    """Address, code and words of what is looked up most often."""
    for code in CODES:
        yield code_url(code), str(code), title(reason_for_code(code) or Reason.BAD_REPLY)
    for reason in REASONS:
        yield help_url(reason), "", title(reason)


def _open(links: Iterable[Link]) -> list[Link]:
    return [(words, path) for words, path in links if _is_open(path)]


def _is_open(path: str) -> bool:
    """Return whether the signed-in person may read the page at this path of ours."""
    endpoint, _ = current_app.url_map.bind("").match(urlsplit(path).path)
    permission = permission_of(endpoint)
    return permission is not None and can(permission)
