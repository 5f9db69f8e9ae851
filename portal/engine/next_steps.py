"""The permission that the next step after a failure needs, and the words for other users.

`reasons.py` has the words for users with the permission. "{ask}" stands for the people to ask.
"""

from typing import Final, NamedTuple

from portal.engine.reasons import KEY_OR_HEADERS, Reason
from portal.engine.redirects import Redirect

ASK: Final = "{ask}"
EDIT, SWITCH = "webhooks.edit", "webhooks.switch"
SYSTEM, RETRY, TEST = "system.read", "deliveries.retry", "webhooks.test"


class ReasonStep(NamedTuple):
    """The requirement of a next step: a permission of `services/core/permissions.py`.

    `others`: the sentence for users without it. `own`: the sentence for users with it, if the
    reason's sentence would send them to themselves. `needed`: the part that others ask them for, if
    it is shorter.
    """

    permission: str
    others: str
    own: str = ""
    needed: str = ""


# fmt: off
_STEPS: Final[dict[Reason, ReasonStep]] = {
    Reason.DNS: ReasonStep(
        EDIT, "{ask} to check the URL for typos. If it’s correct, ask the receiver’s team to check"
        " their DNS."),
    Reason.UNREACHABLE: ReasonStep(
        SYSTEM, "{ask} to check this portal’s network.",
        "Check this portal’s network connection."),
    Reason.BAD_REPLY: ReasonStep(EDIT, "{ask} to check the URL and the port."),
    Reason.TLS_NAME: ReasonStep(EDIT, "{ask} to use the certificate’s name in the URL."),
    Reason.TLS_OTHER: ReasonStep(
        EDIT, "{ask} to check the URL’s port and prefix (http:// or https://)."),
    Reason.BLOCKED: ReasonStep(
        EDIT, "{ask} to use a public URL or allow this one.",
        "Use a public URL or allow this one in the portal’s settings (WEBHOOK_ALLOWED_NETWORKS)."),
    Reason.BAD_HEADERS: ReasonStep(
        EDIT, "{ask} to change or remove that header."),
    Reason.REDIRECT: ReasonStep(EDIT, "{ask} to enter the final URL."),
    Reason.AUTH: ReasonStep(
        EDIT, "Either side might be wrong, so {ask} to compare {secrets} the receiver expects."),
    Reason.NOT_FOUND: ReasonStep(EDIT, "{ask} to check the URL for typos."),
    Reason.METHOD: ReasonStep(
        EDIT, "Ask the receiver’s team for the webhook URL. Then {ask} to enter it.",
        needed="Enter the webhook URL from the receiver’s team."),
    Reason.GONE: ReasonStep(
        EDIT, "Ask the receiver’s team whether there’s a new URL. Then {ask} to enter it or to"
        " delete the webhook.",
        needed="Enter the new URL from the receiver’s team and make sure the webhook is on. If"
        " there’s none, delete the webhook."),
    Reason.WEBHOOK_OFF: ReasonStep(SWITCH, "{ask} to turn it on to send deliveries."),
    Reason.INTERNAL: ReasonStep(
        SYSTEM, "{ask} to check this portal’s logs{reference}.",
        "Check this portal’s logs{reference}."),
}
# fmt: on


def step_after(
    reason: Reason,
    *,
    reference: str = "",
    secrets: str = KEY_OR_HEADERS,
    redirect: Redirect | None = None,
) -> ReasonStep | None:
    """Return the next step's requirement, or None if anyone can do it. Values as in `explain`.

    `redirect`: the target, if the response named one.
    """
    step = _STEPS.get(reason)
    if step is None:
        return None
    if redirect and redirect.is_usable:
        return _to_new_url(redirect)
    words = f" for {reference}" if reference else ""
    own, others = (
        sentence.replace("{reference}", words).replace("{secrets}", secrets)
        for sentence in (step.own, step.others)
    )
    return step._replace(own=own, others=others)


def _to_new_url(redirect: Redirect) -> ReasonStep:
    url = redirect.shown
    if redirect.is_permanent:
        return ReasonStep(EDIT, f"{ASK} to change the URL to {url}.", f"Change the URL to {url}.")
    asked = f"Ask the receiver’s team whether {url} is the final URL."
    return ReasonStep(
        EDIT,
        f"{asked} If so, {ASK} to enter it.",
        f"{asked} If so, enter it.",
        needed=f"Change the URL to {url}, if the receiver’s team confirms that it’s final.",
    )
