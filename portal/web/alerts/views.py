"""Serve the list of alerts with their remedies, and acknowledge alerts."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from uuid import UUID

from flask import Blueprint, flash, redirect, render_template, request, url_for
from werkzeug.wrappers import Response
from wtforms.fields import SelectChoice  # type: ignore[attr-defined]  # newer than its types

from portal.lib.clock import utcnow
from portal.lib.paging import Page
from portal.models.alerts import Alert
from portal.services.actions import lifecycle
from portal.services.alerts import ledger
from portal.services.alerts import queries as alert_queries
from portal.services.alerts.queries import AlertDeliveries, AlertFilter, Which
from portal.services.alerts.recipients import holders_told
from portal.services.core.refusals import NotFound
from portal.web.alerts.recipients import emailed_to
from portal.web.alerts.why_not import of_asset
from portal.web.alerts.wording import KINDS, KindWords, due_words, sentence, since, state_of
from portal.web.forms.base import status_of
from portal.web.forms.filter_form import ChosenField, FilterForm, LinkedField, RowField
from portal.web.frame.access import actor, local_path, requires
from portal.web.frame.layout import page_url
from portal.web.frame.status_tags import DELIVERY, Tab, Tag
from portal.web.frame.wording import counted
from portal.web.help.advice import contact

blueprint = Blueprint("alerts", __name__, url_prefix="/alerts")
blueprint.record_once(
    lambda state: state.app.jinja_env.globals.update(alerts_of=of_asset, alert_kinds=KINDS)
)

SHOW = [
    SelectChoice(Which.OPEN, "Open"),
    SelectChoice(Which.ACKNOWLEDGED, "Acknowledged"),
    SelectChoice(Which.ALL, "All, including resolved"),
]


class AlertFilterForm(FilterForm):
    """The filter above the list, kept in the URL."""

    show = ChosenField("Show", choices=SHOW)
    event = LinkedField("Kind", among=set(KINDS))
    asset = RowField("Asset")

    def chosen(self) -> AlertFilter:
        """Return the filter. Call `validate` first."""
        asset_id = self.asset.row_id
        otherwise = Which.ALL if asset_id else Which.OPEN
        return AlertFilter(
            which=Which(self.show.data) if self.show.data else otherwise,
            event=self.event.data or None,
            asset_id=asset_id,
        )


@dataclass(frozen=True, slots=True)
class AlertLine:
    """One alert as the page shows it. `todo`: blank if nothing is left to do."""

    alert: Alert
    words: KindWords
    sentence: str
    todo: str
    state: Tag
    since: datetime
    sent: str
    sent_url: str
    emailed: str
    reminded: str


@blueprint.get("")
@requires("alerts.read")
def index() -> tuple[str, int]:
    """Show the alerts, newest first."""
    due = due_words(utcnow())
    form, chosen = AlertFilterForm(request.args), AlertFilter()
    page: Page[Alert] = Page([])
    if form.validate():
        chosen = form.chosen()
        page = alert_queries.list_alerts(chosen, request.args.get("cursor"))
        form.show.data = chosen.which
    made = alert_queries.deliveries_of(page.rows)
    holders = holders_told(page.rows)
    html = render_template(
        "alerts/index.html",
        due=due,
        page=page,
        lines=[_line(alert, made, holders) for alert in page.rows],
        kinds=_chips(chosen),
        filter=form,
        asset=_asset_tag(chosen),
        which=chosen.which,
        has_any=bool(page.rows) or alert_queries.has_any(),
        is_narrowed=chosen.event is not None or chosen.asset_id is not None,
        contact=contact,
    )
    return html, status_of(form)


@blueprint.post("/<uuid:public_id>/acknowledge")
@requires("alerts.acknowledge")
def acknowledge(public_id: UUID) -> Response:
    """Note that this person takes care of the alert."""
    is_first = ledger.acknowledge(actor(), public_id)
    alert = alert_queries.find(public_id)
    thing = f"{KINDS[alert.event].tag.word} alert for {alert.asset.asset_tag}"
    if is_first:
        flash(f"{thing} acknowledged.", "success")
    else:
        flash(f"{alert.acknowledged_by} acknowledged this before you.", "info")
    back = request.form.get("back")
    return redirect(local_path(back) if back else url_for("alerts.index"))


def _chips(chosen: AlertFilter) -> list[Tab]:
    return [_chip(None, "All kinds", chosen)] + [
        _chip(str(event), words.tab, chosen) for event, words in KINDS.items()
    ]


def _chip(event: str | None, label: str, chosen: AlertFilter) -> Tab:
    count = alert_queries.count_alerts(replace(chosen, event=event))
    is_here = chosen.event == event
    return Tab(label, page_url(event=event, cursor=None), is_here, counted(count))


def _line(
    alert: Alert, made: Mapping[int, AlertDeliveries], holders: Mapping[int, str]
) -> AlertLine:
    words = KINDS[alert.event]
    is_open = alert.resolved_at is None and alert.asset.deleted_at is None
    sent, sent_url = _sent(alert, made.get(alert.id))
    return AlertLine(
        alert=alert,
        words=words,
        sentence=sentence(alert.event, alert.details),
        todo=words.remedy if is_open else "",
        state=state_of(alert),
        since=since(alert),
        sent=sent,
        sent_url=sent_url,
        emailed=emailed_to(alert),
        reminded=holders.get(alert.id, ""),
    )


def _sent(alert: Alert, made: AlertDeliveries | None) -> tuple[str, str]:
    """Return the result of the alert's deliveries, and the URL that shows them."""
    if not alert.is_sent:
        return "Marked as sent", ""
    if made is None and (alert.mailed_to or alert.is_holder_told):
        return "", ""
    if made is None:
        kept = alert.event_id is not None
        return "No webhook was subscribed" if kept else "No longer kept", ""
    words = _counted(made.counts)
    if made.only is not None:
        return words, url_for("deliveries.show", public_id=made.only)
    narrowed = url_for("deliveries.index", event=alert.event, asset=alert.asset_id)
    return words, narrowed


def _counted(counts: Mapping[str, int]) -> str:
    if sum(counts.values()) == 1:
        return DELIVERY[next(iter(counts))].word
    parts: Sequence[str] = [f"{n} {DELIVERY[status].word.lower()}" for status, n in counts.items()]
    return ", ".join(parts)


def _asset_tag(chosen: AlertFilter) -> str:
    if chosen.asset_id is None:
        return ""
    try:
        return lifecycle.find_asset(chosen.asset_id).asset_tag
    except NotFound:
        return str(chosen.asset_id)
