"""The order of the log: the newest first, or the oldest."""

from typing import Final

from portal.web.forms.list_order import ListOrder, order_in

WHEN: Final = "when"


def log_order(text: str | None = None) -> ListOrder:
    """As the address asks for it, or as this `text` does."""
    return order_in({WHEN: True}, WHEN, text)
