"""Show the list of webhooks, one webhook with its tabs, and the catalog of events."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any, Final
from urllib.parse import quote, urlencode, urlsplit
from uuid import UUID, uuid4

from flask import Blueprint, render_template, request, url_for
from werkzeug.wrappers import Response

from portal.engine.events.catalogue import CATALOGUE, GROUPS, EventName
from portal.engine.events.samples import sample_message
from portal.engine.formats.answers import answers_of
from portal.engine.http.address_mask import MASK
from portal.extensions import settings
from portal.lib.clock import utcnow
from portal.lib.paging import Page
from portal.models.webhooks import OffReason
from portal.services.core.refusals import NotFound
from portal.services.deliveries import log as log_pages
from portal.services.deliveries import trends
from portal.services.deliveries.statuses import LogFilter, StatusFilter
from portal.services.deliveries.trends import Share, Trend
from portal.services.outbox.conditions import sentences_of
from portal.services.webhooks import queries as webhook_queries
from portal.services.webhooks import watches
from portal.services.webhooks.backlog import WebhookStatus
from portal.services.webhooks.queries import ListedWebhook, WebhookDetail, WebhookOrder
from portal.services.webhooks.rules import FORMATS
from portal.web.deliveries import log_presenter
from portal.web.deliveries.list_place import delivery_url, here
from portal.web.deliveries.log_presenter import span_url
from portal.web.deliveries.request import YOURS
from portal.web.forms.base import status_of
from portal.web.forms.filter_form import (
    FilterForm,
    LinkedField,
    SearchField,
    list_back,
    list_here,
    order_in,
)
from portal.web.frame import charts
from portal.web.frame.access import actor, can, requires
from portal.web.frame.layout import stand_under
from portal.web.frame.wording import counted
from portal.web.webhooks import presenter
from portal.web.webhooks import wording as webhook_advice
from portal.web.webhooks.destinations import cautions_about, destination, preset_of
from portal.web.webhooks.wording import (
    Beginning,
    event_choices,
    events_count,
    events_of,
    failures_began,
    going_on,
    history_lines,
    last_test,
    limits,
    off_note,
    on_and_off,
    order_words,
    state_sentence,
    turning_off,
    waiting_sentence,
)

Answer = Response | str | tuple[str, int]
WEBHOOK: Final = "/<uuid:public_id>"
LATEST: Final = 6
# The sortable columns, and whether the first click sorts in descending order.
FALLS: Final[Mapping[str, bool]] = {
    WebhookOrder.NAME: False,
    WebhookOrder.STATUS: True,
    WebhookOrder.LAST: True,
}
PROBLEMS: Final = "problems"  # query value for only webhooks with problems
EXAMPLE: Final = "https://your-system.example.com/webhooks"


class WebhookFilterForm(FilterForm):
    """The filter of the list, to which the global search and Overview link."""

    q = SearchField("Name, host, or format")
    show = LinkedField("Show", among={PROBLEMS})


blueprint = Blueprint("webhooks", __name__, url_prefix="/settings/webhooks")
blueprint.record_once(
    lambda state: state.app.jinja_env.globals.update(
        webhook_frame=frame_of_log, destination=destination
    )
)


@blueprint.get("")
@requires("webhooks.read")
def index() -> Answer:
    """Show the webhooks, the worst first."""
    form = WebhookFilterForm(request.args)
    page: Page[ListedWebhook] = Page([])
    order = order_in(FALLS, WebhookOrder.STATUS)
    if form.validate():
        page = webhook_queries.list_webhooks(
            form.q.data or "",
            request.args.get("cursor"),
            WebhookOrder(order.by),
            reverse=order.is_reversed,
            in_trouble=form.show.data == PROBLEMS,
        )
    days = charts.last_days()
    week = trends.trends(days)
    most = charts.most_in(week.values())
    shares = _shares(week, days, [webhook.public_id for webhook in page.rows])
    on, off = webhook_queries.count_on_and_off()
    html = render_template(
        "webhooks/index.html",
        filter=form,
        page=page,
        order=order,
        list_here=list_here(),
        has_any=bool(on or off),
        on_and_off=on_and_off(on, off),
        going_on=lambda webhook: going_on(
            webhook, week.get(webhook.public_id), shares.get(webhook.public_id)
        ),
        off_note=lambda webhook: off_note(webhook, utcnow()),
        week_of=lambda webhook: charts.days_chart(week.get(webhook), charts.SMALL, most=most),
        share_of=lambda webhook: presenter.share_line(shares.get(webhook)),
        delivery_path=delivery_path,
        event_total=len(CATALOGUE),
        new_once=new_once,
    )
    return html, status_of(form)


def _shares(
    week: Mapping[UUID, Trend], days: Sequence[datetime], ids: Sequence[UUID]
) -> Mapping[UUID, Share]:
    """Return each webhook's share of deliveries that were delivered in these days."""
    undelivered = trends.undelivered([days[0], days[-1]], ids)
    delivered = {public_id: trend.delivered for public_id, trend in week.items()}
    return {
        public_id: Share(delivered.get(public_id, 0), counts[0])
        for public_id, counts in undelivered.items()
    }


