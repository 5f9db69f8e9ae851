"""Present one delivery's page with its diagnosis, next steps, and possible actions."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, NamedTuple
from uuid import UUID, uuid4

from portal.engine.answer_words import reports_error, sentence_in, text_of_page
from portal.engine.formats.answers import Meaning, meaning, product_at
from portal.engine.http.address_guard import host_of
from portal.engine.next_steps import ASK, EDIT, RETRY, SWITCH, SYSTEM, TEST
from portal.engine.reasons import NEVER_LEFT, Explanation, Reason, explain, secrets_in_question
from portal.engine.retry_policy import parse_retry_after
from portal.lib.durations import in_words, size_in_words
from portal.lib.typed_text import harmless
from portal.models.deliveries import DeliveryStatus
from portal.services.core.unit_of_work import session
from portal.services.deliveries.answers import EarlierReason, earlier_reasons
from portal.services.deliveries.detail import (
    AttemptDetail,
    Delay,
    DeliveryDetail,
    Siblings,
    find_delay,
    siblings_of,
)
from portal.services.deliveries.dismissals import count_of_act
from portal.services.deliveries.retry import why_not_retry
from portal.services.operations.retention import kept_until
from portal.services.outbox.at_rest import UNDELIVERED
from portal.services.outbox.claimable import WaitsFor
from portal.web.deliveries.log_presenter import said_in, same_answer_url
from portal.web.deliveries.request import Sent, sent_of
from portal.web.deliveries.retried_by import TakenDelivery, taken_now
from portal.web.deliveries.share import (
    ToldCause,
    Trouble,
    key_words,
    proof_of_delivery,
    update_to_share,
)
from portal.web.deliveries.steps import AttemptRow, TestStep, attempt_row, steps_of_test
from portal.web.deliveries.wording import (
    Outlook,
    RetryOutcome,
    chat_pace,
    event_name,
    held_end,
    is_live,
    made_of,
    outcome_of,
    outlook_of,
    repeat_warning,
    tries,
    turns_on_at,
)
from portal.web.frame.access import can
from portal.web.frame.status_tags import DELIVERY, Tag
from portal.web.frame.wording import moment, near_time, to_the_second
from portal.web.help.advice import (
    NO_NEW_URL,
    Advice,
    Context,
    Link,
    advice_after,
    advise,
    contact_kind,
    delete_link,
    for_reader,
    passes,
    step_of,
    webhook_links,
    with_one_note,
)
from portal.web.help.anchors import help_url

RESULTS: Final = {"success": "Delivered", "danger": "Failed"}


class Verdict(NamedTuple):
    """The state and cause as a heading, with the sentences below it."""

    title: str
    text: str


class Fact(NamedTuple):
    """One fact of the diagnosis. `small` appears below it, as a link if there is a `url`."""

    label: str
    value: str
    small: str = ""
    url: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveryPage:
    """Data for the templates.

    `draft` is the unsaved webhook of a test. `of_act` counts the deliveries that the same act
    dismissed and that still are dismissed. `earlier` is the cause before a manual retry failed for
    another reason. `siblings` are the event's deliveries to other webhooks.
    """

    delivery: DeliveryDetail
    reason: Reason | None
    explanation: Explanation | None
    retry: RetryOutcome | None
    earlier: EarlierReason | None
    attempts: Sequence[AttemptRow]
    repeat_warning: str
    answered: AttemptDetail | None
    sent: Sent
    why_not_retry: str | None
    is_live: bool
    test_steps: list[TestStep]
    siblings: Siblings
    of_act: int
    draft: UUID | None
    taken: TakenDelivery | None

    @property
    def heading(self) -> str:
        name = event_name(self.delivery.event)
        return f"Test: {name}" if self.delivery.is_test else name

    @property
    def tag(self) -> Tag:
        return DELIVERY[self.delivery.status]

    @property
    def verdict(self) -> Verdict:
        """Return the state, the cause, and the outlook."""
        delivery, outlook, last = self.delivery, self.outlook, self.delivery.last_attempt
        if self.is_delivered:
            return _delivered(delivery)
        made, why, then = made_of(delivery), outlook.why, outlook.then
        if self.taken and delivery.status is DeliveryStatus.FAILED:
            then = self.taken.to_the_caller
        if self.explanation and not self.is_dismissed:
            code = f" ({last.code})" if last and last.code else ""
            title = f"{self.explanation.what_happened.rstrip('.')}{code}"
        elif why:
            title, why = why, ""
        else:
            title, then = then or self.tag.word, ""
        return Verdict(title.rstrip("."), " ".join(filter(None, (made, why, then))))

    @property
    def outlook(self) -> Outlook:
        return outlook_of(self.delivery)

    @property
    def facts(self) -> Iterator[Fact]:
        """Yield the side of the cause, the next attempt, the last retry, and earlier attempts."""
        delivery, earlier = self.delivery, self.earlier
        if self.explanation:
            side, title = self.explanation.side, self.explanation.title
            yield Fact("Cause", side.label, title, self.help_url)
            if delivery.status in UNDELIVERED and not delivery.is_test:
                made = f"{tries(delivery.tries)} made" if delivery.tries else ""
                yield Fact("Next attempt", self.outlook.when, made)
        if self.retry:
            when = f"{to_the_second(self.retry.at)}{self.retry.end}"
            yield Fact("Last retry", RESULTS[self.retry.tone], when.rstrip("."))
        if earlier:
            yield Fact("Earlier attempts", f"{earlier.count} failed", earlier.words)

    @property
    def steps(self) -> list[Advice]:
        """Return the step that fixes the cause, then the step that lets the delivery be sent."""
        return with_one_note(self._steps())

    def _steps(self) -> Iterator[Advice]:
        delivery, reason, explained = self.delivery, self.reason, self.explanation
        if delivery.is_webhook_deleted or self.is_dismissed:
            return
        meant = self.meaning_of_failure
        last = delivery.last_attempt
        redirect = last.redirect if last else None
        links = {} if self.draft else webhook_links(delivery.webhook_id, reason, meant, redirect)
        if self._needs_only_test:
            own, others = f"{_wait(delivery)} Test again.", f"{ASK} to test again."
            yield Advice(for_reader(TEST, own, others, delivery.webhook_id))
        elif reason and explained and not self._needs_only_retry:
            context = _context(delivery, explained.what_happened)
            yield advice_after(
                reason,
                explained,
                context,
                links,
                meaning=meant,
                redirect=redirect,
                reference=str(delivery.public_id),
                secrets=_secrets(delivery, self.sent),
            )
        if reason is Reason.GONE and can(EDIT) and not self.draft:
            yield Advice(NO_NEW_URL, [delete_link(delivery.webhook_id)])
        if delivery.is_test or delivery.status not in UNDELIVERED:
            return
        if delivery.is_webhook_off:
            yield _turn_on(delivery, links.get(SWITCH, ()))
        elif delivery.status is DeliveryStatus.ON_HOLD:
            yield Advice("Send or dismiss it on the webhook’s page.")
        elif (delay := find_delay(delivery)) is Delay.PLACES:
            yield Advice(explain(Reason.READ_TIMEOUT, host="").next_step)
        elif delay:
            yield advise(
                SYSTEM,
                "Check System for problems.",
                f"{ASK} to check System for problems.",
                context=_context(delivery, "A delivery has been waiting longer than usual."),
                links=links.get(SYSTEM, ()),
            )

    @property
    def retry_step(self) -> str:
        """Return the sentence about who retries and when, or "" if a retry isn't possible."""
        delivery = self.delivery
        if self.why_not_retry or self.taken or delivery.status not in UNDELIVERED:
            return ""
        is_wrong = self.explanation or delivery.status is DeliveryStatus.FAILED
        own = "Retry after it’s fixed." if is_wrong else "Retry if it can’t wait."
        return for_reader(RETRY, own, f"{ASK} to retry.", delivery.webhook_id)

    @property
    def retry_effect(self) -> str:
        """Return the effect of a retry now, in words."""
        delivery = self.delivery
        if delivery.waits_for is WaitsFor.RECEIVER:
            return "Makes one attempt now, although sending is paused"
        if delivery.waits_for is WaitsFor.PACE:
            return f"Sends this delivery next. {chat_pace(delivery.webhook_format)}"
        if delivery.waits_behind:
            return "Sends this delivery now, before an older one"
        end = "automatic retries continue" if delivery.is_waiting else "the status stays the same"
        return f"Makes one attempt now. If it fails, {end}"

    @property
    def who_acts(self) -> str:
        """Return "The receiver’s team", "You", "An administrator", or "" if nothing is wrong."""
        if self.reason is None or self.delivery.is_webhook_deleted or self.is_dismissed:
            return ""
        meant = self.meaning_of_failure
        if self._needs_only_retry:
            return _who_may(RETRY)
        if self._needs_only_test:
            return _who_may(TEST)
        if self._passes:
            return "No action needed"
        if meant and meant.who:
            return f"{meant.who[:1].upper()}{meant.who[1:]}"
        step = step_of(self.reason, meant)
        return _who_may(step.permission) if step else "The receiver’s team"

    @property
    def _passes(self) -> bool:
        """Return whether this failure usually ends without intervention."""
        return passes(self.reason, self.meaning_of_failure)

    @property
    def _needs_only_retry(self) -> bool:
        """Return whether the failure passes by itself, but no automatic attempt is left."""
        has_ended = self.delivery.status is DeliveryStatus.FAILED
        return self._passes and has_ended and bool(self.retry_step)

    @property
    def _needs_only_test(self) -> bool:
        """Return whether the failure passes by itself, but a test isn't retried."""
        has_ended = self.delivery.status is DeliveryStatus.FAILED
        return self._passes and has_ended and self.delivery.is_test

    @property
    def update(self) -> str:
        """Return the update for the receiver's team, or "" if there is nothing to tell."""
        delivery, last = self.delivery, self.delivery.last_attempt
        if delivery.is_test or last is None:
            return ""
        subject = f"“{event_name(delivery.event)}”"
        subject = f"{subject} for {delivery.asset_tag}" if delivery.asset_tag else subject
        if arrivals := delivery.arrivals:
            return proof_of_delivery(
                subject,
                arrivals,
                delivery.public_id,
                product=product_at(host_of(arrivals[0].url), arrivals[0].format),
                meaning=_meaning(arrivals[0]),
            )
        if delivery.status not in UNDELIVERED or delivery.is_webhook_deleted:
            return ""
        status, is_sent = delivery.status, last.failed_for not in NEVER_LEFT
        response = "" if self.is_answer_older else self.source
        has_product = product_at(host_of(last.url), last.format) is not None
        kept = held_end(delivery.created_at, delivery.webhook_off_at)
        return update_to_share(
            Trouble(
                what=subject,
                url=last.url,
                causes=[
                    ToldCause(
                        last.failed_for,
                        last.code,
                        answer=response,
                        meaning=self.meaning_of_failure,
                        redirect=last.redirect,
                    )
                ],
                first=delivery.failing_since or delivery.ended_attempts[0].ended_at,
                last=last.ended_at,
                ids=[delivery.public_id] if is_sent and not has_product else [],
                retried=status is DeliveryStatus.RETRYING and not delivery.is_manual,
                ended=status is DeliveryStatus.FAILED,
                held=f"It’s on hold. {kept}." if status is DeliveryStatus.ON_HOLD else "",
                key=self.key,
                is_signed=self.sent.is_signed,
            )
        )

    @property
    def key(self) -> str:
        """Return the facts about our secret key after a rejection of it."""
        meant, delivery = self.meaning_of_failure, self.delivery
        is_about = self.reason is Reason.AUTH and self.sent.is_signed
        if not is_about or (meant and meant.is_advice):
            return ""
        return key_words(delivery.secret_hint, delivery.secret_set_at)

    @property
    def step_note(self) -> str:
        """Return the facts beside the first step: our key, or the reason of a refusal."""
        if self.reason is not Reason.BAD_REQUEST or self.is_answer_older:
            return self.key
        said = said_in(self.source)
        return f"{self.delivery.webhook_name} responded “{said.rstrip('.')}”." if said else ""

    @property
    def proof_title(self) -> str:
        """Return the title of an update about a delivery that arrived."""
        arrivals = self.delivery.arrivals
        proves_less = bool(arrivals) and _meaning(arrivals[0]) is not None
        return "Proof of sending" if proves_less else "Proof of delivery"

    @property
    def meaning_of_failure(self) -> Meaning | None:
        """Return the meaning of the last attempt's response.

        Return None if nothing failed, or if the code says everything.
        """
        last = self.delivery.last_attempt
        return _meaning(last) if self.reason and last else None

    @property
    def meaning(self) -> str:
        """Return the meaning of the displayed response, or "" if the code says everything."""
        meant = _meaning(self.answered) if self.answered else None
        return meant.happened if meant else ""

    @property
    def meaning_beside(self) -> str:
        """Return `meaning`, or "" if the verdict already says it."""
        words = self.meaning
        return "" if words.rstrip(".") in " ".join(self.verdict) else words

    @property
    def answer(self) -> str:
        """Return the response's text, or the visible text of a web page."""
        return text_of_page(self.source) or self.source

    @property
    def source(self) -> str:
        """Return the response as it came, without control characters for terminals."""
        return harmless(self.answered.response_text) if self.answered else ""

    @property
    def answer_note(self) -> str:
        """Return "500 · 40 bytes · attempt 10"."""
        if self.answered is None:
            return ""
        size = size_in_words(len(self.answered.response_text.encode()))
        parts = (str(self.answered.code or ""), size, f"attempt {self.answered.number}")
        return " · ".join(filter(None, parts))

    @property
    def is_answer_older(self) -> bool:
        """Return whether an earlier response is shown because the last attempt got none."""
        return self.answered is not self.delivery.last_attempt

    @property
    def is_doubtful(self) -> bool:
        """Return whether it counts as delivered although the response mentions an error."""
        answered = self.answered
        if answered is None or not answered.is_delivered:
            return False
        post = (answered.body or b"").decode() if answered.format else None
        return reports_error(answered.response_text, post)

    @property
    def same_answer_url(self) -> str:
        """Return the log URL of the webhook's deliveries with the same response.

        Return "" if nothing is wrong with it or it is blank.
        """
        is_well = self.answered and self.answered.is_delivered and not self.is_doubtful
        if self.answered is None or self.draft or is_well:
            return ""
        return same_answer_url(self.delivery.webhook_id, self.answered.response_text)

    @property
    def announcement(self) -> str:
        """Return the screen reader's text for a change of status."""
        if self.is_live:
            return self.tag.word
        retried = self.retry.sentence if self.retry else ""
        title, text = self.verdict
        return " ".join(filter(None, (f"{self.tag.word}.", retried, f"{title}.", text)))

    @property
    def help_url(self) -> str:
        """Return the URL of the help about the reason it did not arrive."""
        last = self.delivery.last_attempt
        return help_url(self.reason or Reason.INTERRUPTED, last.code if last else None)

    @property
    def once(self) -> str:
        """Return a one-time token for the button that tests again."""
        return str(uuid4())

    @property
    def kept_until(self) -> datetime | None:
        """Return the time of its deletion, once it is no longer retried."""
        return kept_until(self.delivery.finished_at)

    @property
    def is_dismissed(self) -> bool:
        """Return whether it can be restored."""
        return self.delivery.status is DeliveryStatus.DISMISSED

    @property
    def is_delivered(self) -> bool:
        """Return whether resending it needs confirmation."""
        return self.delivery.status is DeliveryStatus.DELIVERED


