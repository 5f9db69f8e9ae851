"""Every mistake that a pasted signature is compared with: its words, and what is signed by it."""

import base64
import hashlib
import hmac
from collections.abc import Callable, Iterable
from itertools import groupby

import pytest

from portal.engine.signing.body_mistakes import (
    Content,
    house_contents,
    other_bodies,
    standard_contents,
)
from portal.engine.signing.candidates import Scheme, candidates
from portal.engine.signing.differences import Difference
from portal.engine.signing.key_mistakes import house_keys, standard_keys
from portal.engine.signing.message import Message
from portal.engine.signing.pasted_body import PastedBody

BODY = rb'{"timestamp":"2025-10-09T08:53:20+00:00","data":"\u00e9","asset":{}}'
ID, ISO, UNIX = "01a210c4-4621-7665-b390-a9236724168b", "2025-10-09T08:53:20+00:00", 1_760_000_000
WHSEC = "whsec_" + base64.b64encode(b"thirty-three bytes of a test key.").decode()
MESSAGE = Message(BODY, ID, ((1, 50), (2, 90)), WHSEC)
MARKS = {
    "line break": "\n",
    "Windows line break (CR LF)": "\r\n",
    "space": " ",
    "tab": "\t",
    "byte order mark (BOM)": "\ufeff",
    "double quotation mark": '"',
    "single quotation mark": "'",
}
CLEAN = "Store the secret key in the receiver again, with nothing before or after it."
AS_TEXT = "Use the text of the secret key as it is, as UTF-8 bytes."
WHOLE_TEXT = "Use the text of the secret key as it is, whsec_ included, as UTF-8 bytes."
TAKEN = "take whsec_ off, and decode the rest from base64"
DECODED = (
    "Take whsec_ off the secret key, decode the rest from base64, and use those bytes as the key."
)
NO_KEY = "Find out why the receiver has no secret key: a setting may be missing."


def signed(contents: Iterable[Content]) -> list[tuple[str, int | None, str]]:
    """What is signed before the body, whose time is in it, and in which words."""
    found = list(contents)
    assert all(each.signed.endswith(BODY) for each in found)
    return [
        (
            each.signed.removesuffix(BODY).decode(),
            each.attempt,
            each.difference.words if each.difference else "",
        )
        for each in found
    ]


def told(keys: Iterable[tuple[Difference, bytes]]) -> list[tuple[str, bytes]]:
    return [(difference.words.removeprefix("made with "), key) for difference, key in keys]


def advice(keys: Iterable[tuple[Difference, bytes]]) -> list[str]:
    """What to do about one after the other, once where several want the same."""
    return [fix for fix, _ in groupby(difference.fix for difference, _ in keys)]


def marked(secret: str) -> list[tuple[str, bytes]]:
    """The key with each mark where it may stand, by the words for it."""
    return [
        (f"a {name} {where}", f"{before}{secret}{after}".encode())
        for name, mark in MARKS.items()
        for where, before, after in (
            ("after", "", mark),
            ("before", mark, ""),
            ("on either side of", mark, mark),
        )
    ]


def in_any_form(secret: str) -> list[tuple[str, bytes]]:
    hashed = hashlib.sha256(secret.encode())
    return [
        ("a hash of the secret key", hashed.digest()),
        ("a hash of the secret key", hashed.hexdigest().encode()),
        ("an empty secret key", b""),
    ]


def test_in_place_of_the_body_id_and_time_are_signed_with_it() -> None:
    together = "computed over id, timestamp and body instead of the body alone"
    short = "computed over timestamp and body instead of the body alone"
    assert signed(house_contents(MESSAGE, ())) == [
        ("", None, ""),
        (f"{ID}.90.", 2, together),
        ("90.", 2, short),
        (f"{ID}.50.", 1, together),
        ("50.", 1, short),
        (f"{ISO}.", None, short),
        (f"{UNIX}.", None, short),
    ]


def test_in_place_of_id_time_and_body_some_of_them_or_others_are_signed() -> None:
    def of_an_attempt(number: int, at: int) -> list[tuple[str, int | None, str]]:
        return [
            (f"{ID}.{at}.", number, ""),
            (
                f"{ID}.{at}000.",
                number,
                "computed with the timestamp in milliseconds instead of seconds",
            ),
            (f"{at}.", number, "computed without the id"),
            (f"{at}.{ID}.", number, "computed with the timestamp before the id"),
            (f"{ID}{at}", number, "computed without the dots between id, timestamp and body"),
        ]

    instead = "instead of webhook-timestamp"
    assert signed(standard_contents(MESSAGE, ())) == [
        *of_an_attempt(2, 90),
        *of_an_attempt(1, 50),
        ("", None, "computed over the body alone, without id and timestamp"),
        (f"{ID}.", None, "computed without the timestamp"),
        (f"{ID}.{ISO}.", None, f"computed with X-Asset-Webhook-Timestamp {instead}"),
        (f"{ID}.{UNIX}.", None, f"computed with the time of the event {instead}"),
    ]


