"""Schedule name lookups, so that hanging ones never delay responsive ones.

libcurl has twenty threads for lookups and uses two per name, for IPv4 and IPv6. An unanswered
lookup keeps its threads, even after its request has been given up. This module is pure bookkeeping
without network, on the caller's clock.
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
"""Time for which libcurl caches an address."""
_KNOWN_FOR: Final = CACHE_SECONDS - 5.0  # less, because libcurl starts counting earlier
_SLOW: Final = 1.0
_RESOLVER_PATIENCE: Final = 10.0  # usual seconds until a resolver gives up a name
_MOST_REMEMBERED: Final = 10_000


class Trust(IntEnum):
    """The result of a host's last lookup."""

    SUSPECT = 0
    UNKNOWN = 1
    GOOD = 2


# Including lookups whose requests were given up. Ten lookups use all twenty threads. Places are
# reserved for hosts that resolved last time.
_PLACES: Final = {Trust.SUSPECT: 5, Trust.UNKNOWN: 8, Trust.GOOD: 10}
_MOST_A_HOST: Final = 2  # … of them for one host that hangs


class Name(NamedTuple):
    """The key of libcurl's cache of addresses."""

    host: str
    port: int


@lru_cache(maxsize=4096)
def name_of(url: str) -> Name | None:
    """Return the name in a URL that `check_url` accepted, or None for a numeric address."""
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
    """A scheduler of at most ten concurrent lookups, with one lookup per host at a time.

    At most five are for hosts that failed or were slow. A host with two hanging lookups gets no
    third.

    Call `ask` for every request. A request that has to wait is returned later by `ready` or
    `overdue`. Report the end of each started lookup with `found` or `lost`.

    Hanging names never delay a host that resolved last time. A new host waits at most until eight
    other new hosts have resolved or were given up by the resolver. After that, they share five
    places with all failed hosts, and three places are left for new hosts.
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
        """Return the number of waiting requests."""
        return len(self._waiting)

    def queued(self) -> list[T]:
        """Return the waiting items."""
        return [entry.item for entry in self._waiting]

    def is_known(self, name: Name) -> bool:
        """Return whether libcurl still caches the address, so that no lookup is needed."""
        return self._known.get(name, 0.0) > self._clock()

    def ask(self, name: Name, until: float, item: T, *, doubted: bool = False) -> bool:
        """Return whether `item` can look up `name` now. If not, it waits until `until`.

        `until` is a time of the clock. `doubted`: the caller knows of problems with the host. Only
        used for a host that is unknown here.
        """
        if doubted:
            self._trust.setdefault(name.host, Trust.SUSPECT)
        if not any(entry.name.host == name.host for entry in self._waiting) and self._take(name):
            return True
        self._waiting.append(_Waiting(name, until, item))
        return False

    def found(self, name: Name) -> None:
        """Record a lookup that returned an address, which libcurl caches."""
        now = self._clock()
        slow = now - self._running.pop(name.host, now) > _SLOW
        self._remember(name.host, Trust.SUSPECT if slow else Trust.GOOD)
        self._known[name] = now + _KNOWN_FOR

    def lost(self, name: Name, *, hangs: bool) -> None:
        """Record a failed lookup. `hangs`: it was given up, and its thread still waits."""
        began = self._running.pop(name.host, self._clock())
        if hangs:
            trust = self._trust_of(name.host)
            self._given_up.append((began + _RESOLVER_PATIENCE, trust, name.host))
        self._remember(name.host, Trust.SUSPECT)

    def spared(self, name: Name) -> None:
        """Record that no lookup was needed because a connection was open."""
        self._running.pop(name.host, None)

    def ready(self) -> list[T]:
        """Return items that can start now, with hosts that resolved last time first."""
        now = self._clock()
        self._given_up = [entry for entry in self._given_up if entry[0] > now]
        if self._is_full(Trust.GOOD):
            return []
        in_turn = sorted(self._waiting, key=lambda each: -self._trust_of(each.name.host))
        chosen = [entry for entry in in_turn if self.is_known(entry.name) or self._take(entry.name)]
        gone = set(map(id, chosen))
        self._waiting = [entry for entry in self._waiting if id(entry) not in gone]
        return [entry.item for entry in chosen]

    def overdue(self) -> list[T]:
        """Return items that have waited until their time was over."""
        now = self._clock()
        late = [entry.item for entry in self._waiting if entry.until <= now]
        if late:
            self._waiting = [entry for entry in self._waiting if entry.until > now]
        return late

    def remove(self, is_gone: Callable[[T], bool]) -> None:
        """Drop waiting items for which `is_gone` returns true."""
        self._waiting = [entry for entry in self._waiting if not is_gone(entry.item)]

    def abandon(self) -> list[T]:
        """Forget waiting items and started lookups. Return the waiting items."""
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
        """Return whether hosts with this trust or less use all their places."""
        running = sum(1 for host in self._running if self._trust_of(host) <= trust)
        given_up = sum(1 for _, other, _ in self._given_up if other <= trust)
        return running + given_up >= _PLACES[Trust(trust)]

    def _trust_of(self, host: str) -> Trust:
        return self._trust.get(host, Trust.UNKNOWN)

    def _remember(self, host: str, trust: Trust) -> None:
        if len(self._trust) >= _MOST_REMEMBERED or len(self._known) >= _MOST_REMEMBERED:
            self._trust.clear()
            self._known.clear()
        self._trust[host] = trust
