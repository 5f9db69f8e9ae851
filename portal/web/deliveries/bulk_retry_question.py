"""Word the counts, webhooks, reasons, and exclusions on a bulk retry's confirmation page."""

from collections.abc import Collection

from portal.engine.reasons import Reason, title
from portal.services.deliveries import bulk_retry
from portal.services.deliveries.bulk_retry_report import Rest
from portal.services.deliveries.bulk_retry_selection import Count, Selection, Skip
from portal.web.deliveries import bulk_retry_wording as wording
from portal.web.deliveries.wording import deliveries
from portal.web.frame.wording import number, plural


def to_whom(webhooks: Collection[str]) -> str:
    """Return "Sync" or "3 webhooks", or "" for none."""
    if len(webhooks) > 1:
        return plural(len(webhooks), "webhook")
    return next(iter(webhooks), "")


def how_many(count: Count) -> str:
    """Return "312 deliveries", or "at least 10,000 deliveries" if counting stopped early."""
    return ("at least " if count.is_more else "") + deliveries(count.total)


def since_words(choice: Selection, count: Count) -> str:
    """Describe the rest of another bulk retry, or return "" for any other selection."""
    every = count.total + count.skipped.total()
    rest = Rest(every, count.skipped[Skip.ARRIVED], count.total)
    return wording.rest_words(rest) if choice.rest_of else ""


def others(count: Count) -> list[tuple[str, wording.BulkRetryLine]]:
    """Return the bulk retries that already hold some of the selection, each with its count."""
    tasks = bulk_retry.named(list(count.taken))
    return [(number(count.taken[line.task.id]), line) for line in wording.lines_of(tasks)]


def reasons(count: Count) -> list[tuple[str, int]]:
    """Return reasons in words with their counts, the most frequent first."""
    words: dict[str, int] = {}
    for (reason, code), many in count.by_reason.items():
        text = title(Reason(reason), code) if reason else "No failure so far"
        words[text] = words.get(text, 0) + many
    return sorted(words.items(), key=lambda pair: -pair[1])


def skipped(count: Count) -> list[tuple[str, int]]:
    """Return the reasons for exclusion with their counts, the most frequent first."""
    return [(wording.SKIPS[skip], many) for skip, many in count.skipped.most_common()]
