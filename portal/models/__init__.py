"""Every table family, so that importing the package registers all of them."""

from portal.models import (
    alerts,
    assets,
    assignments,
    audit,
    deliveries,
    mails,
    operations,
    people,
    planning,
    tasks,
    webhooks,
)

__all__ = [
    "alerts",
    "assets",
    "assignments",
    "audit",
    "deliveries",
    "mails",
    "operations",
    "people",
    "planning",
    "tasks",
    "webhooks",
]
