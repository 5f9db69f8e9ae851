"""Every table family, so that importing the package registers all of them."""

from portal.models import (
    assets,
    batches,
    deliveries,
    holdings,
    inbox,
    people,
    planning,
    records,
    rollups,
    stock,
    tasks,
    webhooks,
)

__all__ = [
    "assets",
    "batches",
    "deliveries",
    "holdings",
    "inbox",
    "people",
    "planning",
    "records",
    "rollups",
    "stock",
    "tasks",
    "webhooks",
]
