"""Restrict bodies, headers, and responses to users with `deliveries.content`."""

from collections.abc import Sequence
from uuid import UUID

from portal.services.core.permissions import CONTENT
from portal.services.deliveries import answers
from portal.services.deliveries.answers import Answer
from portal.services.deliveries.detail import DeliveryDetail, find_delivery, without_content
from portal.web.frame.access import can


def shows_content() -> bool:
    """Return whether the user may see bodies, headers, and responses."""
    return can(CONTENT)


def delivery_for_reader(public_id: UUID) -> DeliveryDetail:
    """Return a delivery without any content the user may not see. Raises `NotFound`."""
    delivery = find_delivery(public_id)
    return delivery if shows_content() else without_content(delivery)


def answers_of(row_ids: Sequence[int]) -> dict[int, Answer]:
    """Return the last responses by row id, or {} for a user who may not see them."""
    return answers.answers_of(row_ids) if shows_content() else {}
