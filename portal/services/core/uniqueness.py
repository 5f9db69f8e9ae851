"""Tags and serial numbers belong to one undeleted asset each, also when two people save at once."""

from collections.abc import Callable
from typing import Final, TypeVar

from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from portal.services.core.refusals import Refusal

T = TypeVar("T")

ROUNDS: Final = 5


def keep_unique(current: Session, look: Callable[[], None], store: Callable[[], T]) -> T:
    """`look` refuses what is taken, then `store` writes; again if a rival committed in between.

    The unique indexes decide: whoever loses looks again and now sees whom it lost to.
    """
    for _ in range(ROUNDS):
        look()
        try:
            with current.begin_nested():
                return store()
        except IntegrityError:
            continue
    raise Refusal("Several people are saving the same thing. Nothing was saved. Try again.")
