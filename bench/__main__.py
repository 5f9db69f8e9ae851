"""`python -m bench [names]`: run all benchmarks, or those named, and print one table."""

import importlib
import sys
import time

from bench.report import HEAD, Line, show

NAMES = ("throughput", "latency", "web", "memory", "recovery", "two_workers", "log_pages")


def main() -> None:
    """Run what the command line names."""
    wanted = sys.argv[1:] or NAMES
    unknown = [name for name in wanted if name not in NAMES]
    if unknown:
        sys.exit(f"There is no benchmark {', '.join(unknown)}. There are: {', '.join(NAMES)}.")
    print(HEAD)
    began = time.monotonic()
    for name in wanted:
        for line in importlib.import_module(f"bench.{name}").run():
            show(line)
    show(Line("All of this took", f"{time.monotonic() - began:.0f} s"))


if __name__ == "__main__":
    main()
