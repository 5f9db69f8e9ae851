"""A supervisor that the fork server has forked, and the processes that it starts: forks as well.

`flask up` becomes the supervisor by `exec`, and that starts each of its programs by another. Here
a child does what comes before, and this process, which has imported everything and done nothing
yet, becomes the supervisor in its place.
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

# Beside `flask up`.
SUPERVISING: Final = {"tests.faults.support.partial_portal"}
MOST_HANDLES: Final = 100
LONGEST: Final = 1_000_000  # bytes of what is told
NEW_HANDLERS: Final = {signal.SIGINT: signal.default_int_handler}  # of a Python that begins


class Words(NamedTuple):
    """What a process is started with: its command line, and its environment."""

    argv: list[str]
    environ: dict[str, str]


class Forked(BaseException):
    """Raised in the fork of a supervisor, out of all that this one was at: become `words`."""

    def __init__(self, words: Words) -> None:
        self.words = words


def supervises(module: str, words: Sequence[str]) -> bool:
    """Whether such a process becomes a supervisor."""
    return module in SUPERVISING or (module == "flask" and words[-1] == "up")


def prepare() -> Words | None:
    """Have a child do what comes before the `exec`. None in the child, which goes on with that; in
    this process what it has become, in the child's folder, with the files that it has left open.

    Where the child ends without it, so does this process, and as the child did.
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
        told, handles, _, _ = socket.recv_fds(ours, LONGEST, MOST_HANDLES)
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    if not told:
        if code < 0:
            os.kill(own, -code)
        os._exit(code)
    facts = json.loads(told)
    _place(handles, facts["numbers"])
    os.chdir(facts["folder"])
    os.umask(facts["umask"])
    return Words(facts["argv"], facts["environ"])


def _hand_over(
    connection: socket.socket, _path: str, argv: list[str], environ: Mapping[str, str]
) -> NoReturn:
    """In the place of `os.execve`."""
    found = (int(name) for name in os.listdir("/proc/self/fd"))
    numbers = [each for each in found if each > 2 and _is_inherited(each)]
    umask = os.umask(0)
    facts = {"argv": argv, "environ": dict(environ), "folder": os.getcwd(), "umask": umask}
    socket.send_fds(connection, [json.dumps({**facts, "numbers": numbers}).encode()], numbers)
    os._exit(0)


def _is_inherited(number: int) -> bool:
    try:
        return os.get_inheritable(number)
    except OSError:  # what the list itself was read by
        return False


def _place(handles: Sequence[int], numbers: Sequence[int]) -> None:
    """Give each open file the number that it had."""
    apart = [fcntl.fcntl(each, fcntl.F_DUPFD, 500) for each in handles]
    for each, number in zip(apart, numbers, strict=True):
        os.dup2(each, number)
    for each in {*handles, *apart} - {*numbers}:
        os.close(each)


class ForkingPopen(subprocess.Popen[bytes]):
    """Starts what is another Python by a fork of this one."""

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
    """Close what it had open, once nothing refers to it any more."""
    os.closerange(3, 10 * MOST_HANDLES)


def speak_at_once() -> None:
    """As a Python that was started with PYTHONUNBUFFERED."""
    for number, name in ((1, "stdout"), (2, "stderr")):
        old = getattr(sys, name)
        raw: Any = io.FileIO(number, "w", closefd=False)
        file = io.TextIOWrapper(raw, encoding=old.encoding, errors=old.errors, write_through=True)
        setattr(sys, name, file)


def show(argv: Sequence[str]) -> None:
    """Be known to the system by this command line, as far as it fits over the one before."""
    facts = Path("/proc/self/stat").read_text().rpartition(")")[2].split()
    # https://man7.org/linux/man-pages/man5/proc_pid_stat.5.html: arg_start and arg_end
    begin, end = int(facts[45]), int(facts[46])
    text = b"".join(word.encode() + b"\0" for word in argv)[: end - begin - 1]
    ctypes.memset(begin, 0, end - begin)
    ctypes.memmove(begin, text, len(text))
