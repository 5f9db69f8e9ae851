"""Exit codes of commands, as printed at the end of `--help`."""

from typing import Final

BAD_SETTING: Final = "2 unknown setting or option."

USUAL: Final = f"Exit codes: 0 success, 1 refused or failed, {BAD_SETTING}"
PROCESS: Final = (
    f"Exit codes: 0 after SIGTERM, 1 lost Redis or failed (start it again), {BAD_SETTING}"
)
