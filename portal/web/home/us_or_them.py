"""Tell whether receivers or this server fail, based only on checked facts."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from enum import Enum, auto
from typing import Final, NamedTuple
from uuid import UUID

from portal.engine.reasons import Side as ReasonSide
from portal.engine.reasons import explain
from portal.models.webhooks import OffReason
from portal.services.operations.overview import count_reached, has_response
from portal.services.webhooks.backlog import Backlog
from portal.web.frame.wording import number, plural

RECEIVER: Final = ReasonSide.RECEIVER.label


class Side(Enum):
    """The place of a webhook's most common failure, as shown on its deliveries' pages.

    `SILENT`: no response was received, so only other receivers can show whether this server
    connects. `CHANGED`: its settings changed since, so only the next attempt can tell.
    """

    ANSWERS = auto()
    SILENT = auto()
    SETTINGS = auto()
    HERE = auto()
    CHANGED = auto()


class Sides(NamedTuple):
    """Sentences that count all webhooks with problems, and the side of each by public ID."""

    sentences: str = ""
    by_webhook: Mapping[UUID, str] = {}


def us_or_them(found: Sequence[Backlog]) -> Sides:
    """Return who causes the problems of these webhooks."""
    if not found:
        return Sides()
    side_of = {backlog.webhook_id: _side(backlog) for backlog in found}
    reached = count_reached(side_of.keys())
    silent = {webhook for webhook, side in side_of.items() if side is Side.SILENT}
    connects = reached > 0 or (bool(silent) and has_response(silent))
    words = {
        Side.ANSWERS: RECEIVER,
        Side.SILENT: RECEIVER if connects else f"{RECEIVER} or this server",
        Side.SETTINGS: ReasonSide.YOU.label,
        Side.HERE: ReasonSide.US.label,
        Side.CHANGED: "",
    }
    return Sides(
        " ".join(_sentences(Counter(side_of.values()), reached, connects=connects)),
        {backlog.public_id: words[side_of[backlog.webhook_id]] for backlog in found},
    )


def _side(backlog: Backlog) -> Side:
    if backlog.is_off_by_us and backlog.off_reason is not OffReason.FAILING:
        return Side.HERE if backlog.off_reason is OffReason.LOST_KEY else Side.ANSWERS
    if backlog.changed_at is not None:
        return Side.CHANGED
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
    answer, silent, settings, here, changed = (sides[side] for side in Side)
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
    if changed:
        have = plural(changed, "webhook has", "webhooks have")
        yield f"{have} new settings, which the next attempt will test."


def _fail(webhooks: int) -> str:
    return plural(webhooks, "webhook has problems", "webhooks have problems")


def _how(answer: int, silent: int) -> str:
    if answer and silent:
        errors = plural(answer, "receiver returned an error", "receivers returned errors")
        return f"{errors} and {number(silent)} didn’t respond."
    if answer + silent == 1:
        return f"The receiver {'returned an error' if answer else 'didn’t respond'}."
    return f"The receivers {'returned errors' if answer else 'didn’t respond'}."
