"""Decide whether a failed connection is the receiver's failure or this sender's. Pure.

Receivers fail one at a time. A line, a name server or a firewall fails for many hosts at once, and
for hosts at which something has arrived until then.
"""

from collections.abc import Collection, Iterable, Mapping
from typing import Final, NamedTuple

FEWEST_HOSTS: Final = 2
SUSPECT_AFTER: Final = 1.0  # seconds without a connection; then other hosts are probed
SUSPECT_AGAIN: Final = 10.0  # … the same host, where it was found to be the receiver's failure
PROBED_HOSTS: Final = 20  # of other webhooks, those first at which something arrived last
PROBE_TIMEOUT: Final = 2.0
PROBE_EVERY: Final = 2.0  # seconds, while hosts are offline
LONGEST_OFFLINE: Final = 6 * 3600.0


class Probe(NamedTuple):
    """The result of a bare connect to a host.

    `address`: where its name leads, as far as that is known; names at one address are one host.
    `is_well`: something has arrived there, and nothing has failed since.
    """

    host: str
    address: str | None
    has_connected: bool
    is_well: bool = True


def is_outage(probes: Iterable[Probe]) -> bool:
    """Return whether the sender is at fault: it cannot connect to two hosts or more that were well,
    and to more than it can connect to."""
    found = [(each.address or each.host, each.has_connected) for each in probes if each.is_well]
    connected = {host for host, has_connected in found if has_connected}
    failed = {host for host, _ in found} - connected
    return len(failed) >= FEWEST_HOSTS and len(failed) > len(connected)


class OfflineHosts:
    """The hosts that one sender cannot connect to through no fault of theirs.

    An outage is judged by all hosts that were probed since it began. A host that has been offline
    for `LONGEST_OFFLINE` counts as the receiver's failure (`is_expired`) until it connects.
    """

    def __init__(self) -> None:
        self._latest: dict[str, Probe] = {}
        self._since: dict[str, float] = {}
        self._expired: set[str] = set()

    @property
    def since(self) -> Mapping[str, float]:
        """Since when each of them has been offline, by the caller's clock."""
        return self._since

    @property
    def has_expired(self) -> bool:
        """Return whether there is a host whose failures are the receiver's again."""
        return bool(self._expired)

    def is_expired(self, host: str) -> bool:
        """Return whether its failures are the receiver's again."""
        return host in self._expired

    def note_connected(self, host: str) -> None:
        """A request has found a connection to it."""
        self._expired.discard(host)

    def note_probes(self, probes: Collection[Probe], now: float) -> bool:
        """Take in what was probed; return whether this sender is at fault."""
        self._expired -= {each.host for each in probes if each.has_connected}
        self._expired |= {host for host, at in self._since.items() if now - at >= LONGEST_OFFLINE}
        before = self._latest if self._since else {}
        latest = before | {each.host: each for each in probes}
        self._latest = {host: each for host, each in latest.items() if host not in self._expired}
        is_at_fault = is_outage(self._latest.values())
        failed = [host for host, each in self._latest.items() if not each.has_connected]
        self._since = {host: self._since.get(host, now) for host in failed} if is_at_fault else {}
        return is_at_fault
