"""Diagnose a receiver's signature that differs from ours, without showing the right one.

With the body and the right signature, anyone could brute-force a short secret offline.
"""

import hmac
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from itertools import product
from typing import Final, NamedTuple

from portal.engine.signing import mistakes as tables
from portal.engine.signing.mistakes import Mistake
from portal.engine.signing.pasted import (
    ALGORITHMS,
    PastedBody,
    PastedSignature,
    read_signatures,
)
from portal.engine.signing.signatures import (
    LEGACY_HEADER,
    NEXT_HEADER,
    STANDARD_HEADER,
    STANDARD_PREFIX,
    standard_key,
)

# Bytes that are hashed at most for one key and one form. They take a fraction of a second.
MOST_HASHED: Final = 16_000_000
COST: Final = 300  # of one more signature, in bytes

# Verdicts, which name the correct side if it is certain. The difference follows.
RIGHT: Final = "Our signature is correct. At the receiver,"
FITS: Final = "The signature fits, but"
SAME_REQUEST: Final = "Compare the signature with the header from the same request"


@dataclass(frozen=True, slots=True)
class Message:
    """A delivery as it was signed. `stamps`: (number, Unix seconds) of each attempt.

    `secret` makes the legacy signature. `next_secret` replaces it after the overlap. `sent`:
    (number, signature) of each attempt, with the key of that time. `others`: (ID, signature) of
    other deliveries to the same webhook.
    """

    body: bytes
    id: str
    stamps: Sequence[tuple[int, int]] = ()
    secret: str | None = field(default=None, repr=False)
    next_secret: str | None = field(default=None, repr=False)
    sent: Sequence[tuple[int, str]] = field(default=(), repr=False)
    others: Sequence[tuple[str, str]] = field(default=(), repr=False)


class Diagnosis(NamedTuple):
    """The part that differs, in a sentence, and the steps to fix it, a sentence each.

    Contains no secret and no signature. `delivery`: the ID of another delivery that the signature
    belongs to, if any.
    """

    part: str
    sentence: str
    steps: Sequence[str]
    verdict: str = ""
    delivery: str = ""


class Candidate(NamedTuple):
    """A signature that a receiver might have computed. `age`: of its key, while two overlap."""

    header: str
    age: str
    attempt: int | None  # the one whose time is signed
    mistakes: tuple[Mistake, ...]
    digest: bytes

    @property
    def name(self) -> str:
        """Return the header and the attempt whose time is signed."""
        if self.header == LEGACY_HEADER:
            return NEXT_HEADER if self.age == "new" else LEGACY_HEADER
        return f"{self.header} of attempt {self.attempt}" if self.attempt else self.header

    def with_writing(self, signature: PastedSignature) -> tuple[Mistake, ...]:
        """Return all mistakes, including those of its encoding and prefix."""
        return self.mistakes + tuple(signature.miswritten(self.header == LEGACY_HEADER))


def diagnose(text: str, message: Message, received: str = "") -> Diagnosis:
    """Find the part of a pasted signature that differs from ours, as far as possible.

    `received`: the body that the receiver checked, if it was pasted too.
    """
    signatures = read_signatures(text)
    body = PastedBody.of(received, message.body)
    return (
        _match(signatures, message, body, 0, 1)
        or _match_sent(signatures, message)
        or _match(signatures, message, body, 2)
        or _unknown(signatures, message, body, len(text.strip()))
    )


def _match(
    signatures: Sequence[PastedSignature], message: Message, body: PastedBody, *counts: int
) -> Diagnosis | None:
    """Diagnose a signature that is ours with so many mistakes. Prefers the fewest mistakes."""
    bodies = other_bodies(message.body, body)
    matches = [
        (candidate, signature)
        for count in (counts if signatures else ())
        for candidate in candidates(message, bodies, count)
        for signature in signatures
        if hmac.compare_digest(candidate.digest, signature.digest)
    ]
    if not matches:
        return None
    candidate, signature = min(matches, key=_rank)
    mistakes = candidate.with_writing(signature)
    return _mistaken(candidate, mistakes, body) if mistakes else _ours(candidate, message, body)


def _rank(match: tuple[Candidate, PastedSignature]) -> tuple[int, int, bool]:
    candidate, signature = match
    is_as_written = signature.is_hex is (candidate.header == LEGACY_HEADER)
    return len(candidate.with_writing(signature)), len(candidate.mistakes), not is_as_written


