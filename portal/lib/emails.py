"""E-mail addresses as we keep and compare them."""

import re
from typing import Final

LONGEST: Final = 254  # RFC 5321, 4.5.3.1.3, as corrected by erratum 1690
# Only mail can tell whether an address is real: names inside a company's network count as well.
# Signs that separate or quote addresses in a mail's head would make two of one.
PART: Final = r"[^@\s\x00-\x1f\x7f,;:<>()\[\]\"\\]+"
SHAPE: Final = re.compile(f"{PART}@{PART}")


def tidy_email(text: str) -> str:
    """The address as it is stored and looked up: without spaces around it, in small letters."""
    return text.strip().lower()


def is_email(text: str) -> bool:
    """Whether the text looks like an address at all."""
    return len(text) <= LONGEST and SHAPE.fullmatch(text) is not None
