"""The question before a bulk retry in words: how many, to whom, why, and what is not included."""

from collections.abc import Collection

from portal.engine.reasons import Reason, title
from portal.services.deliveries import bulk_retry
from portal.services.deliveries.bulk_retry_report import Rest
from portal.services.deliveries.bulk_retry_selection import Count, Selection, Skip
from portal.web.deliveries import bulk_retry_wording as wording
from portal.web.frame.wording import number, plural


def to_whom(webhooks: Collection[str]) -> str:
    """Say "Sync", "3 webhooks"; blank of none."""
    if len(webhooks) > 1:
        return plural(len(webhooks), "webhook")
    return next(iter(webhooks), "")


def how_many(count: Count) -> str:
    """Say "312 deliveries"; "at least 10,000" when counting ended early."""
    return ("at least " if count.is_more else "") + wording.deliveries(count.total)


def since_words(choice: Selection, count: Count) -> str:
    """Say what became of the rest of another bulk retry; blank of another choice."""
    every = count.total + count.skipped.total()
    rest = Rest(every, count.skipped[Skip.ARRIVED], count.total)
    return wording.rest_words(rest) if choice.rest_of else ""


def others(count: Count) -> list[tuple[str, wording.BulkRetryLine]]:
    """Describe the bulk retries that some of a choice are in now, and say how many stay there."""
    tasks = bulk_retry.named(list(count.taken))
    return [(number(count.taken[line.task.id]), line) for line in wording.lines_of(tasks)]


def reasons(count: Count) -> list[tuple[str, int]]:
    """Put the reasons of a count into words, the most frequent first."""
    words: dict[str, int] = {}
    for (reason, code), many in count.by_reason.items():
        text = title(Reason(reason), code) if reason else "No failure so far"
        words[text] = words.get(text, 0) + many
    return sorted(words.items(), key=lambda pair: -pair[1])


def skipped(count: Count) -> list[tuple[str, int]]:
    """Say what is not included and why."""
    return [(wording.SKIPS[skip], many) for skip, many in count.skipped.most_common()]
