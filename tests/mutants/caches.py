"""What functions of the product keep from call to call."""

import sys
from functools import cache
from typing import Final

KEPT: Final = type(cache(lambda: None))


def forget_what_is_kept() -> None:
    """Have every function of the product that keeps its results (`cache`) make them anew."""
    for name, module in list(sys.modules.items()):
        if name.partition(".")[0] in {"portal", "jobs"}:
            for value in list(vars(module).values()):
                if type(value) is KEPT:  # others may stand for what there is not now
                    value.cache_clear()
