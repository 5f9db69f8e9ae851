"""What stands beside the results of a list: what receivers said, and why it failed before."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from flask import url_for

from portal.engine.answer_words import sentence_in
from portal.lib.typed_text import harmless
from portal.services.core.unit_of_work import session
from portal.services.deliveries.answers import Said, answers_of, doubtful_among
from portal.services.deliveries.earlier_reasons import earlier_reasons
from portal.services.deliveries.log.rows import LogRow
from portal.services.outbox.status import ShownStatus

MOST_REMARKED: Final = 120  # characters


def doubtful(rows: Sequence[LogRow]) -> frozenset[UUID]:
    """Those that count as delivered although the answer's text speaks of an error."""
    arrived = [
        row
        for row in rows
        if row.status is ShownStatus.DELIVERED and not (row.reason or row.failure)
    ]
    return doubtful_among([row.public_id for row in arrived])


@dataclass(frozen=True, slots=True)
class Remark:
    """What stands beside a result; `is_earlier`: in a line of its own, for it is told whole."""

    text: str
    is_earlier: bool = False


def remarks(rows: Sequence[LogRow]) -> dict[UUID, Remark]:
    """What stands beside the results of a page: the answer that was looked for, else why it failed
    before a Retry failed for another reason, else what the receiver said in its answer."""
    sought = {row.public_id: _sought(row.said) for row in rows if row.said}
    then = {row.public_id: _sentence(row.failure.said) for row in rows if row.failure}
    rows = [row for row in rows if not (row.failure or row.said)]
    failed = {row.id: row.public_id for row in rows if row.reason}
    tried = [row.id for row in rows if row.reason and row.attempts > 1]
    earlier = earlier_reasons(session(), tried)
    said = answers_of([row_id for row_id in failed if row_id not in earlier])
    told = {
        row_id: Remark(f"earlier: {each.words}", is_earlier=True)
        for row_id, each in earlier.items()
    }
    told |= {row_id: Remark(line) for row_id, text in said.items() if (line := _sentence(text))}
    now = {failed[row_id]: remark for row_id, remark in told.items()}
    return now | {row_id: Remark(line) for row_id, line in then.items() if line} | sought


def same_answer_url(webhook: UUID, text: str) -> str:
    """Where the log lists what its receiver answered so; blank where that could not be found."""
    said = _sentence(text)
    # What was put together of two lines, or had escapes, stands nowhere in it like this.
    is_there = said and said in text
    return url_for("deliveries.index", webhook=webhook, answer=said) if is_there else ""


def _sought(said: Said) -> Remark:
    line = _short(said.line)
    return Remark(line) if said.is_last else Remark(f"earlier: {line}", is_earlier=True)


def _sentence(text: str) -> str:
    return _short(sentence_in(text))


def _short(text: str) -> str:
    """Written by somebody else: on one line, and without what a terminal would act on."""
    return " ".join(harmless(text).split())[:MOST_REMARKED]
