"""Say what the next step after a failure asks of somebody here: the permission, and the words.

`reasons.py` says what to do to those who may do it. Here stands what that takes, and what is said
to everybody else; "{ask}" is where whoever prints it says whom to ask.
"""

from typing import Final, NamedTuple

from portal.engine.reasons import Reason

ASK: Final = "{ask}"
EDIT, SWITCH = "webhooks.edit", "webhooks.switch"
SYSTEM, RETRY = "system.read", "deliveries.retry"


class ReasonStep(NamedTuple):
    """Requirement of a next step: a permission of `services/core/permissions.py`.

    `others`: the sentence for those who do not have it; blank where the reason's own sentence needs
    no more than another word for Retry. `own`: the sentence for those who have it, where the
    reason's own sends them to themselves. `needed`: what they are asked for, where that is less.
    """

    permission: str
    others: str = ""
    own: str = ""
    needed: str = ""


# fmt: off
_STEPS: Final[dict[Reason, ReasonStep]] = {
    Reason.DNS: ReasonStep(
        EDIT, "{ask} to check the address for typing mistakes. If it is right, ask its owner"
        " whether the name is set up."),
    Reason.REFUSED: ReasonStep(RETRY),
    Reason.RATE: ReasonStep(RETRY),
    Reason.UNREACHABLE: ReasonStep(
        SYSTEM, "{ask} to check the network that this portal is in.",
        "Check the network of the machine that this portal runs on."),
    Reason.BAD_REPLY: ReasonStep(EDIT, "{ask} to check the address and the port."),
    Reason.TLS_NAME: ReasonStep(
        EDIT, "{ask} to use the name that stands on the certificate."),
    Reason.TLS_OTHER: ReasonStep(
        EDIT, "{ask} to check whether the address begins with http or https, and the port."),
    Reason.BLOCKED: ReasonStep(
        EDIT, "{ask} to use a public address, or to have this one allowed.",
        "Use a public address, or have this one allowed where the portal is started"
        " (WEBHOOK_ALLOWED_NETWORKS)."),
    Reason.BAD_HEADERS: ReasonStep(
        EDIT, "{ask} to change or remove that header, and to send this again then."),
    Reason.REDIRECT: ReasonStep(EDIT, "{ask} to enter the final address."),
    Reason.AUTH: ReasonStep(
        EDIT, "{ask} to compare the secret key and the custom headers with what the receiver"
        " expects."),
    Reason.NOT_FOUND: ReasonStep(
        EDIT, "{ask} to check the part of the address after the name."),
    Reason.METHOD: ReasonStep(
        EDIT, "Ask its owner for the webhook address. Then {ask} to enter it.",
        needed="Enter the webhook address that its owner gives."),
    Reason.GONE: ReasonStep(
        EDIT, "{turned_off}Ask its owner for a new address. Then {ask} to enter it.",
        needed="Enter the new address that its owner gives{then_on}."),
    Reason.WEBHOOK_OFF: ReasonStep(
        SWITCH, "{ask} to turn it on when the deliveries should go out."),
    Reason.INTERNAL: ReasonStep(
        SYSTEM, "{ask} to look into the log of this portal{reference}.",
        "Look into the log of this portal{reference}."),
}
# fmt: on


def step_after(reason: Reason, *, reference: str = "", is_test: bool = False) -> ReasonStep | None:
    """Return what the next step takes; None where anybody may do it. Values as in `explain`."""
    step = _STEPS.get(reason)
    if step is None:
        return None
    words = {
        "{turned_off}": "" if is_test else "We turned the webhook off. ",
        "{then_on}": "" if is_test else ", then turn the webhook on again",
        "{reference}": f" for {reference}" if reference else "",
    }
    texts = {"others": step.others, "own": step.own, "needed": step.needed}
    for place, text in words.items():
        texts = {name: sentence.replace(place, text) for name, sentence in texts.items()}
    return step._replace(**texts)
