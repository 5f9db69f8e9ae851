"""The web server as its systemd unit starts it, with its own database and no Redis."""

import contextlib
import socket
import subprocess
import urllib.request
from collections.abc import Iterator
from pathlib import Path

from tests.conftest import ENVIRONMENT, migrate_to_head
from tests.support.ports import free_port
from tests.support.processes import Process, end_whatever_knows, until

GUNICORN = ["-m", "gunicorn", "wsgi:app"]
# As systemd hands over a socket: https://www.freedesktop.org/software/systemd/man/sd_listen_fds.html
TAKE_SOCKET = f"""import os, sys
os.dup2(0, 3)
os.environ.update(LISTEN_FDS="1", LISTEN_PID=str(os.getpid()))
os.execv(sys.executable, [sys.executable, *{GUNICORN}])"""


class WebServer:
    """gunicorn and its processes. `changes` are settings.

    `waiting` is a socket that already listens while the server isn't running.
    """

    def __init__(self, folder: Path, waiting: socket.socket | None = None, **changes: str) -> None:
        self.port = waiting.getsockname()[1] if waiting else free_port()
        url = f"sqlite:///{folder}/portal.sqlite"
        migrate_to_head(url, folder)
        environ = {
            **ENVIRONMENT,
            "DATABASE_URL": url,
            "INSTANCE_DIR": str(folder),
            "PORT": str(self.port),
            "REDIS_URL": f"unix://{folder}/nobody.sock",
            **changes,
        }
        words = ["-c", TAKE_SOCKET] if waiting else GUNICORN
        handle = waiting.fileno() if waiting else subprocess.DEVNULL
        self.process = Process(folder / "web.log", words, environ, handle)

    @property
    def said(self) -> str:
        """Return the log."""
        return self.process.output.read_text()

    def answers(self) -> bool:
        """Return True if /healthz responds with 200."""
        try:
            address = f"http://127.0.0.1:{self.port}/healthz"
            with urllib.request.urlopen(address, timeout=5) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False

    def connect(self, seconds: float = 10) -> socket.socket:
        """Connect to the server, with a timeout in seconds."""
        return socket.create_connection(("127.0.0.1", self.port), timeout=seconds)

    def exchange(self, *pieces: bytes) -> bytes:
        """Send these bytes, and return the response until the server closes the connection."""
        response = b""
        # It can close while we still send. The response before that counts.
        with self.connect() as connection, contextlib.suppress(ConnectionError):
            with contextlib.suppress(ConnectionError):
                for piece in pieces:
                    connection.sendall(piece)
            while more := connection.recv(65_536):
                response += more
        return response


@contextlib.contextmanager
def web_server(folder: Path, **changes: str) -> Iterator[WebServer]:
    """Run a web server while the block runs, and stop it at the end."""
    server = WebServer(folder, **changes)
    try:
        assert until(server.answers, 30), server.said
        yield server
        server.process.stop()
    finally:
        server.process.close()
        end_whatever_knows(folder)
