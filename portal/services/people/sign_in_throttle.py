"""Failed sign-ins are slowed down, and so is asking for a link for a new password, in the database:
it works while Redis is away.

An attempt is counted before the password is looked at and forgiven when it was right, so that
many attempts at once do not slip past the limit together. Whoever has to wait is told so by a read.
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
    """There were too many attempts; `seconds` until the next may be made."""

    status = 429

    def __init__(self, seconds: float) -> None:
        self.seconds = max(1, ceil(seconds))
        # In whole minutes, and never one too few: who waits as told is not told so again.
        step = MINUTE if self.seconds > MINUTE else 1
        length = in_words(ceil(self.seconds / step) * step)
        super().__init__(f"Too many attempts. Wait {length}, then try again.")


@dataclass(frozen=True, slots=True, order=True)
class Key:
    """A name that attempts are counted for. From the `limit`-th failure on, each one costs a pause,
    until `forgotten_after` has passed: since the last failure, or since the first where it
    `is_rate`.

    `first_pause`: seconds. It doubles with each further failure, to a quarter of an hour; one that
    is longer stays as it is.
    """

    name: str
    limit: int
    forgotten_after: timedelta = FORGOTTEN_AFTER
    first_pause: int = FIRST_PAUSE
    is_rate: bool = False

    @property
    def digest(self) -> str:
        """Return what the table keeps of the name, which says who or where somebody is."""
        return hashlib.sha256(self.name.encode(errors="replace")).hexdigest()

    def pause(self, failures: int) -> int:
        """Seconds to wait after so many failures."""
        if failures < self.limit:
            return 0
        longest = max(LONGEST_PAUSE, self.first_pause)
        return min(longest, self.first_pause << min(failures - self.limit, 16))

    def is_over(self, row: SignInThrottle, now: datetime) -> bool:
        """Return whether the failures in this row are forgotten."""
        since = row.first_failed_at if self.is_rate else row.last_failed_at
        return now - since > self.forgotten_after


def for_device(user_id: int, device: UUID) -> Key:
    """Return the key of the attempts for one account from a browser that it was signed in to
    before."""
    return Key(f"device:{user_id}:{device}", 5)


def for_pair(email: str, network: str) -> Key:
    """Return the key of the attempts for one account from one network, whether or not the account
    exists."""
    return Key(f"pair:{network} {email}", 5)


def for_network(network: str) -> Key:
    """Return the key of the attempts from one network. An office shares one, so the limit is
    higher."""
    return Key(f"network:{network}", 20)


def for_account(email: str) -> Key:
    """Return the key of the attempts for one account from everywhere in an hour, whether or not it
    exists.

    By the hour and not until it is quiet: a stranger who is slowed down, and goes on, comes to
    four attempts an hour, and would keep the account shut with them for ever.
    """
    return Key(f"email:{email}", 100, first_pause=LONGEST_PAUSE, is_rate=True)


def for_forgotten(email: str, network: str) -> tuple[Key, Key]:
    """Return the keys of the links asked for in an hour: for one address, whether or not it has an
    account, and from one network."""
    hour = int(FORGOTTEN_AFTER.total_seconds())
    return (
        Key(f"forgotten:{email}", 3, first_pause=hour, is_rate=True),
        Key(f"forgotten:{network}", 20, first_pause=hour, is_rate=True),
    )


def network_of(address: str | None) -> str:
    """The network that counts as one: an IPv4 address, or the /64 that an IPv6 customer owns.

    A socket for both kinds gives IPv4 addresses as IPv6 ones (`::ffff:192.0.2.7`), all of them in
    one /64; they are told apart.
    """
    try:
        parsed = ip_address(address or "")
    except ValueError:
        return UNKNOWN
    if isinstance(parsed, IPv6Address):
        parsed = parsed.ipv4_mapped or IPv6Address(int(parsed) >> 64 << 64)
    return str(parsed)


def check(keys: Sequence[Key]) -> None:
    """Raises `Throttled` while one of the keys has to wait. A read: who only waits holds up nobody
    and writes nothing."""
    current = session()
    wanted = select(func.max(SignInThrottle.blocked_until)).where(
        SignInThrottle.key.in_([key.digest for key in keys])
    )
    until = current.execute(wanted).scalar_one()
    if until is not None:
        _refuse(until, database_time(current))


def count(keys: Sequence[Key]) -> list[Key]:
    """Count an attempt for every key; return those that begin to wait with it. Raises `Throttled`
    while one of them has to wait: looked at once more under the locks.
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
    """Forgive an attempt that was right: the failures of `own` are forgotten, what is `shared`
    loses this one only, so that signing in to an account of one's own does not clear the way to
    others.

    All of them have just been counted. Returns how many wrong attempts each had before it.
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
    """Whoever is erased leaves no count behind that is the account's alone. The names of all keys
    are hashes, and go within a day."""
    asked, _ = for_forgotten(user.email, UNKNOWN)
    keys = (for_account(user.email), Key(f"account:{user.id}", 5), asked)
    mine = SignInThrottle.key.in_([key.digest for key in keys])
    current.execute(delete(SignInThrottle).where(mine))


def remove_old() -> None:
    """Forget the keys for which nobody has failed in a day."""
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
