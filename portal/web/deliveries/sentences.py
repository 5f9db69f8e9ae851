"""How a delivery stands, in one sentence or two."""

from portal.engine.http.url import host_of
from portal.engine.retry_policy import AttemptKind
from portal.services.deliveries.detail import DeliveryDetail
from portal.services.outbox.status import PausedFor, ShownStatus
from portal.web.deliveries.progress import left_alone, next_attempt
from portal.web.deliveries.rows.row_words import took, tries
from portal.web.deliveries.times import held_sentence
from portal.web.frame.access import can
from portal.web.frame.wording import moment, plural, stop_sentence


def sentence_of(delivery: DeliveryDetail, *, is_taken: bool = False) -> str:
    """How it stands, in one sentence or two. `is_taken`: it is in a bulk retry now."""
    if delivery.comes_to_rest:
        is_gone = delivery.standing.is_webhook_deleted
        return f"Its webhook {'was deleted' if is_gone else 'is off'}, so it is not sent."
    if delivery.stop and delivery.waits_for_start:
        return f"{stop_sentence(delivery.stop)} This goes out once it is started again."
    match delivery.status:
        case ShownStatus.WAITING:
            return f"{_asked(delivery)}It is about to be sent."
        case ShownStatus.PAUSED:
            return _paused(delivery)
        case ShownStatus.SENDING:
            return f"It is being sent to {_host(delivery)} now."
        case ShownStatus.DELIVERED:
            return _delivered(delivery)
        case ShownStatus.RETRYING:
            return f"Not delivered yet: {_made(delivery)} Next attempt: {next_attempt(delivery)}."
        case ShownStatus.FAILED:
            return _failed(delivery, is_taken=is_taken)
        case ShownStatus.STOPPED:
            by = f" by {delivery.stopped_by}" if delivery.stopped_by else ""
            return f"Stopped{by}. It is not retried automatically."
        case _:
            return held_sentence(delivery)


def _asked(delivery: DeliveryDetail) -> str:
    is_retry = bool(delivery.requested_by and delivery.is_manual)
    return f"{delivery.requested_by} pressed Retry. " if is_retry else ""


def _paused(delivery: DeliveryDetail) -> str:
    if delivery.paused_for is PausedFor.ORDER:
        return "An older delivery goes first: this webhook gets one at a time, in order."
    if delivery.is_manual:
        # Planned attempts may be over: this one is apart from them.
        retried = "" if delivery.may_go_later else f" Retried: {next_attempt(delivery)}."
        return f"{_asked(delivery)}{left_alone(delivery)}{retried}"
    made = f" {_made(delivery)}" if delivery.tries else ""
    if delivery.may_go_later:
        return f"{left_alone(delivery)}{made}"
    label = "First attempt" if delivery.is_untried else "Next attempt"
    return f"{left_alone(delivery)}{made} {label}: {next_attempt(delivery)}."


def _made(delivery: DeliveryDetail) -> str:
    """ "4 of 10 attempts made, and 1 Retry.": a person's count apart."""
    retries = _retries(delivery)
    return f"{tries(delivery.tries)} attempts made{f', and {retries}' if retries else ''}."


def _retries(delivery: DeliveryDetail) -> str:
    by_people = sum(each.kind == AttemptKind.MANUAL for each in delivery.attempts)
    return plural(by_people, "Retry", "Retries") if by_people else ""


def _delivered(delivery: DeliveryDetail) -> str:
    arrived = [each for each in delivery.attempts if each.is_delivered]
    if not arrived:
        return "It has arrived."
    last = arrived[-1]
    when = moment(last.finished_at or last.started_at).text
    total = took(round(last.phases["total"])) if last.phases.get("total") else ""
    return f"{host_of(last.url)} answered {last.code}{f' in {total}' if total else ''}, {when}."


def _failed(delivery: DeliveryDetail, *, is_taken: bool) -> str:
    if delivery.standing.is_test:
        how = "was not accepted" if delivery.code else "did not arrive"
        return f"The test {how}. Nothing else is affected by it."
    made = " and ".join(filter(None, (plural(delivery.tries, "attempt"), _retries(delivery))))
    if is_taken:
        return f"Not delivered after {made}."
    then = " Fix the cause, then Retry." if can("deliveries.retry") else ""
    return f"Not delivered after {made}, and not retried automatically.{then}"


def _host(delivery: DeliveryDetail) -> str:
    return host_of(delivery.webhook_url) or "the receiver"
