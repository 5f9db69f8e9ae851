"""Every table family, so that importing the package registers all of them."""

from portal.models import (
    alerts,
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
    "alerts",
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
