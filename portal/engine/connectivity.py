"""Decide whether a failed connection is the receiver's failure or this sender's. Pure.

Receivers fail one at a time. A line, a name server, or a firewall fails for many hosts together,
including hosts that accepted deliveries until then.
"""

from collections.abc import Collection, Iterable, Mapping
from typing import Final, NamedTuple

FEWEST_HOSTS: Final = 2
SUSPECT_AFTER: Final = 1.0  # seconds without a connection before other hosts are probed
SUSPECT_AGAIN: Final = 10.0  # … for the same host, after a probe blamed the receiver
PROBED_HOSTS: Final = 20  # of other webhooks, the latest success first
PROBE_TIMEOUT: Final = 2.0
PROBE_EVERY: Final = 2.0  # seconds, while hosts are offline
LONGEST_OFFLINE: Final = 6 * 3600.0


class Probe(NamedTuple):
    """The result of a bare connect to a host.

    `address`: its IP address if known. Names with the same address are one host. `is_well`: it
    accepted a delivery, and nothing has failed since.
    """

    host: str
    address: str | None
    has_connected: bool
    is_well: bool = True


def is_outage(probes: Iterable[Probe]) -> bool:
    """Return whether the sender is at fault.

    This is so if it can't connect to two or more hosts that were well, and to more of them than it
    can connect to.
    """
    results = [
        (probe.address or probe.host, probe.has_connected) for probe in probes if probe.is_well
    ]
    connected = {host for host, has_connected in results if has_connected}
    failed = {host for host, _ in results} - connected
    return len(failed) >= FEWEST_HOSTS and len(failed) > len(connected)


class OfflineHosts:
    """The hosts that one sender can't connect to through no fault of theirs.

    All hosts that were probed since the start of an outage decide about it. A host that is offline
    for `LONGEST_OFFLINE` counts as the receiver's failure (`is_expired`) until it connects.
    """

    def __init__(self) -> None:
        self._latest: dict[str, Probe] = {}
        self._since: dict[str, float] = {}
        self._expired: set[str] = set()

    @property
    def since(self) -> Mapping[str, float]:
        """Return the time on the caller's clock since which each host has been offline."""
        return self._since

    @property
    def has_expired(self) -> bool:
        """Return whether any host is offline for so long that its failures are the receiver's."""
        return bool(self._expired)

    def is_expired(self, host: str) -> bool:
        """Return whether the host's failures are the receiver's again."""
        return host in self._expired

    def note_connected(self, host: str) -> None:
        """Record that a request connected to the host."""
        self._expired.discard(host)

    def note_probes(self, probes: Collection[Probe], now: float) -> bool:
        """Record probes. Return whether this sender is at fault."""
        self._expired -= {probe.host for probe in probes if probe.has_connected}
        self._expired |= {host for host, at in self._since.items() if now - at >= LONGEST_OFFLINE}
        before = self._latest if self._since else {}
        latest = before | {probe.host: probe for probe in probes}
        self._latest = {host: probe for host, probe in latest.items() if host not in self._expired}
        is_at_fault = is_outage(self._latest.values())
        failed = [host for host, probe in self._latest.items() if not probe.has_connected]
        self._since = {host: self._since.get(host, now) for host in failed} if is_at_fault else {}
        return is_at_fault
