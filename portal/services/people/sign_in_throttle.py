"""Slow down failed sign-ins, and requests for a link for a new password.

The counts are in the database, so they work while Redis is away. An attempt is counted before the
password is checked, and forgiven if it was right. Many simultaneous attempts therefore can't slip
past the limit together. A client that has to wait costs only a read.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from ipaddress import IPv6Address, ip_address
from math import ceil
from typing import Final
from uuid import UUID

from sqlalchemy import delete, func, select
from sqlalchemy.orm import Session

from portal.lib.durations import MINUTE, in_words
from portal.models.people import SignInThrottle, User
from portal.services.core.queries import remove_in_steps
from portal.services.core.refusals import Refusal
from portal.services.core.unit_of_work import database_time, insert_or_ignore, session, writing

FIRST_PAUSE: Final = 30  # seconds
LONGEST_PAUSE: Final = 15 * 60
FORGOTTEN_AFTER: Final = timedelta(hours=1)
KEPT_FOR: Final = timedelta(days=1)
UNKNOWN: Final = "unknown"
SLOWED: Final = "person.sign_in_slowed_down"  # in the audit trail


class Throttled(Refusal):
    """There were too many attempts. `seconds` is the wait until the next one."""

    status = 429

    def __init__(self, seconds: float) -> None:
        self.seconds = max(1, ceil(seconds))
        # Rounded up to whole minutes, so that a person who waits that long isn't refused again.
        step = MINUTE if self.seconds > MINUTE else 1
        length = in_words(ceil(self.seconds / step) * step)
        super().__init__(f"Too many attempts. Wait {length}, then try again.")


@dataclass(frozen=True, slots=True, order=True)
class Key:
    """A name under which attempts are counted.

    From the `limit`-th failure on, each one costs a pause. Failures are forgotten when the time
    `forgotten_after` has passed since the last one, or since the first one if `is_rate`.
    `first_pause` is in seconds. It doubles with each further failure, up to 15 minutes. A longer
    one stays the same.
    """

    name: str
    limit: int
    forgotten_after: timedelta = FORGOTTEN_AFTER
    first_pause: int = FIRST_PAUSE
    is_rate: bool = False

    @property
    def digest(self) -> str:
        """Return the hash for the table, because the name reveals a person or a place."""
        return hashlib.sha256(self.name.encode(errors="replace")).hexdigest()

    def pause(self, failures: int) -> int:
        """Return the seconds to wait after this many failures."""
        if failures < self.limit:
            return 0
        longest = max(LONGEST_PAUSE, self.first_pause)
        return min(longest, self.first_pause << min(failures - self.limit, 16))

    def is_over(self, row: SignInThrottle, now: datetime) -> bool:
        """Return whether the failures in this row are forgotten."""
        since = row.first_failed_at if self.is_rate else row.last_failed_at
        return now - since > self.forgotten_after


def for_device(user_id: int, device: UUID) -> Key:
    """Return the key of attempts for one account from a browser known to it."""
    return Key(f"device:{user_id}:{device}", 5)


def for_password(user_id: int | None) -> Key:
    """Return the key of attempts to confirm the password of a signed-in user."""
    return Key(f"account:{user_id}", 5)


def for_pair(email: str, network: str) -> Key:
    """Return the key of attempts for one account, which might not exist, from one network."""
    return Key(f"pair:{network} {email}", 5)


def for_network(network: str) -> Key:
    """Return the key of attempts from one network. Its limit is higher, as an office shares it."""
    return Key(f"network:{network}", 20)


def for_account(email: str) -> Key:
    """Return the key of attempts per hour for one account, which might not exist, from everywhere.

    It counts per hour, not until a quiet time. A stranger who continues after being slowed down
    makes four attempts an hour, and could otherwise lock the account forever.
    """
    return Key(f"email:{email}", 100, first_pause=LONGEST_PAUSE, is_rate=True)


def for_forgotten(email: str, network: str) -> tuple[Key, Key]:
    """Return the keys of links requested per hour, for one address and from one network.

    The address might not have an account.
    """
    hour = int(FORGOTTEN_AFTER.total_seconds())
    return (
        Key(f"forgotten:{email}", 3, first_pause=hour, is_rate=True),
        Key(f"forgotten:{network}", 20, first_pause=hour, is_rate=True),
    )


def network_of(address: str | None) -> str:
    """Return the network that counts as one: an IPv4 address, or an IPv6 customer's /64.

    A socket for both kinds gives IPv4 addresses as IPv6 ones (`::ffff:192.0.2.7`), all in one /64,
    so they are converted back.
    """
    try:
        parsed = ip_address(address or "")
    except ValueError:
        return UNKNOWN
    if isinstance(parsed, IPv6Address):
        parsed = parsed.ipv4_mapped or IPv6Address(int(parsed) >> 64 << 64)
    return str(parsed)


def check(keys: Sequence[Key]) -> None:
    """Raise `Throttled` while one of the keys has to wait.

    It only reads, so that waiting clients block no one and write nothing.
    """
    current = session()
    query = select(func.max(SignInThrottle.blocked_until)).where(
        SignInThrottle.key.in_([key.digest for key in keys])
    )
    until = current.execute(query).scalar_one()
    if until is not None:
        _refuse(until, database_time(current))


def count(keys: Sequence[Key]) -> list[Key]:
    """Count an attempt for every key, and return the keys that begin to wait with it.

    Raises `Throttled` while one has to wait, which is checked again under the locks.
    """
    reached = []
    with writing() as current:
        now = database_time(current)
        rows = [(_locked(current, key), key) for key in sorted(keys)]
        waits = [row.blocked_until for row, _ in rows if row.blocked_until]
        if waits:
            _refuse(max(waits), now)
        for row, key in rows:
            if key.is_over(row, now):
                row.failures, row.first_failed_at = 0, now
            row.failures += 1
            row.last_failed_at = now
            seconds = key.pause(row.failures)
            row.blocked_until = now + timedelta(seconds=seconds) if seconds else None
            if row.failures == key.limit:
                reached.append(key)
    return reached


def forgive(own: Key, *shared: Key) -> list[int]:
    """Forgive a correct attempt, and return the number of wrong attempts before it for each key.

    All failures of `own` are forgotten. `shared` keys lose only this attempt, so that signing in to
    one's own account doesn't clear the way to others. All keys have just been counted.
    """
    with writing() as current:
        keys = (own, *shared)
        rows = {key: _locked(current, key) for key in sorted(keys)}
        before = {key: max(0, rows[key].failures - 1) for key in keys}
        for key in shared:
            rows[key].failures, rows[key].blocked_until = before[key], None
        current.delete(rows[own])
    return [before[key] for key in keys]


def forget(current: Session, user: User) -> None:
    """Delete the counts that are an erased account's alone.

    All keys are hashes, and the other counts are removed within a day.
    """
    forgotten, _ = for_forgotten(user.email, UNKNOWN)
    keys = (for_account(user.email), for_password(user.id), forgotten)
    is_own = SignInThrottle.key.in_([key.digest for key in keys])
    current.execute(delete(SignInThrottle).where(is_own))


def remove_old() -> None:
    """Delete keys without a failure in the last day."""
    old = database_time(session()) - KEPT_FOR
    remove_in_steps(SignInThrottle.key, SignInThrottle.last_failed_at < old)


def _refuse(until: datetime, now: datetime) -> None:
    seconds = (until - now).total_seconds()
    if seconds > 0:
        raise Throttled(seconds)


def _locked(current: Session, key: Key) -> SignInThrottle:
    now = database_time(current)
    make = insert_or_ignore(current.connection())(SignInThrottle)
    row = make.values(key=key.digest, failures=0, first_failed_at=now, last_failed_at=now)
    current.execute(row.on_conflict_do_nothing())
    return current.get_one(SignInThrottle, key.digest, with_for_update=True)
