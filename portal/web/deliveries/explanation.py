"""Why the last attempt failed, and what the reader may do about it."""

from datetime import UTC, datetime

from portal.engine.answer_words import speaks_of_error
from portal.engine.health import has_asked
from portal.engine.http.url import host_of
from portal.engine.next_steps import ASK, EDIT, SWITCH, SYSTEM, step_after
from portal.engine.reasons import Explanation, Reason, Side, explain
from portal.services.deliveries.detail import AttemptDetail, DeliveryDetail, find_delivery
from portal.services.outbox.due import ShownStatus
from portal.web.deliveries.progress import ONE_FIRST, earlier_of
from portal.web.deliveries.rows import held_end
from portal.web.frame.wording import moment, zone
from portal.web.help.advice import Advice, Link, Matter, advice_after, advise, webhook_links, whom


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
        is_test=delivery.is_test,
    )


def advice_while_off(delivery: DeliveryDetail) -> Advice | None:
    """What lets it go out while its webhook is off; None where that would not help."""
    is_over = delivery.status is ShownStatus.DELIVERED
    has_no_use = delivery.is_test or delivery.is_webhook_deleted or is_over
    if has_no_use or not delivery.is_webhook_off:
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


def _explained(
    delivery: DeliveryDetail, reason: Reason, retry: str = "", host: str = ""
) -> Explanation:
    last = delivery.last_attempt
    if last is None:
        return explain(reason, host="", retry=retry)
    total = last.phases.get("total")
    earliest = "not before" if delivery.may_go_later else "at"
    waits = delivery.status in (ShownStatus.RETRYING, ShownStatus.PAUSED) and not delivery.stop
    return explain(
        reason,
        host=host or host_of(last.url),
        seconds=round(total / 1000, 1) if total else None,
        time=moment(last.started_at).exact,
        again=f"{earliest} {moment(delivery.next_try_at).exact}" if waits else "",
        location=last.location,
        code=last.code,
        reference=str(delivery.public_id),
        is_test=delivery.is_test,
        retry=retry,
    )


def _matter(delivery: DeliveryDetail, happened: str) -> Matter:
    return Matter(
        webhook=delivery.webhook_id,
        name=delivery.webhook_name,
        happened=happened,
        held=_held(delivery),
        since=delivery.created_at,
        path=f"/deliveries/{delivery.public_id}",
    )


def _held(delivery: DeliveryDetail) -> str:
    if delivery.status is not ShownStatus.HELD:
        return ""
    return f"This delivery. {held_end(delivery.created_at, delivery.webhook_off_at)}."


def _links(delivery: DeliveryDetail) -> dict[str, Link]:
    """Where the steps are done: of a webhook that was deleted only System is left."""
    links = webhook_links(delivery.webhook_id)
    is_gone = delivery.is_webhook_deleted
    return {name: link for name, link in links.items() if name == SYSTEM or not is_gone}


def for_the_caller(delivery: DeliveryDetail, taken: str = "") -> str:
    """What to say to whoever asks about it: what came of it and since when, that nothing is lost,
    what happens next, who must act, and its id.

    Nothing of what is about to be sent for the first time, and nothing of a test. `taken`: what
    happens next to one that is in a bulk retry now.
    """
    last, name = delivery.last_attempt, f"“{delivery.webhook_name}”"
    if delivery.is_test or (last and last.is_being_sent):
        return ""
    check = f"Ask the receiver's owner to check their log for delivery {delivery.public_id}."
    if last and last.is_delivered:
        at = _for_both(last.finished_at or last.started_at)
        return f"{name} has received it: it answered {last.code} at {at}. {check}"
    if delivery.status is ShownStatus.DELIVERED:
        return ""
    if last is None:
        told = _untried(delivery, name)
        return f"{told} The delivery is {delivery.public_id}." if told else ""
    reason = _reason(delivery) or Reason.INTERRUPTED
    explained = _explained(delivery, reason, host=name)
    is_theirs = explained.side is Side.RECEIVER
    sentences = (
        "Our side is working." if is_theirs and not delivery.stop else "",
        f"{explained.what_happened} The last attempt was at {_for_both(_end(last))}.",
        _since(delivery),
        earlier_of(delivery),
        "Nothing is lost: it is kept here.",
        taken,
        "" if taken and not _goes_by_itself(delivery) else _what_next(delivery),
        _who_acts(delivery, reason, explained.side),
        # What never came so far as to be answered is in nobody's log.
        check if is_theirs and last.code else f"The delivery is {delivery.public_id}.",
        "A retry has the same id." if is_theirs else "",
    )
    return " ".join(filter(None, sentences))


