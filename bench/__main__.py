"""Run all benchmarks, or the named ones (`python -m bench [names]`), and print one table."""

import importlib
import sys
import time

from bench.support.report import HEAD, Line, show

NAMES = (
    "throughput",
    "latency",
    "fairness",
    "web",
    "web_server",
    "memory",
    "recovery",
    "two_workers",
    "log_pages",
    "delivery_pages",
    "register_pages",
    "forgotten_passwords",
)


def main() -> None:
    """Run the benchmarks named on the command line."""
    names = sys.argv[1:] or NAMES
    unknown = [name for name in names if name not in NAMES]
    if unknown:
        sys.exit(f"There is no benchmark {', '.join(unknown)}. There are: {', '.join(NAMES)}.")
    print(HEAD)
    began = time.monotonic()
    whole = [_measure(name) for name in names]
    show(Line("All of this took", f"{time.monotonic() - began:.0f} s"))
    sys.exit(0 if all(whole) else 1)


def _measure(name: str) -> bool:
    """Print the lines of one benchmark. A failure does not stop the others."""
    began = time.monotonic()
    try:
        for line in importlib.import_module(f"bench.{name}").run():
            show(line)
    except AssertionError as error:
        show(Line(f"{name} was not finished", "-", str(error).replace("\n", " ")))
        return False
    print(f"{name} took {time.monotonic() - began:.0f} s", file=sys.stderr)
    return True


if __name__ == "__main__":
    main()
