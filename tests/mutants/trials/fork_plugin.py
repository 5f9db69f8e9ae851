"""For pytest: a server that has read all tests, and runs a plan of them in a fork of itself.

It writes a line to the socket that `--requests` names when it is ready. A request is a line of JSON
then: `plan`, `verdict` (the file for the plugin's verdict), `limit` (seconds), `temporary` (a
folder), and of a change `file`, `old` and `new` (its texts). So is the answer: the child's `status`
(None when its time was up) and the seconds of `processor` that it and its children took. A child
that could not put the change in ends without a verdict.
"""

import ctypes
import gc
import json
import os
import signal
import socket
import tempfile
import time
import traceback
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import pytest

from tests.mutants.caches import forget_what_is_kept
from tests.mutants.trials.code_swap import Unswappable, functions_below, swap
from tests.mutants.trials.trial_plugin import Trial

_SET_CHILD_SUBREAPER: Final = 36  # prctl(2)


def pytest_addoption(parser: pytest.Parser) -> None:
    """The number of the socket."""
    parser.addoption("--requests", type=int)


def pytest_configure(config: pytest.Config) -> None:
    """Begin, unless only help was asked for."""
    config.pluginmanager.register(Server(config.getoption("--requests")))


class Server:
    """Answers one request after another until the socket ends."""

    def __init__(self, number: int) -> None:
        os.set_inheritable(number, False)
        self._socket = socket.socket(fileno=number)

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        """In place of the tests."""
        # What a child leaves behind becomes this process's own, and can be ended.
        ctypes.CDLL(None).prctl(_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
        gc.unfreeze()
        self._functions = functions_below(f"{session.config.rootpath}/")
        gc.freeze()
        with self._socket.makefile("rw") as stream:
            stream.write("ready\n")
            stream.flush()
            for line in stream:
                stream.write(json.dumps(self._answer(session, json.loads(line))) + "\n")
                stream.flush()
        return True

    def _answer(self, session: pytest.Session, request: dict[str, Any]) -> dict[str, Any]:
        child = os.fork()
        if child == 0:
            end = 1
            try:
                end = self._run(session, request)
            except BaseException:
                traceback.print_exc()
            finally:
                os._exit(end)
        until, status = time.monotonic() + request["limit"], None
        while time.monotonic() < until:
            pid, ended, used = os.wait4(child, os.WNOHANG)
            if pid:
                status = os.waitstatus_to_exitcode(ended)
                break
            time.sleep(0.005)
        else:
            os.kill(child, signal.SIGKILL)
            _, _, used = os.wait4(child, 0)
        processor = used.ru_utime + used.ru_stime
        return {"status": status, "processor": processor + sum(_end_what_is_left())}

    def _run(self, session: pytest.Session, request: dict[str, Any]) -> int:
        """In the child: put the mutant in, and run the plan as pytest would."""
        os.environ["TMPDIR"] = request["temporary"]
        tempfile.tempdir = None
        if "new" in request:
            file = request["file"]
            # What is not imported yet will be, from the file.
            if functions := self._functions.get(file):
                try:
                    swap(file, request["old"], request["new"], functions)
                except Unswappable:
                    return 1
        forget_what_is_kept()
        hook, plugins = session.config.hook, session.config.pluginmanager
        plugins.unregister(self)
        trial = Trial(dict(request["plan"]), Path(request["verdict"]))
        trial.pytest_collection_modifyitems(session.items)
        plugins.register(trial)
        with suppress(session.Interrupted):
            hook.pytest_runtestloop(session=session)
        status = pytest.ExitCode.TESTS_FAILED if session.testsfailed else pytest.ExitCode.OK
        hook.pytest_sessionfinish(session=session, exitstatus=status)
        return status


def _end_what_is_left() -> Iterator[float]:
    """End what a child has started and left; the seconds of processor that it took."""
    for _ in range(1000):
        children = Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()
        if not children:
            return
        for each in children:
            with suppress(ProcessLookupError):
                os.kill(int(each), signal.SIGKILL)
        with suppress(ChildProcessError):
            _, _, used = os.wait4(-1, 0)
            yield used.ru_utime + used.ru_stime
    raise RuntimeError("Processes that were killed do not end.")
