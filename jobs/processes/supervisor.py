"""The supervisor: starts the portal's processes, restarts what dies, ends everything together.

Standard library only, and one thread: it lives as long as the portal and should weigh nothing.
`flask up` prepares a plan, then becomes this (`python -m jobs.processes.supervisor FD`).
"""

import os
import selectors
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from types import FrameType
from typing import Any, Final

from jobs.processes.child import Child, LineReader
from jobs.processes.output import Output, output
from jobs.processes.plan import Plan
from jobs.processes.signals import signal_sockets

STOP_SECONDS: Final = 15.0
START_SECONDS: Final = 10.0
# At what is left of an output, then at its end, which another process may keep from coming.
LAST_LOOKS: Final = 2


class Supervisor:
    """Keeps a plan's programs running until SIGINT, SIGTERM or SIGHUP."""

    def __init__(self, plan: Plan, output: Output) -> None:
        self._plan = plan
        self._output = output
        self._children = [Child(program) for program in plan.programs]
        self._selector = selectors.DefaultSelector()
        self._stopping = False
        self._greeted = False

    def run(self) -> None:
        """Start everything, keep it running, and return when the last process has ended."""
        self._listen_to_signals()
        for child in self._children:
            if self._stopping:
                break
            self._start(child)
            self._wait_for_socket(child)
        while not self._stopping:
            self._turn(self._pause())
            self._restart_the_dead()
            self._greet_when_ready()
        self._output.say("Stopping.")
        for stage in sorted({program.stage for program in self._plan.programs}):
            self._stop([child for child in self._children if child.program.stage == stage])

    def _listen_to_signals(self) -> None:
        self._wake = signal_sockets()  # a signal ends the wait of `_turn`
        self._selector.register(self._wake[0], selectors.EVENT_READ, None)
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            # Under nohup the end of the terminal is not ours.
            if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN:
                signal.signal(number, self._ask_to_stop)
        signal.signal(signal.SIGCHLD, lambda _number, _frame: None)

    def _ask_to_stop(self, _number: int, _frame: FrameType | None) -> None:
        self._stopping = True

    def _start(self, child: Child) -> None:
        child.start()
        if child.process is not None and child.process.stdout is not None:
            os.set_blocking(child.process.stdout.fileno(), False)
            reader = LineReader(
                child.process.stdout.fileno(), child.program.name, self._output.pass_on
            )
            self._selector.register(child.process.stdout, selectors.EVENT_READ, reader)

    def _wait_for_socket(self, child: Child) -> None:
        deadline = time.monotonic() + START_SECONDS
        path = child.program.socket
        while path and not self._stopping and time.monotonic() < deadline:
            if answers(socket.AF_UNIX, path):
                return
            self._turn(0.02)
            self._restart_the_dead()

    def _pause(self) -> float | None:
        times = [child.start_at for child in self._children if child.start_at is not None]
        if not self._greeted:
            return 0.1
        return min(times) - time.monotonic() if times else None  # none for what is past

    def _turn(self, wait: float | None) -> None:
        for key, _ in self._selector.select(wait):
            if key.data is None:
                self._wake[0].recv(4096)
            elif not key.data.read():
                self._selector.unregister(key.fileobj)
                key.fileobj.close()  # type: ignore[union-attr]  # always a pipe here

    def _restart_the_dead(self) -> None:
        for child in self._children:
            if child.start_at is None and child.has_died() and child.process is not None:
                self._hear_out(child.process)
                code = child.process.returncode
                pause = child.plan_restart()
                when = f"in {pause:g} s" if pause else "at once"
                self._output.say(
                    f"{child.program.name} ended (code {code}); starting it again {when}."
                )
            if child.start_at is not None and child.start_at <= time.monotonic():
                self._start(child)

    def _hear_out(self, ended: subprocess.Popen[bytes]) -> None:
        """What it said last is why it ended, and told before that."""
        for _ in range(LAST_LOOKS):
            if ended.stdout is not None and not ended.stdout.closed:
                self._turn(0)

    def _greet_when_ready(self) -> None:
        if self._greeted:
            return
        family = socket.AF_INET6 if ":" in self._plan.host else socket.AF_INET
        if answers(family, (self._plan.host, self._plan.port)):
            self._greeted = True
            for line in self._plan.greeting:
                self._output.say(line)

    def _stop(self, children: Sequence[Child]) -> None:
        for child in children:
            child.terminate()
        deadline = time.monotonic() + STOP_SECONDS
        running = [child for child in children if child.process is not None]
        while running and time.monotonic() < deadline:
            self._turn(0.05)
            running = [child for child in running if not child.has_died()]
        for child in running:
            self._output.say(f"{child.program.name} did not end in time and was killed.")
            child.kill()
            if child.process is not None:
                child.process.wait()


def answers(family: int, address: Any) -> bool:
    """Whether somebody accepts connections there."""
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.settimeout(0.5)
        return probe.connect_ex(address) == 0


def main() -> None:
    """Read the plan from the pipe and run it."""
    with open(int(sys.argv[1]), encoding="utf-8") as pipe:
        plan = Plan.from_json(pipe.read())
    Supervisor(plan, output()).run()


if __name__ == "__main__":
    main()
