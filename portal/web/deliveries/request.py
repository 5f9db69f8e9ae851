"""What we sent, for people and their developers: address, headers, body, and a curl command."""

import json
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from portal.engine.reason_keys import NEVER_LEFT
from portal.services.deliveries.detail import DeliveryDetail

MASK: Final = "••••"
HOUSE: Final = "x-asset-webhook-signature"
# Right for this body alone. Still nobody is shown one: beside the body it is all that it takes to
# try out short secrets, of which people choose some, without asking anybody.
SIGNATURES: Final = frozenset({HOUSE, f"{HOUSE}-next", "webhook-signature"})
# They are of the moment of sending; a request made by hand does without.
NOT_BY_HAND: Final = frozenset({f"{HOUSE}-next", "webhook-signature", "webhook-timestamp"})
SIGN: Final = """openssl dgst -sha256 -hmac "$SECRET" | sed 's/^.* //'"""
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

    @property
    def is_signed(self) -> bool:
        """Whether it carries a signature."""
        return any(name.lower() == HOUSE for name, _ in self.headers)


def sent_of(delivery: DeliveryDetail) -> Sent:
    """Describe the request. `url_now` is blank unless the webhook's address was changed since."""
    tried = delivery.attempts[-1] if delivery.attempts else None
    url = tried.url if tried else delivery.webhook_url
    known = [each.request_headers for each in delivery.attempts if each.request_headers]
    headers = masked(known[-1]) if known else ()
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


def masked(headers: Sequence[tuple[str, str]]) -> Sequence[tuple[str, str]]:
    """The headers without signatures; values of custom headers are masked since they were sent."""
    return [(name, MASK if name.lower() in SIGNATURES else value) for name, value in headers]


def curl_of(url: str, headers: Sequence[tuple[str, str]], body: bytes) -> str:
    """The request as a command; where a value was masked, its place is marked.

    A signed one first computes the signature, from a secret that whoever runs it puts in.
    """
    text = body.decode(errors="replace")
    is_short = len(text) <= MOST_SHOWN
    data = shlex.quote(text) if is_short else "@delivery.json"
    is_signed = any(name.lower() == HOUSE for name, _ in headers)
    before = list(_signing(data if is_short else "")) if is_signed else []
    if is_signed and is_short:
        data = '"$BODY"'
    lines = [f"curl --request POST {shlex.quote(url)}", *_header_options(headers)]
    lines.append(f"--data-binary {data}")
    return "\n".join([*before, " \\\n  ".join(lines)])


def _signing(body: str) -> Iterator[str]:
    """How the signature is made: HMAC-SHA256 of the exact body, as hex."""
    yield "SECRET='THE SECRET KEY OF THIS WEBHOOK'"
    if body:
        yield f"BODY={body}"
    source = """printf '%s' "$BODY" |""" if body else "cat delivery.json |"
    yield f"SIGNATURE=$({source} {SIGN})"


def _header_options(headers: Sequence[tuple[str, str]]) -> Iterator[str]:
    for name, value in headers or [("Content-Type", "application/json")]:
        if name.lower() == HOUSE:
            yield f'--header "{name}: $SIGNATURE"'
        elif name.lower() not in NOT_BY_HAND:
            shown = value.replace(MASK, f"YOUR VALUE OF {name}")
            yield f"--header {shlex.quote(f'{name}: {shown}')}"
