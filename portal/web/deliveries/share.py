"""Write updates to share with the receiver's team, as plain text without secrets.

An update is about one delivery or a whole webhook. It names the failure, its start, and our
request.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

from portal.engine.answer_words import sentence_in
from portal.engine.formats.answers import Meaning
from portal.engine.formats.presets import Preset
from portal.engine.reasons import Reason, title
from portal.engine.redirects import Redirect
from portal.lib.typed_text import harmless
from portal.services.deliveries.detail import AttemptDetail
from portal.web.frame.access import can
from portal.web.frame.wording import day_of, in_both_zones, number

LONGEST_ANSWER: Final = 200
NOT_FOLLOWED: Final = "We don’t follow redirects."
_LOGS: Final = "Please check your server’s logs at these times."
_CERTIFICATE: Final = "Please install a valid certificate for this URL, including the full chain."
_RULES: Final = "Please check your server’s expected content for this URL."
MOVED: Final = (Reason.GONE, Reason.REDIRECT)
CHECK_OFFER: Final = (
    "Send us a signature that your server computed, and we’ll tell you what differs."
)
# Without the reasons that only we can fix, or nobody can.
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
    Reason.REDIRECT: f"Please send us the final URL. {NOT_FOLLOWED}",
    Reason.BAD_REQUEST: _RULES,
    Reason.AUTH: (
        "Either side might be wrong. Please compare the secret key and headers that your server "
        "expects with ours."
    ),
    Reason.FORBIDDEN: "Please allow our requests to this URL.",
    Reason.NOT_FOUND: "Please check this URL or send us the correct one.",
    Reason.METHOD: "Please let this URL accept POST requests or send us the correct one.",
    Reason.GONE: "Please send us the new URL. If there’s none, tell us so.",
    Reason.CONFLICT: _RULES,
    Reason.TOO_LARGE: "Please raise the size limit for requests to this URL.",
    Reason.RATE: "Please send us your limit of requests per minute.",
    Reason.OTHER_4XX: _RULES,
    Reason.SERVER: _LOGS,
    Reason.UNAVAILABLE: _LOGS,
}


@dataclass(frozen=True, slots=True)
class ToldCause:
    """The deliveries whose last attempt failed for one reason.

    `answer` is the response's text, and `redirect` the target that it names. `meaning` is its
    meaning if the receiver is a known product.
    """

    reason: Reason
    code: int | None
    count: int = 1
    answer: str = ""
    meaning: Meaning | None = None
    redirect: Redirect | None = None

    @property
    def request(self) -> str:
        """Return our request to the receiver's team, or "" if there is none."""
        if self.meaning:
            return self.meaning.request
        if self.redirect:
            return f"Please confirm that {self.redirect.shown} is the final URL. {NOT_FOLLOWED}"
        return ASKED.get(self.reason, "")

    @property
    def words(self) -> str:
        """Return the cause with the response, as in "Server error (500): “disk full”"."""
        if self.redirect:
            return f"{title(self.reason, self.code)} to {self.redirect.shown}"
        answer = " ".join(harmless(sentence_in(self.answer)).split())[:LONGEST_ANSWER].rstrip(".")
        words = f"{title(self.reason, self.code)}{f': “{answer}”' if answer else ''}"
        return f"{words}. {self.meaning.happened}".removesuffix(".") if self.meaning else words


@dataclass(frozen=True, slots=True, kw_only=True)
class Trouble:
    """The facts of an update.

    `what` is “143 deliveries”, or an event and its asset. `url` is masked. Of all `count`
    deliveries, `failed` have a failed attempt. `causes` begin with the most common one. `retried`
    counts deliveries that are retried automatically, and `ended` those that no longer are. `held`
    tells the number on hold and their expiry. `first` and `last` are times of failed attempts, and
    `last_cause` is the cause of the last one. `ids` are a few deliveries that were sent.
    `untouched` says that nothing was delivered since. `key` has the facts about our secret key.
    """

    what: str
    count: int = 1
    failed: int = 1
    url: str
    causes: Sequence[ToldCause]
    first: datetime | None
    last: datetime
    last_cause: str = ""
    ids: Sequence[UUID]
    untouched: str = ""
    retried: int = 0
    ended: int = 0
    held: str = ""
    key: str = ""
    is_signed: bool = False


