"""Public ids are unique, hard to guess, and come in the order of time."""

import uuid

from portal.lib.ids import public_id


def test_ids_come_in_the_order_of_time_and_never_twice() -> None:
    ids = [public_id() for _ in range(1000)]
    assert ids == sorted(set(ids))


def test_an_id_is_a_plain_uuid_of_version_7() -> None:
    made = public_id()
    assert type(made) is uuid.UUID
    assert made.version == 7
