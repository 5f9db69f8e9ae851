"""What we sent, for people and their developers: address, headers, body, and a curl command."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from portal.engine.http.address_mask import MASK, may_stand_for
from portal.engine.reason_keys import NEVER_LEFT
from portal.lib.typed_text import storable
from portal.services.deliveries.detail import DeliveryDetail
from portal.web.deliveries.curl_command import HOUSE, LONGEST_BODY, STANDARD, curl_of

# Right for this body alone. Still nobody is shown one: beside the body it is all that it takes to
# try out short secrets, of which people choose some, without asking anybody.
SIGNATURES: Final = frozenset({HOUSE, f"{HOUSE}-next", STANDARD})
# A page is no place for more; the file has all of it.
MOST_SHOWN: Final = LONGEST_BODY


@dataclass(frozen=True, slots=True)
class Sent:
    """The request of the newest attempt; `was_sent` once any may have left this portal."""

    url: str
    url_now: str
    headers: Sequence[tuple[str, str]]
    body: str
    size: int
    curl: str
    was_sent: bool

    @property
    def is_signed(self) -> bool:
        """Whether it carries a signature."""
        return any(name.lower() in SIGNATURES for name, _ in self.headers)


def sent_of(delivery: DeliveryDetail) -> Sent:
    """Describe the request. `url_now` is blank unless the webhook's address was changed since, in
    a part that is not masked."""
    tried = delivery.attempts[-1] if delivery.attempts else None
    url = tried.url if tried else delivery.webhook_url
    known = [each.request_headers for each in delivery.attempts if each.request_headers]
    headers = masked(known[-1]) if known else ()
    return Sent(
        url=url,
        url_now="" if may_stand_for(url, delivery.webhook_url) else delivery.webhook_url,
        headers=headers,
        body=pretty(delivery.body),
        size=len(delivery.body),
        curl=curl_of(url, headers, delivery.body),
        was_sent=any(each.reason not in NEVER_LEFT for each in delivery.attempts),
    )


def pretty(body: bytes) -> str:
    """The body with one value a line; as it is when it is no JSON."""
    try:
        text = json.dumps(json.loads(body), indent=2, ensure_ascii=False)
    except (ValueError, RecursionError):
        text = body.decode(errors="replace")
    text = storable(text)
    return text if len(text) <= MOST_SHOWN else f"{text[:MOST_SHOWN]}\n… (the file has all of it)"


def masked(headers: Sequence[tuple[str, str]]) -> Sequence[tuple[str, str]]:
    """The headers without signatures; values of custom headers are masked since they were sent."""
    return [(name, MASK if name.lower() in SIGNATURES else value) for name, value in headers]
