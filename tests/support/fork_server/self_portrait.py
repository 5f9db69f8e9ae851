"""What a process sees of itself: `python -m tests.support.fork_server.self_portrait WORDS…`."""

import json
import os
import sys
import threading
import time
from pathlib import Path


def main() -> None:
    """Print it, then end with 3."""
    status = dict(
        line.split(":\t", 1) for line in Path("/proc/self/status").read_text().splitlines()
    )
    handles = Path("/proc/self/fd")
    facts = {
        "parent": os.getppid(),
        "folder": str(Path.cwd()),
        "environ": dict(os.environ),
        "zone": time.tzname,
        "ahead": round(time.time() - time.clock_gettime(time.CLOCK_REALTIME)),
        "command": Path("/proc/self/cmdline").read_text().rstrip("\0").split("\0"),
        "argv": sys.argv[1:],
        "name": Path(sys.argv[0]).name,
        "path": sys.path[0],
        "flags": repr(sys.flags),
        "threads": threading.active_count(),
        "handles": sorted(os.readlink(each) for each in handles.iterdir() if each.exists()),
        "group": os.getpgrp(),
        "leads": os.getsid(0) == os.getpid(),
        **{word: status[word] for word in ("SigBlk", "SigIgn", "SigCgt", "Umask")},
    }
    sys.stdout.write(json.dumps(facts, indent=1, sort_keys=True))
    sys.exit(3)


if __name__ == "__main__":
    main()
