"""Fork a process with everything imported for each request at socket FD.

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

# Modules to import besides all of the portal. Not the jobs, because each process has its own stop
# flag there, and no module that creates an application on import.
OTHERS: Final = ("flask.cli", "gunicorn.app.wsgiapp", "rq", "rq_scheduler", "waitress.task")


class Wanted(NamedTuple):
    """A request for a process. `words` are its arguments, `output` is a file descriptor."""

    module: str
    words: list[str]
    environ: dict[str, str]
    output: int


def serve(connection: socket.socket) -> Wanted | None:
    """Fork a process per request, and respond with its pid.

    In the fork, returns the request. In the server, returns None at the end.
    """
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
            # The requesting process adopts this one when its parent has ended.
            while os.getppid() == parent:
                time.sleep(0.001)
            return Wanted(**asked, output=handles[0])
        os.close(writer)
        os.close(handles[0])
        os.waitpid(between, 0)
        connection.sendall(os.read(reader, 4))
        os.close(reader)


def become(wanted: Wanted) -> None:
    """Run like a new `python -m module words`."""
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
    # Python sets LC_CTYPE at startup if the environment has no locale.
    own = {name: value for name, value in os.environ.items() if name == "LC_CTYPE"}
    os.environ.clear()
    os.environ.update(own | words.environ)
    time.tzset()
    # Some module imports readline, which installs its own handler.
    signal.signal(signal.SIGWINCH, signal.SIG_DFL)
    if "PYTHONUNBUFFERED" in words.environ:
        speak_at_once()
    _, _, module, *sys.argv[1:] = words.argv
    sys.argv[0] = module
    runpy.run_module(module, run_name="__main__", alter_sys=True)


def _modules_of(package: ModuleType) -> Iterator[str]:
    yield package.__name__
    for info in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
        yield info.name


def main() -> None:
    """Import everything, then serve."""
    gc.disable()
    for name in (*OTHERS, *_modules_of(portal)):
        importlib.import_module(name)
    gc.freeze()
    gc.enable()
    if wanted := serve(socket.socket(fileno=int(sys.argv[1]))):
        become(wanted)


if __name__ == "__main__":
    main()