def _goes_by_itself(delivery: DeliveryDetail) -> bool:
    """Whether it is retried automatically all the same, whatever becomes of a bulk retry."""
    return delivery.status is ShownStatus.RETRYING and not delivery.stop


def _untried(delivery: DeliveryDetail, name: str) -> str:
    """Of what was never attempted."""
    kept = "This one has not been attempted yet. Nothing is lost: it is kept here."
    match delivery.status:
        case ShownStatus.PAUSED if delivery.waits_behind:
            why = f"{name} gets its deliveries in order. {_the_first(delivery, name)}"
        case ShownStatus.PAUSED if has_asked(delivery.next_try_at, delivery.now):
            why = f"{name} asked us to wait."
        case ShownStatus.PAUSED:
            why = f"{name} isn't responding."
        case ShownStatus.HELD:
            why = f"{name} is turned off."
        case _:
            return ""
    return f"{why} {kept} {_what_next(delivery)}"


def _the_first(delivery: DeliveryDetail, name: str) -> str:
    """Why the one that goes first has not arrived, and who must act."""
    first = find_delivery(delivery.ahead) if delivery.ahead else delivery
    told = f"The one of {_for_both(first.created_at)} goes first"
    reason = _reason(first)
    if reason is None:
        return f"{told}."
    explained = _explained(first, reason, host=name)
    acts = _who_acts(first, reason, explained.side)
    return f"{told}, and has not arrived: {explained.what_happened} {acts}"


def _what_next(delivery: DeliveryDetail) -> str:
    if delivery.stop and delivery.waits_for_start:
        return "We have stopped all sending for now. It goes out once that is started again."
    match delivery.status:
        case ShownStatus.HELD:
            until = held_end(delivery.created_at, delivery.webhook_off_at)
            return f"It goes out once the webhook is on. {until}."
        case ShownStatus.PAUSED if delivery.waits_behind:
            return "It goes out automatically once the older ones have arrived."
        case ShownStatus.PAUSED | ShownStatus.RETRYING:
            at = _for_both(delivery.next_try_at)
            rest = f"not before {at}: then {ONE_FIRST}"
            when = rest if delivery.may_go_later else f"at {at} or soon after"
            return f"It is {'sent' if delivery.is_untried else 'retried'} automatically, {when}."
        case ShownStatus.WAITING:
            return "It is about to be sent again."
        case _:
            return "It is not retried automatically: it goes out once somebody presses Retry."


def _who_acts(delivery: DeliveryDetail, reason: Reason, side: Side) -> str:
    step = step_after(reason, is_test=False)
    if reason is Reason.RATE:
        return "Nobody has to act."
    if side in (Side.RECEIVER, Side.NETWORK) and not (step and step.permission == EDIT):
        return "The receiver's owner must act."
    who = whom(step.permission if step else SYSTEM, delivery.webhook_id)
    return f"{who[:1].upper()}{who[1:]} must act."


def _since(delivery: DeliveryDetail) -> str:
    """Since when its attempts have failed, where there was more than one."""
    failed = [each for each in delivery.attempts if not (each.is_being_sent or each.is_unreached)]
    if len(failed) < 2 or delivery.attempts[0].number != 1:
        return ""
    return f"Its attempts have failed since {moment(failed[0].started_at).exact}."


def _end(attempt: AttemptDetail) -> datetime:
    return attempt.finished_at or attempt.started_at


def _for_both(at: datetime) -> str:
    """The time for the reader, and in UTC for whoever is elsewhere."""
    is_other = at.astimezone(zone()).utcoffset()
    utc = f", that is {at.astimezone(UTC):%H:%M:%S} UTC" if is_other else ""
    return f"{moment(at).exact}{utc}"


def is_doubtful(attempt: AttemptDetail | None) -> bool:
    """Whether an answer that counts as a success says in its text that it is none."""
    is_success = attempt is not None and attempt.is_delivered
    return bool(is_success and attempt and speaks_of_error(attempt.response_text))
