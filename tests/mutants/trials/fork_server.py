"""A pytest that stays, in a copy of the tree: it has read all tests, and forks for each plan."""

import json
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final

from tests.mutants.trees import TIMED_OUT, cleared, pytest_begun, pytest_ended
from tests.mutants.trials.new_process import NewProcess, told_in
from tests.mutants.trials.plan import Answer, Change, Plan, limit_of

LONGEST: Final = 3600  # seconds for reading the tests and a plan of them


class ForkServer:
    """Asks in the copy whose root is `tree`. Of what only an import brings about, a new process is
    asked."""

    def __init__(self, tree: Path) -> None:
        self._tree = tree
        self._output = tree.parent / "forks.txt"
        self._anew = NewProcess(tree)
        self._process: subprocess.Popen[bytes] | None = None

    def prepare(self) -> None:
        """Begin, and wait until the tests are read."""
        if self._process is not None:
            return
        mine, its = socket.socketpair()
        with mine, its:
            mine.settimeout(LONGEST)
            options = ["-p", "tests.mutants.trials.fork_plugin", "--requests", str(its.fileno())]
            arguments = [*options, "tests"]
            self._process = pytest_begun(self._tree, arguments, self._output, its.fileno())
            self._stream = mine.makefile("rw")
        if not self._stream.readline():
            self.close()
            raise RuntimeError(f"The tests cannot be read:\n{self._output.read_text()[-2000:]}")

    def ask(self, plan: Plan, change: Change | None) -> Answer:
        """Run the tests of the plan."""
        if change is not None and change.is_at_import:
            return self._anew.ask(plan, change)
        verdict = self._tree.parent / "verdict.json"
        verdict.unlink(missing_ok=True)
        request = {
            "plan": plan,
            "verdict": str(verdict),
            "limit": limit_of(plan),
            "temporary": str(cleared(self._tree)),
        }
        if change is not None:
            texts = {"old": change.old, "new": change.new}
            request |= {"file": str(self._tree / change.path), **texts}
        answer = self._forked(request)
        told = told_in(verdict)
        # Of a process that ended before its first test, or could not put the change in.
        if answer is None or not told:
            return self._anew.ask(plan, change)
        status = TIMED_OUT if answer["status"] is None else answer["status"]
        return Answer(status, told, answer["processor"])

    def _forked(self, request: dict[str, Any]) -> dict[str, Any] | None:
        """The server's answer; None when it has ended."""
        if self._process is None:
            return None
        self._output.write_bytes(b"")  # it is appended to: of each plan, its own
        try:
            self._stream.write(json.dumps(request) + "\n")
            self._stream.flush()
            answer: dict[str, Any] = json.loads(self._stream.readline())
        except (OSError, ValueError):
            self.close()
            return None
        return answer

    def close(self) -> None:
        """End it."""
        if self._process is not None:
            pytest_ended(self._process)
            self._process = None
            with suppress(OSError):  # what it was not told any more
                self._stream.close()


@contextmanager
def fork_server(tree: Path) -> Iterator[ForkServer]:
    """A server for a while."""
    server = ForkServer(tree)
    try:
        yield server
    finally:
        server.close()
