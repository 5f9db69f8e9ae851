"""A whole portal in processes of its own, as `make run` starts it, to be hurt."""

import contextlib
import os
import signal
import socket
from collections.abc import Iterator, Sequence
from pathlib import Path

from flask import Flask
from redis import Redis

from portal.base_app import create_base_app
from portal.config.settings import Settings, load_settings
from portal.extensions import db
from portal.queue.notifier import init_app, notifier
from tests.support.processes import Process, children_of, is_alive, is_stopped, until

WORKER = "worker deliveries"
BACKGROUND = "worker background"
SCHEDULER = "jobs scheduler"
WEB = "gunicorn"
VALKEY = "valkey-server"
# The supervisor's names of what runs, and how each is known by its command line.
WORDS = {"web": WEB, "deliveries": WORKER, "background": BACKGROUND, "scheduler": SCHEDULER}
SENDERS = ("deliveries", "scheduler")


class RunningPortal:
    """The running portal, and an application on the same database and Valkey to look inside.

    `parts`: only these of the supervisor's programs, and nobody who greets. `within`: what Python
    is started with for a place of their own, in which it becomes them.
    """

    def __init__(
        self,
        folder: Path,
        environment: dict[str, str],
        parts: Sequence[str] = (),
        within: Sequence[str] = (),
    ) -> None:
        self.environment = environment
        self._parts = parts or tuple(WORDS)
        whole = ["-m", "flask", "--app", "wsgi", "up"]
        arguments = ["-m", "tests.faults.support.partial_portal", *parts] if parts else whole
        self.process = Process(folder / "up.log", [*within, *arguments], environment)
        self.settings: Settings = load_settings(environment)
        self.app: Flask = create_base_app(self.settings)
        init_app(self.app)

    @property
    def url(self) -> str:
        """Where its pages are."""
        return f"http://{self.settings.host}:{self.settings.port}"

    def starts(self) -> bool:
        """Whether all of it ran in time."""
        if self._parts == tuple(WORDS):
            return self.process.says("Press Ctrl-C to stop", 100)
        if "deliveries" in self._parts and not self.process.says("Ready for deliveries.", 100):
            return False
        return until(self.is_whole, 30)

    def pids_of(self, words: str) -> list[int]:
        """The processes whose command line contains `words`; the oldest is the first."""
        return [pid for pid, line in children_of(self.process.pid).items() if words in line]

    def pid_of(self, words: str) -> int:
        """The one process whose command line contains `words`."""
        found = self.pids_of(words)
        assert len(found) == 1, f"{words}: {children_of(self.process.pid)}"
        return found[0]

    def kill(self, words: str, number: int = signal.SIGKILL) -> int:
        """Send a signal to the process; the web's is its master, with which the others die."""
        pid = self.pids_of(words)[0]
        os.kill(pid, number)
        if number == signal.SIGKILL:
            assert until(lambda: not is_alive(pid), 5)
        return pid

    def is_whole(self) -> bool:
        """Whether every process runs and the pages are served."""
        wanted = {WORDS[part]: 3 if part == "web" else 1 for part in self._parts}
        if self.settings.uses_embedded_valkey:
            wanted[VALKEY] = 1
        lines = children_of(self.process.pid).values()
        is_there = all(
            sum(words in line for line in lines) == count for words, count in wanted.items()
        )
        return is_there and ("web" not in self._parts or self.serves())

    def serves(self) -> bool:
        """Whether somebody accepts connections at the pages' address."""
        with socket.socket() as probe:
            probe.settimeout(1)
            return probe.connect_ex((self.settings.host, self.settings.port)) == 0

    @contextlib.contextmanager
    def hanging(self, words: str) -> Iterator[int]:
        """The process stands still meanwhile; gives its id."""
        pid = self.pid_of(words)
        os.kill(pid, signal.SIGSTOP)
        try:
            assert until(lambda: is_stopped(pid), 5)
            yield pid
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)

    @contextlib.contextmanager
    def redis(self) -> Iterator[Redis]:
        """A client of its Valkey."""
        client = Redis.from_url(self.settings.redis_url, protocol=2, socket_timeout=2)
        with client:
            yield client

    def close(self) -> None:
        """End all of it, and the connections of the application beside it."""
        with self.app.app_context():
            db.session.remove()
            db.engine.dispose()
            notifier().close()
        children = children_of(self.process.pid)
        # Not in peace, which takes seconds: how it ends in peace is tested elsewhere.
        self.process.close()
        assert until(lambda: not any(map(is_alive, children)), 10)
