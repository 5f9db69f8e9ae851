"""Why the last attempt failed, and what the reader may do about it."""

from datetime import UTC

from portal.engine.answer_words import speaks_of_error
from portal.engine.http.url import host_of
from portal.engine.next_steps import ASK, SWITCH, SYSTEM
from portal.engine.reasons import Explanation, Reason, Side, explain
from portal.services.deliveries.detail import AttemptDetail, DeliveryDetail
from portal.services.outbox.status import ShownStatus
from portal.web.frame.wording import moment, zone
from portal.web.help.advice import Advice, Link, Matter, advise
from portal.web.help.reason_advice import advice_after, webhook_links


def explanation_of(delivery: DeliveryDetail) -> Explanation | None:
    """Why the last attempt failed, or why there was none; None when all is well."""
    reason = _reason(delivery)
    return _explained(delivery, reason) if reason else None


def advice_of(delivery: DeliveryDetail, *, is_draft: bool = False) -> Advice | None:
    """What the reader may do about it, or whom to ask; None when all is well.

    `is_draft`: a test before saving, whose form is no webhook that could be edited.
    """
    reason = _reason(delivery)
    if reason is None:
        return None
    return advice_after(
        reason,
        lambda retry: _explained(delivery, reason, retry),
        _matter(delivery, _explained(delivery, reason).what_happened),
        {} if is_draft else _links(delivery),
        reference=str(delivery.public_id),
        is_test=delivery.standing.is_test,
    )


def advice_while_off(delivery: DeliveryDetail) -> Advice | None:
    """What lets it go out while its webhook is off; None where that would not help."""
    at = delivery.standing
    has_no_use = at.is_test or at.is_webhook_deleted or delivery.status is ShownStatus.DELIVERED
    if has_no_use or not at.is_webhook_off:
        return None
    return advise(
        SWITCH,
        "Turn the webhook on, and choose what becomes of what is held.",
        f"{ASK} to turn the webhook on.",
        matter=_matter(delivery, "The webhook is off, so this is not sent."),
        link=_links(delivery).get(SWITCH),
    )


def advice_while_slow(delivery: DeliveryDetail) -> Advice:
    """Where to look when nobody seems to send."""
    return advise(
        SYSTEM,
        "Look under System for what is running.",
        f"{ASK} to look under System for what is running.",
        matter=_matter(delivery, "A delivery waits for longer than usual to be sent."),
        link=_links(delivery).get(SYSTEM),
    )


def _reason(delivery: DeliveryDetail) -> Reason | None:
    last = delivery.last_attempt
    if last is None:
        return Reason(delivery.reason) if delivery.reason else None
    if last.is_delivered:
        return None
    return Reason(last.reason) if last.reason else Reason.INTERRUPTED


def _explained(delivery: DeliveryDetail, reason: Reason, retry: str = "") -> Explanation:
    last = delivery.last_attempt
    if last is None:
        return explain(reason, host="", retry=retry)
    total = last.phases.get("total")
    waits = delivery.status in (ShownStatus.RETRYING, ShownStatus.PAUSED) and not delivery.stop
    return explain(
        reason,
        host=host_of(last.url),
        seconds=round(total / 1000, 1) if total else None,
        time=moment(last.started_at).exact,
        again=moment(delivery.next_try_at).exact if waits else "",
        location=last.location,
        code=last.code,
        reference=str(delivery.public_id),
        is_test=delivery.standing.is_test,
        retry=retry,
    )


def _matter(delivery: DeliveryDetail, happened: str) -> Matter:
    return Matter(
        webhook=delivery.webhook_id,
        name=delivery.standing.webhook_name,
        happened=happened,
        since=delivery.created_at,
        path=f"/deliveries/{delivery.public_id}",
    )


def _links(delivery: DeliveryDetail) -> dict[str, Link]:
    """Where the steps are done: of a webhook that was deleted only System is left."""
    links = webhook_links(delivery.webhook_id)
    is_gone = delivery.standing.is_webhook_deleted
    return {name: link for name, link in links.items() if name == SYSTEM or not is_gone}


def for_the_caller(delivery: DeliveryDetail) -> str:
    """What to say to whoever asks about it: what came of it, when for both sides, and its id.

    Nothing before the first attempt has ended, and nothing of a test.
    """
    last = delivery.last_attempt
    if last is None or last.is_being_sent or delivery.standing.is_test:
        return ""
    at = last.finished_at or last.started_at
    when = moment(at).exact
    if at.astimezone(zone()).utcoffset():
        when += f", that is {at.astimezone(UTC):%H:%M:%S} UTC"
    check = f"Ask the receiver's owner to check their log for delivery {delivery.public_id}."
    if last.is_delivered:
        return f"{host_of(last.url)} answered {last.code} at {when}. {check}"
    explained = explanation_of(delivery)
    if explained is None:
        return ""
    words = f"{explained.what_happened} That was at {when}."
    if explained.side is not Side.RECEIVER:
        return f"{words} The delivery is {delivery.public_id}."
    if not last.code:  # it never came so far as to be in anybody's log
        check = (
            f"Ask the receiver's owner what happened then. The delivery is {delivery.public_id}."
        )
    return f"Our side is working. {words} {check} A retry has the same id."


def is_doubtful(attempt: AttemptDetail | None) -> bool:
    """Whether an answer that counts as a success says in its text that it is none."""
    is_success = attempt is not None and attempt.is_delivered
    return bool(is_success and attempt and speaks_of_error(attempt.response_text))
