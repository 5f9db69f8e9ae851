"""Make a template fail on a value that its view did not pass.

In production, a missing value prints nothing. A missing attribute, dictionary entry, or caller of
a macro is allowed, because templates test for them.
"""

from collections.abc import Iterator
from typing import Any

from jinja2 import Undefined
from jinja2.utils import missing


class Absent(Undefined):
    """A placeholder for a value that a template was not given."""

    __slots__ = ()

    def _tell(self) -> None:
        if self._undefined_obj is missing and self._undefined_name != "caller":
            self._fail_with_undefined_error()

    def __bool__(self) -> bool:
        self._tell()
        return super().__bool__()

    def __str__(self) -> str:
        self._tell()
        return super().__str__()

    def __len__(self) -> int:
        self._tell()
        return super().__len__()

    def __iter__(self) -> Iterator[Any]:
        self._tell()
        return super().__iter__()

    def __eq__(self, other: Any) -> bool:
        self._tell()
        return super().__eq__(other)

    def __hash__(self) -> int:
        return super().__hash__()
