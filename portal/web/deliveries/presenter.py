"""One delivery in words: how it stands, why, what to do, and what may be pressed."""

from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID, uuid4

from portal.engine.reason_keys import Reason
from portal.engine.reasons import Explanation
from portal.services.deliveries.attempt_detail import AttemptDetail
from portal.services.deliveries.detail import DeliveryDetail
from portal.services.deliveries.problems.dismissed_failures import (
    FailedDelivery,
    standing_of_failed,
)
from portal.services.deliveries.retry import why_not_retry, why_not_stop
from portal.services.deliveries.siblings import Siblings, siblings_of
from portal.services.operations.retention import kept_until
from portal.services.outbox.status import PausedFor, ShownStatus
from portal.web.deliveries.bulk_retries.taken import TakenDelivery, taken_now
from portal.web.deliveries.explanation import (
    advice_of,
    advice_while_off,
    advice_while_slow,
    explanation_of,
    for_the_caller,
    is_doubtful,
)
from portal.web.deliveries.progress import (
    RetryOutcome,
    again_label,
    again_of,
    delay_of,
    earlier_of,
    is_live,
    outcome_of,
)
from portal.web.deliveries.request import Sent, sent_of
from portal.web.deliveries.rows.remarks import same_answer_url
from portal.web.deliveries.rows.row_words import event_name
from portal.web.deliveries.sentences import sentence_of
from portal.web.deliveries.steps import DeliveryStep, steps_of, who
from portal.web.deliveries.times import repeat_warning, times_of
from portal.web.deliveries.trial_steps import TestStep, steps_of_test
from portal.web.frame.status_tags import Tag, delivery_tag
from portal.web.frame.wording import counted, near_time
from portal.web.help.advice import Advice
from portal.web.help.anchors import help_url

