"""Fork for each process that is asked for at socket FD, with what these begin with read before.

`python -m tests.support.fork_server.server FD`
"""

import gc
import importlib
import json
import os
import pkgutil
import runpy
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from types import ModuleType
from typing import Final, NamedTuple

import portal
from tests.support.fork_server.supervised import (
    Forked,
    ForkingPopen,
    Words,
    forget_the_supervisor,
    prepare,
    show,
    speak_at_once,
    supervises,
)

# What they import themselves, beside all of the portal. Not the jobs, of which each process has a
# flag of its own that it is to stop, nor what makes an application by being imported.
OTHERS: Final = ("flask.cli", "gunicorn.app.wsgiapp", "rq", "rq_scheduler", "waitress.task")


class Wanted(NamedTuple):
    """A process as it is asked for: a module and its words, the environment, where it writes."""

    module: str
    words: list[str]
    environ: dict[str, str]
    output: int


def serve(connection: socket.socket) -> Wanted | None:
    """Fork for each that is asked for, and answer with its number. Returns in the fork, with what
    it is to become, and in the server with None at the end."""
    while True:
        size, handles, _, _ = socket.recv_fds(connection, 4, 1)
        if not size:
            return None
        asked = json.loads(connection.recv(int.from_bytes(size), socket.MSG_WAITALL))
        reader, writer = os.pipe()
        between = os.fork()
        if between == 0:
            parent = os.getpid()
            pid = os.fork()
            if pid:
                os.write(writer, pid.to_bytes(4))
                os._exit(0)
            os.close(reader)
            os.close(writer)
            connection.close()
            # Whoever asked adopts it when its parent has ended, as it has asked the system to.
            while os.getppid() == parent:
                time.sleep(0.001)
            return Wanted(**asked, output=handles[0])
        os.close(writer)
        os.close(handles[0])
        os.waitpid(between, 0)
        connection.sendall(os.read(reader, 4))
        os.close(reader)


def become(wanted: Wanted) -> None:
    """As if `python -m module words` had been started."""
    for number in (1, 2):
        os.dup2(wanted.output, number)
    os.close(wanted.output)
    words = Words([sys.executable, "-m", wanted.module, *wanted.words], wanted.environ)
    if supervises(wanted.module, wanted.words) and (further := prepare()):
        words = further
        subprocess.Popen = ForkingPopen  # type: ignore[misc, assignment]
    try:
        _run(words)
    except Forked as forked:
        words = forked.words
    else:
        return
    forget_the_supervisor()
    _run(words)


def _run(words: Words) -> None:
    show(words.argv)
    # What Python itself has set as it began, where nothing was said of a language.
    own = {name: value for name, value in os.environ.items() if name == "LC_CTYPE"}
    os.environ.clear()
    os.environ.update(own | words.environ)
    time.tzset()
    signal.signal(signal.SIGWINCH, signal.SIG_DFL)  # readline, which something reads, has its own
    if "PYTHONUNBUFFERED" in words.environ:
        speak_at_once()
    _, _, module, *sys.argv[1:] = words.argv
    sys.argv[0] = module
    runpy.run_module(module, run_name="__main__", alter_sys=True)


def _modules_of(package: ModuleType) -> Iterator[str]:
    yield package.__name__
    for found in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
        yield found.name


def main() -> None:
    """Read, then serve."""
    gc.disable()
    for name in (*OTHERS, *_modules_of(portal)):
        importlib.import_module(name)
    gc.freeze()
    gc.enable()
    if wanted := serve(socket.socket(fileno=int(sys.argv[1]))):
        become(wanted)


if __name__ == "__main__":
    main()
