"""Describe filters of the log in words."""

from collections.abc import Iterator, Sequence
from typing import Final
from uuid import UUID

from portal.engine.events.catalogue import event_type
from portal.engine.reasons import Reason, ReasonGroup, reasons_in, title
from portal.services.deliveries import log as log_pages
from portal.services.deliveries.statuses import LogFilter, StatusFilter
from portal.web.deliveries.forms import status_words
from portal.web.frame.wording import near_time

NO_LONGER: Final = "a deleted webhook"
EVERYTHING: Final = "all deliveries"
ATTENTION: Final = "all that need attention"


class Names:
    """Webhook names, loaded once on first use."""

    def __init__(self) -> None:
        self._known: dict[UUID, str] | None = None

    def of(self, webhook: UUID) -> str:
        """Return a webhook's name, even if it was deleted."""
        if self._known is None:
            self._known = {row[0]: row[1] for row in log_pages.webhook_names()}
        return self._known.get(webhook, NO_LONGER)


def filter_words(log_filter: LogFilter, names: Names) -> str:
    return ", ".join(_parts(log_filter, names)) or EVERYTHING


def _parts(wanted: LogFilter, names: Names) -> Iterator[str]:
    if wanted.webhook:
        yield names.of(wanted.webhook)
    has_reason = wanted.reasons or wanted.untried or wanted.codes
    if wanted.status and not (wanted.status is StatusFilter.ATTENTION and has_reason):
        yield ATTENTION if wanted.status is StatusFilter.ATTENTION else _all(wanted.status)
    code = _code(*wanted.codes) if wanted.codes else ""
    if wanted.reasons:
        yield f"{_reasons(wanted.reasons)} ({code})" if code else _reasons(wanted.reasons)
    elif code:
        yield f"code {code}"
    if wanted.untried:
        yield "no attempt yet"
    if wanted.event:
        yield event_type(wanted.event).name
    if wanted.asset_id:
        yield "one asset"
    if wanted.search:
        yield f"“{wanted.search}”"
    if wanted.delivery:
        yield "one delivery"
    if wanted.answer:
        yield f"response contains “{wanted.answer}”"
    if wanted.failed:
        begin, end = wanted.failed
        since = f" {'from' if end else 'since'} {near_time(begin)}" if begin else ""
        until = f" {'to' if begin else 'until'} {near_time(end)}" if end else ""
        yield f"an attempt failed{since}{until}"
    if wanted.since:
        yield f"since {near_time(wanted.since)}"
    if wanted.until:
        yield f"until {near_time(wanted.until)}"


def _all(status: StatusFilter) -> str:
    return f"all {status_words(status).lower()}"


def _reasons(reasons: Sequence[Reason]) -> str:
    for group in ReasonGroup:
        if set(reasons_in(group)) == set(reasons):
            return group.label
    return " or ".join(dict.fromkeys(map(title, reasons)))


def _code(first: int, last: int) -> str:
    """Return a range of codes as users type it, such as 404, 50x, or 5xx."""
    digits = zip(str(first), str(last), strict=True)
    return "".join(one if one == other else "x" for one, other in digits)
