"""What a receiver computed, and which part of it differs from ours."""

import base64
import hashlib
import hmac
import json

import pytest

from portal.engine.signing.check import Message, Part, diagnose
from portal.engine.signing.signatures import house_signature, standard_signature

SECRET = "whsec_c2VjcmV0IGZvciB0aGUgdGVzdHMgb2YgdGhlIHB1bXA="
OTHER = "another key of theirs"
BODY = b'{"event":"asset.created","asset":{"name":"Caf\\u00e9"},"data":{"url":"a/b"}}'
ID, AT = "01a210c4-4621-7665-b390-a9236724168b", 1_760_000_000
RIGHT = house_signature(BODY, SECRET)
STANDARD = standard_signature(BODY, SECRET, message_id=ID, sent_at=AT)
MESSAGE = Message(BODY, ID, ((1, AT - 5), (2, AT)), SECRET)
CONTENT = json.loads(BODY)


def hexed(body: bytes, key: bytes = SECRET.encode(), how: str = "sha256") -> str:
    return hmac.new(key, body, how).hexdigest()


DECODED = base64.b64decode(SECRET.removeprefix("whsec_"))
CASES = {
    RIGHT: (Part.NOTHING, "exactly our signature"),
    f"X-Asset-Webhook-Signature: {RIGHT}\n": (Part.NOTHING, "exactly our signature"),
    f'"{RIGHT}"': (Part.NOTHING, "exactly our signature"),
    RIGHT.upper(): (Part.ENCODING, "capital letters"),
    f"sha256={RIGHT}": (Part.PREFIX, "sha256="),
    base64.b64encode(bytes.fromhex(RIGHT)).decode(): (Part.ENCODING, "in base64"),
    base64.urlsafe_b64encode(bytes.fromhex(RIGHT)).decode().rstrip("="): (Part.ENCODING, "base64"),
    STANDARD: (Part.NOTHING, "the webhook-signature of attempt 2"),
    f"webhook-signature: v1,AAAA {STANDARD}": (Part.NOTHING, "attempt 2"),
    STANDARD.removeprefix("v1,"): (Part.PREFIX, "without the “v1,”"),
    base64.b64decode(STANDARD[3:]).hex(): (Part.ENCODING, "written in hex"),
    hexed(BODY, DECODED): (Part.KEY, "decoded from base64"),
    hexed(BODY, SECRET.removeprefix("whsec_").encode()): (Part.KEY, "without its whsec_"),
    hexed(BODY, f"{SECRET}\n".encode()): (Part.KEY, "line break after it"),
    hexed(BODY, b""): (Part.KEY, "it is empty"),
    hexed(BODY + b"\n"): (Part.BODY, "line break after the body"),
    hexed(b""): (Part.BODY, "the body was empty"),
    hexed(json.dumps(CONTENT).encode()): (Part.BODY, "written anew"),
    hexed(json.dumps(CONTENT, ensure_ascii=False, separators=(",", ":")).encode()): (
        Part.BODY,
        "written anew",
    ),
    hexed(BODY.replace(b"/", b"\\/")): (Part.BODY, "written anew"),
    hexed(b'{"url":"a/b"}'): (Part.BODY, "only a part"),
    hexed(f"{ID}.{AT}.".encode() + BODY): (Part.MOMENT, "id and time"),
    hashlib.sha256(BODY).hexdigest(): (Part.METHOD, "without the key"),
    hexed(BODY, how="sha1"): (Part.METHOD, "SHA1"),
    hexed(BODY, how="sha512"): (Part.METHOD, "SHA512"),
    hexed(json.dumps(CONTENT).encode(), DECODED): (Part.KEY, "Two things differ"),
    hexed(BODY, OTHER.encode()): (Part.UNKNOWN, "none of the usual mistakes"),
    "": (Part.UNKNOWN, "does not look like a signature: it has 0 characters"),
    "my signature": (Part.UNKNOWN, "it has 12 characters"),
    "zz" * 32: (Part.UNKNOWN, "none of the usual"),
}


@pytest.mark.parametrize("pasted", CASES)
def test_it_says_which_part_differs_and_never_the_right_one(pasted: str) -> None:
    part, words = CASES[pasted]
    found = diagnose(pasted, MESSAGE)
    said = f"{found.sentence} {found.next_step}"
    assert found.part is part
    assert words in said
    assert not [secret for secret in (RIGHT, STANDARD[3:], SECRET, SECRET[6:]) if secret in said]
    assert SECRET not in repr(MESSAGE)


def test_a_pasted_body_tells_the_key_from_the_body() -> None:
    theirs = hexed(BODY, OTHER.encode())
    assert "another secret key" in diagnose(theirs, MESSAGE, BODY.decode()).sentence
    rewritten = BODY.decode().replace(":", ":  ", 1)
    found = diagnose(hexed(rewritten.encode()), MESSAGE, rewritten)
    assert (found.part, "The key is the right one." in found.sentence) == (Part.BODY, True)
    assert "says the same but is written differently, from byte 10 on" in found.sentence
    found = diagnose(theirs, MESSAGE, BODY.decode()[:-5])
    assert f"from byte {len(BODY) - 4} on: ours has {len(BODY)} bytes" in found.sentence
    assert "The key may differ as well." in found.sentence


def test_while_a_replaced_key_overlaps_it_knows_both() -> None:
    message = Message(BODY, ID, ((1, AT),), OTHER, SECRET)
    assert diagnose(house_signature(BODY, OTHER), message).part is Part.NOTHING
    found = diagnose(RIGHT, message)
    assert (found.part, "with the new key" in found.sentence) == (Part.KEY, True)
    assert diagnose(STANDARD, message).part is Part.NOTHING


def test_without_a_key_there_is_nothing_to_compare() -> None:
    found = diagnose(RIGHT, Message(BODY, ID))
    assert "no secret key" in found.sentence


@pytest.mark.parametrize("secret", [None, SECRET])
def test_what_was_sent_is_known_after_the_key_was_replaced(secret: str | None) -> None:
    earlier = house_signature(BODY, OTHER)
    found = diagnose(earlier, Message(BODY, ID, sent=((1, earlier),), secret=secret))
    assert "we sent with attempt 1, made with the secret key of that time" in found.sentence
    assert diagnose(hexed(b"x"), Message(BODY, ID, sent=((1, earlier),))).part is Part.UNKNOWN
