"""Describe the URL, headers, and body of a request, and write it as a curl command."""

import json
import shlex
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from portal.engine.http.address_mask import MASK, may_stand_for
from portal.engine.reasons import NEVER_LEFT
from portal.lib.typed_text import storable
from portal.services.deliveries.detail import DeliveryDetail

LEGACY: Final = "x-asset-webhook-signature"
STANDARD, STAMP, ID = "webhook-signature", "webhook-timestamp", "webhook-id"
# This header needs a second key, so commands leave it out.
NOT_BY_HAND: Final = f"{LEGACY}-next"
YOURS: Final = "FILL-THIS-IN"
# In characters. A command reads a longer body from its file.
LONGEST_BODY: Final = 64_000
# Commands compute these, because STAMP is the time of sending and STANDARD signs it.
COMPUTED: Final = {LEGACY: "$SIGNATURE", STAMP: "$NOW", STANDARD: "v1,$STANDARD"}
HMAC: Final = 'openssl dgst -sha256 -mac HMAC -macopt "hexkey:$KEY"'
# A Standard Webhooks key is base64 after "whsec_". Any other key is plain text.
KEY: Final = (
    """KEY=$(if [ "${SECRET#whsec_}" = "$SECRET" ]; then printf '%s' "$SECRET";"""
    """ else printf '%s' "${SECRET#whsec_}" | openssl base64 -d -A; fi | od -An -v -tx1"""
    """ | tr -d ' \\n')"""
)

Headers = Sequence[tuple[str, str]]


def curl_of(url: str, headers: Headers, body: bytes) -> str:
    """Return the request as a curl command, with placeholders for masked values.

    For a signed request, the command first computes the signatures, from a secret that its user
    fills in.
    """
    text = body.decode(errors="replace")
    is_short = len(text) <= LONGEST_BODY
    sent = {name.lower(): value for name, value in headers}
    before = list(_signing(sent, shlex.quote(text) if is_short else ""))
    data = shlex.quote(text) if is_short else "@delivery.json"
    if before and is_short:
        data = '"$BODY"'
    address = shlex.quote(url.replace(MASK, YOURS))
    lines = [f"curl --request POST {address}", *_header_options(headers)]
    lines.append(f"--data-binary {data}")
    return "\n".join([*before, " \\\n  ".join(lines)])


def _signing(sent: dict[str, str], body: str) -> Iterator[str]:
    """Yield the shell lines that compute the signatures in `sent`.

    Both are HMAC-SHA256, as hex of the exact body and as base64 of id, time, and body. `body` is
    quoted. If it is blank, the body is in a file.
    """
    if not sent.keys() & {LEGACY, STANDARD}:
        return
    yield "SECRET='THE SECRET KEY OF THIS WEBHOOK'"
    if body:
        yield f"BODY={body}"
    source = "printf '%s' \"$BODY\"" if body else "cat delivery.json"
    if LEGACY in sent:
        sign = """openssl dgst -sha256 -hmac "$SECRET" | sed 's/^.* //'"""
        yield f"SIGNATURE=$({source} | {sign})"
    if STANDARD in sent:
        yield "NOW=$(date +%s)"
        yield KEY
        begin = f"printf '%s.%s.' {shlex.quote(sent.get(ID, ''))} \"$NOW\""
        yield f"STANDARD=$({{ {begin}; {source}; }} | {HMAC} -binary | openssl base64 -A)"


def _header_options(headers: Headers) -> Iterator[str]:
    names = {name.lower() for name, _ in headers}
    computed = {name for name in COMPUTED if name in names and (name != STAMP or STANDARD in names)}
    for name, value in headers or [("Content-Type", "application/json")]:
        if name.lower() in computed:
            yield f'--header "{name}: {COMPUTED[name.lower()]}"'
        elif name.lower() != NOT_BY_HAND:
            shown = value.replace(MASK, f"YOUR VALUE OF {name}")
            yield f"--header {shlex.quote(f'{name}: {shown}')}"


# Hidden, although each is valid for only one body. With both, an attacker could guess a short
# secret offline, and some people choose short ones.
SIGNATURES: Final = frozenset({LEGACY, NOT_BY_HAND, STANDARD})
# A page shows no more than this. The file has all of it.
MOST_SHOWN: Final = LONGEST_BODY


@dataclass(frozen=True, slots=True)
class Sent:
    """The request of the newest attempt.

    `was_sent` means that an attempt might have left this portal. `is_now` means that the body is
    built now and might differ from the one that was sent.
    """

    url: str
    url_now: str
    headers: Sequence[tuple[str, str]]
    body: str
    size: int
    curl: str
    was_sent: bool
    is_now: bool

    @property
    def is_signed(self) -> bool:
        return any(name.lower() in SIGNATURES for name, _ in self.headers)

    @property
    def has_secrets(self) -> bool:
        """Return whether the URL or a header is masked."""
        return MASK in self.url or any(MASK in value for _, value in self.headers)


def sent_of(delivery: DeliveryDetail) -> Sent:
    """Describe the request. `url_now` is the webhook's URL if it has changed since."""
    tried = delivery.attempts[-1] if delivery.attempts else None
    url = tried.url if tried else delivery.webhook_url
    known = [attempt.request_headers for attempt in delivery.attempts if attempt.request_headers]
    headers = masked(known[-1]) if known else ()
    return Sent(
        url=url,
        url_now="" if may_stand_for(url, delivery.webhook_url) else delivery.webhook_url,
        headers=headers,
        body=pretty(delivery.body),
        size=len(delivery.body),
        curl=curl_of(url, headers, delivery.body),
        was_sent=any(attempt.reason not in NEVER_LEFT for attempt in delivery.attempts),
        is_now=(tried is None or tried.body is None)
        and (delivery.webhook_format is not None or len(delivery.bodies) > 1),
    )


def pretty(body: bytes) -> str:
    """Return JSON with one value per line, or any other body as it is."""
    try:
        text = _begun(json.JSONEncoder(indent=2, ensure_ascii=False).iterencode(json.loads(body)))
    except (ValueError, RecursionError):
        text = body.decode(errors="replace")
    text = storable(text)
    return text if len(text) <= MOST_SHOWN else f"{text[:MOST_SHOWN]}\n… (download for the rest)"


def _begun(pieces: Iterable[str]) -> str:
    """Return the text up to slightly more than is shown.

    Deep nesting puts hundreds of spaces before each line.
    """
    begun: list[str] = []
    length = 0
    for piece in pieces:
        begun.append(piece)
        length += len(piece)
        if length > MOST_SHOWN:
            break
    return "".join(begun)


def masked(headers: Sequence[tuple[str, str]]) -> Sequence[tuple[str, str]]:
    """Mask signatures in headers. Values of custom headers are masked already."""
    return [(name, MASK if name.lower() in SIGNATURES else value) for name, value in headers]
