"""What only readers with `deliveries.content` get: bodies, headers, and what receivers said."""

from collections.abc import Sequence
from uuid import UUID

from portal.services.core.permissions import CONTENT
from portal.services.deliveries import answers
from portal.services.deliveries.detail import DeliveryDetail, find_delivery, without_content
from portal.web.frame.access import can


def shows_content() -> bool:
    """Return whether the signed-in person may see contents."""
    return can(CONTENT)


def delivery_for_reader(public_id: UUID) -> DeliveryDetail:
    """Return a delivery with as much of it as the signed-in person may see. Raises `NotFound`."""
    delivery = find_delivery(public_id)
    return delivery if shows_content() else without_content(delivery)


def answers_of(row_ids: Sequence[int]) -> dict[int, str]:
    """Return what came back to the last attempts of these; nothing for who may not see that."""
    return answers.answers_of(row_ids) if shows_content() else {}
