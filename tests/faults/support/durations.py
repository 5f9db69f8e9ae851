"""Durations of the faults: short in `make test`, in full with FAULTS=full (`make chaos`)."""

import os

import pytest

# Cables and lossy wires need it. Containers don't have it by default.
needs_tun = pytest.mark.skipif(
    not os.access("/dev/net/tun", os.R_OK | os.W_OK), reason="there is no /dev/net/tun"
)
IS_FULL = os.environ.get("FAULTS") == "full"

# The factor for promised times, because the short forms run beside other tests.
PATIENCE = 1.0 if IS_FULL else 2.5
VALKEY_DOWN = 60.0 if IS_FULL else 5.0
# For each fault on each database.
REDIS_AWAY = 60.0 if IS_FULL else 3.0
# Longer than a lease.
DATABASE_LOCKED = 8.0 if IS_FULL else 5.5
# By another program, for one webhook's row.
ROW_LOCKED = 30.0 if IS_FULL else 3.0
# For each database and for two machines.
CHAOS = float(os.environ.get("CHAOS_SECONDS") or (300 if IS_FULL else 10))
IMPORT_ROWS = 10_000 if IS_FULL else 400
IMPORT_SECONDS = 600.0 if IS_FULL else 30.0
# Longer than the request timeout. In full, longer than the idle timeout.
SLOW_SOCKETS = 150.0 if IS_FULL else 36.0
