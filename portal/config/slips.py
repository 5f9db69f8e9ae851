"""Settings whose names were mistyped: what was meant would silently have its default."""

from collections.abc import Iterable
from difflib import get_close_matches
from typing import Final

from portal.config.values import SettingsError

# Nobody else calls a variable so. With others, only what stands in `.env` is meant for us.
PREFIXES: Final = (
    "ENCRYPTION_",
    "INBOX_",
    "LEASE_",
    "RETENTION_",
    "SWEEP_",
    "TRUSTED_",
    "WEBHOOK_",
    "WORKER_",
)
ALIKE: Final = 0.85  # of 1; WEBHOOK_SECRET, which receivers are given, is 0.79 like WEBHOOK_SOURCE


def refuse_slips(known: frozenset[str], in_file: Iterable[str], names: Iterable[str]) -> None:
    """Raise `SettingsError` for the first name that nearly is one of `known`.

    `in_file`: the names in `.env`; `names`: all, the environment's too.
    """
    ours = {name for name in names if name.upper().startswith(PREFIXES)}
    for name in sorted({*in_file, *ours} - known):
        if meant := get_close_matches(name.upper(), known, n=1, cutoff=ALIKE):
            raise SettingsError(f"There is no setting {name}: did you mean {meant[0]}?")
