"""What the reader may do about a webhook that fails, is off or holds deliveries, or whom to ask."""

from portal.engine.next_steps import ASK, EDIT, SWITCH
from portal.engine.reasons import Explanation, Reason, Side, explain
from portal.models.webhooks import OffReason
from portal.services.webhooks.queries import WebhookDetail
from portal.services.webhooks.summary import Standing
from portal.web.frame.access import can
from portal.web.frame.wording import moment
from portal.web.help.advice import Advice, Matter, advise, for_reader
from portal.web.help.reason_advice import advice_after, webhook_links
from portal.web.webhooks.words import held_count, held_until_words


def advice_of(webhook: WebhookDetail) -> Advice | None:
    """The next step for a webhook that needs one; None while it is well."""
    reason = _reason(webhook)
    if reason is None:
        return None
    return advice_after(
        reason,
        lambda retry: _explained(webhook, reason, retry),
        _matter(webhook, _explained(webhook, reason).what_happened),
        webhook_links(webhook.public_id),
    )


def who_acts(webhook: WebhookDetail, advice: Advice) -> str:
    """Who has to do something now, as the heading above the next step."""
    if advice.message:
        return "Next: a colleague"
    reason = _reason(webhook)
    side = _explained(webhook, reason).side if reason else Side.YOU
    is_theirs = side is Side.RECEIVER and not advice.links
    return "Next: the receiver's owner" if is_theirs else "Next: you"


def advice_about_held(webhook: WebhookDetail) -> Advice:
    """What becomes of what is held while the webhook is on."""
    return advise(
        SWITCH,
        "Send or discard what is held.",
        f"{ASK} to send or discard what is held.",
        matter=_matter(webhook, "Deliveries to this webhook are held."),
    )


def advice_about_key(webhook: WebhookDetail) -> Advice:
    """Who gives the receiver the key that takes over."""
    return advise(
        "webhooks.secret",
        "Give the receiver the new key before then.",
        f"{ASK} to give the receiver the new key before then.",
        matter=_matter(webhook, "The secret key was replaced, and the earlier one ends soon."),
    )


def about_closed(webhook: WebhookDetail) -> str:
    """What to do about what cannot be opened, or whom to ask."""
    own = "Edit the webhook and enter new ones, or set the earlier ENCRYPTION_KEYS again."
    others = f"{ASK} to enter new ones."
    todo = for_reader(EDIT, own, others, webhook.public_id)
    what = " and ".join(webhook.closed)
    return f"The stored {what} cannot be opened with the keys of this portal. {todo}"


def about_plain_address(webhook: WebhookDetail) -> str:
    """What goes to http:// is read by anyone on the way, and who may change that."""
    own, others = "Use https:// if they offer it.", f"{ASK} to use https:// if they offer it."
    todo = for_reader(EDIT, own, others, webhook.public_id)
    return f"Anyone on the way can read what goes to an http:// address. {todo}"


def _reason(webhook: WebhookDetail) -> Reason | None:
    if webhook.standing is Standing.OFF:
        if webhook.off_reason == OffReason.GONE:
            return Reason.GONE
        # Who may turn it on has the button for it.
        return None if can(SWITCH) else Reason.WEBHOOK_OFF
    reason, _ = webhook.fails_for
    # What was wrong may have been changed since: the next attempt tells.
    fails = webhook.standing is not Standing.ACTIVE and webhook.failures_in_row > 0
    return Reason(reason) if reason and fails else None


def _explained(webhook: WebhookDetail, reason: Reason, retry: str = "") -> Explanation:
    again = moment(webhook.next_try_at).exact if webhook.next_try_at else ""
    code = webhook.fails_for[1]
    return explain(reason, host=webhook.host, code=code, again=again, retry=retry)


def _matter(webhook: WebhookDetail, happened: str) -> Matter:
    return Matter(
        webhook=webhook.public_id,
        name=webhook.name,
        happened=happened,
        held=f"{held_count(webhook.held)}. {held_until_words(webhook)}" if webhook.held else "",
        since=webhook.off_at or webhook.failing_since,
        path=f"/settings/webhooks/{webhook.public_id}",
    )