def page_of(delivery: DeliveryDetail, draft: UUID | None = None) -> DeliveryPage:
    """Build the page of a delivery. `draft` is the unsaved webhook of a test."""
    answered = [part for part in delivery.attempts if part.code or part.response_headers]
    reason, sent = _reason(delivery), sent_of(delivery)
    return DeliveryPage(
        delivery=delivery,
        reason=reason,
        explanation=_explained(delivery, reason, sent) if reason else None,
        retry=outcome_of(delivery),
        earlier=earlier_reasons(session(), [delivery.row_id]).get(delivery.row_id),
        attempts=[
            attempt_row(attempt, delivery.body, _meaning(attempt))
            for attempt in reversed(delivery.attempts)
        ],
        repeat_warning=repeat_warning(delivery),
        answered=answered[-1] if answered else None,
        sent=sent,
        why_not_retry=why_not_retry(delivery.eligibility, again=True),
        is_live=is_live(delivery),
        test_steps=steps_of_test(delivery),
        siblings=Siblings() if delivery.is_test else siblings_of(delivery.public_id),
        of_act=count_of_act(delivery.dismissal_id) if delivery.dismissal_id else 0,
        draft=draft,
        taken=taken_now(delivery),
    )


def _meaning(attempt: AttemptDetail) -> Meaning | None:
    return meaning(host_of(attempt.url), attempt.format, attempt.code, attempt.response_text)


