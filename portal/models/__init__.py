"""All models. Importing this package registers their tables."""

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
