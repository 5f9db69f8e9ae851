"""Find a delivery's neighbors in the list it was opened from, and the URL back to the list."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import parse_qs, parse_qsl, urlencode, urlsplit, urlunsplit
from uuid import UUID

from flask import request, url_for

from portal.services.deliveries.detail import DeliveryDetail
from portal.services.deliveries.log import find_neighbours
from portal.services.deliveries.statuses import EARLIER, LogFilter, StatusFilter
from portal.web.deliveries.forms import FILTERS, LogFilterForm
from portal.web.forms.filter_form import LIST, LONGEST_ADDRESS, SORT, ListOrder, order_in
from portal.web.forms.versions import shown
from portal.web.frame.access import local_path
from portal.web.frame.layout import RETRIED, page_url

CURSOR: Final = "cursor"
LONGEST_LABEL: Final = 60
# Status filters that match only deliveries still to be sent.
OPEN_ALONE: Final = (StatusFilter.QUEUED, StatusFilter.RETRYING, StatusFilter.OPEN)


@dataclass(frozen=True, slots=True)
class OtherList:
    """A list other than the log.

    `path` matches its path. `wanted` returns its filter for the path's `named` group, and is None
    if no filter describes the list. `label` names the list on the page of one of its deliveries.
    """

    path: re.Pattern[str]
    wanted: Callable[[str], LogFilter] | None
    label: Callable[[DeliveryDetail], str]


OTHERS: Final = (
    OtherList(
        re.compile(r"/assets/(?P<named>\d{1,9})/deliveries"),
        lambda named: LogFilter(asset_id=int(named)),
        lambda delivery: f"Deliveries for {delivery.asset_tag}",
    ),
    OtherList(
        re.compile(r"/settings/webhooks/(?P<named>[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12})"),
        lambda named: LogFilter(webhook=UUID(named)),
        lambda delivery: delivery.webhook_name,
    ),
    OtherList(re.compile(r"/batches/.*"), None, lambda _: "Bulk retry"),
    OtherList(re.compile(r"/find"), None, lambda _: "Search"),
    OtherList(re.compile(r"/.*"), None, lambda _: "Back"),
)


@dataclass(frozen=True, slots=True)
class ListPlace:
    """A delivery's place in a list.

    `label` and `url` lead back. `previous` and `following` are URLs, empty at the ends of the list.
    `carried` are query parameters for every other URL of this delivery.
    """

    label: str
    url: str
    previous: str = ""
    following: str = ""
    carried: Mapping[str, Any] | None = None


def place_of(delivery: DeliveryDetail) -> ListPlace:
    """Find a delivery's place in the list that its page's URL names."""
    form = LogFilterForm(request.args)
    if not form.validate():
        return ListPlace("Deliveries", url_for("deliveries.index"))
    if other := request.args.get(LIST):
        return _in_other(delivery, local_path(other))
    log_filter, order, kept = form.chosen(), log_order(), carried()
    if order.by == NEXT:  # neighbors change within minutes in this order
        back = url_for("deliveries.index", **kept, _anchor=row_id(delivery.public_id))
        return ListPlace(_label(form, delivery), back, carried=kept)
    neighbours = find_neighbours(log_filter, delivery.row_id, oldest_first=order.is_reversed)
    place = {**kept, CURSOR: kept.get(CURSOR, neighbours.page)}
    return ListPlace(
        _label(form, delivery),
        url_for("deliveries.index", **place, _anchor=row_id(delivery.public_id)),
        _beside(neighbours.previous),
        _beside(neighbours.following),
        kept,
    )


def carried() -> dict[str, Any]:
    """Return the URL's query parameters that identify the list."""
    return _of_list(request.args.to_dict(flat=False))


def delivery_url(public_id: UUID, back: str) -> str:
    """Return the URL of a delivery in the list at the URL `back`."""
    address = list_of(back)
    parts = urlsplit(address)
    kept: dict[str, Any] = {} if len(address) > LONGEST_ADDRESS else {LIST: address}
    if parts.path == url_for("deliveries.index"):
        kept = _of_list(parse_qs(parts.query))
    return url_for("deliveries.show", public_id=public_id, **kept)


def _in_other(delivery: DeliveryDetail, address: str) -> ListPlace:
    path = urlsplit(address).path.removeprefix(request.script_root)
    known, match = next(
        (other, match) for other in OTHERS if (match := other.path.fullmatch(path)) is not None
    )
    label, url = known.label(delivery), f"{address}#{row_id(delivery.public_id)}"
    if known.wanted is None:
        return ListPlace(label, url, carried=carried())
    neighbours = find_neighbours(known.wanted(match["named"]), delivery.row_id)
    beside = (_beside(neighbours.previous), _beside(neighbours.following))
    return ListPlace(label, url, *beside, carried())


def _of_list(asked: Mapping[str, list[str]]) -> dict[str, Any]:
    names = {*FILTERS, SORT, CURSOR, LIST}
    return {name: values for name, values in asked.items() if name in names and any(values)}


def _beside(public_id: UUID | None) -> str:
    """Return a neighbor's URL without the cursor, because that page finds its own."""
    if public_id is None:
        return ""
    onward = {name: value for name, value in carried().items() if name != CURSOR}
    return url_for("deliveries.show", public_id=public_id, **onward)


def _label(form: LogFilterForm, delivery: DeliveryDetail) -> str:
    """Return the active filters in a few words."""
    words = [
        delivery.asset_tag if field.name == "asset" else shown(field)
        for field in form
        if field.data and shown(field)
    ]
    label = ", ".join(words) or "Deliveries"
    return label if len(label) <= LONGEST_LABEL else f"{label[:LONGEST_LABEL]}…"


WHEN, NEXT = "when", "next"


def log_order() -> ListOrder:
    """Return the order in the URL. Only open deliveries all have a next attempt to sort by."""
    if request.args.get(SORT) == NEXT and is_open_alone():
        return ListOrder({WHEN: True, NEXT: False}, WHEN, NEXT, falls=False)
    return order_in({WHEN: True}, WHEN)


def is_open_alone() -> bool:
    """Return whether the URL's status filter matches only open deliveries."""
    status = request.args.get("status") or ""
    return (EARLIER.get(status) or status) in OPEN_ALONE


def next_heading(order: ListOrder) -> dict[str, str]:
    """Return the sort URL and the current order for the next attempt's column heading."""
    if order.by == NEXT:
        return {"url": page_url(sort=None, cursor=None), "order": "ascending"}
    narrowed = {} if is_open_alone() else {"status": StatusFilter.OPEN}
    return {"url": page_url(sort=NEXT, cursor=None, **narrowed), "order": ""}


def here() -> str:
    """Return the URL of the current list."""
    return request.script_root + request.full_path.rstrip("?")


def place_in(back: str, public_id: UUID) -> str:
    """Return the local URL of a list at this delivery's row."""
    parts = urlsplit(list_of(back))
    query = urlencode([*parse_qsl(parts.query), (RETRIED, str(public_id))])
    return urlunsplit(("", "", parts.path, query, row_id(public_id)))


def list_of(back: str) -> str:
    """Return the local URL of a list without the marker of the last retried delivery."""
    parts = urlsplit(local_path(back))
    kept = [pair for pair in parse_qsl(parts.query) if pair[0] != RETRIED]
    return urlunsplit(("", "", parts.path, urlencode(kept), ""))


def row_id(public_id: UUID) -> str:
    """Return the HTML id of a delivery's row."""
    return f"delivery-{public_id}"