FIRST_LINE: Final = 300


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveryPage:
    """Everything that the templates print. `is_live`: something is under way right now.

    `answered`: the newest attempt to which anything came back. `draft`: the form that it is a test
    of, before it is saved. `failed`: whether it was dismissed, or can be. `earlier`: why it failed
    before a Retry failed for another reason; else empty. `siblings`: to whom else its event went.
    `delay`: why it has not gone yet though it is long due; else empty. `retry`: what came of the
    Retry, where that was the last attempt.
    """

    delivery: DeliveryDetail
    heading: str
    tag: Tag
    sentence: str
    explanation: Explanation | None
    advice: Advice | None
    off_advice: Advice | None
    again: str
    steps: list[DeliveryStep]
    times: list[tuple[str, str]]
    repeat_warning: str
    earlier_attempts: int
    answered: AttemptDetail | None
    sent: Sent
    why_not_retry: str | None
    why_not_stop: str | None
    is_live: bool
    delay: str
    retry: RetryOutcome | None
    out_of_turn: bool
    test_steps: list[TestStep]
    siblings: Siblings
    failed: FailedDelivery | None
    earlier: str
    draft: UUID | None
    taken: TakenDelivery | None

    @property
    def answer_note(self) -> str:
        """To which attempt the answer belongs, where later ones got none."""
        if self.answered is None or self.answered is self.delivery.last_attempt:
            return ""
        then = near_time(self.answered.finished_at or self.answered.started_at)
        return (
            "Nothing came back to the last attempt. "
            f"This came back to “{who(self.answered)}”, {then}."
        )

    @property
    def caller_text(self) -> str:
        """What to tell whoever asks about it."""
        return for_the_caller(self.delivery, self.taken.to_the_caller if self.taken else "")

    @property
    def is_doubtful(self) -> bool:
        """Whether it counts as delivered although the answer speaks of an error."""
        return is_doubtful(self.answered)

    @property
    def first_line(self) -> str:
        """The first line of the answer, as much as is read at a glance."""
        lines = self.answered.response_text.strip().splitlines() if self.answered else []
        return lines[0][:FIRST_LINE] if lines else ""

    @property
    def behind(self) -> str:
        """ "13 deliveries wait": those that go after it, in order."""
        many = self.delivery.behind
        return f"{counted(many)} {'delivery waits' if many == 1 else 'deliveries wait'}"

    @property
    def same_answer_url(self) -> str:
        """Where the log lists all to its webhook that were answered so; blank where nothing is
        wrong with the answer, or nothing was said."""
        is_well = self.answered and self.answered.is_delivered and not self.is_doubtful
        if self.answered is None or self.draft or is_well:
            return ""
        return same_answer_url(self.delivery.webhook_id, self.answered.response_text)

    @property
    def attempt_steps(self) -> list[DeliveryStep]:
        """Its attempts, the newest first."""
        return [step for step in reversed(self.steps) if step.attempt]

    @property
    def milestones(self) -> list[DeliveryStep]:
        """What happened to it besides its attempts."""
        return [step for step in self.steps if not step.attempt]

    @property
    def announcement(self) -> str:
        """What a screen reader says when the status changes."""
        if self.is_live:
            return self.tag.word
        news = [f"{self.tag.word}.", self.retry.sentence if self.retry else "", self.sentence]
        return " ".join(filter(None, news))

    @property
    def help_url(self) -> str:
        """Where the help explains why it did not arrive."""
        last = self.delivery.last_attempt
        key, code = (last.reason, last.code) if last else (self.delivery.reason, None)
        return help_url(Reason(key) if key else Reason.INTERRUPTED, code)

    @property
    def once(self) -> str:
        """A token for the button that tests again."""
        return str(uuid4())

    @property
    def kept_until(self) -> datetime | None:
        """When it goes, once it is not retried any more."""
        return kept_until(self.delivery.finished_at)

    @property
    def slow_advice(self) -> Advice:
        """Where to look, or whom to ask, while there is a `delay`."""
        return advice_while_slow(self.delivery)

    @property
    def again_label(self) -> str:
        """What `again` is the time of."""
        return again_label(self.delivery)

    @property
    def is_left_alone(self) -> bool:
        """Whether it waits, untried as it may be, because others failed at the same receiver."""
        return self.delivery.paused_for is PausedFor.RECEIVER

    @property
    def is_delivered(self) -> bool:
        """Whether sending it once more has to be asked about first."""
        return self.delivery.status is ShownStatus.DELIVERED


def page_of(delivery: DeliveryDetail, draft: UUID | None = None) -> DeliveryPage:
    """Put a delivery into words. `draft`: whose test before saving it is."""
    is_test, taken = delivery.standing.is_test, taken_now(delivery)
    return DeliveryPage(
        delivery=delivery,
        heading=f"Test: {event_name(delivery.event)}" if is_test else event_name(delivery.event),
        tag=delivery_tag(delivery.status),
        sentence=sentence_of(delivery, is_taken=taken is not None),
        explanation=explanation_of(delivery),
        advice=advice_of(delivery, is_draft=draft is not None),
        off_advice=advice_while_off(delivery),
        again=again_of(delivery),
        steps=steps_of(delivery),
        times=times_of(delivery),
        repeat_warning=repeat_warning(delivery),
        earlier_attempts=delivery.attempts_made - len(delivery.attempts),
        answered=_answered(delivery),
        sent=sent_of(delivery),
        why_not_retry=why_not_retry(delivery.standing, again=True),
        why_not_stop=why_not_stop(delivery.standing),
        is_live=is_live(delivery),
        delay=delay_of(delivery),
        retry=outcome_of(delivery),
        out_of_turn=delivery.waits_behind,
        test_steps=steps_of_test(delivery),
        siblings=Siblings() if is_test else siblings_of(delivery.public_id),
        failed=standing_of_failed(delivery.public_id)
        if delivery.status is ShownStatus.FAILED
        else None,
        earlier=earlier_of(delivery),
        draft=draft,
        taken=taken,
    )


def _answered(delivery: DeliveryDetail) -> AttemptDetail | None:
    answered = [each for each in delivery.attempts if each.code or each.response_headers]
    return answered[-1] if answered else None
