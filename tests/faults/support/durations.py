"""How long the faults last: short in `make test`, in full with FAULTS=full (`make chaos`)."""

import os

import pytest

# Cables and lossy wires are made of it; containers have it only where they are given it.
needs_tun = pytest.mark.skipif(
    not os.access("/dev/net/tun", os.R_OK | os.W_OK), reason="there is no /dev/net/tun"
)
IS_FULL = os.environ.get("FAULTS") == "full"

# How many times as long as promised it may take: the short forms run beside other tests.
PATIENCE = 1.0 if IS_FULL else 2.5
VALKEY_DOWN = 60.0 if IS_FULL else 5.0
# With each fault, on each database.
REDIS_AWAY = 60.0 if IS_FULL else 3.0
# Longer than a lease.
DATABASE_LOCKED = 8.0 if IS_FULL else 5.5
# One webhook's row, by somebody else.
ROW_LOCKED = 30.0 if IS_FULL else 3.0
# On each of the two databases, and on two machines.
CHAOS = float(os.environ.get("CHAOS_SECONDS") or (300 if IS_FULL else 10))
IMPORT_ROWS = 10_000 if IS_FULL else 400
IMPORT_SECONDS = 600.0 if IS_FULL else 30.0
# Longer than a request may take; in full, longer than a connection may rest.
SLOW_SOCKETS = 150.0 if IS_FULL else 36.0
