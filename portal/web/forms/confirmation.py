"""What a person reads after Save."""

from typing import Final

from flask import flash

# Of what webhooks tell.
UNHEARD: Final = "Nothing was changed, so nobody was notified."


def say_whether_changed(
    changed: object, saved: str = "Saved.", unchanged: str = "Nothing was changed."
) -> None:
    """Have the next page say `saved`; where nothing was changed that, which is no success."""
    flash(saved if changed else unchanged, "success" if changed else "info")