def other_bodies(body: bytes, theirs: PastedBody) -> Mapping[bytes, Mistake]:
    """Return wrong bodies and their mistakes, including the pasted body if it isn't ours."""
    bodies: dict[bytes, Mistake] = {}
    for mistake, other in (
        *_made(tables.BODIES, body),
        *product([theirs.mistake], theirs.readings),
    ):
        bodies.setdefault(other, mistake)
    bodies.pop(body, None)
    return bodies


def _made(mistakes: Iterable[Mistake], right: object) -> Iterator[tuple[Mistake, bytes]]:
    for mistake in mistakes:
        with suppress(*tables.NOT_MADE):
            wrong = mistake.make(right)
            yield mistake, wrong.encode(errors="replace") if isinstance(wrong, str) else wrong


def candidates(
    message: Message, bodies: Mapping[bytes, Mistake], count: int
) -> Iterator[Candidate]:
    """Yield all candidates with exactly `count` mistakes (0 to 2), the likely ones first."""
    ages = ("earlier", "new") if message.next_secret else ("", "")
    secrets = zip(ages, filter(None, (message.secret, message.next_secret)), strict=False)
    for (age, secret), header in product(secrets, (LEGACY_HEADER, STANDARD_HEADER)):
        ways, left = _ways(secret, header), MOST_HASHED
        for attempt, wrong, content in _contents(message, header, bodies):
            for mistakes, key, method in ways.get(count - len(wrong), ()):
                left -= len(content) + COST
                if left < 0:
                    break
                yield Candidate(header, age, attempt, mistakes + wrong, method(key, content))


Way = tuple[tuple[Mistake, ...], bytes, Callable[[bytes, bytes], bytes]]


def _ways(secret: str, header: str) -> Mapping[int, Sequence[Way]]:
    """Return keys with methods, by their number of mistakes."""
    right, table = secret.encode(), tables.OWN_KEYS
    if secret.startswith(STANDARD_PREFIX):
        table = tables.TEXT_KEYS
        if header == STANDARD_HEADER:
            right, table = standard_key(secret), tables.DECODED_KEYS
    method = partial(hmac.digest, digest="sha256")
    wrong: list[Way] = [((row,), key, method) for row, key in _made(table, secret) if key != right]
    wrong += [((row,), right, row.make) for row in tables.METHODS]
    return {0: [((), right, method)], 1: wrong}


def _contents(
    message: Message, header: str, bodies: Mapping[bytes, Mistake]
) -> Iterator[tuple[int | None, tuple[Mistake, ...], bytes]]:
    """Yield (attempt whose time is signed, mistakes, signed content), the newest attempt first."""
    known = {"id": message.id} | _event_times(message.body)
    stamps: list[tuple[int | None, int]] = sorted(message.stamps, reverse=True)
    stamps.insert(0 if header == LEGACY_HEADER else len(stamps), (None, 0))
    for (attempt, at), (form, mistake) in product(stamps, tables.BEFORE[header].items()):
        with suppress(KeyError):
            if ("{at}" in form) is (attempt is not None):
                before = form.format(at=at, **known).encode()
                yield attempt, (mistake,) if mistake else (), before + message.body
                for body, other in () if mistake else bodies.items():
                    yield attempt, (other,), before + body


def _event_times(body: bytes) -> dict[str, object]:
    """Return the event's time as the body has it and in Unix seconds."""
    times: dict[str, object] = {}
    with suppress(*tables.NOT_MADE, TypeError, OverflowError):
        times["event_time"] = text = json.loads(body)["timestamp"]
        times["event_seconds"] = int(datetime.fromisoformat(text).timestamp())
    return times


def _match_sent(signatures: Sequence[PastedSignature], message: Message) -> Diagnosis | None:
    """Diagnose a signature that we sent with another key or another delivery."""
    digests = {signature.digest for signature in signatures}
    for number, header in message.sent:
        if digests & {sent.digest for sent in read_signatures(header)}:
            sentence = (
                f"We sent this with attempt {number}, but its secret key has since been replaced "
                "or removed."
            )
            step = "Give the receiver the current secret key. It signs all new requests."
            return Diagnosis("key", sentence, (step,))
    for public_id, header in message.others:
        if digests & {sent.digest for sent in read_signatures(header)}:
            sentence = (
                f"This signature belongs to another delivery ({public_id}) to the same webhook."
            )
            step = f"{SAME_REQUEST}. X-Asset-Webhook-Id names the delivery."
            return Diagnosis("delivery", sentence, (step,), delivery=public_id)
    return None


