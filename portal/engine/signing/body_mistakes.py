"""What receivers sign in the place of the right content."""

import json
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any, Final, NamedTuple

from portal.engine.signing.differences import RAW_BYTES, Difference, Part
from portal.engine.signing.message import Message
from portal.engine.signing.pasted_body import PastedBody
from portal.engine.signing.rewritten_json import compact, rewritten

_BODY_ALONE: Final = "Compute X-Asset-Webhook-Signature over the body alone."
_ALL_THREE: Final = (
    "Compute webhook-signature over webhook-id, a dot, webhook-timestamp, a dot, and the body."
)
_OWN_STAMP: Final = "Take the unix seconds of the header webhook-timestamp of the same request."

Bodies = Sequence[tuple[Difference, bytes]]


class Content(NamedTuple):
    """What was signed. `attempt`: whose time is in it."""

    signed: bytes
    attempt: int | None = None
    difference: Difference | None = None


def other_bodies(body: bytes, pasted: PastedBody) -> Bodies:
    """Wrong bodies; the pasted one is one of them, where it is not ours."""
    return [*_changed(body), *((pasted.difference, each) for each in pasted.readings)]


def house_contents(message: Message, bodies: Bodies) -> Iterator[Content]:
    """The body, then what is signed in its place."""
    yield Content(message.body)
    for difference, body in bodies:
        yield Content(body, None, difference)
    together = _content(
        "computed over id, timestamp and body instead of the body alone", _BODY_ALONE
    )
    short = _content("computed over timestamp and body instead of the body alone", _BODY_ALONE)
    for number, sent_at in message.newest_first:
        yield Content(message.standard_content(sent_at), number, together)
        yield Content(f"{sent_at}.".encode() + message.body, number, short)
    for happened in _times(message.body):
        yield Content(f"{happened}.".encode() + message.body, None, short)


def standard_contents(message: Message, bodies: Bodies) -> Iterator[Content]:
    """Id, time and body of each attempt, the newest first, and what is signed in their place."""
    for number, sent_at in message.newest_first:
        yield Content(message.standard_content(sent_at), number)
        yield from _of_an_attempt(message, number, sent_at)
        for difference, body in bodies:
            yield Content(f"{message.id}.{sent_at}.".encode() + body, number, difference)
    words = "computed over the body alone, without id and timestamp"
    yield Content(message.body, None, _content(words, _ALL_THREE))
    words = "computed without the timestamp"
    yield Content(f"{message.id}.".encode() + message.body, None, _content(words, _ALL_THREE))
    for words, happened in zip(_TIMES, _times(message.body), strict=False):
        signed = f"{message.id}.{happened}.".encode() + message.body
        yield Content(signed, None, Difference(Part.MOMENT, words, _OWN_STAMP))


def _of_an_attempt(message: Message, number: int, sent_at: int) -> Iterator[Content]:
    words = "computed with the timestamp in milliseconds instead of seconds"
    moment = Difference(Part.MOMENT, words, _OWN_STAMP)
    yield Content(message.standard_content(sent_at * 1000), number, moment)
    for before, words in (
        (f"{sent_at}.", "computed without the id"),
        (f"{sent_at}.{message.id}.", "computed with the timestamp before the id"),
        (f"{message.id}{sent_at}", "computed without the dots between id, timestamp and body"),
    ):
        yield Content(before.encode() + message.body, number, _content(words, _ALL_THREE))


def _changed(body: bytes) -> Iterator[tuple[Difference, bytes]]:
    yield _body("computed over the body with a line break after it"), body + b"\n"
    yield _body("computed over the body with a Windows line break (CR LF) after it"), body + b"\r\n"
    yield (
        _body("computed over the body with a byte order mark (BOM) before it"),
        b"\xef\xbb\xbf" + body,
    )
    yield _body("computed over nothing instead of the body"), b""
    words = "computed over the words “[object Object]” instead of the body"
    yield _body(words), b"[object Object]"
    for what, text in rewritten(body):
        yield _body(f"computed over the body parsed and written again ({what})"), text
    yield (
        _body("computed over the body inside quotation marks"),
        compact(body.decode("latin-1")).encode(),
    )
    for part, value in _members(body):
        for write in (
            compact,
            lambda each: json.dumps(each, separators=(",", ":"), ensure_ascii=False),
        ):
            text = write(value).encode(errors="replace")
            yield _body(f"computed over “{part}” alone instead of the whole body"), text


def _members(body: bytes) -> Iterator[tuple[str, Any]]:
    content = _read(body)
    return ((part, content[part]) for part in ("data", "asset") if part in content)


_TIMES: Final = (
    "computed with X-Asset-Webhook-Timestamp instead of webhook-timestamp",
    "computed with the time of the event instead of webhook-timestamp",
)


def _times(body: bytes) -> Iterator[str]:
    """When the event happened, as the body says it, and in unix seconds."""
    text = _read(body).get("timestamp")
    if isinstance(text, str):
        yield text
        try:
            yield str(int(datetime.fromisoformat(text).timestamp()))
        except (ValueError, OverflowError):
            return


def _read(body: bytes) -> dict[str, Any]:
    try:
        content = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    return content if isinstance(content, dict) else {}


def _body(words: str) -> Difference:
    return Difference(Part.BODY, words, RAW_BYTES)


def _content(words: str, fix: str) -> Difference:
    return Difference(Part.CONTENT, words, fix)
