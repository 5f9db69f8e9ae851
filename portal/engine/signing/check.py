"""A receiver's signature is not ours: which part differs? Says it without showing the right one.

Whoever pastes a signature learns whether it is ours, and if not, what was probably done
differently: key, body, encoding, method, moment. The right signature is never shown: beside the
body it is all that it takes to try out short secrets without asking anybody.
"""

import hmac
import json
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from portal.engine.signing.mistakes import (
    WITH_TIME,
    Message,
    digest_of,
    other_bodies,
    other_keys,
    other_methods,
    standard_key_of,
)
from portal.engine.signing.pasted_signature import Given, read_signatures

__all__ = ["Diagnosis", "Message", "Part", "diagnose"]

AS_HEX: Final = "Write the HMAC as lower-case hex before comparing."
THE_KEY: Final = "Copy the secret key again as a whole, whsec_ included, and use its text as it is."
THE_BODY: Final = (
    "Check the signature over the bytes as they arrived, before anything reads or rewrites them."
)
THE_METHOD: Final = "Compute HMAC-SHA256 of the body with the secret key."


class Part(StrEnum):
    """What differs."""

    NOTHING = "nothing"
    KEY = "key"
    BODY = "body"
    ENCODING = "encoding"
    PREFIX = "prefix"
    MOMENT = "moment"
    METHOD = "method"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """Which part differs, in a sentence, and what to change. Contains no secret, no signature."""

    part: Part
    sentence: str
    next_step: str


def diagnose(text: str, message: Message, received: str = "") -> Diagnosis:
    """Say which part of a pasted signature differs from ours, as far as that can be told.

    `received`: the body that the receiver checked, if it was pasted as well.
    """
    given = read_signatures(text)
    if not given:
        return _no_signature(text)
    if not message.secret and not message.sent:
        return Diagnosis(
            Part.KEY,
            "This webhook has no secret key, so its messages carry no signature.",
            "Create a secret key in the webhook, and give it to the receiver.",
        )
    for each in given:
        if found := _explained(each, message, message.secret or "", received):
            return found
    return _unexplained(message.body, received)


def _explained(given: Given, message: Message, secret: str, received: str) -> Diagnosis | None:
    if secret and _is(given, secret.encode(), message.body):
        return _house(given)
    if message.next_secret and _is(given, message.next_secret.encode(), message.body):
        return _next(given)
    for key in filter(None, (secret, message.next_secret)):
        for number, sent_at in message.stamps:
            if _is(given, standard_key_of(key), message.standard_content(sent_at)):
                return _standard(given, number)
    for number, text in message.sent:
        if any(each.digest == given.digest for each in read_signatures(text)):
            return _of_an_earlier_key(number)
    if not secret:
        return None
    found = next(_mistakes(given, message, secret), None)
    if found is None and received and _is(given, secret.encode(), received.encode()):
        return _body_differs(message.body, received, "The key is the right one.")
    return found


def _mistakes(given: Given, message: Message, secret: str) -> Iterator[Diagnosis]:
    """Every mistake that gives this signature, the simplest first."""
    keys, bodies = list(other_keys(secret)), list(other_bodies(message))
    for what, key in keys:
        if _is(given, key, message.body):
            yield Diagnosis(Part.KEY, f"The body is right, the key is not: {what}.", THE_KEY)
    for what, body in bodies:
        if _is(given, secret.encode(), body):
            part = Part.MOMENT if what == WITH_TIME else Part.BODY
            yield Diagnosis(part, f"The key is right, what was signed is not: {what}.", THE_BODY)
    for what, digest in other_methods(secret, message.body):
        if hmac.compare_digest(given.digest, digest):
            sentence = f"Key and body are right, the method is not: {what}."
            yield Diagnosis(Part.METHOD, sentence, THE_METHOD)
    for wrong_key, key in keys:
        for wrong_body, body in bodies:
            if _is(given, key, body):
                sentence = f"Two things differ. The key: {wrong_key}. The content: {wrong_body}."
                yield Diagnosis(Part.KEY, sentence, f"{THE_KEY} {THE_BODY}")