def _mistaken(candidate: Candidate, mistakes: Sequence[Mistake], body: PastedBody) -> Diagnosis:
    """Explain a signature that is ours with some mistakes."""
    *others, last = (mistake.words for mistake in mistakes)
    words = f"{', '.join(others)}, and {last}" if others else last
    steps = list(dict.fromkeys(mistake.fix for mistake in mistakes))
    if body.note and all(mistake.part != "body" for mistake in mistakes):
        steps.append(f"The body you pasted also differs. It {body.note}.")
    part = "several" if others else mistakes[0].part
    # It was made with our key, so the receiver caused the differences.
    verdict = RIGHT if candidate.mistakes else FITS
    return Diagnosis(part, f"This is our {candidate.name}, but {words}.", tuple(steps), verdict)


def _ours(candidate: Candidate, message: Message, body: PastedBody) -> Diagnosis:
    """Explain a signature that is ours, including other problems."""
    name, age = candidate.name, candidate.age
    exactly = f"This is exactly our {name}"
    newest = max((number for number, _ in message.stamps), default=None)
    if body.note:
        steps: tuple[str, ...] = (f"{SAME_REQUEST}. Compute it over that request’s body.",)
        if body.says_the_same:
            steps = (
                tables.RAW_BYTES,
                "If the body was only reformatted for reading, paste the original.",
            )
        return Diagnosis("body", f"{exactly}, but the body you pasted {body.note}.", steps, FITS)
    if candidate.attempt and candidate.attempt != newest:
        sentence = f"This is our {name}. Attempt {newest}, the newest, has a different timestamp."
        step = "Take webhook-timestamp and webhook-signature from the same request."
        return Diagnosis("moment", sentence, (step,), FITS)
    if not age:
        step = "If the receiver still rejects it, check the header and the request that it reads."
        return Diagnosis("nothing", f"{exactly}.", (step,))
    exactly = f"{exactly}, computed with the {age} secret key"
    if age == "earlier":
        step = "Give the receiver the new secret key before the earlier one expires."
        sentence = f"{exactly}. It’s used until the new one takes over."
        return Diagnosis("nothing", sentence, (step,))
    if candidate.header == STANDARD_HEADER:
        step = f"{SAME_REQUEST}. The header carries two. One must match."
        return Diagnosis("nothing", f"{exactly}.", (step,))
    step = (
        "If the receiver has the new secret key, an administrator can select Switch now on "
        "the webhook’s page."
    )
    sentence = f"{exactly}, while {LEGACY_HEADER} still contains the earlier one’s signature."
    return Diagnosis("key", sentence, (step,), FITS)


def _unknown(
    signatures: Sequence[PastedSignature], message: Message, body: PastedBody, length: int
) -> Diagnosis:
    """Explain an unknown signature. `length`: of the pasted text."""
    part, sentence = "unknown", "We couldn’t identify this signature"
    if not message.secret and not message.sent:
        part, sentence = "no_key", "Deliveries to this webhook aren’t signed."
        steps: tuple[str, ...] = (
            "An administrator can add a secret key to the webhook. Then give it to the "
            "receiver’s team.",
        )
    elif not signatures:
        sentence += f". It has {length} characters and isn’t a known format."
        steps = (
            "Paste only the value. X-Asset-Webhook-Signature has 64 characters (0 to 9, a to "
            "f). webhook-signature has “v1,” and 44 characters.",
        )
    elif signatures[0].is_hex and (size := len(signatures[0].digest)) != 32:
        sentence += f". Its length suggests {ALGORITHMS[size]}, but we use SHA-256."
        steps = ("Compute HMAC-SHA256 with the secret key, then check the new signature here.",)
    elif body.is_ours:
        sentence += (
            ", but the body you pasted is ours. Most likely, the receiver uses a different "
            "secret key, such as an earlier one."
        )
        steps = (
            "Enter the current secret key at the receiver.",
            "If it’s lost, an administrator can replace it on the webhook’s page.",
        )
    elif body.note:
        sentence += f". The body you pasted {body.note}."
        steps = (tables.RAW_BYTES, "If it still differs, check the secret key.")
    else:
        sentence += ". It doesn’t match ours or any common mistake."
        steps = (
            "Also paste the body the receiver verified. We’ll check whether it’s ours.",
            "If it is, check the secret key and the receiver’s signature code.",
        )
    return Diagnosis(part, sentence, steps)
