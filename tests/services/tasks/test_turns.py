"""How long a worker is at one task, and at all of them."""

from itertools import count

import pytest
from flask import Flask

from jobs import tasks as job
from tests.services.tasks.test_tasks import Counting, fresh, start


def test_a_turn_ends_with_the_time_of_the_worker(
    app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    seconds, task, counting = count(), start(60), Counting()
    monkeypatch.setattr(job, "monotonic", lambda: float(next(seconds)))
    counting.work(seconds=3.0)
    assert (counting.steps, fresh(task).lease_token) == (1, None)
