"""What requests, and hostile answers, leave behind in memory."""

import gc
from pathlib import Path

from portal.engine.http.curl_handle import CurlHandle
from portal.engine.http.transport import Transport
from tests.engine.http.real_receivers import hostile
from tests.engine.http.real_receivers.hostile import MEGABYTE, OK_HEAD, HostileServer
from tests.engine.http.real_receivers.send import BODY, drive_all, prepare, send
from tests.support.receiver import Receiver

ROUNDS, POSTS_AT_ONCE = 10, 50


def resident_bytes() -> int:
    """What this process holds in memory now."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096


def test_five_hundred_hostile_answers_take_no_memory(transport: Transport) -> None:
    body = hostile.pouring(OK_HEAD + b"\r\n", b"x" * MEGABYTE, 3)
    heads = hostile.pouring(OK_HEAD, b"X: " + b"y" * 1000 + b"\r\n", 200)
    with HostileServer(body) as large, HostileServer(heads) as endless:
        sizes = []
        for _ in range(ROUNDS):
            for number in range(POSTS_AT_ONCE):
                url = (large, endless)[number % 2].url
                transport.start(number, prepare(url, (), BODY), timeout=10)
            drive_all(transport, within=20)
            sizes.append(resident_bytes())
    assert sizes[-1] - sizes[0] < 20 * MEGABYTE, sizes


def handles() -> int:
    return sum(isinstance(each, CurlHandle) for each in gc.get_objects())


def test_one_request_after_the_other_takes_no_more_than_one(
    transport: Transport, receiver: Receiver
) -> None:
    gc.collect()  # what others have left behind
    before = handles()
    for _ in range(3):
        assert send(transport, receiver.url).reason is None
    assert handles() == before + 1
