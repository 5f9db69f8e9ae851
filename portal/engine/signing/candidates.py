"""Signatures that a receiver may have computed, ours among them, each with what is different."""

import hashlib
import hmac
from collections.abc import Callable, Iterator, Sequence
from enum import StrEnum
from functools import partial
from typing import Final, NamedTuple

from portal.engine.signing.body_mistakes import (
    Bodies,
    Content,
    house_contents,
    standard_contents,
)
from portal.engine.signing.differences import Difference, Part
from portal.engine.signing.key_mistakes import house_keys, standard_keys
from portal.engine.signing.message import Age, Message
from portal.engine.signing.signatures import SecretError, standard_key

# Bytes hashed for one key and one form: a fraction of a second, whatever is compared.
MOST_HASHED: Final = 16_000_000
COST: Final = 300  # of one more signature, in bytes


class Scheme(StrEnum):
    """The two forms, by their headers."""

    HOUSE = "X-Asset-Webhook-Signature"
    STANDARD = "webhook-signature"


class Candidate(NamedTuple):
    """A signature with its differences from ours. `attempt`: whose time is in it."""

    scheme: Scheme
    age: Age
    attempt: int | None
    differences: tuple[Difference, ...]
    digest: bytes


Method = Callable[[bytes, bytes], bytes]  # key, content


class _Way(NamedTuple):
    """A key and a method, and what is wrong with them."""

    differences: tuple[Difference, ...]
    key: bytes
    method: Method


Ways = dict[int, Sequence[_Way]]  # by the number of their differences


def candidates(message: Message, bodies: Bodies, count: int) -> Iterator[Candidate]:
    """All with exactly so many differences (0 to 2), the likely ones first."""
    for age, secret in message.secrets:
        for scheme, ways, contents in _schemes(message, secret, bodies):
            for attempt, different, digest in _digests(ways, contents, count):
                yield Candidate(scheme, age, attempt, different, digest)


def _digests(
    ways: Ways, contents: Iterator[Content], count: int
) -> Iterator[tuple[int | None, tuple[Difference, ...], bytes]]:
    left = MOST_HASHED
    for content in contents:
        for way in ways.get(count - bool(content.difference), ()):
            left -= len(content.signed) + COST
            if left < 0:
                return
            different = (*way.differences, *filter(None, [content.difference]))
            yield content.attempt, different, way.method(way.key, content.signed)


def _schemes(
    message: Message, secret: str, bodies: Bodies
) -> Iterator[tuple[Scheme, Ways, Iterator[Content]]]:
    house = _ways(secret.encode(), house_keys(secret))
    yield Scheme.HOUSE, house, house_contents(message, bodies)
    try:
        key = standard_key(secret)
    except SecretError:
        return
    yield Scheme.STANDARD, _ways(key, standard_keys(secret)), standard_contents(message, bodies)


def _ways(right: bytes, others: Iterator[tuple[Difference, bytes]]) -> Ways:
    keys = list(others)
    ours = _hmac("sha256")
    with_key = [_Way((difference,), key, ours) for difference, key in keys]
    with_method = [_Way((difference,), right, method) for difference, method in _METHODS]
    with_both = [
        _Way((each, difference), key, method)
        for difference, method in _METHODS
        for each, key in keys
    ]
    return {0: [_Way((), right, ours)], 1: with_key + with_method, 2: with_both}


def _hmac(name: str) -> Method:
    return partial(hmac.digest, digest=name)


def _plain(name: str) -> Method:
    return lambda _, content: hashlib.new(name, content, usedforsecurity=False).digest()


def _methods() -> Iterator[tuple[Difference, Method]]:
    for words, name in (
        ("MD5", "md5"),
        ("SHA1", "sha1"),
        ("SHA384", "sha384"),
        ("SHA512", "sha512"),
    ):
        yield _method(f"made with HMAC-{words} instead of HMAC-SHA256"), _hmac(name)
    for words, name in (("SHA-256", "sha256"), ("MD5", "md5"), ("SHA-1", "sha1")):
        yield _method(f"made with plain {words}, without the secret key"), _plain(name)
    sha256 = _plain("sha256")
    words = "made with plain SHA-256 of secret key and body one after the other"
    yield _method(words), lambda key, content: sha256(b"", key + content)
    words = "made with plain SHA-256 of body and secret key one after the other"
    yield _method(words), lambda key, content: sha256(b"", content + key)


def _method(words: str) -> Difference:
    return Difference(Part.METHOD, words, "Compute HMAC-SHA256 with the secret key.")


_METHODS: Final = tuple(_methods())
