"""Webhooks as people read them: the list, one webhook with its tabs, the catalogue of events."""

import json
from collections.abc import Mapping
from functools import partial
from typing import Final
from uuid import UUID, uuid4

from flask import Blueprint, render_template, request, url_for
from werkzeug.wrappers import Response

from portal.engine.events.catalogue import CATALOGUE, GROUPS
from portal.extensions import settings
from portal.lib.clock import utcnow
from portal.lib.paging import Page
from portal.services.deliveries import trends
from portal.services.deliveries.log import pages as log_pages
from portal.services.deliveries.log.filters import LogFilter
from portal.services.webhooks import queries as webhook_queries
from portal.services.webhooks.queries import WebhookDetail, WebhookOrder
from portal.services.webhooks.summary import ListedWebhook
from portal.web.deliveries.log_presenter import failures_url
from portal.web.deliveries.place.list_place import delivery_url
from portal.web.deliveries.rows.retried_row import here
from portal.web.deliveries.rows.row_words import event_name, status_note
from portal.web.forms.filter_form import FilterForm, SearchField
from portal.web.forms.list_address import list_back, list_here
from portal.web.forms.list_order import order_in
from portal.web.forms.refusals import status_of
from portal.web.frame import charts
from portal.web.frame.access import requires
from portal.web.webhooks import advice as webhook_advice
from portal.web.webhooks import overview
from portal.web.webhooks.history import history_lines
from portal.web.webhooks.receiver_code import snippets
from portal.web.webhooks.words import (
    event_choices,
    events_of,
    going_on,
    held_count,
    held_for,
    held_until_words,
    on_and_off,
    result_of,
    state_sentence,
    turning_off,
)

Answer = Response | str | tuple[str, int]
WEBHOOK: Final = "/<uuid:public_id>"
LATEST: Final = 10
# The headings that sort, and whether theirs falls when it is pressed first.
FALLS: Final[Mapping[str, bool]] = {
    WebhookOrder.NAME: False,
    WebhookOrder.STATUS: True,
    WebhookOrder.LAST: True,
}
EXAMPLE: Final = "https://your-system.example.com/webhooks"


class WebhookFilterForm(FilterForm):
    """What the list is narrowed to; the search of everything leads here."""

    q = SearchField("Name or host")


blueprint = Blueprint("webhooks", __name__, url_prefix="/settings/webhooks")


@blueprint.get("")
@requires("webhooks.read")
def index() -> Answer:
    """The webhooks and how they fare, the worst first."""
    form = WebhookFilterForm(request.args)
    page: Page[ListedWebhook] = Page([])
    order = order_in(FALLS, WebhookOrder.STATUS)
    if form.validate():
        page = webhook_queries.list_webhooks(
            form.q.data or "",
            request.args.get("cursor"),
            WebhookOrder(order.by),
            reverse=order.is_reversed,
        )
    week = trends.trends(charts.last_days())
    on, off = webhook_queries.count_on_and_off()
    html = render_template(
        "webhooks/index.html",
        filter=form,
        page=page,
        order=order,
        list_here=list_here(),
        has_any=bool(on or off),
        on_and_off=on_and_off(on, off),
        going_on=lambda webhook: going_on(webhook, week.get(webhook.public_id), utcnow()),
        week_of=lambda webhook: charts.days_chart(week.get(webhook), charts.SMALL),
        delivery_path=delivery_path,
        event_total=len(CATALOGUE),
        new_once=new_once,
    )
    return html, status_of(form)


@blueprint.get(WEBHOOK)
@requires("webhooks.read")
def show(public_id: UUID) -> Answer:
    """One webhook: how it fares, its facts, its latest deliveries."""
    webhook = webhook_queries.show(public_id)
    latest = log_pages.latest(LogFilter(webhook=public_id), LATEST)
    day = trends.trend(charts.last_hours(), public_id)
    return render_template(
        "webhooks/show.html",
        webhook=webhook,
        address=overview.address_of(webhook),
        advice=webhook_advice,
        places=page_tabs(webhook, "webhooks.show"),
        list_url=list_url(webhook),
        state=state_sentence(webhook, latest, utcnow(), day, overview.off_by(webhook)),
        began=overview.began(webhook),
        turning_off=turning_off(webhook.turns_off_at, utcnow()),
        held_until=held_until_words(webhook),
        held_for=held_for("While it is off, events"),
        held=held_count(webhook.held),
        waits=held_count(webhook.waits),
        groups=events_of(webhook.events),
        event_total=len(CATALOGUE),
        choices=event_choices(webhook.events),
        latest=latest,
        figures=overview.figures_of(webhook),
        charts=[
            charts.hours_chart(day, partial(failures_url, webhook=public_id)),
            charts.days_chart(
                trends.trend(charts.last_days(), public_id),
                failures=partial(failures_url, webhook=public_id),
            ),
        ],
        event_name=event_name,
        log_path=overview.log_path,
        delivery_url=delivery_url,
        here=here,
        result_of=result_of,
        status_note=status_note,
        shows_secret=overview.shows_secret(webhook),
        new_once=new_once,
    )


@blueprint.get(f"{WEBHOOK}/receiver")
@requires("webhooks.read")
def receiver(public_id: UUID) -> Answer:
    """How the other side is set up, with code that verifies our signature."""
    webhook = webhook_queries.show(public_id)
    url = EXAMPLE if webhook.is_inbox else overview.address_of(webhook)
    return render_template(
        "webhooks/receiver.html",
        webhook=webhook,
        places=page_tabs(webhook, "webhooks.receiver"),
        list_url=list_url(webhook),
        new_once=new_once,
        url=url,
        snippets=snippets(url),
        timeout=settings().webhook_timeout,
    )


@blueprint.get(f"{WEBHOOK}/history")
@requires("webhooks.read")
def history(public_id: UUID) -> Answer:
    """Who changed what, and when."""
    webhook = webhook_queries.show(public_id)
    changes = webhook_queries.history(public_id)
    return render_template(
        "webhooks/history.html",
        webhook=webhook,
        places=page_tabs(webhook, "webhooks.history"),
        list_url=list_url(webhook),
        new_once=new_once,
        lines=history_lines(changes, webhook.failing_since),
    )


@blueprint.get("/events")
@requires("webhooks.read")
def events() -> Answer:
    """Every event there is, with an example of its message."""
    source = settings().webhook_source
    examples = {
        str(each.value): json.dumps(each.sample(source=source), indent=2, ensure_ascii=False)
        for _, events in GROUPS
        for each in events
    }
    return render_template("webhooks/events.html", groups=GROUPS, examples=examples)


def page_tabs(webhook: WebhookDetail, here: str) -> list[dict[str, object]]:
    """The tabs of one webhook's pages."""
    tabs = [
        {
            "label": label,
            "url": url_for(name, public_id=webhook.public_id),
            "is_here": name == here,
        }
        for label, name in (
            ("Overview", "webhooks.show"),
            ("Set up the receiver", "webhooks.receiver"),
            ("History", "webhooks.history"),
        )
    ]
    deliveries = {
        "label": "Deliveries",
        "url": overview.log_path(webhook.public_id),
        "is_here": False,
    }
    return [tabs[0], deliveries, *tabs[1:]]


def list_url(webhook: WebhookDetail) -> str:
    """The way back to its line in the list."""
    return list_back("webhooks.index", f"webhook-{webhook.public_id}")


def delivery_path(delivery: UUID) -> str:
    """The page of one delivery (the address is stable)."""
    return f"{request.script_root}/deliveries/{delivery}"


def new_once() -> str:
    """A token for a button that creates something."""
    return str(uuid4())
