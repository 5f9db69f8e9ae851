"""The portal, without its jobs."""

import os

# Who sets it has every key of every TLS connection written into a file: OpenSSL obeys it wherever
# it is loaded. Nothing of ours is loaded before this line.
os.environ.pop("SSLKEYLOGFILE", None)
