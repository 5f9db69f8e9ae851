"""The portal, without its jobs."""

import gc
import os
from typing import Final

# Looked through at a time by the collector. Python's 700 cost a worker 5 % of its time, and every
# process a tenth of its start.
YOUNG_OBJECTS: Final = 10_000

# Who sets it has every key of every TLS connection written into a file: OpenSSL obeys it wherever
# it is loaded. Nothing of ours is loaded before this line.
os.environ.pop("SSLKEYLOGFILE", None)
gc.set_threshold(YOUNG_OBJECTS)
