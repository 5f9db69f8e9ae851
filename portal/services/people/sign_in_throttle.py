"""Failed sign-ins are slowed down, in the database: it works while Redis is away.

A try is counted before the password is looked at and forgiven when it was right, so that many
tries at once do not slip past the limit together.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from ipaddress import IPv6Address, ip_address
from typing import Final

from sqlalchemy import delete
from sqlalchemy.orm import Session

from portal.lib.durations import in_words
from portal.models.people import SignInThrottle
from portal.services.core.refusals import Refusal
from portal.services.core.removal import remove_in_steps
from portal.services.core.unit_of_work import database_time, insert_or_ignore, session, writing

FIRST_PAUSE: Final = 30  # seconds
LONGEST_PAUSE: Final = 15 * 60
FORGOTTEN_AFTER: Final = timedelta(hours=1)
KEPT_FOR: Final = timedelta(days=1)


class Throttled(Refusal):
    """There were too many tries; `seconds` until the next may be made."""

    status = 429

    def __init__(self, seconds: float) -> None:
        self.seconds = max(1, round(seconds))
        super().__init__(
            f"There were too many attempts. Wait {in_words(self.seconds)}, then try again."
        )


@dataclass(frozen=True, slots=True, order=True)
class Key:
    """What tries are counted for. From the `limit`-th failure on, each one costs a pause, until
    it was quiet for as long as `forgotten_after`."""

    name: str
    limit: int
    forgotten_after: timedelta = FORGOTTEN_AFTER


def for_email(email: str) -> Key:
    """The tries for one account, whether or not it exists."""
    return Key(f"email:{email}", 5)


def for_address(address: str | None) -> Key:
    """The tries from one network address. An office shares one, so the limit is higher.

    An IPv6 customer owns a whole /64 and counts as one.
    """
    try:
        parsed = ip_address(address or "")
    except ValueError:
        return Key("address:unknown", 20)
    if isinstance(parsed, IPv6Address):
        parsed = IPv6Address(int(parsed) >> 64 << 64)
    return Key(f"address:{parsed}", 20)


def pause(failures: int, limit: int) -> int:
    """Seconds to wait after so many failures: none, then 30 s doubling to 15 minutes."""
    if failures < limit:
        return 0
    return min(LONGEST_PAUSE, FIRST_PAUSE << min(failures - limit, 16))


def count(keys: Sequence[Key]) -> list[Key]:
    """Count a try for every key; those that begin to wait with it. Raises `Throttled` while one
    of them has to wait.
    """
    reached = []
    with writing() as current:
        now = database_time(current)
        rows = [(_locked(current, key), key) for key in sorted(keys)]
        waits = [row.blocked_until - now for row, _ in rows if row.blocked_until]
        longest = max(waits, default=timedelta()).total_seconds()
        if longest > 0:
            raise Throttled(longest)
        for row, key in rows:
            is_old = now - row.last_failed_at > key.forgotten_after
            row.failures = 1 if is_old else row.failures + 1
            row.last_failed_at = now
            seconds = pause(row.failures, key.limit)
            row.blocked_until = now + timedelta(seconds=seconds) if seconds else None
            if row.failures == key.limit:
                reached.append(key)
    return reached


def forgive(account: Key, address: Key | None = None) -> int:
    """The try was right: the account's failures are forgotten, the address loses this one only,
    so that signing in to an account of one's own does not clear the way to others.

    Returns how many wrong tries there were before it.
    """
    with writing() as current:
        if address is not None:
            row = _locked(current, address)
            row.failures = max(0, row.failures - 1)
            row.blocked_until = None
        known = delete(SignInThrottle).where(SignInThrottle.key == account.name)
        tries = current.execute(known.returning(SignInThrottle.failures)).scalar_one_or_none()
    return max(0, (tries or 0) - 1)


def remove_old() -> None:
    """Forget the keys for which nobody has failed in a day."""
    old = database_time(session()) - KEPT_FOR
    remove_in_steps(SignInThrottle.key, SignInThrottle.last_failed_at < old)


def _locked(current: Session, key: Key) -> SignInThrottle:
    now = database_time(current)
    make = insert_or_ignore(current.connection())(SignInThrottle)
    row = make.values(key=key.name, failures=0, last_failed_at=now)
    current.execute(row.on_conflict_do_nothing())
    return current.get_one(SignInThrottle, key.name, with_for_update=True)
