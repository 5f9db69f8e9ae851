"""Connecting to receivers without sending them anything: by the transport's handle and guard."""

from collections.abc import Hashable, Iterable
from time import monotonic
from typing import NamedTuple

import pycurl

from portal.engine.http.address_guard import AddressError, AddressGuard
from portal.engine.http.curl_handle import CurlHandle, Order, TrustStore
from portal.engine.http.transport import prepare
from portal.engine.http.url import check_url
from portal.engine.reach import LONG_PATIENCE

A_TURN = 0.1
LONGEST = 2 * LONG_PATIENCE  # libcurl ends each of them sooner


class Door(NamedTuple):
    """Where to knock: a webhook's address; `opens` is for the guard, `patience` in seconds."""

    key: Hashable
    url: str
    opens: tuple[str, int] | None = None
    patience: float = LONG_PATIENCE


class BareProbes:
    """Connects, through TLS for https, and hangs up. Belongs to one thread."""

    def __init__(self, guard: AddressGuard, *, ca_bundle: str | None = None) -> None:
        self._guard = guard
        self._trust = TrustStore(ca_bundle)
        # It outlives a round: to close it waits for each look-up that hangs, for many seconds.
        self._multi = pycurl.CurlMulti()

    def knock(self, doors: Iterable[Door]) -> set[Hashable]:
        """The keys of those that could be connected to in time, all at once.

        Names are looked up anew, and no connection is kept.
        """
        multi = self._multi
        busy: dict[pycurl.Curl, CurlHandle] = {}
        for door in doors:
            if handle := self._handle_for(door):
                busy[handle.curl] = handle
                multi.add_handle(handle.curl)
        open_doors: set[Hashable] = set()
        until = monotonic() + LONGEST
        while busy and monotonic() < until:
            multi.perform()
            _, good, bad = multi.info_read()
            open_doors |= {busy[curl].key for curl in good}
            for curl in (*good, *(each[0] for each in bad)):
                multi.remove_handle(curl)
                busy.pop(curl).curl.close()
            if busy and not (good or bad):
                multi.select(A_TURN)
        for curl in busy:
            multi.remove_handle(curl)
            curl.close()
        return open_doors

    def close(self) -> None:
        """Give back the sockets, and take the joined certificates away."""
        self._multi.close()
        self._trust.close()

    def _handle_for(self, door: Door) -> CurlHandle | None:
        try:
            url = check_url(door.url)
        except AddressError:
            return None
        handle = CurlHandle(self._guard, self._trust.ca_file)
        handle.only_connect()
        request, began = prepare(url, {}, b""), monotonic()
        patience = door.patience
        order = Order(door.key, request, url, [], began, patience, door.opens, True, patience)
        handle.load(order, waited=0.0)
        return handle
