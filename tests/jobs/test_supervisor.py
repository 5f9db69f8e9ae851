"""The supervisor restarts dead programs and leaves no process behind, however it ends."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from jobs.supervisor import Plan, Program
from tests.support.ports import free_port
from tests.support.processes import ROOT, end_whatever_knows, is_alive, until

# Writes its pid, then sleeps. On SIGTERM, it writes a line and exits.
POLITE = """
import os, signal, sys, time
log = open(sys.argv[1], "a", buffering=1)
def leave(*_):
    log.write(f"term {os.getpid()} {time.monotonic()}\\n"); sys.exit(0)
signal.signal(signal.SIGTERM, leave)
log.write(f"start {os.getpid()} {time.monotonic()}\\n"); print("up and running", flush=True)
while True: time.sleep(0.1)  # a long one may begin right after the signal, and not hear of it
"""
STUBBORN = """
import signal, sys, time, os
signal.signal(signal.SIGTERM, signal.SIG_IGN)
open(sys.argv[1], "a").write(f"start {os.getpid()} 0\\n")
while True: time.sleep(60)
"""
# A master with a child in the same session, like gunicorn.
FAMILY = """
import os, sys, time
log = open(sys.argv[1], "a", buffering=1)
child = os.fork()
log.write(f"{'start' if child else 'kin'} {os.getpid()} 0\\n")
while True: time.sleep(60)
"""
# Answers some time after its start.
SLOW = """
import os, socket, sys, time
time.sleep(0.5)
open(sys.argv[1], "a").write(f"start {os.getpid()} {time.monotonic()}\\n")
server = socket.socket(socket.AF_UNIX); server.bind(sys.argv[1] + ".sock"); server.listen()
while True: time.sleep(60)
"""
# On its first start, dies before it answers.
FRAIL = SLOW.replace(
    "time.sleep(0.5)",
    """
if not os.path.exists(sys.argv[1]):
    open(sys.argv[1], "a").write(f"start {os.getpid()} {time.monotonic()}\\n"); sys.exit(3)
""",
)


# Writes the reason without a newline, then dies.
LAST_WORDS = """
import os, sys
open(sys.argv[1], "a").write(f"start {os.getpid()} 0\\n")
os.write(2, b"no room left")
os._exit(3)
"""


class Running:
    """A supervisor in its own process, and the files written by its programs."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.process: subprocess.Popen[bytes] | None = None
        self.output = folder / "output.txt"

    def program(self, name: str, code: str, stage: int = 0) -> Program:
        return Program(name, [sys.executable, "-c", code, str(self.folder / name)], stage)

    def start(
        self,
        *programs: Program,
        host: str = "127.0.0.1",
        port: int = 0,
        words: Sequence[str] = ("-m", "jobs.supervisor"),
    ) -> None:
        """Start the programs. The greeting waits for `host` and `port`."""
        plan = self.folder / "plan"
        plan.write_text(Plan(list(programs), host, port or free_port(), ["hello"]).to_json())
        with plan.open() as handle, self.output.open("wb") as output:
            command = [sys.executable, *words, str(handle.fileno())]
            self.process = subprocess.Popen(
                command, cwd=ROOT, stdout=output, stderr=output, pass_fds=[handle.fileno()]
            )

    def pids(self, name: str, word: str = "start") -> list[int]:
        path = self.folder / name
        lines = path.read_text().splitlines() if path.exists() else []
        return [int(line.split()[1]) for line in lines if line.startswith(word)]

    def times(self, name: str, word: str) -> list[float]:
        lines = (self.folder / name).read_text().splitlines()
        return [float(line.split()[2]) for line in lines if line.startswith(word)]

    def send(self, number: int) -> None:
        assert self.process is not None
        self.process.send_signal(number)

    def wait(self, seconds: float = 10) -> int:
        assert self.process is not None
        return self.process.wait(timeout=seconds)


@pytest.fixture(autouse=True)
def hears_a_hangup() -> Iterator[None]:
    """Restore SIGHUP, which tests started with nohup would otherwise ignore."""
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGHUP, before)


@pytest.fixture
def supervisor(tmp_path: Path) -> Iterator[Running]:
    running = Running(tmp_path)
    yield running
    try:
        if running.process is not None and running.process.poll() is None:
            # A graceful end also ends the processes in its programs' sessions.
            running.process.terminate()
            running.process.wait(timeout=20)
    finally:
        end_whatever_knows(tmp_path)
        if running.process is not None:
            running.process.kill()
            running.process.wait(timeout=5)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_each_program_is_ended_with_exactly_one_signal(
    supervisor: Running, number: signal.Signals
) -> None:
    supervisor.start(supervisor.program("a", POLITE), supervisor.program("b", POLITE, 1))
    assert until(lambda: len(supervisor.pids("a") + supervisor.pids("b")) == 2)
    supervisor.send(number)
    supervisor.send(number)
    assert supervisor.wait() == 0
    assert len(supervisor.pids("a", "term")) == len(supervisor.pids("b", "term")) == 1
    assert not any(map(is_alive, supervisor.pids("a") + supervisor.pids("b")))


def test_the_lower_stage_ends_before_the_next_is_stopped(supervisor: Running) -> None:
    slow = POLITE.replace("leave(*_):\n", "leave(*_):\n    time.sleep(0.3)\n")
    supervisor.start(supervisor.program("last", POLITE, 8), supervisor.program("first", slow, 1))
    assert until(lambda: len(supervisor.pids("last") + supervisor.pids("first")) == 2)
    supervisor.send(signal.SIGTERM)
    supervisor.wait()
    assert supervisor.times("first", "term") < supervisor.times("last", "term")


