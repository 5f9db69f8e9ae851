"""A choice of deliveries as a task keeps it, and back."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from portal.engine.events.catalogue import EventName
from portal.engine.reason_keys import Reason
from portal.services.bulk_retry.selection import Selection
from portal.services.deliveries.log.filters import FailedBetween, LogFilter, StatusFilter


def as_params(choice: Selection) -> dict[str, Any]:
    """A choice as a task keeps it."""
    kept: dict[str, Any] = {"again": choice.again, "newest": choice.newest}
    if choice.rest_of is not None:
        return {**kept, "rest": str(choice.rest_of)}
    if choice.wanted is None:
        return {**kept, "ticked": [str(each) for each in choice.ticked]}
    return {**kept, "filter": _as_words(choice.wanted)}


def from_params(params: Mapping[str, Any]) -> Selection:
    """The choice that a task kept."""
    if "rest" in params:
        return Selection(rest_of=UUID(params["rest"]), again=params["again"])
    if "filter" not in params:
        ticked = tuple(UUID(each) for each in params["ticked"])
        return Selection(ticked=ticked, again=params["again"])
    wanted = filter_of(params)
    return Selection(wanted=wanted, newest=params["newest"], again=params["again"])


def _as_words(wanted: LogFilter) -> dict[str, Any]:
    return {
        "status": wanted.status,
        "webhook": str(wanted.webhook) if wanted.webhook else None,
        "event": wanted.event,
        "asset_id": wanted.asset_id,
        "search": wanted.search,
        "reasons": [str(each) for each in wanted.reasons],
        "untried": wanted.untried,
        "codes": wanted.codes,
        "delivery": str(wanted.delivery) if wanted.delivery else None,
        "since": wanted.since.isoformat() if wanted.since else None,
        "until": wanted.until.isoformat() if wanted.until else None,
        "failed": [each.isoformat() if each else None for each in wanted.failed]
        if wanted.failed
        else None,
        "answer": wanted.answer,
    }


def _codes(kept: Mapping[str, Any]) -> tuple[int, int] | None:
    """Tasks of an earlier edition kept one code."""
    if one := kept.get("code"):
        return one, one
    return tuple(kept["codes"]) if kept.get("codes") else None


def filter_of(params: Mapping[str, Any]) -> LogFilter:
    """The filter that a task kept."""
    kept = params["filter"]
    return LogFilter(
        status=StatusFilter(kept["status"]) if kept["status"] else None,
        webhook=UUID(kept["webhook"]) if kept["webhook"] else None,
        event=EventName(kept["event"]) if kept["event"] else None,
        asset_id=kept["asset_id"],
        search=kept["search"],
        reasons=tuple(Reason(each) for each in kept["reasons"]),
        untried=bool(kept.get("untried")),
        codes=_codes(kept),
        delivery=UUID(kept["delivery"]) if kept["delivery"] else None,
        since=datetime.fromisoformat(kept["since"]) if kept["since"] else None,
        until=datetime.fromisoformat(kept["until"]) if kept["until"] else None,
        failed=_failed(kept),
        answer=kept.get("answer", ""),
    )


def _failed(kept: Mapping[str, Any]) -> FailedBetween | None:
    """Tasks of an earlier edition have no such filter."""
    if not kept.get("failed"):
        return None
    return FailedBetween(*(datetime.fromisoformat(at) if at else None for at in kept["failed"]))
