"""The receiver as a separate process: checks signatures, logs JSON lines, obeys `/_control`.

`POST /_control` with `{"status": 500, "body": "", "delay": 0.5, "headers": [["Name", "value"]]}`
sets all coming responses. It responds with the number of requests received so far.
"""

import argparse
import hashlib
import hmac
import json
import signal
import sys
import threading
from pathlib import Path
from typing import TextIO

from tests.support.receiver import Answer, Received, Receiver

CONTROL_PATH = "/_control"
SIGNATURE_HEADER = "X-Asset-Webhook-Signature"


def signature_is_right(received: Received, secret: str) -> bool:
    """Return True if the body is signed with the secret. Uses no code of the portal."""
    expected = hmac.new(secret.encode(), received.body, hashlib.sha256).hexdigest()
    return hmac.compare_digest(expected, received.header(SIGNATURE_HEADER) or "")


class LoggingReceiver:
    """A well-behaved receiver that logs each request as a JSON line."""

    def __init__(self, secret: str, log: TextIO) -> None:
        self.secret, self.log = secret, log
        self.count = 0
        self.answer = Answer()

    def __call__(self, received: Received) -> Answer:
        """Log one request, or obey one request to `/_control`."""
        if received.path == CONTROL_PATH:
            return self._obey(received.body)
        self.count += 1
        entry = {
            "method": received.method,
            "path": received.path,
            "headers": received.headers,
            "body": received.body.decode("utf-8", "replace"),
            "signature_ok": signature_is_right(received, self.secret),
            "status": self.answer.status,
            "at": received.at,
        }
        self.log.write(json.dumps(entry) + "\n")
        self.log.flush()
        return self.answer

    def _obey(self, body: bytes) -> Answer:
        if body:
            order = json.loads(body)
            self.answer = Answer(
                order.get("status", 200),
                order.get("body", "").encode(),
                [(name, value) for name, value in order.get("headers", [])],
                order.get("delay", 0.0),
            )
        return Answer(body=json.dumps({"count": self.count}).encode())


def main() -> None:
    """Run until SIGTERM or Ctrl-C. The first line of standard output is the URL."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--secret", default="")
    parser.add_argument("--log", type=Path)
    options = parser.parse_args()
    done = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: done.set())
    log = options.log.open("a", encoding="utf-8") if options.log else sys.stdout
    with (
        log,
        Receiver(port=options.port, answerer=LoggingReceiver(options.secret, log)) as receiver,
    ):
        sys.stdout.write(f"listening on {receiver.url}\n")
        sys.stdout.flush()
        done.wait()
