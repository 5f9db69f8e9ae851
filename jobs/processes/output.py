"""What the supervisor and its children say, in the form of the log. Standard library only."""

import contextlib
import json
import os
import sys
from datetime import UTC, datetime
from typing import Any


class Output:
    """Lines for a person at a terminal: the child's name, then what it said."""

    def say(self, line: str) -> None:
        """Something of the supervisor's own."""
        write(line)

    def pass_on(self, name: str, line: str) -> None:
        """A line of a child's output."""
        write(f"{name:<10} {line}")


class JsonOutput(Output):
    """One JSON object a line. What a child writes so already is passed on as it is."""

    def say(self, line: str) -> None:
        """Something of the supervisor's own; blank lines are for people."""
        if line:
            self._write("supervisor", line)

    def pass_on(self, name: str, line: str) -> None:
        """A line of a child's output."""
        if line.startswith("{"):
            write(line)
        elif line:
            self._write(name, line)

    def _write(self, process: str, message: str) -> None:
        entry: dict[str, Any] = {
            "at": datetime.now(UTC).isoformat(timespec="milliseconds"),
            "level": "info",
            "process": process,
            "message": message,
        }
        write(json.dumps(entry))


def output() -> Output:
    """The output that LOG_FORMAT asks for; `flask up` sets it."""
    return JsonOutput() if os.environ.get("LOG_FORMAT") == "json" else Output()


def write(line: str) -> None:
    """Write to standard output; whoever read it may have gone."""
    with contextlib.suppress(BrokenPipeError):
        sys.stdout.write(line + "\n")
        sys.stdout.flush()
