"""Tell whether receivers or this server fail, based only on checked facts."""

from collections import Counter
from collections.abc import Iterator, Sequence
from enum import Enum, auto

from portal.engine.reasons import Side as ReasonSide
from portal.engine.reasons import explain
from portal.services.operations.overview import count_reached, has_response
from portal.services.webhooks.backlog import Backlog, WebhookStatus
from portal.web.frame.wording import number, plural


class Side(Enum):
    """The place of a webhook's most common failure, as shown on its deliveries' pages.

    `SILENT`: no response was received, so only other receivers can show whether this server
    connects.
    """

    ANSWERS = auto()
    SILENT = auto()
    SETTINGS = auto()
    HERE = auto()


def us_or_them(found: Sequence[Backlog]) -> str:
    """Return sentences about these webhooks with problems, or "" if none of them is failing."""
    # If settings changed since the failure, only the next attempt can tell.
    side_of = {
        backlog.webhook_id: _side(backlog)
        for backlog in found
        if backlog.status is WebhookStatus.FAILING and backlog.changed_at is None
    }
    sides = Counter(side_of.values())
    if not sides:
        return ""
    reached = count_reached({backlog.webhook_id for backlog in found})
    silent = {webhook for webhook, side in side_of.items() if side is Side.SILENT}
    connects = reached > 0 or (bool(silent) and has_response(silent))
    return " ".join(_sentences(sides, reached, connects=connects))


def _side(backlog: Backlog) -> Side:
    cause = backlog.cause
    if cause is None or cause.reason is None:
        return Side.SILENT
    side = explain(cause.reason, host="").side
    if side is ReasonSide.YOU:
        return Side.SETTINGS
    if side is ReasonSide.US:
        return Side.HERE
    return Side.SILENT if cause.code is None else Side.ANSWERS


def _sentences(sides: Counter[Side], reached: int, *, connects: bool) -> Iterator[str]:
    """Yield the sentences.

    `reached`: number of other webhooks with a recent delivery. `connects`: a recent delivery or
    error response shows that this server reaches receivers.
    """
    answer, silent, settings, here = (sides[side] for side in Side)
    if reached:
        whom = "another receiver" if reached == 1 else "other receivers"
        yield f"This server delivered to {whom} in the last hour."
    elif connects:
        yield "This server got responses from other receivers in the last hour."
    theirs = answer + (silent if connects else 0)
    if theirs:
        yield f"{_fail(theirs)} because of the receiver. {_how(answer, theirs - answer)}"
    if silent and not connects:
        yield (
            f"{plural(silent, 'webhook gets', 'webhooks get')} no response. No other receiver "
            "responded in the last hour, so the cause could be the receiver or this server."
        )
    if settings:
        whose = "its" if settings == 1 else "their"
        yield f"{_fail(settings)} because of {whose} settings, such as the URL or a header."
    if here:
        yield f"{_fail(here)} because of an error in this portal."


def _fail(webhooks: int) -> str:
    return plural(webhooks, "webhook fails", "webhooks fail")


def _how(answer: int, silent: int) -> str:
    if answer and silent:
        errors = plural(answer, "receiver returned an error", "receivers returned errors")
        return f"{errors} and {number(silent)} didn’t respond."
    if answer + silent == 1:
        return f"The receiver {'returned an error' if answer else 'didn’t respond'}."
    return f"The receivers {'returned errors' if answer else 'didn’t respond'}."
