"""What a bulk retry is for, in words: the filter as a person would say it."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from portal.engine.events.catalogue import event_type
from portal.engine.reasons import Reason, ReasonGroup, reasons_in, title
from portal.services.bulk_retry.selection import Selection
from portal.services.bulk_retry.stored_choice import filter_of
from portal.services.deliveries.log import pages as log_pages
from portal.services.deliveries.log.filters import LogFilter, StatusFilter
from portal.web.deliveries.forms import status_words
from portal.web.frame.wording import near_time, plural

NO_LONGER: Final = "a webhook that is no longer kept"
EVERYTHING: Final = "all deliveries"


class Names:
    """The names of webhooks, looked up once for all that is put into words."""

    def __init__(self) -> None:
        self._known: dict[UUID, str] | None = None

    def of(self, webhook: UUID) -> str:
        """The name, also of one that was deleted."""
        if self._known is None:
            self._known = {row[0]: row[1] for row in log_pages.webhook_names()}
        return self._known.get(webhook, NO_LONGER)


def kept_words(params: Mapping[str, Any], names: Names) -> str:
    """What a task was started for: "Finance depreciation, Server error (500), since 03:11"."""
    if "rest" in params:
        return "what a stopped bulk retry did not send"
    if "ticked" in params:
        return plural(len(params["ticked"]), "selected delivery", "selected deliveries")
    return filter_words(filter_of(params), names)


def choice_words(choice: Selection, names: Names) -> str:
    """The same of what is only asked about yet; blank for what was ticked."""
    return filter_words(choice.wanted, names) if choice.wanted else ""


def heading(params: Mapping[str, Any], names: Names) -> str:
    """What stands above its page: "Retry to Finance depreciation, Server error (500)"."""
    is_to_one = "filter" in params and params["filter"].get("webhook")
    return f"Retry {'to ' if is_to_one else ''}{kept_words(params, names)}"


def filter_words(wanted: LogFilter, names: Names) -> str:
    """A filter of the log."""
    return ", ".join(_parts(wanted, names)) or EVERYTHING


def _parts(wanted: LogFilter, names: Names) -> Iterator[str]:
    if wanted.webhook:
        yield names.of(wanted.webhook)
    if wanted.status and not (wanted.status is StatusFilter.ATTENTION and _has_reason(wanted)):
        yield f"all with status {status_words(wanted.status)}"
    if wanted.reasons:
        yield _reasons(wanted)
    elif wanted.codes:
        yield f"code {_code(wanted.codes)}"
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
        yield f"answered “{wanted.answer}”"
    if wanted.failed:
        yield _failed(*wanted.failed)
    if wanted.since:
        yield f"since {near_time(wanted.since)}"
    if wanted.until:
        yield f"until {near_time(wanted.until)}"


def _failed(since: datetime | None, until: datetime | None) -> str:
    """ "an attempt failed since 18:00 until 08:00"."""
    begin = f" since {near_time(since)}" if since else ""
    end = f" until {near_time(until)}" if until else ""
    return f"an attempt failed{begin}{end}"


def _has_reason(wanted: LogFilter) -> bool:
    return bool(wanted.reasons or wanted.untried or wanted.codes)


def _reasons(wanted: LogFilter) -> str:
    words = _reason_words(wanted.reasons)
    return f"{words} ({_code(wanted.codes)})" if wanted.codes else words


def _reason_words(reasons: Sequence[Reason]) -> str:
    group = next((each for each in ReasonGroup if set(reasons_in(each)) == set(reasons)), None)
    return group.label if group else " or ".join(dict.fromkeys(map(title, reasons)))


def _code(codes: tuple[int, int]) -> str:
    """As it is typed: 404, 50x, 5xx."""
    first, last = str(codes[0]), str(codes[1])
    same = (
        len(first)
        if first == last
        else next(place for place in range(3) if first[place] != last[place])
    )
    return first[:same] + "x" * (3 - same)