@blueprint.get(WEBHOOK)
@requires("webhooks.read")
def show(public_id: UUID) -> Answer:
    """Show one webhook: status, next step, backlog, latest deliveries, settings."""
    webhook = webhook_queries.show(public_id)
    latest = log_pages.latest(LogFilter(webhook=public_id), LATEST)
    day = trends.trend(charts.last_hours(), public_id)
    place = partial(span_url, webhook=public_id)
    chart = charts.hours_chart(day, place)
    period = request.args.get("period")
    is_week = period == charts.WEEK or (period != charts.DAY and chart.is_empty)
    if is_week:
        chart = charts.days_chart(trends.trend(charts.last_days(), public_id), place=place)
    backlog = webhook.backlog
    cause = backlog.cause if backlog else None
    failures = webhook_queries.last_failures(backlog, cause) if backlog and cause else []
    newest = failures
    if backlog and cause and len(backlog.causes) > 1:
        newest = [*webhook_queries.last_failures(backlog)[:1], *failures]
    responses = presenter.responses(backlog)
    changes = webhook_queries.history(public_id) if newest else []
    return render_template(
        "webhooks/show.html",
        **page_of(webhook, "webhooks.show"),
        address=address_of(webhook),
        format=FORMATS.get(webhook.format, webhook.format),
        cautions=cautions_about(webhook),
        advice=webhook_advice,
        state=state_sentence(webhook, latest, utcnow(), day, off_by(webhook)),
        waiting=waiting_sentence(webhook, latest, count_open(webhook)),
        began=began(webhook),
        turning_off=turning_off(webhook.turns_off_at, utcnow()),
        next_step=presenter.next_step(webhook, failures, responses, last_test(latest, utcnow())),
        update=presenter.update_of(webhook, newest, changes, responses),
        causes=presenter.cause_rows(backlog, responses),
        order=order_words(webhook),
        limits=limits(webhook),
        events_count=events_count(webhook.events),
        groups=events_of(webhook.events),
        conditions=sentences_of(webhook.conditions),
        choices=event_choices(webhook.events),
        latest=latest,
        chart=None if chart.is_empty and not period else chart,
        periods=charts.period_tabs(
            "webhooks.show", is_week=is_week, public_id=public_id, list=request.args.get("list")
        ),
        weeks=presenter.weeks_of(webhook),
        view=log_presenter,
        delivery_url=delivery_url,
        here=here,
    )


@blueprint.get(f"{WEBHOOK}/receiver")
@requires("webhooks.read")
def receiver(public_id: UUID) -> Answer:
    """Show how to set up the receiver, with code that verifies signatures."""
    webhook = webhook_queries.show(public_id)
    url = EXAMPLE if webhook.is_inbox else address_of(webhook)
    preset = preset_of(webhook.format)
    return render_template(
        "webhooks/receiver.html",
        **page_of(webhook, "webhooks.receiver"),
        url=url,
        preset=preset,
        answers=answers_of(preset.key) if preset else [],
        snippets=[] if webhook.format else snippets(url),
        timeout=settings().webhook_timeout,
    )


@blueprint.get(f"{WEBHOOK}/history")
@requires("webhooks.read")
def history(public_id: UUID) -> Answer:
    webhook = webhook_queries.show(public_id)
    changes = webhook_queries.history(public_id)
    return render_template(
        "webhooks/history.html",
        **page_of(webhook, "webhooks.history"),
        lines=history_lines(
            changes, webhook.backlog.since if webhook.backlog else None, webhook.created_at
        ),
    )


@blueprint.get("/events")
@requires("webhooks.read")
def events() -> Answer:
    """Show every event with an example of its message."""
    source = settings().webhook_source
    examples = {
        str(event): json.dumps(sample_message(event, source=source), indent=2, ensure_ascii=False)
        for event in EventName
    }
    return render_template("webhooks/events.html", groups=GROUPS, examples=examples)