def _who_may(permission: str) -> str:
    kind = contact_kind(permission)
    return "You" if can(permission) else f"{kind[:1].upper()}{kind[1:]}"


def _reason(delivery: DeliveryDetail) -> Reason | None:
    """Return the reason the last attempt failed or none was made, or None if all is well."""
    last = delivery.last_attempt
    if last is None:
        return Reason(delivery.reason) if delivery.reason else None
    return None if last.is_delivered else last.failed_for


def _secrets(delivery: DeliveryDetail, sent: Sent) -> str:
    """Return the secrets to compare after a rejection."""
    last = delivery.last_attempt
    said = sentence_in(last.response_text) if last else ""
    return secrets_in_question(said, is_signed=sent.is_signed or not sent.headers)


def _explained(delivery: DeliveryDetail, reason: Reason, sent: Sent) -> Explanation:
    last = delivery.last_attempt
    if last is None:
        return explain(reason, host="")
    total = last.phases.get("total")
    explained = explain(
        reason,
        # A DNS lookup fails for the host. All other failures are the receiver's.
        host=host_of(last.url) if reason is Reason.DNS else delivery.webhook_name,
        seconds=round(total / 1000, 1) if total else None,
        time=to_the_second(last.started_at),
        location=last.redirect.shown if last.redirect else "",
        code=last.code,
        reference=str(delivery.public_id),
        secrets=_secrets(delivery, sent),
    )
    meant = _meaning(last)
    return meant.explained(explained) if meant else explained


