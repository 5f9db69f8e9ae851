"""Share out name look-ups, so that names that hang never hold up those that answer.

libcurl looks names up in twenty threads, and takes two for a name: one asks for IPv4, one for IPv6.
A lookup that nobody answers keeps its threads, also after the request that wanted it has been given
up. Pure bookkeeping: no network, the caller's clock.
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum
from functools import lru_cache
from ipaddress import ip_address
from time import monotonic
from typing import Final, Generic, NamedTuple, TypeVar
from urllib.parse import urlsplit

T = TypeVar("T")

CACHE_SECONDS: Final = 60
"""How long libcurl may use an address without asking again."""
_KNOWN_FOR: Final = CACHE_SECONDS - 5.0  # a little less, since libcurl began to count earlier
_SLOW: Final = 1.0
_RESOLVER_PATIENCE: Final = 10.0  # what a resolver usually spends before it gives a name up
_MOST_REMEMBERED: Final = 10_000


class Trust(IntEnum):
    """The result of the last look-up of a host."""

    SUSPECT = 0
    UNKNOWN = 1
    GOOD = 2


# Together with lookups whose requests were given up: ten have all twenty threads. Whoever answered
# last time finds places that nobody else may take.
_PLACES: Final = {Trust.SUSPECT: 5, Trust.UNKNOWN: 8, Trust.GOOD: 10}
_MOST_A_HOST: Final = 2  # … of which those of one host that hangs


class Name(NamedTuple):
    """The key under which libcurl remembers an address."""

    host: str
    port: int


@lru_cache(maxsize=4096)
def name_of(url: str) -> Name | None:
    """The name in a URL that `check_url` has passed; None for an address in figures."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    try:
        ip_address(host)
    except ValueError:
        return Name(host, parts.port or (443 if parts.scheme == "https" else 80))
    return None


@dataclass(frozen=True, slots=True)
class _Waiting(Generic[T]):
    name: Name
    until: float
    item: T


class Lookups(Generic[T]):
    """At most one lookup a host and ten at once, five of them for hosts that failed or were slow.
    While two of a host hang it gets no third.

    `ask` for every request; what may not go yet waits here until `ready` or `overdue` gives it
    back. Whoever went reports `found` or `lost`.

    The bound: names that hang delay no host that answered last time. One that is new waits at most
    until eight others that are new have answered, or the resolver has given them up; after that
    they share five places with all that failed, and three are left to what is new.
    """

    def __init__(self, clock: Callable[[], float] = monotonic) -> None:
        self._clock = clock
        self._known: dict[Name, float] = {}
        self._trust: dict[str, Trust] = {}
        self._running: dict[str, float] = {}
        self._given_up: list[tuple[float, Trust, str]] = []
        self._waiting: list[_Waiting[T]] = []

    @property
    def waiting(self) -> int:
        """Return how many requests wait for their turn."""
        return len(self._waiting)

    def queued(self) -> list[T]:
        """Return what waits for its turn."""
        return [each.item for each in self._waiting]

    def is_known(self, name: Name) -> bool:
        """Return whether libcurl still knows the address, so that nothing has to be looked up."""
        return self._known.get(name, 0.0) > self._clock()

    def ask(self, name: Name, until: float, item: T, *, doubted: bool = False) -> bool:
        """Return whether `item` may look `name` up now; if not, it waits until `until` (the
        clock's).

        `doubted`: whoever asks knows of trouble with the host, in case nothing is known here.
        """
        if doubted:
            self._trust.setdefault(name.host, Trust.SUSPECT)
        if not any(each.name.host == name.host for each in self._waiting) and self._take(name):
            return True
        self._waiting.append(_Waiting(name, until, item))
        return False

    def found(self, name: Name) -> None:
        """A lookup has given an address, which libcurl remembers."""
        now = self._clock()
        slow = now - self._running.pop(name.host, now) > _SLOW
        self._remember(name.host, Trust.SUSPECT if slow else Trust.GOOD)
        self._known[name] = now + _KNOWN_FOR

    def lost(self, name: Name, *, hangs: bool) -> None:
        """A lookup has given nothing. `hangs`: it was given up, and its thread still waits."""
        began = self._running.pop(name.host, self._clock())
        if hangs:
            trust = self._trust_of(name.host)
            self._given_up.append((began + _RESOLVER_PATIENCE, trust, name.host))
        self._remember(name.host, Trust.SUSPECT)

    def spared(self, name: Name) -> None:
        """Nothing had to be looked up after all: a connection was open."""
        self._running.pop(name.host, None)

    def ready(self) -> list[T]:
        """Return what may go now, those first whose host answered last time."""
        now = self._clock()
        self._given_up = [each for each in self._given_up if each[0] > now]
        if self._is_full(Trust.GOOD):
            return []
        in_turn = sorted(self._waiting, key=lambda each: -self._trust_of(each.name.host))
        chosen = [each for each in in_turn if self.is_known(each.name) or self._take(each.name)]
        gone = set(map(id, chosen))
        self._waiting = [each for each in self._waiting if id(each) not in gone]
        return [each.item for each in chosen]

    def overdue(self) -> list[T]:
        """Return what has waited until its time was over."""
        now = self._clock()
        late = [each.item for each in self._waiting if each.until <= now]
        if late:
            self._waiting = [each for each in self._waiting if each.until > now]
        return late

    def remove(self, is_gone: Callable[[T], bool]) -> None:
        """Let those that wait, and of which that is true, wait no more."""
        self._waiting = [each for each in self._waiting if not is_gone(each.item)]

    def abandon(self) -> list[T]:
        """Forget who waits and who went; return those who wait."""
        items = self.queued()
        self._waiting, self._running = [], {}
        return items

    def _take(self, name: Name) -> bool:
        mine = self._trust_of(name.host)
        hanging = sum(host == name.host for *_, host in self._given_up)
        is_busy = name.host in self._running or hanging >= _MOST_A_HOST
        if is_busy or any(map(self._is_full, range(mine, len(Trust)))):
            return False
        self._running[name.host] = self._clock()
        return True

    def _is_full(self, trust: int) -> bool:
        """Return whether hosts of this trust and less have all their places."""
        running = sum(1 for host in self._running if self._trust_of(host) <= trust)
        given_up = sum(1 for _, each, _ in self._given_up if each <= trust)
        return running + given_up >= _PLACES[Trust(trust)]

    def _trust_of(self, host: str) -> Trust:
        return self._trust.get(host, Trust.UNKNOWN)

    def _remember(self, host: str, trust: Trust) -> None:
        if len(self._trust) >= _MOST_REMEMBERED or len(self._known) >= _MOST_REMEMBERED:
            self._trust.clear()
            self._known.clear()
        self._trust[host] = trust
