"""How many files and sockets a process may have open; the usual soft limit is 1024."""

import resource
from typing import Final

OPEN_FILES: Final = 65_536


def raise_limit_of_open_files() -> None:
    """Let this process open `OPEN_FILES`, or as many as the hard limit allows."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = OPEN_FILES if hard == resource.RLIM_INFINITY else min(hard, OPEN_FILES)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, most), hard))
