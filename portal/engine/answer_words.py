"""Words of an answer that calls itself a success and is none."""

import re
from typing import Final

WORDS: Final = ("error", "failed", "failure", "invalid", "exception", "denied", "unauthorized")
# "0 errors" and "error: null" are none.
_TROUBLE: Final = re.compile(
    rf"(?<!no )(?<!0 )\b({'|'.join(WORDS)})s?\b(?!\W{{0,3}}(0|false|null|none|\[\]))",
    re.IGNORECASE,
)


def speaks_of_error(text: str) -> bool:
    """Whether the text says that something went wrong."""
    return _TROUBLE.search(text) is not None
