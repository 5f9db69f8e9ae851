"""A supervisor of one program, which tells what it sees of itself, ends, and begins again."""

import os
import sys

from jobs.supervisor import Plan, Program, become


def main() -> None:
    """Leave traces as `flask up` does, then become it."""
    os.umask(0o027)
    os.set_inheritable(os.open(os.devnull, os.O_RDONLY), True)
    argv = [sys.executable, "-m", "tests.support.fork_server.self_portrait", "one", "two"]
    environ = os.environ | {"PYTHONUNBUFFERED": "1", "TZ": "UTC"}
    become(Plan([Program("portrait", argv, 0)], "127.0.0.1", 9, []), environ)


if __name__ == "__main__":
    main()
