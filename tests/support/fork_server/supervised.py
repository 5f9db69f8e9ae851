"""Fork instead of `exec` for the supervisor and the processes that it starts.

`flask up` becomes the supervisor by `exec`, and the supervisor starts each program by another
`exec`. Here, a child does the work before the first `exec`. This process, which has imported
everything and done nothing else, then becomes the supervisor.
"""

import ctypes
import fcntl
import inspect
import io
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Final, NamedTuple, NoReturn

from jobs.process_setup import dies_with

# Besides `flask up`.
SUPERVISING: Final = {"tests.faults.support.partial_portal"}
MOST_HANDLES: Final = 100
LONGEST: Final = 1_000_000  # bytes of the child's facts
NEW_HANDLERS: Final = {signal.SIGINT: signal.default_int_handler}  # of a new Python process


class Words(NamedTuple):
    """The command line and the environment of a process."""

    argv: list[str]
    environ: dict[str, str]


class Forked(BaseException):
    """Raised in a fork of the supervisor to leave its call stack and run `words`."""

    def __init__(self, words: Words) -> None:
        self.words = words


def supervises(module: str, words: Sequence[str]) -> bool:
    """Return True if such a process becomes a supervisor."""
    return module in SUPERVISING or (module == "flask" and words[-1] == "up")


def prepare() -> Words | None:
    """Fork a child that does the work before the `exec`.

    In the child, returns None. In this process, returns the arguments of the child's `exec`, and
    takes over its folder, umask, and open files. If the child ends without `exec`, this process
    ends with the same exit code or signal.
    """
    ours, theirs = socket.socketpair(type=socket.SOCK_SEQPACKET)
    own = os.getpid()
    if not (pid := os.fork()):
        ours.close()
        dies_with(own)()
        os.execve = partial(_hand_over, theirs)  # type: ignore[assignment]
        return None
    theirs.close()
    with ours:
        content, handles, _, _ = socket.recv_fds(ours, LONGEST, MOST_HANDLES)
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    if not content:
        if code < 0:
            os.kill(own, -code)
        os._exit(code)
    facts = json.loads(content)
    _place(handles, facts["numbers"])
    os.chdir(facts["folder"])
    os.umask(facts["umask"])
    return Words(facts["argv"], facts["environ"])


def _hand_over(
    connection: socket.socket, _path: str, argv: list[str], environ: Mapping[str, str]
) -> NoReturn:
    """Send the arguments and open files to the parent, in place of `os.execve`."""
    open_numbers = (int(name) for name in os.listdir("/proc/self/fd"))
    numbers = [number for number in open_numbers if number > 2 and _is_inherited(number)]
    umask = os.umask(0)
    facts = {"argv": argv, "environ": dict(environ), "folder": os.getcwd(), "umask": umask}
    socket.send_fds(connection, [json.dumps({**facts, "numbers": numbers}).encode()], numbers)
    os._exit(0)


def _is_inherited(number: int) -> bool:
    try:
        return os.get_inheritable(number)
    except OSError:  # the descriptor that the list was read with
        return False


def _place(handles: Sequence[int], numbers: Sequence[int]) -> None:
    """Give each open file the number that it had in the child."""
    apart = [fcntl.fcntl(handle, fcntl.F_DUPFD, 500) for handle in handles]
    for handle, number in zip(apart, numbers, strict=True):
        os.dup2(handle, number)
    for handle in {*handles, *apart} - {*numbers}:
        os.close(handle)


class ForkingPopen(subprocess.Popen[bytes]):
    """A Popen that forks this process instead of starting another Python."""

    def _execute_child(self, *given: Any) -> None:  # type: ignore[misc]
        parent = super()._execute_child  # type: ignore[misc]
        asked = inspect.signature(parent).bind(*given).arguments
        if asked["args"][:2] != [sys.executable, "-m"]:
            parent(*given)
            return
        self.pid = os.fork()
        if self.pid:
            self._child_created = True
            ends = ("p2cread", "p2cwrite", "c2pread", "c2pwrite", "errread", "errwrite")
            self._close_pipe_fds(*(asked[end] for end in ends))  # type: ignore[attr-defined]
            return
        for number, end in enumerate(("p2cread", "c2pwrite", "errwrite")):
            os.dup2(asked[end], number)
        os.setsid()
        asked["preexec_fn"]()
        signal.set_wakeup_fd(-1)
        for number in signal.valid_signals():
            if callable(signal.getsignal(number)):
                signal.signal(number, NEW_HANDLERS.get(number, signal.SIG_DFL))
        raise Forked(Words(asked["args"], dict(os.environ)))


def forget_the_supervisor() -> None:
    """Close the files that the supervisor had open, after nothing refers to them anymore."""
    os.closerange(3, 10 * MOST_HANDLES)


def speak_at_once() -> None:
    """Unbuffer stdout and stderr like PYTHONUNBUFFERED does at startup."""
    for number, name in ((1, "stdout"), (2, "stderr")):
        old = getattr(sys, name)
        raw: Any = io.FileIO(number, "w", closefd=False)
        file = io.TextIOWrapper(raw, encoding=old.encoding, errors=old.errors, write_through=True)
        setattr(sys, name, file)


def show(argv: Sequence[str]) -> None:
    """Overwrite this process's command line, as far as the new one fits over the old."""
    facts = Path("/proc/self/stat").read_text().rpartition(")")[2].split()
    # https://man7.org/linux/man-pages/man5/proc_pid_stat.5.html: arg_start and arg_end
    begin, end = int(facts[45]), int(facts[46])
    text = b"".join(word.encode() + b"\0" for word in argv)[: end - begin - 1]
    ctypes.memset(begin, 0, end - begin)
    ctypes.memmove(begin, text, len(text))
