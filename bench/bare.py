"""What libcurl alone reaches: the same requests from a loop that does nothing else."""

import time
from collections import deque

import pycurl


def post_all(urls: list[str], body: bytes, headers: list[str], at_once: int) -> float:
    """Post once to each of `urls`; seconds that it took."""
    multi, waiting, idle = pycurl.CurlMulti(), deque(urls), [_handle() for _ in range(at_once)]
    flying = 0
    began = time.monotonic()
    while waiting or flying:
        while waiting and idle:
            handle = idle.pop()
            handle.setopt(pycurl.URL, waiting.popleft())
            handle.setopt(pycurl.HTTPHEADER, headers)
            handle.setopt(pycurl.POSTFIELDS, body)
            multi.add_handle(handle)
            flying += 1
        multi.perform()
        queued = 1
        while queued:
            queued, good, bad = multi.info_read()
            assert not bad, bad
            for handle in good:
                assert handle.getinfo(pycurl.RESPONSE_CODE) == 200
                multi.remove_handle(handle)
                idle.append(handle)
            flying -= len(good)
        if flying:
            multi.select(0.01)
    return time.monotonic() - began


def _handle() -> pycurl.Curl:
    handle = pycurl.Curl()
    handle.setopt(pycurl.NOSIGNAL, 1)
    handle.setopt(pycurl.POST, 1)
    handle.setopt(pycurl.WRITEFUNCTION, lambda _: None)
    return handle