def test_other_bodies_are_more_less_or_a_part_of_it() -> None:
    found = [
        (difference.words.removeprefix("computed over "), body)
        for difference, body in other_bodies(BODY, PastedBody(is_ours=False))
        if "parsed and written again" not in difference.words
    ]
    part = "alone instead of the whole body"
    quoted = BODY.replace(b"\\", b"\\\\").replace(b'"', b'\\"')
    assert found == [
        ("the body with a line break after it", BODY + b"\n"),
        ("the body with a Windows line break (CR LF) after it", BODY + b"\r\n"),
        ("the body with a byte order mark (BOM) before it", b"\xef\xbb\xbf" + BODY),
        ("nothing instead of the body", b""),
        ("the words “[object Object]” instead of the body", b"[object Object]"),
        ("the body inside quotation marks", b'"' + quoted + b'"'),
        (f"“data” {part}", rb'"\u00e9"'),
        (f"“data” {part}", '"é"'.encode()),
        (f"“asset” {part}", b"{}"),
        (f"“asset” {part}", b"{}"),
    ]


def test_of_a_body_without_a_time_or_parts_none_are_made_up() -> None:
    for body in (b"[1]", b'{"timestamp":5}', b'{"timestamp":"soon"}'):
        message = Message(body, ID, (), WHSEC)
        bare = [each.signed for each in house_contents(message, ())]
        assert bare == ([body, b"soon." + body] if b"soon" in body else [body])
        others = other_bodies(body, PastedBody(is_ours=False))
        words = [difference.words for difference, _ in others]
        assert not any("alone" in each for each in words)


@pytest.mark.parametrize(
    ("key", "whole"),
    [
        # Libraries read “_” as “/”, or skip it; what cannot be decoded either way is left out.
        (b"thirty-three bytes of a test key.", lambda bare: f"whsec/{bare}=="),
        (b"thirty-two bytes of a test key..", lambda bare: f"whsec{bare[:-1]}"),
    ],
)
def test_each_key_that_receivers_take_for_the_right_one_has_its_words(
    key: bytes, whole: Callable[[str], str]
) -> None:
    bare = base64.b64encode(key).decode()
    secret, as_text = f"whsec_{bare}", "instead of decoded from base64"
    decoded = base64.b64decode(whole(bare))
    assert told(house_keys(secret)) == [
        *((f"{words} the secret key", key) for words, key in marked(secret)),
        ("the secret key without its whsec_", bare.encode()),
        ("the secret key decoded from base64 instead of as text", key),
        ("the secret key, whsec_ and all, decoded from base64", decoded),
        *in_any_form(secret),
    ]
    assert told(standard_keys(secret)) == [
        (f"the secret key as text, whsec_ included, {as_text}", secret.encode()),
        (f"the secret key without its whsec_, as text {as_text}", bare.encode()),
        ("the secret key, whsec_ and all, decoded from base64", decoded),
        *(
            (f"the secret key as text and with {words} it, {as_text}", key)
            for words, key in marked(secret)
        ),
        *in_any_form(secret),
    ]


def test_a_key_of_their_own_is_read_as_base64_or_hex_where_it_can_be() -> None:
    from_base64 = "the secret key decoded from base64 as if it began with whsec_"
    from_hex = "the secret key decoded from hex"
    for secret, read in (
        ("0123abcd", [(from_base64, b"\xd3\x5d\xb7\x69\xb7\x1d"), (from_hex, b"\x01\x23\xab\xcd")]),
        ("key=", [(from_base64, b"\x91\xec")]),
        ("whsec_x", []),
        ("schlüssel", []),
    ):
        expected = [
            *((f"{words} the secret key", key) for words, key in marked(secret)),
            *read,
            *in_any_form(secret),
        ]
        assert told(house_keys(secret)) == told(standard_keys(secret)) == expected


@pytest.mark.parametrize("secret", ["0123abcd", "whsec_x"])
def test_a_key_of_their_own_is_to_be_used_as_the_text_that_it_is(secret: str) -> None:
    assert advice(house_keys(secret)) == advice(standard_keys(secret)) == [CLEAN, AS_TEXT, NO_KEY]


def test_what_to_do_about_a_key_is_said_as_its_signature_wants_it() -> None:
    assert advice(house_keys(WHSEC)) == [CLEAN, WHOLE_TEXT, NO_KEY]
    assert advice(standard_keys(WHSEC)) == [
        DECODED,
        f"See that nothing stands before whsec_ where the receiver keeps the secret key, {TAKEN}.",
        f"{CLEAN} {DECODED}",
        DECODED,
        NO_KEY,
    ]


def test_each_method_in_place_of_the_right_one_is_known() -> None:
    key, weak = WHSEC.encode(), {"usedforsecurity": False}
    methods = [
        *(
            (f"HMAC-{words} instead of HMAC-SHA256", hmac.digest(key, BODY, words.lower()))
            for words in ("MD5", "SHA1", "SHA384", "SHA512")
        ),
        *(
            (
                f"plain {words}, without the secret key",
                hashlib.new(words.replace("-", "").lower(), BODY, **weak).digest(),
            )
            for words in ("SHA-256", "MD5", "SHA-1")
        ),
        *(
            (f"plain SHA-256 of {words} one after the other", hashlib.sha256(content).digest())
            for words, content in (
                ("secret key and body", key + BODY),
                ("body and secret key", BODY + key),
            )
        ),
    ]
    keys = told(house_keys(WHSEC))
    made = candidates(Message(BODY, ID, (), WHSEC), (), 1)
    found = [each for each in made if each.scheme is Scheme.HOUSE and each.attempt is None]
    of_body = found[: len(keys) + len(methods)]
    assert told((each.differences[0], each.digest) for each in of_body) == [
        *((words, hmac.digest(key, BODY, "sha256")) for words, key in keys),
        *methods,
    ]
