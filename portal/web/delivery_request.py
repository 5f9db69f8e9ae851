"""What we sent, for people and their developers: address, headers, body, and a curl command."""

import json
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from portal.delivery.reason_keys import NEVER_LEFT
from portal.services.delivery_detail import DeliveryDetail

MASK: Final = "••••"
# A page is no place for more; the file has all of it.
MOST_SHOWN: Final = 64_000


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


def sent_of(delivery: DeliveryDetail) -> Sent:
    """Describe the request. `url_now` is blank unless the webhook's address was changed since."""
    tried = delivery.attempts[-1] if delivery.attempts else None
    url = tried.url if tried else delivery.webhook_url
    known = [each.request_headers for each in delivery.attempts if each.request_headers]
    headers = known[-1] if known else ()
    return Sent(
        url=url,
        url_now=delivery.webhook_url if delivery.webhook_url != url else "",
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
    # Half of a surrogate pair is good JSON, and no text that can be sent to a browser.
    text = text.encode(errors="replace").decode()
    return text if len(text) <= MOST_SHOWN else f"{text[:MOST_SHOWN]}\n… (the file has all of it)"


def curl_of(url: str, headers: Sequence[tuple[str, str]], body: bytes) -> str:
    """The request as a command; where a value was masked, its place is marked."""
    lines = [f"curl --request POST {shlex.quote(url)}", *_header_options(headers)]
    text = body.decode(errors="replace")
    data = text if len(text) <= MOST_SHOWN else "@delivery.json"
    lines.append(f"--data-binary {shlex.quote(data)}")
    return " \\\n  ".join(lines)


def _header_options(headers: Sequence[tuple[str, str]]) -> Iterator[str]:
    for name, value in headers or [("Content-Type", "application/json")]:
        shown = value.replace(MASK, f"YOUR VALUE OF {name}")
        yield f"--header {shlex.quote(f'{name}: {shown}')}"
