"""Browsers that somebody has signed in from: a cookie tells them from a stranger's.

It lets nobody in. Tries from such a browser are counted apart from everybody else's
(`sign_in_throttle.for_device`), so that a stranger who guesses does not keep the owner out, and a
sign-in without it is one from a new browser.

The cookie holds an entry a person, `user.device.mac`, for the last five that signed in. The MAC
covers the person's `devices_version`: moved on, it ends all of them.
"""

import hmac
import re
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Final
from uuid import UUID

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from sqlalchemy import update
from sqlalchemy.orm import Session

from portal.extensions import settings
from portal.lib.clock import common_now
from portal.lib.ids import public_id
from portal.models.people import User

LASTS: Final = timedelta(days=180)
MOST: Final = 5
ENTRY: Final = re.compile(r"([0-9a-f]{32})\.([0-9a-f]{32})\.[0-9a-f]{64}")
BETWEEN: Final = "-"
LONGEST: Final = MOST * (32 + 1 + 32 + 1 + 64) + MOST - 1


def recognized(cookie: str, user: User) -> UUID | None:
    """The device of the entry for this user; None where no entry is ours, or none is good still.

    Whatever else stands in the cookie is passed over: anybody may write one.
    """
    for entry in _entries(cookie):
        owner, device, _ = entry.split(".")
        if owner != user.public_id.hex:
            continue
        found = UUID(hex=device)
        if hmac.compare_digest(entry, _entry(user, found)) and not _is_old(found):
            return found
    return None


def with_new(cookie: str, user: User) -> str:
    """The cookie with a new device for this user. Those of others stay, the latest four of them.

    New at every sign-in: who has a copy of the old one uses up the tries of that one alone.
    """
    others = [entry for entry in _entries(cookie) if not entry.startswith(user.public_id.hex)]
    return BETWEEN.join([_entry(user, public_id()), *others[: MOST - 1]])


def forget_devices(current: Session, user: User) -> None:
    """No browser is known as this user's any more. In the transaction of what it belongs to."""
    moved = update(User).where(User.id == user.id)
    current.execute(moved.values(devices_version=User.devices_version + 1))


def _entries(cookie: str) -> list[str]:
    if len(cookie) > LONGEST:
        return []
    return [part for part in cookie.split(BETWEEN) if ENTRY.fullmatch(part)]


def _entry(user: User, device: UUID) -> str:
    text = f"{user.public_id.hex}.{device.hex}"
    signed = f"{text}.{user.devices_version}".encode()
    mac = hmac.digest(_key(settings().secret_key), signed, "sha256")
    return f"{text}.{mac.hex()}"


def _is_old(device: UUID) -> bool:
    """Its id is of version 7: it begins with the milliseconds since 1970 when it was made."""
    made_at = datetime.fromtimestamp((device.int >> 80) / 1000, UTC)
    return common_now() - made_at > LASTS


@lru_cache(maxsize=8)
def _key(secret_key: str) -> bytes:
    return HKDF(SHA256(), length=32, salt=None, info=b"device cookie").derive(secret_key.encode())