def page_of(webhook: WebhookDetail, here: str) -> dict[str, Any]:
    """Return the template values that all of a webhook's pages need."""
    may_watch = can(watches.PERMISSION)
    undelivered = webhook.backlog.undelivered if webhook.backlog else webhook.held
    deliveries = {
        "label": "Deliveries",
        "url": log_path(webhook.public_id),
        "is_here": here == "deliveries.index",
        "count": counted(undelivered) if undelivered else None,
        "is_bad": bool(webhook.backlog),
    }
    tabs = [
        {"label": label, "url": url_for(name, public_id=webhook.public_id), "is_here": name == here}
        for label, name in (
            ("Overview", "webhooks.show"),
            ("Receiver setup", "webhooks.receiver"),
            ("History", "webhooks.history"),
        )
    ]
    return {
        "webhook": webhook,
        "places": [tabs[0], deliveries, *tabs[1:]],
        "list_url": list_url(webhook),
        "retry_all": presenter.retry_all(webhook.backlog),
        "log_path": log_path,
        "new_once": new_once,
        "shows_secret": shows_secret(webhook),
        "emails": watches.emails_about(actor(), webhook.public_id) if may_watch else None,
    }


def frame_of_log(public_id: UUID | None) -> dict[str, Any]:
    """Return `page_of` for the log of one webhook, or {} for several or a deleted one."""
    if public_id is None or not can("webhooks.read"):
        return {}
    try:
        webhook = webhook_queries.show(public_id)
    except NotFound:
        return {}
    stand_under("/settings/webhooks")
    return page_of(webhook, "deliveries.index")


def list_url(webhook: WebhookDetail) -> str:
    """Return the URL of the webhook's row in the list."""
    return list_back("webhooks.index", f"webhook-{webhook.public_id}")


def delivery_path(delivery: UUID) -> str:
    """Return the URL of a delivery's page."""
    return f"{request.script_root}/deliveries/{delivery}"


def new_once() -> str:
    """Return a one-time token for a button that creates something."""
    return str(uuid4())


def log_path(webhook: UUID, **narrowed: str) -> str:
    """Return the URL of the log of one webhook."""
    return f"{request.script_root}/deliveries?{urlencode({'webhook': webhook, **narrowed})}"


def address_of(webhook: WebhookDetail) -> str:
    """Return the URL, without its secret parts for users who may not edit it."""
    is_whole = can("webhooks.edit") and not webhook.is_inbox
    return webhook_queries.address(webhook.public_id) if is_whole else webhook.url


def began(webhook: WebhookDetail) -> Beginning | None:
    """Return the change shortly before its first failure, or None."""
    if webhook.backlog is None or webhook.backlog.since is None:
        return None
    return failures_began(webhook.backlog.since, webhook_queries.history(webhook.public_id))


def off_by(webhook: WebhookDetail) -> str:
    """Return the person who turned it off, or "" if none did or the history has no entry."""
    if webhook.is_active or webhook.off_reason not in (None, OffReason.PERSON):
        return ""
    entries = webhook_queries.history(webhook.public_id)
    return next((entry.by for entry in entries if entry.action == "webhook.turned_off"), "")


def count_open(webhook: WebhookDetail) -> int:
    """Count the deliveries that wait for an active webhook, up to the limit of counts."""
    if webhook.status is not WebhookStatus.ACTIVE or not webhook.oldest_open:
        return 0
    open_ones = (StatusFilter.QUEUED, StatusFilter.RETRYING)
    return sum(log_pages.count(status, webhook.public_id) for status in open_ones)


def shows_secret(webhook: WebhookDetail) -> bool:
    """Return whether the secret was generated for this user, who may still see it."""
    until = webhook.secret_shown_until
    is_maker = webhook.secret_made_by_id == actor().user_id
    return bool(webhook.has_secret and is_maker and until and until > utcnow())


LANGUAGES: Final = (
    ("python", "Python", "receiver.py"),
    ("node", "Node", "receiver.mjs"),
    ("php", "PHP", "receiver.php"),
    ("csharp", "C#", "Program.cs"),
    ("java", "Java", "Receiver.java"),
    ("go", "Go", "receiver.go"),
    ("curl", "curl", "send-a-test.sh"),
)
# Left unescaped, because none of these ends a comment or a string in any of the languages.
HARMLESS: Final = "/:?&=%+,;@!()~-._[]"


@dataclass(frozen=True, slots=True)
class Snippet:
    """One file of code. `language` is a short word for ids."""

    language: str
    label: str
    filename: str
    code: str


def snippets(url: str) -> list[Snippet]:
    """Return the code in every language for the webhook at `url`, without a secret key.

    The developer fills in the masked part of the URL.
    """
    safe = quote(url.replace(MASK, YOURS), safe=HARMLESS)
    parts = urlsplit(safe)
    # Behind https://, a reverse proxy has the URL's port.
    port = parts.port if parts.scheme == "http" else None
    words = {"url": safe, "path": parts.path or "/", "port": str(port or 8080)}
    return [
        Snippet(language, label, filename, _render(language, words))
        for language, label, filename in LANGUAGES
    ]


def _render(language: str, words: dict[str, str]) -> str:
    return render_template(f"webhooks/receivers/{language}.txt", **words).strip() + "\n"
