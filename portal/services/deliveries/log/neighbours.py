"""The deliveries beside one in a list of the log, by the list's own filter and order."""

from dataclasses import dataclass
from uuid import UUID

from portal.lib.paging import PAGE_SIZE, Cursor
from portal.services.deliveries.log.filters import LogFilter
from portal.services.deliveries.log.pages import find_page


@dataclass(frozen=True, slots=True)
class Neighbours:
    """Public ids; None where the list ends, or where a search came to the limit of what it reads.

    `page`: the cursor of a page of the list on which the delivery is; None: the first.
    """

    previous: UUID | None
    following: UUID | None
    page: str | None


def find_neighbours(
    wanted: LogFilter, row_id: int, *, oldest_first: bool = False, size: int = PAGE_SIZE
) -> Neighbours:
    """What stands beside this delivery, which need not match any more itself. Reads only.

    `size`: of the list's pages.
    """
    step = -1 if oldest_first else 1
    back, on = (Cursor((row_id,), newer=is_back).encode() for is_back in (True, False))
    before = find_page(wanted, back, size, oldest_first=oldest_first).page
    after = find_page(wanted, on, 1, oldest_first=oldest_first).page.rows
    # Where nothing comes before it, the first page has come in its place.
    rows = [row for row in before.rows if (row.id - row_id) * step > 0]
    is_on_first = len(rows) < size and before.newer is None
    return Neighbours(
        previous=rows[-1].public_id if rows else None,
        following=after[0].public_id if after else None,
        page=None if is_on_first else Cursor((row_id + step,)).encode(),
    )
