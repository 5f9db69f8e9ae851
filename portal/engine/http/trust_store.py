"""Whose certificates we trust: certifi's authorities and the operator's own."""

import os
import tempfile
from pathlib import Path

import certifi


class TrustStore:
    """One PEM file with certifi's authorities and, when given, those of `ca_bundle`.

    A file and not a blob: libcurl parses a file once and keeps it, a blob for every connection.
    """

    def __init__(self, ca_bundle: str | None = None) -> None:
        self.ca_file = certifi.where()
        self._own: Path | None = None
        if ca_bundle is not None:
            self._own = _joined(certifi.where(), ca_bundle)
            self.ca_file = str(self._own)

    def close(self) -> None:
        """Remove the joined file."""
        if self._own is not None:
            self._own.unlink(missing_ok=True)


def _joined(*bundles: str) -> Path:
    handle, name = tempfile.mkstemp(prefix="ca-", suffix=".pem")
    with os.fdopen(handle, "wb") as joined:
        joined.write(b"\n".join(Path(bundle).read_bytes() for bundle in bundles))
    return Path(name)