def _house(given: Given) -> Diagnosis:
    """The right digest; perhaps not written as we write it."""
    if given.prefix:
        sentence = f"This is our signature with “{given.prefix}” before it."
        return Diagnosis(Part.PREFIX, sentence, "Compare the 64 characters alone.")
    if given.is_versioned or not given.is_hex:
        sentence = "This is our signature written in base64. We write it in hex."
        return Diagnosis(Part.ENCODING, sentence, AS_HEX)
    if given.is_upper:
        sentence = "This is our signature in capital letters. We write it in small ones."
        return Diagnosis(Part.ENCODING, sentence, AS_HEX)
    return Diagnosis(
        Part.NOTHING,
        "This is exactly our signature.",
        "If the receiver computed it, it has to compare it with the header "
        "X-Asset-Webhook-Signature of the same message.",
    )


def _next(given: Given) -> Diagnosis:
    found = _house(given)
    if found.part is not Part.NOTHING:
        return found
    return Diagnosis(
        Part.KEY,
        "This is our signature with the new key. Until you switch, X-Asset-Webhook-Signature is "
        "made with the earlier one, and the new one's is X-Asset-Webhook-Signature-Next.",
        "If the receiver knows the new key, press Switch now on the webhook's page.",
    )


def _of_an_earlier_key(attempt: int) -> Diagnosis:
    return Diagnosis(
        Part.NOTHING,
        f"This is what we sent with attempt {attempt}, made with the secret key of that time. The "
        "key has been replaced or removed since.",
        "Give the receiver the present key; what is sent from now on is signed with it.",
    )


def _standard(given: Given, attempt: int) -> Diagnosis:
    this = f"the webhook-signature of attempt {attempt}"
    if given.is_hex:
        sentence = f"This is {this} written in hex. It is sent in base64."
        return Diagnosis(Part.ENCODING, sentence, "Write the HMAC in base64, with “v1,” before it.")
    if not given.is_versioned:
        sentence = f"This is {this} without the “v1,” that stands before it."
        return Diagnosis(Part.PREFIX, sentence, "Take “v1,” away before comparing.")
    return Diagnosis(
        Part.NOTHING,
        f"This is exactly {this}.",
        "Each attempt has a webhook-timestamp of its own, and so a signature of its own: compare "
        "within one attempt.",
    )


def _unexplained(body: bytes, received: str) -> Diagnosis:
    if not received:
        return Diagnosis(
            Part.UNKNOWN,
            "This is not our signature, and none of the usual mistakes gives it.",
            "Paste the body that the receiver checked as well: then we can tell whether the body "
            "or the key differs.",
        )
    if received.encode() == body:
        return Diagnosis(
            Part.KEY,
            "The body is the same as ours, so the receiver has another secret key.",
            "Replace the secret key in the webhook, and put the new one into the receiver.",
        )
    return _body_differs(body, received, "The key may differ as well.")


def _body_differs(ours: bytes, received: str, more: str) -> Diagnosis:
    theirs = received.encode()
    pairs = enumerate(zip(ours, theirs, strict=False))
    at = next((place for place, (a, b) in pairs if a != b), min(len(ours), len(theirs)))
    how = "says the same but is written differently" if _agree(ours, received) else "differs"
    where = f"from byte {at + 1} on: ours has {len(ours)} bytes, theirs {len(theirs)}"
    return Diagnosis(Part.BODY, f"The body {how}, {where}. {more}", THE_BODY)


def _no_signature(text: str) -> Diagnosis:
    return Diagnosis(
        Part.UNKNOWN,
        f"This does not look like a signature: it has {len(text.strip())} characters. "
        "Ours has 64: digits and the letters a to f.",
        "Paste the value alone, as the receiver computed it or as it stood in the header.",
    )


def _is(given: Given, key: bytes, body: bytes) -> bool:
    return hmac.compare_digest(given.digest, digest_of(key, body))


def _agree(ours: bytes, received: str) -> bool:
    try:
        return bool(json.loads(ours) == json.loads(received))
    except ValueError:
        return False
