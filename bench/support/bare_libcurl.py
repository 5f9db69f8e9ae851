"""Send the same requests with libcurl alone, in a loop that does nothing else."""

import time
from collections import deque
from typing import NamedTuple

import pycurl


class Post(NamedTuple):
    """One request, as libcurl takes it."""

    url: str
    headers: list[str]
    body: bytes


def post_all(posts: list[Post], at_once: int) -> float:
    """Send all `posts` and return the seconds that this took."""
    multi, waiting, idle = pycurl.CurlMulti(), deque(posts), [_handle() for _ in range(at_once)]
    flying = 0
    began = time.monotonic()
    while waiting or flying:
        while waiting and idle:
            handle = idle.pop()
            post = waiting.popleft()
            handle.setopt(pycurl.URL, post.url)
            handle.setopt(pycurl.HTTPHEADER, post.headers)
            handle.setopt(pycurl.POSTFIELDS, post.body)
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
