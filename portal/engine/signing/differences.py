"""One thing that a receiver does differently: how it is put, and what to change."""

from enum import StrEnum
from typing import Final, NamedTuple

RAW_BYTES: Final = (
    "Compute the signature over the raw bytes as they arrive, before anything reads or rewrites "
    "the body."
)


class Part(StrEnum):
    """What differs."""

    NOTHING = "nothing"
    KEY = "key"
    BODY = "body"
    CONTENT = "content"
    MOMENT = "moment"
    METHOD = "method"
    ENCODING = "encoding"
    PREFIX = "prefix"
    LENGTH = "length"
    DELIVERY = "delivery"
    SEVERAL = "several"
    UNKNOWN = "unknown"


class Difference(NamedTuple):
    """`words` go on after “This is our signature, but”; `fix` is a sentence of its own."""

    part: Part
    words: str
    fix: str
