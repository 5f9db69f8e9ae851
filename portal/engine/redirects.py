"""Read the target of a redirect, which is untrusted text of the receiver."""

from typing import Final, NamedTuple
from urllib.parse import urljoin
from uuid import UUID

from portal.engine.http.address_mask import masked_address

PERMANENT: Final = frozenset({301, 308})
MOST_SHOWN: Final = 200  # characters


class Redirect(NamedTuple):
    """The target of a redirect as users see it.

    `is_usable`: the webhook's form takes it. `delivery`: the one whose response names it.
    """

    shown: str
    is_permanent: bool
    is_usable: bool
    delivery: UUID


def target_of(url: str, location: str) -> str:
    """Return the absolute URL, or the header's value if it can't be read. `url`: the request's."""
    try:
        return urljoin(url, location.strip())
    except ValueError:
        return location


def shown_target(target: str, *, is_secret: bool = False) -> str:
    """Mask the target's secrets and put it on one line. Values as in `masked_address`."""
    line = "".join(
        char for char in masked_address(target, is_secret=is_secret) if char.isprintable()
    )
    # Braces would read as a placeholder of our own sentences.
    line = line.replace("{", "%7B").replace("}", "%7D")
    return line if len(line) <= MOST_SHOWN else f"{line[: MOST_SHOWN - 1]}…"