def test_a_program_starts_once_the_previous_one_answers(supervisor: Running) -> None:
    before = replace(supervisor.program("a", SLOW), socket=str(supervisor.folder / "a.sock"))
    supervisor.start(before, supervisor.program("b", POLITE))
    assert until(lambda: len(supervisor.pids("b")) == 1)
    assert supervisor.times("a", "start") < supervisor.times("b", "start")


def test_a_program_that_dies_early_is_restarted_before_the_next_starts(
    supervisor: Running,
) -> None:
    before = replace(supervisor.program("a", FRAIL), socket=str(supervisor.folder / "a.sock"))
    supervisor.start(before, supervisor.program("b", POLITE))
    assert until(lambda: len(supervisor.pids("b")) == 1, 20)
    assert max(supervisor.times("a", "start")) < supervisor.times("b", "start")[0]
    assert len(supervisor.pids("a")) == 2


def test_under_nohup_the_supervisor_outlives_its_terminal(supervisor: Running) -> None:
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    supervisor.start(supervisor.program("a", POLITE))
    assert until(lambda: len(supervisor.pids("a")) == 1)
    supervisor.send(signal.SIGHUP)
    os.kill(supervisor.pids("a")[0], signal.SIGKILL)
    assert until(lambda: len(supervisor.pids("a")) == 2)


def test_a_stop_during_the_start_prevents_further_starts(
    supervisor: Running, tmp_path: Path
) -> None:
    first = replace(supervisor.program("first", POLITE), socket=str(tmp_path / "nobody"))
    # A start of this program would crash the supervisor.
    supervisor.start(first, Program("second", [str(tmp_path / "is not there")], 0))
    assert until(lambda: len(supervisor.pids("first")) == 1)
    supervisor.send(signal.SIGTERM)
    assert supervisor.wait() == 0
    assert len(supervisor.pids("first", "term")) == 1


def test_no_program_survives_a_killed_supervisor(supervisor: Running) -> None:
    supervisor.start(supervisor.program("a", POLITE), supervisor.program("b", STUBBORN))
    assert until(lambda: len(supervisor.pids("a") + supervisor.pids("b")) == 2)
    supervisor.send(signal.SIGKILL)
    supervisor.wait()
    pids = supervisor.pids("a") + supervisor.pids("b")
    assert until(lambda: not any(map(is_alive, pids)), 5)


def test_processes_left_by_a_dead_program_are_ended(supervisor: Running) -> None:
    with socket.create_server(("127.0.0.1", 0)) as portal:
        supervisor.start(supervisor.program("a", FAMILY), port=portal.getsockname()[1])
        assert until(lambda: len(supervisor.pids("a", "kin")) == 1)
        assert until(lambda: b"hello" in supervisor.output.read_bytes()), "now it rests"
    kin = supervisor.pids("a", "kin")[0]
    os.kill(supervisor.pids("a")[0], signal.SIGKILL)
    assert until(lambda: not is_alive(kin), 5)
    assert until(lambda: len(supervisor.pids("a", "kin")) == 2)
    supervisor.send(signal.SIGTERM)
    assert supervisor.wait() == 0
    assert until(lambda: not is_alive(supervisor.pids("a", "kin")[1]), 5)


def test_a_program_that_ignores_sigterm_is_killed(supervisor: Running) -> None:
    code = "from jobs import supervisor; supervisor.STOP_SECONDS = 0.5; supervisor.main()"
    supervisor.start(supervisor.program("a", STUBBORN), words=("-c", code))
    assert until(lambda: len(supervisor.pids("a")) == 1)
    supervisor.send(signal.SIGTERM)
    assert supervisor.wait(5) == 0
    assert not is_alive(supervisor.pids("a")[0])
    lines = supervisor.output.read_text().splitlines()
    assert lines == ["Stopping.", "a did not end in time and was killed."]


@pytest.mark.parametrize(("host", "family"), [("127.0.0.1", "AF_INET"), ("::1", "AF_INET6")])
def test_the_greeting_comes_once_the_pages_answer(
    supervisor: Running, host: str, family: str
) -> None:
    if host == "::1" and not socket.has_dualstack_ipv6():
        pytest.skip("this machine has no IPv6")
    address = f"({host!r}, int(sys.argv[1])), family=socket.{family}"
    server = f"import socket,sys,time; s=socket.create_server({address});"
    port = free_port()
    argv = [sys.executable, "-c", f"{server} time.sleep(60)", str(port)]
    supervisor.start(Program("web", argv, 0), host=host, port=port)
    assert until(lambda: supervisor.output.read_bytes().splitlines() == [b"hello"])
    supervisor.send(signal.SIGTERM)
    supervisor.wait()
    assert supervisor.output.read_bytes().splitlines() == [b"hello", b"Stopping."]


def test_the_last_output_of_a_program_precedes_its_end(supervisor: Running) -> None:
    supervisor.start(supervisor.program("a", LAST_WORDS))
    assert until(lambda: len(supervisor.pids("a")) >= 3, 20)
    supervisor.send(signal.SIGTERM)
    assert supervisor.wait() == 0
    lines = supervisor.output.read_text().splitlines()
    ends = [at for at, line in enumerate(lines) if "ended (code 3)" in line]
    assert len(ends) >= 2
    assert {lines[at - 1] for at in ends} == {"a          no room left"}
