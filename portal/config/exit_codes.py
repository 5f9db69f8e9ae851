"""Exit codes of commands, in the words that `--help` prints last."""

from typing import Final

BAD_SETTING: Final = "with 2 when a setting or an option is not understood."

USUAL: Final = (
    f"Ends with 0 when it is done, with 1 when it was refused or failed, and {BAD_SETTING}"
)
PROCESS: Final = (
    "Ends with 0 after SIGTERM, with 1 when Redis went away or it failed (start it again), and "
    + BAD_SETTING
)
