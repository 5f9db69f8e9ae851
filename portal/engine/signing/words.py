"""What the check says: a sentence for what differs, and one for what to change."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from portal.engine.signing.candidates import Candidate, Scheme
from portal.engine.signing.differences import RAW_BYTES, Difference, Part
from portal.engine.signing.message import Age, Message
from portal.engine.signing.pasted_signature import Given, Writing

SAME_REQUEST: Final = "Compare a signature with the header of the same request"
_STANDARD_WRITTEN: Final = "Write the HMAC in base64, with “v1,” before it."
_HOUSE_WRITTEN: Final = "Write the HMAC as lower-case hex before comparing."
_ALGORITHMS: Final = {16: "MD5", 20: "SHA-1", 48: "SHA-384", 64: "SHA-512"}


class Verdict(StrEnum):
    """Who is right, where that is certain; it goes on with what differs."""

    UNKNOWN = ""
    RIGHT = "Our signature is right; at the receiver"
    FITS = "The signature fits, but"


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """Which part differs, in a sentence, and what to change, a sentence each.

    Contains no secret and no signature. `verdict`: UNKNOWN too where nothing differs.
    `delivery`: the id of the one that the signature belongs to, where that is another.
    """

    part: Part
    sentence: str
    steps: tuple[str, ...]
    delivery: str = ""
    verdict: Verdict = Verdict.UNKNOWN


NO_KEY: Final = Diagnosis(
    Part.KEY,
    "This webhook has no secret key, so its deliveries carry no signature.",
    ("An administrator can add a secret key to the webhook, which the receiver then needs too.",),
)


def writing_differences(given: Given, scheme: Scheme) -> Iterator[Difference]:
    """How it was written otherwise than in its header."""
    is_house = scheme is Scheme.HOUSE
    right, fix = (Writing.HEX, _HOUSE_WRITTEN) if is_house else (Writing.BASE64, _STANDARD_WRITTEN)
    if given.writing is not right:
        yield Difference(
            Part.ENCODING,
            f"written in {given.writing} instead of {_name(given.writing, right)}",
            fix,
        )
    if is_house and given.prefix:
        fix = "Our header has no prefix: compare the 64 characters alone."
        yield Difference(Part.PREFIX, f"with “{given.prefix}” before it", fix)
    if is_house or given.prefix == "v1,":
        return
    fix = "Take “v1,” off the header's value before comparing, or put it before yours."
    if given.prefix:
        yield Difference(Part.PREFIX, f"with “{given.prefix}” before it instead of “v1,”", fix)
    elif not given.writing.is_hex:
        yield Difference(Part.PREFIX, "without “v1,” before it", fix)


def _name(writing: Writing, right: Writing) -> str:
    return "lower-case hex" if (writing, right) == (Writing.UPPER_HEX, Writing.HEX) else right


def name_of(found: Candidate) -> str:
    """Which signature it is: the header, and whose time is in it."""
    if found.scheme is Scheme.HOUSE:
        return f"{Scheme.HOUSE}-Next" if found.age is Age.NEW else Scheme.HOUSE
    return f"{found.scheme} of attempt {found.attempt}" if found.attempt else found.scheme


def of_mistakes(found: Candidate, given: Given, body_note: str) -> Diagnosis:
    """It is ours but for some differences. `body_note`: how the pasted body differs from ours."""
    different = [*found.differences, *writing_differences(given, found.scheme)]
    words = _joined([each.words for each in different])
    part = different[0].part if len(different) == 1 else Part.SEVERAL
    steps = list(dict.fromkeys(each.fix for each in different))
    if body_note and not any(each.part is Part.BODY for each in different):
        steps.append(f"Besides, the body you pasted {body_note}.")
    # Our key made it, so what else differs is the receiver's doing.
    verdict = Verdict.RIGHT if found.differences else Verdict.FITS
    sentence = f"This is our {name_of(found)}, but {words}."
    return Diagnosis(part, sentence, tuple(steps), verdict=verdict)


def of_ours(found: Candidate, message: Message, body_note: str, says_same: bool) -> Diagnosis:
    """It is ours. `body_note`: how the pasted body differs from ours, blank if it does not."""
    name = name_of(found)
    if body_note:
        steps: tuple[str, ...] = (f"{SAME_REQUEST}, and compute it over the body of that request.",)
        if says_same:
            steps = (RAW_BYTES, "If it was only formatted for reading, paste it as it came.")
        sentence = f"This is exactly our {name}, but the body you pasted {body_note}."
        return Diagnosis(Part.BODY, sentence, steps, verdict=Verdict.FITS)
    newest = next((number for number, _ in message.newest_first), None)
    if found.attempt != newest and found.attempt:
        return Diagnosis(
            Part.MOMENT,
            f"This is our {name}, computed with its timestamp, and attempt {newest}, the newest, "
            "has another.",
            ("Take webhook-timestamp and webhook-signature from the same request.",),
            verdict=Verdict.FITS,
        )
    return _exactly(found, name)


def _exactly(found: Candidate, name: str) -> Diagnosis:
    if found.age is Age.ONLY:
        step = "If the receiver still refuses it, look at which header of which request it reads."
        return Diagnosis(Part.NOTHING, f"This is exactly our {name}.", (step,))
    sentence = f"This is exactly our {name}, made with the {found.age} secret key"
    if found.age is Age.EARLIER:
        step = "Give the receiver the new secret key before the earlier one expires."
        return Diagnosis(
            Part.NOTHING, f"{sentence}, which signs until the new one takes over.", (step,)
        )
    if found.scheme is Scheme.STANDARD:
        step = f"{SAME_REQUEST}, which carries two: one of them has to match."
        return Diagnosis(Part.NOTHING, f"{sentence}.", (step,))
    return Diagnosis(
        Part.KEY,
        f"{sentence}, while {Scheme.HOUSE} is still made with the earlier one.",
        (
            "If the receiver has the new secret key, an administrator can press Switch now on the "
            "webhook's page.",
        ),
        verdict=Verdict.FITS,
    )


def of_an_earlier_key(attempt: int) -> Diagnosis:
    """It was sent, and no present key makes it."""
    return Diagnosis(
        Part.KEY,
        f"This is what we sent with attempt {attempt}, made with a secret key that has been "
        "replaced or removed since.",
        ("Give the receiver the present secret key, which signs what is sent from now on.",),
    )


def of_another_delivery(public_id: str) -> Diagnosis:
    """It was sent with another delivery."""
    return Diagnosis(
        Part.DELIVERY,
        f"This is the signature of another delivery, {public_id}, to the same webhook.",
        (f"{SAME_REQUEST}: X-Asset-Webhook-Id names the delivery.",),
        public_id,
    )


def of_a_piece(found: Candidate, end: str, length: int, whole: int) -> Diagnosis:
    """It is ours, cut off."""
    return Diagnosis(
        Part.LENGTH,
        f"This is our {name_of(found)}, but cut off: only its {end} {length} of {whole} "
        "characters are there.",
        ("Keep all of it: look for a column, a variable or a log that is too short.",),
        verdict=Verdict.FITS,
    )


def of_nothing_known(given: Sequence[Given], length: int, note: str, is_same: bool) -> Diagnosis:
    """Nobody knows. `length`: of what was pasted; `note`: how the pasted body differs."""
    unknown = "We could not tell what made it"
    if not given:
        sentence = f"{unknown}: it has {length} characters and is no signature that we know."
        steps: tuple[str, ...] = (
            "Paste the value alone: X-Asset-Webhook-Signature has 64 characters, 0 to 9 and a to "
            "f, and webhook-signature has “v1,” and 44 characters.",
        )
    elif given[0].writing.is_hex and (name := _ALGORITHMS.get(len(given[0].digest))):
        sentence = f"{unknown}, but it is as long as {name}, and ours is SHA-256."
        steps = ("Compute HMAC-SHA256 with the secret key, then check the new signature here.",)
    elif is_same:
        sentence = (
            f"{unknown}, but the body you pasted is ours, so most likely the receiver has another "
            "secret key, perhaps an earlier one."
        )
        steps = (
            "Put the present secret key into the receiver.",
            "If nobody has it any more, an administrator can replace it on the webhook's page.",
        )
    elif note:
        sentence = f"{unknown}, and the body you pasted {note}."
        steps = (RAW_BYTES, "If it still differs, look at the secret key.")
    else:
        sentence = f"{unknown}: it is not ours, and no mistake that we know of gives it."
        steps = (
            "Paste the body that the receiver checked as well: then we can tell whether it is "
            "ours.",
            "If it is, look at the secret key, and at how the receiver computes the signature.",
        )
    return Diagnosis(Part.UNKNOWN, sentence, steps)


def _joined(words: Sequence[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])}, and {words[-1]}"
