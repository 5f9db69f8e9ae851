"""Connect to receivers without sending them anything, by the transport's handle and guard."""

from collections.abc import Iterable
from time import monotonic
from typing import Final, NamedTuple

import pycurl

from portal.engine.connectivity import PROBE_TIMEOUT
from portal.engine.http.address_guard import AddressError, AddressGuard
from portal.engine.http.curl_handle import CurlHandle, Order, TrustStore
from portal.engine.http.transport import prepare
from portal.engine.http.url import check_url

LONGEST_WAIT: Final = 0.1  # seconds between two looks at the clock
AT_MOST: Final = 2 * PROBE_TIMEOUT  # libcurl ends each of them sooner


class Connected(NamedTuple):
    """The result of a bare connect: whether it is open, and the first address that was tried."""

    is_open: bool
    address: str | None


class BareProbes:
    """Connects, through TLS for https, and hangs up. Belongs to one thread."""

    def __init__(self, guard: AddressGuard, *, ca_bundle: str | None = None) -> None:
        self._guard = guard
        self._trust = TrustStore(ca_bundle)
        # It outlives a round: to close it waits for each look-up that hangs, for many seconds.
        self._multi = pycurl.CurlMulti()

    def connect(self, urls: Iterable[str], timeout: float = PROBE_TIMEOUT) -> dict[str, Connected]:
        """Connect to all of these at once. Names are looked up anew, and no connection is kept."""
        multi = self._multi
        busy: dict[pycurl.Curl, CurlHandle] = {}
        found: dict[str, Connected] = {}
        for url in urls:
            found[url] = Connected(is_open=False, address=None)
            if handle := self._handle_for(url, timeout):
                busy[handle.curl] = handle
                multi.add_handle(handle.curl)
        until = monotonic() + AT_MOST
        while busy and monotonic() < until:
            multi.perform()
            _, good, bad = multi.info_read()
            ended = dict.fromkeys(good, True) | {each[0]: False for each in bad}
            for curl, is_open in ended.items():
                multi.remove_handle(curl)
                handle = busy.pop(curl)
                found[str(handle.key)] = Connected(is_open, handle.address)
                curl.close()
            if busy and not ended:
                multi.select(LONGEST_WAIT)
        for curl in busy:
            multi.remove_handle(curl)
            curl.close()
        return found

    def close(self) -> None:
        """Give back the sockets, and remove the joined certificates."""
        self._multi.close()
        self._trust.close()

    def _handle_for(self, given: str, timeout: float) -> CurlHandle | None:
        try:
            url = check_url(given)
        except AddressError:
            return None
        handle = CurlHandle(self._guard, self._trust.ca_file)
        handle.only_connect()
        request, began = prepare(url, {}, b""), monotonic()
        handle.load(Order(given, request, url, [], began, timeout, None, True, timeout), waited=0.0)
        return handle
