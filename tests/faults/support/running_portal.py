"""A whole portal in its own processes, as `make run` starts it, for faults."""

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
# The supervisor's program names, and the part of the command line that identifies each.
WORDS = {"web": WEB, "deliveries": WORKER, "background": BACKGROUND, "scheduler": SCHEDULER}
SENDERS = ("deliveries", "scheduler")


class RunningPortal:
    """The running portal, and an application on the same database and Valkey for checks.

    `parts`: run only these of the supervisor's programs, without a greeting. `within`: Python's
    arguments for a wrapper that becomes the programs in a namespace of their own.
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
        return f"http://{self.settings.host}:{self.settings.port}"

    def starts(self) -> bool:
        """Return whether all programs started in time."""
        if self._parts == tuple(WORDS):
            return self.process.says("Press Ctrl-C to stop", 100)
        if "deliveries" in self._parts and not self.process.says("Ready for deliveries.", 100):
            return False
        return until(self.is_whole, 30)

    def pids_of(self, words: str) -> list[int]:
        """Return the IDs of the processes whose command line contains `words`, oldest first."""
        return [pid for pid, line in children_of(self.process.pid).items() if words in line]

    def pid_of(self, words: str) -> int:
        """Return the ID of the only process whose command line contains `words`."""
        pids = self.pids_of(words)
        assert len(pids) == 1, f"{words}: {children_of(self.process.pid)}"
        return pids[0]

    def kill(self, words: str, number: int = signal.SIGKILL) -> int:
        """Send a signal to the oldest such process. The web server's is its master, whose workers
        die with it."""
        pid = self.pids_of(words)[0]
        os.kill(pid, number)
        if number == signal.SIGKILL:
            assert until(lambda: not is_alive(pid), 5)
        return pid

    def is_whole(self) -> bool:
        """Return whether every process runs and the pages are served."""
        counts = {WORDS[part]: 3 if part == "web" else 1 for part in self._parts}
        if self.settings.uses_embedded_valkey:
            counts[VALKEY] = 1
        lines = children_of(self.process.pid).values()
        is_there = all(
            sum(words in line for line in lines) == count for words, count in counts.items()
        )
        return is_there and ("web" not in self._parts or self.serves())

    def serves(self) -> bool:
        """Return whether the pages' address accepts connections."""
        with socket.socket() as probe:
            probe.settimeout(1)
            return probe.connect_ex((self.settings.host, self.settings.port)) == 0

    @contextlib.contextmanager
    def hanging(self, words: str) -> Iterator[int]:
        """Pause the process during the block. Yields its ID."""
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
        """Yield a client of its Valkey."""
        client = Redis.from_url(self.settings.redis_url, protocol=2, socket_timeout=2)
        with client:
            yield client

    def close(self) -> None:
        """End all processes and close the application's connections."""
        with self.app.app_context():
            db.session.remove()
            db.engine.dispose()
            notifier().close()
        children = children_of(self.process.pid)
        # A graceful end takes seconds and is tested elsewhere.
        self.process.close()
        assert until(lambda: not any(map(is_alive, children)), 10)
