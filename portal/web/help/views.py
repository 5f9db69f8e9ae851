"""Serve help: the index with its search, and the topics."""

from flask import Blueprint, abort, render_template, request
from flask.blueprints import BlueprintSetupState

from portal.web.frame.access import requires
from portal.web.help.search import LONGEST, find
from portal.web.help.topics import TOPICS, Entry, help_link, read

blueprint = Blueprint("help", __name__, url_prefix="/help")


@blueprint.record_once
def _give_words(state: BlueprintSetupState) -> None:
    state.app.jinja_env.globals["help_link"] = help_link


@blueprint.get("")
@requires("home.read")
def index() -> str:
    """List the topics, and the search results for a question."""
    question = (request.args.get("q") or "").strip()
    return render_template(
        "help/index.html",
        question=question,
        longest=LONGEST,
        found=find(question) if question else [],
        topics={name: _headings(name) for name in TOPICS},
    )


@blueprint.get("/<name>")
@requires("home.read")
def show(name: str) -> str:
    topic = TOPICS.get(name) or abort(404)
    return render_template("help/topic.html", topic=topic, body=read(name)[0])


def _headings(name: str) -> list[Entry]:
    return [entry for entry in read(name)[1] if entry.anchor in TOPICS[name].anchors]
