"""The one piece of work that a dispatcher has for the database at a time."""

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextvars import copy_context
from typing import Any, NamedTuple, TypeVar

from portal.services.dispatch.claim_types import Claim

T = TypeVar("T")


class Done(NamedTuple):
    """A piece of work has ended. `claims`: what it has claimed, None where it was not to claim.

    `began`: when it did, by the monotonic clock.
    """

    claims: list[Claim] | None
    began: float


class _UnderWay(NamedTuple):
    answer: Future[Any]
    then: Callable[[Any], Done | None]


class DatabaseExecutor:
    """Has work for the database done: at once, or in a thread beside the sockets.

    Work that hangs beside them holds up no answer of a receiver. `works_beside`: not on SQLite,
    which works in this process: a second thread would take turns with the first for Python's lock,
    at every row, and both would lose more by it than the database can do meanwhile.
    """

    def __init__(self, notify: Callable[[], None], *, works_beside: bool) -> None:
        self._notify = notify
        self.works_beside = works_beside
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="database-writer")
        self._under_way: _UnderWay | None = None

    @property
    def is_busy(self) -> bool:
        """Whether the database is at work; nothing else may be given to it now."""
        return self._under_way is not None

    def submit(
        self, work: Callable[[], T], then: Callable[[T], Done | None], *, beside: bool
    ) -> Done | None:
        """What `then` makes of the answer. It is called in the dispatcher's thread: here, or, where
        `work` is done `beside` the sockets, by `poll`."""
        if not (beside and self.works_beside):
            return then(work())
        answer = self._thread.submit(copy_context().run, work)
        self._under_way = _UnderWay(answer, then)
        # Else what was claimed waits until a socket has something to say.
        answer.add_done_callback(lambda _: self._notify())
        return None

    def poll(self, patience: float = 0.0) -> Done | None:
        """What came of the work beside the sockets, once it has ended. None: nothing new."""
        under_way = self._under_way
        if under_way is None or not wait([under_way.answer], patience).done:
            return None
        self._under_way = None
        return under_way.then(under_way.answer.result())

    def close(self) -> None:
        """Let the thread go, without waiting for a database that hangs."""
        self._thread.shutdown(wait=False)
