"""A receiver's signature is not ours: which part differs? Says it without showing the right one.

Whoever pastes a signature learns whether it is ours, and if not, what was probably done
differently: key, content, method, moment, writing. The right signature is never shown: beside the
body it is all that it takes to try out short secrets without asking anybody.
"""

import hmac
from base64 import b64encode
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from typing import Final

from portal.engine.signing import words
from portal.engine.signing.body_mistakes import other_bodies
from portal.engine.signing.candidates import Candidate, Scheme, candidates
from portal.engine.signing.differences import Part
from portal.engine.signing.message import Message
from portal.engine.signing.pasted_body import PastedBody
from portal.engine.signing.pasted_signature import Given, as_base64, read_pieces, read_signatures
from portal.engine.signing.words import Diagnosis

__all__ = ["Diagnosis", "Message", "Part", "diagnose"]

# Characters. One that is cut off is recognised; but from a piece that can be guessed the rest could
# be found out, character by character. 64 bits cannot be guessed.
SHORTEST_PIECE: Final = 16

_Match = tuple[Candidate, Given]


def diagnose(text: str, message: Message, received: str = "") -> Diagnosis:
    """Say which part of a pasted signature differs from ours, as far as that can be told.

    `received`: the body that the receiver checked, if it was pasted as well.
    """
    given = read_signatures(text)
    pasted = PastedBody.of(received, message.body)
    found = _match(given, message, pasted) if given else None
    found = found or _piece(read_pieces(text), message)
    if found:
        return found
    if not message.secret and not message.sent:
        return words.NO_KEY
    return words.of_nothing_known(given, len(text.strip()), pasted.note, pasted.is_ours)


def _match(given: Sequence[Given], message: Message, pasted: PastedBody) -> Diagnosis | None:
    bodies = other_bodies(message.body, pasted)
    near = _best(given, chain(*(candidates(message, bodies, count) for count in (0, 1))))
    if near and not near[0].differences:
        return _ours(near, message, pasted)
    if known := _sent(given, message):
        return known
    near = near or _best(given, candidates(message, bodies, 2))
    return words.of_mistakes(*near, pasted.note) if near else None


def _ours(near: _Match, message: Message, pasted: PastedBody) -> Diagnosis:
    found, given = near
    if any(words.writing_differences(given, found.scheme)):
        return words.of_mistakes(found, given, pasted.note)
    return words.of_ours(found, message, pasted.note, pasted.says_the_same)


def _sent(given: Sequence[Given], message: Message) -> Diagnosis | None:
    digests = [each.digest for each in given]
    for number, text in message.sent:
        if any(each.digest in digests for each in read_signatures(text)):
            return words.of_an_earlier_key(number)
    for public_id, text in message.others:
        if any(each.digest in digests for each in read_signatures(text)):
            return words.of_another_delivery(public_id)
    return None


def _best(given: Sequence[Given], made: Iterable[Candidate]) -> _Match | None:
    """The one with the fewest differences, how it is written among them."""
    found = [
        (candidate, each)
        for candidate in made
        for each in given
        if hmac.compare_digest(candidate.digest, each.digest)
    ]
    return min(found, key=_rank, default=None)


def _rank(match: _Match) -> tuple[int, int, bool]:
    candidate, given = match
    written = len(list(words.writing_differences(given, candidate.scheme)))
    known = len(candidate.differences)
    is_house = candidate.scheme is Scheme.HOUSE
    return known + written, known, given.writing.is_hex is not is_house


def _piece(pieces: Sequence[str], message: Message) -> Diagnosis | None:
    for candidate in candidates(message, (), 0):
        is_house = candidate.scheme is Scheme.HOUSE
        whole = candidate.digest.hex() if is_house else b64encode(candidate.digest).decode()
        for piece in pieces:
            plain = piece.lower() if is_house else as_base64(piece)
            for end, part in _ends(whole, len(plain)):
                if hmac.compare_digest(part, plain):
                    return words.of_a_piece(candidate, end, len(plain), len(whole))
    return None


def _ends(whole: str, length: int) -> Iterator[tuple[str, str]]:
    if SHORTEST_PIECE <= length < len(whole):
        yield "first", whole[:length]
        yield "last", whole[-length:]
