"""Start the portal's processes, restart dead ones, and stop everything together.

It uses only the standard library and one thread, because it runs as long as the portal and should
need few resources. `flask up` prepares a plan, then becomes this (`python -m jobs.supervisor FD`).
"""

import contextlib
import json
import os
import selectors
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from types import FrameType
from typing import Any, Final

from jobs.process_setup import dies_with, signal_sockets


@dataclass(frozen=True, slots=True)
class Program:
    """One process to keep alive. Processes with the lowest `stage` stop first. `socket`: a path
    that must accept connections before the next program starts."""

    name: str
    argv: list[str]
    stage: int
    socket: str = ""


@dataclass(frozen=True, slots=True)
class Plan:
    """Programs to run, the address that answers once they run, and the lines to write then."""

    programs: list[Program]
    host: str
    port: int
    greeting: list[str]

    def to_json(self) -> str:
        """Serialize the plan for the way through `exec`."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> "Plan":
        values: dict[str, Any] = json.loads(text)
        programs = [Program(**program) for program in values.pop("programs")]
        return cls(programs=programs, **values)


def become(plan: Plan, environ: Mapping[str, str]) -> None:
    """Replace this process with the supervisor of `plan`, which frees all imports made so far.

    The plan goes through a pipe, because every user of the machine can see command lines.
    """
    reader, writer = os.pipe()
    os.write(writer, plan.to_json().encode())
    os.close(writer)
    os.set_inheritable(reader, True)
    argv = [sys.executable, "-m", "jobs.supervisor", str(reader)]
    os.execve(sys.executable, argv, dict(environ))  # noqa: S606 - that is the point


class Output:
    """Lines for a terminal. Each line of a child begins with its name."""

    def say(self, line: str) -> None:
        """Write a line of the supervisor's own."""
        write(line)

    def pass_on(self, name: str, line: str) -> None:
        """Write a line of a child's output."""
        write(f"{name:<10} {line}")


class JsonOutput(Output):
    """One JSON object per line. JSON lines of a child pass through unchanged."""

    def say(self, line: str) -> None:
        """Write a line of the supervisor's own. Blank lines are for people only."""
        if line:
            self._write("supervisor", line)

    def pass_on(self, name: str, line: str) -> None:
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
    """Return the output for LOG_FORMAT, which `flask up` sets."""
    return JsonOutput() if os.environ.get("LOG_FORMAT") == "json" else Output()


def write(line: str) -> None:
    """Write to standard output, whose reader may be gone."""
    with contextlib.suppress(BrokenPipeError):
        sys.stdout.write(line + "\n")
        sys.stdout.flush()


WELL_SECONDS: Final = 10.0
PAUSES: Final = (0.0, 0.5, 1.0, 2.0, 5.0)


class Child:
    """A program, its running process if any, and its next start in monotonic seconds."""

    def __init__(self, program: Program) -> None:
        self.program = program
        self.process: subprocess.Popen[bytes] | None = None
        self.start_at: float | None = None
        self._started = 0.0
        self._deaths = 0

    def start(self) -> None:
        """Start the process in its own session. It dies with the supervisor."""
        self.start_at = None
        self._started = time.monotonic()
        self.process = subprocess.Popen(  # noqa: S603 - our own fixed command lines
            self.program.argv,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            # Safe here, because no second thread can hold a lock during the fork.
            preexec_fn=dies_with(os.getpid()),
        )

    def has_died(self) -> bool:
        """Return whether the process has ended. If so, kill everything left in its session."""
        if self.process is None or self.process.poll() is None:
            return False
        self.kill()
        return True

    def plan_restart(self) -> float:
        """Schedule the next start and return the pause in seconds."""
        lived = time.monotonic() - self._started
        self._deaths = 0 if lived > WELL_SECONDS else self._deaths
        pause = PAUSES[min(self._deaths, len(PAUSES) - 1)]
        self._deaths += 1
        self.start_at = time.monotonic() + pause
        return pause

    def terminate(self) -> None:
        """Send SIGTERM once. A second one would cut short the shutdown that the first one
        started."""
        if self.process is not None:
            self.process.terminate()  # no effect after its end

    def kill(self) -> None:
        """Send SIGKILL to the process and everything in its session."""
        if self.process is not None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self.process.pid, signal.SIGKILL)


class LineReader:
    """Passes a child's output on, line by line, with its name."""

    def __init__(self, handle: int, name: str, write: Callable[[str, str], None]) -> None:
        self._handle = handle
        self._name = name
        self._write = write
        self._rest = b""

    def read(self) -> bool:
        """Pass on available lines. Return False at the end of the output."""
        try:
            data = os.read(self._handle, 65_536)
        except BlockingIOError:
            return True
        *lines, self._rest = (self._rest + data).split(b"\n")
        if self._rest and (not data or len(self._rest) > 65_536):
            lines, self._rest = [*lines, self._rest], b""
        for line in lines:
            self._write(self._name, line.decode(errors="replace").rstrip())
        return bool(data)


STOP_SECONDS: Final = 15.0
START_SECONDS: Final = 10.0
# One read for the rest of an output and one for its end, which another process can delay by keeping
# the pipe open.
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
            # Under nohup the end of the terminal must not stop the portal.
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
        return min(times) - time.monotonic() if times else None  # a past time means no wait

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
                when = f"in {pause:g} s" if pause else "right away"
                self._output.say(
                    f"{child.program.name} ended (code {code}). Starting it again {when}."
                )
            if child.start_at is not None and child.start_at <= time.monotonic():
                self._start(child)

    def _hear_out(self, ended: subprocess.Popen[bytes]) -> None:
        """Pass on a process's last lines, which explain its end, before reporting the end."""
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
    """Return whether the address accepts connections."""
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