def _delivered(delivery: DeliveryDetail) -> Verdict:
    if not delivery.arrivals:
        return Verdict("Delivered", "")
    first, *again = delivery.arrivals
    total = first.phases.get("total")
    how_fast = f" in {in_words(total / 1000)}" if total else ""
    title = f"{delivery.webhook_name} responded with {first.code}{how_fast}"
    since = f" and again {moment(again[-1].ended_at).text}" if again else ""
    words = [f"Delivered {moment(first.ended_at).text}{since}."]
    if meant := _meaning(first):
        words.append(f"{meant.happened} If it wasn’t, {meant.advice}")
    return Verdict(title, " ".join(words))


def _wait(delivery: DeliveryDetail) -> str:
    """Return "Wait until 14:35, then select", for as long as the receiver asked us to wait."""
    last = delivery.last_attempt
    headers = {name.lower(): value for name, value in last.response_headers} if last else {}
    if last is None or "retry-after" not in headers:
        return "Wait a minute, then select"
    seconds = parse_retry_after(headers["retry-after"], last.ended_at)
    until = last.ended_at + timedelta(seconds=seconds or 0)
    return f"Wait until {near_time(until)}, then select" if until > delivery.now else "Select"


def _turn_on(delivery: DeliveryDetail, links: Sequence[Link]) -> Advice:
    """Return the step that sends a delivery of a webhook that is off.

    The webhook might also turn on by itself later.
    """
    own = "Turn on the webhook and decide about on-hold deliveries."
    others = f"{ASK} to turn on the webhook."
    happened = "The webhook is off, so we won’t send this delivery."
    if at := turns_on_at(delivery.webhook_off_until):
        own = "Turn on the webhook if this can’t wait."
        others = f"{ASK} to turn on the webhook if this can’t wait."
        happened = f"The webhook is off until {near_time(at)}."
    return advise(SWITCH, own, others, context=_context(delivery, happened), links=links)


def _context(delivery: DeliveryDetail, happened: str) -> Context:
    kept = held_end(delivery.created_at, delivery.webhook_off_at)
    return Context(
        webhook=delivery.webhook_id,
        name=delivery.webhook_name,
        happened=happened,
        held=f"This delivery. {kept}." if delivery.status is DeliveryStatus.ON_HOLD else "",
        since=delivery.created_at,
        path=f"/deliveries/{delivery.public_id}",
    )
