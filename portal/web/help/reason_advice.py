"""The next step after a failure, for whoever reads it."""

from collections.abc import Callable, Mapping
from typing import Final
from uuid import UUID

from flask import url_for

from portal.engine.next_steps import EDIT, RETRY, SWITCH, SYSTEM, step_after
from portal.engine.reasons import Explanation, Reason
from portal.web.frame.access import can
from portal.web.help.advice import Advice, Link, Matter, advise, kind_of, message_of, whom

TEST: Final = "webhooks.test"


def advice_after(
    reason: Reason,
    explained: Callable[[str], Explanation],
    matter: Matter,
    links: Mapping[str, Link],
    *,
    reference: str = "",
    is_test: bool = False,
) -> Advice:
    """What the reader may do about it, or whom to ask.

    `explained`: the reason in words, given what stands in the place of Retry. `links`: where it is
    done, by permission. `reference` and `is_test` as in `explain`.
    """
    own = explained("").next_step
    step = step_after(reason, reference=reference, is_test=is_test)
    if step is None:
        return Advice(own)
    if step.permission != RETRY:
        return advise(
            step.permission,
            step.own or own,
            step.others,
            matter=matter,
            link=links.get(step.permission),
            needed=step.needed,
        )
    permission, verb = (TEST, "test again") if is_test else (RETRY, "retry")
    if can(permission):
        return Advice(own)
    asked = f"ask {whom(permission, matter.webhook)} to {verb}"
    others = explained(asked).next_step
    message = message_of(matter, own) if asked in others else ""
    return Advice(others, message=message, recipient=kind_of(permission))


def webhook_links(webhook: UUID) -> dict[str, Link]:
    """Where the steps about a webhook are done."""
    return {
        EDIT: ("Edit the webhook", url_for("webhook_forms.edit", public_id=webhook)),
        SWITCH: ("Turn it on", url_for("webhook_switches.on", public_id=webhook)),
        SYSTEM: ("See under System what is running", url_for("system.index")),
    }
