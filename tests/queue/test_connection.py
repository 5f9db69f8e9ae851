"""How long whoever asks Redis waits for it."""

from collections.abc import Callable

import pytest
from redis import Redis

from portal.queue.connection import patient_client, quick_client


@pytest.mark.parametrize(
    ("client", "connect", "answer"), [(quick_client, 0.25, 0.5), (patient_client, 5, 5)]
)
def test_each_gives_up_in_its_time_and_asks_once(
    client: Callable[[str], Redis], connect: float, answer: float
) -> None:
    made = client("redis://127.0.0.1:9/0")
    asked = made.get_connection_kwargs()
    assert (asked["socket_connect_timeout"], asked["socket_timeout"]) == (connect, answer)
    assert (asked["retry"].get_retries(), asked["protocol"]) == (0, 2)
