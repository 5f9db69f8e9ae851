"""Until when the certificates that we were shown are good."""

import ssl
from datetime import UTC, datetime

import pycurl


class CertificateDates:
    """Remembers the end date of each open connection's certificate; the oldest is forgotten first.

    libcurl shows a certificate only to the request that made the connection; those that use the
    connection later ask here.
    """

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._by_connection: dict[int, datetime] = {}

    def end_for(self, curl: pycurl.Curl, *, is_new: bool) -> datetime | None:
        """The end date for a finished request; `is_new` when it shook hands itself."""
        if is_new:
            return self._remember(curl.getinfo(pycurl.CONN_ID), _end_shown(curl))
        # Most receivers of a plain http pump never come this far.
        return (
            self._by_connection.get(curl.getinfo(pycurl.CONN_ID)) if self._by_connection else None
        )

    def _remember(self, connection: int, end: datetime | None) -> datetime | None:
        if end is not None:
            self._by_connection[connection] = end
            if len(self._by_connection) > self._capacity:
                del self._by_connection[next(iter(self._by_connection))]
        return end


def _end_shown(curl: pycurl.Curl) -> datetime | None:
    """The `Expire date` of the first certificate of the chain, the receiver's own."""
    chain = curl.getinfo(pycurl.INFO_CERTINFO)
    for field, value in chain[0] if chain else ():
        if field == "Expire date":
            return datetime.fromtimestamp(ssl.cert_time_to_seconds(value), UTC)
    return None
