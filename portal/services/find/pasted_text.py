"""What stands in a text that somebody pasted: ids, addresses of ours, and single words."""

import re
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from portal.lib.ids import ids_beginning

# Of more than that nobody looks at what was found; and it is a search for each.
MOST_IDS: Final = 10
MOST_WORDS: Final = 100
LONGEST_WORD: Final = 120  # as long as a serial number can be

_ID: Final = re.compile(
    r"(?<![\da-f])(?:[\da-f]{32}|[\da-f]{8}-[\da-f]{4}-[\da-f]{4}-[\da-f]{4}-[\da-f]{12})(?![\da-f])",
    re.ASCII | re.IGNORECASE,
)
_BEGINNING: Final = re.compile(r"(?<![\w-])[\da-f-]{8,35}(?![\w-])", re.ASCII | re.IGNORECASE)
_ASSET: Final = re.compile(r"/assets/(\d{1,9})(?!\d)", re.ASCII)
# What stands around a word in a log line, in JSON, in an address, and in a sentence.
_BETWEEN: Final = re.compile(r"[\s\"'`<>(){}\[\],;=|&?\u2018-\u201f]+")
_AROUND: Final = ".:!/#"


@dataclass(frozen=True, slots=True)
class Pasted:
    """The ids in it, the beginnings of ids, the numbers of assets in addresses of ours, and its
    words, if there are several; each once, in their order."""

    ids: tuple[UUID, ...]
    beginnings: tuple[str, ...]
    asset_ids: tuple[int, ...]
    words: tuple[str, ...]


def read(text: str) -> Pasted:
    """Read it."""
    ids = dict.fromkeys(UUID(found) for found in _ID.findall(text))
    rest = _ID.sub(" ", text)
    beginnings = dict.fromkeys(each for each in _BEGINNING.findall(rest) if ids_beginning(each))
    assets = dict.fromkeys(map(int, _ASSET.findall(text)))
    words = dict.fromkeys(each.strip(_AROUND) for each in _BETWEEN.split(rest))
    usable = [word for word in words if 1 < len(word) <= LONGEST_WORD]
    return Pasted(
        ids=tuple(ids)[:MOST_IDS],
        beginnings=tuple(beginnings)[:MOST_IDS],
        asset_ids=tuple(assets)[:MOST_IDS],
        words=tuple(usable)[:MOST_WORDS] if len(words) > 1 else (),
    )
