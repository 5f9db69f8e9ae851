"""The order of a list stands in its address: `?sort=name` rises, `?sort=-name` falls."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from flask import request

from portal.web.frame.page_frame import page_url

SORT: Final = "sort"


@dataclass(frozen=True, slots=True)
class ListOrder:
    """By which column, and whether its values fall. `columns`: of each that can be chosen, whether
    it falls when it is chosen first; `otherwise`: by which, while none is, if by a column."""

    columns: Mapping[str, bool]
    otherwise: str
    by: str
    falls: bool

    @property
    def is_reversed(self) -> bool:
        """Whether it is the other way round than the column's own."""
        return bool(self.by) and self.falls is not self.columns[self.by]

    @property
    def value(self) -> str:
        """What the address says; nothing of the usual order."""
        return "" if self._is_usual(self.by, falls=self.falls) else _value(self.by, self.falls)

    def heading(self, name: str) -> dict[str, str]:
        """For the heading of a column, as the table's macro takes it: where it leads, and how the
        list is sorted by it now."""
        is_here = name == self.by
        falls = not self.falls if is_here else self.columns[name]
        is_usual = self._is_usual(name, falls=falls)
        url = page_url(sort=None if is_usual else _value(name, falls), cursor=None)
        order = "descending" if self.falls else "ascending"
        return {"url": url, "order": order if is_here else ""}

    def _is_usual(self, name: str, *, falls: bool) -> bool:
        return name == self.otherwise and falls is self.columns.get(name, False)


def order_in(
    columns: Mapping[str, bool], otherwise: str = "", text: str | None = None
) -> ListOrder:
    """The order that the address asks for, or this `text`; the usual one where it says nothing
    that is known. `columns`, `otherwise`: as in `ListOrder`."""
    text = request.args.get(SORT, "") if text is None else text
    name = text.removeprefix("-")
    if name in columns:
        return ListOrder(columns, otherwise, name, falls=text.startswith("-"))
    return ListOrder(columns, otherwise, otherwise, falls=columns.get(otherwise, False))


def _value(name: str, falls: bool) -> str:
    return f"-{name}" if falls else name