def key_words(hint: str, set_at: datetime | None) -> str:
    """Return the end of our secret key and its date, for users who may know them."""
    if not (hint and set_at and can("webhooks.secret")):
        return ""
    return f"Our secret key ends in {hint} and was set on {day_of(set_at)}."


def update_to_share(trouble: Trouble) -> str:
    """Return the text, or "" if there is no request to the receiver's team."""
    requests = [cause.request for cause in trouble.causes]
    if not requests or not requests[0]:
        return ""
    is_one, several = trouble.count == 1, len(trouble.causes) > 1
    undelivered = f"{trouble.what} {'hasn’t' if is_one else 'haven’t'} arrived at {trouble.url}."
    waiting = f" Attempts for {number(trouble.failed)} of them failed. The others are waiting."
    first, last = trouble.first, in_both_zones(trouble.last)
    since = f" {trouble.untouched}." if trouble.untouched else ""
    lines = (
        undelivered + (waiting if trouble.failed < trouble.count else ""),
        *(f"{_cause(cause, several)}: {cause.words}." for cause in trouble.causes),
        f"First failed attempt: {in_both_zones(first)}.{since}" if first else "",
        f"Last failed attempt: {last}{f', {trouble.last_cause}' if several else ''}.",
        search_logs(*trouble.ids) if trouble.ids else "",
        " ".join([*dict.fromkeys(filter(None, [*requests, *_keys(trouble)])), _promise(trouble)]),
    )
    return "\n".join(line for line in lines if line)


def _cause(cause: ToldCause, several: bool) -> str:
    return f"Cause of {number(cause.count)}" if several else "Cause"


def _keys(trouble: Trouble) -> Sequence[str]:
    """Return the facts that help to find the side with the wrong secret key."""
    is_about = any(each.reason is Reason.AUTH and not each.meaning for each in trouble.causes)
    return (trouble.key, CHECK_OFFER) if is_about and trouble.is_signed else ()


def _promise(trouble: Trouble) -> str:
    """Return the outlook for all of them. Ended or expiring deliveries get no promise."""
    it = "it" if trouble.count == 1 else "them"
    if trouble.causes[0].reason in MOVED and not trouble.causes[0].meaning:
        return " ".join(filter(None, (trouble.held, f"We’ll retry {it} at the new URL.")))
    if trouble.retried == trouble.count:
        return f"Nothing is lost. We’ll keep {it} and retry automatically."
    ended = "Automatic retries have ended"
    of_some = "" if trouble.ended == trouble.count else f" for {number(trouble.ended)} of them"
    sentences = (
        f"{ended}{of_some}." if trouble.ended else "",
        trouble.held,
        f"Let us know when to retry {it}.",
    )
    return " ".join(filter(None, sentences))


def proof_of_delivery(
    what: str,
    arrivals: Sequence[AttemptDetail],
    delivery: UUID,
    *,
    product: Preset | None = None,
    meaning: Meaning | None = None,
) -> str:
    """Return the times of the first and the latest arrival.

    `product` is the responding product, if known. `meaning` is the meaning of the response, which
    can prove less than delivery.
    """
    first, *again = arrivals
    at = in_both_zones(first.ended_at)
    was, by = "sent" if meaning else "delivered", product.name if product else "Your server"
    lines = [f"{what} was {was} to {first.url} at {at}. {by} responded {first.code}."]
    if meaning:
        lines.append(f"{meaning.happened} {meaning.request}")
    if again:
        lines.append(f"It was delivered again at {in_both_zones(again[-1].ended_at)}.")
    # The team can't search the logs of a product that a third party runs.
    return "\n".join([*lines, *([] if product else [search_logs(delivery)])])


def search_logs(*ids: UUID) -> str:
    """Return instructions for finding these deliveries in the receiver's logs."""
    one = "this delivery ID" if len(ids) == 1 else "these delivery IDs"
    listed = ", ".join(map(str, ids))
    return f"Search your logs for {one} (X-Asset-Webhook-Id): {listed}."
