"""How long whoever asks Redis waits for it."""

from portal.queue.connection import patient_client, quick_client


def test_each_gives_up_in_its_time_and_asks_once() -> None:
    for client, connect, answer in ((quick_client, 0.25, 0.5), (patient_client, 5, 5)):
        made = client("redis://127.0.0.1:9/0")
        asked = made.get_connection_kwargs()
        assert (asked["socket_connect_timeout"], asked["socket_timeout"]) == (connect, answer), (
            client
        )
        assert (asked["retry"].get_retries(), asked["protocol"]) == (0, 2), client
