"""An update to share with the receiver's team: what fails, since when, and what we ask of them, as
plain text without secrets. For one delivery, and for a whole webhook."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

from portal.engine.answer_words import sentence_in
from portal.engine.reasons import NEVER_LEFT, Reason, title
from portal.lib.typed_text import harmless
from portal.services.deliveries.detail import AttemptDetail
from portal.web.frame.wording import in_both_zones

LONGEST_ANSWER: Final = 200
_LOGS: Final = "Please check your server’s logs at these times."
_CERTIFICATE: Final = "Please install a valid certificate for this URL, including the full chain."
_RULES: Final = "Please check your server’s expected content for this URL."
# What is ours to mend, or nobody's, is not in it.
ASKED: Final = {
    Reason.DNS: "Please check this server’s DNS entry or send us the correct URL.",
    Reason.REFUSED: "Please check that your server is running and accepts connections.",
    Reason.CONNECT_TIMEOUT: "Please check that your firewall allows connections from us.",
    Reason.READ_TIMEOUT: "Please let your server respond first and process afterward.",
    Reason.RESET: _LOGS,
    Reason.NO_REPLY: _LOGS,
    Reason.BAD_REPLY: (
        "Please check that this URL accepts HTTP requests or send us the correct URL."
    ),
    Reason.TLS_EXPIRED: "Please renew the certificate.",
    Reason.TLS_UNTRUSTED: _CERTIFICATE,
    Reason.TLS_NAME: _CERTIFICATE,
    Reason.TLS_OTHER: _CERTIFICATE,
    Reason.REDIRECT: "Please send us the final URL. We don’t follow redirects.",
    Reason.BAD_REQUEST: _RULES,
    Reason.AUTH: "Please check the secret key and headers that your server expects from us.",
    Reason.FORBIDDEN: "Please allow our requests to this URL.",
    Reason.NOT_FOUND: "Please check this URL or send us the correct one.",
    Reason.METHOD: "Please let this URL accept POST requests or send us the correct one.",
    Reason.GONE: "Please send us the new URL.",
    Reason.CONFLICT: _RULES,
    Reason.TOO_LARGE: "Please raise the size limit for requests to this URL.",
    Reason.RATE: "Please send us your limit of requests per minute.",
    Reason.OTHER_4XX: _RULES,
    Reason.SERVER: _LOGS,
    Reason.UNAVAILABLE: _LOGS,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Trouble:
    """The facts of an update. `what`: “143 deliveries”, or an event and its asset. `url`: masked.
    `answer`: the response’s text. `share`: “14 of 22”, where not all failed for it. `first`,
    `last`: failed attempts. `ids`: a few of the deliveries. `is_retried`: by itself.
    """

    what: str
    is_one: bool
    url: str
    reason: Reason | None
    code: int | None
    first: datetime | None
    last: datetime
    ids: Sequence[UUID]
    is_untouched: bool
    is_retried: bool
    answer: str = ""
    share: str = ""


def update_to_share(trouble: Trouble) -> str:
    """Return the text; blank where there is nothing to ask of the receiver's team."""
    asked = ASKED.get(trouble.reason) if trouble.reason else None
    if trouble.reason is None or asked is None or not trouble.ids:
        return ""
    it = "it" if trouble.is_one else "them"
    answer = " ".join(harmless(sentence_in(trouble.answer)).split())[:LONGEST_ANSWER]
    since = "Nothing has been delivered since." if trouble.is_untouched else ""
    told = f"Let us know when it’s fixed. We’ll send {it} again."
    next_ = f"We’ll keep {it} and retry automatically." if trouble.is_retried else told
    logs = search_logs(*trouble.ids)
    quoted = f": “{answer}”" if answer else ""
    lines = (
        f"{trouble.what} {'hasn’t' if trouble.is_one else 'haven’t'} arrived at {trouble.url}.",
        f"{_cause(trouble.share)}: {title(trouble.reason, trouble.code)}{quoted}.",
        f"First failed attempt: {in_both_zones(trouble.first)}. {since}" if trouble.first else "",
        f"Last failed attempt: {in_both_zones(trouble.last)}.",
        "" if trouble.reason in NEVER_LEFT else logs,
        f"{asked} Nothing is lost. {next_}",
    )
    return "\n".join(line.rstrip() for line in lines if line)


def proof_of_delivery(what: str, arrivals: Sequence[AttemptDetail], delivery: UUID) -> str:
    """Return when it arrived first, and that it was sent again since."""
    first, *again = arrivals
    at = in_both_zones(first.ended_at)
    told = f"{what} was delivered to {first.url} at {at}. Your server responded {first.code}."
    if again:
        told = f"{told}\nIt was delivered again at {in_both_zones(again[-1].ended_at)}."
    return f"{told}\n{search_logs(delivery)}"


def search_logs(*ids: UUID) -> str:
    """Say how the receiver’s team finds these deliveries in their logs."""
    listed = ", ".join(map(str, ids))
    return f"To find our requests, search your logs for X-Asset-Webhook-Id {listed}."


def _cause(share: str) -> str:
    return f"Most common cause ({share})" if share else "Cause"
